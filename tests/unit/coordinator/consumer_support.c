/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_support.h"

#include "base/parse.h"
#include "protocol/generated/messages.h"

/* ---- metadata ---- */

static void apply(struct fixture *fixture, const struct message_type *type, int16_t version,
                  void *message)
{
    struct metadata_record record = {.type = type, .version = version, .message = message};
    struct why why = {0};

    if (metadata_state_replay(fixture->metadata, &record, 1, &why) != OK)
        fail_msg("%s: %s", type->name, why.text);
}

void image_publish(struct fixture *fixture)
{
    struct metadata_image *before = fixture->image;
    struct metadata_provenance at = metadata_image_provenance(before);
    struct coordinator_effects effects;

    at.offset++;
    metadata_state_advance(fixture->metadata, at);
    assert_int_equal(metadata_state_publish(fixture->metadata, &fixture->image), OK);
    fixture->moment.image = fixture->image;
    if (fixture->coordinator) {
        coordinator_effects_init(&effects, &fixture->arena);
        assert_int_equal(group_coordinator_image_changed(fixture->coordinator, before,
                                                         &fixture->moment, &effects),
                         OK);
        assert_int_equal(effects.record_count, 0);
    }
    metadata_image_release(&before);
}

static void partition_make(struct fixture *fixture, uint8_t number, int32_t partition)
{
    static int32_t replicas[] = {1};
    struct partition_record record;

    message_init(&partition_record_type, &record);
    record.partition_id = partition;
    record.topic_id = topic_id_of(number);
    record.replicas = record.isr = replicas;
    record.replicas_count = record.isr_count = 1;
    record.leader = 1;
    record.leader_epoch = record.partition_epoch = 0;
    apply(fixture, &partition_record_type, 0, &record);
}

void topic_make(struct fixture *fixture, const char *name, uint8_t number, int32_t partitions)
{
    struct topic_record record = {.name = text(name), .topic_id = topic_id_of(number)};

    apply(fixture, &topic_record_type, 0, &record);
    for (int32_t i = 0; i < partitions; i++)
        partition_make(fixture, number, i);
    image_publish(fixture);
}

void topic_grow(struct fixture *fixture, uint8_t number, int32_t from, int32_t to)
{
    for (int32_t i = from; i < to; i++)
        partition_make(fixture, number, i);
    image_publish(fixture);
}

void group_config(struct fixture *fixture, const char *group, const char *key, const char *value)
{
    struct config_record record = {.resource_type = METADATA_RESOURCE_GROUP,
                                   .resource_name = text(group),
                                   .name = text(key),
                                   .value = text(value)};

    apply(fixture, &config_record_type, 0, &record);
    image_publish(fixture);
}

void group_version(struct fixture *fixture, int16_t level)
{
    struct feature_level_record record = {.name = text("group.version"), .feature_level = level};

    apply(fixture, &feature_level_record_type, 0, &record);
    image_publish(fixture);
}

void consumer_start(struct fixture *fixture)
{
    struct feature_level_record level = {.name = text("metadata.version"), .feature_level = 29};

    fixture_start(fixture);
    apply(fixture, &feature_level_record_type, 0, &level);
    group_version(fixture, 1);
    for (uint8_t i = 1; i <= 6; i++) {
        char name[4] = {'t', (char)('0' + i), 0};

        topic_make(fixture, name, i, i);
    }
    topic_make(fixture, "foo-a", 7, 1);
    topic_make(fixture, "foo-b", 8, 1);
    fixture->options.consumer_assignment_interval_ms = 0;
    fixture_load(fixture);
}

/* ---- heartbeats ---- */

static struct slice *names_of(struct fixture *fixture, const char *from, int32_t *count)
{
    struct slice *names = ARENA_ARRAY(&fixture->arena, struct slice, 64);
    char *copy = arena_format(&fixture->arena, "%s", from), *rest = NULL;

    *count = 0;
    for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        names[(*count)++] = text(name);
    return names;
}

static void owned_fill(struct fixture *fixture, const char *from,
                       struct consumer_group_heartbeat_request *request)
{
    char *copy = arena_format(&fixture->arena, "%s", from), *rest = NULL, *inner = NULL;

    request->topic_partitions =
        consumer_group_heartbeat_request_topic_partitions_array(&fixture->arena, 16);
    request->topic_partitions_count = 0;
    for (char *topic = strtok_r(copy, ";", &rest); topic; topic = strtok_r(NULL, ";", &rest)) {
        struct consumer_group_heartbeat_request_topic_partitions *to =
            &request->topic_partitions[request->topic_partitions_count++];
        char *number = strtok_r(topic, ":", &inner);

        to->topic_id = topic_id_of((uint8_t)strtol(number, NULL, 10));
        to->partitions = ARENA_ARRAY(&fixture->arena, int32_t, 64);
        for (char *part = strtok_r(NULL, ",", &inner); part; part = strtok_r(NULL, ",", &inner))
            to->partitions[to->partitions_count++] = (int32_t)strtol(part, NULL, 10);
    }
}

uint64_t beat_send(struct fixture *fixture, struct beat beat)
{
    struct consumer_group_heartbeat_request *request =
        consumer_group_heartbeat_request_array(&fixture->arena, 1);

    request->group_id = text(beat.group ? beat.group : "g");
    request->member_id = text(beat.member ? beat.member : "");
    request->member_epoch = beat.epoch;
    request->instance_id = text(beat.instance);
    request->rack_id = text(beat.rack);
    request->subscribed_topic_regex = text(beat.regex);
    request->server_assignor = text(beat.assignor);
    if (beat.rebalance_ms > 0)
        request->rebalance_timeout_ms = beat.rebalance_ms;
    else if (beat.rebalance_ms == 0 && beat.epoch == 0)
        request->rebalance_timeout_ms = 60000;
    if (beat.topics)
        request->subscribed_topic_names =
            names_of(fixture, beat.topics, &request->subscribed_topic_names_count);
    if (beat.owned || beat.epoch == 0)
        owned_fill(fixture, beat.owned ? beat.owned : "", request);
    return fixture_send(fixture, API_CONSUMER_GROUP_HEARTBEAT,
                        beat.version == -1 ? 0
                        : beat.version     ? beat.version
                                           : 1,
                        request);
}

struct consumer_group_heartbeat_response *beat(struct fixture *fixture, struct beat beat)
{
    struct consumer_group_heartbeat_response *response =
        fixture_reply(fixture, beat_send(fixture, beat));

    assert_int_equal(fixture->failure, OK);
    assert_non_null(response);
    return response;
}

/* ---- text ---- */

static void put_topic(struct text *out, struct uuid id, const int32_t *partitions, int32_t count)
{
    text_add(out, "%s%d:", out->size_bytes > 0 && out->data[out->size_bytes - 1] > ' ' ? ";" : "",
             id.bytes[15]);
    for (int32_t i = 0; i < count; i++)
        text_add(out, "%s%d", i == 0 ? "" : ",", partitions[i]);
}

static const char *assignment_text(struct fixture *fixture, const struct assignment *assignment)
{
    char *buffer = arena_allocate(&fixture->arena, 4096);
    struct text out;

    text_init(&out, buffer, 4096);
    for (int32_t i = 0; i < assignment->count; i++)
        put_topic(&out, assignment->topics[i].topic_id, assignment->topics[i].partitions,
                  assignment->topics[i].count);
    return buffer;
}

const char *given(struct fixture *fixture, const struct consumer_group_heartbeat_response *response)
{
    char *buffer = arena_allocate(&fixture->arena, 4096);
    struct text out;

    if (!response->assignment)
        return "-";
    text_init(&out, buffer, 4096);
    for (int32_t i = 0; i < response->assignment->topic_partitions_count; i++)
        put_topic(&out, response->assignment->topic_partitions[i].topic_id,
                  response->assignment->topic_partitions[i].partitions,
                  response->assignment->topic_partitions[i].partitions_count);
    return buffer;
}

const char *told(struct fixture *fixture, const struct consumer_group_heartbeat_response *response)
{
    if (response->error_code != 0)
        return err_name(err_from_wire(response->error_code));
    return arena_format(&fixture->arena, "%d %s", response->member_epoch, given(fixture, response));
}

struct consumer_group *the_group(struct fixture *fixture, const char *group)
{
    return group_consumer(group_find(fixture->coordinator, text(group)));
}

static const char *const state_names[] = {"STABLE", "UNREVOKED", "UNRELEASED"};

static void member_put(struct fixture *fixture, struct text *out,
                       const struct consumer_member *member)
{
    text_add(out, "%.*s %d/%d %s %s | %s | %s\n", SLICE_ARGS(member->id), member->epoch,
             member->previous_epoch, member->state <= 2 ? state_names[member->state] : "UNKNOWN",
             assignment_text(fixture, &member->assigned.is),
             assignment_text(fixture, &member->revoking.is),
             assignment_text(fixture, &member->target.is));
}

static int members_order(const void *a, const void *b)
{
    return slice_compare((*(struct consumer_member *const *)a)->id,
                         (*(struct consumer_member *const *)b)->id);
}

static size_t members_sorted(const struct consumer_group *group, struct consumer_member **out)
{
    size_t count = 0;

    CONSUMER_MEMBERS_EACH(member, group)
    out[count++] = member;
    qsort(out, count, sizeof(struct consumer_member *), members_order);
    return count;
}

const char *group_text(struct fixture *fixture, const char *id)
{
    char *buffer = arena_allocate(&fixture->arena, 16384);
    const struct consumer_group *group = the_group(fixture, id);
    struct consumer_member *members[64];
    struct text out;

    if (!group)
        return "none";
    text_init(&out, buffer, 16384);
    text_add(&out, "%s %d/%d\n", consumer_group_state(group), group->epoch, group->target_epoch);
    for (size_t i = 0, count = members_sorted(group, members); i < count; i++)
        member_put(fixture, &out, members[i]);
    return buffer;
}

/* Replicated state and the indexes that follow from it. */
static void group_put(struct fixture *fixture, struct text *out, const struct consumer_group *group)
{
    static struct consumer_member *members[4096];
    size_t count = members_sorted(group, members);

    text_add(
        out,
        "group %.*s %d/%d at %lld hash %llx members %d targets %d classic %d waiting %d old %d\n",
        SLICE_ARGS(group->head.id), group->epoch, group->target_epoch, (long long)group->target_ms,
        (unsigned long long)group->hash, group->member_count, group->target_count,
        group->classic_count, group->unreconciled, group->old_metadata_record);
    for (size_t i = 0; i < count; i++) {
        const struct consumer_metadata *metadata = members[i]->metadata;

        member_put(fixture, out, members[i]);
        text_add(out,
                 "  %.*s rack %.*s regex %.*s assignor %.*s timeout %d classic %d %d target %d:",
                 SLICE_ARGS(metadata->instance_id), SLICE_ARGS(metadata->rack_id),
                 SLICE_ARGS(metadata->regex), SLICE_ARGS(metadata->assignor),
                 metadata->rebalance_timeout_ms, metadata->is_classic, metadata->protocol_count,
                 members[i]->has_target);
        for (int32_t j = 0; j < metadata->topic_count; j++) {
            const struct consumer_topic *topic = consumer_topic_find(group, metadata->topics[j]);

            text_add(out, " %.*s=%d+%d", SLICE_ARGS(metadata->topics[j]), topic->names,
                     topic->regexes);
        }
        for (int32_t j = 0; j < members[i]->assigned.is.count; j++)
            for (int32_t k = 0; k < members[i]->assigned.is.topics[j].count; k++)
                text_add(out, " @%d", members[i]->assigned.is.topics[j].epochs[k]);
        text_add(out, "\n");
    }
    text_add(out, "topics %zu regexes %zu subscribed %d resolved %d statics %zu\n",
             group->topics.count, group->regexes.count, group->subscribed_regexes,
             group->resolved_regexes, group->statics.count);
    assert_false(out->truncated);
}

static int groups_order(const void *a, const void *b)
{
    return slice_compare((*(struct group *const *)a)->id, (*(struct group *const *)b)->id);
}

char *consumer_dump(struct fixture *fixture, const struct group_coordinator *coordinator)
{
    size_t capacity = (size_t)1 << 20, count = 0;
    char *buffer = malloc(capacity);
    struct group *groups[64];
    struct text out;

    text_init(&out, buffer, capacity);
    HASH_MAP_EACH (at, &coordinator->groups) {
        struct group *group = HASH_MAP_ITEM(at, struct group, node);

        if (group_consumer(group))
            groups[count++] = group;
    }
    qsort(groups, count, sizeof *groups, groups_order);
    for (size_t i = 0; i < count; i++)
        group_put(fixture, &out, group_consumer(groups[i]));
    return buffer;
}

/* Holders are exactly what members have. */
static void holders_check(const struct consumer_group *group)
{
    int32_t had = 0, held = 0;

    CONSUMER_MEMBERS_EACH(member, group)
    {
        for (int list = 0; list < 2; list++) {
            const struct assignment *has = list == 0 ? &member->assigned.is : &member->revoking.is;

            for (int32_t i = 0; i < has->count; i++)
                for (int32_t j = 0; j < has->topics[i].count; j++, had++)
                    assert_ptr_equal(consumer_holder(group, has->topics[i].topic_id,
                                                     has->topics[i].partitions[j]),
                                     member);
        }
    }
    HASH_MAP_EACH (at, &group->holders)
        held += HASH_MAP_ITEM(at, struct consumer_holders, node)->held;
    assert_int_equal(had, held);
}

void consumer_check(struct fixture *fixture)
{
    struct group_coordinator *loaded = NULL;
    char *ours, *theirs;

    assert_int_equal(fixture->failure, OK);
    assert_int_equal(group_coordinator_create(&heap_allocator, &fixture->options, NULL, &loaded),
                     OK);
    for (size_t i = 0; i < fixture->log_count; i++) {
        const struct logged *logged = &fixture->log[i];
        struct why why = {0};
        enum err err = logged->is_marker
                           ? group_coordinator_replay_marker(loaded, logged->producer_id, 0,
                                                             logged->is_commit, (int64_t)i)
                           : group_coordinator_replay(loaded, &logged->record, (int64_t)i,
                                                      logged->producer_id, 0, &why);

        if (err != OK)
            fail_msg("replay of record %zu: %s", i, why.text);
    }
    ours = consumer_dump(fixture, fixture->coordinator);
    theirs = consumer_dump(fixture, loaded);
    assert_string_equal(theirs, ours);
    free(ours);
    free(theirs);
    group_coordinator_release(&loaded);
    HASH_MAP_EACH (at, &fixture->coordinator->groups) {
        struct consumer_group *group = group_consumer(HASH_MAP_ITEM(at, struct group, node));

        if (group)
            holders_check(group);
    }
}

const char *records_text(struct fixture *fixture)
{
    char *buffer = arena_allocate(&fixture->arena, 4096);
    struct text out;

    text_init(&out, buffer, 4096);
    for (size_t i = fixture->log_count - fixture->records_of_call; i < fixture->log_count; i++) {
        const struct coordinator_record *record = &fixture->log[i].record;

        text_add(&out, "%s%s%d", out.size_bytes > 0 ? " " : "",
                 slice_is_null(record->value) ? "-" : "", record->key.data[1]);
    }
    return buffer;
}

int consumer_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    consumer_start(fixture);
    *state = fixture;
    return 0;
}

int consumer_teardown(void **state)
{
    struct fixture *fixture = *state;

    consumer_check(fixture);
    fixture_end(fixture);
    free(fixture);
    return 0;
}

const char *owned_text(struct fixture *fixture, const bool *owns, int topics)
{
    char *buffer = arena_allocate(&fixture->arena, 512);
    struct text out;

    text_init(&out, buffer, 512);
    for (int topic = 0; topic < topics; topic++) {
        bool first = true;

        for (int i = 0; i < 8; i++) {
            if (!owns[topic * 8 + i])
                continue;
            if (first)
                text_add(&out, "%s%d:", out.size_bytes > 0 ? ";" : "", topic + 1);
            text_add(&out, "%s%d", first ? "" : ",", i);
            first = false;
        }
    }
    return buffer;
}
