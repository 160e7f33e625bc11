/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/timeout.c: what the passing of time, and nothing else, makes a replica do; looked at after every
 * event. A state move asks for another look, because the new state may have something to send.
 */
#include "raft/raft_internal.h"

/* More moves than this in one step would be a loop of zero timeouts: the rest waits a millisecond. */
#define ROUNDS_MAX 16

static void poll_leader(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    bool alone = raft_progress_voter_count(raft) == 1;
    bool quorum_lost = !alone && raft_due(raft, leadership->check_quorum_deadline_ms);

    if (raft->stopping || leadership->resign_asked || quorum_lost) {
        if (quorum_lost)
            LOG_WARN(raft->logger, "raft", "quorum_lost", "node=%d epoch=%d", raft->options.self.id,
                     raft->epoch);
        raft_become_resigned(raft, true);
        return;
    }
    if (raft_due(raft, leadership->change.deadline_ms))
        raft_change_finish(raft, ERR_REQUEST_TIMED_OUT, NULL);
    raft_fetches_wake(raft);
    raft_begin_send(raft);
    if (!alone)
        raft_wake_at(raft, leadership->check_quorum_deadline_ms);
    raft_wake_at(raft, leadership->change.deadline_ms);
}

static void poll_nominee(struct raft *raft)
{
    if (!raft->stopping && raft_due(raft, raft->election_deadline_ms)) {
        if (raft->role == RAFT_CANDIDATE)
            raft_become_prospective(raft);
        else
            raft_prospective_lost(raft);
        return;
    }
    raft_election_send(raft);
    if (!raft->stopping) /* whose time may be over, and nothing comes of it any more */
        raft_wake_at(raft, raft->election_deadline_ms);
}

/* While a snapshot takes the place of the log nobody knows where that log ends. */
static bool may_stand(const struct raft *raft)
{
    return raft_is_voter(raft) && !raft->download.installing;
}

static void poll_follower(struct raft *raft)
{
    bool votes = may_stand(raft);

    ASSERT(!raft->stopping); /* another leads: the stop was complete at once */
    if (votes && raft_due(raft, raft->fetch_deadline_ms)) {
        raft_become_prospective(raft);
        return;
    }
    if (votes)
        raft_wake_at(raft, raft->fetch_deadline_ms);
    if (raft_due(raft, raft->update_deadline_ms)) {
        if (raft_is_voter(raft))
            raft_update_send(raft);
        else if (!raft_join_send(raft))
            raft_send_fetch_best(raft);
    } else {
        raft_send_fetch_best(raft);
        raft_wake_at(raft, raft->update_deadline_ms);
    } /* what is due and could not be sent waits for its peer */
}

static void poll_unattached(struct raft *raft)
{
    bool votes = may_stand(raft);

    if (raft->stopping)
        return;
    if (votes && raft_due(raft, raft->election_deadline_ms)) {
        raft_become_prospective(raft);
        return;
    }
    raft_send_fetch_bootstrap(raft);
    if (votes)
        raft_wake_at(raft, raft->election_deadline_ms);
}

static void poll_resigned(struct raft *raft)
{
    raft_end_send(raft);
    if (raft->stopping)
        return;
    if (raft_due(raft, raft->election_deadline_ms)) {
        if (raft->epoch < INT32_MAX)
            raft_become_unattached(raft, raft->epoch + 1, -1);
        return;
    }
    raft_wake_at(raft, raft->election_deadline_ms);
}

static void poll_role(struct raft *raft)
{
    switch (raft->role) {
    case RAFT_LEADER:
        poll_leader(raft);
        break;
    case RAFT_PROSPECTIVE:
    case RAFT_CANDIDATE:
        poll_nominee(raft);
        break;
    case RAFT_FOLLOWER:
        poll_follower(raft);
        break;
    case RAFT_UNATTACHED:
        poll_unattached(raft);
        break;
    case RAFT_RESIGNED:
        poll_resigned(raft);
        break;
    }
}

/* A stop is complete when others lead, when there are no others, or when it took too long. */
static bool poll_stop(struct raft *raft)
{
    bool led_by_another = raft->leader_id >= 0 && raft->leader_id != raft->options.self.id;

    if (!raft->stopping)
        return false;
    if (!raft->stopped && (!raft_is_voter(raft) || raft_is_only_voter(raft) || led_by_another ||
                           raft_due(raft, raft->stop_deadline_ms))) {
        raft->stopped = true;
        raft_fetches_refuse(raft, ERR_BROKER_NOT_AVAILABLE);
        raft_emit(raft, RAFT_EFFECT_STOPPED);
    }
    return raft->stopped;
}

void raft_poll(struct raft *raft)
{
    for (int round = 0; round < ROUNDS_MAX && !raft->failed; round++) {
        raft->moved = false;
        raft->deadline_ms = INT64_MAX;
        if (poll_stop(raft))
            return;
        raft_wake_at(raft, raft->stop_deadline_ms);
        poll_role(raft);
        if (!raft->moved) {
            raft->deadline_ms = MAX(raft->deadline_ms, raft->now_ms);
            return;
        }
    }
    raft->deadline_ms = raft->now_ms + 1;
}
