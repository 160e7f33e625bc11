/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell of the coordinators: who answers, admission, appends, commits, refusals; tasks and deadlines.
 */
#include "coordinator_bench.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"

static struct partition *partition(void)
{
    return rig_partition(&fixture.rig, TOPIC_ID, 0);
}

/* ---- who answers ---- */

static void a_call_without_a_topic_finds_no_coordinator(void **state)
{
    UNUSED(state);
    open_with(1, NULL, &coordinator_kind_group);
    publish();
    assert_int_equal(coordinator_index_of(&fixture.rig.shards[0], SLICE("g")), -1);
    expect(ask_and_wait(0, -1, (struct fake_call){0}), ERR_NOT_COORDINATOR);
}

static void a_call_while_the_log_is_opened_finds_a_load_in_progress(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_with(1, NULL, &coordinator_kind_group);
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID, PARTITIONS);
    publish();
    asked = ask(0, 0, (struct fake_call){0});
    rig_pass(&fixture.rig, 500);
    expect(asked, ERR_COORDINATOR_LOAD_IN_PROGRESS);
    expect(ASK(0), OK);
}

static void a_partition_that_the_topic_does_not_have_has_no_coordinator(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ask_and_wait(0, PARTITIONS, (struct fake_call){0}), ERR_NOT_COORDINATOR);
}

static void a_call_of_another_shard_is_answered_at_home(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++)
        for (int32_t index = 0; index < PARTITIONS; index++)
            expect(ask_and_wait(home, index, (struct fake_call){.records = 1, .value_bytes = 9}),
                   OK);
}

static void a_core_out_of_memory_is_loaded_anew(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 2, .value_bytes = 3), OK);
    expect(ASK(.fails = true), ERR_NOT_COORDINATOR);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 2);
}

/* ---- writes ---- */

static void a_write_is_replayed_at_its_offset_and_answered_when_committed(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_led(1, NULL);
    ASK(.records = 3, .value_bytes = 10);
    asked = ask(0, 0, (struct fake_call){.records = 2, .value_bytes = 10});
    assert_false(asked->is_answered);
    assert_int_equal(core()->last_offset, 4); /* replayed before it is written */
    rig_pass(&fixture.rig, 300);
    expect(asked, OK);
    assert_int_equal(core()->ended_ok, 2);
    assert_int_equal(core()->committed, 5);
    assert_int_equal(log_end_flushed(partition()->log), 5);
}

static void a_reply_that_needs_no_commit_comes_at_once(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_led(1, NULL);
    asked = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 1, .early = true});
    rig_pass(&fixture.rig, 0);
    rig_pass(&fixture.rig, 300);
    expect(asked, OK);
}

static void read_done(struct log_read *read)
{
    *(bool *)read->context = true;
}

static int64_t batches_in_log(void)
{
    bool is_read = false;
    struct log_read read = {.offset = 0,
                            .bound_offset = log_end_written(partition()->log),
                            .bytes_max = 1 * MIB,
                            .at_least_one = true,
                            .done = read_done,
                            .context = &is_read};
    uint8_t *buffer;
    struct slice rest, batch;
    int64_t count = 0;

    assert_true(log_read_plan(partition()->log, &read));
    buffer = arena_allocate(&fixture.rig.arena, read.size_bytes);
    log_read_bytes(&read, buffer);
    rig_pass(&fixture.rig, 50);
    assert_true(is_read);
    rest = slice_of(buffer, read.read_bytes);
    for (;;) {
        OKAY(batch_next(&rest, &batch));
        if (batch.size_bytes == 0)
            break;
        count++;
    }
    log_read_release(&read);
    return count;
}

static void the_writes_of_one_turn_are_one_batch(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    for (int i = 0; i < 5; i++)
        ask(0, 0, (struct fake_call){.records = 2, .value_bytes = 10});
    rig_pass(&fixture.rig, 300);
    assert_int_equal(log_end_written(partition()->log), 10);
    assert_int_equal(batches_in_log(), 1);
    assert_int_equal(core()->ended_ok, 5);
}

static void a_transactional_write_is_a_batch_of_its_own_and_its_producers(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    ask(0, 0,
        (struct fake_call){.records = 2, .value_bytes = 10, .producer_id = 7, .producer_epoch = 3});
    assert_int_equal(core()->last_offset, 2);
    assert_int_equal(core()->last_producer_id, 7);
    assert_int_equal(core()->last_producer_epoch, 3);
    assert_true(producer_state_has_open_transaction(log_producers(partition()->log), 7, 3));
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    assert_int_equal(core()->last_producer_id, -1);
    rig_pass(&fixture.rig, 300);
    assert_int_equal(batches_in_log(), 3);
    assert_int_equal(core()->ended_ok, 3);
    assert_int_equal(log_last_stable_offset(partition()->log), 1);
    for (size_t i = 0; i < fixture.asked_count; i++)
        expect(&fixture.asked[i], OK);
}

static void a_producer_that_the_log_has_fenced_is_refused_before_the_replay(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 1, .value_bytes = 10, .producer_id = 7, .producer_epoch = 3), OK);
    expect(ASK(.records = 1, .value_bytes = 10, .producer_id = 7, .producer_epoch = 2),
           ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(core()->replayed, 1);
    assert_int_equal(core()->last_bad, ERR_INVALID_PRODUCER_EPOCH);
    expect(ASK(.records = 1, .value_bytes = 10), OK);
    assert_int_equal(core()->last_offset, 1);
    assert_int_equal(batches_in_log(), 2);
}

static void a_transactional_write_that_was_to_be_verified_and_was_not_is_refused(void **state)
{
    struct asked *asked = &fixture.asked[0];

    UNUSED(state);
    open_led(1, NULL);
    fixture.asked_count = 1;
    asked->request.rig = &fixture.rig;
    asked->body =
        (struct fake_call){.records = 1, .value_bytes = 10, .producer_id = 7, .producer_epoch = 3};
    asked->call = (struct coordinator_call){
        .kind = &coordinator_kind_group,
        .request = &asked->request.request,
        .api_key = API_TXN_OFFSET_COMMIT,
        .body = &asked->body,
        .done = answered,
        .verification_guard = 5,
        .verification_required = true,
    };
    coordinator_call_submit(&fixture.rig.shards[0], &asked->call);
    rig_pass(&fixture.rig, 300);
    expect(asked, ERR_INVALID_TXN_STATE);
    assert_int_equal(log_end_queued(partition()->log), 0);
}

static void without_linger_each_write_is_a_batch(void **state)
{
    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=0\n");
    for (int i = 0; i < 5; i++)
        ask(0, 0, (struct fake_call){.records = 2, .value_bytes = 10});
    rig_pass(&fixture.rig, 300);
    assert_int_equal(batches_in_log(), 5);
}

static void a_linger_collects_writes_of_several_turns(void **state)
{
    struct asked *first;

    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=200\n");
    first = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    rig_pass(&fixture.rig, 50);
    assert_false(first->is_answered);
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    rig_pass(&fixture.rig, 400);
    expect(first, OK);
    assert_int_equal(batches_in_log(), 1);
}

static void a_full_batch_leaves_before_the_next_write(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    for (int i = 0; i < 4; i++)
        ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 1200});
    rig_pass(&fixture.rig, 300);
    assert_int_equal(batches_in_log(), 4);
    assert_int_equal(core()->ended_ok, 4);
}

static void a_write_larger_than_a_batch_is_refused_and_changes_nothing(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    expect(ASK(.records = 2, .value_bytes = 1200), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(core()->ended_bad, 1);
    assert_int_equal(core()->last_bad, ERR_RECORD_LIST_TOO_LARGE);
    assert_int_equal(core()->replayed, 0);
    assert_int_equal(log_end_queued(partition()->log), 0);
    expect(ASK(.records = 1, .value_bytes = 1200), OK);
}

static void a_large_write_that_fits_when_compressed_is_taken(void **state)
{
    UNUSED(state);
    open_led(1, "offsets.topic.compression.codec=1\n");
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    expect(ASK(.records = 2, .value_bytes = 12000), OK);
    assert_int_equal(core()->replayed, 2);
}

static void parked_replies_of_a_refused_write_fail_with_it(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    parked = ASK(.parks = true);
    assert_false(parked->is_answered);
    ASK(.records = 2, .value_bytes = 1200, .wakes = true);
    expect(parked, ERR_UNKNOWN_SERVER_ERROR);
}

static void parked_replies_come_with_the_commit_of_another_call(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(2, NULL);
    parked = ask_and_wait(1, 0, (struct fake_call){.parks = true});
    assert_false(parked->is_answered);
    expect(ASK(.records = 1, .value_bytes = 7, .wakes = true), OK);
    expect(parked, OK);
}

static void an_answer_about_uncommitted_state_waits_for_its_commit(void **state)
{
    struct asked *reading;

    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=200\n");
    expect(ASK(.stable = true), OK); /* nothing to wait for */
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    reading = ask(0, 0, (struct fake_call){.stable = true});
    rig_pass(&fixture.rig, 100);
    assert_false(reading->is_answered);
    rig_pass(&fixture.rig, 300);
    expect(reading, OK);
    assert_int_equal(core()->ended_ok, 1);
}

static void a_write_that_may_be_cut_leaves_in_as_many_batches_as_it_takes(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    expect(ASK(.records = 7, .value_bytes = 900, .divisible = true), OK);
    assert_int_equal(batches_in_log(), 4);
    assert_int_equal(core()->replayed, 7);
    assert_int_equal(core()->ended_ok, 1);
    expect(ASK(.records = 2, .value_bytes = 3000, .divisible = true), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(core()->replayed, 7);
}

/* ---- the rest ---- */

static void a_task_runs_aside_and_comes_back(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.with_task = true), OK);
}

static void a_coordinator_outlives_its_leadership_for_its_tasks(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_led(1, NULL);
    asked = ask(0, 0, (struct fake_call){.with_task = true});
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(asked, ERR_NOT_COORDINATOR);
    assert_int_equal(fake_live, PARTITIONS - 1);
}

static void a_deadline_of_the_core_is_kept(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(1, NULL);
    ASK(.records = 1, .value_bytes = 1);
    core()->deadline_ms = reactor_now_ms(fixture.rig.shards[0].reactor) + 1000;
    parked = ask(0, 0, (struct fake_call){.parks = true});
    rig_pass(&fixture.rig, 900);
    assert_int_equal(core()->ticks, 0);
    rig_pass(&fixture.rig, 300);
    assert_int_equal(core()->ticks, 1);
    expect(parked, OK);
}

static void a_requester_that_hung_up_is_forgotten(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++) {
        struct asked *parked = ask_and_wait(home, 0, (struct fake_call){.parks = true});

        assert_false(parked->is_answered);
        coordinator_call_cancel(&parked->call);
        rig_pass(&fixture.rig, 100);
        assert_true(parked->is_answered);
    }
    /* An answer that is on its way when its requester hangs up is not forgotten. */
    coordinator_call_cancel(&ask(1, 0, (struct fake_call){.records = 1, .value_bytes = 1})->call);
    rig_pass(&fixture.rig, 300);
}

static void news_of_metadata_reach_the_core(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    ASK(.records = 1, .value_bytes = 1);
    assert_int_equal(core()->images, 0);
    rig_topic(&fixture.rig, "news", 20, 1);
    publish();
    assert_int_equal(core()->images, 1);
}

static void a_write_without_progress_is_given_up_but_stays(void **state)
{
    struct asked *writing;

    UNUSED(state);
    open_led(1, "offsets.commit.timeout.ms=1000\ngroup.coordinator.append.linger.ms=3000\n");
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    rig_pass(&fixture.rig, 900);
    assert_false(writing->is_answered);
    rig_pass(&fixture.rig, 300);
    expect(writing, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(core()->ended_bad, 1);
    assert_int_equal(core()->last_bad, ERR_REQUEST_TIMED_OUT);
    rig_pass(&fixture.rig, 3000);
    assert_int_equal(core()->ended_ok, 0); /* a write ends once */
    assert_int_equal(core()->replayed, 1);
    assert_int_equal(core()->committed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_without_a_topic_finds_no_coordinator),
        TEST(a_call_while_the_log_is_opened_finds_a_load_in_progress),
        TEST(a_partition_that_the_topic_does_not_have_has_no_coordinator),
        TEST(a_call_of_another_shard_is_answered_at_home),
        TEST(a_core_out_of_memory_is_loaded_anew),
        TEST(a_write_is_replayed_at_its_offset_and_answered_when_committed),
        TEST(a_reply_that_needs_no_commit_comes_at_once),
        TEST(the_writes_of_one_turn_are_one_batch),
        TEST(a_transactional_write_is_a_batch_of_its_own_and_its_producers),
        TEST(a_producer_that_the_log_has_fenced_is_refused_before_the_replay),
        TEST(a_transactional_write_that_was_to_be_verified_and_was_not_is_refused),
        TEST(without_linger_each_write_is_a_batch),
        TEST(a_linger_collects_writes_of_several_turns),
        TEST(a_full_batch_leaves_before_the_next_write),
        TEST(a_write_larger_than_a_batch_is_refused_and_changes_nothing),
        TEST(a_large_write_that_fits_when_compressed_is_taken),
        TEST(parked_replies_of_a_refused_write_fail_with_it),
        TEST(parked_replies_come_with_the_commit_of_another_call),
        TEST(an_answer_about_uncommitted_state_waits_for_its_commit),
        TEST(a_write_that_may_be_cut_leaves_in_as_many_batches_as_it_takes),
        TEST(a_task_runs_aside_and_comes_back),
        TEST(a_coordinator_outlives_its_leadership_for_its_tasks),
        TEST(a_deadline_of_the_core_is_kept),
        TEST(a_requester_that_hung_up_is_forgotten),
        TEST(news_of_metadata_reach_the_core),
        TEST(a_write_without_progress_is_given_up_but_stays),
    };

    return cmocka_run_group_tests_name("server/coordinator", tests, NULL, NULL);
}
