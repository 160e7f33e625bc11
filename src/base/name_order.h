/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/name_order.h: names in order, in n log n: a request may hold a million of them.
 */
#ifndef BASE_NAME_ORDER_H
#define BASE_NAME_ORDER_H

#include "base/arena.h"
#include "base/err.h"

/* The positions of `names` by ascending bytes; equal names by position. Only ERR_NO_MEMORY. */
MUST_USE enum err name_order(struct arena *arena, const struct slice *names, size_t count,
                             uint32_t **order_out);
/* The first position of a name, by its order. */
bool name_find(const struct slice *names, const uint32_t *order, size_t count, struct slice name,
               uint32_t *index_out);
/* Sorts in place and keeps one of each. */
MUST_USE enum err name_set(struct arena *arena, struct slice *names, size_t *count);

#endif
