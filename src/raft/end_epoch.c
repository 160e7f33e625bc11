/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/end_epoch.c: EndQuorumEpoch: a leader that gives up tells the voters, best successor first.
 */
#include "raft/raft_internal.h"

/* How long to wait before standing, by place in the list: first at once, then doubling. */
static int64_t back_off_ms(const struct raft *raft, const struct raft_end_request *end)
{
    int64_t most_ms = raft->options.election_backoff_max_ms;
    size_t place = 0;

    for (; place < end->preferred_count; place++) {
        struct raft_replica_key key = end->preferred[place];

        if (key.id == raft->options.self.id && raft_is_own_key(raft, key))
            break;
    }
    if (place == 0)
        return 0;
    if (place >= end->preferred_count || end->preferred_count > 62)
        return most_ms;
    return MIN(most_ms, (most_ms >> (end->preferred_count - 1)) << (place - 1));
}

void raft_end_request(struct raft *raft, uint64_t token, struct slice listener,
                      const struct raft_request *request)
{
    const struct raft_end_request *end = &request->end;
    enum err err = raft_check_voter_request(raft, end->leader_id, end->leader_epoch);

    if (err == OK && !raft_adopt(raft, end->leader_id, end->leader_epoch, end->leader_endpoints))
        err = ERR_UNKNOWN_SERVER_ERROR;
    if (err == OK && raft->role == RAFT_FOLLOWER) { /* of that leader: it was adopted */
        ASSERT(raft->leader_id == end->leader_id);
        raft->fetch_deadline_ms = raft_after(raft, back_off_ms(raft, end));
    }
    raft_emit_reply(raft, token, RAFT_API_END_QUORUM_EPOCH, err, listener);
}

bool raft_end_reply(struct raft *raft, int32_t peer_id, const struct raft_reply *reply)
{
    struct raft_resignation *resignation = &raft->resignation;
    enum raft_handled handled;

    if (reply->error_top != OK)
        return false;
    handled = raft_common_reply(raft, reply);
    if (handled != RAFT_HANDLED_NOT)
        return handled == RAFT_HANDLED_OK;
    if (reply->error != OK)
        return false;
    ASSERT(raft->role == RAFT_RESIGNED); /* another role forgets what this one asked */
    if (RAFT_RESERVE(raft, resignation->acknowledged, resignation->acknowledged_capacity,
                     resignation->acknowledged_count))
        resignation->acknowledged[resignation->acknowledged_count++] = peer_id;
    return true;
}

static bool acknowledged(const struct raft_resignation *resignation, int32_t id)
{
    for (size_t i = 0; i < resignation->acknowledged_count; i++)
        if (resignation->acknowledged[i] == id)
            return true;
    return false;
}

void raft_end_send(struct raft *raft)
{
    const struct raft_resignation *resignation = &raft->resignation;
    struct raft_voters voters = raft_voters_now(raft);
    struct raft_request request = {
        .api = RAFT_API_END_QUORUM_EPOCH,
        .end = {.leader_id = raft->options.self.id,
                .leader_epoch = raft->epoch,
                .preferred = resignation->preferred,
                .preferred_count = resignation->preferred_count},
    };

    for (size_t i = 0; i < voters.count; i++) {
        const struct raft_voter *voter = &voters.items[i];

        if (voter->key.id != raft->options.self.id && !acknowledged(resignation, voter->key.id))
            raft_send(raft, voter->key.id, raft_voter_endpoint(raft, voter), &request);
    }
}
