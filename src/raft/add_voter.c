/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/add_voter.c: AddRaftVoter: the new node is asked for its range of kraft.version, must have
 * caught up as an observer, and becomes a voter with the append of the Voters record.
 */
#include "raft/raft_internal.h"

void raft_add_voter_request(struct raft *raft, uint64_t token, struct slice listener,
                            const struct raft_request *request)
{
    const struct raft_add_voter_request *add = &request->add_voter;
    struct raft_request ask = {.api = RAFT_API_API_VERSIONS};
    struct raft_voter voter = {.key = add->voter, .endpoints = add->endpoints};
    struct raft_voters voters;

    if (!raft_change_admitted(raft, token, request, add->voter, listener) ||
        !raft_change_ready(raft, token, RAFT_API_ADD_VOTER, "adding"))
        return;
    voters = raft_voters_now(raft);
    if (raft_voters_find(voters, add->voter.id)) {
        raft_change_reply(
            raft, token, RAFT_API_ADD_VOTER, ERR_DUPLICATE_VOTER,
            arena_format(&raft->queue.arena,
                         "The voter id for %s is already part of the set of voters %s.",
                         raft_key_text(raft, add->voter), raft_voters_text(raft, voters)));
        return;
    }
    if (!raft_send(raft, add->voter.id,
                   raft_endpoints_find(add->endpoints, raft->options.default_listener), &ask)) {
        raft_change_reply(raft, token, RAFT_API_ADD_VOTER, ERR_REQUEST_TIMED_OUT,
                          arena_format(&raft->queue.arena,
                                       "New voter %s is not ready to receive requests",
                                       raft_key_text(raft, add->voter)));
        return;
    }
    raft->leadership.change = (struct raft_change){
        .kind = RAFT_CHANGE_ADD_ASKING,
        .token = token,
        .ack_when_committed = add->ack_when_committed,
        .voter = raft_block_voters(raft, (struct raft_voters){&voter, 1}),
        .deadline_ms = raft_after(raft, raft->options.request_timeout_ms),
    };
}

static bool range_fits(const struct raft *raft, const struct raft_versions_answer *versions)
{
    int16_t level = raft_kraft_version_now(raft);

    return versions->has_kraft_version && versions->kraft_version_min <= level &&
           level <= versions->kraft_version_max;
}

static void voter_append(struct raft *raft, const struct raft_versions_answer *versions)
{
    struct raft_change *change = &raft->leadership.change;
    struct raft_voter voter = change->voter->voters.items[0];
    struct raft_voters voters;

    voter.kraft_version_min = versions->kraft_version_min;
    voter.kraft_version_max = versions->kraft_version_max;
    voters = raft_voters_with(raft, raft_voters_now(raft), &voter);
    change->kind = RAFT_CHANGE_ADD;
    change->offset = raft_leader_append_voters(raft, -1, &voters);
    if (!change->ack_when_committed) {
        raft_change_reply(raft, change->token, RAFT_API_ADD_VOTER, OK, NULL);
        change->token = 0;
    }
}

bool raft_versions_reply(struct raft *raft, int32_t peer_id, const struct raft_reply *reply)
{
    struct raft_change *change = &raft->leadership.change;
    const struct raft_versions_answer *versions = &reply->versions;
    const char *key;

    ASSERT(raft->role == RAFT_LEADER); /* the end of a leadership forgets what it asked */
    if (change->kind != RAFT_CHANGE_ADD_ASKING)
        return true; /* the change was given up meanwhile */
    ASSERT(change->voter->voters.items[0].key.id ==
           peer_id); /* a change ends before the next asks */
    key = raft_key_text(raft, change->voter->voters.items[0].key);
    if (reply->error_top != OK || reply->error != OK) {
        enum err error = reply->error_top != OK ? reply->error_top : reply->error;

        raft_change_finish(raft, ERR_REQUEST_TIMED_OUT,
                           arena_format(&raft->queue.arena,
                                        "Aborted add voter operation for since API_VERSIONS "
                                        "returned an error %s",
                                        err_name(error)));
        return false;
    }
    if (!range_fits(raft, versions))
        raft_change_finish(
            raft, ERR_INVALID_REQUEST,
            arena_format(&raft->queue.arena,
                         "Aborted add voter operation for %s since the kraft.version range (min: "
                         "%d, max: %d) doesn't support the finalized version %d",
                         key, versions->has_kraft_version ? versions->kraft_version_min : 0,
                         versions->has_kraft_version ? versions->kraft_version_max : 0,
                         raft_kraft_version_now(raft)));
    else if (!raft_progress_caught_up(raft, change->voter->voters.items[0].key))
        raft_change_finish(raft, ERR_REQUEST_TIMED_OUT,
                           arena_format(&raft->queue.arena,
                                        "Aborted add voter operation for %s since it is lagging "
                                        "behind",
                                        key));
    else
        voter_append(raft, versions);
    return true;
}
