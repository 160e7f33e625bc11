/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/xxh32.c: xxHash, 32 bits, for the checksums of LZ4 frames. Written from the algorithm's
 * published description; the tests hold its published check values.
 */
#include "compress/compress_internal.h"

#define PRIME_1 0x9e3779b1u
#define PRIME_2 0x85ebca77u
#define PRIME_3 0xc2b2ae3du
#define PRIME_4 0x27d4eb2fu
#define PRIME_5 0x165667b1u

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static uint32_t read_le(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t lane(uint32_t accumulator, const uint8_t *at)
{
    return rotate(accumulator + read_le(at) * PRIME_2, 13) * PRIME_1;
}

uint32_t xxh32(struct slice in, uint32_t seed)
{
    const uint8_t *at = in.data;
    size_t left = in.size_bytes;
    uint32_t hash = seed + PRIME_5;

    if (left >= 16) {
        uint32_t a = seed + PRIME_1 + PRIME_2, b = seed + PRIME_2, c = seed, d = seed - PRIME_1;

        for (; left >= 16; at += 16, left -= 16) {
            a = lane(a, at);
            b = lane(b, at + 4);
            c = lane(c, at + 8);
            d = lane(d, at + 12);
        }
        hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    }
    hash += (uint32_t)in.size_bytes;
    for (; left >= 4; at += 4, left -= 4)
        hash = rotate(hash + read_le(at) * PRIME_3, 17) * PRIME_4;
    for (; left > 0; at++, left--)
        hash = rotate(hash + *at * PRIME_5, 11) * PRIME_1;
    hash = (hash ^ hash >> 15) * PRIME_2;
    hash = (hash ^ hash >> 13) * PRIME_3;
    return hash ^ hash >> 16;
}
