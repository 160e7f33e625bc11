/* SPDX-License-Identifier: Apache-2.0 */
/* Names and bytes of snapshot files; the golden ones are Kafka's. argv[1]: tests/golden/format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fmt.h"
#include "base/random.h"
#include "protocol/generated/voters_record.h"
#include "records/snapshot_stream.h"

static const char *golden_path;

static int hex_digit(int c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct slice golden(struct arena *arena, const char *name)
{
    char path[1024];
    uint8_t *bytes = arena_allocate(arena, 65536);
    size_t count = 0;
    FILE *file;
    int c;

    fmt(path, sizeof path, "%s/%s.hex", golden_path, name);
    file = fopen(path, "r");
    assert_non_null(file);
    while ((c = fgetc(file)) != EOF) {
        if (c == '\n')
            continue;
        bytes[count++] = (uint8_t)(hex_digit(c) << 4 | hex_digit(fgetc(file)));
    }
    fclose(file);
    return slice_of(bytes, count);
}

static const char *const cases[] = {"one", "three", "none", "static", "old", "features", "scram"};

static void names_are_those_of_kafka(void **state)
{
    static const struct {
        const char *name;
        enum snapshot_file kind;
        int64_t offset;
        int32_t epoch;
    } rows[] = {
        {"00000000000000000000-0000000000.checkpoint", SNAPSHOT_FILE_WHOLE, 0, 0},
        {"00000000000000012345-0000000007.checkpoint", SNAPSHOT_FILE_WHOLE, 12345, 7},
        {"00000000000000012345-0000000007-99.checkpoint.part", SNAPSHOT_FILE_PART, 12345, 7},
        {"00000000000000012345-0000000007.checkpoint.deleted", SNAPSHOT_FILE_DELETED, 12345, 7},
        {"bootstrap.checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"leader-epoch-checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"0000000000000001234x-0000000007.checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000012345_0000000007.checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000012345-0000000007.log", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000012345-0000000007", SNAPSHOT_FILE_NONE, 0, 0},
        {"99999999999999999999-0000000007.checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000000001-9999999999.checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000012345-0000000007-99.checkpoint.torn", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000012345-0000000007.x", SNAPSHOT_FILE_NONE, 0, 0},
        {"00000000000000012345-000000000x.checkpoint", SNAPSHOT_FILE_NONE, 0, 0},
        {"", SNAPSHOT_FILE_NONE, 0, 0},
    };
    char text[SNAPSHOT_NAME_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct snapshot_id id;

        assert_int_equal(snapshot_name_parse(slice_from_text(rows[i].name), &id), rows[i].kind);
        if (rows[i].kind == SNAPSHOT_FILE_NONE)
            continue;
        assert_int_equal(id.end_offset, rows[i].offset);
        assert_int_equal(id.epoch, rows[i].epoch);
    }
    snapshot_name((struct snapshot_id){12345, 7}, text);
    assert_string_equal(text, rows[1].name);
    snapshot_name_part((struct snapshot_id){12345, 7}, 99, text);
    assert_string_equal(text, rows[2].name);
    snapshot_name_deleted((struct snapshot_id){12345, 7}, text);
    assert_string_equal(text, rows[3].name);
}

/* Reads `from` and writes what it says, with the times of its batches. */
static void write_again(struct arena *arena, struct slice from, struct writer *out)
{
    struct snapshot_writer writer;
    struct snapshot_reader reader;
    struct snapshot_item item;
    int64_t contained_ms = 0;
    int16_t kraft_version = 0;
    const struct voters_record *voters = NULL;
    int64_t header_ms = 0;
    bool header_written = false;

    snapshot_writer_begin(&writer, 0, out, arena);
    snapshot_reader_begin(&reader, from, NULL, &heap_allocator, arena);
    for (;;) {
        int64_t now_ms;

        assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
        now_ms = reader.walk.header.base_timestamp;
        if (item.kind == SNAPSHOT_ITEM_END)
            break;
        if (item.kind == SNAPSHOT_ITEM_HEADER) {
            contained_ms = item.contained_ms;
            header_ms = now_ms;
        } else if (item.kind == SNAPSHOT_ITEM_KRAFT_VERSION) {
            kraft_version = item.kraft_version;
        } else if (item.kind == SNAPSHOT_ITEM_VOTERS) {
            voters = item.voters;
        } else if (item.kind == SNAPSHOT_ITEM_RECORD) {
            if (!header_written)
                snapshot_writer_header(&writer, header_ms, contained_ms, kraft_version, voters);
            header_written = true;
            snapshot_writer_record(&writer, now_ms, item.value);
        } else if (item.kind == SNAPSHOT_ITEM_FOOTER) {
            assert_int_equal(snapshot_writer_finish(&writer, now_ms), OK);
        }
    }
    snapshot_reader_release(&reader);
}

static void snapshots_of_kafka_are_read_and_written_alike(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(writer_release) struct writer out;
        struct slice bytes;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        bytes = golden(&arena, cases[i]);
        write_again(&arena, bytes, &out);
        assert_int_equal(out.size_bytes, bytes.size_bytes);
        assert_memory_equal(out.data, bytes.data, bytes.size_bytes);
    }
}

static void voters_of_a_snapshot_are_given_out(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct snapshot_reader reader;
    struct snapshot_item item;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    snapshot_reader_begin(&reader, golden(&arena, "three"), NULL, &heap_allocator, &arena);
    assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
    assert_int_equal(item.kind, SNAPSHOT_ITEM_HEADER);
    assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
    assert_int_equal(item.kind, SNAPSHOT_ITEM_KRAFT_VERSION);
    assert_int_equal(item.kraft_version, 1);
    assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
    assert_int_equal(item.kind, SNAPSHOT_ITEM_VOTERS);
    assert_int_equal(item.voters->voters_count, 3);
    snapshot_reader_release(&reader);
}

/* Reads to the end; what comes back is the first error. */
static enum err read_all(struct slice bytes)
{
    CLEANUP(arena_release) struct arena arena;
    struct snapshot_reader reader;
    struct snapshot_item item = {.kind = SNAPSHOT_ITEM_HEADER};
    enum err err = OK;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    snapshot_reader_begin(&reader, bytes, NULL, &heap_allocator, &arena);
    while (err == OK && item.kind != SNAPSHOT_ITEM_END)
        err = snapshot_reader_next(&reader, &item, NULL);
    snapshot_reader_release(&reader);
    return err;
}

static void every_cut_and_every_flipped_bit_is_noticed(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice bytes;
    uint8_t *copy;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    bytes = golden(&arena, "one");
    copy = arena_allocate(&arena, bytes.size_bytes);
    assert_int_equal(read_all(bytes), OK);
    for (size_t size = 0; size < bytes.size_bytes; size++)
        assert_int_equal(read_all(slice_sub(bytes, 0, size)), ERR_CORRUPT);
    for (size_t bit = 0; bit < bytes.size_bytes * 8; bit++) {
        memcpy(copy, bytes.data, bytes.size_bytes);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* Offset and leader epoch lie outside the checksum, and mean nothing here. */
        if (read_all(slice_of(copy, bytes.size_bytes)) == OK) {
            struct slice rest = bytes, batch = SLICE_NULL;

            do
                assert_int_equal(batch_next(&rest, &batch), OK);
            while (batch.data + batch.size_bytes <= bytes.data + bit / 8);
            assert_true(bytes.data + bit / 8 < batch.data + 8 ||
                        (bytes.data + bit / 8 >= batch.data + 12 &&
                         bytes.data + bit / 8 < batch.data + 16));
        }
    }
}

static void bytes_behind_the_footer_are_refused(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice bytes;
    uint8_t *twice;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    bytes = golden(&arena, "none");
    twice = arena_allocate(&arena, 2 * bytes.size_bytes);
    memcpy(twice, bytes.data, bytes.size_bytes);
    memcpy(twice + bytes.size_bytes, bytes.data, bytes.size_bytes);
    assert_int_equal(read_all(slice_of(twice, 2 * bytes.size_bytes)), ERR_CORRUPT);
}

static void data_batches_end_before_eight_mebibytes(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(writer_release) struct writer out;
    struct snapshot_writer writer;
    struct slice rest, batch;
    static uint8_t value[MIB];
    int batches = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    snapshot_writer_begin(&writer, 3, &out, &arena);
    snapshot_writer_header(&writer, 1, 1, 0, NULL);
    for (int i = 0; i < 20; i++)
        snapshot_writer_record(&writer, 2 + i, slice_of(value, sizeof value));
    assert_int_equal(snapshot_writer_finish(&writer, 99), OK);
    assert_int_equal(read_all(writer_slice(&out)), OK);
    rest = writer_slice(&out);
    for (;; batches++) {
        struct batch_header header;

        assert_int_equal(batch_next(&rest, &batch), OK);
        if (batch.size_bytes == 0)
            break;
        assert_true(batch.size_bytes <= SNAPSHOT_BATCH_BYTES_MAX);
        assert_int_equal(batch_header_read(batch, &header), OK);
        assert_int_equal(header.base_timestamp, header.max_timestamp);
        assert_int_equal(header.leader_epoch, 3);
    }
    assert_int_equal(batches, 5); /* header, 7 + 7 + 6 records, footer */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_kafka),
        cmocka_unit_test(snapshots_of_kafka_are_read_and_written_alike),
        cmocka_unit_test(voters_of_a_snapshot_are_given_out),
        cmocka_unit_test(every_cut_and_every_flipped_bit_is_noticed),
        cmocka_unit_test(bytes_behind_the_footer_are_refused),
        cmocka_unit_test(data_batches_end_before_eight_mebibytes),
    };

    golden_path = argc > 1 ? argv[1] : "tests/golden/format";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
