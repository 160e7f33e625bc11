/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A follower and what it hears of its leader: answers to fetches that a log can and cannot follow, what it
 * tells of itself, and how it joins.
 */
#include "bench.h"

#include <string.h>

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

static struct raft_reply failed(enum raft_api api, int leader, int32_t epoch, enum err error)
{
    struct raft_reply reply = bench_ok(api, leader, epoch);

    reply.error = error;
    return reply;
}

/* ---- answers to fetches ---- */

static void log_is_cut_only_where_that_is_possible(void **state)
{
    static const struct {
        int64_t log_start;
        int64_t committed;
        struct raft_offset_epoch diverging;
        int64_t end; /* of the log, then */
    } rows[] = {
        {0, 3, {9, 3}, 5}, /* nothing to cut */
        {0, 3, {4, 3}, 4},
        {0, 3, {5, 2}, 5},  /* all of epoch 3 would go: below what is committed */
        {0, -1, {5, 2}, 2}, /* …where nothing is */
        {3, -1, {1, 0}, 5}, /* before the start of the log */
        {0, -1, {1, 0}, 1},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_offset_epoch epochs[] = {{0, 1}, {2, 3}};
        struct raft_quorum_state stored = {.leader_id = 2, .leader_epoch = 5, .voted_id = -1};
        struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 5);
        struct raft_status status;

        (void)state;
        bench_init(&bench, 1);
        bench.options.static_voters = bench_voters(&bench, 1, 1, 2, 3, 0);
        bench_start(&bench, &(struct raft_start){.quorum_state = &stored,
                                                 .log_start_offset = rows[i].log_start,
                                                 .log_end_offset = 5,
                                                 .epochs = epochs,
                                                 .epoch_count = 2});
        reply.fetch.high_watermark = rows[i].committed;
        bench_reply(&bench, reply);
        reply = bench_ok(RAFT_API_FETCH, 2, 5);
        reply.fetch.diverging = rows[i].diverging;
        bench_reply(&bench, reply);
        raft_status(bench.raft, &status);
        assert_int_equal(status.log_end_offset, rows[i].end);
        bench_release(&bench);
    }
}

static void batch_that_ends_at_the_last_offset_there_is_is_left_out(void **state)
{
    struct bench *bench = *state;
    struct raft_batch batches[] = {{0, 0, 3, -1, NULL}, {1, INT64_MAX, 3, -1, NULL}};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3);
    reply.fetch.batches = batches;
    reply.fetch.batch_count = 2;
    assert_non_null(strstr(bench_reply(bench, reply), "fetched batches=1 from=0 to=1\n"));
}

static void voters_are_told_once_whichever_batches_bring_them(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        struct bench bench;
        struct raft_voters set;
        struct raft_batch batches[] = {{0, 0, 3, (int16_t)(kind & 1 ? 1 : -1), NULL},
                                       {1, 1, 3, -1, NULL}};
        struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
        const char *lines;

        (void)state;
        bench_init(&bench, 1);
        bench_start_dynamic(&bench, 3);
        bench_follow(&bench, 2, 3);
        set = (struct raft_voters){bench.voters, 2};
        if (kind & 2)
            batches[0].voters = &set;
        reply.fetch.batches = batches;
        reply.fetch.batch_count = 2;
        lines = strstr(bench_reply(&bench, reply), "voters kraft=1 ");
        assert_int_equal(lines != NULL, kind != 0);
        assert_true(!lines || !strstr(lines + 1, "voters kraft=1 "));
        bench_release(&bench);
    }
}

static void answer_that_comes_while_a_vote_is_not_durable_is_dropped(void **state)
{
    struct bench *bench = *state;
    struct raft_batch batch = {0, 0, 3, -1, NULL};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_status status;

    bench_start_static(bench, 3); /* unattached: it asks around */
    bench->hold_persist = true;
    reply.fetch.batches = &batch;
    reply.fetch.batch_count = 1;
    bench_reply(bench, reply);
    raft_status(bench->raft, &status);
    assert_int_equal(status.role, RAFT_FOLLOWER);
    assert_int_equal(status.log_end_offset, 0);
}

/* ---- telling the leader, joining ---- */

static void voter_tells_its_entry_when_the_one_in_the_log_is_not_its_own(void **state)
{
    struct raft_endpoint other[] = {{SLICE("CONTROLLER"), SLICE("n1"), 9092},
                                    {SLICE("SECOND"), SLICE("n1"), 9093}};
    const struct {
        int directory;
        int16_t min, max;
        struct raft_endpoints endpoints; /* count 0: as they are */
        bool tells;
    } rows[] = {
        {1, 0, 1, {NULL, 0}, false},
        {0, 0, 1, {NULL, 0}, true}, /* its directory was not known */
        {1, 1, 1, {NULL, 0}, true},
        {1, 0, 2, {NULL, 0}, true},
        {1, 0, 1, {other, 2}, true},     /* one more */
        {1, 0, 1, {other, 1}, true},     /* another port */
        {1, 0, 1, {other + 1, 1}, true}, /* another listener */
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_voters voters;
        struct raft_voters_at at = {-1, {NULL, 0}};
        struct raft_kraft_version_at version = {-1, 1};

        (void)state;
        bench_init(&bench, 1);
        voters = bench_voters(&bench, 0, 1, 2, 3, 0);
        bench.voters[0].key.directory_id =
            rows[i].directory ? bench_directory(rows[i].directory) : UUID_ZERO;
        bench.voters[0].kraft_version_min = rows[i].min;
        bench.voters[0].kraft_version_max = rows[i].max;
        if (rows[i].endpoints.count > 0)
            bench.voters[0].endpoints = rows[i].endpoints;
        at.voters = voters;
        bench_start(&bench, &(struct raft_start){.voters = &at,
                                                 .voters_count = 1,
                                                 .kraft_versions = &version,
                                                 .kraft_version_count = 1});
        bench_follow(&bench, 2, 3);
        bench_pass(&bench, 1000);
        bench_reply(&bench, bench_ok(RAFT_API_FETCH, 2, 3));
        bench_pass(&bench, 1000);
        bench_reply(&bench, bench_ok(RAFT_API_FETCH, 2, 3));
        assert_int_equal(strstr(bench.buffer, "send 2 UpdateRaftVoter 1 epoch=3\n") != NULL,
                         rows[i].tells);
        bench_release(&bench);
    }
}

static void host_of_the_entry_counts_too(void **state)
{
    struct bench *bench = *state;
    struct raft_voters voters = bench_voters(bench, 0, 1, 0);
    struct raft_voters_at at = {5, voters};
    struct raft_kraft_version_at version = {4, 1};
    struct raft_offset_epoch epochs = {0, 1};
    struct raft_quorum_state stored = {.leader_id = -1, .leader_epoch = 1, .voted_id = -1};

    bench->endpoints[0].host = SLICE("moved");
    /* The leader itself writes a set anew in which its own entry is outdated. */
    bench_start(bench, &(struct raft_start){.quorum_state = &stored,
                                            .log_end_offset = 6,
                                            .epochs = &epochs,
                                            .epoch_count = 1,
                                            .voters = &at,
                                            .voters_count = 1,
                                            .kraft_versions = &version,
                                            .kraft_version_count = 1});
    assert_non_null(strstr(bench->buffer, "control at=6 epoch=2 leader=1 voters=1 granting=1 "
                                          "kraft=1 set=1\n"));
}

/* A voter of a configured set that is due to tell. */
static void due_to_tell(struct bench *bench)
{
    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3);
    for (int i = 0; i < 2; i++) {
        bench_pass(bench, 1000);
        bench_reply(bench, bench_ok(RAFT_API_FETCH, 2, 3));
    }
    assert_non_null(strstr(bench->buffer, "send 2 UpdateRaftVoter 1 epoch=3\n"));
}

static void leader_that_keeps_no_entries_is_told_once(void **state)
{
    struct bench *bench = *state;

    due_to_tell(bench);
    assert_non_null(strstr(bench_send_failed(bench, true), "send 2 Fetch epoch=3"));
}

static void entry_that_the_leader_did_not_take_is_told_again(void **state)
{
    static const struct {
        bool reaches;
        enum err error;
    } rows[] = {{false, OK}, {true, ERR_UNKNOWN_SERVER_ERROR}, {true, ERR_INVALID_REQUEST}};

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;

        (void)state;
        bench_init(&bench, 1);
        due_to_tell(&bench);
        if (rows[i].reaches)
            bench_reply(&bench, failed(RAFT_API_UPDATE_VOTER, 2, 3, rows[i].error));
        else
            bench_send_failed(&bench, false);
        for (int k = 0; k < 4; k++) {
            bench_pass(&bench, 500);
            bench_reply(&bench, bench_ok(RAFT_API_FETCH, 2, 3));
        }
        bench_pass(&bench, 500);
        assert_string_equal(bench_role(&bench), "Follower 3");
        bench_release(&bench);
    }
}

static void observer_joins_only_when_it_may_and_can(void **state)
{
    static const struct {
        bool auto_join, can_vote, dynamic;
        int directory; /* of node 4 in the set; 0: not in it */
        const char *sends;
    } rows[] = {
        {true, true, true, 0, "send 2 AddRaftVoter 4\n"},
        {true, true, true, 9, "send 2 RemoveRaftVoter 4\n"}, /* its disk was replaced */
        {false, true, true, 0, NULL},
        {true, false, true, 0, NULL},
        {true, true, false, 0, NULL},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_voters_at at = {-1, {NULL, 0}};
        struct raft_kraft_version_at version = {-1, 1};

        (void)state;
        bench_init(&bench, 4);
        bench.options.auto_join = rows[i].auto_join;
        bench.options.can_vote = rows[i].can_vote;
        at.voters = bench_voters(&bench, 0, 1, 2, 3, 4, 0);
        at.voters.count = rows[i].directory ? 4 : 3;
        bench.voters[3].key.directory_id = bench_directory(rows[i].directory);
        if (rows[i].dynamic)
            bench_start(&bench, &(struct raft_start){.voters = &at,
                                                     .voters_count = 1,
                                                     .kraft_versions = &version,
                                                     .kraft_version_count = 1});
        else
            bench_start_static(&bench, 3);
        bench_follow(&bench, 2, 3);
        bench_reply(&bench, bench_ok(RAFT_API_FETCH, 2, 3));
        bench_pass(&bench, 2000);
        if (rows[i].sends)
            assert_non_null(strstr(bench.buffer, rows[i].sends));
        else
            assert_null(strstr(bench.buffer, "Voter"));
        bench_release(&bench);
    }
}

static void answer_to_a_join_makes_wait_unless_it_is_done(void **state)
{
    static const struct {
        int directory; /* in the set already, with this one; 0: not */
        bool reaches;
        enum err error;
        bool waits; /* for the whole period; else only the back-off */
    } rows[] = {
        {0, true, OK, true},
        {0, true, ERR_REQUEST_TIMED_OUT, true},
        {0, true, ERR_DUPLICATE_VOTER, true},
        {0, true, ERR_VOTER_NOT_FOUND, false},
        {9, true, ERR_VOTER_NOT_FOUND, true},
        {0, false, OK, false},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_voters_at at = {-1, {NULL, 0}};
        struct raft_kraft_version_at version = {-1, 1};
        struct raft_reply reply = {.leader_id = 2, .leader_epoch = 3, .error = rows[i].error};

        (void)state;
        bench_init(&bench, 4);
        bench.options.auto_join = true;
        at.voters = bench_voters(&bench, 0, 1, 2, 3, 4, 0);
        at.voters.count = rows[i].directory ? 4 : 3;
        bench.voters[3].key.directory_id = bench_directory(9);
        bench_start(&bench, &(struct raft_start){.voters = &at,
                                                 .voters_count = 1,
                                                 .kraft_versions = &version,
                                                 .kraft_version_count = 1});
        bench_follow(&bench, 2, 3);
        bench_reply(&bench, bench_ok(RAFT_API_FETCH, 2, 3));
        bench_pass(&bench, 2000);
        assert_non_null(strstr(bench.buffer, "RaftVoter 4\n"));
        if (rows[i].reaches)
            bench_reply(&bench, reply);
        else
            bench_send_failed(&bench, false);
        assert_int_equal(strstr(bench.buffer, "send 2 Fetch") != NULL, rows[i].waits);
        bench_release(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(log_is_cut_only_where_that_is_possible),
        TEST(batch_that_ends_at_the_last_offset_there_is_is_left_out),
        cmocka_unit_test(voters_are_told_once_whichever_batches_bring_them),
        TEST(answer_that_comes_while_a_vote_is_not_durable_is_dropped),
        cmocka_unit_test(voter_tells_its_entry_when_the_one_in_the_log_is_not_its_own),
        TEST(host_of_the_entry_counts_too),
        TEST(leader_that_keeps_no_entries_is_told_once),
        cmocka_unit_test(entry_that_the_leader_did_not_take_is_told_again),
        cmocka_unit_test(observer_joins_only_when_it_may_and_can),
        cmocka_unit_test(answer_to_a_join_makes_wait_unless_it_is_done),
    };

    BENCH_RUN(tests);
}
