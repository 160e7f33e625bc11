/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/batch_builder.h: makes magic 2 batches: for the metadata log, coordinators, clients,
 * compaction, recompression and tests. The bytes are those that Kafka's own builder makes.
 */
#ifndef RECORDS_BATCH_BUILDER_H
#define RECORDS_BATCH_BUILDER_H

#include "base/writer.h"
#include "compress/compress.h"
#include "records/batch.h"
#include "records/record.h"

struct batch_options {
    int64_t base_offset;
    int32_t leader_epoch;
    enum compression codec;
    int level;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    bool transactional;
    bool control;
    bool log_append_time; /* max timestamp is then log_append_time_ms, whatever records say */
    int64_t log_append_time_ms;
    bool has_delete_horizon; /* base timestamp is then the horizon */
    int64_t delete_horizon_ms;
};
/* Offset 0, epoch -1, no codec, no producer, CreateTime. */
void batch_options_init(struct batch_options *options);

struct batch_record {
    int64_t timestamp; /* ≥ 0 or -1 */
    struct slice key;
    struct slice value;
    const struct record_header *headers;
    int32_t header_count;
};

struct batch_builder {
    struct batch_options options;
    struct compress_context *context; /* NULL allowed when the codec is none */
    struct writer *out;
    size_t start_bytes;     /* where the batch begins in `out` */
    struct writer *records; /* where plain records go: out, or scratch when compressing */
    size_t records_start_bytes;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t last_offset;
    int32_t record_count;
    enum err err; /* sticky */
};

/* Begins a batch behind what `out` holds. `scratch` takes the plain records while compressing
 * (reset here; unused and may be NULL for codec none). Both stay with the builder until finish. */
void batch_builder_begin(struct batch_builder *builder, const struct batch_options *options,
                         struct compress_context *context, struct writer *scratch,
                         struct writer *out);
/* The next offset in turn. Errors are sticky and told by finish too. ERR_INVALID_RECORD: what no
 * batch can hold (timestamp below -1, null header key, too many records, too large). */
enum err batch_builder_append(struct batch_builder *builder, const struct batch_record *record);
/* At an offset ≥ base and above the last one: for compaction. */
enum err batch_builder_append_at(struct batch_builder *builder, int64_t offset,
                                 const struct batch_record *record);
/* A record as record_walk_next gave it, at this offset: headers are taken over as bytes. */
enum err batch_builder_append_walked(struct batch_builder *builder, int64_t offset,
                                     const struct record *record);
/* Bytes so far, plain. */
size_t batch_builder_size_bytes(const struct batch_builder *builder);
/* Compresses, writes the header and CRC; batch_out (may be NULL) views the batch inside `out`.
 * Kafka writes no batch without records: ERR_INVALID_RECORD then. */
MUST_USE enum err batch_builder_finish(struct batch_builder *builder, struct slice *batch_out);
/* With the last offset that the batch must keep although its record is gone (compaction); records
 * may be none at all. */
MUST_USE enum err batch_builder_finish_at(struct batch_builder *builder, int64_t last_offset,
                                          struct slice *batch_out);

/* One record of a batch on its own, in bytes: for size planning. */
size_t batch_record_size_bytes(int64_t timestamp_delta, int32_t offset_delta,
                               const struct batch_record *record);

#endif
