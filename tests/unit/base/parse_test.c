/* SPDX-License-Identifier: Apache-2.0 */
/* Text to number. */
#include "base/fmt.h"
#include "base/parse.h"
#include "base/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void integers_are_taken_up_to_their_limits(void **state)
{
    int32_t i32;
    int64_t i64;
    uint64_t u64;

    assert_int_equal(parse_i32(SLICE("2147483647"), &i32), OK);
    assert_int_equal(i32, INT32_MAX);
    assert_int_equal(parse_i32(SLICE("-2147483648"), &i32), OK);
    assert_int_equal(i32, INT32_MIN);
    assert_int_equal(parse_i32(SLICE("2147483648"), &i32), ERR_NUMBER);
    assert_int_equal(parse_i32(SLICE("-2147483649"), &i32), ERR_NUMBER);
    assert_int_equal(parse_i64(SLICE("9223372036854775807"), &i64), OK);
    assert_true(i64 == INT64_MAX);
    assert_int_equal(parse_i64(SLICE("-9223372036854775808"), &i64), OK);
    assert_true(i64 == INT64_MIN);
    assert_int_equal(parse_i64(SLICE("9223372036854775808"), &i64), ERR_NUMBER);
    assert_int_equal(parse_i64(SLICE("-9223372036854775809"), &i64), ERR_NUMBER);
    assert_int_equal(parse_u64(SLICE("18446744073709551615"), &u64), OK);
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(parse_u64(SLICE("18446744073709551616"), &u64), ERR_NUMBER);
    assert_int_equal(parse_u64(SLICE("99999999999999999999"), &u64), ERR_NUMBER);
    assert_int_equal(parse_i64(SLICE("-0"), &i64), OK);
    assert_true(i64 == 0);
    assert_int_equal(parse_i64(SLICE("000000000000000000000000012"), &i64), OK);
    assert_true(i64 == 12);
}

static void what_is_not_exactly_an_integer_is_refused(void **state)
{
    static const char *const texts[] = {"",    "-",  "+1", " 1",  "1 ",       "1.",  "0x10", "1e3",
                                        "--1", "1-", "a",  "12a", "\xd9\xa1", "1_0", "1\n",  "- 1"};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct slice text = slice_from_text(texts[i]);
        int32_t i32 = 77;
        int64_t i64 = 77;
        uint64_t u64 = 77;

        assert_int_equal(parse_i32(text, &i32), ERR_NUMBER);
        assert_int_equal(parse_i64(text, &i64), ERR_NUMBER);
        assert_int_equal(parse_u64(text, &u64), ERR_NUMBER);
        assert_true(i32 == 77 && i64 == 77 && u64 == 77);
    }
    assert_int_equal(parse_u64(SLICE("-1"), &(uint64_t){0}), ERR_NUMBER);
    assert_int_equal(parse_i64(SLICE_NULL, &(int64_t){0}), ERR_NUMBER);
    assert_int_equal(parse_i64(SLICE("1\0"), &(int64_t){0}), ERR_NUMBER); /* a NUL is no end */
}

static void same_as_strtod(const char *text)
{
    double ours, theirs = strtod(text, NULL);

    if (isinf(theirs)) {
        assert_int_equal(parse_f64(slice_from_text(text), &ours), ERR_NUMBER);
        return;
    }
    if (parse_f64(slice_from_text(text), &ours) != OK || memcmp(&ours, &theirs, sizeof ours) != 0)
        fail_msg("%.60s…: %a, libc %a", text, ours, theirs);
}

static void hard_doubles_are_read_exactly(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "1",
        "-1",
        "1.",
        ".5",
        "-.5",
        "0.1",
        "1e0",
        "1E5",
        "1e+5",
        "1e-5",
        "1.5e3",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000123",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.0000000000000000000000000001",
        "1e22",
        "1e23",
        "8.5e22",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.797693134862315807e308",
        "1.7976931348623159e308",
        "1e309",
        "1e400",
        "1e99999999999999999999",
        "4.9e-324",
        "5e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2e-324",
        "1e-400",
        "1e-99999999999999999999",
        "0e99999999999",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "2.225073858507201136057409796709131975934e-308",
        "6.9294956446009195e15",
        "3.5844466002796428e298",
        "1.00000000000000011102230246251565404",
        "1.00000000000000011102230246251565405",
        "100000000000000000000000000000000e-32",
        "0.500000000000000166533453693773481063544750213623046875",
        "7.2057594037927933e16",
    };

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        same_as_strtod(texts[i]);
}

static void random_doubles_are_read_exactly(void **state)
{
    struct random random;
    char text[1200];

    random_init(&random, 20261125);
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = random_u64(&random);
        double value;

        if (i % 5 == 0)
            bits &= ~(UINT64_C(0x7ff) << 52); /* subnormal */
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, "%.*e", (int)random_between(&random, 0, 25), value);
        same_as_strtod(text);
        snprintf(text, sizeof text, "%.*f", (int)random_between(&random, 0, 700), value);
        same_as_strtod(text);
        snprintf(text, sizeof text, "%d.%llde%d", (int)random_below(&random, 1000),
                 (long long)random_below(&random, 100000000),
                 (int)random_between(&random, -40, 40));
        same_as_strtod(text);
    }
}

/* Halfway between two doubles to its last digit, and one digit beside it on both sides. */
static void ties_go_to_even_whatever_follows(void **state)
{
    struct random random;
    char text[1300];

    random_init(&random, 5);
    for (int i = 0; i < 200; i++) {
        /* An odd 54-bit number over 2^n is a tie of 53-bit mantissas. */
        uint64_t odd = random_u64(&random) >> 10 | UINT64_C(1) << 53 | 1;
        size_t size_bytes;

        size_bytes = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)odd);
        same_as_strtod(text);
        memcpy(text + size_bytes, ".0", 3);
        memset(text + size_bytes + 2, '0', 1000);
        text[size_bytes + 1002] = 0;
        same_as_strtod(text);
        text[size_bytes + 1001] = '1'; /* far behind: the sum is above the tie */
        same_as_strtod(text);
    }
    snprintf(text, sizeof text, "%.1074fe0", 4.9e-324); /* the smallest, exact */
    same_as_strtod(text);
}

static void what_is_not_exactly_a_finite_number_is_refused(void **state)
{
    static const char *const texts[] = {"",          "-",     ".",   "-.",    "e5",    ".e5",
                                        "1e",        "1e+",   "1e-", "1.2.3", " 1",    "1 ",
                                        "1,5",       "0x10",  "inf", "nan",   "NaN",   "Infinity",
                                        "-Infinity", "1e5.0", "1d ", "--1.0", "1e--5", "1_0"};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        double value = 77;

        assert_int_equal(parse_f64(slice_from_text(texts[i]), &value), ERR_NUMBER);
        assert_true(value == 77);
    }
    assert_int_equal(parse_f64(SLICE_NULL, &(double){0}), ERR_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_taken_up_to_their_limits),
        cmocka_unit_test(what_is_not_exactly_an_integer_is_refused),
        cmocka_unit_test(hard_doubles_are_read_exactly),
        cmocka_unit_test(random_doubles_are_read_exactly),
        cmocka_unit_test(ties_go_to_even_whatever_follows),
        cmocka_unit_test(what_is_not_exactly_a_finite_number_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
