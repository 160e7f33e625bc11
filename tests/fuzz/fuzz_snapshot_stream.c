/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A metadata snapshot as a peer or a disk may give it. Input: one byte (1: CRCs are made true), then the
 * file. What is read to its end is written again and reads the same.
 */
#include "base/assert.h"
#include "records/snapshot_stream.h"

#include <stdlib.h>

#define EPOCH 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void crc_correct(uint8_t *bytes, size_t size)
{
    struct slice rest = slice_of(bytes, size);
    struct slice batch;

    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;
        uint8_t *at = bytes + (batch.data - bytes);

        if (batch_header_read(batch, &header) == OK && header.magic == BATCH_MAGIC)
            batch_header_write(&header, at, batch.size_bytes);
    }
}

/* How many records; -1: an error. Copies them into `writer` unless NULL. */
static int snapshot_walk(struct slice file, struct compress_context *context, struct arena *arena,
                         struct snapshot_writer *writer)
{
    struct snapshot_reader reader;
    struct snapshot_item item;
    struct why why;
    int count = 0;
    enum err err;

    snapshot_reader_begin(&reader, file, context, &heap_allocator, arena);
    do {
        err = snapshot_reader_next(&reader, &item, &why);
        if (err != OK)
            break;
        if (item.kind == SNAPSHOT_ITEM_RECORD) {
            count++;
            if (writer)
                (void)snapshot_writer_record(writer, 5, item.value);
        }
    } while (item.kind != SNAPSHOT_ITEM_END);
    snapshot_reader_release(&reader);
    return err == OK ? count : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compress_context *context;
    struct snapshot_writer writer;
    struct arena arena, scratch;
    struct snapshot_id id;
    struct writer out;
    uint8_t *copy;
    int count;

    if (size < 1)
        return 0;
    (void)snapshot_name_parse(slice_of(data, size), &id);
    copy = malloc(size);
    ASSERT(copy);
    memcpy(copy, data + 1, size - 1);
    if (data[0] == 1)
        crc_correct(copy, size - 1);
    ASSERT(compress_context_open(&context, &heap_allocator) == OK);
    arena_init(&arena, &heap_allocator, 16 * MIB);
    arena_init(&scratch, &heap_allocator, 16 * MIB);
    count = snapshot_walk(slice_of(copy, size - 1), context, &arena, NULL);
    if (count >= 0) {
        writer_init(&out, &heap_allocator, SIZE_MAX);
        snapshot_writer_begin(&writer, EPOCH, &out, &scratch);
        (void)snapshot_writer_header(&writer, 5, 5, 0, NULL);
        (void)snapshot_walk(slice_of(copy, size - 1), context, &arena, &writer);
        ASSERT(snapshot_writer_finish(&writer, 5) == OK);
        ASSERT(snapshot_walk(writer_slice(&out), context, &arena, NULL) == count);
        writer_release(&out);
    }
    arena_release(&scratch);
    arena_release(&arena);
    compress_context_release(&context);
    free(copy);
    return 0;
}
