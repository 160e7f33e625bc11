/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/produce_turns_test.c: a whole node amid a Produce request that takes thousands of turns (PRODUCE_PARTS_A_TURN partitions each):
 * it stops, or the client goes away. On this machine the disk is as fast as a turn, so that nothing else takes as long.
 */
#include "sim_client.h"
#include "sim_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after the three above */
#include <cmocka.h>

#include "base/assert.h"
#include "network/network.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/produce_request.h"
#include "server/request_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define WAIT_NS (60 * SECOND_NS)

enum { PARTITIONS = 200000 };

struct lab {
    struct sim *sim;
    struct sim_node node;
    struct sim_client *client;
    struct arena arena;
    int64_t bytes_before, request_bytes;
};

static void lab_open(struct lab *lab, const char *properties)
{
    static const struct sim_latency quick = {1, 2, 0, 0};
    struct sim_options options;
    struct os *machine;

    *lab = (struct lab){0};
    sim_options_default(&options);
    options.disk_latency = options.sync_latency = options.job_latency = quick;
    options.turn_latency = (struct sim_latency){1000, 1000, 0, 0};
    options.loopback.latency = options.link.latency = quick;
    options.link.segment_bytes_max = 1 << 20;
    assert_int_equal(sim_create(5, &options, &lab->sim), OK);
    sim_node_init(&lab->node, lab->sim, "node", properties);
    assert_int_equal(sim_node_start(&lab->node, 600000), OK);
    assert_int_equal(sim_machine_create(lab->sim, "client", &machine), OK);
    lab->client = sim_client_new(lab->sim, machine);
    arena_init(&lab->arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(sim_client_connect(lab->client, "node", 9092, sim_now_ns(lab->sim) + WAIT_NS),
                     OK);
}

static void lab_close(struct lab *lab)
{
    assert_true(sim_node_stop(&lab->node, 600000)); /* and it is taken apart */
    sim_client_free(&lab->client);
    arena_release(&lab->arena);
    sim_node_release(&lab->node);
    sim_release(&lab->sim);
}

static int64_t bytes_received(const struct lab *lab)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < lab->node.node->shard_count; i++)
        bytes += network_counts(lab->node.node->shards[i].network)->bytes_received;
    return bytes;
}

static size_t requests_live(const struct lab *lab)
{
    size_t live = 0;

    for (size_t i = 0; i < lab->node.node->shard_count; i++)
        live += lab->node.node->shards[i].requests->live_count;
    return live;
}

static bool has_come(void *context)
{
    const struct lab *lab = context;

    return bytes_received(lab) - lab->bytes_before >= lab->request_bytes;
}

/* All of it has come, and its first turn is over. */
static void produce(struct lab *lab, int16_t acks)
{
    struct produce_request body;
    struct produce_request_topic_produce_data *topic =
        produce_request_topic_produce_data_array(&lab->arena, 1);
    size_t size_bytes;

    produce_request_init(&body);
    body.acks = acks;
    body.timeout_ms = 30000;
    body.topic_data = topic;
    body.topic_data_count = 1;
    topic->name = SLICE("not there");
    topic->partition_data = produce_request_partition_produce_data_array(&lab->arena, PARTITIONS);
    topic->partition_data_count = PARTITIONS;
    for (int32_t i = 0; i < PARTITIONS; i++)
        topic->partition_data[i].index = i;
    assert_int_equal(message_size(api_find(API_PRODUCE)->request, 9, &body, &size_bytes), OK);
    lab->request_bytes = (int64_t)size_bytes;
    lab->bytes_before = bytes_received(lab);
    assert_int_equal(
        sim_client_send(lab->client, API_PRODUCE, 9, &body, sim_now_ns(lab->sim) + WAIT_NS), OK);
    assert_true(sim_run_until(lab->sim, sim_now_ns(lab->sim) + WAIT_NS, has_come, lab));
    assert_true(requests_live(lab) > 0);
}

static void a_node_stops_although_a_request_has_thousands_of_turns_before_it(void **state)
{
    UNUSED(state);
    for (int shards = 1; shards <= 2; shards++) {
        struct lab lab;

        lab_open(&lab, shards == 1 ? NULL : "barnabas.shards=2\n");
        produce(&lab, shards == 1 ? -1 : 0);
        lab_close(&lab);
    }
}

static void a_client_that_goes_amid_a_request_of_thousands_of_turns_takes_nobody_along(void **state)
{
    struct lab lab;
    struct metadata_request body;
    void *answer;

    UNUSED(state);
    lab_open(&lab, NULL);
    produce(&lab, -1);
    sim_client_close(lab.client);
    assert_int_equal(sim_client_connect(lab.client, "node", 9092, sim_now_ns(lab.sim) + WAIT_NS),
                     OK);
    metadata_request_init(&body);
    assert_int_equal(sim_client_call(lab.client, API_METADATA, 9, &body, &lab.arena,
                                     sim_now_ns(lab.sim) + WAIT_NS, &answer),
                     OK);
    sim_client_close(lab.client);
    (void)sim_run_until(lab.sim, sim_now_ns(lab.sim) + SECOND_NS, NULL, NULL);
    assert_int_equal(requests_live(&lab), 0);
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_stops_although_a_request_has_thousands_of_turns_before_it),
        cmocka_unit_test(
            a_client_that_goes_amid_a_request_of_thousands_of_turns_takes_nobody_along),
    };

    return cmocka_run_group_tests_name("sim/produce_turns", tests, NULL, NULL);
}
