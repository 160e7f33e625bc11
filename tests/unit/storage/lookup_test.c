/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets by timestamp, and the special values. */
#include "support.h"

/* Five segments of four batches of three records; record i has the timestamp 1000 + 10 * i. */
static struct log *filled(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 20; i++) {
        struct writer out;
        struct bench_batch batch = {.count = 3, .timestamp = 1000 + 30 * i, .value_bytes = 50};

        UNUSED(out);
        OKAY(bench_append_batch(bench, log, 4, &batch));
        if (i % 4 == 3)
            log_roll(log);
    }
    OKAY(bench_flush(bench, log, 60));
    return log;
}

static int64_t looked_up(struct bench *bench, struct log *log, int64_t timestamp)
{
    struct log_lookup lookup;

    OKAY(bench_lookup(bench, log, timestamp, &lookup));
    return lookup.offset;
}

static void a_timestamp_finds_the_first_record_that_is_not_older(void **state)
{
    for (int restarted = 0; restarted < 2; restarted++) {
        struct bench bench;
        struct log *log;
        struct log_lookup lookup;

        bench_open(&bench, 1);
        log = filled(&bench);
        if (restarted) {
            bench_restart(&bench);
            log = bench_log(&bench, "topic", 0);
        }
        assert_int_equal(looked_up(&bench, log, 0), 0);
        assert_int_equal(looked_up(&bench, log, 1000), 0);
        assert_int_equal(looked_up(&bench, log, 1001), 1); /* inside a batch */
        assert_int_equal(looked_up(&bench, log, 1002), 2);
        assert_int_equal(looked_up(&bench, log, 1003), 3);
        for (int i = 0; i < 20; i++) {
            OKAY(bench_lookup(&bench, log, 1000 + 30 * i, &lookup));
            assert_int_equal(lookup.offset, 3 * i);
            assert_int_equal(lookup.found_timestamp, 1000 + 30 * i);
            assert_int_equal(lookup.leader_epoch, 4);
        }
        assert_int_equal(looked_up(&bench, log, 1572), 59); /* the last record */
        bench_close(&bench);
    }
}

static void a_timestamp_beyond_all_records_finds_none(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 2);
    log = filled(&bench);
    OKAY(bench_lookup(&bench, log, 1573, &lookup));
    assert_int_equal(lookup.offset, -1);
    assert_int_equal(lookup.found_timestamp, -1);
    assert_int_equal(lookup.leader_epoch, -1);
    bench_close(&bench);
}

static void records_below_the_start_of_the_log_are_not_found(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    log = filled(&bench);
    log_set_high_watermark(log, 60);
    OKAY(log_set_start_offset(log, 7));
    assert_int_equal(looked_up(&bench, log, 0), 7);
    assert_int_equal(looked_up(&bench, log, 1030), 7);
    bench_close(&bench);
}

static void records_in_compressed_batches_are_found_one_by_one(void **state)
{
    for (enum compression codec = COMPRESSION_GZIP; codec <= COMPRESSION_ZSTD; codec++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 4);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append_batch(
            &bench, log, 0,
            &(struct bench_batch){
                .count = 50, .timestamp = 500, .codec = codec, .value_bytes = 100}));
        for (int i = 0; i < 50; i += 7)
            assert_int_equal(looked_up(&bench, log, 500 + i), i);
        assert_int_equal(bench_verify(&bench, log), 50);
        bench_close(&bench);
    }
}

static void timestamps_that_go_back_find_the_first_record_in_offset_order(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 5);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 900}));
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 300}));
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 950}));
    assert_int_equal(looked_up(&bench, log, 200), 0);
    assert_int_equal(looked_up(&bench, log, 300), 0);
    assert_int_equal(looked_up(&bench, log, 901), 2);
    bench_close(&bench);
}

static void latest_answers_with_the_offset_of_the_caller_and_the_latest_epoch(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 6);
    log = filled(&bench);
    OKAY(bench_append(&bench, log, 9, 1, 0));
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_LATEST, &lookup));
    assert_int_equal(lookup.offset, 61);
    assert_int_equal(lookup.leader_epoch, 9);
    assert_int_equal(lookup.found_timestamp, -1);
    bench_close(&bench);
}

static void earliest_is_the_start_of_the_log_with_its_epoch(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 7);
    log = filled(&bench);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST, &lookup));
    assert_int_equal(lookup.offset, 0);
    assert_int_equal(lookup.leader_epoch, 4);
    log_set_high_watermark(log, 60);
    OKAY(log_set_start_offset(log, 13));
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST, &lookup));
    assert_int_equal(lookup.offset, 13);
    assert_int_equal(lookup.leader_epoch, 4);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST_LOCAL, &lookup));
    assert_int_equal(lookup.offset, 13);
    bench_close(&bench);
}

static void the_largest_timestamp_is_found_wherever_it_is(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 8);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, -1);
    OKAY(bench_append_batch(&bench, log, 2, &(struct bench_batch){.timestamp = 100}));
    OKAY(bench_append_batch(&bench, log, 2, &(struct bench_batch){.count = 3, .timestamp = 5000}));
    log_roll(log);
    OKAY(bench_append_batch(&bench, log, 3, &(struct bench_batch){.count = 2, .timestamp = 600}));
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, 3);
    assert_int_equal(lookup.found_timestamp, 5002);
    assert_int_equal(lookup.leader_epoch, 2);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, 3);
    bench_close(&bench);
}

static void nothing_is_tiered(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 9);
    log = filled(&bench);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_LATEST_TIERED), -1);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_EARLIEST_PENDING_UPLOAD), -1);
    bench_close(&bench);
}

static void an_empty_log_knows_its_ends_and_no_records(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 10);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(looked_up(&bench, log, 0), -1);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_EARLIEST), 0);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_LATEST), 0);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_MAX), -1);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timestamp_finds_the_first_record_that_is_not_older),
        cmocka_unit_test(a_timestamp_beyond_all_records_finds_none),
        cmocka_unit_test(records_below_the_start_of_the_log_are_not_found),
        cmocka_unit_test(records_in_compressed_batches_are_found_one_by_one),
        cmocka_unit_test(timestamps_that_go_back_find_the_first_record_in_offset_order),
        cmocka_unit_test(latest_answers_with_the_offset_of_the_caller_and_the_latest_epoch),
        cmocka_unit_test(earliest_is_the_start_of_the_log_with_its_epoch),
        cmocka_unit_test(the_largest_timestamp_is_found_wherever_it_is),
        cmocka_unit_test(nothing_is_tiered),
        cmocka_unit_test(an_empty_log_knows_its_ends_and_no_records),
    };

    return cmocka_run_group_tests_name("storage/lookup", tests, NULL, NULL);
}
