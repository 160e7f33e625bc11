/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/memory_reserve.h: what a process puts aside for the little that it must have. When the heap has no more, whoever
 * may not fail breaks into it; until it is whole again, whoever may be refused is refused, so that it lasts.
 * A process that fills none has none. Threads: any.
 */
#ifndef BASE_MEMORY_RESERVE_H
#define BASE_MEMORY_RESERVE_H

#include "base/allocator.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/macros.h"

/* Puts `size_bytes` of the heap aside, from now on what a whole reserve has. ERR_NO_MEMORY. */
MUST_USE enum err memory_reserve_fill(size_t size_bytes);
/* Gives it back to the heap. False: there is none, or it is broken already. */
bool memory_reserve_break(void);
/* There is a reserve, it is whole or can be made so: what is asked for by peers may be granted. */
bool memory_reserve_is_whole(void);

/* The heap for what must be had, and that no peer makes large: never NULL. It breaks into the reserve as MEMORY_MUST does.
 * An arena, a hash map, a writer over it has no errors of memory but its own limit. */
extern struct allocator must_allocator;

/* For what must be had: `pointer` = `expression`, once more when the reserve could be broken; else the process ends. */
#define MEMORY_MUST(pointer, expression)                                                   \
    do {                                                                                   \
        (pointer) = (expression);                                                          \
        for (int tries_ = 0; !(pointer) && tries_ < 1 && memory_reserve_break(); tries_++) \
            (pointer) = (expression);                                                      \
        ASSERT_MEMORY(pointer);                                                            \
    } while (0)

#endif
