/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replication/role.c: what metadata makes of this replica.
 *
 *            leader = self                    leader ≠ self
 *   NONE ───────────────► LEADER ◄──────────────────────────► FOLLOWER ──not a replica──► NONE
 *                         every move of the leader epoch begins anew
 *
 * The leader epoch says who leads, the partition epoch orders everything metadata tells; what is
 * older than what is known changes nothing. Within a leader epoch only the ISR moves, and what the
 * peers have told stays.
 */
#include "replication/replication.h"

#include "base/assert.h"

static bool contains(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static int64_t known_end(const struct replica_state *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->peer_count; i++) {
        if (state->peers[i].broker_id == broker_id)
            return state->peers[i].end_offset;
    }
    return -1;
}

static void peers_set(struct replica_state *state, const struct metadata_partition *partition,
                      bool is_new_epoch, struct replica_progress *peers)
{
    size_t count = 0;

    ASSERT(partition->replica_count == 0 || peers != state->peers);
    for (size_t i = 0; i < partition->replica_count; i++) {
        int32_t id = partition->replicas[i];

        if (id == state->self_id)
            continue;
        peers[count++] = (struct replica_progress){
            .broker_id = id,
            .end_offset = is_new_epoch ? -1 : known_end(state, id),
            .in_isr = contains(partition->isr, partition->isr_count, id),
        };
    }
    state->peers = peers;
    state->peer_count = count;
}

static enum replica_role role_of(const struct metadata_partition *partition, int32_t self_id)
{
    if (partition->leader == self_id)
        return REPLICA_LEADER;
    return contains(partition->replicas, partition->replica_count, self_id) ? REPLICA_FOLLOWER
                                                                            : REPLICA_NONE;
}

enum replica_change replica_apply(struct replica_state *state,
                                  const struct metadata_partition *partition, int64_t end_queued,
                                  int64_t high_watermark, struct replica_progress *peers)
{
    enum replica_role role = role_of(partition, state->self_id);
    bool is_new_epoch = partition->leader_epoch > state->leader_epoch;

    ASSERT(high_watermark <= end_queued);
    if (partition->leader_epoch < state->leader_epoch)
        return REPLICA_UNCHANGED;
    if (!is_new_epoch && partition->partition_epoch <= state->partition_epoch)
        return REPLICA_UNCHANGED;
    /* The controller changes a leader only together with its epoch, but what an image says is not
     * ours to assert: whoever stops or starts to lead begins anew. */
    is_new_epoch = is_new_epoch || role != state->role;
    peers_set(state, partition, is_new_epoch, peers);
    state->role = role;
    state->leader_id = partition->leader;
    state->leader_epoch = partition->leader_epoch;
    state->partition_epoch = partition->partition_epoch;
    state->replica_count = partition->replica_count;
    state->isr_count = partition->isr_count;
    state->self_in_isr = contains(partition->isr, partition->isr_count, state->self_id);
    if (!is_new_epoch) {
        state->high_watermark = MAX(state->high_watermark, high_watermark);
        return REPLICA_UPDATED;
    }
    state->high_watermark = high_watermark;
    state->epoch_start_offset = role == REPLICA_LEADER ? end_queued : -1;
    return role == REPLICA_LEADER ? REPLICA_BECOMES_LEADER : REPLICA_BECOMES_FOLLOWER;
}
