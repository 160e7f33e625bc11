/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_protocol.c: which protocols (assignment strategies) the members of a
 * classic group list, which they have in common, and which wins the vote.
 * Invariants  1. support counts, for each name, the members that list it.
 */
#include "coordinator/group/classic_internal.h"

struct classic_support {
    struct hash_map_node node;
    struct slice name; /* owned */
    size_t count;
    size_t votes;  /* inside of classic_group_vote */
    uint64_t pass; /* the walk that counted it last */
};

static bool support_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct classic_support, node)->name,
                       *(const struct slice *)key);
}

static void support_release(struct classic_group *group, struct allocator *allocator,
                            struct classic_support *support)
{
    hash_map_remove(&group->support, &support->node);
    bytes_release(allocator, &support->name);
    ALLOCATOR_DELETE(allocator, support);
}

void classic_support_init(struct classic_group *group, struct allocator *allocator)
{
    hash_map_init(&group->support, allocator, support_matches);
}

void classic_support_clear(struct classic_group *group, struct allocator *allocator)
{
    HASH_MAP_EACH_SAFE (node, &group->support)
        support_release(group, allocator, HASH_MAP_ITEM(node, struct classic_support, node));
    hash_map_release(&group->support);
}

static struct classic_support *support_find(const struct classic_group *group, struct slice name)
{
    struct hash_map_node *node = hash_map_find(&group->support, hash_slice(name), &name);

    return node ? CONTAINER_OF(node, struct classic_support, node) : NULL;
}

enum err classic_support_add(struct group_coordinator *coordinator, struct classic_group *group,
                             struct slice name, uint64_t pass)
{
    struct allocator *allocator = coordinator->allocator;
    struct classic_support *support = support_find(group, name);
    enum err err;

    if (support) {
        support->count += support->pass != pass;
        support->pass = pass;
        return OK;
    }
    support = ALLOCATOR_NEW(allocator, struct classic_support);
    if (!support)
        return ERR_NO_MEMORY;
    support->count = 1;
    support->pass = pass;
    err = bytes_copy(allocator, name, &support->name);
    if (err == OK)
        err = hash_map_insert(&group->support, hash_slice(support->name), &support->node);
    if (err != OK) {
        bytes_release(allocator, &support->name);
        ALLOCATOR_DELETE(allocator, support);
    }
    return err;
}

void classic_support_remove(struct group_coordinator *coordinator, struct classic_group *group,
                            const struct classic_protocol *protocols, size_t count)
{
    uint64_t pass = ++group->support_pass;

    for (size_t i = 0; i < count; i++) {
        struct classic_support *support = support_find(group, protocols[i].name);

        if (!support || support->pass == pass)
            continue; /* listed twice */
        support->pass = pass;
        ASSERT(support->count > 0);
        if (--support->count == 0)
            support_release(group, coordinator->allocator, support);
    }
}

enum err classic_protocols_copy(struct group_coordinator *coordinator,
                                const struct classic_protocol *from, size_t count,
                                struct classic_protocols *out)
{
    size_t bytes = count * sizeof *from;
    uint8_t *block, *at;

    *out = (struct classic_protocols){0};
    if (count == 0)
        return OK;
    for (size_t i = 0; i < count; i++)
        bytes += from[i].name.size_bytes + from[i].metadata.size_bytes;
    if (bytes > UINT32_MAX)
        return ERR_NO_MEMORY;
    block = coordinator->allocator->allocate(coordinator->allocator, bytes);
    if (!block)
        return ERR_NO_MEMORY;
    out->items = (struct classic_protocol *)(void *)block;
    out->bytes = (uint32_t)bytes;
    at = block + count * sizeof *from;
    for (size_t i = 0; i < count; i++) {
        struct classic_protocol *to = &out->items[out->count++];

        to->name = slice_of(at, from[i].name.size_bytes);
        if (from[i].name.size_bytes > 0)
            memcpy(at, from[i].name.data, from[i].name.size_bytes);
        at += from[i].name.size_bytes;
        to->metadata = slice_of(at, from[i].metadata.size_bytes);
        if (from[i].metadata.size_bytes > 0)
            memcpy(at, from[i].metadata.data, from[i].metadata.size_bytes);
        at += from[i].metadata.size_bytes;
    }
    return OK;
}

void classic_protocols_release(struct group_coordinator *coordinator,
                               struct classic_protocols *protocols)
{
    coordinator->allocator->release(coordinator->allocator, protocols->items, protocols->bytes);
    *protocols = (struct classic_protocols){0};
}

enum err classic_member_swap_protocols(struct group_coordinator *coordinator,
                                       struct classic_member *member,
                                       struct classic_protocols *protocols)
{
    struct classic_protocols old = {member->protocols, member->protocol_count,
                                    member->protocol_bytes};

    uint64_t pass = ++member->group->support_pass;

    for (uint32_t i = 0; i < protocols->count; i++)
        TRY(classic_support_add(coordinator, member->group, protocols->items[i].name, pass));
    classic_support_remove(coordinator, member->group, old.items, old.count);
    member->protocols = protocols->items;
    member->protocol_count = protocols->count;
    member->protocol_bytes = protocols->bytes;
    *protocols = old;
    return OK;
}

bool classic_group_supports(const struct classic_group *group, struct slice protocol_type,
                            const struct classic_protocol *protocols, size_t count)
{
    if (group->state == CLASSIC_EMPTY)
        return protocol_type.size_bytes > 0 && count > 0;
    if (!slice_equal(group->protocol_type, protocol_type))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct classic_support *support = support_find(group, protocols[i].name);

        if ((support ? support->count : 0) == group->members.count)
            return true;
    }
    return false;
}

struct slice classic_member_metadata(const struct classic_member *member, struct slice protocol)
{
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (slice_equal(member->protocols[i].name, protocol))
            return member->protocols[i].metadata;
    return SLICE_EMPTY;
}

bool classic_member_matches(const struct classic_member *member,
                            const struct classic_protocol *protocols, size_t count)
{
    if (member->protocol_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!slice_equal(member->protocols[i].name, protocols[i].name) ||
            !slice_equal(member->protocols[i].metadata, protocols[i].metadata))
            return false;
    return true;
}

/* Each member votes for the first of its protocols that all have; most votes win. Of equal ones the
 * name that came into the group first: the reference leaves it open. */
struct slice classic_group_vote(const struct classic_group *group)
{
    const struct classic_support *best = NULL;

    HASH_MAP_EACH (node, &group->support)
        HASH_MAP_ITEM(node, struct classic_support, node)->votes = 0;
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        for (uint32_t i = 0; i < member->protocol_count; i++) {
            struct classic_support *support = support_find(group, member->protocols[i].name);

            ASSERT(support != NULL);
            if (support->count == group->members.count) {
                support->votes++;
                break;
            }
        }
    }
    HASH_MAP_EACH (node, &group->support) {
        const struct classic_support *support = HASH_MAP_ITEM(node, struct classic_support, node);

        if (support->votes > (best ? best->votes : 0))
            best = support;
    }
    return best ? best->name : SLICE_NULL;
}
