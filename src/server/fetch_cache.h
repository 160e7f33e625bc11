/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_cache.h: ranges that were read and looked at, kept for whoever comes to the same place next: several
 * readers of one topic cost one read and one check. Pure. docs/design/fetch.md §5.
 * Invariants  1. what is held is at most bytes_max and FETCH_CACHE_RANGES, the least recently used goes first.
 *             2. a range is found by the incarnation of its segment alone: nothing has to be taken out when a log is
 *                truncated, cleaned or deleted.
 *             3. a range comes in only while several readers are near each other: one reader alone keeps nothing.
 */
#ifndef SERVER_FETCH_CACHE_H
#define SERVER_FETCH_CACHE_H

#include "base/err.h"
#include "server/fetch_range.h"

#define FETCH_CACHE_RANGES 256
#define FETCH_CACHE_PLACES 128
/* Smaller ones are read again: a lookup must cost less than it saves. */
#define FETCH_CACHE_LEAST_BYTES (16 * KIB)
/* What one more request costs, in bytes read: a remainder that is shorter is not worth an answer. */
#define FETCH_CACHE_REMAINDER_BYTES (64 * KIB)
#define FETCH_CACHE_SECONDS_MS 5000
/* Readers are near each other within this part of bytes_max. */
#define FETCH_CACHE_NEAR 4

struct fetch_cache {
    struct fetch_slot *slots;   /* NULL while nothing is kept; FETCH_CACHE_RANGES */
    struct fetch_place *places; /* FETCH_CACHE_PLACES, with them */
    size_t count;
    size_t bytes, bytes_max;
    size_t least_bytes; /* what is looked for and kept */
    uint64_t uses;
    /* The range is no longer in the cache. */
    void (*let_go)(struct fetch_range *range);
};

enum fetch_found {
    FETCH_FOUND,
    FETCH_FOUND_NONE,
    /* The end of a range lies so near that an answer of it would be too short; whoever reads half of what it wants
     * meets the others' ranges in the middle of one, and theirs from then on. */
    FETCH_FOUND_END,
};

void fetch_cache_init(struct fetch_cache *cache, size_t bytes_max,
                      void (*let_go)(struct fetch_range *range));
/* FETCH_FOUND: *range_out stays until let_go, *bytes_out is what of it answers the want. */
enum fetch_found fetch_cache_find(struct fetch_cache *cache, const struct fetch_want *want,
                                  int64_t now_ms, struct fetch_range **range_out,
                                  struct slice *bytes_out);
/* `reader` is about to read there. True: others are near, so that the range is worth keeping. */
bool fetch_cache_reads(struct fetch_cache *cache, const struct fetch_want *want, const void *reader,
                       int64_t now_ms);
/* So that held_bytes more have room, and are again what was given back last. */
void fetch_cache_make_room(struct fetch_cache *cache, size_t held_bytes);
/* held_bytes: what keeping it costs. False: there is no memory for it, or no use. */
bool fetch_cache_put(struct fetch_cache *cache, struct fetch_range *range, size_t held_bytes,
                     int64_t now_ms);
/* What nobody has used for FETCH_CACHE_SECONDS_MS goes. False: nothing is kept any more, not even memory. */
bool fetch_cache_expire(struct fetch_cache *cache, int64_t now_ms);
void fetch_cache_clear(struct fetch_cache *cache);
void fetch_cache_fini(struct fetch_cache *cache); /* CLEANUP of all; idempotent */

#endif
