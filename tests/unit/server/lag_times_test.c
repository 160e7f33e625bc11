/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/lag_times_test.c: when the oldest record was written that a group has not committed
 * (server/lag_times.c). The test is the HTTP thread; while it waits the simulated shards run.
 */
#include "data_support.h"

#include "base/assert.h"
#include "server/coordinator_internal.h"
#include "server/lag_times.h"

#include <string.h>

#define SHARDS 2
#define MANY 600 /* more than one page looks up */
#define SECOND_NS INT64_C(1000000000)

struct fixture {
    struct rig rig;
    struct os_port *port;
    struct lag_times *times;
    struct partition_sample log;
    struct group_offset_sample offsets[MANY];
    struct shard_sample shards[SHARDS];
    int64_t first_ms; /* of the first batch; each later one a second later */
};

static struct fixture fixture;

size_t __real_os_port_poll(struct os_port *port, int64_t deadline_ns);
size_t __wrap_os_port_poll(struct os_port *port, int64_t deadline_ns);

size_t __wrap_os_port_poll(struct os_port *port, int64_t deadline_ns)
{
    if (port != fixture.port)
        return __real_os_port_poll(port, deadline_ns);
    rig_pass(&fixture.rig, 1);
    return 0;
}

static void nothing(void *context)
{
    UNUSED(context);
}

static void produce(int count, int64_t timestamp)
{
    rig_produce(&fixture.rig, 0, &(struct rig_batch){.count = count, .timestamp = timestamp});
    fixture.log.high_watermark += count;
}

static int setup(void **state)
{
    struct rig *rig = &fixture.rig;

    UNUSED(state);
    memset(&fixture, 0, sizeof fixture);
    rig_open(rig, SHARDS, NULL);
    rig_coordinators_create(rig, &coordinator_kind_group);
    rig_topic(rig, "t", 1, 1);
    rig_publish(rig);
    (void)rig_partition_open(rig, 1, 0);
    OKAY(os_port_create(rig->os, &fixture.port));
    os_port_on_ready(fixture.port, nothing, NULL);
    fixture.times = lag_times_create(&rig->node, fixture.port);
    fixture.first_ms = os_wall_ms(rig->os);
    fixture.log = (struct partition_sample){
        .topic = SLICE("t"), .topic_id = rig_id(1), .is_open = true, .is_leader = true};
    for (size_t i = 0; i < MANY; i++)
        fixture.offsets[i] = (struct group_offset_sample){
            .group_id = SLICE("g"),
            .topic = SLICE("t"),
            .offset = (int64_t)i,
            .log = &fixture.log,
            .log_shard = (int32_t)shard_of_partition(&rig->node, rig_id(1), 0)};
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = &fixture.rig;

    UNUSED(state);
    lag_times_release(&fixture.times);
    rig_coordinators_stop(rig);
    rig_coordinators_release(rig);
    os_port_release(&fixture.port);
    rig_close(rig);
    return 0;
}

/* A page of these offsets; the number of those whose time it knows. */
static size_t page_within(size_t from, size_t count, int64_t time_ns)
{
    size_t known = 0;

    for (size_t i = 0; i < MANY; i++)
        fixture.offsets[i].oldest_ms = -1;
    fixture.shards[0].group_offsets = fixture.offsets + from;
    fixture.shards[0].group_offset_count = count;
    lag_times_fill(fixture.times, fixture.shards, SHARDS, os_now_ns(fixture.rig.os) + time_ns);
    for (size_t i = 0; i < count; i++)
        known += fixture.offsets[from + i].oldest_ms >= 0;
    return known;
}

static size_t page(size_t from, size_t count)
{
    return page_within(from, count, SECOND_NS);
}

static void the_time_is_that_of_the_batch_at_the_committed_offset(void **state)
{
    UNUSED(state);
    for (int i = 0; i < 3; i++)
        produce(2, fixture.first_ms + i * 1000);
    assert_int_equal(page(0, 8), 6); /* 6 and 7 are at the end: nothing is behind */
    for (int i = 0; i < 6; i++)
        assert_int_equal(fixture.offsets[i].oldest_ms, fixture.first_ms + i / 2 * 1000);
    assert_int_equal(fixture.offsets[6].oldest_ms, -1);
}

static void a_group_that_stands_still_is_looked_up_once(void **state)
{
    int64_t calls;

    UNUSED(state);
    produce(5, fixture.first_ms);
    assert_int_equal(page(3, 1), 1);
    calls = sim_machine_io_calls(fixture.rig.os);
    for (int i = 0; i < 5; i++)
        assert_int_equal(page_within(3, 1, 0), 1); /* without waiting */
    assert_int_equal(sim_machine_io_calls(fixture.rig.os), calls);
}

static void a_page_looks_up_so_many_and_the_next_one_goes_on(void **state)
{
    UNUSED(state);
    produce(MANY + 1, fixture.first_ms);
    assert_int_equal(page(0, MANY), LAG_LOOKUPS_MAX);
    assert_int_equal(page(0, MANY), MANY);
    assert_int_equal(page_within(0, MANY, 0), MANY);
}

static void what_is_on_no_page_is_forgotten(void **state)
{
    UNUSED(state);
    produce(MANY + 1, fixture.first_ms);
    assert_int_equal(page(7, 3), 3);
    assert_int_equal(page(0, 1), 1);
    assert_int_equal(page_within(7, 3, 0), 0);
    assert_int_equal(page(7, 3), 3);
}

static void an_answer_that_comes_late_is_dropped_and_asked_for_again(void **state)
{
    UNUSED(state);
    produce(5, fixture.first_ms);
    assert_int_equal(page_within(1, 1, 0), 0);
    assert_int_equal(page_within(1, 1, 0), 0);
    rig_pass(&fixture.rig, 100); /* they come, and nobody wants them */
    assert_int_equal(page(1, 1), 1);
}

static void what_is_not_led_here_or_not_committed_has_no_time(void **state)
{
    UNUSED(state);
    produce(5, fixture.first_ms);
    fixture.log.is_leader = false;
    assert_int_equal(page(0, 3), 0);
    fixture.log.is_leader = true;
    fixture.offsets[0].offset = -1;
    assert_int_equal(page(0, 3), 2);
    fixture.offsets[0].log = NULL;
    assert_int_equal(page(0, 3), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_time_is_that_of_the_batch_at_the_committed_offset),
        TEST(a_group_that_stands_still_is_looked_up_once),
        TEST(a_page_looks_up_so_many_and_the_next_one_goes_on),
        TEST(what_is_on_no_page_is_forgotten),
        TEST(an_answer_that_comes_late_is_dropped_and_asked_for_again),
        TEST(what_is_not_led_here_or_not_committed_has_no_time),
    };

    return cmocka_run_group_tests_name("server/lag_times", tests, NULL, NULL);
}
