/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/arena.h: memory that is freed whole: the scratch of one request, one step, one load.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/allocator.h"
#include "base/slice.h"

#include <stdarg.h>

struct arena_block;
struct arena {
    struct allocator *allocator;
    struct arena_block *blocks; /* newest first */
    uint8_t *at;
    uint8_t *end;
    size_t used_bytes;  /* handed out in all */
    size_t limit_bytes; /* used_bytes never passes it; SIZE_MAX: no limit */
};

/* Allocates nothing yet. Blocks of at least 4 KiB come from `allocator`. */
void arena_init(struct arena *arena, struct allocator *allocator, size_t limit_bytes);
/* Gives everything back; the arena is empty and usable again. CLEANUP-compatible. */
void arena_release(struct arena *arena);
/* Forgets everything but keeps one block of memory for reuse. */
void arena_reset(struct arena *arena);

/* Uninitialised, 16-byte aligned; NULL at the limit or out of memory. size 0 gives a valid pointer. */
void *arena_allocate(struct arena *arena, size_t size_bytes);
/* Zeroed; checks count * size for overflow. */
void *arena_zeroed(struct arena *arena, size_t count, size_t size_bytes);
#define ARENA_NEW(arena, type) ((type *)arena_zeroed((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_zeroed((arena), (count), sizeof(type)))

/* Copies with a NUL behind that is not counted. Null stays null; out of memory gives null for
 * non-null input, so test slice_is_null where it matters. */
struct slice arena_copy(struct arena *arena, struct slice from);
/* NUL-terminated; NULL when out of memory. Formatting as base/fmt.h. */
char *arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same as a slice. */
struct slice arena_format_slice(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
