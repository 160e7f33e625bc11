/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/record.c: the records of a plain section, checked as Kafka's full reader does.
 */
#include "records/record.h"

#include "base/assert.h"
#include "records/records_internal.h"

enum err record_walk_begin(struct record_walk *walk, const struct batch_header *header,
                           struct slice records)
{
    walk->header = *header;
    walk->cursor = cursor_of(records);
    walk->left = 0;
    if (header->magic != BATCH_MAGIC || header->record_count < 0)
        return ERR_INVALID_RECORD;
    walk->left = header->record_count;
    return OK;
}

/* A length and that many bytes; any negative length is null, as in Kafka's reader. */
static enum err field_read(struct cursor *cursor, struct slice *out)
{
    int32_t size;

    TRY(varint_read(cursor, &size));
    if (size < 0) {
        *out = SLICE_NULL;
        return OK;
    }
    return bytes_read(cursor, (size_t)size, out);
}

static enum err headers_check(struct cursor *cursor, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        struct slice key, value;

        TRY(field_read(cursor, &key));
        if (slice_is_null(key))
            return ERR_INVALID_RECORD;
        TRY(field_read(cursor, &value));
    }
    return OK;
}

static enum err body_read(const struct batch_header *header, struct cursor *body,
                          struct record *out)
{
    const uint8_t *headers;

    TRY(cursor_i8(body, &out->attributes));
    TRY(varlong_read(body, &out->timestamp_delta));
    TRY(varint_read(body, &out->offset_delta));
    TRY(field_read(body, &out->key));
    TRY(field_read(body, &out->value));
    TRY(varint_read(body, &out->header_count));
    if (out->header_count < 0 || (size_t)out->header_count > cursor_left(body))
        return ERR_INVALID_RECORD;
    headers = body->at;
    TRY(headers_check(body, out->header_count));
    if (cursor_left(body) != 0)
        return ERR_INVALID_RECORD;
    out->headers = slice_of(headers, (size_t)(body->at - headers));
    out->timestamp = batch_is_log_append_time(header)
                         ? header->max_timestamp
                         : wrap_add(header->base_timestamp, out->timestamp_delta);
    out->offset = wrap_add(header->base_offset, out->offset_delta);
    out->sequence = header->base_sequence >= 0
                        ? sequence_add(header->base_sequence, out->offset_delta)
                        : SEQUENCE_NONE;
    return OK;
}

enum err record_walk_next(struct record_walk *walk, struct record *out, bool *more_out)
{
    const uint8_t *start = walk->cursor.at;
    struct slice body_bytes;
    struct cursor body;
    int32_t size;
    enum err err;

    *more_out = false;
    if (walk->left == 0)
        return OK;
    err = varint_read(&walk->cursor, &size);
    if (err != OK)
        return err == ERR_VARINT ? ERR_UNKNOWN_SERVER_ERROR : ERR_INVALID_RECORD;
    if (size < 0 || bytes_read(&walk->cursor, (size_t)size, &body_bytes) != OK)
        return ERR_INVALID_RECORD;
    body = cursor_of(body_bytes);
    if (body_read(&walk->header, &body, out) != OK)
        return ERR_INVALID_RECORD;
    out->size_bytes = (size_t)(walk->cursor.at - start);
    walk->left--;
    if (walk->left == 0 && cursor_left(&walk->cursor) != 0)
        return ERR_INVALID_RECORD;
    *more_out = true;
    return OK;
}

struct record_header record_header_next(struct slice *rest)
{
    struct cursor cursor = cursor_of(*rest);
    struct record_header header = {SLICE_EMPTY, SLICE_NULL};
    enum err err = field_read(&cursor, &header.key);

    ASSERT(err == OK); /* the record was checked as a whole */
    err = field_read(&cursor, &header.value);
    ASSERT(err == OK);
    *rest = slice_of(cursor.at, cursor_left(&cursor));
    return header;
}

enum err record_inflate(struct compress_context *context, struct slice batch, size_t limit_bytes,
                        struct writer *out)
{
    struct batch_header header;
    struct slice records;

    TRY(batch_header_read(batch, &header));
    if (header.magic != BATCH_MAGIC)
        return ERR_UNSUPPORTED;
    if (batch_codec(&header) >= COMPRESSION_COUNT)
        return ERR_UNKNOWN_SERVER_ERROR;
    records = batch_records(batch);
    if (header.record_count == 0 && records.size_bytes == 0)
        return OK; /* emptied by compaction: no frame at all */
    return decompress_bytes(context, (enum compression)batch_codec(&header), records, limit_bytes,
                            out);
}
