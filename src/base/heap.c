/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/heap.c: binary min-heap of pointers to the caller's nodes.
 * Invariants  1. items[i]->position == i.
 *             2. no item orders before its parent items[(i - 1) / 2].
 */
#include "base/heap.h"

#include "base/assert.h"

#define CAPACITY_MIN ((size_t)16)

void heap_init(struct heap *heap, struct allocator *allocator)
{
    *heap = (struct heap){.allocator = allocator};
}

void heap_release(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++)
        heap->items[i]->position = HEAP_NOWHERE;
    heap->allocator->release(heap->allocator, heap->items, heap->capacity * sizeof *heap->items);
    heap_init(heap, heap->allocator);
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->number < b->number;
}

static void place(struct heap *heap, size_t position, struct heap_node *node)
{
    heap->items[position] = node;
    node->position = position;
}

static void sift_up(struct heap *heap, size_t position, struct heap_node *node)
{
    while (position > 0 && before(node, heap->items[(position - 1) / 2])) {
        place(heap, position, heap->items[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    place(heap, position, node);
}

static void sift_down(struct heap *heap, size_t position, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * position + 1;

        if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child]))
            child++;
        if (child >= heap->count || !before(heap->items[child], node))
            break;
        place(heap, position, heap->items[child]);
        position = child;
    }
    place(heap, position, node);
}

enum err heap_push(struct heap *heap, struct heap_node *node, int64_t key)
{
    if (heap->count == heap->capacity) {
        size_t capacity = heap->capacity > 0 ? heap->capacity * 2 : CAPACITY_MIN;
        struct heap_node **items;

        if (capacity > SIZE_MAX / sizeof *items)
            return ERR_NO_MEMORY;
        items = heap->allocator->resize(heap->allocator, heap->items,
                                        heap->capacity * sizeof *items, capacity * sizeof *items);
        if (!items)
            return ERR_NO_MEMORY;
        heap->items = items;
        heap->capacity = capacity;
    }
    node->key = key;
    node->number = heap->next_number++;
    sift_up(heap, heap->count++, node);
    return OK;
}

struct heap_node *heap_peek(const struct heap *heap)
{
    return heap->count > 0 ? heap->items[0] : NULL;
}

struct heap_node *heap_pop(struct heap *heap)
{
    struct heap_node *first = heap_peek(heap);

    if (first)
        heap_remove(heap, first);
    return first;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t position = node->position;
    struct heap_node *last;

    ASSERT(position < heap->count);
    ASSERT(heap->items[position] == node); /* a node of this heap */
    last = heap->items[--heap->count];
    node->position = HEAP_NOWHERE;
    if (last == node)
        return;
    if (position > 0 && before(last, heap->items[(position - 1) / 2]))
        sift_up(heap, position, last);
    else
        sift_down(heap, position, last);
}
