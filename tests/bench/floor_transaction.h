/* SPDX-License-Identifier: Apache-2.0 */
/* The one thing that floor_broker.c remembers: which partitions the open transaction of a producer has, for whoever ends it
 * has to know where its markers go, whatever the connection. */
#ifndef BENCH_FLOOR_TRANSACTION_H
#define BENCH_FLOOR_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct floor_transaction {
    uint64_t producer_id; /* 1 and up */
    uint16_t epoch;
    uint32_t *partitions, count, room;
};

/* Of a producer that is new. */
struct floor_transaction *floor_transaction_new(void);
/* An id that was not given out ends the program. */
struct floor_transaction *floor_transaction_of(uint64_t producer_id);
/* True: it was not there yet. */
bool floor_transaction_add(struct floor_transaction *transaction, uint32_t partition);

#endif
