/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot files whose batches are sound, one by one, and that are refused all the same, with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
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
    assert_int_equal(batch_builder_finish(&builder, NULL), OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_batches_that_make_no_snapshot_are_refused_with_the_reason),
        cmocka_unit_test(a_compressed_batch_is_read_with_a_context),
    };

    return cmocka_run_group_tests_name("records/snapshot_broken", tests, NULL, NULL);
}
