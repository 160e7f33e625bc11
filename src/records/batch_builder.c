/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/batch_builder.c: records are written as they come; header, codec and CRC at the end.
 */
#include "records/batch_builder.h"

#include "base/assert.h"
#include "records/records_internal.h"

void batch_options_init(struct batch_options *options)
{
    *options = (struct batch_options){
        .leader_epoch = LEADER_EPOCH_NONE,
        .codec = COMPRESSION_NONE,
        .producer_id = PRODUCER_ID_NONE,
        .producer_epoch = PRODUCER_EPOCH_NONE,
        .base_sequence = SEQUENCE_NONE,
    };
}

void batch_builder_begin(struct batch_builder *builder, const struct batch_options *options,
                         struct compress_context *context, struct writer *scratch,
                         struct writer *out)
{
    bool compressed = options->codec != COMPRESSION_NONE;

    ASSERT(!compressed || (context && scratch));
    ASSERT(!options->transactional || options->producer_id != PRODUCER_ID_NONE);
    ASSERT(options->producer_id == PRODUCER_ID_NONE ||
           (options->producer_epoch != PRODUCER_EPOCH_NONE &&
            (options->control || options->base_sequence >= 0)));
    *builder = (struct batch_builder){
        .options = *options,
        .context = context,
        .out = out,
        .start_bytes = out->size_bytes,
        .records = compressed ? scratch : out,
        .base_timestamp = TIMESTAMP_NONE,
        .max_timestamp = TIMESTAMP_NONE,
        .last_offset = options->base_offset - 1,
    };
    if (!writer_reserve(out, BATCH_HEADER_BYTES))
        builder->err = writer_error(out);
    if (compressed)
        writer_reset(scratch);
    builder->records_start_bytes = builder->records->size_bytes;
}

/* A record whose headers are encoded already (raw) or come as a list. */
struct record_source {
    int64_t timestamp;
    struct slice key;
    struct slice value;
    const struct record_header *headers;
    struct slice raw_headers;
    int32_t header_count;
};

static size_t field_size(struct slice field)
{
    if (slice_is_null(field))
        return 1;
    return varint_size_bytes((int32_t)field.size_bytes) + field.size_bytes;
}

static size_t body_size(int64_t timestamp_delta, int32_t offset_delta,
                        const struct record_source *source)
{
    size_t size = 1 + varlong_size_bytes(timestamp_delta) + varint_size_bytes(offset_delta) +
                  field_size(source->key) + field_size(source->value) +
                  varint_size_bytes(source->header_count) + source->raw_headers.size_bytes;

    if (source->headers)
        for (int32_t i = 0; i < source->header_count; i++)
            size += field_size(source->headers[i].key) + field_size(source->headers[i].value);
    return size;
}

static void field_write(struct writer *writer, struct slice field)
{
    if (slice_is_null(field)) {
        writer_varint(writer, -1);
        return;
    }
    writer_varint(writer, (int32_t)field.size_bytes);
    writer_bytes(writer, field.data, field.size_bytes);
}

static void body_write(struct writer *writer, int64_t timestamp_delta, int32_t offset_delta,
                       const struct record_source *source)
{
    writer_i8(writer, 0);
    writer_varlong(writer, timestamp_delta);
    writer_varint(writer, offset_delta);
    field_write(writer, source->key);
    field_write(writer, source->value);
    writer_varint(writer, source->header_count);
    writer_bytes(writer, source->raw_headers.data, source->raw_headers.size_bytes);
    if (source->headers)
        for (int32_t i = 0; i < source->header_count; i++) {
            field_write(writer, source->headers[i].key);
            field_write(writer, source->headers[i].value);
        }
}

/* Anything longer could not be told in the format's 32-bit lengths. */
static bool source_fits(const struct record_source *source)
{
    if (source->timestamp < TIMESTAMP_NONE || source->header_count < 0 ||
        source->key.size_bytes > INT32_MAX || source->value.size_bytes > INT32_MAX)
        return false;
    if (source->headers)
        for (int32_t i = 0; i < source->header_count; i++)
            if (slice_is_null(source->headers[i].key) ||
                source->headers[i].key.size_bytes > INT32_MAX ||
                source->headers[i].value.size_bytes > INT32_MAX)
                return false;
    return true;
}

static enum err append_source(struct batch_builder *builder, int64_t offset,
                              const struct record_source *source)
{
    const struct batch_options *options = &builder->options;
    int64_t timestamp = source->timestamp; /* kept under LogAppendTime too, as Kafka does */
    int64_t offset_delta = offset - options->base_offset;
    int64_t timestamp_delta;
    size_t size;

    if (builder->err != OK)
        return builder->err;
    if (offset <= builder->last_offset || offset_delta > INT32_MAX ||
        builder->record_count == INT32_MAX || !source_fits(source))
        return builder->err = ERR_INVALID_RECORD;
    if (builder->record_count == 0)
        builder->base_timestamp =
            options->has_delete_horizon ? options->delete_horizon_ms : timestamp;
    timestamp_delta = timestamp - builder->base_timestamp;
    size = body_size(timestamp_delta, (int32_t)offset_delta, source);
    if (size > INT32_MAX)
        return builder->err = ERR_INVALID_RECORD;
    writer_varint(builder->records, (int32_t)size);
    body_write(builder->records, timestamp_delta, (int32_t)offset_delta, source);
    builder->err = writer_error(builder->records);
    builder->record_count++;
    builder->last_offset = offset;
    builder->max_timestamp = MAX(builder->max_timestamp, timestamp);
    return builder->err;
}

enum err batch_builder_append_at(struct batch_builder *builder, int64_t offset,
                                 const struct batch_record *record)
{
    struct record_source source = {
        .timestamp = record->timestamp,
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .raw_headers = SLICE_EMPTY,
        .header_count = record->header_count,
    };

    ASSERT(record->header_count == 0 || record->headers);
    return append_source(builder, offset, &source);
}

enum err batch_builder_append(struct batch_builder *builder, const struct batch_record *record)
{
    return batch_builder_append_at(builder, builder->last_offset + 1, record);
}

enum err batch_builder_append_walked(struct batch_builder *builder, int64_t offset,
                                     const struct record *record)
{
    struct record_source source = {
        .timestamp = record->timestamp,
        .key = record->key,
        .value = record->value,
        .raw_headers = record->headers,
        .header_count = record->header_count,
    };

    return append_source(builder, offset, &source);
}

size_t batch_builder_size_bytes(const struct batch_builder *builder)
{
    return BATCH_HEADER_BYTES + builder->records->size_bytes - builder->records_start_bytes;
}

static enum err builder_close(struct batch_builder *builder, struct slice *batch_out)
{
    const struct batch_options *options = &builder->options;
    struct batch_header header = {
        .base_offset = options->base_offset,
        .leader_epoch = options->leader_epoch,
        .magic = BATCH_MAGIC,
        .attributes = (uint8_t)options->codec,
        .last_offset_delta = (int32_t)(builder->last_offset - options->base_offset),
        .base_timestamp = builder->base_timestamp,
        .max_timestamp =
            options->log_append_time ? options->log_append_time_ms : builder->max_timestamp,
        .producer_id = options->producer_id,
        .producer_epoch = options->producer_epoch,
        .base_sequence = options->base_sequence,
        .record_count = builder->record_count,
    };
    size_t size;

    if (options->log_append_time)
        header.attributes |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    if (options->transactional)
        header.attributes |= BATCH_ATTRIBUTE_TRANSACTIONAL;
    if (options->control)
        header.attributes |= BATCH_ATTRIBUTE_CONTROL;
    if (options->has_delete_horizon) {
        header.attributes |= BATCH_ATTRIBUTE_DELETE_HORIZON;
        header.base_timestamp = options->delete_horizon_ms;
    }
    if (options->codec != COMPRESSION_NONE)
        TRY(compress_bytes(builder->context, options->codec, options->level,
                           writer_slice(builder->records), builder->out));
    ASSERT(writer_error(builder->out) == OK); /* every error of its own was told at once */
    size = builder->out->size_bytes - builder->start_bytes;
    if (size - BATCH_PREFIX_BYTES > INT32_MAX)
        return ERR_INVALID_RECORD;
    header.batch_length = (int32_t)(size - BATCH_PREFIX_BYTES);
    batch_header_write(&header, builder->out->data + builder->start_bytes, size);
    if (batch_out)
        *batch_out = slice_of(builder->out->data + builder->start_bytes, size);
    return OK;
}

enum err batch_builder_finish(struct batch_builder *builder, struct slice *batch_out)
{
    if (builder->err == OK && builder->record_count == 0)
        builder->err = ERR_INVALID_RECORD;
    TRY(builder->err);
    return builder->err = builder_close(builder, batch_out);
}

enum err batch_builder_finish_at(struct batch_builder *builder, int64_t last_offset,
                                 struct slice *batch_out)
{
    if (builder->err == OK && (last_offset < builder->last_offset ||
                               last_offset - builder->options.base_offset > INT32_MAX ||
                               last_offset < builder->options.base_offset))
        builder->err = ERR_INVALID_RECORD;
    TRY(builder->err);
    builder->last_offset = last_offset;
    if (builder->record_count == 0) /* nothing to compress: Kafka stores an empty batch plain */
        builder->options.codec = COMPRESSION_NONE;
    return builder->err = builder_close(builder, batch_out);
}

size_t batch_record_size_bytes(int64_t timestamp_delta, int32_t offset_delta,
                               const struct batch_record *record)
{
    struct record_source source = {
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .raw_headers = SLICE_EMPTY,
        .header_count = record->header_count,
    };
    size_t size = body_size(timestamp_delta, offset_delta, &source);

    return varint_size_bytes((int32_t)size) + size;
}
