/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/ids.c: short lists of broker ids, whose order matters (the first replica is preferred).
 */
#include "controller/controller_internal.h"

bool ids_have(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

bool ids_equal(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * sizeof *a) == 0);
}

bool ids_contain(const int32_t *whole, size_t whole_count, const int32_t *part, size_t part_count)
{
    for (size_t i = 0; i < part_count; i++) {
        if (!ids_have(whole, whole_count, part[i]))
            return false;
    }
    return true;
}

enum err ids_copy(struct arena *arena, const int32_t *from, size_t count, struct ids *out)
{
    return ids_difference(arena, from, count, NULL, 0, out);
}

enum err ids_difference(struct arena *arena, const int32_t *from, size_t count,
                        const int32_t *without, size_t without_count, struct ids *out)
{
    out->count = 0;
    out->items = ARENA_ARRAY(arena, int32_t, count);
    if (!out->items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!ids_have(without, without_count, from[i]))
            out->items[out->count++] = from[i];
    }
    return OK;
}

/* Lets an id sink in a heap whose parents are not less than their children. */
static void id_sink(int32_t *items, size_t count, size_t at)
{
    int32_t id = items[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && items[child + 1] > items[child])
            child++;
        if (items[child] <= id)
            break;
        items[at] = items[child];
        at = child;
    }
    items[at] = id;
}

/* A list from a request has as many ids as its sender likes: in n log n. */
void ids_sort(struct ids *ids)
{
    for (size_t i = ids->count / 2; i-- > 0;)
        id_sink(ids->items, ids->count, i);
    for (size_t end = ids->count; end-- > 1;) {
        int32_t greatest = ids->items[0];

        ids->items[0] = ids->items[end];
        ids->items[end] = greatest;
        id_sink(ids->items, end, 0);
    }
}
