/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/assert.h: statements about our own code. Bytes from a peer or a disk never reach an assert.
 * ASSERT stays on in releases; ASSERT_DEBUG is for costly walks; MAYBE documents that both values
 * are legal, so that the simulator can show that it has seen each.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/macros.h"

/* Prints through the hook set by assert_hook_set (or to nowhere) and traps. */
NO_RETURN void assert_fail(const char *condition, const char *file, int line, const char *function);

/* Called once with the failed condition before the process traps; may write a report. Process-wide
 * and set once at start, before threads exist. */
typedef void (*assert_hook)(const char *condition, const char *file, int line,
                            const char *function);
void assert_hook_set(assert_hook hook);

#define ASSERT(condition)                         \
    (__builtin_expect(!!(condition), 1) ? (void)0 \
                                        : assert_fail(#condition, __FILE__, __LINE__, __func__))

/* For the little that a process must have to go on: no bug when it cannot be had, but the end all the same, in order: the
 * hook is told this condition and may end the process itself. What a peer can ask for is never taken this way. */
#define MEMORY_EXHAUSTED "the memory is exhausted"
#define ASSERT_MEMORY(pointer)              \
    (__builtin_expect((pointer) != NULL, 1) \
         ? (void)0                          \
         : assert_fail(MEMORY_EXHAUSTED, __FILE__, __LINE__, __func__))

#ifdef BARNABAS_DEBUG
#define ASSERT_DEBUG(condition) ASSERT(condition)
#else
#define ASSERT_DEBUG(condition) ((void)sizeof(!!(condition)))
#endif

#define MAYBE(condition) ((void)sizeof(!!(condition)))

#endif
