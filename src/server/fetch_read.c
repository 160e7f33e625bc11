/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_read.c: planned ranges into the memory of one reply; ranges that are not wanted are
 * given back. docs/design/fetch.md §4.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"

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

static void read_done(struct log_read *read)
{
    struct fetch_part *part = CONTAINER_OF(read, struct fetch_part, read);
    struct fetch_range *range = part->source == FETCH_FILLS ? &part->block->range : NULL;
    int64_t limit = part->state->replica_id >= 0 ? INT64_MAX : part->high_watermark;

    part->bytes = part->buffer;
    part->read_bytes = read->err == OK ? MIN(read->read_bytes, part->taken) : 0;
    if (read->err != OK)
        part->err = ERR_KAFKA_STORAGE_ERROR;
    if (read->err == OK && (part->read_bytes > 0 || range)) {
        struct slice bytes = slice_of(part->buffer, part->read_bytes);
        struct fetch_whole whole = {.next_offset = read->offset};

        part->read_bytes =
            fetch_range_verify(bytes, read->floor_offset, read->offset, limit, range, &whole);
        if (part->read_bytes == 0 && bytes.size_bytes > 0) {
            part->err = ERR_CORRUPT_MESSAGE;
            log_read_unsound(read);
        } else if (part->read_bytes == bytes.size_bytes && whole.size_bytes < bytes.size_bytes) {
            log_read_seen(read, slice_sub(bytes, whole.size_bytes, SIZE_MAX),
                          read->position_bytes + (int64_t)whole.size_bytes, whole.next_offset);
        }
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

void fetch_read_part(struct fetch_part *part)
{
    fetch_memory_count(part->state, part->taken);
    fetch_errand(part, read_errand);
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

/* Where each wanted part comes from; those that are for this fetch alone are read into one block. */
static void sources_find(struct fetch_state *state)
{
    size_t total = 0;
    size_t at = 0;
    size_t end = 0; /* behind the last wanted one: mostly few of many have something new */

    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        if (part->taken == 0 || !part->is_planned)
            continue;
        ASSERT(part->source == FETCH_READS);
        end = i + 1;
        fetch_share(part);
        if (part->source == FETCH_READS)
            total += part->taken;
    }
    if (total > 0)
        state->block = fetch_block_take(state->service, total);
    for (size_t i = 0; i < end; i++) {
        struct fetch_part *part = &state->parts[i];

        if (part->taken == 0 || part->source != FETCH_READS)
            continue;
        if (!state->block) {
            part->taken = 0; /* the client comes again */
            continue;
        }
        part->buffer = state->block->bytes + at;
        at += part->taken;
    }
}

static void part_begin(struct fetch_part *part)
{
    if (!part->is_planned)
        return;
    if (part->taken == 0) {
        fetch_errand(part, release_errand);
        return;
    }
    switch (part->source) {
    case FETCH_READS:
    case FETCH_FILLS:
        fetch_read_part(part);
        break;
    case FETCH_WAITS:
        part->state->left++;
        break;
    case FETCH_SHARES:
        break;
    }
}

void fetch_read(struct fetch_state *state)
{
    struct fetch_service *service = state->service;

    state->stage = FETCH_READING;
    state->wanted_bytes = 0;
    for (size_t i = 0; i < state->count; i++) {
        if (state->is_gone)
            state->parts[i].taken = 0;
        state->wanted_bytes += state->parts[i].taken;
    }
    if (state->wanted_bytes > 0 && service->reading_bytes > 0 &&
        service->reading_bytes + state->wanted_bytes > FETCH_READING_BYTES_MAX) {
        list_push_back(&service->memory_waiting, &state->node);
        return;
    }
    if (state->wanted_bytes > 0)
        sources_find(state);
    state->is_submitting = true;
    state->left++;
    for (size_t i = 0; i < state->count; i++)
        part_begin(&state->parts[i]);
    state->is_submitting = false;
    if (--state->left == 0)
        fetch_answer(state);
}
