/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/fmt.h"

struct controller_options fixture_options(void)
{
    struct controller_options options = controller_options_default();

    options.node_id = 100;
    options.cluster_id = SLICE("the-cluster");
    options.idle_alone = true;
    return options;
}

static void image_hashes_agree(struct fixture *fixture)
{
    const struct metadata_image *view = controller_view(fixture->controller);
    struct metadata_record_list list;
    struct metadata_state *state;
    struct arena arena;

    assert_true(metadata_image_hash(view) ==
                metadata_image_hash(metadata_state_view(fixture->loader)));
    if (!fixture->check_snapshots)
        return;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(metadata_image_to_records(view, &arena, &list), OK);
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &state), OK);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(metadata_state_replay(state, &list.items[i], 0, NULL), OK);
    assert_true(metadata_image_hash(metadata_state_view(state)) == metadata_image_hash(view));
    metadata_state_release(&state);
    arena_release(&arena);
}

/* The way through the log: bytes and back. */
static void loader_replay(struct fixture *fixture, const struct metadata_record_list *records,
                          int64_t base_offset)
{
    struct writer writer;
    struct arena arena;
    struct why why = {0};

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < records->count; i++) {
        struct metadata_record record;
        enum err err;

        writer_reset(&writer);
        assert_int_equal(metadata_record_encode(&records->items[i], &writer), OK);
        assert_int_equal(writer_error(&writer), OK);
        assert_int_equal(metadata_record_decode(writer_slice(&writer), &arena, &record, &why), OK);
        err = metadata_state_replay(fixture->loader, &record, base_offset + (int64_t)i, &why);
        if (err != OK)
            fail_msg("%s: %s", record.type->name, why.text);
    }
    arena_release(&arena);
    writer_release(&writer);
}

static void records_write(struct fixture *fixture)
{
    struct metadata_record_list *records = &fixture->result.records;
    int64_t base = fixture->moment.next_offset;
    struct why why = {0};

    fixture->records_written = records->count;
    if (records->count == 0 || fixture->refuses_writes)
        return;
    if (controller_replay(fixture->controller, records, base, 0, &why) != OK)
        fail_msg("replay: %s", why.text);
    loader_replay(fixture, records, base);
    fixture->moment.next_offset += (int64_t)records->count;
    assert_int_equal(controller_end_offset(fixture->controller), fixture->moment.next_offset);
    if (!metadata_state_in_transaction(fixture->loader))
        image_hashes_agree(fixture);
}

static void fixture_claim(struct fixture *fixture)
{
    struct controller_claim claim = {.image = metadata_state_view(fixture->loader),
                                     .epoch = 1,
                                     .kraft_version = 1,
                                     .transaction_open =
                                         metadata_state_in_transaction(fixture->loader)};

    fixture->err = controller_claim(fixture->controller, &claim, &fixture->moment, &fixture->arena,
                                    &fixture->result);
    if (fixture->err != OK)
        fail_msg("claim: %s", fixture->result.why.text);
    records_write(fixture);
}

void fixture_start_with(struct fixture *fixture, int16_t metadata_version,
                        const struct controller_options *given)
{
    struct controller_options options = *given;
    struct why why = {0};

    memset(fixture, 0, sizeof *fixture);
    fixture->check_snapshots = true;
    arena_init(&fixture->arena, &heap_allocator, SIZE_MAX);
    random_init(&fixture->random, 42);
    fixture->moment = (struct controller_moment){
        .now_ms = 1000000, .wall_ms = 1700000000000, .next_offset = 1, .random = &fixture->random};
    assert_int_equal(metadata_bootstrap_records(metadata_version, NULL, 0, &fixture->arena,
                                                &options.bootstrap, &why),
                     OK);
    assert_int_equal(controller_create(&heap_allocator, &options, NULL, &fixture->controller), OK);
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &fixture->loader), OK);
    fixture_claim(fixture);
}

void fixture_start(struct fixture *fixture, int16_t metadata_version)
{
    struct controller_options options = fixture_options();

    fixture_start_with(fixture, metadata_version, &options);
}

void fixture_end(struct fixture *fixture)
{
    controller_release(&fixture->controller);
    metadata_state_release(&fixture->loader);
    arena_release(&fixture->arena);
}

const void *fixture_call(struct fixture *fixture, int16_t api_key, const void *body)
{
    struct controller_request request = {.api_key = api_key,
                                         .api_version = fixture->api_version,
                                         .body = body,
                                         .principal = SLICE("User:ANONYMOUS"),
                                         .deadline_ms = INT64_MAX,
                                         .from_this_process = fixture->from_this_process,
                                         .quota = fixture->quota};
    uint64_t before = metadata_image_hash(controller_view(fixture->controller));
    struct writer writer;

    if (request.api_version == 0)
        request.api_version = api_find(api_key)->request->version_max;
    fixture->err = controller_handle(fixture->controller, &request, &fixture->moment,
                                     &fixture->arena, &fixture->result);
    /* Nothing changes before the records are replayed. */
    assert_true(before == metadata_image_hash(controller_view(fixture->controller)));
    if (fixture->err != OK) {
        void *response;

        assert_int_equal(fixture->result.records.count, 0);
        assert_int_equal(controller_error_response(&request, fixture->err, &fixture->result.why,
                                                   &fixture->arena, &response),
                         OK);
        writer_init(&writer, &heap_allocator, SIZE_MAX);
        assert_int_equal(
            message_encode(api_find(api_key)->response, request.api_version, response, &writer),
            OK);
        writer_release(&writer);
        fixture->records_written = 0;
        return NULL;
    }
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    assert_int_equal(message_encode(api_find(api_key)->response, request.api_version,
                                    fixture->result.response, &writer),
                     OK);
    writer_release(&writer);
    records_write(fixture);
    return fixture->result.response;
}

void fixture_tick(struct fixture *fixture)
{
    fixture->err =
        controller_tick(fixture->controller, &fixture->moment, &fixture->arena, &fixture->result);
    assert_int_equal(fixture->err, OK);
    records_write(fixture);
}

void fixture_wait(struct fixture *fixture, int64_t ms)
{
    int64_t end = fixture->moment.now_ms + ms;

    while (controller_deadline_ms(fixture->controller) <= end) {
        fixture->moment.now_ms =
            MAX(fixture->moment.now_ms, controller_deadline_ms(fixture->controller));
        fixture_tick(fixture);
    }
    fixture->moment.now_ms = end;
}

void fixture_fail_over(struct fixture *fixture)
{
    controller_renounce(fixture->controller);
    fixture->moment.next_offset++; /* the LeaderChange record */
    fixture_claim(fixture);
}

struct uuid fixture_directory(int32_t broker, int32_t index)
{
    struct uuid id = {{0xd0}};

    id.bytes[14] = (uint8_t)broker;
    id.bytes[15] = (uint8_t)index;
    return id;
}

void fixture_register(struct fixture *fixture, int32_t id, const char *rack, int directories)
{
    struct broker_registration_request request;
    const struct broker_registration_response *response;
    size_t features = 0;

    broker_registration_request_init(&request);
    request.broker_id = id;
    request.cluster_id = SLICE("the-cluster");
    request.incarnation_id = uuid_random(&fixture->random);
    request.rack = slice_from_text(rack);
    request.listeners = broker_registration_request_listener_array(&fixture->arena, 1);
    request.listeners_count = 1;
    request.listeners[0].name = SLICE("PLAINTEXT");
    request.listeners[0].host = SLICE("localhost");
    request.listeners[0].port = (uint16_t)(9092 + id);
    request.features = broker_registration_request_feature_array(&fixture->arena, 8);
    for (; feature_at(features); features++) {
        request.features[features].name = slice_from_text(feature_at(features)->name);
        request.features[features].min_supported_version = feature_at(features)->level_min;
        request.features[features].max_supported_version = feature_at(features)->level_max;
    }
    request.features_count = (int32_t)features;
    request.log_dirs = ARENA_ARRAY(&fixture->arena, struct uuid, (size_t)directories);
    request.log_dirs_count = directories;
    for (int i = 0; i < directories; i++)
        request.log_dirs[i] = fixture_directory(id, i);
    response = fixture_call(fixture, API_BROKER_REGISTRATION, &request);
    if (response)
        fixture->epochs[id] = response->broker_epoch;
}

const struct broker_heartbeat_response *fixture_heartbeat(struct fixture *fixture, int32_t id,
                                                          bool want_fence, bool want_shut_down)
{
    struct broker_heartbeat_request request;

    broker_heartbeat_request_init(&request);
    request.broker_id = id;
    request.broker_epoch = fixture->epochs[id];
    request.current_metadata_offset = fixture->moment.next_offset - 1;
    request.want_fence = want_fence;
    request.want_shut_down = want_shut_down;
    return fixture_call(fixture, API_BROKER_HEARTBEAT, &request);
}

void fixture_unfence(struct fixture *fixture, int32_t id)
{
    const struct broker_heartbeat_response *response = fixture_heartbeat(fixture, id, false, false);

    assert_non_null(response);
    assert_false(response->is_fenced);
}

void fixture_brokers(struct fixture *fixture, int32_t count)
{
    for (int32_t id = 0; id < count; id++) {
        fixture_register(fixture, id, NULL, 1);
        fixture_unfence(fixture, id);
    }
}

const struct create_topics_response_creatable_topic_result *
fixture_create(struct fixture *fixture, const char *name, int32_t partitions, int16_t factor)
{
    struct create_topics_request request;
    const struct create_topics_response *response;

    create_topics_request_init(&request);
    request.topics = create_topics_request_creatable_topic_array(&fixture->arena, 1);
    request.topics_count = 1;
    request.topics[0].name = slice_from_text(name);
    request.topics[0].num_partitions = partitions;
    request.topics[0].replication_factor = factor;
    response = fixture_call(fixture, API_CREATE_TOPICS, &request);
    assert_non_null(response);
    return &response->topics[0];
}

void fixture_create_on(struct fixture *fixture, const char *name, const int32_t *replicas,
                       int32_t count)
{
    struct create_topics_request request;
    const struct create_topics_response *response;
    struct create_topics_request_creatable_replica_assignment assignment = {
        .broker_ids = ARENA_ARRAY(&fixture->arena, int32_t, (size_t)count),
        .broker_ids_count = count};

    memcpy(assignment.broker_ids, replicas, (size_t)count * sizeof *replicas);
    create_topics_request_init(&request);
    request.topics = create_topics_request_creatable_topic_array(&fixture->arena, 1);
    request.topics_count = 1;
    request.topics[0].name = slice_from_text(name);
    request.topics[0].num_partitions = -1;
    request.topics[0].replication_factor = -1;
    request.topics[0].assignments = &assignment;
    request.topics[0].assignments_count = 1;
    response = fixture_call(fixture, API_CREATE_TOPICS, &request);
    assert_non_null(response);
    assert_int_equal(response->topics[0].error_code, 0);
}

const struct metadata_topic *fixture_topic(struct fixture *fixture, const char *name)
{
    return metadata_image_topic(controller_view(fixture->controller), slice_from_text(name));
}

const struct metadata_partition *fixture_partition(struct fixture *fixture, const char *name,
                                                   int32_t index)
{
    const struct metadata_topic *topic = fixture_topic(fixture, name);

    assert_non_null(topic);
    return metadata_topic_partition(topic, index);
}

void fixture_set_config(struct fixture *fixture, int8_t type, const char *name, const char *key,
                        const char *value)
{
    struct incremental_alter_configs_request_alterable_config config = {
        .name = slice_from_text(key), .value = slice_from_text(value)};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = type,
        .resource_name = slice_from_text(name),
        .configs = &config,
        .configs_count = 1};
    struct incremental_alter_configs_request request = {.resources = &resource,
                                                        .resources_count = 1};
    const struct incremental_alter_configs_response *response =
        fixture_call(fixture, API_INCREMENTAL_ALTER_CONFIGS, &request);

    assert_non_null(response);
    if (response->responses[0].error_code != 0)
        fail_msg("%d: %.*s", response->responses[0].error_code,
                 SLICE_ARGS(response->responses[0].error_message));
}

static void ids_add(struct text *text, const char *name, const int32_t *ids, size_t count)
{
    text_add(text, " %s ", name);
    for (size_t i = 0; i < count; i++)
        text_add(text, "%s%d", i > 0 ? "," : "", ids[i]);
    if (count == 0)
        text_add(text, "-");
}

const char *fixture_describe(struct fixture *fixture, const char *name, int32_t index)
{
    const struct metadata_partition *partition = fixture_partition(fixture, name, index);
    char *buffer = arena_allocate(&fixture->arena, 256);
    struct text text;

    assert_non_null(partition);
    text_init(&text, buffer, 256);
    text_add(&text, "leader %d/%d", partition->leader, partition->leader_epoch);
    ids_add(&text, "isr", partition->isr, partition->isr_count);
    if (partition->elr_count > 0)
        ids_add(&text, "elr", partition->elr, partition->elr_count);
    if (partition->last_known_elr_count > 0)
        ids_add(&text, "known", partition->last_known_elr, partition->last_known_elr_count);
    if (partition->adding_count > 0)
        ids_add(&text, "adding", partition->adding, partition->adding_count);
    if (partition->removing_count > 0)
        ids_add(&text, "removing", partition->removing, partition->removing_count);
    if (partition->recovering)
        text_add(&text, " recovering");
    return buffer;
}
