/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata: what each version is told of topics, partitions and brokers, and automatic creation.
 */
#include "admin_support.h"

#include "server/auto_create.h"

#include <string.h>

typedef struct metadata_response_metadata_response_topic answer_topic;

/* Brokers 1, 2; 3 fenced; 4 on another listener alone. Topics: plain, and one with every kind of
 * replica. */
static void cluster_make(struct desk *desk)
{
    desk_broker(desk, 1, false, "PLAINTEXT", "rack-a");
    desk_broker(desk, 2, false, "PLAINTEXT", NULL);
    desk_broker(desk, 3, true, "PLAINTEXT", NULL);
    desk_broker(desk, 4, false, "OTHER", NULL);
    desk_topic(desk, "plain", 1);
    desk_partition(desk, 1, 0, "1,2", NULL, 1);
    desk_partition(desk, 1, 1, "2,1", NULL, 2);
    desk_topic(desk, "mixed", 2);
    desk_partition(desk, 2, 0, "1,3,4", "1,4", 1);
    desk_partition(desk, 2, 1, "4,1", NULL, 4);
    desk_partition(desk, 2, 2, "1", NULL, -1);
    desk_topic(desk, "__consumer_offsets", 3);
    desk_partition(desk, 3, 0, "1", NULL, 1);
    desk_publish(desk);
}

static struct desk desk;
static struct desk_request asked;

static int setup(void **state)
{
    UNUSED(state);
    desk_open(&desk, NULL, 0);
    cluster_make(&desk);
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    desk_close(&desk);
    return 0;
}

/* names: NULL-ended. */
static struct metadata_response *ask(int16_t version, const char *const *names, bool may_create)
{
    struct metadata_request body;
    size_t count = 0;

    metadata_request_init(&body);
    while (names && names[count])
        count++;
    body.topics = metadata_request_metadata_request_topic_array(&desk.arena, count);
    body.topics_count = names || version == 0 ? (int32_t)count : -1;
    for (size_t i = 0; i < count; i++)
        body.topics[i].name = slice_from_text(names[i]);
    body.allow_auto_topic_creation = version >= 4 ? may_create : true;
    desk_ask(&desk, &asked, API_METADATA, version, &body, handle_metadata);
    assert_true(asked.is_answered);
    desk_request_end(&asked);
    return asked.response;
}

static const answer_topic *topic_of(const struct metadata_response *response, const char *name)
{
    for (int32_t i = 0; i < response->topics_count; i++)
        if (slice_equal_text(response->topics[i].name, name))
            return &response->topics[i];
    fail_msg("topic %s is not answered", name);
    return NULL;
}

static void null_topics_are_all_topics_and_an_empty_list_is_none(void **state)
{
    static const char *const none[] = {NULL};

    UNUSED(state);
    for (int16_t version = 1; version <= 13; version++) {
        assert_int_equal(ask(version, NULL, false)->topics_count, 3);
        assert_int_equal(ask(version, none, false)->topics_count, 0);
    }
}

static void version_0_reads_an_empty_list_as_all_topics(void **state)
{
    static const char *const none[] = {NULL};

    UNUSED(state);
    assert_int_equal(ask(0, none, false)->topics_count, 3);
}

static void brokers_are_the_unfenced_ones_with_this_listener(void **state)
{
    const struct metadata_response *response = ask(13, NULL, false);

    UNUSED(state);
    assert_int_equal(response->brokers_count, 2);
    /* The node's own address is the one that it advertises, whatever was registered. */
    assert_int_equal(response->brokers[0].node_id, 1);
    assert_slice(response->brokers[0].host, "own.example");
    assert_int_equal(response->brokers[0].port, 9092);
    assert_slice(response->brokers[0].rack, "rack-a");
    assert_int_equal(response->brokers[1].node_id, 2);
    assert_slice(response->brokers[1].host, "host2");
    assert_int_equal(response->brokers[1].port, 9002);
    assert_true(slice_is_null(response->brokers[1].rack));
    assert_slice(response->cluster_id, "desk-cluster-id-00001x");
}

static void the_controller_is_any_unfenced_broker(void **state)
{
    bool seen[5] = {false};

    UNUSED(state);
    for (int i = 0; i < 100; i++)
        seen[ask(1, NULL, false)->controller_id] = true;
    assert_true(seen[1] && seen[2] && seen[4]);
    assert_false(seen[3]);
}

static void partitions_of_live_replicas_are_told_whole(void **state)
{
    const answer_topic *topic = topic_of(ask(13, NULL, false), "plain");

    UNUSED(state);
    assert_int_equal(topic->error_code, 0);
    assert_false(topic->is_internal);
    assert_memory_equal(topic->topic_id.bytes, desk_id(1).bytes, 16);
    assert_int_equal(topic->partitions_count, 2);
    assert_int_equal(topic->partitions[1].error_code, 0);
    assert_int_equal(topic->partitions[1].leader_id, 2);
    assert_int_equal(topic->partitions[1].leader_epoch, 7);
    assert_int_equal(topic->partitions[1].replica_nodes_count, 2);
    assert_int_equal(topic->partitions[1].replica_nodes[0], 2);
    assert_int_equal(topic->partitions[1].offline_replicas_count, 0);
    assert_true(topic_of(ask(13, NULL, false), "__consumer_offsets")->is_internal);
}

static void fenced_and_unreachable_replicas_are_offline_from_version_5(void **state)
{
    const answer_topic *topic = topic_of(ask(5, NULL, false), "mixed");

    UNUSED(state);
    assert_int_equal(topic->partitions[0].error_code, 0);
    assert_int_equal(topic->partitions[0].replica_nodes_count, 3);
    assert_int_equal(topic->partitions[0].offline_replicas_count, 2);
    assert_int_equal(topic->partitions[0].offline_replicas[0], 3);
    assert_int_equal(topic->partitions[0].offline_replicas[1], 4);
}

static void version_0_leaves_out_dead_replicas_and_says_so(void **state)
{
    static const char *const names[] = {"mixed", NULL};
    const answer_topic *topic = topic_of(ask(0, names, false), "mixed");

    UNUSED(state);
    assert_int_equal(topic->partitions[0].error_code, ERR_REPLICA_NOT_AVAILABLE);
    assert_int_equal(topic->partitions[0].replica_nodes_count, 1);
    assert_int_equal(topic->partitions[0].isr_nodes_count, 1);
    assert_int_equal(topic->partitions[0].leader_id, 1);
}

static void a_leader_without_this_listener_is_told_by_version(void **state)
{
    UNUSED(state);
    assert_int_equal(topic_of(ask(5, NULL, false), "mixed")->partitions[1].error_code,
                     ERR_LEADER_NOT_AVAILABLE);
    assert_int_equal(topic_of(ask(6, NULL, false), "mixed")->partitions[1].error_code,
                     ERR_LISTENER_NOT_FOUND);
    assert_int_equal(topic_of(ask(6, NULL, false), "mixed")->partitions[1].leader_id, -1);
    assert_int_equal(topic_of(ask(13, NULL, false), "mixed")->partitions[2].error_code,
                     ERR_LEADER_NOT_AVAILABLE);
}

static void a_replica_in_an_unknown_directory_is_offline(void **state)
{
    struct partition_record *partition;

    UNUSED(state);
    desk_topic(&desk, "lost", 9);
    partition = desk_record(&desk, METADATA_RECORD_PARTITION, 2);
    partition->topic_id = desk_id(9);
    partition->partition_id = 0;
    partition->replicas = ARENA_ARRAY(&desk.arena, int32_t, 1);
    partition->replicas[0] = 1;
    partition->replicas_count = 1;
    partition->isr = partition->replicas;
    partition->isr_count = 1;
    partition->directories = ARENA_ARRAY(&desk.arena, struct uuid, 1);
    partition->directories[0] = desk_id(99);
    partition->directories_count = 1;
    partition->leader = 1;
    partition->leader_epoch = 0;
    partition->partition_epoch = 0;
    desk_replay(&desk);
    desk_publish(&desk);
    assert_int_equal(topic_of(ask(13, NULL, false), "lost")->partitions[0].offline_replicas_count,
                     1);
}

static void a_missing_topic_is_unknown_and_a_bad_name_invalid(void **state)
{
    static const char *const names[] = {"nowhere", "bad name", "plain", "plain", NULL};
    const struct metadata_response *response = ask(9, names, false);

    UNUSED(state);
    assert_int_equal(response->topics_count, 3);
    assert_int_equal(topic_of(response, "nowhere")->error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(topic_of(response, "bad name")->error_code, ERR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(topic_of(response, "plain")->error_code, 0);
    assert_int_equal(desk.calls, 0);
}

static void a_missing_topic_is_created_once_while_it_is_unknown(void **state)
{
    static const char *const names[] = {"wanted", "bad name", NULL};
    static const char *const more[] = {"wanted", "other", NULL};
    const struct create_topics_request *body;
    const struct controller_call *call;

    UNUSED(state);
    assert_int_equal(topic_of(ask(4, names, true), "wanted")->error_code,
                     ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(desk.calls, 1);
    call = desk.call;
    body = call->request.body;
    assert_int_equal(call->request.api_key, API_CREATE_TOPICS);
    assert_true(call->request.forwarded);
    assert_int_equal(body->topics_count, 1);
    assert_slice(body->topics[0].name, "wanted");
    assert_int_equal(body->topics[0].num_partitions, -1);
    assert_int_equal(body->topics[0].replication_factor, -1);
    OKAY(call->request.quota->record(call->request.quota, 3));
    assert_false(desk.quota_strict);
    /* Asked again while that is under way: only what is new is asked for. */
    desk.call = NULL;
    assert_int_equal(topic_of(ask(4, more, true), "wanted")->error_code,
                     ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(desk.calls, 2);
    body = desk.call->request.body;
    assert_int_equal(body->topics_count, 1);
    assert_slice(body->topics[0].name, "other");
    desk_controller_answer(&desk, NULL, OK);
    desk.call = (struct controller_call *)(uintptr_t)call;
    desk_controller_answer(&desk, NULL, ERR_REQUEST_TIMED_OUT);
    /* Over: it may be asked for anew. */
    ask(4, names, true);
    assert_int_equal(desk.calls, 3);
    desk_controller_answer(&desk, NULL, OK);
}

/* ---- without memory ---- */

static struct allocator heap;
static int allocations, allocation_fails_at;

static void *allocate_or_fail(struct allocator *self, size_t size_bytes)
{
    return allocations++ == allocation_fails_at ? NULL : heap.allocate(self, size_bytes);
}

/* Did it find enough? Its call is ended then. */
static bool creation_tried(struct slice principal)
{
    static const struct slice names[] = {SLICE("wanted"), SLICE("__transaction_state")};
    const struct create_topics_request *body;
    struct controller_call *call;
    int calls = desk.calls;

    allocations = 0;
    heap_allocator.allocate = allocate_or_fail;
    auto_create_topics(&desk.shards[0], names, ARRAY_COUNT(names), principal, SLICE("client"));
    heap_allocator = heap;
    if (desk.calls == calls)
        return false;
    call = TAKE(desk.call);
    body = call->request.body;
    assert_int_equal(body->topics_count, 2);
    assert_slice(body->topics[0].name, "__transaction_state");
    assert_int_equal(body->topics[0].configs_count, 5);
    for (int i = 0; i < 5; i++)
        assert_false(slice_is_null(body->topics[0].configs[i].value));
    call->err = ERR_NO_MEMORY; /* and not even that found memory */
    call->response = NULL;
    call->done(call);
    return true;
}

/* Whoever asked asks again. */
static void a_creation_that_finds_no_memory_is_given_up_and_may_be_asked_for_again(void **state)
{
    static char name[4096]; /* of any length: another thing each time finds no room in a block */
    int given_up = 0;

    UNUSED(state);
    heap = heap_allocator;
    memset(name, 'x', sizeof name);
    for (size_t size = 16; size < sizeof name; size += 16) {
        /* 0: the node's own */
        for (allocation_fails_at = 1; !creation_tried(slice_of(name, size)); allocation_fails_at++)
            given_up++;
        assert_null(desk.shards[0].auto_creates);
    }
    assert_true(given_up > 0);
}

static void all_topics_and_switched_off_creation_create_nothing(void **state)
{
    static const char *const names[] = {"wanted", NULL};

    UNUSED(state);
    ask(4, names, false);
    ask(4, NULL, true);
    assert_int_equal(desk.calls, 0);
    ask(3, names, false); /* older clients cannot say */
    assert_int_equal(desk.calls, 1);
    desk_controller_answer(&desk, NULL, OK);
}

static void internal_topics_are_made_as_their_coordinators_need_them(void **state)
{
    static const char *const names[] = {"__transaction_state", NULL};
    const struct create_topics_request *body;

    UNUSED(state);
    ask(4, names, true);
    body = desk.call->request.body;
    assert_int_equal(body->topics[0].num_partitions, 50);
    assert_int_equal(body->topics[0].replication_factor, 3);
    assert_int_equal(body->topics[0].configs_count, 5);
    assert_slice(body->topics[0].configs[0].name, "cleanup.policy");
    assert_slice(body->topics[0].configs[0].value, "compact");
    desk_controller_answer(&desk, NULL, OK);
}

static struct metadata_response *ask_ids(int16_t version, const uint32_t *ids, size_t count,
                                         const char *name)
{
    struct metadata_request body;

    metadata_request_init(&body);
    body.topics = metadata_request_metadata_request_topic_array(&desk.arena, count + 1);
    body.topics_count = (int32_t)count + (name != NULL);
    for (size_t i = 0; i < count; i++) {
        body.topics[i].name = SLICE_NULL;
        body.topics[i].topic_id = desk_id(ids[i]);
    }
    if (name)
        body.topics[count].name = slice_from_text(name);
    body.allow_auto_topic_creation = false;
    desk_ask(&desk, &asked, API_METADATA, version, &body, handle_metadata);
    desk_request_end(&asked);
    return asked.response;
}

static void ids_are_looked_up_alone_and_unknown_ones_come_first(void **state)
{
    static const uint32_t ids[] = {1, 50, 2, 1};
    const struct metadata_response *response = ask_ids(12, ids, 4, "nowhere");

    UNUSED(state);
    assert_int_equal(response->topics_count, 3);
    assert_int_equal(response->topics[0].error_code, ERR_UNKNOWN_TOPIC_ID);
    assert_true(slice_is_null(response->topics[0].name));
    assert_memory_equal(response->topics[0].topic_id.bytes, desk_id(50).bytes, 16);
    assert_int_equal(topic_of(response, "plain")->error_code, 0);
    assert_int_equal(topic_of(response, "mixed")->error_code, 0);
}

static void ids_before_version_12_fail_the_whole_request(void **state)
{
    struct metadata_request body;
    struct metadata_response *response;

    UNUSED(state);
    metadata_request_init(&body);
    body.topics = metadata_request_metadata_request_topic_array(&desk.arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("plain");
    body.topics->topic_id = desk_id(1);
    desk_ask(&desk, &asked, API_METADATA, 10, &body, handle_metadata);
    desk_request_end(&asked);
    response = asked.response;
    assert_int_equal(asked.failed_err, ERR_INVALID_REQUEST);
    assert_int_equal(response->topics_count, 1);
    assert_int_equal(response->topics[0].error_code, ERR_INVALID_REQUEST);
}

static void operations_are_told_when_asked_for(void **state)
{
    struct metadata_request body;
    struct metadata_response *response;

    UNUSED(state);
    metadata_request_init(&body);
    body.topics_count = -1;
    body.include_topic_authorized_operations = true;
    body.include_cluster_authorized_operations = true;
    desk_ask(&desk, &asked, API_METADATA, 8, &body, handle_metadata);
    desk_request_end(&asked);
    response = asked.response;
    assert_int_equal(response->cluster_authorized_operations, 8096);
    assert_int_equal(response->topics[0].topic_authorized_operations, 3576);
    response = ask(8, NULL, false);
    assert_int_equal(response->cluster_authorized_operations, INT32_MIN);
    assert_int_equal(response->topics[0].topic_authorized_operations, INT32_MIN);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(null_topics_are_all_topics_and_an_empty_list_is_none),
        T(version_0_reads_an_empty_list_as_all_topics),
        T(brokers_are_the_unfenced_ones_with_this_listener),
        T(the_controller_is_any_unfenced_broker),
        T(partitions_of_live_replicas_are_told_whole),
        T(fenced_and_unreachable_replicas_are_offline_from_version_5),
        T(version_0_leaves_out_dead_replicas_and_says_so),
        T(a_leader_without_this_listener_is_told_by_version),
        T(a_replica_in_an_unknown_directory_is_offline),
        T(a_missing_topic_is_unknown_and_a_bad_name_invalid),
        T(a_missing_topic_is_created_once_while_it_is_unknown),
        T(a_creation_that_finds_no_memory_is_given_up_and_may_be_asked_for_again),
        T(all_topics_and_switched_off_creation_create_nothing),
        T(internal_topics_are_made_as_their_coordinators_need_them),
        T(ids_are_looked_up_alone_and_unknown_ones_come_first),
        T(ids_before_version_12_fail_the_whole_request),
        T(operations_are_told_when_asked_for),
    };

    return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
