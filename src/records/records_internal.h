/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/records_internal.h: big-endian fields at fixed places, and what the files of records
 * share.
 */
#ifndef RECORDS_RECORDS_INTERNAL_H
#define RECORDS_RECORDS_INTERNAL_H

#include "base/cursor.h"
#include "base/slice.h"

static inline uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t get_u64(const uint8_t *at)
{
    return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

static inline void put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)(value >> 32));
    put_u32(at + 4, (uint32_t)value);
}

/* Two's complement sums and differences that wrap, as Java's do. */
static inline int64_t wrap_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t wrap_subtract(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* Zigzag numbers of one or two bytes, nearly all there are in records, without a call. Returns the
 * bytes taken; 0: longer, or too close to the end. */
static inline size_t uvarint_short(const uint8_t *at, const uint8_t *end, uint32_t *out)
{
    if (end - at < 2)
        return 0;
    *out = at[0];
    if (at[0] < 0x80)
        return 1;
    *out = (uint32_t)(at[0] & 0x7f) | (uint32_t)at[1] << 7;
    return at[1] < 0x80 ? 2 : 0;
}

static inline int32_t zigzag_decode(uint32_t value)
{
    return (int32_t)(value >> 1 ^ (0u - (value & 1)));
}

static inline enum err varint_read(struct cursor *cursor, int32_t *out)
{
    uint32_t value;
    size_t size = uvarint_short(cursor->at, cursor->end, &value);

    if (size == 0)
        return cursor_varint(cursor, out);
    cursor->at += size;
    *out = zigzag_decode(value);
    return OK;
}

static inline enum err varlong_read(struct cursor *cursor, int64_t *out)
{
    uint32_t value;
    size_t size = uvarint_short(cursor->at, cursor->end, &value);

    if (size == 0)
        return cursor_varlong(cursor, out);
    cursor->at += size;
    *out = zigzag_decode(value);
    return OK;
}

static inline enum err bytes_read(struct cursor *cursor, size_t size_bytes, struct slice *out)
{
    if (cursor_left(cursor) < size_bytes)
        return ERR_SHORT;
    *out = (struct slice){cursor->at, size_bytes};
    cursor->at += size_bytes;
    return OK;
}

#endif
