/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/names.c: which keys of a request occur more than once, in n log n: a request may hold
 * hundreds of thousands of them.
 */
#include "base/name_order.h"
#include "controller/controller_internal.h"

enum err names_repeated(struct arena *arena, const struct slice *names, size_t count,
                        enum name_repeat **out)
{
    enum name_repeat *repeats = ARENA_ARRAY(arena, enum name_repeat, count);
    uint32_t *order;

    if (!repeats)
        return ERR_NO_MEMORY;
    TRY(name_order(arena, names, count, &order));
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
