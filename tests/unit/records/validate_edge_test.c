/* SPDX-License-Identifier: Apache-2.0 */
/* Batches that pass one look and not the next: records whose lengths lie, sizes at their bound, producer fields
 * that no builder takes; and lack of memory wherever validation asks for some. */
#include "validate_support.h"

/* A gzip batch of two records, 0 and `second_delta`, the first of which may lie about its length. */
static void liar_build(struct bench *bench, struct trial *trial, uint8_t length,
                       uint8_t second_delta)
{
    const uint8_t plain[] = {length, 0, 0,   0, 1, 2, 'a', 0, 14, 0, 0, (uint8_t)(2 * second_delta),
                             1,      2, 'b', 0};
    struct batch_header header = {
        .leader_epoch = -1,
        .magic = BATCH_MAGIC,
        .attributes = COMPRESSION_GZIP,
        .last_offset_delta = 1,
        .base_timestamp = T0,
        .max_timestamp = T0,
        .producer_id = PRODUCER_ID_NONE,
        .producer_epoch = PRODUCER_EPOCH_NONE,
        .base_sequence = SEQUENCE_NONE,
        .record_count = 2,
    };

    writer_reset(&bench->out);
    assert_true(writer_reserve(&bench->out, BATCH_HEADER_BYTES));
    assert_int_equal(compress_bytes(bench->context, COMPRESSION_GZIP,
                                    compression_level_default(COMPRESSION_GZIP),
                                    slice_of(plain, sizeof plain), &bench->out),
                     OK);
    header.batch_length = (int32_t)(bench->out.size_bytes - BATCH_PREFIX_BYTES);
    batch_header_write(&header, bench->out.data, bench->out.size_bytes);
    trial->size = bench->out.size_bytes;
    trial->batch = malloc(trial->size);
    memcpy(trial->batch, bench->out.data, trial->size);
}

static void record_that_lies_about_its_length_is_found_when_it_is_built_anew(void **state)
{
    static const struct {
        uint8_t length, second_delta;
        enum err err;
    } rows[] = {
        {14, 1, OK},
        {14, 7, OK}, /* not dense: built anew */
        {16, 1, OK}, /* as in Kafka, who passes over the records sees nothing of it */
        {16, 7, ERR_UNKNOWN_SERVER_ERROR},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct trial trial;

        trial_begin(&trial);
        liar_build(bench, &trial, rows[i].length, rows[i].second_delta);
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), rows[i].err);
        assert_int_equal(slice_is_null(trial.attempt.rebuilt),
                         rows[i].err != OK || rows[i].second_delta == 1);
        trial_end(&trial);
    }
}

static void record_is_measured_without_the_bytes_of_its_length(void **state)
{
    struct bench *bench = *state;

    for (int less = 0; less <= 2; less++) {
        struct trial trial;

        trial_begin(&trial);
        liar_build(bench, &trial, 14, 1);
        trial.attempt.config.compression_type = COMPRESSION_LZ4;
        trial.attempt.config.inflated_bytes_max = 8 - less; /* 7 bytes, 8 with their length */
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT),
                         less < 2 ? OK : ERR_INVALID_RECORD);
        trial_end(&trial);
    }
}

static void producer_fields_that_contradict_each_other_are_not_built_anew(void **state)
{
    static const struct {
        int64_t producer_id;
        int16_t epoch;
        int32_t sequence;
        bool transactional;
        enum err err;
    } rows[] = {
        {1, 0, 0, false, OK},
        {1, -1, 0, false, ERR_UNKNOWN_SERVER_ERROR},
        {1, 0, -1, false, ERR_UNKNOWN_SERVER_ERROR},
        {-1, -1, -1, true, ERR_UNKNOWN_SERVER_ERROR},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct trial trial;

        trial_begin(&trial);
        trial_build(bench, &trial);
        batch_put(trial.batch, 43, 8, rows[i].producer_id);
        batch_put(trial.batch, 51, 2, rows[i].epoch);
        batch_put(trial.batch, 53, 4, rows[i].sequence);
        if (rows[i].transactional)
            trial.batch[22] |= BATCH_ATTRIBUTE_TRANSACTIONAL;
        batch_fix_crc(trial.batch, trial.size);
        trial.attempt.config.compression_type = COMPRESSION_GZIP;
        assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_COORDINATOR), rows[i].err);
        trial_end(&trial);
    }
}

static void text_about_a_missing_key_names_the_topic(void **state)
{
    struct bench *bench = *state;
    struct trial trial;
    struct attempt *attempt = &trial.attempt;

    trial_begin(&trial);
    trial.spec.null_keys = true;
    trial_build(bench, &trial);
    attempt->config.compacted = true;
    assert_int_equal(append_scan(slice_of(trial.batch, trial.size), APPEND_ORIGIN_CLIENT, 7,
                                 INT32_MAX, &attempt->info, &attempt->why),
                     OK);
    attempt->info.topic = SLICE("orders");
    attempt->info.partition = 3;
    assert_int_equal(append_validate(&attempt->config, APPEND_ORIGIN_CLIENT, NOW, trial.batch,
                                     bench->context, &attempt->arena, &attempt->out, &attempt->info,
                                     &attempt->rebuilt, &attempt->why),
                     ERR_INVALID_RECORD);
    assert_true(slice_equal_text(attempt->info.record_errors[0].message,
                                 "Compacted topic cannot accept message without key in topic "
                                 "partition orders-3"));
    trial_end(&trial);
}

/* From one codec to another, with every allocation failing in turn: nothing is left behind in `out`. */
static void every_allocation_of_a_rewrite_may_fail(void **state)
{
    struct bench *bench = *state;

    for (int to = COMPRESSION_NONE; to < COMPRESSION_COUNT; to++)
        for (int64_t at = 0;; at++) {
            struct allocator_failing failing;
            struct bench other = {.context = NULL};
            struct trial trial;
            bool is_whole;
            enum err err;

            allocator_failing_init(&failing, &heap_allocator, -1, false);
            trial_begin(&trial);
            trial.spec.options.codec = COMPRESSION_GZIP;
            trial.spec.options.level = compression_level_default(COMPRESSION_GZIP);
            trial.spec.count = 300;
            trial_build(bench, &trial);
            trial.attempt.config.compression_type = to;
            writer_release(&trial.attempt.out);
            writer_init(&trial.attempt.out, &failing.base, SIZE_MAX);
            assert_int_equal(compress_context_open(&other.context, &failing.base), OK);
            failing.calls = 0;
            failing.fail_at = at;
            err = trial_run(&other, &trial, APPEND_ORIGIN_CLIENT);
            is_whole = failing.calls <= at;
            failing.fail_at = -1;
            if (err != OK) {
                assert_int_equal(err, ERR_NO_MEMORY);
                assert_true(slice_is_null(trial.attempt.rebuilt));
            }
            compress_context_release(&other.context);
            trial_end(&trial);
            assert_int_equal(failing.bytes_in_use, 0);
            assert_true(!is_whole || err == OK);
            if (is_whole) /* some do without what they asked for */
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
        TEST(record_that_lies_about_its_length_is_found_when_it_is_built_anew),
        TEST(record_is_measured_without_the_bytes_of_its_length),
        TEST(producer_fields_that_contradict_each_other_are_not_built_anew),
        TEST(text_about_a_missing_key_names_the_topic),
        TEST(every_allocation_of_a_rewrite_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
