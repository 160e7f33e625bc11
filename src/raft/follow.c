/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/follow.c: the follower's side of replication: one Fetch at a time, at the end of what it holds
 * for sure; cut what the leader does not have, append what it sends, follow its high watermark.
 * Invariants  1. the next Fetch goes out only when the last append is held (a voter: flushed): the
 *             fetch offset is the acknowledgement.   2. nothing below the high watermark is cut.
 *             3. what arrives while an epoch or vote is not durable yet is dropped and asked for again.
 */
#include "raft/raft_internal.h"

void raft_fetch_fill(struct raft *raft, struct raft_request *request_out)
{
    *request_out = (struct raft_request){
        .api = RAFT_API_FETCH,
        .fetch = {.replica = raft->options.self,
                  .current_leader_epoch = raft->epoch,
                  .last_fetched_epoch = raft_log_last_epoch(raft),
                  .fetch_offset = raft->log.end_offset,
                  .high_watermark = raft->high_watermark,
                  .wait_ms_max = RAFT_FETCH_WAIT_MS,
                  .bytes_max = raft->options.fetch_bytes_max},
    };
}

static void send_fetch_snapshot(struct raft *raft)
{
    const struct raft_download *download = &raft->download;
    struct raft_request request = {
        .api = RAFT_API_FETCH_SNAPSHOT,
        .fetch_snapshot = {.replica = raft->options.self,
                           .current_leader_epoch = raft->epoch,
                           .snapshot_id = download->id,
                           .position = download->position,
                           .bytes_max = raft->options.fetch_snapshot_bytes_max},
    };

    if (!download->storing && !download->installing)
        raft_send_leader(raft, &request);
}

void raft_follow_send(struct raft *raft)
{
    struct raft_request request;

    if (raft_peers_any_waiting(raft)) {
        for (size_t i = 0; i < raft->peer_count; i++)
            raft_wake_at(raft, raft->peers[i].until_ms);
        return;
    }
    if (raft->download.active) {
        send_fetch_snapshot(raft);
        return;
    }
    if (raft_log_held_offset(raft) != raft->log.end_offset)
        return; /* WRITTEN or FLUSHED brings us back */
    raft_fetch_fill(raft, &request);
    raft_send_leader(raft, &request);
}

void raft_follow_refresh(struct raft *raft)
{
    raft->fetch_deadline_ms = raft_after(raft, raft->options.fetch_timeout_ms);
    raft->fetched = true;
}

void raft_follow_high_watermark(struct raft *raft)
{
    int64_t known = MIN(raft->leader_high_watermark, raft->log.written_offset);

    if (raft->role == RAFT_FOLLOWER)
        raft_emit_high_watermark(raft, known);
}

/* Where our log and the leader's still agree, given the end of its epoch that is next below ours. */
static bool diverged(struct raft *raft, struct raft_offset_epoch theirs)
{
    struct raft_offset_epoch ours = raft_log_epoch_end(raft, theirs.epoch);
    int64_t keep = ours.offset;

    if (theirs.epoch == 0 || ours.epoch == theirs.epoch)
        keep = MIN(theirs.epoch == 0 ? raft->log.end_offset : ours.offset, theirs.offset);
    keep = MIN(keep, raft->log.end_offset);
    LOG_INFO(raft->logger, "raft", "log_diverged",
             "node=%d their_end=%lld their_epoch=%d keep=%lld", raft->options.self.id,
             (long long)theirs.offset, theirs.epoch, (long long)keep);
    if (theirs.offset >= raft->high_watermark && keep < raft->log.end_offset &&
        raft_log_truncate(raft, keep))
        return true;
    LOG_ERROR(raft->logger, "raft", "truncation_refused",
              "node=%d keep=%lld high_watermark=%lld log_start=%lld", raft->options.self.id,
              (long long)keep, (long long)raft->high_watermark, (long long)raft->log.start_offset);
    return false;
}

/* How many of the batches continue our log in epochs that we know of. */
static size_t batches_usable(const struct raft *raft, const struct raft_fetch_answer *fetch)
{
    int64_t next = raft->log.end_offset;
    int32_t epoch = raft_log_last_epoch(raft);
    size_t count = 0;

    for (; count < fetch->batch_count; count++) {
        const struct raft_batch *batch = &fetch->batches[count];

        if (batch->base_offset != next || batch->last_offset < batch->base_offset ||
            batch->last_offset == INT64_MAX || batch->epoch < epoch || batch->epoch > raft->epoch)
            break;
        next = batch->last_offset + 1;
        epoch = batch->epoch;
    }
    return count;
}

static void append(struct raft *raft, uint64_t number, const struct raft_fetch_answer *fetch)
{
    size_t count = batches_usable(raft, fetch);
    int64_t base_offset = raft->log.end_offset;
    struct raft_effect *effect;
    bool voters_changed = false;

    if (count < fetch->batch_count)
        LOG_WARN(raft->logger, "raft", "batches_skipped", "node=%d end=%lld skipped=%zu",
                 raft->options.self.id, (long long)base_offset, fetch->batch_count - count);
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct raft_batch *batch = &fetch->batches[i];

        raft_log_extend(raft, batch->epoch, batch->last_offset - batch->base_offset + 1);
        if (batch->kraft_version >= 0)
            raft_kraft_version_put(raft, batch->last_offset, batch->kraft_version);
        if (batch->voters)
            raft_voters_put(raft, batch->last_offset, *batch->voters);
        voters_changed = voters_changed || batch->voters || batch->kraft_version >= 0;
    }
    effect = raft_emit(raft, RAFT_EFFECT_APPEND_FETCHED);
    effect->append_fetched.era = raft->log.era;
    effect->append_fetched.number = number;
    effect->append_fetched.batch_count = count;
    effect->append_fetched.base_offset = base_offset;
    effect->append_fetched.end_offset = raft->log.end_offset;
    if (voters_changed)
        raft_emit_voters(raft);
}

/* A leader has no snapshot of an epoch after its own, and none that lacks what was committed. */
static bool snapshot_is_possible(const struct raft *raft, struct raft_offset_epoch id)
{
    if (id.epoch <= raft->epoch && id.offset >= raft->high_watermark)
        return true;
    LOG_ERROR(raft->logger, "raft", "snapshot_refused",
              "node=%d offset=%lld epoch=%d high_watermark=%lld", raft->options.self.id,
              (long long)id.offset, id.epoch, (long long)raft->high_watermark);
    return false;
}

bool raft_fetch_reply(struct raft *raft, uint64_t number, const struct raft_reply *reply)
{
    const struct raft_fetch_answer *fetch = &reply->fetch;
    enum raft_handled handled;

    if (reply->error_top != OK)
        return false;
    handled = raft_common_reply(raft, reply);
    if (handled != RAFT_HANDLED_NOT)
        return handled == RAFT_HANDLED_OK;
    if (reply->error != OK)
        return false;
    if (raft->role != RAFT_FOLLOWER || raft_is_holding(raft) || raft->download.installing)
        return true; /* also while nobody knows where the log will end */
    if (fetch->diverging.epoch >= 0) {
        if (!diverged(raft, fetch->diverging))
            return false;
    } else if (fetch->snapshot_id.epoch >= 0 && fetch->snapshot_id.offset >= 0) {
        if (!snapshot_is_possible(raft, fetch->snapshot_id))
            return false;
        raft_download_begin(raft, fetch->snapshot_id);
    } else {
        append(raft, number, fetch);
        raft->leader_high_watermark = fetch->high_watermark;
        raft_follow_high_watermark(raft);
    }
    raft_follow_refresh(raft);
    return true;
}
