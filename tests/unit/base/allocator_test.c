/* SPDX-License-Identifier: Apache-2.0 */
/* The process heap and the allocator that fails on demand. */
#include "base/allocator.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void zeroed_memory_is_zero_and_aligned(void **state)
{
    uint8_t *bytes = allocator_zeroed(&heap_allocator, 100);

    assert_non_null(bytes);
    assert_int_equal((uintptr_t)bytes % _Alignof(max_align_t), 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(bytes[i], 0);
    heap_allocator.release(&heap_allocator, bytes, 100);
}

static void releasing_null_does_nothing(void **state)
{
    struct allocator_failing failing;

    allocator_failing_init(&failing, &heap_allocator, -1, false);
    failing.base.release(&failing.base, NULL, 10);
    heap_allocator.release(&heap_allocator, NULL, 10);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void only_the_chosen_call_fails(void **state)
{
    struct allocator_failing failing;
    struct allocator *a = &failing.base;
    void *first, *second;

    allocator_failing_init(&failing, &heap_allocator, 1, false);
    first = a->allocate(a, 10);
    assert_non_null(first);
    assert_null(a->allocate(a, 10));
    second = a->allocate(a, 20);
    assert_non_null(second);
    assert_int_equal(failing.calls, 3);
    assert_int_equal(failing.bytes_in_use, 30);
    a->release(a, first, 10);
    a->release(a, second, 20);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void every_call_from_the_chosen_one_fails_for_ever(void **state)
{
    struct allocator_failing failing;
    struct allocator *a = &failing.base;
    void *first;

    allocator_failing_init(&failing, &heap_allocator, 1, true);
    first = a->allocate(a, 10);
    for (int i = 0; i < 5; i++)
        assert_null(a->allocate(a, 10));
    assert_null(a->resize(a, first, 10, 20));
    assert_int_equal(failing.bytes_in_use, 10);
    a->release(a, first, 10);
}

static void a_failed_resize_leaves_the_old_block(void **state)
{
    struct allocator_failing failing;
    struct allocator *a = &failing.base;
    uint8_t *bytes;

    allocator_failing_init(&failing, &heap_allocator, 1, false);
    bytes = a->resize(a, NULL, 0, 4);
    assert_non_null(bytes);
    memcpy(bytes, "abc", 4);
    assert_null(a->resize(a, bytes, 4, 4000));
    assert_string_equal((char *)bytes, "abc");
    bytes = a->resize(a, bytes, 4, 4000);
    assert_string_equal((char *)bytes, "abc");
    assert_int_equal(failing.bytes_in_use, 4000);
    a->release(a, bytes, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_zero_and_aligned),
        cmocka_unit_test(releasing_null_does_nothing),
        cmocka_unit_test(only_the_chosen_call_fails),
        cmocka_unit_test(every_call_from_the_chosen_one_fails_for_ever),
        cmocka_unit_test(a_failed_resize_leaves_the_old_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
