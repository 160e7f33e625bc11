/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that contradict themselves, each other or what is known: requests and answers that no sound node
 * sends, and what becomes of the log, the epoch and the leader then: nothing that a sound peer would regret.
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

static struct raft_request begin_epoch(int leader, int32_t epoch)
{
    return (struct raft_request){
        .api = RAFT_API_BEGIN_QUORUM_EPOCH,
        .begin = {.voter.id = -1, .leader_id = leader, .leader_epoch = epoch}};
}

static struct raft_reply failed(enum raft_api api, int leader, int32_t epoch, enum err error)
{
    struct raft_reply reply = bench_ok(api, leader, epoch);

    reply.error = error;
    return reply;
}

/* ---- requests ---- */

static void request_of_another_cluster_or_partition_is_refused_in_the_form_of_its_api(void **state)
{
    struct bench *bench = *state;
    struct raft_request add = {.api = RAFT_API_ADD_VOTER, .cluster_id = SLICE("another")};

    bench_start_dynamic(bench, 1);
    add.one_partition = add.metadata_partition = true;
    bench_request_raw(bench, add);
    assert_int_equal(bench->last_reply.error, ERR_INCONSISTENT_CLUSTER_ID);
    assert_string_equal(bench->last_reply.error_text,
                        "The given id \"another\" doesn't match the cluster id \"cluster\"");
    add.cluster_id = SLICE_NULL;
    add.one_partition = false;
    bench_request_raw(bench, add);
    assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    assert_null(bench->last_reply.error_text);
}

static void cluster_without_an_id_matches_no_other(void **state)
{
    struct bench *bench = *state;
    struct raft_request add = {.api = RAFT_API_ADD_VOTER, .cluster_id = SLICE("another")};

    bench->options.cluster_id = SLICE_NULL;
    bench->options.default_listener = SLICE_NULL;
    bench_start_dynamic(bench, 1);
    bench_request(bench, add);
    assert_string_equal(bench->last_reply.error_text,
                        "The given id \"another\" doesn't match the cluster id \"\"");
}

static void own_id_on_another_machine_gets_nothing(void **state)
{
    struct bench *bench = *state;
    struct raft_request fetch = bench_fetch(1, 1, 0, 0);

    bench_start_static(bench, 3);
    bench_request(bench, bench_vote(1, 1, 9, 0, false));
    assert_false(bench->last_reply.vote_granted);
    bench_lead(bench);
    fetch.fetch.current_leader_epoch = 2;
    bench_request(bench, fetch);
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
}

static void vote_is_given_to_one_directory_of_an_id(void **state)
{
    static const struct {
        int stored; /* directory of the vote that is stored; 0: not known */
        int asking;
        bool granted;
    } rows[] = {{2, 2, true}, {2, 7, false}, {0, 2, true}, {0, 7, true}};

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_request vote = bench_vote(2, 5, 9, 0, false);
        struct raft_quorum_state stored = {.leader_id = -1, .leader_epoch = 5, .voted_id = 2};

        (void)state;
        bench_init(&bench, 1);
        if (rows[i].stored)
            stored.voted_directory_id = bench_directory(rows[i].stored);
        bench.options.static_voters = bench_voters(&bench, 1, 1, 2, 3, 0);
        bench_start(&bench, &(struct raft_start){.quorum_state = &stored});
        vote.vote.candidate.directory_id = bench_directory(rows[i].asking);
        bench_request(&bench, vote);
        assert_int_equal(bench.last_reply.vote_granted, rows[i].granted);
        bench_release(&bench);
    }
}

static void who_knows_the_leader_of_an_epoch_votes_for_no_other_in_it(void **state)
{
    struct bench *bench = *state;
    struct raft_quorum_state stored = {.leader_id = 9, .leader_epoch = 5, .voted_id = -1};

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored});
    bench_request(bench, bench_vote(2, 5, 9, 0, false));
    assert_false(bench->last_reply.vote_granted);
}

static void leadership_that_others_tell_us_of_is_not_believed(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 5);
    bench_request(bench, begin_epoch(1, 5));
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    assert_string_equal(bench_role(bench), "Follower 5");
    bench_request(bench, begin_epoch(1, 6)); /* the epoch at least may be so */
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    assert_string_equal(bench_role(bench), "Unattached 6");
    bench_lead(bench);
    assert_string_equal(bench_role(bench), "Leader 7");
    bench_request(bench, begin_epoch(1, 7));
    assert_int_equal(bench->last_reply.error, OK);
    bench_request(bench, begin_epoch(1, 8));
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    assert_string_equal(bench_role(bench), "Unattached 8");
}

static void resigned_leader_knows_of_no_other_in_its_epoch(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_lead(bench);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1});
    bench_request(bench, begin_epoch(2, 1));
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    bench_request(bench, begin_epoch(1, 1));
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    assert_string_equal(bench_role(bench), "Resigned 1");
}

static void end_of_an_epoch_is_told_by_its_leader_alone(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 5);
    bench_request(bench, (struct raft_request){.api = RAFT_API_END_QUORUM_EPOCH,
                                               .end = {.leader_id = 3, .leader_epoch = 5}});
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
    assert_string_equal(bench_role(bench), "Follower 5");
    /* Its leader is unknown and cannot be reached: there is nothing to shorten. */
    bench_request(bench, (struct raft_request){.api = RAFT_API_END_QUORUM_EPOCH,
                                               .end = {.leader_id = 9, .leader_epoch = 6}});
    assert_int_equal(bench->last_reply.error, OK);
    assert_string_equal(bench_role(bench), "Unattached 6");
}

static void list_of_successors_may_name_our_id_on_another_disk_or_too_many(void **state)
{
    for (int many = 0; many <= 1; many++) {
        struct bench bench;
        struct raft_replica_key keys[70];
        struct raft_request end = {.api = RAFT_API_END_QUORUM_EPOCH,
                                   .end = {.leader_id = 2, .leader_epoch = 3, .preferred = keys}};

        (void)state;
        for (int i = 0; i < 70; i++)
            keys[i] = bench_key(100 + i);
        keys[1] = bench_key(1);
        if (!many)
            keys[1].directory_id = bench_directory(77);
        end.end.preferred_count = many ? 70 : 3;
        bench_init(&bench, 1);
        bench_start_static(&bench, 3);
        bench_follow(&bench, 2, 3);
        bench_request(&bench, end);
        assert_int_equal(bench.last_reply.error, OK);
        bench_pass(&bench, 999);
        assert_string_equal(bench_role(&bench), "Follower 3"); /* the longest wait */
        bench_pass(&bench, 1);
        assert_string_equal(bench_role(&bench), "Prospective 3");
        bench_release(&bench);
    }
}

static void leader_is_reached_where_it_says_when_it_says_more_than_was_known(void **state)
{
    struct bench *bench = *state;
    struct raft_endpoint more[] = {{SLICE("ONE"), SLICE("h1"), 1}, {SLICE("TWO"), SLICE("h2"), 2}};
    struct raft_request begin = begin_epoch(2, 3);

    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3); /* with the one endpoint that is configured */
    begin.begin.leader_endpoints = (struct raft_endpoints){more, 2};
    /* No news for anybody else; the default listener is not there: the first is taken. */
    assert_string_equal(bench_request(bench, begin),
                        "persist epoch=3 leader=2 voted=-1 version=0\n"
                        "reply BeginQuorumEpoch NONE leader=2 epoch=3\n"
                        "send 2 Fetch epoch=3 at=0/0 hw=-1\n");
    assert_string_equal(bench_request(bench, begin),
                        "reply BeginQuorumEpoch NONE leader=2 epoch=3\n");
}

/* As a broken leader may have written it: nobody can have such an id, so nobody counts it. */
static void voter_of_a_negative_id_is_told_nothing(void **state)
{
    struct bench *bench = *state;
    struct raft_voters_at at = {-1, bench_voters(bench, 0, -5, 1, 2, 0)};
    struct raft_kraft_version_at version = {-1, 1};

    bench_start(bench, &(struct raft_start){.voters = &at,
                                            .voters_count = 1,
                                            .kraft_versions = &version,
                                            .kraft_version_count = 1});
    bench_lead(bench);
    assert_null(strstr(bench_pass(bench, 2500), "send -5 BeginQuorumEpoch"));
}

/* ---- answers that all requests may get ---- */

/* A follower of 2 in epoch 5 hears this in answer to its fetch. */
static void answer_about_the_epoch_teaches_or_makes_wait(void **state)
{
    static const struct {
        int leader;
        int32_t epoch;
        enum err error;
        const char *role;
        const char *lines;
    } rows[] = {
        {3, 5, ERR_NOT_LEADER_OR_FOLLOWER, "Follower 5", "send 3 Fetch"}, /* contradicts */
        {2, 5, ERR_FENCED_LEADER_EPOCH, "Follower 5", "send 3 Fetch"},
        {1, 5, ERR_FENCED_LEADER_EPOCH, "Follower 5", "send 3 Fetch"},
        {2, 5, ERR_UNKNOWN_LEADER_EPOCH, "Follower 5", "send 2 Fetch"},
        {2, 4, OK, "Follower 5", "send 2 Fetch"}, /* from before */
        {3, 6, OK, "Follower 6", "send 3 Fetch"},
        {2, 5, ERR_BROKER_NOT_AVAILABLE, "Follower 5", "send 3 Fetch"},
        {2, 5, ERR_INVALID_REQUEST, "Follower 5", "send 3 Fetch"},
        {2, 5, ERR_INVALID_VOTER_KEY, "Follower 5", "send 2 Fetch"},
        {2, 5, ERR_UNKNOWN_SERVER_ERROR, "Follower 5", "send 3 Fetch"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;

        (void)state;
        bench_init(&bench, 1);
        bench.random = 2;
        bench_start_static(&bench, 3);
        bench_follow(&bench, 2, 5);
        bench_reply(&bench, failed(RAFT_API_FETCH, rows[i].leader, rows[i].epoch, rows[i].error));
        assert_non_null(strstr(bench.buffer, rows[i].lines));
        assert_string_equal(bench_role(&bench), rows[i].role);
        bench_release(&bench);
    }
}

static void answer_that_never_came_makes_wait(void **state)
{
    struct bench *bench = *state;

    bench->random = 2;
    bench_start_static(bench, 3);
    bench_follow(bench, 2, 5);
    assert_string_equal(bench_send_failed(bench, false), "send 3 Fetch epoch=5 at=0/0 hw=-1\n");
}

static void unattached_replica_learns_a_leader_but_no_second_one(void **state)
{
    struct bench *bench = *state;
    struct raft_quorum_state stored = {.leader_id = 9, .leader_epoch = 5, .voted_id = -1};

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored});
    bench_reply(bench, bench_ok(RAFT_API_FETCH, 3, 5)); /* it is 9, wherever that is */
    assert_string_equal(bench_role(bench), "Unattached 5");
    bench_send_failed(bench, false);
    bench_pass(bench, 40);
    bench_reply(bench, bench_ok(RAFT_API_FETCH, -1, 5)); /* an answer without news */
    assert_string_equal(bench_role(bench), "Unattached 5");
}

static void unattached_replica_learns_a_leader_from_an_error(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_reply(bench, failed(RAFT_API_FETCH, 3, 0, ERR_UNKNOWN_SERVER_ERROR));
    assert_string_equal(bench_role(bench), "Follower 0");
}

/* ---- answers to votes ---- */

static void vote_that_cannot_be_answered_is_asked_again(void **state)
{
    static const enum err errors[] = {ERR_UNKNOWN_SERVER_ERROR, ERR_INVALID_REQUEST};
    struct bench *bench = *state;

    bench_start_static(bench, 2);
    bench_wait(bench, "Prospective 0");
    bench_send_failed(bench, false);
    assert_string_equal(bench_pass(bench, 20), "send 2 Vote pre epoch=0 end=0/0\n");
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        bench_reply(bench, failed(RAFT_API_VOTE, -1, 0, errors[i]));
        assert_string_equal(bench_pass(bench, 20), "send 2 Vote pre epoch=0 end=0/0\n");
    }
    bench_send_failed(bench, true); /* no pre-vote there: the vote itself is asked for */
    assert_string_equal(bench_role(bench), "Candidate 1");
    bench_send_failed(bench, true); /* no vote either */
    assert_string_equal(bench_role(bench), "Candidate 1");
}

static void pre_vote_may_be_answered_otherwise_later(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_VOTE, -1, 0);

    bench_start_static(bench, 5);
    bench_wait(bench, "Prospective 0");
    reply.vote_granted = true;
    bench_reply(bench, reply);
    assert_string_equal(bench_role(bench), "Prospective 0");
    /* A vote for another begins the count anew. */
    bench_request(bench, bench_vote(3, 0, 9, 0, false));
    assert_string_equal(bench_role(bench), "Prospective 0");
}

/* A voter set that names 2 twice, as a broken leader may have sent it. */
static void voter_that_is_in_the_set_twice_votes_once(void **state)
{
    struct bench *bench = *state;
    struct raft_voters set = bench_voters(bench, 0, 1, 2, 2, 3, 4, 0);
    struct raft_batch batch = {0, 0, 3, 1, &set};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_voters_at at = {-1, bench_voters(bench, 0, 1, 2, 3, 0)};
    struct raft_kraft_version_at version = {-1, 1};

    bench_start(bench, &(struct raft_start){.voters = &at,
                                            .voters_count = 1,
                                            .kraft_versions = &version,
                                            .kraft_version_count = 1});
    bench_follow(bench, 2, 3);
    set = bench_voters(bench, 0, 1, 2, 2, 3, 4, 0);
    reply.fetch.batches = &batch;
    reply.fetch.batch_count = 1;
    bench_reply(bench, reply);
    bench_wait(bench, "Prospective 3");
    reply = bench_ok(RAFT_API_VOTE, -1, 3);
    reply.vote_granted = true;
    bench_reply(bench, reply);
    bench_reply_to(bench, bench->last_number - 1, reply);
    assert_string_equal(bench_role(bench), "Candidate 4");
    reply.leader_epoch = 4;
    reply.vote_granted = false; /* the first of its two ballots */
    bench_reply_to(bench, bench->last_number - 2, reply);
    assert_non_null(strstr(bench->buffer, "send 2 Vote epoch=4")); /* for the second */
    bench_reply(bench, reply);                                     /* the same again */
    reply.vote_granted = true;
    bench_reply(bench, reply);
    assert_string_equal(bench_role(bench), "Candidate 4"); /* the first answer stays */
}

static void beginning_that_was_not_heard_is_told_again(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 2);
    bench_lead(bench);
    bench_send_failed(bench, false);
    assert_non_null(strstr(bench_pass(bench, 1000), "send 2 BeginQuorumEpoch epoch=1\n"));
    bench_reply(bench, failed(RAFT_API_BEGIN_QUORUM_EPOCH, 1, 1, ERR_UNKNOWN_SERVER_ERROR));
    assert_string_equal(bench_role(bench), "Leader 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(request_of_another_cluster_or_partition_is_refused_in_the_form_of_its_api),
        TEST(cluster_without_an_id_matches_no_other),
        TEST(own_id_on_another_machine_gets_nothing),
        cmocka_unit_test(vote_is_given_to_one_directory_of_an_id),
        TEST(who_knows_the_leader_of_an_epoch_votes_for_no_other_in_it),
        TEST(leadership_that_others_tell_us_of_is_not_believed),
        TEST(resigned_leader_knows_of_no_other_in_its_epoch),
        TEST(end_of_an_epoch_is_told_by_its_leader_alone),
        cmocka_unit_test(list_of_successors_may_name_our_id_on_another_disk_or_too_many),
        TEST(leader_is_reached_where_it_says_when_it_says_more_than_was_known),
        TEST(voter_of_a_negative_id_is_told_nothing),
        cmocka_unit_test(answer_about_the_epoch_teaches_or_makes_wait),
        TEST(answer_that_never_came_makes_wait),
        TEST(unattached_replica_learns_a_leader_but_no_second_one),
        TEST(unattached_replica_learns_a_leader_from_an_error),
        TEST(vote_that_cannot_be_answered_is_asked_again),
        TEST(pre_vote_may_be_answered_otherwise_later),
        TEST(voter_that_is_in_the_set_twice_votes_once),
        TEST(beginning_that_was_not_heard_is_told_again),
    };

    BENCH_RUN(tests);
}
