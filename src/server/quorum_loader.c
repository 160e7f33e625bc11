/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_loader.c: committed batches become the metadata state, and the state is published.
 * Invariants  1. only what is below the high watermark is applied, each record once, in order.
 *             2. an image is published at the end of a batch, never inside a metadata transaction
 *                (what the transaction changed shows when it ends).
 *             3. nothing is published before the high watermark known at start is reached, and
 *                before some data record was seen.   4. a record that cannot be applied stops the
 *                node: an image that lacks it would be another cluster's.
 * Work        at most TURN_BYTES of batches in a turn.
 */
#include "base/fault_point.h"
#include "base/memory_reserve.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/voters_record.h"
#include "records/control_record.h"
#include "server/quorum_internal.h"

#define TURN_BYTES (1 * MIB)
#define READ_BYTES (1 * MIB)

void quorum_loader_init(struct quorum *quorum)
{
    struct quorum_loader *loader = &quorum->loader;

    loader->published_offset = -1;
    loader->compress = quorum->shard->compress;
    arena_init(&loader->voters_arena, &must_allocator, SIZE_MAX);
    arena_init(&loader->scratch, &heap_allocator, SIZE_MAX);
    writer_init(&loader->inflated, &heap_allocator, SIZE_MAX);
}

void quorum_loader_release(struct quorum *quorum)
{
    struct quorum_loader *loader = &quorum->loader;

    metadata_state_release(&loader->state);
    arena_release(&loader->voters_arena);
    arena_release(&loader->scratch);
    writer_release(&loader->inflated);
    server_free(loader->buffer, loader->buffer_bytes);
}

/* ---- one batch ---- */

static enum err voters_apply(struct quorum_loader *loader, struct slice value)
{
    struct voters_record voters;

    TRY(control_read_voters(value, &loader->scratch, &voters));
    arena_reset(&loader->voters_arena);
    loader->voters = ARENA_NEW(&loader->voters_arena, struct voters_record);
    if (!loader->voters)
        return ERR_NO_MEMORY;
    return message_copy(&voters_record_type, &voters, &loader->voters_arena, loader->voters);
}

static enum err control_apply(struct quorum_loader *loader, const struct record *record)
{
    struct kraft_version_record version;
    enum control_type type;

    TRY(control_key_read(record->key, &type));
    if (type == CONTROL_KRAFT_VOTERS)
        return voters_apply(loader, record->value);
    if (type == CONTROL_KRAFT_VERSION) {
        TRY(control_read_kraft_version(record->value, &loader->scratch, &version));
        loader->kraft_version = version.kraft_version;
    }
    return OK;
}

static enum err data_apply(struct quorum_loader *loader, const struct record *record,
                           struct why *why)
{
    struct metadata_record decoded;

    TRY(metadata_record_decode(record->value, &loader->scratch, &decoded, why));
    loader->has_data = true;
    if (decoded.type->key == METADATA_RECORD_NO_OP)
        return OK;
    loader->has_news = true;
    return metadata_state_replay(loader->state, &decoded, record->offset, why);
}

static enum err records_apply(struct quorum_loader *loader, const struct batch_header *header,
                              struct slice records, struct why *why)
{
    struct record_walk walk;
    struct record record;
    bool more;

    TRY(record_walk_begin(&walk, header, records));
    for (;;) {
        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            return OK;
        TRY(batch_is_control(header) ? control_apply(loader, &record)
                                     : data_apply(loader, &record, why));
    }
}

static enum err batch_apply(struct quorum *quorum, struct slice batch, struct why *why)
{
    struct quorum_loader *loader = &quorum->loader;
    struct batch_header header;
    struct slice records = batch_records(batch);

    TRY(batch_header_read(batch, &header));
    if (header.base_offset != loader->next_offset)
        return why_set(why, ERR_CORRUPT, "a batch begins at offset %lld",
                       (long long)header.base_offset);
    if (batch_codec(&header) != 0) {
        if (!loader->compress)
            return why_set(why, ERR_UNSUPPORTED, "the batch is compressed");
        writer_reset(&loader->inflated);
        TRY(record_inflate(loader->compress, batch, GIB, &loader->inflated));
        records = writer_slice(&loader->inflated);
    }
    TRY(records_apply(loader, &header, records, why));
    arena_reset(&loader->scratch);
    loader->next_offset = batch_next_offset(&header);
    loader->provenance = (struct metadata_provenance){batch_last_offset(&header),
                                                      header.leader_epoch, header.max_timestamp};
    metadata_state_advance(loader->state, loader->provenance);
    quorum->snapshots.bytes_since += (int64_t)batch.size_bytes;
    return OK;
}

static bool apply(struct quorum *quorum, struct slice batch)
{
    struct why why = {0};
    enum err err = batch_apply(quorum, batch, &why);

    if (err == OK)
        return true;
    quorum_fail(quorum, err, "the record behind offset %lld of %s cannot be applied: %s",
                (long long)quorum->loader.next_offset, quorum->path,
                why.text[0] ? why.text : err_text(err));
    return false;
}

/* ---- from the log, when it is not in memory ---- */

static void read_end(struct quorum *quorum)
{
    log_read_release(&quorum->loader.read);
    quorum->loader.is_reading = false;
    quorum_end(quorum);
}

static void read_apply(struct quorum *quorum, struct slice bytes)
{
    while (quorum_is_running(quorum)) {
        struct slice batch;

        if (batch_next(&bytes, &batch) != OK || (batch.size_bytes > 0 && !batch_is_valid(batch))) {
            quorum_fail(quorum, ERR_CORRUPT, "%s is broken at offset %lld", quorum->path,
                        (long long)quorum->loader.next_offset);
            return;
        }
        if (batch.size_bytes == 0 || !apply(quorum, batch))
            return;
    }
}

static void read_go_on(struct quorum *quorum)
{
    struct quorum_loader *loader = &quorum->loader;
    struct log_read *read = &loader->read;

    if (read->err == OK && !loader->has_planned && read->size_bytes > 0) {
        loader->has_planned = true;
        server_free(loader->buffer, loader->buffer_bytes);
        loader->buffer_bytes = read->size_bytes;
        loader->buffer = server_allocate(read->size_bytes);
        log_read_bytes(read, loader->buffer);
        return;
    }
    if (read->err != OK || !loader->has_planned)
        quorum_fail(quorum, read->err != OK ? read->err : ERR_CORRUPT,
                    "%s cannot be read at offset %lld", quorum->path,
                    (long long)loader->next_offset);
    else
        read_apply(quorum, slice_of(loader->buffer, read->read_bytes));
    read_end(quorum);
}

static void read_done(struct log_read *read)
{
    read_go_on(CONTAINER_OF(read, struct quorum, loader.read));
}

static void read_begin(struct quorum *quorum)
{
    struct quorum_loader *loader = &quorum->loader;

    loader->read = (struct log_read){
        .offset = loader->next_offset,
        .bound_offset = quorum->high_watermark,
        .bytes_max = READ_BYTES,
        .at_least_one = true,
        .done = read_done,
    };
    loader->is_reading = true;
    loader->has_planned = false;
    quorum_begin(quorum);
    if (log_read_plan(quorum->log, &loader->read))
        read_go_on(quorum);
}

/* ---- publishing ---- */

static void publish(struct quorum *quorum)
{
    struct quorum_loader *loader = &quorum->loader;
    struct metadata_image *image;
    bool in_transaction = metadata_state_in_transaction(loader->state);

    if (loader->has_data && (loader->has_news || !loader->published)) {
        if (metadata_state_publish(loader->state, &image) != OK) {
            quorum_fail(quorum, ERR_NO_MEMORY, "no memory for a metadata image");
            return;
        }
        /* What a transaction holds back is news until it ends. */
        loader->has_news = in_transaction;
        loader->published = true;
        loader->published_offset = metadata_image_provenance(image).offset;
        metadata_image_ref(image); /* the listener takes the other one over */
        quorum->listener->image(quorum->listener, image);
        if (!in_transaction)
            quorum_snapshot_consider(quorum, image);
        metadata_image_release(&image);
        broker_life_published(quorum);
    }
    loader->settled_offset = loader->next_offset;
}

/* The batch at next_offset, when it is in memory. */
static struct quorum_batch *tail_find(struct quorum *quorum)
{
    LIST_EACH (node, &quorum->tail) {
        struct quorum_batch *batch = LIST_ITEM(node, struct quorum_batch, node);

        if (batch->base_offset == quorum->loader.next_offset)
            return batch;
        if (batch->base_offset > quorum->loader.next_offset)
            break;
    }
    return NULL;
}

bool quorum_loader_run(struct quorum *quorum)
{
    struct quorum_loader *loader = &quorum->loader;
    size_t bytes = 0;

    while (!loader->is_reading && loader->next_offset < quorum->high_watermark) {
        struct quorum_batch *batch;

        if (bytes > TURN_BYTES || (bytes > 0 && FAULT_POINT(loader_one_batch)))
            return true;
        quorum_tail_trim(quorum);
        batch = tail_find(quorum);
        if (batch && batch->end_offset <= log_end_written(quorum->log) &&
            FAULT_POINT(loader_reads_back))
            batch = NULL;
        if (!batch) {
            read_begin(quorum);
        } else {
            bytes += batch->size_bytes;
            if (!apply(quorum, slice_of(batch->data, batch->size_bytes)))
                return false;
        }
    }
    if (loader->is_reading || loader->settled_offset == loader->next_offset ||
        quorum->high_watermark < 0 || quorum_is_failed(quorum))
        return false;
    publish(quorum);
    return false;
}
