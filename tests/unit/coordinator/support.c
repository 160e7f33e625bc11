/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#define SHELL_CORE(name) group_coordinator_##name
#define SHELL_AFTER_CALL(fixture) UNUSED(fixture)
#include "protocol/generated/messages.h"
#include "shell_frame.h"

struct slice text(const char *from)
{
    return slice_from_text(from);
}

/* ---- life ---- */

static void image_refresh(struct fixture *fixture)
{
    struct metadata_image *before = fixture->image;
    struct coordinator_effects effects;

    assert_int_equal(metadata_state_publish(fixture->metadata, &fixture->image), OK);
    fixture->moment.image = fixture->image;
    if (fixture->coordinator) {
        coordinator_effects_init(&effects, fixture->effects_arena);
        assert_int_equal(group_coordinator_image_changed(fixture->coordinator, before,
                                                         &fixture->moment, &effects),
                         OK);
        assert_int_equal(effects.record_count, 0);
    }
    metadata_image_release(&before);
}

void fixture_start(struct fixture *fixture)
{
    *fixture = (struct fixture){.allocator = &heap_allocator};
    fixture->logger = (struct logger){.write = log_write, .level = LOG_LEVEL_INFO};
    group_options_init(&fixture->options);
    random_init(&fixture->random, 42);
    arena_init(&fixture->arena, &heap_allocator, SIZE_MAX);
    fixture->effects_arena = &fixture->arena;
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &fixture->metadata), OK);
    fixture->moment = (struct coordinator_moment){
        .now_ms = 1000, .wall_ms = INT64_C(1700000000000), .random = &fixture->random};
    image_refresh(fixture);
    fixture_load(fixture);
}

static void log_replay(struct fixture *fixture, struct group_coordinator *coordinator)
{
    struct why why = {0};

    for (size_t i = 0; i < fixture->log_count && fixture->failure == OK; i++) {
        const struct logged *logged = &fixture->log[i];

        fixture->failure = logged->is_marker
                               ? group_coordinator_replay_marker(coordinator, logged->producer_id,
                                                                 0, logged->is_commit, (int64_t)i)
                               : group_coordinator_replay(coordinator, &logged->record, (int64_t)i,
                                                          logged->producer_id, 0, &why);
    }
}

void fixture_load(struct fixture *fixture)
{
    struct coordinator_effects effects;

    group_coordinator_release(&fixture->coordinator);
    fixture->parked_count = 0;
    fixture->failure = group_coordinator_create(fixture->allocator, &fixture->options,
                                                &fixture->logger, &fixture->coordinator);
    if (fixture->failure != OK)
        return;
    log_replay(fixture, fixture->coordinator);
    group_coordinator_committed(fixture->coordinator, (int64_t)fixture->log_count);
    coordinator_effects_init(&effects, fixture->effects_arena);
    if (fixture->failure == OK)
        fixture->failure =
            group_coordinator_loaded(fixture->coordinator, &fixture->moment, &effects);
    settle(fixture, &effects);
}

void fixture_end(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->task_count; i++)
        coordinator_task_release(&fixture->tasks[i]);
    group_coordinator_release(&fixture->coordinator);
    metadata_image_release(&fixture->image);
    metadata_state_release(&fixture->metadata);
    arena_release(&fixture->arena);
    free(fixture->log);
    free(fixture->outcomes);
    free(fixture->parked);
}

/* ---- the shell ---- */

static void log_add(struct fixture *fixture, struct logged logged)
{
    fixture->log =
        more(fixture->log, fixture->log_count, &fixture->log_capacity, sizeof *fixture->log);
    logged.record.key = arena_copy(&fixture->arena, logged.record.key);
    logged.record.value = arena_copy(&fixture->arena, logged.record.value);
    fixture->log[fixture->log_count++] = logged;
}

void fixture_append(struct fixture *fixture, struct slice key, struct slice value,
                    int64_t producer_id)
{
    struct why why = {0};

    log_add(fixture, (struct logged){.record = {key, value}, .producer_id = producer_id});
    if (fixture->failure == OK)
        fixture->failure = group_coordinator_replay(
            fixture->coordinator, &fixture->log[fixture->log_count - 1].record,
            (int64_t)fixture->log_count - 1, producer_id, 0, &why);
}

void fixture_marker(struct fixture *fixture, int64_t producer_id, bool is_commit)
{
    log_add(fixture, (struct logged){.record = {SLICE_EMPTY, SLICE_NULL},
                                     .producer_id = producer_id,
                                     .is_marker = true,
                                     .is_commit = is_commit});
    fixture->failure = group_coordinator_replay_marker(fixture->coordinator, producer_id, 0,
                                                       is_commit, (int64_t)fixture->log_count - 1);
}

static void write_end(struct fixture *fixture, uint64_t write, enum err err)
{
    size_t records_of_call = fixture->records_of_call;
    struct coordinator_effects effects;

    if (fixture->failure != OK)
        return;
    coordinator_effects_init(&effects, fixture->effects_arena);
    fixture->failure =
        group_coordinator_write_ended(fixture->coordinator, write, err, &fixture->moment, &effects);
    settle(fixture, &effects);
    fixture->records_of_call += records_of_call;
}

static void parked_finish(struct fixture *fixture, enum err err)
{
    struct parked first = fixture->parked[0];

    memmove(&fixture->parked[0], &fixture->parked[1],
            (fixture->parked_count - 1) * sizeof *fixture->parked);
    fixture->parked_count--;
    if (err == OK && fixture->coordinator)
        group_coordinator_committed(fixture->coordinator, first.end_offset);
    if (first.write != 0)
        write_end(fixture, first.write, err);
    for (size_t i = 0; i < first.reply_count; i++)
        outcome_put(fixture, first.replies[i].token, err == OK ? first.replies[i].response : NULL,
                    err);
}

void fixture_commit(struct fixture *fixture)
{
    while (fixture->parked_count > 0)
        parked_finish(fixture, OK);
    if (fixture->failure == OK)
        group_coordinator_committed(fixture->coordinator, (int64_t)fixture->log_count);
}

void fixture_time_out(struct fixture *fixture)
{
    assert_true(fixture->parked_count > 0);
    parked_finish(fixture, ERR_REQUEST_TIMED_OUT);
}

static void settle(struct fixture *fixture, struct coordinator_effects *effects)
{
    struct parked *parked;
    enum err refuse = effects->write != 0 ? fixture->refuse : OK;

    if (fixture->failure != OK)
        return;
    assert_int_equal(effects->write != 0, effects->record_count > 0);
    fixture->records_of_call = effects->record_count;
    for (size_t i = 0; i < effects->task_count; i++) {
        assert_true(fixture->task_count < ARRAY_COUNT(fixture->tasks));
        fixture->tasks[fixture->task_count++] = effects->tasks[i];
    }
    if (effects->write != 0)
        fixture->refuse = OK;
    for (size_t i = 0; i < effects->record_count && refuse == OK && fixture->failure == OK; i++)
        fixture_append(fixture, effects->records[i].key, effects->records[i].value,
                       effects->producer_id);
    fixture->parked = more(fixture->parked, fixture->parked_count, &fixture->parked_capacity,
                           sizeof *fixture->parked);
    parked = &fixture->parked[fixture->parked_count];
    *parked = (struct parked){.write = effects->write, .end_offset = (int64_t)fixture->log_count};
    for (size_t i = 0; i < effects->reply_count; i++) {
        const struct coordinator_reply *reply = &effects->replies[i];

        assert_non_null(reply->response);
        if (!reply->after_commit)
            outcome_put(fixture, reply->token, reply->response, OK);
        else if (refuse != OK)
            outcome_put(fixture, reply->token, NULL, refuse);
        else {
            assert_true(parked->reply_count < ARRAY_COUNT(parked->replies));
            parked->replies[parked->reply_count++] = *reply;
        }
    }
    if (refuse != OK) {
        write_end(fixture, effects->write, refuse);
        return;
    }
    if (parked->write == 0 && parked->reply_count == 0)
        return;
    fixture->parked_count++;
    if (!fixture->hold_commits)
        fixture_commit(fixture);
}

void fixture_tasks_run(struct fixture *fixture)
{
    while (fixture->task_count > 0 && fixture->failure == OK) {
        struct coordinator_task *task = fixture->tasks[--fixture->task_count];
        struct coordinator_effects effects;

        coordinator_task_run(task);
        coordinator_effects_init(&effects, fixture->effects_arena);
        fixture->failure =
            group_coordinator_task_done(fixture->coordinator, &task, &fixture->moment, &effects);
        settle(fixture, &effects);
    }
}

/* ---- metadata ---- */

struct uuid topic_id_of(uint8_t number)
{
    return topic_id(number);
}

void fixture_topic_create(struct fixture *fixture, const char *name, uint8_t number)
{
    struct topic_record record = {.name = text(name), .topic_id = topic_id_of(number)};

    metadata_apply(fixture, &topic_record_type, &record);
    image_refresh(fixture);
}

void fixture_topic_delete(struct fixture *fixture, uint8_t number)
{
    struct remove_topic_record record = {.topic_id = topic_id_of(number)};

    metadata_apply(fixture, &remove_topic_record_type, &record);
    image_refresh(fixture);
}

/* ---- state as text ---- */

struct dump {
    char *at, *end;
};

static void PRINTF_LIKE(2, 3) dump_add(struct dump *dump, const char *format, ...)
{
    va_list arguments;
    size_t length;

    va_start(arguments, format);
    length = fmt_list(dump->at, (size_t)(dump->end - dump->at), format, arguments);
    va_end(arguments);
    assert_true(length < (size_t)(dump->end - dump->at));
    dump->at += length;
}

static void dump_offset(void *context, const struct group_offset_view *offset)
{
    dump_add(context, "offset %.*s %.*s %d = %lld at %lld\n", SLICE_ARGS(offset->group_id),
             SLICE_ARGS(offset->topic), offset->partition, (long long)offset->offset,
             (long long)offset->commit_ms);
}

static int lines_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Orders of tables differ after a load: lines are sorted. */
static char *sorted(struct fixture *fixture, char *from)
{
    static char *lines[20000];
    size_t count = 0, size_bytes = strlen(from) + 1;
    char *out = arena_allocate(&fixture->arena, size_bytes + 1), *at = out;

    for (char *line = strtok(from, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(count < ARRAY_COUNT(lines));
        lines[count++] = line;
    }
    qsort(lines, count, sizeof *lines, lines_order);
    for (size_t i = 0; i < count; i++)
        at += fmt(at, (size_t)(out + size_bytes + 1 - at), "%s\n", lines[i]);
    *at = 0;
    return out;
}

static void dump_classic(struct dump *dump, const struct classic_group *group)
{
    dump_add(dump, "classic %.*s %s generation=%d type=%.*s protocol=%.*s leader=%.*s\n",
             SLICE_ARGS(group->head.id), classic_state_name(group->state), group->generation,
             SLICE_ARGS(group->protocol_type), SLICE_ARGS(group->protocol),
             SLICE_ARGS(group->leader));
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        dump_add(dump,
                 "member %.*s %.*s instance=%.*s session=%d rebalance=%d metadata=%.*s "
                 "assignment=%.*s\n",
                 SLICE_ARGS(group->head.id), SLICE_ARGS(member->id),
                 SLICE_ARGS(member->instance_id), member->session_timeout_ms,
                 member->rebalance_timeout_ms,
                 SLICE_ARGS(classic_member_metadata(member, group->protocol)),
                 SLICE_ARGS(member->assignment));
    }
}

char *fixture_dump(struct fixture *fixture, const struct group_coordinator *coordinator)
{
    static char buffer[1 << 20];
    struct dump dump = {buffer, buffer + sizeof buffer};

    buffer[0] = 0;
    HASH_MAP_EACH (node, &coordinator->groups) {
        struct group *group = HASH_MAP_ITEM(node, struct group, node);
        struct classic_group *classic = group_classic(group);

        if (!classic)
            continue;
        if (classic->state == CLASSIC_STABLE || classic->state == CLASSIC_EMPTY)
            dump_classic(&dump, classic);
    }
    group_coordinator_each_offset(coordinator, dump_offset, &dump);
    return sorted(fixture, buffer);
}

void fixture_check_replay(struct fixture *fixture)
{
    struct group_coordinator *loaded = NULL;
    char *ours, *theirs, *line, *rest;

    assert_int_equal(group_coordinator_create(&heap_allocator, &fixture->options, NULL, &loaded),
                     OK);
    log_replay(fixture, loaded);
    assert_int_equal(fixture->failure, OK);
    group_coordinator_committed(loaded, fixture->coordinator->committed_end);
    ours = fixture_dump(fixture, fixture->coordinator);
    theirs = fixture_dump(fixture, loaded);
    /* The loaded one is Stable where ours rebalances: every line of ours is among theirs. */
    for (line = strtok_r(ours, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (!strstr(theirs, line))
            fail_msg("replay has no\n  %s\nbut\n%s", line, theirs);
    group_coordinator_release(&loaded);
}

/* ---- requests ---- */

/* Topics with their partitions, as both subscriptions and assignments have them. */
static void partitions_write(struct writer *writer, const char *from)
{
    int32_t topics = *from ? 1 : 0;

    for (const char *at = from; *at; at++)
        topics += *at == ';';
    writer_i32(writer, topics);
    for (; *from; from += *from == ';') {
        size_t name = strcspn(from, ":");
        const char *end = from + strcspn(from, ";");
        int32_t count = from[name] && from[name + 1] != ';' && from[name + 1] ? 1 : 0;

        for (const char *at = from; at < end; at++)
            count += *at == ',';
        writer_i16(writer, (int16_t)name);
        writer_bytes(writer, from, name);
        writer_i32(writer, count);
        for (from += name; from < end; from++)
            if ((from[-1] == ':' || from[-1] == ',') && *from != ',')
                writer_i32(writer, (int32_t)strtol(from, NULL, 10));
    }
}

struct slice subscription_of(struct fixture *fixture, const struct join *join)
{
    uint8_t *buffer = arena_allocate(&fixture->arena, 4096);
    const char *const *topics = join->topics;
    struct writer writer;
    size_t count = 0;

    while (topics[count])
        count++;
    writer_init_fixed(&writer, buffer, 4096);
    writer_i16(&writer, join->owned ? 2 : 0);
    writer_i32(&writer, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_i16(&writer, (int16_t)strlen(topics[i]));
        writer_bytes(&writer, topics[i], strlen(topics[i]));
    }
    writer_i32(&writer, -1);
    if (join->owned) {
        partitions_write(&writer, join->owned);
        writer_i32(&writer, join->owned_generation);
    }
    return writer_slice(&writer);
}

struct slice assignment_of(struct fixture *fixture, const char *partitions)
{
    uint8_t *buffer = arena_allocate(&fixture->arena, 4096);
    struct writer writer;

    writer_init_fixed(&writer, buffer, 4096);
    writer_i16(&writer, 1);
    partitions_write(&writer, partitions);
    writer_i32(&writer, -1);
    return writer_slice(&writer);
}

uint64_t send_join(struct fixture *fixture, struct join join)
{
    struct join_group_request_join_group_request_protocol *protocols =
        join_group_request_join_group_request_protocol_array(&fixture->arena, 2);
    struct join_group_request *request = join_group_request_array(&fixture->arena, 1);

    request->group_id = text(join.group ? join.group : "g");
    request->session_timeout_ms = join.session_ms ? join.session_ms : 10000;
    request->rebalance_timeout_ms = join.rebalance_ms ? join.rebalance_ms : 60000;
    request->member_id = text(join.member ? join.member : "");
    request->group_instance_id = text(join.instance);
    request->protocol_type = text(join.type ? join.type : "consumer");
    request->reason = text(join.reason);
    protocols[0].name = text(join.protocol ? join.protocol : "range");
    protocols[0].metadata = join.topics ? subscription_of(fixture, &join)
                                        : text(join.metadata ? join.metadata : "metadata");
    protocols[1].name = text(join.second_protocol);
    protocols[1].metadata = protocols[0].metadata;
    request->protocols = protocols;
    request->protocols_count = join.second_protocol ? 2 : join.protocol && !*join.protocol ? 0 : 1;
    return fixture_send(fixture, API_JOIN_GROUP, join.version ? join.version : 9, request);
}

struct join_group_response *joined(struct fixture *fixture, uint64_t token)
{
    return fixture_reply(fixture, token);
}

const char *ask_member_id(struct fixture *fixture, struct join join)
{
    struct join_group_response *response;

    join.member = "";
    response = joined(fixture, send_join(fixture, join));
    assert_non_null(response);
    assert_code(response->error_code, ERR_MEMBER_ID_REQUIRED);
    return arena_format(&fixture->arena, "%.*s", SLICE_ARGS(response->member_id));
}

uint64_t enter(struct fixture *fixture, struct join join, const char **member_id_out)
{
    join.member = ask_member_id(fixture, join);
    if (member_id_out)
        *member_id_out = join.member;
    return send_join(fixture, join);
}

uint64_t send_sync(struct fixture *fixture, struct sync sync)
{
    struct sync_group_request *request = sync_group_request_array(&fixture->arena, 1);

    request->group_id = text(sync.group ? sync.group : "g");
    request->generation_id = sync.generation;
    request->member_id = text(sync.member);
    request->group_instance_id = text(sync.instance);
    request->protocol_type = text(sync.type ? sync.type : "consumer");
    request->protocol_name = text(sync.protocol ? sync.protocol : "range");
    request->assignments =
        sync_group_request_sync_group_request_assignment_array(&fixture->arena, sync.count + 1);
    request->assignments_count = (int32_t)sync.count;
    for (size_t i = 0; i < sync.count; i++) {
        request->assignments[i].member_id = text(sync.members[i]);
        request->assignments[i].assignment = text(sync.assignments[i]);
    }
    return fixture_send(fixture, API_SYNC_GROUP, 5, request);
}

struct sync_group_response *synced(struct fixture *fixture, uint64_t token)
{
    return fixture_reply(fixture, token);
}

int16_t heartbeat_static(struct fixture *fixture, const char *group, const char *member,
                         const char *instance, int32_t generation)
{
    struct heartbeat_request request = {
        .group_id = text(group),
        .generation_id = generation,
        .member_id = text(member),
        .group_instance_id = text(instance),
    };
    struct heartbeat_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_HEARTBEAT, 4, &request));

    assert_non_null(response);
    return response->error_code;
}

int16_t heartbeat(struct fixture *fixture, const char *group, const char *member,
                  int32_t generation)
{
    return heartbeat_static(fixture, group, member, NULL, generation);
}

int16_t leave(struct fixture *fixture, const char *group, const char *member, const char *instance)
{
    struct leave_group_request_member_identity identity = {.member_id = text(member),
                                                           .group_instance_id = text(instance)};
    struct leave_group_request request = {
        .group_id = text(group), .members = &identity, .members_count = 1};
    struct leave_group_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_LEAVE_GROUP, 5, &request));

    assert_non_null(response);
    return response->error_code != 0 ? response->error_code : response->members[0].error_code;
}

uint64_t send_commit(struct fixture *fixture, struct commit commit)
{
    struct offset_commit_request *request = offset_commit_request_array(&fixture->arena, 1);
    struct offset_commit_request_offset_commit_request_topic *topic =
        offset_commit_request_offset_commit_request_topic_array(&fixture->arena, 1);
    struct offset_commit_request_offset_commit_request_partition *partition =
        offset_commit_request_offset_commit_request_partition_array(&fixture->arena, 1);

    request->group_id = text(commit.group ? commit.group : "g");
    request->member_id = text(commit.member ? commit.member : "");
    request->group_instance_id = text(commit.instance);
    request->generation_id_or_member_epoch =
        commit.member || commit.generation != 0 ? commit.generation : -1;
    request->retention_time_ms = commit.retention_ms ? commit.retention_ms : -1;
    request->topics = topic;
    request->topics_count = 1;
    topic->name = text(commit.topic ? commit.topic : "t");
    topic->topic_id = commit.topic_id;
    topic->partitions = partition;
    topic->partitions_count = 1;
    partition->partition_index = commit.partition;
    partition->committed_offset = commit.offset;
    partition->committed_metadata = text(commit.metadata);
    return fixture_send(fixture, API_OFFSET_COMMIT, commit.version ? commit.version : 9, request);
}

int16_t commit_code(struct fixture *fixture, uint64_t token)
{
    struct offset_commit_response *response = fixture_reply(fixture, token);

    return response ? response->topics[0].partitions[0].error_code : -2;
}

int16_t commit(struct fixture *fixture, struct commit of)
{
    return commit_code(fixture, send_commit(fixture, of));
}

struct offset_fetch_response_offset_fetch_response_group *
fetch_group(struct fixture *fixture, const struct group_offset_fetch *request, int16_t version)
{
    return fixture_reply(fixture, fixture_send(fixture, API_OFFSET_FETCH, version, request));
}

static int64_t fetch_one(struct fixture *fixture, const char *group, const char *topic,
                         int32_t partition, bool stable)
{
    struct offset_fetch_request_offset_fetch_request_topics topics = {
        .name = text(topic), .partition_indexes = &partition, .partition_indexes_count = 1};
    struct group_offset_fetch request = {
        .group_id = text(group),
        .member_epoch = -1,
        .require_stable = stable,
        .topics = &topics,
        .topic_count = 1,
    };
    struct offset_fetch_response_offset_fetch_response_group *response =
        fetch_group(fixture, &request, 9);

    if (!response)
        return -3;
    if (response->error_code != 0)
        return -1000 - response->error_code;
    assert_int_equal(response->topics_count, 1);
    assert_int_equal(response->topics[0].partitions_count, 1);
    if (response->topics[0].partitions[0].error_code != 0)
        return -1000 - response->topics[0].partitions[0].error_code;
    return response->topics[0].partitions[0].committed_offset;
}

int64_t fetch(struct fixture *fixture, const char *group, const char *topic, int32_t partition)
{
    return fetch_one(fixture, group, topic, partition, false);
}

int64_t fetch_stable(struct fixture *fixture, const char *group, const char *topic,
                     int32_t partition)
{
    return fetch_one(fixture, group, topic, partition, true);
}

const char *state_of_group(struct fixture *fixture, const char *group)
{
    struct classic_group *classic = group_classic(group_find(fixture->coordinator, text(group)));

    return classic ? classic_state_name(classic->state) : "none";
}

int16_t delete_group(struct fixture *fixture, const char *group)
{
    struct slice name = text(group);
    struct delete_groups_request request = {.groups_names = &name, .groups_names_count = 1};
    struct delete_groups_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_DELETE_GROUPS, 2, &request));

    return response ? response->results[0].error_code : -2;
}

int16_t delete_offset(struct fixture *fixture, const char *group, const char *topic,
                      int32_t partition, int16_t *top_out)
{
    struct offset_delete_request_offset_delete_request_partition of = {partition};
    struct offset_delete_request_offset_delete_request_topic topics = {
        .name = text(topic), .partitions = &of, .partitions_count = 1};
    struct offset_delete_request request = {
        .group_id = text(group), .topics = &topics, .topics_count = 1};
    struct offset_delete_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_OFFSET_DELETE, 0, &request));

    *top_out = response->error_code;
    return response->topics_count > 0 ? response->topics[0].partitions[0].error_code : -2;
}

const char *stable_one(struct fixture *fixture, const char *group)
{
    const char *member;
    uint64_t join = enter(fixture, (struct join){.group = group}, &member);
    struct join_group_response *response;
    uint64_t sync;

    fixture_advance(fixture, fixture->options.group_initial_rebalance_delay_ms);
    response = joined(fixture, join);
    assert_non_null(response);
    assert_int_equal(response->error_code, 0);
    sync = send_sync(fixture, (struct sync){.group = group,
                                            .member = member,
                                            .generation = response->generation_id,
                                            .count = 1,
                                            .members = {member},
                                            .assignments = {"all"}});
    assert_non_null(synced(fixture, sync));
    assert_int_equal(synced(fixture, sync)->error_code, 0);
    return member;
}
