/* SPDX-License-Identifier: Apache-2.0 */
/* Batches and records at the ends of their ranges: headers cut or contradicting their bytes, sizes that 32 bits
 * cannot tell, streams that end too early or too late, control records of no version, lack of memory. */
#include "support.h"

#include "protocol/generated/leader_change_message.h"
#include "protocol/generated/snapshot_header_record.h"
#include "records/control_record.h"
#include "records/record_stream.h"
#include "records/validate.h"

#define HUGE_BYTES ((size_t)INT32_MAX + 1)

/* ---- framing ---- */

static uint8_t *plain_batch(struct bench *bench, size_t *size_out)
{
    struct spec spec;

    spec_init(&spec);
    return bench_batch(bench, &spec, size_out);
}

static void header_that_contradicts_its_bytes_is_corrupt(void **state)
{
    struct bench *bench = *state;
    struct batch_header header;
    size_t size;
    uint8_t *batch = plain_batch(bench, &size);

    assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
    assert_int_equal(batch_header_read(slice_of(batch, size - 1), &header), ERR_CORRUPT_MESSAGE);
    assert_int_equal(batch_peek(slice_of(batch, size), NULL), BATCH_FRAME_WHOLE);
    assert_int_equal(batch_header_read_prefix(slice_of(batch, 61), &header), OK);
    assert_int_equal(batch_header_read_prefix(slice_of(batch, 60), &header), ERR_CORRUPT_MESSAGE);
    batch_put(batch, 8, 4, 48); /* one less than the header takes */
    assert_int_equal(batch_header_read_prefix(slice_of(batch, 61), &header), ERR_CORRUPT_MESSAGE);
    batch[16] = 1;
    assert_int_equal(batch_header_read_prefix(slice_of(batch, 61), &header), ERR_CORRUPT_MESSAGE);
    free(batch);
}

static void length_that_cannot_be_is_found_before_the_magic_is_there(void **state)
{
    uint8_t bytes[16] = {0};
    size_t size = 7;

    (void)state;
    batch_put(bytes, 8, 4, -1);
    assert_int_equal(batch_peek(slice_of(bytes, sizeof bytes), &size), BATCH_FRAME_PARTIAL);
    assert_int_equal(size, 0);
}

static void partition_whose_first_batch_is_no_batch_is_refused(void **state)
{
    struct bench *bench = *state;
    struct batch_header header;
    struct why why = {""};
    size_t size;
    uint8_t *batch = plain_batch(bench, &size);

    batch_put(batch, 8, 4, 40); /* framed, but shorter than its header */
    assert_int_equal(produce_precheck(slice_of(batch, 52), 9, &header, &why), ERR_CORRUPT_MESSAGE);
    assert_string_equal(why.text, "a batch of 52 bytes has no whole header");
    batch_put(batch, 8, 4, 0);
    assert_int_equal(produce_precheck(slice_of(batch, size), 9, &header, &why),
                     ERR_CORRUPT_MESSAGE);
    free(batch);
}

/* ---- building ---- */

static struct slice claimed(size_t size_bytes)
{
    return slice_of("", size_bytes); /* refused by its size, never read */
}

static void record_that_32_bits_cannot_measure_is_refused(void **state)
{
    struct bench *bench = *state;
    struct record_header headers[] = {{SLICE("k"), SLICE("v")},
                                      {claimed(HUGE_BYTES), SLICE("v")},
                                      {SLICE("k"), claimed(HUGE_BYTES)}};
    struct batch_record records[] = {
        {.key = claimed(HUGE_BYTES), .value = SLICE("v")},
        {.key = SLICE("k"), .value = claimed(HUGE_BYTES)},
        {.key = SLICE("k"), .value = claimed(INT32_MAX)}, /* the fields fit, their sum does not */
        {.headers = headers, .header_count = 2},
        {.headers = headers + 2, .header_count = 1},
    };
    struct record negative = {.header_count = -1};
    struct batch_options options;
    struct batch_builder builder;

    batch_options_init(&options);
    for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
        writer_reset(&bench->out);
        batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
        assert_int_equal(batch_builder_append(&builder, &records[i]), ERR_INVALID_RECORD);
        assert_int_equal(batch_builder_finish(&builder, NULL), ERR_INVALID_RECORD);
    }
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
    assert_int_equal(batch_builder_append_walked(&builder, 0, &negative), ERR_INVALID_RECORD);
}

static void batch_of_the_most_records_there_can_be_takes_no_more(void **state)
{
    struct bench *bench = *state;
    struct batch_record record = {.value = SLICE("v")};
    struct batch_options options;
    struct batch_builder builder;

    batch_options_init(&options);
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
    builder.record_count = INT32_MAX;
    assert_int_equal(batch_builder_append(&builder, &record), ERR_INVALID_RECORD);
}

static void last_offset_that_is_kept_must_be_of_the_batch(void **state)
{
    static const struct {
        int64_t last_offset;
        int records;
        enum err err;
    } rows[] = {
        {100, 2, ERR_INVALID_RECORD},
        {99, 0, ERR_INVALID_RECORD},
        {98, 0, ERR_INVALID_RECORD},
        {100, 0, OK},
        {101, 2, OK},
        {100 + (int64_t)INT32_MAX, 0, OK},
        {101 + (int64_t)INT32_MAX, 0, ERR_INVALID_RECORD},
    };
    struct bench *bench = *state;
    struct batch_record record = {.value = SLICE("v")};

    for (size_t i = 0; i <= ARRAY_COUNT(rows); i++) {
        struct batch_options options;
        struct batch_builder builder;

        batch_options_init(&options);
        options.base_offset = 100;
        writer_reset(&bench->out);
        batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
        if (i == ARRAY_COUNT(rows)) { /* what failed before stays failed */
            record.timestamp = -2;
            assert_int_equal(batch_builder_append(&builder, &record), ERR_INVALID_RECORD);
            assert_int_equal(batch_builder_finish_at(&builder, 100, NULL), ERR_INVALID_RECORD);
            break;
        }
        for (int k = 0; k < rows[i].records; k++)
            assert_int_equal(batch_builder_append(&builder, &record), OK);
        assert_int_equal(batch_builder_finish_at(&builder, rows[i].last_offset, NULL), rows[i].err);
    }
}

static void size_of_a_record_is_what_it_takes_in_a_batch(void **state)
{
    struct bench *bench = *state;
    struct record_header headers[] = {{SLICE("k"), SLICE("v")}, {SLICE("n"), SLICE_NULL}};
    struct batch_record records[] = {
        {.timestamp = 5, .key = SLICE_NULL, .value = SLICE("value")},
        {.timestamp = 5, .key = SLICE("key"), .value = SLICE_NULL, headers, 2}};
    struct batch_options options;
    struct batch_builder builder;

    batch_options_init(&options);
    for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
        writer_reset(&bench->out);
        batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
        assert_int_equal(batch_builder_append(&builder, &records[i]), OK);
        assert_int_equal(batch_builder_size_bytes(&builder),
                         BATCH_HEADER_BYTES + batch_record_size_bytes(0, 0, &records[i]));
    }
}

/* ---- control records ---- */

static void control_record_of_no_version_is_neither_written_nor_read(void **state)
{
    struct bench *bench = *state;
    CLEANUP(arena_release) struct arena arena;
    struct leader_change_message message, again;
    struct end_transaction_marker marker = {.is_abort = true}, read;
    struct record_walk walk;
    struct record record;
    struct batch_header header;
    struct batch_options options;
    struct batch_builder builder;
    struct slice batch;
    uint8_t small[70];
    struct writer full;
    bool more;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    batch_options_init(&options);
    options.control = true;
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
    leader_change_message_init(&message);
    message.leader_id = 7;
    message.version = 99;
    assert_int_equal(control_append_leader_change(&builder, T0, &message, &arena),
                     ERR_UNSUPPORTED_VERSION);
    message.version = 0;
    arena.limit_bytes = 0;
    assert_int_equal(control_append_leader_change(&builder, T0, &message, &arena), ERR_NO_MEMORY);
    arena.limit_bytes = SIZE_MAX;
    assert_int_equal(control_append_leader_change(&builder, T0, &message, &arena), OK);
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    assert_int_equal(batch_header_read(batch, &header), OK);
    assert_int_equal(record_walk_begin(&walk, &header, batch_records(batch)), OK);
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_int_equal(control_read_leader_change(record.value, &arena, &again), OK);
    assert_int_equal(again.leader_id, 7);
    assert_int_equal(control_read_leader_change(SLICE("\xff\xff\0\0\0\7"), &arena, &again),
                     ERR_INVALID_RECORD); /* version -1 */
    assert_int_equal(end_transaction_marker_read(SLICE("\0\0"), SLICE("\0\0\0\0\0\0"), &read),
                     ERR_INVALID_RECORD);
    writer_init_fixed(&full, small, sizeof small);
    assert_int_not_equal(end_transaction_batch_write(&marker, 0, 0, 1, 0, T0, &full), OK);
}

/* ---- inflating ---- */

static void only_whole_batches_of_known_codecs_are_inflated(void **state)
{
    struct bench *bench = *state;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.options.codec = COMPRESSION_GZIP;
    batch = bench_batch(bench, &spec, &size);
    writer_reset(&bench->out);
    assert_int_equal(record_inflate(bench->context, slice_of(batch, size - 1), MIB, &bench->out),
                     ERR_CORRUPT_MESSAGE);
    batch_put(batch, 57, 4, 0); /* no record, but bytes */
    assert_int_equal(record_inflate(bench->context, slice_of(batch, size), MIB, &bench->out), OK);
    batch_put(batch, 8, 4, 49);
    assert_int_equal(record_inflate(bench->context, slice_of(batch, 61), MIB, &bench->out), OK);
    batch_put(batch, 57, 4, 1); /* a record, but no bytes */
    assert_int_not_equal(record_inflate(bench->context, slice_of(batch, 61), MIB, &bench->out), OK);
    batch_put(batch, 21, 2, 7);
    assert_int_equal(record_inflate(bench->context, slice_of(batch, 61), MIB, &bench->out),
                     ERR_UNKNOWN_SERVER_ERROR);
    batch[16] = 1;
    assert_int_equal(record_inflate(bench->context, slice_of(batch, 61), MIB, &bench->out),
                     ERR_UNSUPPORTED);
    free(batch);
}

static void messages_of_old_formats_are_not_walked(void **state)
{
    struct batch_header header = {.magic = 1, .record_count = 1};
    struct record_walk walk;

    (void)state;
    assert_int_equal(record_walk_begin(&walk, &header, SLICE("x")), ERR_INVALID_RECORD);
}

/* Walks the records of a compressed section to the end; the first error, or OK. */
static enum err streamed_from(struct bench *bench, enum compression codec, struct slice section,
                              int32_t count)
{
    struct batch_header header = {
        .magic = BATCH_MAGIC, .attributes = (uint8_t)codec, .record_count = count};
    struct record_stream stream;
    struct record_facts facts;
    bool more = true;
    enum err err =
        record_stream_begin(&stream, bench->context, &header, section, 4 * MIB, INT32_MAX);

    while (err == OK && more)
        err = record_stream_next(&stream, &facts, &more);
    return err;
}

static enum err streamed(struct bench *bench, struct slice section, int32_t count)
{
    return streamed_from(bench, COMPRESSION_GZIP, section, count);
}

static void compress(struct bench *bench, enum compression codec, struct slice plain)
{
    writer_reset(&bench->out);
    assert_int_equal(
        compress_bytes(bench->context, codec, compression_level_default(codec), plain, &bench->out),
        OK);
}

static void gzip(struct bench *bench, struct slice plain)
{
    compress(bench, COMPRESSION_GZIP, plain);
}

static void stream_that_is_cut_anywhere_is_a_fault_of_its_record(void **state)
{
    struct bench *bench = *state;
    /* Numbers of several bytes everywhere: length 300, time and offset deltas, key and value. */
    static const uint8_t head[] = {0xd8, 0x04, 0,    0x80, 0x80, 0x80, 0x80, 0x10, 0x80,
                                   0x80, 0x04, 0x06, 'k',  'e',  'y',  0x80, 0x04};
    uint8_t plain[sizeof head + 256 + 5];

    memset(plain, 'v', sizeof plain);
    memcpy(plain, head, sizeof head);
    memcpy(plain + sizeof head + 256, (uint8_t[]){2, 2, 'h', 2, 'w'}, 5);
    for (size_t size = 0; size <= sizeof plain; size++) {
        gzip(bench, slice_of(plain, size));
        assert_int_equal(streamed(bench, writer_slice(&bench->out), 1),
                         size == sizeof plain ? OK : ERR_INVALID_RECORD);
    }
    gzip(bench, slice_of(plain, sizeof plain));
    assert_int_equal(streamed(bench, writer_slice(&bench->out), -1), ERR_INVALID_RECORD);
    assert_int_equal(streamed(bench, writer_slice(&bench->out), 0), OK);
    /* What follows the record in the frame, and a frame whose checksum is wrong. */
    bench->out.data[bench->out.size_bytes - 8] ^= 1;
    assert_int_equal(streamed(bench, writer_slice(&bench->out), 1), ERR_UNKNOWN_SERVER_ERROR);
}

static void number_of_too_many_bytes_is_a_fault_of_its_record(void **state)
{
    struct bench *bench = *state;
    uint8_t plain[40];

    for (size_t at = 0; at < 4; at++) { /* length, time delta, offset delta, key */
        memset(plain, 0, sizeof plain);
        plain[0] = 0x40;
        memset(plain + at + (at > 0), 0x80, 12);
        gzip(bench, slice_of(plain, sizeof plain));
        assert_int_equal(streamed(bench, writer_slice(&bench->out), 1), ERR_INVALID_RECORD);
    }
}

/* Zstandard's pieces are 64 KiB whatever the frame holds: the record ends where a piece ends, and a byte
 * more comes with the next one. */
static void bytes_behind_the_last_record_are_found_in_the_next_piece_too(void **state)
{
    struct bench *bench = *state;

    for (size_t pieces = 1; pieces <= 3; pieces++) {
        size_t whole = pieces * 64 * KIB;
        uint8_t *plain = calloc(1, whole + 1);
        size_t value, used;
        struct writer at;

        writer_init_fixed(&at, plain, whole + 1);
        writer_varint(&at, (int32_t)whole);
        used = 2 * at.size_bytes;
        writer_bytes(&at, "\0\0\0\1", 4); /* no key */
        value = whole - used - 4 - 1;     /* less both lengths, the head, and no headers */
        writer_varint(&at, (int32_t)value);
        compress(bench, COMPRESSION_ZSTD, slice_of(plain, whole));
        assert_int_equal(streamed_from(bench, COMPRESSION_ZSTD, writer_slice(&bench->out), 1), OK);
        compress(bench, COMPRESSION_ZSTD, slice_of(plain, whole + 1));
        assert_int_equal(streamed_from(bench, COMPRESSION_ZSTD, writer_slice(&bench->out), 1),
                         ERR_INVALID_RECORD);
        free(plain);
    }
}

struct shape {
    int64_t time;
    int32_t offset, length, key, value; /* length 0: the true one; key and value below 0: null */
    bool is_empty;                      /* key and value are claimed, and not there */
    int headers;
    enum err err;
};

static void shape_write(const struct shape *shape, struct writer *out)
{
    static const uint8_t letters[20000];
    uint8_t buffer[30000];
    struct writer body;

    writer_init_fixed(&body, buffer, sizeof buffer);
    writer_u8(&body, 0);
    writer_varlong(&body, shape->time);
    writer_varint(&body, shape->offset);
    writer_varint(&body, shape->key);
    writer_bytes(&body, letters, shape->is_empty ? 0 : (size_t)MAX(shape->key, 0));
    writer_varint(&body, shape->value);
    writer_bytes(&body, letters, shape->is_empty ? 0 : (size_t)MAX(shape->value, 0));
    writer_varint(&body, shape->headers);
    for (int i = 0; i < shape->headers; i++)
        writer_bytes(&body, "\2k\2v", 4);
    writer_varint(out, shape->length ? shape->length : (int32_t)body.size_bytes);
    writer_bytes(out, body.data, body.size_bytes);
}

/* Whether a record ends the section or much follows it, the same is read of it. */
static void record_is_read_alike_near_the_end_and_far_from_it(void **state)
{
    static const struct shape shapes[] = {
        {.key = 3, .value = 5},
        {.key = -1, .value = -1},
        {.time = 1 << 20, .key = 3, .value = 5},
        {.time = INT64_MAX, .key = 3, .value = 5},
        {.offset = 1 << 20, .key = 3, .value = 5},
        {.key = 100, .value = 100, .time = -5000, .offset = 5000},
        {.length = 99, .key = 9000, .value = 5},
        {.length = 99, .key = 3, .value = 9000},
        {.key = 3, .value = 5, .headers = 1},
        {.key = 3, .value = 5, .headers = 70},
        {.length = -1, .key = 3, .value = 5, .err = ERR_INVALID_RECORD},
        {.key = 30, .value = 1},
        {.key = 9000, .value = 5, .err = ERR_INVALID_RECORD}, /* over the bound, in three bytes */
        {.length = 5001, .key = 3, .value = 5, .err = ERR_INVALID_RECORD}, /* over the bound */
        {.length = 3001, .key = 3, .value = 5},                            /* not looked at */
        {.key = 8000, .value = 5, .is_empty = true, .err = ERR_INVALID_RECORD},
        {.key = 0, .value = 8000, .is_empty = true, .err = ERR_INVALID_RECORD},
        {.key = 8000000, .value = 5, .is_empty = true, .err = ERR_INVALID_RECORD},
        {.key = 0, .value = 8000000, .is_empty = true, .err = ERR_INVALID_RECORD},
        {.key = 20, .value = 9, .headers = -1, .err = ERR_INVALID_RECORD},
    };
    static const struct shape small = {.key = 1, .value = 1};
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (int more = 0; more <= 40; more++) {
            struct batch_header header = {
                .magic = BATCH_MAGIC, .attributes = COMPRESSION_GZIP, .record_count = more + 2};
            CLEANUP(writer_release) struct writer plain;
            struct record_stream stream;
            struct record_facts facts;
            bool has_more;
            enum err err;

            writer_init(&plain, &heap_allocator, SIZE_MAX);
            shape_write(&small, &plain); /* the first one is read from piece to piece at any rate */
            shape_write(&shapes[i], &plain);
            for (int k = 0; k < more; k++)
                shape_write(&small, &plain);
            gzip(bench, writer_slice(&plain));
            assert_int_equal(record_stream_begin(&stream, bench->context, &header,
                                                 writer_slice(&bench->out), 4 * MIB, 4000),
                             OK);
            assert_int_equal(record_stream_next(&stream, &facts, &has_more), OK);
            err = record_stream_next(&stream, &facts, &has_more);
            assert_int_equal(err, shapes[i].err);
            if (err != OK)
                continue;
            assert_int_equal(facts.timestamp, shapes[i].time);
            assert_int_equal(facts.offset_delta, shapes[i].offset);
            assert_int_equal(facts.has_key, shapes[i].key >= 0);
            for (int k = 0; k < more; k++)
                assert_int_equal(record_stream_next(&stream, &facts, &has_more), OK);
            assert_int_equal(record_stream_next(&stream, &facts, &has_more), OK);
            assert_false(has_more);
        }
}

static void second_record_that_is_cut_anywhere_is_a_fault_too(void **state)
{
    static const struct shape small = {.key = 1, .value = 1}, larger = {.key = 1, .value = 30};
    struct bench *bench = *state;
    CLEANUP(writer_release) struct writer plain;
    size_t first;

    writer_init(&plain, &heap_allocator, SIZE_MAX);
    shape_write(&small, &plain);
    first = plain.size_bytes;
    shape_write(&larger, &plain);
    for (size_t size = first; size <= plain.size_bytes; size++) {
        gzip(bench, slice_of(plain.data, size));
        assert_int_equal(streamed(bench, writer_slice(&bench->out), 2),
                         size == plain.size_bytes ? OK : ERR_INVALID_RECORD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
        TEST(header_that_contradicts_its_bytes_is_corrupt),
        cmocka_unit_test(length_that_cannot_be_is_found_before_the_magic_is_there),
        TEST(partition_whose_first_batch_is_no_batch_is_refused),
        TEST(record_that_32_bits_cannot_measure_is_refused),
        TEST(batch_of_the_most_records_there_can_be_takes_no_more),
        TEST(last_offset_that_is_kept_must_be_of_the_batch),
        TEST(size_of_a_record_is_what_it_takes_in_a_batch),
        TEST(control_record_of_no_version_is_neither_written_nor_read),
        TEST(only_whole_batches_of_known_codecs_are_inflated),
        cmocka_unit_test(messages_of_old_formats_are_not_walked),
        TEST(stream_that_is_cut_anywhere_is_a_fault_of_its_record),
        TEST(number_of_too_many_bytes_is_a_fault_of_its_record),
        TEST(bytes_behind_the_last_record_are_found_in_the_next_piece_too),
        TEST(record_is_read_alike_near_the_end_and_far_from_it),
        TEST(second_record_that_is_cut_anywhere_is_a_fault_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
