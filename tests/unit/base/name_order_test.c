/* SPDX-License-Identifier: Apache-2.0 */
/* Names in order. */
#include "base/name_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct slice names[] = {
    SLICE("b"), SLICE("a"), SLICE("b"), SLICE(""), SLICE("ab"), SLICE("b"), SLICE("a"),
};
#define COUNT (sizeof names / sizeof names[0])

static void names_stand_by_their_bytes_and_equal_ones_by_position(void **state)
{
    static const uint32_t expected[COUNT] = {3, 1, 6, 4, 0, 2, 5};
    struct arena arena;
    uint32_t *order;

    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(name_order(&arena, names, COUNT, &order), OK);
    assert_memory_equal(order, expected, sizeof expected);
    assert_int_equal(name_order(&arena, names, 0, &order), OK);
    arena_release(&arena);
}

static void a_name_is_found_at_its_first_position(void **state)
{
    struct arena arena;
    uint32_t *order, at = 99;

    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(name_order(&arena, names, COUNT, &order), OK);
    assert_true(name_find(names, order, COUNT, SLICE("b"), &at));
    assert_int_equal(at, 0);
    assert_true(name_find(names, order, COUNT, SLICE(""), &at));
    assert_int_equal(at, 3);
    assert_false(name_find(names, order, COUNT, SLICE("aa"), &at));
    assert_false(name_find(names, order, COUNT, SLICE("c"), &at));
    assert_false(name_find(names, order, 0, SLICE("b"), &at));
    arena_release(&arena);
}

static void a_set_has_one_of_each_in_order(void **state)
{
    struct slice copy[COUNT];
    size_t count = COUNT;
    struct arena arena;

    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < COUNT; i++)
        copy[i] = names[i];
    assert_int_equal(name_set(&arena, copy, &count), OK);
    assert_int_equal(count, 4);
    assert_true(slice_equal(copy[0], SLICE("")));
    assert_true(slice_equal(copy[1], SLICE("a")));
    assert_true(slice_equal(copy[2], SLICE("ab")));
    assert_true(slice_equal(copy[3], SLICE("b")));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stand_by_their_bytes_and_equal_ones_by_position),
        cmocka_unit_test(a_name_is_found_at_its_first_position),
        cmocka_unit_test(a_set_has_one_of_each_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
