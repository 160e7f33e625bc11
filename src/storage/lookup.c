/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/lookup.c: offsets by timestamp (§5.12 of the reference).
 *
 *   park while a change runs → largest timestamps of all segments → pick the segment → its index
 *   → a job scans from the index entry on and walks the records of the batch
 *
 * Threads     the store's; the job opens the file by itself and touches nothing else.
 */
#include "storage/load.h"
#include "storage/shard.h"

#include "base/bug.h"
#include "records/record.h"

struct lookup_work {
    struct log_lookup *lookup;
    struct log *log;
    struct parked parked;
    struct deferred deferred;
    struct index_waiter waiter;
    struct segment *segment;
    struct os_op job;
    struct os *os;
    int64_t wanted;       /* timestamp; for LOG_TIMESTAMP_MAX the largest there is */
    int64_t start_offset; /* records below do not count */
    int64_t from_bytes;
    int64_t entry_offset; /* last offset that the index promised for the batch there; -1: none */
    int64_t time_offset;  /* the batch that the time index led to; -1: none */
    int64_t time_timestamp;
    bool is_index_wrong; /* one of them is not there */
    int64_t end_bytes;
    int64_t base_offset;
    int64_t limit_offset;    /* where the next segment begins, or the log ends */
    int64_t searched_base;   /* segments up to this base were searched in vain; -1: none */
    int64_t distrusted_base; /* whose index was made anew for it; -1: none */
    char path[PATH_BYTES];
};

static void lookup_choose(struct lookup_work *work);

static void lookup_end(struct lookup_work *work, enum err err)
{
    struct log_lookup *lookup = work->lookup;

    lookup->err = err;
    lookup->work = NULL;
    segment_release(&work->segment);
    STORAGE_DELETE(work);
    lookup->done(lookup);
}

/* ---- the job ---- */

static enum err batch_search(struct lookup_work *work, struct compress_context *context,
                             struct slice batch, const struct batch_header *header, bool *found_out)
{
    CLEANUP(writer_release) struct writer inflated;
    struct log_lookup *lookup = work->lookup;
    struct slice records = batch_records(batch);
    struct record_walk walk;
    struct record record;
    bool more;

    *found_out = false;
    writer_init(&inflated, &heap_allocator, SIZE_MAX);
    if (batch_codec(header) != COMPRESSION_NONE) {
        TRY(record_inflate(context, batch, (size_t)lookup->bytes_max, &inflated));
        records = writer_slice(&inflated);
    }
    TRY(record_walk_begin(&walk, header, records));
    for (;;) {
        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            return OK;
        if (record.timestamp >= work->wanted && record.offset >= work->start_offset) {
            lookup->offset = record.offset;
            lookup->found_timestamp = record.timestamp;
            lookup->leader_epoch = header->leader_epoch;
            *found_out = true;
            return OK;
        }
    }
}

static enum err lookup_scan(struct lookup_work *work, struct compress_context *context)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    int64_t next_offset = work->base_offset;
    char path[PATH_BYTES];

    path_of_file(work->path, work->base_offset, ".log", path);
    TRY(os_file_open(work->os, path, OS_OPEN_READ, &file));
    if (work->time_offset >= 0 && !BUG_IS(index_trusted)) {
        bool holds;

        TRY(time_entry_check(file, work->from_bytes, work->end_bytes, work->time_offset,
                             work->time_timestamp, &holds));
        work->is_index_wrong = !holds;
        if (!holds)
            return OK;
    }
    batch_reader_init(&reader, file, work->from_bytes, work->end_bytes);
    for (;;) {
        struct batch_header header;
        struct slice batch;
        int64_t position;
        bool found;
        enum err err = batch_reader_next_header(&reader, &found, &header, &position);

        if (work->entry_offset >= 0 && (err == OK || err == ERR_CORRUPT_MESSAGE)) {
            work->is_index_wrong =
                (err != OK || !found || batch_last_offset(&header) != work->entry_offset) &&
                !BUG_IS(index_trusted);
            if (work->is_index_wrong)
                return OK;
            work->entry_offset = -1;
        }
        TRY(err);
        if (!found) /* before the end: a size that rotted */
            return position < work->end_bytes ? ERR_CORRUPT_MESSAGE : OK;
        if (header.magic < BATCH_MAGIC || header.max_timestamp < work->wanted) {
            next_offset = MAX(next_offset, header.base_offset);
            continue;
        }
        /* No CRC covers the base offset, which the answer is made of. */
        if (header.base_offset < next_offset || batch_last_offset(&header) >= work->limit_offset)
            return ERR_CORRUPT_MESSAGE;
        reader.position_bytes = position;
        TRY(batch_reader_next(&reader, &batch, &position));
        if (batch.size_bytes == 0 || !batch_is_valid(batch))
            return ERR_CORRUPT_MESSAGE; /* what it says of its records is worth nothing */
        TRY(batch_search(work, context, batch, &header, &found));
        if (found)
            return OK;
    }
}

static void lookup_run(struct os_op *op)
{
    struct lookup_work *work = CONTAINER_OF(op, struct lookup_work, job);
    struct compress_context *context;

    op->err = compress_context_open(&context, &heap_allocator);
    if (op->err != OK)
        return;
    op->err = lookup_scan(work, context);
    compress_context_release(&context);
}

/* All that is young enough in the segment lies below the log start (DeleteRecords moves it into the midst of
 * a segment), or nothing is as its largest timestamp said: the next one may have it. */
static bool lookup_is_in_vain(const struct lookup_work *work)
{
    return work->lookup->offset < 0 && work->lookup->timestamp >= 0;
}

static void lookup_job_done(struct os_op *op)
{
    struct lookup_work *work = CONTAINER_OF(op, struct lookup_work, job);
    struct log *log = work->log;
    enum err err = op->err;

    log_busy_begin(log);
    if (err == ERR_NOT_FOUND && work->segment->deleted && !log->failed) {
        segment_release(&work->segment);
        lookup_choose(work); /* the segment went away under us: look again */
    } else if (err == OK && work->is_index_wrong && work->distrusted_base == work->base_offset &&
               !log->failed) {
        lookup_end(work, ERR_CORRUPT_MESSAGE); /* made anew, and wrong again: the log is broken */
    } else if (err == OK && work->is_index_wrong && !log->failed) {
        work->distrusted_base = work->base_offset;
        segment_index_distrust(work->segment);
        segment_release(&work->segment);
        lookup_choose(work); /* makes it anew first */
    } else if (err == OK && lookup_is_in_vain(work) && !log->failed) {
        work->searched_base = work->base_offset;
        segment_release(&work->segment);
        lookup_choose(work);
    } else {
        if (err == ERR_IO || err == ERR_NOT_FOUND) {
            log_io_failed(log, err, "look-up");
            err = ERR_KAFKA_STORAGE_ERROR;
        } else if (err_is_shortage(err)) {
            err = ERR_KAFKA_STORAGE_ERROR; /* what a client asks again for; the disk is well */
        } else if (err == OK && (work->is_index_wrong || lookup_is_in_vain(work))) {
            err = ERR_KAFKA_STORAGE_ERROR; /* the log failed meanwhile: nobody looked further */
        }
        lookup_end(work, err);
    }
    log_busy_end(log);
    log_busy_end(log);
}

/* ---- on the shard ---- */

static int64_t segment_largest_timestamp(const struct segment *segment)
{
    return segment->max_timestamp >= 0 ? segment->max_timestamp : segment->modified_ms;
}

static struct segment *segment_pick(const struct log *log, int64_t timestamp, int64_t searched_base,
                                    int64_t *wanted_out)
{
    struct segment *picked = NULL;

    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        if (segment->written_bytes == 0 || log_segment_is_dead(log, i))
            continue; /* nothing to find; its file may not even be there yet (roll.c) */
        if (timestamp == LOG_TIMESTAMP_MAX) {
            if (segment->max_timestamp >= 0 &&
                (!picked || segment->max_timestamp > picked->max_timestamp))
                picked = segment;
        } else if (segment->base_offset > searched_base &&
                   segment_largest_timestamp(segment) >= timestamp) {
            picked = segment;
            break;
        }
    }
    *wanted_out = timestamp == LOG_TIMESTAMP_MAX && picked ? picked->max_timestamp : timestamp;
    return picked;
}

static void lookup_submit(struct lookup_work *work)
{
    struct log *log = work->log;
    struct segment *segment = work->segment;
    size_t next =
        log_segment_floor(log, segment->base_offset) + 1; /* SIZE_MAX + 1: the first one */
    struct time_index_entry time = {0};
    struct offset_index_entry entry = {0};
    int64_t relative;

    work->start_offset = log->start_offset;
    work->end_bytes = segment->written_bytes;
    work->base_offset = segment->base_offset;
    work->limit_offset =
        next < log->segment_count ? log->segments[next]->base_offset : log->end_written;
    work->from_bytes = 0;
    work->entry_offset = -1;
    work->time_offset = -1;
    work->is_index_wrong = false;
    if (segment->index_known && !segment->index_bad) {
        relative = work->start_offset - segment->base_offset;
        if (time_index_find(&segment->times, work->wanted, &time) == INDEX_FOUND &&
            time.relative > relative) {
            relative = time.relative;
            /* What is on its way to the file cannot be looked at; memory is right. */
            if (segment->base_offset + time.relative < log->end_written)
                work->time_offset = segment->base_offset + time.relative;
            work->time_timestamp = time.timestamp;
        }
        if (offset_index_find(&segment->offsets, relative, &entry) == INDEX_FOUND) {
            work->from_bytes = entry.position_bytes;
            /* Of what is on its way to the file nothing is there to compare. */
            if (entry.position_bytes < segment->written_bytes)
                work->entry_offset = segment->base_offset + entry.relative;
        }
    }
    path_copy(log->path, work->path);
    work->os = log_os(log);
    work->job = (struct os_op){.kind = OS_OP_JOB, .run = lookup_run, .done = lookup_job_done};
    log_busy_begin(log);
    reactor_submit(log->store->reactor, &work->job);
}

static void lookup_ready(struct index_waiter *waiter)
{
    struct lookup_work *work = CONTAINER_OF(waiter, struct lookup_work, waiter);

    if (work->log->failed)
        lookup_end(work, ERR_KAFKA_STORAGE_ERROR);
    else if (work->segment)
        lookup_submit(work);
    else if (waiter->failed)
        lookup_end(work, ERR_CORRUPT_MESSAGE); /* a segment cannot be read to its end */
    else
        lookup_choose(work);
}

static bool index_is_whole(const struct segment *segment)
{
    return segment->index_unusable || (segment->index_known && !segment->index_bad &&
                                       segment->offsets.first == 0 && segment->times.first == 0);
}

static void lookup_choose(struct lookup_work *work)
{
    struct log *log = work->log;

    work->waiter.ready = lookup_ready;
    if (!log_timestamps_known(log)) {
        log_timestamps_load(log, &work->waiter);
        return;
    }
    work->segment = segment_pick(log, work->lookup->timestamp, work->searched_base, &work->wanted);
    if (!work->segment) {
        lookup_end(work, OK);
        return;
    }
    segment_ref(work->segment);
    if (index_is_whole(work->segment))
        lookup_submit(work);
    else
        segment_index_load(work->segment, &work->waiter);
}

static void lookup_special(struct lookup_work *work)
{
    struct log_lookup *lookup = work->lookup;
    struct log *log = work->log;

    switch (lookup->timestamp) {
    case LOG_TIMESTAMP_LATEST:
        lookup->offset = lookup->latest_offset;
        lookup->leader_epoch = log_epoch_latest(log);
        break;
    case LOG_TIMESTAMP_EARLIEST:
    case LOG_TIMESTAMP_EARLIEST_LOCAL:
        lookup->offset = log->start_offset;
        if (log->epochs.count > 0 && log->epochs.entries[0].start_offset <= log->start_offset)
            lookup->leader_epoch = log->epochs.entries[0].epoch;
        break;
    default: /* nothing is tiered: no offset */
        break;
    }
    lookup_end(work, OK);
}

static void lookup_begin(struct lookup_work *work)
{
    struct log *log = work->log;

    log_busy_begin(log);
    if (log->failed)
        lookup_end(work, ERR_KAFKA_STORAGE_ERROR);
    else if (work->lookup->timestamp >= 0 || work->lookup->timestamp == LOG_TIMESTAMP_MAX)
        lookup_choose(work);
    else
        lookup_special(work);
    log_busy_end(log);
}

static void lookup_deferred(struct deferred *deferred)
{
    struct lookup_work *work = CONTAINER_OF(deferred, struct lookup_work, deferred);
    struct log *log = work->log;

    if (log_is_changing(log) && !log->failed)
        list_push_back(&log->parked, &work->parked.node);
    else
        lookup_begin(work);
    log_busy_end(log);
}

static void lookup_resume(struct parked *parked)
{
    lookup_begin(CONTAINER_OF(parked, struct lookup_work, parked));
}

void log_lookup_offset(struct log *log, struct log_lookup *lookup)
{
    struct lookup_work *work = STORAGE_NEW(struct lookup_work);

    lookup->err = OK;
    lookup->offset = -1;
    lookup->found_timestamp = -1;
    lookup->leader_epoch = -1;
    lookup->log = log;
    lookup->work = work;
    work->lookup = lookup;
    work->log = log;
    work->searched_base = -1;
    work->distrusted_base = -1;
    work->parked.resume = lookup_resume;
    deferred_init(&work->deferred, lookup_deferred);
    log_busy_begin(log);
    reactor_defer(log->store->reactor, &work->deferred);
}
