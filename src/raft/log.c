/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/log.c: what the core knows of the log: its ends, the start of each epoch, its era.
 *
 *      start        flushed      written        end
 *        ├────────────┼────────────┼─────────────┤
 *        │  durable   │  readable  │  asked for  │
 *
 * Invariants  1. start ≤ flushed ≤ written ≤ end.   2. epochs and their start offsets ascend.
 *             3. news about another era than the present one is old and dropped.
 *             4. nothing below the high watermark is ever cut.
 */
#include "raft/raft_internal.h"

void raft_log_release(struct raft *raft)
{
    struct raft_log *log = &raft->log;

    for (size_t i = 0; i < log->voters_count; i++)
        raft_block_free(raft, &log->voters[i].block);
    RAFT_FREE_ARRAY(raft, log->voters, log->voters_capacity);
    RAFT_FREE_ARRAY(raft, log->kraft_versions, log->kraft_version_capacity);
    RAFT_FREE_ARRAY(raft, log->epochs, log->epoch_capacity);
    RAFT_FREE_ARRAY(raft, log->snapshots, log->snapshot_capacity);
}

int32_t raft_log_last_epoch(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;
    const struct raft_snapshot *latest = raft_snapshot_latest(raft);

    if (log->epoch_count > 0)
        return log->epochs[log->epoch_count - 1].epoch;
    return latest && latest->id.offset == log->end_offset ? latest->id.epoch : 0;
}

struct raft_offset_epoch raft_log_end(const struct raft *raft)
{
    return (struct raft_offset_epoch){raft->log.end_offset, raft_log_last_epoch(raft)};
}

struct raft_offset_epoch raft_log_epoch_end(const struct raft *raft, int32_t epoch)
{
    const struct raft_log *log = &raft->log;
    const struct raft_snapshot *earliest = raft_snapshot_earliest(raft);
    struct raft_offset_epoch end = raft_log_end(raft);
    size_t above = 0;

    while (above < log->epoch_count && log->epochs[above].epoch <= epoch)
        above++;
    if (above == log->epoch_count) /* the last epoch, or one that we know nothing of */
        return end;
    end.offset = log->epochs[above].offset;
    end.epoch = above > 0 ? log->epochs[above - 1].epoch : epoch;
    if (earliest && end.offset == earliest->id.offset && end.epoch == epoch)
        return earliest->id;
    return end;
}

int64_t raft_log_extend(struct raft *raft, int32_t epoch, int64_t record_count)
{
    struct raft_log *log = &raft->log;
    int64_t base_offset = log->end_offset;

    ASSERT(record_count > 0);
    ASSERT(epoch >= raft_log_last_epoch(raft));
    /* Without memory nothing of this step comes out, but the step itself goes on: the end moves. */
    if ((log->epoch_count == 0 || log->epochs[log->epoch_count - 1].epoch < epoch) &&
        RAFT_RESERVE(raft, log->epochs, log->epoch_capacity, log->epoch_count))
        log->epochs[log->epoch_count++] = (struct raft_offset_epoch){base_offset, epoch};
    log->end_offset += record_count;
    return base_offset;
}

bool raft_log_truncate(struct raft *raft, int64_t offset)
{
    struct raft_log *log = &raft->log;
    struct raft_effect *effect;

    if (offset < raft->high_watermark || offset < log->start_offset)
        return false;
    ASSERT(offset <= log->end_offset);
    log->end_offset = offset;
    log->written_offset = MIN(log->written_offset, offset);
    log->flushed_offset = MIN(log->flushed_offset, offset);
    while (log->epoch_count > 0 && log->epochs[log->epoch_count - 1].offset >= offset)
        log->epoch_count--;
    log->era++;
    effect = raft_emit(raft, RAFT_EFFECT_TRUNCATE);
    effect->truncate.era = log->era;
    effect->truncate.end_offset = offset;
    if (raft_voters_cut(raft, offset))
        raft_emit_voters(raft);
    return true;
}

void raft_log_written(struct raft *raft, uint64_t era, int64_t end_offset, bool flushed)
{
    struct raft_log *log = &raft->log;

    if (era != log->era)
        return;
    ASSERT(end_offset <= log->end_offset);
    if (end_offset > log->written_offset) {
        log->written_offset = end_offset;
        raft->leadership.wake_fetches = raft->role == RAFT_LEADER;
    }
    if (flushed)
        log->flushed_offset = MAX(log->flushed_offset, end_offset);
    if (raft->role == RAFT_LEADER)
        raft_high_watermark_update(raft);
    else
        raft_follow_high_watermark(raft);
}

void raft_log_cleaned(struct raft *raft, int64_t start_offset)
{
    struct raft_log *log = &raft->log;
    size_t gone = 0;

    if (start_offset <= log->start_offset)
        return;
    ASSERT(start_offset <= log->flushed_offset);
    log->start_offset = start_offset;
    /* The epoch that the start lies in stays known, from the start on. */
    while (gone + 1 < log->epoch_count && log->epochs[gone + 1].offset <= start_offset)
        gone++;
    if (gone > 0)
        memmove(log->epochs, log->epochs + gone, (log->epoch_count - gone) * sizeof *log->epochs);
    log->epoch_count -= gone;
    if (log->epoch_count > 0)
        log->epochs[0].offset = MAX(log->epochs[0].offset, start_offset);
    gone = 0;
    while (gone < log->snapshot_count && log->snapshots[gone].id.offset < start_offset)
        gone++;
    if (gone > 0)
        memmove(log->snapshots, log->snapshots + gone,
                (log->snapshot_count - gone) * sizeof *log->snapshots);
    log->snapshot_count -= gone;
    raft_voters_forget_before(raft, start_offset);
}

int64_t raft_log_held_offset(const struct raft *raft)
{
    /* A vote counts what is durable; a broker that cannot vote only copies. */
    return raft->options.can_vote ? raft->log.flushed_offset : raft->log.written_offset;
}
