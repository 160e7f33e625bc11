/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/name_order.c: a merge sort of names, stable, without recursion.
 */
#include "base/name_order.h"

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

enum err name_order(struct arena *arena, const struct slice *names, size_t count,
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

bool name_find(const struct slice *names, const uint32_t *order, size_t count, struct slice name,
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

enum err name_set(struct arena *arena, struct slice *names, size_t *count)
{
    struct slice *sorted = ARENA_ARRAY(arena, struct slice, *count);
    uint32_t *order;
    size_t kept = 0;

    if (!sorted)
        return ERR_NO_MEMORY;
    TRY(name_order(arena, names, *count, &order));
    for (size_t i = 0; i < *count; i++) {
        if (kept > 0 && slice_equal(sorted[kept - 1], names[order[i]]))
            continue;
        sorted[kept++] = names[order[i]];
    }
    for (size_t i = 0; i < kept; i++)
        names[i] = sorted[i];
    *count = kept;
    return OK;
}
