/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/role.c: the states of a replica and the moves between them (KIP-595, KIP-996).
 *
 *        ┌────────────┐ election timer ┌─────────────┐ majority of pre-votes ┌───────────┐
 *   ┌───►│ Unattached ├───────────────►│ Prospective ├──────────────────────►│ Candidate │
 *   │    │ (voted?)   │◄───────────────┤ (voted?)    │◄──────────────────────┤ epoch + 1 │
 *   │    └─────┬──────┘ refused, timer └──┬───────▲──┘    election timer     └─────┬─────┘
 *   │          │ leader                   │ lost  │ fetch timer                    │ majority
 *   │          │ learned                  ▼       │                                ▼
 *   │          │                       ┌──────────┴─┐                         ┌────────┐
 *   │          └──────────────────────►│  Follower  │                         │ Leader │
 *   │                                  └────────────┘                         └───┬────┘
 *   │ election timer: epoch + 1        ┌────────────┐  stop, resign, no quorum    │
 *   └──────────────────────────────────┤  Resigned  │◄────────────────────────────┘
 *                                      └────────────┘
 *   From anywhere: a higher epoch leads to Follower (its leader is known) or Unattached.
 *
 * Invariants  1. the epoch never falls.   2. one vote per epoch, and it is durable before it is told.
 *             3. Leader only out of Candidate, in the epoch of its own vote.   4. observers are only
 *             Unattached or Follower.   5. a restarted leader never leads its old epoch again.
 */
#include "raft/raft_internal.h"

#define TO(role) (1u << (role))
static const struct {
    const char *name;
    unsigned next;
    bool voters_only;
} roles[] = {
    [RAFT_UNATTACHED] = {"Unattached",
                         TO(RAFT_UNATTACHED) | TO(RAFT_PROSPECTIVE) | TO(RAFT_FOLLOWER), false},
    [RAFT_PROSPECTIVE] = {"Prospective",
                          TO(RAFT_UNATTACHED) | TO(RAFT_CANDIDATE) | TO(RAFT_FOLLOWER), true},
    [RAFT_CANDIDATE] = {"Candidate",
                        TO(RAFT_UNATTACHED) | TO(RAFT_PROSPECTIVE) | TO(RAFT_FOLLOWER) |
                            TO(RAFT_LEADER),
                        true},
    [RAFT_FOLLOWER] = {"Follower", TO(RAFT_UNATTACHED) | TO(RAFT_PROSPECTIVE) | TO(RAFT_FOLLOWER),
                       false},
    [RAFT_LEADER] = {"Leader", TO(RAFT_RESIGNED) | TO(RAFT_UNATTACHED) | TO(RAFT_FOLLOWER), true},
    [RAFT_RESIGNED] = {"Resigned", TO(RAFT_UNATTACHED) | TO(RAFT_FOLLOWER), false},
};

const char *raft_role_name(enum raft_role role)
{
    return roles[role].name;
}

static const struct raft_replica_key nobody = {.id = -1};

int64_t raft_random_election_ms(struct raft *raft)
{
    int64_t base_ms = raft->options.election_timeout_ms;

    return base_ms <= 0 ? 0 : base_ms + (int64_t)random_below(&raft->random, (uint64_t)base_ms);
}

struct move {
    enum raft_role role;
    int32_t epoch;
    int32_t leader_id;
    struct raft_block *endpoints; /* of the leader; owned */
    struct raft_replica_key voted;
    bool durable;
};

static void leadership_release(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;

    for (size_t i = 0; i < leadership->parked_count; i++)
        raft_block_free(raft, &leadership->parked[i].listener);
    raft_block_free(raft, &leadership->known_voters);
    raft_block_free(raft, &leadership->change.voter);
    RAFT_FREE_ARRAY(raft, leadership->parked, leadership->parked_capacity);
    RAFT_FREE_ARRAY(raft, leadership->replicas, leadership->replica_capacity);
    *leadership = (struct raft_leadership){0};
}

/* Who waits for this leader learns that it is none any more. */
static void leadership_end(struct raft *raft)
{
    raft_fetches_refuse(raft, ERR_NOT_LEADER_OR_FOLLOWER);
    raft_change_finish(raft, ERR_NOT_LEADER_OR_FOLLOWER, NULL);
    leadership_release(raft);
}

static void emit_role(struct raft *raft)
{
    struct raft_effect *effect = raft_emit(raft, RAFT_EFFECT_ROLE);

    effect->role.role = raft->role;
    effect->role.epoch = raft->epoch;
    effect->role.leader_id = raft->leader_id;
    effect->role.epoch_start_offset =
        raft->role == RAFT_LEADER ? raft->leadership.epoch_start_offset : -1;
}

static void enter(struct raft *raft, const struct move *move)
{
    enum raft_role from = raft->role;
    bool news = from != move->role || raft->epoch != move->epoch ||
                raft->leader_id != move->leader_id || !raft->started;

    /* A start may begin in any state; after it the table holds. */
    ASSERT(!raft->started || (roles[from].next & TO(move->role)) != 0);
    ASSERT(!roles[move->role].voters_only || raft_is_voter(raft));
    ASSERT(move->epoch >= raft->epoch);
    LOG_INFO(raft->logger, "raft", "role", "node=%d from=%s to=%s epoch=%d leader=%d voted=%d",
             raft->options.self.id, roles[from].name, roles[move->role].name, move->epoch,
             move->leader_id, move->voted.id);
    raft->role = move->role;
    raft->epoch = move->epoch;
    raft->leader_id = move->leader_id;
    if (raft->leader_endpoints != move->endpoints)
        raft_block_free(raft, &raft->leader_endpoints);
    raft->leader_endpoints = move->endpoints;
    raft->voted = move->voted;
    if (move->durable)
        raft_persist(raft);
    if (from == RAFT_LEADER)
        leadership_end(raft);
    if (from == RAFT_FOLLOWER)
        raft_download_drop(raft);
    raft->election_deadline_ms = raft->fetch_deadline_ms = raft->update_deadline_ms = INT64_MAX;
    raft->leader_high_watermark = -1;
    raft_peers_reset(raft);
    raft->moved = true;
    if (news)
        emit_role(raft);
}

/* An election timer that already runs goes on: a peer that raises epochs over and over cannot keep
 * this node from standing itself. */
static int64_t unattached_deadline(struct raft *raft)
{
    bool keeps = raft->role == RAFT_CANDIDATE || raft->role == RAFT_UNATTACHED ||
                 raft->role == RAFT_RESIGNED ||
                 (raft->role == RAFT_PROSPECTIVE && !raft_election_lost(raft));

    if (!raft_is_voter(raft))
        return INT64_MAX;
    if (keeps && raft->election_deadline_ms != INT64_MAX)
        return raft->election_deadline_ms;
    return raft_after(raft, raft_random_election_ms(raft));
}

void raft_become_unattached(struct raft *raft, int32_t epoch, int32_t leader_id)
{
    int64_t deadline_ms = unattached_deadline(raft);

    enter(raft, &(struct move){
                    .role = RAFT_UNATTACHED,
                    .epoch = epoch,
                    .leader_id = leader_id,
                    .voted = epoch == raft->epoch ? raft->voted : nobody,
                    .durable = true,
                });
    raft->election_deadline_ms = deadline_ms;
}

void raft_become_prospective(struct raft *raft)
{
    enter(raft, &(struct move){
                    .role = RAFT_PROSPECTIVE,
                    .epoch = raft->epoch,
                    .leader_id = raft->leader_id,
                    .endpoints = raft->leader_endpoints,
                    .voted = raft->voted,
                });
    raft->election_deadline_ms = raft_after(raft, raft_random_election_ms(raft));
    raft_election_begin(raft);
    raft_election_advance(raft);
}

void raft_become_candidate(struct raft *raft)
{
    if (raft->epoch == INT32_MAX) { /* only a broken or hostile peer can bring us here */
        LOG_ERROR(raft->logger, "raft", "epochs_exhausted", "epoch=%d", raft->epoch);
        return;
    }
    enter(raft, &(struct move){
                    .role = RAFT_CANDIDATE,
                    .epoch = raft->epoch + 1,
                    .leader_id = -1,
                    .voted = raft->options.self,
                    .durable = true,
                });
    raft->election_deadline_ms = raft_after(raft, raft_random_election_ms(raft));
    raft_election_begin(raft);
    raft_election_advance(raft);
}

void raft_become_leader(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;

    ASSERT(raft_election_won(raft));
    leadership->epoch_start_offset = raft->log.end_offset;
    leadership->high_watermark = -1;
    leadership->begin_deadline_ms = raft->now_ms;
    leadership->check_quorum_deadline_ms =
        raft_after(raft, raft->options.fetch_timeout_ms + raft->options.fetch_timeout_ms / 2);
    leadership->change.deadline_ms = INT64_MAX;
    enter(raft, &(struct move){
                    .role = RAFT_LEADER,
                    .epoch = raft->epoch,
                    .leader_id = raft->options.self.id,
                    .voted = nobody,
                    .durable = true,
                });
    raft_progress_sync(raft);
    raft_leader_append_start(raft);
}

void raft_become_follower(struct raft *raft, int32_t epoch, int32_t leader_id,
                          struct raft_endpoints endpoints)
{
    ASSERT(leader_id != raft->options.self.id);
    ASSERT(endpoints.count > 0);
    enter(raft, &(struct move){
                    .role = RAFT_FOLLOWER,
                    .epoch = epoch,
                    .leader_id = leader_id,
                    .endpoints = raft_block_endpoints(raft, endpoints),
                    .voted = epoch == raft->epoch ? raft->voted : nobody,
                    .durable = true,
                });
    raft->fetch_deadline_ms = raft_after(raft, raft->options.fetch_timeout_ms);
    raft->update_deadline_ms = raft->fetch_deadline_ms;
    raft->fetched = false;
    raft->told_leader = false;
}

void raft_become_resigned(struct raft *raft, bool with_successors)
{
    raft->resignation.preferred_count = 0;
    raft->resignation.acknowledged_count = 0;
    if (with_successors)
        raft_progress_successors(raft);
    enter(raft, &(struct move){
                    .role = RAFT_RESIGNED,
                    .epoch = raft->epoch,
                    .leader_id = raft->options.self.id,
                    .voted = nobody,
                });
    raft->election_deadline_ms = raft_after(raft, raft_random_election_ms(raft));
}

void raft_add_vote(struct raft *raft, struct raft_replica_key candidate)
{
    ASSERT(raft->role == RAFT_UNATTACHED || raft->role == RAFT_PROSPECTIVE);
    ASSERT(raft->voted.id == -1);
    ASSERT(candidate.id != raft->options.self.id);
    raft->voted = candidate;
    raft_persist(raft);
    LOG_INFO(raft->logger, "raft", "vote", "node=%d epoch=%d voted=%d", raft->options.self.id,
             raft->epoch, candidate.id);
    if (raft->role == RAFT_PROSPECTIVE)
        raft_election_begin(raft);
    if (raft_is_voter(raft))
        raft->election_deadline_ms = raft_after(raft, raft_random_election_ms(raft));
}

void raft_role_release(struct raft *raft)
{
    leadership_release(raft);
    raft_block_free(raft, &raft->leader_endpoints);
    RAFT_FREE_ARRAY(raft, raft->election.items, raft->election.capacity);
    RAFT_FREE_ARRAY(raft, raft->resignation.preferred, raft->resignation.preferred_capacity);
    RAFT_FREE_ARRAY(raft, raft->resignation.acknowledged, raft->resignation.acknowledged_capacity);
}
