/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/election.c: counting ballots, of pre-votes and of votes alike; one ballot for each voter.
 */
#include "raft/raft_internal.h"

static size_t count_in(const struct raft *raft, enum raft_ballot_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < raft->election.count; i++)
        count += raft->election.items[i].state == state;
    return count;
}

static size_t majority(const struct raft *raft)
{
    return raft->election.count / 2 + 1;
}

bool raft_election_won(const struct raft *raft)
{
    return count_in(raft, RAFT_BALLOT_GRANTED) >= majority(raft);
}

bool raft_election_lost(const struct raft *raft)
{
    return count_in(raft, RAFT_BALLOT_GRANTED) + count_in(raft, RAFT_BALLOT_OPEN) < majority(raft);
}

void raft_election_begin(struct raft *raft)
{
    struct raft_voters voters = raft_voters_now(raft);
    struct raft_election *election = &raft->election;

    election->count = 0;
    for (size_t i = 0; i < voters.count; i++) {
        struct raft_replica_key key = voters.items[i].key;

        if (!RAFT_RESERVE(raft, election->items, election->capacity, election->count))
            return;
        election->items[election->count++] = (struct raft_ballot){
            key, key.id == raft->options.self.id ? RAFT_BALLOT_GRANTED : RAFT_BALLOT_OPEN};
    }
}

bool raft_election_record(struct raft *raft, int32_t voter_id, bool granted)
{
    enum raft_ballot_state state = granted ? RAFT_BALLOT_GRANTED : RAFT_BALLOT_REFUSED;
    struct raft_ballot *ballot = raft->election.items;

    while (ballot->voter.id != voter_id) {
        ballot++;
        ASSERT(ballot < raft->election.items + raft->election.count); /* only voters are asked */
    }
    /* A vote is given once; what a pre-vote says may change with the voter's log. */
    if (raft->role == RAFT_CANDIDATE && ballot->state != RAFT_BALLOT_OPEN && ballot->state != state)
        return false;
    ballot->state = state;
    return true;
}

void raft_prospective_lost(struct raft *raft)
{
    ASSERT(raft->role == RAFT_PROSPECTIVE);
    if (raft->leader_id >= 0 && raft->leader_endpoints) {
        struct raft_endpoints endpoints =
            raft_scratch_endpoints(raft, raft->leader_endpoints->endpoints);

        if (endpoints.count > 0)
            raft_become_follower(raft, raft->epoch, raft->leader_id, endpoints);
        return;
    }
    raft_become_unattached(raft, raft->epoch, raft->leader_id);
}

void raft_election_advance(struct raft *raft)
{
    if (raft_election_won(raft)) {
        if (raft->role == RAFT_PROSPECTIVE)
            raft_become_candidate(raft);
        else
            raft_become_leader(raft);
    } else if (raft_election_lost(raft) && raft->role == RAFT_PROSPECTIVE) {
        raft_prospective_lost(raft);
    } /* a candidate that cannot win any more waits for its timer: the back-off between elections */
}

void raft_election_send(struct raft *raft)
{
    struct raft_voters voters = raft_voters_now(raft);
    struct raft_request request = {
        .api = RAFT_API_VOTE,
        .vote = {.candidate = raft->options.self,
                 .candidate_epoch = raft->epoch,
                 .log_end = raft_log_end(raft),
                 .pre_vote = raft->role == RAFT_PROSPECTIVE},
    };

    if (raft_election_lost(raft))
        return;
    for (size_t i = 0; i < raft->election.count; i++) {
        const struct raft_ballot *ballot = &raft->election.items[i];
        const struct raft_voter *voter = raft_voters_find(voters, ballot->voter.id);

        ASSERT(voter); /* sets change under followers and leaders, not under nominees */
        if (ballot->state != RAFT_BALLOT_OPEN)
            continue;
        request.vote.voter = ballot->voter;
        raft_send(raft, ballot->voter.id, raft_voter_endpoint(raft, voter), &request);
    }
}
