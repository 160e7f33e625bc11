/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/describe.c: DescribeQuorum: how far every voter and observer is, as the leader sees it.
 */
#include "raft/raft_internal.h"

static struct raft_replica_state state_of(const struct raft *raft,
                                          const struct raft_replica *replica)
{
    if (replica->key.id == raft->options.self.id)
        return (struct raft_replica_state){replica->key, raft->log.end_offset, raft->now_ms,
                                           raft->now_ms};
    return (struct raft_replica_state){replica->key, replica->end_offset, replica->fetched_ms,
                                       replica->caught_up_ms};
}

static const struct raft_replica_state *states_of(struct raft *raft, bool voters, size_t *count_out)
{
    const struct raft_leadership *leadership = &raft->leadership;
    struct raft_replica_state *states =
        raft_scratch(raft, leadership->replica_count * sizeof *states);

    *count_out = 0;
    for (size_t i = 0; states && i < leadership->replica_count; i++)
        if (leadership->replicas[i].is_voter == voters)
            states[(*count_out)++] = state_of(raft, &leadership->replicas[i]);
    return states;
}

void raft_describe_request(struct raft *raft, uint64_t token, struct slice listener,
                           const struct raft_request *request)
{
    struct raft_describe_answer answer = {.high_watermark = -1};
    enum err err = OK;

    if (!request->metadata_partition || !request->one_partition)
        err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    else if (raft->role != RAFT_LEADER)
        err = ERR_NOT_LEADER_OR_FOLLOWER;
    if (err == OK) {
        raft_progress_forget_observers(raft);
        answer.high_watermark = raft->leadership.high_watermark;
        answer.voters = states_of(raft, true, &answer.voter_count);
        answer.observers = states_of(raft, false, &answer.observer_count);
        answer.voter_set = raft_scratch_voters(raft, raft_voters_now(raft));
    }
    raft_emit_reply(raft, token, RAFT_API_DESCRIBE_QUORUM, err, listener)->describe = answer;
}
