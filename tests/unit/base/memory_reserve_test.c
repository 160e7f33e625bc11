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
    };

    return cmocka_run_group_tests_name("base/memory_reserve", tests, NULL, NULL);
}
