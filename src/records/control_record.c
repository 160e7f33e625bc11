/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/control_record.c: keys and values of control records. Values of KRaft's records begin
 * with a field that repeats their schema version; that field decides how the rest is read.
 */
#include "records/control_record.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/leader_change_message.h"
#include "protocol/generated/snapshot_footer_record.h"
#include "protocol/generated/snapshot_header_record.h"
#include "protocol/generated/voters_record.h"
#include "protocol/message.h"
#include "records/records_internal.h"

#define CONTROL_KEY_BYTES 4
#define MARKER_VALUE_BYTES 6

enum err control_key_read(struct slice key, enum control_type *type_out)
{
    int16_t type;

    if (key.size_bytes < CONTROL_KEY_BYTES || (int16_t)get_u16(key.data) < 0)
        return ERR_INVALID_RECORD;
    type = (int16_t)get_u16(key.data + 2);
    *type_out = type >= CONTROL_ABORT && type <= CONTROL_KRAFT_VOTERS ? (enum control_type)type
                                                                      : CONTROL_UNKNOWN;
    return OK;
}

void control_key_write(enum control_type type, uint8_t out[4])
{
    ASSERT(type != CONTROL_UNKNOWN);
    put_u16(out, 0);
    put_u16(out + 2, (uint16_t)type);
}

enum err end_transaction_marker_read(struct slice key, struct slice value,
                                     struct end_transaction_marker *out)
{
    enum control_type type;

    TRY(control_key_read(key, &type));
    if (type != CONTROL_ABORT && type != CONTROL_COMMIT)
        return ERR_INVALID_RECORD;
    /* A later version would have its new fields behind these. */
    if (value.size_bytes < MARKER_VALUE_BYTES || (int16_t)get_u16(value.data) < 0)
        return ERR_INVALID_RECORD;
    out->is_abort = type == CONTROL_ABORT;
    out->coordinator_epoch = (int32_t)get_u32(value.data + 2);
    return OK;
}

enum err end_transaction_batch_write(const struct end_transaction_marker *marker,
                                     int64_t base_offset, int32_t leader_epoch, int64_t producer_id,
                                     int16_t producer_epoch, int64_t now_ms, struct writer *out)
{
    struct batch_builder builder;
    struct batch_options options;
    uint8_t key[CONTROL_KEY_BYTES], value[MARKER_VALUE_BYTES] = {0};
    struct batch_record record = {
        .timestamp = now_ms,
        .key = slice_of(key, sizeof key),
        .value = slice_of(value, sizeof value),
    };

    control_key_write(marker->is_abort ? CONTROL_ABORT : CONTROL_COMMIT, key);
    put_u32(value + 2, (uint32_t)marker->coordinator_epoch);
    batch_options_init(&options);
    options.base_offset = base_offset;
    options.leader_epoch = leader_epoch;
    options.producer_id = producer_id;
    options.producer_epoch = producer_epoch;
    options.transactional = true;
    options.control = true;
    batch_builder_begin(&builder, &options, NULL, NULL, out);
    TRY(batch_builder_append(&builder, &record));
    return batch_builder_finish(&builder, NULL);
}

/* ---- KRaft ---- */

static enum err control_append(struct batch_builder *builder, int64_t timestamp,
                               enum control_type type, const struct message_type *schema,
                               int16_t version, const void *message, struct arena *scratch)
{
    uint8_t key[CONTROL_KEY_BYTES];
    struct writer writer;
    size_t size;
    uint8_t *value;
    enum err err;
    struct batch_record record = {.timestamp = timestamp, .key = slice_of(key, sizeof key)};

    ASSERT(builder->options.control);
    control_key_write(type, key);
    TRY(message_size(schema, version, message, &size));
    value = arena_allocate(scratch, size);
    if (!value)
        return ERR_NO_MEMORY;
    writer_init_fixed(&writer, value, size);
    err = message_encode(schema, version, message, &writer);
    ASSERT(err == OK); /* it was measured, and has room */
    record.value = writer_slice(&writer);
    return batch_builder_append(builder, &record);
}

enum err control_append_leader_change(struct batch_builder *builder, int64_t timestamp,
                                      const struct leader_change_message *message,
                                      struct arena *scratch)
{
    return control_append(builder, timestamp, CONTROL_LEADER_CHANGE, &leader_change_message_type,
                          message->version, message, scratch);
}

enum err control_append_snapshot_header(struct batch_builder *builder, int64_t timestamp,
                                        const struct snapshot_header_record *record,
                                        struct arena *scratch)
{
    return control_append(builder, timestamp, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_type,
                          record->version, record, scratch);
}

enum err control_append_snapshot_footer(struct batch_builder *builder, int64_t timestamp,
                                        const struct snapshot_footer_record *record,
                                        struct arena *scratch)
{
    return control_append(builder, timestamp, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_type,
                          record->version, record, scratch);
}

enum err control_append_kraft_version(struct batch_builder *builder, int64_t timestamp,
                                      const struct kraft_version_record *record,
                                      struct arena *scratch)
{
    return control_append(builder, timestamp, CONTROL_KRAFT_VERSION, &kraft_version_record_type,
                          record->version, record, scratch);
}

enum err control_append_voters(struct batch_builder *builder, int64_t timestamp,
                               const struct voters_record *record, struct arena *scratch)
{
    return control_append(builder, timestamp, CONTROL_KRAFT_VOTERS, &voters_record_type,
                          record->version, record, scratch);
}

/* Versions from the future are read as far as they are known, like the keys. */
static enum err control_read(const struct message_type *schema, struct slice value,
                             struct arena *arena, void *out)
{
    struct cursor cursor = cursor_of(value);
    int16_t version;
    enum err err;

    if (value.size_bytes < 2)
        return ERR_INVALID_RECORD;
    version = (int16_t)get_u16(value.data);
    if (version < schema->version_min)
        return ERR_INVALID_RECORD;
    err = message_decode(schema, MIN(version, schema->version_max), &cursor, arena, out);
    return err == OK || err == ERR_NO_MEMORY ? err : ERR_INVALID_RECORD;
}

enum err control_read_leader_change(struct slice value, struct arena *arena,
                                    struct leader_change_message *out)
{
    return control_read(&leader_change_message_type, value, arena, out);
}

enum err control_read_snapshot_header(struct slice value, struct arena *arena,
                                      struct snapshot_header_record *out)
{
    return control_read(&snapshot_header_record_type, value, arena, out);
}

enum err control_read_snapshot_footer(struct slice value, struct arena *arena,
                                      struct snapshot_footer_record *out)
{
    return control_read(&snapshot_footer_record_type, value, arena, out);
}

enum err control_read_kraft_version(struct slice value, struct arena *arena,
                                    struct kraft_version_record *out)
{
    return control_read(&kraft_version_record_type, value, arena, out);
}

enum err control_read_voters(struct slice value, struct arena *arena, struct voters_record *out)
{
    return control_read(&voters_record_type, value, arena, out);
}
