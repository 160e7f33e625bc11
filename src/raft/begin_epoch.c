/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/begin_epoch.c: BeginQuorumEpoch: a new leader tells the voters that have not fetched from it.
 */
#include "raft/raft_internal.h"

void raft_begin_request(struct raft *raft, uint64_t token, struct slice listener,
                        const struct raft_request *request)
{
    const struct raft_begin_request *begin = &request->begin;
    enum err err = raft_check_voter_request(raft, begin->leader_id, begin->leader_epoch);

    if (err == OK &&
        !raft_adopt(raft, begin->leader_id, begin->leader_epoch, begin->leader_endpoints))
        err = ERR_UNKNOWN_SERVER_ERROR;
    if (err == OK && !raft_is_own_key(raft, begin->voter))
        err = ERR_INVALID_VOTER_KEY; /* the news of the leader holds all the same */
    raft_emit_reply(raft, token, RAFT_API_BEGIN_QUORUM_EPOCH, err, listener);
}

bool raft_begin_reply(struct raft *raft, const struct raft_reply *reply)
{
    enum raft_handled handled;

    if (reply->error_top != OK)
        return false;
    handled = raft_common_reply(raft, reply);
    if (handled != RAFT_HANDLED_NOT)
        return handled == RAFT_HANDLED_OK;
    return reply->error == OK;
}

void raft_begin_send(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    int64_t period_ms = raft->options.fetch_timeout_ms / 2;
    struct raft_voters voters = raft_voters_now(raft);
    struct raft_request request = {
        .api = RAFT_API_BEGIN_QUORUM_EPOCH,
        .begin = {.leader_id = raft->options.self.id,
                  .leader_epoch = raft->epoch,
                  .leader_endpoints = raft->options.endpoints},
    };

    if (!raft_due(raft, leadership->begin_deadline_ms)) {
        raft_wake_at(raft, leadership->begin_deadline_ms);
        return;
    }
    for (size_t i = 0; i < voters.count; i++) {
        const struct raft_voter *voter = &voters.items[i];
        const struct raft_replica *replica = raft_progress_find(raft, voter->key, true);

        if (voter->key.id == raft->options.self.id || !replica)
            continue;
        if (replica->fetched_ms >= 0 && raft->now_ms - replica->fetched_ms < period_ms)
            continue;
        request.begin.voter = voter->key;
        raft_send(raft, voter->key.id, raft_voter_endpoint(raft, voter), &request);
    }
    leadership->begin_deadline_ms = raft_after(raft, MAX(period_ms, 1));
    if (voters.count > 1 || !raft_is_voter(raft))
        raft_wake_at(raft, leadership->begin_deadline_ms);
    else
        leadership->begin_deadline_ms = INT64_MAX; /* alone: no timer runs */
}
