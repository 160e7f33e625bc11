/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_read.c: planned ranges into the memory of one reply; ranges that are not wanted are
 * given back. docs/design/fetch.md §4.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "records/batch.h"

static void read_release(struct fetch_part *part)
{
    struct partition *partition = part->partition;

    log_read_release(&part->read);
    part->is_planned = false;
    partition_unuse(partition);
}

static void release_errand(struct fetch_part *part)
{
    read_release(part);
    fetch_errand_end(part);
}

/* Bytes up to the first batch whose checksum, frame or place is wrong; what follows the last whole batch counts
 * as good: readers pass it over. A disk that rots must not reach a client or a replica as if it were data. The
 * checksum does not cover the base offset, so that must rise, from `floor` on, reach the offset that was asked for,
 * and stay below `limit`. */
static size_t sound_bytes(struct slice bytes, int64_t floor, int64_t offset, int64_t limit)
{
    struct slice rest = bytes, batch;
    int64_t next = offset;

    while (rest.size_bytes > 0) {
        size_t at = bytes.size_bytes - rest.size_bytes;
        struct batch_header header;

        if (batch_next(&rest, &batch) != OK)
            return at;
        if (batch.size_bytes == 0)
            break;
        if (!batch_is_valid(batch) || batch_header_read(batch, &header) != OK ||
            batch_last_offset(&header) < next || batch_last_offset(&header) >= limit ||
            (header.magic >= BATCH_MAGIC && header.base_offset < (at > 0 ? next : floor)))
            return at;
        next = batch_last_offset(&header) + 1;
    }
    return bytes.size_bytes;
}

static void read_done(struct log_read *read)
{
    struct fetch_part *part = CONTAINER_OF(read, struct fetch_part, read);

    part->read_bytes = read->err == OK ? MIN(read->read_bytes, part->taken) : 0;
    if (read->err != OK) {
        part->err = ERR_KAFKA_STORAGE_ERROR;
    } else if (part->read_bytes > 0) {
        part->read_bytes = sound_bytes(
            slice_of(part->buffer, part->read_bytes), part->read.floor_offset, part->read.offset,
            part->state->replica_id >= 0 ? INT64_MAX : part->high_watermark);
        if (part->read_bytes == 0)
            part->err = ERR_CORRUPT_MESSAGE;
    }
    /* The aborted transactions go with the answer; the range itself is not needed any more. */
    fetch_errand_end(part);
}

static void read_errand(struct fetch_part *part)
{
    part->read.size_bytes = part->taken;
    part->read.done = read_done;
    log_read_bytes(&part->read, part->buffer);
}

/* all: also those that were read, after the answer. */
void fetch_release_planned(struct fetch_state *state, bool all)
{
    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        if (part->is_planned && (all || part->taken == 0))
            fetch_errand(part, release_errand);
    }
}

void fetch_read(struct fetch_state *state)
{
    struct fetch_service *service = state->service;
    size_t total = 0;
    size_t at = 0;

    state->stage = FETCH_READING;
    for (size_t i = 0; i < state->count; i++) {
        if (state->is_gone)
            state->parts[i].taken = 0;
        total += state->parts[i].taken;
    }
    state->buffer_bytes = total;
    if (total > 0 && service->reading_bytes > 0 &&
        service->reading_bytes + total > FETCH_READING_BYTES_MAX) {
        list_push_back(&service->memory_waiting, &state->node);
        return;
    }
    if (total > 0 && !fetch_memory_take(state)) {
        for (size_t i = 0; i < state->count; i++)
            state->parts[i].taken = 0; /* the client comes again */
    }
    state->is_submitting = true;
    state->left++;
    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        part->read_bytes = 0;
        if (!part->is_planned)
            continue;
        if (part->taken == 0) {
            fetch_errand(part, release_errand);
            continue;
        }
        part->buffer = state->buffer + at;
        at += part->taken;
        fetch_errand(part, read_errand);
    }
    state->is_submitting = false;
    if (--state->left == 0)
        fetch_answer(state);
}
