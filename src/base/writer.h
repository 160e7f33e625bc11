/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/writer.h: growing big-endian output with a sticky error: after ERR_NO_MEMORY or the limit is
 * hit, writes are dropped and writer_error tells. So encoders need no check per field.
 */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include "base/allocator.h"
#include "base/slice.h"
#include "base/uuid.h"

struct writer {
    uint8_t *data;
    size_t size_bytes;
    size_t capacity_bytes;
    size_t limit_bytes;
    struct allocator *allocator; /* NULL: a fixed buffer of the caller's */
    enum err err;
};

/* Grows through `allocator` up to limit_bytes (SIZE_MAX: none). */
void writer_init(struct writer *writer, struct allocator *allocator, size_t limit_bytes);
/* Writes into the caller's buffer; past its end is ERR_NO_MEMORY. */
void writer_init_fixed(struct writer *writer, void *buffer, size_t capacity_bytes);
void writer_release(struct writer *writer); /* CLEANUP-compatible */
void writer_reset(struct writer *writer);   /* keeps the memory, clears size and error */
MUST_USE enum err writer_error(const struct writer *writer);
/* Valid until the next write or release. */
struct slice writer_slice(const struct writer *writer);
/* Gives the buffer away (capacity_out: bytes to release it with); the writer is empty after. */
uint8_t *writer_take(struct writer *writer, size_t *size_bytes_out, size_t *capacity_bytes_out);

void writer_u8(struct writer *writer, uint8_t value);
void writer_i8(struct writer *writer, int8_t value);
void writer_u16(struct writer *writer, uint16_t value);
void writer_i16(struct writer *writer, int16_t value);
void writer_u32(struct writer *writer, uint32_t value);
void writer_i32(struct writer *writer, int32_t value);
void writer_u64(struct writer *writer, uint64_t value);
void writer_i64(struct writer *writer, int64_t value);
void writer_f64(struct writer *writer, double value);
void writer_uuid(struct writer *writer, struct uuid value);
void writer_uvarint(struct writer *writer, uint32_t value);
void writer_uvarlong(struct writer *writer, uint64_t value);
void writer_varint(struct writer *writer, int32_t value);
void writer_varlong(struct writer *writer, int64_t value);
void writer_bytes(struct writer *writer, const void *data, size_t size_bytes);
/* Reserves uninitialised room and returns it (valid until the next write), NULL on error. */
uint8_t *writer_reserve(struct writer *writer, size_t size_bytes);
/* Overwrites four bytes written earlier: a length that is known only at the end. */
void writer_patch_u32(struct writer *writer, size_t position_bytes, uint32_t value);

size_t uvarint_size_bytes(uint32_t value);
size_t uvarlong_size_bytes(uint64_t value);
size_t varint_size_bytes(int32_t value);
size_t varlong_size_bytes(int64_t value);

#endif
