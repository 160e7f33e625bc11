/* SPDX-License-Identifier: Apache-2.0 */
/* How a request that failed as a whole is answered element by element. */
#include "protocol/mirror.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    arena_release(&arena);
    return 0;
}

/* The answer to `body`, with code 7 and a text. */
static void *told_in(const struct mirror *mirror, int16_t api_key, int16_t version,
                     const void *body)
{
    const struct api *api = api_find(api_key);
    struct mirror_verdict verdict = {.code = 7, .text = SLICE("because")};
    void *answer = arena_zeroed(&arena, 1, message_struct_bytes(api->response));

    message_init(api->response, answer);
    assert_int_equal(mirror_answer(mirror, api, version, body, verdict, &arena, answer), OK);
    return answer;
}

static const struct mirror produce = {
    .levels = {{"topicData", "responses", {MIRROR_SAME("name"), MIRROR_SAME("topicId")}},
               {"partitionData",
                "partitionResponses",
                {MIRROR_SAME("index")},
                .unknown = {"baseOffset"}}}};

static const struct produce_response *produce_told(int16_t version)
{
    struct produce_request *body = ARENA_NEW(&arena, struct produce_request);

    produce_request_init(body);
    body->topic_data = produce_request_topic_produce_data_array(&arena, 2);
    body->topic_data_count = 2;
    body->topic_data[1].name = SLICE("second");
    body->topic_data[1].topic_id.bytes[0] = 9;
    body->topic_data[1].partition_data = produce_request_partition_produce_data_array(&arena, 2);
    body->topic_data[1].partition_data_count = 2;
    body->topic_data[1].partition_data[1].index = 5;
    return told_in(&produce, API_PRODUCE, version, body);
}

static void every_element_gets_its_keys_the_code_and_the_text(void **state)
{
    const struct produce_response *told = produce_told(8);
    const struct produce_response_partition_produce_response *partition;

    UNUSED(state);
    assert_int_equal(told->responses_count, 2);
    assert_int_equal(told->responses[0].partition_responses_count, 0);
    assert_true(slice_equal_text(told->responses[1].name, "second"));
    assert_int_equal(told->responses[1].partition_responses_count, 2);
    partition = &told->responses[1].partition_responses[1];
    assert_int_equal(partition->index, 5);
    assert_int_equal(partition->error_code, 7);
    assert_true(slice_equal_text(partition->error_message, "because"));
    assert_int_equal(partition->base_offset, -1);
    assert_int_equal(partition->log_append_time_ms, -1); /* its default */
}

static void what_the_version_lacks_keeps_its_default(void **state)
{
    const struct produce_response *old = produce_told(7);
    const struct produce_response *new = produce_told(13);

    UNUSED(state);
    assert_true(slice_is_null(old->responses[1].partition_responses[0].error_message));
    assert_int_equal(old->responses[1].topic_id.bytes[0], 0);
    assert_int_equal(new->responses[1].topic_id.bytes[0], 9);
    assert_int_equal(new->responses[1].name.size_bytes, 0);
}

static void a_list_that_the_version_lacks_is_not_answered(void **state)
{
    static const struct mirror mirror = {
        .levels = {{"groups", "groups", {MIRROR_SAME("groupId")}}}};
    struct offset_fetch_request body;
    const struct offset_fetch_response *told;

    UNUSED(state);
    offset_fetch_request_init(&body);
    body.groups = offset_fetch_request_offset_fetch_request_group_array(&arena, 1);
    body.groups_count = 1;
    told = told_in(&mirror, API_OFFSET_FETCH, 7, &body);
    assert_int_equal(told->groups_count, 0);
    assert_int_equal(told->error_code, 7);
    told = told_in(&mirror, API_OFFSET_FETCH, 8, &body);
    assert_int_equal(told->groups_count, 1);
    assert_int_equal(told->groups[0].error_code, 7);
    assert_int_equal(told->error_code, 0);
}

static void plain_values_and_codes_of_another_name_have_their_places(void **state)
{
    static const struct mirror mirror = {
        .levels = {{"v3AndBelowTopics", "resultsByTopicV3AndBelow", {MIRROR_SAME("name")}},
                   {"partitions",
                    "resultsByPartition",
                    {MIRROR_VALUE("partitionIndex")},
                    .code = "partitionErrorCode"}}};
    int32_t indexes[] = {3, 8};
    struct add_partitions_to_txn_request body;
    const struct add_partitions_to_txn_response *told;

    UNUSED(state);
    add_partitions_to_txn_request_init(&body);
    body.v3_and_below_topics =
        add_partitions_to_txn_request_add_partitions_to_txn_topic_array(&arena, 1);
    body.v3_and_below_topics_count = 1;
    body.v3_and_below_topics->partitions = indexes;
    body.v3_and_below_topics->partitions_count = 2;
    told = told_in(&mirror, API_ADD_PARTITIONS_TO_TXN, 3, &body);
    assert_int_equal(told->results_by_topic_v3_and_below_count, 1);
    assert_int_equal(told->results_by_topic_v3_and_below->results_by_partition_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct add_partitions_to_txn_response_add_partitions_to_txn_partition_result *result =
            &told->results_by_topic_v3_and_below->results_by_partition[i];

        assert_int_equal(result->partition_index, indexes[i]);
        assert_int_equal(result->partition_error_code, 7);
    }
}

static void lists_within_lists_can_be_answered_by_one(void **state)
{
    static const struct mirror mirror = {
        .levels = {{"dirs", NULL},
                   {"topics", "results", {{"name", "topicName"}}},
                   {"partitions", "partitions", {MIRROR_VALUE("partitionIndex")}}}};
    static const char *const names[] = {"a", "b", "c"};
    int32_t index = 4;
    struct alter_replica_log_dirs_request body;
    const struct alter_replica_log_dirs_response *told;

    UNUSED(state);
    alter_replica_log_dirs_request_init(&body);
    body.dirs = alter_replica_log_dirs_request_alter_replica_log_dir_array(&arena, 3);
    body.dirs_count = 3;
    for (int i = 0; i < 3; i++) { /* the middle directory has none */
        struct alter_replica_log_dirs_request_alter_replica_log_dir *dir = &body.dirs[i];

        dir->topics_count = i == 1 ? 0 : 1 + i / 2;
        dir->topics = alter_replica_log_dirs_request_alter_replica_log_dir_topic_array(
            &arena, (size_t)dir->topics_count);
        for (int k = 0; k < dir->topics_count; k++) {
            dir->topics[k].name = slice_from_text(names[i / 2 + k]);
            dir->topics[k].partitions = &index;
            dir->topics[k].partitions_count = 1;
        }
    }
    told = told_in(&mirror, API_ALTER_REPLICA_LOG_DIRS, 2, &body);
    assert_int_equal(told->results_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(slice_equal_text(told->results[i].topic_name, names[i]));
        assert_int_equal(told->results[i].partitions_count, 1);
        assert_int_equal(told->results[i].partitions->partition_index, 4);
        assert_int_equal(told->results[i].partitions->error_code, 7);
    }
}

static void a_field_is_null_only_where_the_version_has_null(void **state)
{
    static const struct mirror join = {.null = "protocolName"};
    static const struct mirror quotas = {.null = "entries"};
    struct join_group_request body;
    struct describe_client_quotas_request described;

    UNUSED(state);
    join_group_request_init(&body);
    for (int16_t version = 6; version <= 7; version++) {
        const struct join_group_response *told = told_in(&join, API_JOIN_GROUP, version, &body);

        assert_true(slice_is_null(told->protocol_name) == (version == 7));
    }
    describe_client_quotas_request_init(&described);
    assert_int_equal(((const struct describe_client_quotas_response *)told_in(
                          &quotas, API_DESCRIBE_CLIENT_QUOTAS, 1, &described))
                         ->entries_count,
                     -1);
}

static void a_null_list_is_answered_by_an_empty_one(void **state)
{
    static const struct mirror mirror = {.levels = {{"topics", "topics", {MIRROR_SAME("name")}}}};
    struct metadata_request body;
    const struct metadata_response *told;

    UNUSED(state);
    metadata_request_init(&body);
    body.topics = NULL;
    body.topics_count = -1;
    told = told_in(&mirror, API_METADATA, 12, &body);
    assert_int_equal(told->topics_count, 0);
}

static void numbers_of_every_width_say_that_nothing_is_known(void **state)
{
    static const struct mirror wide = {.unknown = {"nodeId", "port"}};
    static const struct mirror producer = {.unknown = {"producerId", "producerEpoch"}};
    struct find_coordinator_request find;
    struct init_producer_id_request init;
    const struct find_coordinator_response *found;
    const struct init_producer_id_response *made;

    UNUSED(state);
    find_coordinator_request_init(&find);
    found = told_in(&wide, API_FIND_COORDINATOR, 3, &find);
    assert_int_equal(found->node_id, -1);
    assert_int_equal(found->port, -1);
    init_producer_id_request_init(&init);
    made = told_in(&producer, API_INIT_PRODUCER_ID, 5, &init);
    assert_int_equal(made->producer_id, -1);
    assert_int_equal(made->producer_epoch, -1);
}

static void list_whose_answer_the_version_lacks_is_not_answered(void **state)
{
    /* Lists that fit no better than that: what counts is that the second is of later versions. */
    static const struct mirror one = {.levels = {{"topics", "nodeEndpoints"}}};
    static const struct mirror two = {
        .levels = {{"topics", NULL}, {"partitions", "nodeEndpoints"}}};
    struct fetch_request body;
    const struct fetch_response *told;

    UNUSED(state);
    fetch_request_init(&body);
    body.topics = fetch_request_fetch_topic_array(&arena, 1);
    body.topics_count = 1;
    told = told_in(&one, API_FETCH, 12, &body);
    assert_int_equal(told->node_endpoints_count, 0);
    told = told_in(&two, API_FETCH, 12, &body);
    assert_int_equal(told->node_endpoints_count, 0);
}

static void no_memory_for_an_inner_list_is_told(void **state)
{
    const struct api *api = api_find(API_PRODUCE);
    struct mirror_verdict verdict = {.code = 7, .text = SLICE_NULL};
    struct produce_request body;
    struct produce_response answer;
    enum err err = ERR_NO_MEMORY;
    size_t more_bytes;

    UNUSED(state);
    produce_request_init(&body);
    body.topic_data = produce_request_topic_produce_data_array(&arena, 2);
    body.topic_data_count = 2;
    for (int i = 0; i < 2; i++) {
        body.topic_data[i].partition_data = produce_request_partition_produce_data_array(&arena, 2);
        body.topic_data[i].partition_data_count = 2;
    }
    for (more_bytes = 0; err == ERR_NO_MEMORY; more_bytes += 16) {
        produce_response_init(&answer);
        arena.limit_bytes = arena.used_bytes + more_bytes;
        err = mirror_answer(&produce, api, 9, &body, verdict, &arena, &answer);
    }
    assert_int_equal(err, OK);
    assert_true(more_bytes > 32);
}

static void no_memory_is_told(void **state)
{
    const struct api *api = api_find(API_PRODUCE);
    struct mirror_verdict verdict = {.code = 7, .text = SLICE_NULL};
    struct produce_request body;
    struct produce_response answer;

    UNUSED(state);
    produce_request_init(&body);
    body.topic_data = produce_request_topic_produce_data_array(&arena, 1);
    body.topic_data_count = 1;
    produce_response_init(&answer);
    arena.limit_bytes = arena.used_bytes;
    assert_int_equal(mirror_answer(&produce, api, 9, &body, verdict, &arena, &answer),
                     ERR_NO_MEMORY);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_element_gets_its_keys_the_code_and_the_text),
        T(what_the_version_lacks_keeps_its_default),
        T(a_list_that_the_version_lacks_is_not_answered),
        T(plain_values_and_codes_of_another_name_have_their_places),
        T(lists_within_lists_can_be_answered_by_one),
        T(a_field_is_null_only_where_the_version_has_null),
        T(a_null_list_is_answered_by_an_empty_one),
        T(numbers_of_every_width_say_that_nothing_is_known),
        T(list_whose_answer_the_version_lacks_is_not_answered),
        T(no_memory_for_an_inner_list_is_told),
        T(no_memory_is_told),
    };

    return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
