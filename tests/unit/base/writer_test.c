/* SPDX-License-Identifier: Apache-2.0 */
/* Growing output with a sticky error. */
#include "base/cursor.h"
#include "base/random.h"
#include "base/writer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void numbers_are_written_big_endian(void **state)
{
    static const uint8_t expected[] = {0x01, 0xff, 0x12, 0x34, 0xff, 0xfe, 0x12, 0x34, 0x56, 0x78,
                                       0xff, 0xff, 0xff, 0xfd, 1,    2,    3,    4,    5,    6,
                                       7,    8,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc,
                                       0xc0, 0x04, 0,    0,    0,    0,    0,    0};
    CLEANUP(writer_release) struct writer w;

    writer_init(&w, &heap_allocator, SIZE_MAX);
    writer_u8(&w, 1);
    writer_i8(&w, -1);
    writer_u16(&w, 0x1234);
    writer_i16(&w, -2);
    writer_u32(&w, 0x12345678);
    writer_i32(&w, -3);
    writer_u64(&w, UINT64_C(0x0102030405060708));
    writer_i64(&w, -4);
    writer_f64(&w, -2.5);
    assert_int_equal(writer_error(&w), OK);
    assert_true(slice_equal(writer_slice(&w), slice_of(expected, sizeof expected)));
}

static void a_variable_length_number_has_the_size_that_was_told(uint64_t value)
{
    CLEANUP(writer_release) struct writer w;
    struct cursor c;
    uint64_t u64;
    int64_t i64;
    uint32_t u32;
    int32_t i32;

    writer_init(&w, &heap_allocator, SIZE_MAX);
    writer_uvarlong(&w, value);
    assert_int_equal(w.size_bytes, uvarlong_size_bytes(value));
    writer_varlong(&w, (int64_t)value);
    assert_int_equal(w.size_bytes, uvarlong_size_bytes(value) + varlong_size_bytes((int64_t)value));
    c = cursor_of(writer_slice(&w));
    assert_int_equal(cursor_uvarlong(&c, &u64), OK);
    assert_true(u64 == value);
    assert_int_equal(cursor_varlong(&c, &i64), OK);
    assert_true(i64 == (int64_t)value);
    assert_int_equal(cursor_left(&c), 0);

    writer_reset(&w);
    writer_uvarint(&w, (uint32_t)value);
    assert_int_equal(w.size_bytes, uvarint_size_bytes((uint32_t)value));
    writer_varint(&w, (int32_t)value);
    assert_int_equal(w.size_bytes,
                     uvarint_size_bytes((uint32_t)value) + varint_size_bytes((int32_t)value));
    c = cursor_of(writer_slice(&w));
    assert_int_equal(cursor_uvarint(&c, &u32), OK);
    assert_true(u32 == (uint32_t)value);
    assert_int_equal(cursor_varint(&c, &i32), OK);
    assert_true(i32 == (int32_t)value);
}

static void variable_length_numbers_read_back_at_every_boundary(void **state)
{
    struct random random;

    random_init(&random, 1);
    for (unsigned bits = 0; bits < 64; bits++)
        for (uint64_t around = 0; around < 5; around++)
            a_variable_length_number_has_the_size_that_was_told((UINT64_C(1) << bits) + around - 2);
    for (int i = 0; i < 1000; i++)
        a_variable_length_number_has_the_size_that_was_told(random_u64(&random) >>
                                                            random_below(&random, 64));
    assert_int_equal(uvarint_size_bytes(0), 1);
    assert_int_equal(uvarint_size_bytes(127), 1);
    assert_int_equal(uvarint_size_bytes(128), 2);
    assert_int_equal(uvarint_size_bytes(UINT32_MAX), 5);
    assert_int_equal(uvarlong_size_bytes(UINT64_MAX), 10);
    assert_int_equal(varint_size_bytes(-64), 1);
    assert_int_equal(varint_size_bytes(64), 2);
    assert_int_equal(varint_size_bytes(INT32_MIN), 5);
    assert_int_equal(varlong_size_bytes(INT64_MIN), 10);
}

static void the_limit_is_reached_but_not_passed(void **state)
{
    CLEANUP(writer_release) struct writer w;

    writer_init(&w, &heap_allocator, 100);
    for (int i = 0; i < 25; i++)
        writer_u32(&w, 7);
    assert_int_equal(writer_error(&w), OK);
    assert_int_equal(w.size_bytes, 100);
    assert_true(w.capacity_bytes <= 100);
    writer_u8(&w, 1);
    assert_int_equal(writer_error(&w), ERR_NO_MEMORY);
    assert_int_equal(w.size_bytes, 100);
}

static void an_error_sticks_until_reset(void **state)
{
    uint8_t buffer[4];
    struct writer w;

    writer_init_fixed(&w, buffer, sizeof buffer);
    writer_u16(&w, 1);
    writer_u32(&w, 2); /* too large */
    writer_u8(&w, 3);  /* would have room */
    assert_null(writer_reserve(&w, 1));
    assert_int_equal(writer_error(&w), ERR_NO_MEMORY);
    assert_int_equal(w.size_bytes, 2);
    writer_patch_u32(&w, 0, 9); /* dropped like the rest */
    assert_int_equal(buffer[1], 1);
    writer_reset(&w);
    writer_u32(&w, 5);
    assert_int_equal(writer_error(&w), OK);
    assert_ptr_equal(writer_slice(&w).data, buffer);
    writer_release(&w); /* the caller's buffer is not freed */
}

static void no_memory_is_an_error_that_keeps_what_was_written(void **state)
{
    struct allocator_failing failing;
    struct writer w;

    allocator_failing_init(&failing, &heap_allocator, 1, true);
    writer_init(&w, &failing.base, SIZE_MAX);
    writer_u32(&w, 1);
    assert_null(writer_reserve(&w, 1000));
    assert_int_equal(writer_error(&w), ERR_NO_MEMORY);
    assert_int_equal(writer_slice(&w).size_bytes, 4);
    writer_release(&w);
    assert_int_equal(failing.bytes_in_use, 0);
    writer_release(&w); /* twice is harmless */
}

static void an_absurd_size_does_not_overflow(void **state)
{
    CLEANUP(writer_release) struct writer w;

    writer_init(&w, &heap_allocator, SIZE_MAX);
    writer_u8(&w, 1);
    assert_null(writer_reserve(&w, SIZE_MAX));
    assert_int_equal(writer_error(&w), ERR_NO_MEMORY);
}

static void nothing_written_is_an_empty_slice(void **state)
{
    CLEANUP(writer_release) struct writer w;

    writer_init(&w, &heap_allocator, SIZE_MAX);
    writer_bytes(&w, NULL, 0);
    assert_non_null(writer_reserve(&w, 0));
    assert_false(slice_is_null(writer_slice(&w)));
    assert_int_equal(writer_slice(&w).size_bytes, 0);
    assert_int_equal(writer_error(&w), OK);
}

static void a_length_can_be_patched_behind_its_bytes(void **state)
{
    CLEANUP(writer_release) struct writer w;

    writer_init(&w, &heap_allocator, SIZE_MAX);
    writer_u8(&w, 9);
    writer_u32(&w, 0);
    writer_bytes(&w, "abc", 3);
    writer_patch_u32(&w, 1, 0x01020304);
    assert_memory_equal(w.data,
                        "\x09\x01\x02\x03\x04"
                        "abc",
                        8);
}

static void a_taken_buffer_belongs_to_the_taker(void **state)
{
    struct allocator_failing failing;
    struct writer w;
    size_t size_bytes, capacity_bytes;
    uint8_t *data;

    allocator_failing_init(&failing, &heap_allocator, -1, false);
    writer_init(&w, &failing.base, SIZE_MAX);
    writer_bytes(&w, "abcdef", 6);
    data = writer_take(&w, &size_bytes, &capacity_bytes);
    assert_int_equal(size_bytes, 6);
    assert_memory_equal(data, "abcdef", 6);
    assert_int_equal(w.size_bytes, 0);
    writer_u8(&w, 1); /* usable again, with memory of its own */
    assert_ptr_not_equal(w.data, data);
    writer_release(&w);
    failing.base.release(&failing.base, data, capacity_bytes);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void ids_keep_their_byte_order(void **state)
{
    CLEANUP(writer_release) struct writer w;
    struct cursor c;
    struct uuid id;

    writer_init(&w, &heap_allocator, SIZE_MAX);
    writer_uuid(&w, UUID_METADATA);
    assert_int_equal(w.size_bytes, 16);
    assert_int_equal(w.data[15], 1);
    c = cursor_of(writer_slice(&w));
    assert_int_equal(cursor_uuid(&c, &id), OK);
    assert_true(uuid_equal(id, UUID_METADATA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_big_endian),
        cmocka_unit_test(variable_length_numbers_read_back_at_every_boundary),
        cmocka_unit_test(the_limit_is_reached_but_not_passed),
        cmocka_unit_test(an_error_sticks_until_reset),
        cmocka_unit_test(no_memory_is_an_error_that_keeps_what_was_written),
        cmocka_unit_test(an_absurd_size_does_not_overflow),
        cmocka_unit_test(nothing_written_is_an_empty_slice),
        cmocka_unit_test(a_length_can_be_patched_behind_its_bytes),
        cmocka_unit_test(a_taken_buffer_belongs_to_the_taker),
        cmocka_unit_test(ids_keep_their_byte_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
