/* SPDX-License-Identifier: Apache-2.0 */
/* How a replica wakes up from what it had stored, how it stops, and the ends of the ranges: timeouts of
 * nothing and of for ever, the last epoch there is. */
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

static const char *shut_down(struct bench *bench)
{
    return bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SHUTDOWN});
}

/* ---- starting ---- */

static void stored_state_decides_the_role(void **state)
{
    static const struct {
        int self;
        int voters; /* 1…voters are configured */
        int32_t leader, voted;
        int voted_directory;
        const char *role;
    } rows[] = {
        {1, 3, -1, -1, 0, "Unattached 5"}, {1, 3, 2, -1, 0, "Follower 5"},
        {1, 3, 9, -1, 0, "Unattached 5"}, /* a leader that nobody knows where to find */
        {1, 3, 1, -1, 0, "Resigned 5"},    {1, 3, -1, 1, 1, "Candidate 5"},
        {1, 3, -1, 1, 7, "Unattached 5"}, /* the vote was for our id on another disk */
        {4, 3, -1, 4, 4, "Unattached 5"}, /* a vote for itself by what is no voter any more */
        {1, 1, -1, 1, 1, "Leader 5"},     /* alone: the vote for itself was enough */
        {1, 1, 1, -1, 0, "Leader 6"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_quorum_state stored = {
            .leader_id = rows[i].leader, .leader_epoch = 5, .voted_id = rows[i].voted};

        (void)state;
        bench_init(&bench, rows[i].self);
        if (rows[i].voted_directory)
            stored.voted_directory_id = bench_directory(rows[i].voted_directory);
        bench.options.static_voters = bench_voters(&bench, 1, 1, 2, 3, 0);
        bench.options.static_voters.count = (size_t)rows[i].voters;
        bench_start(&bench, &(struct raft_start){.quorum_state = &stored});
        assert_string_equal(bench_role(&bench), rows[i].role);
        bench_release(&bench);
    }
}

static void leader_without_endpoints_is_not_followed(void **state)
{
    struct bench *bench = *state;
    struct raft_quorum_state stored = {.leader_id = 2, .leader_epoch = 5, .voted_id = -1};

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 3, 0);
    bench->voters[1].endpoints.count = 0;
    bench_start(bench, &(struct raft_start){.quorum_state = &stored});
    assert_string_equal(bench_role(bench), "Unattached 5");
    /* Nor asked: only the others are. */
    assert_string_equal(bench_wait(bench, "Prospective 5"), "role Prospective epoch=5 leader=2\n"
                                                            "send 3 Vote pre epoch=5 end=0/0\n");
    /* Refused: it is unattached again and still knows who leads. */
    bench_pass(bench, 2000);
    assert_non_null(strstr(bench->buffer, "role Unattached epoch=5 leader=2\n"));
}

static void voters_come_in_any_order(void **state)
{
    struct bench *bench = *state;
    struct raft_status status;

    bench->options.static_voters = bench_voters(bench, 1, 3, 1, 2, 0);
    bench_start(bench, &(struct raft_start){0});
    raft_status(bench->raft, &status);
    for (int i = 0; i < 3; i++)
        assert_int_equal(status.voters.items[i].key.id, i + 1);
}

static void
voter_is_reached_by_its_first_endpoint_when_the_default_listener_is_not_there(void **state)
{
    struct bench *bench = *state;

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 0);
    bench->endpoints[1].listener = SLICE("OTHER");
    bench_start(bench, &(struct raft_start){0});
    assert_non_null(strstr(bench_wait(bench, "Prospective 0"), "send 2 Vote pre"));
}

static void replica_that_was_never_made_is_released_in_vain(void **state)
{
    struct raft *raft = NULL;

    (void)state;
    raft_release(&raft);
    assert_null(raft);
}

/* ---- stopping ---- */

static void single_voter_that_has_stopped_takes_nothing_any_more(void **state)
{
    struct bench *bench = *state;
    struct raft_status status;

    bench_start_static(bench, 1);
    assert_string_equal(shut_down(bench), "stopped\n");
    assert_string_equal(shut_down(bench), "");
    bench_submit(bench, 1);
    assert_int_equal(bench->err, ERR_NOT_CONTROLLER);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1});
    bench_submit(bench, 1);
    assert_int_equal(bench->err, ERR_NOT_CONTROLLER);
    bench_request(bench, bench_fetch(5, 1, 1, 1));
    assert_int_equal(bench->last_reply.error, ERR_BROKER_NOT_AVAILABLE);
    raft_status(bench->raft, &status);
    assert_int_equal(status.role, RAFT_LEADER);
}

static void leader_that_stops_resigns_and_waits_for_another(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_lead(bench);
    assert_string_equal(shut_down(bench), "role Resigned epoch=1 leader=1\n"
                                          "send 2 EndQuorumEpoch epoch=1 preferred=2,3\n"
                                          "send 3 EndQuorumEpoch epoch=1 preferred=2,3\n");
    bench_request(
        bench, (struct raft_request){.api = RAFT_API_BEGIN_QUORUM_EPOCH,
                                     .begin = {.voter.id = -1, .leader_id = 3, .leader_epoch = 2}});
    assert_non_null(strstr(bench->buffer, "stopped\n"));
}

static void leader_that_stops_waits_no_longer_than_five_seconds(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_lead(bench);
    shut_down(bench);
    assert_null(strstr(bench_pass(bench, 4999), "stopped\n"));
    assert_string_equal(bench_role(bench), "Resigned 1"); /* it does not stand again */
    assert_non_null(strstr(bench_pass(bench, 1), "stopped\n"));
}

static void nominee_that_stops_goes_on_asking_until_another_leads(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_wait(bench, "Prospective 0");
    assert_string_equal(shut_down(bench), "");
    bench_pass(bench, 4000);
    assert_string_equal(bench_role(bench), "Prospective 0");
    bench_request(
        bench, (struct raft_request){.api = RAFT_API_BEGIN_QUORUM_EPOCH,
                                     .begin = {.voter.id = -1, .leader_id = 3, .leader_epoch = 2}});
    assert_non_null(strstr(bench->buffer, "stopped\n"));
}

static void unattached_voter_that_stops_waits_and_does_not_stand(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    assert_string_equal(shut_down(bench), "");
    bench_pass(bench, 4999);
    assert_string_equal(bench_role(bench), "Unattached 0");
    assert_string_equal(bench_pass(bench, 1), "stopped\n");
}

static void follower_and_observer_stop_at_once(void **state)
{
    for (int self = 1; self <= 4; self += 3) {
        struct bench bench;

        (void)state;
        bench_init(&bench, self);
        bench_start_static(&bench, 3);
        if (self == 1)
            bench_follow(&bench, 2, 3);
        assert_non_null(strstr(shut_down(&bench), "stopped\n"));
        bench_release(&bench);
    }
}

static void only_the_leader_of_the_epoch_resigns(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    assert_string_equal(
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 0}), "");
    bench_lead(bench);
    assert_string_equal(
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 7}), "");
    assert_string_equal(bench_role(bench), "Leader 1");
}

static void successor_that_answers_badly_is_told_again(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_END_QUORUM_EPOCH, 1, 1);

    bench_start_static(bench, 2);
    bench_lead(bench);
    shut_down(bench);
    bench_send_failed(bench, false);
    assert_string_equal(bench_pass(bench, 20), "send 2 EndQuorumEpoch epoch=1 preferred=2\n");
    reply.error = ERR_UNKNOWN_SERVER_ERROR;
    bench_reply(bench, reply);
    assert_string_equal(bench_pass(bench, 20), "send 2 EndQuorumEpoch epoch=1 preferred=2\n");
    reply.error = OK;
    bench_reply(bench, reply);
    assert_string_equal(bench_pass(bench, 2000), "");
}

/* ---- a requester that is gone ---- */

static void parked_fetch_of_a_requester_that_hung_up_is_forgotten(void **state)
{
    struct bench *bench = *state;
    struct raft_event gone = {.kind = RAFT_EVENT_REQUEST_GONE};

    bench_start_static(bench, 1);
    assert_string_equal(bench_request(bench, bench_fetch(5, 1, 1, 1)), "");
    gone.request_gone.token = bench->last_token + 1;
    assert_string_equal(bench_feed(bench, gone), "");
    gone.request_gone.token = bench->last_token;
    assert_string_equal(bench_feed(bench, gone), "");
    assert_string_equal(bench_pass(bench, 1000), ""); /* nobody is answered */
}

/* ---- ends of the ranges ---- */

static void timeouts_of_zero_do_not_spin(void **state)
{
    struct bench *bench = *state;

    bench->options.election_timeout_ms = 0;
    bench->hold_persist = true; /* or each durable state would be followed by the next at once */
    bench_start_static(bench, 3);
    assert_true(raft_deadline_ms(bench->raft) > bench->now_ms);
}

static void timeouts_of_for_ever_never_come(void **state)
{
    struct bench *bench = *state;

    bench->options.request_timeout_ms = INT64_MAX;
    bench->options.fetch_timeout_ms = INT64_MAX / 2;
    bench_start_static(bench, 3);
    bench_lead(bench);
    bench_pass(bench, 100000);
    assert_string_equal(bench_role(bench), "Leader 1");
}

static void nobody_stands_in_an_epoch_after_the_last(void **state)
{
    struct bench *bench = *state;
    struct raft_reply yes = bench_ok(RAFT_API_VOTE, -1, INT32_MAX);

    bench_start_static(bench, 3);
    bench_request(bench, bench_vote(2, INT32_MAX, 0, 0, false));
    assert_string_equal(bench_role(bench), "Unattached 2147483647");
    bench_wait(bench, "Prospective 2147483647");
    yes.vote_granted = true;
    bench_reply(bench, yes);
    assert_string_equal(bench_role(bench), "Prospective 2147483647");
    bench_pass(bench, 10000);
    assert_null(strstr(bench_role(bench), "Candidate"));
}

static void leader_of_the_last_epoch_stays_resigned(void **state)
{
    struct bench *bench = *state;
    struct raft_quorum_state stored = {.leader_id = 1, .leader_epoch = INT32_MAX, .voted_id = -1};

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored});
    bench_pass(bench, 10000);
    assert_string_equal(bench_role(bench), "Resigned 2147483647");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(stored_state_decides_the_role),
        TEST(leader_without_endpoints_is_not_followed),
        TEST(voters_come_in_any_order),
        TEST(voter_is_reached_by_its_first_endpoint_when_the_default_listener_is_not_there),
        cmocka_unit_test(replica_that_was_never_made_is_released_in_vain),
        TEST(single_voter_that_has_stopped_takes_nothing_any_more),
        TEST(leader_that_stops_resigns_and_waits_for_another),
        TEST(leader_that_stops_waits_no_longer_than_five_seconds),
        TEST(nominee_that_stops_goes_on_asking_until_another_leads),
        TEST(unattached_voter_that_stops_waits_and_does_not_stand),
        cmocka_unit_test(follower_and_observer_stop_at_once),
        TEST(only_the_leader_of_the_epoch_resigns),
        TEST(successor_that_answers_badly_is_told_again),
        TEST(parked_fetch_of_a_requester_that_hung_up_is_forgotten),
        TEST(timeouts_of_zero_do_not_spin),
        TEST(timeouts_of_for_ever_never_come),
        TEST(nobody_stands_in_an_epoch_after_the_last),
        TEST(leader_of_the_last_epoch_stays_resigned),
    };

    BENCH_RUN(tests);
}
