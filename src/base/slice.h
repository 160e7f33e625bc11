/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/slice.h: a borrowed run of bytes: strings, keys, batches, whole frames.
 * data == NULL is null (Kafka tells null from empty); an empty slice has a non-NULL data. A slice
 * never owns: who made the bytes says how long they last.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/macros.h"

#include <stdbool.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t size_bytes;
};

#define SLICE_NULL ((struct slice){NULL, 0})
#define SLICE_EMPTY ((struct slice){(const uint8_t *)"", 0})
/* From a string literal, without its NUL. */
#define SLICE(literal) ((struct slice){(const uint8_t *)("" literal), sizeof(literal) - 1})
/* For printf-like formatting with "%.*s". */
#define SLICE_ARGS(s) (int)(s).size_bytes, (const char *)((s).data ? (s).data : (const uint8_t *)"")

static inline struct slice slice_of(const void *data, size_t size_bytes)
{
    return (struct slice){(const uint8_t *)data, size_bytes};
}

/* NULL gives the null slice. */
static inline struct slice slice_from_text(const char *text)
{
    return text ? slice_of(text, strlen(text)) : SLICE_NULL;
}

static inline bool slice_is_null(struct slice s)
{
    return s.data == NULL;
}

/* Equal bytes; null equals only null. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    if ((a.data == NULL) != (b.data == NULL) || a.size_bytes != b.size_bytes)
        return false;
    return a.size_bytes == 0 || memcmp(a.data, b.data, a.size_bytes) == 0;
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_from_text(text));
}

/* Bytewise order, shorter first on a common prefix; null sorts as empty. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = MIN(a.size_bytes, b.size_bytes);
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0)
        return order;
    return (a.size_bytes > b.size_bytes) - (a.size_bytes < b.size_bytes);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.size_bytes >= prefix.size_bytes &&
           (prefix.size_bytes == 0 || memcmp(s.data, prefix.data, prefix.size_bytes) == 0);
}

/* The part from `from` (≤ size) on, at most `size_bytes` long. */
static inline struct slice slice_sub(struct slice s, size_t from, size_t size_bytes)
{
    size_t left = s.size_bytes - MIN(from, s.size_bytes);

    return (struct slice){s.data ? s.data + MIN(from, s.size_bytes) : NULL, MIN(left, size_bytes)};
}

#endif
