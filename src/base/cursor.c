/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/cursor.c: checked big-endian and variable-length reads.
 */
#include "base/cursor.h"

#include <string.h>

#define VARINT_BYTES_MAX 5
#define VARLONG_BYTES_MAX 10

/* Big-endian number of `size_bytes` ≤ 8 bytes. */
static enum err read_number(struct cursor *cursor, size_t size_bytes, uint64_t *out)
{
    uint64_t value = 0;

    if (cursor_left(cursor) < size_bytes)
        return ERR_SHORT;
    for (size_t i = 0; i < size_bytes; i++)
        value = value << 8 | cursor->at[i];
    cursor->at += size_bytes;
    *out = value;
    return OK;
}

#define READER(name, type)                             \
    enum err name(struct cursor *cursor, type *out)    \
    {                                                  \
        uint64_t value;                                \
                                                       \
        TRY(read_number(cursor, sizeof *out, &value)); \
        *out = (type)value;                            \
        return OK;                                     \
    }

READER(cursor_u8, uint8_t)
READER(cursor_i8, int8_t)
READER(cursor_u16, uint16_t)
READER(cursor_i16, int16_t)
READER(cursor_u32, uint32_t)
READER(cursor_i32, int32_t)
READER(cursor_u64, uint64_t)
READER(cursor_i64, int64_t)

enum err cursor_f64(struct cursor *cursor, double *out)
{
    uint64_t bits;

    _Static_assert(sizeof bits == sizeof *out, "doubles are IEEE 754 binary64");
    TRY(read_number(cursor, sizeof bits, &bits));
    memcpy(out, &bits, sizeof bits);
    return OK;
}

enum err cursor_uuid(struct cursor *cursor, struct uuid *out)
{
    if (cursor_left(cursor) < sizeof out->bytes)
        return ERR_SHORT;
    memcpy(out->bytes, cursor->at, sizeof out->bytes);
    cursor->at += sizeof out->bytes;
    return OK;
}

/* Bits beyond the type in the last byte are dropped, as Kafka does. */
static enum err read_leb128(struct cursor *cursor, size_t bytes_max, uint64_t *out)
{
    size_t left = cursor_left(cursor);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes_max; i++) {
        if (i == left)
            return ERR_SHORT;
        value |= (uint64_t)(cursor->at[i] & 0x7f) << 7 * i;
        if (cursor->at[i] < 0x80) {
            cursor->at += i + 1;
            *out = value;
            return OK;
        }
    }
    return ERR_VARINT;
}

enum err cursor_uvarint(struct cursor *cursor, uint32_t *out)
{
    uint64_t value;

    TRY(read_leb128(cursor, VARINT_BYTES_MAX, &value));
    *out = (uint32_t)value;
    return OK;
}

enum err cursor_uvarlong(struct cursor *cursor, uint64_t *out)
{
    return read_leb128(cursor, VARLONG_BYTES_MAX, out);
}

enum err cursor_varint(struct cursor *cursor, int32_t *out)
{
    uint32_t value;

    TRY(cursor_uvarint(cursor, &value));
    *out = (int32_t)(value >> 1 ^ (0 - (value & 1)));
    return OK;
}

enum err cursor_varlong(struct cursor *cursor, int64_t *out)
{
    uint64_t value;

    TRY(cursor_uvarlong(cursor, &value));
    *out = (int64_t)(value >> 1 ^ (0 - (value & 1)));
    return OK;
}

enum err cursor_bytes(struct cursor *cursor, size_t size_bytes, struct slice *out)
{
    if (cursor_left(cursor) < size_bytes)
        return ERR_SHORT;
    *out = cursor->at ? slice_of(cursor->at, size_bytes) : SLICE_EMPTY;
    if (size_bytes > 0)
        cursor->at += size_bytes;
    return OK;
}

enum err cursor_skip(struct cursor *cursor, size_t size_bytes)
{
    if (cursor_left(cursor) < size_bytes)
        return ERR_SHORT;
    if (size_bytes > 0)
        cursor->at += size_bytes;
    return OK;
}
