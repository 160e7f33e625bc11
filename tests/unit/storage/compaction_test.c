/* SPDX-License-Identifier: Apache-2.0 */
/* Log compaction: what stays, what goes and when, one rule a test. */
#include "compaction_support.h"

static struct history history;
static struct view view;

static void the_newest_value_of_each_key_stays_at_its_offset(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 1);

    compaction_fill(&bench, log, &history, 5, 4);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 5);
    view_read(&bench, log, log_end_written(log), false, &view);
    for (int key = 0; key < 5; key++)
        assert_true(view_has(&view, 15 + key));
    assert_int_equal(log_end_written(log), 20);
    assert_int_equal(log_start_offset(log), 0);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 20);
    assert_int_equal(compaction_check(&bench, log, &history), 5);
    bench_close(&bench);
}

/* More records than the cleaner looks ahead for, keys repeated within a batch, the last of some a tombstone. */
static void large_batches_keep_the_newest_value_of_each_key(void **state)
{
    enum { RECORDS = 50, KEYS = 21, BATCHES = 3 };
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 6);
    int pairs[RECORDS][2];
    int kept;

    for (int batch = 0; batch < BATCHES; batch++) {
        struct keyed keyed = {.pairs = pairs, .count = RECORDS};

        for (int i = 0; i < RECORDS; i++) {
            pairs[i][0] = (batch + i * 8) % KEYS;
            pairs[i][1] = i % 7 == 3 ? -1 : batch * RECORDS + i;
        }
        OKAY(keyed_append(&bench, log, &history, &keyed));
    }
    compaction_run(&bench, log);
    kept = compaction_check(&bench, log, &history);
    assert_int_equal(kept, KEYS);
    view_read(&bench, log, log_end_written(log), false, &view);
    for (int i = RECORDS - KEYS; i < RECORDS; i++)
        assert_true(view_has(&view, (BATCHES - 1) * RECORDS + i));
    bench_close(&bench);
}

static void the_active_segment_is_never_cleaned(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 2);

    compaction_fill(&bench, log, &history, 1, 5);
    log_set_high_watermark(log, 5);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), -1);
    assert_int_equal(compaction_check(&bench, log, &history), 5);
    bench_close(&bench);
}

static void nothing_above_the_high_watermark_is_cleaned(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 3);

    compaction_fill(&bench, log, &history, 1, 3);
    log_roll(log);
    compaction_fill(&bench, log, &history, 1, 3);
    log_roll(log);
    bench_pass(&bench, 1000);
    log_set_high_watermark(log, 5);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 3); /* the segment of 5 begins there */
    view_read(&bench, log, 6, false, &view);
    assert_int_equal(view.count, 4);
    bench_close(&bench);
}

static void a_tombstone_takes_older_values_at_once_and_goes_after_delete_retention_ms(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 5);
    int64_t now;

    compaction_fill(&bench, log, &history, 2, 2);
    OKAY(put(&bench, log, &history, 0, -1));
    OKAY(put(&bench, log, &history, 2, 1));
    now = os_wall_ms(bench.os);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_true(view_has(&view, 4));
    assert_int_equal(view.horizons, 1);
    assert_in_range(view.horizon, now + DAY, now + DAY + 60000);
    bench_pass(&bench, DAY - HOUR);
    compaction_fill(&bench, log, &history, 1, 0);
    OKAY(put(&bench, log, &history, 3, 1));
    compaction_run(&bench, log); /* it has its horizon, which stays */
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_true(view_has(&view, 4));
    assert_in_range(view.horizon, now + DAY, now + DAY + 60000);
    bench_pass(&bench, 2 * HOUR);
    OKAY(put(&bench, log, &history, 3, 2));
    compaction_run(&bench, log);
    compaction_check(&bench, log, &history);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_false(view_has(&view, 4));
    bench_close(&bench);
}

static void a_rewritten_batch_keeps_the_horizon_that_it_has(void **state)
{
    const int pairs[2][2] = {{0, -1}, {1, 5}};
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 6);
    int64_t horizon;

    OKAY(keyed_append(&bench, log, &history, &(struct keyed){.pairs = pairs, .count = 2}));
    OKAY(put(&bench, log, &history, 9, 1));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.horizons, 1);
    horizon = view.horizon;
    bench_pass(&bench, HOUR);
    OKAY(put(&bench, log, &history, 1, 6)); /* the batch loses a record */
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.horizons, 1);
    assert_int_equal(view.horizon, horizon);
    assert_int_equal(compaction_check(&bench, log, &history), 3); /* with timestamps as they were */
    bench_close(&bench);
}

static void records_without_a_key_go(void **state)
{
    const int pairs[3][2] = {{-1, 1}, {0, 2}, {-1, 3}};
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 7);

    OKAY(keyed_append(
        &bench, log, &history,
        &(struct keyed){.pairs = pairs, .count = 3, .origin = APPEND_ORIGIN_REPLICATION}));
    OKAY(put(&bench, log, &history, 1, 1));
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 2);
    bench_close(&bench);
}

static void a_log_that_is_mostly_clean_is_left_alone(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 8);

    compaction_fill(&bench, log, &history, 20, 1);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 20);
    bench.config.min_cleanable_dirty_ratio = 0.5;
    log_set_config(log, &bench.config);
    compaction_fill(&bench, log, &history, 10, 1);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 20); /* a third is dirty */
    compaction_fill(&bench, log, &history, 11, 1);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 41);
    assert_int_equal(compaction_check(&bench, log, &history), 20);
    bench_close(&bench);
}

static void records_younger_than_min_compaction_lag_ms_stay(void **state)
{
    for (int restart = 0; restart < 2; restart++) {
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 9);

        bench.config.min_compaction_lag_ms = HOUR;
        log_set_config(log, &bench.config);
        compaction_fill(&bench, log, &history, 1, 3);
        compaction_run(&bench, log);
        if (restart) {
            bench_restart(&bench);
            log = bench_log(&bench, "topic", 0);
            log_set_high_watermark(log, 3);
        }
        compaction_wait(&bench, log);
        assert_int_equal(log_clean_offset(log), -1);
        bench_pass(&bench, HOUR);
        assert_int_equal(log_clean_offset(log), 3);
        assert_int_equal(compaction_check(&bench, log, &history), 1);
        bench_close(&bench);
    }
}

static void max_compaction_lag_ms_makes_a_log_due(void **state)
{
    for (int restart = 0; restart < 2; restart++) {
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 10);

        bench.config.min_cleanable_dirty_ratio = 1;
        bench.config.max_compaction_lag_ms = HOUR;
        log_set_config(log, &bench.config);
        compaction_fill(&bench, log, &history, 1, 3);
        compaction_run(&bench, log);
        assert_int_equal(log_clean_offset(log), -1);
        if (restart) {
            bench_restart(&bench);
            log = bench_log(&bench, "topic", 0);
            log_set_high_watermark(log, 3);
        }
        bench_pass(&bench, HOUR + 60000);
        assert_int_equal(log_clean_offset(log), 3);
        assert_int_equal(compaction_check(&bench, log, &history), 1);
        bench_close(&bench);
    }
}

static void a_rewritten_batch_keeps_codec_offsets_and_timestamps(void **state)
{
    const int pairs[4][2] = {{0, 1}, {1, 1}, {0, 2}, {2, 1}};

    for (int codec = 0; codec < COMPRESSION_COUNT; codec++) {
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 11);

        OKAY(keyed_append(
            &bench, log, &history,
            &(struct keyed){.pairs = pairs, .count = 4, .codec = (enum compression)codec}));
        OKAY(put(&bench, log, &history, 2, 9));
        compaction_run(&bench, log);
        assert_int_equal(compaction_check(&bench, log, &history), 3);
        view_read(&bench, log, log_end_written(log), false, &view);
        assert_true((view.codecs & 1 << codec) != 0);
        assert_false(view_has(&view, 3));
        assert_int_equal(log_end_written(log), 5);
        bench_close(&bench);
    }
}

static void log_append_time_stays(void **state)
{
    const int pairs[3][2] = {{0, 1}, {1, 1}, {0, 2}};
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 12);

    OKAY(keyed_append(&bench, log, &history,
                      &(struct keyed){.pairs = pairs, .count = 3, .log_append_time = true}));
    OKAY(put(&bench, log, &history, 5, 1));
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_close(&bench);
}

static void the_batch_that_ends_at_the_high_watermark_stays_empty(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 16);

    const int pair[1][2] = {{-1, 1}};

    compaction_fill(&bench, log, &history, 1, 2);
    OKAY(keyed_append(
        &bench, log, &history,
        &(struct keyed){.pairs = pair, .count = 1, .origin = APPEND_ORIGIN_REPLICATION}));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.count, 1);
    assert_int_equal(view.empty_batches, 1);
    assert_int_equal(batch_last_offset(&view.last), 2);
    bench_close(&bench);
}

static void small_segments_become_one_up_to_segment_bytes(void **state)
{
    struct bench bench;
    struct log *log;

    compaction_open(&bench, 17);
    history.count = 0;
    bench.config.segment_bytes = 1000;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 60; i++)
        OKAY(put(&bench, log, &history, i % 40, i));
    assert_true(log_segment_count(log) > 4);
    compaction_run(&bench, log);
    bench.config.segment_bytes = 100000;
    log_set_config(log, &bench.config);
    OKAY(put(&bench, log, &history, 1, 99));
    compaction_run(&bench, log);
    assert_int_equal(log_segment_count(log), 2); /* one and the active one */
    assert_int_equal(compaction_check(&bench, log, &history), 40);
    bench_pass(&bench, 61000);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".log"), 2);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".deleted"), 0);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".swap"), 0);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(compaction_check(&bench, log, &history), 40);
    bench_close(&bench);
}

static void compact_and_delete_do_both(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 21);

    bench.config.cleanup_delete = true;
    bench.config.retention_ms = 10 * HOUR;
    log_set_config(log, &bench.config);
    compaction_fill(&bench, log, &history, 3, 3);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_pass(&bench, 11 * HOUR);
    assert_int_equal(log_start_offset(log), 9);
    bench_close(&bench);
}

static void a_disabled_cleaner_neither_compacts_nor_deletes(void **state)
{
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 22, 1);
    history.count = 0;
    bench.options.cleaner.enabled = false;
    bench.config.cleanup_compact = true;
    bench.config.retention_ms = HOUR;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    compaction_fill(&bench, log, &history, 1, 3);
    compaction_run(&bench, log);
    bench_pass(&bench, 3 * HOUR);
    assert_int_equal(log_clean_offset(log), -1);
    assert_int_equal(log_start_offset(log), 0);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_close(&bench);
}

static void a_segment_that_would_come_out_as_it_is_is_not_swapped(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 30);
    int renames;

    compaction_fill(&bench, log, &history, 10, 1);
    renames = bench_calls_count(&bench, 1u << SIM_CALL_RENAME, ".swap");
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 10);
    assert_int_equal(sim_fault_hits(bench.os, renames), 0);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
    assert_int_equal(compaction_check(&bench, log, &history), 10);
    bench_close(&bench);
}

static void a_future_copy_is_not_cleaned(void **state)
{
    struct log_open request = {.topic = SLICE("topic"), .create = true, .future = true};
    struct bench bench;
    struct log *copy;

    history.count = 0;
    compaction_open(&bench, 31);
    OKAY(bench_log_open(&bench, &request, &copy));
    compaction_fill(&bench, copy, &history, 1, 4);
    compaction_run(&bench, copy);
    assert_int_equal(log_clean_offset(copy), -1);
    bench_close(&bench);
}

static void a_segment_of_which_nothing_stays_leaves_an_empty_one(void **state)
{
    struct bench bench;
    struct log *log;

    compaction_open(&bench, 32);
    history.count = 0;
    bench.config.segment_bytes = 400;
    log = bench_log(&bench, "topic", 0);
    compaction_fill(&bench, log, &history, 3, 8);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    for (int crash = 0; crash < 2; crash++) {
        if (crash)
            bench_crash(&bench, NULL);
        else
            bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        log_set_high_watermark(log, log_end_written(log));
        assert_int_equal(compaction_check(&bench, log, &history), 3);
    }
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_value_of_each_key_stays_at_its_offset),
        cmocka_unit_test(large_batches_keep_the_newest_value_of_each_key),
        cmocka_unit_test(the_active_segment_is_never_cleaned),
        cmocka_unit_test(nothing_above_the_high_watermark_is_cleaned),
        cmocka_unit_test(a_tombstone_takes_older_values_at_once_and_goes_after_delete_retention_ms),
        cmocka_unit_test(a_rewritten_batch_keeps_the_horizon_that_it_has),
        cmocka_unit_test(records_without_a_key_go),
        cmocka_unit_test(a_log_that_is_mostly_clean_is_left_alone),
        cmocka_unit_test(records_younger_than_min_compaction_lag_ms_stay),
        cmocka_unit_test(max_compaction_lag_ms_makes_a_log_due),
        cmocka_unit_test(a_rewritten_batch_keeps_codec_offsets_and_timestamps),
        cmocka_unit_test(log_append_time_stays),
        cmocka_unit_test(the_batch_that_ends_at_the_high_watermark_stays_empty),
        cmocka_unit_test(small_segments_become_one_up_to_segment_bytes),
        cmocka_unit_test(compact_and_delete_do_both),
        cmocka_unit_test(a_disabled_cleaner_neither_compacts_nor_deletes),
        cmocka_unit_test(a_segment_that_would_come_out_as_it_is_is_not_swapped),
        cmocka_unit_test(a_future_copy_is_not_cleaned),
        cmocka_unit_test(a_segment_of_which_nothing_stays_leaves_an_empty_one),
    };

    return cmocka_run_group_tests_name("storage/compaction", tests, NULL, NULL);
}
