/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/batch_reader.c: the batches of a segment file in order, through one window of memory that
 * slides and grows to the largest batch seen. For jobs, start-up and tools: it blocks.
 * Invariants  1. never reads at or beyond end_bytes; memory is bounded by it and by Kafka's 2 GiB.
 * Threads     whoever made it.
 */
#include "storage/storage_internal.h"

#define WINDOW_BYTES (512 * KIB)
#define HEADER_WINDOW_BYTES (16 * KIB)

void batch_reader_init(struct batch_reader *reader, struct os_file *file, int64_t position_bytes,
                       int64_t end_bytes)
{
    *reader = (struct batch_reader){
        .file = file, .position_bytes = position_bytes, .end_bytes = end_bytes};
}

void batch_reader_release(struct batch_reader *reader)
{
    storage_free(reader->buffer, reader->capacity_bytes);
    reader->buffer = NULL;
    reader->capacity_bytes = 0;
}

/* Makes [position, position + size) of the file present, or as much of it as there is. Fetches up to
 * `ahead_bytes` when it has to read. */
static enum err window_cover(struct batch_reader *reader, size_t size_bytes, size_t ahead_bytes,
                             struct slice *out)
{
    int64_t left = reader->end_bytes - reader->position_bytes;
    size_t wanted = (size_t)MIN((int64_t)size_bytes, MAX(left, 0));
    int64_t at = reader->position_bytes - reader->window_bytes;
    size_t fetch;

    if (at >= 0 && at + (int64_t)wanted <= (int64_t)reader->filled_bytes) {
        *out = slice_of(reader->buffer + at, reader->filled_bytes - (size_t)at);
        return OK;
    }
    fetch = (size_t)MIN((int64_t)MAX(wanted, ahead_bytes), left);
    if (fetch > reader->capacity_bytes) {
        storage_free(reader->buffer, reader->capacity_bytes);
        reader->capacity_bytes = 0;
        reader->buffer = heap_allocator.allocate(&heap_allocator, fetch);
        if (!reader->buffer)
            return ERR_NO_MEMORY;
        reader->capacity_bytes = fetch;
    }
    reader->window_bytes = reader->position_bytes;
    reader->filled_bytes = 0;
    TRY(os_file_read(reader->file, reader->buffer, fetch, reader->position_bytes,
                     &reader->filled_bytes));
    *out = slice_of(reader->buffer, reader->filled_bytes);
    return OK;
}

enum err batch_reader_next(struct batch_reader *reader, struct slice *batch_out,
                           int64_t *position_bytes_out)
{
    struct slice bytes;
    size_t size_bytes;

    *batch_out = SLICE_EMPTY;
    *position_bytes_out = reader->position_bytes;
    if (reader->end_bytes - reader->position_bytes <= BATCH_PEEK_BYTES)
        return OK;
    TRY(window_cover(reader, BATCH_PEEK_BYTES, WINDOW_BYTES, &bytes));
    if (batch_peek(bytes, &size_bytes) == BATCH_FRAME_CORRUPT)
        return ERR_CORRUPT_MESSAGE;
    if (size_bytes == 0 || (int64_t)size_bytes > reader->end_bytes - reader->position_bytes)
        return OK;
    TRY(window_cover(reader, size_bytes, WINDOW_BYTES, &bytes));
    switch (batch_peek(bytes, &size_bytes)) {
    case BATCH_FRAME_CORRUPT:
        return ERR_CORRUPT_MESSAGE;
    case BATCH_FRAME_PARTIAL:
        return OK; /* the file became shorter */
    case BATCH_FRAME_WHOLE:
        break;
    }
    *batch_out = slice_sub(bytes, 0, size_bytes);
    reader->position_bytes += (int64_t)size_bytes;
    return OK;
}

enum err batch_reader_next_header(struct batch_reader *reader, bool *found_out,
                                  struct batch_header *header_out, int64_t *position_bytes_out)
{
    struct slice bytes;
    size_t size_bytes;

    *found_out = false;
    *position_bytes_out = reader->position_bytes;
    if (reader->end_bytes - reader->position_bytes <= BATCH_PEEK_BYTES)
        return OK;
    TRY(window_cover(reader, BATCH_HEADER_BYTES, HEADER_WINDOW_BYTES, &bytes));
    if (batch_peek(bytes, &size_bytes) == BATCH_FRAME_CORRUPT)
        return ERR_CORRUPT_MESSAGE;
    if (size_bytes == 0 || (int64_t)size_bytes > reader->end_bytes - reader->position_bytes)
        return OK;
    if (bytes.size_bytes >= BATCH_HEADER_BYTES && bytes.data[16] == BATCH_MAGIC) {
        if (size_bytes < BATCH_HEADER_BYTES)
            return ERR_CORRUPT_MESSAGE;
        TRY(batch_header_read_prefix(slice_sub(bytes, 0, BATCH_HEADER_BYTES), header_out));
        reader->position_bytes += (int64_t)size_bytes;
        *found_out = true;
        return OK;
    }
    /* Magic 0 and 1 keep what we need behind a wrapper: read it whole. */
    TRY(batch_reader_next(reader, &bytes, position_bytes_out));
    if (bytes.size_bytes == 0)
        return OK;
    TRY(batch_header_read(bytes, header_out));
    *found_out = true;
    return OK;
}
