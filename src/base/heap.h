/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/heap.h: intrusive binary min-heap on an int64 key, ties by insertion number. For timers of the
 * simulator and expiry queues.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/allocator.h"

struct heap_node {
    int64_t key;
    uint64_t number; /* set by heap_push: equal keys leave in order of insertion */
    size_t position; /* HEAP_NOWHERE when in no heap */
};
#define HEAP_NOWHERE SIZE_MAX

struct heap {
    struct allocator *allocator;
    struct heap_node **items;
    size_t count;
    size_t capacity;
    uint64_t next_number;
};

void heap_init(struct heap *heap, struct allocator *allocator);
void heap_release(struct heap *heap);
MUST_USE enum err heap_push(struct heap *heap, struct heap_node *node, int64_t key);
struct heap_node *heap_peek(const struct heap *heap); /* NULL when empty */
struct heap_node *heap_pop(struct heap *heap);        /* NULL when empty */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
