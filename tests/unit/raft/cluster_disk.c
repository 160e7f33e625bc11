/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster_disk.c: logs and snapshots on the disks of a cluster, and deep copies of what travels.
 */
#include "cluster_internal.h"

void *grow(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity * 2 + 16;
    items = realloc(items, *capacity * item_bytes);
    assert_non_null(items);
    return items;
}
void note(struct cluster *cluster, uint64_t value)
{
    cluster->result.hash = hash_u64(cluster->result.hash ^ value);
}

bool chance(struct cluster *cluster, int percent)
{
    return random_chance(&cluster->random, (uint32_t)percent, 100);
}

/* ---- deep copies into the arena ---- */

static struct slice copy_text(struct cluster *cluster, struct slice from)
{
    return arena_copy(&cluster->arena, from);
}

struct raft_endpoints copy_endpoints(struct cluster *cluster, struct raft_endpoints from)
{
    struct raft_endpoint *items = ARENA_ARRAY(&cluster->arena, struct raft_endpoint, from.count);

    for (size_t i = 0; i < from.count; i++)
        items[i] =
            (struct raft_endpoint){copy_text(cluster, from.items[i].listener),
                                   copy_text(cluster, from.items[i].host), from.items[i].port};
    return (struct raft_endpoints){items, from.count};
}

const struct raft_voters *copy_voters(struct cluster *cluster, struct raft_voters from)
{
    struct raft_voters *copy = ARENA_NEW(&cluster->arena, struct raft_voters);
    struct raft_voter *items = ARENA_ARRAY(&cluster->arena, struct raft_voter, from.count);

    for (size_t i = 0; i < from.count; i++) {
        items[i] = from.items[i];
        items[i].endpoints = copy_endpoints(cluster, from.items[i].endpoints);
    }
    *copy = (struct raft_voters){items, from.count};
    return copy;
}

struct raft_request copy_request(struct cluster *cluster, const struct raft_request *from)
{
    struct raft_request to = *from;

    to.cluster_id = copy_text(cluster, from->cluster_id);
    if (from->api == RAFT_API_BEGIN_QUORUM_EPOCH)
        to.begin.leader_endpoints = copy_endpoints(cluster, from->begin.leader_endpoints);
    if (from->api == RAFT_API_ADD_VOTER)
        to.add_voter.endpoints = copy_endpoints(cluster, from->add_voter.endpoints);
    if (from->api == RAFT_API_UPDATE_VOTER)
        to.update_voter.endpoints = copy_endpoints(cluster, from->update_voter.endpoints);
    if (from->api == RAFT_API_END_QUORUM_EPOCH && from->end.preferred_count > 0) {
        struct raft_replica_key *keys =
            ARENA_ARRAY(&cluster->arena, struct raft_replica_key, from->end.preferred_count);

        memcpy(keys, from->end.preferred, from->end.preferred_count * sizeof *keys);
        to.end.preferred = keys;
    }
    return to;
}

/* ---- logs on disk ---- */

int64_t log_end(const struct disk_log *log)
{
    return log->count > 0 ? log->items[log->count - 1].last + 1 : log->start;
}

void log_push(struct disk_log *log, const struct entry *entry)
{
    GROW(log->items, log->capacity, log->count);
    log->items[log->count++] = *entry;
}

void log_copy(struct disk_log *to, const struct disk_log *from)
{
    to->count = 0;
    to->start = from->start;
    for (size_t i = 0; i < from->count; i++)
        log_push(to, &from->items[i]);
}

void log_cut(struct disk_log *log, int64_t end_offset)
{
    while (log->count > 0 && log->items[log->count - 1].base >= end_offset)
        log->count--;
}

void log_trim(struct disk_log *log, int64_t start_offset)
{
    size_t gone = 0;

    while (gone < log->count && log->items[gone].base < start_offset)
        gone++;
    if (gone > 0)
        memmove(log->items, log->items + gone, (log->count - gone) * sizeof *log->items);
    log->count -= gone;
    log->start = MAX(log->start, start_offset);
}

const struct entry *log_find(const struct disk_log *log, int64_t base)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->items[i].base == base)
            return &log->items[i];
    return NULL;
}

struct kept_snapshot *snapshot_of(struct kept_snapshot *list, size_t count,
                                  struct raft_offset_epoch id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].snapshot.id.offset == id.offset && list[i].snapshot.id.epoch == id.epoch)
            return &list[i];
    return NULL;
}
