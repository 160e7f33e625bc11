/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the voter set that are refused, given up or late; what the leader tells of the others. */
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

static struct raft_endpoints endpoints_new(struct bench *bench, const char *listener)
{
    struct raft_endpoint *endpoint = ARENA_NEW(&bench->arena, struct raft_endpoint);

    *endpoint = (struct raft_endpoint){slice_from_text(listener), SLICE("new"), 7000};
    return (struct raft_endpoints){endpoint, 1};
}

static struct raft_request add_voter(struct bench *bench, int id)
{
    return (struct raft_request){
        .api = RAFT_API_ADD_VOTER,
        .add_voter = {bench_key(id), endpoints_new(bench, "CONTROLLER"), true}};
}

static struct raft_request remove_voter(int id)
{
    return (struct raft_request){.api = RAFT_API_REMOVE_VOTER, .remove_voter = {bench_key(id)}};
}

static struct raft_request update_voter(struct bench *bench, int id, int16_t min, int16_t max)
{
    return (struct raft_request){
        .api = RAFT_API_UPDATE_VOTER,
        .update_voter = {bench_key(id), 1, endpoints_new(bench, "CONTROLLER"), min, max}};
}

static struct raft_reply versions(int16_t min, int16_t max)
{
    return (struct raft_reply){.api = RAFT_API_API_VERSIONS, .versions = {true, min, max}};
}

/* Leader of epoch 1 with everything committed. */
static void lead_dynamic(struct bench *bench, int voter_count)
{
    bench_start_dynamic(bench, voter_count);
    bench_lead(bench);
    for (int id = 2; id <= voter_count; id++)
        bench_request(bench, bench_fetch(id, 1, 3, 1));
}

/* ---- adding ---- */

static void new_voter_whose_range_does_not_hold_the_version_is_refused(void **state)
{
    static const struct {
        int16_t min, max;
    } rows[] = {{0, 0}, {2, 3}};
    struct bench *bench = *state;

    lead_dynamic(bench, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bench_request(bench, add_voter(bench, 4 + (int)i));
        bench_reply(bench, versions(rows[i].min, rows[i].max));
        assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    }
}

static void new_voter_that_answers_with_an_error_is_given_up(void **state)
{
    struct bench *bench = *state;
    struct raft_reply failed = versions(0, 1);

    lead_dynamic(bench, 1);
    bench_request(bench, add_voter(bench, 4));
    bench_send_failed(bench, false);
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    assert_string_equal(bench->last_reply.error_text,
                        "Aborted add voter operation for since API_VERSIONS returned an error "
                        "BROKER_NOT_AVAILABLE");
    failed.error = ERR_UNSUPPORTED_VERSION;
    bench_request(bench, add_voter(bench, 5));
    bench_reply(bench, failed);
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    /* It is left alone for the back-off time. */
    bench_request(bench, add_voter(bench, 5));
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    assert_string_equal(bench->last_reply.error_text,
                        "New voter ReplicaKey(id=5, directoryId=BQUFBQUFBQUFBQUFBQUFBQ) is not "
                        "ready to receive requests");
}

static void range_that_comes_after_the_change_was_given_up_changes_nothing(void **state)
{
    struct bench *bench = *state;

    lead_dynamic(bench, 1);
    bench_request(bench, add_voter(bench, 4));
    bench_pass(bench, 2000);
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    assert_string_equal(bench_reply(bench, versions(0, 1)), "");
}

static void observer_that_has_not_been_heard_for_an_hour_lags(void **state)
{
    struct bench *bench = *state;

    lead_dynamic(bench, 1);
    bench_request(bench, bench_fetch(4, 1, 3, 1));
    bench_pass(bench, 3600500); /* its parked fetch was answered after half a second */
    bench_request(bench, add_voter(bench, 4));
    bench_reply(bench, versions(0, 1));
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
}

static void observer_that_never_reached_the_end_lags(void **state)
{
    struct bench *bench = *state;

    lead_dynamic(bench, 1);
    bench_request(bench, bench_fetch(4, 1, 0, 0));
    bench_request(bench, add_voter(bench, 4));
    bench_reply(bench, versions(0, 1));
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
}

static void add_that_is_not_to_wait_is_answered_before_the_commit(void **state)
{
    struct bench *bench = *state;
    struct raft_request add = add_voter(bench, 4);

    lead_dynamic(bench, 1);
    bench_request(bench, bench_fetch(4, 1, 3, 1));
    add.add_voter.ack_when_committed = false;
    bench_request(bench, add);
    assert_string_equal(bench_reply(bench, versions(0, 1)),
                        "control at=3 epoch=1 set=1,4\n"
                        "voters kraft=1 1,4\n"
                        "reply AddRaftVoter NONE leader=1 epoch=1\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=3 read=3\n");
    assert_string_equal(bench_request(bench, bench_fetch(4, 1, 4, 1)), "hw 4\n");
}

static void voter_without_directory_stands_as_undefined_in_the_text(void **state)
{
    struct bench *bench = *state;
    struct raft_voters voters = bench_voters(bench, 0, 1, 2, 0);
    struct raft_voters_at at = {-1, voters};
    struct raft_kraft_version_at kraft_version = {-1, 1};

    bench->voters[1].key.directory_id = UUID_ZERO;
    bench_start(bench, &(struct raft_start){.voters = &at,
                                            .voters_count = 1,
                                            .kraft_versions = &kraft_version,
                                            .kraft_version_count = 1});
    bench_lead(bench);
    bench_request(bench, bench_fetch(2, 1, 3, 1));
    bench_request(bench, add_voter(bench, 2));
    assert_string_equal(bench->last_reply.error_text,
                        "The voter id for ReplicaKey(id=2, directoryId=AgICAgICAgICAgICAgICAg) is "
                        "already part of the set of voters [ReplicaKey(id=1, "
                        "directoryId=AQEBAQEBAQEBAQEBAQEBAQ), ReplicaKey(id=2, "
                        "directoryId=<undefined>)].");
}

/* ---- removing ---- */

static void voter_to_remove_must_be_named_whole(void **state)
{
    static const struct {
        int32_t id;
        int directory; /* 0: none */
        enum err err;
    } rows[] = {
        {-1, 2, ERR_INVALID_REQUEST},
        {2, 0, ERR_INVALID_REQUEST},
        {2, 3, ERR_VOTER_NOT_FOUND},
        {7, 7, ERR_VOTER_NOT_FOUND},
    };
    struct bench *bench = *state;

    lead_dynamic(bench, 3);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct raft_request request = remove_voter(rows[i].id);

        request.remove_voter.voter.directory_id = bench_directory(rows[i].directory);
        bench_request(bench, request);
        assert_int_equal(bench->last_reply.error, rows[i].err);
        if (rows[i].err == ERR_INVALID_REQUEST)
            assert_string_equal(bench->last_reply.error_text,
                                "Remove voter request didn't include a valid voter");
    }
}

/* Before anything is proposed. */
static void voter_of_a_negative_id_or_without_a_directory_is_not_added(void **state)
{
    static const struct {
        int32_t id;
        int directory; /* 0: none */
    } rows[] = {{-1, 4}, {INT32_MIN, 4}, {4, 0}};
    struct bench *bench = *state;

    lead_dynamic(bench, 3);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct raft_request request = add_voter(bench, 4);

        request.add_voter.voter.id = rows[i].id;
        request.add_voter.voter.directory_id = bench_directory(rows[i].directory);
        assert_null(strstr(bench_request(bench, request), "control"));
        assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
        assert_string_equal(bench->last_reply.error_text,
                            "Add voter request didn't include a valid voter");
        request = update_voter(bench, 2, 0, 1);
        request.update_voter.voter.id = rows[i].id;
        request.update_voter.voter.directory_id = bench_directory(rows[i].directory);
        assert_null(strstr(bench_request(bench, request), "control"));
        assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    }
}

static void leader_that_removed_itself_goes_on_telling_the_one_voter_left(void **state)
{
    struct bench *bench = *state;
    struct raft_request begin = {.api = RAFT_API_BEGIN_QUORUM_EPOCH,
                                 .begin = {.voter.id = -1, .leader_id = 1, .leader_epoch = 1}};

    lead_dynamic(bench, 2);
    assert_string_equal(bench_request(bench, remove_voter(1)),
                        "control at=3 epoch=1 set=2\n"
                        "voters kraft=1 2\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=3 read=3\n");
    /* A peer that tells this leader of itself says nothing new, whether it is in the set or not. */
    bench_request(bench, begin);
    assert_int_equal(bench->last_reply.error, OK);
    assert_string_equal(bench_role(bench), "Leader 1");
    bench_request(bench, (struct raft_request){.api = RAFT_API_DESCRIBE_QUORUM});
    assert_int_equal(bench->last_reply.describe.voter_count, 1);
    assert_int_equal(bench->last_reply.describe.observer_count, 1);
    assert_non_null(strstr(bench_pass(bench, 2000), "send 2 BeginQuorumEpoch epoch=1\n"));
    bench_request(bench, bench_fetch(2, 1, 4, 1));
    assert_string_equal(bench_role(bench), "Resigned 1");
}

/* ---- updating ---- */

static void update_is_refused_by_its_range_its_voter_or_the_moment(void **state)
{
    static const struct {
        int id;
        int16_t min, max;
        enum err err;
    } rows[] = {
        {2, -1, 1, ERR_INVALID_REQUEST},  {2, 1, 0, ERR_INVALID_REQUEST},
        {2, 0, 0, ERR_INVALID_REQUEST},   {2, 2, 3, ERR_INVALID_REQUEST},
        {7, 0, 1, ERR_VOTER_NOT_FOUND},   {2, 0, 1, OK},
        {3, 0, 1, ERR_REQUEST_TIMED_OUT}, /* the update before it is not committed */
    };
    struct bench *bench = *state;

    lead_dynamic(bench, 3);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bench_request(bench, update_voter(bench, rows[i].id, rows[i].min, rows[i].max));
        assert_int_equal(bench->last_reply.error, rows[i].err);
        assert_int_equal(bench->last_reply.leader_id, 1);
    }
}

static void update_of_a_set_in_the_log_is_appended(void **state)
{
    struct bench *bench = *state;

    lead_dynamic(bench, 3);
    assert_string_equal(bench_request(bench, update_voter(bench, 2, 0, 2)),
                        "control at=3 epoch=1 set=1,2,3\n"
                        "voters kraft=1 1,2,3\n"
                        "reply UpdateRaftVoter NONE leader=1 epoch=1\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=3 read=3\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=3 read=3\n");
}

static void update_that_names_the_leader_does_not_count_as_a_sign_of_a_follower(void **state)
{
    struct bench *bench = *state;

    lead_dynamic(bench, 2);
    for (int64_t ms = 0; ms < 2900; ms += 100) {
        bench_pass(bench, 100);
        bench_request(bench, update_voter(bench, 1, 0, 1));
    }
    bench_pass(bench, 200);
    assert_string_equal(bench_role(bench), "Resigned 1");
}

static void configured_voter_is_updated_in_memory_by_its_id(void **state)
{
    static const struct {
        int id;
        int16_t min, max;
        enum err err;
    } rows[] = {{2, 1, 1, ERR_INVALID_REQUEST}, {7, 0, 1, ERR_VOTER_NOT_FOUND}, {2, 0, 1, OK}};
    struct bench *bench = *state;

    bench_start_static(bench, 2);
    bench_lead(bench);
    bench_request(bench, bench_fetch(2, 1, 1, 1));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bench_request(bench, update_voter(bench, rows[i].id, rows[i].min, rows[i].max));
        assert_int_equal(bench->last_reply.error, rows[i].err);
    }
}

/* ---- kraft.version ---- */

static const char *upgrade(struct bench *bench, int32_t epoch, int16_t level, bool validate_only)
{
    return bench_feed(bench,
                      (struct raft_event){.kind = RAFT_EVENT_KRAFT_UPGRADE,
                                          .kraft_upgrade = {5, epoch, level, validate_only}});
}

static void only_the_leader_of_the_epoch_upgrades(void **state)
{
    struct bench *bench = *state;

    bench_start_dynamic(bench, 3);
    assert_string_equal(upgrade(bench, 0, 1, false), "upgraded NOT_CONTROLLER\n");
    bench_lead(bench);
    assert_string_equal(upgrade(bench, 2, 1, false), "upgraded NOT_CONTROLLER\n");
    assert_string_equal(upgrade(bench, 1, 1, false), "upgraded NONE\n");
    assert_string_equal(upgrade(bench, 1, 2, false), "upgraded INVALID_UPDATE_VERSION\n");
}

static void upgrade_that_is_only_tried_appends_nothing(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 2);
    bench_lead(bench);
    bench_request(bench, bench_fetch(2, 1, 1, 1));
    bench_request(bench, update_voter(bench, 2, 0, 1));
    assert_string_equal(upgrade(bench, 1, 1, true), "upgraded NONE\n");
}

static void upgrade_needs_every_voter_to_support_the_level(void **state)
{
    struct bench *bench = *state;

    bench->options.kraft_version_min = 2;
    bench->options.kraft_version_max = 2;
    bench_start_static(bench, 1);
    assert_string_equal(upgrade(bench, 1, 1, false), "upgraded INVALID_UPDATE_VERSION\n");
    assert_string_equal(upgrade(bench, 1, 3, false), "upgraded INVALID_UPDATE_VERSION\n");
}

static void upgrade_needs_the_directory_of_every_voter(void **state)
{
    struct bench *bench = *state;

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 0);
    bench->voters[1].kraft_version_max = 1;
    bench_start(bench, &(struct raft_start){0});
    bench_lead(bench);
    assert_string_equal(upgrade(bench, 1, 1, false), "upgraded INVALID_UPDATE_VERSION\n");
}

/* ---- telling ---- */

static void quorum_is_described_by_its_leader_for_the_metadata_partition(void **state)
{
    struct bench *bench = *state;
    struct raft_request describe = {.api = RAFT_API_DESCRIBE_QUORUM};

    bench_start_dynamic(bench, 3);
    bench_request(bench, describe);
    assert_int_equal(bench->last_reply.error, ERR_NOT_LEADER_OR_FOLLOWER);
    bench_lead(bench);
    describe.metadata_partition = true;
    bench_request_raw(bench, describe);
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    describe.metadata_partition = false;
    describe.one_partition = true;
    bench_request_raw(bench, describe);
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static int32_t observers_of(struct bench *bench)
{
    bench_request(bench, (struct raft_request){.api = RAFT_API_DESCRIBE_QUORUM});
    assert_int_equal(bench->last_reply.error, OK);
    return (int32_t)bench->last_reply.describe.observer_count;
}

static bool is_observed(struct bench *bench, int32_t id)
{
    (void)observers_of(bench);
    for (size_t i = 0; i < bench->last_reply.describe.observer_count; i++)
        if (bench->last_reply.describe.observers[i].key.id == id)
            return true;
    return false;
}

/* Peers may call themselves what they like: what the leader knows of them stays small. */
static void observers_are_a_thousand_at_most_and_the_others_are_served(void **state)
{
    struct bench *bench = *state;

    bench_start_dynamic(bench, 1);
    bench_request(bench, bench_fetch(4, 1, 3, 1));
    for (int id = 10; id < 1500; id++)
        bench_request(bench, bench_fetch(id, 1, 3, 1));
    assert_int_equal(observers_of(bench), 1000);
    assert_true(is_observed(bench, 4));
    bench_request(bench, bench_fetch(2000, 1, 2, 1));
    assert_int_equal(bench->last_reply.error, OK);
    assert_int_equal(bench->last_reply.fetch.read_offset, 2);
    assert_false(is_observed(bench, 2000));
    assert_string_equal(bench_role(bench), "Leader 1");
}

/* Nobody describes the quorum: the array of those who come and go grows no more. */
static void silent_observers_make_room_for_new_ones(void **state)
{
    struct bench *bench = *state;
    struct allocator_failing heap;
    int64_t bytes_in_use = 0;

    allocator_failing_init(&heap, &heap_allocator, -1, false);
    bench->allocator = &heap.base;
    bench_start_dynamic(bench, 1);
    for (int round = 0; round < 60; round++) {
        bench_pass(bench, 150000);
        bench_pass(bench, 150001);
        for (int id = 0; id < 30; id++)
            bench_request(bench, bench_fetch(10 + round * 30 + id, 1, 2, 1));
        if (round == 5)
            bytes_in_use = heap.bytes_in_use;
    }
    assert_true(heap.bytes_in_use <= bytes_in_use);
    assert_int_equal(observers_of(bench), 30);
    assert_true(is_observed(bench, 10 + 59 * 30));
    bench_release(bench);
    bench_init(bench, 1); /* the heap of this test ends here */
}

static void observer_is_forgotten_after_five_silent_minutes(void **state)
{
    struct bench *bench = *state;
    struct raft_request describe = {.api = RAFT_API_DESCRIBE_QUORUM};
    struct raft_request other = bench_fetch(4, 1, 3, 1);

    bench_start_dynamic(bench, 1);
    bench_request(bench, bench_fetch(4, 1, 3, 1));
    other.fetch.replica.directory_id = bench_directory(5); /* the same id on another disk */
    bench_request(bench, other);
    bench_request(bench, describe);
    assert_int_equal(bench->last_reply.describe.observer_count, 2);
    bench_pass(bench, 200000);
    bench_request(bench, other);
    bench_pass(bench, 100600);
    bench_request(bench, describe);
    assert_int_equal(bench->last_reply.describe.observer_count, 1);
}

static void equal_successors_are_named_by_their_ids(void **state)
{
    struct bench *bench = *state;
    struct raft_voters voters = bench_voters(bench, 0, 2, 3, 0);
    struct raft_voters_at at = {-1, voters};
    struct raft_kraft_version_at kraft_version = {-1, 1};

    bench->options.self = bench_key(2);
    bench_start(bench, &(struct raft_start){.voters = &at,
                                            .voters_count = 1,
                                            .kraft_versions = &kraft_version,
                                            .kraft_version_count = 1});
    bench_lead(bench);
    bench_request(bench, bench_fetch(3, 1, 3, 1));
    bench_request(bench, bench_fetch(1, 1, 3, 1)); /* comes later, with a lower id */
    bench_request(bench, add_voter(bench, 1));
    bench_reply(bench, versions(0, 1));
    assert_string_equal(
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1}),
        "reply AddRaftVoter NOT_LEADER_OR_FOLLOWER leader=2 epoch=1\n"
        "role Resigned epoch=1 leader=2\n"
        "send 1 EndQuorumEpoch epoch=1 preferred=1,3\n"
        "send 3 EndQuorumEpoch epoch=1 preferred=1,3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(new_voter_whose_range_does_not_hold_the_version_is_refused),
        TEST(new_voter_that_answers_with_an_error_is_given_up),
        TEST(range_that_comes_after_the_change_was_given_up_changes_nothing),
        TEST(observer_that_has_not_been_heard_for_an_hour_lags),
        TEST(observer_that_never_reached_the_end_lags),
        TEST(add_that_is_not_to_wait_is_answered_before_the_commit),
        TEST(voter_without_directory_stands_as_undefined_in_the_text),
        TEST(voter_to_remove_must_be_named_whole),
        TEST(voter_of_a_negative_id_or_without_a_directory_is_not_added),
        TEST(leader_that_removed_itself_goes_on_telling_the_one_voter_left),
        TEST(update_is_refused_by_its_range_its_voter_or_the_moment),
        TEST(update_of_a_set_in_the_log_is_appended),
        TEST(update_that_names_the_leader_does_not_count_as_a_sign_of_a_follower),
        TEST(configured_voter_is_updated_in_memory_by_its_id),
        TEST(only_the_leader_of_the_epoch_upgrades),
        TEST(upgrade_that_is_only_tried_appends_nothing),
        TEST(upgrade_needs_every_voter_to_support_the_level),
        TEST(upgrade_needs_the_directory_of_every_voter),
        TEST(quorum_is_described_by_its_leader_for_the_metadata_partition),
        TEST(observers_are_a_thousand_at_most_and_the_others_are_served),
        TEST(silent_observers_make_room_for_new_ones),
        TEST(observer_is_forgotten_after_five_silent_minutes),
        TEST(equal_successors_are_named_by_their_ids),
    };

    BENCH_RUN(tests);
}
