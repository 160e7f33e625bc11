/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that runs out of its arena fails whole: no records, nothing changed. What a request of many
 * parts costs grows with their number, and not faster.
 */
#include "support.h"

static void call_with_less_and_less(struct fixture *fixture, int16_t api_key, const void *body)
{
    struct controller_request request = {.api_key = api_key,
                                         .api_version = api_find(api_key)->request->version_max,
                                         .body = body,
                                         .principal = SLICE("User:ANONYMOUS"),
                                         .deadline_ms = INT64_MAX};
    uint64_t before = metadata_image_hash(controller_view(fixture->controller));
    size_t failures = 0;

    for (size_t limit = 0;; limit += 48) {
        struct controller_result result;
        struct arena arena;
        enum err err;

        arena_init(&arena, &heap_allocator, limit);
        err = controller_handle(fixture->controller, &request, &fixture->moment, &arena, &result);
        assert_true(before == metadata_image_hash(controller_view(fixture->controller)));
        if (err != OK) {
            assert_int_equal(err, ERR_NO_MEMORY);
            assert_int_equal(result.records.count, 0);
            failures++;
        }
        arena_release(&arena);
        if (err == OK)
            break;
    }
    assert_true(failures > 0);
}

static void running_out_of_memory_changes_nothing(void **state)
{
    int32_t replicas[] = {2, 1};
    struct create_topics_request_creatable_topic_config config = {SLICE("retention.ms"),
                                                                  SLICE("1000")};
    struct create_topics_request_creatable_topic topic = {.name = SLICE("new.topic"),
                                                          .num_partitions = 3,
                                                          .replication_factor = 2,
                                                          .configs = &config,
                                                          .configs_count = 1};
    struct create_topics_request create = {.topics = &topic, .topics_count = 1};
    struct delete_topics_request_delete_topic_state gone = {.name = SLICE("a")};
    struct delete_topics_request delete = {.topics = &gone, .topics_count = 1};
    struct alter_partition_reassignments_request_reassignable_partition moved = {
        .replicas = replicas, .replicas_count = 2};
    struct alter_partition_reassignments_request_reassignable_topic moved_topic = {
        .name = SLICE("a"), .partitions = &moved, .partitions_count = 1};
    struct alter_partition_reassignments_request reassign = {.topics = &moved_topic,
                                                             .topics_count = 1};
    struct elect_leaders_request elect = {.topic_partitions_count = -1};
    struct unregister_broker_request unregister = {.broker_id = 0};
    struct alter_configs_request_alterable_config value = {SLICE("segment.ms"), SLICE("5000")};
    struct alter_configs_request_alter_configs_resource resource = {
        .resource_type = 2, .resource_name = SLICE("a"), .configs = &value, .configs_count = 1};
    struct alter_configs_request configs = {.resources = &resource, .resources_count = 1};
    struct update_features_request_feature_update_key feature = {
        .feature = SLICE(FEATURE_GROUP_VERSION), .max_version_level = 1, .upgrade_type = 1};
    struct update_features_request features = {.feature_updates = &feature,
                                               .feature_updates_count = 1};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_set_config(&fixture, 2, "a", "retention.ms", "1000");
    call_with_less_and_less(&fixture, API_CREATE_TOPICS, &create);
    call_with_less_and_less(&fixture, API_DELETE_TOPICS, &delete);
    call_with_less_and_less(&fixture, API_ALTER_PARTITION_REASSIGNMENTS, &reassign);
    call_with_less_and_less(&fixture, API_ELECT_LEADERS, &elect);
    call_with_less_and_less(&fixture, API_UNREGISTER_BROKER, &unregister);
    call_with_less_and_less(&fixture, API_ALTER_CONFIGS, &configs);
    call_with_less_and_less(&fixture, API_UPDATE_FEATURES, &features);
    fixture_end(&fixture);
}

/* ---- requests of many parts ---- */

#define PARTS 20000
#define ARENA_BYTES (32 * MIB)

static enum err call_within(struct fixture *fixture, int16_t api_key, const void *body,
                            struct arena *arena, struct controller_result *result)
{
    struct controller_request request = {.api_key = api_key,
                                         .api_version = api_find(api_key)->request->version_max,
                                         .body = body,
                                         .principal = SLICE("User:ANONYMOUS"),
                                         .deadline_ms = INT64_MAX};

    return controller_handle(fixture->controller, &request, &fixture->moment, arena, result);
}

static void a_quota_entity_of_many_parts_is_refused(void **state)
{
    static struct alter_client_quotas_request_entity_data parts[PARTS];
    struct alter_client_quotas_request_entry_data entry = {.entity = parts, .entity_count = PARTS};
    struct alter_client_quotas_request request = {.entries = &entry, .entries_count = 1};
    const struct alter_client_quotas_response *response;
    struct controller_result result;
    struct fixture fixture;
    struct arena arena;

    (void)state;
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = (struct alter_client_quotas_request_entity_data){SLICE("user"), SLICE("alice")};
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    arena_init(&arena, &heap_allocator, ARENA_BYTES);
    assert_int_equal(call_within(&fixture, API_ALTER_CLIENT_QUOTAS, &request, &arena, &result), OK);
    response = result.response;
    assert_int_equal(response->entries[0].error_code, 42);
    arena_release(&arena);
    fixture_end(&fixture);
}

static void a_topic_of_many_nulls_is_refused(void **state)
{
    static struct create_topics_request_creatable_topic_config configs[PARTS / 4];
    struct create_topics_request_creatable_topic topic = {.name = SLICE("a"),
                                                          .num_partitions = 1,
                                                          .replication_factor = 1,
                                                          .configs = configs,
                                                          .configs_count = PARTS / 4};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1};
    const struct create_topics_response *response;
    struct controller_result result;
    struct fixture fixture;
    struct arena arena;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(configs); i++)
        configs[i] = (struct create_topics_request_creatable_topic_config){SLICE("retention.ms"),
                                                                           SLICE_NULL};
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    arena_init(&arena, &heap_allocator, ARENA_BYTES);
    assert_int_equal(call_within(&fixture, API_CREATE_TOPICS, &request, &arena, &result), OK);
    response = result.response;
    assert_int_equal(response->topics[0].error_code, 40);
    configs[0].name = SLICE_EMPTY; /* a null is one under any name */
    topic.configs_count = 1;
    assert_int_equal(call_within(&fixture, API_CREATE_TOPICS, &request, &arena, &result), OK);
    response = result.response;
    assert_int_equal(response->topics[0].error_code, 40);
    assert_true(slice_starts_with(response->topics[0].error_message, SLICE("Null value")));
    arena_release(&arena);
    fixture_end(&fixture);
}

/* The records would be too many, and the config module compares every key with every other. */
static void more_configs_than_records_are_refused_before_they_are_looked_at(void **state)
{
    static struct create_topics_request_creatable_topic_config configs[PARTS];
    static struct incremental_alter_configs_request_alterable_config changes[PARTS];
    static struct alter_configs_request_alterable_config values[PARTS];
    struct create_topics_request_creatable_topic topic = {.name = SLICE("a"),
                                                          .num_partitions = 1,
                                                          .replication_factor = 1,
                                                          .configs = configs,
                                                          .configs_count = PARTS};
    struct create_topics_request create = {.topics = &topic, .topics_count = 1};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 2,
        .resource_name = SLICE("a"),
        .configs = changes,
        .configs_count = PARTS};
    struct incremental_alter_configs_request alter = {.resources = &resource, .resources_count = 1};
    struct alter_configs_request_alter_configs_resource replaced = {
        .resource_type = 2, .resource_name = SLICE("a"), .configs = values, .configs_count = PARTS};
    struct alter_configs_request replace = {.resources = &replaced, .resources_count = 1};
    struct controller_result result;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    for (size_t i = 0; i < PARTS; i++) {
        configs[i] = (struct create_topics_request_creatable_topic_config){
            arena_format_slice(&fixture.arena, "key-%zu", i), SLICE("1")};
        changes[i] = (struct incremental_alter_configs_request_alterable_config){configs[i].name, 1,
                                                                                 SLICE_NULL};
        values[i] = (struct alter_configs_request_alterable_config){configs[i].name, SLICE("1")};
    }
    assert_int_equal(call_within(&fixture, API_CREATE_TOPICS, &create, &fixture.arena, &result),
                     ERR_POLICY_VIOLATION);
    assert_int_equal(
        call_within(&fixture, API_INCREMENTAL_ALTER_CONFIGS, &alter, &fixture.arena, &result),
        ERR_POLICY_VIOLATION);
    assert_int_equal(call_within(&fixture, API_ALTER_CONFIGS, &replace, &fixture.arena, &result),
                     ERR_POLICY_VIOLATION);
    fixture_end(&fixture);
}

/* In no time: the list is a peer's, and it comes in the worst order. */
static void a_replica_list_of_half_a_million_is_refused(void **state)
{
    static int32_t ids[25 * PARTS];
    struct create_topics_request_creatable_replica_assignment assignment = {
        .broker_ids = ids, .broker_ids_count = ARRAY_COUNT(ids)};
    struct create_topics_request_creatable_topic topic = {.name = SLICE("a"),
                                                          .num_partitions = -1,
                                                          .replication_factor = -1,
                                                          .assignments = &assignment,
                                                          .assignments_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1};
    const struct create_topics_response *response;
    struct fixture fixture;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = (int32_t)(ARRAY_COUNT(ids) - i) + 4;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_int_equal(response->topics[0].error_code, 39);
    /* The least of those that do not exist is named. */
    assert_non_null(memmem(response->topics[0].error_message.data,
                           response->topics[0].error_message.size_bytes, "broker 5,", 9));
    fixture_end(&fixture);
}

static void any_number_of_users_may_be_described(void **state)
{
    static struct describe_user_scram_credentials_request_user_name users[PARTS];
    struct describe_user_scram_credentials_request request = {.users = users, .users_count = PARTS};
    struct describe_user_scram_credentials_response response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    for (size_t i = 0; i < PARTS; i++)
        users[i].name = arena_format_slice(&fixture.arena, "user-%zu", i % (PARTS - 1));
    describe_user_scram_credentials_response_init(&response);
    assert_int_equal(metadata_describe_scram(controller_view(fixture.controller), &request,
                                             &fixture.arena, &response),
                     OK);
    assert_int_equal(response.results_count, PARTS - 1);
    assert_int_equal(response.results[0].error_code, 92);
    assert_int_equal(response.results[1].error_code, 91);
    fixture_end(&fixture);
}

/* Every one is compared with every other: more than any machine has are refused. */
static void a_broker_of_too_many_directories_is_refused(void **state)
{
    static struct uuid directories[PARTS];
    struct broker_registration_request_feature feature = {SLICE(FEATURE_METADATA_VERSION), 7,
                                                          METADATA_VERSION_MAX};
    struct broker_registration_request request;
    struct broker_heartbeat_request heartbeat;
    struct controller_result result;
    struct fixture fixture;

    (void)state;
    for (size_t i = 0; i < PARTS; i++)
        directories[i] = (struct uuid){
            {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, (uint8_t)(i >> 8), (uint8_t)i}};
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    broker_registration_request_init(&request);
    request.broker_id = 9;
    request.cluster_id = SLICE("the-cluster");
    request.incarnation_id = (struct uuid){{9}};
    request.features = &feature;
    request.features_count = 1;
    request.log_dirs = directories;
    request.log_dirs_count = PARTS;
    assert_int_equal(
        call_within(&fixture, API_BROKER_REGISTRATION, &request, &fixture.arena, &result),
        ERR_INVALID_REGISTRATION);
    broker_heartbeat_request_init(&heartbeat);
    heartbeat.broker_epoch = fixture.epochs[0];
    heartbeat.current_metadata_offset = fixture.moment.next_offset;
    heartbeat.cordoned_log_dirs = directories;
    heartbeat.cordoned_log_dirs_count = PARTS;
    assert_int_equal(
        call_within(&fixture, API_BROKER_HEARTBEAT, &heartbeat, &fixture.arena, &result),
        ERR_INVALID_REQUEST);
    heartbeat.cordoned_log_dirs_count = -1;
    heartbeat.offline_log_dirs = directories;
    heartbeat.offline_log_dirs_count = PARTS;
    assert_int_equal(
        call_within(&fixture, API_BROKER_HEARTBEAT, &heartbeat, &fixture.arena, &result),
        ERR_INVALID_REQUEST);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_changes_nothing),
        cmocka_unit_test(a_quota_entity_of_many_parts_is_refused),
        cmocka_unit_test(a_topic_of_many_nulls_is_refused),
        cmocka_unit_test(more_configs_than_records_are_refused_before_they_are_looked_at),
        cmocka_unit_test(a_replica_list_of_half_a_million_is_refused),
        cmocka_unit_test(any_number_of_users_may_be_described),
        cmocka_unit_test(a_broker_of_too_many_directories_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
