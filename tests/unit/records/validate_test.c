/* SPDX-License-Identifier: Apache-2.0 */
/* What a leader and a follower refuse, and with which error: one row per rule. */
#include "validate_support.h"

/* ---- refusals by header ---- */

enum mutation {
    NOTHING,
    BASE_OFFSET_1,
    TOO_SMALL_FOR_HEADER,
    BAD_CRC,
    CODEC_5,
    CODEC_7,
    RANGE_NEGATIVE,
    COUNT_0,
    COUNT_LARGER_THAN_RANGE,
    RANGE_LARGER_THAN_COUNT,
    CONTROL,
    PRODUCER_WITHOUT_SEQUENCE,
    TWO_BATCHES,
    MAGIC_1,
    RECORD_BROKEN,
    COUNT_AND_RANGE_TOO_LARGE,
    COUNT_AND_RANGE_TOO_SMALL,
    PAYLOAD_BROKEN,
};

static uint8_t *mutate(uint8_t *batch, size_t *size, enum mutation mutation)
{
    switch (mutation) {
    case NOTHING:
    case BAD_CRC:
        break;
    case BASE_OFFSET_1:
        batch_put(batch, 0, 8, 1);
        break;
    case TOO_SMALL_FOR_HEADER:
        *size = 60;
        batch_put(batch, 8, 4, 48);
        break;
    case CODEC_5:
        batch[22] |= 5;
        break;
    case CODEC_7:
        batch[22] |= 7;
        break;
    case RANGE_NEGATIVE:
        batch_put(batch, 23, 4, -1);
        break;
    case COUNT_0:
        batch_put(batch, 57, 4, 0);
        break;
    case COUNT_LARGER_THAN_RANGE:
        batch_put(batch, 57, 4, 4);
        break;
    case RANGE_LARGER_THAN_COUNT:
        batch_put(batch, 23, 4, 3);
        break;
    case CONTROL:
        batch[22] |= BATCH_ATTRIBUTE_CONTROL;
        break;
    case PRODUCER_WITHOUT_SEQUENCE:
        batch_put(batch, 43, 8, 1000);
        batch_put(batch, 51, 2, 0);
        break;
    case TWO_BATCHES:
        batch = realloc(batch, 2 * *size);
        memcpy(batch + *size, batch, *size);
        *size *= 2;
        return batch;
    case MAGIC_1:
        batch[16] = 1;
        batch_put(batch, 12, 4, crc32_ieee(slice_of(batch + 16, *size - 16)));
        return batch;
    case RECORD_BROKEN:
        batch[BATCH_HEADER_BYTES]++;
        break;
    case COUNT_AND_RANGE_TOO_LARGE:
        batch_put(batch, 23, 4, 3);
        batch_put(batch, 57, 4, 4);
        break;
    case COUNT_AND_RANGE_TOO_SMALL:
        batch_put(batch, 23, 4, 1);
        batch_put(batch, 57, 4, 2);
        break;
    case PAYLOAD_BROKEN:
        memset(batch + BATCH_HEADER_BYTES, 0xaa, *size - BATCH_HEADER_BYTES);
        break;
    }
    batch_fix_crc(batch, *size);
    if (mutation == BAD_CRC)
        batch[*size - 1] ^= 1;
    return batch;
}

struct refusal {
    enum mutation mutation;
    enum compression codec;
    enum append_origin origin;
    enum err expected;
};

static const struct refusal refusals[] = {
    {NOTHING, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, OK},
    {NOTHING, COMPRESSION_LZ4, APPEND_ORIGIN_CLIENT, OK},
    {BASE_OFFSET_1, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {BASE_OFFSET_1, COMPRESSION_NONE, APPEND_ORIGIN_COORDINATOR, OK},
    {TOO_SMALL_FOR_HEADER, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_CORRUPT_MESSAGE},
    {BAD_CRC, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_CORRUPT_MESSAGE},
    {BAD_CRC, COMPRESSION_ZSTD, APPEND_ORIGIN_CLIENT, ERR_CORRUPT_MESSAGE},
    {CODEC_5, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_UNKNOWN_SERVER_ERROR},
    {CODEC_7, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_UNKNOWN_SERVER_ERROR},
    {RANGE_NEGATIVE, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_0, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_LARGER_THAN_RANGE, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {RANGE_LARGER_THAN_COUNT, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {CONTROL, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {CONTROL, COMPRESSION_NONE, APPEND_ORIGIN_COORDINATOR, OK},
    {PRODUCER_WITHOUT_SEQUENCE, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {PRODUCER_WITHOUT_SEQUENCE, COMPRESSION_NONE, APPEND_ORIGIN_COORDINATOR, OK},
    {TWO_BATCHES, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {MAGIC_1, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {RECORD_BROKEN, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_AND_RANGE_TOO_LARGE, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_AND_RANGE_TOO_SMALL, COMPRESSION_NONE, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_AND_RANGE_TOO_LARGE, COMPRESSION_GZIP, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_AND_RANGE_TOO_SMALL, COMPRESSION_GZIP, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_AND_RANGE_TOO_LARGE, COMPRESSION_SNAPPY, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {COUNT_AND_RANGE_TOO_SMALL, COMPRESSION_ZSTD, APPEND_ORIGIN_CLIENT, ERR_INVALID_RECORD},
    {PAYLOAD_BROKEN, COMPRESSION_GZIP, APPEND_ORIGIN_CLIENT, ERR_UNKNOWN_SERVER_ERROR},
    {PAYLOAD_BROKEN, COMPRESSION_SNAPPY, APPEND_ORIGIN_CLIENT, ERR_UNKNOWN_SERVER_ERROR},
    {PAYLOAD_BROKEN, COMPRESSION_LZ4, APPEND_ORIGIN_CLIENT, ERR_UNKNOWN_SERVER_ERROR},
    {PAYLOAD_BROKEN, COMPRESSION_ZSTD, APPEND_ORIGIN_CLIENT, ERR_UNKNOWN_SERVER_ERROR},
};

static void each_bad_batch_has_its_error_and_is_left_as_it_was(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        const struct refusal *c = &refusals[i];
        struct trial trial;
        uint8_t *before;

        trial_begin(&trial);
        trial.spec.options.codec = c->codec;
        trial_build(bench, &trial);
        trial.batch = mutate(trial.batch, &trial.size, c->mutation);
        before = malloc(trial.size);
        memcpy(before, trial.batch, trial.size);
        if (trial_run(bench, &trial, c->origin) != c->expected)
            fail_msg("row %zu: %s (%s)", i, err_name(trial.attempt.err), trial.attempt.why.text);
        if (c->expected != OK) {
            assert_memory_equal(trial.batch, before, trial.size);
            assert_true(slice_is_null(trial.attempt.info.message));
            assert_int_equal(trial.attempt.info.record_error_count, 0);
        }
        trial_end(&trial);
        free(before);
    }
}

/* ---- record errors ---- */

struct record_rule {
    const char *name;
    bool compacted, null_keys, log_append_time, batch_says_append_time;
    int64_t timestamp; /* of all three records, relative to NOW; INT64_MIN: -1 */
    int64_t before_max, after_max;
    enum err expected;
    int32_t errors;
};

static const struct record_rule record_rules[] = {
    {"keys are there", true, false, false, false, 0, INT64_MAX, 3600000, OK, 0},
    {"no keys, not compacted", false, true, false, false, 0, INT64_MAX, 3600000, OK, 0},
    {"no keys, compacted", true, true, false, false, 0, INT64_MAX, 3600000, ERR_INVALID_RECORD, 3},
    {"just old enough", false, false, false, false, -1000, 1000, 0, OK, 0},
    {"too old", false, false, false, false, -1001, 1000, 0, ERR_INVALID_TIMESTAMP, 3},
    {"just young enough", false, false, false, false, 1000, 0, 1000, OK, 0},
    {"too far ahead", false, false, false, false, 1001, 0, 1000, ERR_INVALID_TIMESTAMP, 3},
    {"-1 is never checked", false, false, false, false, INT64_MIN, 0, 0, OK, 0},
    {"LogAppendTime topic takes any time", false, false, true, false, 99999999, 0, 0, OK, 0},
    {"append time bit, topic LogAppendTime", false, false, true, true, 0, INT64_MAX, INT64_MAX,
     ERR_INVALID_TIMESTAMP, 3},
    {"append time bit, topic CreateTime, max in range", false, false, false, true, 0, INT64_MAX,
     3600000, OK, 0},
    {"append time bit, topic CreateTime, max -1", false, false, false, true, INT64_MIN, INT64_MAX,
     3600000, ERR_INVALID_TIMESTAMP, 3},
    {"key fault comes before time fault", true, true, false, false, -5000, 0, 0, ERR_INVALID_RECORD,
     3},
};

static void record_rule_check(struct bench *bench, const struct record_rule *rule,
                              enum compression codec)
{
    struct trial trial;

    trial_begin(&trial);
    trial.spec.options.codec = codec;
    trial.spec.timestamp = rule->timestamp == INT64_MIN ? -1 : NOW + rule->timestamp;
    trial.spec.timestamp_step = 0;
    trial.spec.null_keys = rule->null_keys;
    trial_build(bench, &trial);
    if (rule->batch_says_append_time) {
        trial.batch[22] |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
        batch_fix_crc(trial.batch, trial.size);
    }
    trial.attempt.config.compacted = rule->compacted;
    trial.attempt.config.log_append_time = rule->log_append_time;
    trial.attempt.config.timestamp_before_max_ms = rule->before_max;
    trial.attempt.config.timestamp_after_max_ms = rule->after_max;
    if (trial_run(bench, &trial, APPEND_ORIGIN_CLIENT) != rule->expected ||
        trial.attempt.info.record_error_count != rule->errors)
        fail_msg("%s, %s: %s, %d errors", rule->name, compression_name(codec),
                 err_name(trial.attempt.err), trial.attempt.info.record_error_count);
    for (int32_t i = 0; i < rule->errors; i++) {
        assert_int_equal(trial.attempt.info.record_errors[i].batch_index, i);
        assert_true(trial.attempt.info.record_errors[i].message.size_bytes > 0);
    }
    assert_int_equal(!slice_is_null(trial.attempt.info.message), rule->errors > 0);
    if (trial.attempt.err == OK) {
        assert_true(batch_is_valid(slice_of(trial.batch, trial.size)));
        assert_int_equal((trial.batch[22] & BATCH_ATTRIBUTE_LOG_APPEND_TIME) != 0,
                         rule->log_append_time);
        assert_true(trial.attempt.info.log_append_time == (rule->log_append_time ? NOW : -1));
    }
    trial_end(&trial);
}

static void each_rule_of_records_holds_plain_and_compressed(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(record_rules); i++)
        for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++)
            record_rule_check(*state, &record_rules[i], codec);
}

static void a_single_time_fault_decides_the_error_of_the_batch(void **state)
{
    struct bench *bench = *state;
    struct trial trial;

    /* Keys are missing everywhere but in no case told twice: the times of 1 and 2 are fine. */
    trial_begin(&trial);
    trial.spec.timestamp = NOW - 15;
    trial.spec.timestamp_step = 10; /* -15, -5, +5 */
    trial_build(bench, &trial);
    trial.attempt.config.timestamp_before_max_ms = 10;
    assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), ERR_INVALID_TIMESTAMP);
    assert_int_equal(trial.attempt.info.record_error_count, 1);
    assert_int_equal(trial.attempt.info.record_errors[0].batch_index, 0);
    trial_end(&trial);
}

static void a_broken_record_blames_no_record_before_it(void **state)
{
    struct bench *bench = *state;
    struct trial trial;

    trial_begin(&trial);
    trial.spec.null_keys = true;
    trial_build(bench, &trial);
    trial.batch[trial.size - 1] = 1; /* the last record's header count: -1 */
    batch_fix_crc(trial.batch, trial.size);
    trial.attempt.config.compacted = true;
    assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), ERR_INVALID_RECORD);
    assert_int_equal(trial.attempt.info.record_error_count, 0);
    assert_true(slice_is_null(trial.attempt.info.message));
    trial_end(&trial);
}

static void record_errors_end_where_the_arena_ends_but_the_error_stays(void **state)
{
    struct bench *bench = *state;
    struct trial trial;

    trial_begin(&trial);
    trial.spec.count = 2000;
    trial.spec.null_keys = true;
    trial_build(bench, &trial);
    arena_release(&trial.attempt.arena);
    arena_init(&trial.attempt.arena, &heap_allocator, 16 * KIB);
    trial.attempt.config.compacted = true;
    assert_int_equal(trial_run(bench, &trial, APPEND_ORIGIN_CLIENT), ERR_INVALID_RECORD);
    assert_in_range(trial.attempt.info.record_error_count, 1, 1999);
    trial_end(&trial);
}

struct precheck_case {
    const char *name;
    enum mutation mutation;
    enum compression codec;
    int16_t version;
    size_t cut; /* bytes taken off the end */
    size_t pad; /* zero bytes put behind */
    enum err expected;
};

static void a_produce_partition_is_looked_at_before_all_else(void **state)
{
    static const struct precheck_case cases[] = {
        {"good", NOTHING, COMPRESSION_NONE, 3, 0, 0, OK},
        {"cut", NOTHING, COMPRESSION_NONE, 3, 1, 0, ERR_INVALID_RECORD},
        {"magic 1", MAGIC_1, COMPRESSION_NONE, 3, 0, 0, ERR_INVALID_RECORD},
        {"zstd in 6", NOTHING, COMPRESSION_ZSTD, 6, 0, 0, ERR_UNSUPPORTED_COMPRESSION_TYPE},
        {"zstd in 7", NOTHING, COMPRESSION_ZSTD, 7, 0, 0, OK},
        {"two batches", TWO_BATCHES, COMPRESSION_NONE, 3, 0, 0, ERR_INVALID_RECORD},
        {"second batch torn", TWO_BATCHES, COMPRESSION_NONE, 3, 1, 0, OK},
        {"sixteen bytes behind", NOTHING, COMPRESSION_NONE, 3, 0, 16, OK},
        {"impossible size behind", NOTHING, COMPRESSION_NONE, 3, 0, 17, ERR_CORRUPT_MESSAGE},
        {"crc is not looked at", BAD_CRC, COMPRESSION_NONE, 3, 0, 0, OK},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct precheck_case *c = &cases[i];
        struct batch_header header;
        struct spec spec;
        size_t size;
        uint8_t *batch;
        enum err err;

        spec_init(&spec);
        spec.options.codec = c->codec;
        batch = bench_batch(bench, &spec, &size);
        batch = mutate(batch, &size, c->mutation);
        batch = realloc(batch, size + c->pad);
        memset(batch + size, 0, c->pad);
        err = produce_precheck(slice_of(batch, size + c->pad - c->cut), c->version, &header, NULL);
        if (err != c->expected)
            fail_msg("%s: %s", c->name, err_name(err));
        free(batch);
    }
    {
        struct batch_header header;

        assert_int_equal(produce_precheck(SLICE_NULL, 9, &header, NULL), ERR_INVALID_RECORD);
        assert_int_equal(produce_precheck(SLICE_EMPTY, 9, &header, NULL), ERR_INVALID_RECORD);
    }
}

static void damaged_batches_with_a_good_crc_never_do_harm(void **state)
{
    struct bench *bench = *state;
    struct random random;

    random_init(&random, test_seed());
    for (int round = 0; round < 8000; round++) {
        struct trial trial;

        trial_begin(&trial);
        trial.spec.count = (int32_t)random_between(&random, 1, 20);
        trial.spec.options.codec = (enum compression)random_below(&random, COMPRESSION_COUNT);
        trial.spec.options.level = compression_level_default(trial.spec.options.codec);
        trial_build(bench, &trial);
        for (uint64_t flips = random_below(&random, 3) + 1; flips > 0; flips--)
            trial.batch[random_between(&random, 21, (int64_t)trial.size - 1)] ^=
                (uint8_t)(1u << random_below(&random, 8));
        batch_fix_crc(trial.batch, trial.size);
        trial.attempt.config.compression_type = (int)random_below(&random, 6) - 1;
        trial.attempt.config.compacted = random_chance(&random, 1, 2);
        trial.attempt.config.log_append_time = random_chance(&random, 1, 2);
        trial.attempt.config.inflated_batch_bytes_max = 1 << 20;
        (void)trial_run(bench, &trial, APPEND_ORIGIN_CLIENT);
        if (trial.attempt.err == OK) {
            assert_true(batch_is_valid(slice_of(trial.batch, trial.size)));
            assert_true(slice_is_null(trial.attempt.rebuilt) ||
                        batch_is_valid(trial.attempt.rebuilt));
        }
        trial_end(&trial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_batch_has_its_error_and_is_left_as_it_was),
        cmocka_unit_test(each_rule_of_records_holds_plain_and_compressed),
        cmocka_unit_test(a_single_time_fault_decides_the_error_of_the_batch),
        cmocka_unit_test(a_broken_record_blames_no_record_before_it),
        cmocka_unit_test(record_errors_end_where_the_arena_ends_but_the_error_stays),
        cmocka_unit_test(a_produce_partition_is_looked_at_before_all_else),
        cmocka_unit_test(damaged_batches_with_a_good_crc_never_do_harm),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
