/* SPDX-License-Identifier: Apache-2.0 */
/* Vote and pre-vote: who is granted what in which state, every refusal, and elections step by step. */
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

/* Node 1 of static voters 1, 2, 3, which has ten records up to epoch 4 and knows epoch 5. */
static void start_with_log(struct bench *bench, int32_t leader, int32_t voted)
{
    struct raft_quorum_state stored = {.leader_id = leader, .leader_epoch = 5, .voted_id = voted};
    struct raft_offset_epoch epochs[] = {{0, 1}, {3, 4}};

    bench->options.static_voters = bench_voters(bench, true, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored,
                                            .log_end_offset = 10,
                                            .epochs = epochs,
                                            .epoch_count = 2});
}

static void broken_votes_are_refused_before_anything_changes(void **state)
{
    static const struct {
        int32_t epoch;
        int64_t end;
        int32_t end_epoch;
        bool pre;
        int from;
        enum err err;
    } rows[] = {
        {6, -1, 4, false, 2, ERR_INVALID_REQUEST},     {6, 10, -1, false, 2, ERR_INVALID_REQUEST},
        {6, 10, 6, false, 2, ERR_INVALID_REQUEST},     {6, 10, 7, true, 2, ERR_INVALID_REQUEST},
        {4, 10, 3, false, 2, ERR_FENCED_LEADER_EPOCH}, {4, 10, 4, true, 2, ERR_FENCED_LEADER_EPOCH},
        {5, 10, 4, false, -1, ERR_INVALID_REQUEST},
    };
    struct bench *bench = *state;

    start_with_log(bench, -1, -1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct raft_request vote =
            bench_vote(rows[i].from, rows[i].epoch, rows[i].end, rows[i].end_epoch, rows[i].pre);

        bench_request(bench, vote);
        assert_int_equal(bench->last_reply.error, rows[i].err);
        assert_false(bench->last_reply.vote_granted);
        assert_string_equal(bench_role(bench), "Unattached 5");
    }
}

static void vote_of_a_foreign_cluster_or_partition_is_refused_whole(void **state)
{
    struct bench *bench = *state;
    struct raft_request vote = bench_vote(2, 6, 10, 4, false);
    struct raft_event event = {.kind = RAFT_EVENT_REQUEST, .request = {1, SLICE_NULL, &vote}};

    start_with_log(bench, -1, -1);
    vote.one_partition = vote.metadata_partition = true;
    vote.cluster_id = SLICE("other");
    assert_string_equal(bench_feed(bench, event), "reply Vote top=INCONSISTENT_CLUSTER_ID\n");
    vote.cluster_id = SLICE("cluster");
    vote.one_partition = false;
    assert_string_equal(bench_feed(bench, event), "reply Vote top=INVALID_REQUEST\n");
    vote.one_partition = true;
    vote.metadata_partition = false;
    assert_string_equal(bench_feed(bench, event), "reply Vote top=INVALID_REQUEST\n");
}

static void wrong_receiver_is_told_after_the_epoch_was_raised(void **state)
{
    struct bench *bench = *state;
    struct raft_request vote = bench_vote(2, 6, 10, 4, false);

    start_with_log(bench, -1, -1);
    vote.vote.voter = (struct raft_replica_key){1, bench_directory(9)};
    assert_string_equal(bench_request(bench, vote),
                        "persist epoch=6 leader=-1 voted=-1 version=0\n"
                        "role Unattached epoch=6 leader=-1\n"
                        "reply Vote INVALID_VOTER_KEY leader=-1 epoch=6 refused\n"
                        "send 3 Fetch epoch=6 at=10/4 hw=-1\n");
    vote.vote.voter = (struct raft_replica_key){3, UUID_ZERO};
    bench_request(bench, vote);
    assert_int_equal(bench->last_reply.error, ERR_INVALID_VOTER_KEY);
    vote.vote.voter = (struct raft_replica_key){1, UUID_ZERO};
    bench_request(bench, vote);
    assert_int_equal(bench->last_reply.error, OK);
}

static void vote_is_told_only_when_it_is_durable(void **state)
{
    struct bench *bench = *state;

    start_with_log(bench, -1, -1);
    bench->hold_persist = true;
    assert_string_equal(bench_request(bench, bench_vote(2, 6, 10, 4, false)),
                        "persist epoch=6 leader=-1 voted=2 version=0\n");
    assert_string_equal(bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_PERSISTED,
                                                              .persisted.generation = 3}),
                        "role Unattached epoch=6 leader=-1\n"
                        "reply Vote NONE leader=-1 epoch=6 granted\n"
                        "send 3 Fetch epoch=6 at=10/4 hw=-1\n");
}

static void second_candidate_in_one_epoch_is_refused(void **state)
{
    struct bench *bench = *state;

    start_with_log(bench, -1, -1);
    bench_request(bench, bench_vote(2, 6, 10, 4, false));
    assert_true(bench->last_reply.vote_granted);
    bench_request(bench, bench_vote(3, 6, 99, 5, false));
    assert_false(bench->last_reply.vote_granted);
    /* The first one is answered alike again, even with a shorter log. */
    bench_request(bench, bench_vote(2, 6, 1, 1, false));
    assert_true(bench->last_reply.vote_granted);
}

static void shorter_log_gets_no_vote(void **state)
{
    static const struct {
        int64_t end;
        int32_t epoch;
        bool granted;
    } rows[] = {{9, 4, false}, {10, 4, true}, {11, 4, true}, {99, 3, false}, {1, 5, true}};

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (int pre = 0; pre < 2; pre++) {
            struct bench bench;

            bench_init(&bench, 1);
            start_with_log(&bench, -1, -1);
            bench_request(&bench, bench_vote(2, 6, rows[i].end, rows[i].epoch, pre));
            assert_int_equal(bench.last_reply.vote_granted, rows[i].granted);
            bench_release(&bench);
        }
}

static void pre_vote_needs_no_membership_and_leaves_no_trace(void **state)
{
    struct bench *bench = *state;

    start_with_log(bench, -1, -1);
    assert_string_equal(bench_request(bench, bench_vote(77, 5, 10, 4, true)),
                        "reply Vote NONE leader=-1 epoch=5 granted\n");
    assert_string_equal(bench_request(bench, bench_vote(78, 5, 10, 5, true)),
                        "reply Vote NONE leader=-1 epoch=5 granted\n");
}

static void follower_that_has_fetched_grants_no_pre_vote(void **state)
{
    struct bench *bench = *state;

    start_with_log(bench, 2, -1);
    assert_string_equal(bench_role(bench), "Follower 5");
    bench_request(bench, bench_vote(3, 5, 10, 4, true));
    assert_true(bench->last_reply.vote_granted);
    bench_request(bench, bench_vote(3, 5, 10, 4, false));
    assert_false(bench->last_reply.vote_granted);
    bench_reply(bench, bench_ok(RAFT_API_FETCH, 2, 5));
    bench_request(bench, bench_vote(3, 5, 10, 4, true));
    assert_false(bench->last_reply.vote_granted);
}

static void leader_steps_down_for_a_pre_vote_of_a_higher_epoch(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 3);
    bench_lead(bench);
    assert_string_equal(bench_role(bench), "Leader 1");
    bench_request(bench, bench_vote(2, 1, 9, 1, true));
    assert_false(bench->last_reply.vote_granted);
    bench_request(bench, bench_vote(2, 7, 9, 1, true));
    assert_string_equal(bench_role(bench), "Unattached 7");
}

static void stored_vote_for_oneself_starts_as_candidate_of_the_same_epoch(void **state)
{
    struct bench *bench = *state;
    struct raft_quorum_state stored = {.leader_id = -1, .leader_epoch = 5, .voted_id = 1};

    stored.voted_directory_id = bench_directory(1);
    bench->options.static_voters = bench_voters(bench, true, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored});
    assert_string_equal(bench->buffer, "persist epoch=5 leader=-1 voted=1 version=0\n"
                                       "voters kraft=0 1,2,3\n"
                                       "role Candidate epoch=5 leader=-1\n"
                                       "send 2 Vote epoch=5 end=0/0\n"
                                       "send 3 Vote epoch=5 end=0/0\n");
}

static void election_goes_through_pre_vote_and_vote(void **state)
{
    struct bench *bench = *state;
    struct raft_reply yes = bench_ok(RAFT_API_VOTE, -1, 0);

    bench_start_static(bench, 3);
    yes.vote_granted = true;
    assert_string_equal(bench_wait(bench, "Prospective 0"), "role Prospective epoch=0 leader=-1\n"
                                                            "send 2 Vote pre epoch=0 end=0/0\n"
                                                            "send 3 Vote pre epoch=0 end=0/0\n");
    assert_string_equal(bench_reply(bench, yes), "persist epoch=1 leader=-1 voted=1 version=0\n"
                                                 "role Candidate epoch=1 leader=-1\n"
                                                 "send 2 Vote epoch=1 end=0/0\n"
                                                 "send 3 Vote epoch=1 end=0/0\n");
    yes.leader_epoch = 1;
    assert_string_equal(bench_reply(bench, yes),
                        "persist epoch=1 leader=1 voted=-1 version=0\n"
                        "role Leader epoch=1 leader=1 start=0\n"
                        "control at=0 epoch=1 leader=1 voters=1,2,3 granting=1,3\n"
                        "send 2 BeginQuorumEpoch epoch=1\n"
                        "send 3 BeginQuorumEpoch epoch=1\n");
}

static void peer_without_pre_vote_counts_as_a_yes(void **state)
{
    struct bench *bench = *state;
    struct raft_event failed = {.kind = RAFT_EVENT_SEND_FAILED};

    bench_start_static(bench, 3);
    bench_wait(bench, "Prospective 0");
    failed.send_failed.number = bench->last_number;
    failed.send_failed.unsupported_version = true;
    bench_feed(bench, failed);
    assert_string_equal(bench_role(bench), "Candidate 1");
}

static void candidate_that_lost_waits_for_its_timer(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_VOTE, -1, 0);

    bench_start_static(bench, 3);
    bench_wait(bench, "Prospective 0");
    reply.vote_granted = true;
    bench_reply(bench, reply);
    reply.leader_epoch = 1;
    reply.vote_granted = false;
    bench_reply(bench, reply);
    bench->last_number--; /* the other voter's */
    bench_reply(bench, reply);
    assert_string_equal(bench_pass(bench, 900), "");
    assert_string_equal(bench_role(bench), "Candidate 1");
    bench_wait(bench, "Prospective 1");
}

static void changed_mind_of_a_voter_is_not_believed(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_VOTE, -1, 0);
    uint64_t number;

    bench_start_static(bench, 5);
    bench_wait(bench, "Prospective 0");
    reply.vote_granted = true;
    number = bench->last_number;
    bench_reply(bench, reply);
    bench->last_number = number - 1;
    bench_reply(bench, reply);
    assert_string_equal(bench_role(bench), "Candidate 1");
    reply.leader_epoch = 1;
    reply.vote_granted = false;
    bench_reply(bench, reply);
    reply.vote_granted = true;
    bench_reply(bench, reply); /* its request is answered: nothing is waiting */
    assert_string_equal(bench_role(bench), "Candidate 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(broken_votes_are_refused_before_anything_changes),
        TEST(vote_of_a_foreign_cluster_or_partition_is_refused_whole),
        TEST(wrong_receiver_is_told_after_the_epoch_was_raised),
        TEST(vote_is_told_only_when_it_is_durable),
        TEST(second_candidate_in_one_epoch_is_refused),
        cmocka_unit_test(shorter_log_gets_no_vote),
        TEST(pre_vote_needs_no_membership_and_leaves_no_trace),
        TEST(follower_that_has_fetched_grants_no_pre_vote),
        TEST(leader_steps_down_for_a_pre_vote_of_a_higher_epoch),
        TEST(stored_vote_for_oneself_starts_as_candidate_of_the_same_epoch),
        TEST(election_goes_through_pre_vote_and_vote),
        TEST(peer_without_pre_vote_counts_as_a_yes),
        TEST(candidate_that_lost_waits_for_its_timer),
        TEST(changed_mind_of_a_voter_is_not_believed),
    };

    BENCH_RUN(tests);
}
