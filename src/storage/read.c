/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/read.c: from (offset, bound, bytes) to a range of one segment file (§5.11 of the reference).
 *
 *   START  where the batch with the offset begins    recent batches, else index entry + scan (read_scan.c)
 *   LIMIT  where the bound lies                       end of the file, recent batches, else the same
 *   RANGE  how many bytes that allows; aborted transactions
 *   FILE   the file is held open: deletion does not matter any more
 *
 * Each step either goes on at once or waits for one thing and is called again.
 * Invariants  1. no byte at or above the bound or the written end is ever in a range.
 * Threads     the store's.
 */
#include "storage/read_internal.h"

#include "base/bug.h"
#include "base/fault_point.h"

enum read_stage { READ_START, READ_LIMIT, READ_RANGE, READ_FILE, READ_READY };

static void read_run(struct log_read *read);

struct read_wait *read_wait_of(struct log_read *read)
{
    if (!read->wait) {
        read->wait = STORAGE_NEW(struct read_wait);
        read->wait->read = read;
    }
    return read->wait;
}

enum step read_waits(struct log_read *read)
{
    read->is_waiting = true;
    log_busy_begin(read->log);
    return STEP_WAIT;
}

void read_goes_on(struct log_read *read)
{
    struct log *log = read->log;

    read_run(read);
    log_busy_end(log);
}

/* ---- the stages ---- */

static const struct recent_batch *recent_find(const struct log *log, const struct segment *segment,
                                              int64_t offset)
{
    if (FAULT_POINT(recent_forgotten))
        return NULL;
    for (unsigned i = 0; log->recent && i < RECENT_BATCHES; i++) {
        const struct recent_batch *recent = &log->recent[i];

        if (recent->segment == segment && recent->base_offset <= offset &&
            offset <= recent->last_offset)
            return recent;
    }
    return NULL;
}

static size_t next_segment_at(const struct log *log, const struct segment *segment)
{
    return log_segment_floor(log, segment->base_offset) + 1; /* SIZE_MAX + 1: the first one */
}

static enum step stage_start(struct log_read *read)
{
    struct log *log = read->log;
    const struct recent_batch *recent = recent_find(log, read->segment, read->offset);
    const struct batch_place *place = NULL;
    struct scan_hit hit;
    enum step step;
    size_t next;

    if (!recent && !read->op.done && !FAULT_POINT(recent_forgotten))
        place = place_find(log->store, read->segment->incarnation, read->offset);
    if (place) {
        read->position_bytes = place->position_bytes;
        read->first_batch_bytes = place->size_bytes;
        read->floor_offset = place->offset;
        read->stage = READ_LIMIT;
        return STEP_GO_ON;
    }
    if (recent) {
        read->position_bytes = recent->position_bytes;
        read->first_batch_bytes = recent->size_bytes;
        read->floor_offset = recent->base_offset;
        read->stage = READ_LIMIT;
        return STEP_GO_ON;
    }
    step = scan_step(read, read->offset, &hit);
    if (step != STEP_GO_ON)
        return step;
    if (hit.found) {
        read->position_bytes = hit.position_bytes;
        read->first_batch_bytes = hit.size_bytes;
        read->floor_offset = read->scan_floor;
        read->stage = READ_LIMIT;
        places_note(log->store, read->segment->incarnation, hit.behind,
                    hit.position_bytes + (int64_t)hit.size_bytes, hit.next_offset);
        return STEP_GO_ON;
    }
    next = next_segment_at(log, read->segment);
    if (next >= log->segment_count || log->segments[next]->base_offset >= read->bound_offset)
        return STEP_END;
    segment_release(&read->segment);
    read->segment = segment_ref(log->segments[next]);
    return STEP_GO_ON;
}

static enum step stage_limit(struct log_read *read)
{
    struct log *log = read->log;
    struct segment *segment = read->segment;
    size_t next = next_segment_at(log, segment);
    const struct recent_batch *recent;
    struct offset_index_entry entry;
    struct scan_hit hit;
    enum step step;

    read->limit_bytes = segment->written_bytes;
    read->stage = READ_RANGE;
    if (read->bound_offset >= log->end_written ||
        (next < log->segment_count && read->bound_offset >= log->segments[next]->base_offset))
        return STEP_GO_ON;
    recent = recent_find(log, segment, read->bound_offset);
    if (recent) {
        read->limit_bytes = recent->position_bytes;
        return STEP_GO_ON;
    }
    if (segment->index_known && !segment->index_bad &&
        offset_index_find(&segment->offsets, read->bound_offset - segment->base_offset, &entry) ==
            INDEX_FOUND &&
        entry.position_bytes - read->position_bytes >=
            (int64_t)MAX(read->bytes_max, read->first_batch_bytes)) {
        read->limit_bytes = entry.position_bytes; /* the bytes wanted end before it anyway */
        return STEP_GO_ON;
    }
    read->stage = READ_LIMIT;
    step = scan_step(read, read->bound_offset, &hit);
    if (step != STEP_GO_ON)
        return step;
    read->limit_bytes = hit.found ? hit.position_bytes : segment->written_bytes;
    read->stage = READ_RANGE;
    return STEP_GO_ON;
}

static void aborted_add(struct log_read *read, const struct transaction_index_entry *entry)
{
    if (BUG_IS(aborted_list_cut) && read->aborted_count > 0)
        return;
    read->aborted = storage_grow(read->aborted, sizeof *read->aborted, &read->aborted_capacity,
                                 read->aborted_count + 1);
    read->aborted[read->aborted_count++] =
        (struct aborted_transaction){entry->producer_id, entry->first_offset};
}

static void aborted_collect(struct log_read *read, size_t from, int64_t upper)
{
    struct log *log = read->log;

    for (size_t i = from; i < log->segment_count; i++) {
        const struct transaction_index *index = &log->segments[i]->aborted;

        for (size_t j = 0; j < index->count; j++) {
            const struct transaction_index_entry *entry = &index->items[j];

            if (entry->last_offset >= read->offset && entry->first_offset < upper)
                aborted_add(read, entry);
            if (entry->last_stable_offset >= upper)
                return;
        }
    }
}

static enum step stage_aborted(struct log_read *read)
{
    struct log *log = read->log;
    struct segment *segment = read->segment;
    struct offset_index_entry entry;
    enum index_answer answer = INDEX_NOT_LOADED;
    size_t next = next_segment_at(log, segment);
    size_t from = next - 1;
    int64_t upper;
    bool any = false;

    if (next == 0) /* the segment was deleted meanwhile: what it held is below the start */
        return read_fails(read, ERR_OFFSET_OUT_OF_RANGE);
    for (size_t i = from; i < log->segment_count; i++)
        any = any || log->segments[i]->aborted.count > 0;
    if (!any)
        return STEP_GO_ON;
    if (segment->index_known && !segment->index_bad)
        answer = offset_index_find_position(
            &segment->offsets, read->position_bytes + (int64_t)read->size_bytes, &entry);
    if (answer == INDEX_NOT_LOADED && !segment->index_unusable)
        return read_index_load(read);
    if (answer == INDEX_FOUND)
        upper = segment->base_offset + entry.relative;
    else
        upper = next < log->segment_count ? log->segments[next]->base_offset : log->end_written;
    read->aborted_count = 0;
    aborted_collect(read, from, upper);
    return STEP_GO_ON;
}

static enum step stage_range(struct log_read *read)
{
    /* A rotted size or index position may point behind the file: no buffer is asked for that. */
    int64_t left = MIN(read->limit_bytes, read->segment->written_bytes) - read->position_bytes;
    size_t most = read->bytes_max;

    read->segment_base = read->segment->base_offset;
    read->incarnation = read->segment->incarnation;
    if (read->at_least_one)
        most = MAX(most, read->first_batch_bytes);
    if (most > read->first_batch_bytes && FAULT_POINT(read_cut_short))
        most = read->first_batch_bytes;
    read->size_bytes = left > 0 ? (size_t)MIN(left, (int64_t)MIN(most, (size_t)INT64_MAX)) : 0;
    if (left > 0 && most < read->first_batch_bytes) {
        read->first_incomplete = true;
        read->size_bytes = 0;
    }
    if (read->size_bytes == 0)
        return STEP_END;
    if (read->wants_aborted) {
        enum step step = stage_aborted(read);

        if (step != STEP_GO_ON)
            return step;
    }
    read->stage = READ_FILE;
    return STEP_GO_ON;
}

static void range_file_ready(struct file_waiter *waiter, enum err err)
{
    struct log_read *read = CONTAINER_OF(waiter, struct read_wait, file)->read;

    if (err == OK) {
        read->has_file = true;
        read->stage = READ_READY;
    } else {
        bool deleted = read->segment->deleted;

        if (!deleted && !err_is_shortage(err))
            log_io_failed(read->log, err, "open segment");
        read_fails(read, deleted ? ERR_OFFSET_OUT_OF_RANGE : ERR_KAFKA_STORAGE_ERROR);
        read->stage = READ_READY;
    }
    read_goes_on(read);
}

static enum step stage_file(struct log_read *read)
{
    struct read_wait *wait;

    if (read->segment->file.file) {
        read->has_file = segment_file_acquire(read->log->store, read->segment, NULL);
        read->stage = READ_READY;
        return STEP_GO_ON;
    }
    wait = read_wait_of(read);
    wait->file.ready = range_file_ready;
    read_waits(read);
    read->has_file = segment_file_acquire(read->log->store, read->segment, &wait->file);
    ASSERT(!read->has_file);
    return STEP_WAIT;
}

static void read_end(struct log_read *read)
{
    if (!read->has_file)
        segment_release(&read->segment);
    if (read->scratch)
        scratch_drop(read);
    read->stage = READ_READY;
    if (read->is_waiting)
        read->done(read);
}

/* Runs stages until one waits. */
static void read_run(struct log_read *read)
{
    enum step step = STEP_GO_ON;

    if (read->log->failed && read->err == OK)
        step = read_fails(read, ERR_KAFKA_STORAGE_ERROR);
    while (step == STEP_GO_ON && read->stage != READ_READY) {
        switch ((enum read_stage)read->stage) {
        case READ_START:
            step = stage_start(read);
            break;
        case READ_LIMIT:
            step = stage_limit(read);
            break;
        case READ_RANGE:
            step = stage_range(read);
            break;
        case READ_FILE:
            step = stage_file(read);
            break;
        case READ_READY:
            break;
        }
    }
    if (step != STEP_WAIT)
        read_end(read);
}

/* The checks that need no file. True: there is a segment to look into. */
static bool read_begin(struct log_read *read)
{
    struct log *log = read->log;
    size_t at;

    read->start_offset = log->start_offset;
    read->bound_offset = MIN(read->bound_offset, log->end_written);
    if (log->failed) {
        read_fails(read, ERR_KAFKA_STORAGE_ERROR);
        return false;
    }
    if (read->offset < log->start_offset || read->offset > log->end_queued) {
        read_fails(read, ERR_OFFSET_OUT_OF_RANGE);
        return false;
    }
    if (read->offset >= read->bound_offset)
        return false;
    at = log_segment_floor(log, read->offset);
    ASSERT(at != SIZE_MAX); /* the start is never below the first segment */
    read->segment = segment_ref(log->segments[at]);
    read->segment_base = read->segment->base_offset;
    return true;
}

static void read_resume(struct parked *parked)
{
    struct log_read *read = CONTAINER_OF(parked, struct read_wait, parked)->read;

    log_busy_begin(read->log);
    if (read_begin(read)) {
        read_goes_on(read);
    } else {
        struct log *log = read->log;

        read_end(read);
        log_busy_end(log);
    }
}

bool log_read_plan(struct log *log, struct log_read *read)
{
    read->err = OK;
    read->size_bytes = 0;
    read->first_incomplete = false;
    read->first_batch_bytes = 0;
    read->segment_base = -1;
    read->position_bytes = 0;
    read->incarnation = 0;
    read->floor_offset = 0;
    read->aborted = NULL;
    read->aborted_count = 0;
    read->aborted_capacity = 0;
    read->read_bytes = 0;
    read->log = log;
    read->segment = NULL;
    read->op = (struct os_op){0};
    read->scratch = NULL;
    read->scratch_bytes = 0;
    read->stage = READ_START;
    read->is_waiting = false;
    read->has_file = false;
    read->wait = NULL;
    if (log_is_changing(log) && !log->failed) {
        struct read_wait *wait = read_wait_of(read);

        wait->parked.resume = read_resume;
        read->is_waiting = true;
        list_push_back(&log->parked, &wait->parked.node);
        return false;
    }
    if (!read_begin(read))
        return true;
    read_run(read);
    return !read->is_waiting;
}

static void read_bytes_done(struct os_op *op)
{
    struct log_read *read = CONTAINER_OF(op, struct log_read, op);

    if (op->err == OK)
        read->read_bytes = (size_t)op->result;
    else
        read->err = ERR_KAFKA_STORAGE_ERROR;
    if (op->err != OK && !err_is_shortage(op->err) && read->segment->log)
        log_io_failed(read->segment->log, op->err, "read");
    read->done(read);
}

void log_read_bytes(struct log_read *read, void *buffer)
{
    ASSERT(read->has_file && read->size_bytes > 0);
    read->op = (struct os_op){.kind = OS_OP_READ,
                              .done = read_bytes_done,
                              .file = read->segment->file.file,
                              .buffer = buffer,
                              .size_bytes = read->size_bytes,
                              .position_bytes = read->position_bytes};
    reactor_submit(read->segment->file.store->reactor, &read->op);
}

void log_read_seen(struct log_read *read, struct slice rest, int64_t position_bytes, int64_t offset)
{
    ASSERT(read->has_file);
    places_note(read->segment->file.store, read->incarnation, rest, position_bytes, offset);
}

void log_read_unsound(struct log_read *read)
{
    ASSERT(read->has_file);
    place_forget(read->segment->file.store, read->incarnation, read->offset);
}

void log_read_release(struct log_read *read)
{
    if (read->has_file) {
        file_release(&read->segment->file);
        read->has_file = false;
    }
    segment_release(&read->segment);
    storage_free(read->aborted, read->aborted_capacity * sizeof *read->aborted);
    read->aborted = NULL;
    read->aborted_count = 0;
    read->aborted_capacity = 0;
    if (read->wait)
        STORAGE_DELETE(read->wait);
    read->wait = NULL;
}

int64_t log_bytes_since(const struct log *log, int64_t segment_base, int64_t position_bytes,
                        int64_t bound_offset)
{
    size_t at = log_segment_floor(log, segment_base);
    size_t bound_at = log_segment_floor(log, bound_offset - 1);
    int64_t sum = 0;

    if (at == SIZE_MAX || bound_at == SIZE_MAX || bound_at < at)
        return 0;
    for (size_t i = at; i < bound_at; i++)
        sum += log->segments[i]->written_bytes;
    if (bound_offset >= log->end_written) {
        sum += log->segments[bound_at]->written_bytes;
    } else {
        const struct recent_batch *recent = recent_find(log, log->segments[bound_at], bound_offset);
        struct offset_index_entry entry;

        if (recent)
            sum += recent->position_bytes;
        else if (log->segments[bound_at]->index_known &&
                 offset_index_find(&log->segments[bound_at]->offsets,
                                   bound_offset - log->segments[bound_at]->base_offset,
                                   &entry) == INDEX_FOUND)
            sum += entry.position_bytes;
    }
    return MAX(sum - position_bytes, 0);
}
