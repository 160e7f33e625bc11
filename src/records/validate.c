/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/validate.c: the leader's checks of a batch and what it rewrites.
 * Invariants  1. every record is looked at, so that every bad one is told.
 *             2. bytes change only after all checks have passed.
 *             3. a compressed batch that stays as it is costs one piece of memory, whatever it
 *                inflates to.
 */
#include "records/validate_internal.h"

#include "base/assert.h"
#include "records/batch_builder.h"
#include "records/record.h"
#include "records/records_internal.h"

void validate_config_init(struct validate_config *config)
{
    *config = (struct validate_config){
        .compression_type = VALIDATE_COMPRESSION_PRODUCER,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .message_bytes_max = 1048588,
        .inflated_bytes_max = INT32_MAX - 8,
        .inflated_batch_bytes_max = (int64_t)GIB,
    };
    for (int kind = 0; kind < COMPRESSION_COUNT; kind++)
        config->compression_level[kind] = compression_level_default((enum compression)kind);
}

static enum err numbers_check(const struct validation *v)
{
    const struct batch_header *header = &v->header;
    int64_t range = (int64_t)header->last_offset_delta + 1;

    if (range <= 0)
        return why_set(v->why, ERR_INVALID_RECORD, "last offset delta %d is negative",
                       header->last_offset_delta);
    if (header->record_count <= 0)
        return why_set(v->why, ERR_INVALID_RECORD, "record count %d", header->record_count);
    if (header->record_count != range)
        return why_set(v->why, ERR_INVALID_RECORD, "%d records in a range of %lld offsets",
                       header->record_count, (long long)range);
    if (v->origin != APPEND_ORIGIN_CLIENT)
        return OK;
    if (batch_is_control(header))
        return why_set(v->why, ERR_INVALID_RECORD, "clients may not write control records");
    if (batch_has_producer(header) && header->base_sequence < 0)
        return why_set(v->why, ERR_INVALID_RECORD, "sequence %d of producer %lld",
                       header->base_sequence, (long long)header->producer_id);
    return OK;
}

static enum err batch_check(const struct validation *v)
{
    const struct batch_header *header = &v->header;
    enum err err;

    if (v->info->batch_count != 1)
        return why_set(v->why, ERR_INVALID_RECORD, "%u batches instead of one",
                       v->info->batch_count);
    if (header->magic != BATCH_MAGIC)
        return why_set(v->why, ERR_INVALID_RECORD, "magic %d instead of %d", header->magic,
                       BATCH_MAGIC);
    err = numbers_check(v);
    v->info->has_invalid_numbers = err != OK;
    return err;
}

/* ---- what comes out ---- */

static void stamp_in_place(struct validation *v, uint8_t *bytes)
{
    bool append_time = v->config->log_append_time;
    int64_t max_timestamp = append_time ? v->now_ms : v->max_timestamp;

    batch_set_max_timestamp(bytes, v->batch.size_bytes, append_time, max_timestamp);
    v->info->max_timestamp = max_timestamp;
}

static void rebuild_options(const struct validation *v, enum compression target,
                            struct batch_options *options)
{
    batch_options_init(options);
    options->leader_epoch = v->header.leader_epoch;
    options->codec = target;
    options->level = v->config->compression_level[target];
    options->producer_id = v->header.producer_id;
    options->producer_epoch = v->header.producer_epoch;
    options->base_sequence = v->header.base_sequence;
    options->transactional = batch_is_transactional(&v->header);
    options->log_append_time = v->config->log_append_time;
    options->log_append_time_ms = v->now_ms;
}

/* What no builder can take although header checks let it pass: Kafka fails on these untyped. */
static bool producer_fields_are_usable(const struct batch_header *header)
{
    if (!batch_has_producer(header))
        return !batch_is_transactional(header);
    return header->producer_epoch != PRODUCER_EPOCH_NONE && header->base_sequence >= 0;
}

static enum err records_rebuild(struct validation *v, struct slice records, enum compression target,
                                struct writer *scratch, struct slice *rebuilt_out)
{
    struct batch_options options;
    struct batch_builder builder;
    struct record_walk walk;
    struct record record;
    int64_t offset = 0;
    bool more;
    enum err err;

    rebuild_options(v, target, &options);
    batch_builder_begin(&builder, &options, v->context, scratch, v->out);
    err = record_walk_begin(&walk, &v->header, records);
    ASSERT(err == OK); /* batch_check has seen the count */
    for (;;) {
        TRY(record_walk_next(&walk, &record, &more)); /* stricter than what a stream is held to */
        if (!more)
            break;
        TRY(batch_builder_append_walked(&builder, offset++, &record));
    }
    return batch_builder_finish(&builder, rebuilt_out);
}

static enum err rebuilt_check(struct validation *v, struct slice rebuilt)
{
    struct batch_header header;
    enum err err;

    if (rebuilt.size_bytes > (size_t)v->config->message_bytes_max)
        return why_set(v->why, ERR_MESSAGE_TOO_LARGE,
                       "batch of %zu bytes after recompression, max.message.bytes is %d",
                       rebuilt.size_bytes, v->config->message_bytes_max);
    err = batch_header_read(rebuilt, &header);
    ASSERT(err == OK); /* we made it */
    v->info->max_timestamp = header.max_timestamp;
    v->info->valid_bytes = rebuilt.size_bytes;
    v->info->first = header;
    return OK;
}

static enum err rebuild(struct validation *v, struct slice records, enum compression target,
                        struct slice *rebuilt_out)
{
    struct writer scratch;
    size_t before = v->out->size_bytes;
    enum err err;

    if (!producer_fields_are_usable(&v->header))
        return why_set(v->why, ERR_UNKNOWN_SERVER_ERROR,
                       "producer fields of the batch contradict each other");
    writer_init(&scratch, v->out->allocator, SIZE_MAX);
    err = records_rebuild(v, records, target, &scratch, rebuilt_out);
    writer_release(&scratch);
    if (err == OK)
        err = rebuilt_check(v, *rebuilt_out);
    else if (err != ERR_NO_MEMORY) /* a timestamp below -1, a batch beyond 2 GiB */
        err = why_set(v->why, ERR_UNKNOWN_SERVER_ERROR, "the batch cannot be built anew");
    if (err != OK) {
        *rebuilt_out = SLICE_NULL;
        if (v->out->err == OK)
            v->out->size_bytes = before;
    }
    return err;
}

/* The whole section in memory: the way of a batch that must get another codec or denser offsets. */
static enum err inflate_and_rebuild(struct validation *v, enum compression target, bool is_checked,
                                    struct slice *rebuilt_out)
{
    struct writer inflated;
    enum err err;

    writer_init(&inflated, v->out->allocator, SIZE_MAX);
    err = record_inflate(v->context, v->batch, (size_t)v->config->inflated_batch_bytes_max,
                         &inflated);
    if (err != OK)
        err = validation_fault(v, err);
    if (err == OK && !is_checked)
        err = validation_check_plain(v, writer_slice(&inflated), v->config->inflated_bytes_max);
    if (err == OK)
        err = rebuild(v, writer_slice(&inflated), target, rebuilt_out);
    writer_release(&inflated);
    return err;
}

static enum err compressed_validate(struct validation *v, enum compression source,
                                    enum compression target, uint8_t *bytes,
                                    struct slice *rebuilt_out)
{
    bool keep = source == target ||
                /* Markers are written plain and stay so. */
                (source == COMPRESSION_NONE && batch_is_control(&v->header));

    if (source == COMPRESSION_NONE) {
        TRY(validation_check_plain(v, batch_records(v->batch), INT32_MAX));
        if (!keep)
            return rebuild(v, batch_records(v->batch), target, rebuilt_out);
    } else if (!keep) {
        return inflate_and_rebuild(v, target, false, rebuilt_out);
    } else {
        TRY(validation_check_stream(v));
        if (!v->offsets_are_dense)
            return inflate_and_rebuild(v, target, true, rebuilt_out);
    }
    stamp_in_place(v, bytes);
    return OK;
}

enum err append_validate(const struct validate_config *config, enum append_origin origin,
                         int64_t now_ms, uint8_t *bytes, struct compress_context *context,
                         struct arena *arena, struct writer *out, struct append_info *info,
                         struct slice *rebuilt_out, struct why *why)
{
    struct validation v = {
        .config = config,
        .origin = origin,
        .now_ms = now_ms,
        .header = info->first,
        .batch = slice_of(bytes, info->valid_bytes),
        .context = context,
        .arena = arena,
        .out = out,
        .info = info,
        .why = why,
        .max_timestamp = TIMESTAMP_NONE,
        .offsets_are_dense = true,
    };
    enum compression source, target;

    ASSERT(origin == APPEND_ORIGIN_CLIENT || origin == APPEND_ORIGIN_COORDINATOR);
    ASSERT(info->valid_bytes > 0);
    *rebuilt_out = SLICE_NULL;
    TRY(batch_check(&v));
    source = (enum compression)batch_codec(&v.header);
    target = config->compression_type == VALIDATE_COMPRESSION_PRODUCER
                 ? source
                 : (enum compression)config->compression_type;
    if (source == COMPRESSION_NONE && target == COMPRESSION_NONE) {
        TRY(validation_check_plain(&v, batch_records(v.batch), INT32_MAX));
        stamp_in_place(&v, bytes);
    } else {
        TRY(compressed_validate(&v, source, target, bytes, rebuilt_out));
    }
    if (config->log_append_time)
        info->log_append_time = now_ms;
    return OK;
}
