/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/control_record.h: the records of control batches: transaction markers and those of KRaft.
 * Key: version i16, type i16. Values of KRaft's types are messages of protocol.
 */
#ifndef RECORDS_CONTROL_RECORD_H
#define RECORDS_CONTROL_RECORD_H

#include "base/arena.h"
#include "base/writer.h"
#include "records/batch.h"
#include "records/batch_builder.h"

enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
    CONTROL_UNKNOWN = -1, /* to be passed over */
};

/* Key versions above 0 are read as 0. ERR_INVALID_RECORD: shorter than 4 bytes or version < 0. */
MUST_USE enum err control_key_read(struct slice key, enum control_type *type_out);
void control_key_write(enum control_type type, uint8_t out[4]);

struct end_transaction_marker {
    bool is_abort;
    int32_t coordinator_epoch;
};
/* From key and value of a marker record. ERR_INVALID_RECORD: not a marker, or broken. */
MUST_USE enum err end_transaction_marker_read(struct slice key, struct slice value,
                                              struct end_transaction_marker *out);

#define END_TRANSACTION_BATCH_BYTES 78
/* Appends a marker batch (CreateTime now_ms, transactional, control, no sequence). */
MUST_USE enum err end_transaction_batch_write(const struct end_transaction_marker *marker,
                                              int64_t base_offset, int32_t leader_epoch,
                                              int64_t producer_id, int16_t producer_epoch,
                                              int64_t now_ms, struct writer *out);

struct leader_change_message;
struct snapshot_header_record;
struct snapshot_footer_record;
struct kraft_version_record;
struct voters_record;

/* Append one control record to a builder opened with options.control, in the schema version that
 * its own version field names (Kafka writes 0 everywhere). `scratch` holds the encoded value
 * meanwhile. */
MUST_USE enum err control_append_leader_change(struct batch_builder *builder, int64_t timestamp,
                                               const struct leader_change_message *message,
                                               struct arena *scratch);
MUST_USE enum err control_append_snapshot_header(struct batch_builder *builder, int64_t timestamp,
                                                 const struct snapshot_header_record *record,
                                                 struct arena *scratch);
MUST_USE enum err control_append_snapshot_footer(struct batch_builder *builder, int64_t timestamp,
                                                 const struct snapshot_footer_record *record,
                                                 struct arena *scratch);
MUST_USE enum err control_append_kraft_version(struct batch_builder *builder, int64_t timestamp,
                                               const struct kraft_version_record *record,
                                               struct arena *scratch);
MUST_USE enum err control_append_voters(struct batch_builder *builder, int64_t timestamp,
                                        const struct voters_record *record, struct arena *scratch);

/* Decode a value whose key said so; arrays come from the arena. ERR_INVALID_RECORD. */
MUST_USE enum err control_read_leader_change(struct slice value, struct arena *arena,
                                             struct leader_change_message *out);
MUST_USE enum err control_read_snapshot_header(struct slice value, struct arena *arena,
                                               struct snapshot_header_record *out);
MUST_USE enum err control_read_snapshot_footer(struct slice value, struct arena *arena,
                                               struct snapshot_footer_record *out);
MUST_USE enum err control_read_kraft_version(struct slice value, struct arena *arena,
                                             struct kraft_version_record *out);
MUST_USE enum err control_read_voters(struct slice value, struct arena *arena,
                                      struct voters_record *out);

#endif
