/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes through everything that reads batches: framing, records, the leader's checks, producer
 * state, snapshots. Input: one byte of settings, then the bytes of a partition. The CRC of the
 * first batch is made true before the leader's checks, so that they see more than its mismatch; what
 * they say is held against the slow reader of tests/unit/records/record_oracle.h.
 */
#include "../unit/records/record_oracle.h"

#include "base/assert.h"
#include "records/control_record.h"
#include "records/crc32c.h"
#include "records/record.h"
#include "records/validate.h"

#include <stdlib.h>

#define INFLATE_BYTES_MAX 200000
#define NOW_MS 1700000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void records_walk(struct compress_context *context, struct slice batch)
{
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    struct writer plain;
    bool more;

    if (batch_header_read(batch, &header) != OK || header.magic != BATCH_MAGIC)
        return;
    writer_init(&plain, &heap_allocator, SIZE_MAX);
    if (record_inflate(context, batch, INFLATE_BYTES_MAX, &plain) == OK &&
        record_walk_begin(&walk, &header, writer_slice(&plain)) == OK)
        while (record_walk_next(&walk, &record, &more) == OK && more) {
            enum control_type type;

            for (struct slice rest = record.headers; rest.size_bytes > 0;)
                record_header_next(&rest);
            (void)!control_key_read(record.key, &type);
        }
    writer_release(&plain);
}

static void producers_feed(struct producer_state *state, struct slice batch)
{
    struct producer_append append;
    struct producer_update update;

    if (producer_append_read(batch, &append) != OK)
        return;
    producer_update_begin(&update, state, APPEND_ORIGIN_REPLICATION);
    if (producer_update_add(&update, &append, NULL) == OK)
        producer_update_apply(&update);
    producer_update_discard(&update);
}

/* What can be inflated of a batch, as the pieces come, and why there is no more. */
static enum err inflate(struct compress_context *context, const struct batch_header *header,
                        struct slice in, struct writer *out)
{
    struct slice piece;

    TRY(decompress_begin(context, (enum compression)batch_codec(header), in, INFLATE_BYTES_MAX));
    do {
        TRY(decompress_next(context, &piece));
        writer_bytes(out, piece.data, piece.size_bytes);
    } while (piece.size_bytes > 0);
    return OK;
}

/* True: what the batch's header alone says lets its records be looked at. */
static bool oracle_ask(struct oracle *oracle, struct compress_context *context,
                       const struct validate_config *config, struct slice batch, bool *streamed_out)
{
    struct batch_header header;
    struct writer plain;
    enum err tail = OK;
    int codec;

    if (batch_header_read(batch, &header) != OK)
        return false;
    codec = batch_codec(&header);
    if (header.record_count <= 0 || header.record_count != (int64_t)header.last_offset_delta + 1 ||
        batch_is_control(&header) || (batch_has_producer(&header) && header.base_sequence < 0) ||
        codec >= COMPRESSION_COUNT ||
        (config->compression_type != VALIDATE_COMPRESSION_PRODUCER &&
         config->compression_type != codec))
        return false; /* or it is built anew */
    *streamed_out = codec != COMPRESSION_NONE;
    writer_init(&plain, &heap_allocator, SIZE_MAX);
    if (*streamed_out)
        tail = inflate(context, &header, batch_records(batch), &plain);
    oracle_walk(oracle, config, NOW_MS, &header,
                *streamed_out ? writer_slice(&plain) : batch_records(batch), tail, *streamed_out);
    writer_release(&plain);
    return true;
}

static void leader_check(struct compress_context *context, uint8_t settings, uint8_t *bytes,
                         size_t size)
{
    struct validate_config config;
    struct append_info info;
    struct batch_header header;
    struct arena arena;
    struct writer out;
    struct slice rebuilt;
    struct why why = {{0}};
    struct oracle *oracle;
    bool is_asked, is_streamed = false;
    enum err err;

    if (produce_precheck(slice_of(bytes, size), 13, &header, NULL) != OK)
        return;
    batch_header_write(&header, bytes, batch_size_bytes(&header));
    validate_config_init(&config);
    config.compression_type = settings % (COMPRESSION_COUNT + 1) - 1;
    config.compacted = (settings & 0x40) != 0;
    config.log_append_time = (settings & 0x80) != 0;
    config.inflated_batch_bytes_max = INFLATE_BYTES_MAX;
    if (append_scan(slice_of(bytes, size), APPEND_ORIGIN_CLIENT, 0, INT32_MAX, &info, NULL) != OK)
        return;
    arena_init(&arena, &heap_allocator, 64 * KIB);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    oracle = malloc(sizeof *oracle);
    is_asked = oracle && oracle_ask(oracle, context, &config, slice_of(bytes, info.valid_bytes),
                                    &is_streamed);
    err = append_validate(&config, APPEND_ORIGIN_CLIENT, NOW_MS, bytes, context, &arena, &out,
                          &info, &rebuilt, &why);
    if (is_asked)
        ASSERT(!oracle_objection(oracle, &config, NOW_MS, err, &info, &why, is_streamed));
    if (is_asked && err == OK)
        ASSERT(slice_is_null(rebuilt) == (!is_streamed || oracle->is_dense));
    free(oracle);
    if (err == OK) {
        ASSERT(batch_is_valid(slice_of(bytes, batch_size_bytes(&header))));
        ASSERT(slice_is_null(rebuilt) || batch_is_valid(rebuilt));
    }
    writer_release(&out);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compress_context *context;
    struct producer_state state;
    struct append_info info;
    struct slice rest, batch;
    uint8_t *bytes;

    if (size == 0 || compress_context_open(&context, &heap_allocator) != OK)
        return 0;
    producer_state_init(&state, &heap_allocator);
    rest = slice_of(data + 1, size - 1);
    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        records_walk(context, batch);
        producers_feed(&state, batch);
    }
    (void)!append_scan(slice_of(data + 1, size - 1), APPEND_ORIGIN_REPLICATION, 5, INT32_MAX, &info,
                       NULL);
    (void)!producer_snapshot_read(&state, slice_of(data + 1, size - 1), 0, NOW_MS, 86400000, NULL);
    bytes = malloc(size);
    if (bytes) {
        memcpy(bytes, data + 1, size - 1);
        leader_check(context, data[0], bytes, size - 1);
        free(bytes);
    }
    producer_state_release(&state);
    compress_context_release(&context);
    return 0;
}
