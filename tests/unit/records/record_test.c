/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: what the builder writes the walker reads; broken bytes are refused, never followed.
 */
#include "support.h"

/* ---- hand-made records ---- */

struct record_case {
    const char *name;
    const char *hex;
    enum err expected;
};

static const struct record_case record_cases[] = {
    {"plain", "1000000002610262 00", OK},
    {"null key and value", "0c00000001 01 00", OK},
    {"empty key and value", "0c00000000 00 00", OK},
    {"key length -5 is null", "0c00000009 01 00", OK},
    {"one header", "1400 00 00 01 01 02 02 68 02 78", OK},
    {"header with null value", "1200 00 00 01 01 02 02 68 01", OK},
    {"header with empty key", "1000 00 00 01 01 02 00 01", OK},
    {"length one short", "0a00000001 01 00", ERR_INVALID_RECORD},
    {"length one long", "0e00000001 01 00", ERR_INVALID_RECORD},
    {"length negative", "0100000001 01 00", ERR_INVALID_RECORD},
    {"length zero", "00", ERR_INVALID_RECORD},
    {"key longer than the body", "0c00000010 01 00", ERR_INVALID_RECORD},
    {"value longer than the body", "0c00000001 10 00", ERR_INVALID_RECORD},
    {"header count negative", "0c00000001 01 01", ERR_INVALID_RECORD},
    {"header count beyond the bytes", "0c00000001 01 04", ERR_INVALID_RECORD},
    {"header key null", "1200 00 00 01 01 02 01 02 78", ERR_INVALID_RECORD},
    {"header value beyond the body", "1400 00 00 01 01 02 02 68 04 78", ERR_INVALID_RECORD},
    {"byte behind the last record", "0c00000001 01 00 00", ERR_INVALID_RECORD},
    {"delta varint of six bytes", "1600 00 808080808001 01 01 00", ERR_INVALID_RECORD},
    {"length varint of six bytes", "808080808001 00000001 01 00", ERR_UNKNOWN_SERVER_ERROR},
    {"nothing at all", "", ERR_INVALID_RECORD},
    {"length cut inside", "80", ERR_INVALID_RECORD},
};

static void each_fault_of_a_record_has_its_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(record_cases); i++) {
        const struct record_case *c = &record_cases[i];
        struct batch_header header = {.magic = 2, .record_count = 1, .base_sequence = -1};
        struct record_walk walk;
        struct record record;
        size_t size;
        uint8_t *bytes = test_hex(c->hex, &size);
        bool more;
        enum err err;

        assert_int_equal(record_walk_begin(&walk, &header, slice_of(bytes, size)), OK);
        err = record_walk_next(&walk, &record, &more);
        if (err != c->expected || more != (c->expected == OK))
            fail_msg("%s: %s", c->name, err_name(err));
        free(bytes);
    }
}

static void a_negative_count_is_refused_and_zero_reads_nothing(void **state)
{
    struct batch_header header = {.magic = 2, .record_count = -1};
    struct record_walk walk;
    struct record record;
    bool more = true;

    (void)state;
    assert_int_equal(record_walk_begin(&walk, &header, SLICE_EMPTY), ERR_INVALID_RECORD);
    header.record_count = 0;
    assert_int_equal(record_walk_begin(&walk, &header, SLICE_EMPTY), OK);
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_false(more);
}

static void null_and_empty_stay_apart(void **state)
{
    struct bench *bench = *state;
    struct record_header headers[] = {{SLICE_EMPTY, SLICE_NULL}, {SLICE("h"), SLICE_EMPTY}};
    struct batch_record in[] = {
        {.timestamp = 0, .key = SLICE_NULL, .value = SLICE_EMPTY},
        {.timestamp = 0,
         .key = SLICE_EMPTY,
         .value = SLICE_NULL,
         .headers = headers,
         .header_count = 2},
    };
    struct batch_builder builder;
    struct batch_options options;
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    struct record_header got;
    struct slice batch, rest;
    bool more;

    batch_options_init(&options);
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
    for (size_t i = 0; i < ARRAY_COUNT(in); i++)
        assert_int_equal(batch_builder_append(&builder, &in[i]), OK);
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    assert_int_equal(batch_header_read(batch, &header), OK);
    assert_int_equal(record_walk_begin(&walk, &header, batch_records(batch)), OK);
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_true(slice_is_null(record.key) && !slice_is_null(record.value));
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_true(!slice_is_null(record.key) && slice_is_null(record.value));
    rest = record.headers;
    got = record_header_next(&rest);
    assert_true(!slice_is_null(got.key) && got.key.size_bytes == 0 && slice_is_null(got.value));
    got = record_header_next(&rest);
    assert_true(slice_equal_text(got.key, "h") && !slice_is_null(got.value));
    assert_int_equal(rest.size_bytes, 0);
}

static void log_append_time_gives_every_record_the_batch_time(void **state)
{
    struct bench *bench = *state;
    struct spec spec;
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    size_t size;
    uint8_t *batch;
    bool more;

    spec_init(&spec);
    spec.options.log_append_time = true;
    spec.options.log_append_time_ms = T0 + 777;
    batch = bench_batch(bench, &spec, &size);
    assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
    assert_true(header.base_timestamp == T0 && header.max_timestamp == T0 + 777);
    assert_int_equal(record_walk_begin(&walk, &header, batch_records(slice_of(batch, size))), OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(record_walk_next(&walk, &record, &more), OK);
        assert_true(more && record.timestamp == T0 + 777);
        assert_int_equal(record.timestamp_delta, 10 * i);
    }
    free(batch);
}

static void a_delete_horizon_is_the_base_of_record_times(void **state)
{
    struct bench *bench = *state;
    struct spec spec;
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    size_t size;
    uint8_t *batch;
    bool more;

    spec_init(&spec);
    spec.options.has_delete_horizon = true;
    spec.options.delete_horizon_ms = T0 + 86400000;
    batch = bench_batch(bench, &spec, &size);
    assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
    assert_true(batch_has_delete_horizon(&header) && header.base_timestamp == T0 + 86400000);
    assert_true(header.max_timestamp == T0 + 20);
    assert_int_equal(record_walk_begin(&walk, &header, batch_records(slice_of(batch, size))), OK);
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_true(more && record.timestamp == T0);
    free(batch);
}

/* ---- what the builder refuses ---- */

static void the_builder_takes_only_what_a_batch_can_hold(void **state)
{
    struct bench *bench = *state;
    struct record_header null_key = {SLICE_NULL, SLICE("v")};
    struct batch_record good = {.timestamp = -1, .key = SLICE_NULL, .value = SLICE_NULL};
    struct batch_record early = {.timestamp = -2}, headless = good;
    struct batch_builder builder;
    struct batch_options options;

    headless.headers = &null_key;
    headless.header_count = 1;
    batch_options_init(&options);
    options.base_offset = 5;
#define BEGIN() \
    (writer_reset(&bench->out), batch_builder_begin(&builder, &options, NULL, NULL, &bench->out))
    BEGIN();
    assert_int_equal(batch_builder_finish(&builder, NULL), ERR_INVALID_RECORD);
    BEGIN();
    assert_int_equal(batch_builder_append(&builder, &early), ERR_INVALID_RECORD);
    BEGIN();
    assert_int_equal(batch_builder_append(&builder, &headless), ERR_INVALID_RECORD);
    BEGIN();
    assert_int_equal(batch_builder_append_at(&builder, 4, &good), ERR_INVALID_RECORD);
    BEGIN();
    assert_int_equal(batch_builder_append_at(&builder, 5, &good), OK);
    assert_int_equal(batch_builder_append_at(&builder, 5, &good), ERR_INVALID_RECORD);
    assert_int_equal(batch_builder_finish(&builder, NULL), ERR_INVALID_RECORD);
    BEGIN();
    assert_int_equal(batch_builder_append_at(&builder, 5 + INT64_C(0x80000000), &good),
                     ERR_INVALID_RECORD);
    BEGIN();
    assert_int_equal(batch_builder_append_at(&builder, 5 + INT64_C(0x7fffffff), &good), OK);
    assert_int_equal(batch_builder_finish(&builder, NULL), OK);
#undef BEGIN
}

static void compaction_can_keep_a_last_offset_without_its_record(void **state)
{
    struct bench *bench = *state;
    struct batch_record record = {.timestamp = T0, .key = SLICE("k"), .value = SLICE("v")};
    struct batch_builder builder;
    struct batch_options options;
    struct batch_header header;
    struct slice batch;

    batch_options_init(&options);
    options.base_offset = 100;
    options.codec = COMPRESSION_ZSTD;
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, bench->context, &bench->scratch, &bench->out);
    assert_int_equal(batch_builder_append_at(&builder, 103, &record), OK);
    assert_int_equal(batch_builder_finish_at(&builder, 109, &batch), OK);
    assert_int_equal(batch_header_read(batch, &header), OK);
    assert_int_equal(header.record_count, 1);
    assert_true(batch_last_offset(&header) == 109);

    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, bench->context, &bench->scratch, &bench->out);
    assert_int_equal(batch_builder_finish_at(&builder, 109, &batch), OK);
    assert_int_equal(batch.size_bytes, BATCH_HEADER_BYTES);
    assert_true(batch_is_valid(batch));
    assert_int_equal(batch_header_read(batch, &header), OK);
    assert_int_equal(header.record_count, 0);
    assert_int_equal(batch_codec(&header), COMPRESSION_NONE);
}

/* ---- random batches ---- */

#define RANDOM_RECORDS 40
struct random_batch {
    struct batch_record records[RANDOM_RECORDS];
    struct record_header headers[RANDOM_RECORDS][3];
    int64_t offsets[RANDOM_RECORDS];
    int32_t count;
    uint8_t pool[4096];
};

static struct slice random_field(struct random *random, struct random_batch *batch, bool nullable)
{
    size_t size = (size_t)random_below(random, random_chance(random, 1, 10) ? 2000 : 12);

    if (nullable && random_chance(random, 1, 5))
        return SLICE_NULL;
    return slice_of(batch->pool + random_below(random, sizeof batch->pool - size), size);
}

static void random_batch_make(struct random *random, struct random_batch *batch,
                              int64_t base_offset)
{
    int64_t offset = base_offset;

    random_fill(random, batch->pool, sizeof batch->pool);
    batch->count = (int32_t)random_between(random, 1, RANDOM_RECORDS);
    for (int32_t i = 0; i < batch->count; i++) {
        int32_t headers = (int32_t)random_below(random, 4);

        batch->offsets[i] = offset;
        offset += random_chance(random, 1, 4) ? random_between(random, 1, 100000) : 1;
        for (int32_t h = 0; h < headers; h++)
            batch->headers[i][h] = (struct record_header){random_field(random, batch, false),
                                                          random_field(random, batch, true)};
        batch->records[i] = (struct batch_record){
            .timestamp = random_chance(random, 1, 20)
                             ? -1
                             : (int64_t)(random_u64(random) >> random_between(random, 1, 60)),
            .key = random_field(random, batch, true),
            .value = random_field(random, batch, true),
            .headers = batch->headers[i],
            .header_count = headers,
        };
    }
}

static void assert_reads_back(struct bench *bench, const struct random_batch *expected,
                              struct slice batch)
{
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    struct writer plain;
    int64_t max_timestamp = -1;
    bool more;

    writer_init(&plain, &heap_allocator, SIZE_MAX);
    assert_true(batch_is_valid(batch));
    assert_int_equal(batch_header_read(batch, &header), OK);
    assert_int_equal(record_inflate(bench->context, batch, SIZE_MAX, &plain), OK);
    assert_int_equal(record_walk_begin(&walk, &header, writer_slice(&plain)), OK);
    for (int32_t i = 0; i < expected->count; i++) {
        const struct batch_record *want = &expected->records[i];
        struct slice rest;

        assert_int_equal(record_walk_next(&walk, &record, &more), OK);
        assert_true(more);
        assert_true(record.offset == expected->offsets[i] && record.timestamp == want->timestamp);
        assert_true(slice_equal(record.key, want->key) && slice_equal(record.value, want->value));
        assert_int_equal(record.header_count, want->header_count);
        rest = record.headers;
        for (int32_t h = 0; h < want->header_count; h++) {
            struct record_header got = record_header_next(&rest);

            assert_true(slice_equal(got.key, want->headers[h].key) &&
                        slice_equal(got.value, want->headers[h].value));
        }
        max_timestamp = MAX(max_timestamp, want->timestamp);
    }
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_false(more);
    assert_true(header.max_timestamp == max_timestamp);
    assert_true(batch_last_offset(&header) == expected->offsets[expected->count - 1]);
    writer_release(&plain);
}

static void random_batches_read_back_in_every_codec(void **state)
{
    struct bench *bench = *state;
    struct random_batch *expected = calloc(1, sizeof *expected);
    struct random random;

    random_init(&random, test_seed());
    for (int round = 0; round < 400; round++) {
        struct batch_builder builder;
        struct batch_options options;
        struct slice batch;

        batch_options_init(&options);
        options.base_offset = (int64_t)(random_u64(&random) >> random_between(&random, 2, 63));
        options.codec = (enum compression)(round % COMPRESSION_COUNT);
        options.level = compression_level_default(options.codec);
        random_batch_make(&random, expected, options.base_offset);
        writer_reset(&bench->out);
        writer_bytes(&bench->out, "before", 6);
        batch_builder_begin(&builder, &options, bench->context, &bench->scratch, &bench->out);
        for (int32_t i = 0; i < expected->count; i++)
            assert_int_equal(
                batch_builder_append_at(&builder, expected->offsets[i], &expected->records[i]), OK);
        assert_int_equal(batch_builder_finish(&builder, &batch), OK);
        assert_reads_back(bench, expected, batch);
    }
    free(expected);
}

static void truncated_or_flipped_records_never_do_harm(void **state)
{
    struct bench *bench = *state;
    struct random random;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    random_init(&random, test_seed());
    spec_init(&spec);
    spec.count = 8;
    batch = bench_batch(bench, &spec, &size);
    for (int round = 0; round < 20000; round++) {
        size_t cut = BATCH_HEADER_BYTES + (size_t)random_below(&random, size - 60);
        uint8_t *copy = malloc(cut);
        struct batch_header header;
        struct record_walk walk;
        struct record record;
        bool more;

        memcpy(copy, batch, cut);
        for (uint64_t flips = random_below(&random, 4); flips > 0; flips--)
            copy[random_below(&random, cut)] ^= (uint8_t)(1u << random_below(&random, 8));
        batch_put(copy, 8, 4, (int64_t)cut - 12);
        if (batch_header_read(slice_of(copy, cut), &header) == OK && header.magic == 2 &&
            record_walk_begin(&walk, &header, batch_records(slice_of(copy, cut))) == OK)
            while (record_walk_next(&walk, &record, &more) == OK && more)
                for (struct slice rest = record.headers; rest.size_bytes > 0;)
                    record_header_next(&rest);
        free(copy);
    }
    free(batch);
}

static void out_of_memory_is_told_and_nothing_leaks(void **state)
{
    (void)state;
    for (int64_t fail_at = 0; fail_at < 8; fail_at++) {
        struct allocator_failing failing;
        struct compress_context *context = NULL;
        struct writer out, scratch;

        allocator_failing_init(&failing, &heap_allocator, fail_at, true);
        writer_init(&out, &failing.base, SIZE_MAX);
        writer_init(&scratch, &failing.base, SIZE_MAX);
        if (compress_context_open(&context, &failing.base) == OK) {
            struct batch_record record = {.timestamp = T0, .key = SLICE("k"), .value = SLICE("v")};
            struct batch_builder builder;
            struct batch_options options;
            enum err err;

            batch_options_init(&options);
            options.codec = COMPRESSION_LZ4;
            options.level = 9;
            batch_builder_begin(&builder, &options, context, &scratch, &out);
            for (int i = 0; i < 100; i++)
                (void)batch_builder_append(&builder, &record);
            err = batch_builder_finish(&builder, NULL);
            assert_true(err == OK || err == ERR_NO_MEMORY);
        }
        writer_release(&out);
        writer_release(&scratch);
        compress_context_release(&context);
        assert_int_equal(failing.bytes_in_use, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_of_a_record_has_its_error),
        cmocka_unit_test(a_negative_count_is_refused_and_zero_reads_nothing),
        cmocka_unit_test(null_and_empty_stay_apart),
        cmocka_unit_test(log_append_time_gives_every_record_the_batch_time),
        cmocka_unit_test(a_delete_horizon_is_the_base_of_record_times),
        cmocka_unit_test(the_builder_takes_only_what_a_batch_can_hold),
        cmocka_unit_test(compaction_can_keep_a_last_offset_without_its_record),
        cmocka_unit_test(random_batches_read_back_in_every_codec),
        cmocka_unit_test(truncated_or_flipped_records_never_do_harm),
        cmocka_unit_test(out_of_memory_is_told_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
