/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_batch.c: what stays of one batch (§6.3 of the reference).
 *
 *   record  above what the map covers; or the newest of its key, and no tombstone whose time is over
 *   batch   verbatim if all stays and no delete horizon is due; else made anew under the same offsets, producer,
 *           sequence and codec; emptied if it is the last of a producer that is still known; or gone
 * A tombstone, or the marker of a transaction of which nothing is left, gets its delete horizon the first time
 * that a pass meets it; it goes when a later pass meets it past the horizon (KIP-534).
 * Threads     one at a time.
 */
#include "storage/cleaner.h"

#include "records/batch_builder.h"
#include "records/record.h"

#define INFLATED_BYTES_MAX ((size_t)2147483639) /* Kafka's largest record array */

enum err clean_records(struct clean_scratch *scratch, const struct batch_header *header,
                       struct slice batch, struct slice *out)
{
    *out = batch_records(batch);
    if (batch_codec(header) == COMPRESSION_NONE)
        return OK;
    writer_reset(&scratch->inflated);
    TRY(record_inflate(scratch->compress, batch, INFLATED_BYTES_MAX, &scratch->inflated));
    *out = writer_slice(&scratch->inflated);
    return writer_error(&scratch->inflated);
}

static const struct clean_producer *producer_find(const struct clean_rules *rules,
                                                  int64_t producer_id)
{
    size_t low = 0;
    size_t high = rules->producer_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (rules->producers[middle].producer_id == producer_id)
            return &rules->producers[middle];
        if (rules->producers[middle].producer_id < producer_id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Does the batch stay, if empty: what its header says is needed? */
static bool header_is_needed(const struct clean_rules *rules, const struct batch_header *header)
{
    const struct clean_producer *producer;

    if (batch_next_offset(header) == rules->high_watermark)
        return true;
    if (!batch_has_producer(header))
        return false;
    producer = producer_find(rules, header->producer_id);
    if (!producer)
        return false;
    if (producer->last_offset >= 0)
        return batch_last_offset(header) == producer->last_offset;
    return batch_is_control(header) && header->producer_epoch == producer->epoch;
}

struct batch_census {
    int32_t kept;
    bool has_tombstone; /* among those kept */
};

/* A record that was read, and whose key was asked for; what has to be known of it. */
struct judged {
    struct key_hash hash;
    int64_t offset;
    bool has_key;
    bool has_value;
};
struct judged_ahead {
    struct judged items[KEYS_AHEAD];
    size_t from, count;
};

static bool record_stays(const struct clean_rules *rules, const struct batch_header *header,
                         const struct judged *record)
{
    if (batch_is_control(header) || record->offset > rules->latest_offset)
        return true;
    if (!record->has_key || record->offset < key_map_get(rules->keys, record->hash))
        return false;
    return record->has_value || !batch_has_delete_horizon(header) ||
           rules->now_ms < header->base_timestamp;
}

/* The oldest of those ahead. */
static void judge_one(const struct clean_rules *rules, struct clean_scratch *scratch,
                      const struct batch_header *header, struct judged_ahead *ahead,
                      struct batch_census *census)
{
    const struct judged *record = &ahead->items[ahead->from];
    bool stays = record_stays(rules, header, record);

    writer_u8(&scratch->keeps, stays);
    census->kept += stays;
    census->has_tombstone |= stays && !record->has_value;
    ahead->from = (ahead->from + 1) % KEYS_AHEAD;
    ahead->count--;
}

static enum err records_judge(const struct clean_rules *rules, struct clean_scratch *scratch,
                              const struct batch_header *header, struct slice records,
                              struct batch_census *census)
{
    struct judged_ahead ahead = {.count = 0};
    struct record_walk walk;
    struct record record;
    bool more;

    *census = (struct batch_census){0};
    writer_reset(&scratch->keeps);
    TRY(record_walk_begin(&walk, header, records));
    for (;;) {
        struct judged *next;

        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            break;
        if (ahead.count == KEYS_AHEAD)
            judge_one(rules, scratch, header, &ahead, census);
        next = &ahead.items[(ahead.from + ahead.count++) % KEYS_AHEAD];
        *next = (struct judged){.offset = record.offset,
                                .has_key = !slice_is_null(record.key),
                                .has_value = !slice_is_null(record.value)};
        if (next->has_key && !batch_is_control(header))
            next->hash = key_map_hash(rules->keys, record.key);
    }
    while (ahead.count > 0)
        judge_one(rules, scratch, header, &ahead, census);
    return writer_error(&scratch->keeps);
}

static void header_alone_write(const struct batch_header *header, struct writer *out)
{
    struct batch_header empty = *header;
    uint8_t *bytes = writer_reserve(out, BATCH_HEADER_BYTES);

    if (!bytes)
        return;
    empty.batch_length = BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES;
    empty.attributes &=
        (uint8_t) ~(unsigned)(BATCH_ATTRIBUTE_CODEC | BATCH_ATTRIBUTE_DELETE_HORIZON);
    empty.base_timestamp = TIMESTAMP_NONE;
    empty.record_count = 0;
    batch_header_write(&empty, bytes, BATCH_HEADER_BYTES);
}

/* What the builder takes for granted; a batch from a disk may break it. */
static bool header_can_be_built(const struct batch_header *header)
{
    if (!batch_has_producer(header))
        return !batch_is_transactional(header);
    return header->producer_epoch != PRODUCER_EPOCH_NONE &&
           (batch_is_control(header) || header->base_sequence >= 0);
}

static enum err batch_rebuild(struct clean_scratch *scratch, const struct batch_header *header,
                              struct slice records, bool has_horizon, int64_t horizon_ms,
                              struct writer *out)
{
    struct batch_options options;
    struct batch_builder builder;
    struct record_walk walk;
    struct record record;
    const uint8_t *keeps = scratch->keeps.data;
    bool more;

    if (!header_can_be_built(header))
        return ERR_INVALID_RECORD;
    batch_options_init(&options);
    options.base_offset = header->base_offset;
    options.leader_epoch = header->leader_epoch;
    options.codec = (enum compression)batch_codec(header);
    options.level = compression_level_default(options.codec);
    options.producer_id = header->producer_id;
    options.producer_epoch = header->producer_epoch;
    options.base_sequence = header->base_sequence;
    options.transactional = batch_is_transactional(header);
    options.control = batch_is_control(header);
    options.log_append_time = batch_is_log_append_time(header);
    options.log_append_time_ms = header->max_timestamp;
    options.has_delete_horizon = has_horizon;
    options.delete_horizon_ms = horizon_ms;
    batch_builder_begin(&builder, &options, scratch->compress, &scratch->plain, out);
    TRY(record_walk_begin(&walk, header, records));
    for (;;) {
        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            break;
        if (*keeps++)
            TRY(batch_builder_append_walked(&builder, record.offset, &record));
    }
    return batch_builder_finish_at(&builder, batch_last_offset(header), NULL);
}

enum err clean_batch(const struct clean_rules *rules, struct clean_scratch *scratch,
                     const struct batch_header *header, struct slice batch, bool discard,
                     struct writer *out, enum clean_verdict *verdict_out)
{
    bool is_control = batch_is_control(header);
    bool has_horizon = batch_has_delete_horizon(header);
    bool needed = header_is_needed(rules, header);
    bool gone =
        discard && (!is_control || (has_horizon && header->base_timestamp <= rules->now_ms));
    struct batch_census census = {0};
    struct slice records = SLICE_EMPTY;
    int64_t horizon_ms;
    bool first_horizon;

    *verdict_out = CLEAN_DROPPED;
    if (gone && !needed)
        return OK;
    if (!gone && header->record_count > 0) {
        TRY(clean_records(scratch, header, batch, &records));
        TRY(records_judge(rules, scratch, header, records, &census));
    }
    if (census.kept == 0) {
        if (!needed)
            return OK;
        *verdict_out = header->record_count == 0 ? CLEAN_VERBATIM : CLEAN_REWRITTEN;
        header_alone_write(header, out);
        return writer_error(out);
    }
    if (__builtin_add_overflow(rules->now_ms, rules->delete_retention_ms, &horizon_ms))
        horizon_ms = INT64_MAX;
    first_horizon = !has_horizon && (census.has_tombstone || (is_control && discard));
    if (census.kept == header->record_count && !first_horizon) {
        *verdict_out = CLEAN_VERBATIM;
        writer_bytes(out, batch.data, batch.size_bytes);
        return writer_error(out);
    }
    *verdict_out = CLEAN_REWRITTEN;
    return batch_rebuild(scratch, header, records, has_horizon || first_horizon,
                         first_horizon ? horizon_ms : header->base_timestamp, out);
}
