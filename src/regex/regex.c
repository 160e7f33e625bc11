/* SPDX-License-Identifier: Apache-2.0 */
/* regex/regex.c: limits and our types around RE2. */
#include "regex/regex.h"

#include "base/allocator.h"
#include "base/assert.h"
#include "regex/regex_internal.h"

struct regex {
    void *re2;
};

/* How many bytes of the pattern stand for themselves: an escaped character, \\Q to \\E, a class. */
static size_t literal_bytes(const uint8_t *at, size_t left)
{
    size_t size = 1;

    if (*at == '\\' && left > 1 && at[1] == 'Q') {
        for (size = 2; size < left; size++)
            if (at[size] == '\\' && size + 1 < left && at[size + 1] == 'E')
                break;
        return size;
    }
    if (*at == '\\')
        return MIN(left, (size_t)2);
    if (*at != '[')
        return 1;
    size += size < left && at[size] == '^';
    size += size < left && at[size] == ']';
    while (size < left && at[size] != ']') {
        if (size + 1 < left && at[size] == '[' && at[size + 1] == ':') {
            for (size += 2; size + 1 < left && (at[size] != ':' || at[size + 1] != ']');)
                size++;
            size += 2;
        } else {
            size += at[size] == '\\' ? 2 : 1;
        }
    }
    return MIN(size + 1, left);
}

/* (?<name>…), which newer versions of the syntax have, as (?P<name>…). */
static size_t spell_names(struct slice pattern, char *out, size_t *name_count_out)
{
    size_t to = 0;

    *name_count_out = 0;
    for (size_t at = 0; at < pattern.size_bytes;) {
        struct slice rest = slice_sub(pattern, at, SIZE_MAX);
        size_t size = literal_bytes(rest.data, rest.size_bytes);

        if (slice_starts_with(rest, SLICE("(?<"))) {
            memcpy(out + to, "(?P<", 4);
            to += 4;
            at += 3;
            ++*name_count_out;
            continue;
        }
        *name_count_out += slice_starts_with(rest, SLICE("(?P<"));
        memcpy(out + to, rest.data, size);
        to += size;
        at += size;
    }
    return to;
}

enum err regex_compile(struct slice pattern, struct regex **out, struct why *why)
{
    size_t room_bytes = 2 * pattern.size_bytes + 1, spelt_bytes, name_count;
    struct regex *regex;
    char text[WHY_BYTES / 2];
    char *spelt;

    *out = NULL;
    if (pattern.size_bytes > REGEX_PATTERN_MAX)
        return why_set(why, ERR_INVALID_REGULAR_EXPRESSION, "longer than %d bytes",
                       (int)REGEX_PATTERN_MAX);
    spelt = heap_allocator.allocate(&heap_allocator, room_bytes);
    regex = spelt ? ALLOCATOR_NEW(&heap_allocator, struct regex) : NULL;
    if (!regex) {
        if (spelt)
            heap_allocator.release(&heap_allocator, spelt, room_bytes);
        return ERR_NO_MEMORY;
    }
    spelt_bytes = spell_names(pattern, spelt, &name_count);
    regex->re2 =
        regex_re2_create(spelt, spelt_bytes, name_count, REGEX_MEMORY_MAX, text, sizeof text);
    heap_allocator.release(&heap_allocator, spelt, room_bytes);
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
