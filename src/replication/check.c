/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replication/check.c: whether a request may be answered by this replica.
 */
#include "replication/replication_internal.h"

enum err replica_check_epoch(const struct replica_state *state, int32_t current_leader_epoch,
                             bool needs_leader)
{
    if (state->role == REPLICA_NONE)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    /* The epoch first: it tells the client which of the two is behind (KIP-320). */
    if (current_leader_epoch != -1 && current_leader_epoch < state->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (current_leader_epoch > state->leader_epoch)
        return ERR_UNKNOWN_LEADER_EPOCH;
    if (needs_leader && state->role != REPLICA_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return OK;
}

enum err replica_check_produce(const struct replica_state *state, int16_t acks, int32_t min_isr)
{
    if (state->role != REPLICA_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (acks == -1 && replica_isr_is_small(state, min_isr))
        return ERR_NOT_ENOUGH_REPLICAS;
    return OK;
}

enum err replica_check_committed(const struct replica_state *state, int32_t min_isr)
{
    if (state->role != REPLICA_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return replica_isr_is_small(state, min_isr) ? ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND : OK;
}
