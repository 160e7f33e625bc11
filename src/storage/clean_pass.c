/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_pass.c: the part of a cleaning pass that reads and writes files: slices of a job in the pool.
 *
 *   MAP   newest offset of each key in [first dirty, first uncleanable); ends early when the map is full
 *   COPY  what stays of a group of segments goes to <first base>.log.cleaned, then its indexes; all synced
 *
 * Sealed, durable segments do not change, so nothing here needs the log's struct: items, keys and counters are
 * the pass's own while a slice runs.
 * Crash       .cleaned files are deleted when the log is opened.
 * Threads     one slice at a time; between slices the pass belongs to the shard.
 */
#include "storage/cleaner.h"

#include "base/fmt.h"
#include "records/record.h"

/* ---- reading ---- */

static bool is_fault_of_log(enum err err)
{
    return err == ERR_CORRUPT_MESSAGE || err == ERR_CORRUPT || err == ERR_INVALID_RECORD ||
           err == ERR_DECOMPRESS || err == ERR_UNKNOWN_SERVER_ERROR || err == ERR_UNSUPPORTED ||
           err == ERR_TOO_LARGE || err == ERR_IO || err == ERR_NOT_FOUND;
}

/* What is wrong with the batch at hand, for whoever has to look at the file. */
static const char *fault_text(const struct clean_pass *pass, enum err err, char *text, size_t bytes)
{
    switch (err) {
    case ERR_UNKNOWN_SERVER_ERROR: /* clean_records, record_walk_next */
        if (pass->batch_codec < COMPRESSION_COUNT)
            return "the length of a record is no varint";
        fmt(text, bytes, "no codec has the number %d", pass->batch_codec);
        return text;
    case ERR_UNSUPPORTED:
        return "it is older than magic 2";
    case ERR_DECOMPRESS:
        return "its records cannot be decompressed";
    case ERR_INVALID_RECORD:
        return "its records are malformed";
    case ERR_CORRUPT_MESSAGE:
        return "its framing, its check or its place among the others is wrong";
    default:
        return err_text(err);
    }
}

/* Errors of what was read: the partition is taken out, the directory stays. */
static enum err read_fails(struct clean_pass *pass, enum err err)
{
    char text[64];

    if (err == OK || !is_fault_of_log(err))
        return err;
    pass->uncleanable = true;
    return why_set(&pass->why, err == ERR_UNKNOWN_SERVER_ERROR ? ERR_CORRUPT_MESSAGE : err,
                   "segment %lld, batch at byte %lld, offset %lld: %s",
                   (long long)pass->items[pass->at].base_offset,
                   (long long)pass->batch_position_bytes, (long long)pass->batch_offset,
                   fault_text(pass, err, text, sizeof text));
}

static enum err source_open(struct clean_pass *pass)
{
    const struct clean_item *item = &pass->items[pass->at];
    char path[PATH_BYTES];

    path_of_file(pass->path, item->base_offset, ".log", path);
    pass->batch_position_bytes = 0;
    pass->batch_offset = item->base_offset;
    TRY(os_file_open(pass->os, path, OS_OPEN_READ, &pass->source));
    pass->reader.file = pass->source;
    pass->reader.position_bytes = 0;
    pass->reader.end_bytes = item->size_bytes;
    pass->reader.window_bytes = 0;
    pass->reader.filled_bytes = 0;
    pass->last_offset = item->base_offset - 1;
    return OK;
}

static void source_close(struct clean_pass *pass)
{
    os_file_close(&pass->source);
}

/* The next batch of the present item, checked. Size 0: the item is read. */
static enum err source_next(struct clean_pass *pass, struct slice *batch_out,
                            struct batch_header *header)
{
    int64_t position;

    pass->batch_position_bytes = pass->reader.position_bytes;
    pass->batch_offset = pass->last_offset + 1; /* as far as is known yet */
    pass->batch_codec = 0;
    TRY(batch_reader_next(&pass->reader, batch_out, &position));
    if (batch_out->size_bytes == 0)
        return pass->reader.position_bytes == pass->items[pass->at].size_bytes
                   ? OK
                   : ERR_CORRUPT_MESSAGE;
    pass->slice_bytes += (int64_t)batch_out->size_bytes;
    if (batch_out->data[16] < BATCH_MAGIC)
        return ERR_UNSUPPORTED;
    if (!batch_is_valid(*batch_out))
        return ERR_CORRUPT_MESSAGE;
    TRY(batch_header_read(*batch_out, header));
    pass->batch_offset = header->base_offset;
    pass->batch_codec = batch_codec(header);
    if (batch_last_offset(header) <= pass->last_offset || header->last_offset_delta < 0 ||
        header->base_offset < pass->items[pass->at].base_offset ||
        batch_last_offset(header) >= pass->items[pass->at].next_base)
        return ERR_CORRUPT_MESSAGE;
    pass->last_offset = batch_last_offset(header);
    return OK;
}

static bool slice_is_over(const struct clean_pass *pass)
{
    return pass->slice_bytes >= (int64_t)pass->slice_bytes_max;
}

/* ---- MAP ---- */

/* Keys that are hashed and not in the map yet, in order. */
struct keys_ahead {
    struct {
        struct key_hash hash;
        int64_t offset;
    } items[KEYS_AHEAD];
    size_t from, count;
};

/* The oldest; false: no room for it. */
static bool key_ahead_put(struct clean_pass *pass, struct keys_ahead *ahead)
{
    size_t at = ahead->from;

    if (!key_map_put(&pass->keys, ahead->items[at].hash, ahead->items[at].offset))
        return false;
    pass->rules.latest_offset = ahead->items[at].offset;
    ahead->from = (at + 1) % KEYS_AHEAD;
    ahead->count--;
    return true;
}

static bool keys_ahead_add(struct clean_pass *pass, struct keys_ahead *ahead,
                           const struct record *record)
{
    size_t at;

    if (ahead->count == KEYS_AHEAD && !key_ahead_put(pass, ahead))
        return false;
    at = (ahead->from + ahead->count++) % KEYS_AHEAD;
    ahead->items[at].hash = key_map_hash(&pass->keys, record->key);
    ahead->items[at].offset = record->offset;
    return true;
}

/* *full_out: no room for the record behind rules.latest_offset. */
static enum err batch_map(struct clean_pass *pass, const struct batch_header *header,
                          struct slice batch, bool *full_out)
{
    struct keys_ahead ahead = {.count = 0};
    struct record_walk walk;
    struct record record;
    struct slice records;
    bool more;

    TRY(clean_records(&pass->scratch, header, batch, &records));
    TRY(record_walk_begin(&walk, header, records));
    while (!*full_out) {
        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            break;
        if (!slice_is_null(record.key) && record.offset >= pass->first_dirty)
            *full_out = !keys_ahead_add(pass, &ahead, &record);
    }
    while (!*full_out && ahead.count > 0)
        *full_out = !key_ahead_put(pass, &ahead);
    return OK;
}

static enum err map_batches(struct clean_pass *pass, bool *full_out)
{
    while (!slice_is_over(pass)) {
        struct batch_header header = {0};
        struct slice batch;
        bool discard;

        if (atomic_load(&pass->cancelled))
            return ERR_CANCELLED;
        TRY(source_next(pass, &batch, &header));
        if (batch.size_bytes == 0) {
            source_close(pass);
            pass->rules.latest_offset = pass->items[pass->at].next_base - 1;
            pass->at++;
            return OK;
        }
        pass->bytes_mapped += (int64_t)batch.size_bytes;
        TRY(clean_transactions_see(&pass->transactions, &header, batch, NULL, &discard));
        if (batch_last_offset(&header) < pass->first_dirty)
            continue;
        if (!batch_is_control(&header) && !discard && header.record_count > 0)
            TRY(batch_map(pass, &header, batch, full_out));
        if (*full_out)
            return OK;
        pass->rules.latest_offset = batch_last_offset(&header);
    }
    return OK;
}

static enum err map_slice(struct clean_pass *pass)
{
    bool full = false;

    if (!pass->has_transactions) {
        clean_transactions_init(&pass->transactions, pass->aborted, pass->aborted_count,
                                pass->first_dirty);
        pass->has_transactions = true;
        pass->rules.latest_offset = pass->first_dirty - 1;
    }
    while (!slice_is_over(pass) && !full && pass->at < pass->item_count) {
        if (pass->items[pass->at].next_base <= pass->first_dirty) {
            pass->at++;
            continue;
        }
        if (!pass->source)
            TRY(read_fails(pass, source_open(pass)));
        TRY(read_fails(pass, map_batches(pass, &full)));
    }
    if (!full && pass->at < pass->item_count)
        return OK;
    source_close(pass);
    clean_transactions_release(&pass->transactions);
    pass->has_transactions = false;
    pass->end_offset = pass->rules.latest_offset + 1;
    pass->mapped = true;
    return OK;
}

/* ---- COPY ---- */

static enum err output_open(struct clean_pass *pass)
{
    char path[PATH_BYTES];

    pass->facts =
        (struct segment){.base_offset = pass->items[pass->group_from].base_offset,
                         .max_timestamp = TIMESTAMP_NONE,
                         .max_timestamp_offset = pass->items[pass->group_from].base_offset,
                         .first_timestamp = TIMESTAMP_NONE};
    pass->output_bytes = 0;
    pass->changed = pass->group_to - pass->group_from > 1;
    pass->drops_marker = false;
    writer_reset(&pass->buffer);
    path_of_file(pass->path, pass->facts.base_offset, ".log.cleaned", path);
    return os_file_open(pass->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE,
                        &pass->output);
}

static enum err output_flush(struct clean_pass *pass)
{
    struct slice bytes = writer_slice(&pass->buffer);

    if (bytes.size_bytes == 0)
        return OK;
    TRY(os_file_write(pass->output, &bytes, 1, pass->output_bytes));
    pass->output_bytes += (int64_t)bytes.size_bytes;
    pass->slice_bytes += (int64_t)bytes.size_bytes;
    pass->bytes_written += (int64_t)bytes.size_bytes;
    writer_reset(&pass->buffer);
    return OK;
}

static enum err output_note(struct clean_pass *pass, size_t from_bytes)
{
    struct slice batch = slice_sub(writer_slice(&pass->buffer), from_bytes, SIZE_MAX);
    struct batch_header header;

    TRY(batch_header_read(batch, &header));
    if (pass->facts.size_bytes + (int64_t)batch.size_bytes > SEGMENT_FILE_BYTES_MAX)
        return ERR_TOO_LARGE; /* batches that grew when they were compressed again */
    segment_note_batch(&pass->facts, &header, batch.size_bytes, pass->index_interval_bytes);
    return OK;
}

/* *done_out: the item is read. Errors of the log alone. */
static enum err batch_copy(struct clean_pass *pass, bool *done_out)
{
    struct batch_header header = {0};
    enum clean_verdict verdict;
    struct slice batch;
    size_t from_bytes;
    bool discard;

    TRY(source_next(pass, &batch, &header));
    *done_out = batch.size_bytes == 0;
    if (*done_out)
        return OK;
    pass->bytes_read += (int64_t)batch.size_bytes;
    TRY(clean_transactions_see(&pass->transactions, &header, batch, &pass->facts.aborted,
                               &discard));
    from_bytes = pass->buffer.size_bytes;
    TRY(clean_batch(&pass->rules, &pass->scratch, &header, batch, discard, &pass->buffer,
                    &verdict));
    if (verdict != CLEAN_VERBATIM) {
        pass->changed = true;
        pass->drops_marker |= batch_is_control(&header);
    }
    return verdict == CLEAN_DROPPED ? OK : output_note(pass, from_bytes);
}

static enum err part_write(struct clean_pass *pass, const char *suffix, struct writer *content)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    struct slice bytes = writer_slice(content);
    char path[PATH_BYTES];

    TRY(writer_error(content));
    path_of_file(pass->path, pass->facts.base_offset, suffix, path);
    TRY(os_file_open(pass->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    if (bytes.size_bytes > 0)
        TRY(os_file_write(file, &bytes, 1, 0));
    TRY(os_file_sync(file));
    writer_reset(content);
    return OK;
}

static enum err output_finish(struct clean_pass *pass)
{
    CLEANUP(writer_release) struct writer content;

    writer_init(&content, &heap_allocator, SIZE_MAX);
    TRY(output_flush(pass));
    TRY(os_file_sync(pass->output));
    os_file_close(&pass->output);
    segment_seal(&pass->facts);
    offset_index_encode(&pass->facts.offsets, 0, &content);
    TRY(part_write(pass, ".index.cleaned", &content));
    time_index_encode(&pass->facts.times, 0, &content);
    TRY(part_write(pass, ".timeindex.cleaned", &content));
    for (size_t i = 0; i < pass->facts.aborted.count; i++) {
        uint8_t *entry = writer_reserve(&content, TRANSACTION_INDEX_ENTRY_BYTES);

        if (entry)
            transaction_index_entry_write(&pass->facts.aborted.items[i], entry);
    }
    if (pass->facts.aborted.count > 0)
        TRY(part_write(pass, ".txnindex.cleaned", &content));
    /* The names too: the swap must find all of them or none. */
    return os_sync_directory(pass->os, pass->path);
}

static enum err copy_slice(struct clean_pass *pass)
{
    if (!pass->has_transactions) {
        clean_transactions_init(&pass->transactions, pass->aborted, pass->aborted_count, 0);
        pass->has_transactions = true;
    }
    if (!pass->output)
        TRY(output_open(pass));
    while (!slice_is_over(pass) && pass->at < pass->group_to) {
        bool done = false;

        if (atomic_load(&pass->cancelled))
            return ERR_CANCELLED;
        if (!pass->source)
            TRY(read_fails(pass, source_open(pass)));
        TRY(read_fails(pass, batch_copy(pass, &done)));
        if (pass->buffer.size_bytes >= pass->io_bytes)
            TRY(output_flush(pass));
        if (done) {
            source_close(pass);
            pass->at++;
        }
    }
    if (pass->at < pass->group_to)
        return OK;
    TRY(output_finish(pass));
    pass->copied = true;
    return OK;
}

/* ---- both ---- */

void clean_output_release(struct clean_pass *pass)
{
    os_file_close(&pass->output);
    offset_index_release(&pass->facts.offsets);
    time_index_release(&pass->facts.times);
    transaction_index_release(&pass->facts.aborted);
}

void clean_pass_release_files(struct clean_pass *pass)
{
    source_close(pass);
    clean_output_release(pass);
    batch_reader_release(&pass->reader);
    if (pass->has_transactions)
        clean_transactions_release(&pass->transactions);
    pass->has_transactions = false;
    key_map_release(&pass->keys);
    if (!pass->has_scratch)
        return;
    writer_release(&pass->buffer);
    compress_context_release(&pass->scratch.compress);
    writer_release(&pass->scratch.inflated);
    writer_release(&pass->scratch.plain);
    writer_release(&pass->scratch.keeps);
    pass->has_scratch = false;
}

static enum err scratch_open(struct clean_pass *pass)
{
    if (pass->has_scratch)
        return OK;
    TRY(compress_context_open(&pass->scratch.compress, &heap_allocator));
    writer_init(&pass->scratch.inflated, &heap_allocator, SIZE_MAX);
    writer_init(&pass->scratch.plain, &heap_allocator, SIZE_MAX);
    writer_init(&pass->scratch.keeps, &heap_allocator, SIZE_MAX);
    writer_init(&pass->buffer, &heap_allocator, SIZE_MAX);
    pass->has_scratch = true;
    return OK;
}

enum err clean_pass_slice(struct clean_pass *pass)
{
    if (pass->stage == CLEAN_DISCARD) {
        source_close(pass);
        os_file_close(&pass->output);
        return clean_discard_blocking(pass);
    }
    TRY(scratch_open(pass));
    return pass->stage == CLEAN_MAP ? map_slice(pass) : copy_slice(pass);
}
