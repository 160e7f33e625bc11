/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench.h"

struct fixture {
    struct bench bench;
    struct reactor *reactor;
    char trace[64];
    size_t traced;
};

struct work {
    struct deferred deferred;
    struct fixture *fixture;
    char letter;
    struct work *next;   /* deferred from inside */
    struct work *cancel; /* cancelled from inside */
    int run_count;
};

static void work_run(struct deferred *deferred)
{
    struct work *work = CONTAINER_OF(deferred, struct work, deferred);
    struct fixture *fixture = work->fixture;

    work->run_count++;
    if (fixture->traced < sizeof(fixture->trace) - 1)
        fixture->trace[fixture->traced++] = work->letter;
    if (work->next)
        reactor_defer(fixture->reactor, &work->next->deferred);
    if (work->cancel)
        reactor_defer_cancel(fixture->reactor, &work->cancel->deferred);
}

static void work_init(struct work *work, struct fixture *fixture, char letter)
{
    *work = (struct work){.fixture = fixture, .letter = letter};
    deferred_init(&work->deferred, work_run);
}

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){0};
    bench_init(&fixture.bench);
    fixture.reactor = bench_reactor(&fixture.bench, 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    reactor_release(&fixture->reactor);
    return 0;
}

static void work_runs_once_a_turn_however_often_it_was_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct work a;

    work_init(&a, fixture, 'a');
    for (int i = 0; i < 3; i++)
        reactor_defer(fixture->reactor, &a.deferred);
    assert_true(reactor_turn(fixture->reactor));
    assert_string_equal(fixture->trace, "a");
    assert_false(reactor_turn(fixture->reactor));
    assert_string_equal(fixture->trace, "a");
}

static void work_runs_in_the_order_of_asking(void **state)
{
    struct fixture *fixture = *state;
    struct work a, b, c;

    work_init(&a, fixture, 'a');
    work_init(&b, fixture, 'b');
    work_init(&c, fixture, 'c');
    a.next = &c;
    reactor_defer(fixture->reactor, &a.deferred);
    reactor_defer(fixture->reactor, &b.deferred);
    reactor_turn(fixture->reactor);
    assert_string_equal(fixture->trace, "abc");
}

static void cancelled_work_does_not_run(void **state)
{
    struct fixture *fixture = *state;
    struct work a, b, c;

    work_init(&a, fixture, 'a');
    work_init(&b, fixture, 'b');
    work_init(&c, fixture, 'c');
    a.cancel = &b;
    reactor_defer(fixture->reactor, &a.deferred);
    reactor_defer(fixture->reactor, &b.deferred);
    reactor_defer(fixture->reactor, &c.deferred);
    reactor_defer_cancel(fixture->reactor, &c.deferred);
    reactor_turn(fixture->reactor);
    assert_string_equal(fixture->trace, "a");
}

static void an_endless_chain_is_cut_and_goes_on_in_the_next_turn(void **state)
{
    struct fixture *fixture = *state;
    struct work a;
    int first_count;

    work_init(&a, fixture, 'a');
    a.next = &a;
    reactor_defer(fixture->reactor, &a.deferred);
    reactor_turn(fixture->reactor);
    first_count = a.run_count;
    assert_in_range(first_count, 1, 100);
    /* The machine is told to call at once. */
    assert_true(bench_port(fixture->reactor)->deadline_ns <= fixture->bench.now_ns);
    reactor_turn(fixture->reactor);
    assert_true(a.run_count > first_count);
    reactor_defer_cancel(fixture->reactor, &a.deferred);
}

static void work_deferred_outside_of_a_turn_asks_for_one(void **state)
{
    struct fixture *fixture = *state;
    struct work a;

    work_init(&a, fixture, 'a');
    reactor_turn(fixture->reactor);
    assert_int_equal(bench_port(fixture->reactor)->deadline_ns, INT64_MAX);
    reactor_defer(fixture->reactor, &a.deferred);
    assert_true(bench_port(fixture->reactor)->deadline_ns <= fixture->bench.now_ns);
    bench_port(fixture->reactor)->turn(bench_port(fixture->reactor)->context);
    assert_string_equal(fixture->trace, "a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(work_runs_once_a_turn_however_often_it_was_asked_for),
        TEST(work_runs_in_the_order_of_asking),
        TEST(cancelled_work_does_not_run),
        TEST(an_endless_chain_is_cut_and_goes_on_in_the_next_turn),
        TEST(work_deferred_outside_of_a_turn_asks_for_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
