/* SPDX-License-Identifier: Apache-2.0 */
/* When a segment ends. */
#include "support.h"

#define MINUTE INT64_C(60000)

static void a_segment_ends_before_the_append_that_would_exceed_segment_bytes(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t batch_bytes;

    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    batch_bytes = log_size_bytes(log);
    bench.config.segment_bytes = (int32_t)(3 * batch_bytes);
    log_set_config(log, &bench.config);
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    assert_int_equal(log_segment_count(log), 1); /* exactly full */
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    assert_int_equal(log_segment_count(log), 2);
    bench_pass(&bench, 2000);
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000000.log"),
                     3 * batch_bytes);
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000003.log"),
                     batch_bytes);
    bench_close(&bench);
}

static void a_segment_ends_by_the_timestamps_of_its_records(void **state)
{
    const int64_t base = 1000000000000;
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    bench.config.segment_ms = 10 * MINUTE;
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = base}));
    OKAY(
        bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = base + 10 * MINUTE}));
    assert_int_equal(log_segment_count(log), 1);
    /* The wall clock does not matter once the first batch has a timestamp. */
    bench_pass(&bench, 20 * MINUTE);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = base + 1}));
    assert_int_equal(log_segment_count(log), 1);
    OKAY(bench_append_batch(&bench, log, 0,
                            &(struct bench_batch){.timestamp = base + 10 * MINUTE + 1}));
    assert_int_equal(log_segment_count(log), 2);
    bench_close(&bench);
}

static void the_rule_of_time_holds_on_after_a_restart(void **state)
{
    const int64_t base = 1000000000000;

    for (int crash = 0; crash < 2; crash++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 3);
        bench.config.segment_ms = 10 * MINUTE;
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = base}));
        OKAY(bench_flush(&bench, log, 1));
        if (crash)
            bench_crash(&bench, NULL);
        else
            bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append_batch(&bench, log, 0,
                                &(struct bench_batch){.timestamp = base + 10 * MINUTE}));
        assert_int_equal(log_segment_count(log), 1);
        OKAY(bench_append_batch(&bench, log, 0,
                                &(struct bench_batch){.timestamp = base + 10 * MINUTE + 1}));
        assert_int_equal(log_segment_count(log), 2);
        bench_close(&bench);
    }
}

static void jitter_ends_segments_earlier_but_never_later(void **state)
{
    const int64_t base = 1000000000000;
    bool early = false;

    for (uint64_t seed = 0; seed < 8; seed++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, seed);
        bench.config.segment_ms = 10 * MINUTE;
        bench.config.segment_jitter_ms = 5 * MINUTE;
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = base}));
        OKAY(bench_append_batch(&bench, log, 0,
                                &(struct bench_batch){.timestamp = base + 5 * MINUTE}));
        assert_int_equal(log_segment_count(log), 1);
        OKAY(bench_append_batch(&bench, log, 0,
                                &(struct bench_batch){.timestamp = base + 8 * MINUTE}));
        early = early || log_segment_count(log) == 2;
        OKAY(bench_append_batch(&bench, log, 0,
                                &(struct bench_batch){.timestamp = base + 10 * MINUTE + 1}));
        assert_int_equal(log_segment_count(log), 2);
        bench_close(&bench);
    }
    assert_true(early);
}

static void a_segment_ends_when_its_offset_index_is_full(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 4);
    bench.config.index_interval_bytes = 0; /* an entry for every batch but the first */
    bench.config.segment_index_bytes = 8 * 10;
    bench.config.flush_mode = FLUSH_MODE_OS;
    log = bench_log(&bench, "topic", 0);
    /* Equal timestamps, so that the time index stays short. */
    for (int i = 0; i < 11; i++)
        OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 5000}));
    assert_int_equal(log_segment_count(log), 1);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 5000}));
    assert_int_equal(log_segment_count(log), 2);
    bench_close(&bench);
}

static void a_segment_ends_when_its_time_index_has_room_for_the_closing_entry_alone(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 5);
    bench.config.index_interval_bytes = 0;
    bench.config.segment_index_bytes = 12 * 5;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 5; i++)
        OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 5000 + i}));
    assert_int_equal(log_segment_count(log), 1);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 6000}));
    assert_int_equal(log_segment_count(log), 2);
    bench_pass(&bench, 2000);
    /* The last entry says already what the closing one would. */
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000000.timeindex"),
                     12 * 4);
    bench_close(&bench);
}

static void a_segment_spans_offsets_that_fit_into_31_bits(void **state)
{
    const int64_t far = INT32_MAX;
    struct bench bench;
    struct log *log;

    bench_open(&bench, 6);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_replicate(&bench, log, 0, 0, &(struct bench_batch){0}));
    OKAY(bench_replicate(&bench, log, 0, far, &(struct bench_batch){0}));
    assert_int_equal(log_segment_count(log), 1);
    OKAY(bench_replicate(&bench, log, 0, far + 1, &(struct bench_batch){0}));
    assert_int_equal(log_segment_count(log), 2);
    OKAY(bench_replicate(&bench, log, 0, 3 * far, &(struct bench_batch){.count = 2}));
    assert_int_equal(log_segment_count(log), 3);
    OKAY(bench_flush(&bench, log, log_end_queued(log)));
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_segment_count(log), 3);
    assert_int_equal(log_end_written(log), 3 * far + 2);
    assert_int_equal(bench_verify_from(&bench, log, 3 * far), 3 * far + 2);
    bench_close(&bench);
}

static void a_segment_that_is_asked_to_end_ends_unless_it_is_empty(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 7);
    log = bench_log(&bench, "topic", 0);
    log_roll(log);
    assert_int_equal(log_segment_count(log), 1);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    log_roll(log);
    log_roll(log);
    assert_int_equal(log_segment_count(log), 2);
    bench_pass(&bench, 1000);
    assert_int_equal(log_recovery_point(log), 1); /* what was sealed is flushed in full */
    OKAY(bench_append(&bench, log, 0, 1, 0));
    assert_int_equal(bench_verify(&bench, log), 2);
    bench_close(&bench);
}

static void
a_sealed_segment_has_its_indexes_a_closing_time_entry_and_a_snapshot_at_its_end(void **state)
{
    uint8_t entry[13];
    struct bench bench;
    struct log *log;

    bench_open(&bench, 8);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.count = 3, .timestamp = 77}));
    log_roll(log);
    bench_pass(&bench, 1000);
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000000.index"), 0);
    assert_int_equal(bench_file_get(&bench, "/data/topic-0/00000000000000000000.timeindex", entry,
                                    sizeof(entry)),
                     12);
    assert_memory_equal(entry, "\0\0\0\0\0\0\0\x4f\0\0\0\x02", 12); /* 79 at offset 2 */
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000003.snapshot"), 10);
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000003.log"), 0);
    bench_close(&bench);
}

static void appends_of_one_turn_may_cross_several_segments(void **state)
{
    struct bench_append appends[40];
    struct bench bench;
    struct log *log;

    bench_open(&bench, 9);
    bench.config.segment_bytes = 1000;
    log = bench_log(&bench, "topic", 0);
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){.value_bytes = 300}, &appends[i]));
    assert_true(log_segment_count(log) > 10);
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++) {
        OKAY(bench_append_end(&bench, &appends[i]));
        if (i > 0) /* told in order */
            assert_true(log_end_written(log) > (int64_t)i);
    }
    OKAY(bench_flush(&bench, log, 40));
    assert_int_equal(bench_verify(&bench, log), 40);
    bench_crash(&bench, &(struct sim_crash_options){.drop_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 40);
    bench_close(&bench);
}

static void preallocation_gives_the_surplus_back_when_a_segment_is_sealed(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 10);
    bench.config.preallocate = true;
    bench.config.segment_bytes = 5000;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 10; i++)
        OKAY(bench_append(&bench, log, 0, 1, 1500));
    OKAY(bench_flush(&bench, log, 10));
    bench_pass(&bench, 2000);
    assert_true(bench_file_size(&bench, "/data/topic-0/00000000000000000000.log") < 5000);
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 10);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_ends_before_the_append_that_would_exceed_segment_bytes),
        cmocka_unit_test(a_segment_ends_by_the_timestamps_of_its_records),
        cmocka_unit_test(the_rule_of_time_holds_on_after_a_restart),
        cmocka_unit_test(jitter_ends_segments_earlier_but_never_later),
        cmocka_unit_test(a_segment_ends_when_its_offset_index_is_full),
        cmocka_unit_test(a_segment_ends_when_its_time_index_has_room_for_the_closing_entry_alone),
        cmocka_unit_test(a_segment_spans_offsets_that_fit_into_31_bits),
        cmocka_unit_test(a_segment_that_is_asked_to_end_ends_unless_it_is_empty),
        cmocka_unit_test(
            a_sealed_segment_has_its_indexes_a_closing_time_entry_and_a_snapshot_at_its_end),
        cmocka_unit_test(appends_of_one_turn_may_cross_several_segments),
        cmocka_unit_test(preallocation_gives_the_surplus_back_when_a_segment_is_sealed),
    };

    return cmocka_run_group_tests_name("storage/roll", tests, NULL, NULL);
}
