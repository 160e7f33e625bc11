/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/arena.c: bump allocation out of a chain of blocks.
 * Invariants  1. [at, end) is the free rest of the first block, or both are NULL.
 *             2. used_bytes counts whole steps of 16 bytes, so that the limit bounds real memory.
 *             3. at is 16-byte aligned.
 * Under AddressSanitizer the free rest of every block is poisoned.
 */
#include "base/arena.h"

#include "base/assert.h"
#include "base/fault_point.h"
#include "base/fmt.h"
#include "base/sanitizer.h"

#include <string.h>

#if HAS_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define POISON(at, size_bytes) ASAN_POISON_MEMORY_REGION((at), (size_bytes))
#define UNPOISON(at, size_bytes) ASAN_UNPOISON_MEMORY_REGION((at), (size_bytes))
#else
#define POISON(at, size_bytes) ((void)(at), (void)(size_bytes))
#define UNPOISON(at, size_bytes) ((void)(at), (void)(size_bytes))
#endif

#define STEP_BYTES ((size_t)16)
#define BLOCK_BYTES_MIN (4 * KIB)
#define BLOCK_BYTES_MAX (256 * KIB) /* for doubling; one allocation may need a larger block */

struct arena_block {
    _Alignas(16) struct arena_block *next;
    size_t size_bytes; /* with this header */
};
_Static_assert(sizeof(struct arena_block) % 16 == 0, "what follows the header is aligned");

static uint8_t *block_start(struct arena_block *block)
{
    return (uint8_t *)(block + 1);
}

static uint8_t *block_end(struct arena_block *block)
{
    return (uint8_t *)block + block->size_bytes;
}

void arena_init(struct arena *arena, struct allocator *allocator, size_t limit_bytes)
{
    *arena = (struct arena){.allocator = allocator, .limit_bytes = limit_bytes};
}

static void block_free(struct arena *arena, struct arena_block *block)
{
    UNPOISON(block, block->size_bytes);
    arena->allocator->release(arena->allocator, block, block->size_bytes);
}

void arena_release(struct arena *arena)
{
    struct arena_block *block = arena->blocks;

    while (block) {
        struct arena_block *next = block->next;

        block_free(arena, block);
        block = next;
    }
    arena_init(arena, arena->allocator, arena->limit_bytes);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;

    if (!keep)
        return;
    /* The largest, so that an arena in steady use comes to rest on one block. */
    for (struct arena_block *block = keep->next; block; block = block->next)
        if (block->size_bytes > keep->size_bytes)
            keep = block;
    for (struct arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        if (block != keep)
            block_free(arena, block);
    }
    keep->next = NULL;
    arena->blocks = keep;
    arena->at = block_start(keep);
    arena->end = block_end(keep);
    arena->used_bytes = 0;
    POISON(arena->at, (size_t)(arena->end - arena->at));
}

/* `need_bytes` from a new block. The block with more room left stays or becomes the first. */
static void *take_from_new_block(struct arena *arena, size_t need_bytes)
{
    size_t left_bytes = arena->at ? (size_t)(arena->end - arena->at) : 0;
    size_t size_bytes = BLOCK_BYTES_MIN;
    struct arena_block *block;
    uint8_t *start;

    if (arena->blocks)
        size_bytes = MIN(MAX(arena->blocks->size_bytes, BLOCK_BYTES_MIN / 2) * 2, BLOCK_BYTES_MAX);
    if (FAULT_POINT(arena_block_exact))
        size_bytes = 0;
    if (need_bytes > SIZE_MAX - sizeof *block)
        return NULL;
    size_bytes = MAX(size_bytes, need_bytes + sizeof *block);
    block = arena->allocator->allocate(arena->allocator, size_bytes);
    if (!block)
        return NULL;
    block->size_bytes = size_bytes;
    start = block_start(block);
    POISON(start, size_bytes - sizeof *block);
    if (left_bytes > size_bytes - sizeof *block - need_bytes) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
        arena->at = start + need_bytes;
        arena->end = block_end(block);
    }
    return start;
}

void *arena_allocate(struct arena *arena, size_t size_bytes)
{
    static _Alignas(16) uint8_t nothing[STEP_BYTES]; /* never written */
    size_t need_bytes;
    void *pointer;

    if (size_bytes == 0)
        return arena->at ? arena->at : nothing;
    if (size_bytes > SIZE_MAX - STEP_BYTES)
        return NULL;
    need_bytes = (size_bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    if (need_bytes > arena->limit_bytes - arena->used_bytes)
        return NULL;
    if (arena->at && need_bytes <= (size_t)(arena->end - arena->at)) {
        pointer = arena->at;
        arena->at += need_bytes;
    } else {
        pointer = take_from_new_block(arena, need_bytes);
        if (!pointer)
            return NULL;
    }
    arena->used_bytes += need_bytes;
    UNPOISON(pointer, size_bytes);
    return pointer;
}

void *arena_zeroed(struct arena *arena, size_t count, size_t size_bytes)
{
    size_t total_bytes;
    void *pointer;

    if (__builtin_mul_overflow(count, size_bytes, &total_bytes))
        return NULL;
    pointer = arena_allocate(arena, total_bytes);
    if (pointer)
        memset(pointer, 0, total_bytes);
    return pointer;
}

struct slice arena_copy(struct arena *arena, struct slice from)
{
    uint8_t *copy;

    if (slice_is_null(from) || from.size_bytes == SIZE_MAX)
        return SLICE_NULL;
    copy = arena_allocate(arena, from.size_bytes + 1);
    if (!copy)
        return SLICE_NULL;
    memcpy(copy, from.data, from.size_bytes);
    copy[from.size_bytes] = 0;
    return slice_of(copy, from.size_bytes);
}

static struct slice format_list(struct arena *arena, const char *format, va_list arguments)
    PRINTF_LIKE(2, 0);
static struct slice format_list(struct arena *arena, const char *format, va_list arguments)
{
    va_list again;
    size_t size_bytes;
    char *out;

    va_copy(again, arguments);
    size_bytes = fmt_list(NULL, 0, format, again);
    va_end(again);
    out = arena_allocate(arena, size_bytes + 1);
    if (!out)
        return SLICE_NULL;
    fmt_list(out, size_bytes + 1, format, arguments);
    return slice_of(out, size_bytes);
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    struct slice text;
    va_list arguments;

    va_start(arguments, format);
    text = format_list(arena, format, arguments);
    va_end(arguments);
    return (char *)(uintptr_t)text.data;
}

struct slice arena_format_slice(struct arena *arena, const char *format, ...)
{
    struct slice text;
    va_list arguments;

    va_start(arguments, format);
    text = format_list(arena, format, arguments);
    va_end(arguments);
    return text;
}
