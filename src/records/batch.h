/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/batch.h: the header of a record batch, read and changed in place. docs/design/records.md.
 *
 *   0 baseOffset i64   8 batchLength i32   12 partitionLeaderEpoch i32   16 magic i8   17 crc u32
 *  21 attributes i16  23 lastOffsetDelta i32  27 baseTimestamp i64  35 maxTimestamp i64
 *  43 producerId i64  51 producerEpoch i16    53 baseSequence i32   57 recordsCount i32  61 records
 *
 * The CRC covers byte 21 to the end: offset and leader epoch may change without it.
 * Magic 0 and 1 appear in old logs: they are framed, checked and counted as batches here, never
 * written.
 */
#ifndef RECORDS_BATCH_H
#define RECORDS_BATCH_H

#include "base/err.h"
#include "base/slice.h"
#include "compress/compress.h"

#define BATCH_HEADER_BYTES 61     /* magic 2 */
#define BATCH_PREFIX_BYTES 12     /* offset and length */
#define BATCH_PEEK_BYTES 17       /* up to and with magic: what framing needs */
#define BATCH_LENGTH_BYTES_MIN 14 /* smallest batchLength that framing accepts */
#define BATCH_MAGIC 2
#define BATCH_COUNT_UNKNOWN (-1) /* record_count of a magic 0 or 1 batch */

#define BATCH_ATTRIBUTE_CODEC 0x07
#define BATCH_ATTRIBUTE_LOG_APPEND_TIME 0x08
#define BATCH_ATTRIBUTE_TRANSACTIONAL 0x10
#define BATCH_ATTRIBUTE_CONTROL 0x20
#define BATCH_ATTRIBUTE_DELETE_HORIZON 0x40

#define PRODUCER_ID_NONE (-1)
#define PRODUCER_EPOCH_NONE (-1)
#define SEQUENCE_NONE (-1)
#define TIMESTAMP_NONE (-1)
#define LEADER_EPOCH_NONE (-1)

struct batch_header {
    int64_t base_offset; /* magic 0, 1: the offset of the message, of the last one when wrapped */
    int32_t batch_length;
    int32_t leader_epoch; /* -1 for magic 0 and 1 */
    int8_t magic;
    uint8_t attributes; /* Kafka reads the low byte alone */
    uint32_t crc;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
};

/* What framing says about the bytes at hand. */
enum batch_frame {
    BATCH_FRAME_WHOLE,
    BATCH_FRAME_PARTIAL, /* fewer bytes than a header or than the batch: no error, nothing more */
    BATCH_FRAME_CORRUPT, /* impossible length or magic: ERR_CORRUPT_MESSAGE */
};
/* Looks at the first batch of `bytes`; size_bytes_out (may be NULL) is its whole size as soon as 12
 * bytes are there and not corrupt, else 0: enough to know how much to read for a partial one. */
enum batch_frame batch_peek(struct slice bytes, size_t *size_bytes_out);

/* Cuts the next batch off `rest`. OK with an empty batch (size 0): nothing whole is left.
 * ERR_CORRUPT_MESSAGE: impossible length or magic. Does not look at the CRC. */
MUST_USE enum err batch_next(struct slice *rest, struct slice *batch_out);

/* Reads the header of one whole batch as batch_next cuts it. ERR_CORRUPT_MESSAGE when it is too
 * short for its magic. Does not look at the CRC. */
MUST_USE enum err batch_header_read(struct slice batch, struct batch_header *out);
/* Reads a header from its first 61 bytes alone (the records may be elsewhere); magic 2 only. */
MUST_USE enum err batch_header_read_prefix(struct slice prefix, struct batch_header *out);
/* Size is possible for its magic and the CRC matches. `batch` is one whole batch. */
bool batch_is_valid(struct slice batch);
/* The records section of a magic 2 batch with a whole header. */
struct slice batch_records(struct slice batch);

static inline size_t batch_size_bytes(const struct batch_header *header)
{
    return (size_t)BATCH_PREFIX_BYTES + (size_t)header->batch_length;
}
static inline int64_t batch_last_offset(const struct batch_header *header)
{
    /* Wraps like Java on absurd input, so that checks can see it. */
    return (int64_t)((uint64_t)header->base_offset + (uint64_t)(int64_t)header->last_offset_delta);
}
static inline int64_t batch_next_offset(const struct batch_header *header)
{
    return (int64_t)((uint64_t)batch_last_offset(header) + 1);
}
static inline bool batch_is_transactional(const struct batch_header *header)
{
    return (header->attributes & BATCH_ATTRIBUTE_TRANSACTIONAL) != 0;
}
static inline bool batch_is_control(const struct batch_header *header)
{
    return (header->attributes & BATCH_ATTRIBUTE_CONTROL) != 0;
}
static inline bool batch_is_log_append_time(const struct batch_header *header)
{
    return (header->attributes & BATCH_ATTRIBUTE_LOG_APPEND_TIME) != 0;
}
static inline bool batch_has_delete_horizon(const struct batch_header *header)
{
    return (header->attributes & BATCH_ATTRIBUTE_DELETE_HORIZON) != 0;
}
/* 0…7; values above 4 name no codec. */
static inline int batch_codec(const struct batch_header *header)
{
    return header->attributes & BATCH_ATTRIBUTE_CODEC;
}
static inline bool batch_has_producer(const struct batch_header *header)
{
    return header->producer_id != PRODUCER_ID_NONE;
}
/* -1 when the batch has no sequence. */
int32_t batch_last_sequence(const struct batch_header *header);

/* Sequence numbers: after 2^31-1 comes 0. */
int32_t sequence_add(int32_t sequence, int32_t increment);
int32_t sequence_subtract(int32_t sequence, int32_t decrement);

/* ---- in place; `batch` is one whole magic 2 batch ---- */

/* Outside the CRC: no other byte changes. */
void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);
/* Stamps every batch of `bytes` in turn: offsets rise from first_offset by each batch's own range.
 * Returns the offset after the last. The bytes passed validation. */
int64_t batches_stamp(uint8_t *bytes, size_t size_bytes, int64_t first_offset,
                      int32_t leader_epoch);
/* Sets timestamp type and max timestamp; if either changes, unknown attribute bits vanish and the
 * CRC is made new, as in Kafka. Returns true when the bytes changed. */
bool batch_set_max_timestamp(uint8_t *batch, size_t size_bytes, bool log_append_time,
                             int64_t max_timestamp);
/* Writes all header fields but the CRC, which is then made over the bytes that follow. */
void batch_header_write(const struct batch_header *header, uint8_t *batch, size_t size_bytes);

#endif
