/* SPDX-License-Identifier: Apache-2.0 */
/* The reserve of a process: broken once, whole again when there is memory. */
#include "base/memory_reserve.h"

#include "base/allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

static struct allocator heap;
static bool is_short;

static void *allocate(struct allocator *self, size_t size_bytes)
{
    return is_short ? NULL : heap.allocate(self, size_bytes);
}

static int failures_left;

static void *allocate_soon(struct allocator *self, size_t size_bytes)
{
    return failures_left-- > 0 ? NULL : heap.allocate(self, size_bytes);
}

static void *resize_soon(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    return failures_left-- > 0 ? NULL : heap.resize(self, pointer, old_bytes, new_bytes);
}

static void the_allocator_for_what_must_be_had_breaks_into_the_reserve_by_itself(void **state)
{
    uint8_t *block, *grown;

    UNUSED(state);
    assert_int_equal(memory_reserve_fill(1000), OK);
    heap = heap_allocator;
    heap_allocator.allocate = allocate_soon;
    heap_allocator.resize = resize_soon;
    failures_left = 1;
    block = must_allocator.allocate(&must_allocator, 100);
    assert_non_null(block);
    block[99] = 7;
    assert_false(memory_reserve_break()); /* that was it */
    assert_true(memory_reserve_is_whole());
    failures_left = 1;
    grown = must_allocator.resize(&must_allocator, block, 100, 200);
    assert_non_null(grown);
    assert_int_equal(grown[99], 7);
    assert_false(memory_reserve_break());
    must_allocator.release(&must_allocator, grown, 200);
    heap_allocator = heap;
}

static void whoever_must_have_memory_breaks_into_the_reserve_once(void **state)
{
    UNUSED(state);
    heap = heap_allocator;
    heap_allocator.allocate = allocate;
    assert_true(memory_reserve_is_whole()); /* a process that has none refuses nobody */
    assert_false(memory_reserve_break());
    assert_int_equal(memory_reserve_fill(1000), OK);
    assert_true(memory_reserve_is_whole());
    is_short = true;
    assert_true(memory_reserve_is_whole());
    assert_true(memory_reserve_break());
    assert_false(memory_reserve_break());
    assert_false(memory_reserve_is_whole()); /* there is nothing to make it whole with */
    is_short = false;
    assert_true(memory_reserve_is_whole());
    assert_true(memory_reserve_break());
    heap_allocator = heap;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_must_have_memory_breaks_into_the_reserve_once),
        cmocka_unit_test(the_allocator_for_what_must_be_had_breaks_into_the_reserve_by_itself),
    };

    return cmocka_run_group_tests_name("base/memory_reserve", tests, NULL, NULL);
}
