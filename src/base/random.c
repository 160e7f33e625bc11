/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/random.c: xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64.
 */
#include "base/random.h"

#include "base/assert.h"
#include "base/hash_map.h"

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

void random_init(struct random *random, uint64_t seed)
{
    /* Four outputs of a bijection at four different inputs: never all zero. */
    for (size_t i = 0; i < ARRAY_COUNT(random->state); i++)
        random->state[i] = splitmix64(&seed);
}

void random_init_named(struct random *random, uint64_t seed, const char *name)
{
    /* The seed is mixed before the name joins: seeds are often small neighbours. */
    random_init(random, splitmix64(&seed) ^ hash_slice(slice_from_text(name)));
}

uint64_t random_u64(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    uint64_t refused, value;

    ASSERT(bound > 0);
    /* 2⁶⁴ mod bound values are refused, so that the rest divides evenly. */
    refused = (0 - bound) % bound;
    do
        value = random_u64(random);
    while (value < refused);
    return value % bound;
}

int64_t random_between(struct random *random, int64_t low, int64_t high)
{
    uint64_t count = (uint64_t)high - (uint64_t)low + 1;

    ASSERT(low <= high);
    if (count == 0) /* the whole range */
        return (int64_t)random_u64(random);
    return (int64_t)((uint64_t)low + random_below(random, count));
}

bool random_chance(struct random *random, uint32_t numerator, uint32_t denominator)
{
    ASSERT(denominator > 0);
    return random_below(random, denominator) < numerator;
}

void random_fill(struct random *random, void *out, size_t size_bytes)
{
    uint8_t *at = out;

    while (size_bytes > 0) {
        uint64_t value = random_u64(random);
        size_t count = MIN(size_bytes, sizeof value);

        for (size_t i = 0; i < count; i++) /* the same bytes on every machine */
            at[i] = (uint8_t)(value >> 8 * i);
        at += count;
        size_bytes -= count;
    }
}
