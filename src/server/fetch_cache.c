/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_cache.c: a table of at most FETCH_CACHE_RANGES slots, searched from end to end: some hundred compares
 * beside a read of 16 KiB and more. docs/design/fetch.md §5.
 */
#include "server/fetch_cache.h"

#include "base/allocator.h"
#include "base/assert.h"
#include "base/fault_point.h"

struct fetch_slot {
    uint64_t incarnation;
    int64_t from_bytes, to_bytes;
    struct fetch_range *range;
    size_t held_bytes;
    uint64_t used; /* number of the last use */
    int64_t used_ms;
};

/* Who read a segment last, and where. */
struct fetch_place {
    uint64_t incarnation;
    const void *reader;
    int64_t position_bytes;
    int64_t read_ms;
    int64_t shared_ms;    /* another one was near; 0: never */
    int64_t shared_bytes; /* there */
};

void fetch_cache_init(struct fetch_cache *cache, size_t bytes_max,
                      void (*let_go)(struct fetch_range *range))
{
    *cache = (struct fetch_cache){
        .bytes_max = bytes_max, .least_bytes = FETCH_CACHE_LEAST_BYTES, .let_go = let_go};
}

/* The slot's own use of the range ends. */
static void slot_remove(struct fetch_cache *cache, size_t at)
{
    struct fetch_slot slot = cache->slots[at];

    ASSERT(at < cache->count && cache->bytes >= slot.held_bytes);
    cache->slots[at] = cache->slots[--cache->count];
    cache->bytes -= slot.held_bytes;
    cache->let_go(slot.range);
}

static size_t slot_oldest(const struct fetch_cache *cache)
{
    size_t oldest = 0;

    for (size_t i = 1; i < cache->count; i++)
        if (cache->slots[i].used < cache->slots[oldest].used)
            oldest = i;
    return oldest;
}

enum fetch_found fetch_cache_find(struct fetch_cache *cache, const struct fetch_want *want,
                                  int64_t now_ms, struct fetch_range **range_out,
                                  struct slice *bytes_out)
{
    struct fetch_slot *best = NULL;
    struct slice found;

    for (size_t i = 0; i < cache->count; i++) {
        struct fetch_slot *slot = &cache->slots[i];

        if (slot->incarnation == want->incarnation && slot->from_bytes <= want->position_bytes &&
            want->position_bytes < slot->to_bytes && (!best || best->to_bytes < slot->to_bytes))
            best = slot;
    }
    if (!best)
        return FETCH_FOUND_NONE;
    found = fetch_range_cut(best->range, want);
    if (found.size_bytes == 0)
        return FETCH_FOUND_NONE;
    if (found.size_bytes < want->size_bytes / 2) {
        /* Others read in smaller steps: they are no company. */
        if (best->range->size_bytes < want->size_bytes / 2)
            return FETCH_FOUND_NONE;
        if (found.size_bytes < FETCH_CACHE_REMAINDER_BYTES)
            return FETCH_FOUND_END;
    }
    best->used = ++cache->uses;
    best->used_ms = now_ms;
    *range_out = best->range;
    *bytes_out = found;
    return FETCH_FOUND;
}

static bool tables_make(struct fetch_cache *cache)
{
    size_t size_bytes =
        FETCH_CACHE_RANGES * sizeof *cache->slots + FETCH_CACHE_PLACES * sizeof *cache->places;

    if (cache->slots)
        return true;
    cache->slots = heap_allocator.allocate(&heap_allocator, size_bytes);
    if (!cache->slots)
        return false;
    cache->places = (struct fetch_place *)(void *)(cache->slots + FETCH_CACHE_RANGES);
    memset(cache->places, 0, FETCH_CACHE_PLACES * sizeof *cache->places);
    return true;
}

static bool is_near(const struct fetch_cache *cache, int64_t a_bytes, int64_t b_bytes)
{
    int64_t distance_bytes = a_bytes > b_bytes ? a_bytes - b_bytes : b_bytes - a_bytes;

    return distance_bytes < (int64_t)(cache->bytes_max / FETCH_CACHE_NEAR);
}

static bool is_recent(int64_t then_ms, int64_t now_ms)
{
    return then_ms > 0 && now_ms - then_ms < FETCH_CACHE_SECONDS_MS;
}

bool fetch_cache_reads(struct fetch_cache *cache, const struct fetch_want *want, const void *reader,
                       int64_t now_ms)
{
    struct fetch_place *place;

    now_ms = MAX(now_ms, 1);
    if (!tables_make(cache))
        return false;
    place = &cache->places[want->incarnation % FETCH_CACHE_PLACES];
    if (place->incarnation != want->incarnation) {
        if (is_recent(place->read_ms, now_ms) && is_recent(place->shared_ms, now_ms))
            return false; /* one of the two keeps the place */
        *place = (struct fetch_place){.incarnation = want->incarnation};
    }
    if (place->reader && place->reader != reader && is_recent(place->read_ms, now_ms) &&
        is_near(cache, want->position_bytes, place->position_bytes)) {
        place->shared_ms = now_ms;
        place->shared_bytes = want->position_bytes;
    }
    place->reader = reader;
    place->position_bytes = want->position_bytes;
    place->read_ms = now_ms;
    return is_recent(place->shared_ms, now_ms) &&
           is_near(cache, want->position_bytes, place->shared_bytes);
}

void fetch_cache_make_room(struct fetch_cache *cache, size_t held_bytes)
{
    while (cache->count > 0 &&
           (cache->count == FETCH_CACHE_RANGES || cache->bytes + held_bytes > cache->bytes_max ||
            FAULT_POINT(fetch_share_dropped)))
        slot_remove(cache, slot_oldest(cache));
}

bool fetch_cache_put(struct fetch_cache *cache, struct fetch_range *range, size_t held_bytes,
                     int64_t now_ms)
{
    if (held_bytes > cache->bytes_max || range->size_bytes < cache->least_bytes ||
        !tables_make(cache))
        return false;
    for (size_t i = 0; i < cache->count; i++) {
        struct fetch_slot *slot = &cache->slots[i];

        if (slot->incarnation != range->incarnation || slot->from_bytes != range->position_bytes)
            continue;
        if (slot->range->size_bytes >= range->size_bytes)
            return false;
        slot_remove(cache, i);
        break;
    }
    fetch_cache_make_room(cache, held_bytes);
    cache->slots[cache->count++] =
        (struct fetch_slot){.incarnation = range->incarnation,
                            .from_bytes = range->position_bytes,
                            .to_bytes = range->position_bytes + (int64_t)range->size_bytes,
                            .range = range,
                            .held_bytes = held_bytes,
                            .used = ++cache->uses,
                            .used_ms = now_ms};
    cache->bytes += held_bytes;
    return true;
}

static bool places_are_used(const struct fetch_cache *cache, int64_t now_ms)
{
    for (size_t i = 0; i < FETCH_CACHE_PLACES; i++)
        if (is_recent(cache->places[i].read_ms, now_ms))
            return true;
    return false;
}

bool fetch_cache_expire(struct fetch_cache *cache, int64_t now_ms)
{
    for (size_t i = 0; i < cache->count;) {
        if (now_ms - cache->slots[i].used_ms >= FETCH_CACHE_SECONDS_MS)
            slot_remove(cache, i);
        else
            i++;
    }
    if (cache->slots && cache->count == 0 && !places_are_used(cache, now_ms))
        fetch_cache_fini(cache);
    return cache->slots != NULL;
}

void fetch_cache_clear(struct fetch_cache *cache)
{
    while (cache->count > 0)
        slot_remove(cache, cache->count - 1);
}

void fetch_cache_fini(struct fetch_cache *cache)
{
    fetch_cache_clear(cache);
    heap_allocator.release(&heap_allocator, cache->slots,
                           FETCH_CACHE_RANGES * sizeof *cache->slots +
                               FETCH_CACHE_PLACES * sizeof *cache->places);
    cache->slots = NULL;
    cache->places = NULL;
}
