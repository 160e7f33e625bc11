/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/tree.c: persistent weight-balanced search trees (Adams 1992, with the parameters 3 and 2 of
 * Hirai and Yamamoto 2011). An old root keeps describing what it described; a change copies the nodes
 * on the way from the root, and only those that somebody else holds too.
 * Invariants  1. weight(child) ≤ 3 · weight(other child), weight = count + 1: depth ≤ 2.41 log2 n.
 *             2. a copy counts its children up, so a count of 1 below a node of one's own means
 *                that nobody else reaches the child.
 * Threads     the owner's; others may read.
 */
#include "metadata/metadata_internal.h"

void tree_pool_release(struct tree_pool *pool)
{
    while (pool->free) {
        struct metadata_node *node = pool->free;

        pool->free = node->right;
        ALLOCATOR_DELETE(pool->allocator, node);
    }
    pool->count = 0;
}

enum err tree_pool_reserve(struct tree_pool *pool, size_t count, size_t changes)
{
    size_t depth = 4;

    for (size_t n = count; n > 0; n /= 2)
        depth += 5; /* 2 · 2.41 halves of log2 n, rounded up, divided below */
    depth = depth / 2;
    /* On each level the node itself and, for a double rotation, two below it. */
    for (size_t wanted = 3 * depth * changes; pool->count < wanted; pool->count++) {
        struct metadata_node *node = ALLOCATOR_NEW(pool->allocator, struct metadata_node);

        if (!node)
            return ERR_NO_MEMORY;
        node->right = pool->free;
        pool->free = node;
    }
    return OK;
}

static struct metadata_node *pool_take(struct tree_pool *pool)
{
    struct metadata_node *node = pool->free;

    ASSERT(node); /* reserved before the change began */
    pool->free = node->right;
    pool->count--;
    return node;
}

static void pool_give(struct tree_pool *pool, struct metadata_node *node)
{
    node->right = pool->free;
    pool->free = node;
    pool->count++;
}

static struct metadata_node *node_ref(struct metadata_node *node)
{
    if (node)
        node->reference_count++;
    return node;
}

static uint32_t node_weight(const struct metadata_node *node)
{
    return node ? node->count + 1 : 1;
}

static void node_count(struct metadata_node *node)
{
    node->count = node_weight(node->left) + node_weight(node->right) - 1;
}

/* Trades the caller's reference to `node` for one to a node of its own with the same content. */
static struct metadata_node *node_own(struct tree_pool *pool, struct metadata_node *node)
{
    struct metadata_node *copy;

    if (node->reference_count == 1)
        return node;
    copy = pool_take(pool);
    *copy = (struct metadata_node){.reference_count = 1,
                                   .count = node->count,
                                   .left = node_ref(node->left),
                                   .right = node_ref(node->right),
                                   .object = node->object};
    copy->object->reference_count++;
    node->reference_count--;
    return copy;
}

/* Both take and give an own node whose heavier child is on the named side. */
static struct metadata_node *lift_right(struct tree_pool *pool, struct metadata_node *node)
{
    struct metadata_node *right = node_own(pool, node->right);

    node->right = right->left;
    right->left = node;
    node_count(node);
    node_count(right);
    return right;
}

static struct metadata_node *lift_left(struct tree_pool *pool, struct metadata_node *node)
{
    struct metadata_node *left = node_own(pool, node->left);

    node->left = left->right;
    left->right = node;
    node_count(node);
    node_count(left);
    return left;
}

static struct metadata_node *node_balance(struct tree_pool *pool, struct metadata_node *node)
{
    uint32_t left = node_weight(node->left);
    uint32_t right = node_weight(node->right);

    node_count(node);
    if (right > 3 * left) {
        node->right = node_own(pool, node->right);
        if (node_weight(node->right->left) >= 2 * node_weight(node->right->right))
            node->right = lift_left(pool, node->right);
        return lift_right(pool, node);
    }
    if (left > 3 * right) {
        node->left = node_own(pool, node->left);
        if (node_weight(node->left->right) >= 2 * node_weight(node->left->left))
            node->left = lift_right(pool, node->left);
        return lift_left(pool, node);
    }
    return node;
}

struct tree_change {
    enum metadata_map map;
    struct tree_pool *pool;
    struct metadata_object *object; /* put: the new one */
    const void *key;                /* removal */
};

static struct metadata_node *node_put(const struct tree_change *change, struct metadata_node *node)
{
    int order;

    if (!node) {
        node = pool_take(change->pool);
        *node = (struct metadata_node){.reference_count = 1, .count = 1, .object = change->object};
        return node;
    }
    node = node_own(change->pool, node);
    order = metadata_order(change->map, change->object, node->object);
    if (order == 0) {
        object_release(change->pool->allocator, change->map, node->object);
        node->object = change->object;
        return node;
    }
    if (order < 0)
        node->left = node_put(change, node->left);
    else
        node->right = node_put(change, node->right);
    return node_balance(change->pool, node);
}

void tree_put(struct metadata_node **root, enum metadata_map map, struct tree_pool *pool,
              void *object)
{
    struct tree_change change = {.map = map, .pool = pool, .object = object};

    *root = node_put(&change, *root);
}

/* Takes the smallest object out of a subtree; its reference goes to *object_out. */
static struct metadata_node *node_take_first(struct tree_pool *pool, struct metadata_node *node,
                                             struct metadata_object **object_out)
{
    struct metadata_node *right;

    node = node_own(pool, node);
    if (node->left) {
        node->left = node_take_first(pool, node->left, object_out);
        return node_balance(pool, node);
    }
    *object_out = node->object;
    right = node->right;
    pool_give(pool, node);
    return right;
}

static struct metadata_node *node_remove(const struct tree_change *change,
                                         struct metadata_node *node)
{
    int order;

    ASSERT(node); /* the caller has found the key */
    node = node_own(change->pool, node);
    order = metadata_order(change->map, change->key, node->object);
    if (order < 0) {
        node->left = node_remove(change, node->left);
    } else if (order > 0) {
        node->right = node_remove(change, node->right);
    } else {
        object_release(change->pool->allocator, change->map, node->object);
        if (!node->left || !node->right) {
            struct metadata_node *child = node->left ? node->left : node->right;

            pool_give(change->pool, node);
            return child;
        }
        node->right = node_take_first(change->pool, node->right, &node->object);
    }
    return node_balance(change->pool, node);
}

void tree_remove(struct metadata_node **root, enum metadata_map map, struct tree_pool *pool,
                 const void *key)
{
    struct tree_change change = {.map = map, .pool = pool, .key = key};

    *root = node_remove(&change, *root);
}

const void *tree_find(const struct metadata_node *root, enum metadata_map map, const void *key)
{
    while (root) {
        int order = metadata_order(map, key, root->object);

        if (order == 0)
            return root->object;
        root = order < 0 ? root->left : root->right;
    }
    return NULL;
}

bool tree_path_is_own(const struct metadata_node *root, enum metadata_map map, const void *key)
{
    while (root && root->reference_count == 1) {
        int order = metadata_order(map, key, root->object);

        if (order == 0)
            return true;
        root = order < 0 ? root->left : root->right;
    }
    return false;
}

void tree_release(struct allocator *allocator, struct metadata_node *root, enum metadata_map map)
{
    if (!root || --root->reference_count > 0)
        return;
    tree_release(allocator, root->left, map);
    tree_release(allocator, root->right, map);
    object_release(allocator, map, root->object);
    ALLOCATOR_DELETE(allocator, root);
}

/* ---- walking ---- */

static void walk_push(struct metadata_walk *walk, const struct metadata_node *node)
{
    for (; node; node = node->left) {
        ASSERT(walk->depth < METADATA_TREE_DEPTH_MAX);
        walk->stack[walk->depth++] = node;
    }
}

void metadata_walk_start(struct metadata_walk *walk, const struct metadata_image *image,
                         enum metadata_map map)
{
    walk->depth = 0;
    walk_push(walk, image->maps[map]);
}

void metadata_walk_topics_from(struct metadata_walk *walk, const struct metadata_image *image,
                               struct slice name, bool after)
{
    const struct metadata_node *node = image->maps[METADATA_TOPICS];

    walk->depth = 0;
    while (node) {
        int order =
            slice_compare(((const struct metadata_topic *)(const void *)node->object)->name, name);

        if (order > 0 || (order == 0 && !after)) {
            walk->stack[walk->depth++] = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
}

const void *metadata_walk_next(struct metadata_walk *walk)
{
    const struct metadata_node *node;

    if (walk->depth == 0)
        return NULL;
    node = walk->stack[--walk->depth];
    walk_push(walk, node->right);
    return node->object;
}
