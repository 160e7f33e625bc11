/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded random streams. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_stream_is_xoshiro256_of_its_state(void **state)
{
    /* The first outputs of the reference code for the state 1, 2, 3, 4. */
    static const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    struct random random = {{1, 2, 3, 4}};

    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        assert_true(random_u64(&random) == expected[i]);
}

static void the_state_is_splitmix64_of_the_seed(void **state)
{
    struct random random;

    random_init(&random, 0);
    assert_true(random.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(random.state[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(random.state[2] == UINT64_C(0x06c45d188009454f));
    assert_true(random.state[3] == UINT64_C(0xf88bb8a8724c81ec));
}

static void named_streams_differ_by_name_and_by_seed(void **state)
{
    struct random a, again, b, c;

    random_init_named(&a, 1, "disk");
    random_init_named(&again, 1, "disk");
    random_init_named(&b, 1, "network");
    random_init_named(&c, 2, "disk");
    for (int i = 0; i < 10; i++) {
        uint64_t value = random_u64(&a);

        assert_true(value == random_u64(&again));
        assert_true(value != random_u64(&b));
        assert_true(value != random_u64(&c));
    }
}

static void draws_below_a_bound_are_even(void **state)
{
    struct random random;
    uint64_t bound = (UINT64_C(1) << 63) + (UINT64_C(1) << 62);
    int counts[6] = {0}, low = 0;

    random_init(&random, 9);
    for (int i = 0; i < 60000; i++)
        counts[random_below(&random, 6)]++;
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i], 9600, 10400);
    assert_int_equal(random_below(&random, 1), 0);
    /* A plain modulo would give half of these to the lowest third. */
    for (int i = 0; i < 30000; i++)
        low += random_below(&random, bound) < bound / 3;
    assert_in_range(low, 9600, 10400);
}

static void both_ends_of_a_range_are_drawn(void **state)
{
    struct random random;
    bool seen[5] = {false};

    random_init(&random, 10);
    for (int i = 0; i < 1000; i++) {
        int64_t value = random_between(&random, -2, 2);

        assert_true(value >= -2 && value <= 2);
        seen[value + 2] = true;
    }
    for (int i = 0; i < 5; i++)
        assert_true(seen[i]);
    assert_true(random_between(&random, INT64_MIN, INT64_MIN) == INT64_MIN);
    (void)random_between(&random, INT64_MIN, INT64_MAX);
}

static void chances_hold_at_both_ends_and_between(void **state)
{
    struct random random;
    int hits = 0;

    random_init(&random, 11);
    for (int i = 0; i < 40000; i++) {
        assert_false(random_chance(&random, 0, 7));
        assert_true(random_chance(&random, 7, 7));
        hits += random_chance(&random, 1, 4);
    }
    assert_in_range(hits, 9600, 10400);
}

static void fills_any_size_and_not_a_byte_more(void **state)
{
    uint8_t whole[33];
    struct random random;

    random_init(&random, 12);
    random_fill(&random, whole, sizeof whole);
    for (size_t size_bytes = 0; size_bytes < sizeof whole; size_bytes++) {
        uint8_t part[33] = {0};

        random_init(&random, 12);
        random_fill(&random, part, size_bytes);
        assert_memory_equal(part, whole, size_bytes);
        for (size_t i = size_bytes; i < sizeof part; i++)
            assert_int_equal(part[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stream_is_xoshiro256_of_its_state),
        cmocka_unit_test(the_state_is_splitmix64_of_the_seed),
        cmocka_unit_test(named_streams_differ_by_name_and_by_seed),
        cmocka_unit_test(draws_below_a_bound_are_even),
        cmocka_unit_test(both_ends_of_a_range_are_drawn),
        cmocka_unit_test(chances_hold_at_both_ends_and_between),
        cmocka_unit_test(fills_any_size_and_not_a_byte_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
