/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/update_voter.c: UpdateRaftVoter: a voter tells the leader its endpoints and its range of
 * kraft.version; and the requests by which an observer makes itself a voter (KIP-853, auto-join).
 */
#include "raft/raft_internal.h"

static enum err voters_update(struct raft *raft, const struct raft_update_voter_request *update)
{
    struct raft_leadership *leadership = &raft->leadership;
    int16_t kraft_version = raft_kraft_version_now(raft);
    struct raft_voter voter = {update->voter, update->endpoints, update->kraft_version_min,
                               update->kraft_version_max};
    struct raft_voters voters;
    struct raft_block *block;

    ASSERT(kraft_version > 0 || leadership->known_voters); /* made when the epoch began */
    if (kraft_version > 0 && raft_voters_offset(raft) >= leadership->high_watermark)
        return ERR_REQUEST_TIMED_OUT;
    if (update->kraft_version_min > kraft_version || update->kraft_version_max < kraft_version)
        return ERR_INVALID_REQUEST;
    voters = kraft_version > 0 ? raft_voters_now(raft) : leadership->known_voters->voters;
    if (kraft_version > 0 ? !raft_voters_contain(voters, update->voter)
                          : !raft_voters_find(voters, update->voter.id))
        return ERR_VOTER_NOT_FOUND;
    voters = raft_voters_with(raft, voters, &voter);
    if (kraft_version > 0) {
        raft_leader_append_voters(raft, -1, &voters);
        return OK;
    }
    block = raft_block_voters(raft, voters);
    raft_block_free(raft, &leadership->known_voters);
    leadership->known_voters = block;
    return OK;
}

void raft_update_voter_request(struct raft *raft, uint64_t token, struct slice listener,
                               const struct raft_request *request)
{
    const struct raft_update_voter_request *update = &request->update_voter;
    enum err err;

    if (!raft_change_admitted(raft, token, request, update->voter, listener))
        return;
    err = voters_update(raft, update);
    if (err == OK)
        raft_progress_seen(raft, update->voter);
    raft_emit_reply(raft, token, RAFT_API_UPDATE_VOTER, err, listener);
}

bool raft_update_voter_reply(struct raft *raft, const struct raft_reply *reply)
{
    enum err error = reply->error_top != OK ? reply->error_top : reply->error;
    enum raft_handled handled;

    ASSERT(raft->role == RAFT_FOLLOWER); /* another role forgets what this one asked */
    if (error == ERR_UNSUPPORTED_VERSION) {
        raft->told_leader = true; /* an old leader that keeps no such entries */
        raft_follow_refresh(raft);
        return true;
    }
    if (reply->error_top != OK)
        return false;
    handled = raft_common_reply(raft, reply);
    if (handled != RAFT_HANDLED_NOT)
        return handled == RAFT_HANDLED_OK;
    if (reply->error != OK)
        return false;
    raft->told_leader = true;
    raft_follow_refresh(raft);
    return true;
}

static void update_restart(struct raft *raft)
{
    raft->update_deadline_ms = raft_after(raft, MAX(raft->options.fetch_timeout_ms, 1));
    raft_wake_at(raft, raft->update_deadline_ms);
}

void raft_update_send(struct raft *raft)
{
    bool wanted =
        raft_kraft_version_now(raft) > 0 ? raft_own_voter_outdated(raft) : !raft->told_leader;
    struct raft_request request = {
        .api = RAFT_API_UPDATE_VOTER,
        .update_voter = {.voter = raft->options.self,
                         .current_leader_epoch = raft->epoch,
                         .endpoints = raft->options.endpoints,
                         .kraft_version_min = raft->options.kraft_version_min,
                         .kraft_version_max = raft->options.kraft_version_max},
    };

    if (!wanted) {
        raft_send_fetch_best(raft);
        update_restart(raft);
    } else if (raft_send_leader(raft, &request)) {
        update_restart(raft);
    }
}

bool raft_join_send(struct raft *raft)
{
    const struct raft_voter *old = raft_voters_find(raft_voters_now(raft), raft->options.self.id);
    struct raft_request request = {.api = old ? RAFT_API_REMOVE_VOTER : RAFT_API_ADD_VOTER};

    if (!raft->options.auto_join || !raft->options.can_vote || raft_kraft_version_now(raft) == 0)
        return false;
    if (old) { /* our id with another directory: the disk was replaced */
        request.remove_voter.voter = old->key;
    } else {
        request.add_voter.voter = raft->options.self;
        request.add_voter.endpoints = raft->options.endpoints;
    }
    if (raft_send_leader(raft, &request))
        update_restart(raft);
    return true;
}

bool raft_join_reply(struct raft *raft, const struct raft_reply *reply, enum err done)
{
    enum err error = reply->error_top != OK ? reply->error_top : reply->error;

    if (error != OK && error != ERR_REQUEST_TIMED_OUT && error != done)
        return false;
    ASSERT(raft->role == RAFT_FOLLOWER); /* another role forgets what this one asked */
    update_restart(raft);
    return true;
}
