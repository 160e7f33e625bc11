/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/parse.c: text to number, whole input or an error. No locale, no libc: strtod would take the
 * point from the locale, hexadecimal forms and leading space.
 */
#include "base/parse.h"

#include "base/base_internal.h"

#include <string.h>

#define EXPONENT_TEXT_MAX 100000000 /* past it every number is zero or too large */

/* Digits only, at least one, at most `max`. */
static enum err parse_digits(struct slice text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (text.size_bytes == 0)
        return ERR_NUMBER;
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint64_t digit;

        if (text.data[i] < '0' || text.data[i] > '9')
            return ERR_NUMBER;
        digit = (uint64_t)(text.data[i] - '0');
        if (value > max / 10 || digit > max - value * 10)
            return ERR_NUMBER;
        value = value * 10 + digit;
    }
    *out = value;
    return OK;
}

static enum err parse_signed(struct slice text, uint64_t max, int64_t *out)
{
    uint64_t value;

    if (text.size_bytes > 0 && text.data[0] == '-') {
        TRY(parse_digits(slice_sub(text, 1, SIZE_MAX), max + 1, &value));
        *out = (int64_t)(0 - value);
        return OK;
    }
    TRY(parse_digits(text, max, &value));
    *out = (int64_t)value;
    return OK;
}

enum err parse_i64(struct slice text, int64_t *out)
{
    return parse_signed(text, INT64_MAX, out);
}

enum err parse_i32(struct slice text, int32_t *out)
{
    int64_t value;

    TRY(parse_signed(text, INT32_MAX, &value));
    *out = (int32_t)value;
    return OK;
}

enum err parse_u64(struct slice text, uint64_t *out)
{
    return parse_digits(text, UINT64_MAX, out);
}

/* "e" or "E", a sign or none, digits. Clamped: any number of digits is legal. */
static enum err parse_exponent(struct slice text, int64_t *out)
{
    bool negative = false;
    size_t i = 1;
    int64_t value = 0;

    if (i < text.size_bytes && (text.data[i] == '-' || text.data[i] == '+'))
        negative = text.data[i++] == '-';
    if (i == text.size_bytes)
        return ERR_NUMBER;
    for (; i < text.size_bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return ERR_NUMBER;
        if (value < EXPONENT_TEXT_MAX)
            value = value * 10 + (text.data[i] - '0');
    }
    *out = negative ? -value : value;
    return OK;
}

static void add_digit(struct decimal *decimal, uint8_t digit)
{
    if (decimal->digit_count < DECIMAL_DIGITS_MAX)
        decimal->digits[decimal->digit_count++] = digit;
    else if (digit != 0)
        decimal->rest = true;
}

enum err parse_f64(struct slice text, double *out)
{
    struct decimal decimal;
    bool negative = false, point = false, any = false;
    int64_t exponent = 0, power = 0; /* exponent: digits before the point, less zeros behind it */
    double value;
    size_t i = 0;

    decimal.digit_count = 0;
    decimal.rest = false;
    if (text.size_bytes > 0 && text.data[0] == '-') {
        negative = true;
        i++;
    }
    for (; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];

        if (byte == '.' && !point) {
            point = true;
            continue;
        }
        if (byte < '0' || byte > '9')
            break;
        any = true;
        if (byte == '0' && decimal.digit_count == 0) { /* leading zeros */
            exponent -= point;
            continue;
        }
        add_digit(&decimal, (uint8_t)(byte - '0'));
        exponent += !point;
    }
    if (!any)
        return ERR_NUMBER;
    if (i < text.size_bytes) {
        if (text.data[i] != 'e' && text.data[i] != 'E')
            return ERR_NUMBER;
        TRY(parse_exponent(slice_sub(text, i, SIZE_MAX), &power));
    }
    while (decimal.digit_count > 0 && !decimal.rest && decimal.digits[decimal.digit_count - 1] == 0)
        decimal.digit_count--; /* keeps 1000000 on the short path */
    exponent += power;
    decimal.exponent = (int32_t)MIN(MAX(exponent, -10000), 10000);
    value = decimal_to_double(&decimal);
    if (value > 1.7976931348623157e308)
        return ERR_NUMBER; /* no finite number */
    *out = negative ? -value : value;
    return OK;
}
