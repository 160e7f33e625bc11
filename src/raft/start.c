/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/start.c: the state in which a replica wakes up, from what it had stored.
 *
 *   stored epoch < epoch of the log's end   → Unattached in the log's epoch
 *   stored leader = self                    → Resigned (what it promised as leader is unknown now)
 *   stored vote = self                      → Candidate of the same epoch: it asks again
 *   stored leader, endpoints known          → Follower
 *   otherwise                               → Unattached, vote and leader id kept
 *   …and the only voter of its quorum stands for election at once.
 */
#include "raft/raft_internal.h"

static void log_take(struct raft *raft, const struct raft_start *start)
{
    struct raft_log *log = &raft->log;

    ASSERT(start->log_start_offset <= start->log_end_offset);
    log->start_offset = start->log_start_offset;
    log->end_offset = log->written_offset = log->flushed_offset = start->log_end_offset;
    for (size_t i = 0; i < start->epoch_count; i++)
        if (RAFT_RESERVE(raft, log->epochs, log->epoch_capacity, log->epoch_count))
            log->epochs[log->epoch_count++] = start->epochs[i];
    for (size_t i = 0; i < start->snapshot_count; i++)
        raft_snapshot_add(raft, start->snapshots[i]);
    for (size_t i = 0; i < start->voters_count; i++)
        raft_voters_put(raft, start->voters[i].offset, start->voters[i].voters);
    for (size_t i = 0; i < start->kraft_version_count; i++)
        raft_kraft_version_put(raft, start->kraft_versions[i].offset,
                               start->kraft_versions[i].kraft_version);
}

static bool is_self(const struct raft *raft, int32_t id, struct uuid directory_id)
{
    return id == raft->options.self.id && uuid_equal(directory_id, raft->options.self.directory_id);
}

static void role_take(struct raft *raft, const struct raft_quorum_state *stored)
{
    const struct raft_voter *leader = raft_voters_find(raft_voters_now(raft), stored->leader_id);
    int32_t log_epoch = raft_log_last_epoch(raft);

    raft->epoch = stored->leader_epoch;
    if (stored->leader_epoch < log_epoch) {
        LOG_WARN(raft->logger, "raft", "epoch_behind_log", "stored=%d log=%d", stored->leader_epoch,
                 log_epoch);
        raft_become_unattached(raft, log_epoch, -1);
        return;
    }
    if (stored->leader_id == raft->options.self.id) {
        raft_become_resigned(raft, false);
        return;
    }
    raft->voted.id = stored->voted_id;
    raft->voted.directory_id = stored->voted_directory_id;
    if (is_self(raft, stored->voted_id, stored->voted_directory_id) && raft_is_voter(raft)) {
        raft->epoch--; /* the move raises it again */
        raft_become_candidate(raft);
        return;
    }
    if (stored->leader_id >= 0 && leader && leader->endpoints.count > 0)
        raft_become_follower(raft, raft->epoch, stored->leader_id, leader->endpoints);
    else
        raft_become_unattached(raft, raft->epoch, stored->leader_id);
}

void raft_start(struct raft *raft, const struct raft_start *start)
{
    struct raft_quorum_state none = raft_quorum_state_none();

    log_take(raft, start);
    raft_emit_voters(raft);
    role_take(raft, start->quorum_state ? start->quorum_state : &none);
    if (raft_is_only_voter(raft) && raft->role != RAFT_LEADER)
        raft_become_prospective(raft);
    raft->started = true;
}
