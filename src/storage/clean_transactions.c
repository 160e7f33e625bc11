/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_transactions.c: what a cleaning pass knows of transactions while it reads batches in order: which
 * data was aborted, and which markers stand for transactions of which nothing is left.
 * Invariants  1. every transaction below the first uncleanable offset is decided: that offset is never above the
 *                last stable one. So data of a producer that no entry names was committed.
 *             2. a marker is needed as long as a batch of its transaction was seen in the same pass: such a batch
 *                may still be in the log, or was dropped by this pass, which may not be finished.
 * Threads     one at a time.
 */
#include "storage/cleaner.h"

#include "records/control_record.h"
#include "records/record.h"

struct seen_producer {
    struct hash_map_node node;
    int64_t producer_id;
    struct transaction_index_entry entry;
    bool is_aborting; /* inside the transaction of `entry` */
    bool has_batch;   /* of that one */
    bool has_committed;
};

static bool seen_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, struct seen_producer, node)->producer_id == *(const int64_t *)key;
}

void clean_transactions_init(struct clean_transactions *transactions,
                             const struct transaction_index_entry *aborted, size_t count,
                             int64_t from_offset)
{
    *transactions = (struct clean_transactions){
        .aborted = aborted, .aborted_count = count, .from_offset = from_offset};
    hash_map_init(&transactions->producers, &heap_allocator, seen_matches);
}

void clean_transactions_release(struct clean_transactions *transactions)
{
    HASH_MAP_EACH_SAFE (node, &transactions->producers) {
        struct seen_producer *seen = HASH_MAP_ITEM(node, struct seen_producer, node);

        hash_map_remove(&transactions->producers, &seen->node);
        STORAGE_DELETE(seen);
    }
    hash_map_release(&transactions->producers);
}

static struct seen_producer *seen_find(struct clean_transactions *transactions, int64_t producer_id)
{
    struct hash_map_node *node =
        hash_map_find(&transactions->producers, hash_u64((uint64_t)producer_id), &producer_id);

    return node ? CONTAINER_OF(node, struct seen_producer, node) : NULL;
}

static enum err seen_get(struct clean_transactions *transactions, int64_t producer_id,
                         struct seen_producer **out)
{
    struct seen_producer *seen = seen_find(transactions, producer_id);
    enum err err;

    if (!seen) {
        seen = STORAGE_NEW(struct seen_producer);
        seen->producer_id = producer_id;
        err =
            hash_map_insert(&transactions->producers, hash_u64((uint64_t)producer_id), &seen->node);
        if (err != OK) {
            STORAGE_DELETE(seen);
            return err;
        }
    }
    *out = seen;
    return OK;
}

/* Transactions that began at or below the offset are under way from here on. */
static enum err aborted_meet(struct clean_transactions *transactions, int64_t offset)
{
    while (transactions->next < transactions->aborted_count &&
           transactions->aborted[transactions->next].first_offset <= offset) {
        const struct transaction_index_entry *entry = &transactions->aborted[transactions->next++];
        struct seen_producer *seen;

        if (entry->last_offset < transactions->from_offset)
            continue;
        TRY(seen_get(transactions, entry->producer_id, &seen));
        if (seen->is_aborting)
            continue;
        seen->entry = *entry;
        seen->is_aborting = true;
        seen->has_batch = false;
    }
    return OK;
}

static enum err marker_see(struct clean_transactions *transactions,
                           const struct batch_header *header, struct slice batch,
                           struct transaction_index *kept, bool *discard_out)
{
    struct seen_producer *seen = seen_find(transactions, header->producer_id);
    struct record_walk walk;
    struct record record;
    enum control_type type;
    bool more;

    *discard_out = true; /* emptied already */
    if (header->record_count == 0)
        return OK;
    if (batch_codec(header) != COMPRESSION_NONE)
        return ERR_INVALID_RECORD;
    TRY(record_walk_begin(&walk, header, batch_records(batch)));
    TRY(record_walk_next(&walk, &record, &more));
    if (!more)
        return OK;
    TRY(control_key_read(record.key, &type));
    if (type == CONTROL_ABORT) {
        *discard_out = !(seen && seen->is_aborting && seen->has_batch);
        if (!*discard_out && kept)
            transaction_index_add(kept, &seen->entry);
        if (seen)
            seen->is_aborting = false;
    } else if (type == CONTROL_COMMIT) {
        *discard_out = !(seen && seen->has_committed);
        if (seen)
            seen->has_committed = false;
    } else {
        *discard_out = false;
    }
    return OK;
}

enum err clean_transactions_see(struct clean_transactions *transactions,
                                const struct batch_header *header, struct slice batch,
                                struct transaction_index *kept, bool *discard_out)
{
    struct seen_producer *seen;

    *discard_out = false;
    TRY(aborted_meet(transactions, batch_last_offset(header)));
    if (batch_is_control(header))
        return marker_see(transactions, header, batch, kept, discard_out);
    if (!batch_is_transactional(header))
        return OK;
    TRY(seen_get(transactions, header->producer_id, &seen));
    if (seen->is_aborting) {
        seen->has_batch = true;
        *discard_out = true;
    } else {
        seen->has_committed = true;
    }
    return OK;
}
