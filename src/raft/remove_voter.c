/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/remove_voter.c: RemoveRaftVoter. A leader that removes itself leads on, without counting itself,
 * until the record is committed; then it answers and resigns (change.c).
 */
#include "raft/raft_internal.h"

void raft_remove_voter_request(struct raft *raft, uint64_t token, struct slice listener,
                               const struct raft_request *request)
{
    struct raft_replica_key key = request->remove_voter.voter;
    const struct raft_voter *voter;
    struct raft_voters voters;
    int64_t offset;

    if (!raft_change_admitted(raft, token, request, key, listener) ||
        !raft_change_ready(raft, token, RAFT_API_REMOVE_VOTER, "removing"))
        return;
    voters = raft_voters_now(raft);
    voter = raft_voters_find(voters, key.id);
    if (!voter || !uuid_equal(voter->key.directory_id, key.directory_id) || voters.count == 1) {
        raft_change_reply(raft, token, RAFT_API_REMOVE_VOTER, ERR_VOTER_NOT_FOUND,
                          arena_format(&raft->queue.arena,
                                       "Cannot remove voter %s from the set of voters %s",
                                       raft_key_text(raft, key), raft_voters_text(raft, voters)));
        return;
    }
    voters = raft_voters_without(raft, voters, key.id);
    offset = raft_leader_append_voters(raft, -1, &voters);
    raft->leadership.change = (struct raft_change){
        .kind = RAFT_CHANGE_REMOVE,
        .token = token,
        .offset = offset,
        .deadline_ms = raft_after(raft, raft->options.request_timeout_ms),
    };
}
