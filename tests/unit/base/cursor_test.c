/* SPDX-License-Identifier: Apache-2.0 */
/* Checked big-endian reading. */
#include "base/cursor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t numbers[] = {0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0xff};

static void numbers_are_big_endian(void **state)
{
    struct slice all = slice_of(numbers, sizeof numbers);
    struct cursor c;
    uint8_t u8;
    int8_t i8;
    uint16_t u16;
    int16_t i16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t i64;

    c = cursor_of(all);
    assert_int_equal(cursor_u8(&c, &u8), OK);
    assert_int_equal(u8, 0x80);
    c = cursor_of(all);
    assert_int_equal(cursor_i8(&c, &i8), OK);
    assert_int_equal(i8, -128);
    c = cursor_of(all);
    assert_int_equal(cursor_u16(&c, &u16), OK);
    assert_int_equal(u16, 0x8001);
    c = cursor_of(all);
    assert_int_equal(cursor_i16(&c, &i16), OK);
    assert_int_equal(i16, -0x7fff);
    c = cursor_of(all);
    assert_int_equal(cursor_u32(&c, &u32), OK);
    assert_int_equal(u32, 0x80010203);
    c = cursor_of(all);
    assert_int_equal(cursor_i32(&c, &i32), OK);
    assert_int_equal(i32, INT32_MIN + 0x010203);
    c = cursor_of(all);
    assert_int_equal(cursor_u64(&c, &u64), OK);
    assert_true(u64 == UINT64_C(0x80010203040506ff));
    c = cursor_of(all);
    assert_int_equal(cursor_i64(&c, &i64), OK);
    assert_true(i64 == INT64_MIN + INT64_C(0x010203040506ff));
    assert_int_equal(cursor_left(&c), 0);
}

static void doubles_are_their_ieee_bits(void **state)
{
    static const uint8_t bytes[] = {0xc0, 0x04, 0, 0, 0, 0, 0, 0};
    struct cursor c = cursor_of(slice_of(bytes, sizeof bytes));
    double value;

    assert_int_equal(cursor_f64(&c, &value), OK);
    assert_true(value == -2.5);
}

/* Each fixed-size reader on each shorter input. */
static void a_short_input_is_an_error_and_the_cursor_stays(void **state)
{
    for (size_t left = 0; left < 16; left++) {
        static const uint8_t zeros[16];
        struct slice input = slice_of(zeros, left);
        struct cursor c = cursor_of(input);
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        double f64;
        struct uuid id;
        uint8_t u8;

        if (left < 1)
            assert_int_equal(cursor_u8(&c, &u8), ERR_SHORT);
        if (left < 2)
            assert_int_equal(cursor_u16(&c, &u16), ERR_SHORT);
        if (left < 4)
            assert_int_equal(cursor_u32(&c, &u32), ERR_SHORT);
        if (left < 8) {
            assert_int_equal(cursor_u64(&c, &u64), ERR_SHORT);
            assert_int_equal(cursor_f64(&c, &f64), ERR_SHORT);
        }
        assert_int_equal(cursor_uuid(&c, &id), ERR_SHORT);
        assert_int_equal(cursor_skip(&c, left + 1), ERR_SHORT);
        assert_int_equal(cursor_skip(&c, SIZE_MAX), ERR_SHORT);
        assert_int_equal(cursor_bytes(&c, left + 1, &input), ERR_SHORT);
        assert_int_equal(cursor_left(&c), left);
    }
}

static void bytes_are_a_view_of_the_input(void **state)
{
    struct cursor c = cursor_of(slice_of(numbers, sizeof numbers));
    struct slice part;

    assert_int_equal(cursor_skip(&c, 2), OK);
    assert_int_equal(cursor_bytes(&c, 3, &part), OK);
    assert_ptr_equal(part.data, numbers + 2);
    assert_int_equal(part.size_bytes, 3);
    assert_int_equal(cursor_left(&c), 3);
    c = cursor_of(SLICE_NULL);
    assert_int_equal(cursor_bytes(&c, 0, &part), OK);
    assert_false(slice_is_null(part)); /* empty is not null */
    assert_int_equal(cursor_skip(&c, 0), OK);
}

struct varint_row {
    const char *bytes;
    size_t size_bytes;
    uint64_t value;
};

static void variable_length_numbers_read_at_their_boundaries(void **state)
{
    static const struct varint_row rows[] = {
        {"\x00", 1, 0},
        {"\x7f", 1, 127},
        {"\x80\x01", 2, 128},
        {"\xff\x7f", 2, 16383},
        {"\x80\x80\x01", 3, 16384},
        {"\x80\x80\x80\x01", 4, 2097152},
        {"\xff\xff\xff\x7f", 4, 268435455},
        {"\x80\x80\x80\x80\x01", 5, 268435456},
        {"\xff\xff\xff\xff\x0f", 5, UINT32_MAX},
        {"\x80\x00", 2, 0}, /* longer than needed is legal */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, UINT64_C(1) << 63},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice input = slice_of(rows[i].bytes, rows[i].size_bytes);
        struct cursor c = cursor_of(input);
        uint64_t u64;
        int64_t i64;
        uint32_t u32;
        int32_t i32;

        assert_int_equal(cursor_uvarlong(&c, &u64), OK);
        assert_true(u64 == rows[i].value);
        assert_int_equal(cursor_left(&c), 0);
        c = cursor_of(input);
        assert_int_equal(cursor_varlong(&c, &i64), OK);
        assert_true(i64 == (rows[i].value % 2 ? -(int64_t)(rows[i].value / 2) - 1
                                              : (int64_t)(rows[i].value / 2)));
        if (rows[i].size_bytes > 5)
            continue;
        c = cursor_of(input);
        assert_int_equal(cursor_uvarint(&c, &u32), OK);
        assert_true(u32 == rows[i].value);
        c = cursor_of(input);
        assert_int_equal(cursor_varint(&c, &i32), OK);
        assert_true(i32 == (int32_t)(rows[i].value % 2 ? -(int64_t)(rows[i].value / 2) - 1
                                                       : (int64_t)(rows[i].value / 2)));
        for (size_t left = 0; left < rows[i].size_bytes; left++) {
            c = cursor_of(slice_of(rows[i].bytes, left));
            assert_int_equal(cursor_uvarint(&c, &u32), ERR_SHORT);
            assert_int_equal(cursor_varlong(&c, &i64), ERR_SHORT);
            assert_int_equal(cursor_left(&c), left);
        }
    }
}

static void too_long_a_varint_is_an_error(void **state)
{
    static const uint8_t bytes[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    struct cursor c = cursor_of(slice_of(bytes, sizeof bytes));
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t i64;

    assert_int_equal(cursor_uvarint(&c, &u32), ERR_VARINT);
    assert_int_equal(cursor_varint(&c, &i32), ERR_VARINT);
    assert_int_equal(cursor_uvarlong(&c, &u64), ERR_VARINT);
    assert_int_equal(cursor_varlong(&c, &i64), ERR_VARINT);
    assert_int_equal(cursor_left(&c), sizeof bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(doubles_are_their_ieee_bits),
        cmocka_unit_test(a_short_input_is_an_error_and_the_cursor_stays),
        cmocka_unit_test(bytes_are_a_view_of_the_input),
        cmocka_unit_test(variable_length_numbers_read_at_their_boundaries),
        cmocka_unit_test(too_long_a_varint_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
