/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ids cost; every allocation fails once, at each place: the call tells so, and what is left is
 * released whole. The shell then loads again, which works.
 */
#include "transaction_support.h"

#include "memory_frame.h"

static void an_idle_id_costs_little_beyond_its_name(void **state)
{
    enum { IDS = 4096 };
    struct allocator_failing counting;
    struct fixture *fixture = *state;
    struct arena effects;
    int64_t before, after;

    allocator_failing_init(&counting, &heap_allocator, -1, false);
    arena_init(&effects, &heap_allocator, SIZE_MAX);
    transaction_coordinator_release(&fixture->coordinator);
    fixture->allocator = &counting.base;
    fixture_load(fixture);
    before = counting.bytes_in_use;
    for (int i = 0; i < IDS; i++) {
        struct identity me = init_ok(fixture, arena_format(&fixture->arena, "producer-%06d", i));

        assert_code(
            add(fixture, (struct add){.id = arena_format(&fixture->arena, "producer-%06d", i),
                                      .producer = me}),
            OK);
        assert_code(
            end_transaction(fixture,
                            (struct end){.id = arena_format(&fixture->arena, "producer-%06d", i),
                                         .producer = me,
                                         .commit = true},
                            NULL),
            OK);
    }
    after = (counting.bytes_in_use - before) / IDS - (int64_t)strlen("producer-000000");
    print_message("an idle id costs %lld bytes beyond its name\n", (long long)after);
    assert_in_range(after, 1, 144);
    transaction_coordinator_release(&fixture->coordinator);
    assert_int_equal(counting.bytes_in_use, 0);
    arena_release(&effects);
    fixture->allocator = &heap_allocator;
    fixture->log_count = 0;
    fixture_load(fixture);
}

static void scenario(struct fixture *fixture)
{
    struct identity me = {-1, -1}, old;

    if (init(fixture, (struct init){0}, &me) != 0)
        return;
    send_add(fixture, (struct add){.producer = me, .version = 2});
    send_add(fixture, (struct add){.producer = me, .topic = "u", .version = 2});
    send_end(fixture, (struct end){.producer = me, .commit = true, .version = 2});
    old = me;
    send_end(fixture, (struct end){.producer = me, .commit = true, .version = 2}); /* waits */
    me.epoch++;
    send_add(fixture, (struct add){.producer = me, .version = 2}); /* waits */
    send_init(fixture, (struct init){0});                          /* waits, then fences */
    if (fixture->failure != OK)
        return;
    fixture_mark(fixture, "t", 0, ERR_NOT_LEADER_OR_FOLLOWER);
    fixture_advance(fixture, 60);
    fixture_mark_all(fixture, OK);
    send_end(fixture, (struct end){.producer = old, .version = 0});
    fixture_mark_all(fixture, OK);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    send_init(fixture, (struct init){.id = "y"});
    send_init(fixture, (struct init){.id = "y"});
    if (fixture->failure != OK)
        return;
    if (fixture->failure == OK) {
        struct slice id = text("x");
        struct list_transactions_request all;
        struct transaction_list body;

        list_transactions_request_init(&all);
        assert_int_equal(transaction_list_init(NULL, &all, &body), OK);
        fixture_send(fixture, API_DESCRIBE_TRANSACTIONS, 0, &id);
        fixture_send(fixture, API_LIST_TRANSACTIONS, 0, &body);
    }
    fixture->hold_commits = true;
    fixture_advance(fixture, INT64_C(8) * 24 * 3600 * 1000);
    send_init(fixture, (struct init){0}); /* waits for the tombstone */
    if (fixture->failure == OK)
        fixture_commit(fixture);
}

static void release(struct fixture *fixture)
{
    transaction_coordinator_release(&fixture->coordinator);
}

static void end_check(struct fixture *fixture)
{
    assert_string_equal(describe(fixture, NULL), "Empty 1002/0");
}

static void running_out_of_memory_is_told_and_leaves_nothing_behind(void **state)
{
    UNUSED(state);
    assert_true(memory_frame_run_all(&(struct memory_frame){scenario, release, end_check}) > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(an_idle_id_costs_little_beyond_its_name),
        cmocka_unit_test(running_out_of_memory_is_told_and_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
