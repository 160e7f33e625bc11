/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that runs out of its arena fails whole: no records, nothing changed.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
