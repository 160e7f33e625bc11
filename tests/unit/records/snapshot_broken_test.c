/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot files whose batches are sound, one by one, and that are refused all the same, with the reason. */
#include "support.h"

#include <string.h>

#include "protocol/generated/voters_record.h"
#include "records/snapshot_stream.h"

#define PIECES_MAX 3

enum piece_kind {
    PIECE_NONE,
    PIECE_HEADER, /* what the writer begins with */
    PIECE_CONTROL,
    PIECE_DATA,
};

struct piece {
    enum piece_kind kind;
    uint8_t type;      /* CONTROL: of its key */
    bool is_key_short; /* CONTROL */
    const char *key;   /* DATA */
    bool has_header;   /* DATA */
    bool has_no_value;
    enum compression codec;
    bool has_a_later_one; /* DATA: a second record, of another time */
    int change_at;        /* of a finished batch: this byte… */
    int change_to;        /* …becomes that, and the CRC true again; 0: none */
};

struct row {
    struct piece pieces[PIECES_MAX];
    const char *why;
};

static void piece_write(const struct piece *piece, struct compress_context *context,
                        struct arena *arena, struct writer *out)
{
    CLEANUP(writer_release) struct writer scratch;
    const uint8_t key[4] = {0, 0, 0, piece->type};
    const struct record_header header = {.key = SLICE("h"), .value = SLICE("v")};
    struct batch_record record = {.value = SLICE("\x7f")}; /* a version of nothing */
    struct batch_options options;
    struct batch_builder builder;
    struct slice batch;

    writer_init(&scratch, &heap_allocator, SIZE_MAX);
    if (piece->kind == PIECE_HEADER) {
        struct snapshot_writer writer;

        snapshot_writer_begin(&writer, 1, out, arena);
        assert_int_equal(snapshot_writer_header(&writer, 1, 1, 0, NULL), OK);
        assert_int_equal(snapshot_writer_flush(&writer), OK);
        return;
    }
    batch_options_init(&options);
    options.control = piece->kind == PIECE_CONTROL;
    options.codec = piece->codec;
    if (piece->kind == PIECE_CONTROL)
        record.key = slice_of(key, piece->is_key_short ? 1 : sizeof key);
    else if (piece->key)
        record.key = slice_from_text(piece->key);
    if (piece->has_header) {
        record.headers = &header;
        record.header_count = 1;
    }
    if (piece->has_no_value)
        record.value = SLICE_NULL;
    batch_builder_begin(&builder, &options, context, &scratch, out);
    assert_int_equal(batch_builder_append(&builder, &record), OK);
    record.timestamp = 9;
    if (piece->has_a_later_one)
        assert_int_equal(batch_builder_append(&builder, &record), OK);
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    if (piece->change_to != 0) {
        out->data[out->size_bytes - batch.size_bytes + (size_t)piece->change_at] =
            (uint8_t)piece->change_to;
        batch_fix_crc(out->data + out->size_bytes - batch.size_bytes, batch.size_bytes);
    }
}

static void sound_batches_that_make_no_snapshot_are_refused_with_the_reason(void **state)
{
    static const struct row rows[] = {
        {{{PIECE_DATA}}, "it does not begin with a header"},
        {{{PIECE_CONTROL, .type = 4}}, "it does not begin with a header"},
        {{{PIECE_CONTROL, .is_key_short = true}}, "the key of a control record is broken"},
        {{{PIECE_CONTROL, .type = 3, .has_no_value = true}}, "a header is broken"},
        {{{PIECE_HEADER}, {PIECE_HEADER}}, "not the first record"},
        {{{PIECE_HEADER}, {PIECE_CONTROL, .type = 4}}, "the footer is broken"},
        {{{PIECE_HEADER}, {PIECE_CONTROL, .type = 5}}, "the kraft.version record is broken"},
        {{{PIECE_HEADER}, {PIECE_CONTROL, .type = 6}}, "the voters record is broken"},
        {{{PIECE_HEADER}, {PIECE_CONTROL, .type = 2}}, "a kind that is not known here"},
        {{{PIECE_HEADER}, {PIECE_DATA, .key = "k"}}, "a record is not a metadata record"},
        {{{PIECE_HEADER}, {PIECE_DATA, .has_header = true}}, "a record is not a metadata record"},
        {{{PIECE_HEADER}, {PIECE_DATA, .has_no_value = true}}, "a record is not a metadata record"},
        {{{PIECE_HEADER}, {PIECE_DATA, .codec = COMPRESSION_GZIP}},
         "a compressed batch cannot be read"},
        {{{PIECE_HEADER}, {PIECE_DATA}}, "it ends without a footer"},
        {{{PIECE_HEADER}, {PIECE_DATA, .has_a_later_one = true}},
         "a record is not a metadata record"},
        {{{PIECE_HEADER}, {PIECE_DATA, .change_at = 57, .change_to = 0x80}}, "a batch is broken"},
        {{{PIECE_HEADER}, {PIECE_DATA, .change_at = 61, .change_to = 0x40}}, "a record is broken"},
    };
    struct compress_context *context;

    assert_int_equal(compress_context_open(&context, &heap_allocator), OK);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(writer_release) struct writer out;
        CLEANUP(snapshot_reader_release) struct snapshot_reader reader;
        struct snapshot_item item;
        struct why why = {""};
        enum err err = OK;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        for (size_t j = 0; j < PIECES_MAX && rows[i].pieces[j].kind != PIECE_NONE; j++)
            piece_write(&rows[i].pieces[j], context, &arena, &out);
        snapshot_reader_begin(&reader, writer_slice(&out), NULL, &heap_allocator, &arena);
        do
            err = snapshot_reader_next(&reader, &item, &why);
        while (err == OK && item.kind != SNAPSHOT_ITEM_END);
        assert_int_equal(err, ERR_CORRUPT);
        if (!strstr(why.text, rows[i].why))
            fail_msg("row %zu: \"%s\" was said, not \"%s\"", i, why.text, rows[i].why);
    }
    compress_context_release(&context);
    UNUSED(state);
}

static void a_compressed_batch_is_read_with_a_context(void **state)
{
    static const struct piece pieces[] = {{PIECE_HEADER}, {PIECE_DATA, .codec = COMPRESSION_GZIP}};
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(writer_release) struct writer out;
    CLEANUP(snapshot_reader_release) struct snapshot_reader reader;
    struct compress_context *context;
    struct snapshot_item item;

    assert_int_equal(compress_context_open(&context, &heap_allocator), OK);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++)
        piece_write(&pieces[i], context, &arena, &out);
    snapshot_reader_begin(&reader, writer_slice(&out), context, &heap_allocator, &arena);
    assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
    assert_int_equal(item.kind, SNAPSHOT_ITEM_HEADER);
    assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
    assert_int_equal(item.kind, SNAPSHOT_ITEM_RECORD);
    assert_true(slice_equal(item.value, SLICE("\x7f")));
    compress_context_release(&context);
    UNUSED(state);
}

static enum err read_whole(struct slice file, struct compress_context *context,
                           struct allocator *allocator, struct arena *arena)
{
    CLEANUP(snapshot_reader_release) struct snapshot_reader reader;
    struct snapshot_item item;
    enum err err;

    snapshot_reader_begin(&reader, file, context, allocator, arena);
    do
        err = snapshot_reader_next(&reader, &item, NULL);
    while (err == OK && item.kind != SNAPSHOT_ITEM_END);
    return err;
}

static void a_compressed_batch_that_cannot_be_inflated_is_refused(void **state)
{
    static const struct piece pieces[] = {
        {PIECE_HEADER},
        {PIECE_DATA, .codec = COMPRESSION_GZIP, .change_at = 61, .change_to = 0x7f}};
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(writer_release) struct writer out;
    struct compress_context *context;

    assert_int_equal(compress_context_open(&context, &heap_allocator), OK);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++)
        piece_write(&pieces[i], context, &arena, &out);
    assert_int_equal(read_whole(writer_slice(&out), context, &heap_allocator, &arena), ERR_CORRUPT);
    compress_context_release(&context);
    UNUSED(state);
}

/* Who takes it for that throws a good snapshot away. */
static void a_lack_of_memory_is_not_taken_for_a_broken_snapshot(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(writer_release) struct writer out;
    static const struct piece compressed = {PIECE_DATA, .codec = COMPRESSION_GZIP};
    struct compress_context *context;
    struct snapshot_writer writer;
    struct voters_record voters;
    enum err err = ERR_NO_MEMORY;

    assert_int_equal(compress_context_open(&context, &heap_allocator), OK);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    voters_record_init(&voters);
    voters.voters = voters_record_voter_array(&arena, 3);
    voters.voters_count = 3;
    snapshot_writer_begin(&writer, 1, &out, &arena);
    assert_int_equal(snapshot_writer_header(&writer, T0, T0, 1, &voters), OK);
    piece_write(&compressed, context, &arena, &out);
    snapshot_writer_begin(&writer, 1, &out, &arena);
    writer.next_offset = 1;
    assert_int_equal(snapshot_writer_finish(&writer, T0), OK);
    for (size_t bytes = 0; err == ERR_NO_MEMORY; bytes += 16) {
        CLEANUP(arena_release) struct arena small;

        arena_init(&small, &heap_allocator, bytes);
        err = read_whole(writer_slice(&out), context, &heap_allocator, &small);
    }
    assert_int_equal(err, OK);
    for (int64_t at = 0;; at++) {
        struct allocator_failing failing;

        allocator_failing_init(&failing, &heap_allocator, at, false);
        err = read_whole(writer_slice(&out), context, &failing.base, &arena);
        assert_true(err == OK || err == ERR_NO_MEMORY);
        if (failing.calls <= at)
            break;
    }
    compress_context_release(&context);
    UNUSED(state);
}

static void a_snapshot_that_cannot_be_written_says_so_to_the_end(void **state)
{
    enum err err = ERR_NO_MEMORY;

    for (size_t bytes = 0; err == ERR_NO_MEMORY; bytes += 16) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(writer_release) struct writer out;
        struct snapshot_writer writer;

        arena_init(&arena, &heap_allocator, bytes);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        snapshot_writer_begin(&writer, 1, &out, &arena);
        err = snapshot_writer_header(&writer, T0, T0, 1, NULL);
        writer.next_offset = MAX(writer.next_offset, 1);
        assert_true(err == OK || snapshot_writer_record(&writer, T0, SLICE("r")) == err);
        if (err == OK)
            err = snapshot_writer_finish(&writer, T0);
        else
            assert_int_equal(snapshot_writer_finish(&writer, T0), err);
    }
    assert_int_equal(err, OK);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_batches_that_make_no_snapshot_are_refused_with_the_reason),
        cmocka_unit_test(a_compressed_batch_is_read_with_a_context),
        cmocka_unit_test(a_compressed_batch_that_cannot_be_inflated_is_refused),
        cmocka_unit_test(a_lack_of_memory_is_not_taken_for_a_broken_snapshot),
        cmocka_unit_test(a_snapshot_that_cannot_be_written_says_so_to_the_end),
    };

    return cmocka_run_group_tests_name("records/snapshot_broken", tests, NULL, NULL);
}
