/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader and a follower refuse, with which error, and what the leader rewrites: one row per
 * rule.
 */
#include "support.h"

#include "records/validate.h"

#define NOW (T0 + 1000)

struct attempt {
    struct validate_config config;
    struct append_info info;
    struct arena arena;
    struct writer out;
    struct slice rebuilt;
    struct why why;
    enum err err;
};

static void attempt_init(struct attempt *attempt)
{
    memset(attempt, 0, sizeof *attempt);
    validate_config_init(&attempt->config);
    arena_init(&attempt->arena, &heap_allocator, 1 * MIB);
    writer_init(&attempt->out, &heap_allocator, SIZE_MAX);
}

static void attempt_release(struct attempt *attempt)
{
    arena_release(&attempt->arena);
    writer_release(&attempt->out);
}

static enum err attempt_run(struct bench *bench, struct attempt *attempt, enum append_origin origin,
                            uint8_t *batch, size_t size)
{
    attempt->err = append_scan(slice_of(batch, size), origin, 7, attempt->config.message_bytes_max,
                               &attempt->info, &attempt->why);
    if (attempt->err == OK && attempt->info.valid_bytes > 0)
        attempt->err =
            append_validate(&attempt->config, origin, NOW, batch, bench->context, &attempt->arena,
                            &attempt->out, &attempt->info, &attempt->rebuilt, &attempt->why);
    return attempt->err;
}

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
        struct attempt attempt;
        struct spec spec;
        size_t size;
        uint8_t *batch, *before;

        spec_init(&spec);
        spec.options.codec = c->codec;
        batch = bench_batch(bench, &spec, &size);
        batch = mutate(batch, &size, c->mutation);
        before = malloc(size);
        memcpy(before, batch, size);
        attempt_init(&attempt);
        if (attempt_run(bench, &attempt, c->origin, batch, size) != c->expected)
            fail_msg("row %zu: %s (%s)", i, err_name(attempt.err), attempt.why.text);
        if (c->expected != OK) {
            assert_memory_equal(batch, before, size);
            assert_true(slice_is_null(attempt.info.message));
            assert_int_equal(attempt.info.record_error_count, 0);
        }
        attempt_release(&attempt);
        free(batch);
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
    struct attempt attempt;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.options.codec = codec;
    spec.timestamp = rule->timestamp == INT64_MIN ? -1 : NOW + rule->timestamp;
    spec.timestamp_step = 0;
    spec.null_keys = rule->null_keys;
    batch = bench_batch(bench, &spec, &size);
    if (rule->batch_says_append_time) {
        batch[22] |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
        batch_fix_crc(batch, size);
    }
    attempt_init(&attempt);
    attempt.config.compacted = rule->compacted;
    attempt.config.log_append_time = rule->log_append_time;
    attempt.config.timestamp_before_max_ms = rule->before_max;
    attempt.config.timestamp_after_max_ms = rule->after_max;
    if (attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size) != rule->expected ||
        attempt.info.record_error_count != rule->errors)
        fail_msg("%s, %s: %s, %d errors", rule->name, compression_name(codec),
                 err_name(attempt.err), attempt.info.record_error_count);
    for (int32_t i = 0; i < rule->errors; i++) {
        assert_int_equal(attempt.info.record_errors[i].batch_index, i);
        assert_true(attempt.info.record_errors[i].message.size_bytes > 0);
    }
    assert_int_equal(!slice_is_null(attempt.info.message), rule->errors > 0);
    if (attempt.err == OK) {
        assert_true(batch_is_valid(slice_of(batch, size)));
        assert_int_equal((batch[22] & BATCH_ATTRIBUTE_LOG_APPEND_TIME) != 0, rule->log_append_time);
        assert_true(attempt.info.log_append_time == (rule->log_append_time ? NOW : -1));
    }
    attempt_release(&attempt);
    free(batch);
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
    struct attempt attempt;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    /* Keys are missing everywhere but in no case told twice: the times of 1 and 2 are fine. */
    spec_init(&spec);
    spec.timestamp = NOW - 15;
    spec.timestamp_step = 10; /* -15, -5, +5 */
    batch = bench_batch(bench, &spec, &size);
    attempt_init(&attempt);
    attempt.config.timestamp_before_max_ms = 10;
    assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size),
                     ERR_INVALID_TIMESTAMP);
    assert_int_equal(attempt.info.record_error_count, 1);
    assert_int_equal(attempt.info.record_errors[0].batch_index, 0);
    attempt_release(&attempt);
    free(batch);
}

static void a_broken_record_blames_no_record_before_it(void **state)
{
    struct bench *bench = *state;
    struct attempt attempt;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.null_keys = true;
    batch = bench_batch(bench, &spec, &size);
    batch[size - 1] = 1; /* the last record's header count: -1 */
    batch_fix_crc(batch, size);
    attempt_init(&attempt);
    attempt.config.compacted = true;
    assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size),
                     ERR_INVALID_RECORD);
    assert_int_equal(attempt.info.record_error_count, 0);
    assert_true(slice_is_null(attempt.info.message));
    attempt_release(&attempt);
    free(batch);
}

static void record_errors_end_where_the_arena_ends_but_the_error_stays(void **state)
{
    struct bench *bench = *state;
    struct attempt attempt;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.count = 2000;
    spec.null_keys = true;
    batch = bench_batch(bench, &spec, &size);
    attempt_init(&attempt);
    arena_release(&attempt.arena);
    arena_init(&attempt.arena, &heap_allocator, 16 * KIB);
    attempt.config.compacted = true;
    assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size),
                     ERR_INVALID_RECORD);
    assert_in_range(attempt.info.record_error_count, 1, 1999);
    attempt_release(&attempt);
    free(batch);
}

/* ---- what is rewritten ---- */

static void a_wrong_max_timestamp_is_repaired(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct attempt attempt;
        struct batch_header header;
        struct spec spec;
        size_t size;
        uint8_t *batch;

        spec_init(&spec);
        spec.options.codec = codec;
        batch = bench_batch(bench, &spec, &size);
        batch_put(batch, 35, 8, T0 + 5000);
        batch_fix_crc(batch, size);
        attempt_init(&attempt);
        assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size), OK);
        assert_true(slice_is_null(attempt.rebuilt));
        assert_true(attempt.info.max_timestamp == T0 + 20);
        assert_true(batch_is_valid(slice_of(batch, size)));
        assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
        assert_true(header.max_timestamp == T0 + 20);
        attempt_release(&attempt);
        free(batch);
    }
}

static void a_good_batch_keeps_every_byte(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct attempt attempt;
        struct spec spec;
        size_t size;
        uint8_t *batch, *before;

        spec_init(&spec);
        spec.options.codec = codec;
        batch = bench_batch(bench, &spec, &size);
        before = malloc(size);
        memcpy(before, batch, size);
        attempt_init(&attempt);
        attempt.config.compression_type = (int)codec; /* the same codec: no rewriting */
        attempt.config.compression_level[codec] = compression_level_max(codec);
        assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size), OK);
        assert_memory_equal(batch, before, size);
        assert_true(slice_is_null(attempt.rebuilt));
        assert_int_equal(attempt.info.valid_bytes, size);
        assert_int_equal(attempt.info.record_count, 3);
        attempt_release(&attempt);
        free(batch);
        free(before);
    }
}

static void log_append_time_sets_max_timestamp_to_now(void **state)
{
    struct bench *bench = *state;

    for (enum compression codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct attempt attempt;
        struct batch_header header;
        struct spec spec;
        size_t size;
        uint8_t *batch;

        spec_init(&spec);
        spec.options.codec = codec;
        batch = bench_batch(bench, &spec, &size);
        attempt_init(&attempt);
        attempt.config.log_append_time = true;
        assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size), OK);
        assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
        assert_true(header.max_timestamp == NOW && header.base_timestamp == T0);
        assert_true(batch_is_log_append_time(&header));
        assert_true(batch_is_valid(slice_of(batch, size)));
        assert_true(attempt.info.log_append_time == NOW && attempt.info.max_timestamp == NOW);
        attempt_release(&attempt);
        free(batch);
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
            struct attempt attempt;
            struct batch_header header;
            struct spec spec;
            size_t size;
            uint8_t *batch;

            spec_init(&spec);
            spec.options.codec = from;
            spec.options.producer_id = 1000;
            spec.options.producer_epoch = 2;
            spec.options.base_sequence = 77;
            spec.options.transactional = true;
            batch = bench_batch(bench, &spec, &size);
            attempt_init(&attempt);
            attempt.config.compression_type = (int)to;
            assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size), OK);
            assert_int_equal(slice_is_null(attempt.rebuilt), from == to);
            if (from != to) {
                assert_true(batch_is_valid(attempt.rebuilt));
                assert_int_equal(batch_header_read(attempt.rebuilt, &header), OK);
                assert_int_equal(batch_codec(&header), to);
                assert_true(header.producer_id == 1000 && header.producer_epoch == 2 &&
                            header.base_sequence == 77 && batch_is_transactional(&header));
                assert_true(header.base_offset == 0 && header.max_timestamp == T0 + 20);
                assert_int_equal(attempt.info.valid_bytes, attempt.rebuilt.size_bytes);
                assert_same_records(bench, slice_of(batch, size), attempt.rebuilt);
            }
            attempt_release(&attempt);
            free(batch);
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
    struct attempt attempt;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.count = 1;
    spec.options.control = true;
    spec.options.transactional = true;
    spec.options.producer_id = 5;
    spec.options.producer_epoch = 0;
    batch = bench_batch(bench, &spec, &size);
    attempt_init(&attempt);
    attempt.config.compression_type = COMPRESSION_ZSTD;
    assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_COORDINATOR, batch, size), OK);
    assert_true(slice_is_null(attempt.rebuilt));
    attempt_release(&attempt);
    free(batch);
}

static void a_time_below_minus_one_passes_in_place_but_not_through_a_rebuild(void **state)
{
    struct bench *bench = *state;

    for (enum compression target = 0; target <= COMPRESSION_GZIP; target++) {
        struct attempt attempt;
        struct spec spec;
        size_t size;
        uint8_t *batch;

        spec_init(&spec);
        spec.timestamp = 0;
        spec.timestamp_step = 0;
        batch = bench_batch(bench, &spec, &size);
        batch_put(batch, 27, 8, -100);
        batch_fix_crc(batch, size);
        attempt_init(&attempt);
        attempt.config.compression_type = (int)target;
        assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size),
                         target == COMPRESSION_NONE ? OK : ERR_UNKNOWN_SERVER_ERROR);
        if (target == COMPRESSION_NONE)
            assert_true(attempt.info.max_timestamp == -1);
        attempt_release(&attempt);
        free(batch);
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
    struct attempt attempt;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.options.codec = COMPRESSION_ZSTD;
    spec.options.level = 3;
    spec.value_bytes = 5000;
    batch = bench_batch(bench, &spec, &size);
    attempt_init(&attempt);
    attempt.config.compression_type = COMPRESSION_NONE;
    attempt.config.message_bytes_max = 5000;
    assert_int_equal(attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size),
                     ERR_MESSAGE_TOO_LARGE);
    assert_true(slice_is_null(attempt.rebuilt));
    attempt_release(&attempt);
    free(batch);
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
            struct attempt attempt;
            struct spec spec;
            size_t size;
            uint8_t *batch;

            spec_init(&spec);
            spec.options.codec = codecs[k];
            spec.options.level = compression_level_default(codecs[k]);
            spec.value_bytes = 5000;
            batch = bench_batch(bench, &spec, &size);
            attempt_init(&attempt);
            attempt.config.inflated_bytes_max = cases[i].record_max;
            attempt.config.inflated_batch_bytes_max = cases[i].batch_max;
            attempt.config.compression_type = cases[i].target;
            if (attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size) !=
                cases[i].expected)
                fail_msg("row %zu, %s: %s", i, compression_name(codecs[k]), err_name(attempt.err));
            attempt_release(&attempt);
            free(batch);
        }
}

/* ---- scanning ---- */

static void trailing_bytes_are_cut_off_and_garbage_of_a_header_is_corrupt(void **state)
{
    struct bench *bench = *state;
    struct append_info info;
    struct spec spec;
    size_t size;
    uint8_t *batch, *bytes;

    spec_init(&spec);
    batch = bench_batch(bench, &spec, &size);
    bytes = calloc(1, size + 20);
    memcpy(bytes, batch, size);
    assert_int_equal(
        append_scan(slice_of(bytes, size + 16), APPEND_ORIGIN_CLIENT, 0, 1 << 20, &info, NULL), OK);
    assert_int_equal(info.valid_bytes, size);
    assert_int_equal(
        append_scan(slice_of(bytes, size + 17), APPEND_ORIGIN_CLIENT, 0, 1 << 20, &info, NULL),
        ERR_CORRUPT_MESSAGE);
    assert_int_equal(
        append_scan(slice_of(bytes, 10), APPEND_ORIGIN_CLIENT, 0, 1 << 20, &info, NULL), OK);
    assert_int_equal(info.valid_bytes, 0);
    free(batch);
    free(bytes);
}

/* Two batches, offsets first..+2 and second..+2, epochs as told. */
static uint8_t *pair(struct bench *bench, int64_t first, int32_t first_epoch, int64_t second,
                     int32_t second_epoch, size_t *size_out)
{
    struct spec spec;
    size_t size;
    uint8_t *a, *b;

    spec_init(&spec);
    a = bench_batch(bench, &spec, &size);
    b = malloc(2 * size);
    batch_stamp(a, first, first_epoch);
    memcpy(b, a, size);
    batch_stamp(a, second, second_epoch);
    memcpy(b + size, a, size);
    free(a);
    *size_out = 2 * size;
    return b;
}

struct given_case {
    enum append_origin origin;
    int64_t first, second;
    int32_t first_epoch, second_epoch;
    enum err expected;
    uint32_t batches;
    bool skipped;
};

static void given_offsets_must_rise_and_epochs_must_fit(void **state)
{
    static const struct given_case cases[] = {
        {APPEND_ORIGIN_REPLICATION, 10, 13, 7, 7, OK, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 20, 5, 7, OK, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 11, 7, 7, OK, 2, false}, /* last offsets rise: enough */
        {APPEND_ORIGIN_REPLICATION, 10, 10, 7, 7, ERR_STATE, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 5, 7, 7, ERR_STATE, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 13, 7, 8, OK, 1, true},
        {APPEND_ORIGIN_REPLICATION, 10, 13, 8, 7, OK, 0, true}, /* all that follow are dropped */
        {APPEND_ORIGIN_REPLICATION, 10, 13, -1, 7, OK, 2, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 13, 7, 7, OK, 2, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 13, 7, 6, ERR_INVALID_RECORD, 1, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 13, 8, 8, ERR_INVALID_RECORD, 0, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 9, 7, 7, ERR_STATE, 2, false},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct given_case *c = &cases[i];
        struct append_info info;
        size_t size;
        uint8_t *bytes = pair(bench, c->first, c->first_epoch, c->second, c->second_epoch, &size);
        enum err err = append_scan(slice_of(bytes, size), c->origin, 7, 1 << 20, &info, NULL);

        if (err != c->expected || info.batch_count != c->batches ||
            info.skipped_newer_epoch != c->skipped)
            fail_msg("row %zu: %s, %u batches", i, err_name(err), info.batch_count);
        if (err == OK && c->batches == 2) {
            assert_true(info.first_offset == c->first && info.last_offset == c->second + 2 &&
                        info.last_offset_of_first_batch == c->first + 2);
            assert_int_equal(info.last_leader_epoch, c->second_epoch);
            assert_int_equal(info.record_count, 6);
        }
        free(bytes);
    }
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
        struct attempt attempt;
        struct spec spec;
        size_t size;
        uint8_t *batch;

        spec_init(&spec);
        spec.count = (int32_t)random_between(&random, 1, 20);
        spec.options.codec = (enum compression)random_below(&random, COMPRESSION_COUNT);
        spec.options.level = compression_level_default(spec.options.codec);
        batch = bench_batch(bench, &spec, &size);
        for (uint64_t flips = random_below(&random, 3) + 1; flips > 0; flips--)
            batch[random_between(&random, 21, (int64_t)size - 1)] ^=
                (uint8_t)(1u << random_below(&random, 8));
        batch_fix_crc(batch, size);
        attempt_init(&attempt);
        attempt.config.compression_type = (int)random_below(&random, 6) - 1;
        attempt.config.compacted = random_chance(&random, 1, 2);
        attempt.config.log_append_time = random_chance(&random, 1, 2);
        attempt.config.inflated_batch_bytes_max = 1 << 20;
        (void)attempt_run(bench, &attempt, APPEND_ORIGIN_CLIENT, batch, size);
        if (attempt.err == OK) {
            assert_true(batch_is_valid(slice_of(batch, size)));
            assert_true(slice_is_null(attempt.rebuilt) || batch_is_valid(attempt.rebuilt));
        }
        attempt_release(&attempt);
        free(batch);
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
        cmocka_unit_test(trailing_bytes_are_cut_off_and_garbage_of_a_header_is_corrupt),
        cmocka_unit_test(given_offsets_must_rise_and_epochs_must_fit),
        cmocka_unit_test(a_produce_partition_is_looked_at_before_all_else),
        cmocka_unit_test(damaged_batches_with_a_good_crc_never_do_harm),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
