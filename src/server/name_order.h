/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/name_order.h: names of a request in order, in n log n: a request may hold a million of
 * them.
 */
#ifndef SERVER_NAME_ORDER_H
#define SERVER_NAME_ORDER_H

#include "base/arena.h"
#include "base/err.h"

/* The positions of `names` by ascending bytes; equal names by position. Only ERR_NO_MEMORY. */
MUST_USE enum err name_order(struct arena *arena, const struct slice *names, size_t count,
                             uint32_t **order_out);
/* Sorts in place and keeps one of each. */
MUST_USE enum err name_set(struct arena *arena, struct slice *names, size_t *count);

#endif
