/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/append.c: an append becomes part of the log in memory: offsets, producer state, epochs,
 * index entries, the segment it goes to. The bytes follow at the end of the turn (write.c).
 * Invariants  1. a refused append changes nothing but the stamps in the caller's own bytes.
 *             2. queued appends are in offset order and reach the file in that order.
 * Threads     the store's.
 */
#include "storage/shard.h"

#include "base/fault_point.h"

/* What the headers of an append say together. */
struct append_facts {
    int64_t first_offset;
    int64_t last_offset;
    int64_t max_timestamp;
    int32_t batch_count;
};

void log_note_recent(struct log *log, struct segment *segment, const struct batch_header *header,
                     int64_t position_bytes)
{
    struct recent_batch *recent;

    if (!log->recent)
        log->recent = storage_allocate(RECENT_BATCHES * sizeof *log->recent);
    recent = &log->recent[log->recent_next++ % RECENT_BATCHES];
    *recent = (struct recent_batch){segment, header->base_offset, batch_last_offset(header),
                                    position_bytes, batch_size_bytes(header)};
}

void log_forget_recent(struct log *log)
{
    if (log->recent)
        memset(log->recent, 0, RECENT_BATCHES * sizeof *log->recent);
    log->recent_next = 0;
}

static enum err facts_gather(struct slice bytes, struct append_facts *facts, struct why *why)
{
    struct slice rest = bytes;
    int64_t next = INT64_MIN;

    *facts = (struct append_facts){.first_offset = -1, .max_timestamp = TIMESTAMP_NONE};
    while (rest.size_bytes > 0) {
        struct batch_header header;
        struct slice batch;

        TRY(batch_next(&rest, &batch));
        if (batch.size_bytes == 0)
            return why_set(why, ERR_CORRUPT_MESSAGE, "bytes that are no whole batch");
        TRY(batch_header_read(batch, &header));
        if (header.base_offset < 0 || batch_last_offset(&header) < header.base_offset ||
            batch_last_offset(&header) == INT64_MAX || batch_last_offset(&header) < next)
            return why_set(why, ERR_INVALID_RECORD, "offset %lld is out of order",
                           (long long)header.base_offset);
        if (facts->batch_count++ == 0)
            facts->first_offset = header.base_offset;
        facts->last_offset = batch_last_offset(&header);
        facts->max_timestamp = MAX(facts->max_timestamp, header.max_timestamp);
        next = facts->last_offset + 1;
    }
    return OK;
}

static bool is_leader_append(const struct log_append *append)
{
    return append->origin == APPEND_ORIGIN_CLIENT || append->origin == APPEND_ORIGIN_COORDINATOR;
}

static enum err append_admit(struct log *log, struct log_append *append, struct append_facts *facts,
                             struct why *why)
{
    struct slice bytes = slice_of(append->data, append->size_bytes);

    if (log->failed || log->closing || log_directory_is_offline(log->directory))
        return why_set(why, ERR_KAFKA_STORAGE_ERROR, "%s is offline or closed", log->name);
    if (log_refuses_appends(log))
        return why_set(why, ERR_STATE, "%s is being truncated", log->name);
    if (append->size_bytes == 0)
        return OK;
    if (is_leader_append(append))
        batches_stamp(append->data, append->size_bytes, log->end_queued, append->leader_epoch);
    TRY(facts_gather(bytes, facts, why));
    append->first_offset = facts->first_offset;
    append->last_offset = facts->last_offset;
    if (facts->first_offset < log->end_queued)
        return why_set(why, ERR_OFFSET_OUT_OF_RANGE, "offset %lld is below the end %lld of %s",
                       (long long)facts->first_offset, (long long)log->end_queued, log->name);
    if (facts->last_offset - facts->first_offset > RELATIVE_OFFSET_MAX)
        return why_set(why, ERR_INVALID_RECORD, "offsets span more than a segment can hold");
    if (append->size_bytes > (size_t)log->config.segment_bytes)
        return why_set(why, ERR_RECORD_LIST_TOO_LARGE, "%zu bytes do not fit into a segment of %d",
                       append->size_bytes, (int)log->config.segment_bytes);
    return OK;
}

static enum err producers_check(struct producer_update *update, struct slice bytes, struct why *why)
{
    while (bytes.size_bytes > 0 && !update->is_duplicate) {
        struct producer_append append;
        struct slice batch;

        TRY(batch_next(&bytes, &batch));
        if (batch.data[16] < BATCH_MAGIC)
            continue;
        TRY(producer_append_read(batch, &append));
        TRY(producer_update_add(update, &append, why));
    }
    return OK;
}

static void completed_note(struct log *log, struct segment *segment,
                           const struct producer_update *update)
{
    for (size_t i = 0; i < update->completed_count; i++) {
        const struct producer_completed *completed = &update->completed[i];
        struct transaction_index_entry entry = {0, completed->producer_id, completed->first_offset,
                                                completed->last_offset,
                                                completed->last_stable_offset};

        if (!completed->aborted)
            continue;
        transaction_index_add(&segment->aborted, &entry);
        segment->has_aborted_file = true;
        log->digests_dirty = true;
    }
}

/* The append is in: nothing below can fail. */
static void append_enter(struct log *log, struct log_append *append, struct slice bytes)
{
    struct segment *segment = log_active(log);

    while (bytes.size_bytes > 0) {
        struct batch_header header;
        struct slice batch;

        enum err err = batch_next(&bytes, &batch);

        ASSERT(err == OK && batch.size_bytes > 0); /* as facts_gather has read it */
        err = batch_header_read(batch, &header);
        ASSERT(err == OK);
        if (header.magic >= BATCH_MAGIC)
            epoch_cache_assign(&log->epochs, header.leader_epoch, header.base_offset);
        else
            epoch_cache_clear(&log->epochs);
        log_note_recent(log, segment, &header, segment->size_bytes);
        segment_note_batch(segment, &header, batch.size_bytes, log->config.index_interval_bytes);
    }
    append->segment = segment;
    log->end_queued = append->last_offset + 1;
    log->size_bytes += (int64_t)append->size_bytes;
    log->unsafe_bytes += (int64_t)append->size_bytes;
    producer_state_set_end_offset(&log->producers, log->end_queued);
}

/* The bounded tail: how much a crash may leave to scan, and Kafka's flush.messages. */
static void flush_wish(struct log *log)
{
    if (log->end_queued - MAX(log->recovery_point, log->full_flush_to) >=
        log->config.flush_messages) {
        log_flush_full(log, log->end_queued);
    } else if (log->config.flush_mode == FLUSH_MODE_COMMIT &&
               (log->unsafe_bytes >= log_options(log)->recovery_bytes_max ||
                FAULT_POINT(flush_full_early))) {
        log_snapshot_take(log, log->end_queued);
        log_flush_full(log, log->end_queued);
    }
}

static void append_queue(struct log *log, struct log_append *append)
{
    append->err = OK;
    append->end_offset = append->last_offset + 1;
    list_push_back(&log->queue, &append->node);
    log_write_kick(log);
}

enum err log_append(struct log *log, struct log_append *append, struct why *why)
{
    struct slice bytes = slice_of(append->data, append->size_bytes);
    struct producer_update update;
    struct append_facts facts = {0}; /* stays so for an append of no bytes */
    enum err err;

    append->first_offset = -1;
    append->last_offset = -1;
    append->duplicate = false;
    append->segment = NULL;
    TRY(append_admit(log, append, &facts, why));
    if (append->size_bytes == 0) {
        append_queue(log, append);
        return OK;
    }
    producer_update_begin(&update, &log->producers, append->origin);
    update.guard = append->verification_guard;
    update.verification_required = append->verification_required;
    update.transaction_version = append->transaction_version;
    err = producers_check(&update, bytes, why);
    if (err == OK && update.is_duplicate) {
        append->duplicate = true;
        append->first_offset = update.duplicate_first_offset;
        append->last_offset = update.duplicate.last_offset;
        append->duplicate_timestamp = update.duplicate.timestamp;
        append_queue(log, append);
    } else if (err == OK) {
        if (log_must_roll(log, append->size_bytes, facts.max_timestamp, facts.last_offset))
            log_roll_to(log, MAX(facts.first_offset, log->end_queued));
        producer_update_apply(&update);
        completed_note(log, log_active(log), &update);
        append_enter(log, append, bytes);
        append_queue(log, append);
        flush_wish(log);
    }
    producer_update_discard(&update);
    return err;
}

enum err log_epoch_assign(struct log *log, int32_t epoch, int64_t start_offset)
{
    if (log->failed || log->closing)
        return ERR_KAFKA_STORAGE_ERROR;
    if (log_refuses_appends(log))
        return ERR_STATE;
    epoch_cache_assign(&log->epochs, epoch, start_offset);
    if (log->epochs.dirty)
        log_flush_kick(log);
    return OK;
}
