/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_log.c: the metadata log: appends in raft's order, and news of its ends for raft.
 *
 *   made ─submitted─► prepared ─APPEND─► tail, lent to the log ─written─► tail ─applied─► freed
 *
 * Invariants  1. a batch stays in memory until it is written and applied: what this node leads is
 *                never read back from disk.   2. ends are told to raft once each, rising.
 * Crash       a batch that was not flushed was not counted by raft, so nobody was told of it.
 */
#include "base/bug.h"
#include "protocol/generated/voters_record.h"
#include "server/quorum_internal.h"

void quorum_log_config(const struct quorum *quorum, struct log_config *out)
{
    const struct config *config = quorum->node->boot_config;

    log_config_init(out);
    out->segment_bytes = config_is_null(config, BROKER_INTERNAL_METADATA_LOG_SEGMENT_BYTES)
                             ? config_int(config, BROKER_METADATA_LOG_SEGMENT_BYTES)
                             : config_int(config, BROKER_INTERNAL_METADATA_LOG_SEGMENT_BYTES);
    out->segment_ms = config_long(config, BROKER_METADATA_LOG_SEGMENT_MS);
    out->segment_jitter_ms = 0;
    out->max_message_bytes = (int32_t)RAFT_BATCH_BYTES_MAX;
    out->file_delete_delay_ms = config_long(config, BROKER_INTERNAL_METADATA_DELETE_DELAY_MILLIS);
    /* Snapshots decide what goes, by the log's start (quorum_clean.c). */
    out->retention_bytes = -1;
    out->retention_ms = -1;
    out->cleanup_delete = true;
    out->cleanup_compact = false;
    out->preallocate = false;
    /* Whatever barnabas.flush.mode says: votes and commits rest on it. */
    out->flush_mode = FLUSH_MODE_COMMIT;
}

void quorum_batch_free(struct quorum_batch *batch)
{
    heap_allocator.release(&heap_allocator, batch->data, batch->capacity_bytes);
    SERVER_DELETE(batch);
}

static bool tail_can_free(const struct quorum *quorum, const struct quorum_batch *batch)
{
    return !batch->is_lent && batch->end_offset <= quorum->loader.next_offset;
}

void quorum_tail_trim(struct quorum *quorum)
{
    while (!list_is_empty(&quorum->tail)) {
        struct quorum_batch *batch =
            LIST_ITEM(list_first(&quorum->tail), struct quorum_batch, node);

        if (!tail_can_free(quorum, batch))
            break;
        list_remove(&batch->node);
        quorum_batch_free(batch);
    }
}

static void append_done(struct log_append *append)
{
    struct quorum_batch *batch = CONTAINER_OF(append, struct quorum_batch, append);
    struct quorum *quorum = batch->quorum;

    batch->is_lent = false;
    if (append->err != OK)
        quorum_fail(quorum, append->err, "the metadata log cannot be written");
    quorum_end(quorum);
}

void quorum_log_append(struct quorum *quorum, struct quorum_batch *batch, uint64_t era,
                       int64_t base_offset, int32_t epoch)
{
    struct why why = {0};
    enum err err;

    ASSERT(log_is_failed(quorum->log) || base_offset == log_end_queued(quorum->log));
    batch->base_offset = base_offset;
    batch->end_offset = base_offset + batch->record_count;
    batch_stamp(batch->data, base_offset, epoch);
    quorum->era = era;
    batch->append = (struct log_append){
        .data = batch->data,
        .size_bytes = batch->size_bytes,
        .origin = APPEND_ORIGIN_RAFT_LEADER,
        .leader_epoch = epoch,
        .done = append_done,
    };
    list_push_back(&quorum->tail, &batch->node);
    batch->is_lent = true;
    quorum_begin(quorum);
    err = log_append(quorum->log, &batch->append, &why);
    if (err == OK)
        return;
    batch->is_lent = false;
    quorum_end(quorum);
    quorum_fail(quorum, err, "the metadata log refuses a batch: %s", why.text);
}

static void end_tell(struct quorum *quorum, enum raft_event_kind kind, int64_t end_offset,
                     int64_t *told)
{
    struct raft_event event = {.kind = kind};

    if (end_offset <= *told)
        return;
    *told = end_offset;
    event.log_end.era = quorum->era;
    event.log_end.end_offset = end_offset;
    quorum_feed(quorum, event);
}

static void log_changed(struct log_listener *listener, struct log *log, unsigned changes)
{
    struct quorum *quorum = CONTAINER_OF(listener, struct quorum, log_listener);

    if (changes & LOG_CHANGE_FAILED) {
        quorum_fail(quorum, ERR_KAFKA_STORAGE_ERROR,
                    "the directory %s of the metadata log has failed",
                    log_directory_path(quorum->directory));
        return;
    }
    if (BUG_IS(metadata_before_sync))
        end_tell(quorum, RAFT_EVENT_FLUSHED, log_end_written(log), &quorum->flushed_told);
    if (changes & LOG_CHANGE_FLUSHED)
        end_tell(quorum, RAFT_EVENT_FLUSHED, log_end_flushed(log), &quorum->flushed_told);
    /* FLUSHED implies WRITTEN. */
    if (changes & LOG_CHANGE_WRITTEN)
        end_tell(quorum, RAFT_EVENT_WRITTEN, log_end_written(log), &quorum->written_told);
}

void quorum_log_listen(struct quorum *quorum)
{
    quorum->log_listener.changed = log_changed;
    quorum->flushed_told = quorum->written_told = log_end_queued(quorum->log);
    log_set_listener(quorum->log, &quorum->log_listener);
}
