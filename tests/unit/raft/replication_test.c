/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch on both sides, the epochs' beginnings and ends, the high watermark, check-quorum. */
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

/* Leader of epoch 1 among 1, 2, 3; its log: the leader change at 0. */
static void lead_three(struct bench *bench)
{
    bench_start_static(bench, 3);
    bench_lead(bench);
    assert_string_equal(bench_role(bench), "Leader 1");
}

static void fetch_errors_follow_the_table(void **state)
{
    static const struct {
        int32_t epoch;
        int64_t offset;
        int32_t last_epoch;
        int32_t wait_ms;
        enum err err;
    } rows[] = {
        {1, 0, 0, -1, ERR_INVALID_REQUEST},
        {1, -1, 0, 0, ERR_INVALID_REQUEST},
        {1, 0, -1, 0, ERR_INVALID_REQUEST},
        {1, 0, 2, 0, ERR_INVALID_REQUEST},
        {0, 0, 0, 0, ERR_FENCED_LEADER_EPOCH},
        {2, 0, 0, 0, ERR_UNKNOWN_LEADER_EPOCH},
        {1, 0, 0, 0, OK},
    };
    struct bench *bench = *state;

    lead_three(bench);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct raft_request fetch =
            bench_fetch(2, rows[i].epoch, rows[i].offset, rows[i].last_epoch);

        fetch.fetch.wait_ms_max = rows[i].wait_ms;
        bench_request(bench, fetch);
        assert_int_equal(bench->last_reply.error, rows[i].err);
        assert_int_equal(bench->last_reply.leader_id, 1);
        assert_int_equal(bench->last_reply.leader_endpoints.count, 1);
    }
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1});
    bench_request(bench, bench_fetch(2, 1, 0, 0));
    assert_int_equal(bench->last_reply.error, ERR_NOT_LEADER_OR_FOLLOWER);
}

static void high_watermark_needs_a_majority_past_the_epoch_start(void **state)
{
    struct bench *bench = *state;

    lead_three(bench);
    bench_submit(bench, 4);
    assert_string_equal(bench_request(bench, bench_fetch(2, 1, 0, 0)),
                        "reply Fetch NONE leader=1 epoch=1 hw=-1 read=0\n");
    assert_string_equal(bench_request(bench, bench_fetch(2, 1, 1, 1)),
                        "hw 1\nreply Fetch NONE leader=1 epoch=1 hw=1 read=1\n");
    assert_string_equal(bench_request(bench, bench_fetch(3, 1, 5, 1)), "hw 5\n");
    /* A late duplicate of an older fetch takes nothing back. */
    assert_string_equal(bench_request(bench, bench_fetch(3, 1, 1, 1)),
                        "reply Fetch NONE leader=1 epoch=1 hw=5 read=1\n");
}

static void leader_counts_itself_only_with_what_is_flushed(void **state)
{
    struct bench *bench = *state;
    struct raft_event event = {.kind = RAFT_EVENT_WRITTEN};

    lead_three(bench);
    bench->hold_flush = true;
    bench_submit(bench, 4);
    event.log_end.end_offset = 5;
    bench_feed(bench, event);
    assert_string_equal(bench_request(bench, bench_fetch(2, 1, 5, 1)), "hw 1\n");
    event.kind = RAFT_EVENT_FLUSHED;
    assert_string_equal(bench_feed(bench, event), "hw 5\n");
}

static void parked_fetch_is_answered_by_data_high_watermark_time_or_the_end(void **state)
{
    struct bench *bench = *state;
    struct raft_request fetch = bench_fetch(2, 1, 1, 1);

    lead_three(bench);
    bench_request(bench, fetch); /* hw 1 is no news to who asked without one */
    assert_string_equal(bench_submit(bench, 1), "append at=1 epoch=1 token=7\n"
                                                "reply Fetch NONE leader=1 epoch=1 hw=1 read=1\n");
    fetch.fetch.fetch_offset = 2;
    fetch.fetch.high_watermark = 2;
    bench_request(bench, fetch);
    assert_string_equal(bench_pass(bench, 499), "");
    assert_string_equal(bench_pass(bench, 1), "reply Fetch NONE leader=1 epoch=1 hw=2\n");
    bench_request(bench, fetch);
    assert_string_equal(
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1}),
        "reply Fetch NOT_LEADER_OR_FOLLOWER leader=1 epoch=1\n"
        "role Resigned epoch=1 leader=1\n"
        "send 2 EndQuorumEpoch epoch=1 preferred=2,3\n"
        "send 3 EndQuorumEpoch epoch=1 preferred=2,3\n");
}

static void known_high_watermark_is_answered_at_once(void **state)
{
    struct bench *bench = *state;
    struct raft_request fetch = bench_fetch(3, 1, 1, 1);

    lead_three(bench);
    bench_request(bench, bench_fetch(2, 1, 1, 1));
    fetch.fetch.high_watermark = 0;
    assert_string_equal(bench_request(bench, fetch), "reply Fetch NONE leader=1 epoch=1 hw=1\n");
}

static void log_that_split_off_is_told_where(void **state)
{
    static const struct {
        int64_t offset;
        int32_t last_epoch;
        int64_t diverging_offset;
        int32_t diverging_epoch;
    } rows[] = {
        {12, 4, 10, 4},                              /* longer in the same epoch */
        {10, 4, -1, -1},                             /* equal */
        {5, 3, 3, 2},                                /* an epoch that we never had */
        {3, 2, -1, -1},  {4, 2, 3, 2}, {2, 1, 2, 1}, /* our epoch 1 ended at 2: equal means valid */
    };
    struct bench *bench = *state;
    struct raft_offset_epoch epochs[] = {{0, 1}, {2, 2}, {3, 4}};
    struct raft_quorum_state stored = {.leader_id = -1, .leader_epoch = 4, .voted_id = -1};

    bench->options.static_voters = bench_voters(bench, true, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored,
                                            .log_end_offset = 10,
                                            .epochs = epochs,
                                            .epoch_count = 3});
    bench_lead(bench);
    assert_string_equal(bench_role(bench), "Leader 5");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bool valid = rows[i].diverging_epoch < 0 || (rows[i].diverging_offset == rows[i].offset &&
                                                     rows[i].diverging_epoch == rows[i].last_epoch);

        bench_request(bench, bench_fetch(2, 5, rows[i].offset, rows[i].last_epoch));
        if (valid) {
            assert_int_equal(bench->last_reply.fetch.diverging.epoch, -1);
            assert_int_equal(bench->last_reply.fetch.read_offset, rows[i].offset);
        } else {
            assert_int_equal(bench->last_reply.fetch.diverging.epoch, rows[i].diverging_epoch);
            assert_int_equal(bench->last_reply.fetch.diverging.offset, rows[i].diverging_offset);
        }
    }
}

static void leader_without_fetches_of_a_majority_resigns(void **state)
{
    struct bench *bench = *state;

    lead_three(bench);
    bench_pass(bench, 2900);
    bench_request(bench, bench_fetch(2, 1, 1, 1));
    bench_pass(bench, 500 + 2999); /* the fetch counted again when it was answered */
    assert_string_equal(bench_role(bench), "Leader 1");
    bench_pass(bench, 1);
    assert_string_equal(bench_role(bench), "Resigned 1");
}

static void fetch_without_id_is_served_and_not_tracked(void **state)
{
    struct bench *bench = *state;
    struct raft_request fetch = bench_fetch(2, 1, 1, 1);

    lead_three(bench);
    fetch.fetch.replica = (struct raft_replica_key){.id = -1};
    fetch.fetch.wait_ms_max = 0;
    assert_string_equal(bench_request(bench, fetch), "reply Fetch NONE leader=1 epoch=1 hw=-1\n");
}

static void follower_fetches_again_only_when_it_is_flushed(void **state)
{
    struct bench *bench = *state;
    struct raft_batch batches[] = {{0, 0, 3, -1, NULL}, {1, 4, 3, -1, NULL}};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_event flushed = {.kind = RAFT_EVENT_FLUSHED};

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3);
    bench->hold_flush = true;
    reply.fetch.batches = batches;
    reply.fetch.batch_count = 2;
    reply.fetch.high_watermark = 1;
    assert_string_equal(bench_reply(bench, reply), "fetched batches=2 from=0 to=5\nhw 0\n");
    flushed.log_end.end_offset = 5;
    assert_string_equal(bench_feed(bench, flushed), "hw 1\nsend 2 Fetch epoch=3 at=5/3 hw=1\n");
}

static void broker_fetches_again_when_it_has_written(void **state)
{
    struct bench *bench = *state;
    struct raft_batch batches[] = {{0, 0, 3, -1, NULL}};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_event written = {.kind = RAFT_EVENT_WRITTEN};

    bench->options.self = bench_key(9);
    bench->options.can_vote = false;
    bench_start_static(bench, 3);
    bench_wait(bench, "Unattached 0");
    bench_reply(bench, reply); /* learns the leader from whom it asked */
    bench->hold_flush = true;
    reply.fetch.batches = batches;
    reply.fetch.batch_count = 1;
    bench_reply(bench, reply);
    written.log_end.end_offset = 1;
    assert_string_equal(bench_feed(bench, written), "send 2 Fetch epoch=3 at=1/3 hw=-1\n");
}

static void batches_of_a_later_epoch_or_with_a_gap_are_left_out(void **state)
{
    static const struct {
        struct raft_batch second;
        size_t kept;
    } rows[] = {
        {{1, 1, 3, -1, NULL}, 2}, {{1, 1, 4, -1, NULL}, 1}, {{2, 2, 3, -1, NULL}, 1},
        {{1, 1, 2, -1, NULL}, 1}, {{1, 0, 3, -1, NULL}, 1},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_batch batches[] = {{0, 0, 3, -1, NULL}, rows[i].second};
        struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
        struct raft_status status;

        bench_init(&bench, 1);
        bench_start_static(&bench, 3);
        bench_follow(&bench, 2, 3);
        reply.fetch.batches = batches;
        reply.fetch.batch_count = 2;
        bench_reply(&bench, reply);
        raft_status(bench.raft, &status);
        assert_int_equal(status.log_end_offset, rows[i].kept);
        bench_release(&bench);
    }
}

static void diverging_follower_cuts_to_the_common_end_but_never_committed_records(void **state)
{
    struct bench *bench = *state;
    struct raft_batch batches[] = {{0, 4, 3, -1, NULL}};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3);
    reply.fetch.batches = batches;
    reply.fetch.batch_count = 1;
    reply.fetch.high_watermark = 3;
    bench_reply(bench, reply);
    bench_follow(bench, 3, 4);
    reply = bench_ok(RAFT_API_FETCH, 3, 4);
    reply.fetch.diverging = (struct raft_offset_epoch){4, 3};
    assert_string_equal(bench_reply(bench, reply),
                        "truncate to=4\nsend 3 Fetch epoch=4 at=4/3 hw=3\n");
    reply.fetch.diverging = (struct raft_offset_epoch){2, 3};
    /* Refused; the leader is left alone for a while and another node is asked. */
    assert_string_equal(bench_reply(bench, reply), "send 2 Fetch epoch=4 at=4/3 hw=3\n");
}

static void silent_leader_makes_a_follower_prospective(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3);
    bench_pass(bench, 1999);
    assert_string_equal(bench_role(bench), "Follower 3");
    bench_pass(bench, 1);
    assert_string_equal(bench_role(bench), "Prospective 3");
    /* Refused by both, it goes back to the leader that it knows. */
    for (int i = 0; i < 2; i++) {
        bench_reply(bench, bench_ok(RAFT_API_VOTE, 2, 3));
        bench->last_number--;
    }
    assert_string_equal(bench_role(bench), "Follower 3");
}

static void begin_and_end_of_an_epoch_are_checked(void **state)
{
    struct bench *bench = *state;
    struct raft_request begin = {.api = RAFT_API_BEGIN_QUORUM_EPOCH,
                                 .begin = {.voter.id = -1, .leader_id = 2, .leader_epoch = 5}};
    struct raft_request end = {.api = RAFT_API_END_QUORUM_EPOCH,
                               .end = {.leader_id = 2, .leader_epoch = 6}};

    bench_start_static(bench, 3);
    begin.begin.voter = bench_key(3);
    bench_request(bench, begin); /* not for us, yet the news holds */
    assert_int_equal(bench->last_reply.error, ERR_INVALID_VOTER_KEY);
    assert_string_equal(bench_role(bench), "Follower 5");
    begin.begin.voter.id = -1;
    begin.begin.leader_epoch = 4;
    bench_request(bench, begin);
    assert_int_equal(bench->last_reply.error, ERR_FENCED_LEADER_EPOCH);
    begin.begin.leader_epoch = 5;
    begin.begin.leader_id = -1;
    bench_request(bench, begin);
    assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    begin.begin.leader_id = 3; /* two leaders of one epoch cannot be */
    bench_request(bench, begin);
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    assert_string_equal(bench_role(bench), "Follower 5");
    bench_request(bench, end);
    assert_int_equal(bench->last_reply.error, OK);
    end.end.leader_epoch = 5;
    bench_request(bench, end);
    assert_int_equal(bench->last_reply.error, ERR_FENCED_LEADER_EPOCH);
}

static void place_in_the_list_of_successors_sets_the_wait(void **state)
{
    static const struct {
        int ids[4];
        size_t count;
        int64_t wait_ms;
    } rows[] = {
        {{0}, 0, 0}, {{1, 2, 3}, 3, 0}, {{2, 1, 3}, 3, 250}, {{2, 3, 1}, 3, 500}, {{2, 3}, 2, 1000},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_replica_key keys[4];
        struct raft_request end = {.api = RAFT_API_END_QUORUM_EPOCH,
                                   .end = {.leader_id = 2, .leader_epoch = 3, .preferred = keys}};

        bench_init(&bench, 1);
        bench_start_static(&bench, 3);
        bench_follow(&bench, 2, 3);
        for (size_t k = 0; k < rows[i].count; k++)
            keys[k] = bench_key(rows[i].ids[k]);
        end.end.preferred_count = rows[i].count;
        bench_request(&bench, end);
        if (rows[i].wait_ms > 0) {
            bench_pass(&bench, rows[i].wait_ms - 1);
            assert_string_equal(bench_role(&bench), "Follower 3");
            bench_pass(&bench, 1);
        }
        assert_string_equal(bench_role(&bench), "Prospective 3");
        bench_release(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(fetch_errors_follow_the_table),
        TEST(high_watermark_needs_a_majority_past_the_epoch_start),
        TEST(leader_counts_itself_only_with_what_is_flushed),
        TEST(parked_fetch_is_answered_by_data_high_watermark_time_or_the_end),
        TEST(known_high_watermark_is_answered_at_once),
        TEST(log_that_split_off_is_told_where),
        TEST(leader_without_fetches_of_a_majority_resigns),
        TEST(fetch_without_id_is_served_and_not_tracked),
        TEST(follower_fetches_again_only_when_it_is_flushed),
        TEST(broker_fetches_again_when_it_has_written),
        cmocka_unit_test(batches_of_a_later_epoch_or_with_a_gap_are_left_out),
        TEST(diverging_follower_cuts_to_the_common_end_but_never_committed_records),
        TEST(silent_leader_makes_a_follower_prospective),
        TEST(begin_and_end_of_an_epoch_are_checked),
        cmocka_unit_test(place_in_the_list_of_successors_sets_the_wait),
    };

    BENCH_RUN(tests);
}
