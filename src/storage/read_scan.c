/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/read_scan.c: which batch of a segment holds an offset: from the place that the index names, header by
 * header.
 * Invariants  1. an index entry is believed only if the batch found there is the one it names.
 * Threads     the store's.
 */
#include "storage/read_internal.h"

#include "base/bug.h"
#include "base/fault_point.h"

#define SCAN_BYTES STORE_SCRATCH_BYTES

static void read_index_ready(struct index_waiter *waiter)
{
    struct read_wait *wait = CONTAINER_OF(waiter, struct read_wait, index);

    read_goes_on(wait->read);
}

enum step read_index_load(struct log_read *read)
{
    struct read_wait *wait = read_wait_of(read);

    wait->index.ready = read_index_ready;
    read_waits(read);
    segment_index_load(read->segment, &wait->index);
    return STEP_WAIT;
}

/* Where to begin to look for `target`: *loaded_out false means wait. */
static enum step scan_start(struct log_read *read, int64_t target, bool *loaded_out)
{
    struct segment *segment = read->segment;
    struct offset_index_entry entry = {0};
    enum index_answer answer = INDEX_NOT_LOADED;

    *loaded_out = true;
    read->scan_bytes = 0;
    read->scan_floor = segment->base_offset;
    read->entry_offset = -1;
    if (segment->index_unusable)
        return STEP_GO_ON;
    if (segment->index_known && !segment->index_bad)
        answer = offset_index_find(&segment->offsets, target - segment->base_offset, &entry);
    if (answer == INDEX_NOT_LOADED) {
        *loaded_out = false;
        return read_index_load(read);
    }
    if (answer == INDEX_FOUND) {
        read->scan_bytes = entry.position_bytes;
        read->entry_offset = segment->base_offset + entry.relative;
    }
    return STEP_GO_ON;
}

/* ---- scanning batch headers ---- */

/* Looks for the first batch whose last offset is ≥ target in bytes that begin at read->scan_bytes. */
static struct scan_hit scan_look(struct log_read *read, struct slice bytes, int64_t target)
{
    struct scan_hit hit = {0};

    for (;;) {
        struct batch_header header;
        size_t size_bytes;
        enum batch_frame frame = batch_peek(bytes, &size_bytes);
        enum err err;

        hit.more = true;
        hit.wanted_bytes = BATCH_HEADER_BYTES;
        if (frame == BATCH_FRAME_CORRUPT) {
            hit.more = false;
            hit.broken = true;
            return hit;
        }
        if (size_bytes == 0)
            return hit;
        if (bytes.size_bytes > 16 && bytes.data[16] < BATCH_MAGIC) {
            hit.wanted_bytes = size_bytes; /* the facts of a wrapper lie behind it */
            if (bytes.size_bytes < size_bytes)
                return hit;
            err = batch_header_read(slice_sub(bytes, 0, size_bytes), &header);
        } else {
            if (bytes.size_bytes < BATCH_HEADER_BYTES)
                return hit;
            err = batch_header_read_prefix(slice_sub(bytes, 0, BATCH_HEADER_BYTES), &header);
        }
        hit.more = false;
        if (err != OK ||
            (read->entry_offset >= 0 && batch_last_offset(&header) != read->entry_offset &&
             !BUG_IS(index_trusted))) {
            hit.broken = true;
            return hit;
        }
        read->entry_offset = -1;
        if (batch_last_offset(&header) >= target) {
            hit.found = true;
            hit.position_bytes = read->scan_bytes;
            hit.size_bytes = size_bytes;
            hit.behind = slice_sub(bytes, size_bytes, SIZE_MAX);
            hit.next_offset = batch_next_offset(&header);
            return hit;
        }
        read->scan_bytes += (int64_t)size_bytes;
        read->scan_floor = MAX(read->scan_floor, batch_last_offset(&header) + 1);
        bytes = slice_sub(bytes, size_bytes, SIZE_MAX);
    }
}

static void scan_read_done(struct os_op *op)
{
    struct log_read *read = CONTAINER_OF(op, struct log_read, op);

    file_release(&read->segment->file);
    read_goes_on(read);
}

static void scan_read_submit(struct log_read *read)
{
    int64_t left = read->segment->written_bytes - read->scan_bytes;

    read->op = (struct os_op){.kind = OS_OP_READ,
                              .done = scan_read_done,
                              .file = read->segment->file.file,
                              .buffer = read->scratch,
                              .size_bytes = (size_t)MIN((int64_t)read->scratch_bytes, left),
                              .position_bytes = read->scan_bytes};
    reactor_submit(read->log->store->reactor, &read->op);
}

static void scan_file_ready(struct file_waiter *waiter, enum err err)
{
    struct log_read *read = CONTAINER_OF(waiter, struct read_wait, file)->read;

    if (err == OK) {
        scan_read_submit(read);
        return;
    }
    read->op.err = err;
    read->op.kind = OS_OP_READ;
    read_goes_on(read);
}

/* A scratch of the usual size is used again: many partitions are looked into at the same time. */
void scratch_drop(struct log_read *read)
{
    struct log_store *store = read->log->store;

    if (read->scratch_bytes == SCAN_BYTES && store->scratch_count < ARRAY_COUNT(store->scratches))
        store->scratches[store->scratch_count++] = read->scratch;
    else
        storage_free(read->scratch, read->scratch_bytes);
    read->scratch = NULL;
    read->scratch_bytes = 0;
}

static bool scratch_take(struct log_read *read, size_t wanted_bytes)
{
    struct log_store *store = read->log->store;

    scratch_drop(read);
    if (wanted_bytes == SCAN_BYTES && store->scratch_count > 0)
        read->scratch = store->scratches[--store->scratch_count];
    else
        read->scratch = heap_allocator.allocate(&heap_allocator, wanted_bytes);
    read->scratch_bytes = read->scratch ? wanted_bytes : 0;
    return read->scratch != NULL;
}

/* Has the scratch filled with bytes from scan_bytes on. */
static enum step scan_read(struct log_read *read, size_t wanted_bytes)
{
    struct read_wait *wait = read_wait_of(read);

    wanted_bytes = MAX(wanted_bytes,
                       FAULT_POINT(scan_small) ? (size_t)BATCH_HEADER_BYTES : (size_t)SCAN_BYTES);
    if (read->scratch_bytes < wanted_bytes && !scratch_take(read, wanted_bytes))
        return read_fails(read, ERR_NO_MEMORY);
    wait->file.ready = scan_file_ready;
    read_waits(read);
    if (segment_file_acquire(read->log->store, read->segment, &wait->file))
        scan_read_submit(read);
    return STEP_WAIT;
}

/* No whole batch is left: the target is not in this file, unless it was the index that led here. */
static enum step scan_at_end(struct log_read *read, int64_t target, struct scan_hit *hit_out)
{
    *hit_out = (struct scan_hit){0};
    if (read->entry_offset < 0 || read->segment->index_unusable || BUG_IS(index_trusted))
        return STEP_GO_ON;
    read->entry_offset = -1;
    segment_index_distrust(read->segment);
    return scan_step(read, target, hit_out);
}

enum step scan_step(struct log_read *read, int64_t target, struct scan_hit *hit_out)
{
    bool has_bytes = read->op.done != NULL;

    *hit_out = (struct scan_hit){0};
    if (read->op.err != OK) {
        enum err err = read->op.err;

        read->op = (struct os_op){0};
        if (read->segment->deleted)
            return read_fails(read, ERR_OFFSET_OUT_OF_RANGE); /* retention was faster */
        if (!err_is_shortage(err))
            log_io_failed(read->log, err, "read");
        return read_fails(read, ERR_KAFKA_STORAGE_ERROR);
    }
    if (!has_bytes) {
        bool loaded;
        enum step step = scan_start(read, target, &loaded);

        if (!loaded)
            return step;
        if (read->segment->written_bytes - read->scan_bytes <= BATCH_PEEK_BYTES)
            return scan_at_end(read, target, hit_out);
        return scan_read(read, 0);
    }
    *hit_out = scan_look(read, slice_of(read->scratch, (size_t)read->op.result), target);
    read->op = (struct os_op){0};
    if (hit_out->broken) {
        if (read->segment->index_unusable)
            return read_fails(read, ERR_CORRUPT_MESSAGE);
        if (read->entry_offset < 0)
            read->segment->index_unusable = true; /* the log itself is broken here */
        segment_index_distrust(read->segment);
        return read->segment->index_unusable ? read_fails(read, ERR_CORRUPT_MESSAGE)
                                             : scan_step(read, target, hit_out);
    }
    if (!hit_out->more)
        return STEP_GO_ON;
    if (read->segment->written_bytes - read->scan_bytes <
        (int64_t)MAX(hit_out->wanted_bytes, (size_t)BATCH_PEEK_BYTES + 1)) {
        return scan_at_end(read, target, hit_out);
    }
    return scan_read(read, hit_out->wanted_bytes);
}
