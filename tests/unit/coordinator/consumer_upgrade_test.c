/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members of a classic group have when it becomes a consumer group: what their assignments say and what
 * they may have beyond them, amid a rebalance. docs/design/group_coordinator.md, "Upgrades".
 */
#include "consumer_support.h"

#include "coordinator/group/classic_internal.h"

static int teardown(void **state)
{
    fixture_check_replay(*state);
    return consumer_teardown(state);
}

static const char *const topics[] = {"t2", "t4", NULL};

/* Two members, one of which leads. */
struct pair {
    const char *a, *b;
    int32_t generation;
};

static struct join coming(const char *member, const char *owned, int32_t generation)
{
    return (struct join){.member = member,
                         .topics = topics,
                         .protocol = "cooperative-sticky",
                         .owned = owned,
                         .owned_generation = generation};
}

static struct classic_group *classic(struct fixture *f)
{
    return group_classic(group_find(f->coordinator, text("g")));
}

/* The leader's word. */
static uint64_t divide(struct fixture *f, struct pair *pair, const char *a, const char *b)
{
    struct sync_group_request *sync = sync_group_request_array(&f->arena, 1);

    sync->group_id = text("g");
    sync->generation_id = pair->generation = classic(f)->generation;
    sync->member_id = classic(f)->leader;
    sync->assignments = sync_group_request_sync_group_request_assignment_array(&f->arena, 2);
    sync->assignments_count = 2;
    sync->assignments[0].member_id = text(pair->a);
    sync->assignments[0].assignment = assignment_of(f, a);
    sync->assignments[1].member_id = text(pair->b);
    sync->assignments[1].assignment = assignment_of(f, b);
    return fixture_send(f, API_SYNC_GROUP, 5, sync);
}

/* Both have joined; what they say that they have. */
static void come(struct fixture *f, struct pair *pair, const char *a, const char *b)
{
    struct join join_a = coming(pair->a, a, pair->generation);
    struct join join_b = coming(pair->b, b, pair->generation);

    if (!pair->a) {
        join_a.member = pair->a = ask_member_id(f, join_a);
        join_b.member = pair->b = ask_member_id(f, join_b);
    }
    (void)send_join(f, join_a);
    (void)send_join(f, join_b);
    fixture_advance(f, 2 * f->options.group_initial_rebalance_delay_ms);
    assert_string_equal(classic_state_name(classic(f)->state), "CompletingRebalance");
}

/* The first is a static member, of instance "i". */
static void come_static(struct fixture *f, struct pair *pair, int32_t session_ms)
{
    struct join fixed = coming("", "", -1);

    fixed.instance = "i";
    fixed.session_ms = session_ms;
    (void)send_join(f, fixed);
    pair->b = ask_member_id(f, coming("", "", -1));
    (void)send_join(f, coming(pair->b, "", -1));
    fixture_advance(f, 2 * f->options.group_initial_rebalance_delay_ms);
    assert_string_equal(classic_state_name(classic(f)->state), "CompletingRebalance");
    pair->a =
        arena_format(&f->arena, "%.*s", SLICE_ARGS(classic_static_find(classic(f), text("i"))->id));
}

/* Stable: what each was given. */
static void settle(struct fixture *f, struct pair *pair, const char *a, const char *b)
{
    come(f, pair, "", "");
    (void)divide(f, pair, a, b);
    assert_string_equal(classic_state_name(classic(f)->state), "Stable");
}

/* "epoch assigned": what the coordinator takes a member to have. */
static const char *has(struct fixture *f, const char *member)
{
    const struct consumer_member *found = consumer_member_find(the_group(f, "g"), text(member));
    char *out = arena_allocate(&f->arena, 256);
    struct text to;

    assert_non_null(found);
    assert_int_equal(found->revoking.is.count, 0);
    text_init(&to, out, 256);
    for (int32_t i = 0; i < found->assigned.is.count; i++) {
        const struct topic_partitions *topic = &found->assigned.is.topics[i];

        text_add(&to, "%s%d:", i > 0 ? ";" : "", topic->topic_id.bytes[15]);
        for (int32_t j = 0; j < topic->count; j++)
            text_add(&to, "%s%d", j > 0 ? "," : "", topic->partitions[j]);
    }
    return out;
}

static void upgrade(struct fixture *f)
{
    struct consumer_group_heartbeat_response *response =
        beat(f, (struct beat){.member = "zz", .topics = "t2,t4"});

    assert_code(response->error_code, OK);
}

/* ---- rows: a group in some state, and what its two members have behind the upgrade ---- */

static void stable(struct fixture *f, struct pair *pair)
{
    settle(f, pair, "t2:0,1", "t4:0,1,2,3");
}

/* The cooperative protocol needs two generations to move a partition: amid the first its holder has it, and nobody
 * else. */
static void given_up_first(struct fixture *f, struct pair *pair)
{
    settle(f, pair, "t2:0,1;t4:0,1,2,3", "");
    come(f, pair, "t2:0,1;t4:0,1,2,3", "");
    (void)divide(f, pair, "t2:0,1;t4:0", "");
}

static void given_up_and_joined(struct fixture *f, struct pair *pair)
{
    given_up_first(f, pair);
    (void)send_join(f, coming(pair->a, "t2:0,1;t4:0", pair->generation));
}

static void not_joined_yet(struct fixture *f, struct pair *pair)
{
    stable(f, pair);
    (void)send_join(f, coming(pair->b, "t4:0", pair->generation));
}

static void not_divided_yet(struct fixture *f, struct pair *pair)
{
    stable(f, pair);
    come(f, pair, "t2:0,1", "t4:0,1,2,3");
}

/* Nobody has heard of what the leader says. */
static void not_stored_yet(struct fixture *f, struct pair *pair)
{
    stable(f, pair);
    come(f, pair, "t2:0,1", "t4:0,1,2,3");
    f->hold_commits = true;
    (void)divide(f, pair, "t4:0,1,2,3", "t2:0,1");
    f->hold_commits = false;
}

static void not_stored(struct fixture *f, struct pair *pair)
{
    stable(f, pair);
    come(f, pair, "t2:0,1", "t4:0,1,2,3");
    f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    (void)divide(f, pair, "t4:0,1,2,3", "t2:0,1");
}

/* A rebalance is begun anew before the leader has divided: nothing is assigned. */
static void begun_anew(struct fixture *f, struct pair *pair)
{
    not_divided_yet(f, pair);
    (void)send_join(f, coming(pair->b, "t4:0,1", pair->generation));
}

static void loaded(struct fixture *f, struct pair *pair)
{
    given_up_first(f, pair);
    fixture_load(f);
}

/* Eager members have nothing while they join. */
static void begun_anew_eagerly(struct fixture *f, struct pair *pair)
{
    stable(f, pair);
    come(f, pair, "", "");
    (void)send_join(
        f, (struct join){.member = pair->b, .topics = topics, .protocol = "cooperative-sticky"});
}

/* One of them has slept: what it says was before the other got it. */
static void both_say_so(struct fixture *f, struct pair *pair)
{
    stable(f, pair);
    pair->generation--;
    (void)send_join(f, coming(pair->a, "t2:0,1", pair->generation));
    (void)send_join(f, coming(pair->b, "t2:0;t4:0,1,2,3", pair->generation + 1));
    assert_string_equal(classic_state_name(classic(f)->state), "CompletingRebalance");
    (void)send_join(f, coming(pair->a, "t2:0,1;t4:3", pair->generation));
}

/* Partitions that never were, topics that are not there. */
static void nonsense(struct fixture *f, struct pair *pair)
{
    settle(f, pair, "t2:0,1", "");
    come(f, pair, "t2:0,1;t4:4,-1,3,3;gone:0", "t4:9");
    (void)divide(f, pair, "t2:0,1", "t4:0,1,2");
}

static const struct {
    const char *name;
    void (*arrange)(struct fixture *f, struct pair *pair);
    const char *a, *b;
} rows[] = {
    {"stable", stable, "2:0,1", "4:0,1,2,3"},
    {"has to give up first", given_up_first, "2:0,1;4:0,1,2,3", ""},
    {"has given up, and joined again", given_up_and_joined, "2:0,1;4:0", ""},
    {"has not joined yet", not_joined_yet, "2:0,1", "4:0,1,2,3"},
    {"not divided yet", not_divided_yet, "2:0,1", "4:0,1,2,3"},
    {"not stored yet", not_stored_yet, "2:0,1", "4:0,1,2,3"},
    {"not stored", not_stored, "2:0,1", "4:0,1,2,3"},
    {"begun anew", begun_anew, "2:0,1", "4:0,1"},
    {"loaded", loaded, "2:0,1;4:0,1,2,3", ""},
    {"begun anew, eager", begun_anew_eagerly, "", ""},
    {"both say so", both_say_so, "2:1", "2:0;4:0,1,2,3"},
    {"nonsense", nonsense, "2:0,1;4:3", "4:0,1,2"},
};

static void members_keep_what_they_may_have_until_they_join_again(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct pair pair = {.generation = -1};
        const char *a, *b;

        print_message("%s\n", rows[i].name);
        rows[i].arrange(f, &pair);
        upgrade(f);
        a = has(f, pair.a);
        b = has(f, pair.b);
        assert_string_equal(a, rows[i].a);
        assert_string_equal(b, rows[i].b);
        /* What was somebody's is nobody else's, whoever it is meant for. */
        consumer_check(f);
        assert_code(leave(f, "g", pair.a, NULL), OK);
        assert_code(leave(f, "g", pair.b, NULL), OK);
        BEAT("-1 -", .member = "zz", .epoch = -1);
        assert_code(delete_group(f, "g"), OK);
    }
}

/* ---- how it goes on ---- */

static void who_gets_a_partition_waits_until_its_holder_has_joined_without_it(void **state)
{
    struct fixture *f = *state;
    struct pair pair = {.generation = -1};
    struct consumer_group_heartbeat_response *response;
    struct join_group_response *join;
    int free = 0;

    given_up_first(f, &pair);
    BEAT("3 ", .member = "zz", .topics = "t2,t4"); /* all six are somebody's or may be */
    assert_code(heartbeat(f, "g", pair.a, pair.generation), ERR_REBALANCE_IN_PROGRESS);
    /* It has given nothing up: it is told to, and asked again. */
    join = joined(f, send_join(f, coming(pair.a, "t2:0,1;t4:0,1,2,3", pair.generation)));
    assert_code(join->error_code, OK);
    assert_int_equal(join->generation_id, pair.generation);
    assert_code(heartbeat(f, "g", pair.a, pair.generation), ERR_REBALANCE_IN_PROGRESS);
    BEAT("3 -", .member = "zz", .epoch = 3);
    /* Now it has none. */
    join = joined(f, send_join(f, coming(pair.a, "", pair.generation)));
    assert_int_equal(join->generation_id, 3);
    response = beat(f, (struct beat){.member = "zz", .epoch = 3});
    assert_code(response->error_code, OK);
    assert_non_null(response->assignment);
    for (int32_t i = 0; i < response->assignment->topic_partitions_count; i++)
        free += response->assignment->topic_partitions[i].partitions_count;
    assert_int_equal(free, 2); /* a third */
}

static void who_never_joins_again_keeps_it_for_its_session(void **state)
{
    struct fixture *f = *state;
    struct pair pair = {.generation = -1};

    given_up_first(f, &pair);
    BEAT("3 ", .member = "zz", .topics = "t2,t4");
    fixture_advance(f, 9999);
    BEAT("3 -", .member = "zz", .epoch = 3);
    fixture_advance(f, 1);
    BEAT("5 2:0,1;4:0,1,2,3", .member = "zz", .epoch = 3);
}

/* It does not join, and its session goes on: the group's classic members cannot forget it. */
static void a_silent_static_member_keeps_what_it_had_through_a_rebalance_that_failed(void **state)
{
    struct fixture *f = *state;
    struct pair pair;

    come_static(f, &pair, 300000);
    pair.a =
        arena_format(&f->arena, "%.*s", SLICE_ARGS(classic_static_find(classic(f), text("i"))->id));
    (void)divide(f, &pair, "t2:0,1", "t4:0,1,2,3");
    assert_string_equal(classic_state_name(classic(f)->state), "Stable");
    /* Only the other one joins, with another subscription each time; the second begins the rebalance anew. */
    (void)send_join(f, coming(pair.b, "t4:0,1,2", pair.generation));
    for (int i = 0; i < 7; i++) {
        fixture_advance(f, 9000);
        (void)heartbeat(f, "g", pair.b, pair.generation);
    }
    assert_string_equal(classic_state_name(classic(f)->state), "CompletingRebalance");
    (void)send_join(f, coming(pair.b, "t4:0,1", pair.generation));
    assert_string_equal(classic_state_name(classic(f)->state), "PreparingRebalance");
    assert_true(slice_is_null(classic_member_find(classic(f), text(pair.a))->assignment));
    upgrade(f);
    assert_string_equal(has(f, pair.a), "2:0,1");
    assert_string_equal(has(f, pair.b), "4:0,1");
}

static void a_member_that_has_nothing_beyond_its_assignment_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct pair pair;

    come_static(f, &pair, 10000);
    pair.a =
        arena_format(&f->arena, "%.*s", SLICE_ARGS(classic_static_find(classic(f), text("i"))->id));
    (void)divide(f, &pair, "t2:0,1", "t4:0,1,2,3");
    /* The static one comes back by the other protocol with the same subscription: no epoch, nobody joins again. */
    BEAT("1 2:0,1", .member = "zz", .instance = "i", .topics = "t2,t4");
    assert_code(heartbeat(f, "g", pair.b, 1), OK);
}

static void what_was_left_over_amid_a_rebalance_is_divided_at_the_upgrade(void **state)
{
    struct fixture *f = *state;
    struct pair pair;

    come_static(f, &pair, 10000);
    /* Nothing is divided yet. */
    BEAT("2 2:0,1;4:0", .member = "zz", .instance = "i", .topics = "t2,t4");
    assert_code(heartbeat(f, "g", pair.b, 1), ERR_REBALANCE_IN_PROGRESS);
}

/* A downgrade forgets nothing: a member that has to give something up has it still when the group comes back. */
static void a_downgrade_and_an_upgrade_in_a_row_take_nothing_from_its_holder(void **state)
{
    struct fixture *f = *state;
    const char *c;

    c = ask_member_id(f, (struct join){.topics = topics});
    BEAT("2 2:0,1;4:0,1,2,3", .member = "b", .topics = "t2,t4");
    assert_int_equal(
        joined(f, send_join(f, (struct join){.member = c, .topics = topics}))->generation_id, 3);
    BEAT("2 2:0,1;4:0", .member = "b", .epoch = 2);
    BEAT("3 -", .member = "b", .epoch = 2, .owned = "2:0,1;4:0");
    assert_int_equal(
        joined(f, send_join(f, (struct join){.member = c, .topics = topics}))->generation_id, 3);
    assert_string_equal(has(f, c), "4:1,2,3");
    BEAT("4 ", .member = "d", .topics = "t2,t4"); /* it shall have something of both */
    BEAT("-1 -", .member = "b", .epoch = -1);
    BEAT("-1 -", .member = "d", .epoch = -1);
    assert_non_null(classic(f));
    for (int i = 0; i < 2; i++) {
        upgrade(f);
        assert_string_equal(has(f, c), "4:1,2,3");
        BEAT("-1 -", .member = "zz", .epoch = -1);
        fixture_load(f); /* the log says it too */
        assert_non_null(classic(f));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_keep_what_they_may_have_until_they_join_again),
        TEST(who_gets_a_partition_waits_until_its_holder_has_joined_without_it),
        TEST(who_never_joins_again_keeps_it_for_its_session),
        TEST(a_silent_static_member_keeps_what_it_had_through_a_rebalance_that_failed),
        TEST(a_member_that_has_nothing_beyond_its_assignment_is_left_alone),
        TEST(what_was_left_over_amid_a_rebalance_is_divided_at_the_upgrade),
        TEST(a_downgrade_and_an_upgrade_in_a_row_take_nothing_from_its_holder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
