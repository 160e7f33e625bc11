/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/progress.c: what the leader knows of the other replicas: how far their logs reach, when they
 * fetched last, whether enough of them still follow.
 * Invariants  1. each voter of the set in force has one entry; every other entry is an observer.
 *             2. a voter's end offset is what it fetched at: a voter fetches at its flushed end.
 *             3. whoever fetches may name himself as he likes: observers are RAFT_OBSERVERS_MAX at most.
 */
#include "raft/raft_internal.h"

static bool key_matches(struct raft_replica_key known, struct raft_replica_key key)
{
    return known.id == key.id &&
           (uuid_is_zero(known.directory_id) || uuid_equal(known.directory_id, key.directory_id));
}

struct raft_replica *raft_progress_find(struct raft *raft, struct raft_replica_key key, bool make)
{
    struct raft_leadership *leadership = &raft->leadership;
    struct raft_replica *replica;

    for (size_t i = 0; i < leadership->replica_count; i++) {
        replica = &leadership->replicas[i];
        if (replica->is_voter ? key_matches(replica->key, key)
                              : replica->key.id == key.id &&
                                    uuid_equal(replica->key.directory_id, key.directory_id))
            return replica;
    }
    if (!make || key.id < 0 ||
        !RAFT_RESERVE(raft, leadership->replicas, leadership->replica_capacity,
                      leadership->replica_count))
        return NULL;
    replica = &leadership->replicas[leadership->replica_count++];
    *replica = (struct raft_replica){.key = key,
                                     .end_offset = -1,
                                     .fetched_ms = -1,
                                     .leader_end_at_fetch = -1,
                                     .caught_up_ms = -1};
    return replica;
}

static void check_quorum_restart(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;

    for (size_t i = 0; i < leadership->replica_count; i++)
        leadership->replicas[i].counted = false;
    leadership->check_quorum_deadline_ms =
        raft_after(raft, raft->options.fetch_timeout_ms + raft->options.fetch_timeout_ms / 2);
}

/* The entry of a voter of the new set: an observer that became one keeps its progress, and so does a
 * voter whose directory was not known before. */
static struct raft_replica *entry_of(struct raft *raft, struct raft_replica_key key)
{
    struct raft_leadership *leadership = &raft->leadership;

    for (size_t i = 0; i < leadership->replica_count; i++) {
        struct raft_replica *replica = &leadership->replicas[i];

        if (replica->key.id == key.id && uuid_equal(replica->key.directory_id, key.directory_id))
            return replica;
    }
    return raft_progress_find(raft, key, true);
}

void raft_progress_sync(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    struct raft_voters voters = raft_voters_now(raft);
    bool was_alone = raft_progress_voter_count(raft) <= 1;

    for (size_t i = 0; i < leadership->replica_count; i++)
        leadership->replicas[i].listed = false;
    for (size_t i = 0; i < voters.count; i++) {
        struct raft_replica *replica = entry_of(raft, voters.items[i].key);

        if (!replica)
            return; /* no memory: raft_fail was called */
        replica->key = voters.items[i].key;
        replica->listed = true;
    }
    for (size_t i = 0; i < leadership->replica_count; i++)
        leadership->replicas[i].is_voter = leadership->replicas[i].listed;
    if (was_alone) /* nobody was counted while nobody was needed */
        check_quorum_restart(raft);
}

size_t raft_progress_voter_count(const struct raft *raft)
{
    size_t count = 0;

    for (size_t i = 0; i < raft->leadership.replica_count; i++)
        count += raft->leadership.replicas[i].is_voter;
    return count;
}

void raft_progress_seen(struct raft *raft, struct raft_replica_key key)
{
    struct raft_leadership *leadership = &raft->leadership;
    struct raft_replica *replica = raft_progress_find(raft, key, false);
    size_t needed = raft_progress_voter_count(raft) / 2 + 1;
    size_t counted = 0;

    if (replica && replica->is_voter && replica->key.id != raft->options.self.id)
        replica->counted = true;
    for (size_t i = 0; i < leadership->replica_count; i++)
        counted += leadership->replicas[i].is_voter && leadership->replicas[i].counted;
    if (raft_is_voter(raft))
        needed--; /* this node follows itself */
    if (counted >= needed)
        check_quorum_restart(raft);
}

/* Before the array grows for one more observer, those go that fell silent. */
static bool observer_fits(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    size_t voters = raft_progress_voter_count(raft);

    if (leadership->replica_count == leadership->replica_capacity ||
        leadership->replica_count - voters >= RAFT_OBSERVERS_MAX)
        raft_progress_forget_observers(raft);
    return leadership->replica_count - voters < RAFT_OBSERVERS_MAX;
}

void raft_progress_fetched(struct raft *raft, struct raft_replica_key key, int64_t fetch_offset)
{
    struct raft_replica *replica = raft_progress_find(raft, key, false);
    int64_t leader_end = raft->log.end_offset;

    if (!replica && key.id >= 0 && observer_fits(raft))
        replica = raft_progress_find(raft, key, true);
    if (!replica)
        return; /* not a replica, or one too many: served, not tracked */
    if (fetch_offset >= leader_end)
        replica->caught_up_ms = raft->now_ms;
    else if (replica->leader_end_at_fetch > 0 && fetch_offset >= replica->leader_end_at_fetch)
        replica->caught_up_ms = MAX(replica->caught_up_ms, replica->fetched_ms);
    replica->leader_end_at_fetch = leader_end;
    replica->fetched_ms = raft->now_ms;
    if (fetch_offset < replica->end_offset)
        LOG_WARN(raft->logger, "raft", "replica_went_back", "replica=%d from=%lld to=%lld", key.id,
                 (long long)replica->end_offset, (long long)fetch_offset);
    replica->end_offset = fetch_offset;
    raft_progress_seen(raft, key);
    raft_high_watermark_update(raft);
}

bool raft_progress_caught_up(struct raft *raft, struct raft_replica_key key)
{
    const struct raft_replica *replica = raft_progress_find(raft, key, false);

    return replica && replica->caught_up_ms >= 0 &&
           raft->now_ms - replica->fetched_ms < RAFT_CAUGHT_UP_MS;
}

void raft_progress_forget_observers(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    size_t kept = 0;

    for (size_t i = 0; i < leadership->replica_count; i++) {
        const struct raft_replica *replica = &leadership->replicas[i];

        if (replica->is_voter || replica->key.id == raft->options.self.id ||
            raft->now_ms - replica->fetched_ms < RAFT_OBSERVER_SESSION_MS)
            leadership->replicas[kept++] = *replica;
    }
    leadership->replica_count = kept;
}

void raft_progress_successors(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    struct raft_resignation *resignation = &raft->resignation;
    int64_t bound_offset = INT64_MAX;
    int32_t bound_id = -1;

    /* Selection by (end offset falling, id rising); the sets are small. */
    for (;;) {
        const struct raft_replica *best = NULL;

        for (size_t i = 0; i < leadership->replica_count; i++) {
            const struct raft_replica *replica = &leadership->replicas[i];
            bool behind_bound = replica->end_offset < bound_offset ||
                                (replica->end_offset == bound_offset && replica->key.id > bound_id);

            if (!replica->is_voter || replica->key.id == raft->options.self.id || !behind_bound)
                continue;
            if (!best || replica->end_offset > best->end_offset ||
                (replica->end_offset == best->end_offset && replica->key.id < best->key.id))
                best = replica;
        }
        if (!best || !RAFT_RESERVE(raft, resignation->preferred, resignation->preferred_capacity,
                                   resignation->preferred_count))
            return;
        resignation->preferred[resignation->preferred_count++] = best->key;
        bound_offset = best->end_offset;
        bound_id = best->key.id;
    }
}
