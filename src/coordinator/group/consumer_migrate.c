/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_migrate.c: a classic group becomes a consumer group when the first member of that
 * protocol joins it, and a classic group again when the last one goes. Members stay; their assignments are
 * carried over through the protocol embedded in classic groups. groups.md §5.9.
 */
#include "coordinator/group/consumer_internal.h"

#define EMBEDDED_VERSION_MAX 3

/* ---- the embedded protocol ---- */

static enum err embedded_version(struct cursor *cursor, int16_t *out)
{
    if (cursor_i16(cursor, out) != OK || *out < 0)
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    *out = MIN(*out, (int16_t)EMBEDDED_VERSION_MAX); /* later ones only add at the end */
    return OK;
}

static enum err embedded_decode(const struct message_type *type, struct slice bytes,
                                struct arena *arena, void *out)
{
    struct cursor cursor = cursor_of(bytes);
    int16_t version;
    enum err err;

    TRY(embedded_version(&cursor, &version));
    message_init(type, out);
    err = message_decode(type, version, &cursor, arena, out);
    return err == OK || err == ERR_NO_MEMORY ? err : ERR_INCONSISTENT_GROUP_PROTOCOL;
}

enum err consumer_subscription_decode(struct slice bytes, struct arena *arena,
                                      struct consumer_protocol_subscription *out)
{
    return embedded_decode(&consumer_protocol_subscription_type, bytes, arena, out);
}

enum err consumer_assignment_encode(const struct assignment *assignment,
                                    const struct metadata_image *image, struct slice subscription,
                                    struct arena *arena, struct slice *out)
{
    struct consumer_protocol_assignment message;
    struct cursor cursor = cursor_of(subscription);
    CLEANUP(writer_release) struct writer writer;
    int16_t version;

    writer_init(&writer, arena->allocator, SIZE_MAX);
    TRY(embedded_version(&cursor, &version));
    message_init(&consumer_protocol_assignment_type, &message);
    message.assigned_partitions =
        consumer_protocol_assignment_topic_partition_array(arena, (size_t)assignment->count);
    if (!message.assigned_partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct topic_partitions *from = &assignment->topics[i];
        const struct metadata_topic *topic = metadata_image_topic_by_id(image, from->topic_id);
        struct consumer_protocol_assignment_topic_partition *to;

        if (!topic)
            continue; /* deleted meanwhile */
        to = &message.assigned_partitions[message.assigned_partitions_count++];
        to->topic = topic->name;
        to->partitions = ARENA_ARRAY(arena, int32_t, (size_t)from->count);
        if (!to->partitions)
            return ERR_NO_MEMORY;
        memcpy(to->partitions, from->partitions, (size_t)from->count * sizeof *to->partitions);
        to->partitions_count = from->count;
    }
    writer_i16(&writer, version);
    TRY(message_encode(&consumer_protocol_assignment_type, version, &message, &writer));
    TRY(writer_error(&writer));
    *out = arena_copy(arena, writer_slice(&writer));
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

/* Topics by name → assignment; unknown topics are dropped. */
static enum err assignment_of(const struct consumer_protocol_assignment *from,
                              const struct metadata_image *image, int32_t epoch,
                              struct arena *arena, struct assignment *out)
{
    int32_t count = MAX(from->assigned_partitions_count, 0), kept = 0;
    struct topic_partitions *topics = ARENA_ARRAY(arena, struct topic_partitions, (size_t)count);

    if (!topics)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        const struct consumer_protocol_assignment_topic_partition *named =
            &from->assigned_partitions[i];
        const struct metadata_topic *topic = metadata_image_topic(image, named->topic);
        int32_t partition_count = MAX(named->partitions_count, 0), unique = 0, at = kept;
        int32_t *epochs = ARENA_ARRAY(arena, int32_t, (size_t)partition_count);

        if (!epochs)
            return ERR_NO_MEMORY;
        consumer_sort_i32(named->partitions, partition_count);
        for (int32_t j = 0; j < partition_count; j++)
            if (unique == 0 || named->partitions[unique - 1] != named->partitions[j]) {
                epochs[unique] = epoch;
                named->partitions[unique++] = named->partitions[j];
            }
        if (!topic || unique == 0)
            continue;
        if (named->partitions[0] < 0 || named->partitions[unique - 1] >= CONSUMER_PARTITIONS_MAX)
            return ERR_INCONSISTENT_GROUP_PROTOCOL;
        while (at > 0 && uuid_compare(topics[at - 1].topic_id, topic->id) > 0)
            at--;
        if (at > 0 && uuid_equal(topics[at - 1].topic_id, topic->id))
            return ERR_INCONSISTENT_GROUP_PROTOCOL; /* the same topic twice */
        memmove(topics + at + 1, topics + at, (size_t)(kept - at) * sizeof *topics);
        topics[at] = (struct topic_partitions){topic->id, named->partitions, epochs, unique};
        kept++;
    }
    *out = (struct assignment){topics, kept};
    return OK;
}

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

static enum err upgrade_member(struct consumer_update *update, const struct classic_group *classic,
                               const struct classic_member *from)
{
    struct arena *arena = update->call->arena;
    struct consumer_protocol_subscription subscription;
    struct consumer_metadata metadata = consumer_metadata_none;
    struct consumer_current current = {.epoch = classic->generation,
                                       .previous_epoch = classic->generation};
    struct consumer_member *member;
    struct slice protocol =
        slice_is_null(classic->protocol) ? from->protocols[0].name : classic->protocol;

    if (from->assignment.size_bytes > 0) {
        struct consumer_protocol_assignment assignment;

        TRY(embedded_decode(&consumer_protocol_assignment_type, from->assignment, arena,
                            &assignment));
        if (assignment.user_data.size_bytes > 0)
            return USER_DATA;
        TRY(assignment_of(&assignment, update->call->moment->image, classic->generation, arena,
                          &current.assigned));
    }
    TRY(consumer_subscription_decode(classic_member_metadata(from, protocol), arena,
                                     &subscription));
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

static enum err upgrade_members(struct consumer_update *update, const struct classic_group *classic)
{
    HASH_MAP_EACH (at, &classic->members) {
        enum err err =
            upgrade_member(update, classic, HASH_MAP_ITEM(at, struct classic_member, node));

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

/* Every partition that members subscribe to is somebody's. The last assignment of a classic group may leave some
 * over: of a topic that its leader had not seen. */
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

static enum err upgrade_hash(struct consumer_update *update, const struct classic_group *classic)
{
    struct consumer_counts counts = {0};
    enum err err;

    /* Kafka takes such an assignment for one of these topics; unless the member that comes changes what is
     * subscribed, nobody divides anew, and what was left over stays so. Amid a rebalance a member may still have
     * what its assignment does not say: that is left alone. */
    if (classic->state == CLASSIC_STABLE &&
        !is_all_given(update->made, update->call->moment->image)) {
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
    TRY(upgrade_check(update, classic));
    update->draft.hands_over = true;
    update->made->epoch = classic->generation;
    consumer_group_set_target_epoch(update->made, classic->generation, 0);
    TRY(upgrade_members(update, classic));
    TRY(upgrade_hash(update, classic));
    LOG_INFO(update->call->coordinator->logger, GROUP_LOG, "group_upgraded",
             "group=\"%.*s\" members=%d generation=%d", SLICE_ARGS(update->draft.group_id),
             update->made->member_count, classic->generation);
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

/* Each keeps its target; the joining one takes over that of the member it replaces. */
static enum err downgrade_assignments(struct group_call *call, struct consumer_group *group,
                                      struct classic_group *to,
                                      const struct consumer_update *joining)
{
    static const struct assignment none = {0};

    HASH_MAP_EACH (at, &to->members) {
        struct classic_member *member = HASH_MAP_ITEM(at, struct classic_member, node);
        bool takes_over = joining && slice_equal(member->id, joining->member_id);
        const struct consumer_member *from =
            takes_over ? joining->replaces : consumer_member_find(group, member->id);
        struct slice bytes;
        enum err err;

        ASSERT(from);
        err = consumer_assignment_encode(
            from->has_target ? &from->target.is : &none, call->moment->image,
            classic_member_metadata(member, to->protocol), call->arena, &bytes);
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

    to->state = to->previous_state = CLASSIC_STABLE;
    to->state_since_wall_ms = call->moment->wall_ms;
    to->generation = group->epoch;
    bytes_release(allocator, &to->protocol_type);
    TRY(bytes_copy(allocator, SLICE("consumer"), &to->protocol_type));
    TRY(downgrade_members(group, to, joining));
    bytes_release(allocator, &to->protocol);
    TRY(bytes_copy(allocator, classic_group_vote(to), &to->protocol));
    ASSERT(!slice_is_null(to->protocol)); /* who had no protocol in common was not let in */
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
