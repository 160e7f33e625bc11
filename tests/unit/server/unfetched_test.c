/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/unfetched_test.c: which partitions the log names as given to a member and fetched by nobody
 * (server/unfetched.c), with groups that are what a test says they are.
 */
#include "data_support.h"

#include "base/assert.h"
#include "fake_group.h"
#include "protocol/generated/api_keys.h"
#include "server/coordinator_internal.h"

#include <stdio.h>
#include <string.h>

#define OFFSETS_ID 8
#define LIMIT "barnabas.group.unfetched.log.ms=1000\n"
#define MANY 30

struct fixture {
    struct rig rig;
    int told, told_more;
    char last[512];
    struct request request;
    struct fake_call body;
    struct coordinator_call call;
};

static struct fixture fixture;

static void log_take(struct logger *self, enum log_level level, const char *module,
                     const char *event, const char *fields)
{
    UNUSED(self);
    UNUSED(level);
    UNUSED(module);
    fixture.told += strcmp(event, "unfetched") == 0;
    fixture.told_more += strcmp(event, "unfetched_more") == 0;
    if (strncmp(event, "unfetched", 9) == 0)
        snprintf(fixture.last, sizeof fixture.last, "%s", fields);
}

static void open_with(size_t shards, int32_t partitions)
{
    struct rig *rig = &fixture.rig;

    memset(&fixture, 0, sizeof fixture);
    fake_load_err = OK;
    fake_assigned_count = 0;
    rig_open(rig, shards, LIMIT);
    rig->logger.write = log_take;
    rig_coordinators_create(rig, &coordinator_kind_group);
    rig_topic(rig, "__consumer_offsets", OFFSETS_ID, 1);
    rig_topic(rig, "t", 1, partitions);
    rig_coordinators_publish(&fixture.rig);
    for (int32_t i = 0; i < partitions; i++)
        (void)rig_partition_open(rig, 1, i);
    rig_pass(rig, 500);
}

static int teardown(void **state)
{
    struct rig *rig = &fixture.rig;

    UNUSED(state);
    rig_coordinators_stop(rig);
    rig_coordinators_release(rig);
    rig_close(rig);
    return 0;
}

static void answered(struct coordinator_call *call)
{
    OKAY(call->err);
    coordinator_call_end(call);
}

/* Any call of a group's coordinator starts the clock. */
static void call(void)
{
    fixture.call = (struct coordinator_call){
        .kind = &coordinator_kind_group,
        .request = &fixture.request,
        .api_key = API_HEARTBEAT,
        .body = &fixture.body,
        .done = answered,
    };
    coordinator_call_submit(&fixture.rig.shards[0], &fixture.call);
}

static int64_t now_ms(void)
{
    return reactor_now_ms(fixture.rig.shards[0].reactor);
}

static void give(int32_t index)
{
    ASSERT(fake_assigned_count < FAKE_ASSIGNED_MAX);
    fake_assigned[fake_assigned_count++] = (struct group_assigned_view){.group_id = SLICE("g"),
                                                                        .member_id = SLICE("m"),
                                                                        .topic = SLICE("t"),
                                                                        .topic_id = rig_id(1),
                                                                        .partition = index,
                                                                        .since_ms = now_ms()};
}

/* Lines of the next looks. */
static int told_within(int64_t time_ms)
{
    fixture.told = fixture.told_more = 0;
    rig_pass(&fixture.rig, time_ms);
    return fixture.told;
}

/* As a consumer's fetch does: `a_consumers_fetch_leaves_its_time_and_offset_in_the_partition`. */
static void fetch(int32_t index, int64_t offset)
{
    struct partition *partition = rig_partition(&fixture.rig, 1, index);

    partition->fetched_ms = reactor_now_ms(partition->shard->reactor);
    partition->fetched_offset = offset;
}

static void what_nobody_fetches_is_told_at_every_look(void **state)
{
    UNUSED(state);
    open_with(2, 2);
    give(0);
    give(1);
    call();
    assert_int_equal(told_within(900), 0);
    assert_int_equal(told_within(600), 2);
    assert_non_null(strstr(fixture.last, "group=\"g\" member=\"m\" topic=t partition="));
    assert_non_null(strstr(fixture.last, "position=-1 high_watermark=0"));
    assert_int_equal(told_within(1000), 2);
    assert_int_equal(fixture.told_more, 0);
}

static void what_is_fetched_is_not_told_until_that_stops(void **state)
{
    UNUSED(state);
    open_with(2, 2);
    give(0);
    give(1);
    call();
    rig_pass(&fixture.rig, 900);
    fetch(0, 0);
    assert_int_equal(told_within(600), 1);
    assert_non_null(strstr(fixture.last, "partition=1 "));
    fetch(1, 0);
    (void)told_within(1000); /* 0 is silent for more than a second again, 1 is not */
    assert_int_equal(fixture.told, 1);
    assert_non_null(strstr(fixture.last, "partition=0 "));
    assert_non_null(strstr(fixture.last, "position=0 "));
}

static void what_was_given_just_now_is_not_told(void **state)
{
    UNUSED(state);
    open_with(1, 2);
    give(0);
    call();
    rig_pass(&fixture.rig, 700);
    give(1);
    assert_int_equal(told_within(600), 1);
    assert_non_null(strstr(fixture.last, "partition=0 "));
}

static void without_members_the_clock_stands_until_the_next_call(void **state)
{
    struct timer *timer;

    UNUSED(state);
    open_with(1, 1);
    timer = &fixture.rig.shards[0].coordinators->unfetched_timer;
    call();
    rig_pass(&fixture.rig, 100);
    assert_true(timer_is_set(timer));
    rig_pass(&fixture.rig, 1500);
    assert_false(timer_is_set(timer));
    give(0);
    assert_int_equal(told_within(3000), 0);
    call();
    assert_int_equal(told_within(1500), 1);
}

static void of_many_some_are_named_and_the_rest_is_counted(void **state)
{
    UNUSED(state);
    open_with(2, MANY);
    for (int32_t i = 0; i < MANY; i++)
        give(i);
    call();
    rig_pass(&fixture.rig, 900);
    assert_int_equal(told_within(600), 20);
    assert_int_equal(fixture.told_more, 1);
    assert_non_null(strstr(fixture.last, "not_told=10 not_looked_at=0"));
}

static void what_another_node_leads_is_not_judged(void **state)
{
    UNUSED(state);
    open_with(2, 2);
    rig_leader(&fixture.rig, 1, 1, 2);
    rig_coordinators_publish(&fixture.rig);
    rig_pass(&fixture.rig, 100);
    give(0);
    give(1);
    call();
    rig_pass(&fixture.rig, 900);
    assert_int_equal(told_within(600), 1);
    assert_non_null(strstr(fixture.last, "partition=0 "));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_nobody_fetches_is_told_at_every_look),
        TEST(what_is_fetched_is_not_told_until_that_stops),
        TEST(what_was_given_just_now_is_not_told),
        TEST(without_members_the_clock_stands_until_the_next_call),
        TEST(of_many_some_are_named_and_the_rest_is_counted),
        TEST(what_another_node_leads_is_not_judged),
    };

    return cmocka_run_group_tests_name("server/unfetched", tests, NULL, NULL);
}
