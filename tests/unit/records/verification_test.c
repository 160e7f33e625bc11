/* SPDX-License-Identifier: Apache-2.0 */
/* Verifications of transactional appends (KIP-890): what the guard of a producer stands for, and how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "records/producer_state.h"

static uint64_t begun(struct producer_state *state, int64_t producer_id, int16_t epoch,
                      int64_t now_ms)
{
    uint64_t guard;

    assert_int_equal(
        producer_verification_begin(state, producer_id, epoch, 5, true, now_ms, &guard), OK);
    assert_true(guard != 0);
    return guard;
}

static void a_later_epoch_takes_over_the_guard(void **state)
{
    struct producer_state producers;
    uint64_t guard;

    producer_state_init(&producers, &heap_allocator);
    guard = begun(&producers, 7, 1, 100);
    assert_int_equal(begun(&producers, 7, 1, 110), guard);
    assert_int_equal(begun(&producers, 7, 2, 120), guard);
    assert_int_equal(producer_verification_guard(&producers, 7), guard);
    assert_true(begun(&producers, 8, 1, 120) != guard);
    producer_state_release(&producers); /* with both */
    UNUSED(state);
}

static void a_verification_expires_with_the_time_of_producers(void **state)
{
    struct producer_state producers;
    uint64_t guard;

    producer_state_init(&producers, &heap_allocator);
    guard = begun(&producers, 7, 1, 100);
    producer_state_expire(&producers, 1099, 1000);
    assert_int_equal(producer_verification_guard(&producers, 7), guard);
    producer_state_expire(&producers, 1100, 1000);
    assert_int_equal(producer_verification_guard(&producers, 7), 0);
    assert_true(begun(&producers, 7, 1, 1100) != guard);
    producer_state_release(&producers);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_epoch_takes_over_the_guard),
        cmocka_unit_test(a_verification_expires_with_the_time_of_producers),
    };

    return cmocka_run_group_tests_name("records/verification", tests, NULL, NULL);
}
