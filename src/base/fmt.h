/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/fmt.h: bounded text formatting without stdio and locale. Supported: %s %.*s %c %d %i %u %x
 * %X %o %p %%, with l, ll, z, t, j, h, hh; width, 0 and - flags; %f with precision. Output is
 * always NUL-terminated and truncated at the bound.
 */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include "base/macros.h"

#include <stdarg.h>

/* Returns the length that the whole text has, like snprintf. */
size_t fmt(char *out, size_t capacity_bytes, const char *format, ...) PRINTF_LIKE(3, 4);
size_t fmt_list(char *out, size_t capacity_bytes, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);

/* A text that is put together in a fixed buffer. */
struct text {
    char *data;
    size_t size_bytes; /* without NUL */
    size_t capacity_bytes;
    int truncated;
};
void text_init(struct text *text, char *buffer, size_t capacity_bytes);
void text_add(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
