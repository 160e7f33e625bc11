/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/write.c: queued appends become bytes in the file: one vectored write per log and turn.
 *
 *   queue → (end of turn) → file open? → OS_OP_WRITE → written end moves → `done` of each append
 *
 * Invariants  1. one write per log is under way; the next begins where it ended.
 *             2. a write never spans two segments, and never precedes the segment's own file.
 * Crash       a torn write is a broken tail: recovery cuts it.
 * Threads     the store's.
 */
#include "storage/shard.h"

#include "base/bug.h"
#include "base/fault_point.h"

static void write_submit(struct log *log);
static void write_done(struct os_op *op);

void log_write_kick(struct log *log)
{
    if (!list_is_empty(&log->queue) && !log->writing)
        reactor_defer(log->store->reactor, &log->write_deferred);
}

/* Tells the appends of the write that ended. */
static void write_tell(struct log *log, enum err err)
{
    struct list_node told;

    list_init(&told);
    list_splice_back(&told, &log->writing_list);
    while (!list_is_empty(&told)) {
        struct log_append *append = LIST_ITEM(list_pop_front(&told), struct log_append, node);

        append->err = err;
        if (append->done)
            append->done(append);
    }
}

static void write_file_ready(struct file_waiter *waiter, enum err err)
{
    struct log *log = CONTAINER_OF(waiter, struct log, write_waiter);

    if (err == OK && !log->failed) {
        write_submit(log);
        return;
    }
    if (!log->failed && store_shortage_may_end(log->store, err)) {
        if (segment_file_acquire(log->store, log->write_segment, &log->write_waiter))
            write_submit(log);
        return;
    }
    if (err == OK)
        file_release(&log->write_segment->file);
    log->writing = false;
    if (err != OK)
        log_io_failed(log, err, "open segment");
    write_tell(log, ERR_KAFKA_STORAGE_ERROR);
    segment_release(&log->write_segment);
    log_busy_end(log);
}

static void write_submit(struct log *log)
{
    log->write_op.position_bytes = log->write_segment->written_bytes;
    log->write_op.file = log->write_segment->file.file;
    log->write_op.done = write_done;
    log->write_op.kind = OS_OP_WRITE;
    reactor_submit(log->store->reactor, &log->write_op);
}

/* A log that was busy once keeps the long list. */
static void slices_grow(struct log *log)
{
    if (log->write_slices != log->own_slices)
        return;
    log->write_slices = storage_allocate(LOG_SLICES_MAX * sizeof *log->write_slices);
    memcpy(log->write_slices, log->own_slices, sizeof log->own_slices);
}

/* Moves appends of one segment from the queue into the next write. */
static void write_gather(struct log *log)
{
    const size_t bytes_max = log_options(log)->append_bytes_max;
    struct segment *segment = NULL;

    log->write_op.slice_count = 0;
    log->write_bytes = 0;
    while (!list_is_empty(&log->queue)) {
        struct log_append *append = LIST_ITEM(list_first(&log->queue), struct log_append, node);

        if (append->segment) {
            if ((segment && append->segment != segment) ||
                append->segment->state == SEGMENT_CREATING ||
                log->write_op.slice_count == LOG_SLICES_MAX ||
                (segment && FAULT_POINT(write_one_append)) ||
                (segment && log->write_bytes + append->size_bytes > bytes_max))
                break;
            segment = append->segment;
            if (log->write_op.slice_count == LOG_OWN_SLICES)
                slices_grow(log);
            log->write_slices[log->write_op.slice_count++] =
                slice_of(append->data, append->size_bytes);
            log->write_bytes += append->size_bytes;
        }
        list_remove(&append->node);
        list_push_back(&log->writing_list, &append->node);
    }
    log->write_op.slices = log->write_slices;
    log->write_segment = segment ? segment_ref(segment) : NULL;
}

void log_write_turn(struct deferred *deferred)
{
    struct log *log = CONTAINER_OF(deferred, struct log, write_deferred);

    if (log->writing || log->giving_back || log->failed || log->has_exclusive ||
        list_is_empty(&log->queue) || log_swap_waits(log))
        return;
    log_busy_begin(log);
    write_gather(log);
    if (!log->write_segment) {
        write_tell(log, OK); /* duplicates and empty appends alone */
        log_busy_end(log);
        return;
    }
    log->writing = true;
    log->write_retried = false;
    log->write_waiter.ready = write_file_ready;
    if (segment_file_acquire(log->store, log->write_segment, &log->write_waiter))
        write_submit(log);
}

struct reserve_job {
    struct os_op op;
    struct log *log;
    bool given;
};

static void reserve_run(struct os_op *op)
{
    struct reserve_job *job = CONTAINER_OF(op, struct reserve_job, op);

    job->given = log_directory_use_reserve(job->log->directory);
}

static int64_t write_end_offset(const struct log *log)
{
    int64_t end = log->end_written;

    LIST_EACH (node, &log->writing_list) {
        const struct log_append *append = LIST_ITEM(node, struct log_append, node);

        if (append->segment)
            end = MAX(end, append->end_offset);
    }
    return end;
}

static void write_end(struct log *log, enum err err)
{
    struct segment *segment = TAKE(log->write_segment);
    unsigned changes = LOG_CHANGE_WRITTEN;

    file_release(&segment->file);
    log->writing = false;
    if (err == OK && !log->failed) {
        segment->written_bytes += (int64_t)log->write_bytes;
        log->end_written = write_end_offset(log);
        if (log->config.flush_mode == FLUSH_MODE_OS) {
            log->end_flushed = log->end_written;
            changes |= LOG_CHANGE_FLUSHED;
        }
        write_tell(log, OK);
        log_roll_kick(log);
        log_write_kick(log);
        log_flush_kick(log);
        log_notify(log, changes);
        log_reserve_look(log, segment);
    } else {
        if (BUG_IS(failed_write_acknowledged))
            write_tell(log, OK);
        if (err != OK && !BUG_IS(write_after_failure))
            log_io_failed(log, err, "write");
        write_tell(log, ERR_KAFKA_STORAGE_ERROR);
        log_write_kick(log);
    }
    segment_release(&segment);
    log_busy_end(log);
}

static void reserve_done(struct os_op *op)
{
    struct reserve_job *job = CONTAINER_OF(op, struct reserve_job, op);
    struct log *log = job->log;
    bool given = job->given;

    STORAGE_DELETE(job);
    if (given && !log->failed)
        write_submit(log);
    else
        write_end(log, ERR_DISK_FULL);
}

static void write_done(struct os_op *op)
{
    struct log *log = CONTAINER_OF(op, struct log, write_op);

    if (op->err == ERR_DISK_FULL && !log->write_retried && !log->failed) {
        /* Nothing is lost by writing the same bytes at the same place once the reserve is gone; a
         * failed sync would be another matter. */
        struct reserve_job *job = STORAGE_NEW(struct reserve_job);

        log->write_retried = true;
        job->log = log;
        job->op.kind = OS_OP_JOB;
        job->op.run = reserve_run;
        job->op.done = reserve_done;
        reactor_submit(log->store->reactor, &job->op);
        return;
    }
    if (!log->failed && store_shortage_waits(log->store, op))
        return; /* the same bytes at the same place */
    write_end(log, op->err);
}
