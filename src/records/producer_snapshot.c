/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/producer_snapshot.c: the bytes of <offset>.snapshot and of entries of <base>.txnindex.
 *   version i16 = 1 | crc u32 over what follows | count i32 | entries of 46 bytes
 * Kafka keeps the last batch of each producer alone.
 */
#include "base/assert.h"
#include "base/bug.h"
#include "records/crc32c.h"
#include "records/producer_internal.h"
#include "records/records_internal.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_AT_CRC 2
#define SNAPSHOT_AT_COUNT 6

static void entry_write(const struct producer_entry *entry, struct writer *out)
{
    const struct producer_batch *last =
        entry->batch_count == 0 ? NULL : &entry->batches[entry->batch_count - 1];

    writer_i64(out, entry->producer_id);
    writer_i16(out, entry->epoch);
    writer_i32(out, last ? last->last_sequence : SEQUENCE_NONE);
    writer_i64(out, last ? last->last_offset : -1);
    writer_i32(out, last ? last->offset_delta : 0);
    writer_i64(out, entry->last_timestamp);
    writer_i32(out, entry->coordinator_epoch);
    writer_i64(out, entry->transaction_first_offset);
}

enum err producer_snapshot_write(const struct producer_state *state, struct writer *out)
{
    size_t start = out->size_bytes;
    uint32_t crc;

    writer_i16(out, SNAPSHOT_VERSION);
    writer_u32(out, 0); /* the CRC, when it is known */
    writer_i32(out, (int32_t)producer_state_count(state));
    for (const struct producer_entry *entry = producer_state_next(state, NULL); entry;
         entry = producer_state_next(state, entry))
        entry_write(entry, out);
    TRY(writer_error(out));
    crc = crc32c(slice_sub(writer_slice(out), start + SNAPSHOT_AT_COUNT, SIZE_MAX));
    writer_patch_u32(out, start + SNAPSHOT_AT_CRC, crc);
    return OK;
}

static enum err snapshot_check(struct slice file, int32_t *count_out, struct why *why)
{
    int16_t version;
    uint32_t crc, computed;

    if (file.size_bytes < PRODUCER_SNAPSHOT_HEADER_BYTES)
        return why_set(why, ERR_CORRUPT, "a producer snapshot of %zu bytes", file.size_bytes);
    version = (int16_t)get_u16(file.data);
    crc = get_u32(file.data + SNAPSHOT_AT_CRC);
    *count_out = (int32_t)get_u32(file.data + SNAPSHOT_AT_COUNT);
    if (version != SNAPSHOT_VERSION)
        return why_set(why, ERR_CORRUPT, "producer snapshot version %d", version);
    computed = crc32c(slice_sub(file, SNAPSHOT_AT_COUNT, SIZE_MAX));
    if (crc != computed && !BUG_IS(snapshot_not_synced))
        return why_set(why, ERR_CORRUPT, "producer snapshot crc %08x, computed %08x", crc,
                       computed);
    if (*count_out < 0 || (size_t)*count_out > (file.size_bytes - PRODUCER_SNAPSHOT_HEADER_BYTES) /
                                                   PRODUCER_SNAPSHOT_ENTRY_BYTES)
        return why_set(why, ERR_CORRUPT, "producer snapshot counts %d entries in %zu bytes",
                       *count_out, file.size_bytes);
    return OK;
}

struct snapshot_entry {
    int64_t producer_id;
    int16_t epoch;
    struct producer_batch last;
    int32_t coordinator_epoch;
    int64_t transaction_first_offset;
};

/* From PRODUCER_SNAPSHOT_ENTRY_BYTES bytes. */
static struct snapshot_entry entry_read(const uint8_t *at)
{
    return (struct snapshot_entry){
        .producer_id = (int64_t)get_u64(at),
        .epoch = (int16_t)get_u16(at + 8),
        .last = {.last_sequence = (int32_t)get_u32(at + 10),
                 .last_offset = (int64_t)get_u64(at + 14),
                 .offset_delta = (int32_t)get_u32(at + 22),
                 .timestamp = (int64_t)get_u64(at + 26)},
        .coordinator_epoch = (int32_t)get_u32(at + 34),
        .transaction_first_offset = (int64_t)get_u64(at + 38),
    };
}

/* Takes an earlier transaction of the same producer off the list: the later entry wins. */
static void entry_forget(struct producer_state *state, struct producer_entry *entry)
{
    struct producer_transactions *ongoing = &state->ongoing;
    size_t kept = 0;

    for (size_t i = 0; i < ongoing->count; i++)
        if (ongoing->items[i].producer_id != entry->producer_id)
            ongoing->items[kept++] = ongoing->items[i];
    ongoing->count = kept;
    producer_entry_remove(state, entry);
}

static enum err entry_load(struct producer_state *state, const struct snapshot_entry *from)
{
    struct producer_entry *entry = producer_entry_find(state, from->producer_id);

    if (entry)
        entry_forget(state, entry);
    TRY(transactions_reserve(state->allocator, &state->ongoing, 1));
    entry = producer_entry_add(state, from->producer_id);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->is_pending = false;
    state->pending_count--;
    entry->epoch = from->epoch;
    entry->coordinator_epoch = from->coordinator_epoch;
    entry->last_timestamp = from->last.timestamp;
    if (from->last.last_offset >= 0) {
        TRY(producer_entry_reserve(state, entry, 1));
        producer_entry_push(entry, &from->last);
    }
    if (from->transaction_first_offset >= 0) {
        entry->transaction_first_offset = from->transaction_first_offset;
        transactions_insert(&state->ongoing, (struct producer_transaction){
                                                 .first_offset = from->transaction_first_offset,
                                                 .last_offset = -1,
                                                 .producer_id = from->producer_id,
                                             });
    }
    return OK;
}

enum err producer_snapshot_read(struct producer_state *state, struct slice file, int64_t end_offset,
                                int64_t now_ms, int64_t expiration_ms, struct why *why)
{
    const uint8_t *at = file.data + PRODUCER_SNAPSHOT_HEADER_BYTES;
    int32_t count = 0;
    enum err err;

    ASSERT(state->pending_count == 0);
    producer_state_clear(state, end_offset);
    err = snapshot_check(file, &count, why);
    for (int32_t i = 0; err == OK && i < count; i++, at += PRODUCER_SNAPSHOT_ENTRY_BYTES) {
        struct snapshot_entry entry = entry_read(at);

        if (entry.transaction_first_offset < 0 &&
            wrap_subtract(now_ms, entry.last.timestamp) >= expiration_ms)
            continue;
        err = entry_load(state, &entry);
    }
    if (err != OK)
        producer_state_clear(state, end_offset);
    return err;
}

/* ---- transaction index ---- */

void transaction_index_entry_write(const struct transaction_index_entry *entry,
                                   uint8_t out[TRANSACTION_INDEX_ENTRY_BYTES])
{
    put_u16(out, (uint16_t)entry->version);
    put_u64(out + 2, (uint64_t)entry->producer_id);
    put_u64(out + 10, (uint64_t)entry->first_offset);
    put_u64(out + 18, (uint64_t)entry->last_offset);
    put_u64(out + 26, (uint64_t)entry->last_stable_offset);
}

enum err transaction_index_entry_read(const uint8_t bytes[TRANSACTION_INDEX_ENTRY_BYTES],
                                      struct transaction_index_entry *out)
{
    *out = (struct transaction_index_entry){
        .version = (int16_t)get_u16(bytes),
        .producer_id = (int64_t)get_u64(bytes + 2),
        .first_offset = (int64_t)get_u64(bytes + 10),
        .last_offset = (int64_t)get_u64(bytes + 18),
        .last_stable_offset = (int64_t)get_u64(bytes + 26),
    };
    return out->version == 0 ? OK : ERR_CORRUPT;
}
