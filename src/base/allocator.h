/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/allocator.h: where memory comes from. Pure modules take long-lived memory from an allocator
 * that their creator passes in, so that running out is an ordinary error and can be injected.
 * base/allocator.c is the only file of the pure modules that calls malloc.
 */
#ifndef BASE_ALLOCATOR_H
#define BASE_ALLOCATOR_H

#include "base/err.h"
#include "base/macros.h"

struct allocator {
    /* NULL when out of memory. size_bytes > 0. Aligned for any type. */
    void *(*allocate)(struct allocator *self, size_t size_bytes);
    /* Like realloc; pointer may be NULL. On NULL the old block stays valid. */
    void *(*resize)(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes);
    /* pointer may be NULL. size_bytes is what was asked for. */
    void (*release)(struct allocator *self, void *pointer, size_t size_bytes);
};

/* The process heap. Thread-safe. */
extern struct allocator heap_allocator;

/* Zeroed memory, or NULL. */
void *allocator_zeroed(struct allocator *allocator, size_t size_bytes);
#define ALLOCATOR_NEW(allocator, type) ((type *)allocator_zeroed((allocator), sizeof(type)))
#define ALLOCATOR_DELETE(allocator, pointer) \
    (allocator)->release((allocator), (pointer), sizeof(*(pointer)))

/* An allocator over `below` that fails at the n-th allocation (0-based; -1: never), once or for
 * ever, and counts calls and bytes in use. For tests; single thread. */
struct allocator_failing {
    struct allocator base;
    struct allocator *below;
    int64_t fail_at;
    bool fail_for_ever;
    int64_t calls;
    int64_t bytes_in_use;
};
void allocator_failing_init(struct allocator_failing *failing, struct allocator *below,
                            int64_t fail_at, bool fail_for_ever);

#endif
