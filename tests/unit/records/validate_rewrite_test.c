/* SPDX-License-Identifier: Apache-2.0 */
/* What the leader rewrites, and the sizes that it holds batches to. */
#include "validate_support.h"

/* ---- what is rewritten ---- */

static void a_wrong_max_timestamp_is_repaired(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct trial trial;
        struct batch_header header;

        trial_begin(&trial);
        trial.spec.options.codec = codec;
        trial_build(bench, &trial);
        batch_put(trial.batch, 35, 8, T0 + 5000);
        batch_fix_crc(trial.batch, trial.size);
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), OK);
        assert_true(slice_is_null(trial.attempt.rebuilt));
        assert_true(trial.attempt.info.max_timestamp == T0 + 20);
        assert_true(batch_is_valid(slice_of(trial.batch, trial.size)));
        assert_int_equal(batch_header_read(slice_of(trial.batch, trial.size), &header), OK);
        assert_true(header.max_timestamp == T0 + 20);
        trial_end(&trial);
    }
}

static void a_good_batch_keeps_every_byte(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct trial trial;
        uint8_t *before;

        trial_begin(&trial);
        trial.spec.options.codec = codec;
        trial_build(bench, &trial);
        before = malloc(trial.size);
        memcpy(before, trial.batch, trial.size);
        trial.attempt.config.compression_type = (int)codec; /* the same codec: no rewriting */
        trial.attempt.config.compression_level[codec] = compression_level_max(codec);
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), OK);
        assert_memory_equal(trial.batch, before, trial.size);
        assert_true(slice_is_null(trial.attempt.rebuilt));
        assert_int_equal(trial.attempt.info.valid_bytes, trial.size);
        assert_int_equal(trial.attempt.info.record_count, 3);
        trial_end(&trial);
        free(before);
    }
}

static void log_append_time_sets_max_timestamp_to_now(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct trial trial;
        struct batch_header header;

        trial_begin(&trial);
        trial.spec.options.codec = codec;
        trial_build(bench, &trial);
        trial.attempt.config.log_append_time = true;
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), OK);
        assert_int_equal(batch_header_read(slice_of(trial.batch, trial.size), &header), OK);
        assert_true(header.max_timestamp == NOW && header.base_timestamp == T0);
        assert_true(batch_is_log_append_time(&header));
        assert_true(batch_is_valid(slice_of(trial.batch, trial.size)));
        assert_true(trial.attempt.info.log_append_time == NOW &&
                    trial.attempt.info.max_timestamp == NOW);
        trial_end(&trial);
    }
}

static void assert_same_records(struct bench *bench, struct slice a, struct slice b)
{
    struct batch_header header_a, header_b;
    struct record_walk walk_a, walk_b;
    struct record record_a, record_b;
    struct writer plain_a, plain_b;
    bool more_a, more_b;

    writer_init(&plain_a, &heap_allocator, SIZE_MAX);
    writer_init(&plain_b, &heap_allocator, SIZE_MAX);
    assert_int_equal(batch_header_read(a, &header_a), OK);
    assert_int_equal(batch_header_read(b, &header_b), OK);
    assert_int_equal(record_inflate(bench->context, a, SIZE_MAX, &plain_a), OK);
    assert_int_equal(record_inflate(bench->context, b, SIZE_MAX, &plain_b), OK);
    assert_int_equal(record_walk_begin(&walk_a, &header_a, writer_slice(&plain_a)), OK);
    assert_int_equal(record_walk_begin(&walk_b, &header_b, writer_slice(&plain_b)), OK);
    do {
        assert_int_equal(record_walk_next(&walk_a, &record_a, &more_a), OK);
        assert_int_equal(record_walk_next(&walk_b, &record_b, &more_b), OK);
        assert_int_equal(more_a, more_b);
        if (more_a)
            assert_true(record_a.timestamp == record_b.timestamp &&
                        slice_equal(record_a.key, record_b.key) &&
                        slice_equal(record_a.value, record_b.value));
    } while (more_a);
    writer_release(&plain_a);
    writer_release(&plain_b);
}

static void compression_type_rewrites_to_the_topics_codec(void **state)
{
    struct bench *bench = *state;

    for (enum compression from = 0; from < COMPRESSION_COUNT; from++)
        for (enum compression to = 0; to < COMPRESSION_COUNT; to++) {
            struct trial trial;
            struct batch_header header;

            trial_begin(&trial);
            trial.spec.options.codec = from;
            trial.spec.options.producer_id = 1000;
            trial.spec.options.producer_epoch = 2;
            trial.spec.options.base_sequence = 77;
            trial.spec.options.transactional = true;
            trial_build(bench, &trial);
            trial.attempt.config.compression_type = (int)to;
            assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), OK);
            assert_int_equal(slice_is_null(trial.attempt.rebuilt), from == to);
            if (from != to) {
                assert_true(batch_is_valid(trial.attempt.rebuilt));
                assert_int_equal(batch_header_read(trial.attempt.rebuilt, &header), OK);
                assert_int_equal(batch_codec(&header), to);
                assert_true(header.producer_id == 1000 && header.producer_epoch == 2 &&
                            header.base_sequence == 77 && batch_is_transactional(&header));
                assert_true(header.base_offset == 0 && header.max_timestamp == T0 + 20);
                assert_int_equal(trial.attempt.info.valid_bytes, trial.attempt.rebuilt.size_bytes);
                assert_same_records(bench, slice_of(trial.batch, trial.size),
                                    trial.attempt.rebuilt);
            }
            trial_end(&trial);
        }
}

/* A compressed batch whose inner offset deltas are 0, 2, 4: older clients make such. */
static uint8_t *sparse_batch(struct bench *bench, enum compression codec, size_t *size_out)
{
    struct batch_builder builder;
    struct batch_options options;
    struct batch_record record = {.timestamp = T0, .key = SLICE("k"), .value = SLICE("v")};
    struct slice batch;
    uint8_t *copy;

    batch_options_init(&options);
    options.codec = codec;
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, bench->context, &bench->scratch, &bench->out);
    for (int i = 0; i < 3; i++)
        assert_int_equal(batch_builder_append_at(&builder, 2 * i, &record), OK);
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    copy = malloc(batch.size_bytes);
    memcpy(copy, batch.data, batch.size_bytes);
    *size_out = batch.size_bytes;
    batch_put(copy, 23, 4, 2);
    batch_fix_crc(copy, *size_out);
    return copy;
}

static void inner_offsets_are_made_dense_when_compressed_and_left_when_plain(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct attempt attempt;
        struct batch_header header;
        size_t size;
        uint8_t *batch = sparse_batch(bench, codec, &size);

        attempt_init(&attempt);
        assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size), OK);
        if (codec == COMPRESSION_NONE) {
            assert_true(slice_is_null(attempt.rebuilt));
        } else {
            assert_false(slice_is_null(attempt.rebuilt));
            assert_int_equal(batch_header_read(attempt.rebuilt, &header), OK);
            assert_int_equal(header.last_offset_delta, 2);
            assert_int_equal(batch_codec(&header), codec);
        }
        attempt_release(&attempt);
        free(batch);
    }
}

static void a_control_batch_is_never_compressed(void **state)
{
    struct bench *bench = *state;
    struct trial trial;

    trial_begin(&trial);
    trial.spec.count = 1;
    trial.spec.options.control = true;
    trial.spec.options.transactional = true;
    trial.spec.options.producer_id = 5;
    trial.spec.options.producer_epoch = 0;
    trial_build(bench, &trial);
    trial.attempt.config.compression_type = COMPRESSION_ZSTD;
    assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_COORDINATOR), OK);
    assert_true(slice_is_null(trial.attempt.rebuilt));
    trial_end(&trial);
}

static void a_time_below_minus_one_passes_in_place_but_not_through_a_rebuild(void **state)
{
    struct bench *bench = *state;

    for (enum compression target = 0; target <= COMPRESSION_GZIP; target++) {
        struct trial trial;

        trial_begin(&trial);
        trial.spec.timestamp = 0;
        trial.spec.timestamp_step = 0;
        trial_build(bench, &trial);
        batch_put(trial.batch, 27, 8, -100);
        batch_fix_crc(trial.batch, trial.size);
        trial.attempt.config.compression_type = (int)target;
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT),
                         target == COMPRESSION_NONE ? OK : ERR_UNKNOWN_SERVER_ERROR);
        if (target == COMPRESSION_NONE)
            assert_true(trial.attempt.info.max_timestamp == -1);
        trial_end(&trial);
    }
}

/* ---- sizes ---- */

struct size_case {
    enum append_origin origin;
    int32_t over; /* limit = size - over */
    enum err expected;
};

static void max_message_bytes_counts_the_whole_batch_on_leaders_only(void **state)
{
    static const struct size_case cases[] = {
        {APPEND_ORIGIN_CLIENT, 0, OK},
        {APPEND_ORIGIN_CLIENT, 1, ERR_MESSAGE_TOO_LARGE},
        {APPEND_ORIGIN_COORDINATOR, 1, ERR_MESSAGE_TOO_LARGE},
        {APPEND_ORIGIN_RAFT_LEADER, 1, ERR_MESSAGE_TOO_LARGE},
        {APPEND_ORIGIN_REPLICATION, 1, OK},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct append_info info;
        struct spec spec;
        size_t size;
        uint8_t *batch;

        spec_init(&spec);
        spec.options.leader_epoch = 7;
        batch = bench_batch(bench, &spec, &size);
        assert_int_equal(append_scan(slice_of(batch, size), cases[i].origin, 7,
                                     (int32_t)size - cases[i].over, &info, NULL),
                         cases[i].expected);
        free(batch);
    }
}

static void a_batch_that_grows_by_recompression_is_measured_again(void **state)
{
    struct bench *bench = *state;
    struct trial trial;

    trial_begin(&trial);
    trial.spec.options.codec = COMPRESSION_ZSTD;
    trial.spec.options.level = 3;
    trial.spec.value_bytes = 5000;
    trial_build(bench, &trial);
    trial.attempt.config.compression_type = COMPRESSION_NONE;
    trial.attempt.config.message_bytes_max = 5000;
    assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), ERR_MESSAGE_TOO_LARGE);
    assert_true(slice_is_null(trial.attempt.rebuilt));
    trial_end(&trial);
}

struct inflate_case {
    int32_t record_max;
    int64_t batch_max;
    int target; /* compression_type */
    enum err expected;
};

static void inflated_sizes_are_bounded(void **state)
{
    static const struct inflate_case cases[] = {
        {6000, 1 << 20, VALIDATE_COMPRESSION_PRODUCER, OK},
        {5000, 1 << 20, VALIDATE_COMPRESSION_PRODUCER, ERR_INVALID_RECORD},
        {6000, 10000, VALIDATE_COMPRESSION_PRODUCER, ERR_INVALID_RECORD},
        {6000, 1 << 20, COMPRESSION_SNAPPY, OK},
        {5000, 1 << 20, COMPRESSION_SNAPPY, ERR_INVALID_RECORD},
        {6000, 10000, COMPRESSION_SNAPPY, ERR_INVALID_RECORD},
    };
    static const enum compression codecs[] = {COMPRESSION_GZIP, COMPRESSION_LZ4, COMPRESSION_ZSTD};
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        for (size_t k = 0; k < ARRAY_COUNT(codecs); k++) {
            struct trial trial;

            trial_begin(&trial);
            trial.spec.options.codec = codecs[k];
            trial.spec.options.level = compression_level_default(codecs[k]);
            trial.spec.value_bytes = 5000;
            trial_build(bench, &trial);
            trial.attempt.config.inflated_bytes_max = cases[i].record_max;
            trial.attempt.config.inflated_batch_bytes_max = cases[i].batch_max;
            trial.attempt.config.compression_type = cases[i].target;
            if (trial_run(bench, &trial, APPEND_ORIGIN_CLIENT) != cases[i].expected)
                fail_msg("row %zu, %s: %s", i, compression_name(codecs[k]),
                         err_name(trial.attempt.err));
            trial_end(&trial);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_max_timestamp_is_repaired),
        cmocka_unit_test(a_good_batch_keeps_every_byte),
        cmocka_unit_test(log_append_time_sets_max_timestamp_to_now),
        cmocka_unit_test(compression_type_rewrites_to_the_topics_codec),
        cmocka_unit_test(inner_offsets_are_made_dense_when_compressed_and_left_when_plain),
        cmocka_unit_test(a_control_batch_is_never_compressed),
        cmocka_unit_test(a_time_below_minus_one_passes_in_place_but_not_through_a_rebuild),
        cmocka_unit_test(max_message_bytes_counts_the_whole_batch_on_leaders_only),
        cmocka_unit_test(a_batch_that_grows_by_recompression_is_measured_again),
        cmocka_unit_test(inflated_sizes_are_bounded),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
