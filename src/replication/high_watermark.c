/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replication/high_watermark.c: the one place that says what is committed: below the least flushed
 * end of all replicas in sync. An end that is not known yet (the replica has not fetched in this
 * epoch) holds the mark where it is. KIP-966: with too small an ISR it stands still, so that
 * whoever is eligible to lead has everything committed.
 */
#include "replication/replication_internal.h"

#include "base/assert.h"

int64_t replica_high_watermark(const struct replica_state *state, int64_t flushed_end,
                               int32_t min_isr)
{
    int64_t end = flushed_end;

    if (state->role != REPLICA_LEADER)
        return state->high_watermark;
    if (replica_isr_is_small(state, min_isr))
        return state->high_watermark;
    for (size_t i = 0; i < state->peer_count; i++) {
        if (state->peers[i].in_isr)
            end = MIN(end, state->peers[i].end_offset);
    }
    return MAX(state->high_watermark, end);
}

bool replica_offsets_known(const struct replica_state *state)
{
    return state->role != REPLICA_LEADER || state->high_watermark >= state->epoch_start_offset;
}
