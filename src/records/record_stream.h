/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/record_stream.h: the records of a compressed batch, piece by piece, without keeping them:
 * what a leader needs to check. Private to records.
 */
#ifndef RECORDS_RECORD_STREAM_H
#define RECORDS_RECORD_STREAM_H

#include "compress/compress.h"
#include "records/batch.h"
#include "records/record_run.h"

struct record_stream {
    struct compress_context *context;
    const struct batch_header *header;
    const uint8_t *at;
    const uint8_t *end;
    int32_t left;
    int32_t body_bytes_max;
    enum err err; /* why the bytes ended: OK: the stream's end */
};

/* What is known of a record that was only passed over. */
struct record_facts {
    int64_t timestamp;
    int32_t offset_delta;
    bool has_key;
};

/* inflated_bytes_max bounds the whole batch, body_bytes_max one record. Errors as below. */
enum err record_stream_begin(struct record_stream *stream, struct compress_context *context,
                             const struct batch_header *header, struct slice records,
                             size_t inflated_bytes_max, int32_t body_bytes_max);
/* ERR_INVALID_RECORD: structure, or bytes behind the last record; ERR_UNKNOWN_SERVER_ERROR: cannot
 * be inflated; ERR_TOO_LARGE: over inflated_bytes_max; ERR_NO_MEMORY. */
enum err record_stream_next(struct record_stream *stream, struct record_facts *out, bool *more_out);

/* Takes what it can of the records that lie whole in the piece at hand, never the last one of the batch; count
 * 0: none, ask record_stream_next. The other goes back to where the run began, until something else is read. */
void record_stream_run(struct record_stream *stream, int32_t first_index, struct record_run *out);
void record_stream_rewind(struct record_stream *stream, const struct record_run *run);

#endif
