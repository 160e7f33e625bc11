/* SPDX-License-Identifier: Apache-2.0 */
/* The formatter against libc's. */
#include "base/fmt.h"
#include "base/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#define ROUNDS 20000
static const uint64_t seed = 20261125;

/* Both formatters on the same arguments, in a buffer of a random size. */
static void same_as_libc(struct random *random, const char *format, ...) PRINTF_LIKE(2, 3);
static void same_as_libc(struct random *random, const char *format, ...)
{
    char ours[900], theirs[900];
    size_t capacity_bytes = random_chance(random, 1, 4) ? random_below(random, 40) : sizeof ours;
    size_t size_bytes;
    int expected;
    va_list arguments;

    memset(ours, 'x', sizeof ours);
    memset(theirs, 'x', sizeof theirs);
    va_start(arguments, format);
    size_bytes = fmt_list(ours, capacity_bytes, format, arguments);
    va_end(arguments);
    va_start(arguments, format);
    expected = vsnprintf(theirs, capacity_bytes, format, arguments);
    va_end(arguments);
    if ((size_t)expected != size_bytes || memcmp(ours, theirs, sizeof ours) != 0)
        fail_msg("%s: %zu [%.300s], libc %d [%.300s]", format, size_bytes, ours, expected, theirs);
}

/* "%", flags, width, precision, length, letter; only what C defines for the letter. */
static void random_format(struct random *random, char *out, size_t capacity_bytes,
                          const char *length, char letter)
{
    bool with_zero = !strchr("sc", letter), with_sign = strchr("difF", letter) != NULL;
    struct text text;

    text_init(&text, out, capacity_bytes);
    text_add(&text, "[%%");
    if (random_chance(random, 1, 4))
        text_add(&text, "-");
    if (with_zero && random_chance(random, 1, 4))
        text_add(&text, "0");
    if (with_sign && random_chance(random, 1, 5))
        text_add(&text, "+");
    if (with_sign && random_chance(random, 1, 5))
        text_add(&text, " ");
    if (strchr("oxXfF", letter) && random_chance(random, 1, 5))
        text_add(&text, "#");
    if (random_chance(random, 1, 2))
        text_add(&text, "%d", (int)random_between(random, 1, 30));
    if (letter != 'c' && random_chance(random, 1, 2))
        text_add(&text, ".%d", (int)random_between(random, 0, 25));
    text_add(&text, "%s%c]", length, letter);
    assert_false(text.truncated);
}

/* Small, large and boundary values alike. */
static uint64_t random_value(struct random *random)
{
    switch (random_below(random, 4)) {
    case 0:
        return random_below(random, 20);
    case 1:
        return 0 - random_below(random, 20);
    case 2:
        return (UINT64_C(1) << random_below(random, 64)) - random_below(random, 2);
    default:
        return random_u64(random) >> random_below(random, 64);
    }
}

static void integers_are_formatted_as_libc_does(void **state)
{
    struct random random;
    char format[64];

    random_init(&random, seed);
    for (int i = 0; i < ROUNDS; i++) {
        char letter = "diuxXo"[random_below(&random, 6)];
        uint64_t value = random_value(&random);

        random_format(&random, format, sizeof format, "", letter);
        same_as_libc(&random, format, (int)value);
        random_format(&random, format, sizeof format, "hh", letter);
        same_as_libc(&random, format, (int)(signed char)value);
        random_format(&random, format, sizeof format, "h", letter);
        same_as_libc(&random, format, (int)(short)value);
        random_format(&random, format, sizeof format, "l", letter);
        same_as_libc(&random, format, (long)value);
        random_format(&random, format, sizeof format, "ll", letter);
        same_as_libc(&random, format, (long long)value);
        random_format(&random, format, sizeof format, "z", letter);
        same_as_libc(&random, format, (size_t)value);
        random_format(&random, format, sizeof format, "t", letter);
        same_as_libc(&random, format, (ptrdiff_t)value);
        random_format(&random, format, sizeof format, "j", letter);
        same_as_libc(&random, format, (intmax_t)value);
    }
}

static void texts_are_formatted_as_libc_does(void **state)
{
    static const char *const texts[] = {"", "a", "orders", "a longer text with spaces"};
    struct random random;
    char format[64];

    random_init(&random, seed);
    for (int i = 0; i < ROUNDS; i++) {
        const char *text = texts[random_below(&random, ARRAY_COUNT(texts))];

        random_format(&random, format, sizeof format, "", 's');
        same_as_libc(&random, format, text);
        random_format(&random, format, sizeof format, "", 'c');
        same_as_libc(&random, format, (int)random_between(&random, 'a', 'z'));
        same_as_libc(&random, "%*s|%-*s|%.*s|%%", (int)random_between(&random, -30, 30), text,
                     (int)random_between(&random, 0, 30), text,
                     (int)random_between(&random, -2, 30), text);
    }
}

static void doubles_are_rounded_as_libc_does(void **state)
{
    static const double values[] = {0.0,    -0.0,  0.5,      1.5,  2.5,       0.125,     9.995,
                                    99.95,  999.5, 0.05,     1e22, 1e23,      DBL_MAX,   DBL_MIN,
                                    5e-324, 0.1,   -1.0 / 3, 1e15, 9.9999999, 123456.75, 0.045};
    struct random random;
    char format[64];

    random_init(&random, seed);
    for (int i = 0; i < ROUNDS; i++) {
        double value = values[i % (int)ARRAY_COUNT(values)];

        if (random_chance(&random, 1, 2)) {
            uint64_t bits = random_u64(&random);

            memcpy(&value, &bits, sizeof value);
        } else if (random_chance(&random, 1, 2)) {
            value = (double)random_between(&random, -1000000, 1000000) / 64;
        }
        if (isnan(value))
            continue; /* the sign of what is no number is nobody's concern */
        random_format(&random, format, sizeof format, "", random_chance(&random, 1, 9) ? 'F' : 'f');
        same_as_libc(&random, format, value);
    }
    same_as_libc(&random, "%f %F %5f %05f %-6f|", INFINITY, -INFINITY, INFINITY, INFINITY,
                 INFINITY);
    same_as_libc(&random, "%.500f", 5e-324);
    same_as_libc(&random, "%.480f", DBL_MAX);
}

static void all_digits_of_the_smallest_double_are_right(void **state)
{
    char ours[1300], theirs[1300];

    assert_int_equal(fmt(ours, sizeof ours, "%.1080f", 5e-324), 1082);
    snprintf(theirs, sizeof theirs, "%.1080f", 5e-324);
    assert_string_equal(ours, theirs);
}

static void a_null_text_is_named(void **state)
{
    const char *volatile nothing = NULL;
    char out[20];

    assert_int_equal(fmt(out, sizeof out, "%s", nothing), 6);
    assert_string_equal(out, "(null)");
}

static void a_precision_bounds_what_is_read(void **state)
{
    char raw[3] = {'a', 'b', 'c'}; /* no NUL */
    char out[20];

    assert_int_equal(fmt(out, sizeof out, "%.*s|%.2s", 3, raw, raw), 6);
    assert_string_equal(out, "abc|ab");
    assert_int_equal(fmt(out, sizeof out, "%.*s", SLICE_ARGS(SLICE_NULL)), 0);
    assert_string_equal(out, "");
}

static void pointers_are_hexadecimal(void **state)
{
    char out[30];

    fmt(out, sizeof out, "%p", (void *)(uintptr_t)0xbeef);
    assert_string_equal(out, "0xbeef");
}

static void the_bound_holds_and_the_whole_length_is_told(void **state)
{
    char out[8];

    memset(out, 'x', sizeof out);
    assert_int_equal(fmt(out, 4, "%s-%d", "ab", 1234), 7);
    assert_string_equal(out, "ab-");
    assert_int_equal(out[4], 'x');
    assert_int_equal(fmt(out, 1, "%d", 77), 2);
    assert_string_equal(out, "");
    assert_int_equal(fmt(NULL, 0, "%d", 77), 2);
}

static void a_text_is_put_together_until_it_is_full(void **state)
{
    char buffer[10];
    struct text text;

    text_init(&text, buffer, sizeof buffer);
    assert_string_equal(buffer, "");
    text_add(&text, "%d,", 12);
    text_add(&text, "%s", "345678");
    assert_string_equal(buffer, "12,345678");
    assert_int_equal(text.size_bytes, 9);
    assert_false(text.truncated);
    text_add(&text, "%s", "");
    assert_false(text.truncated);
    text_add(&text, "9");
    assert_true(text.truncated);
    assert_string_equal(buffer, "12,345678");
    assert_int_equal(text.size_bytes, 9);

    text_init(&text, buffer, sizeof buffer);
    text_add(&text, "%s", "12345678901");
    text_add(&text, "x");
    assert_true(text.truncated);
    assert_string_equal(buffer, "123456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_formatted_as_libc_does),
        cmocka_unit_test(texts_are_formatted_as_libc_does),
        cmocka_unit_test(doubles_are_rounded_as_libc_does),
        cmocka_unit_test(all_digits_of_the_smallest_double_are_right),
        cmocka_unit_test(a_null_text_is_named),
        cmocka_unit_test(a_precision_bounds_what_is_read),
        cmocka_unit_test(pointers_are_hexadecimal),
        cmocka_unit_test(the_bound_holds_and_the_whole_length_is_told),
        cmocka_unit_test(a_text_is_put_together_until_it_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
