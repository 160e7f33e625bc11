/* SPDX-License-Identifier: Apache-2.0 */
/* coordinator/group/consumer_state.c: consumer groups and their members in memory, as replay changes them. */
#include "coordinator/group/consumer_internal.h"

/* ---- members ---- */

bool consumer_member_is_reconciled(const struct consumer_member *member, int32_t target_epoch)
{
    return member->state == CONSUMER_STABLE && member->epoch == target_epoch;
}

static void member_became_real(struct consumer_member *member)
{
    if (member->is_member)
        return;
    member->is_member = true;
    member->group->member_count++;
    if (!consumer_member_is_reconciled(member, member->group->target_epoch))
        member->group->unreconciled++;
}

enum err consumer_member_ensure(struct consumer_group *group, struct slice id,
                                struct consumer_member **out)
{
    struct allocator *allocator = group->coordinator->allocator;
    struct consumer_member *member = consumer_member_find_any(group, id);

    if (!member) {
        member = ALLOCATOR_NEW(allocator, struct consumer_member);
        if (!member)
            return ERR_NO_MEMORY;
        member->group = group;
        member->previous_epoch = -1;
        member->metadata = &consumer_metadata_none;
        group_timer_init(&member->session, consumer_session_expired);
        group_timer_init(&member->progress, consumer_progress_expired);
        if (bytes_copy(allocator, id, &member->id) != OK ||
            hash_map_insert(&group->members, hash_slice(id), &member->node) != OK) {
            bytes_release(allocator, &member->id);
            ALLOCATOR_DELETE(allocator, member);
            return ERR_NO_MEMORY;
        }
    }
    *out = member;
    return OK;
}

static void metadata_free(struct allocator *allocator, const struct consumer_metadata *metadata)
{
    if (metadata->block_bytes > 0)
        allocator->release(allocator, (void *)(uintptr_t)metadata, metadata->block_bytes);
}

static enum err metadata_count(struct consumer_group *group,
                               const struct consumer_metadata *metadata, int32_t delta)
{
    struct allocator *allocator = group->coordinator->allocator;

    for (int32_t i = 0; i < metadata->topic_count; i++)
        TRY(consumer_topic_add(group, metadata->topics[i], delta, 0));
    if (!slice_is_null(metadata->assignor))
        TRY(consumer_counter_add(allocator, &group->assignors, metadata->assignor, delta));
    if (metadata->is_classic) {
        uint64_t pass = ++group->protocols_pass;

        group->classic_count += delta;
        for (int32_t i = 0; i < metadata->protocol_count; i++)
            TRY(consumer_counter_add_once(allocator, &group->protocols, metadata->protocols[i].name,
                                          delta, pass));
    }
    if (consumer_has_regex(metadata)) {
        struct consumer_regex *regex;

        TRY(consumer_regex_ensure(group, metadata->regex, &regex));
        group->subscribed_regexes -= regex->members > 0;
        regex->members += delta;
        group->subscribed_regexes += regex->members > 0;
        consumer_regex_maybe_release(group, regex);
    }
    return OK;
}

static void static_drop(struct consumer_member *member)
{
    if (!member->fixed)
        return;
    hash_map_remove(&member->group->statics, &member->fixed->node);
    ALLOCATOR_DELETE(member->group->coordinator->allocator, member->fixed);
    member->fixed = NULL;
}

/* The member that said so last has the instance id. */
static enum err static_take(struct consumer_member *member)
{
    struct allocator *allocator = member->group->coordinator->allocator;
    struct slice instance_id = member->metadata->instance_id;
    struct consumer_member *other = consumer_static_find(member->group, instance_id);

    if (slice_is_null(instance_id))
        return OK;
    if (other)
        static_drop(other);
    member->fixed = ALLOCATOR_NEW(allocator, struct consumer_static);
    if (!member->fixed)
        return ERR_NO_MEMORY;
    member->fixed->member = member;
    if (hash_map_insert(&member->group->statics, hash_slice(instance_id), &member->fixed->node) ==
        OK)
        return OK;
    ALLOCATOR_DELETE(allocator, member->fixed);
    member->fixed = NULL;
    return ERR_NO_MEMORY;
}

enum err consumer_member_set_metadata(struct consumer_member *member,
                                      const struct consumer_metadata *metadata)
{
    struct consumer_group *group = member->group;
    struct allocator *allocator = group->coordinator->allocator;
    const struct consumer_metadata *before = member->metadata;
    struct consumer_metadata *copy;

    TRY(consumer_metadata_copy(allocator, metadata, &copy));
    static_drop(member);
    member->metadata = copy;
    enum err err =
        metadata_count(group, copy, 1); /* up before down: topics keep their cached hash */

    if (err == OK)
        err = metadata_count(group, before, -1);
    metadata_free(allocator, before);
    TRY(err);
    member_became_real(member);
    return static_take(member);
}

enum err consumer_member_set_current(struct consumer_member *member,
                                     const struct consumer_current *current)
{
    struct allocator *allocator = member->group->coordinator->allocator;
    struct consumer_owned assigned, revoking;

    TRY(consumer_owned_copy(allocator, &current->assigned, &assigned));
    enum err err = consumer_owned_copy(allocator, &current->revoking, &revoking);

    if (err != OK) {
        consumer_owned_release(allocator, &assigned);
        return err;
    }
    member_became_real(member);
    member->group->unreconciled -=
        !consumer_member_is_reconciled(member, member->group->target_epoch);
    consumer_holders_drop(member, &member->assigned.is);
    consumer_holders_drop(member, &member->revoking.is);
    consumer_owned_release(allocator, &member->assigned);
    consumer_owned_release(allocator, &member->revoking);
    member->assigned = assigned;
    member->revoking = revoking;
    member->epoch = current->epoch;
    member->previous_epoch = current->previous_epoch;
    member->state = current->state;
    member->group->head.rested_ms = member->group->coordinator->now_ms;
    member->group->unreconciled +=
        !consumer_member_is_reconciled(member, member->group->target_epoch);
    TRY(consumer_holders_take(member, current->epoch, &member->assigned.is));
    return consumer_holders_take(member, current->epoch, &member->revoking.is);
}

enum err consumer_member_set_target(struct consumer_member *member, const struct assignment *target)
{
    struct allocator *allocator = member->group->coordinator->allocator;
    struct consumer_owned copy;

    TRY(consumer_owned_copy(allocator, target, &copy));
    consumer_owned_release(allocator, &member->target);
    member->target = copy;
    if (!member->has_target)
        member->group->target_count++;
    member->has_target = true;
    return OK;
}

static void member_free(struct consumer_member *member)
{
    struct consumer_group *group = member->group;
    struct allocator *allocator = group->coordinator->allocator;

    group_timer_stop(group->coordinator, &member->session);
    group_timer_stop(group->coordinator, &member->progress);
    hash_map_remove(&group->members, &member->node);
    consumer_owned_release(allocator, &member->assigned);
    consumer_owned_release(allocator, &member->revoking);
    consumer_owned_release(allocator, &member->target);
    metadata_free(allocator, member->metadata);
    bytes_release(allocator, &member->id);
    ALLOCATOR_DELETE(allocator, member);
}

void consumer_member_clear_target(struct consumer_member *member)
{
    if (!member->has_target)
        return;
    consumer_owned_release(member->group->coordinator->allocator, &member->target);
    member->has_target = false;
    member->group->target_count--;
    if (!member->is_member)
        member_free(member);
}

void consumer_member_remove(struct consumer_member *member)
{
    struct consumer_group *group = member->group;
    enum err err;

    ASSERT(member->is_member && !member->has_target);
    consumer_holders_drop(member, &member->assigned.is);
    consumer_holders_drop(member, &member->revoking.is);
    static_drop(member);
    err = metadata_count(group, member->metadata, -1);
    ASSERT(err == OK); /* lowering counts takes no memory */
    group->member_count--;
    group->unreconciled -= !consumer_member_is_reconciled(member, group->target_epoch);
    member_free(member);
}

/* ---- groups ---- */

void consumer_group_set_target_epoch(struct consumer_group *group, int32_t epoch, int64_t ms)
{
    group->target_epoch = epoch;
    group->target_ms = ms;
    group->unreconciled = 0;
    CONSUMER_MEMBERS_EACH(member, group)
    group->unreconciled += !consumer_member_is_reconciled(member, epoch);
}

enum err consumer_group_create(struct group_coordinator *coordinator, struct slice id,
                               struct consumer_group **out)
{
    struct allocator *allocator = coordinator->allocator;
    struct consumer_group *group = ALLOCATOR_NEW(allocator, struct consumer_group);

    *out = NULL;
    if (!group)
        return ERR_NO_MEMORY;
    group->head.kind = GROUP_CONSUMER;
    group->coordinator = coordinator;
    group->epoch = 1;
    group->target_epoch = 1;
    group->rebalance_since_ms = group->rebalance_last_ms = -1;
    consumer_tables_init(group, allocator);
    if (bytes_copy(allocator, id, &group->head.id) != OK) {
        ALLOCATOR_DELETE(allocator, group);
        return ERR_NO_MEMORY;
    }
    *out = group;
    return OK;
}

void consumer_group_release(struct group_coordinator *coordinator, struct consumer_group **slot)
{
    struct allocator *allocator = coordinator->allocator;
    struct consumer_group *group = *slot;

    if (!group)
        return;
    *slot = NULL;
    HASH_MAP_EACH_SAFE (at, &group->holders) {
        struct consumer_holders *holders = HASH_MAP_ITEM(at, struct consumer_holders, node);

        allocator->release(allocator, holders->holders,
                           (size_t)holders->capacity * sizeof(struct consumer_member *));
        ALLOCATOR_DELETE(allocator, holders);
    }
    HASH_MAP_EACH_SAFE (at, &group->statics)
        ALLOCATOR_DELETE(allocator, HASH_MAP_ITEM(at, struct consumer_static, node));
    HASH_MAP_EACH_SAFE (at, &group->members)
        member_free(HASH_MAP_ITEM(at, struct consumer_member, node));
    HASH_MAP_EACH_SAFE (at, &group->regexes) {
        struct consumer_regex *regex = HASH_MAP_ITEM(at, struct consumer_regex, node);

        if (regex->block_bytes > 0)
            allocator->release(allocator, (void *)(uintptr_t)regex->topics, regex->block_bytes);
        bytes_release(allocator, &regex->pattern);
        ALLOCATOR_DELETE(allocator, regex);
    }
    HASH_MAP_EACH_SAFE (at, &group->topics)
        consumer_topic_release(group, HASH_MAP_ITEM(at, struct consumer_topic, node));
    consumer_counters_release(allocator, &group->assignors);
    consumer_counters_release(allocator, &group->protocols);
    hash_map_release(&group->members);
    hash_map_release(&group->statics);
    hash_map_release(&group->topics);
    hash_map_release(&group->regexes);
    hash_map_release(&group->holders);
    bytes_release(allocator, &group->head.id);
    ALLOCATOR_DELETE(allocator, group);
}

enum err consumer_shared_create(struct group_coordinator *coordinator, struct consumer_shared **out)
{
    struct consumer_shared *shared = ALLOCATOR_NEW(coordinator->allocator, struct consumer_shared);

    *out = shared;
    if (!shared)
        return ERR_NO_MEMORY;
    consumer_shared_tables_init(shared, coordinator->allocator);
    shared->topics_created_version = -1;
    return OK;
}

void consumer_shared_release(struct group_coordinator *coordinator, struct consumer_shared **slot)
{
    struct consumer_shared *shared = *slot;

    if (!shared)
        return;
    *slot = NULL;
    ASSERT(shared->topics.count == 0); /* the groups went first */
    hash_map_release(&shared->topics);
    consumer_counters_release(coordinator->allocator, &shared->running);
    bytes_release(coordinator->allocator, &shared->joining_id);
    ALLOCATOR_DELETE(coordinator->allocator, shared);
}
