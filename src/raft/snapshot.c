/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/snapshot.c: the snapshots at hand, serving them, and downloading one that takes the place of the
 * log (KIP-630).
 *
 *   Fetch says "snapshot" ─► FetchSnapshot ─► chunk ─► stored ─► … ─► install ─► Fetch at its offset
 *                               ▲                        │
 *                               └────────────────────────┘
 *
 * Invariants  1. snapshot (0, 0) is the bootstrap one: every node makes its own, none is served.
 *             2. chunks follow each other without a gap.   3. what is installed lies ahead of the log.
 * Crash       a part file that is left behind is removed by the shell at its next start.
 */
#include "raft/raft_internal.h"

const struct raft_snapshot *raft_snapshot_latest(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;

    return log->snapshot_count > 0 ? &log->snapshots[log->snapshot_count - 1] : NULL;
}

const struct raft_snapshot *raft_snapshot_earliest(const struct raft *raft)
{
    return raft->log.snapshot_count > 0 ? &raft->log.snapshots[0] : NULL;
}

const struct raft_snapshot *raft_snapshot_find(const struct raft *raft, struct raft_offset_epoch id)
{
    for (size_t i = 0; i < raft->log.snapshot_count; i++)
        if (raft_offset_epoch_compare(raft->log.snapshots[i].id, id) == 0)
            return &raft->log.snapshots[i];
    return NULL;
}

void raft_snapshot_add(struct raft *raft, struct raft_snapshot snapshot)
{
    struct raft_log *log = &raft->log;
    size_t at = log->snapshot_count;

    if (raft_snapshot_find(raft, snapshot.id) ||
        !RAFT_RESERVE(raft, log->snapshots, log->snapshot_capacity, log->snapshot_count))
        return;
    while (at > 0 && raft_offset_epoch_compare(log->snapshots[at - 1].id, snapshot.id) > 0)
        at--;
    memmove(log->snapshots + at + 1, log->snapshots + at,
            (log->snapshot_count - at) * sizeof *log->snapshots);
    log->snapshots[at] = snapshot;
    log->snapshot_count++;
}

/* ---- leader ---- */

static enum err request_check(const struct raft *raft, const struct raft_request *request,
                              const struct raft_snapshot **snapshot_out)
{
    const struct raft_fetch_snapshot_request *fetch = &request->fetch_snapshot;
    const struct raft_snapshot *snapshot = raft_snapshot_find(raft, fetch->snapshot_id);

    if (!request->metadata_partition)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    TRY(raft_check_leader_request(raft, fetch->current_leader_epoch));
    if (fetch->replica.id == raft->options.self.id)
        return ERR_UNKNOWN_SERVER_ERROR;
    if (!snapshot || (fetch->snapshot_id.offset == 0 && fetch->snapshot_id.epoch == 0))
        return ERR_SNAPSHOT_NOT_FOUND;
    if (fetch->position < 0 || fetch->position >= snapshot->size_bytes)
        return ERR_POSITION_OUT_OF_RANGE;
    *snapshot_out = snapshot;
    return OK;
}

void raft_snapshot_request(struct raft *raft, uint64_t token, struct slice listener,
                           const struct raft_request *request)
{
    const struct raft_fetch_snapshot_request *fetch = &request->fetch_snapshot;
    const struct raft_snapshot *snapshot = NULL;
    enum err err = request_check(raft, request, &snapshot);
    struct raft_reply *reply;

    if (err == OK)
        raft_progress_seen(raft, fetch->replica);
    reply = raft_emit_reply(raft, token, RAFT_API_FETCH_SNAPSHOT, err, listener);
    reply->fetch_snapshot.snapshot_id = (struct raft_offset_epoch){-1, -1};
    if (err != OK)
        return;
    reply->fetch_snapshot.snapshot_id = snapshot->id;
    reply->fetch_snapshot.size_bytes = snapshot->size_bytes;
    reply->fetch_snapshot.position = fetch->position;
    /* The shell holds a chunk in memory, whatever the peer asks for. */
    reply->fetch_snapshot.chunk_bytes =
        (int32_t)MIN(snapshot->size_bytes - fetch->position,
                     MIN(MAX(fetch->bytes_max, 0), (int32_t)RAFT_BATCH_BYTES_MAX));
}

/* ---- follower ---- */

void raft_download_drop(struct raft *raft)
{
    struct raft_download *download = &raft->download;

    /* What the shell is installing already ends with INSTALLED or INSTALL_FAILED. */
    if (download->active && !download->installing) {
        struct raft_effect *effect = raft_emit(raft, RAFT_EFFECT_SNAPSHOT_DROP);

        effect->install.id = download->id;
    }
    if (!download->installing)
        *download = (struct raft_download){0};
}

void raft_download_begin(struct raft *raft, struct raft_offset_epoch id)
{
    if (raft_snapshot_find(raft, id))
        return;
    ASSERT(!raft->download.installing);
    raft_download_drop(raft);
    LOG_INFO(raft->logger, "raft", "snapshot_wanted", "node=%d offset=%lld epoch=%d",
             raft->options.self.id, (long long)id.offset, id.epoch);
    raft->download = (struct raft_download){.active = true, .id = id, .size_bytes = -1};
}

bool raft_snapshot_reply(struct raft *raft, uint64_t number, const struct raft_reply *reply)
{
    const struct raft_fetch_snapshot_answer *answer = &reply->fetch_snapshot;
    struct raft_download *download = &raft->download;
    enum raft_handled handled;
    struct raft_effect *effect;

    if (reply->error_top != OK)
        return false;
    handled = raft_common_reply(raft, reply);
    if (handled != RAFT_HANDLED_NOT)
        return handled == RAFT_HANDLED_OK;
    /* Asked for by this follower, under this leader, with nothing else under way. */
    ASSERT(raft->role == RAFT_FOLLOWER && !raft_is_holding(raft));
    ASSERT(download->active && !download->storing && !download->installing);
    if (reply->error == ERR_SNAPSHOT_NOT_FOUND ||
        (reply->error == OK && (answer->snapshot_id.offset < 0 || answer->snapshot_id.epoch < 0))) {
        raft_download_drop(raft); /* deleted meanwhile: fetch again and hear of the newer one */
        raft_follow_refresh(raft);
        return true;
    }
    if (reply->error != OK || raft_offset_epoch_compare(answer->snapshot_id, download->id) != 0 ||
        answer->position != download->position || answer->chunk_bytes < 0 ||
        answer->size_bytes < download->position + answer->chunk_bytes ||
        (answer->chunk_bytes == 0 && answer->size_bytes > download->position))
        return false;
    download->storing = true;
    download->chunk_end = download->position + answer->chunk_bytes;
    download->size_bytes = answer->size_bytes;
    effect = raft_emit(raft, RAFT_EFFECT_SNAPSHOT_CHUNK);
    effect->chunk.number = number;
    effect->chunk.id = download->id;
    effect->chunk.position = download->position;
    effect->chunk.size_bytes = answer->chunk_bytes;
    raft_follow_refresh(raft);
    return true;
}

void raft_chunk_stored(struct raft *raft, struct raft_offset_epoch id, int64_t end_position)
{
    struct raft_download *download = &raft->download;
    struct raft_effect *effect;

    if (!download->storing || raft_offset_epoch_compare(id, download->id) != 0 ||
        end_position != download->chunk_end)
        return; /* of a download that was dropped meanwhile */
    download->storing = false;
    download->position = end_position;
    if (end_position < download->size_bytes)
        return;
    if (raft_offset_epoch_compare(download->id, raft_log_end(raft)) <= 0) {
        LOG_ERROR(raft->logger, "raft", "snapshot_behind_log", "node=%d offset=%lld",
                  raft->options.self.id, (long long)download->id.offset);
        raft_download_drop(raft);
        return;
    }
    download->installing = true;
    raft->log.era++;
    effect = raft_emit(raft, RAFT_EFFECT_SNAPSHOT_INSTALL);
    effect->install.era = raft->log.era;
    effect->install.id = download->id;
}

void raft_install_failed(struct raft *raft)
{
    raft->download = (struct raft_download){0};
}

void raft_installed(struct raft *raft, const struct raft_event *event)
{
    struct raft_log *log = &raft->log;
    struct raft_offset_epoch id = event->installed.snapshot.id;

    ASSERT(raft->download.installing && event->installed.era == log->era);
    raft->download = (struct raft_download){0};
    log->start_offset = log->end_offset = log->written_offset = log->flushed_offset = id.offset;
    log->epoch_count = 0;
    log->snapshot_count = 0;
    raft_snapshot_add(raft, event->installed.snapshot);
    raft_voters_cut(raft, INT64_MIN);
    if (event->installed.kraft_version > 0)
        raft_kraft_version_put(raft, id.offset - 1, event->installed.kraft_version);
    if (event->installed.voters)
        raft_voters_put(raft, id.offset - 1, *event->installed.voters);
    raft_emit_voters(raft);
    raft_emit_high_watermark(raft, id.offset);
}
