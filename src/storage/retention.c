/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/retention.c: which segments go, from the front (§5.6 of the reference): below the log's
 * start, over the size, over the age.
 * Invariants  1. nothing at or above the high watermark goes.   2. the log keeps one segment at least.
 *             3. the start lies durably above a segment before that goes: readers never see it again.
 *             4. so does a snapshot of the producers: nothing else tells what the segment said of them.
 * Crash       segments that come back are below the start and go again.
 * Threads     the store's; it is put off while a flush or a roll runs, which work on the same files.
 */
#include "storage/shard.h"

#include "base/fault_point.h"

static int64_t segment_upper(const struct log *log, size_t at)
{
    return at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : log->end_queued;
}

static bool breaches_start(const struct log *log, size_t at)
{
    return at + 1 < log->segment_count && segment_upper(log, at) <= log->start_offset;
}

static bool breaches_age(const struct log *log, size_t at)
{
    const struct segment *segment = log->segments[at];
    int64_t largest = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->modified_ms;

    return log->config.retention_ms >= 0 &&
           reactor_wall_ms(log->store->reactor) - largest > log->config.retention_ms;
}

/* How many segments from the front may go. */
static size_t deletable_count(const struct log *log)
{
    int64_t surplus =
        log->config.retention_bytes < 0 ? INT64_MIN : log->size_bytes - log->config.retention_bytes;
    size_t count = 0;

    for (size_t at = 0; at < log->segment_count; at++) {
        const struct segment *segment = log->segments[at];
        bool is_last = at + 1 == log->segment_count;
        bool too_much = surplus >= segment->size_bytes;

        if (log->high_watermark < segment_upper(log, at) || (is_last && segment->size_bytes == 0))
            break;
        if (!breaches_start(log, at) &&
            !(log->config.cleanup_delete && (too_much || breaches_age(log, at))))
            break;
        if (log->config.retention_bytes >= 0)
            surplus -= segment->size_bytes; /* for whatever reason it goes */
        count++;
    }
    return count;
}

static void segments_delete(struct log *log, size_t count)
{
    struct segment **gone = storage_allocate(count * sizeof(struct segment *));

    memcpy(gone, log->segments, count * sizeof(struct segment *));
    log_segments_remove(log, 0, count);
    log_recount_size(log);
    for (size_t i = 0; i < count; i++)
        gone[i]->deleted = true;
    log_segments_doom(log, gone, count);
    storage_free(gone, count * sizeof(struct segment *));
    ASSERT(log->segments[0]->base_offset <= log->start_offset);
}

struct retention_wait {
    struct index_waiter waiter;
    struct log *log;
};

static void retention_timestamps_ready(struct index_waiter *waiter)
{
    struct retention_wait *wait = CONTAINER_OF(waiter, struct retention_wait, waiter);
    struct log *log = wait->log;
    bool failed = waiter->failed;

    STORAGE_DELETE(wait);
    log->retention_loading = false;
    if (!failed)
        log_retention_pass(log);
}

static void retention_start_raised(struct log_start_op *op)
{
    struct log *log = op->log;
    enum err err = op->err;

    STORAGE_DELETE(op);
    log->retention_raising = false;
    if (err == OK)
        log_retention_pass(log); /* what goes lies below the start now */
}

static void retention_raise(struct log *log, int64_t offset)
{
    struct log_start_op *op = STORAGE_NEW(struct log_start_op);

    log->retention_raising = true;
    op->done = retention_start_raised;
    log_raise_start(log, offset, op);
}

static bool needs_timestamps(const struct log *log)
{
    return log->config.cleanup_delete && log->config.retention_ms >= 0 &&
           !log_timestamps_known(log);
}

/* Is there a snapshot where one of the segments from `at` on begins? Recovery can do little with others. */
static bool snapshot_is_there(const struct log *log, size_t at)
{
    for (size_t i = log->snapshot_count; i > 0; i--) {
        size_t floor = log_segment_floor(log, log->snapshots[i - 1]);

        if (floor != SIZE_MAX && floor >= at &&
            log->segments[floor]->base_offset == log->snapshots[i - 1])
            return true;
    }
    return false;
}

/* Nearly always so: each roll takes one, unless memory lacks. Without it a restart would know nothing of producers, or
 * what an older one says, and take their next batches to be out of order. */
static bool producers_are_kept(struct log *log, size_t at)
{
    if (snapshot_is_there(log, at))
        return true;
    if (log->end_written < log->end_queued)
        return false;
    log->retention_waits = true; /* for the flush that writes it */
    if (log_active(log)->base_offset < log->end_queued) {
        log_roll_to(log, log->end_queued);
        return false;
    }
    log_snapshot_take(log, log->end_queued);
    if (log->pending_snapshot_count > 0)
        log_flush_full(log, log->end_queued);
    return false;
}

void log_retention_pass(struct log *log)
{
    size_t count;

    log->retention_waits = false;
    if (log->failed || log->closing || log_is_changing(log) || log->retention_loading ||
        log->retention_raising)
        return;
    if (log->segment_count == 1 && log->size_bytes == 0)
        return;
    if (log->config.cleanup_compact && !store_cleaner_is_enabled(log->store))
        return; /* Kafka leaves the retention of such logs to the cleaner */
    if (log->flush || log->rolling || !list_is_empty(&log->rolls) || log->clean) {
        log->retention_waits = true; /* they come back */
        return;
    }
    if (needs_timestamps(log)) {
        struct retention_wait *wait = STORAGE_NEW(struct retention_wait);

        wait->log = log;
        wait->waiter.ready = retention_timestamps_ready;
        log->retention_loading = true;
        log_timestamps_load(log, &wait->waiter);
        return;
    }
    count = deletable_count(log);
    if (count == log->segment_count) {
        /* All of them: an empty one takes over first; the roll calls us again. */
        ASSERT(log->end_written == log->end_queued); /* the high watermark is there */
        log->retention_waits = true;
        log_roll_to(log, log->end_queued);
        return;
    }
    if (count > 1 && FAULT_POINT(retention_one_segment))
        count = 1;
    if (count == 0 || !producers_are_kept(log, count))
        return;
    if (log->segments[count]->base_offset > log->start_offset)
        retention_raise(log, log->segments[count]->base_offset);
    else
        segments_delete(log, count);
}

void log_retention_run(struct log *log)
{
    log_retention_pass(log);
}

void log_set_high_watermark(struct log *log, int64_t offset)
{
    ASSERT(offset <= log->end_written);
    ASSERT(offset >= log->start_offset);
    if (offset == log->high_watermark)
        return;
    log->high_watermark = offset;
    producer_state_set_high_watermark(&log->producers, offset);
    log_mark_high_watermark(log);
}

void log_set_config(struct log *log, const struct log_config *config)
{
    enum flush_mode before = log->config.flush_mode;

    log->config = *config;
    if (config->cleanup_compact)
        store_cleaner_kick(log->store);
    else
        log_clean_cancel(log);
    if (before == config->flush_mode)
        return;
    log->end_flushed = config->flush_mode == FLUSH_MODE_OS ? log->end_written
                                                           : MAX(log->end_flushed, log->end_synced);
    log_flush_kick(log);
}
