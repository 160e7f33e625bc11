/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/controller_submit.c: the records of one controller operation become batches of the log.
 * Invariants  1. an atomic list is one batch; another may be cut, at most CONTROLLER_RECORDS_MAX
 *                records and as many bytes as raft and a segment take.
 *             2. what raft took is replayed in the controller at once, at the offset that raft
 *                gave.
 *             3. what raft refused left no trace.
 */
#include "server/quorum_internal.h"

struct cutting {
    struct quorum *quorum;
    const struct controller_result *result;
    size_t from;  /* the first record of the batch */
    size_t count; /* of records in it */
    int64_t now_ms;
    size_t bytes_max; /* of a batch */
    struct writer bytes;
    struct writer value;
    struct batch_builder builder;
};

/* Appends records until the list ends or the batch is full. */
static enum err batch_fill(struct cutting *cutting)
{
    const struct metadata_record_list *records = &cutting->result->records;
    bool may_cut = !cutting->result->atomic;

    for (cutting->count = 0; cutting->from + cutting->count < records->count; cutting->count++) {
        struct batch_record record = {.timestamp = cutting->now_ms};
        size_t size_bytes;

        writer_reset(&cutting->value);
        TRY(metadata_record_encode(&records->items[cutting->from + cutting->count],
                                   &cutting->value));
        record.value = writer_slice(&cutting->value);
        size_bytes = batch_builder_size_bytes(&cutting->builder) + RECORD_OVERHEAD_BYTES_MAX +
                     record.value.size_bytes;
        if (may_cut && cutting->count > 0 &&
            (size_bytes > cutting->bytes_max || cutting->count == CONTROLLER_RECORDS_MAX))
            return OK;
        TRY(batch_builder_append(&cutting->builder, &record));
    }
    return OK;
}

static enum err batch_make(struct cutting *cutting, struct quorum_batch **out)
{
    struct batch_options options;
    struct quorum_batch *batch;

    batch_options_init(&options);
    batch_builder_begin(&cutting->builder, &options, NULL, NULL, &cutting->bytes);
    TRY(batch_fill(cutting));
    TRY(batch_builder_finish(&cutting->builder, NULL));
    batch = SERVER_NEW(struct quorum_batch);
    list_init(&batch->node);
    batch->quorum = cutting->quorum;
    batch->record_count = (int32_t)cutting->count;
    batch->data = writer_take(&cutting->bytes, &batch->size_bytes, &batch->capacity_bytes);
    *out = batch;
    return OK;
}

static enum err batch_submit(struct cutting *cutting, struct why *why)
{
    struct quorum *quorum = cutting->quorum;
    struct metadata_record_list part = {.items = cutting->result->records.items + cutting->from,
                                        .count = 0};
    struct quorum_batch *batch;
    int64_t base_offset;
    enum err err = batch_make(cutting, &batch);

    if (err != OK)
        return why_set(why, err, "the records cannot be encoded: %s", err_text(err));
    part.count = cutting->count;
    if (batch->size_bytes > cutting->bytes_max) {
        quorum_batch_free(batch);
        return why_set(why, ERR_RECORD_LIST_TOO_LARGE,
                       "The operation needs more records than one batch can hold.");
    }
    err = quorum_feed_submit(quorum, batch, &base_offset);
    if (err != OK) {
        quorum_batch_free(batch);
        return err;
    }
    err = controller_replay(quorum->run.controller, &part, base_offset, cutting->now_ms, why);
    if (err != OK)
        quorum_fail(quorum, err, "the controller cannot replay its own records at offset %lld: %s",
                    (long long)base_offset, why->text);
    return err;
}

static size_t batch_bytes_max(const struct quorum *quorum)
{
    const struct config *config = quorum->node->boot_config;
    int64_t bytes_max = config_long(config, BROKER_INTERNAL_METADATA_MAX_BATCH_SIZE_IN_BYTES);

    bytes_max = MIN(bytes_max, (int64_t)RAFT_BATCH_BYTES_MAX);
    return (size_t)MIN(bytes_max, (int64_t)log_config_of(quorum->log)->segment_bytes);
}

enum err controller_submit(struct quorum *quorum, const struct controller_result *result,
                           struct why *why)
{
    struct cutting cutting = {.quorum = quorum, .result = result};
    enum err err = OK;

    cutting.now_ms = reactor_wall_ms(quorum->reactor);
    cutting.bytes_max = batch_bytes_max(quorum);
    writer_init(&cutting.value, &heap_allocator, SIZE_MAX);
    while (err == OK && cutting.from < result->records.count) {
        writer_init(&cutting.bytes, &heap_allocator, SIZE_MAX);
        err = batch_submit(&cutting, why);
        writer_release(&cutting.bytes);
        cutting.from += cutting.count;
    }
    writer_release(&cutting.value);
    return err;
}
