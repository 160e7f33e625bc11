/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/replay.c: records into state, at load and right after this leader has appended
 * them. Types 0 and 1 are offsets, 2 classic groups; the other known types belong to consumer
 * groups. Types that nobody here knows (share and streams groups, later ones) are passed over, as
 * the reference does.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

enum record_type {
    TYPE_LEGACY_OFFSET = 0,
    TYPE_OFFSET = 1,
    TYPE_GROUP = 2,
    TYPE_CONSUMER_FIRST = 3,
    TYPE_CONSUMER_LAST = 8,
    TYPE_CONSUMER_REGEX = 16,
};

struct replayed {
    struct group_coordinator *coordinator;
    int16_t type;
    struct cursor key;
    bool is_tombstone;
    int16_t version;
    struct cursor value;
    int64_t offset;
    int64_t producer_id;
    struct arena *scratch;
    struct why *why;
};

static enum err value_decode(struct replayed *record, const struct message_type *type, void *out)
{
    enum err err;

    if (record->version < type->version_min || record->version > type->version_max)
        return why_set(record->why, ERR_UNSUPPORTED_VERSION, "%s version %d at offset %lld",
                       type->name, record->version, (long long)record->offset);
    err = message_decode(type, record->version, &record->value, record->scratch, out);
    if (err == OK || err == ERR_NO_MEMORY)
        return err;
    return why_set(record->why, ERR_CORRUPT, "%s at offset %lld: %s", type->name,
                   (long long)record->offset, err_name(err));
}

static enum err key_decode(struct replayed *record, const struct message_type *type, void *out)
{
    enum err err = message_decode(type, type->version_max, &record->key, record->scratch, out);

    if (err == OK || err == ERR_NO_MEMORY)
        return err;
    return why_set(record->why, ERR_CORRUPT, "%s at offset %lld: %s", type->name,
                   (long long)record->offset, err_name(err));
}

/* ---- offsets ---- */

/* Offsets without a group are those of consumers that assign to themselves: a group of its own
 * kind. */
static enum err simple_group_ensure(struct group_coordinator *coordinator, struct slice id)
{
    struct classic_group *group;
    enum err err;

    if (group_find(coordinator, id))
        return OK;
    TRY(classic_group_create(coordinator, id, &group));
    err = group_insert(coordinator, &group->head);
    if (err != OK)
        classic_group_release(coordinator, &group);
    return err;
}

static enum err offset_apply(struct replayed *record, const struct offset_key *key,
                             const struct offset_content *content)
{
    if (content)
        TRY(simple_group_ensure(record->coordinator, key->group_id));
    return offsets_replay(record->coordinator, key, content, record->offset, record->producer_id);
}

static enum err replay_offset(struct replayed *record)
{
    struct offset_commit_value value;
    struct offset_content content;
    struct offset_commit_key key;
    struct offset_key to;

    TRY(key_decode(record, &offset_commit_key_type, &key));
    to = (struct offset_key){key.group, key.topic, key.partition};
    if (record->is_tombstone)
        return offset_apply(record, &to, NULL);
    TRY(value_decode(record, &offset_commit_value_type, &value));
    content = (struct offset_content){
        .offset = value.offset,
        .commit_ms = value.commit_timestamp,
        .expire_ms = value.expire_timestamp,
        .leader_epoch = value.leader_epoch,
        .metadata = value.metadata,
        .topic_id = value.topic_id,
    };
    return offset_apply(record, &to, &content);
}

static enum err replay_legacy_offset(struct replayed *record)
{
    struct legacy_offset_commit_value value;
    struct legacy_offset_commit_key key;
    struct offset_content content;
    struct offset_key to;

    TRY(key_decode(record, &legacy_offset_commit_key_type, &key));
    to = (struct offset_key){key.group, key.topic, key.partition};
    if (record->is_tombstone)
        return offset_apply(record, &to, NULL);
    /* The key of old says nothing of its value: any version may stand behind it. */
    if (record->version != 0) {
        struct offset_commit_value later;

        TRY(value_decode(record, &offset_commit_value_type, &later));
        content = (struct offset_content){later.offset,           later.commit_timestamp,
                                          later.expire_timestamp, later.leader_epoch,
                                          later.metadata,         later.topic_id};
        return offset_apply(record, &to, &content);
    }
    TRY(value_decode(record, &legacy_offset_commit_value_type, &value));
    content = (struct offset_content){
        .offset = value.offset,
        .commit_ms = value.commit_timestamp,
        .expire_ms = -1,
        .leader_epoch = -1,
        .metadata = value.metadata,
    };
    return offset_apply(record, &to, &content);
}

/* ---- classic groups ---- */

static enum err member_load(struct replayed *record, struct classic_group *group,
                            const struct group_metadata_value *value,
                            const struct group_metadata_value_member_metadata *member)
{
    struct classic_protocol protocol = {
        .name = slice_is_null(value->protocol) ? SLICE_EMPTY : value->protocol,
        .metadata = member->subscription,
    };
    struct classic_member_init init = {
        .id = member->member_id,
        .instance_id = member->group_instance_id,
        .client_id = member->client_id,
        .client_host = member->client_host,
        .session_timeout_ms = member->session_timeout,
        .rebalance_timeout_ms =
            member->rebalance_timeout == -1 ? member->session_timeout : member->rebalance_timeout,
        .protocols = &protocol,
        .protocol_count = 1,
        .assignment = member->assignment,
    };
    struct classic_member *added;

    if (classic_member_find(group, init.id) ||
        (!slice_is_null(init.instance_id) && classic_static_find(group, init.instance_id)))
        return why_set(record->why, ERR_CORRUPT, "group %.*s at offset %lld has a member twice",
                       SLICE_ARGS(group->head.id), (long long)record->offset);
    return classic_member_add(record->coordinator, group, &init, &added);
}

static enum err group_fill(struct replayed *record, struct classic_group *group,
                           const struct group_metadata_value *value)
{
    struct allocator *allocator = record->coordinator->allocator;

    group->generation = value->generation;
    group->state_since_wall_ms = value->current_state_timestamp;
    group->state = value->members_count > 0 ? CLASSIC_STABLE : CLASSIC_EMPTY;
    if (value->protocol_type.size_bytes > 0)
        TRY(bytes_copy(allocator, value->protocol_type, &group->protocol_type));
    TRY(bytes_copy(allocator,
                   slice_is_null(value->protocol) && value->members_count > 0 ? SLICE_EMPTY
                                                                              : value->protocol,
                   &group->protocol));
    for (int32_t i = 0; i < value->members_count; i++)
        TRY(member_load(record, group, value, &value->members[i]));
    if (slice_is_null(value->leader)) {
        group->rebalance_when_replayed = value->members_count > 0;
        return OK;
    }
    /* A leader that is no member: the first one stands in, as after a leader's death. */
    return classic_member_find(group, value->leader)
               ? classic_leader_set(record->coordinator, group, value->leader)
               : OK;
}

/* The group as its leader has it, with more than the record can say. */
static enum err staged_take(struct group_coordinator *coordinator)
{
    struct classic_group *group = TAKE(coordinator->staged);
    enum err err = group_insert(coordinator, &group->head);

    if (err != OK) {
        classic_group_release(coordinator, &group);
        return err;
    }
    if (group->state != CLASSIC_STABLE)
        return OK; /* made by a JoinGroup, which has armed what it needs */
    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        TRY(classic_session_restart(coordinator, member, member->session_timeout_ms));
    }
    return group->rebalance_when_replayed
               ? group_timer_set(coordinator, &group->join, coordinator->now_ms)
               : OK;
}

static enum err replay_group(struct replayed *record)
{
    struct group_coordinator *coordinator = record->coordinator;
    struct group_metadata_value value;
    struct group_metadata_key key;
    struct classic_group *made;
    struct group *group;
    enum err err;

    TRY(key_decode(record, &group_metadata_key_type, &key));
    group = group_find(coordinator, key.group);
    if (record->is_tombstone) {
        if (group && group->kind == GROUP_CLASSIC)
            group_remove(coordinator, group);
        return OK;
    }
    TRY(value_decode(record, &group_metadata_value_type, &value));
    /* Our own record: the group in memory has said it, and knows more. */
    if (coordinator->loaded && group && group->kind == GROUP_CLASSIC)
        return OK;
    if (!group && coordinator->staged && slice_equal(coordinator->staged->head.id, key.group))
        return staged_take(coordinator);
    TRY(classic_group_create(coordinator, key.group, &made));
    err = group_fill(record, made, &value);
    if (err == OK && group)
        group_remove(coordinator, group);
    if (err == OK)
        err = group_insert(coordinator, &made->head);
    if (err != OK)
        classic_group_release(coordinator, &made);
    return err;
}

/* ---- dispatch ---- */

static enum err dispatch(struct replayed *record)
{
    switch (record->type) {
    case TYPE_LEGACY_OFFSET:
        return replay_legacy_offset(record);
    case TYPE_OFFSET:
        return replay_offset(record);
    case TYPE_GROUP:
        return replay_group(record);
    default:
        break;
    }
    if ((record->type >= TYPE_CONSUMER_FIRST && record->type <= TYPE_CONSUMER_LAST) ||
        record->type == TYPE_CONSUMER_REGEX)
        return consumer_group_replay(record->coordinator, record->type, record->key,
                                     record->is_tombstone, record->version, record->value,
                                     record->offset, record->scratch, record->why);
    LOG_WARN(record->coordinator->logger, GROUP_LOG, "group_record_passed_over",
             "type=%d offset=%lld", record->type, (long long)record->offset);
    return OK;
}

enum err group_coordinator_replay(struct group_coordinator *coordinator,
                                  const struct coordinator_record *record, int64_t offset,
                                  int64_t producer_id, int16_t producer_epoch, struct why *why)
{
    struct arena scratch;
    struct replayed replayed = {
        .coordinator = coordinator,
        .key = cursor_of(record->key),
        .is_tombstone = slice_is_null(record->value),
        .value = cursor_of(record->value),
        .offset = offset,
        .producer_id = producer_id,
        .scratch = &scratch,
        .why = why,
    };
    enum err err;

    UNUSED(producer_epoch); /* fenced before the append */
    if (slice_is_null(record->key) || cursor_i16(&replayed.key, &replayed.type) != OK)
        return why_set(why, ERR_CORRUPT, "record without a key at offset %lld", (long long)offset);
    if (!replayed.is_tombstone && cursor_i16(&replayed.value, &replayed.version) != OK)
        return why_set(why, ERR_CORRUPT, "value without a version at offset %lld",
                       (long long)offset);
    arena_init(&scratch, coordinator->allocator, SIZE_MAX);
    err = dispatch(&replayed);
    arena_release(&scratch);
    if (err == OK)
        coordinator->end_offset = MAX(coordinator->end_offset, offset + 1);
    return err;
}

enum err group_coordinator_replay_marker(struct group_coordinator *coordinator, int64_t producer_id,
                                         int16_t producer_epoch, bool is_commit, int64_t offset)
{
    UNUSED(producer_epoch);
    TRY(offsets_replay_marker(coordinator, producer_id, is_commit, offset));
    coordinator->end_offset = MAX(coordinator->end_offset, offset + 1);
    return OK;
}
