/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Static members of classic groups (KIP-345). groups.md §3.4 and §8 of the reference.
 */
#include "support.h"

#define DELAY_MS 3000

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    fixture_start(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_end(*state);
    free(*state);
    return 0;
}

static const char *kept(struct fixture *fixture, struct slice member_id)
{
    return arena_format(&fixture->arena, "%.*s", SLICE_ARGS(member_id));
}

/* A dynamic leader and the static member "i", Stable in generation 1. */
static void stable_with_static(struct fixture *fixture, const char **leader, const char **member)
{
    uint64_t one = enter(fixture, (struct join){0}, leader);
    uint64_t two = send_join(fixture, (struct join){.instance = "i"});

    fixture_advance(fixture, 2 * DELAY_MS);
    *member = kept(fixture, joined(fixture, two)->member_id);
    assert_true(slice_starts_with(joined(fixture, two)->member_id, SLICE("i-")));
    assert_int_equal(joined(fixture, one)->generation_id, 1);
    send_sync(fixture, (struct sync){.member = *member, .instance = "i", .generation = 1});
    send_sync(fixture, (struct sync){.member = *leader,
                                     .generation = 1,
                                     .count = 2,
                                     .members = {*leader, *member},
                                     .assignments = {"one", "two"}});
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
}

static void a_static_member_that_comes_back_unchanged_does_not_disturb(void **state) /* 15 */
{
    struct fixture *fixture = *state;
    const char *leader, *old, *new;
    uint64_t join, sync;

    stable_with_static(fixture, &leader, &old);
    fixture->hold_commits = true;
    join = send_join(fixture, (struct join){.instance = "i"});
    assert_null(joined(fixture, join)); /* not before it is stored */
    fixture_commit(fixture);
    fixture->hold_commits = false;
    assert_int_equal(joined(fixture, join)->error_code, 0);
    assert_int_equal(joined(fixture, join)->generation_id, 1);
    assert_true(slice_equal_text(joined(fixture, join)->leader, leader));
    assert_false(joined(fixture, join)->skip_assignment);
    new = kept(fixture, joined(fixture, join)->member_id);
    assert_string_not_equal(new, old);
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    sync = send_sync(fixture, (struct sync){.member = new, .instance = "i", .generation = 1});
    assert_true(slice_equal_text(synced(fixture, sync)->assignment, "two"));
    fixture_check_replay(fixture);
}

static void the_old_id_is_fenced_everywhere(void **state) /* 15 */
{
    struct fixture *fixture = *state;
    const char *leader, *old;
    uint64_t sync, join;

    stable_with_static(fixture, &leader, &old);
    send_join(fixture, (struct join){.instance = "i"});
    assert_code(heartbeat_static(fixture, "g", old, "i", 1), ERR_FENCED_INSTANCE_ID);
    assert_code(heartbeat(fixture, "g", old, 1), ERR_UNKNOWN_MEMBER_ID);
    assert_code(leave(fixture, "g", old, "i"), ERR_FENCED_INSTANCE_ID);
    assert_code(commit(fixture, (struct commit){.member = old, .instance = "i", .generation = 1}),
                ERR_FENCED_INSTANCE_ID);
    sync = send_sync(fixture, (struct sync){.member = old, .instance = "i", .generation = 1});
    assert_code(synced(fixture, sync)->error_code, ERR_FENCED_INSTANCE_ID);
    join = send_join(fixture, (struct join){.member = old, .instance = "i"});
    assert_code(joined(fixture, join)->error_code, ERR_FENCED_INSTANCE_ID);
}

static void a_static_leader_that_comes_back_is_told_to_skip_the_assignment(void **state)
{
    struct fixture *fixture = *state;
    uint64_t join = send_join(fixture, (struct join){.instance = "i"});
    const char *first, *second;

    fixture_advance(fixture, DELAY_MS);
    first = kept(fixture, joined(fixture, join)->member_id);
    send_sync(fixture, (struct sync){.member = first,
                                     .generation = 1,
                                     .count = 1,
                                     .members = {first},
                                     .assignments = {"all"}});
    join = send_join(fixture, (struct join){.instance = "i"});
    second = kept(fixture, joined(fixture, join)->member_id);
    assert_true(joined(fixture, join)->skip_assignment);
    assert_true(slice_equal_text(joined(fixture, join)->leader, second));
    assert_int_equal(joined(fixture, join)->members_count, 1);
    /* Before version 9 nothing can be skipped: it is told that another one leads. */
    join = send_join(fixture, (struct join){.instance = "i", .version = 8});
    assert_false(joined(fixture, join)->skip_assignment);
    assert_true(slice_equal_text(joined(fixture, join)->leader, second));
    assert_int_equal(joined(fixture, join)->members_count, 0);
    assert_false(slice_equal_text(joined(fixture, join)->member_id, second));
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
}

static void a_replacement_that_cannot_be_stored_is_undone(void **state)
{
    struct fixture *fixture = *state;
    const char *leader, *old;
    uint64_t join;

    stable_with_static(fixture, &leader, &old);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    join = send_join(fixture, (struct join){.instance = "i", .metadata = "other"});
    assert_code(joined(fixture, join)->error_code, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(joined(fixture, join)->member_id.size_bytes, 0);
    assert_int_equal(heartbeat_static(fixture, "g", old, "i", 1), 0);
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    fixture_check_replay(fixture);
}

static void a_static_member_that_changes_the_vote_begins_a_rebalance(void **state)
{
    struct fixture *fixture = *state;
    uint64_t one = send_join(
        fixture, (struct join){.instance = "a", .protocol = "range", .second_protocol = "sticky"});
    const char *member;

    fixture_advance(fixture, DELAY_MS);
    member = kept(fixture, joined(fixture, one)->member_id);
    assert_true(slice_equal_text(joined(fixture, one)->protocol_name, "range"));
    send_sync(fixture, (struct sync){.member = member, .generation = 1});
    one = send_join(
        fixture, (struct join){.instance = "a", .protocol = "sticky", .second_protocol = "range"});
    /* alone, so the phase is complete at once */
    assert_int_equal(joined(fixture, one)->generation_id, 2);
    assert_true(slice_equal_text(joined(fixture, one)->protocol_name, "sticky"));
}

static void a_static_member_that_comes_back_while_completing_begins_a_rebalance(void **state)
{
    struct fixture *fixture = *state;
    const char *leader;
    uint64_t one = enter(fixture, (struct join){0}, &leader), sync, again;

    send_join(fixture, (struct join){.instance = "i"});
    fixture_advance(fixture, 2 * DELAY_MS);
    assert_string_equal(state_of_group(fixture, "g"), "CompletingRebalance");
    assert_int_equal(joined(fixture, one)->members_count, 2);
    again = send_join(fixture, (struct join){.instance = "i"});
    assert_null(joined(fixture, again));
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    sync = send_sync(fixture, (struct sync){.member = leader, .generation = 1});
    assert_code(synced(fixture, sync)->error_code, ERR_REBALANCE_IN_PROGRESS);
}

static void two_processes_with_one_instance_id_fence_each_other(void **state) /* 16 */
{
    struct fixture *fixture = *state;
    uint64_t one = send_join(fixture, (struct join){.instance = "i"});
    uint64_t two = send_join(fixture, (struct join){.instance = "i"});
    uint64_t three;

    assert_code(joined(fixture, one)->error_code, ERR_FENCED_INSTANCE_ID);
    assert_null(joined(fixture, two));
    three = send_join(fixture, (struct join){.instance = "i"});
    assert_code(joined(fixture, two)->error_code, ERR_FENCED_INSTANCE_ID);
    fixture_advance(fixture, DELAY_MS);
    assert_int_equal(joined(fixture, three)->error_code, 0);
    assert_int_equal(joined(fixture, three)->members_count, 1);
}

static void a_silent_static_member_stays_until_its_session_ends(void **state)
{
    struct fixture *fixture = *state;
    const char *leader, *member;
    uint64_t join;

    stable_with_static(fixture, &leader, &member);
    join = send_join(fixture, (struct join){.member = leader, .rebalance_ms = 5000});
    fixture_advance(fixture, 9999);
    assert_null(joined(fixture, join));
    fixture_advance(fixture, 1); /* its session ends before the phase does */
    assert_non_null(joined(fixture, join));
    assert_int_equal(joined(fixture, join)->members_count, 1);
}

static void a_static_member_that_misses_the_phase_is_still_a_member(void **state)
{
    struct fixture *fixture = *state;
    const char *leader, *member;
    uint64_t join;

    stable_with_static(fixture, &leader, &member);
    join = send_join(fixture, (struct join){.member = leader});
    for (int i = 0; i < 6; i++) {
        fixture_advance(fixture, 9999);
        assert_code(heartbeat_static(fixture, "g", member, "i", 1), ERR_REBALANCE_IN_PROGRESS);
    }
    fixture_advance(fixture, 10);
    assert_non_null(joined(fixture, join));
    assert_int_equal(joined(fixture, join)->members_count, 2);
}

static void
silent_static_members_keep_the_phase_open_until_their_sessions_end(void **state) /* 17 */
{
    struct fixture *fixture = *state;
    uint64_t one = send_join(
        fixture, (struct join){.instance = "a", .session_ms = 30000, .rebalance_ms = 4000});
    uint64_t two = send_join(
        fixture, (struct join){.instance = "b", .session_ms = 30000, .rebalance_ms = 4000});
    const char *a, *b;

    fixture_advance(fixture, 2 * DELAY_MS);
    a = kept(fixture, joined(fixture, one)->member_id);
    b = kept(fixture, joined(fixture, two)->member_id);
    send_sync(fixture, (struct sync){.member = a, .instance = "a", .generation = 1});
    send_sync(fixture, (struct sync){.member = b, .instance = "b", .generation = 1});
    /* somebody comes and goes: the phase has begun, nobody rejoins */
    one = enter(fixture, (struct join){.rebalance_ms = 4000}, &a);
    assert_int_equal(leave(fixture, "g", a, NULL), 0);
    fixture_advance(fixture, 12000);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    fixture_advance(fixture, 30000);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    fixture_check_replay(fixture);
}

static void an_administrator_removes_a_static_member_by_its_instance_id(void **state) /* 20 */
{
    struct fixture *fixture = *state;
    const char *leader, *member;

    stable_with_static(fixture, &leader, &member);
    assert_code(leave(fixture, "g", "", "other"), ERR_UNKNOWN_MEMBER_ID);
    assert_code(leave(fixture, "g", "", NULL), ERR_UNKNOWN_MEMBER_ID);
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    assert_int_equal(leave(fixture, "g", "", "i"), 0);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    assert_code(heartbeat_static(fixture, "g", member, "i", 1), ERR_UNKNOWN_MEMBER_ID);
}

static void static_members_are_known_after_a_load(void **state)
{
    struct fixture *fixture = *state;
    const char *leader, *member;
    uint64_t join;

    stable_with_static(fixture, &leader, &member);
    fixture_load(fixture);
    assert_int_equal(heartbeat_static(fixture, "g", member, "i", 1), 0);
    join = send_join(fixture, (struct join){.instance = "i"});
    assert_int_equal(joined(fixture, join)->error_code, 0);
    assert_int_equal(joined(fixture, join)->generation_id, 1);
    assert_code(heartbeat_static(fixture, "g", member, "i", 1), ERR_FENCED_INSTANCE_ID);
}

static void an_id_given_out_cannot_be_used_with_an_instance_id(void **state)
{
    struct fixture *fixture = *state;
    const char *member = ask_member_id(fixture, (struct join){0});
    uint64_t join = send_join(fixture, (struct join){.member = member, .instance = "i"});

    assert_code(joined(fixture, join)->error_code, ERR_UNKNOWN_SERVER_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_static_member_that_comes_back_unchanged_does_not_disturb),
        TEST(the_old_id_is_fenced_everywhere),
        TEST(a_static_leader_that_comes_back_is_told_to_skip_the_assignment),
        TEST(a_replacement_that_cannot_be_stored_is_undone),
        TEST(a_static_member_that_changes_the_vote_begins_a_rebalance),
        TEST(a_static_member_that_comes_back_while_completing_begins_a_rebalance),
        TEST(two_processes_with_one_instance_id_fence_each_other),
        TEST(a_silent_static_member_stays_until_its_session_ends),
        TEST(a_static_member_that_misses_the_phase_is_still_a_member),
        TEST(silent_static_members_keep_the_phase_open_until_their_sessions_end),
        TEST(an_administrator_removes_a_static_member_by_its_instance_id),
        TEST(static_members_are_known_after_a_load),
        TEST(an_id_given_out_cannot_be_used_with_an_instance_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
