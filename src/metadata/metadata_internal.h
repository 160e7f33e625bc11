/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/metadata_internal.h: what the files of this module share: the persistent tree under every
 * map of an image, making of objects, and the insides of image and state.
 */
#ifndef METADATA_METADATA_INTERNAL_H
#define METADATA_METADATA_INTERNAL_H

#include "base/assert.h"
#include "metadata/metadata.h"

/* ---- tree.c ---- */

/* A node of a persistent, weight-balanced search tree. A node that is reached through counts of 1 only
 * belongs to the one state that walks there and is changed in place; any other is copied first. */
struct metadata_node {
    uint32_t reference_count;
    uint32_t count; /* of the subtree */
    struct metadata_node *left;
    struct metadata_node *right; /* of a free node: the next free one */
    struct metadata_object *object;
};

/* Nodes set aside, so that a change to a tree cannot stop halfway for lack of memory. */
struct tree_pool {
    struct allocator *allocator;
    struct metadata_node *free;
    size_t count;
};
void tree_pool_release(struct tree_pool *pool);
/* Enough nodes for `changes` insertions or removals in trees of up to `count` objects. */
MUST_USE enum err tree_pool_reserve(struct tree_pool *pool, size_t count, size_t changes);

int metadata_order(enum metadata_map map, const void *a, const void *b);
const void *tree_find(const struct metadata_node *root, enum metadata_map map, const void *key);
/* Takes over the caller's reference to `object`; an object of the same key is released. Cannot fail
 * after tree_pool_reserve. */
void tree_put(struct metadata_node **root, enum metadata_map map, struct tree_pool *pool,
              void *object);
/* The key must be there. */
void tree_remove(struct metadata_node **root, enum metadata_map map, struct tree_pool *pool,
                 const void *key);
/* No image but this state's reaches the object of `key`. */
bool tree_path_is_own(const struct metadata_node *root, enum metadata_map map, const void *key);
void tree_release(struct allocator *allocator, struct metadata_node *root, enum metadata_map map);
static inline size_t tree_count(const struct metadata_node *root)
{
    return root ? root->count : 0;
}

/* ---- object.c ---- */

/* Each copies a draft, whose slices and arrays may lie anywhere, into one block; NULL: no memory. The
 * draft's object member is ignored. */
struct metadata_broker *object_broker(struct allocator *allocator,
                                      const struct metadata_broker *draft);
struct metadata_controller *object_controller(struct allocator *allocator,
                                              const struct metadata_controller *draft);
struct metadata_partition *object_partition(struct allocator *allocator, struct uuid topic_id,
                                            const struct metadata_partition *draft);
struct metadata_configs *object_configs(struct allocator *allocator,
                                        const struct metadata_configs *draft);
struct metadata_feature *object_feature(struct allocator *allocator,
                                        const struct metadata_feature *draft);
struct metadata_quota *object_quota(struct allocator *allocator,
                                    const struct metadata_quota *draft);
struct metadata_scram *object_scram(struct allocator *allocator,
                                    const struct metadata_scram *draft);
struct metadata_acl *object_acl(struct allocator *allocator, const struct metadata_acl *draft);
struct metadata_token *object_token(struct allocator *allocator,
                                    const struct metadata_token *draft);
/* Without partitions and with room for none. */
struct metadata_topic *object_topic(struct allocator *allocator,
                                    const struct metadata_topic *draft);
/* The same topic with its blocks shared and room for block_count of them. */
struct metadata_topic *object_topic_copy(struct allocator *allocator,
                                         const struct metadata_topic *from, uint32_t block_count);

void object_release(struct allocator *allocator, enum metadata_map map,
                    struct metadata_object *object);
void partition_release(struct allocator *allocator, struct metadata_partition *partition);
void block_release(struct allocator *allocator, struct metadata_block *block);

uint64_t hash_mix(uint64_t hash, uint64_t value);
uint64_t hash_mix_slice(uint64_t hash, struct slice s);

/* ---- image.c ---- */

struct metadata_image {
    uint32_t reference_count;
    struct allocator *allocator;
    struct metadata_provenance provenance;
    struct metadata_node *maps[METADATA_MAP_COUNT];
    int64_t next_producer_id; /* 0: none yet */
    size_t partition_count;
    uint64_t hash; /* sum of the hashes of all objects and partitions */
};

struct metadata_state {
    struct allocator *allocator;
    struct metadata_image current; /* not counted: lives and dies with the state */
    struct tree_pool pool;
    struct arena scratch; /* drafts of one replayed record */
    bool in_transaction;
    struct metadata_image before; /* with in_transaction: the state at Begin */
};

/* Copies the roots and counts them. */
void image_share(struct metadata_image *to, const struct metadata_image *from);
/* Gives the roots back. */
void image_drop(struct metadata_image *image);

/* ---- replay_*.c: one record each; anything but OK leaves the state as it was ---- */

struct register_broker_record;
struct replay {
    struct metadata_state *state;
    int64_t offset;
    struct why *why;
};
MUST_USE enum err replay_cluster(struct replay *replay, const struct metadata_record *record);
MUST_USE enum err replay_topics(struct replay *replay, const struct metadata_record *record);
MUST_USE enum err replay_settings(struct replay *replay, const struct metadata_record *record);
MUST_USE enum err replay_access(struct replay *replay, const struct metadata_record *record);

/* Puts an object that the caller holds one reference to into its map and keeps the hash right;
 * ERR_NO_MEMORY for a NULL object or when the tree cannot grow (the object is released). */
MUST_USE enum err state_put(struct metadata_state *state, enum metadata_map map, void *object);
/* The object must be in the map. */
MUST_USE enum err state_remove(struct metadata_state *state, enum metadata_map map,
                               const void *object);

#endif
