/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/names.c: which keys of a request occur more than once, in n log n: a request may hold
 * hundreds of thousands of them.
 */
#include "controller/controller_internal.h"

static void merge(const struct slice *names, const uint32_t *from, uint32_t *to, size_t low,
                  size_t middle, size_t high)
{
    size_t left = low;
    size_t right = middle;

    for (size_t at = low; at < high; at++) {
        if (left < middle &&
            (right >= high || slice_compare(names[from[left]], names[from[right]]) <= 0))
            to[at] = from[left++];
        else
            to[at] = from[right++];
    }
}

enum err names_sort(struct arena *arena, const struct slice *names, size_t count,
                    uint32_t **order_out)
{
    uint32_t *from = ARENA_ARRAY(arena, uint32_t, count);
    uint32_t *to = ARENA_ARRAY(arena, uint32_t, count);

    if (!from || !to)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        from[i] = (uint32_t)i;
    for (size_t width = 1; width < count; width *= 2) {
        uint32_t *swap = from;

        for (size_t low = 0; low < count; low += 2 * width)
            merge(names, from, to, low, MIN(low + width, count), MIN(low + 2 * width, count));
        from = to;
        to = swap;
    }
    *order_out = from;
    return OK;
}

enum err names_repeated(struct arena *arena, const struct slice *names, size_t count,
                        enum name_repeat **out)
{
    enum name_repeat *repeats = ARENA_ARRAY(arena, enum name_repeat, count);
    uint32_t *order;

    if (!repeats)
        return ERR_NO_MEMORY;
    TRY(names_sort(arena, names, count, &order));
    for (size_t i = 1; i < count; i++) {
        if (slice_compare(names[order[i]], names[order[i - 1]]) != 0)
            continue;
        if (repeats[order[i - 1]] == NAME_ONCE)
            repeats[order[i - 1]] = NAME_FIRST_OF_MANY;
        repeats[order[i]] = NAME_AGAIN;
    }
    *out = repeats;
    return OK;
}

bool names_find(const struct slice *names, const uint32_t *order, size_t count, struct slice name,
                uint32_t *index_out)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slice_compare(names[order[middle]], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count || slice_compare(names[order[low]], name) != 0)
        return false;
    *index_out = order[low];
    return true;
}
