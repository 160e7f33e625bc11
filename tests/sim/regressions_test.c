/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/regressions_test.c: defects of the whole node that `./dev sim` found, each in its smallest form. Those of one
 * module have their tests there.
 */
#include "batches.h"
#include "sim_client.h"
#include "sim_node.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/delete_topics_request.h"
#include "protocol/generated/delete_topics_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "protocol/generated/unregister_broker_request.h"
#include "protocol/generated/unregister_broker_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the three above */
#include <cmocka.h>

#define MS ((int64_t)1000000)
#define PARTITIONS 4

struct lab {
    struct sim *sim;
    struct sim_node node;
    struct os *client_machine;
    struct sim_client *client;
    struct arena arena;
};

static void lab_open(struct lab *lab, uint64_t seed, const char *properties)
{
    *lab = (struct lab){0};
    assert_int_equal(sim_create(seed, NULL, &lab->sim), OK);
    sim_node_init(&lab->node, lab->sim, "node", properties);
    assert_int_equal(sim_node_start(&lab->node, 60000), OK);
    assert_int_equal(sim_machine_create(lab->sim, "client", &lab->client_machine), OK);
    lab->client = sim_client_new(lab->sim, lab->client_machine);
    arena_init(&lab->arena, &heap_allocator, SIZE_MAX);
}

static void lab_close(struct lab *lab)
{
    arena_release(&lab->arena);
    sim_client_free(&lab->client);
    if (lab->node.is_stopped)
        node_release(&lab->node.node); /* by itself */
    else
        assert_true(sim_node_stop(&lab->node, 60000));
    sim_node_release(&lab->node);
    sim_release(&lab->sim);
}

static int64_t deadline(const struct lab *lab)
{
    return sim_now_ns(lab->sim) + 20000 * MS;
}

static void pass(struct lab *lab, int64_t time_ms)
{
    sim_run_until(lab->sim, sim_now_ns(lab->sim) + time_ms * MS, NULL, NULL);
}

static void connect_client(struct lab *lab, struct sim_client *client)
{
    assert_int_equal(sim_client_connect(client, "node", 9092, deadline(lab)), OK);
}

static struct create_topics_request create_body(struct lab *lab)
{
    struct create_topics_request body;

    create_topics_request_init(&body);
    body.topics = create_topics_request_creatable_topic_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics[0].name = SLICE("t");
    body.topics[0].num_partitions = PARTITIONS;
    body.topics[0].replication_factor = -1;
    return body;
}

static struct delete_topics_request delete_body(struct lab *lab)
{
    struct delete_topics_request body;

    delete_topics_request_init(&body);
    body.topic_names = ARENA_ARRAY(&lab->arena, struct slice, 1);
    body.topic_names[0] = SLICE("t");
    body.topic_names_count = 1;
    body.timeout_ms = 5000;
    return body;
}

static struct produce_request produce_body(struct lab *lab, int32_t partition, int32_t timeout_ms)
{
    struct numbered_batch batch = {.topic_key = "t",
                                   .partition = partition,
                                   .count = 3,
                                   .timestamp_ms = os_wall_ms(lab->node.machine),
                                   .producer_id = -1,
                                   .producer_epoch = -1,
                                   .base_sequence = -1};
    struct produce_request body;

    produce_request_init(&body);
    body.acks = -1;
    body.timeout_ms = timeout_ms;
    body.topic_data = produce_request_topic_produce_data_array(&lab->arena, 1);
    body.topic_data_count = 1;
    body.topic_data[0].name = SLICE("t");
    body.topic_data[0].partition_data =
        produce_request_partition_produce_data_array(&lab->arena, 1);
    body.topic_data[0].partition_data_count = 1;
    body.topic_data[0].partition_data[0].index = partition;
    body.topic_data[0].partition_data[0].records = numbered_batch_build(&batch, &lab->arena);
    return body;
}

static enum err produce(struct lab *lab, int32_t partition)
{
    struct produce_request body = produce_body(lab, partition, 5000);
    struct produce_response *answer;
    void *response;

    assert_int_equal(
        sim_client_call(lab->client, API_PRODUCE, 10, &body, &lab->arena, deadline(lab), &response),
        OK);
    answer = response;
    return err_from_wire(answer->responses[0].partition_responses[0].error_code);
}

/* Until the leader is known there. */
static void produce_in_the_end(struct lab *lab, int32_t partition)
{
    enum err err = OK;

    for (int i = 0; i < 200; i++) {
        err = produce(lab, partition);
        if (err == OK)
            return;
        pass(lab, 20);
    }
    fail_msg("partition %d: %s", partition, err_name(err));
}

static void topic_create(struct lab *lab)
{
    struct create_topics_request body = create_body(lab);
    void *response;

    assert_int_equal(sim_client_call(lab->client, API_CREATE_TOPICS, 7, &body, &lab->arena,
                                     deadline(lab), &response),
                     OK);
    assert_int_equal(((struct create_topics_response *)response)->topics[0].error_code, OK);
}

static void a_topic_made_again_at_once_leaves_its_directory_online(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct lab lab;

        lab_open(&lab, seed, "barnabas.shards=4\nlog.segment.delete.delay.ms=60000\n");
        connect_client(&lab, lab.client);
        topic_create(&lab);
        for (int round = 0; round < 5; round++) {
            struct delete_topics_request gone = delete_body(&lab);
            struct create_topics_request again = create_body(&lab);
            void *response;

            for (int32_t i = 0; i < PARTITIONS; i++)
                produce_in_the_end(&lab, i);
            assert_int_equal(
                sim_client_send(lab.client, API_DELETE_TOPICS, 5, &gone, deadline(&lab)), OK);
            assert_int_equal(
                sim_client_send(lab.client, API_CREATE_TOPICS, 7, &again, deadline(&lab)), OK);
            assert_int_equal(sim_client_read(lab.client, API_DELETE_TOPICS, 5, &lab.arena,
                                             deadline(&lab), &response),
                             OK);
            assert_int_equal(sim_client_read(lab.client, API_CREATE_TOPICS, 7, &lab.arena,
                                             deadline(&lab), &response),
                             OK);
            assert_int_equal(((struct create_topics_response *)response)->topics[0].error_code, OK);
        }
        for (int32_t i = 0; i < PARTITIONS; i++)
            produce_in_the_end(&lab, i);
        lab_close(&lab);
    }
    UNUSED(state);
}

static void a_produce_that_a_deletion_ends_after_its_client_has_gone_harms_nothing(void **state)
{
    struct lab lab;
    struct sim_client *other;
    struct produce_request body;
    struct delete_topics_request gone;
    void *response;

    lab_open(&lab, 1, "barnabas.shards=2\n");
    connect_client(&lab, lab.client);
    topic_create(&lab);
    for (int32_t i = 0; i < PARTITIONS; i++)
        produce_in_the_end(&lab, i);
    other = sim_client_new(lab.sim, lab.client_machine);
    connect_client(&lab, other);
    sim_fault_add(lab.node.machine, &(struct sim_fault){.calls = 1u << SIM_CALL_SYNC,
                                                        .path_part = "/data/t-",
                                                        .effect = SIM_EFFECT_DELAY,
                                                        .is_sticky = true,
                                                        .delay_ns = 2000 * MS});
    for (int32_t i = 0; i < PARTITIONS; i++) {
        body = produce_body(&lab, i, 30000);
        assert_int_equal(sim_client_send(other, API_PRODUCE, 10, &body, deadline(&lab)), OK);
    }
    pass(&lab, 20); /* they wait for the flush */
    sim_client_close(other);
    pass(&lab, 20);
    gone = delete_body(&lab);
    assert_int_equal(sim_client_call(lab.client, API_DELETE_TOPICS, 5, &gone, &lab.arena,
                                     deadline(&lab), &response),
                     OK);
    pass(&lab, 5000);
    topic_create(&lab);
    produce_in_the_end(&lab, 0);
    sim_client_free(&other);
    lab_close(&lab);
    UNUSED(state);
}

static bool start_is_decided(void *context)
{
    const struct sim_node *node = context;

    return node->is_serving || node->is_stopped;
}

static void a_directory_that_fails_at_any_call_of_a_start_lets_the_node_stop(void **state)
{
    int64_t hits = 0;

    for (int64_t skip = 0; skip < 60; skip++) {
        struct lab lab;
        int fault;
        enum err err;

        lab_open(&lab, 7, "barnabas.shards=4\nlog.dirs=/data,/data1\nmetadata.log.dir=/data1\n");
        connect_client(&lab, lab.client);
        topic_create(&lab);
        for (int32_t i = 0; i < PARTITIONS; i++)
            produce_in_the_end(&lab, i);
        sim_client_close(lab.client);
        sim_node_kill(&lab.node);
        fault = sim_fault_add(lab.node.machine, &(struct sim_fault){.calls = SIM_CALLS_ALL,
                                                                    .path_part = "/data/",
                                                                    .skip_count = skip,
                                                                    .is_sticky = true,
                                                                    .effect = SIM_EFFECT_ERROR,
                                                                    .err = ERR_IO});
        err = sim_node_begin(&lab.node);
        if (err == OK) {
            sim_run_until(lab.sim, sim_now_ns(lab.sim) + 60000 * MS, start_is_decided, &lab.node);
            if (!lab.node.is_stopped && !sim_node_stop(&lab.node, 60000))
                fail_msg("call %lld failed: the node does not stop", (long long)skip);
        }
        hits += sim_fault_hits(lab.node.machine, fault) > 0;
        lab_close(&lab);
    }
    assert_true(hits > 10);
    UNUSED(state);
}

static void a_broker_that_was_unregistered_stops_without_a_word_of_the_controller(void **state)
{
    struct unregister_broker_request body;
    struct lab lab;
    void *response;

    lab_open(&lab, 1, "");
    connect_client(&lab, lab.client);
    unregister_broker_request_init(&body);
    body.broker_id = 1;
    assert_int_equal(sim_client_call(lab.client, API_UNREGISTER_BROKER, 0, &body, &lab.arena,
                                     deadline(&lab), &response),
                     OK);
    assert_int_equal(((struct unregister_broker_response *)response)->error_code, OK);
    assert_true(sim_node_stop(&lab.node, 60000));
    lab_close(&lab);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_made_again_at_once_leaves_its_directory_online),
        cmocka_unit_test(a_produce_that_a_deletion_ends_after_its_client_has_gone_harms_nothing),
        cmocka_unit_test(a_directory_that_fails_at_any_call_of_a_start_lets_the_node_stop),
        cmocka_unit_test(a_broker_that_was_unregistered_stops_without_a_word_of_the_controller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
