/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_share.c: several readers of one place: the first one reads and checks it, into a block that answers of the
 * others are sent from too. docs/design/fetch.md §5.
 *
 *   cache? ─found─▶ sent       none ─▶ being filled? ─yes─▶ waits ─▶ sent; or reads by itself, when that failed
 *                                        │ no
 *                                        └─▶ others near? ─yes─▶ fills a block, which goes into the cache
 *
 * All of it at home: each home shard has what its own connections read, and nothing of it is another shard's business.
 * Invariants  1. a block is its filler's, and lent to the owner, until the part is home; then it never changes.
 *             2. nothing waits for a block that is not being filled.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "base/fault_point.h"

static struct fetch_want want_of(const struct fetch_part *part)
{
    const struct log_read *read = &part->read;

    return (struct fetch_want){
        .incarnation = read->incarnation,
        .position_bytes = read->position_bytes,
        .size_bytes = part->taken,
        .floor_offset = read->floor_offset,
        .offset = read->offset,
        .bound_offset = read->bound_offset,
    };
}

static struct fetch_block *block_of(struct fetch_range *range)
{
    return CONTAINER_OF(range, struct fetch_block, range);
}

static void part_takes(struct fetch_part *part, struct fetch_block *block, struct slice bytes)
{
    fetch_block_use(block);
    part->source = FETCH_SHARES;
    part->block = block;
    part->state->has_part_blocks = true;
    part->bytes = bytes.data;
    part->read_bytes = bytes.size_bytes;
}

static struct fetch_block *filling_find(struct fetch_service *service,
                                        const struct fetch_want *want)
{
    LIST_EACH (node, &service->filling) {
        struct fetch_block *block = LIST_ITEM(node, struct fetch_block, node);

        if (block->range.incarnation == want->incarnation &&
            block->range.position_bytes == want->position_bytes &&
            block->filled_bytes >= want->size_bytes / 2)
            return block;
    }
    return NULL;
}

static void part_fills(struct fetch_part *part, const struct fetch_want *want)
{
    struct fetch_service *service = part->state->service;
    struct fetch_block *block;

    if (want->size_bytes > service->cache.bytes_max / FETCH_CACHE_NEAR)
        return; /* it would put all others out */
    fetch_cache_make_room(&service->cache, fetch_block_capacity(want->size_bytes));
    block = fetch_block_take(service, want->size_bytes);
    if (!block)
        return;
    block->range = (struct fetch_range){.incarnation = want->incarnation,
                                        .position_bytes = want->position_bytes};
    block->filled_bytes = want->size_bytes;
    list_push_back(&service->filling, &block->node);
    part->source = FETCH_FILLS;
    part->block = block;
    part->state->has_part_blocks = true;
    part->buffer = block->bytes;
}

void fetch_share(struct fetch_part *part)
{
    struct fetch_service *service = part->state->service;
    struct reactor *reactor = service->shard->reactor;
    struct fetch_cache *cache = &service->cache;
    struct fetch_want want = want_of(part);
    struct fetch_range *range = NULL;
    struct fetch_block *block;
    struct slice bytes;
    int64_t now_ms;
    bool is_shared;

    if (FAULT_POINT(fetch_shares_small))
        cache->least_bytes = 1;
    if (want.size_bytes < cache->least_bytes || service->is_stopped)
        return;
    now_ms = reactor_now_ms(reactor);
    is_shared = fetch_cache_reads(cache, &want, part->state->request->session, now_ms) ||
                cache->least_bytes == 1;
    if (!timer_is_set(&service->cache_timer))
        timer_set(reactor, &service->cache_timer, now_ms + FETCH_CACHE_SECONDS_MS);
    switch (fetch_cache_find(cache, &want, now_ms, &range, &bytes)) {
    case FETCH_FOUND:
        part_takes(part, block_of(range), bytes);
        return;
    case FETCH_FOUND_END:
        part->taken = MIN(part->taken, MAX(part->taken / 2, part->first_batch_bytes));
        return;
    case FETCH_FOUND_NONE:
        break;
    }
    if (!is_shared)
        return;
    block = filling_find(service, &want);
    if (block) {
        part->source = FETCH_WAITS;
        list_push_back(&block->waiting, &part->waiting_node);
    } else {
        part_fills(part, &want);
    }
}

/* Whoever it waited for has nothing for it. */
static void waiter_reads(struct fetch_part *part)
{
    part->source = FETCH_READS;
    part->block = fetch_block_take(part->state->service, part->taken);
    part->state->has_part_blocks = true;
    if (!part->block) {
        fetch_part_done(part); /* without records: the client comes again */
        return;
    }
    part->buffer = part->block->bytes;
    part->state->left--; /* it waits for the read from now on */
    fetch_read_part(part);
}

void fetch_share_filled(struct fetch_part *part)
{
    struct fetch_service *service = part->state->service;
    struct fetch_block *block = part->block;
    struct list_node waiting;

    part->source = FETCH_SHARES;
    list_remove(&block->node);
    if (part->err == OK && block->range.size_bytes > 0 && !service->is_stopped) {
        fetch_block_use(block);
        if (!fetch_cache_put(&service->cache, &block->range, block->capacity_bytes,
                             reactor_now_ms(service->shard->reactor)))
            fetch_block_unuse(block);
    }
    list_init(&waiting);
    list_splice_back(&waiting, &block->waiting);
    while (!list_is_empty(&waiting)) {
        struct fetch_part *waiter =
            LIST_ITEM(list_pop_front(&waiting), struct fetch_part, waiting_node);
        struct fetch_want want = want_of(waiter);
        struct slice bytes = fetch_range_cut(&block->range, &want);

        if (bytes.size_bytes > 0) {
            part_takes(waiter, block, bytes);
            fetch_part_done(waiter);
        } else {
            waiter_reads(waiter);
        }
    }
}

static void range_let_go(struct fetch_range *range)
{
    fetch_block_unuse(block_of(range));
}

static void cache_timeout(struct timer *timer)
{
    struct fetch_service *service = CONTAINER_OF(timer, struct fetch_service, cache_timer);
    struct reactor *reactor = service->shard->reactor;
    int64_t now_ms = reactor_now_ms(reactor);

    if (fetch_cache_expire(&service->cache, now_ms))
        timer_set(reactor, timer, now_ms + FETCH_CACHE_SECONDS_MS);
}

void fetch_share_init(struct fetch_service *service)
{
    fetch_cache_init(&service->cache, FETCH_SHARED_BYTES_MAX, range_let_go);
    list_init(&service->filling);
    timer_init(&service->cache_timer, cache_timeout);
}

void fetch_share_stop(struct fetch_service *service)
{
    timer_cancel(service->shard->reactor, &service->cache_timer);
    fetch_cache_fini(&service->cache);
}
