/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/writer.c: growing output; see the header for the sticky error.
 * Invariants  1. size_bytes ≤ capacity_bytes ≤ limit_bytes.
 *             2. after an error nothing is written and nothing grows until writer_reset.
 */
#include "base/writer.h"

#include "base/assert.h"

#include <string.h>

#define CAPACITY_BYTES_MIN ((size_t)64)
#define VARLONG_BYTES_MAX 10

void writer_init(struct writer *writer, struct allocator *allocator, size_t limit_bytes)
{
    ASSERT(allocator != NULL);
    *writer = (struct writer){.allocator = allocator, .limit_bytes = limit_bytes, .err = OK};
}

void writer_init_fixed(struct writer *writer, void *buffer, size_t capacity_bytes)
{
    *writer = (struct writer){
        .data = buffer,
        .capacity_bytes = capacity_bytes,
        .limit_bytes = capacity_bytes,
        .err = OK,
    };
}

void writer_release(struct writer *writer)
{
    if (writer->allocator && writer->data)
        writer->allocator->release(writer->allocator, writer->data, writer->capacity_bytes);
    *writer = (struct writer){
        .allocator = writer->allocator, .limit_bytes = writer->limit_bytes, .err = OK};
    if (!writer->allocator)
        writer->limit_bytes = 0; /* the caller's buffer is his again */
}

void writer_reset(struct writer *writer)
{
    writer->size_bytes = 0;
    writer->err = OK;
}

enum err writer_error(const struct writer *writer)
{
    return writer->err;
}

struct slice writer_slice(const struct writer *writer)
{
    return writer->data ? slice_of(writer->data, writer->size_bytes) : SLICE_EMPTY;
}

uint8_t *writer_take(struct writer *writer, size_t *size_bytes_out, size_t *capacity_bytes_out)
{
    uint8_t *data = writer->data;

    *size_bytes_out = writer->size_bytes;
    *capacity_bytes_out = writer->capacity_bytes;
    writer->data = NULL;
    writer->size_bytes = 0;
    writer->capacity_bytes = 0;
    if (!writer->allocator)
        writer->limit_bytes = 0;
    return data;
}

/* Room for `size_bytes` more; false and a sticky error otherwise. */
static bool make_room(struct writer *writer, size_t size_bytes)
{
    size_t need_bytes, capacity_bytes;
    uint8_t *data;

    if (writer->err != OK)
        return false;
    if (size_bytes <= writer->capacity_bytes - writer->size_bytes)
        return true;
    if (!writer->allocator || size_bytes > writer->limit_bytes - writer->size_bytes) {
        writer->err = ERR_NO_MEMORY;
        return false;
    }
    need_bytes = writer->size_bytes + size_bytes;
    capacity_bytes = MAX(need_bytes, CAPACITY_BYTES_MIN);
    if (writer->capacity_bytes <= SIZE_MAX / 2)
        capacity_bytes = MAX(capacity_bytes, writer->capacity_bytes * 2);
    capacity_bytes = MIN(capacity_bytes, writer->limit_bytes);
    data = writer->allocator->resize(writer->allocator, writer->data, writer->capacity_bytes,
                                     capacity_bytes);
    if (!data) {
        writer->err = ERR_NO_MEMORY;
        return false;
    }
    writer->data = data;
    writer->capacity_bytes = capacity_bytes;
    return true;
}

/* The low `size_bytes` ≤ 8 bytes of value, highest first. */
static void put_number(struct writer *writer, uint64_t value, size_t size_bytes)
{
    uint8_t *at;

    if (!make_room(writer, size_bytes))
        return;
    at = writer->data + writer->size_bytes;
    for (size_t i = 0; i < size_bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (size_bytes - 1 - i));
    writer->size_bytes += size_bytes;
}

void writer_u8(struct writer *writer, uint8_t value)
{
    put_number(writer, value, sizeof value);
}

void writer_i8(struct writer *writer, int8_t value)
{
    put_number(writer, (uint64_t)value, sizeof value);
}

void writer_u16(struct writer *writer, uint16_t value)
{
    put_number(writer, value, sizeof value);
}

void writer_i16(struct writer *writer, int16_t value)
{
    put_number(writer, (uint64_t)value, sizeof value);
}

void writer_u32(struct writer *writer, uint32_t value)
{
    put_number(writer, value, sizeof value);
}

void writer_i32(struct writer *writer, int32_t value)
{
    put_number(writer, (uint64_t)value, sizeof value);
}

void writer_u64(struct writer *writer, uint64_t value)
{
    put_number(writer, value, sizeof value);
}

void writer_i64(struct writer *writer, int64_t value)
{
    put_number(writer, (uint64_t)value, sizeof value);
}

void writer_f64(struct writer *writer, double value)
{
    uint64_t bits;

    _Static_assert(sizeof bits == sizeof value, "doubles are IEEE 754 binary64");
    memcpy(&bits, &value, sizeof bits);
    put_number(writer, bits, sizeof bits);
}

void writer_uuid(struct writer *writer, struct uuid value)
{
    writer_bytes(writer, value.bytes, sizeof value.bytes);
}

void writer_uvarint(struct writer *writer, uint32_t value)
{
    writer_uvarlong(writer, value);
}

void writer_uvarlong(struct writer *writer, uint64_t value)
{
    uint8_t bytes[VARLONG_BYTES_MAX];
    size_t count = 0;

    if (value < 0x80) { /* nearly all lengths and counts */
        put_number(writer, value, 1);
        return;
    }
    while (value >= 0x80) {
        bytes[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    writer_bytes(writer, bytes, count);
}

static uint32_t zigzag32(int32_t value)
{
    return (uint32_t)value << 1 ^ (value < 0 ? UINT32_MAX : 0);
}

static uint64_t zigzag64(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

void writer_varint(struct writer *writer, int32_t value)
{
    writer_uvarint(writer, zigzag32(value));
}

void writer_varlong(struct writer *writer, int64_t value)
{
    writer_uvarlong(writer, zigzag64(value));
}

void writer_bytes(struct writer *writer, const void *data, size_t size_bytes)
{
    if (size_bytes == 0 || !make_room(writer, size_bytes))
        return;
    memcpy(writer->data + writer->size_bytes, data, size_bytes);
    writer->size_bytes += size_bytes;
}

uint8_t *writer_reserve(struct writer *writer, size_t size_bytes)
{
    static uint8_t nothing[1]; /* never written: room of 0 bytes where no buffer exists yet */
    uint8_t *room;

    if (!make_room(writer, size_bytes))
        return NULL;
    if (!writer->data)
        return nothing;
    room = writer->data + writer->size_bytes;
    writer->size_bytes += size_bytes;
    return room;
}

void writer_patch_u32(struct writer *writer, size_t position_bytes, uint32_t value)
{
    if (writer->err != OK)
        return; /* the four bytes may have been dropped */
    ASSERT(writer->size_bytes >= 4);
    ASSERT(position_bytes <= writer->size_bytes - 4);
    for (size_t i = 0; i < 4; i++)
        writer->data[position_bytes + i] = (uint8_t)(value >> 8 * (3 - i));
}

size_t uvarint_size_bytes(uint32_t value)
{
    return uvarlong_size_bytes(value);
}

size_t uvarlong_size_bytes(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

size_t varint_size_bytes(int32_t value)
{
    return uvarint_size_bytes(zigzag32(value));
}

size_t varlong_size_bytes(int64_t value)
{
    return uvarlong_size_bytes(zigzag64(value));
}
