/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/snapshot_stream.c: see snapshot_stream.h.
 * Invariants  1. header first, footer last, each once.   2. a reader gives out nothing of a batch whose
 *             check failed.   3. memory of a reader: one inflated batch.
 */
#include "records/snapshot_stream.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "base/parse.h"
#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/snapshot_footer_record.h"
#include "protocol/generated/snapshot_header_record.h"
#include "protocol/generated/voters_record.h"
#include "records/control_record.h"

#define OFFSET_DIGITS 20
#define EPOCH_DIGITS 10
#define ID_BYTES (OFFSET_DIGITS + 1 + EPOCH_DIGITS)
#define INFLATED_BYTES_MAX (256 * MIB)

static const struct slice whole_suffix = {(const uint8_t *)".checkpoint", 11};
static const struct slice part_suffix = {(const uint8_t *)".checkpoint.part", 16};
static const struct slice deleted_suffix = {(const uint8_t *)".checkpoint.deleted", 19};

/* ---- names ---- */

void snapshot_name(struct snapshot_id id, char out[SNAPSHOT_NAME_BYTES])
{
    fmt(out, SNAPSHOT_NAME_BYTES, "%020lld-%010d.checkpoint", (long long)id.end_offset, id.epoch);
}

void snapshot_name_part(struct snapshot_id id, uint64_t number, char out[SNAPSHOT_NAME_BYTES])
{
    fmt(out, SNAPSHOT_NAME_BYTES, "%020lld-%010d-%llu.checkpoint.part", (long long)id.end_offset,
        id.epoch, (unsigned long long)number);
}

void snapshot_name_deleted(struct snapshot_id id, char out[SNAPSHOT_NAME_BYTES])
{
    fmt(out, SNAPSHOT_NAME_BYTES, "%020lld-%010d.checkpoint.deleted", (long long)id.end_offset,
        id.epoch);
}

static bool all_digits(struct slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

static bool ends_with(struct slice text, struct slice suffix)
{
    return text.size_bytes >= suffix.size_bytes &&
           slice_equal(slice_sub(text, text.size_bytes - suffix.size_bytes, suffix.size_bytes),
                       suffix);
}

enum snapshot_file snapshot_name_parse(struct slice name, struct snapshot_id *id_out)
{
    struct slice offset = slice_sub(name, 0, OFFSET_DIGITS);
    struct slice epoch = slice_sub(name, OFFSET_DIGITS + 1, EPOCH_DIGITS);
    struct slice rest = slice_sub(name, ID_BYTES, name.size_bytes);

    if (name.size_bytes <= ID_BYTES || name.data[OFFSET_DIGITS] != '-' || !all_digits(offset) ||
        !all_digits(epoch) || parse_i64(offset, &id_out->end_offset) != OK ||
        parse_i32(epoch, &id_out->epoch) != OK)
        return SNAPSHOT_FILE_NONE;
    if (slice_equal(rest, whole_suffix))
        return SNAPSHOT_FILE_WHOLE;
    if (slice_equal(rest, deleted_suffix))
        return SNAPSHOT_FILE_DELETED;
    return ends_with(rest, part_suffix) ? SNAPSHOT_FILE_PART : SNAPSHOT_FILE_NONE;
}

/* ---- writing ---- */

static enum err stick(struct snapshot_writer *writer, enum err err)
{
    if (writer->err == OK)
        writer->err = err;
    return writer->err;
}

void snapshot_writer_begin(struct snapshot_writer *writer, int32_t epoch, struct writer *out,
                           struct arena *scratch)
{
    *writer = (struct snapshot_writer){.out = out, .scratch = scratch, .epoch = epoch};
}

static void batch_begin(struct snapshot_writer *writer, bool control)
{
    struct batch_options options;

    batch_options_init(&options);
    options.base_offset = writer->next_offset;
    options.leader_epoch = writer->epoch;
    options.control = control;
    batch_builder_begin(&writer->builder, &options, NULL, NULL, writer->out);
}

static enum err batch_end(struct snapshot_writer *writer)
{
    writer->next_offset += writer->builder.record_count;
    return stick(writer, batch_builder_finish(&writer->builder, NULL));
}

static enum err header_append(struct snapshot_writer *writer, int64_t now_ms, int64_t contained_ms,
                              int16_t kraft_version, const struct voters_record *voters)
{
    struct snapshot_header_record header;
    struct kraft_version_record version;

    snapshot_header_record_init(&header);
    header.last_contained_log_timestamp = contained_ms;
    TRY(control_append_snapshot_header(&writer->builder, now_ms, &header, writer->scratch));
    if (kraft_version == 0)
        return OK;
    kraft_version_record_init(&version);
    version.kraft_version = kraft_version;
    TRY(control_append_kraft_version(&writer->builder, now_ms, &version, writer->scratch));
    if (!voters)
        return OK;
    return control_append_voters(&writer->builder, now_ms, voters, writer->scratch);
}

enum err snapshot_writer_header(struct snapshot_writer *writer, int64_t now_ms,
                                int64_t contained_ms, int16_t kraft_version,
                                const struct voters_record *voters)
{
    ASSERT(writer->next_offset == 0 && !writer->open);
    batch_begin(writer, true);
    stick(writer, header_append(writer, now_ms, contained_ms, kraft_version, voters));
    return batch_end(writer);
}

enum err snapshot_writer_record(struct snapshot_writer *writer, int64_t now_ms, struct slice value)
{
    struct batch_record record = {.timestamp = now_ms, .value = value};

    ASSERT(writer->next_offset > 0);
    if (writer->open &&
        batch_builder_size_bytes(&writer->builder) + value.size_bytes + RECORD_OVERHEAD_BYTES_MAX >
            SNAPSHOT_BATCH_BYTES_MAX)
        snapshot_writer_flush(writer);
    if (!writer->open) {
        batch_begin(writer, false);
        writer->open = true;
    }
    /* Within a batch all records have the batch's time: readers refuse any delta. */
    if (writer->builder.record_count > 0)
        record.timestamp = writer->builder.base_timestamp;
    return stick(writer, batch_builder_append(&writer->builder, &record));
}

enum err snapshot_writer_flush(struct snapshot_writer *writer)
{
    if (!writer->open)
        return writer->err;
    writer->open = false;
    return batch_end(writer);
}

enum err snapshot_writer_finish(struct snapshot_writer *writer, int64_t now_ms)
{
    struct snapshot_footer_record footer;

    ASSERT(writer->next_offset > 0);
    snapshot_writer_flush(writer);
    snapshot_footer_record_init(&footer);
    batch_begin(writer, true);
    stick(writer,
          control_append_snapshot_footer(&writer->builder, now_ms, &footer, writer->scratch));
    batch_end(writer);
    return stick(writer, writer_error(writer->out));
}

/* ---- reading ---- */

void snapshot_reader_begin(struct snapshot_reader *reader, struct slice bytes,
                           struct compress_context *context, struct allocator *allocator,
                           struct arena *arena)
{
    *reader = (struct snapshot_reader){.rest = bytes, .context = context, .arena = arena};
    writer_init(&reader->inflated, allocator, INFLATED_BYTES_MAX);
}

void snapshot_reader_release(struct snapshot_reader *reader)
{
    writer_release(&reader->inflated);
}

static enum err corrupt(struct why *why, const char *what)
{
    return why_set(why, ERR_CORRUPT, "snapshot: %s", what);
}

/* A lack of memory says nothing about the snapshot. */
static enum err unreadable(struct why *why, enum err err, const char *what)
{
    return err == ERR_NO_MEMORY ? err : corrupt(why, what);
}

static enum err batch_enter(struct snapshot_reader *reader, struct slice batch, struct why *why)
{
    struct batch_header header;
    struct slice records;

    if (batch_header_read(batch, &header) != OK || header.magic != BATCH_MAGIC ||
        !batch_is_valid(batch))
        return corrupt(why, "a batch is broken");
    records = batch_records(batch);
    if (batch_codec(&header) != COMPRESSION_NONE) {
        enum err err = ERR_UNSUPPORTED;

        writer_reset(&reader->inflated);
        if (reader->context)
            err = record_inflate(reader->context, batch, INFLATED_BYTES_MAX, &reader->inflated);
        if (err != OK)
            return unreadable(why, err, "a compressed batch cannot be read");
        records = writer_slice(&reader->inflated);
    }
    if (record_walk_begin(&reader->walk, &header, records) != OK)
        return corrupt(why, "a batch is broken");
    reader->walking = true;
    reader->control = batch_is_control(&header);
    return OK;
}

static enum err control_header(struct snapshot_reader *reader, struct slice value,
                               struct snapshot_item *out, struct why *why)
{
    struct snapshot_header_record header;

    /* Like the footer's and kraft.version's its value has no arrays: nothing is allocated. */
    if (reader->header_seen || control_read_snapshot_header(value, reader->arena, &header) != OK)
        return corrupt(why, "a header is broken or not the first record");
    reader->header_seen = true;
    out->kind = SNAPSHOT_ITEM_HEADER;
    out->contained_ms = header.last_contained_log_timestamp;
    return OK;
}

static enum err control_read(struct snapshot_reader *reader, const struct record *record,
                             struct snapshot_item *out, struct why *why)
{
    struct snapshot_footer_record footer;
    struct kraft_version_record version;
    struct voters_record *voters;
    enum control_type type;
    enum err err;

    if (control_key_read(record->key, &type) != OK)
        return corrupt(why, "the key of a control record is broken");
    if (type == CONTROL_SNAPSHOT_HEADER)
        return control_header(reader, record->value, out, why);
    if (!reader->header_seen)
        return corrupt(why, "it does not begin with a header");
    switch (type) {
    case CONTROL_SNAPSHOT_FOOTER:
        if (control_read_snapshot_footer(record->value, reader->arena, &footer) != OK)
            return corrupt(why, "the footer is broken");
        reader->footer_seen = true;
        out->kind = SNAPSHOT_ITEM_FOOTER;
        return OK;
    case CONTROL_KRAFT_VERSION:
        if (control_read_kraft_version(record->value, reader->arena, &version) != OK)
            return corrupt(why, "the kraft.version record is broken");
        out->kind = SNAPSHOT_ITEM_KRAFT_VERSION;
        out->kraft_version = version.kraft_version;
        return OK;
    case CONTROL_KRAFT_VOTERS:
        voters = ARENA_NEW(reader->arena, struct voters_record);
        if (!voters)
            return ERR_NO_MEMORY;
        err = control_read_voters(record->value, reader->arena, voters);
        if (err != OK)
            return unreadable(why, err, "the voters record is broken");
        out->kind = SNAPSHOT_ITEM_VOTERS;
        out->voters = voters;
        return OK;
    default:
        return corrupt(why, "a control record of a kind that is not known here");
    }
}

static enum err data_read(struct snapshot_reader *reader, const struct record *record,
                          struct snapshot_item *out, struct why *why)
{
    if (!reader->header_seen)
        return corrupt(why, "it does not begin with a header");
    if (!slice_is_null(record->key) || record->header_count != 0 || record->timestamp_delta != 0 ||
        slice_is_null(record->value))
        return corrupt(why, "a record is not a metadata record");
    out->kind = SNAPSHOT_ITEM_RECORD;
    out->value = record->value;
    return OK;
}

enum err snapshot_reader_next(struct snapshot_reader *reader, struct snapshot_item *out,
                              struct why *why)
{
    struct record record;
    struct slice batch;
    bool more;

    *out = (struct snapshot_item){.kind = SNAPSHOT_ITEM_END};
    for (;;) {
        if (!reader->walking) {
            if (reader->rest.size_bytes == 0)
                return reader->footer_seen ? OK : corrupt(why, "it ends without a footer");
            if (batch_next(&reader->rest, &batch) != OK || batch.size_bytes == 0)
                return corrupt(why, "it ends inside a batch");
            TRY(batch_enter(reader, batch, why));
        }
        if (record_walk_next(&reader->walk, &record, &more) != OK)
            return corrupt(why, "a record is broken");
        if (!more) {
            reader->walking = false;
            continue;
        }
        if (reader->footer_seen)
            return corrupt(why, "something follows the footer");
        return reader->control ? control_read(reader, &record, out, why)
                               : data_read(reader, &record, out, why);
    }
}
