/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/memory.c: memory for the bookkeeping of logs. Its size follows the number of partitions and
 * index entries, never a peer's wish; a server that has none left for it stops with a report.
 * Threads     any.
 */
#include "storage/storage_internal.h"

#include "base/memory_reserve.h"

void *storage_allocate(size_t size_bytes)
{
    void *pointer;

    MEMORY_MUST(pointer, allocator_zeroed(&heap_allocator, size_bytes));
    return pointer;
}

void storage_free(void *pointer, size_t size_bytes)
{
    heap_allocator.release(&heap_allocator, pointer, size_bytes);
}

void *storage_grow(void *items, size_t item_bytes, size_t *capacity, size_t count)
{
    size_t larger;
    void *grown;

    if (count <= *capacity)
        return items;
    larger = MAX(count, MAX(*capacity * 2, (size_t)4));
    MEMORY_MUST(grown, heap_allocator.resize(&heap_allocator, items, *capacity * item_bytes,
                                             larger * item_bytes));
    *capacity = larger;
    return grown;
}
