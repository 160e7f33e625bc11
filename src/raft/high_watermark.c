/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/high_watermark.c: who may advance the leader's high watermark: this function.
 *
 * It is the offset up to which a majority of the voters in force holds the log on stable storage; the
 * leader counts itself like any other, with its flushed end, and only while it is a voter. It moves
 * only past the start of the leader's own epoch (KIP-595; Raft's section 5.4.2): records of earlier
 * epochs are committed by the first of this one. It never goes back.
 */
#include "raft/raft_internal.h"

static int64_t end_of(const struct raft *raft, const struct raft_replica *replica)
{
    return replica->key.id == raft->options.self.id ? raft->log.flushed_offset
                                                    : replica->end_offset;
}

/* The largest offset that at least ⌊n/2⌋+1 of the n voters hold. */
static int64_t majority_offset(const struct raft *raft)
{
    const struct raft_leadership *leadership = &raft->leadership;
    size_t needed = raft_progress_voter_count(raft) / 2 + 1;
    int64_t best = -1;

    for (size_t i = 0; i < leadership->replica_count; i++) {
        int64_t offset = end_of(raft, &leadership->replicas[i]);
        size_t holders = 0;

        if (!leadership->replicas[i].is_voter)
            continue;
        for (size_t k = 0; k < leadership->replica_count; k++)
            holders += leadership->replicas[k].is_voter &&
                       end_of(raft, &leadership->replicas[k]) >= offset;
        if (holders >= needed)
            best = MAX(best, offset);
    }
    return best;
}

void raft_high_watermark_update(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    int64_t offset = majority_offset(raft);

    ASSERT(raft->role == RAFT_LEADER);
    if (offset <= leadership->epoch_start_offset || offset <= leadership->high_watermark)
        return;
    ASSERT(offset <= raft->log.end_offset);
    leadership->high_watermark = offset;
    leadership->wake_fetches = true;
    raft_emit_high_watermark(raft, offset);
    raft_change_committed(raft);
}
