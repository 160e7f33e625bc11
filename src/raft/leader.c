/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/leader.c: what a leader appends, and how it gives up.
 * Invariants  1. the first batch of an epoch is the leader's own, with the LeaderChange record.
 *             2. a leader never cuts or overwrites its log.   3. the voter set of an appended Voters
 *             record is in force at once.
 */
#include "raft/raft_internal.h"

static void append_control(struct raft *raft, struct raft_control control)
{
    int64_t base_offset = raft_log_extend(raft, raft->epoch, control.record_count);
    struct raft_effect *effect;

    effect = raft_emit(raft, RAFT_EFFECT_APPEND_CONTROL);
    effect->append_control.era = raft->log.era;
    effect->append_control.base_offset = base_offset;
    effect->append_control.epoch = raft->epoch;
    effect->append_control.control = control;
    if (control.kraft_version >= 0)
        raft_kraft_version_put(raft, raft->log.end_offset - 1, control.kraft_version);
    if (control.voters)
        raft_voters_put(raft, raft->log.end_offset - 1, *control.voters);
    if (control.kraft_version >= 0 || control.voters) {
        raft_progress_sync(raft);
        raft_emit_voters(raft);
    }
}

static const struct raft_voters *voters_in_scratch(struct raft *raft, struct raft_voters from)
{
    struct raft_voters *voters = raft_scratch(raft, sizeof *voters);

    if (voters)
        *voters = raft_scratch_voters(raft, from);
    return voters;
}

static void control_leader_change(struct raft *raft, struct raft_control *control)
{
    struct raft_voters voters = raft_voters_now(raft);
    int32_t *granting = raft_scratch(raft, raft->election.count * sizeof *granting);

    control->leader_change = true;
    control->leader_id = raft->options.self.id;
    control->voter_ids = raft_scratch_ids(raft, voters);
    control->voter_id_count = voters.count;
    control->granting_ids = granting;
    for (size_t i = 0; granting && i < raft->election.count; i++)
        if (raft->election.items[i].state == RAFT_BALLOT_GRANTED)
            granting[control->granting_id_count++] = raft->election.items[i].voter.id;
    control->record_count++;
}

void raft_leader_append_start(struct raft *raft)
{
    struct raft_control control = {.kraft_version = -1};
    int16_t kraft_version = raft_kraft_version_now(raft);
    struct raft_voters voters = raft_voters_now(raft);
    struct raft_voter own = raft_own_voter(raft);

    control_leader_change(raft, &control);
    /* A set that is known from the bootstrap snapshot alone reaches nobody by replication, and an
     * entry of ours that is outdated misleads others: both go into the log now (KIP-853). */
    if (kraft_version > 0 && (raft_voters_offset(raft) <= -1 || raft_own_voter_outdated(raft))) {
        control.kraft_version = kraft_version;
        control.voters = voters_in_scratch(raft, raft_voters_with(raft, voters, &own));
        control.record_count += 2;
    }
    if (kraft_version == 0)
        raft->leadership.known_voters =
            raft_block_voters(raft, raft_voters_with(raft, voters, &own));
    append_control(raft, control);
}

int64_t raft_leader_append_voters(struct raft *raft, int16_t kraft_version,
                                  const struct raft_voters *voters)
{
    struct raft_control control = {.kraft_version = kraft_version};

    ASSERT(raft->role == RAFT_LEADER);
    control.record_count = (kraft_version >= 0) + 1;
    control.voters = voters_in_scratch(raft, *voters);
    append_control(raft, control);
    raft->leadership.begin_deadline_ms = raft->now_ms; /* who is new shall hear of us */
    return raft->log.end_offset - 1;
}

enum err raft_submit(struct raft *raft, const struct raft_event *event, struct raft_effects *out)
{
    struct raft_effect *effect;

    if (raft->role != RAFT_LEADER || event->submit.epoch != raft->epoch ||
        raft->leadership.resign_asked || raft->stopping)
        return ERR_NOT_CONTROLLER;
    if (event->submit.size_bytes > RAFT_BATCH_BYTES_MAX)
        return ERR_TOO_LARGE;
    ASSERT(event->submit.record_count > 0);
    out->submit_base_offset = raft_log_extend(raft, raft->epoch, event->submit.record_count);
    effect = raft_emit(raft, RAFT_EFFECT_APPEND);
    effect->append.era = raft->log.era;
    effect->append.base_offset = out->submit_base_offset;
    effect->append.epoch = raft->epoch;
    effect->append.token = event->submit.token;
    return OK;
}

void raft_resign(struct raft *raft, int32_t epoch)
{
    if (raft->role == RAFT_LEADER && raft->epoch == epoch)
        raft->leadership.resign_asked = true;
}
