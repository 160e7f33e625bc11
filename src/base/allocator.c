/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/allocator.c: the process heap, and an allocator that fails on demand.
 * Threads     heap_allocator from any; allocator_failing from one.
 */
#include "base/allocator.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

static void *heap_allocate(struct allocator *self, size_t size_bytes)
{
    UNUSED(self);
    ASSERT(size_bytes > 0);
    return malloc(size_bytes);
}

static void *heap_resize(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    UNUSED(self);
    UNUSED(old_bytes);
    ASSERT(new_bytes > 0); /* realloc(p, 0) means different things on different systems */
    return realloc(pointer, new_bytes);
}

static void heap_free(struct allocator *self, void *pointer, size_t size_bytes)
{
    UNUSED(self);
    UNUSED(size_bytes);
    free(pointer);
}

struct allocator heap_allocator = {heap_allocate, heap_resize, heap_free};

void *allocator_zeroed(struct allocator *allocator, size_t size_bytes)
{
    void *pointer = allocator->allocate(allocator, size_bytes);

    if (pointer)
        memset(pointer, 0, size_bytes);
    return pointer;
}

static struct allocator_failing *failing_of(struct allocator *self)
{
    return CONTAINER_OF(self, struct allocator_failing, base);
}

/* Counts the call and tells whether it is one that fails. */
static bool failing_hits(struct allocator_failing *failing)
{
    int64_t call = failing->calls++;

    if (failing->fail_at < 0)
        return false;
    return failing->fail_for_ever ? call >= failing->fail_at : call == failing->fail_at;
}

static void *failing_allocate(struct allocator *self, size_t size_bytes)
{
    struct allocator_failing *failing = failing_of(self);
    void *pointer;

    if (failing_hits(failing))
        return NULL;
    pointer = failing->below->allocate(failing->below, size_bytes);
    if (pointer)
        failing->bytes_in_use += (int64_t)size_bytes;
    return pointer;
}

static void *failing_resize(struct allocator *self, void *pointer, size_t old_bytes,
                            size_t new_bytes)
{
    struct allocator_failing *failing = failing_of(self);
    void *moved;

    ASSERT(pointer || old_bytes == 0);
    if (failing_hits(failing))
        return NULL;
    moved = failing->below->resize(failing->below, pointer, old_bytes, new_bytes);
    if (moved)
        failing->bytes_in_use += (int64_t)new_bytes - (int64_t)old_bytes;
    return moved;
}

static void failing_release(struct allocator *self, void *pointer, size_t size_bytes)
{
    struct allocator_failing *failing = failing_of(self);

    if (!pointer)
        return;
    failing->bytes_in_use -= (int64_t)size_bytes;
    ASSERT(failing->bytes_in_use >= 0); /* a release names the size that was asked for */
    failing->below->release(failing->below, pointer, size_bytes);
}

void allocator_failing_init(struct allocator_failing *failing, struct allocator *below,
                            int64_t fail_at, bool fail_for_ever)
{
    *failing = (struct allocator_failing){
        .base = {failing_allocate, failing_resize, failing_release},
        .below = below,
        .fail_at = fail_at,
        .fail_for_ever = fail_for_ever,
    };
}
