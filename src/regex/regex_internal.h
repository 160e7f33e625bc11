/* SPDX-License-Identifier: Apache-2.0 */
/* regex/regex_internal.h: the seam between C and C++, in types that both have. */
#ifndef REGEX_REGEX_INTERNAL_H
#define REGEX_REGEX_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL: out of memory, or invalid with a text in `why`. name_count: groups of the pattern that have a
 * name; each has another. */
void *regex_re2_create(const char *pattern, size_t size_bytes, size_t name_count,
                       int64_t memory_max, char *why, size_t why_bytes);
void regex_re2_release(void *re2);
int regex_re2_matches(const void *re2, const char *text, size_t size_bytes);

#ifdef __cplusplus
}
#endif

#endif
