/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/voters.c: voter sets and endpoints as values, and the history of sets that the log holds.
 * Invariants  1. a set's ids ascend.   2. the set in force is that of the last Voters record of the log
 *             or snapshot, committed or not (KIP-853); cutting the log brings the previous one back.
 *             3. without any record the configured (static) set is in force.
 */
#include "raft/raft_internal.h"

const struct raft_voter *raft_voters_find(struct raft_voters voters, int32_t id)
{
    for (size_t i = 0; i < voters.count; i++)
        if (voters.items[i].key.id == id)
            return &voters.items[i];
    return NULL;
}

const struct raft_endpoint *raft_endpoints_find(struct raft_endpoints endpoints,
                                                struct slice listener)
{
    for (size_t i = 0; i < endpoints.count; i++)
        if (slice_equal(endpoints.items[i].listener, listener))
            return &endpoints.items[i];
    return NULL;
}

/* ---- copies in one piece: items first, bytes behind ---- */

static size_t endpoints_text_bytes(struct raft_endpoints from)
{
    size_t size = 0;

    for (size_t i = 0; i < from.count; i++)
        size += from.items[i].listener.size_bytes + from.items[i].host.size_bytes;
    return size;
}

size_t raft_endpoints_bytes(struct raft_endpoints from)
{
    return from.count * sizeof *from.items + endpoints_text_bytes(from);
}

static struct slice text_place(uint8_t **at, struct slice from)
{
    struct slice placed = {*at, from.size_bytes};

    if (from.size_bytes > 0)
        memcpy(*at, from.data, from.size_bytes);
    *at += from.size_bytes;
    return placed;
}

static void endpoints_place(struct raft_endpoint *items, uint8_t **text, struct raft_endpoints from)
{
    for (size_t i = 0; i < from.count; i++) {
        items[i].listener = text_place(text, from.items[i].listener);
        items[i].host = text_place(text, from.items[i].host);
        items[i].port = from.items[i].port;
    }
}

struct raft_endpoints raft_endpoints_place(void *memory, struct raft_endpoints from)
{
    struct raft_endpoint *items = memory;
    uint8_t *text = (uint8_t *)memory + from.count * sizeof *items;

    endpoints_place(items, &text, from);
    return (struct raft_endpoints){items, from.count};
}

static size_t endpoint_count(struct raft_voters from)
{
    size_t count = 0;

    for (size_t i = 0; i < from.count; i++)
        count += from.items[i].endpoints.count;
    return count;
}

size_t raft_voters_bytes(struct raft_voters from)
{
    size_t size = from.count * sizeof *from.items;

    for (size_t i = 0; i < from.count; i++)
        size += raft_endpoints_bytes(from.items[i].endpoints);
    return size;
}

/* Sets are a handful of voters, and mostly in order as they come. */
static void voters_sort(struct raft_voter *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct raft_voter item = items[i];
        size_t at = i;

        for (; at > 0 && items[at - 1].key.id > item.key.id; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

struct raft_voters raft_voters_place(void *memory, struct raft_voters from)
{
    struct raft_voter *items = memory;
    struct raft_endpoint *endpoints = (void *)((uint8_t *)memory + from.count * sizeof *items);
    uint8_t *text = (uint8_t *)endpoints + endpoint_count(from) * sizeof *endpoints;

    for (size_t i = 0; i < from.count; i++) {
        items[i] = from.items[i];
        items[i].endpoints.items = endpoints;
        endpoints_place(endpoints, &text, from.items[i].endpoints);
        endpoints += from.items[i].endpoints.count;
    }
    voters_sort(items, from.count);
    return (struct raft_voters){items, from.count};
}

static struct raft_block *block_make(struct raft *raft, size_t payload_bytes)
{
    size_t size_bytes = sizeof(struct raft_block) + payload_bytes;
    struct raft_block *block = allocator_zeroed(raft->allocator, size_bytes);

    if (!block) {
        raft_fail(raft);
        return NULL;
    }
    block->size_bytes = size_bytes;
    return block;
}

struct raft_block *raft_block_endpoints(struct raft *raft, struct raft_endpoints from)
{
    struct raft_block *block = block_make(raft, raft_endpoints_bytes(from));

    if (block)
        block->endpoints = raft_endpoints_place(block + 1, from);
    return block;
}

struct raft_block *raft_block_voters(struct raft *raft, struct raft_voters from)
{
    struct raft_block *block = block_make(raft, raft_voters_bytes(from));

    if (block)
        block->voters = raft_voters_place(block + 1, from);
    return block;
}

void raft_block_free(struct raft *raft, struct raft_block **block)
{
    if (*block)
        raft->allocator->release(raft->allocator, *block, (*block)->size_bytes);
    *block = NULL;
}

/* ---- comparing and editing ---- */

bool raft_endpoints_equal(struct raft_endpoints a, struct raft_endpoints b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++) { /* order has no meaning */
        const struct raft_endpoint *other = raft_endpoints_find(b, a.items[i].listener);

        if (!other || other->port != a.items[i].port || !slice_equal(other->host, a.items[i].host))
            return false;
    }
    return true;
}

bool raft_voter_equal(const struct raft_voter *a, const struct raft_voter *b)
{
    ASSERT(a->key.id == b->key.id);
    return uuid_equal(a->key.directory_id, b->key.directory_id) &&
           a->kraft_version_min == b->kraft_version_min &&
           a->kraft_version_max == b->kraft_version_max &&
           raft_endpoints_equal(a->endpoints, b->endpoints);
}

bool raft_voter_matches(const struct raft_voter *voter, struct raft_replica_key key)
{
    ASSERT(voter->key.id == key.id);
    return uuid_is_zero(voter->key.directory_id) ||
           uuid_equal(voter->key.directory_id, key.directory_id);
}

bool raft_voters_contain(struct raft_voters voters, struct raft_replica_key key)
{
    const struct raft_voter *voter = raft_voters_find(voters, key.id);

    return voter && raft_voter_matches(voter, key);
}

struct raft_voters raft_voters_with(struct raft *raft, struct raft_voters voters,
                                    const struct raft_voter *voter)
{
    struct raft_voter *items = raft_scratch(raft, (voters.count + 1) * sizeof *items);
    size_t count = 0;
    size_t i = 0;

    if (!items)
        return voters;
    while (i < voters.count && voters.items[i].key.id < voter->key.id)
        items[count++] = voters.items[i++];
    items[count++] = *voter;
    if (i < voters.count && voters.items[i].key.id == voter->key.id)
        i++; /* replaced */
    while (i < voters.count)
        items[count++] = voters.items[i++];
    return (struct raft_voters){items, count};
}

struct raft_voters raft_voters_without(struct raft *raft, struct raft_voters voters, int32_t id)
{
    struct raft_voter *items = raft_scratch(raft, (voters.count + 1) * sizeof *items);
    size_t count = 0;

    if (!items)
        return voters;
    for (size_t i = 0; i < voters.count; i++)
        if (voters.items[i].key.id != id)
            items[count++] = voters.items[i];
    return (struct raft_voters){items, count};
}

/* ---- what is in force ---- */

struct raft_voters raft_voters_now(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;

    return log->voters_count > 0 ? log->voters[log->voters_count - 1].block->voters
                                 : raft->options.static_voters;
}

int64_t raft_voters_offset(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;

    return log->voters_count > 0 ? log->voters[log->voters_count - 1].offset : INT64_MIN;
}

int16_t raft_kraft_version_now(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;

    return log->kraft_version_count > 0
               ? log->kraft_versions[log->kraft_version_count - 1].kraft_version
               : 0;
}

bool raft_is_voter(const struct raft *raft)
{
    return raft_voters_contain(raft_voters_now(raft), raft->options.self);
}

bool raft_is_only_voter(const struct raft *raft)
{
    return raft_voters_now(raft).count == 1 && raft_is_voter(raft);
}

struct raft_voter raft_own_voter(const struct raft *raft)
{
    return (struct raft_voter){
        .key = raft->options.self,
        .endpoints = raft->options.endpoints,
        .kraft_version_min = raft->options.kraft_version_min,
        .kraft_version_max = raft->options.kraft_version_max,
    };
}

bool raft_own_voter_outdated(const struct raft *raft)
{
    const struct raft_voter *voter = raft_voters_find(raft_voters_now(raft), raft->options.self.id);
    struct raft_voter own = raft_own_voter(raft);

    ASSERT(voter && raft_voter_matches(voter, own.key)); /* asked by voters alone */
    return !raft_voter_equal(voter, &own);
}

/* ---- history ---- */

void raft_voters_put(struct raft *raft, int64_t offset, struct raft_voters voters)
{
    struct raft_log *log = &raft->log;
    struct raft_block *block = raft_block_voters(raft, voters);

    if (!block || !RAFT_RESERVE(raft, log->voters, log->voters_capacity, log->voters_count)) {
        raft_block_free(raft, &block);
        return;
    }
    ASSERT(log->voters_count == 0 || log->voters[log->voters_count - 1].offset < offset);
    log->voters[log->voters_count++] = (struct raft_voters_entry){offset, block};
}

void raft_kraft_version_put(struct raft *raft, int64_t offset, int16_t kraft_version)
{
    struct raft_log *log = &raft->log;

    if (!RAFT_RESERVE(raft, log->kraft_versions, log->kraft_version_capacity,
                      log->kraft_version_count))
        return;
    log->kraft_versions[log->kraft_version_count++] =
        (struct raft_kraft_version_at){offset, kraft_version};
}

bool raft_voters_cut(struct raft *raft, int64_t end_offset)
{
    struct raft_log *log = &raft->log;
    bool changed = false;

    while (log->voters_count > 0 && log->voters[log->voters_count - 1].offset >= end_offset) {
        raft_block_free(raft, &log->voters[--log->voters_count].block);
        changed = true;
    }
    while (log->kraft_version_count > 0 &&
           log->kraft_versions[log->kraft_version_count - 1].offset >= end_offset) {
        log->kraft_version_count--;
        changed = true;
    }
    return changed;
}

void raft_voters_forget_before(struct raft *raft, int64_t offset)
{
    struct raft_log *log = &raft->log;
    size_t gone = 0;

    /* The last entry below the offset is still in force at it. */
    while (gone + 1 < log->voters_count && log->voters[gone + 1].offset < offset)
        raft_block_free(raft, &log->voters[gone++].block);
    if (gone > 0)
        memmove(log->voters, log->voters + gone, (log->voters_count - gone) * sizeof *log->voters);
    log->voters_count -= gone;
    gone = 0;
    while (gone + 1 < log->kraft_version_count && log->kraft_versions[gone + 1].offset < offset)
        gone++;
    if (gone > 0)
        memmove(log->kraft_versions, log->kraft_versions + gone,
                (log->kraft_version_count - gone) * sizeof *log->kraft_versions);
    log->kraft_version_count -= gone;
}
