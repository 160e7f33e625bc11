/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/decimal.c: exact conversion between binary64 and decimal digits, in plain integer arithmetic.
 * Most numbers take a short path: both the digits and the power of ten are exact doubles, so that one
 * operation rounds once (Clinger 1990). All others are divided as integers of up to 5,000 bits: slow
 * beside table methods, but exact for every input, and text is never on a hot path.
 */
#include "base/assert.h"
#include "base/base_internal.h"

#include <string.h>

#define FRACTION_BITS 52
#define EXPONENT_BIAS 1075 /* of the mantissa as an integer: value = mantissa · 2^(bits - bias) */
#define EXPONENT_MAX 0x7ff
/* 10^800 · 10^(309) and 2^1152 above; divisors up to 10^1125 · 2^64. */
#define WORD_COUNT 160

struct big {
    size_t count; /* words in use: the highest is not 0 */
    uint32_t words[WORD_COUNT];
};

static void big_set(struct big *big, uint64_t value)
{
    big->count = 0;
    for (; value; value >>= 32)
        big->words[big->count++] = (uint32_t)value;
}

static void big_multiply_add(struct big *big, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;

    for (size_t i = 0; i < big->count; i++) {
        carry += (uint64_t)big->words[i] * factor;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) {
        ASSERT(big->count < WORD_COUNT);
        big->words[big->count++] = (uint32_t)carry;
    }
}

static void big_multiply_power_of_ten(struct big *big, unsigned power)
{
    for (; power >= 9; power -= 9)
        big_multiply_add(big, 1000000000, 0);
    for (; power > 0; power--)
        big_multiply_add(big, 10, 0);
}

static void big_shift_left(struct big *big, unsigned bits)
{
    size_t words = bits / 32;

    if (big->count == 0)
        return;
    if (words > 0) {
        ASSERT(big->count + words <= WORD_COUNT);
        memmove(big->words + words, big->words, big->count * sizeof *big->words);
        memset(big->words, 0, words * sizeof *big->words);
        big->count += words;
    }
    if (bits % 32)
        big_multiply_add(big, UINT32_C(1) << bits % 32, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count)
        return a->count > b->count ? 1 : -1;
    for (size_t i = a->count; i-- > 0;)
        if (a->words[i] != b->words[i])
            return a->words[i] > b->words[i] ? 1 : -1;
    return 0;
}

/* to ≥ from */
static void big_subtract(struct big *to, const struct big *from)
{
    int64_t borrow = 0;

    for (size_t i = 0; i < to->count; i++) {
        borrow += (int64_t)to->words[i] - (i < from->count ? from->words[i] : 0);
        to->words[i] = (uint32_t)borrow;
        borrow = borrow < 0 ? -1 : 0;
    }
    while (to->count > 0 && to->words[to->count - 1] == 0)
        to->count--;
}

static int64_t big_bits(const struct big *big)
{
    if (big->count == 0)
        return 0;
    return (int64_t)big->count * 32 - __builtin_clz(big->words[big->count - 1]);
}

static double double_of_bits(uint64_t bits)
{
    double value;

    _Static_assert(sizeof bits == sizeof value, "doubles are IEEE 754 binary64");
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The nearest double of numerator / divisor, both > 0. */
static double divide(struct big *numerator, struct big *divisor)
{
    /* Scaled so that the quotient has 64 or 65 bits before it is cut; `exponent` is that of its
     * lowest bit. */
    int64_t exponent = big_bits(numerator) - big_bits(divisor) - 64;
    uint64_t quotient = 0, half, kept;
    unsigned drop = 64 - (FRACTION_BITS + 1);
    bool rest;

    if (exponent < 0)
        big_shift_left(numerator, (unsigned)-exponent);
    else
        big_shift_left(divisor, (unsigned)exponent);
    /* Now 2^63 < numerator / divisor < 2^65; bring it under 2^64. */
    big_shift_left(divisor, 64);
    if (big_compare(numerator, divisor) >= 0) {
        big_shift_left(divisor, 1);
        exponent++;
    }
    for (int i = 0; i < 64; i++) { /* one bit of the quotient each */
        big_shift_left(numerator, 1);
        quotient <<= 1;
        if (big_compare(numerator, divisor) >= 0) {
            big_subtract(numerator, divisor);
            quotient |= 1;
        }
    }
    rest = numerator->count > 0;
    ASSERT(quotient >> 63);
    if (exponent + drop < 1 - EXPONENT_BIAS) { /* subnormal: fewer bits remain */
        int64_t more = 1 - EXPONENT_BIAS - exponent;

        if (more > 64)
            return 0;
        drop = (unsigned)more;
    }
    exponent += drop;
    kept = drop == 64 ? 0 : quotient >> drop;
    half = UINT64_C(1) << (drop - 1);
    quotient &= half | (half - 1);
    if (quotient > half || (quotient == half && (rest || (kept & 1))))
        kept++; /* may carry into the exponent: the encoding below takes it */
    if (exponent + EXPONENT_BIAS >= EXPONENT_MAX)
        return double_of_bits((uint64_t)EXPONENT_MAX << FRACTION_BITS);
    /* A subnormal has no hidden bit and exponent bits 0; a normal one adds its hidden bit to them. */
    return double_of_bits(((uint64_t)(exponent + EXPONENT_BIAS - 1) << FRACTION_BITS) + kept);
}

double decimal_to_double(const struct decimal *decimal)
{
    static const double exact_tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                        1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int64_t power = (int64_t)decimal->exponent - (int64_t)decimal->digit_count; /* of last digit */
    struct big numerator, divisor;

    if (decimal->digit_count == 0 || decimal->exponent < -330)
        return 0;
    if (decimal->exponent > 310)
        return double_of_bits((uint64_t)EXPONENT_MAX << FRACTION_BITS);
    if (decimal->digit_count <= 15 && !decimal->rest && power >= -22 && power <= 22) {
        uint64_t whole = 0;

        for (size_t i = 0; i < decimal->digit_count; i++)
            whole = whole * 10 + decimal->digits[i];
        return power < 0 ? (double)whole / exact_tens[-power] : (double)whole * exact_tens[power];
    }
    numerator.count = 0;
    for (size_t i = 0; i < decimal->digit_count; i++)
        big_multiply_add(&numerator, 10, decimal->digits[i]);
    if (decimal->rest) { /* one more digit stands for all that follow */
        big_multiply_add(&numerator, 10, 1);
        power--;
    }
    big_set(&divisor, 1);
    if (power >= 0)
        big_multiply_power_of_ten(&numerator, (unsigned)power);
    else
        big_multiply_power_of_ten(&divisor, (unsigned)-power);
    return divide(&numerator, &divisor);
}

/* Writes the digits of a whole number and returns their count; `big` is used up. */
static size_t whole_digits(struct big *big, char *out)
{
    char reversed[DECIMAL_TEXT_BYTES];
    size_t count = 0;

    while (big->count > 0) {
        uint64_t rest = 0;

        for (size_t i = big->count; i-- > 0;) {
            rest = rest << 32 | big->words[i];
            big->words[i] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        while (big->count > 0 && big->words[big->count - 1] == 0)
            big->count--;
        for (int i = 0; i < 9 && (big->count > 0 || rest > 0); i++) {
            reversed[count++] = (char)('0' + rest % 10);
            rest /= 10;
        }
    }
    if (count == 0)
        reversed[count++] = '0';
    for (size_t i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

/* Adds one to the last digit; true when it carried out of the first. */
static bool increment(char *digits, size_t count)
{
    while (count > 0) {
        if (digits[count - 1] != '9') {
            digits[count - 1]++;
            return false;
        }
        digits[--count] = '0';
    }
    return true;
}

size_t decimal_of_double(double value, size_t precision, char digits_out[DECIMAL_TEXT_BYTES])
{
    struct big whole, fraction, one;
    uint64_t bits, mantissa;
    size_t whole_count;
    int exponent, order;

    memcpy(&bits, &value, sizeof bits);
    exponent = (int)(bits >> FRACTION_BITS & EXPONENT_MAX);
    ASSERT(exponent != EXPONENT_MAX);
    ASSERT(precision <= DECIMAL_FRACTION_MAX);
    mantissa = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    if (exponent > 0)
        mantissa |= UINT64_C(1) << FRACTION_BITS;
    exponent = MAX(exponent, 1) - EXPONENT_BIAS;
    big_set(&fraction, 0);
    big_set(&one, 1);
    if (exponent >= 0) {
        big_set(&whole, mantissa);
        big_shift_left(&whole, (unsigned)exponent);
    } else {
        unsigned below = (unsigned)-exponent; /* bits behind the point */

        big_set(&whole, below < 64 ? mantissa >> below : 0);
        big_set(&fraction, below < 64 ? mantissa & ((UINT64_C(1) << below) - 1) : mantissa);
        big_shift_left(&one, below);
    }
    whole_count = whole_digits(&whole, digits_out);
    for (size_t i = 0; i < precision; i++) {
        char digit = '0';

        big_multiply_add(&fraction, 10, 0);
        while (big_compare(&fraction, &one) >= 0) {
            big_subtract(&fraction, &one);
            digit++;
        }
        digits_out[whole_count + i] = digit;
    }
    big_shift_left(&fraction, 1);
    order = big_compare(&fraction, &one);
    if (order > 0 || (order == 0 && (digits_out[whole_count + precision - 1] - '0') % 2 == 1))
        if (increment(digits_out, whole_count + precision)) { /* 9.99 → 10.0 */
            memmove(digits_out + 1, digits_out, whole_count + precision);
            digits_out[0] = '1';
            whole_count++;
        }
    return whole_count;
}
