/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/cursor.h: checked reading of big-endian bytes. Every read tests the bytes left; a short or
 * broken input is an error, never an assert. On an error the cursor does not move.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct cursor cursor_of(struct slice s)
{
    const uint8_t *data = s.data ? s.data : (const uint8_t *)""; /* NULL + 0 is not defined in C */

    return (struct cursor){data, data + s.size_bytes};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* ERR_SHORT when fewer bytes are left than asked for. */
MUST_USE enum err cursor_u8(struct cursor *cursor, uint8_t *out);
MUST_USE enum err cursor_i8(struct cursor *cursor, int8_t *out);
MUST_USE enum err cursor_u16(struct cursor *cursor, uint16_t *out);
MUST_USE enum err cursor_i16(struct cursor *cursor, int16_t *out);
MUST_USE enum err cursor_u32(struct cursor *cursor, uint32_t *out);
MUST_USE enum err cursor_i32(struct cursor *cursor, int32_t *out);
MUST_USE enum err cursor_u64(struct cursor *cursor, uint64_t *out);
MUST_USE enum err cursor_i64(struct cursor *cursor, int64_t *out);
MUST_USE enum err cursor_f64(struct cursor *cursor, double *out);
MUST_USE enum err cursor_uuid(struct cursor *cursor, struct uuid *out);
/* Unsigned LEB128, at most 5 (10) bytes; ERR_VARINT when longer. */
MUST_USE enum err cursor_uvarint(struct cursor *cursor, uint32_t *out);
MUST_USE enum err cursor_uvarlong(struct cursor *cursor, uint64_t *out);
/* Zigzag. */
MUST_USE enum err cursor_varint(struct cursor *cursor, int32_t *out);
MUST_USE enum err cursor_varlong(struct cursor *cursor, int64_t *out);
/* The next size_bytes as a view. */
MUST_USE enum err cursor_bytes(struct cursor *cursor, size_t size_bytes, struct slice *out);
MUST_USE enum err cursor_skip(struct cursor *cursor, size_t size_bytes);

#endif
