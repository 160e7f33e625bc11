/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_memory.c: where fetched ranges are read to. A block is filled by the owners, looked at, and sent from
 * where it lies; when its last byte is with the kernel it is used again, the last one first, for its pages are
 * in the processor's cache. docs/design/fetch.md §4.
 * Invariants  1. service->reading_bytes counts the ranges of fetches that were not answered yet.
 *             2. service->held_bytes counts the blocks until their last byte is with the kernel: clients that do not
 *                read hold FETCH_HELD_BYTES_MAX at most, then fetches are answered without records.
 *             3. spare blocks hold at most FETCH_SPARE_BYTES_MAX, and none for longer than some seconds unused.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"

/* Sizes are powers of two from 4 KiB; larger ones than these classes are not kept. */
#define CLASS_SHIFT_MIN 12
#define SPARE_MS 5000

struct fetch_block {
    struct request_loan loan;
    struct list_node node; /* spare */
    struct fetch_service *service;
    size_t capacity_bytes; /* behind the header */
    int class_index;       /* -1: not kept */
    uint8_t bytes[];
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

/* All of them go: those in steady use are back within a moment. */
static void spare_timeout(struct timer *timer)
{
    spares_free(CONTAINER_OF(timer, struct fetch_service, spare_timer));
}

static void block_release(struct request_loan *loan)
{
    struct fetch_block *block = CONTAINER_OF(loan, struct fetch_block, loan);
    struct fetch_service *service = block->service;
    struct reactor *reactor = service->shard->reactor;

    ASSERT(service->block_count > 0);
    service->block_count--;
    service->held_bytes -= block->capacity_bytes;
    if (service->is_stopped || block->class_index < 0 ||
        service->spare_bytes + block->capacity_bytes > FETCH_SPARE_BYTES_MAX) {
        block_free(block);
        return;
    }
    list_push_front(&service->spare[block->class_index], &block->node);
    service->spare_bytes += block->capacity_bytes;
    if (!timer_is_set(&service->spare_timer))
        timer_set(reactor, &service->spare_timer, reactor_now_ms(reactor) + SPARE_MS);
}

static struct fetch_block *block_take(struct fetch_service *service, size_t size_bytes)
{
    int index = class_of(size_bytes);
    size_t capacity_bytes = index < 0 ? size_bytes : (size_t)1 << (CLASS_SHIFT_MIN + index);
    struct list_node *node;
    struct fetch_block *block;

    if (service->held_bytes > 0 && service->held_bytes + capacity_bytes > FETCH_HELD_BYTES_MAX)
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
    *block = (struct fetch_block){.loan = {.release = block_release},
                                  .service = service,
                                  .capacity_bytes = capacity_bytes,
                                  .class_index = index};
    list_init(&block->node);
    service->block_count++;
    service->held_bytes += capacity_bytes;
    return block;
}

bool fetch_memory_take(struct fetch_state *state)
{
    struct fetch_service *service = state->service;

    state->block = block_take(service, state->buffer_bytes);
    if (!state->block)
        return false;
    state->buffer = state->block->bytes;
    service->reading_bytes += state->buffer_bytes;
    return true;
}

void fetch_memory_lend(struct fetch_state *state)
{
    struct fetch_block *block = TAKE(state->block);

    if (block)
        request_lend(state->request, &block->loan, state->count);
}

void fetch_memory_free(struct fetch_state *state)
{
    struct fetch_service *service = state->service;
    struct fetch_block *block = TAKE(state->block);

    if (!state->buffer)
        return;
    if (block)
        block_release(&block->loan);
    state->buffer = NULL;
    service->reading_bytes -= state->buffer_bytes;
    while (!list_is_empty(&service->memory_waiting)) {
        struct fetch_state *next =
            LIST_ITEM(list_first(&service->memory_waiting), struct fetch_state, node);

        if (service->reading_bytes > 0 &&
            service->reading_bytes + next->buffer_bytes > FETCH_READING_BYTES_MAX)
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
