/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/vote.c: answering Vote, with and without pre-vote (KIP-595, KIP-996), and reading the answers.
 * Invariants  1. a vote is answered only when it is durable; a pre-vote changes nothing but the epoch.
 *             2. at most one candidate is voted for in an epoch.
 */
#include "raft/raft_internal.h"

static enum err request_check(const struct raft *raft, const struct raft_vote_request *vote)
{
    /* A candidate has raised its epoch and seen no record in it; a prospective one has not. */
    bool epoch_legal = vote->pre_vote ? vote->log_end.epoch <= vote->candidate_epoch
                                      : vote->log_end.epoch < vote->candidate_epoch;

    if (vote->log_end.offset < 0 || vote->log_end.epoch < 0 || !epoch_legal)
        return ERR_INVALID_REQUEST;
    return raft_check_voter_request(raft, vote->candidate.id, vote->candidate_epoch);
}

static bool vote_standard(const struct raft *raft, const struct raft_vote_request *vote,
                          bool up_to_date)
{
    if (raft->role != RAFT_UNATTACHED && raft->role != RAFT_PROSPECTIVE)
        return false;
    if (vote->candidate.id == raft->options.self.id)
        return false;        /* our own id on another machine */
    if (raft->voted.id >= 0) /* asked again: the answer stays, whatever became of the logs */
        return raft->voted.id == vote->candidate.id &&
               (uuid_is_zero(raft->voted.directory_id) ||
                uuid_equal(raft->voted.directory_id, vote->candidate.directory_id));
    return raft->leader_id < 0 && up_to_date;
}

static bool vote_granted(const struct raft *raft, const struct raft_vote_request *vote)
{
    bool up_to_date = raft_offset_epoch_compare(vote->log_end, raft_log_end(raft)) >= 0;

    if (!vote->pre_vote)
        return vote_standard(raft, vote, up_to_date);
    if (raft->role == RAFT_LEADER)
        return false;
    /* A follower that hears its leader does not help to depose it. */
    if (raft->role == RAFT_FOLLOWER && raft->fetched)
        return false;
    return up_to_date;
}

void raft_vote_request(struct raft *raft, uint64_t token, struct slice listener,
                       const struct raft_request *request)
{
    const struct raft_vote_request *vote = &request->vote;
    enum err err = request_check(raft, vote);
    bool granted = false;

    if (err == OK && vote->candidate_epoch > raft->epoch)
        raft_become_unattached(raft, vote->candidate_epoch, -1);
    if (err == OK && !raft_is_own_key(raft, vote->voter))
        err = ERR_INVALID_VOTER_KEY;
    if (err == OK)
        granted = vote_granted(raft, vote);
    if (granted && !vote->pre_vote && raft->voted.id < 0)
        raft_add_vote(raft, vote->candidate);
    LOG_DEBUG(raft->logger, "raft", "vote_asked", "node=%d by=%d epoch=%d pre_vote=%d granted=%d",
              raft->options.self.id, vote->candidate.id, vote->candidate_epoch, vote->pre_vote,
              granted);
    raft_emit_reply(raft, token, RAFT_API_VOTE, err, listener)->vote_granted = granted;
}

bool raft_vote_reply(struct raft *raft, int32_t peer_id, const struct raft_reply *reply)
{
    enum raft_handled handled;

    if (reply->error_top == ERR_UNSUPPORTED_VERSION && raft->role == RAFT_PROSPECTIVE) {
        raft_become_candidate(raft); /* the peer knows no pre-vote: ask for the vote itself */
        return true;
    }
    if (reply->error_top != OK)
        return false;
    handled = raft_common_reply(raft, reply);
    if (handled != RAFT_HANDLED_NOT)
        return handled == RAFT_HANDLED_OK;
    if (reply->error != OK)
        return false;
    if (raft->role != RAFT_CANDIDATE && raft->role != RAFT_PROSPECTIVE)
        return true;
    if (!raft_election_record(raft, peer_id, reply->vote_granted)) {
        LOG_ERROR(raft->logger, "raft", "vote_contradicts", "voter=%d epoch=%d granted=%d", peer_id,
                  raft->epoch, reply->vote_granted);
        return true;
    }
    raft_election_advance(raft);
    return true;
}
