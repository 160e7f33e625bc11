/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/transaction_index.c: aborted transactions whose marker lies in a segment (.txnindex).
 * Invariants  1. markers rise strictly.
 * Crash       entries at or above the recovery point are made anew from the log.
 * Threads     the segment's owner, or the job that has the log to itself.
 */
#include "storage/storage_internal.h"

#define TRANSACTION_INDEX_BYTES_MAX (1 * GIB)

void transaction_index_release(struct transaction_index *index)
{
    storage_free(index->items, index->capacity * sizeof *index->items);
    *index = (struct transaction_index){0};
}

void transaction_index_add(struct transaction_index *index,
                           const struct transaction_index_entry *entry)
{
    index->items =
        storage_grow(index->items, sizeof *index->items, &index->capacity, index->count + 1);
    index->items[index->count++] = *entry;
}

void transaction_index_cut(struct transaction_index *index, int64_t end_offset)
{
    for (size_t i = 0; i < index->count; i++) {
        if (index->items[i].last_offset >= end_offset) {
            index->count = i;
            break;
        }
    }
    index->written = MIN(index->written, index->count);
    index->promised = MIN(index->promised, index->count);
}

/* What no marker can have, whoever wrote it. */
static bool is_absurd(const struct transaction_index_entry *entry, int64_t base_offset,
                      int64_t end_offset)
{
    return entry->producer_id < 0 || entry->last_offset < base_offset ||
           entry->last_offset >= end_offset || entry->first_offset < 0 ||
           entry->first_offset > entry->last_offset || entry->last_stable_offset < 0 ||
           entry->last_stable_offset > entry->last_offset + 1;
}

enum err transaction_index_read(struct os *os, const char *path, int64_t base_offset,
                                int64_t end_offset, struct transaction_index *out)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice file;
    int64_t last_offset = -1;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    *out = (struct transaction_index){.known = true};
    err = os_read_whole(os, path, &arena, TRANSACTION_INDEX_BYTES_MAX, &file);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return err;
    if (file.size_bytes % TRANSACTION_INDEX_ENTRY_BYTES != 0)
        return ERR_CORRUPT;
    for (size_t at = 0; at < file.size_bytes; at += TRANSACTION_INDEX_ENTRY_BYTES) {
        struct transaction_index_entry entry;

        if (transaction_index_entry_read(file.data + at, &entry) != OK ||
            is_absurd(&entry, base_offset, end_offset) || entry.last_offset <= last_offset) {
            transaction_index_release(out);
            return ERR_CORRUPT;
        }
        transaction_index_add(out, &entry);
        last_offset = entry.last_offset;
    }
    out->written = out->count;
    return OK;
}
