/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_migrate.c: a classic group becomes a consumer group when the first member of that
 * protocol joins it, and a classic group again when the last one goes. Members stay, and what they have stays theirs: by
 * their assignments, and beyond them. groups.md §5.9; docs/design/group_coordinator.md, "Upgrades".
 */
#include "coordinator/group/consumer_internal.h"

/* ---- classic → consumer ---- */

static enum err upgrade_refuse(struct consumer_update *update, const char *because)
{
    return why_set(&update->why, ERR_GROUP_ID_NOT_FOUND,
                   "Cannot upgrade classic group %.*s to consumer group because %s.",
                   SLICE_ARGS(update->draft.group_id), because);
}

static enum err upgrade_check(struct consumer_update *update, const struct classic_group *classic)
{
    const struct group_options *options = &update->call->coordinator->options;

    if (options->consumer_migration != GROUP_MIGRATION_UPGRADE &&
        options->consumer_migration != GROUP_MIGRATION_BIDIRECTIONAL)
        return upgrade_refuse(update, "online upgrade is disabled");
    if (!slice_equal_text(classic->protocol_type, "consumer"))
        return upgrade_refuse(update, "the group does not use the consumer embedded protocol");
    if (classic->members.count > (size_t)options->consumer_max_size)
        return upgrade_refuse(update, "the group size exceeds the consumer group maximum size");
    return OK;
}

#define USER_DATA \
    ERR_UNSUPPORTED_ASSIGNOR /* inside this file: what a custom assignor needs would be lost */

/* What a member may have beyond its assignment: what it said that it has when it joined, and what it was given before
 * and has not answered to since. */
struct upgraded {
    struct heap_node node;
    struct consumer_member *member;
    int32_t generation; /* the last one that it has heard of, by what it said; -1: did not say */
    struct topic_partitions *owned;
    int32_t owned_count;
    struct assignment held;
};

/* Of the last generation that members have heard of. */
static struct slice assignment_heard(const struct classic_member *member)
{
    return member->group->assignment_write != 0 ? member->held : member->assignment;
}

static enum err upgrade_assignments(struct consumer_update *update,
                                    const struct classic_member *from,
                                    struct consumer_current *current, struct upgraded *upgraded)
{
    const struct metadata_image *image = update->call->moment->image;
    struct arena *arena = update->call->arena;
    int32_t generation = from->group->generation;
    bool has_user_data;

    TRY(consumer_assignment_decode(assignment_heard(from), image, generation, arena,
                                   &current->assigned, &has_user_data));
    if (has_user_data)
        return USER_DATA;
    return consumer_assignment_decode(from->held, image, generation, arena, &upgraded->held,
                                      &has_user_data);
}

static enum err upgrade_member(struct consumer_update *update, const struct classic_group *classic,
                               const struct classic_member *from, struct upgraded *upgraded)
{
    struct arena *arena = update->call->arena;
    struct consumer_protocol_subscription subscription;
    struct consumer_metadata metadata = consumer_metadata_none;
    struct consumer_current current = {.epoch = classic->generation,
                                       .previous_epoch = classic->generation};
    struct consumer_member *member;
    struct slice protocol =
        slice_is_null(classic->protocol) ? from->protocols[0].name : classic->protocol;

    TRY(upgrade_assignments(update, from, &current, upgraded));
    TRY(consumer_subscription_decode(classic_member_metadata(from, protocol), arena,
                                     &subscription));
    TRY(consumer_subscription_owned(&subscription, update->call->moment->image, arena,
                                    &upgraded->owned, &upgraded->owned_count));
    upgraded->generation =
        upgraded->held.count > 0 ? classic->generation : subscription.generation_id;
    metadata.instance_id = from->instance_id;
    metadata.rack_id = subscription.rack_id.size_bytes > 0 ? subscription.rack_id : SLICE_NULL;
    metadata.client_id = from->client_id;
    metadata.client_host = from->client_host;
    metadata.rebalance_timeout_ms = from->rebalance_timeout_ms;
    metadata.topics = subscription.topics;
    metadata.topic_count =
        consumer_names_sort(subscription.topics, MAX(subscription.topics_count, 0));
    metadata.is_classic = true;
    metadata.classic_session_timeout_ms = from->session_timeout_ms;
    metadata.protocols = from->protocols;
    metadata.protocol_count = (int32_t)from->protocol_count;
    TRY(consumer_member_ensure(update->made, from->id, &member));
    upgraded->member = member;
    upgraded->node.position = HEAP_NOWHERE;
    TRY(consumer_member_set_metadata(member, &metadata));
    TRY(consumer_member_set_target(member, &current.assigned));
    return consumer_member_set_current(member, &current);
}

/* All of the group as it stands, in Kafka's order. */
static enum err upgrade_draft(struct consumer_update *update)
{
    struct consumer_group *group = update->made;
    struct consumer_draft *draft = &update->draft;

    CONSUMER_MEMBERS_EACH(member, group)
    TRY(consumer_draft_metadata(draft, member->id, member->metadata));
    TRY(consumer_draft_epoch(draft, group->epoch, group->hash));
    CONSUMER_MEMBERS_EACH(member, group)
    TRY(consumer_draft_target(draft, member->id, &member->target.is));
    TRY(consumer_draft_target_epoch(draft, group->target_epoch, group->target_ms));
    CONSUMER_MEMBERS_EACH(member, group)
    {
        struct consumer_current current = consumer_member_current(member);

        TRY(consumer_draft_current(draft, member->id, &current));
    }
    return OK;
}

static enum err upgrade_members(struct consumer_update *update, const struct classic_group *classic,
                                struct upgraded *upgraded)
{
    HASH_MAP_EACH (at, &classic->members) {
        enum err err = upgrade_member(update, classic,
                                      HASH_MAP_ITEM(at, struct classic_member, node), upgraded++);

        if (err == USER_DATA)
            return why_set(
                &update->why, ERR_GROUP_ID_NOT_FOUND,
                "Cannot upgrade classic group %.*s to consumer group because an "
                "unsupported custom assignor is in use. Please refer to the documentation "
                "or switch to a default assignor before re-attempting the upgrade.",
                SLICE_ARGS(update->draft.group_id));
        /* CORRUPT: an assignor that gave a partition to two members. */
        if (err == ERR_INCONSISTENT_GROUP_PROTOCOL || err == ERR_CORRUPT)
            return upgrade_refuse(update, "the embedded consumer protocol is malformed");
        TRY(err);
    }
    return OK;
}

/* ---- what members have beyond their assignments ---- */

/* Of what the member may have, what nobody has. */
static enum err keep(struct consumer_update *update, struct consumer_member *member,
                     const struct topic_partitions *list, int32_t count, int32_t *kept_out)
{
    const struct metadata_image *image = update->call->moment->image;
    struct arena *arena = update->call->arena;
    struct consumer_current current = consumer_member_current(member);
    struct topic_partitions *free = ARENA_ARRAY(arena, struct topic_partitions, (size_t)count);
    struct assignment more;
    int32_t found = 0;
    bool repeats;

    if (!free)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_topic *topic = metadata_image_topic_by_id(image, list[i].topic_id);
        int32_t *partitions = ARENA_ARRAY(arena, int32_t, (size_t)list[i].count);

        if (!partitions)
            return ERR_NO_MEMORY;
        free[i] = (struct topic_partitions){.topic_id = list[i].topic_id, .partitions = partitions};
        for (int32_t j = 0; topic && j < list[i].count; j++) {
            int32_t partition = list[i].partitions[j];

            if (partition >= 0 && partition < topic->partition_count &&
                !consumer_holder(update->made, topic->id, partition))
                partitions[free[i].count++] = partition;
        }
        found += free[i].count;
    }
    if (found == 0)
        return OK;
    *kept_out += found;
    TRY(consumer_assignment_make(free, count, member->epoch, arena, &more, &repeats));
    TRY(consumer_assignment_merge(&member->assigned.is, &more, arena, &current.assigned));
    return consumer_member_set_current(member, &current);
}

/* The upgrade may come when a generation is not divided yet, or when the partitions that members have to give up for it
 * are still theirs. Each keeps what it may have until it joins again; whoever shall have it waits. Of two that say
 * that they have the same, the one that has heard of the later generation has it. */
static enum err upgrade_held(struct consumer_update *update, struct upgraded *upgraded,
                             int32_t *kept_out)
{
    struct heap newest;
    struct heap_node *node;
    enum err err = OK;

    heap_init(&newest, update->call->arena->allocator);
    for (int32_t i = 0; err == OK && i < update->made->member_count; i++)
        err = heap_push(&newest, &upgraded[i].node, -(int64_t)upgraded[i].generation);
    while (err == OK && (node = heap_pop(&newest))) {
        struct upgraded *item = CONTAINER_OF(node, struct upgraded, node);

        err = keep(update, item->member, item->held.topics, item->held.count, kept_out);
        if (err == OK)
            err = keep(update, item->member, item->owned, item->owned_count, kept_out);
    }
    heap_release(&newest);
    return err;
}

/* Every partition that members subscribe to was somebody's by the last assignment. It may leave some over: of a topic that
 * the leader had not seen, or that had to be given up first; a generation that is not divided leaves all. */
static bool is_all_given(const struct consumer_group *group, const struct metadata_image *image)
{
    HASH_MAP_EACH (at, &group->topics) {
        const struct metadata_topic *topic = metadata_image_topic(
            image, HASH_MAP_ITEM(at, struct consumer_topic, node)->shared->name);

        for (int32_t i = 0; topic && i < topic->partition_count; i++)
            if (!consumer_holder(group, topic->id, i))
                return false;
    }
    return true;
}

static enum err upgrade_hash(struct consumer_update *update, bool is_whole)
{
    struct consumer_counts counts = {0};
    enum err err;

    /* Kafka takes any assignment for one of these topics; unless the member that comes changes what is subscribed,
     * nobody divides anew, and what was left over stays so. */
    if (!is_whole) {
        update->made->hash = CONSUMER_HASH_OF_NOTHING;
        return OK;
    }
    TRY(consumer_counts_create(update->call, update->made, &counts));
    err = consumer_counts_hash(&counts, &update->made->hash);
    consumer_counts_release(&counts);
    return err;
}

enum err consumer_upgrade(struct consumer_update *update, struct classic_group *classic)
{
    struct upgraded *upgraded =
        ARENA_ARRAY(update->call->arena, struct upgraded, classic->members.count);
    int32_t kept = 0;
    bool is_whole;

    if (!upgraded)
        return ERR_NO_MEMORY;
    TRY(upgrade_check(update, classic));
    update->draft.hands_over = true;
    update->made->epoch = classic->generation;
    consumer_group_set_target_epoch(update->made, classic->generation, 0);
    TRY(upgrade_members(update, classic, upgraded));
    is_whole = is_all_given(update->made, update->call->moment->image);
    TRY(upgrade_held(update, upgraded, &kept));
    TRY(upgrade_hash(update, is_whole && kept == 0));
    LOG_INFO(update->call->coordinator->logger, GROUP_LOG, "group_upgraded",
             "group=\"%.*s\" members=%d generation=%d state=%s kept_beyond_assignments=%d",
             SLICE_ARGS(update->draft.group_id), update->made->member_count, classic->generation,
             classic_state_name(classic->state), kept);
    return upgrade_draft(update);
}

/* ---- consumer → classic ---- */

static bool downgrade_allowed(const struct consumer_group *group, int32_t members)
{
    const struct group_options *options = &group->coordinator->options;

    return (options->consumer_migration == GROUP_MIGRATION_DOWNGRADE ||
            options->consumer_migration == GROUP_MIGRATION_BIDIRECTIONAL) &&
           members <= options->group_max_size;
}

bool consumer_may_downgrade_without(const struct consumer_group *group, int32_t leaving,
                                    int32_t leaving_classic)
{
    int32_t left = group->member_count - leaving;

    return left > 0 && group->classic_count - leaving_classic == left &&
           downgrade_allowed(group, left);
}

bool consumer_may_downgrade_replacing(const struct consumer_group *group,
                                      const struct consumer_member *replaced)
{
    return !replaced->metadata->is_classic && group->classic_count == group->member_count - 1 &&
           downgrade_allowed(group, group->member_count);
}

static enum err downgrade_member(struct group_coordinator *coordinator, struct classic_group *to,
                                 struct slice id, const struct consumer_metadata *metadata)
{
    struct classic_member *member;

    ASSERT(metadata->is_classic);
    return classic_member_add(coordinator, to,
                              &(struct classic_member_init){
                                  .id = id,
                                  .instance_id = metadata->instance_id,
                                  .client_id = metadata->client_id,
                                  .client_host = metadata->client_host,
                                  .session_timeout_ms = metadata->classic_session_timeout_ms,
                                  .rebalance_timeout_ms = metadata->rebalance_timeout_ms,
                                  .protocols = metadata->protocols,
                                  .protocol_count = (size_t)metadata->protocol_count,
                              },
                              &member);
}

static enum err downgrade_members(struct consumer_group *group, struct classic_group *to,
                                  const struct consumer_update *joining)
{
    CONSUMER_MEMBERS_EACH(member, group)
    if (!member->leaving && (!joining || member != joining->replaces))
        TRY(downgrade_member(group->coordinator, to, member->id, member->metadata));
    return joining ? downgrade_member(group->coordinator, to, joining->member_id, &joining->after)
                   : OK;
}

/* What it shall have; before a rebalance, what it has: all that is known of it should the group be upgraded again before
 * the member has joined. */
static enum err assignment_left(struct group_call *call, const struct classic_group *to,
                                const struct consumer_member *from, struct assignment *out)
{
    if (to->rebalance_when_replayed)
        return consumer_assignment_merge(&from->assigned.is, &from->revoking.is, call->arena, out);
    *out = from->has_target ? from->target.is : (struct assignment){0};
    return OK;
}

/* The joining one takes over from the member it replaces. */
static enum err downgrade_assignments(struct group_call *call, struct consumer_group *group,
                                      struct classic_group *to,
                                      const struct consumer_update *joining)
{
    HASH_MAP_EACH (at, &to->members) {
        struct classic_member *member = HASH_MAP_ITEM(at, struct classic_member, node);
        bool takes_over = joining && slice_equal(member->id, joining->member_id);
        const struct consumer_member *from =
            takes_over ? joining->replaces : consumer_member_find(group, member->id);
        struct assignment assignment;
        struct slice bytes;
        enum err err;

        ASSERT(from);
        TRY(assignment_left(call, to, from, &assignment));
        err = consumer_assignment_encode(&assignment, call->moment->image,
                                         classic_member_metadata(member, to->protocol), call->arena,
                                         &bytes);
        if (err == ERR_INCONSISTENT_GROUP_PROTOCOL)
            continue; /* it was checked when the member joined; from a foreign log: nothing assigned */
        TRY(err);
        bytes_release(call->coordinator->allocator, &member->assignment);
        TRY(bytes_copy(call->coordinator->allocator, bytes, &member->assignment));
    }
    return OK;
}

static enum err downgrade_build(struct group_call *call, struct consumer_group *group,
                                struct classic_group *to, const struct consumer_update *joining)
{
    struct allocator *allocator = call->coordinator->allocator;
    struct slice protocol;

    to->state = to->previous_state = CLASSIC_STABLE;
    to->state_since_wall_ms = call->moment->wall_ms;
    to->generation = group->epoch;
    bytes_release(allocator, &to->protocol_type);
    TRY(bytes_copy(allocator, SLICE("consumer"), &to->protocol_type));
    TRY(downgrade_members(group, to, joining));
    /* We let nobody in who has no protocol in common with the others; a foreign log may. */
    protocol = classic_group_vote(to);
    if (slice_is_null(protocol))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    bytes_release(allocator, &to->protocol);
    TRY(bytes_copy(allocator, protocol, &to->protocol));
    return downgrade_assignments(call, group, to, joining);
}

enum err consumer_downgrade(struct consumer_draft *draft, struct consumer_group *group,
                            const struct consumer_update *joining, bool rebalance,
                            const char *reason)
{
    struct group_call *call = draft->call;
    struct classic_group *to;
    enum err err;

    TRY(consumer_draft_group_gone(draft, group, joining ? joining->replaces->id : SLICE_NULL,
                                  joining ? joining->member_id : SLICE_NULL));
    TRY(classic_group_create(call->coordinator, group->head.id, &to));
    to->rebalance_when_replayed = rebalance;
    err = downgrade_build(call, group, to, joining);
    if (err == OK)
        err = consumer_draft_flush(draft);
    if (err == OK)
        err = classic_group_record(call, to);
    if (err != OK) {
        classic_group_release(call->coordinator, &to);
        return err;
    }
    LOG_INFO(call->coordinator->logger, GROUP_LOG, "group_downgraded",
             "group=\"%.*s\" members=%zu generation=%d reason=\"%s\"", SLICE_ARGS(group->head.id),
             to->members.count, to->generation, reason);
    classic_group_stage(call, &to, reason);
    return OK;
}
