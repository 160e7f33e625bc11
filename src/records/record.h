/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/record.h: walking the records of a magic 2 batch without allocation. Keys, values and
 * headers are views into the bytes.
 */
#ifndef RECORDS_RECORD_H
#define RECORDS_RECORD_H

#include "base/cursor.h"
#include "compress/compress.h"
#include "records/batch.h"

#define RECORD_OVERHEAD_BYTES_MAX 21 /* everything but key, value and headers */

struct record {
    int64_t offset;
    int64_t timestamp; /* the batch's max timestamp under LogAppendTime */
    int32_t sequence;  /* -1: none */
    int32_t offset_delta;
    int64_t timestamp_delta;
    int8_t attributes;
    struct slice key;     /* null ≠ empty */
    struct slice value;   /* null: tombstone */
    struct slice headers; /* their raw bytes, checked: walk with record_header_next */
    int32_t header_count;
    size_t size_bytes; /* with the length field */
};

struct record_header {
    struct slice key;   /* never null */
    struct slice value; /* null ≠ empty */
};

struct record_walk {
    struct batch_header header;
    struct cursor cursor;
    int32_t left; /* records not yet read */
};

/* `records`: the plain records section: batch_records(batch) when the codec is none, else what
 * record_inflate gave. ERR_INVALID_RECORD for a negative count. */
MUST_USE enum err record_walk_begin(struct record_walk *walk, const struct batch_header *header,
                                    struct slice records);
/* The next record; *more_out false at the end. ERR_INVALID_RECORD: broken structure, or bytes left
 * behind the last record; ERR_UNKNOWN_SERVER_ERROR: the length of a record is no varint (what Kafka
 * answers in an uncompressed batch). */
MUST_USE enum err record_walk_next(struct record_walk *walk, struct record *out, bool *more_out);

/* Takes the next header off `rest`, which begins as record.headers; the record was checked. */
struct record_header record_header_next(struct slice *rest);

/* Inflates the records section of a compressed batch behind what `out` holds; for codec none it is
 * copied. ERR_DECOMPRESS, ERR_TOO_LARGE, ERR_UNKNOWN_SERVER_ERROR (codec 5–7), ERR_NO_MEMORY. */
MUST_USE enum err record_inflate(struct compress_context *context, struct slice batch,
                                 size_t limit_bytes, struct writer *out);

#endif
