/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/transaction_batches.c: batches of tellers, and what a reader makes of a fetch: amounts, markers, and what it drops by
 * the aborted list, exactly as clients do. A record's value: "VALUE TOPIC-KEY PARTITION AMOUNT".
 */
#include "transaction.h"

#include "base/assert.h"
#include "protocol/generated/fetch_response.h"
#include "records/batch_builder.h"
#include "records/control_record.h"

#include <stdlib.h>

struct slice send_build(const struct send *send, const struct instance *instance,
                        const char *topic_key, struct arena *arena)
{
    struct batch_options options;
    struct batch_builder builder;
    CLEANUP(writer_release) struct writer out;
    struct slice built;
    enum err err;

    writer_init(&out, &heap_allocator, SIZE_MAX);
    batch_options_init(&options);
    options.producer_id = instance->producer_id;
    options.producer_epoch = instance->epoch;
    options.base_sequence = send->base_sequence;
    options.transactional = true;
    batch_builder_begin(&builder, &options, NULL, NULL, &out);
    for (int32_t i = 0; i < send->count; i++) {
        char key[16], value[160];
        struct batch_record record = {.timestamp = send->timestamp_ms};

        snprintf(key, sizeof key, "k%d", send->key >= 0 ? send->key : i);
        snprintf(value, sizeof value, "%lld %s %d %lld", (long long)(send->first_value + i),
                 topic_key, send->partition, (long long)send->amounts[i]);
        record.key = slice_from_text(key);
        record.value = slice_from_text(value);
        err = batch_builder_append(&builder, &record);
        ASSERT(err == OK);
    }
    err = batch_builder_finish(&builder, &built);
    ASSERT(err == OK);
    return arena_copy(arena, built);
}

/* ---- reading ---- */

/* False: not a record of this partition. */
static bool value_read(const struct record *record, const char *topic_key, int32_t partition,
                       int64_t *value_out, int64_t *amount_out)
{
    char text[160], expected[96];
    char *end;

    snprintf(text, sizeof text, "%.*s", (int)MIN(record->value.size_bytes, sizeof text - 1),
             (const char *)record->value.data);
    *value_out = strtoll(text, &end, 10);
    snprintf(expected, sizeof expected, " %s %d ", topic_key, partition);
    if (strncmp(end, expected, strlen(expected)) != 0)
        return false;
    *amount_out = strtoll(end + strlen(expected), NULL, 10);
    return true;
}

static bool marker_read(const struct record *record, struct history_batch *out)
{
    struct end_transaction_marker marker;

    out->marker = -1;
    if (end_transaction_marker_read(record->key, record->value, &marker) == OK)
        out->marker = marker.is_abort ? 0 : 1;
    return out->marker >= 0;
}

static bool records_read(struct slice batch, const struct batch_header *header,
                         const char *topic_key, int32_t partition, struct history_batch *out)
{
    struct record_walk walk;
    struct record record;
    bool more = true;

    out->is_empty = header->record_count == 0;
    if (out->is_empty)
        return true;
    if (record_walk_begin(&walk, header, batch_records(batch)) != OK)
        return false;
    for (int64_t i = 0; record_walk_next(&walk, &record, &more) == OK; i++) {
        int64_t value, amount;

        if (!more)
            return i == out->last_offset - out->base_offset + 1;
        if (out->is_control && !marker_read(&record, out))
            return false;
        if (out->is_control)
            continue;
        if (!value_read(&record, topic_key, partition, &value, &amount))
            return false;
        if (i == 0)
            out->first_value = value;
        else if (value != out->first_value + i)
            out->first_value = -1;
        out->amount += amount;
    }
    return false;
}

/* ---- the aborted list ---- */

struct filter {
    struct fetch_response_aborted_transaction *list; /* by first offset */
    int32_t count, next;
    int64_t *aborted; /* producers that are aborted here */
    size_t aborted_count;
};

static int by_first_offset(const void *left, const void *right)
{
    const struct fetch_response_aborted_transaction *a = left, *b = right;

    return (a->first_offset > b->first_offset) - (a->first_offset < b->first_offset);
}

static void filter_begin(struct filter *filter, const struct fetch_response_partition_data *data,
                         struct arena *arena)
{
    *filter = (struct filter){.count = MAX(data->aborted_transactions_count, 0)};
    filter->list = fetch_response_aborted_transaction_array(arena, (size_t)filter->count + 1);
    filter->aborted = ARENA_ARRAY(arena, int64_t, (size_t)filter->count + 1);
    if (filter->count > 0) {
        memcpy(filter->list, data->aborted_transactions,
               (size_t)filter->count * sizeof *filter->list);
        qsort(filter->list, (size_t)filter->count, sizeof *filter->list, by_first_offset);
    }
}

static bool filter_drops(struct filter *filter, const struct history_batch *batch)
{
    size_t at = 0;

    while (filter->next < filter->count &&
           filter->list[filter->next].first_offset <= batch->last_offset)
        filter->aborted[filter->aborted_count++] = filter->list[filter->next++].producer_id;
    while (at < filter->aborted_count && filter->aborted[at] != batch->producer_id)
        at++;
    if (at == filter->aborted_count)
        return false;
    if (batch->is_control && batch->marker == 0)
        filter->aborted[at] = filter->aborted[--filter->aborted_count];
    return batch->is_transactional && !batch->is_control;
}

void bank_batches_read(const struct fetch_response_partition_data *data, const char *topic_key,
                       int32_t partition, bool is_committed, struct arena *arena,
                       struct history_batch **out, size_t *count_out)
{
    struct slice batch, rest = data->records;
    struct filter filter;

    *out = arena_zeroed(arena, data->records.size_bytes / 61 + 1, sizeof **out);
    *count_out = 0;
    filter_begin(&filter, data, arena);
    while (rest.size_bytes > 0) {
        struct history_batch *own = &(*out)[*count_out];
        struct batch_header header;
        enum err err = batch_next(&rest, &batch);

        own->first_value = own->marker = -1;
        if (err == OK && batch.size_bytes == 0)
            break; /* cut off by the size that was asked for */
        ++*count_out;
        if (err != OK || batch_header_read(batch, &header) != OK)
            break; /* counted as one that is not valid */
        *own = (struct history_batch){.base_offset = header.base_offset,
                                      .last_offset = batch_last_offset(&header),
                                      .first_value = -1,
                                      .producer_id = header.producer_id,
                                      .base_sequence = header.base_sequence,
                                      .producer_epoch = header.producer_epoch,
                                      .crc = header.crc,
                                      .size_bytes = (int32_t)batch.size_bytes,
                                      .timestamp_ms = header.max_timestamp,
                                      .is_transactional = batch_is_transactional(&header),
                                      .is_control = batch_is_control(&header),
                                      .marker = -1};
        own->is_valid =
            batch_is_valid(batch) && records_read(batch, &header, topic_key, partition, own);
        own->is_aborted = is_committed && filter_drops(&filter, own);
    }
}
