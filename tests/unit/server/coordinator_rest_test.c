/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that rest: while one waits it holds none of its request's memory, and its body is given back once.
 */
#include "coordinator_bench.h"

static void a_call_that_waits_gives_its_requests_memory_back(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++) {
        struct asked *parked = ask_as(home, 0, (struct fake_call){.parks = true}, true);

        rig_pass(&fixture.rig, 300);
        assert_false(parked->is_answered);
        assert_int_equal(parked->request.rests, 1);
        assert_null(parked->call.body);
        assert_int_equal(parked->releases, 0);
        expect(ASK(.records = 1, .value_bytes = 7, .wakes = true), OK);
        expect(parked, OK);
        assert_int_equal(parked->request.rests, 1);
        assert_int_equal(parked->releases, 1);
    }
}

static void a_body_is_kept_until_what_came_of_it_is_committed(void **state)
{
    struct asked *writing;

    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=200\n");
    writing = ask_as(0, 0, (struct fake_call){.records = 1, .value_bytes = 5, .parks = true}, true);
    rig_pass(&fixture.rig, 100);
    assert_int_equal(writing->request.rests, 0);
    assert_non_null(writing->call.body);
    rig_pass(&fixture.rig, 300);
    assert_int_equal(writing->request.rests, 1);
    ASK(.wakes = true);
    expect(writing, OK);
}

static void a_call_that_need_not_wait_is_released_once_wherever_it_came_from(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++)
        for (int32_t index = -1; index < PARTITIONS; index++) {
            struct asked *asked = ask_as(home, index, (struct fake_call){0}, true);

            rig_pass(&fixture.rig, 300);
            expect(asked, index < 0 ? ERR_NOT_COORDINATOR : OK);
            assert_int_equal(asked->releases, 1);
        }
}

static void a_call_that_waits_and_is_forgotten_is_released_once(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++) {
        struct asked *parked = ask_as(home, 0, (struct fake_call){.parks = true}, true);

        if (home == 1) /* also while the body is on its way home */
            rig_pass(&fixture.rig, 300);
        coordinator_call_cancel(&parked->call);
        rig_pass(&fixture.rig, 300);
        expect(parked, ERR_COORDINATOR_NOT_AVAILABLE);
        assert_int_equal(parked->releases, 1);
        assert_int_equal(parked->request.holds, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_that_waits_gives_its_requests_memory_back),
        TEST(a_body_is_kept_until_what_came_of_it_is_committed),
        TEST(a_call_that_need_not_wait_is_released_once_wherever_it_came_from),
        TEST(a_call_that_waits_and_is_forgotten_is_released_once),
    };

    return cmocka_run_group_tests_name("server/coordinator_rest", tests, NULL, NULL);
}
