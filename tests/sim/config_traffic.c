/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_traffic.c: what keys change in a node's connections, requests and place in the cluster.
 */
#include "config_observe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "network/network.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/api_versions_request.h"
#include "protocol/generated/api_versions_response.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/describe_cluster_request.h"
#include "protocol/generated/describe_cluster_response.h"
#include "protocol/generated/describe_log_dirs_request.h"
#include "protocol/generated/describe_log_dirs_response.h"
#include "protocol/generated/describe_quorum_request.h"
#include "protocol/generated/describe_quorum_response.h"
#include "protocol/generated/describe_topic_partitions_request.h"
#include "protocol/generated/describe_topic_partitions_response.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"

static int64_t number_of(const char *argument)
{
    return strtoll(argument, NULL, 10);
}

static int64_t soon(const struct lab *lab, int64_t ms)
{
    return sim_now_ns(lab->sim) + ms * MS;
}

/* ---- starting ---- */

int64_t start_error(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return lab->start_err;
}

int64_t shards(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return (int64_t)lab->node.node->shard_count;
}

/* ---- connections ---- */

static enum err api_versions(struct lab *lab, struct sim_client *client, size_t name_bytes,
                             struct api_versions_response **out)
{
    struct api_versions_request body;
    char *name = arena_allocate(&lab->arena, name_bytes);
    void *response = NULL;
    enum err err;

    memset(name, 'a', name_bytes);
    api_versions_request_init(&body);
    body.client_software_name = slice_of(name, name_bytes);
    body.client_software_version = SLICE("1");
    err =
        sim_client_call(client, API_API_VERSIONS, 3, &body, &lab->arena, soon(lab, 200), &response);
    if (out)
        *out = response;
    return err;
}

int64_t connection_lives(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    lab_connect(lab, 9092);
    assert_int_equal(api_versions(lab, lab->client, 4, NULL), OK);
    return !sim_client_wait_closed(lab->client, soon(lab, 5000));
}

int64_t answered(struct lab *lab, const char *argument)
{
    int64_t count = 0;

    for (size_t i = 0; i < LAB_CLIENTS; i++)
        if (sim_client_connect(lab->others[i], "node", (uint16_t)number_of(argument),
                               soon(lab, 30)) == OK &&
            api_versions(lab, lab->others[i], 4, NULL) == OK)
            count++;
    return count;
}

int64_t connected(struct lab *lab, const char *argument)
{
    int64_t count = 0;

    for (size_t i = 0; i < LAB_CLIENTS; i++)
        count += sim_client_connect(lab->others[i], "node", (uint16_t)number_of(argument),
                                    soon(lab, 30)) == OK;
    return count;
}

int64_t large_request_is_answered(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    lab_connect(lab, 9092);
    return api_versions(lab, lab->client, 5000, NULL) == OK;
}

int64_t upload_takes_us(struct lab *lab, const char *argument)
{
    struct lab_batch batch = {.value_bytes = 900000, .is_random = true};
    int64_t began_ns;

    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    began_ns = sim_now_ns(lab->sim);
    assert_int_equal(lab_produce(lab, &batch, NULL), 0);
    return (sim_now_ns(lab->sim) - began_ns) / 1000;
}

int64_t download_takes_us(struct lab *lab, const char *argument)
{
    int64_t began_ns;

    (void)upload_takes_us(lab, argument);
    began_ns = sim_now_ns(lab->sim);
    (void)lab_fetch(lab, 1 << 20);
    return (sim_now_ns(lab->sim) - began_ns) / 1000;
}

/* A fetch that waits 5 s. */
static void fetch_send(struct lab *lab, struct sim_client *client)
{
    struct fetch_request body;
    struct fetch_request_fetch_topic *topic = fetch_request_fetch_topic_array(&lab->arena, 1);

    fetch_request_init(&body);
    body.replica_id = -1;
    body.max_wait_ms = 5000;
    body.min_bytes = 1 << 20;
    body.session_epoch = -1;
    topic->topic = SLICE("t");
    topic->partitions = fetch_request_fetch_partition_array(&lab->arena, 1);
    topic->partitions_count = 1;
    topic->partitions->partition_max_bytes = 1000;
    body.topics = topic;
    body.topics_count = 1;
    assert_int_equal(sim_client_send(client, API_FETCH, 11, &body, soon(lab, 1000)), OK);
    lab_pass(lab, 50);
}

int64_t frames_read(struct lab *lab, const char *argument)
{
    const struct network_counts *counts;
    int64_t before;

    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    counts = network_counts(lab->node.node->shards[0].network);
    before = counts->frames_received;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sim_client_connect(lab->others[i], "node", 9092, soon(lab, 1000)), OK);
        fetch_send(lab, lab->others[i]);
        fetch_send(lab, lab->others[i]);
    }
    return counts->frames_received - before;
}

int64_t muted_for_memory(struct lab *lab, const char *argument)
{
    static uint8_t frame[90004] = {0, 1, 0x5f, 0x90}; /* its length, and what is never looked at */

    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sim_client_connect(lab->others[i], "node", 9092, soon(lab, 1000)), OK);
        fetch_send(lab, lab->others[i]);
        (void)!sim_client_send_bytes(lab->others[i], slice_of(frame, sizeof frame), soon(lab, 100));
    }
    return network_counts(lab->node.node->shards[0].network)->muted_for_memory > 0;
}

int64_t inter_broker_listener_evicts(struct lab *lab, const char *argument)
{
    int64_t count = 0;

    UNUSED(argument);
    for (size_t i = 0; i < 6; i++) {
        bool is_open =
            sim_client_connect(lab->others[i], "node", i < 3 ? 9092 : 9192, soon(lab, 30)) == OK &&
            api_versions(lab, lab->others[i], 4, NULL) == OK;

        count += i >= 3 && is_open;
    }
    return count;
}

/* ---- fetches and descriptions ---- */

int64_t fetched_bytes(struct lab *lab, const char *argument)
{
    struct lab_batch batch = {.value_bytes = 1000, .is_random = true};

    UNUSED(argument);
    for (int i = 0; i < 5; i++)
        assert_int_equal(lab_produce(lab, &batch, NULL), 0);
    return lab_fetch(lab, 1 << 20).bytes / 1000;
}

int64_t fetch_session(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    return lab_fetch(lab, 1 << 20).session_id != 0;
}

int64_t described_partitions(struct lab *lab, const char *argument)
{
    struct describe_topic_partitions_request body;
    const struct describe_topic_partitions_response *answer;

    UNUSED(argument);
    assert_int_equal(lab_create_topic(lab, "t", 5, 1), 0);
    describe_topic_partitions_request_init(&body);
    body.topics = describe_topic_partitions_request_topic_request_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("t");
    answer = lab_call(lab, API_DESCRIBE_TOPIC_PARTITIONS, 0, &body);
    return answer->topics[0].partitions_count;
}

/* ---- quotas ---- */

int64_t produce_throttle_ms(struct lab *lab, const char *argument)
{
    struct lab_batch batch = {.value_bytes = 100000, .is_random = true};
    int32_t throttle_ms;

    UNUSED(argument);
    lab_quota(lab, "producer_byte_rate", 1000);
    assert_int_equal(lab_produce(lab, &batch, &throttle_ms), 0);
    return throttle_ms / 1000;
}

int64_t mutation_throttle_ms(struct lab *lab, const char *argument)
{
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(&lab->arena, 1);
    const struct create_topics_response *answer;

    UNUSED(argument);
    lab_quota(lab, "controller_mutation_rate", 1);
    assert_int_equal(lab_create_topic(lab, "a", 50, 1), 0);
    create_topics_request_init(&body);
    topic->name = SLICE("b");
    topic->num_partitions = 1;
    topic->replication_factor = 1;
    body.topics = topic;
    body.topics_count = 1;
    answer = lab_call(lab, API_CREATE_TOPICS, 7, &body);
    return answer->throttle_time_ms / 1000;
}

/* ---- the node in the cluster ---- */

static const struct describe_cluster_response_describe_cluster_broker *broker_of(struct lab *lab)
{
    struct describe_cluster_request body;
    const struct describe_cluster_response *answer;

    describe_cluster_request_init(&body);
    body.include_fenced_brokers = true;
    answer = lab_call(lab, API_DESCRIBE_CLUSTER, 2, &body);
    assert_int_equal(answer->brokers_count, 1);
    return &answer->brokers[0];
}

int64_t broker_port(struct lab *lab, const char *argument)
{
    lab_connect(lab, (uint16_t)number_of(argument ? argument : "9092"));
    return broker_of(lab)->port;
}

int64_t broker_id(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return broker_of(lab)->broker_id;
}

int64_t broker_rack_bytes(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return (int64_t)broker_of(lab)->rack.size_bytes;
}

int64_t fenced_after_ms(struct lab *lab, const char *argument)
{
    int64_t until_ns = soon(lab, number_of(argument));
    bool is_fenced = false;

    while (!is_fenced && sim_now_ns(lab->sim) < until_ns) {
        is_fenced = broker_of(lab)->is_fenced;
        lab_pass(lab, 50);
    }
    return is_fenced;
}

static const struct describe_quorum_response_partition_data *quorum_of(struct lab *lab)
{
    struct describe_quorum_request body;
    const struct describe_quorum_response *answer;

    describe_quorum_request_init(&body);
    body.topics = describe_quorum_request_topic_data_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->topic_name = SLICE("__cluster_metadata");
    body.topics->partitions = describe_quorum_request_partition_data_array(&lab->arena, 1);
    body.topics->partitions_count = 1;
    answer = lab_call(lab, API_DESCRIBE_QUORUM, 2, &body);
    assert_int_equal(answer->error_code, 0);
    return &answer->topics[0].partitions[0];
}

int64_t quorum_is_static(struct lab *lab, const char *argument)
{
    static const struct uuid none;
    const struct uuid *directory = &quorum_of(lab)->current_voters[0].replica_directory_id;

    UNUSED(argument);
    return memcmp(directory, &none, sizeof none) == 0;
}

int64_t no_op_records(struct lab *lab, const char *argument)
{
    int64_t before = quorum_of(lab)->high_watermark;
    int64_t until_ns = soon(lab, number_of(argument));

    while (sim_now_ns(lab->sim) < until_ns) {
        const struct describe_quorum_response_partition_data *quorum = quorum_of(lab);
        struct fetch_request body;
        struct fetch_request_fetch_topic *topic = fetch_request_fetch_topic_array(&lab->arena, 1);
        void *response;

        fetch_request_init(&body);
        body.replica_state.replica_id = 99;
        body.max_wait_ms = 100;
        body.session_epoch = -1;
        topic->topic_id.bytes[15] = 1;
        topic->partitions = fetch_request_fetch_partition_array(&lab->arena, 1);
        topic->partitions_count = 1;
        topic->partitions->current_leader_epoch = quorum->leader_epoch;
        topic->partitions->last_fetched_epoch = quorum->leader_epoch;
        topic->partitions->fetch_offset = quorum->high_watermark;
        body.topics = topic;
        body.topics_count = 1;
        if (!sim_client_is_connected(lab->others[0]))
            assert_int_equal(sim_client_connect(lab->others[0], "node", 9093, soon(lab, 1000)), OK);
        assert_int_equal(sim_client_call(lab->others[0], API_FETCH, 17, &body, &lab->arena,
                                         soon(lab, 1000), &response),
                         OK);
        assert_int_equal(((struct fetch_response *)response)->error_code, 0);
    }
    return quorum_of(lab)->high_watermark - before;
}

int64_t controller_apis(struct lab *lab, const char *argument)
{
    struct api_versions_response *answer;
    int64_t found = 0;

    lab_connect(lab, (uint16_t)number_of(argument));
    assert_int_equal(api_versions(lab, lab->client, 4, &answer), OK);
    for (int32_t i = 0; i < answer->api_keys_count; i++)
        found |= answer->api_keys[i].api_key == API_VOTE;
    return found;
}

/* ---- log lines ---- */

int64_t events_logged(struct lab *lab, const char *argument)
{
    assert_int_equal(lab_create_topic(lab, "a", 1, 1), 0);
    assert_int_equal(lab_create_topic(lab, "b", 1, 1), 0);
    lab_pass(lab, number_of(argument));
    return lab->event_count;
}

int64_t events_logged_after_stop(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    assert_true(sim_node_stop(&lab->node, 600000));
    return lab->event_count;
}

/* ---- directories, as told ---- */

int64_t cordoned_directories(struct lab *lab, const char *argument)
{
    struct describe_log_dirs_request body;
    const struct describe_log_dirs_response *answer;
    int64_t count = 0;

    if (argument)
        assert_int_equal(lab_alter(lab, CONFIG_RESOURCE_BROKER, "1", "cordoned.log.dirs", argument),
                         0);
    lab_pass(lab, 100);
    describe_log_dirs_request_init(&body);
    body.topics = NULL;
    body.topics_count = -1;
    answer = lab_call(lab, API_DESCRIBE_LOG_DIRS, 5, &body);
    for (int32_t i = 0; i < answer->results_count; i++)
        count += answer->results[i].is_cordoned;
    return count;
}
