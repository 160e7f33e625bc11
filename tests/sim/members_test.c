/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/members_test.c: what simulated members of groups once got wrong, in its smallest form: a defect here looks
 * like one of the node (a partition that is nobody's, or that two have).
 */
#include "group.h"

#include "base/assert.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after the three above */
#include <cmocka.h>

struct lab {
    struct world *world;
    struct world_groups groups;
    struct actor actor;
    struct member member;
};

static int setup(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);

    ASSERT(lab != NULL);
    lab->world = calloc(1, sizeof *lab->world);
    ASSERT(lab->world != NULL);
    assert_int_equal(sim_create(1, NULL, &lab->world->sim), OK);
    lab->world->history = history_new();
    lab->world->groups = &lab->groups;
    lab->world->node_count = 1;
    sim_node_init(&lab->world->nodes[0].node, lab->world->sim, "node", NULL);
    lab->world->slot_count = 1;
    snprintf(lab->world->slots[0].name, sizeof lab->world->slots[0].name, "t0");
    lab->actor.world = lab->world;
    lab->member.actor = &lab->actor;
    lab->member.group = &lab->groups.items[0];
    lab->member.is_classic = true;
    lab->groups.items[0].is_cooperative = true;
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    struct lab *lab = *state;

    sim_node_release(&lab->world->nodes[0].node);
    sim_release(&lab->world->sim);
    history_free(&lab->world->history);
    free(lab->world);
    free(lab);
    return 0;
}

/* The topic is made (anew). */
static void topic_make(struct lab *lab, uint8_t id)
{
    struct slot *slot = &lab->world->slots[0];

    slot->id = (struct uuid){.bytes = {id}};
    slot->topic = id;
    slot->generation = id;
    slot->partitions = 2;
    slot->is_live = true;
}

static void what_goes_with_its_topic_while_it_joins_is_given_up_for_its_leader_too(void **state)
{
    struct lab *lab = *state;
    struct assigned one = {.topic_id = {.bytes = {1}}, .partition = 0};

    topic_make(lab, 1);
    assert_false(member_assign(&lab->member, &one, 1));
    assert_int_equal(lab->member.owned_count, 1);
    member_resolve(&lab->member);
    assert_false(lab->member.has_dropped);
    topic_make(lab, 2);
    member_resolve(&lab->member);
    assert_int_equal(lab->member.owned_count, 0);
    assert_true(lab->member.has_dropped); /* it joins again with the answer */
}

static void partitions_of_a_topic_that_is_not_there_yet_are_waited_for(void **state)
{
    struct lab *lab = *state;
    struct assigned one = {.topic_id = {.bytes = {1}}, .partition = 1}, list[OWNED_MAX];
    struct arena arena;
    struct slice bytes;
    uint32_t unknown;
    int count;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    topic_make(lab, 1);
    bytes = embedded_assignment(lab->world, &one, 1, &arena);
    assert_true(embedded_assignment_read(lab->world, bytes, list, &count, &unknown));
    assert_int_equal(count, 1);
    assert_int_equal(unknown, 0);
    lab->world->slots[0].is_live = false;
    assert_true(embedded_assignment_read(lab->world, bytes, list, &count, &unknown));
    assert_int_equal(count, 0);
    assert_int_equal(unknown, 1);
    arena_release(&arena);
}

static void say(struct lab *lab, const char *event, const char *place)
{
    struct logger *logger = lab->world->nodes[0].node.logger;

    logger->write(logger, LOG_LEVEL_INFO, "coordinator", event, place);
}

static void a_heartbeat_says_nothing_while_a_coordinator_may_be_loading(void **state)
{
    struct lab *lab = *state;
    struct group_loads *loads = &lab->groups.loads;
    static const char zero[] = "topic=__consumer_offsets partition=0 epoch=0";
    static const char one[] = "topic=__consumer_offsets partition=1 epoch=0";
    int64_t before_ns, after_ns;

    group_loads_init(loads, lab->world);
    lab->world->nodes[0].starts = 1;
    before_ns = sim_now_ns(lab->world->sim);
    sim_run_until(lab->world->sim, before_ns + 1000, NULL, NULL);
    say(lab, "loaded", zero);
    say(lab, "loaded", one);
    after_ns = sim_now_ns(lab->world->sim) + 1;
    assert_false(group_loads_are_done(loads, before_ns)); /* sent while it was loading */
    assert_true(group_loads_are_done(loads, after_ns));
    say(lab, "loaded", "topic=__transaction_state partition=2 epoch=0");
    assert_true(group_loads_are_done(loads, after_ns));
    say(lab, "unloaded", one);
    assert_false(group_loads_are_done(loads, after_ns));
    say(lab, "loaded", one);
    assert_true(group_loads_are_done(loads, after_ns));
    lab->world->nodes[0].starts = 2; /* a new process has loaded nothing */
    assert_false(group_loads_are_done(loads, after_ns));
    say(lab, "loaded", zero);
    assert_false(group_loads_are_done(loads, after_ns));
    say(lab, "loaded", one);
    assert_true(group_loads_are_done(loads, after_ns));
}

static void answer_with(struct lab *lab, enum err err)
{
    struct consumer_group_heartbeat_response answer;

    consumer_group_heartbeat_response_init(&answer);
    answer.error_code = err_wire_code(err);
    answer.member_epoch = 3;
    member_modern_answered(&lab->member, &answer);
}

static bool tells_all(struct lab *lab)
{
    struct consumer_group_heartbeat_request body;
    struct arena arena;
    bool is_full;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    member_modern_request(&lab->member, 3, &arena, &body);
    is_full = body.subscribed_topic_names_count == 1 && body.rebalance_timeout_ms > 0;
    assert_true(is_full || body.subscribed_topic_names_count == -1);
    arena_release(&arena);
    return is_full;
}

/* An error may hide an assignment: it was written, and its answer lost with the coordinator. Only a heartbeat that tells
 * all is answered with the assignment again. */
static void a_member_that_heard_an_error_tells_and_asks_for_all_again(void **state)
{
    static const enum err errors[] = {ERR_NOT_COORDINATOR, ERR_COORDINATOR_NOT_AVAILABLE,
                                      ERR_COORDINATOR_LOAD_IN_PROGRESS};
    struct lab *lab = *state;

    topic_make(lab, 1);
    lab->member.is_classic = false;
    lab->member.state = MEMBER_IN;
    lab->member.generation = 3;
    lab->member.join_op = -1;
    answer_with(lab, OK);
    assert_false(tells_all(lab));
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        answer_with(lab, errors[i]);
        assert_int_equal(lab->member.state, MEMBER_IN);
        assert_true(tells_all(lab));
        answer_with(lab, OK);
        assert_false(tells_all(lab));
    }
    member_modern_answered(&lab->member, NULL);
    assert_true(tells_all(lab));
}

/* A join that is answered well, with what it has. */
static void join_as(struct lab *lab, const char *id)
{
    snprintf(lab->member.id, sizeof lab->member.id, "%s", id);
    member_claims_tell(&lab->member);
    snprintf(lab->member.id, sizeof lab->member.id, "%s", id[0] ? id : "new");
    member_claims_heard(&lab->member);
}

static void dies(struct lab *lab)
{
    member_lost(&lab->member, "dead");
    lab->member.id[0] = '\0';
}

/* Seed 202943: its leader withheld what the dead process had claimed and was to give up; the new one had nothing to give up
 * and took over the rest in a Stable group, and what was withheld was nobody's for ever. */
static void
a_static_member_that_comes_back_joins_again_when_its_former_claims_are_denied(void **state)
{
    struct lab *lab = *state;
    struct assigned both[] = {{.topic_id = {.bytes = {1}}, .partition = 0},
                              {.topic_id = {.bytes = {1}}, .partition = 1}};

    topic_make(lab, 1);
    lab->member.is_static = true;
    member_assign(&lab->member, both, 2);
    join_as(lab, "old");
    assert_false(member_claims_are_denied(&lab->member, both, 2));
    assert_true(member_claims_are_denied(&lab->member, both, 1));
    dies(lab);
    join_as(lab, "");
    assert_true(member_claims_are_denied(&lab->member, both, 1));
    assert_false(member_claims_are_denied(&lab->member, both, 2));
    member_assign(&lab->member, both, 1);
    join_as(lab, "new");
    assert_false(member_claims_are_denied(&lab->member, both, 1));
}

static void claims_that_the_group_has_forgotten_are_not_waited_for(void **state)
{
    struct lab *lab = *state;
    struct assigned one = {.topic_id = {.bytes = {1}}, .partition = 0};

    topic_make(lab, 1);
    member_assign(&lab->member, &one, 1);
    join_as(lab, "old");
    dies(lab); /* a dynamic member comes back as another one */
    join_as(lab, "");
    assert_false(member_claims_are_denied(&lab->member, NULL, 0));
    lab->member.is_static = true;
    member_assign(&lab->member, &one, 1);
    join_as(lab, "new");
    member_claims_forget(&lab->member);
    dies(lab);
    join_as(lab, "");
    assert_false(member_claims_are_denied(&lab->member, NULL, 0));
}

/* A JoinGroup that was lost tells nobody that something was given up. */
static void claims_stand_until_a_join_without_them_is_answered(void **state)
{
    struct lab *lab = *state;
    struct assigned both[] = {{.topic_id = {.bytes = {1}}, .partition = 0},
                              {.topic_id = {.bytes = {1}}, .partition = 1}};

    topic_make(lab, 1);
    lab->member.is_static = true;
    member_assign(&lab->member, both, 2);
    join_as(lab, "old");
    member_assign(&lab->member, both, 1);
    member_claims_tell(&lab->member);
    dies(lab);
    join_as(lab, "");
    assert_true(member_claims_are_denied(&lab->member, both, 1));
}

/* Seed 405025: the topic was made anew between its assignment and an upgrade of its group, which took the name for the new one;
 * the group may not become a classic one again, so nobody ever called it, and the partition was nobody's. */
static void a_name_that_an_upgrade_took_for_another_topic_is_asked_for_again(void **state)
{
    struct lab *lab = *state;
    struct assigned one = {.topic_id = {.bytes = {1}}, .partition = 0};
    struct member other = {.actor = &lab->actor, .is_classic = true, .state = MEMBER_IN};

    lab->member.group->members[0] = &lab->member;
    lab->member.group->members[1] = &other;
    lab->member.group->member_count = 2;
    lab->member.state = MEMBER_IN;
    snprintf(lab->member.leader, sizeof lab->member.leader, "leader");
    topic_make(lab, 1);
    assert_false(member_assign(&lab->member, &one, 1));
    member_resolve(&lab->member);
    topic_make(lab, 2);
    member_resolve(&lab->member);
    assert_false(member_classic_asks_again(&lab->member)); /* it may still be called */
    lab->member.dropped_ns -= 4000 * MS;
    assert_true(member_classic_asks_again(&lab->member));
    /* a classic group: its leader looks at topics */
    snprintf(other.leader, sizeof other.leader, "leader");
    assert_false(member_classic_asks_again(&lab->member));
    other.is_classic = false;
    assert_true(member_classic_asks_again(&lab->member));
    lab->member.leader[0] = '\0'; /* it has joined since: the coordinator told it what it has */
    assert_false(member_classic_asks_again(&lab->member));
    snprintf(lab->member.leader, sizeof lab->member.leader, "leader");
    lab->member.has_dropped = false;
    assert_false(member_classic_asks_again(&lab->member));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_goes_with_its_topic_while_it_joins_is_given_up_for_its_leader_too),
        TEST(partitions_of_a_topic_that_is_not_there_yet_are_waited_for),
        TEST(a_heartbeat_says_nothing_while_a_coordinator_may_be_loading),
        TEST(a_member_that_heard_an_error_tells_and_asks_for_all_again),
        TEST(a_static_member_that_comes_back_joins_again_when_its_former_claims_are_denied),
        TEST(claims_that_the_group_has_forgotten_are_not_waited_for),
        TEST(claims_stand_until_a_join_without_them_is_answered),
        TEST(a_name_that_an_upgrade_took_for_another_topic_is_asked_for_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
