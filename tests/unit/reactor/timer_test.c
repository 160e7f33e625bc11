/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench.h"

#define MS ((int64_t)1000000)

struct fixture {
    struct bench bench;
    struct reactor *reactor;
};

struct probe {
    struct timer timer;
    struct fixture *fixture;
    struct probe *other;
    int fired_count;
    int64_t fired_ms;
    int64_t again_ms; /* ≥ 0: set again to this from inside */
};

static void probe_fire(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);

    assert_false(timer_is_set(timer));
    probe->fired_count++;
    probe->fired_ms = reactor_now_ms(probe->fixture->reactor);
    if (probe->again_ms >= 0)
        timer_set(probe->fixture->reactor, timer, probe->again_ms);
    if (probe->other)
        timer_cancel(probe->fixture->reactor, &probe->other->timer);
}

static void probe_init(struct probe *probe, struct fixture *fixture)
{
    *probe = (struct probe){.fixture = fixture, .again_ms = -1};
    timer_init(&probe->timer, probe_fire);
}

static int set_up(void **state)
{
    static struct fixture fixture;

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

static void a_timer_fires_at_its_deadline_and_not_before(void **state)
{
    static const int64_t deadlines_ms[] = {
        1, 63, 64, 65, 127, 4095, 4096, 4097, 100000, 86400000, 31536000000, 9000000000000};
    struct fixture *fixture = *state;
    struct probe probe;

    for (size_t i = 0; i < ARRAY_COUNT(deadlines_ms); i++) {
        tear_down(state);
        set_up(state); /* from zero again */
        probe_init(&probe, fixture);
        timer_set(fixture->reactor, &probe.timer, deadlines_ms[i]);
        bench_turn_at(&fixture->bench, fixture->reactor, deadlines_ms[i] - 1);
        assert_int_equal(probe.fired_count, 0);
        assert_true(timer_is_set(&probe.timer));
        bench_turn_at(&fixture->bench, fixture->reactor, deadlines_ms[i]);
        assert_int_equal(probe.fired_count, 1);
        bench_turn_at(&fixture->bench, fixture->reactor, deadlines_ms[i] + 1);
        assert_int_equal(probe.fired_count, 1);
    }
}

static void the_deadline_told_to_the_port_is_the_earliest_timer(void **state)
{
    struct fixture *fixture = *state;
    struct bench_port *port = bench_port(fixture->reactor);
    struct probe far;
    struct probe near;

    probe_init(&far, fixture);
    probe_init(&near, fixture);
    reactor_turn(fixture->reactor);
    assert_int_equal(port->deadline_ns, INT64_MAX);
    timer_set(fixture->reactor, &far.timer, 600123);
    assert_int_equal(port->deadline_ns, 600123 * MS); /* told outside of turns as well */
    timer_set(fixture->reactor, &near.timer, 777);
    assert_int_equal(port->deadline_ns, 777 * MS);
    bench_turn_at(&fixture->bench, fixture->reactor, 777);
    assert_int_equal(near.fired_count, 1);
    assert_int_equal(port->deadline_ns, 600123 * MS); /* and no look in between */
    bench_turn_at(&fixture->bench, fixture->reactor, 600123);
    assert_int_equal(far.fired_count, 1);
    assert_int_equal(port->deadline_ns, INT64_MAX);
}

static void a_timer_that_never_comes_needs_no_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct probe probe;

    probe_init(&probe, fixture);
    timer_set(fixture->reactor, &probe.timer, INT64_MAX);
    assert_int_equal(bench_port(fixture->reactor)->deadline_ns, INT64_MAX);
    bench_turn_at(&fixture->bench, fixture->reactor, 9000000000000);
    assert_int_equal(probe.fired_count, 0);
    timer_cancel(fixture->reactor, &probe.timer);
}

static void a_deadline_in_the_past_fires_once_in_the_next_turn(void **state)
{
    struct fixture *fixture = *state;
    struct probe probe;

    bench_turn_at(&fixture->bench, fixture->reactor, 5000);
    probe_init(&probe, fixture);
    timer_set(fixture->reactor, &probe.timer, 10);
    assert_int_equal(bench_port(fixture->reactor)->deadline_ns, 5000 * MS);
    reactor_turn(fixture->reactor);
    assert_int_equal(probe.fired_count, 1);
}

static void a_timer_that_sets_itself_to_the_past_fires_once_a_turn(void **state)
{
    struct fixture *fixture = *state;
    struct probe probe;

    probe_init(&probe, fixture);
    probe.again_ms = 0;
    timer_set(fixture->reactor, &probe.timer, 0);
    for (int turn = 1; turn <= 3; turn++) {
        assert_true(reactor_turn(fixture->reactor));
        assert_int_equal(probe.fired_count, turn);
    }
    timer_cancel(fixture->reactor, &probe.timer);
    assert_false(reactor_turn(fixture->reactor));
}

static void a_timer_may_cancel_another_that_is_due_in_the_same_turn(void **state)
{
    struct fixture *fixture = *state;
    struct probe first;
    struct probe second;

    probe_init(&first, fixture);
    probe_init(&second, fixture);
    first.other = &second;
    timer_set(fixture->reactor, &first.timer, 100);
    timer_set(fixture->reactor, &second.timer, 100);
    bench_turn_at(&fixture->bench, fixture->reactor, 100);
    assert_int_equal(first.fired_count, 1);
    assert_int_equal(second.fired_count, 0);
    assert_false(timer_is_set(&second.timer));
}

static void a_moved_timer_fires_only_at_its_new_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct probe probe;

    probe_init(&probe, fixture);
    timer_set(fixture->reactor, &probe.timer, 100);
    timer_set(fixture->reactor, &probe.timer, 5000);
    bench_turn_at(&fixture->bench, fixture->reactor, 4999);
    assert_int_equal(probe.fired_count, 0);
    timer_set(fixture->reactor, &probe.timer, 5001);
    bench_turn_at(&fixture->bench, fixture->reactor, 5000);
    assert_int_equal(probe.fired_count, 0);
    bench_turn_at(&fixture->bench, fixture->reactor, 5001);
    assert_int_equal(probe.fired_count, 1);
}

/* Follows the deadlines that the reactor tells, as a machine would, and compares with a plain array. */
static void any_schedule_fires_each_timer_exactly_when_it_is_due(void **state)
{
    enum { PROBES = 500, STEPS = 20000 };
    static struct probe probes[PROBES];
    static const int64_t spans_ms[] = {1, 10, 70, 5000, 300000, 20000000};
    struct fixture *fixture = *state;
    struct random random;
    int64_t now_ms = 0;

    random_init(&random, 7);
    for (size_t i = 0; i < PROBES; i++)
        probe_init(&probes[i], fixture);
    for (int step = 0; step < STEPS; step++) {
        struct probe *probe = &probes[random_below(&random, PROBES)];
        int64_t span_ms = spans_ms[random_below(&random, ARRAY_COUNT(spans_ms))];
        int64_t told_ns;

        if (random_chance(&random, 1, 5))
            timer_cancel(fixture->reactor, &probe->timer);
        else
            timer_set(fixture->reactor, &probe->timer,
                      now_ms + random_between(&random, 0, span_ms));
        if (!random_chance(&random, 1, 3))
            continue;
        told_ns = bench_port(fixture->reactor)->deadline_ns;
        for (size_t i = 0; i < PROBES; i++) {
            if (timer_is_set(&probes[i].timer))
                assert_true(told_ns <= MAX(probes[i].timer.deadline_ms, now_ms) * MS);
        }
        if (told_ns == INT64_MAX)
            continue;
        /* Sometimes late, sometimes early. */
        now_ms = random_chance(&random, 1, 4) ? now_ms + random_between(&random, 0, 3000)
                                              : MAX(now_ms, told_ns / MS);
        for (size_t i = 0; i < PROBES; i++)
            probes[i].fired_count = timer_is_set(&probes[i].timer) ? -1 : 0;
        bench_turn_at(&fixture->bench, fixture->reactor, now_ms);
        for (size_t i = 0; i < PROBES; i++) {
            bool was_set = probes[i].fired_count != 0 || probes[i].fired_ms == now_ms;

            if (timer_is_set(&probes[i].timer))
                assert_true(probes[i].timer.deadline_ms > now_ms);
            else if (was_set && probes[i].fired_count == 0) /* -1 + 1 */
                assert_true(probes[i].timer.deadline_ms <= now_ms);
            else
                assert_int_equal(probes[i].fired_count, 0);
        }
    }
    for (size_t i = 0; i < PROBES; i++)
        timer_cancel(fixture->reactor, &probes[i].timer);
}

static void time_is_one_within_a_turn_and_fresh_between_turns(void **state)
{
    struct fixture *fixture = *state;
    struct probe probe;

    fixture->bench.now_ns = 5 * MS;
    assert_int_equal(reactor_now_ms(fixture->reactor), 5);
    fixture->bench.now_ns = 6 * MS + 1;
    assert_int_equal(reactor_now_ms(fixture->reactor), 6);
    assert_int_equal(reactor_now_ns(fixture->reactor), 6 * MS + 1);
    assert_int_equal(reactor_wall_ms(fixture->reactor), 1700000000000);
    probe_init(&probe, fixture);
    timer_set(fixture->reactor, &probe.timer, 8);
    bench_turn_at(&fixture->bench, fixture->reactor, 9);
    assert_int_equal(probe.fired_ms, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_timer_fires_at_its_deadline_and_not_before),
        TEST(the_deadline_told_to_the_port_is_the_earliest_timer),
        TEST(a_timer_that_never_comes_needs_no_deadline),
        TEST(a_deadline_in_the_past_fires_once_in_the_next_turn),
        TEST(a_timer_that_sets_itself_to_the_past_fires_once_a_turn),
        TEST(a_timer_may_cancel_another_that_is_due_in_the_same_turn),
        TEST(a_moved_timer_fires_only_at_its_new_deadline),
        TEST(any_schedule_fires_each_timer_exactly_when_it_is_due),
        TEST(time_is_one_within_a_turn_and_fresh_between_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
