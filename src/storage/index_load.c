/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/index_load.c: indexes of segments on a running shard: read at first use, held against the
 * log, made anew when they do not fit, and dropped from memory when too many are there.
 * Invariants  1. one load per segment is under way; everyone else waits for it.
 * Crash       a new index replaces the file only when a full flush or the repair below writes it.
 * Threads     the store's; the job works on files and on its own memory.
 */
#include "storage/shard.h"

#include "base/bug.h"
#include "base/fault_point.h"
#include "storage/load.h"

struct index_job {
    struct os_op op;
    struct segment *segment;
    struct log *log;
    struct os *os;
    int64_t size_bytes;
    int32_t interval_bytes;
    bool must_scan;
    bool must_repair; /* no flush will come by: the job writes the new files */
    bool scanned;
    struct offset_index offsets;
    struct time_index times;
    struct segment rebuilt;
    char path[PATH_BYTES];
};

/* The last entries must name batches that are there. */
static bool last_entry_holds(struct index_job *job)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    const struct offset_index_entry *last;
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t position;
    bool found;

    if ((job->offsets.count == 0 && job->times.count == 0) || BUG_IS(index_trusted))
        return true;
    path_of_file(job->path, job->rebuilt.base_offset, ".log", path);
    if (os_file_open(job->os, path, OS_OPEN_READ, &file) != OK ||
        time_index_end_check(file, job->size_bytes, job->rebuilt.base_offset, &job->offsets,
                             &job->times, &found) != OK ||
        !found)
        return false;
    if (job->offsets.count == 0)
        return true;
    last = &job->offsets.items[job->offsets.count - 1];
    batch_reader_init(&reader, file, last->position_bytes, job->size_bytes);
    return batch_reader_next_header(&reader, &found, &header, &position) == OK && found &&
           batch_last_offset(&header) - job->rebuilt.base_offset == last->relative;
}

static void index_run(struct os_op *op)
{
    struct index_job *job = CONTAINER_OF(op, struct index_job, op);
    int64_t base_offset = job->rebuilt.base_offset;

    if (!job->must_scan && !FAULT_POINT(index_built_anew) &&
        index_files_read(job->os, job->path, base_offset, job->size_bytes, &job->offsets,
                         &job->times, &op->err) &&
        last_entry_holds(job))
        return;
    if (op->err != OK)
        return;
    offset_index_release(&job->offsets);
    time_index_release(&job->times);
    job->scanned = true;
    op->err = segment_scan_index(job->os, job->path, base_offset, job->size_bytes,
                                 job->interval_bytes, &job->rebuilt);
    if (op->err != OK || !job->must_repair)
        return;
    segment_seal(&job->rebuilt);
    op->err =
        segment_write_indexes(job->os, job->path, &job->rebuilt, !BUG_IS(index_repaired_in_place));
}

/* What was appended while the scan ran is in memory; the rest comes from the scan. */
static void rebuilt_take(struct segment *segment, struct index_job *job)
{
    struct offset_index *offsets = &segment->offsets;
    struct time_index *times = &segment->times;
    int64_t gap_bytes = segment->index_gap_bytes;

    if (segment->index_known) {
        for (int32_t i = 0; i < offsets->count - offsets->first; i++)
            if (offsets->items[i].position_bytes >= job->size_bytes)
                offset_index_add(&job->rebuilt.offsets, offsets->items[i].relative,
                                 offsets->items[i].position_bytes);
        for (int32_t i = 0; i < times->count - times->first; i++)
            time_index_add(&job->rebuilt.times, times->items[i].timestamp,
                           times->items[i].relative);
        if (segment->max_timestamp > job->rebuilt.max_timestamp) {
            job->rebuilt.max_timestamp = segment->max_timestamp;
            job->rebuilt.max_timestamp_offset = segment->max_timestamp_offset;
        }
    }
    segment_index_take(segment, &job->rebuilt);
    segment->index_gap_bytes = segment->sealed ? 0 : gap_bytes;
    if (job->must_repair) {
        segment->offsets.written = segment->offsets.count;
        segment->times.written = segment->times.count;
    }
}

static void loaded_note(struct log_store *store, struct segment *segment)
{
    if (!segment->sealed)
        return;
    list_remove(&segment->loaded);
    list_push_back(&store->loaded_segments, &segment->loaded);
    store->loaded_bytes = 0;
    LIST_EACH (node, &store->loaded_segments) {
        const struct segment *each = LIST_ITEM(node, struct segment, loaded);

        store->loaded_bytes += each->offsets.capacity * sizeof *each->offsets.items +
                               each->times.capacity * sizeof *each->times.items;
    }
    while (store->loaded_bytes > store->directories->options.index_bytes_max) {
        struct segment *oldest =
            LIST_ITEM(list_first(&store->loaded_segments), struct segment, loaded);

        if (oldest == segment)
            return;
        list_remove(&oldest->loaded);
        if (!oldest->full_synced || oldest->index_loading)
            continue;
        store->loaded_bytes -= oldest->offsets.capacity * sizeof *oldest->offsets.items +
                               oldest->times.capacity * sizeof *oldest->times.items;
        offset_index_release(&oldest->offsets);
        time_index_release(&oldest->times);
        oldest->index_known = false;
    }
}

static void index_done(struct os_op *op)
{
    struct index_job *job = CONTAINER_OF(op, struct index_job, op);
    struct segment *segment = job->segment;
    struct log *log = job->log;
    struct list_node waiters;

    if (err_is_shortage(op->err)) {
        offset_index_release(&job->offsets);
        time_index_release(&job->times);
        offset_index_release(&job->rebuilt.offsets);
        time_index_release(&job->rebuilt.times);
        job->scanned = false;
    }
    if (store_shortage_waits(log->store, op))
        return;
    segment->index_loading = false;
    if (op->err == OK && job->scanned) {
        LOG_WARN(log_logger(log), "storage", "index_rebuilt", "log=%s segment=%lld", log->name,
                 (long long)segment->base_offset);
        rebuilt_take(segment, job);
    } else if (op->err == OK && !segment_index_adopt(segment, &job->offsets, &job->times)) {
        segment->index_bad = true;
    } else if (op->err == ERR_CORRUPT || op->err == ERR_CORRUPT_MESSAGE) {
        segment->index_bad = true; /* the log itself is broken: readers scan and see */
        segment->index_unusable = true;
    } else if (op->err != OK && segment->deleted) {
        segment->index_unusable = true; /* its files have other names now: readers scan */
    } else if (op->err != OK) {
        log_io_failed(log, op->err, "index");
    }
    if (op->err == OK) {
        ASSERT(segment->index_known);
        loaded_note(log->store, segment);
    }
    offset_index_release(&job->offsets);
    time_index_release(&job->times);
    offset_index_release(&job->rebuilt.offsets);
    time_index_release(&job->rebuilt.times);
    list_init(&waiters);
    list_splice_back(&waiters, &segment->index_waiters);
    STORAGE_DELETE(job);
    while (!list_is_empty(&waiters)) {
        struct index_waiter *waiter =
            LIST_ITEM(list_pop_front(&waiters), struct index_waiter, node);

        waiter->ready(waiter);
    }
    segment_release(&segment);
    log_busy_end(log);
}

void segment_index_load(struct segment *segment, struct index_waiter *waiter)
{
    struct log *log = segment->log;
    struct index_job *job;

    list_push_back(&segment->index_waiters, &waiter->node);
    if (segment->index_loading)
        return;
    segment->index_loading = true;
    job = STORAGE_NEW(struct index_job);
    job->segment = segment_ref(segment);
    job->log = log;
    job->os = log_os(log);
    job->size_bytes = segment->written_bytes;
    job->interval_bytes = log->config.index_interval_bytes;
    job->must_scan = segment->index_bad;
    job->must_repair = segment->full_synced;
    job->rebuilt.base_offset = segment->base_offset;
    path_copy(log->path, job->path);
    job->op.kind = OS_OP_JOB;
    job->op.run = index_run;
    job->op.done = index_done;
    log_busy_begin(log);
    reactor_submit(log->store->reactor, &job->op);
}

void segment_index_distrust(struct segment *segment)
{
    LOG_WARN(log_logger(segment->log), "storage", "index_mismatch", "log=%s segment=%lld",
             segment->log->name, (long long)segment->base_offset);
    segment->index_bad = true;
}

/* ---- the largest timestamps ---- */

struct timestamp_item {
    struct segment *segment;
    int64_t base_offset;
    int64_t size_bytes;
    int64_t timestamp;
    int64_t offset;
};

struct timestamps_job {
    struct os_op op;
    struct log *log;
    struct os *os;
    int32_t interval_bytes;
    struct index_waiter *waiter;
    struct timestamp_item *items;
    size_t count;
    size_t capacity;
    char path[PATH_BYTES];
};

static enum err timestamp_read(struct timestamps_job *job, struct timestamp_item *item)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];
    uint8_t bytes[TIME_INDEX_ENTRY_BYTES] = {
        0}; /* what a file that became shorter leaves is no entry */
    struct time_index_entry entry;
    int64_t size_bytes = 0;
    size_t read_bytes;
    struct segment scanned;
    enum err err;

    item->timestamp = TIMESTAMP_NONE;
    item->offset = item->base_offset;
    path_of_file(job->path, item->base_offset, ".timeindex", path);
    err = os_file_open(job->os, path, OS_OPEN_READ, &file);
    if (err == OK)
        err = os_file_size(file, &size_bytes);
    if (err == OK && size_bytes == 0)
        return OK;
    if (err == OK && size_bytes % TIME_INDEX_ENTRY_BYTES == 0) {
        TRY(os_file_read(file, bytes, sizeof bytes, size_bytes - TIME_INDEX_ENTRY_BYTES,
                         &read_bytes));
        time_index_entry_read(bytes, &entry);
        if (entry.relative >= 0 && entry.timestamp > 0) {
            bool holds;

            item->timestamp = entry.timestamp;
            item->offset = item->base_offset + entry.relative;
            TRY(time_entry_check_file(job->os, job->path, item->base_offset, item->size_bytes,
                                      item->timestamp, entry.relative, &holds));
            if (holds || BUG_IS(index_trusted))
                return OK;
        }
    } else if (err != OK && err != ERR_NOT_FOUND) {
        return err;
    }
    TRY(segment_scan_index(job->os, job->path, item->base_offset, item->size_bytes,
                           job->interval_bytes, &scanned));
    item->timestamp = scanned.max_timestamp;
    item->offset = scanned.max_timestamp_offset;
    offset_index_release(&scanned.offsets);
    time_index_release(&scanned.times);
    return OK;
}

static void timestamps_run(struct os_op *op)
{
    struct timestamps_job *job = CONTAINER_OF(op, struct timestamps_job, op);

    for (size_t i = 0; i < job->count && op->err == OK; i++)
        op->err = timestamp_read(job, &job->items[i]);
}

static void timestamps_done(struct os_op *op)
{
    struct timestamps_job *job = CONTAINER_OF(op, struct timestamps_job, op);
    struct log *log = job->log;
    struct index_waiter *waiter = job->waiter;
    bool any_deleted = false;

    if (store_shortage_waits(log->store, op))
        return;
    for (size_t i = 0; i < job->count; i++) {
        struct timestamp_item *item = &job->items[i];

        any_deleted = any_deleted || item->segment->deleted;
        if (op->err == OK && !item->segment->timestamp_known) {
            item->segment->max_timestamp = item->timestamp;
            item->segment->max_timestamp_offset = item->offset;
            item->segment->timestamp_known = true;
        }
        segment_release(&item->segment);
    }
    if (op->err != OK && op->err != ERR_CORRUPT && op->err != ERR_CORRUPT_MESSAGE &&
        !(op->err == ERR_NOT_FOUND && any_deleted))
        log_io_failed(log, op->err, "time index");
    storage_free(job->items, job->capacity * sizeof *job->items);
    /* What was deleted meanwhile is not asked for again. */
    waiter->failed = op->err != OK && !(op->err == ERR_NOT_FOUND && any_deleted);
    STORAGE_DELETE(job);
    waiter->ready(waiter);
    log_busy_end(log);
}

bool log_segment_is_dead(const struct log *log, size_t at)
{
    return at + 1 < log->segment_count && log->segments[at + 1]->base_offset <= log->start_offset;
}

bool log_timestamps_known(const struct log *log)
{
    for (size_t i = 0; i < log->segment_count; i++)
        if (!log->segments[i]->timestamp_known && !log_segment_is_dead(log, i))
            return false;
    return true;
}

void log_timestamps_load(struct log *log, struct index_waiter *waiter)
{
    struct timestamps_job *job = STORAGE_NEW(struct timestamps_job);

    job->log = log;
    job->os = log_os(log);
    job->interval_bytes = log->config.index_interval_bytes;
    job->waiter = waiter;
    path_copy(log->path, job->path);
    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        if (segment->timestamp_known || log_segment_is_dead(log, i))
            continue;
        job->items = storage_grow(job->items, sizeof *job->items, &job->capacity, job->count + 1);
        job->items[job->count++] = (struct timestamp_item){
            segment_ref(segment), segment->base_offset, segment->written_bytes, 0, 0};
    }
    job->op.kind = OS_OP_JOB;
    job->op.run = timestamps_run;
    job->op.done = timestamps_done;
    log_busy_begin(log);
    reactor_submit(log->store->reactor, &job->op);
}
