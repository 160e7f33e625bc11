/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/macros.h: the few macros that every file may use.
 */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define NO_RETURN __attribute__((noreturn))
#define UNUSED(x) ((void)(x))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)
#define GIB ((size_t)1024 * MIB)

/* CLEANUP(segment_release) struct segment *segment = NULL; calls segment_release(&segment) at scope
 * end. A releasing function takes the address, accepts NULL inside it and sets it to NULL. */
#define CLEANUP(release) __attribute__((cleanup(release)))

/* TAKE(pointer) yields the pointer and leaves NULL behind: ownership moves. */
#define TAKE(pointer)                           \
    __extension__({                             \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

/* The only macro that returns: hands an error up to the caller. */
#define TRY(expression)                          \
    do {                                         \
        enum err try_err_ = (expression);        \
        if (__builtin_expect(try_err_ != OK, 0)) \
            return try_err_;                     \
    } while (0)

#endif
