/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_group.c: a classic group as a thing: members, static members, ids given
 * out, which protocols they have in common, leader and vote. No rule of the protocol is here but
 * those that keep the parts in step.
 * Invariants  1. statics has the members with an instance id, and no other.
 *             2. leader is null or a member's id; with members and no leader none was ever added.
 *             3. awaiting_join counts the members with a parked JoinGroup.
 */
#include "coordinator/group/classic_internal.h"

static bool member_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct classic_member, node)->id,
                       *(const struct slice *)key);
}

static bool static_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct classic_static, node)->member->instance_id,
                       *(const struct slice *)key);
}

static bool pending_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct classic_pending, node)->id,
                       *(const struct slice *)key);
}

/* ---- life ---- */

enum err classic_group_create(struct group_coordinator *coordinator, struct slice id,
                              struct classic_group **out)
{
    struct allocator *allocator = coordinator->allocator;
    struct classic_group *group = ALLOCATOR_NEW(allocator, struct classic_group);
    enum err err;

    *out = NULL;
    if (!group)
        return ERR_NO_MEMORY;
    group->head.kind = GROUP_CLASSIC;
    group->state = CLASSIC_EMPTY;
    group->previous_state = CLASSIC_DEAD;
    group->state_since_wall_ms = coordinator->wall_ms;
    group->rebalance_since_ms = -1;
    group->rebalance_last_ms = -1;
    hash_map_init(&group->members, allocator, member_matches);
    hash_map_init(&group->statics, allocator, static_matches);
    hash_map_init(&group->pending, allocator, pending_matches);
    classic_support_init(group, allocator);
    classic_timers_init(group);
    err = bytes_copy(allocator, id, &group->head.id);
    if (err != OK)
        classic_group_release(coordinator, &group);
    *out = group;
    return err;
}

static void member_release(struct group_coordinator *coordinator, struct classic_member *member)
{
    struct allocator *allocator = coordinator->allocator;

    group_timer_stop(coordinator, &member->session);
    group_waiter_release(coordinator, &member->join);
    group_waiter_release(coordinator, &member->sync);
    bytes_release(allocator, &member->id);
    bytes_release(allocator, &member->instance_id);
    bytes_release(allocator, &member->client_id);
    bytes_release(allocator, &member->client_host);
    bytes_release(allocator, &member->assignment);
    bytes_release(allocator, &member->held);
    allocator->release(allocator, member->protocols, member->protocol_bytes);
    ALLOCATOR_DELETE(allocator, member);
}

void classic_pending_remove(struct group_coordinator *coordinator, struct classic_pending *pending)
{
    group_timer_stop(coordinator, &pending->session);
    hash_map_remove(&pending->group->pending, &pending->node);
    bytes_release(coordinator->allocator, &pending->id);
    ALLOCATOR_DELETE(coordinator->allocator, pending);
}

void classic_group_release(struct group_coordinator *coordinator, struct classic_group **group)
{
    struct allocator *allocator = coordinator->allocator;
    struct classic_group *old = TAKE(*group);

    if (!old)
        return;
    group_timer_stop(coordinator, &old->join);
    group_timer_stop(coordinator, &old->sync);
    HASH_MAP_EACH_SAFE (node, &old->statics) {
        struct classic_static *item = HASH_MAP_ITEM(node, struct classic_static, node);

        hash_map_remove(&old->statics, &item->node);
        ALLOCATOR_DELETE(allocator, item);
    }
    HASH_MAP_EACH_SAFE (node, &old->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        hash_map_remove(&old->members, &member->node);
        member_release(coordinator, member);
    }
    HASH_MAP_EACH_SAFE (node, &old->pending)
        classic_pending_remove(coordinator, HASH_MAP_ITEM(node, struct classic_pending, node));
    classic_support_clear(old, allocator);
    hash_map_release(&old->statics);
    hash_map_release(&old->members);
    hash_map_release(&old->pending);
    classic_topics_forget(coordinator, old);
    bytes_release(allocator, &old->protocol_type);
    bytes_release(allocator, &old->protocol);
    bytes_release(allocator, &old->leader);
    bytes_release(allocator, &old->last_waited);
    bytes_release(allocator, &old->head.id);
    ALLOCATOR_DELETE(allocator, old);
}

/* ---- members ---- */

struct classic_member *classic_member_find(const struct classic_group *group, struct slice id)
{
    struct hash_map_node *node = hash_map_find(&group->members, hash_slice(id), &id);

    return node ? CONTAINER_OF(node, struct classic_member, node) : NULL;
}

static struct classic_static *static_find(const struct classic_group *group,
                                          struct slice instance_id)
{
    struct hash_map_node *node =
        hash_map_find(&group->statics, hash_slice(instance_id), &instance_id);

    return node ? CONTAINER_OF(node, struct classic_static, node) : NULL;
}

struct classic_member *classic_static_find(const struct classic_group *group,
                                           struct slice instance_id)
{
    struct classic_static *item = static_find(group, instance_id);

    return item ? item->member : NULL;
}

struct classic_pending *classic_pending_find(const struct classic_group *group, struct slice id)
{
    struct hash_map_node *node = hash_map_find(&group->pending, hash_slice(id), &id);

    return node ? CONTAINER_OF(node, struct classic_pending, node) : NULL;
}

static enum err static_add(struct group_coordinator *coordinator, struct classic_member *member)
{
    struct classic_static *item;
    enum err err;

    if (slice_is_null(member->instance_id))
        return OK;
    item = ALLOCATOR_NEW(coordinator->allocator, struct classic_static);
    if (!item)
        return ERR_NO_MEMORY;
    item->member = member;
    err = hash_map_insert(&member->group->statics, hash_slice(member->instance_id), &item->node);
    if (err != OK)
        ALLOCATOR_DELETE(coordinator->allocator, item);
    return err;
}

static void static_remove(struct group_coordinator *coordinator, struct classic_member *member)
{
    struct classic_static *item;

    if (slice_is_null(member->instance_id))
        return;
    item = static_find(member->group, member->instance_id);
    if (!item || item->member != member)
        return;
    hash_map_remove(&member->group->statics, &item->node);
    ALLOCATOR_DELETE(coordinator->allocator, item);
}

enum err classic_leader_set(struct group_coordinator *coordinator, struct classic_group *group,
                            struct slice member_id)
{
    struct slice copy;

    TRY(bytes_copy(coordinator->allocator, member_id, &copy));
    bytes_release(coordinator->allocator, &group->leader);
    group->leader = copy;
    return OK;
}

static enum err member_fill(struct group_coordinator *coordinator, struct classic_member *member,
                            const struct classic_member_init *init)
{
    struct allocator *allocator = coordinator->allocator;
    struct classic_protocols protocols;

    TRY(bytes_copy(allocator, init->id, &member->id));
    TRY(bytes_copy(allocator, init->instance_id, &member->instance_id));
    TRY(bytes_copy(allocator, init->client_id, &member->client_id));
    TRY(bytes_copy(allocator, init->client_host, &member->client_host));
    TRY(bytes_copy(allocator, init->assignment, &member->assignment));
    TRY(classic_protocols_copy(coordinator, init->protocols, init->protocol_count, &protocols));
    member->protocols = protocols.items;
    member->protocol_count = protocols.count;
    member->protocol_bytes = protocols.bytes;
    return OK;
}

enum err classic_member_add(struct group_coordinator *coordinator, struct classic_group *group,
                            const struct classic_member_init *init, struct classic_member **out)
{
    struct classic_member *member = ALLOCATOR_NEW(coordinator->allocator, struct classic_member);
    uint64_t pass = ++group->support_pass;
    struct classic_pending *pending;
    uint32_t supported = 0;
    enum err err;

    ASSERT(!classic_member_find(group, init->id));
    *out = NULL;
    if (!member)
        return ERR_NO_MEMORY;
    member->group = group;
    member->session_timeout_ms = init->session_timeout_ms;
    member->rebalance_timeout_ms = init->rebalance_timeout_ms;
    classic_member_timer_init(member);
    err = member_fill(coordinator, member, init);
    while (err == OK && supported < member->protocol_count) {
        err = classic_support_add(coordinator, group, member->protocols[supported].name, pass);
        supported += err == OK;
    }
    if (err == OK)
        err = static_add(coordinator, member);
    if (err == OK && slice_is_null(group->leader))
        err = classic_leader_set(coordinator, group, member->id);
    if (err == OK)
        err = hash_map_insert(&group->members, hash_slice(member->id), &member->node);
    if (err != OK) {
        static_remove(coordinator, member);
        classic_support_remove(coordinator, group, member->protocols, supported);
        if (slice_equal(group->leader, member->id))
            bytes_release(coordinator->allocator, &group->leader);
        member_release(coordinator, member);
        return err;
    }
    pending = classic_pending_find(group, member->id);
    if (pending)
        classic_pending_remove(coordinator, pending);
    *out = member;
    return OK;
}

enum err classic_member_remove(struct group_coordinator *coordinator, struct classic_member *member)
{
    struct classic_group *group = member->group;
    bool leads = slice_equal(group->leader, member->id);

    static_remove(coordinator, member);
    classic_support_remove(coordinator, group, member->protocols, member->protocol_count);
    if (member->join)
        group->awaiting_join--;
    hash_map_remove(&group->members, &member->node);
    member_release(coordinator, member);
    if (!leads)
        return OK;
    if (group->members.count == 0) {
        bytes_release(coordinator->allocator, &group->leader);
        return OK;
    }
    return classic_leader_set(
        coordinator, group,
        HASH_MAP_ITEM(list_first(&group->members.order), struct classic_member, node)->id);
}

enum err classic_member_rename(struct group_coordinator *coordinator, struct classic_member *member,
                               struct slice id)
{
    struct classic_group *group = member->group;
    struct slice copy;

    TRY(bytes_copy(coordinator->allocator, id, &copy));
    if (slice_equal(group->leader, member->id)) {
        enum err err = classic_leader_set(coordinator, group, id);

        if (err != OK) {
            bytes_release(coordinator->allocator, &copy);
            return err;
        }
    }
    hash_map_remove(&group->members, &member->node);
    bytes_release(coordinator->allocator, &member->id);
    member->id = copy;
    /* The place that was left is there: the table does not grow. */
    return hash_map_insert(&group->members, hash_slice(member->id), &member->node);
}

enum err classic_assignment_set(struct group_coordinator *coordinator,
                                struct classic_member *member, struct slice assignment)
{
    struct slice copy;

    TRY(bytes_copy(coordinator->allocator, assignment, &copy));
    bytes_release(coordinator->allocator, &member->assignment);
    member->assignment = copy;
    return OK;
}

void classic_assignment_withdraw(struct group_coordinator *coordinator,
                                 struct classic_member *member)
{
    bool is_heard = member->group->assignment_write == 0; /* not amid its way to the log */

    if (is_heard && !member->has_told && slice_is_null(member->held)) {
        member->held = member->assignment;
        member->assignment = SLICE_NULL;
    }
    bytes_release(coordinator->allocator, &member->assignment);
}

enum err classic_member_validate(const struct classic_group *group, struct slice member_id,
                                 struct slice instance_id)
{
    if (!slice_is_null(instance_id)) {
        const struct classic_member *owner = classic_static_find(group, instance_id);

        if (!owner)
            return ERR_UNKNOWN_MEMBER_ID;
        if (!slice_equal(owner->id, member_id))
            return ERR_FENCED_INSTANCE_ID;
    }
    return classic_member_find(group, member_id) ? OK : ERR_UNKNOWN_MEMBER_ID;
}
