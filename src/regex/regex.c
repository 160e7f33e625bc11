/* SPDX-License-Identifier: Apache-2.0 */
/* regex/regex.c: limits and our types around RE2. */
#include "regex/regex.h"

#include "base/allocator.h"
#include "base/assert.h"
#include "regex/regex_internal.h"

struct regex {
    void *re2;
};

enum err regex_compile(struct slice pattern, struct regex **out, struct why *why)
{
    struct regex *regex;
    char text[WHY_BYTES / 2];

    *out = NULL;
    if (pattern.size_bytes > REGEX_PATTERN_MAX)
        return why_set(why, ERR_INVALID_REGULAR_EXPRESSION, "longer than %d bytes",
                       (int)REGEX_PATTERN_MAX);
    regex = ALLOCATOR_NEW(&heap_allocator, struct regex);
    if (!regex)
        return ERR_NO_MEMORY;
    regex->re2 = regex_re2_create(pattern.data ? (const char *)pattern.data : "",
                                  pattern.size_bytes, REGEX_MEMORY_MAX, text, sizeof text);
    if (regex->re2) {
        *out = regex;
        return OK;
    }
    ALLOCATOR_DELETE(&heap_allocator, regex);
    return text[0] ? why_set(why, ERR_INVALID_REGULAR_EXPRESSION, "%s", text) : ERR_NO_MEMORY;
}

void regex_release(struct regex **regex)
{
    if (!*regex)
        return;
    regex_re2_release((*regex)->re2);
    ALLOCATOR_DELETE(&heap_allocator, *regex);
    *regex = NULL;
}

bool regex_matches(const struct regex *regex, struct slice text)
{
    return regex_re2_matches(regex->re2, text.data ? (const char *)text.data : "",
                             text.size_bytes) != 0;
}
