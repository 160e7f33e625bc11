/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic groups: joining, syncing, heartbeats, leaving, and every error of theirs. groups.md §3
 * and §8 of the reference, whose numbers stand at the tests.
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

/* Two members, "a" leads, Stable; generation 1. */
struct pair {
    const char *leader, *follower;
    int32_t generation;
};

static struct pair stable_two(struct fixture *fixture)
{
    struct pair pair;
    uint64_t one = enter(fixture, (struct join){0}, &pair.leader);
    uint64_t two = enter(fixture, (struct join){0}, &pair.follower);
    uint64_t sync_two, sync_one;

    fixture_advance(fixture, 2 * DELAY_MS);
    assert_non_null(joined(fixture, one));
    assert_non_null(joined(fixture, two));
    pair.generation = joined(fixture, one)->generation_id;
    sync_two =
        send_sync(fixture, (struct sync){.member = pair.follower, .generation = pair.generation});
    assert_null(synced(fixture, sync_two));
    sync_one = send_sync(fixture, (struct sync){.member = pair.leader,
                                                .generation = pair.generation,
                                                .count = 2,
                                                .members = {pair.leader, pair.follower},
                                                .assignments = {"one", "two"}});
    assert_true(slice_equal_text(synced(fixture, sync_one)->assignment, "one"));
    assert_true(slice_equal_text(synced(fixture, sync_two)->assignment, "two"));
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    return pair;
}

/* ---- JoinGroup: what is refused ---- */

static void a_join_that_selects_nothing_has_no_protocol_name_once_that_may_be_null(void **state)
{
    struct fixture *fixture = *state;
    const struct join rows[] = {{.session_ms = 1},
                                {.member = "nobody"},
                                {.group = ""},
                                {.instance = "i", .member = "nobody"}};
    uint64_t token;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (int16_t version = 5; version <= 9; version++) {
            struct join join = rows[i];

            join.version = version;
            token = send_join(fixture, join);
            assert_true(joined(fixture, token)->error_code != 0);
            assert_true(slice_is_null(joined(fixture, token)->protocol_name) == (version >= 7));
        }
    token = send_join(fixture, (struct join){.version = 9});
    assert_code(joined(fixture, token)->error_code, ERR_MEMBER_ID_REQUIRED);
    assert_true(slice_is_null(joined(fixture, token)->protocol_name));
}

static void what_join_refuses(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct join join;
        enum err expected;
    } rows[] = {
        {{.group = ""}, ERR_INVALID_GROUP_ID},
        {{.session_ms = 5999}, ERR_INVALID_SESSION_TIMEOUT},
        {{.session_ms = 1800001}, ERR_INVALID_SESSION_TIMEOUT},
        {{.member = "nobody"}, ERR_UNKNOWN_MEMBER_ID},
        {{.type = ""}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.protocol = ""}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.group = "stable", .type = "connect"}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.group = "stable", .protocol = "other"}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.group = "stable", .member = "nobody"}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "stable", .member = "nobody", .instance = "i"}, ERR_UNKNOWN_MEMBER_ID},
    };

    stable_one(fixture, "stable");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        size_t records = fixture->log_count;
        uint64_t token = send_join(fixture, rows[i].join);

        assert_non_null(joined(fixture, token));
        assert_code(joined(fixture, token)->error_code, rows[i].expected);
        assert_int_equal(fixture->log_count, records);
    }
    assert_string_equal(state_of_group(fixture, "stable"), "Stable");
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

static void member_id_required_on_a_new_group_persists_an_empty_group(void **state) /* 7 */
{
    struct fixture *fixture = *state;
    struct group_metadata_value value;
    struct cursor cursor;
    int16_t version;

    ask_member_id(fixture, (struct join){0});
    assert_int_equal(fixture->log_count, 1);
    cursor = cursor_of(fixture->log[0].record.value);
    assert_int_equal(cursor_i16(&cursor, &version), OK);
    assert_int_equal(version, 3);
    assert_int_equal(
        message_decode(&group_metadata_value_type, version, &cursor, &fixture->arena, &value), OK);
    assert_int_equal(value.generation, 0);
    assert_int_equal(value.protocol_type.size_bytes, 0);
    assert_int_equal(value.members_count, 0);
}

static void old_clients_are_members_without_a_second_round(void **state)
{
    struct fixture *fixture = *state;
    uint64_t join = send_join(fixture, (struct join){.version = 3});

    fixture_advance(fixture, DELAY_MS);
    assert_non_null(joined(fixture, join));
    assert_int_equal(joined(fixture, join)->error_code, 0);
    assert_int_equal(joined(fixture, join)->generation_id, 1);
    assert_true(slice_starts_with(joined(fixture, join)->member_id, SLICE("client-")));
    assert_int_equal(joined(fixture, join)->member_id.size_bytes, strlen("client-") + 36);
}

static void
an_id_given_out_and_not_used_blocks_the_phase_until_its_session_ends(void **state) /* 6 */
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t one, two;

    ask_member_id(fixture, (struct join){.session_ms = 6000});
    one = send_join(fixture, (struct join){.member = pair.leader});
    two = send_join(fixture, (struct join){.member = pair.follower});
    assert_null(joined(fixture, one));
    fixture_advance(fixture, 5999);
    assert_null(joined(fixture, two));
    fixture_advance(fixture, 1);
    assert_non_null(joined(fixture, one));
    assert_int_equal(joined(fixture, two)->generation_id, pair.generation + 1);
}

static void ids_given_out_are_forgotten_by_a_failover(void **state) /* 8 */
{
    struct fixture *fixture = *state;
    const char *member = ask_member_id(fixture, (struct join){0});
    uint64_t join;

    fixture_load(fixture);
    join = send_join(fixture, (struct join){.member = member});
    assert_code(joined(fixture, join)->error_code, ERR_UNKNOWN_MEMBER_ID);
}

/* ---- the first phase ---- */

static void the_first_phase_waits_for_more_members_within_the_rebalance_timeout(void **state)
{
    struct fixture *fixture = *state;
    uint64_t one = enter(fixture, (struct join){.rebalance_ms = 7000}, NULL), two, three;

    fixture_advance(fixture, DELAY_MS - 1);
    two = enter(fixture, (struct join){.rebalance_ms = 7000}, NULL);
    fixture_advance(fixture, 1);
    assert_null(joined(fixture, one)); /* 3 s more, 1 s left then */
    fixture_advance(fixture, DELAY_MS - 1);
    three = enter(fixture, (struct join){.rebalance_ms = 7000}, NULL);
    fixture_advance(fixture, 1);
    assert_null(joined(fixture, two));
    fixture_advance(fixture, 1000);
    assert_non_null(joined(fixture, one));
    assert_non_null(joined(fixture, two));
    assert_non_null(joined(fixture, three));
}

static void the_first_phase_never_ends_early(void **state)
{
    struct fixture *fixture = *state;
    uint64_t one = enter(fixture, (struct join){0}, NULL);

    fixture_advance(fixture, DELAY_MS - 1);
    assert_null(joined(fixture, one));
    fixture_advance(fixture, 1);
    assert_non_null(joined(fixture, one));
}

static void everybody_leaving_in_the_first_phase_leaves_an_empty_generation(void **state)
{
    struct fixture *fixture = *state;
    const char *member;
    uint64_t join = enter(fixture, (struct join){0}, &member);

    assert_int_equal(leave(fixture, "g", member, NULL), 0);
    assert_code(joined(fixture, join)->error_code, ERR_UNKNOWN_MEMBER_ID);
    fixture_advance(fixture, DELAY_MS);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    assert_int_equal(group_classic(group_find(fixture->coordinator, SLICE("g")))->generation, 1);
    fixture_check_replay(fixture);
}

static void only_the_leader_gets_the_members(void **state)
{
    struct fixture *fixture = *state;
    const char *first;
    uint64_t one = enter(fixture, (struct join){.metadata = "m1"}, &first);
    uint64_t two = enter(fixture, (struct join){.metadata = "m2"}, NULL);

    fixture_advance(fixture, 2 * DELAY_MS);
    assert_true(slice_equal_text(joined(fixture, one)->leader, first));
    assert_true(slice_equal_text(joined(fixture, two)->leader, first));
    assert_int_equal(joined(fixture, one)->members_count, 2);
    assert_int_equal(joined(fixture, two)->members_count, 0);
    assert_true(slice_equal_text(joined(fixture, one)->members[1].metadata, "m2"));
    assert_true(slice_equal_text(joined(fixture, two)->protocol_type, "consumer"));
}

static void the_protocol_with_most_votes_among_those_of_all_wins(void **state)
{
    struct fixture *fixture = *state;
    uint64_t one =
        enter(fixture, (struct join){.protocol = "range", .second_protocol = "sticky"}, NULL);

    enter(fixture, (struct join){.protocol = "sticky", .second_protocol = "range"}, NULL);
    enter(fixture, (struct join){.protocol = "sticky", .second_protocol = "range"}, NULL);
    fixture_advance(fixture, 3 * DELAY_MS);
    assert_true(slice_equal_text(joined(fixture, one)->protocol_name, "sticky"));
    assert_code(joined(fixture, send_join(fixture, (struct join){.protocol = "other"}))->error_code,
                ERR_INCONSISTENT_GROUP_PROTOCOL);
}

/* ---- rebalances ---- */

static void a_leader_always_rebalances_and_a_follower_only_with_new_metadata(void **state) /* 18 */
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t same = send_join(fixture, (struct join){.member = pair.follower}), changed;

    assert_int_equal(joined(fixture, same)->generation_id, pair.generation);
    assert_int_equal(joined(fixture, same)->members_count, 0);
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    changed = send_join(fixture, (struct join){.member = pair.follower, .metadata = "other"});
    assert_null(joined(fixture, changed));
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    send_join(fixture, (struct join){.member = pair.leader});
    assert_int_equal(joined(fixture, changed)->generation_id, pair.generation + 1);
    /* CompletingRebalance: the same again is answered, to the leader with members */
    same = send_join(fixture, (struct join){.member = pair.leader});
    assert_int_equal(joined(fixture, same)->members_count, 2);
    assert_int_equal(joined(fixture, same)->generation_id, pair.generation + 1);
    changed = send_join(fixture, (struct join){.member = pair.leader, .metadata = "new"});
    assert_null(joined(fixture, changed));
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
}

static void a_rejoining_leader_begins_a_rebalance(void **state) /* 18 */
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t join = send_join(fixture, (struct join){.member = pair.leader});

    assert_null(joined(fixture, join));
    assert_code(heartbeat(fixture, "g", pair.follower, pair.generation), ERR_REBALANCE_IN_PROGRESS);
    assert_non_null(strstr(fixture->log_text, "group_rebalanced group=g generation=1"));
}

static void who_does_not_rejoin_in_time_is_out_and_another_leads(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t join = send_join(fixture, (struct join){.member = pair.follower, .metadata = "other"});

    for (int i = 0; i < 6; i++) { /* the leader lives, but does not rejoin */
        fixture_advance(fixture, 9999);
        assert_code(heartbeat(fixture, "g", pair.leader, pair.generation),
                    ERR_REBALANCE_IN_PROGRESS);
    }
    assert_null(joined(fixture, join));
    fixture_advance(fixture, 60000 - 6 * 9999);
    assert_non_null(joined(fixture, join));
    assert_true(slice_equal_text(joined(fixture, join)->leader, pair.follower));
    assert_int_equal(joined(fixture, join)->members_count, 1);
    assert_code(heartbeat(fixture, "g", pair.leader, pair.generation + 1), ERR_UNKNOWN_MEMBER_ID);
    assert_non_null(strstr(fixture->log_text, "group_members_did_not_rejoin"));
}

static void a_session_that_ends_in_stable_begins_a_rebalance(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);

    fixture_advance(fixture, 9000);
    assert_int_equal(heartbeat(fixture, "g", pair.leader, pair.generation), 0);
    fixture_advance(fixture, 1000);
    assert_code(heartbeat(fixture, "g", pair.follower, pair.generation), ERR_UNKNOWN_MEMBER_ID);
    assert_code(heartbeat(fixture, "g", pair.leader, pair.generation), ERR_REBALANCE_IN_PROGRESS);
    assert_non_null(strstr(fixture->log_text, "group_member_expired"));
}

static void a_parked_member_is_not_expired_but_a_new_one_is_after_five_minutes(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t old =
        send_join(fixture, (struct join){.member = pair.follower, .rebalance_ms = 600000});
    uint64_t new;

    /* the leader keeps everybody waiting */
    old = send_join(
        fixture,
        (struct join){.member = pair.follower, .metadata = "other", .rebalance_ms = 600000});
    new = enter(fixture, (struct join){.rebalance_ms = 600000}, NULL);
    for (int i = 0; i < 30; i++) {
        assert_null(joined(fixture, new));
        fixture_advance(fixture, 9999);
        heartbeat(fixture, "g", pair.leader, pair.generation);
    }
    fixture_advance(fixture, 30);
    assert_code(joined(fixture, new)->error_code, ERR_UNKNOWN_MEMBER_ID);
    assert_null(joined(fixture, old));
}

static void a_leader_that_dies_before_its_sync_costs_all_that_have_not_synced(void **state) /* 10 */
{
    struct fixture *fixture = *state;
    const char *leader, *follower;
    uint64_t one = enter(fixture, (struct join){.session_ms = 100000}, &leader), sync;
    int32_t generation;

    enter(fixture, (struct join){.session_ms = 100000}, &follower);
    fixture_advance(fixture, 2 * DELAY_MS);
    generation = joined(fixture, one)->generation_id;
    sync = send_sync(fixture, (struct sync){.member = follower, .generation = generation});
    fixture_advance(fixture, 59999);
    assert_null(synced(fixture, sync));
    fixture_advance(fixture, 1);
    assert_code(synced(fixture, sync)->error_code, ERR_REBALANCE_IN_PROGRESS);
    assert_code(heartbeat(fixture, "g", leader, generation), ERR_UNKNOWN_MEMBER_ID);
    assert_code(heartbeat(fixture, "g", follower, generation), ERR_REBALANCE_IN_PROGRESS);
}

static void a_join_while_completing_sends_parked_syncs_back(void **state)
{
    struct fixture *fixture = *state;
    const char *leader, *follower;
    uint64_t one = enter(fixture, (struct join){0}, &leader), sync;

    enter(fixture, (struct join){0}, &follower);
    fixture_advance(fixture, 2 * DELAY_MS);
    sync = send_sync(fixture, (struct sync){.member = follower,
                                            .generation = joined(fixture, one)->generation_id});
    enter(fixture, (struct join){0}, NULL);
    assert_code(synced(fixture, sync)->error_code, ERR_REBALANCE_IN_PROGRESS);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
}

/* ---- SyncGroup ---- */

static void what_sync_refuses(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    const struct {
        struct sync sync;
        enum err expected;
    } rows[] = {
        {{.group = "", .member = "m"}, ERR_INVALID_GROUP_ID},
        {{.group = "missing", .member = "m"}, ERR_UNKNOWN_MEMBER_ID},
        {{.member = "nobody", .generation = 1}, ERR_UNKNOWN_MEMBER_ID},
        {{.member = pair.leader, .generation = 7}, ERR_ILLEGAL_GENERATION},
        {{.member = pair.leader, .generation = 1, .type = "connect"},
         ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.member = pair.leader, .generation = 1, .protocol = "sticky"},
         ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.member = pair.leader, .generation = 1, .instance = "i"}, ERR_UNKNOWN_MEMBER_ID},
    };
    uint64_t sync;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_code(synced(fixture, send_sync(fixture, rows[i].sync))->error_code,
                    rows[i].expected);
    send_join(fixture, (struct join){.member = pair.leader});
    sync = send_sync(fixture, (struct sync){.member = pair.leader, .generation = 1});
    assert_code(synced(fixture, sync)->error_code, ERR_REBALANCE_IN_PROGRESS);
}

static void a_sync_in_stable_is_answered_from_the_stored_assignment(void **state) /* 11 */
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t sync =
        send_sync(fixture, (struct sync){.member = pair.follower, .generation = pair.generation});

    assert_true(slice_equal_text(synced(fixture, sync)->assignment, "two"));
}

static void a_leaders_assignment_of_strangers_is_passed_over_and_who_is_left_out_gets_nothing(
    void **state) /* 12, 13 */
{
    struct fixture *fixture = *state;
    const char *leader, *follower;
    uint64_t one = enter(fixture, (struct join){0}, &leader), first, second;

    enter(fixture, (struct join){0}, &follower);
    fixture_advance(fixture, 2 * DELAY_MS);
    second = send_sync(fixture, (struct sync){.member = follower,
                                              .generation = joined(fixture, one)->generation_id,
                                              .count = 1,
                                              .members = {follower},
                                              .assignments = {"mine, I say"}});
    first = send_sync(fixture, (struct sync){.member = leader,
                                             .generation = joined(fixture, one)->generation_id,
                                             .count = 2,
                                             .members = {leader, "stranger"},
                                             .assignments = {"one", "none"}});
    assert_true(slice_equal_text(synced(fixture, first)->assignment, "one"));
    assert_int_equal(synced(fixture, second)->error_code, 0);
    assert_int_equal(synced(fixture, second)->assignment.size_bytes, 0);
    fixture_check_replay(fixture);
}

static void nobody_hears_of_an_assignment_before_it_is_committed(void **state)
{
    struct fixture *fixture = *state;
    const char *member;
    uint64_t join = enter(fixture, (struct join){0}, &member), sync;

    fixture_advance(fixture, DELAY_MS);
    fixture->hold_commits = true;
    sync = send_sync(fixture, (struct sync){.member = member,
                                            .generation = joined(fixture, join)->generation_id,
                                            .count = 1,
                                            .members = {member},
                                            .assignments = {"all"}});
    assert_null(synced(fixture, sync));
    assert_string_equal(state_of_group(fixture, "g"), "CompletingRebalance");
    fixture_commit(fixture);
    assert_true(slice_equal_text(synced(fixture, sync)->assignment, "all"));
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
}

static void
an_assignment_that_cannot_be_stored_is_told_to_all_and_begins_a_rebalance(void **state) /* 5 */
{
    struct fixture *fixture = *state;
    static const struct {
        enum err refused, told;
    } rows[] = {
        {ERR_MESSAGE_TOO_LARGE, ERR_UNKNOWN_SERVER_ERROR},
        {ERR_NOT_ENOUGH_REPLICAS, ERR_COORDINATOR_NOT_AVAILABLE},
        {ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_COORDINATOR},
        {ERR_IO, ERR_NOT_COORDINATOR},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char group[] = {'g', (char)('0' + i), 0};
        const char *member;
        uint64_t join = enter(fixture, (struct join){.group = group}, &member), sync;

        fixture_advance(fixture, DELAY_MS);
        fixture->refuse = rows[i].refused;
        sync = send_sync(fixture, (struct sync){.group = group,
                                                .member = member,
                                                .generation = joined(fixture, join)->generation_id,
                                                .count = 1,
                                                .members = {member},
                                                .assignments = {"all"}});
        assert_code(synced(fixture, sync)->error_code, rows[i].told);
        assert_string_equal(state_of_group(fixture, group), "PreparingRebalance");
        join = send_join(fixture, (struct join){.group = group, .member = member});
        assert_int_equal(joined(fixture, join)->error_code, 0);
    }
}

static void
a_write_that_takes_too_long_is_told_too_and_its_late_commit_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    const char *member;
    uint64_t join = enter(fixture, (struct join){0}, &member), sync;

    fixture_advance(fixture, DELAY_MS);
    fixture->hold_commits = true;
    sync = send_sync(fixture, (struct sync){.member = member,
                                            .generation = joined(fixture, join)->generation_id,
                                            .count = 1,
                                            .members = {member},
                                            .assignments = {"all"}});
    fixture_time_out(fixture);
    assert_code(synced(fixture, sync)->error_code, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    fixture_commit(fixture);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
}

static void a_group_whose_creation_is_refused_was_never_there(void **state)
{
    struct fixture *fixture = *state;
    uint64_t join;

    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    join = send_join(fixture, (struct join){.version = 3});
    assert_code(joined(fixture, join)->error_code, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(state_of_group(fixture, "g"), "none");
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    join = send_join(fixture, (struct join){0});
    assert_null(joined(fixture, join));
    assert_int_equal(fixture_failure(fixture, join), ERR_NOT_ENOUGH_REPLICAS);
    assert_string_equal(state_of_group(fixture, "g"), "none");
    stable_one(fixture, "g");
}

/* ---- Heartbeat, LeaveGroup ---- */

static void what_heartbeat_answers(void **state) /* 19 */
{
    struct fixture *fixture = *state;
    const char *member;
    uint64_t join;

    assert_code(heartbeat(fixture, "", "m", 1), ERR_INVALID_GROUP_ID);
    assert_code(heartbeat(fixture, "g", "m", 1), ERR_UNKNOWN_MEMBER_ID);
    join = enter(fixture, (struct join){0}, &member);
    fixture_advance(fixture, DELAY_MS);
    assert_int_equal(joined(fixture, join)->generation_id, 1);
    assert_string_equal(state_of_group(fixture, "g"), "CompletingRebalance");
    assert_int_equal(heartbeat(fixture, "g", member, 1), 0);
    assert_code(heartbeat(fixture, "g", member, 2), ERR_ILLEGAL_GENERATION);
    assert_code(heartbeat(fixture, "g", "nobody", 1), ERR_UNKNOWN_MEMBER_ID);
    assert_code(heartbeat_static(fixture, "g", member, "i", 1), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(leave(fixture, "g", member, NULL), 0);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    assert_code(heartbeat(fixture, "g", member, 2), ERR_UNKNOWN_MEMBER_ID);
}

static void the_last_member_that_leaves_empties_the_group(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");

    assert_int_equal(leave(fixture, "g", member, NULL), 0);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    assert_int_equal(group_classic(group_find(fixture->coordinator, SLICE("g")))->generation, 2);
    fixture_check_replay(fixture);
    assert_code(leave(fixture, "g", member, NULL), ERR_UNKNOWN_MEMBER_ID);
    assert_code(leave(fixture, "missing", member, NULL), ERR_UNKNOWN_MEMBER_ID);
    assert_code(leave(fixture, "", member, NULL), ERR_INVALID_GROUP_ID);
}

static void an_id_given_out_can_leave(void **state)
{
    struct fixture *fixture = *state;
    const char *member = ask_member_id(fixture, (struct join){0});

    assert_int_equal(leave(fixture, "g", member, NULL), 0);
    assert_code(joined(fixture, send_join(fixture, (struct join){.member = member}))->error_code,
                ERR_UNKNOWN_MEMBER_ID);
}

static void several_leave_with_one_rebalance_and_an_answer_each(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    struct leave_group_request_member_identity members[] = {{.member_id = text(pair.follower)},
                                                            {.member_id = SLICE("nobody")},
                                                            {.member_id = text(pair.leader)}};
    struct leave_group_request request = {
        .group_id = SLICE("g"), .members = members, .members_count = 3};
    struct leave_group_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_LEAVE_GROUP, 5, &request));

    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->members_count, 3);
    assert_int_equal(response->members[0].error_code, 0);
    assert_code(response->members[1].error_code, ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(response->members[2].error_code, 0);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    assert_int_equal(group_classic(group_find(fixture->coordinator, SLICE("g")))->generation,
                     pair.generation + 1);
}

static void old_leave_answers_at_the_top(void **state)
{
    struct fixture *fixture = *state;
    struct leave_group_request request = {.group_id = SLICE("g"), .member_id = SLICE("nobody")};
    struct leave_group_response *response;

    stable_one(fixture, "g");
    response = fixture_reply(fixture, fixture_send(fixture, API_LEAVE_GROUP, 2, &request));
    assert_code(response->error_code, ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(response->members_count, 0);
}

/* ---- size, loads ---- */

static void a_full_group_takes_nobody_new(void **state)
{
    struct fixture *fixture = *state;
    uint64_t join;

    fixture->options.group_max_size = 1;
    fixture_load(fixture);
    stable_one(fixture, "g");
    join = send_join(fixture, (struct join){0});
    assert_code(joined(fixture, join)->error_code, ERR_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(joined(fixture, join)->member_id.size_bytes, 0);
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
}

static void an_id_that_a_full_group_refuses_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    const char *third;
    struct pair pair;

    fixture->options.group_max_size = 2;
    fixture_load(fixture);
    third = ask_member_id(fixture, (struct join){0});
    pair = stable_two(fixture);
    for (size_t round = 0; round < 2; round++) {
        uint64_t one = send_join(fixture, (struct join){.member = pair.leader});
        uint64_t two = send_join(fixture, (struct join){.member = pair.follower});

        if (round == 0) {
            uint64_t refused = send_join(fixture, (struct join){.member = third});

            assert_code(joined(fixture, refused)->error_code, ERR_GROUP_MAX_SIZE_REACHED);
        }
        assert_non_null(joined(fixture, one));
        assert_non_null(joined(fixture, two));
        assert_string_equal(state_of_group(fixture, "g"), "CompletingRebalance");
        send_sync(fixture, (struct sync){.member = pair.leader,
                                         .generation = joined(fixture, one)->generation_id});
        assert_string_equal(state_of_group(fixture, "g"), "Stable");
    }
}

static void
a_group_that_is_too_large_after_a_restart_sheds_the_last_to_rejoin(void **state) /* 14 */
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t one, two;

    fixture->options.group_max_size = 1;
    fixture_load(fixture);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    one = send_join(fixture, (struct join){.member = pair.follower});
    two = send_join(fixture, (struct join){.member = pair.leader});
    assert_code(joined(fixture, two)->error_code, ERR_GROUP_MAX_SIZE_REACHED);
    assert_non_null(joined(fixture, one));
    assert_int_equal(joined(fixture, one)->members_count, 1);
}

static void
a_coordinator_that_moves_during_a_rebalance_is_stable_at_the_last_generation(void **state) /* 9 */
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);

    send_join(fixture, (struct join){.member = pair.leader});
    fixture_load(fixture);
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    assert_int_equal(heartbeat(fixture, "g", pair.leader, pair.generation), 0);
    assert_int_equal(heartbeat(fixture, "g", pair.follower, pair.generation), 0);
    fixture_advance(fixture, 10000); /* sessions run since the load */
    assert_code(heartbeat(fixture, "g", pair.follower, pair.generation), ERR_UNKNOWN_MEMBER_ID);
}

static void a_hung_up_request_still_counts_and_is_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    uint64_t one = send_join(fixture, (struct join){.member = pair.leader}), two;

    group_coordinator_forget(fixture->coordinator, one);
    two = send_join(fixture, (struct join){.member = pair.follower});
    assert_non_null(joined(fixture, two));
    assert_null(joined(fixture, one));
}

struct seen {
    struct group_view view;
    char waits_for[64], reason[96];
};

static void see(void *context, const struct group_view *view)
{
    struct seen *seen = context;

    seen->view = *view;
    snprintf(seen->waits_for, sizeof seen->waits_for, "%.*s", SLICE_ARGS(view->waits_for_member));
    snprintf(seen->reason, sizeof seen->reason, "%.*s", SLICE_ARGS(view->last_rebalance_reason));
}

static void views_tell_who_holds_a_rebalance_up(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair = stable_two(fixture);
    struct seen seen = {0};

    group_coordinator_each(fixture->coordinator, see, &seen);
    assert_string_equal(seen.view.type, "classic");
    assert_string_equal(seen.view.state, "Stable");
    assert_int_equal(seen.view.members, 2);
    assert_string_equal(seen.waits_for, "");
    assert_int_equal(seen.view.last_rebalance_ms, 2 * DELAY_MS);
    assert_non_null(strstr(seen.reason, "joined (client: not provided)"));
    send_join(fixture, (struct join){.member = pair.leader, .reason = "shutdown"});
    group_coordinator_each(fixture->coordinator, see, &seen);
    assert_string_equal(seen.view.state, "PreparingRebalance");
    assert_string_equal(seen.waits_for, pair.follower);
    assert_int_equal(seen.view.waits_since_ms, fixture->moment.now_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_join_that_selects_nothing_has_no_protocol_name_once_that_may_be_null),
        TEST(what_join_refuses),
        TEST(member_id_required_on_a_new_group_persists_an_empty_group),
        TEST(old_clients_are_members_without_a_second_round),
        TEST(an_id_given_out_and_not_used_blocks_the_phase_until_its_session_ends),
        TEST(ids_given_out_are_forgotten_by_a_failover),
        TEST(the_first_phase_waits_for_more_members_within_the_rebalance_timeout),
        TEST(the_first_phase_never_ends_early),
        TEST(everybody_leaving_in_the_first_phase_leaves_an_empty_generation),
        TEST(only_the_leader_gets_the_members),
        TEST(the_protocol_with_most_votes_among_those_of_all_wins),
        TEST(a_leader_always_rebalances_and_a_follower_only_with_new_metadata),
        TEST(a_rejoining_leader_begins_a_rebalance),
        TEST(who_does_not_rejoin_in_time_is_out_and_another_leads),
        TEST(a_session_that_ends_in_stable_begins_a_rebalance),
        TEST(a_parked_member_is_not_expired_but_a_new_one_is_after_five_minutes),
        TEST(a_leader_that_dies_before_its_sync_costs_all_that_have_not_synced),
        TEST(a_join_while_completing_sends_parked_syncs_back),
        TEST(what_sync_refuses),
        TEST(a_sync_in_stable_is_answered_from_the_stored_assignment),
        TEST(a_leaders_assignment_of_strangers_is_passed_over_and_who_is_left_out_gets_nothing),
        TEST(nobody_hears_of_an_assignment_before_it_is_committed),
        TEST(an_assignment_that_cannot_be_stored_is_told_to_all_and_begins_a_rebalance),
        TEST(a_write_that_takes_too_long_is_told_too_and_its_late_commit_changes_nothing),
        TEST(a_group_whose_creation_is_refused_was_never_there),
        TEST(what_heartbeat_answers),
        TEST(the_last_member_that_leaves_empties_the_group),
        TEST(an_id_given_out_can_leave),
        TEST(several_leave_with_one_rebalance_and_an_answer_each),
        TEST(old_leave_answers_at_the_top),
        TEST(a_full_group_takes_nobody_new),
        TEST(an_id_that_a_full_group_refuses_is_not_waited_for),
        TEST(a_group_that_is_too_large_after_a_restart_sheds_the_last_to_rejoin),
        TEST(a_coordinator_that_moves_during_a_rebalance_is_stable_at_the_last_generation),
        TEST(a_hung_up_request_still_counts_and_is_not_answered),
        TEST(views_tell_who_holds_a_rebalance_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
