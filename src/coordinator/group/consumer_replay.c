/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_replay.c: records of types 3–8 and 16. A tombstone for a group or a member that is
 * not known is passed over; one that comes out of order (groups.md §2.1) is corruption.
 */
#include "coordinator/group/consumer_internal.h"

struct replay {
    struct group_coordinator *coordinator;
    struct consumer_group *group; /* NULL: none, and the record does not make one */
    bool is_tombstone;
    struct arena *scratch;
    struct why *why;
};

/* The group of a record: found, or made, in place of a simple one; NULL for a tombstone without a group. */
static enum err group_for(struct replay *replay, struct slice group_id)
{
    struct group *group = group_find(replay->coordinator, group_id);
    struct consumer_group *made;

    replay->group = group_consumer(group);
    if (replay->group || (!group && replay->is_tombstone))
        return OK;
    if (group && !group_is_simple(group))
        return why_set(replay->why, ERR_CORRUPT, "group %.*s is not a consumer group",
                       SLICE_ARGS(group_id));
    if (replay->is_tombstone)
        return OK; /* nothing of the simple group goes away by it */
    if (group)
        group_remove(replay->coordinator, group);
    TRY(consumer_group_create(replay->coordinator, group_id, &made));
    enum err err = group_insert(replay->coordinator, &made->head);

    if (err != OK)
        consumer_group_release(replay->coordinator, &made);
    replay->group = made;
    return err;
}

/* ---- values ---- */

static enum err order_broken(struct replay *replay, const char *what)
{
    return why_set(replay->why, ERR_CORRUPT, "group %.*s: %s", SLICE_ARGS(replay->group->head.id),
                   what);
}

/* One topic of a list from the log: ascending partitions, each once. */
struct listed {
    struct topic_partitions is;
    int32_t *partitions, *epochs;
};

static enum err listed_sort(struct replay *replay, struct listed *listed)
{
    int32_t count = listed->is.count, kept = 0;

    for (int32_t i = 0; i < count; i++)
        if (listed->partitions[i] < 0 || listed->partitions[i] >= CONSUMER_PARTITIONS_MAX)
            return order_broken(replay, "a partition that cannot be");
    if (!listed->epochs) {
        consumer_sort_i32(listed->partitions, count);
    } else {
        /* Nearly always sorted as we write it; Apache's order is that of its hash sets. */
        for (int32_t gap = count / 2; gap > 0;
             gap = gap == 2 ? 1 : (int32_t)((int64_t)gap * 5 / 11)) {
            for (int32_t i = gap; i < count; i++) {
                int32_t partition = listed->partitions[i], epoch = listed->epochs[i], at = i;

                for (; at >= gap && listed->partitions[at - gap] > partition; at -= gap) {
                    listed->partitions[at] = listed->partitions[at - gap];
                    listed->epochs[at] = listed->epochs[at - gap];
                }
                listed->partitions[at] = partition;
                listed->epochs[at] = epoch;
            }
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (kept > 0 && listed->partitions[kept - 1] == listed->partitions[i])
            continue;
        listed->partitions[kept] = listed->partitions[i];
        if (listed->epochs)
            listed->epochs[kept] = listed->epochs[i];
        kept++;
    }
    listed->is.count = kept;
    listed->is.partitions = listed->partitions;
    listed->is.epochs = listed->epochs;
    return OK;
}

/* Sorts the topics; of a topic that is named twice the later list counts, as in Kafka's maps. */
static enum err listed_finish(struct replay *replay, struct listed *listed, int32_t count,
                              struct assignment *out)
{
    struct topic_partitions *topics =
        ARENA_ARRAY(replay->scratch, struct topic_partitions, (size_t)count);
    int32_t kept = 0;

    if (!topics)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        int32_t at = kept;

        TRY(listed_sort(replay, &listed[i]));
        while (at > 0 && uuid_compare(topics[at - 1].topic_id, listed[i].is.topic_id) > 0)
            at--;
        if (at > 0 && uuid_equal(topics[at - 1].topic_id, listed[i].is.topic_id)) {
            topics[at - 1] = listed[i].is;
            continue;
        }
        memmove(topics + at + 1, topics + at, (size_t)(kept - at) * sizeof *topics);
        topics[at] = listed[i].is;
        kept++;
    }
    count = kept;
    kept = 0;
    for (int32_t i = 0; i < count; i++)
        if (topics[i].count > 0)
            topics[kept++] = topics[i];
    *out = (struct assignment){topics, kept};
    return OK;
}

static enum err
current_list(struct replay *replay,
             const struct consumer_group_current_member_assignment_value_topic_partitions *from,
             int32_t count, int32_t epoch, struct assignment *out)
{
    struct listed *listed = ARENA_ARRAY(replay->scratch, struct listed, (size_t)MAX(count, 0));

    if (!listed)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        listed[i].is.topic_id = from[i].topic_id;
        listed[i].is.count = MAX(from[i].partitions_count, 0);
        listed[i].partitions = from[i].partitions;
        listed[i].epochs = from[i].assignment_epochs;
        if (from[i].assignment_epochs_count == listed[i].is.count && listed[i].epochs)
            continue;
        listed[i].epochs = ARENA_ARRAY(replay->scratch, int32_t, (size_t)listed[i].is.count);
        if (!listed[i].epochs)
            return ERR_NO_MEMORY;
        for (int32_t j = 0; j < listed[i].is.count; j++)
            listed[i].epochs[j] = MAX(epoch, 0);
    }
    return listed_finish(replay, listed, MAX(count, 0), out);
}

/* ---- what the live coordinator does beyond the state ---- */

/* The rebalance is over: people are told how long it took. */
static void maybe_settled(struct consumer_group *group)
{
    struct group_coordinator *coordinator = group->coordinator;

    if (!coordinator->loaded || group->rebalance_since_ms < 0 || group->unreconciled > 0 ||
        group->target_epoch < group->epoch)
        return;
    group->rebalance_last_ms = coordinator->now_ms - group->rebalance_since_ms;
    group->rebalance_since_ms = -1;
    LOG_INFO(coordinator->logger, GROUP_LOG, "consumer_group_stable",
             "group=\"%.*s\" epoch=%d members=%d took_ms=%lld reason=\"%s\"",
             SLICE_ARGS(group->head.id), group->epoch, group->member_count,
             (long long)group->rebalance_last_ms, group->reason);
}

/* Or it has become a classic one: what the other protocol asked of it is asked no more. */
static enum err member_created(struct consumer_member *member)
{
    struct group_coordinator *coordinator = member->group->coordinator;
    struct consumer_shared *shared = coordinator->consumer;
    const struct consumer_metadata *metadata = member->metadata;

    if (!coordinator->loaded)
        return OK;
    group_timer_stop(coordinator, &member->progress);
    if (metadata->is_classic && slice_equal(shared->joining_id, member->id)) {
        bytes_release(coordinator->allocator, &shared->joining_id);
        member->progress_is_sync = true;
        TRY(group_timer_set(coordinator, &member->progress,
                            group_after_ms(coordinator, metadata->rebalance_timeout_ms)));
    }
    return group_timer_set(coordinator, &member->session,
                           group_after_ms(coordinator, metadata->is_classic
                                                           ? metadata->classic_session_timeout_ms
                                                           : shared->session_timeout_ms));
}

/* A member of the consumer protocol has its rebalance timeout to give partitions up. */
static enum err member_moved(struct consumer_member *member)
{
    struct group_coordinator *coordinator = member->group->coordinator;

    if (!coordinator->loaded || member->metadata->is_classic)
        return OK;
    if (member->state != CONSUMER_UNREVOKED || member->epoch < 0) {
        group_timer_stop(coordinator, &member->progress);
        return OK;
    }
    member->progress_epoch = member->epoch;
    return group_timer_set(coordinator, &member->progress,
                           group_after_ms(coordinator, member->metadata->rebalance_timeout_ms));
}

/* ---- records ---- */

static enum err replay_epoch(struct replay *replay,
                             const struct consumer_group_metadata_value *value)
{
    struct consumer_group *group = replay->group;
    struct consumer_shared *shared = replay->coordinator->consumer;

    if (!replay->is_tombstone) {
        if (replay->coordinator->loaded && group->rebalance_since_ms < 0 &&
            value->epoch > group->epoch) {
            group->rebalance_since_ms = replay->coordinator->now_ms;
            memcpy(group->reason, shared->reason, sizeof group->reason);
            LOG_INFO(replay->coordinator->logger, GROUP_LOG, "consumer_group_rebalance",
                     "group=\"%.*s\" epoch=%d reason=\"%s\"", SLICE_ARGS(group->head.id),
                     value->epoch, group->reason);
        }
        group->epoch = value->epoch;
        group->hash = (uint64_t)value->metadata_hash;
        maybe_settled(group);
        return OK;
    }
    if (group->member_count > 0)
        return order_broken(replay, "its tombstone comes before those of its members");
    if (group->target_count > 0)
        return order_broken(replay, "its tombstone comes before those of its targets");
    if (group->target_epoch != -1)
        return order_broken(replay, "its tombstone comes before that of its target epoch");
    group_remove(replay->coordinator, &group->head);
    return OK;
}

static enum err replay_metadata(struct replay *replay, struct slice member_id,
                                const struct consumer_group_member_metadata_value *value)
{
    struct consumer_metadata metadata = {0};
    struct consumer_member *member;
    int32_t count = MAX(value->subscribed_topic_names_count, 0);
    bool is_new, was_modern;

    if (replay->is_tombstone) {
        member = consumer_member_find(replay->group, member_id);
        if (!member)
            return OK;
        if (member->epoch != CONSUMER_EPOCH_LEAVE)
            return order_broken(replay, "a member's tombstone comes before its assignment's");
        if (member->has_target)
            return order_broken(replay, "a member's tombstone comes before its target's");
        consumer_member_remove(member);
        maybe_settled(replay->group);
        return OK;
    }
    metadata.instance_id = value->instance_id;
    metadata.rack_id = value->rack_id;
    metadata.client_id = value->client_id;
    metadata.client_host = value->client_host;
    metadata.regex = value->subscribed_topic_regex;
    metadata.assignor = value->server_assignor;
    metadata.rebalance_timeout_ms = value->rebalance_timeout_ms;
    metadata.topics = value->subscribed_topic_names;
    metadata.topic_count = consumer_names_sort(value->subscribed_topic_names, count);
    if (value->classic_member_metadata) {
        struct classic_protocol *protocols;
        int32_t protocol_count = MAX(value->classic_member_metadata->supported_protocols_count, 0);

        protocols = ARENA_ARRAY(replay->scratch, struct classic_protocol, (size_t)protocol_count);
        if (!protocols)
            return ERR_NO_MEMORY;
        for (int32_t i = 0; i < protocol_count; i++) {
            protocols[i].name = value->classic_member_metadata->supported_protocols[i].name;
            protocols[i].metadata = value->classic_member_metadata->supported_protocols[i].metadata;
        }
        if (protocol_count == 0)
            return order_broken(replay, "a classic member without a protocol");
        metadata.is_classic = true;
        metadata.classic_session_timeout_ms = value->classic_member_metadata->session_timeout_ms;
        metadata.protocols = protocols;
        metadata.protocol_count = protocol_count;
    }
    is_new = !consumer_member_find(replay->group, member_id);
    TRY(consumer_member_ensure(replay->group, member_id, &member));
    was_modern = !is_new && !member->metadata->is_classic;
    TRY(consumer_member_set_metadata(member, &metadata));
    return is_new || (was_modern && metadata.is_classic) ? member_created(member) : OK;
}

static enum err replay_target(struct replay *replay, struct slice member_id,
                              const struct consumer_group_target_assignment_member_value *value)
{
    struct consumer_member *member;
    struct assignment target;
    struct listed *listed;
    int32_t count = MAX(value->topic_partitions_count, 0);

    if (replay->is_tombstone) {
        member = consumer_member_find_any(replay->group, member_id);
        if (member)
            consumer_member_clear_target(member);
        return OK;
    }
    listed = ARENA_ARRAY(replay->scratch, struct listed, (size_t)count);
    if (!listed)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        listed[i].is.topic_id = value->topic_partitions[i].topic_id;
        listed[i].is.count = MAX(value->topic_partitions[i].partitions_count, 0);
        listed[i].partitions = value->topic_partitions[i].partitions;
    }
    TRY(listed_finish(replay, listed, count, &target));
    TRY(consumer_member_ensure(replay->group, member_id, &member));
    return consumer_member_set_target(member, &target);
}

static enum err
replay_target_epoch(struct replay *replay,
                    const struct consumer_group_target_assignment_metadata_value *value)
{
    if (!replay->is_tombstone) {
        if (value->assignment_epoch < -1 || value->assignment_timestamp < 0)
            return order_broken(replay, "a target epoch that cannot be");
        consumer_group_set_target_epoch(replay->group, value->assignment_epoch,
                                        value->assignment_timestamp);
        maybe_settled(replay->group);
        return OK;
    }
    if (replay->group->target_count > 0)
        return order_broken(replay, "the target epoch's tombstone comes before those of targets");
    consumer_group_set_target_epoch(replay->group, -1, 0);
    return OK;
}

static enum err replay_current(struct replay *replay, struct slice member_id,
                               const struct consumer_group_current_member_assignment_value *value)
{
    struct consumer_current current = {.epoch = CONSUMER_EPOCH_LEAVE,
                                       .previous_epoch = CONSUMER_EPOCH_LEAVE};
    struct consumer_member *member = consumer_member_find(replay->group, member_id);
    enum err err;

    if (replay->is_tombstone) {
        if (!member)
            return OK;
        current.state = member->state;
        TRY(consumer_member_set_current(member, &current));
        return member_moved(member);
    }
    current.epoch = value->member_epoch;
    current.previous_epoch = value->previous_member_epoch;
    current.state = value->state >= CONSUMER_STABLE && value->state <= CONSUMER_UNRELEASED
                        ? value->state
                        : (int8_t)CONSUMER_UNKNOWN;
    TRY(current_list(replay, value->assigned_partitions, value->assigned_partitions_count,
                     current.epoch, &current.assigned));
    TRY(current_list(replay, value->partitions_pending_revocation,
                     value->partitions_pending_revocation_count, current.epoch, &current.revoking));
    TRY(consumer_member_ensure(replay->group, member_id, &member));
    err = consumer_member_set_current(member, &current);
    if (err == ERR_CORRUPT)
        return order_broken(replay, "a partition has two holders");
    TRY(err);
    maybe_settled(replay->group);
    return member_moved(member);
}

static enum err replay_regex(struct replay *replay, struct slice pattern,
                             const struct consumer_group_regular_expression_value *value)
{
    if (!replay->is_tombstone)
        return consumer_regex_set(replay->group, pattern, value->topics,
                                  MAX(value->topics_count, 0), value->version, value->timestamp);
    consumer_regex_clear(replay->group, pattern);
    return OK;
}

/* ---- dispatch ---- */

union any_value {
    struct consumer_group_metadata_value epoch;
    struct consumer_group_partition_metadata_value partitions;
    struct consumer_group_member_metadata_value metadata;
    struct consumer_group_target_assignment_metadata_value target_epoch;
    struct consumer_group_target_assignment_member_value target;
    struct consumer_group_current_member_assignment_value current;
    struct consumer_group_regular_expression_value regex;
};

static const struct replay_row {
    int16_t type;
    const struct message_type *value;
} replay_rows[] = {
    {3, &consumer_group_metadata_value_type},
    {4, &consumer_group_partition_metadata_value_type},
    {5, &consumer_group_member_metadata_value_type},
    {6, &consumer_group_target_assignment_metadata_value_type},
    {7, &consumer_group_target_assignment_member_value_type},
    {8, &consumer_group_current_member_assignment_value_type},
    {16, &consumer_group_regular_expression_value_type},
};

static enum err key_text(struct cursor *key, struct slice *out)
{
    int16_t size;

    TRY(cursor_i16(key, &size));
    if (size < 0)
        return ERR_CORRUPT;
    return cursor_bytes(key, (size_t)size, out);
}

static enum err replay_run(struct replay *replay, int16_t type, struct slice part,
                           const union any_value *value)
{
    switch (type) {
    case 3:
        return replay_epoch(replay, &value->epoch);
    case 4:
        /* Replaced by the hash since 4.1; tombstoned with the next epoch. */
        replay->group->old_metadata_record = !replay->is_tombstone;
        return OK;
    case 5:
        return replay_metadata(replay, part, &value->metadata);
    case 6:
        return replay_target_epoch(replay, &value->target_epoch);
    case 7:
        return replay_target(replay, part, &value->target);
    case 8:
        return replay_current(replay, part, &value->current);
    default:
        return replay_regex(replay, part, &value->regex);
    }
}

enum err consumer_group_replay(struct group_coordinator *coordinator, int16_t type,
                               struct cursor key, bool is_tombstone, int16_t value_version,
                               struct cursor value, int64_t offset, struct arena *scratch,
                               struct why *why)
{
    struct replay replay = {coordinator, NULL, is_tombstone, scratch, why};
    const struct replay_row *row = NULL;
    struct slice group_id, part = SLICE_NULL;
    union any_value decoded = {0};

    for (size_t i = 0; i < ARRAY_COUNT(replay_rows); i++)
        if (replay_rows[i].type == type)
            row = &replay_rows[i];
    ASSERT(row);
    if (key_text(&key, &group_id) != OK ||
        ((type == 5 || type == 7 || type == 8 || type == 16) && key_text(&key, &part) != OK))
        return why_set(why, ERR_CORRUPT, "key of record type %d at offset %lld cannot be read",
                       type, (long long)offset);
    if (!is_tombstone) {
        enum err err;

        message_init(row->value, &decoded);
        err = message_decode(row->value, value_version, &value, scratch, &decoded);
        if (err == ERR_NO_MEMORY)
            return err;
        if (err == ERR_UNSUPPORTED_VERSION)
            return why_set(why, err, "record type %d at offset %lld has version %d", type,
                           (long long)offset, value_version);
        if (err != OK)
            return why_set(why, ERR_CORRUPT, "value of record type %d at offset %lld: %s", type,
                           (long long)offset, err_name(err));
    }
    TRY(group_for(&replay, group_id));
    return replay.group ? replay_run(&replay, type, part, &decoded) : OK;
}
