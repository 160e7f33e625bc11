/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/flush.c: group commit and the recovery point: what a flush takes with it, and what is true once it
 * has ended. What its job writes: flush_job.c.
 *
 * One flush per log is under way. What arrives meanwhile waits for the next one, so that one sync
 * carries all of it. Two kinds:
 *   data   .log of the segments with unsynced bytes; directory entries that are new; the epoch file.
 *          Moves the flushed end.
 *   full   besides: index files, transaction index, producer snapshots, directory, for everything
 *          between the recovery point and the wanted one. Moves the recovery point too.
 * Invariants  1. a mark moves only after every sync that it stands for has succeeded.
 *             2. the first failed sync takes the directory offline; it is never tried again.
 * Threads     the store's.
 */
#include "storage/flush_internal.h"

#include "base/bug.h"
#include "base/fault_point.h"

/* ---- on the shard: what to flush ---- */

static void item_index(struct flush_item *item, struct segment *segment)
{
    ASSERT(segment->index_known); /* it is dropped only of what is synced */
    item->full = true;
    item->has_aborted_file = segment->has_aborted_file;
    item->offsets_from = segment->offsets.written;
    item->offsets_to = segment->offsets.count;
    item->times_from = segment->times.written;
    item->times_to = segment->times.count;
    writer_init(&item->offsets, &heap_allocator, SIZE_MAX);
    writer_init(&item->times, &heap_allocator, SIZE_MAX);
    writer_init(&item->aborted, &heap_allocator, SIZE_MAX);
    offset_index_encode(&segment->offsets, item->offsets_from, &item->offsets);
    time_index_encode(&segment->times, item->times_from, &item->times);
    item->aborted_from = segment->aborted.written;
    item->aborted_to = segment->aborted.count;
    segment->aborted.promised = segment->aborted.count;
    for (size_t i = item->aborted_from; i < item->aborted_to; i++) {
        uint8_t *entry = writer_reserve(&item->aborted, TRANSACTION_INDEX_ENTRY_BYTES);

        if (entry)
            transaction_index_entry_write(&segment->aborted.items[i], entry);
    }
}

static void epochs_put(struct flush *flush)
{
    writer_init(&flush->epochs, &heap_allocator, SIZE_MAX);
    if (epoch_cache_text(&flush->log->epochs, &flush->epochs) == OK)
        flush->log->epochs.dirty = false;
}

static void digests_put(struct flush *flush)
{
    writer_init(&flush->digests, &heap_allocator, SIZE_MAX);
    transaction_digests_text(flush->log, &flush->digests);
}

static void items_gather(struct flush *flush, bool data)
{
    struct log *log = flush->log;

    if (!data)
        return;
    flush->items = storage_allocate(log->segment_count * sizeof *flush->items);
    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        int64_t next = i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : INT64_MAX;
        /* One that was sealed where the last full flush ended lacks its closing time entry still. */
        bool full = flush->recovery_point >= 0 && next >= log->recovery_point &&
                    segment->base_offset < flush->recovery_point && !segment->full_synced;
        struct flush_item *item = &flush->items[flush->count];

        if (segment->state == SEGMENT_CREATING ||
            (!full && segment->written_bytes == segment->flushed_bytes && segment->entry_synced))
            continue;
        item->segment = segment_ref(segment);
        item->base_offset = segment->base_offset;
        item->written_bytes = segment->written_bytes;
        item->trim =
            full && segment->sealed && (log->config.preallocate || segment->reserved_bytes > 0);
        ASSERT(!item->trim || segment->written_bytes == segment->size_bytes); /* as roll.c asks */
        if (full)
            item_index(item, segment);
        if (!segment->entry_synced || full)
            flush->sync_directory = true;
        flush->count++;
    }
}

static void flush_free(struct flush *flush, size_t item_capacity)
{
    for (size_t i = 0; i < flush->count; i++) {
        struct flush_item *item = &flush->items[i];

        if (item->full) {
            writer_release(&item->offsets);
            writer_release(&item->times);
            writer_release(&item->aborted);
        }
        segment_release(&item->segment);
    }
    storage_free(flush->items, item_capacity * sizeof *flush->items);
    for (size_t i = 0; i < flush->snapshot_count; i++)
        storage_free(flush->snapshots[i].data, flush->snapshots[i].capacity_bytes);
    storage_free(flush->snapshots, flush->snapshot_capacity * sizeof *flush->snapshots);
    if (flush->has_epochs)
        writer_release(&flush->epochs);
    if (flush->has_digests)
        writer_release(&flush->digests);
    STORAGE_DELETE(flush);
}

/* ---- on the shard: what came of it ---- */

static void item_apply(struct flush_item *item)
{
    struct segment *segment = item->segment;

    segment->flushed_bytes = MAX(segment->flushed_bytes, item->written_bytes);
    segment->entry_synced = true;
    if (item->trim)
        segment->reserved_bytes = 0;
    if (!item->full)
        return;
    segment->offsets.written = item->offsets_to;
    segment->times.written = item->times_to;
    segment->aborted.written = item->aborted_to;
    segment->has_index_files = true;
    if (segment->sealed && item->written_bytes == segment->size_bytes &&
        item->times_to == segment->times.count)
        segment->full_synced = true;
}

static void flush_apply(struct log *log, struct flush *flush)
{
    unsigned changes = 0;

    for (size_t i = 0; i < flush->count; i++)
        item_apply(&flush->items[i]);
    for (size_t i = 0; i < flush->snapshot_count; i++)
        log_note_snapshot(log, flush->snapshots[i].offset);
    if (flush->old_middle >= 0)
        log_forget_snapshot(log, flush->old_middle);
    if (flush->sync_parent)
        log->parent_synced = true;
    log->end_synced = MAX(log->end_synced, flush->end);
    if (log->config.flush_mode == FLUSH_MODE_COMMIT && log->end_synced > log->end_flushed) {
        log->end_flushed = log->end_synced;
        changes |= LOG_CHANGE_FLUSHED;
    }
    if (flush->recovery_point > log->recovery_point) {
        log->recovery_point = flush->recovery_point;
        log_mark_recovery_point(log);
    }
    log->last_flush_ms = reactor_now_ms(log->store->reactor);
    log_waits_settle(log);
    log_notify(log, changes);
}

static void flush_end(struct flush *flush, enum err err)
{
    struct log *log = flush->log;

    log->flush = NULL;
    if (BUG_IS(sync_tried_again) && err != OK)
        log->full_flush_to = MAX(log->full_flush_to, flush->recovery_point);
    else if (err != OK)
        log_io_failed(log, err, "flush");
    else if (!log->failed)
        flush_apply(log, flush);
    flush_free(flush, flush->op.flags);
    if (!log->failed) {
        log_flush_kick(log);
        if (log->retention_waits || FAULT_POINT(retention_between))
            log_retention_pass(log);
    }
    log_busy_end(log);
}

/* What could not be put into words for lack of memory: the next try must not find it so. */
static void flush_texts_again(struct flush *flush)
{
    for (size_t i = 0; i < flush->count; i++) {
        struct flush_item *item = &flush->items[i];

        if (!item->full || (writer_error(&item->offsets) == OK &&
                            writer_error(&item->times) == OK && writer_error(&item->aborted) == OK))
            continue;
        writer_release(&item->offsets);
        writer_release(&item->times);
        writer_release(&item->aborted);
        item_index(item, item->segment);
    }
    if (flush->has_epochs && writer_error(&flush->epochs) != OK) {
        writer_release(&flush->epochs);
        epochs_put(flush);
    }
    if (flush->has_digests && writer_error(&flush->digests) != OK) {
        writer_release(&flush->digests);
        digests_put(flush);
    }
}

static void flush_job_done(struct os_op *op)
{
    struct flush *flush = CONTAINER_OF(op, struct flush, op);

    if (err_is_shortage(op->err))
        flush_texts_again(flush);
    if (!store_shortage_waits(flush->log->store, op))
        flush_end(flush, op->err);
}

static void flush_sync_done(struct os_op *op)
{
    struct flush *flush = CONTAINER_OF(op, struct flush, op);

    file_release(&flush->items[0].segment->file);
    flush_end(flush, op->err);
}

static void nothing_run(struct os_op *op)
{
    op->err = OK;
}

static void flush_sync_submit(struct flush *flush)
{
    flush->op.kind = BUG_IS(data_not_synced) ? OS_OP_JOB : OS_OP_SYNC;
    flush->op.run = nothing_run;
    flush->op.file = flush->items[0].segment->file.file;
    flush->op.done = flush_sync_done;
    reactor_submit(flush->log->store->reactor, &flush->op);
}

static void flush_file_ready(struct file_waiter *waiter, enum err err)
{
    struct flush *flush = CONTAINER_OF(waiter, struct flush, waiter);

    if (!flush->log->failed && store_shortage_may_end(flush->log->store, err)) {
        if (segment_file_acquire(flush->log->store, flush->items[0].segment, &flush->waiter))
            flush_sync_submit(flush);
    } else if (err == OK) {
        flush_sync_submit(flush);
    } else {
        flush_end(flush, err);
    }
}

/* The common case: one file with new bytes, known to its directory. */
static bool flush_is_simple(const struct flush *flush)
{
    return flush->count == 1 && !flush->items[0].full && !flush->sync_directory &&
           !flush->sync_parent && !flush->has_epochs && !FAULT_POINT(flush_by_job);
}

/* data: .log files too; without it only the epoch file is written. */
static void flush_start(struct log *log, bool full, bool data)
{
    struct flush *flush = STORAGE_NEW(struct flush);

    flush->log = log;
    flush->os = log_os(log);
    flush->end = data ? log->end_written : log->end_synced;
    if (!full && FAULT_POINT(flush_claims_less))
        flush->end = log->end_synced; /* the next one claims it */
    flush->recovery_point = full ? log->full_flush_to : -1;
    flush->old_middle = -1;
    flush->parent = log->directory->path;
    flush->path = log->path;
    items_gather(flush, data);
    flush->op.flags = data ? (unsigned)log->segment_count : 0; /* capacity of items */
    flush->sync_parent = data && !log->parent_synced;
    flush->has_epochs = log->epochs.dirty;
    if (flush->has_epochs)
        epochs_put(flush);
    flush->has_digests = full && log->digests_dirty;
    if (flush->has_digests)
        digests_put(flush);
    if (full) {
        flush->snapshots = TAKE(log->pending_snapshots);
        flush->snapshot_count = log->pending_snapshot_count;
        flush->snapshot_capacity = log->pending_snapshot_capacity;
        log->pending_snapshot_count = 0;
        log->pending_snapshot_capacity = 0;
        for (size_t i = 0; i < flush->snapshot_count; i++)
            if (log->middle_snapshot >= 0 && flush->snapshots[i].offset != log->middle_snapshot)
                flush->old_middle = log->middle_snapshot;
        if (flush->snapshot_count > 0)
            log->middle_snapshot = -1;
        for (size_t i = 0; i < flush->snapshot_count; i++) {
            int64_t offset = flush->snapshots[i].offset;
            size_t at = log_segment_floor(log, offset);

            if (at != SIZE_MAX && log->segments[at]->base_offset != offset)
                log->middle_snapshot = offset;
        }
        flush->sync_directory = true;
    }
    log->flush = flush;
    log_busy_begin(log);
    if (flush_is_simple(flush)) {
        flush->waiter.ready = flush_file_ready;
        if (segment_file_acquire(log->store, flush->items[0].segment, &flush->waiter))
            flush_sync_submit(flush);
        return;
    }
    flush->op.kind = OS_OP_JOB;
    flush->op.run = flush_run;
    flush->op.done = flush_job_done;
    reactor_submit(log->store->reactor, &flush->op);
}

void log_flush_kick(struct log *log)
{
    /* A snapshot that was taken where the recovery point stood already is no less wanted: the segments
     * that it stands for may go. */
    bool full = (log->full_flush_to > log->recovery_point || log->pending_snapshot_count > 0) &&
                log->end_written >= log->full_flush_to;
    bool data =
        log->end_written > log->end_synced &&
        (log->config.flush_mode == FLUSH_MODE_COMMIT || log->forced_flush_to > log->end_synced);

    if (log->flush || log->failed || log->has_exclusive)
        return;
    if (full || data || log->epochs.dirty)
        flush_start(log, full, full || data);
}

void log_flush_full(struct log *log, int64_t offset)
{
    log->full_flush_to = MAX(log->full_flush_to, offset);
    log->unsafe_bytes = 0;
    if (BUG_IS(recovery_point_early) && offset > log->recovery_point) {
        log->recovery_point = offset;
        log_mark_recovery_point(log);
    }
    log_flush_kick(log);
}

/* Nobody wants one in the middle of a segment when a newer one is written with it, and of the two
 * only one would be known as the one to remove. */
static void pending_middle_drop(struct log *log)
{
    const struct snapshot_pending *last;
    size_t at;

    if (log->pending_snapshot_count == 0)
        return;
    last = &log->pending_snapshots[log->pending_snapshot_count - 1];
    at = log_segment_floor(log, last->offset);
    if (at != SIZE_MAX && log->segments[at]->base_offset == last->offset)
        return;
    storage_free(last->data, last->capacity_bytes);
    log->pending_snapshot_count--;
}

void log_snapshot_take(struct log *log, int64_t offset)
{
    struct snapshot_pending *pending;
    struct writer writer;

    ASSERT(log->producers.end_offset <= offset);
    if (FAULT_POINT(snapshot_skipped))
        return; /* as for lack of memory below */
    if (log->snapshot_count > 0 && log->snapshots[log->snapshot_count - 1] >= offset)
        return;
    if (log->pending_snapshot_count > 0 &&
        log->pending_snapshots[log->pending_snapshot_count - 1].offset >= offset)
        return;
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    if (producer_snapshot_write(&log->producers, &writer) != OK) {
        writer_release(&writer); /* without it recovery replays more of the log */
        return;
    }
    pending_middle_drop(log);
    log->pending_snapshots =
        storage_grow(log->pending_snapshots, sizeof *log->pending_snapshots,
                     &log->pending_snapshot_capacity, log->pending_snapshot_count + 1);
    pending = &log->pending_snapshots[log->pending_snapshot_count++];
    pending->offset = offset;
    pending->data = writer_take(&writer, &pending->size_bytes, &pending->capacity_bytes);
}

/* ---- those who wait for a flush ---- */

void log_waits_settle(struct log *log)
{
    struct list_node settled;

    list_init(&settled);
    LIST_EACH_SAFE (node, &log->waits) {
        struct log_wait *wait = LIST_ITEM(node, struct log_wait, node);

        if (log->failed)
            wait->err = ERR_KAFKA_STORAGE_ERROR;
        else if (wait->is_lost)
            wait->err = ERR_OFFSET_OUT_OF_RANGE;
        else if (wait->offset <= log->end_synced)
            wait->err = OK;
        else if (wait->offset > log->end_queued)
            wait->err = ERR_OFFSET_OUT_OF_RANGE; /* it was cut off */
        else
            continue;
        list_remove(node);
        list_push_back(&settled, node);
    }
    while (!list_is_empty(&settled)) {
        struct log_wait *wait = LIST_ITEM(list_pop_front(&settled), struct log_wait, node);

        wait->done(wait);
    }
}

void log_waits_lose(struct log *log, int64_t offset)
{
    LIST_EACH (node, &log->waits) {
        struct log_wait *wait = LIST_ITEM(node, struct log_wait, node);

        wait->is_lost = wait->offset > offset;
    }
}

void log_flush(struct log *log, struct log_wait *wait)
{
    ASSERT(wait->offset <= log->end_queued);
    wait->is_lost = false;
    list_push_back(&log->waits, &wait->node);
    log->forced_flush_to = MAX(log->forced_flush_to, wait->offset);
    if (log->failed || wait->offset <= log->end_synced)
        log_waits_settle(log);
    else
        log_flush_kick(log);
}

void log_wait_cancel(struct log_wait *wait)
{
    list_remove(&wait->node);
}
