/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/key_map.c: key → its newest offset, for a cleaning pass, in bounded memory.
 *
 * A slot holds the 128-bit SipHash-2-4 of the key and its offset: 24 bytes, as Kafka's map of MD5s. Keys are
 * compared by hash alone. Two of n keys meet with a chance below n²/2^129: less than 2^-83 for the six million
 * that 128 MiB hold. The hash is keyed anew for each pass, so nobody can prepare keys that meet, which is
 * possible with MD5.
 * It begins small and grows: partitions often have few keys with many updates, and a table that fits a cache
 * answers several times faster than one that takes all the memory it may.
 * Invariants  1. the table never takes more than limit_bytes, growing included.
 *             2. at most slots · load factor keys; while it may grow, half as many as slots.
 * Threads     one at a time; no state outside.
 */
#include "storage/cleaner.h"

#define SLOTS_MIN 1024
#define LAST_STEP 8 /* before a table would take more than this part, all that is left is taken */

#define ROTATE(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_rounds(struct sip *s, int rounds)
{
    while (rounds-- > 0) {
        s->v0 += s->v1;
        s->v1 = ROTATE(s->v1, 13) ^ s->v0;
        s->v0 = ROTATE(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = ROTATE(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = ROTATE(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = ROTATE(s->v1, 17) ^ s->v2;
        s->v2 = ROTATE(s->v2, 32);
    }
}

static inline uint64_t word_at(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;

    for (size_t i = 0; i < count; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static struct key_hash key_hash_of(const struct key_map *map, struct slice key)
{
    struct sip s = {map->secret[0] ^ UINT64_C(0x736f6d6570736575),
                    map->secret[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
                    map->secret[0] ^ UINT64_C(0x6c7967656e657261),
                    map->secret[1] ^ UINT64_C(0x7465646279746573)};
    const uint8_t *at = key.data;
    size_t left = key.size_bytes;
    struct key_hash hash;
    uint64_t word;

    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        s.v3 ^= word;
        sip_rounds(&s, 2);
        s.v0 ^= word;
    }
    word = word_at(at, left) | (uint64_t)key.size_bytes << 56;
    s.v3 ^= word;
    sip_rounds(&s, 2);
    s.v0 ^= word;
    s.v2 ^= 0xee;
    sip_rounds(&s, 4);
    hash.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    sip_rounds(&s, 4);
    hash.high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return hash;
}

static size_t slot_first(size_t count, struct key_hash hash)
{
    return (size_t)(((unsigned __int128)hash.low * count) >> 64);
}

struct key_hash key_map_hash(const struct key_map *map, struct slice key)
{
    struct key_hash hash = key_hash_of(map, key);

    __builtin_prefetch(&map->slots[slot_first(map->slot_count, hash)]);
    return hash;
}

static struct key_slot *slot_find(struct key_slot *slots, size_t count, struct key_hash hash)
{
    size_t at = slot_first(count, hash);

    while (slots[at].next_offset != 0 && (slots[at].low != hash.low || slots[at].high != hash.high))
        at = at + 1 < count ? at + 1 : 0;
    return &slots[at];
}

/* The next larger table, which must fit beside the present one while keys move over: the last step is taken
 * early, so that little of what is allowed is lost. 0: none. */
static size_t slots_next(const struct key_map *map)
{
    size_t next = map->slot_count * 2;

    if (map->slot_count >= map->slots_max)
        return 0;
    if (next > map->slots_max / LAST_STEP)
        next = map->slots_max - map->slot_count;
    return next > map->slot_count ? next : 0;
}

static bool key_map_grow(struct key_map *map)
{
    size_t count = slots_next(map);
    struct key_slot *slots;

    if (count == 0)
        return false;
    slots = allocator_zeroed(&heap_allocator, count * sizeof *slots);
    if (!slots)
        return false; /* then it is full as it is */
    for (size_t i = 0; i < map->slot_count; i++) {
        const struct key_slot *slot = &map->slots[i];

        if (slot->next_offset != 0)
            *slot_find(slots, count, (struct key_hash){slot->low, slot->high}) = *slot;
    }
    storage_free(map->slots, map->slot_count * sizeof *map->slots);
    map->slots = slots;
    map->slot_count = count;
    return true;
}

enum err key_map_open(struct key_map *map, const struct key_map_options *options)
{
    size_t wanted = MAX(options->expected_keys * 2, (size_t)SLOTS_MIN);

    *map = (struct key_map){.load_factor = MIN(MAX(options->load_factor, 0.0), 1.0),
                            .secret = {options->secret[0], options->secret[1]}};
    map->slots_max = MAX(options->limit_bytes / sizeof(struct key_slot), (size_t)2);
    map->slot_count = MIN(wanted, map->slots_max);
    map->slots = allocator_zeroed(&heap_allocator, map->slot_count * sizeof *map->slots);
    return map->slots ? OK : ERR_NO_MEMORY;
}

void key_map_release(struct key_map *map)
{
    if (map->slots)
        storage_free(map->slots, map->slot_count * sizeof *map->slots);
    *map = (struct key_map){0};
}

static size_t keys_max(const struct key_map *map)
{
    size_t most = (size_t)((double)map->slot_count * map->load_factor);

    return MAX(MIN(most, map->slot_count - 1), (size_t)1); /* a search ends at an empty slot */
}

bool key_map_put(struct key_map *map, struct key_hash hash, int64_t offset)
{
    struct key_slot *slot;

    while (map->count >= map->slot_count / 2 && key_map_grow(map))
        continue;
    if (map->count >= keys_max(map))
        return false;
    slot = slot_find(map->slots, map->slot_count, hash);
    if (slot->next_offset == 0)
        map->count++;
    *slot = (struct key_slot){hash.low, hash.high, (uint64_t)offset + 1};
    return true;
}

int64_t key_map_get(const struct key_map *map, struct key_hash hash)
{
    const struct key_slot *slot = slot_find(map->slots, map->slot_count, hash);

    return (int64_t)slot->next_offset - 1;
}

double key_map_utilization(const struct key_map *map)
{
    return (double)map->count / (double)map->slots_max;
}
