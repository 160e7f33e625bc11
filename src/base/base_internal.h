/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/base_internal.h: exact conversion between binary64 and decimal digits, shared by fmt and parse; the fields of log
 * lines, made by fmt for log.
 */
#ifndef BASE_BASE_INTERNAL_H
#define BASE_BASE_INTERNAL_H

#include "base/macros.h"

#include <stdarg.h>
#include <stdbool.h>

/* The fields of a log line, cut at the bound: fmt_list, but the texts that %s and %c put in (without padding) stay one
 * value each. `"` and `\` get a backslash, a line break becomes \n, other control bytes and bytes that are no UTF-8
 * \xNN. A whole value with a space that the format has not in quotes gets them; in a part of one a space is \x20. */
void fields_list(char *out, size_t capacity_bytes, const char *format, va_list list)
    PRINTF_LIKE(3, 0);

/* Digits that tell every double from every tie between two of them: more never change a result but
 * as one bit "something non-zero follows". */
#define DECIMAL_DIGITS_MAX 800

struct decimal {
    uint8_t digits[DECIMAL_DIGITS_MAX]; /* 0…9, highest first; the first one is not 0 */
    size_t digit_count;                 /* 0: the value is zero */
    bool rest;                          /* non-zero digits follow those */
    int32_t exponent;                   /* value = 0.d₁d₂… · 10^exponent */
};

/* The nearest double, ties to even; infinity when beyond the largest. */
double decimal_to_double(const struct decimal *decimal);

#define DECIMAL_FRACTION_MAX 1074 /* no double has more digits behind its point */
#define DECIMAL_TEXT_BYTES (310 + DECIMAL_FRACTION_MAX)

/* Writes the digits of a finite |value| with `precision` ≤ DECIMAL_FRACTION_MAX digits behind the
 * point, exactly rounded, ties to even; no point, no NUL. Returns how many stand before the point,
 * at least 1. */
size_t decimal_of_double(double value, size_t precision, char digits_out[DECIMAL_TEXT_BYTES]);

#endif
