/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is freed whole. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_piece_is_aligned_and_apart_from_the_others(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    uint8_t *pieces[300];

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        size_t size_bytes = 1 + i * 7 % 300;

        pieces[i] = arena_allocate(&arena, size_bytes);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xff), size_bytes);
    }
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++)
        for (size_t k = 0; k < 1 + i * 7 % 300; k++)
            assert_int_equal(pieces[i][k], i & 0xff);
}

static void nothing_is_allocated_before_the_first_piece(void **state)
{
    struct allocator_failing failing;
    struct arena arena;

    allocator_failing_init(&failing, &heap_allocator, -1, false);
    arena_init(&arena, &failing.base, SIZE_MAX);
    assert_non_null(arena_allocate(&arena, 0));
    assert_int_equal(failing.calls, 0);
    assert_non_null(arena_allocate(&arena, 1));
    assert_int_equal(failing.calls, 1);
    assert_true(failing.bytes_in_use >= 4096);
    assert_non_null(arena_allocate(&arena, 0));
    arena_release(&arena);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void used_bytes_never_pass_the_limit(void **state)
{
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, 64);
    assert_non_null(arena_allocate(&arena, 48));
    assert_null(arena_allocate(&arena, 17));
    assert_non_null(arena_allocate(&arena, 16));
    assert_int_equal(arena.used_bytes, 64);
    assert_null(arena_allocate(&arena, 1));
    assert_non_null(arena_allocate(&arena, 0));
    assert_int_equal(arena.used_bytes, 64);
    assert_null(arena_allocate(&arena, SIZE_MAX));
    assert_null(arena_allocate(&arena, SIZE_MAX - 20));
}

static void a_large_piece_does_not_waste_the_block_in_use(void **state)
{
    struct allocator_failing failing;
    struct arena arena;

    allocator_failing_init(&failing, &heap_allocator, -1, false);
    arena_init(&arena, &failing.base, SIZE_MAX);
    assert_non_null(arena_allocate(&arena, 16));
    assert_non_null(arena_allocate(&arena, 1 * MIB));
    assert_int_equal(failing.calls, 2);
    assert_non_null(arena_allocate(&arena, 2048)); /* still from the first block */
    assert_int_equal(failing.calls, 2);
    arena_release(&arena);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void no_memory_gives_null_and_the_arena_stays_usable(void **state)
{
    struct allocator_failing failing;
    struct arena arena;

    allocator_failing_init(&failing, &heap_allocator, 0, false);
    arena_init(&arena, &failing.base, SIZE_MAX);
    assert_null(arena_allocate(&arena, 100));
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_allocate(&arena, 100));
    arena_release(&arena);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void count_times_size_is_checked_for_overflow(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    uint64_t *numbers;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_null(arena_zeroed(&arena, SIZE_MAX / 2, 3));
    numbers = ARENA_ARRAY(&arena, uint64_t, 1000);
    assert_non_null(numbers);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], 0);
}

static void reset_keeps_one_block_for_the_next_round(void **state)
{
    struct allocator_failing failing;
    struct arena arena;
    int64_t calls;

    allocator_failing_init(&failing, &heap_allocator, -1, false);
    arena_init(&arena, &failing.base, SIZE_MAX);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_allocate(&arena, 1000));
    arena_reset(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_true(failing.bytes_in_use > 0);
    for (int round = 0; round < 3; round++) { /* comes to rest */
        for (int i = 0; i < 100; i++)
            assert_non_null(arena_allocate(&arena, 1000));
        arena_reset(&arena);
    }
    calls = failing.calls;
    for (int i = 0; i < 30; i++)
        assert_non_null(arena_allocate(&arena, 1000));
    assert_int_equal(failing.calls, calls);
    arena_release(&arena);
    assert_int_equal(failing.bytes_in_use, 0);
    arena_reset(&arena); /* of an empty arena */
    assert_non_null(arena_allocate(&arena, 1));
    arena_release(&arena);
}

static void copies_keep_null_and_end_in_an_uncounted_nul(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice copy;

    arena_init(&arena, &heap_allocator, 64);
    assert_true(slice_is_null(arena_copy(&arena, SLICE_NULL)));
    copy = arena_copy(&arena, SLICE_EMPTY);
    assert_false(slice_is_null(copy));
    assert_int_equal(copy.size_bytes, 0);
    copy = arena_copy(&arena, SLICE("topic"));
    assert_true(slice_equal_text(copy, "topic"));
    assert_int_equal(copy.data[5], 0);
    assert_true(
        slice_is_null(arena_copy(&arena, SLICE("0123456789012345678901234567890123456789"))));
}

static void formatted_text_has_room_for_all_of_it(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice text;

    arena_init(&arena, &heap_allocator, 1024);
    assert_string_equal(arena_format(&arena, "%s-%d", "orders", 12), "orders-12");
    text = arena_format_slice(&arena, "%0200d", 7);
    assert_int_equal(text.size_bytes, 200);
    assert_int_equal(text.data[199], '7');
    assert_int_equal(text.data[200], 0);
    assert_null(arena_format(&arena, "%02000d", 7));
    assert_true(slice_is_null(arena_format_slice(&arena, "%02000d", 7)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_is_aligned_and_apart_from_the_others),
        cmocka_unit_test(nothing_is_allocated_before_the_first_piece),
        cmocka_unit_test(used_bytes_never_pass_the_limit),
        cmocka_unit_test(a_large_piece_does_not_waste_the_block_in_use),
        cmocka_unit_test(no_memory_gives_null_and_the_arena_stays_usable),
        cmocka_unit_test(count_times_size_is_checked_for_overflow),
        cmocka_unit_test(reset_keeps_one_block_for_the_next_round),
        cmocka_unit_test(copies_keep_null_and_end_in_an_uncounted_nul),
        cmocka_unit_test(formatted_text_has_room_for_all_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
