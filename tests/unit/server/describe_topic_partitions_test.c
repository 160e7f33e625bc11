/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTopicPartitions: pages, cursors and what is refused; and DescribeCluster beside it.
 */
#include "admin_support.h"

static struct desk desk;
static struct desk_request asked;
typedef struct describe_topic_partitions_response answer;

static int setup(void **state)
{
    struct partition_record *partition;

    UNUSED(state);
    desk_open(&desk, "max.request.partition.size.limit=4\n", 0);
    desk_broker(&desk, 1, false, "PLAINTEXT", NULL);
    desk_broker(&desk, 2, true, "PLAINTEXT", NULL);
    desk_broker(&desk, 3, false, "OTHER", NULL);
    desk_topic(&desk, "a", 1);
    desk_partition(&desk, 1, 0, "1", NULL, 1);
    desk_partition(&desk, 1, 1, "1", NULL, 1);
    desk_topic(&desk, "b", 2);
    for (int i = 0; i < 3; i++)
        desk_partition(&desk, 2, i, "1,2", "1", 1);
    desk_topic(&desk, "c", 3);
    partition = desk_record(&desk, METADATA_RECORD_PARTITION, 2);
    partition->topic_id = desk_id(3);
    partition->partition_id = 0;
    partition->replicas = ARENA_ARRAY(&desk.arena, int32_t, 2);
    partition->replicas[0] = 1;
    partition->replicas[1] = 2;
    partition->replicas_count = 2;
    partition->isr = partition->replicas;
    partition->isr_count = 1;
    partition->directories = ARENA_ARRAY(&desk.arena, struct uuid, 2);
    partition->directories[0] = partition->directories[1] = desk_id(200);
    partition->directories_count = 2;
    partition->eligible_leader_replicas = partition->replicas + 1;
    partition->eligible_leader_replicas_count = 1;
    partition->leader = -1;
    partition->leader_epoch = 4;
    partition->partition_epoch = 0;
    desk_replay(&desk);
    desk_publish(&desk);
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    desk_close(&desk);
    return 0;
}

/* names: one letter each; cursor NULL: none. */
static answer *ask(const char *names, int32_t limit, const char *cursor, int32_t partition)
{
    struct describe_topic_partitions_request body;
    struct describe_topic_partitions_request_cursor from;
    size_t count = strlen(names);

    describe_topic_partitions_request_init(&body);
    body.topics = describe_topic_partitions_request_topic_request_array(&desk.arena, count);
    body.topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        body.topics[i].name = slice_of(names + i, 1);
    body.response_partition_limit = limit;
    if (cursor) {
        from =
            (struct describe_topic_partitions_request_cursor){slice_from_text(cursor), partition};
        body.cursor = &from;
    }
    desk_ask(&desk, &asked, API_DESCRIBE_TOPIC_PARTITIONS, 0, &body,
             handle_describe_topic_partitions);
    desk_request_end(&asked);
    return asked.response;
}

static void all_topics_come_by_name_up_to_the_servers_limit(void **state)
{
    answer *response = ask("", 2000, NULL, 0);

    UNUSED(state);
    assert_int_equal(response->topics_count, 2);
    assert_slice(response->topics[0].name, "a");
    assert_int_equal(response->topics[0].partitions_count, 2);
    assert_slice(response->topics[1].name, "b");
    assert_int_equal(response->topics[1].partitions_count, 2);
    assert_non_null(response->next_cursor);
    assert_slice(response->next_cursor->topic_name, "b");
    assert_int_equal(response->next_cursor->partition_index, 2);
    assert_int_equal(response->topics[0].topic_authorized_operations, 3576);
}

static void the_cursor_goes_on_where_the_page_ended(void **state)
{
    answer *response = ask("", 2000, "b", 2);

    UNUSED(state);
    assert_int_equal(response->topics_count, 2);
    assert_slice(response->topics[0].name, "b");
    assert_int_equal(response->topics[0].partitions_count, 1);
    assert_int_equal(response->topics[0].partitions[0].partition_index, 2);
    assert_slice(response->topics[1].name, "c");
    assert_null(response->next_cursor);
}

static void a_topic_that_ends_at_the_limit_points_at_the_next_one(void **state)
{
    answer *response = ask("", 2, NULL, 0);

    UNUSED(state);
    assert_int_equal(response->topics_count, 1);
    assert_slice(response->next_cursor->topic_name, "b");
    assert_int_equal(response->next_cursor->partition_index, 0);
    response = ask("c", 1, NULL, 0);
    assert_null(response->next_cursor);
}

static void a_limit_below_one_is_one(void **state)
{
    answer *response = ask("", -5, NULL, 0);

    UNUSED(state);
    assert_int_equal(response->topics_count, 1);
    assert_int_equal(response->topics[0].partitions_count, 1);
    assert_int_equal(response->next_cursor->partition_index, 1);
}

static void a_list_is_answered_sorted_and_once(void **state)
{
    answer *response = ask("c!aac", 2000, NULL, 0);

    UNUSED(state);
    assert_int_equal(response->topics_count, 3);
    assert_slice(response->topics[0].name, "!");
    assert_int_equal(response->topics[0].error_code, ERR_INVALID_TOPIC_EXCEPTION);
    assert_slice(response->topics[1].name, "a");
    assert_slice(response->topics[2].name, "c");
    response = ask("az", 2000, NULL, 0);
    assert_int_equal(response->topics[1].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void names_before_the_cursor_are_left_out(void **state)
{
    answer *response = ask("abc", 2000, "b", 0);

    UNUSED(state);
    assert_int_equal(response->topics_count, 2);
    assert_slice(response->topics[0].name, "b");
}

static void a_cursor_outside_the_list_or_below_zero_fails_every_topic(void **state)
{
    answer *response = ask("ac", 2000, "b", 0);

    UNUSED(state);
    assert_int_equal(asked.failed_err, ERR_INVALID_REQUEST);
    assert_int_equal(response->topics_count, 2);
    assert_int_equal(response->topics[1].error_code, ERR_INVALID_REQUEST);
    response = ask("ab", 2000, "b", -1);
    assert_int_equal(response->topics[0].error_code, ERR_INVALID_REQUEST);
    response = ask("", 2000, "b", -1);
    assert_int_equal(response->topics_count, 0);
}

static void a_leaderless_partition_has_no_error_and_tells_its_eligible_replicas(void **state)
{
    const struct describe_topic_partitions_response_describe_topic_partitions_response_partition
        *partition = &ask("c", 2000, NULL, 0)->topics[0].partitions[0];

    UNUSED(state);
    assert_int_equal(partition->error_code, 0);
    assert_int_equal(partition->leader_id, -1);
    assert_int_equal(partition->leader_epoch, 4);
    assert_int_equal(partition->eligible_leader_replicas_count, 1);
    assert_int_equal(partition->eligible_leader_replicas[0], 2);
    assert_int_equal(partition->last_known_elr_count, 0);
    assert_int_equal(partition->offline_replicas_count, 1);
}

/* ---- DescribeCluster ---- */

static struct describe_cluster_response *cluster(struct session *session, int16_t version,
                                                 int8_t type, bool fenced)
{
    struct describe_cluster_request body;

    describe_cluster_request_init(&body);
    body.endpoint_type = type;
    body.include_fenced_brokers = fenced;
    body.include_cluster_authorized_operations = true;
    desk_ask_on(&desk, session, &asked, API_DESCRIBE_CLUSTER, version, &body,
                handle_describe_cluster);
    return asked.response;
}

static void the_cluster_is_its_brokers_on_this_listener(void **state)
{
    struct describe_cluster_response *response = cluster(&desk.session, 1, 1, false);

    UNUSED(state);
    desk_request_end(&asked);
    assert_int_equal(response->brokers_count, 1);
    assert_slice(response->brokers[0].host, "own.example");
    assert_slice(response->cluster_id, "desk-cluster-id-00001x");
    assert_int_equal(response->cluster_authorized_operations, 8096);
    assert_true(response->controller_id == 1 || response->controller_id == -1);
    response = cluster(&desk.session, 2, 1, true);
    desk_request_end(&asked);
    assert_int_equal(response->brokers_count, 2);
    assert_true(response->brokers[1].is_fenced);
}

static void the_wrong_endpoint_type_is_refused(void **state)
{
    UNUSED(state);
    assert_int_equal(cluster(&desk.session, 1, 2, false)->error_code, ERR_MISMATCHED_ENDPOINT_TYPE);
    assert_slice(((struct describe_cluster_response *)asked.response)->error_message,
                 "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of "
                 "type CONTROLLER");
    desk_request_end(&asked);
    assert_int_equal(cluster(&desk.session, 1, 9, false)->error_code,
                     ERR_UNSUPPORTED_ENDPOINT_TYPE);
    desk_request_end(&asked);
}

static void the_controller_listener_tells_of_controllers_and_the_leader(void **state)
{
    struct register_controller_record *controller =
        desk_record(&desk, METADATA_RECORD_REGISTER_CONTROLLER, 0);
    struct raft_reply reply = {.api = RAFT_API_DESCRIBE_QUORUM, .leader_id = 1};
    struct describe_cluster_response *response;

    UNUSED(state);
    controller->controller_id = 1;
    controller->end_points = register_controller_record_controller_endpoint_array(&desk.arena, 1);
    controller->end_points_count = 1;
    controller->end_points->name = SLICE("CONTROLLER");
    controller->end_points->host = SLICE("there");
    controller->end_points->port = 9093;
    desk_replay(&desk);
    desk_publish(&desk);
    cluster(&desk.controller, 1, 2, false);
    assert_false(asked.is_answered);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    response = asked.response;
    assert_int_equal(response->brokers_count, 1);
    assert_slice(response->brokers[0].host, "there");
    assert_int_equal(response->controller_id, 1);
    assert_int_equal(response->endpoint_type, 2);
    desk_request_end(&asked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(all_topics_come_by_name_up_to_the_servers_limit),
        T(the_cursor_goes_on_where_the_page_ended),
        T(a_topic_that_ends_at_the_limit_points_at_the_next_one),
        T(a_limit_below_one_is_one),
        T(a_list_is_answered_sorted_and_once),
        T(names_before_the_cursor_are_left_out),
        T(a_cursor_outside_the_list_or_below_zero_fails_every_topic),
        T(a_leaderless_partition_has_no_error_and_tells_its_eligible_replicas),
        T(the_cluster_is_its_brokers_on_this_listener),
        T(the_wrong_endpoint_type_is_refused),
        T(the_controller_listener_tells_of_controllers_and_the_leader),
    };

    return cmocka_run_group_tests_name("describe_topic_partitions", tests, NULL, NULL);
}
