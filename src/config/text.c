/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/text.c: the string operations of Java that Kafka's parsing rests on, over slices.
 */
#include "config/config_internal.h"

#include "base/name_order.h"

struct slice config_trim(struct slice text)
{
    while (text.size_bytes > 0 && text.data[0] <= ' ') {
        text.data++;
        text.size_bytes--;
    }
    while (text.size_bytes > 0 && text.data[text.size_bytes - 1] <= ' ')
        text.size_bytes--;
    return text;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool config_equal_any_case(struct slice a, struct slice b)
{
    if (a.size_bytes != b.size_bytes)
        return false;
    for (size_t i = 0; i < a.size_bytes; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

struct slice config_upper(struct arena *arena, struct slice text)
{
    uint8_t *copy = arena_allocate(arena, text.size_bytes + 1);

    if (!copy)
        return SLICE_NULL;
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];

        copy[i] = byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - ('a' - 'A')) : byte;
    }
    copy[text.size_bytes] = 0;
    return slice_of(copy, text.size_bytes);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct slice strip(struct slice text)
{
    while (text.size_bytes > 0 && is_space(text.data[0])) {
        text.data++;
        text.size_bytes--;
    }
    while (text.size_bytes > 0 && is_space(text.data[text.size_bytes - 1]))
        text.size_bytes--;
    return text;
}

static enum err split(struct arena *arena, struct slice text, bool stripped,
                      struct config_list *out)
{
    size_t count = 1;
    struct slice *items;
    size_t from = 0;

    for (size_t i = 0; i < text.size_bytes; i++)
        count += text.data[i] == ',';
    items = ARENA_ARRAY(arena, struct slice, count);
    if (!items)
        return ERR_NO_MEMORY;
    count = 0;
    for (size_t i = 0; i <= text.size_bytes; i++) {
        if (i < text.size_bytes && text.data[i] != ',')
            continue;
        items[count] = slice_of(text.data + from, i - from);
        if (stripped)
            items[count] = strip(items[count]);
        count++;
        from = i + 1;
    }
    *out = (struct config_list){items, count};
    return OK;
}

enum err config_split(struct arena *arena, struct slice text, struct config_list *out)
{
    text = config_trim(text);
    *out = (struct config_list){NULL, 0};
    return text.size_bytes == 0 ? OK : split(arena, text, true, out);
}

enum err config_split_plain(struct arena *arena, struct slice text, struct config_list *out)
{
    TRY(split(arena, text, false, out));
    while (out->count > 0 && out->items[out->count - 1].size_bytes == 0)
        out->count--;
    return OK;
}

static struct slice join(struct arena *arena, struct config_list list, const char *before,
                         const char *between, const char *after)
{
    size_t size = strlen(before) + strlen(after) + 1;
    char *data;
    struct text text;

    for (size_t i = 0; i < list.count; i++)
        size += list.items[i].size_bytes + strlen(between);
    data = arena_allocate(arena, size);
    if (!data)
        return SLICE_NULL;
    text_init(&text, data, size);
    text_add(&text, "%s", before);
    for (size_t i = 0; i < list.count; i++)
        text_add(&text, "%s%.*s", i > 0 ? between : "", SLICE_ARGS(list.items[i]));
    text_add(&text, "%s", after);
    return slice_of(data, text.size_bytes);
}

struct slice config_join(struct arena *arena, struct config_list list)
{
    return join(arena, list, "", ",", "");
}

struct slice config_list_show(struct arena *arena, struct config_list list)
{
    return join(arena, list, "[", ", ", "]");
}

bool config_list_has(struct config_list list, struct slice item)
{
    for (size_t i = 0; i < list.count; i++)
        if (slice_equal(list.items[i], item))
            return true;
    return false;
}

enum err config_list_firsts(struct arena *arena, struct config_list list, uint32_t **firsts_out)
{
    uint32_t *firsts = ARENA_ARRAY(arena, uint32_t, list.count);
    uint32_t *order;
    uint32_t first = 0;

    if (!firsts)
        return ERR_NO_MEMORY;
    TRY(name_order(arena, list.items, list.count, &order));
    for (size_t i = 0; i < list.count; i++) {
        if (i == 0 || !slice_equal(list.items[order[i]], list.items[first]))
            first = order[i];
        firsts[order[i]] = first;
    }
    *firsts_out = firsts;
    return OK;
}

struct slice config_set_get(const struct config_set *set, struct slice key)
{
    for (size_t i = 0; set && i < set->count; i++)
        if (slice_equal(set->pairs[i].key, key))
            return set->pairs[i].value;
    return SLICE_NULL;
}

bool config_pattern_matches(struct slice pattern, struct slice name)
{
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX; /* the last * seen, and where the name stood then */
    size_t mark = 0;

    while (n < name.size_bytes) {
        if (p < pattern.size_bytes && pattern.data[p] == '*') {
            star = p++;
            mark = n;
        } else if (p < pattern.size_bytes &&
                   (pattern.data[p] == '?' || pattern.data[p] == name.data[n])) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size_bytes && pattern.data[p] == '*')
        p++;
    return p == pattern.size_bytes;
}

bool config_pattern_list_matches(struct config_list patterns, struct slice name)
{
    for (size_t i = 0; i < patterns.count; i++)
        if (config_pattern_matches(patterns.items[i], name))
            return true;
    return false;
}
