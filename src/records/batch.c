/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/batch.c: framing, reading and in-place changes of batch headers.
 * Invariants  1. no byte is read before its presence was checked: the bytes are a peer's or a
 *             disk's. 2. what changes bytes in place keeps the CRC true.
 */
#include "records/batch.h"

#include "base/assert.h"
#include "records/crc32c.h"
#include "records/records_internal.h"

/* Places of the fields, magic 2. */
enum {
    AT_BASE_OFFSET = 0,
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_OFFSET_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_RECORD_COUNT = 57,
};
_Static_assert(AT_RECORD_COUNT + 4 == BATCH_HEADER_BYTES, "the header is 61 bytes");

/* Magic 0 and 1: offset, length, then crc | magic | attributes | [timestamp] | key | value. */
enum {
    OLD_AT_CRC = 12,
    OLD_AT_ATTRIBUTES = 17,
    OLD_AT_TIMESTAMP = 18,
    OLD_0_BYTES_MIN = 26, /* null key and value */
    OLD_1_BYTES_MIN = 34,
};
#define OLD_ATTRIBUTES_KNOWN (BATCH_ATTRIBUTE_CODEC | BATCH_ATTRIBUTE_LOG_APPEND_TIME)

static size_t bytes_min(int8_t magic)
{
    return magic == BATCH_MAGIC ? BATCH_HEADER_BYTES
           : magic == 1         ? OLD_1_BYTES_MIN
                                : OLD_0_BYTES_MIN;
}

enum batch_frame batch_peek(struct slice bytes, size_t *size_bytes_out)
{
    size_t size = 0;
    enum batch_frame frame = BATCH_FRAME_PARTIAL;

    if (bytes.size_bytes >= BATCH_PREFIX_BYTES) {
        int32_t length = (int32_t)get_u32(bytes.data + AT_LENGTH);
        int8_t magic =
            bytes.size_bytes >= BATCH_PEEK_BYTES ? (int8_t)bytes.data[AT_MAGIC] : (int8_t)0;

        /* Kafka looks at length and magic only once 17 bytes are there. */
        if (length >= BATCH_LENGTH_BYTES_MIN && magic >= 0 && magic <= BATCH_MAGIC) {
            size = (size_t)BATCH_PREFIX_BYTES + (size_t)length;
            if (bytes.size_bytes >= size)
                frame = BATCH_FRAME_WHOLE;
        } else if (bytes.size_bytes >= BATCH_PEEK_BYTES) {
            frame = BATCH_FRAME_CORRUPT;
        }
    }
    if (size_bytes_out)
        *size_bytes_out = size;
    return frame;
}

enum err batch_next(struct slice *rest, struct slice *batch_out)
{
    size_t size;

    *batch_out = SLICE_EMPTY;
    switch (batch_peek(*rest, &size)) {
    case BATCH_FRAME_PARTIAL:
        return OK;
    case BATCH_FRAME_CORRUPT:
        return ERR_CORRUPT_MESSAGE;
    case BATCH_FRAME_WHOLE:
        break;
    }
    *batch_out = slice_sub(*rest, 0, size);
    *rest = slice_sub(*rest, size, SIZE_MAX);
    return OK;
}

static void header_read_2(const uint8_t *at, struct batch_header *out)
{
    *out = (struct batch_header){
        .base_offset = (int64_t)get_u64(at + AT_BASE_OFFSET),
        .batch_length = (int32_t)get_u32(at + AT_LENGTH),
        .leader_epoch = (int32_t)get_u32(at + AT_LEADER_EPOCH),
        .magic = (int8_t)at[AT_MAGIC],
        .crc = get_u32(at + AT_CRC),
        .attributes = at[AT_ATTRIBUTES + 1],
        .last_offset_delta = (int32_t)get_u32(at + AT_LAST_OFFSET_DELTA),
        .base_timestamp = (int64_t)get_u64(at + AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)get_u64(at + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)get_u64(at + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)get_u16(at + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)get_u32(at + AT_BASE_SEQUENCE),
        .record_count = (int32_t)get_u32(at + AT_RECORD_COUNT),
    };
}

static void header_read_old(const uint8_t *at, struct batch_header *out)
{
    int8_t magic = (int8_t)at[AT_MAGIC];
    int64_t timestamp = magic == 1 ? (int64_t)get_u64(at + OLD_AT_TIMESTAMP) : TIMESTAMP_NONE;

    *out = (struct batch_header){
        .base_offset = (int64_t)get_u64(at + AT_BASE_OFFSET),
        .batch_length = (int32_t)get_u32(at + AT_LENGTH),
        .leader_epoch = LEADER_EPOCH_NONE,
        .magic = magic,
        .crc = get_u32(at + OLD_AT_CRC),
        .attributes = at[OLD_AT_ATTRIBUTES] & OLD_ATTRIBUTES_KNOWN,
        .base_timestamp = timestamp,
        .max_timestamp = timestamp,
        .producer_id = PRODUCER_ID_NONE,
        .producer_epoch = PRODUCER_EPOCH_NONE,
        .base_sequence = SEQUENCE_NONE,
        .record_count = BATCH_COUNT_UNKNOWN,
    };
}

enum err batch_header_read(struct slice batch, struct batch_header *out)
{
    int8_t magic;

    if (batch.size_bytes < BATCH_PEEK_BYTES)
        return ERR_CORRUPT_MESSAGE;
    magic = (int8_t)batch.data[AT_MAGIC];
    if (magic < 0 || magic > BATCH_MAGIC || batch.size_bytes < bytes_min(magic) ||
        (int32_t)get_u32(batch.data + AT_LENGTH) != (int64_t)batch.size_bytes - BATCH_PREFIX_BYTES)
        return ERR_CORRUPT_MESSAGE;
    if (magic == BATCH_MAGIC)
        header_read_2(batch.data, out);
    else
        header_read_old(batch.data, out);
    return OK;
}

enum err batch_header_read_prefix(struct slice prefix, struct batch_header *out)
{
    if (prefix.size_bytes < BATCH_HEADER_BYTES || (int8_t)prefix.data[AT_MAGIC] != BATCH_MAGIC)
        return ERR_CORRUPT_MESSAGE;
    header_read_2(prefix.data, out);
    if (out->batch_length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES)
        return ERR_CORRUPT_MESSAGE;
    return OK;
}

bool batch_is_valid(struct slice batch)
{
    struct batch_header header;

    if (batch_header_read(batch, &header) != OK)
        return false;
    if (header.magic == BATCH_MAGIC)
        return crc32c(slice_sub(batch, AT_ATTRIBUTES, SIZE_MAX)) == header.crc;
    return crc32_ieee(slice_sub(batch, AT_MAGIC, SIZE_MAX)) == header.crc;
}

struct slice batch_records(struct slice batch)
{
    ASSERT(batch.size_bytes >= BATCH_HEADER_BYTES);
    return slice_sub(batch, BATCH_HEADER_BYTES, SIZE_MAX);
}

int32_t batch_last_sequence(const struct batch_header *header)
{
    if (header->base_sequence == SEQUENCE_NONE)
        return SEQUENCE_NONE;
    return sequence_add(header->base_sequence, header->last_offset_delta);
}

int32_t sequence_add(int32_t sequence, int32_t increment)
{
    /* In 64 bits and cut to 32: what Java's int arithmetic gives on any input. */
    if (sequence > (int32_t)((uint32_t)INT32_MAX - (uint32_t)increment))
        return (int32_t)((uint32_t)increment - ((uint32_t)INT32_MAX - (uint32_t)sequence) - 1u);
    return (int32_t)((uint32_t)sequence + (uint32_t)increment);
}

int32_t sequence_subtract(int32_t sequence, int32_t decrement)
{
    if (sequence < decrement)
        return (int32_t)((uint32_t)INT32_MAX - ((uint32_t)decrement - (uint32_t)sequence) + 1u);
    return (int32_t)((uint32_t)sequence - (uint32_t)decrement);
}

void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    ASSERT(batch[AT_MAGIC] == BATCH_MAGIC);
    put_u64(batch + AT_BASE_OFFSET, (uint64_t)base_offset);
    put_u32(batch + AT_LEADER_EPOCH, (uint32_t)leader_epoch);
}

int64_t batches_stamp(uint8_t *bytes, size_t size_bytes, int64_t first_offset, int32_t leader_epoch)
{
    size_t at = 0;

    while (at < size_bytes) {
        struct batch_header header;
        enum err err = batch_header_read_prefix(slice_of(bytes + at, size_bytes - at), &header);

        ASSERT(err == OK); /* the caller validated them */
        ASSERT(batch_size_bytes(&header) <= size_bytes - at);
        batch_stamp(bytes + at, first_offset, leader_epoch);
        first_offset += (int64_t)header.last_offset_delta + 1;
        at += batch_size_bytes(&header);
    }
    return first_offset;
}

static void crc_write(uint8_t *batch, size_t size_bytes)
{
    put_u32(batch + AT_CRC, crc32c(slice_of(batch + AT_ATTRIBUTES, size_bytes - AT_ATTRIBUTES)));
}

bool batch_set_max_timestamp(uint8_t *batch, size_t size_bytes, bool log_append_time,
                             int64_t max_timestamp)
{
    uint8_t attributes = batch[AT_ATTRIBUTES + 1];
    bool is_append_time = (attributes & BATCH_ATTRIBUTE_LOG_APPEND_TIME) != 0;

    ASSERT(size_bytes >= BATCH_HEADER_BYTES && batch[AT_MAGIC] == BATCH_MAGIC);
    if (is_append_time == log_append_time &&
        (int64_t)get_u64(batch + AT_MAX_TIMESTAMP) == max_timestamp)
        return false;
    attributes &= BATCH_ATTRIBUTE_CODEC | BATCH_ATTRIBUTE_TRANSACTIONAL | BATCH_ATTRIBUTE_CONTROL |
                  BATCH_ATTRIBUTE_DELETE_HORIZON;
    if (log_append_time)
        attributes |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    put_u16(batch + AT_ATTRIBUTES, attributes);
    put_u64(batch + AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    crc_write(batch, size_bytes);
    return true;
}

void batch_header_write(const struct batch_header *header, uint8_t *batch, size_t size_bytes)
{
    ASSERT(size_bytes >= BATCH_HEADER_BYTES);
    ASSERT(header->magic == BATCH_MAGIC);
    ASSERT(batch_size_bytes(header) == size_bytes);
    put_u64(batch + AT_BASE_OFFSET, (uint64_t)header->base_offset);
    put_u32(batch + AT_LENGTH, (uint32_t)header->batch_length);
    put_u32(batch + AT_LEADER_EPOCH, (uint32_t)header->leader_epoch);
    batch[AT_MAGIC] = BATCH_MAGIC;
    put_u16(batch + AT_ATTRIBUTES, header->attributes);
    put_u32(batch + AT_LAST_OFFSET_DELTA, (uint32_t)header->last_offset_delta);
    put_u64(batch + AT_BASE_TIMESTAMP, (uint64_t)header->base_timestamp);
    put_u64(batch + AT_MAX_TIMESTAMP, (uint64_t)header->max_timestamp);
    put_u64(batch + AT_PRODUCER_ID, (uint64_t)header->producer_id);
    put_u16(batch + AT_PRODUCER_EPOCH, (uint16_t)header->producer_epoch);
    put_u32(batch + AT_BASE_SEQUENCE, (uint32_t)header->base_sequence);
    put_u32(batch + AT_RECORD_COUNT, (uint32_t)header->record_count);
    crc_write(batch, size_bytes);
}
