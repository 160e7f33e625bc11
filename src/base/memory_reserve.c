/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/memory_reserve.c: a block of the heap that nobody touches, and gives its addresses back in need.
 * Like the hook of base/assert.c a global of the process: the heap is one, too.
 * Threads  any: the block changes hands by exchange.
 */
#include "base/memory_reserve.h"

#include <stdatomic.h>

static atomic_size_t reserve_bytes; /* 0: the process has none */
static _Atomic(void *) reserve_block;

enum err memory_reserve_fill(size_t size_bytes)
{
    void *expected = NULL;
    void *block;

    ASSERT(size_bytes > 0);
    atomic_store(&reserve_bytes, size_bytes);
    if (atomic_load(&reserve_block))
        return OK;
    block = heap_allocator.allocate(&heap_allocator, size_bytes);
    if (!block)
        return ERR_NO_MEMORY;
    if (!atomic_compare_exchange_strong(&reserve_block, &expected, block))
        heap_allocator.release(&heap_allocator, block, size_bytes);
    return OK;
}

bool memory_reserve_break(void)
{
    void *block = atomic_exchange(&reserve_block, NULL);

    if (!block)
        return false;
    heap_allocator.release(&heap_allocator, block, atomic_load(&reserve_bytes));
    return true;
}

bool memory_reserve_is_whole(void)
{
    size_t size_bytes = atomic_load(&reserve_bytes);

    return size_bytes == 0 || atomic_load(&reserve_block) || memory_reserve_fill(size_bytes) == OK;
}

static void *must_allocate(struct allocator *self, size_t size_bytes)
{
    void *pointer;

    UNUSED(self);
    MEMORY_MUST(pointer, heap_allocator.allocate(&heap_allocator, size_bytes));
    return pointer;
}

static void *must_resize(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    void *grown;

    UNUSED(self);
    MEMORY_MUST(grown, heap_allocator.resize(&heap_allocator, pointer, old_bytes, new_bytes));
    return grown;
}

static void must_release(struct allocator *self, void *pointer, size_t size_bytes)
{
    UNUSED(self);
    heap_allocator.release(&heap_allocator, pointer, size_bytes);
}

struct allocator must_allocator = {must_allocate, must_resize, must_release};
