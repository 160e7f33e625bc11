/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/hash_map.h: intrusive chained hash map; the caller embeds a node and owns keys and values.
 * Iteration order is that of insertion, so that no result depends on addresses or hash seeds.
 */
#ifndef BASE_HASH_MAP_H
#define BASE_HASH_MAP_H

#include "base/allocator.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/uuid.h"

#include <string.h>

struct hash_map_node {
    struct hash_map_node *chain;
    struct list_node order;
    uint64_t hash;
};

struct hash_map {
    struct allocator *allocator;
    struct hash_map_node **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    struct list_node order;
    /* Does `node` have this key? The key pointer is what was passed to hash_map_find. */
    bool (*matches)(const struct hash_map_node *node, const void *key);
};

void hash_map_init(struct hash_map *map, struct allocator *allocator,
                   bool (*matches)(const struct hash_map_node *node, const void *key));
/* Frees the buckets, not the nodes. */
void hash_map_release(struct hash_map *map);
struct hash_map_node *hash_map_find(const struct hash_map *map, uint64_t hash, const void *key);
/* The key must not be in the map. ERR_NO_MEMORY when the buckets cannot grow (nothing changed). */
MUST_USE enum err hash_map_insert(struct hash_map *map, uint64_t hash, struct hash_map_node *node);
void hash_map_remove(struct hash_map *map, struct hash_map_node *node);

/* In order of insertion. HASH_MAP_EACH_SAFE's body may remove the node. */
#define HASH_MAP_NODE(order_node) LIST_ITEM(order_node, struct hash_map_node, order)
#define HASH_MAP_ITEM(order_node, type, member) \
    CONTAINER_OF(HASH_MAP_NODE(order_node), type, member)
#define HASH_MAP_EACH(node, map) LIST_EACH (node, &(map)->order)
#define HASH_MAP_EACH_SAFE(node, map) LIST_EACH_SAFE (node, &(map)->order)

/* Fixed, seedless hashes (FNV-1a folded by a finaliser); for tables whose keys a peer may choose the
 * chain is bounded by the count limits of their owners. */
uint64_t hash_bytes(const void *data, size_t size_bytes);
uint64_t hash_u64(uint64_t value);
/* Two words at once: ids of topics are looked up for every partition of every request. */
static inline uint64_t hash_uuid(struct uuid id)
{
    uint64_t high, low;

    memcpy(&high, id.bytes, sizeof high);
    memcpy(&low, id.bytes + sizeof high, sizeof low);
    return hash_u64(high ^ hash_u64(low));
}
static inline uint64_t hash_slice(struct slice s)
{
    return hash_bytes(s.data, s.size_bytes);
}

#endif
