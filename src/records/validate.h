/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/validate.h: what a leader and a follower check of batches before they append them, and
 * what the leader rewrites. docs/design/records.md §3.
 *
 * Two stages, both without offsets of the log, so that a large batch can go through a job and be
 * stamped by its owner afterwards:
 *   append_scan      headers, sizes, CRC of every batch: all origins
 *   append_validate  records, timestamps, codec: leaders (CLIENT, COORDINATOR)
 * then batches_stamp() of records/batch.h writes offsets and epoch (not for RAFT_LEADER,
 * REPLICATION).
 */
#ifndef RECORDS_VALIDATE_H
#define RECORDS_VALIDATE_H

#include "base/arena.h"
#include "base/writer.h"
#include "compress/compress.h"
#include "records/batch.h"
#include "records/producer_state.h"

#define VALIDATE_COMPRESSION_PRODUCER (-1) /* keep the codec of the producer */

/* A topic's configuration, as far as it matters here. */
struct validate_config {
    int compression_type; /* enum compression, or VALIDATE_COMPRESSION_PRODUCER */
    int compression_level[COMPRESSION_COUNT];
    bool compacted; /* cleanup.policy contains compact */
    bool log_append_time;
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    int32_t message_bytes_max;  /* max.message.bytes */
    int32_t inflated_bytes_max; /* max.decompressed.message.bytes: body of one record */
    /* All records of one compressed batch together; ours: a bound for work and, when a batch has to
     * be rebuilt, for memory. */
    int64_t inflated_batch_bytes_max;
};
/* Kafka's defaults; 1 GiB for the last. */
void validate_config_init(struct validate_config *config);

struct record_error {
    int32_t batch_index; /* index of the record */
    struct slice message;
};

struct append_info {
    size_t valid_bytes; /* whole batches to append, from the front; 0: nothing */
    uint32_t batch_count;
    int64_t first_offset; /* of the bytes as they are; -1 when magic < 2 leads */
    int64_t last_offset;
    int64_t last_offset_of_first_batch;
    int32_t last_leader_epoch; /* -1: none */
    int64_t max_timestamp;     /* after validation: as stored */
    int64_t log_append_time;   /* -1 unless the topic has LogAppendTime */
    int64_t record_count;      /* from the headers, magic 2 */
    int source_codec;          /* enum compression of the last compressed batch, else none */
    bool skipped_newer_epoch;  /* REPLICATION: batches of a later epoch were left out */
    bool has_invalid_numbers;  /* append_validate: the header's offsets, count or sequence */
    /* The first batch's header, for verification and producer rules. */
    struct batch_header first;
    /* filled by append_validate on failure, in record order */
    struct record_error *record_errors;
    int32_t record_error_count;
    int32_t keyless_count; /* records of a compacted topic that have no key */
    struct slice message;  /* for the response's error_message; null: none */
    /* set by the caller between append_scan and append_validate: the partition's name in texts */
    struct slice topic;
    int32_t partition;
};

/* Request-level look at one partition of a Produce request, before everything else. Trailing bytes
 * that form no batch are fine. ERR_CORRUPT_MESSAGE, ERR_INVALID_RECORD,
 * ERR_UNSUPPORTED_COMPRESSION_TYPE. `records` null counts as empty. */
MUST_USE enum err produce_precheck(struct slice records, int16_t api_version,
                                   struct batch_header *header_out, struct why *why);

/* leader_epoch: the epoch of this replica. size limit: leaders only (not REPLICATION).
 * ERR_INVALID_RECORD, ERR_MESSAGE_TOO_LARGE, ERR_CORRUPT_MESSAGE, ERR_UNKNOWN_SERVER_ERROR (codec
 * 5–7), ERR_STATE (REPLICATION, RAFT_LEADER: offsets do not rise). */
MUST_USE enum err append_scan(struct slice bytes, enum append_origin origin, int32_t leader_epoch,
                              int32_t message_bytes_max, struct append_info *info, struct why *why);

/* The scanned bytes of a leader append, CLIENT or COORDINATOR. Either changes `bytes` in place
 * (timestamp type, max timestamp, CRC) and leaves *rebuilt_out null, or appends a rebuilt batch to
 * `out` and views it there. info->max_timestamp and log_append_time are set. `arena` takes the
 * record errors; when it is full the list ends early. `out` grows from an allocator, which also
 * gives the memory of a rebuild; `context` and `out` may be shared between calls.
 * ERR_INVALID_RECORD, ERR_INVALID_TIMESTAMP, ERR_MESSAGE_TOO_LARGE (rebuilt batch),
 * ERR_UNKNOWN_SERVER_ERROR (undecompressable), ERR_NO_MEMORY. After an error `bytes` are unchanged.
 */
MUST_USE enum err append_validate(const struct validate_config *config, enum append_origin origin,
                                  int64_t now_ms, uint8_t *bytes, struct compress_context *context,
                                  struct arena *arena, struct writer *out, struct append_info *info,
                                  struct slice *rebuilt_out, struct why *why);

/* Bytes that append_validate would have to inflate: above some bound the caller uses a job. */
static inline bool append_needs_inflating(const struct append_info *info)
{
    return info->source_codec != COMPRESSION_NONE;
}

#endif
