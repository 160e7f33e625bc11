/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/record_stream.c: walks records across the pieces of an inflating stream. Keys, values and
 * header contents are passed over, so memory stays at one piece whatever a batch inflates to. Like
 * Kafka's fast path it does not compare a record's length with the bytes of its fields; the count
 * of records must end exactly where the stream ends.
 */
#include "records/record_stream.h"

#include "records/records_internal.h"

enum err record_stream_begin(struct record_stream *stream, struct compress_context *context,
                             const struct batch_header *header, struct slice records,
                             size_t inflated_bytes_max, int32_t body_bytes_max)
{
    enum err err;

    *stream = (struct record_stream){
        .context = context,
        .header = header,
        .left = header->record_count,
        .body_bytes_max = body_bytes_max,
    };
    if (header->record_count < 0)
        return ERR_INVALID_RECORD;
    err = decompress_begin(context, (enum compression)batch_codec(header), records,
                           inflated_bytes_max);
    return err == ERR_DECOMPRESS ? ERR_UNKNOWN_SERVER_ERROR : err;
}

/* More bytes at stream->at. The end of the stream inside a record is a fault of the record. */
static enum err stream_fill(struct record_stream *stream)
{
    struct slice piece;

    stream->err = decompress_next(stream->context, &piece);
    if (stream->err == ERR_DECOMPRESS)
        return ERR_UNKNOWN_SERVER_ERROR;
    TRY(stream->err);
    stream->at = piece.data;
    stream->end = piece.data + piece.size_bytes;
    return piece.size_bytes > 0 ? OK : ERR_INVALID_RECORD;
}

static inline enum err stream_u8(struct record_stream *stream, uint8_t *out)
{
    if (stream->at == stream->end)
        TRY(stream_fill(stream));
    *out = *stream->at++;
    return OK;
}

static enum err stream_uvarlong(struct record_stream *stream, int bytes_max, uint64_t *out)
{
    uint64_t value = 0;
    uint8_t byte;

    for (int i = 0; i < bytes_max; i++) {
        TRY(stream_u8(stream, &byte));
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *out = value;
            return OK;
        }
    }
    return ERR_INVALID_RECORD;
}

static inline enum err stream_varint(struct record_stream *stream, int32_t *out)
{
    uint64_t wide = 0;
    uint32_t value;
    size_t size = uvarint_short(stream->at, stream->end, &value);

    if (size == 0) {
        TRY(stream_uvarlong(stream, 5, &wide));
        value = (uint32_t)wide;
    }
    stream->at += size;
    *out = zigzag_decode(value);
    return OK;
}

static inline enum err stream_varlong(struct record_stream *stream, int64_t *out)
{
    uint64_t wide = 0;
    uint32_t value;
    size_t size = uvarint_short(stream->at, stream->end, &value);

    if (size == 0)
        TRY(stream_uvarlong(stream, 10, &wide));
    else
        wide = value;
    stream->at += size;
    *out = (int64_t)(wide >> 1 ^ (0u - (wide & 1)));
    return OK;
}

/* A negative size is null: nothing to pass over. */
static enum err stream_skip(struct record_stream *stream, int32_t size)
{
    while (size > 0) {
        size_t step;

        if (stream->at == stream->end)
            TRY(stream_fill(stream));
        step = MIN((size_t)(stream->end - stream->at), (size_t)size);
        stream->at += step;
        size -= (int32_t)step;
    }
    return OK;
}

static enum err headers_skip(struct record_stream *stream)
{
    int32_t count, size;

    TRY(stream_varint(stream, &count));
    if (count < 0)
        return ERR_INVALID_RECORD;
    for (int32_t i = 0; i < count; i++) {
        TRY(stream_varint(stream, &size));
        if (size < 0)
            return ERR_INVALID_RECORD;
        TRY(stream_skip(stream, size));
        TRY(stream_varint(stream, &size));
        TRY(stream_skip(stream, size));
    }
    return OK;
}

/* After the last record the stream must end too. */
static enum err stream_end_check(struct record_stream *stream)
{
    enum err err;

    if (stream->at != stream->end)
        return ERR_INVALID_RECORD;
    err = stream_fill(stream);
    if (err == OK)
        return ERR_INVALID_RECORD;
    return err == ERR_INVALID_RECORD ? OK : err; /* nothing more to inflate */
}

/* Any record, across pieces. */
static enum err record_read(struct record_stream *stream, struct record_facts *out,
                            int64_t *timestamp_delta_out)
{
    uint8_t attributes;
    int32_t size;

    TRY(stream_varint(stream, &size));
    if (size < 0 || size > stream->body_bytes_max)
        return ERR_INVALID_RECORD;
    TRY(stream_u8(stream, &attributes));
    TRY(stream_varlong(stream, timestamp_delta_out));
    TRY(stream_varint(stream, &out->offset_delta));
    TRY(stream_varint(stream, &size));
    out->has_key = size >= 0;
    TRY(stream_skip(stream, size));
    TRY(stream_varint(stream, &size));
    TRY(stream_skip(stream, size));
    return headers_skip(stream);
}

enum err record_stream_next(struct record_stream *stream, struct record_facts *out, bool *more_out)
{
    const struct batch_header *header = stream->header;
    int64_t timestamp_delta;

    *more_out = false;
    if (stream->left == 0)
        return OK;
    TRY(record_read(stream, out, &timestamp_delta));
    out->timestamp = batch_is_log_append_time(header)
                         ? header->max_timestamp
                         : wrap_add(header->base_timestamp, timestamp_delta);
    stream->left--;
    if (stream->left == 0)
        TRY(stream_end_check(stream));
    *more_out = true;
    return OK;
}

void record_stream_run(struct record_stream *stream, int32_t first_index, struct record_run *out)
{
    stream->at = record_run_take(stream->at, stream->end, MAX(stream->left - 1, 0), first_index,
                                 stream->body_bytes_max, out);
    stream->left -= out->count;
}

void record_stream_rewind(struct record_stream *stream, const struct record_run *run)
{
    stream->at = run->from;
    stream->left += run->count;
}
