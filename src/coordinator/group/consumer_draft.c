/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_draft.c: records of consumer groups. A handler drafts them while it may still
 * refuse the request; nothing reaches the call's effects before consumer_draft_flush.
 */
#include "coordinator/group/consumer_internal.h"

static const struct draft_row {
    int16_t type;
    const struct message_type *key, *value;
} draft_rows[] = {
    {3, &consumer_group_metadata_key_type, &consumer_group_metadata_value_type},
    {4, &consumer_group_partition_metadata_key_type, &consumer_group_partition_metadata_value_type},
    {5, &consumer_group_member_metadata_key_type, &consumer_group_member_metadata_value_type},
    {6, &consumer_group_target_assignment_metadata_key_type,
     &consumer_group_target_assignment_metadata_value_type},
    {7, &consumer_group_target_assignment_member_key_type,
     &consumer_group_target_assignment_member_value_type},
    {8, &consumer_group_current_member_assignment_key_type,
     &consumer_group_current_member_assignment_value_type},
    {16, &consumer_group_regular_expression_key_type,
     &consumer_group_regular_expression_value_type},
};

/* All keys are one or two strings: the group, and a member or an expression. */
union any_key {
    struct consumer_group_metadata_key group;
    struct consumer_group_partition_metadata_key partitions;
    struct consumer_group_member_metadata_key member;
    struct consumer_group_target_assignment_metadata_key target_group;
    struct consumer_group_target_assignment_member_key target;
    struct consumer_group_current_member_assignment_key current;
    struct consumer_group_regular_expression_key regex;
};

static enum err draft_add(struct consumer_draft *draft, int16_t type, struct slice part,
                          const void *value)
{
    union any_key *key = ARENA_NEW(draft->call->arena, union any_key);

    if (!key)
        return ERR_NO_MEMORY;
    switch (type) {
    case 3:
        key->group.group_id = draft->group_id;
        break;
    case 4:
        key->partitions.group_id = draft->group_id;
        break;
    case 5:
        key->member.group_id = draft->group_id;
        key->member.member_id = part;
        break;
    case 6:
        key->target_group.group_id = draft->group_id;
        break;
    case 7:
        key->target.group_id = draft->group_id;
        key->target.member_id = part;
        break;
    case 8:
        key->current.group_id = draft->group_id;
        key->current.member_id = part;
        break;
    case 16:
        key->regex.group_id = draft->group_id;
        key->regex.regular_expression = part;
        break;
    default:
        ASSERT(!"a type of this file");
    }
    if (draft->count == draft->capacity) {
        size_t capacity = MAX((size_t)16, draft->capacity * 2);
        struct consumer_draft_record *grown =
            ARENA_ARRAY(draft->call->arena, struct consumer_draft_record, capacity);

        if (!grown)
            return ERR_NO_MEMORY;
        if (draft->count > 0)
            memcpy(grown, draft->records, draft->count * sizeof *grown);
        draft->records = grown;
        draft->capacity = capacity;
    }
    draft->records[draft->count++] = (struct consumer_draft_record){type, key, value};
    return OK;
}

#define DRAFT_VALUE(draft, name, variable)                                \
    struct name *variable = ARENA_NEW((draft)->call->arena, struct name); \
                                                                          \
    if (!variable)                                                        \
        return ERR_NO_MEMORY;                                             \
    name##_init(variable)

static enum err slices_copy(struct arena *arena, const struct slice *from, int32_t count,
                            struct slice **out)
{
    *out = ARENA_ARRAY(arena, struct slice, (size_t)count);
    if (!*out)
        return ERR_NO_MEMORY;
    if (count > 0)
        memcpy(*out, from, (size_t)count * sizeof **out);
    return OK;
}

enum err consumer_draft_metadata(struct consumer_draft *draft, struct slice member_id,
                                 const struct consumer_metadata *metadata)
{
    struct arena *arena = draft->call->arena;

    DRAFT_VALUE(draft, consumer_group_member_metadata_value, value);
    value->instance_id = metadata->instance_id;
    value->rack_id = metadata->rack_id;
    value->client_id = metadata->client_id;
    value->client_host = metadata->client_host;
    value->subscribed_topic_regex = metadata->regex;
    value->server_assignor = metadata->assignor;
    value->rebalance_timeout_ms = metadata->rebalance_timeout_ms;
    value->subscribed_topic_names_count = metadata->topic_count;
    TRY(slices_copy(arena, metadata->topics, metadata->topic_count,
                    &value->subscribed_topic_names));
    value->classic_member_metadata = NULL; /* the schema's default is an empty one */
    if (metadata->is_classic) {
        struct consumer_group_member_metadata_value_classic_member_metadata *classic =
            consumer_group_member_metadata_value_classic_member_metadata_array(arena, 1);

        value->classic_member_metadata = classic;
        if (!classic)
            return ERR_NO_MEMORY;
        classic->session_timeout_ms = metadata->classic_session_timeout_ms;
        classic->supported_protocols_count = metadata->protocol_count;
        classic->supported_protocols = consumer_group_member_metadata_value_classic_protocol_array(
            arena, (size_t)metadata->protocol_count);
        if (!classic->supported_protocols)
            return ERR_NO_MEMORY;
        for (int32_t i = 0; i < metadata->protocol_count; i++) {
            classic->supported_protocols[i].name = metadata->protocols[i].name;
            classic->supported_protocols[i].metadata = metadata->protocols[i].metadata;
        }
    }
    return draft_add(draft, 5, member_id, value);
}

enum err consumer_draft_epoch(struct consumer_draft *draft, int32_t epoch, uint64_t hash)
{
    DRAFT_VALUE(draft, consumer_group_metadata_value, value);
    value->epoch = epoch;
    value->metadata_hash = (int64_t)hash;
    return draft_add(draft, 3, SLICE_NULL, value);
}

enum err consumer_draft_target(struct consumer_draft *draft, struct slice member_id,
                               const struct assignment *target)
{
    struct arena *arena = draft->call->arena;

    DRAFT_VALUE(draft, consumer_group_target_assignment_member_value, value);
    value->topic_partitions_count = target->count;
    value->topic_partitions = consumer_group_target_assignment_member_value_topic_partition_array(
        arena, (size_t)target->count);
    if (!value->topic_partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < target->count; i++) {
        const struct topic_partitions *from = &target->topics[i];
        int32_t *partitions = ARENA_ARRAY(arena, int32_t, (size_t)from->count);

        if (!partitions)
            return ERR_NO_MEMORY;
        memcpy(partitions, from->partitions, (size_t)from->count * sizeof *partitions);
        value->topic_partitions[i].topic_id = from->topic_id;
        value->topic_partitions[i].partitions = partitions;
        value->topic_partitions[i].partitions_count = from->count;
    }
    return draft_add(draft, 7, member_id, value);
}

enum err consumer_draft_target_epoch(struct consumer_draft *draft, int32_t epoch, int64_t ms)
{
    DRAFT_VALUE(draft, consumer_group_target_assignment_metadata_value, value);
    value->assignment_epoch = epoch;
    value->assignment_timestamp = ms;
    return draft_add(draft, 6, SLICE_NULL, value);
}

static enum err
current_list(struct arena *arena, const struct assignment *from,
             struct consumer_group_current_member_assignment_value_topic_partitions **out,
             int32_t *count)
{
    struct consumer_group_current_member_assignment_value_topic_partitions *list =
        consumer_group_current_member_assignment_value_topic_partitions_array(arena,
                                                                              (size_t)from->count);

    if (!list)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < from->count; i++) {
        const struct topic_partitions *topic = &from->topics[i];
        int32_t *numbers = ARENA_ARRAY(arena, int32_t, (size_t)topic->count * 2);

        if (!numbers)
            return ERR_NO_MEMORY;
        ASSERT(topic->epochs);
        memcpy(numbers, topic->partitions, (size_t)topic->count * sizeof *numbers);
        memcpy(numbers + topic->count, topic->epochs, (size_t)topic->count * sizeof *numbers);
        list[i].topic_id = topic->topic_id;
        list[i].partitions = numbers;
        list[i].partitions_count = topic->count;
        list[i].assignment_epochs = numbers + topic->count;
        list[i].assignment_epochs_count = topic->count;
    }
    *out = list;
    *count = from->count;
    return OK;
}

enum err consumer_draft_current(struct consumer_draft *draft, struct slice member_id,
                                const struct consumer_current *current)
{
    struct arena *arena = draft->call->arena;

    DRAFT_VALUE(draft, consumer_group_current_member_assignment_value, value);
    value->member_epoch = current->epoch;
    value->previous_member_epoch = current->previous_epoch;
    value->state = current->state;
    TRY(current_list(arena, &current->assigned, &value->assigned_partitions,
                     &value->assigned_partitions_count));
    TRY(current_list(arena, &current->revoking, &value->partitions_pending_revocation,
                     &value->partitions_pending_revocation_count));
    return draft_add(draft, 8, member_id, value);
}

enum err consumer_draft_regex(struct consumer_draft *draft, struct slice pattern,
                              const struct slice *topics, int32_t count, int64_t version,
                              int64_t timestamp_ms)
{
    DRAFT_VALUE(draft, consumer_group_regular_expression_value, value);
    TRY(slices_copy(draft->call->arena, topics, count, &value->topics));
    value->topics_count = count;
    value->version = version;
    value->timestamp = timestamp_ms;
    return draft_add(draft, 16, pattern, value);
}

enum err consumer_draft_gone(struct consumer_draft *draft, int16_t type)
{
    return draft_add(draft, type, SLICE_NULL, NULL);
}

enum err consumer_draft_part_gone(struct consumer_draft *draft, int16_t type, struct slice part)
{
    return draft_add(draft, type, part, NULL);
}

enum err consumer_draft_member_gone(struct consumer_draft *draft, struct slice member_id)
{
    TRY(draft_add(draft, 8, member_id, NULL));
    TRY(draft_add(draft, 7, member_id, NULL));
    return draft_add(draft, 5, member_id, NULL);
}

static enum err members_gone(struct consumer_draft *draft, const struct consumer_group *group,
                             int16_t type, struct slice leaving, struct slice joining)
{
    HASH_MAP_EACH (at, &group->members) {
        struct slice id = HASH_MAP_ITEM(at, struct consumer_member, node)->id;

        TRY(draft_add(draft, type,
                      !slice_is_null(leaving) && slice_equal(id, leaving) ? joining : id, NULL));
    }
    return OK;
}

enum err consumer_draft_group_gone(struct consumer_draft *draft, const struct consumer_group *group,
                                   struct slice leaving, struct slice joining)
{
    TRY(members_gone(draft, group, 8, leaving, joining));
    TRY(members_gone(draft, group, 7, leaving, joining));
    TRY(draft_add(draft, 6, SLICE_NULL, NULL));
    TRY(members_gone(draft, group, 5, leaving, joining));
    HASH_MAP_EACH (at, &group->regexes) {
        const struct consumer_regex *regex = HASH_MAP_ITEM(at, struct consumer_regex, node);

        if (regex->resolved)
            TRY(draft_add(draft, 16, regex->pattern, NULL));
    }
    TRY(draft_add(draft, 4, SLICE_NULL, NULL));
    return draft_add(draft, 3, SLICE_NULL, NULL);
}

enum err consumer_draft_flush(struct consumer_draft *draft)
{
    if (draft->replaces) {
        if (draft->hands_over)
            TRY(classic_group_hand_over(draft->call, draft->replaces));
        TRY(classic_group_tombstone(draft->call, draft->group_id));
        draft->replaces = NULL;
    }
    for (size_t i = 0; i < draft->count; i++) {
        const struct consumer_draft_record *record = &draft->records[i];
        const struct draft_row *row = NULL;

        for (size_t j = 0; j < ARRAY_COUNT(draft_rows); j++)
            if (draft_rows[j].type == record->type)
                row = &draft_rows[j];
        ASSERT(row);
        TRY(group_record(draft->call, row->key, record->key, row->value, 0, record->value));
    }
    draft->count = 0;
    return OK;
}

enum err consumer_group_tombstones(struct group_call *call, struct consumer_group *group)
{
    struct consumer_draft draft = {.call = call, .group_id = group->head.id};

    TRY(consumer_draft_group_gone(&draft, group, SLICE_NULL, SLICE_NULL));
    return consumer_draft_flush(&draft);
}
