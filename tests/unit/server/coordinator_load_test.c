/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell of the coordinators when a leadership begins and ends: loading, what waits then, unloading.
 */
#include "coordinator_bench.h"

static struct partition *partition(void)
{
    return rig_partition(&fixture.rig, TOPIC_ID, 0);
}

/* ---- loading ---- */

static void restart(void)
{
    struct rig *rig = &fixture.rig;

    stop();
    rig_coordinators_release(rig);
    rig_restart(rig, true);
    rig_coordinators_create(rig, &coordinator_kind_group);
    fixture.is_stopped = false;
    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_apply(rig->shards[i].coordinators, NULL, rig->shards[i].publication);
    rig_pass(rig, 2000);
}

static void the_state_comes_back_from_the_log(void **state)
{
    UNUSED(state);
    open_led(1, "offsets.load.buffer.size=1000\n");
    for (int i = 0; i < 40; i++)
        expect(ASK(.records = 50, .value_bytes = 40), OK);
    restart();
    assert_int_equal(core()->loaded_replayed, 2000);
    assert_int_equal(core()->first_offset, 0);
    assert_int_equal(core()->last_offset, 1999);
    expect(ASK(.records = 1, .value_bytes = 1), OK);
    assert_int_equal(core()->last_offset, 2000);
}

/* Else every value that the log has would be kept until its end. */
static void the_core_knows_what_is_committed_before_it_is_loaded(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 50, .value_bytes = 40), OK);
    restart();
    assert_int_equal(core()->loaded_replayed, 50);
    assert_int_equal(core()->committed_first, 50);
}

static void an_answer_that_rests_on_a_loaded_tail_waits_until_it_is_committed(void **state)
{
    struct asked *writing, *stable;

    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 1, .value_bytes = 1), OK);
    rig_replicas(&fixture.rig, TOPIC_ID, 0, RIG_NODE, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    writing = ASK(.records = 1, .value_bytes = 1); /* node 7 never fetches it */
    assert_false(writing->is_answered);
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(writing, ERR_NOT_COORDINATOR);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE);
    publish();
    rig_pass(&fixture.rig, 500);
    stable = ASK(.stable = true);
    assert_int_equal(core()->loaded_replayed, 2);
    assert_int_equal(core()->committed, 1);
    assert_false(stable->is_answered);
    expect(ASK(0), OK); /* nothing that it tells of is at stake */
    rig_pass(&fixture.rig, 5000);
    expect(stable, ERR_COORDINATOR_NOT_AVAILABLE);
    stable = ASK(.stable = true); /* the tail is as it was */
    assert_false(stable->is_answered);
    rig_replicas(&fixture.rig, TOPIC_ID, 0, RIG_NODE, -1);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(stable, OK);
}

static void a_compressed_log_is_loaded(void **state)
{
    UNUSED(state);
    open_led(1, "offsets.topic.compression.codec=4\n");
    for (int i = 0; i < 4; i++)
        expect(ASK(.records = 700, .value_bytes = 40), OK);
    restart();
    assert_int_equal(core()->loaded_replayed, 2800);
}

static void a_log_that_cannot_be_replayed_fails_until_the_next_epoch(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 3, .value_bytes = 1), OK);
    fake_load_err = ERR_UNSUPPORTED_VERSION;
    restart();
    expect(ASK(0), ERR_NOT_COORDINATOR);
    expect(ask_and_wait(0, 1, (struct fake_call){0}), OK); /* the other partition is well */
    fake_load_err = OK;
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), ERR_NOT_COORDINATOR);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE); /* a new epoch */
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 3);
}

/* ---- the end of a leadership ---- */

static void a_deposed_coordinator_tells_all_that_wait(void **state)
{
    struct asked *parked;
    struct asked *writing;

    UNUSED(state);
    open_led(2, NULL);
    parked = ask_and_wait(1, 0, (struct fake_call){.parks = true});
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(parked, ERR_NOT_COORDINATOR);
    expect(writing, ERR_NOT_COORDINATOR);
    expect(ASK(0), ERR_NOT_COORDINATOR);
    assert_int_equal(fake_live, PARTITIONS - 1);
}

static void a_leader_again_loads_what_it_wrote(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 5, .value_bytes = 5), OK);
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE);
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 5);
}

/* What the core was loaded with after the epoch rose and the leader stayed. */
static int64_t loaded_with_the_next_epoch(const struct coordinator_kind *kind)
{
    open_led_by(1, NULL, kind);
    expect(ASK(.records = 3, .value_bytes = 1), OK);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE);
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), OK);
    return core()->loaded_replayed;
}

static void a_core_that_is_not_of_an_epoch_goes_on_when_the_epoch_rises(void **state)
{
    UNUSED(state);
    assert_int_equal(loaded_with_the_next_epoch(&coordinator_kind_group), 0);
}

static void a_core_of_an_epoch_is_loaded_anew_when_the_epoch_rises(void **state)
{
    static struct coordinator_kind kind;

    UNUSED(state);
    kind = coordinator_kind_group;
    kind.reloads_on_epoch = true;
    assert_int_equal(loaded_with_the_next_epoch(&kind), 3);
}

static void a_deleted_topic_takes_its_coordinators_away(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(1, NULL);
    parked = ASK(.parks = true);
    rig_topic_remove(&fixture.rig, TOPIC_ID);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(parked, ERR_NOT_COORDINATOR);
    assert_int_equal(fake_live, 0);
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID + 2, PARTITIONS);
    publish();
    rig_pass(&fixture.rig, 1000);
    expect(ASK(0), OK);
}

static void a_foreign_append_makes_it_load_anew(void **state)
{
    struct rig_batch batch = {.count = 3, .value_bytes = 4};
    struct slice bytes;
    struct log_append append;
    struct asked *writing;

    UNUSED(state);
    open_led(1, NULL);
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    bytes = rig_batch(&fixture.rig, &batch);
    append = (struct log_append){.data = (uint8_t *)(uintptr_t)bytes.data,
                                 .size_bytes = bytes.size_bytes,
                                 .origin = APPEND_ORIGIN_CLIENT};
    OKAY(log_append(partition()->log, &append, NULL)); /* before the open batch leaves */
    rig_pass(&fixture.rig, 500);
    expect(writing, ERR_NOT_COORDINATOR);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 4);
}

static void a_stopped_node_has_no_coordinator(void **state)
{
    struct asked *parked;
    struct asked *writing;

    UNUSED(state);
    open_led(2, NULL);
    parked = ask_and_wait(1, 0, (struct fake_call){.parks = true});
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    stop();
    expect(parked, ERR_COORDINATOR_NOT_AVAILABLE);
    expect(writing, ERR_COORDINATOR_NOT_AVAILABLE);
    expect(ASK(0), ERR_COORDINATOR_NOT_AVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_state_comes_back_from_the_log),
        TEST(the_core_knows_what_is_committed_before_it_is_loaded),
        TEST(an_answer_that_rests_on_a_loaded_tail_waits_until_it_is_committed),
        TEST(a_compressed_log_is_loaded),
        TEST(a_log_that_cannot_be_replayed_fails_until_the_next_epoch),
        TEST(a_deposed_coordinator_tells_all_that_wait),
        TEST(a_leader_again_loads_what_it_wrote),
        TEST(a_core_that_is_not_of_an_epoch_goes_on_when_the_epoch_rises),
        TEST(a_core_of_an_epoch_is_loaded_anew_when_the_epoch_rises),
        TEST(a_deleted_topic_takes_its_coordinators_away),
        TEST(a_foreign_append_makes_it_load_anew),
        TEST(a_stopped_node_has_no_coordinator),
    };

    return cmocka_run_group_tests_name("server/coordinator_load", tests, NULL, NULL);
}
