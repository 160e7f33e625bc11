/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/json_double.c: the shortest decimal that reads back as the same double.
 *
 * Exact integer arithmetic on numbers of up to 1152 bits (Steele and White 1990, Dragon4 with a fixed
 * estimate): value = r / s, with m⁺ and m⁻ half the distance to the neighbours; digits of r / s are
 * drawn until the rest is nearer than a neighbour. Slow beside table methods, but three fields of the
 * whole protocol are doubles, and none is on a hot path. Pure; no state.
 */
#include "base/assert.h"
#include "protocol/json_text.h"

#define WORD_COUNT 38 /* 1216 bits: 2^1074 · 2^53 · 10 · 4 and some */
#define DIGIT_COUNT_MAX 18

struct big {
    uint32_t words[WORD_COUNT]; /* lowest first */
};

static void big_set(struct big *big, uint64_t value)
{
    memset(big, 0, sizeof *big);
    big->words[0] = (uint32_t)value;
    big->words[1] = (uint32_t)(value >> 32);
}

static void big_multiply(struct big *big, uint32_t factor)
{
    uint64_t carry = 0;

    for (int i = 0; i < WORD_COUNT; i++) {
        carry += (uint64_t)big->words[i] * factor;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    ASSERT(carry == 0);
}

static void big_shift(struct big *big, unsigned bits)
{
    unsigned words = bits / 32;

    for (int i = WORD_COUNT - 1; i >= 0; i--)
        big->words[i] = i >= (int)words ? big->words[i - (int)words] : 0;
    if (bits % 32)
        big_multiply(big, 1u << bits % 32);
}

static int big_compare(const struct big *a, const struct big *b)
{
    for (int i = WORD_COUNT - 1; i >= 0; i--)
        if (a->words[i] != b->words[i])
            return a->words[i] > b->words[i] ? 1 : -1;
    return 0;
}

static void big_add(struct big *to, const struct big *from)
{
    uint64_t carry = 0;

    for (int i = 0; i < WORD_COUNT; i++) {
        carry += (uint64_t)to->words[i] + from->words[i];
        to->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static void big_subtract(struct big *to, const struct big *from)
{
    int64_t borrow = 0;

    for (int i = 0; i < WORD_COUNT; i++) {
        borrow += (int64_t)to->words[i] - from->words[i];
        to->words[i] = (uint32_t)borrow;
        borrow = borrow < 0 ? -1 : 0;
    }
}

/* a + b against c */
static int big_compare_sum(const struct big *a, const struct big *b, const struct big *c)
{
    struct big sum = *a;

    big_add(&sum, b);
    return big_compare(&sum, c);
}

/* Digits of a positive finite value: 0.d₁d₂… · 10^exponent. */
static int double_digits(uint64_t fraction, int exponent_bits, uint8_t digits[DIGIT_COUNT_MAX],
                         int *exponent_out)
{
    bool normal = exponent_bits > 0;
    uint64_t mantissa = normal ? fraction | UINT64_C(1) << 52 : fraction;
    int exponent = (normal ? exponent_bits : 1) - 1075;         /* value = mantissa · 2^exponent */
    bool narrow = normal && exponent_bits > 1 && fraction == 0; /* the lower neighbour is nearer */
    bool even = (mantissa & 1) == 0; /* ties read back to an even mantissa */
    struct big r, s, above, below;
    int count = 0, decimal = 0;

    big_set(&r, mantissa);
    big_set(&s, 1);
    big_set(&above, 1);
    big_shift(&r, narrow ? 2 : 1);
    big_shift(&s, narrow ? 2 : 1);
    if (exponent >= 0) {
        big_shift(&r, (unsigned)exponent);
        big_shift(&above, (unsigned)exponent);
    } else {
        big_shift(&s, (unsigned)-exponent);
    }
    below = above;
    if (narrow)
        big_shift(&above, 1);
    while (big_compare_sum(&r, &above, &s) >= (even ? 0 : 1)) { /* until value < 1 */
        big_multiply(&s, 10);
        decimal++;
    }
    for (;;) { /* until value ≥ 0.1 */
        struct big r10 = r, above10 = above;

        big_multiply(&r10, 10);
        big_multiply(&above10, 10);
        if (big_compare_sum(&r10, &above10, &s) >= (even ? 0 : 1))
            break;
        r = r10;
        above = above10;
        big_multiply(&below, 10);
        decimal--;
    }
    for (;;) {
        uint8_t digit = 0;
        bool low, high;

        big_multiply(&r, 10);
        big_multiply(&above, 10);
        big_multiply(&below, 10);
        while (big_compare(&r, &s) >= 0) {
            big_subtract(&r, &s);
            digit++;
        }
        low = big_compare(&r, &below) < (even ? 1 : 0);
        high = big_compare_sum(&r, &above, &s) >= (even ? 0 : 1);
        /* Java wants the nearest of two digits where one would do: 4.9E-324, not 5.0E-324. */
        ASSERT(count < DIGIT_COUNT_MAX); /* 17 digits tell any two doubles apart */
        if (count > 0 && (low || high)) {
            struct big twice = r;

            big_add(&twice, &r);
            if (high && (!low || big_compare(&twice, &s) >= 0))
                digit++;
            digits[count++] = digit;
            break;
        }
        digits[count++] = digit;
    }
    if (digits[count - 1] == 10) { /* only behind a first digit that could not end the number */
        ASSERT(count == 2 && digits[0] < 9);
        digits[0]++;
        digits[1] = 0;
    }
    if (count == 2 && digits[1] == 0)
        count = 1;
    *exponent_out = decimal;
    return count;
}

static void put_digits(struct writer *out, const uint8_t *digits, int count, int from, int to)
{
    for (int i = from; i < to; i++)
        writer_u8(out, (uint8_t)('0' + (i >= 0 && i < count ? digits[i] : 0)));
}

void json_put_double(struct writer *out, double value)
{
    uint8_t digits[DIGIT_COUNT_MAX];
    uint64_t bits, fraction;
    int exponent_bits, count, exponent;

    _Static_assert(sizeof bits == sizeof value, "doubles are IEEE 754 binary64");
    memcpy(&bits, &value, sizeof bits);
    fraction = bits & ((UINT64_C(1) << 52) - 1);
    exponent_bits = (int)(bits >> 52 & 0x7ff);
    if (exponent_bits == 0x7ff) {
        json_put(out, fraction ? "\"NaN\"" : bits >> 63 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    if (bits >> 63)
        writer_u8(out, '-');
    if (exponent_bits == 0 && fraction == 0) {
        json_put(out, "0.0");
        return;
    }
    count = double_digits(fraction, exponent_bits, digits, &exponent);
    if (exponent > -3 && exponent <= 7) { /* 10^-3 ≤ value < 10^7 */
        if (exponent > 0)
            put_digits(out, digits, count, 0, exponent);
        else
            writer_u8(out, '0');
        writer_u8(out, '.');
        put_digits(out, digits, count, exponent, MAX(count, exponent + 1)); /* negative: zeros */
        return;
    }
    put_digits(out, digits, count, 0, 1);
    writer_u8(out, '.');
    put_digits(out, digits, count, 1, MAX(count, 2));
    writer_u8(out, 'E');
    json_put_integer(out, exponent - 1);
}
