/* SPDX-License-Identifier: Apache-2.0 */
#include "batches.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

struct slice numbered_batch_build(const struct numbered_batch *batch, struct arena *arena)
{
    static const char pad[1024] = {0};
    struct batch_options options;
    struct batch_builder builder;
    CLEANUP(compress_context_release) struct compress_context *compress = NULL;
    CLEANUP(writer_release) struct writer scratch;
    CLEANUP(writer_release) struct writer out;
    struct slice built;
    enum err err;

    writer_init(&scratch, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    batch_options_init(&options);
    options.producer_id = batch->producer_id;
    options.producer_epoch = batch->producer_epoch;
    options.base_sequence = batch->base_sequence;
    options.codec = batch->codec;
    options.level = compression_level_default(options.codec);
    if (options.codec != COMPRESSION_NONE) {
        err = compress_context_open(&compress, &heap_allocator);
        ASSERT(err == OK);
    }
    batch_builder_begin(&builder, &options, compress, &scratch, &out);
    for (int32_t i = 0; i < batch->count; i++) {
        char value[1200];
        int length =
            snprintf(value, sizeof value, "%lld %s %d ", (long long)(batch->first_value + i),
                     batch->topic_key, batch->partition);
        size_t pad_bytes = MIN((size_t)batch->pad_bytes, sizeof pad);
        struct batch_record record = {.timestamp = batch->timestamp_ms, .key = SLICE_NULL};

        memcpy(value + length, pad, MIN(pad_bytes, sizeof value - (size_t)length));
        record.value =
            slice_of(value, (size_t)length + MIN(pad_bytes, sizeof value - (size_t)length));
        err = batch_builder_append(&builder, &record);
        ASSERT(err == OK);
    }
    err = batch_builder_finish(&builder, &built);
    ASSERT(err == OK);
    return arena_copy(arena, built);
}

/* The number in a record that says it belongs here; -1. */
static int64_t value_of(const struct record *record, const char *topic_key, int32_t partition)
{
    char text[96], expected[96];
    char *end;
    int64_t value;

    snprintf(text, sizeof text, "%.*s", (int)MIN(record->value.size_bytes, sizeof text - 1),
             (const char *)record->value.data);
    value = strtoll(text, &end, 10);
    snprintf(expected, sizeof expected, " %s %d ", topic_key, partition);
    return strncmp(end, expected, strlen(expected)) == 0 ? value : -1;
}

static bool records_read(struct compress_context *compress, struct slice batch,
                         const struct batch_header *header, const char *topic_key,
                         int32_t partition, struct history_batch *out)
{
    CLEANUP(writer_release) struct writer inflated;
    struct record_walk walk;
    struct record record;
    bool more = true;

    writer_init(&inflated, &heap_allocator, SIZE_MAX);
    if (record_inflate(compress, batch, SIZE_MAX, &inflated) != OK ||
        record_walk_begin(&walk, header, writer_slice(&inflated)) != OK)
        return false;
    for (int64_t i = 0; record_walk_next(&walk, &record, &more) == OK; i++) {
        int64_t value;

        if (!more)
            return i == out->last_offset - out->base_offset + 1;
        value = value_of(&record, topic_key, partition);
        if (i == 0)
            out->first_value = value;
        else if (value != out->first_value + i)
            out->first_value = -1;
        if (record.offset != out->base_offset + i)
            return false;
    }
    return false;
}

void numbered_batches_read(struct slice records, const char *topic_key, int32_t partition,
                           struct arena *arena, struct history_batch **out, size_t *count_out)
{
    CLEANUP(compress_context_release) struct compress_context *compress = NULL;
    struct slice batch, rest = records;
    size_t capacity = records.size_bytes / 61 + 1;
    enum err err = compress_context_open(&compress, &heap_allocator);

    ASSERT(err == OK);
    *out = arena_zeroed(arena, capacity, sizeof **out);
    *count_out = 0;
    while (rest.size_bytes > 0) {
        struct history_batch *own = &(*out)[*count_out];
        struct batch_header header;

        own->first_value = -1;
        err = batch_next(&rest, &batch);
        if (err == OK && batch.size_bytes == 0)
            break; /* cut off by the size that was asked for */
        ++*count_out;
        if (err != OK || batch_header_read(batch, &header) != OK)
            break; /* counted as one that is not valid */
        *own = (struct history_batch){.base_offset = header.base_offset,
                                      .last_offset = batch_last_offset(&header),
                                      .first_value = -1,
                                      .producer_id = header.producer_id,
                                      .base_sequence = header.base_sequence,
                                      .producer_epoch = header.producer_epoch,
                                      .crc = header.crc,
                                      .size_bytes = (int32_t)batch.size_bytes,
                                      .timestamp_ms = header.max_timestamp};
        own->is_valid = batch_is_valid(batch) &&
                        records_read(compress, batch, &header, topic_key, partition, own);
    }
}
