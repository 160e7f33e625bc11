/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/producer_internal.h: what producer_state.c and producer_update.c share. Private to
 * records.
 */
#ifndef RECORDS_PRODUCER_INTERNAL_H
#define RECORDS_PRODUCER_INTERNAL_H

#include "records/producer_state.h"

struct verification {
    struct hash_map_node node;
    int64_t producer_id;
    int64_t created_ms;
    uint64_t guard;
    int32_t lowest_sequence;
    int16_t epoch;
    bool supports_epoch_bump;
};

/* Also pending ones; NULL: none. */
struct producer_entry *producer_entry_find(const struct producer_state *state, int64_t producer_id);
/* A new pending entry in the map; NULL: out of memory. */
struct producer_entry *producer_entry_add(struct producer_state *state, int64_t producer_id);
void producer_entry_remove(struct producer_state *state, struct producer_entry *entry);
/* Room for `count` batches (at most PRODUCER_BATCHES_KEPT). */
MUST_USE enum err producer_entry_reserve(struct producer_state *state, struct producer_entry *entry,
                                         size_t count);
/* Room was reserved; the oldest leaves when full. */
void producer_entry_push(struct producer_entry *entry, const struct producer_batch *batch);

MUST_USE enum err transactions_reserve(struct allocator *allocator,
                                       struct producer_transactions *list, size_t more);
/* Keeps the order; room was reserved. */
void transactions_insert(struct producer_transactions *list, struct producer_transaction item);

struct verification *verification_find(const struct producer_state *state, int64_t producer_id);
void verification_remove(struct producer_state *state, struct verification *verification);

#endif
