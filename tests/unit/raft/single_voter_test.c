/* SPDX-License-Identifier: Apache-2.0 */
/* A quorum of one: the ordinary path, without anybody to wait for. */
#include "bench.h"

static int setup(void **state)
{
    static struct bench bench;

    bench_init(&bench, 1);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    bench_release(*state);
    return 0;
}

static void static_voter_leads_within_its_first_step(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 1);
    assert_string_equal(bench->buffer, "persist epoch=1 leader=1 voted=-1 version=0\n"
                                       "voters kraft=0 1\n"
                                       "role Unattached epoch=0 leader=-1\n"
                                       "role Prospective epoch=0 leader=-1\n"
                                       "role Candidate epoch=1 leader=-1\n"
                                       "role Leader epoch=1 leader=1 start=0\n"
                                       "control at=0 epoch=1 leader=1 voters=1 granting=1\n"
                                       "hw 1\n");
    assert_int_equal(raft_deadline_ms(bench->raft), INT64_MAX);
}

static void nothing_is_told_before_the_vote_for_oneself_is_durable(void **state)
{
    struct bench *bench = *state;

    bench->hold_persist = true;
    bench_start_static(bench, 1);
    assert_string_equal(bench->buffer, "persist epoch=1 leader=1 voted=-1 version=0\n"
                                       "voters kraft=0 1\n");
    assert_string_equal(bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_PERSISTED,
                                                              .persisted.generation = 3}),
                        "role Unattached epoch=0 leader=-1\n"
                        "role Prospective epoch=0 leader=-1\n"
                        "role Candidate epoch=1 leader=-1\n"
                        "role Leader epoch=1 leader=1 start=0\n"
                        "control at=0 epoch=1 leader=1 voters=1 granting=1\n"
                        "hw 1\n");
}

static void standalone_voter_writes_its_set_into_the_log(void **state)
{
    struct bench *bench = *state;

    bench_start_dynamic(bench, 1);
    assert_string_equal(bench->buffer,
                        "persist epoch=1 leader=1 voted=-1 version=1\n"
                        "voters kraft=1 1\n"
                        "role Unattached epoch=0 leader=-1\n"
                        "role Prospective epoch=0 leader=-1\n"
                        "role Candidate epoch=1 leader=-1\n"
                        "role Leader epoch=1 leader=1 start=0\n"
                        "control at=0 epoch=1 leader=1 voters=1 granting=1 kraft=1 set=1\n"
                        "voters kraft=1 1\n"
                        "hw 3\n");
}

static void restarted_leader_takes_a_new_epoch(void **state)
{
    struct bench *bench = *state;
    struct raft_quorum_state stored = {.leader_id = 1, .leader_epoch = 4, .voted_id = -1};
    struct raft_offset_epoch epochs[] = {{0, 1}, {3, 4}};

    bench->options.static_voters = bench_voters(bench, true, 1, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored,
                                            .log_end_offset = 10,
                                            .epochs = epochs,
                                            .epoch_count = 2});
    assert_string_equal(bench->buffer, "persist epoch=5 leader=1 voted=-1 version=0\n"
                                       "voters kraft=0 1\n"
                                       "role Resigned epoch=4 leader=1\n"
                                       "role Prospective epoch=4 leader=1\n"
                                       "role Candidate epoch=5 leader=-1\n"
                                       "role Leader epoch=5 leader=1 start=10\n"
                                       "control at=10 epoch=5 leader=1 voters=1 granting=1\n"
                                       "hw 11\n");
}

static void only_flushed_records_are_committed(void **state)
{
    struct bench *bench = *state;
    struct raft_event flushed = {.kind = RAFT_EVENT_FLUSHED};

    bench_start_static(bench, 1);
    bench->hold_flush = true;
    assert_string_equal(bench_submit(bench, 3), "append at=1 epoch=1 token=7\n");
    assert_int_equal(bench->submit_base_offset, 1);
    assert_string_equal(bench_submit(bench, 2), "append at=4 epoch=1 token=7\n");
    flushed.kind = RAFT_EVENT_WRITTEN;
    flushed.log_end.end_offset = 6;
    assert_string_equal(bench_feed(bench, flushed), "");
    flushed.kind = RAFT_EVENT_FLUSHED;
    flushed.log_end.end_offset = 4;
    assert_string_equal(bench_feed(bench, flushed), "hw 4\n");
    flushed.log_end.end_offset = 6;
    assert_string_equal(bench_feed(bench, flushed), "hw 6\n");
}

static void submit_is_refused_when_too_large_or_of_another_epoch(void **state)
{
    struct bench *bench = *state;
    struct raft_event submit = {.kind = RAFT_EVENT_SUBMIT};

    bench_start_static(bench, 1);
    submit.submit.epoch = 1;
    submit.submit.record_count = 1;
    submit.submit.size_bytes = RAFT_BATCH_BYTES_MAX + 1;
    bench_feed(bench, submit);
    assert_int_equal(bench->err, ERR_TOO_LARGE);
    submit.submit.size_bytes = RAFT_BATCH_BYTES_MAX;
    submit.submit.epoch = 0;
    bench_feed(bench, submit);
    assert_int_equal(bench->err, ERR_NOT_CONTROLLER);
    submit.submit.epoch = 1;
    assert_string_equal(bench_feed(bench, submit), "append at=1 epoch=1 token=0\nhw 2\n");
}

static void resigned_single_voter_leads_again_after_its_election_timer(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 1);
    assert_string_equal(
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1}),
        "role Resigned epoch=1 leader=1\n");
    assert_string_equal(bench_pass(bench, 3000),
                        "persist epoch=3 leader=1 voted=-1 version=0\n"
                        "role Unattached epoch=2 leader=-1\n"
                        "role Prospective epoch=2 leader=-1\n"
                        "role Candidate epoch=3 leader=-1\n"
                        "role Leader epoch=3 leader=1 start=1\n"
                        "control at=1 epoch=3 leader=1 voters=1 granting=1\n"
                        "hw 2\n");
}

static void single_voter_stops_at_once(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 1);
    assert_string_equal(bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SHUTDOWN}),
                        "stopped\n");
    assert_int_equal(raft_deadline_ms(bench->raft), INT64_MAX);
}

static void log_that_is_ahead_of_quorum_state_sets_the_epoch(void **state)
{
    struct bench *bench = *state;
    struct raft_offset_epoch epochs[] = {{0, 7}};

    bench->options.static_voters = bench_voters(bench, true, 1, 0);
    bench_start(bench,
                &(struct raft_start){.log_end_offset = 5, .epochs = epochs, .epoch_count = 1});
    assert_string_equal(bench_role(bench), "Leader 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(static_voter_leads_within_its_first_step),
        TEST(nothing_is_told_before_the_vote_for_oneself_is_durable),
        TEST(standalone_voter_writes_its_set_into_the_log),
        TEST(restarted_leader_takes_a_new_epoch),
        TEST(only_flushed_records_are_committed),
        TEST(submit_is_refused_when_too_large_or_of_another_epoch),
        TEST(resigned_single_voter_leads_again_after_its_election_timer),
        TEST(single_voter_stops_at_once),
        TEST(log_that_is_ahead_of_quorum_state_sets_the_epoch),
    };

    BENCH_RUN(tests);
}
