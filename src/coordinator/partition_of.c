/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/partition_of.c: which partition of an internal topic a key belongs to: Java's string
 * hash over UTF-16 units, its absolute value modulo the partition count. groups.md §1.1 of the
 * reference.
 */
#include "base/assert.h"
#include "coordinator/coordinator.h"

#define REPLACEMENT UINT32_C(0xfffd)

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The range of the byte behind `lead`: shuts out overlong forms and what is above U+10FFFF. */
static bool second_fits(uint8_t lead, uint8_t second)
{
    switch (lead) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_continuation(second);
    }
}

/* Bytes of the whole character; 0: this byte begins none. */
static size_t length_of(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

/* One character from the front, as Java's decoder takes it: each longest broken part of a character
 * becomes one U+FFFD, a surrogate too. */
static uint32_t character_next(const uint8_t *at, size_t left, size_t *used_out)
{
    size_t length = length_of(at[0]);
    uint32_t code;

    *used_out = 1;
    if (length == 0)
        return REPLACEMENT;
    if (length == 1)
        return at[0];
    code = at[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (i >= left || (i == 1 ? !second_fits(at[0], at[1]) : !is_continuation(at[i]))) {
            *used_out = i;
            return REPLACEMENT;
        }
        code = code << 6 | (at[i] & 0x3fu);
    }
    *used_out = length;
    return code >= 0xd800 && code <= 0xdfff ? REPLACEMENT : code; /* half of a pair, by itself */
}

int32_t coordinator_partition_of(struct slice key, int32_t partition_count)
{
    uint32_t hash = 0;
    int64_t positive;

    ASSERT(partition_count > 0);
    for (size_t i = 0; i < key.size_bytes;) {
        size_t used;
        uint32_t code = character_next(key.data + i, key.size_bytes - i, &used);

        if (code >= 0x10000) {
            hash = 31 * hash + (0xd800 + ((code - 0x10000) >> 10));
            hash = 31 * hash + (0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
            hash = 31 * hash + code;
        }
        i += used;
    }
    positive = (int64_t)(int32_t)hash;
    if (positive < 0)
        positive =
            hash == UINT32_C(0x80000000) ? 0 : -positive; /* Java's abs has no answer there */
    return (int32_t)(positive % partition_count);
}
