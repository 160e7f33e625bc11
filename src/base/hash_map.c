/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/hash_map.c: chained buckets beside a list in order of insertion.
 * Invariants  1. every node is in the chain of bucket hash & (bucket_count - 1) and in `order`.
 *             2. count ≤ bucket_count, a power of two or 0.
 */
#include "base/hash_map.h"

#include "base/assert.h"

#include <string.h>

#define BUCKET_COUNT_MIN ((size_t)8)

void hash_map_init(struct hash_map *map, struct allocator *allocator,
                   bool (*matches)(const struct hash_map_node *node, const void *key))
{
    *map = (struct hash_map){.allocator = allocator, .matches = matches};
    list_init(&map->order);
}

void hash_map_release(struct hash_map *map)
{
    map->allocator->release(map->allocator, map->buckets, map->bucket_count * sizeof *map->buckets);
    hash_map_init(map, map->allocator, map->matches);
}

static struct hash_map_node **bucket_of(const struct hash_map *map, uint64_t hash)
{
    return &map->buckets[(size_t)hash & (map->bucket_count - 1)];
}

struct hash_map_node *hash_map_find(const struct hash_map *map, uint64_t hash, const void *key)
{
    if (map->count == 0)
        return NULL;
    for (struct hash_map_node *node = *bucket_of(map, hash); node; node = node->chain)
        if (node->hash == hash && map->matches(node, key))
            return node;
    return NULL;
}

static void chain(struct hash_map *map, struct hash_map_node *node)
{
    struct hash_map_node **bucket = bucket_of(map, node->hash);

    node->chain = *bucket;
    *bucket = node;
}

static enum err grow(struct hash_map *map)
{
    size_t count = map->bucket_count > 0 ? map->bucket_count * 2 : BUCKET_COUNT_MIN;
    struct hash_map_node **buckets;

    if (count > SIZE_MAX / sizeof *buckets)
        return ERR_NO_MEMORY;
    buckets = allocator_zeroed(map->allocator, count * sizeof *buckets);
    if (!buckets)
        return ERR_NO_MEMORY;
    map->allocator->release(map->allocator, map->buckets, map->bucket_count * sizeof *map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
    HASH_MAP_EACH (node, map)
        chain(map, HASH_MAP_NODE(node));
    return OK;
}

enum err hash_map_insert(struct hash_map *map, uint64_t hash, struct hash_map_node *node)
{
    if (map->count == map->bucket_count)
        TRY(grow(map));
    node->hash = hash;
    chain(map, node);
    list_push_back(&map->order, &node->order);
    map->count++;
    return OK;
}

void hash_map_remove(struct hash_map *map, struct hash_map_node *node)
{
    struct hash_map_node **link;

    ASSERT(map->count > 0);
    link = bucket_of(map, node->hash);
    while (*link != node) {
        ASSERT(*link != NULL); /* a node of this map */
        link = &(*link)->chain;
    }
    *link = node->chain;
    node->chain = NULL;
    list_remove(&node->order);
    map->count--;
}

/* The finaliser of MurmurHash3: every bit of the input reaches every bit of the output. */
uint64_t hash_u64(uint64_t value)
{
    value ^= value >> 33;
    value *= UINT64_C(0xff51afd7ed558ccd);
    value ^= value >> 33;
    value *= UINT64_C(0xc4ceb9fe1a85ec53);
    return value ^ value >> 33;
}

uint64_t hash_bytes(const void *data, size_t size_bytes)
{
    const uint8_t *bytes = data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (size_t i = 0; i < size_bytes; i++) {
        hash ^= bytes[i];
        hash *= UINT64_C(0x100000001b3);
    }
    return hash_u64(hash);
}
