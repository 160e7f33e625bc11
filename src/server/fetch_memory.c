/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_memory.c: where fetched ranges are read to. A block is filled by the owners, looked at, and sent from
 * where it lies, by one answer or by several; when nobody uses it any more it is filled again, the last one first,
 * for its pages are in the processor's cache. docs/design/fetch.md §4, §5.
 * Invariants  1. service->reading_bytes counts the ranges that are read for fetches that were not answered yet.
 *             2. service->held_bytes counts the blocks, each once, until their last byte is with the kernel and the
 *                cache has let them go: clients that do not read hold FETCH_HELD_BYTES_MAX at most, then fetches are
 *                answered without records.
 *             3. spare blocks hold at most FETCH_SPARE_BYTES_MAX, and none for longer than some seconds unused.
 *             4. a block that is shared never changes.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"

/* Sizes are powers of two from 4 KiB; larger ones than these classes are not kept. */
#define CLASS_SHIFT_MIN 12
#define SPARE_MS 5000
/* What was freed to the heap goes back to the machine when no fetch has taken memory for so long. */
#define TRIM_BYTES_MIN (8 * MIB)

/* Of an answer with more blocks than one. */
struct fetch_loan {
    struct request_loan loan;
    size_t count;
    struct fetch_block *blocks[];
};

static int class_of(size_t size_bytes)
{
    int index = 0;

    while (index < FETCH_CLASSES && ((size_t)1 << (CLASS_SHIFT_MIN + index)) < size_bytes)
        index++;
    return index < FETCH_CLASSES ? index : -1;
}

static void block_free(struct fetch_block *block)
{
    block->service->freed_bytes += block->capacity_bytes;
    heap_allocator.release(&heap_allocator, block, sizeof *block + block->capacity_bytes);
}

static void spares_free(struct fetch_service *service)
{
    for (int i = 0; i < FETCH_CLASSES; i++) {
        struct list_node *node;

        while ((node = list_pop_front(&service->spare[i])))
            block_free(LIST_ITEM(node, struct fetch_block, node));
    }
    service->spare_bytes = 0;
}

static void spare_timer_set(struct fetch_service *service)
{
    struct reactor *reactor = service->shard->reactor;

    if (!timer_is_set(&service->spare_timer))
        timer_set(reactor, &service->spare_timer, reactor_now_ms(reactor) + SPARE_MS);
}

/* All of them go: those in steady use are back within a moment. */
static void spare_timeout(struct timer *timer)
{
    struct fetch_service *service = CONTAINER_OF(timer, struct fetch_service, spare_timer);
    struct shard *shard = service->shard;

    spares_free(service);
    if (service->freed_bytes < TRIM_BYTES_MIN || service->held_bytes > 0)
        return; /* or when that is given back */
    if (reactor_now_ms(shard->reactor) - service->taken_ms < SPARE_MS) {
        spare_timer_set(service);
        return;
    }
    service->freed_bytes = 0;
    os_memory_trim(shard->node->os);
}

void fetch_block_use(struct fetch_block *block)
{
    ASSERT(block->uses > 0);
    block->uses++;
}

void fetch_block_unuse(struct fetch_block *block)
{
    struct fetch_service *service = block->service;

    ASSERT(block->uses > 0);
    if (--block->uses > 0)
        return;
    ASSERT(service->block_count > 0);
    service->block_count--;
    service->held_bytes -= block->capacity_bytes;
    if (!service->is_stopped)
        spare_timer_set(service);
    if (service->is_stopped || block->class_index < 0 ||
        service->spare_bytes + block->capacity_bytes > FETCH_SPARE_BYTES_MAX) {
        block_free(block);
        return;
    }
    list_push_front(&service->spare[block->class_index], &block->node);
    service->spare_bytes += block->capacity_bytes;
}

static void block_returned(struct request_loan *loan)
{
    fetch_block_unuse(CONTAINER_OF(loan, struct fetch_block, loan));
}

/* Is there room, if need be when only fetches and answers hold blocks? */
static bool room_is_left(struct fetch_service *service, size_t capacity_bytes)
{
    if (service->held_bytes + capacity_bytes > FETCH_HELD_BYTES_MAX)
        fetch_cache_clear(&service->cache);
    return service->held_bytes == 0 || service->held_bytes + capacity_bytes <= FETCH_HELD_BYTES_MAX;
}

size_t fetch_block_capacity(size_t size_bytes)
{
    int index = class_of(size_bytes);

    return index < 0 ? size_bytes : (size_t)1 << (CLASS_SHIFT_MIN + index);
}

struct fetch_block *fetch_block_take(struct fetch_service *service, size_t size_bytes)
{
    int index = class_of(size_bytes);
    size_t capacity_bytes = fetch_block_capacity(size_bytes);
    struct list_node *node;
    struct fetch_block *block;

    if (!room_is_left(service, capacity_bytes))
        return NULL;
    node = index < 0 ? NULL : list_pop_front(&service->spare[index]);
    if (node) {
        block = LIST_ITEM(node, struct fetch_block, node);
        service->spare_bytes -= capacity_bytes;
    } else {
        block = heap_allocator.allocate(&heap_allocator, sizeof *block + capacity_bytes);
        if (!block)
            return NULL;
    }
    block->loan = (struct request_loan){.release = block_returned};
    block->service = service;
    block->uses = 1;
    block->capacity_bytes = capacity_bytes;
    block->class_index = index;
    list_init(&block->node);
    list_init(&block->waiting);
    service->block_count++;
    service->held_bytes += capacity_bytes;
    service->taken_ms = reactor_now_ms(service->shard->reactor);
    return block;
}

void fetch_memory_count(struct fetch_state *state, size_t size_bytes)
{
    state->reading_bytes += size_bytes;
    state->service->reading_bytes += size_bytes;
}

static void loan_returned(struct request_loan *base)
{
    struct fetch_loan *loan = CONTAINER_OF(base, struct fetch_loan, loan);

    for (size_t i = 0; i < loan->count; i++)
        fetch_block_unuse(loan->blocks[i]);
    heap_allocator.release(&heap_allocator, loan,
                           sizeof *loan + loan->count * sizeof(struct fetch_block *));
}

static bool block_is_sent(const struct fetch_part *part)
{
    return part->block && part->err == OK && part->read_bytes > 0;
}

static void loan_fill(struct fetch_state *state, struct fetch_loan *loan)
{
    if (state->block)
        loan->blocks[loan->count++] = TAKE(state->block);
    for (size_t i = 0; i < state->count; i++)
        if (block_is_sent(&state->parts[i]))
            loan->blocks[loan->count++] = TAKE(state->parts[i].block);
}

void fetch_memory_lend(struct fetch_state *state)
{
    size_t count = state->block ? 1 : 0;
    struct fetch_part *only = NULL;
    struct fetch_loan *loan;
    struct fetch_block *block;

    for (size_t i = 0; state->has_part_blocks && i < state->count; i++) {
        if (block_is_sent(&state->parts[i])) {
            only = &state->parts[i];
            count++;
        }
    }
    if (count == 1) {
        block = state->block ? TAKE(state->block) : TAKE(only->block);
        request_lend(state->request, &block->loan, state->count);
    }
    if (count <= 1)
        return;
    loan = heap_allocator.allocate(&heap_allocator,
                                   sizeof *loan + count * sizeof(struct fetch_block *));
    if (!loan)
        return; /* the answer is a copy then */
    *loan = (struct fetch_loan){.loan = {.release = loan_returned}};
    loan_fill(state, loan);
    request_lend(state->request, &loan->loan, state->count);
}

static void blocks_unuse(struct fetch_state *state)
{
    struct fetch_block *block = TAKE(state->block);

    if (block)
        fetch_block_unuse(block);
    for (size_t i = 0; state->has_part_blocks && i < state->count; i++) {
        block = TAKE(state->parts[i].block);
        if (block)
            fetch_block_unuse(block);
    }
}

void fetch_memory_free(struct fetch_state *state)
{
    struct fetch_service *service = state->service;

    blocks_unuse(state);
    if (state->reading_bytes == 0)
        return;
    service->reading_bytes -= state->reading_bytes;
    state->reading_bytes = 0;
    while (!list_is_empty(&service->memory_waiting)) {
        struct fetch_state *next =
            LIST_ITEM(list_first(&service->memory_waiting), struct fetch_state, node);

        if (service->reading_bytes > 0 &&
            service->reading_bytes + next->wanted_bytes > FETCH_READING_BYTES_MAX)
            return;
        list_remove(&next->node);
        fetch_read(next);
    }
}

void fetch_memory_init(struct fetch_service *service)
{
    timer_init(&service->spare_timer, spare_timeout);
    for (int i = 0; i < FETCH_CLASSES; i++)
        list_init(&service->spare[i]);
}

void fetch_memory_stop(struct fetch_service *service)
{
    timer_cancel(service->shard->reactor, &service->spare_timer);
    spares_free(service);
}

void fetch_memory_fini(struct fetch_service *service)
{
    spares_free(service);
    ASSERT(service->block_count == 0);
}
