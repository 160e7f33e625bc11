/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/describe_log_dirs_test.c: DescribeLogDirs on two shards.
 */
#include "data_support.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/describe_log_dirs_request.h"
#include "protocol/generated/describe_log_dirs_response.h"

/* Of three topics, of each the same partitions; NULL: of all there are. */
static struct describe_log_dirs_response *describe(struct rig *rig, const struct slice *topics,
                                                   int32_t *numbers, int32_t count)
{
    struct describe_log_dirs_request *body = describe_log_dirs_request_array(&rig->arena, 1);
    struct describe_log_dirs_response *response;
    struct rig_request *request;

    body->topics_count = topics ? 3 : -1;
    if (topics)
        body->topics = describe_log_dirs_request_describable_log_dir_topic_array(&rig->arena, 3);
    for (int32_t i = 0; i < body->topics_count; i++) {
        body->topics[i].topic = topics[i];
        body->topics[i].partitions = numbers;
        body->topics[i].partitions_count = count;
    }
    request = rig_begin(rig, 1, API_DESCRIBE_LOG_DIRS, 5, body, handle_describe_log_dirs);
    response = rig_wait(request);
    assert_non_null(response);
    rig_request_free(request);
    return response;
}

static void directories_are_described_with_their_replicas(void **state)
{
    struct rig rig;
    struct describe_log_dirs_response *response;

    UNUSED(state);
    rig_start(&rig, 2, 3);
    for (int32_t i = 0; i < 3; i++)
        rig_produce(&rig, i, &(struct rig_batch){.count = 4, .value_bytes = 10});
    rig_restart(&rig, true); /* the logs are closed: they are opened to be described */
    response = describe(&rig, NULL, NULL, 0);
    assert_int_equal(response->results_count, 2);
    assert_int_equal(response->results[0].topics_count, 1);
    assert_int_equal(response->results[0].topics[0].partitions_count, 3);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(response->results[0].topics[0].partitions[i].partition_index, i);
        assert_true(response->results[0].topics[0].partitions[i].partition_size > 61);
        assert_int_equal(response->results[0].topics[0].partitions[i].offset_lag, 0);
    }
    assert_int_equal(response->results[1].topics_count, 0);
    assert_true(response->results[0].total_bytes > 0);
    rig_close(&rig);
}

/* In whatever order, twice, or with names nobody has: a request may hold millions of them. */
static void of_the_logs_those_are_described_that_are_asked_for(void **state)
{
    const struct slice topics[] = {SLICE("unknown"), SLICE("t"), SLICE("a")};
    int32_t numbers[] = {2, 7, 0, 2, -1};
    struct rig rig;
    struct describe_log_dirs_response *response;

    UNUSED(state);
    rig_open(&rig, 2, NULL);
    rig_topic(&rig, "t", 1, 3);
    rig_topic(&rig, "u", 2, 1);
    rig_publish(&rig);
    response = describe(&rig, topics, numbers, ARRAY_COUNT(numbers));
    assert_int_equal(response->results[0].topics_count, 1);
    assert_true(slice_equal(response->results[0].topics[0].name, SLICE("t")));
    assert_int_equal(response->results[0].topics[0].partitions_count, 2);
    assert_int_equal(response->results[0].topics[0].partitions[0].partition_index, 0);
    assert_int_equal(response->results[0].topics[0].partitions[1].partition_index, 2);
    rig_close(&rig);
}

/* What is asked is kept in memory that the image bounds, not the request, and is not compared by names. */
static void a_request_may_name_logs_as_often_as_it_likes(void **state)
{
    enum { ASKED = 200000 };
    struct slice topics[] = {SLICE("t"), SLICE_NULL, SLICE("t")};
    struct describe_log_dirs_response *response;
    int32_t *numbers;
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 2, NULL);
    rig_topic(&rig, "t", 1, 3);
    rig_publish(&rig);
    topics[1] = slice_of(arena_zeroed(&rig.arena, 1, INT16_MAX), INT16_MAX);
    numbers = ARENA_ARRAY(&rig.arena, int32_t, ASKED);
    for (int32_t i = 0; i < ASKED; i++)
        numbers[i] = (i * 7919) % ASKED - 100;
    rig.request_bytes_max = 64 * KIB;
    response = describe(&rig, topics, numbers, ASKED);
    assert_int_equal(response->results[0].topics_count, 1);
    assert_int_equal(response->results[0].topics[0].partitions_count, 3);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_may_name_logs_as_often_as_it_likes),
        cmocka_unit_test(of_the_logs_those_are_described_that_are_asked_for),
        cmocka_unit_test(directories_are_described_with_their_replicas),
    };

    return cmocka_run_group_tests_name("server/describe_log_dirs", tests, NULL, NULL);
}
