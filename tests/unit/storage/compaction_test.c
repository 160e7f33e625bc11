/* SPDX-License-Identifier: Apache-2.0 */
/* Log compaction: what stays, what goes and when, one rule a test. */
#include "compaction_support.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

static struct history history;
static struct view view;

static struct log *compacted(struct bench *bench, uint64_t seed)
{
    history.count = 0;
    compaction_open(bench, seed);
    return bench_log(bench, "topic", 0);
}

/* Keys 0…keys-1, `rounds` times. */
static void fill(struct bench *bench, struct log *log, int keys, int rounds)
{
    for (int round = 0; round < rounds; round++)
        for (int key = 0; key < keys; key++)
            OKAY(put(bench, log, &history, key, 100 * round + key));
}

static void the_newest_value_of_each_key_stays_at_its_offset(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 1);

    fill(&bench, log, 5, 4);
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

static void the_active_segment_is_never_cleaned(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 2);

    fill(&bench, log, 1, 5);
    log_set_high_watermark(log, 5);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), -1);
    assert_int_equal(compaction_check(&bench, log, &history), 5);
    bench_close(&bench);
}

static void nothing_above_the_high_watermark_is_cleaned(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 3);

    fill(&bench, log, 1, 3);
    log_roll(log);
    fill(&bench, log, 1, 3);
    log_roll(log);
    bench_pass(&bench, 1000);
    log_set_high_watermark(log, 5);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 3); /* the segment of 5 begins there */
    view_read(&bench, log, 6, false, &view);
    assert_int_equal(view.count, 4);
    bench_close(&bench);
}

static void nothing_above_the_last_stable_offset_is_cleaned(void **state)
{
    const int pair[1][2] = {{0, 7}};
    struct bench bench;
    struct log *log = compacted(&bench, 4);

    fill(&bench, log, 1, 3);
    log_roll(log);
    OKAY(keyed_append(
        &bench, log, &history,
        &(struct keyed){.pairs = pair, .count = 1, .producer_id = 5, .transactional = true}));
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 3);
    OKAY(mark(&bench, log, &history, 5, false));
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 5);
    assert_int_equal(compaction_check(&bench, log, &history), 1);
    bench_close(&bench);
}

static void a_tombstone_takes_older_values_at_once_and_goes_after_delete_retention_ms(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 5);
    int64_t now;

    fill(&bench, log, 2, 2);
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
    fill(&bench, log, 1, 0);
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
    struct log *log = compacted(&bench, 6);
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
    struct log *log = compacted(&bench, 7);

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
    struct log *log = compacted(&bench, 8);

    fill(&bench, log, 20, 1);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 20);
    bench.config.min_cleanable_dirty_ratio = 0.5;
    log_set_config(log, &bench.config);
    fill(&bench, log, 10, 1);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 20); /* a third is dirty */
    fill(&bench, log, 11, 1);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 41);
    assert_int_equal(compaction_check(&bench, log, &history), 20);
    bench_close(&bench);
}

static void records_younger_than_min_compaction_lag_ms_stay(void **state)
{
    for (int restart = 0; restart < 2; restart++) {
        struct bench bench;
        struct log *log = compacted(&bench, 9);

        bench.config.min_compaction_lag_ms = HOUR;
        log_set_config(log, &bench.config);
        fill(&bench, log, 1, 3);
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
        struct log *log = compacted(&bench, 10);

        bench.config.min_cleanable_dirty_ratio = 1;
        bench.config.max_compaction_lag_ms = HOUR;
        log_set_config(log, &bench.config);
        fill(&bench, log, 1, 3);
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
        struct log *log = compacted(&bench, 11);

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
    struct log *log = compacted(&bench, 12);

    OKAY(keyed_append(&bench, log, &history,
                      &(struct keyed){.pairs = pairs, .count = 3, .log_append_time = true}));
    OKAY(put(&bench, log, &history, 5, 1));
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_close(&bench);
}

static void transaction(struct bench *bench, struct log *log, int64_t producer, int32_t sequence,
                        int key, int value, bool is_abort)
{
    const int pair[1][2] = {{key, value}};

    OKAY(keyed_append(bench, log, &history,
                      &(struct keyed){.pairs = pair,
                                      .count = 1,
                                      .producer_id = producer,
                                      .sequence = sequence,
                                      .transactional = true}));
    OKAY(mark(bench, log, &history, producer, is_abort));
}

static void aborted_records_go_and_their_marker_when_nothing_needs_it(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 13);

    OKAY(put(&bench, log, &history, 0, 1));
    transaction(&bench, log, 5, 0, 0, 2, true);
    transaction(&bench, log, 5, 1, 1, 3, true); /* its header is the producer's last */
    OKAY(put(&bench, log, &history, 2, 1));
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 2); /* key 0 has its old value */
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.count, 2);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 0);
    assert_int_equal(view.empty_batches, 1);
    assert_int_equal(bench_file_size(&bench, TOPIC_FOLDER "00000000000000000000.txnindex"), 68);
    OKAY(put(&bench, log, &history, 2, 2));
    compaction_run(&bench, log); /* the first has no batch left: its time begins */
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 1);
    bench_pass(&bench, DAY);
    OKAY(put(&bench, log, &history, 2, 3));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    compaction_check(&bench, log, &history);
    bench_close(&bench);
}

static void a_commit_stays_as_long_as_a_record_of_its_transaction(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 14);

    transaction(&bench, log, 5, 0, 0, 1, false);
    transaction(&bench, log, 5, 1, 1, 1, false);
    OKAY(put(&bench, log, &history, 7, 0));
    compaction_run(&bench, log);
    bench_pass(&bench, 2 * DAY);
    OKAY(put(&bench, log, &history, 7, 1));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 0);
    OKAY(put(&bench, log, &history, 0, 2)); /* the first transaction's record is superseded */
    compaction_run(&bench, log);
    OKAY(put(&bench, log, &history, 7, 2));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 1);
    bench_pass(&bench, DAY);
    OKAY(put(&bench, log, &history, 7, 3));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_close(&bench);
}

static void the_last_batch_of_a_known_producer_stays_empty(void **state)
{
    const int pair[1][2] = {{0, 1}};
    struct bench bench;
    struct log *log = compacted(&bench, 15);
    struct keyed keyed = {.pairs = pair, .count = 1, .producer_id = 5, .epoch = 2};

    for (int32_t sequence = 0; sequence < 3; sequence++) {
        keyed.sequence = sequence;
        OKAY(keyed_append(&bench, log, &history, &keyed));
    }
    OKAY(put(&bench, log, &history, 0, 9));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.count, 1);
    assert_int_equal(view.empty_batches, 1);
    /* From the log alone the producer is known again. */
    bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
    {
        struct arena arena;
        struct os_names names;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        OKAY(os_list(bench.os, "/data/topic-0", &arena, &names));
        for (size_t i = 0; i < names.count; i++) {
            char path[200];

            if (!strstr(names.names[i], ".snapshot"))
                continue;
            snprintf(path, sizeof path, TOPIC_FOLDER "%s", names.names[i]);
            OKAY(os_unlink(bench.os, path));
        }
        arena_release(&arena);
    }
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    keyed.sequence = 7;
    assert_int_equal(keyed_append(&bench, log, &history, &keyed), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    keyed.sequence = 3;
    OKAY(keyed_append(&bench, log, &history, &keyed));
    bench_close(&bench);
}

static void the_batch_that_ends_at_the_high_watermark_stays_empty(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 16);

    const int pair[1][2] = {{-1, 1}};

    fill(&bench, log, 1, 2);
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

static void the_first_dirty_offset_is_kept_in_kafkas_file(void **state)
{
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log = compacted(&bench, 18);
    char text[100];

    fill(&bench, log, 2, 3);
    compaction_run(&bench, log);
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_string_equal(text, "0\n1\ntopic 0 6\n");
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, 6);
    assert_int_equal(log_clean_offset(log), 6);
    compaction_wait(&bench, log);
    log_store_cleaner_stats(bench.store, &stats);
    assert_int_equal(stats.passes, 0); /* nothing is dirty */
    OKAY(bench_delete(&bench, &log));
    bench_pass(&bench, 1000);
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_string_equal(text, "0\n0\n");
    bench_close(&bench);
}

static void a_truncation_lowers_the_first_dirty_offset_before_a_byte_goes(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 19);
    char text[100];

    fill(&bench, log, 2, 3);
    log_roll(log);
    fill(&bench, log, 2, 2);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 10);
    OKAY(bench_truncate(&bench, log, 8));
    history_cut(&history, 8);
    assert_int_equal(log_clean_offset(log), 0); /* the two segments are one by now */
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_string_equal(text, "0\n1\ntopic 0 0\n");
    OKAY(put(&bench, log, &history, 0, 77));
    OKAY(bench_flush(&bench, log, log_end_written(log)));
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_true(log_clean_offset(log) <= 0);
    compaction_run(&bench, log);
    bench_close(&bench);
}

static void a_change_cancels_the_pass_and_leaves_nothing_behind(void **state)
{
    for (int change = 0; change < 4; change++) {
        struct bench bench;
        struct log *log = compacted(&bench, 20);
        struct cleaner_options slow = bench.options.cleaner;

        fill(&bench, log, 10, 10);
        log_roll(log);
        bench_pass(&bench, 100);
        slow.bytes_per_second = 10;
        log_directories_set_cleaner(bench.directories, &slow);
        log_set_high_watermark(log, 100);
        bench_pass(&bench, 5000); /* mapped; the copy waits for its rate */
        assert_int_equal(log_clean_offset(log), -1);
        switch (change) {
        case 0:
            OKAY(bench_truncate(&bench, log, 95));
            history_cut(&history, 95);
            break;
        case 1:
            OKAY(bench_close_log(&bench, &log));
            log = bench_log(&bench, "topic", 0);
            break;
        case 2:
            OKAY(bench_delete(&bench, &log));
            history.count = 0;
            log = bench_log(&bench, "topic", 0);
            break;
        default:
            bench.config.cleanup_compact = false;
            log_set_config(log, &bench.config);
            break;
        }
        bench_pass(&bench, 100);
        assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
        log_set_high_watermark(log, log_end_written(log));
        assert_int_equal(compaction_check(&bench, log, &history), history.count);
        bench_close(&bench);
    }
}

static void compact_and_delete_do_both(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 21);

    bench.config.cleanup_delete = true;
    bench.config.retention_ms = 10 * HOUR;
    log_set_config(log, &bench.config);
    fill(&bench, log, 3, 3);
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
    fill(&bench, log, 1, 3);
    compaction_run(&bench, log);
    bench_pass(&bench, 3 * HOUR);
    assert_int_equal(log_clean_offset(log), -1);
    assert_int_equal(log_start_offset(log), 0);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_close(&bench);
}

static void a_broken_batch_takes_the_partition_out_and_nothing_else(void **state)
{
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log = compacted(&bench, 23);
    struct log *other = bench_log(&bench, "topic", 1);

    fill(&bench, log, 2, 3);
    log_roll(log);
    OKAY(put(&bench, other, NULL, 0, 1));
    OKAY(put(&bench, other, NULL, 0, 2));
    bench_pass(&bench, 500);
    OKAY(sim_disk_flip(bench.os, TOPIC_FOLDER "00000000000000000000.log", 100, 1));
    compaction_run(&bench, log);
    compaction_run(&bench, other);
    assert_true(log_is_uncleanable(log));
    assert_false(log_is_failed(log));
    assert_int_equal(log_clean_offset(log), -1);
    assert_int_equal(log_clean_offset(other), 2);
    log_store_cleaner_stats(bench.store, &stats);
    assert_int_equal(stats.uncleanable_partitions, 1);
    assert_int_equal(stats.uncleanable_bytes, log_size_bytes(log));
    assert_int_equal(bench_files_count(&bench, "/data/", ".cleaned"), 0);
    OKAY(put(&bench, log, &history, 0, 1));
    bench_close(&bench);
}

static void a_read_that_fails_takes_the_partition_out(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 24);

    fill(&bench, log, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    bench_calls_fail(&bench, 1u << SIM_CALL_READ, "00000000000000000000.log", ERR_IO);
    compaction_run(&bench, log);
    assert_true(log_is_uncleanable(log));
    assert_false(log_is_failed(log));
    bench_close(&bench);
}

static void a_write_that_fails_takes_the_directory_offline(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 25);

    fill(&bench, log, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    bench_calls_fail(&bench, 1u << SIM_CALL_SYNC, ".cleaned", ERR_IO);
    compaction_run(&bench, log);
    assert_true(log_is_failed(log));
    bench_close(&bench);
}

static void a_full_disk_puts_the_pass_off(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 26);
    int fault;

    fill(&bench, log, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    fault = bench_calls_fail(&bench, 1u << SIM_CALL_WRITE, ".cleaned", ERR_DISK_FULL);
    compaction_run(&bench, log);
    assert_false(log_is_failed(log));
    assert_false(log_is_uncleanable(log));
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
    sim_fault_remove(bench.os, fault);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 6);
    assert_int_equal(compaction_check(&bench, log, &history), 2);
    bench_close(&bench);
}

/* effect: log.cleaner.dedupe.buffer.size */
static void a_full_map_ends_a_pass_in_the_midst_and_the_next_goes_on(void **state)
{
    const int pairs[3][2] = {{30, 1}, {31, 2}, {32, 3}};
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 27, 1);
    history.count = 0;
    bench.options.cleaner.backoff_ms = 1000;
    bench.options.cleaner.dedupe_bytes = 24 * 10; /* nine keys */
    bench.config.cleanup_compact = true;
    bench.config.cleanup_delete = false;
    bench.config.min_cleanable_dirty_ratio = 0;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    fill(&bench, log, 25, 2);
    OKAY(keyed_append(&bench, log, &history, &(struct keyed){.pairs = pairs, .count = 3}));
    compaction_run(&bench, log);
    bench_pass(&bench, 60000);
    log_store_cleaner_stats(bench.store, &stats);
    assert_true(stats.passes >= 5);
    assert_int_equal(log_clean_offset(log), 53);
    assert_int_equal(compaction_check(&bench, log, &history), 28);
    bench_close(&bench);
}

static void read_is_done(struct log_read *read)
{
    UNUSED(read);
}

static void a_reader_that_planned_before_the_swap_reads_the_old_bytes(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 28);
    struct log_read read = {
        .offset = 0, .bound_offset = 6, .bytes_max = 1 << 20, .done = read_is_done};
    uint8_t *bytes;

    fill(&bench, log, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    assert_true(log_read_plan(log, &read) || read.size_bytes == 0);
    bench_pass(&bench, 100);
    assert_true(read.size_bytes > 0);
    log_set_high_watermark(log, 6);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 6);
    bench_pass(&bench, 120000); /* and the old files are gone */
    bytes = malloc(read.size_bytes);
    log_read_bytes(&read, bytes);
    bench_pass(&bench, 100);
    assert_int_equal(read.read_bytes, read.size_bytes);
    for (struct slice rest = slice_of(bytes, read.size_bytes), batch; rest.size_bytes > 0;) {
        OKAY(batch_next(&rest, &batch));
        assert_true(batch.size_bytes > 0 && batch_is_valid(batch));
    }
    log_read_release(&read);
    free(bytes);
    bench_close(&bench);
}

static void appends_and_reads_go_on_beside_passes_and_swaps(void **state)
{
    struct sim_options options;

    sim_options_default(&options);
    options.job_latency = (struct sim_latency){.min_ns = 1000, .max_ns = 20000000};
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench bench;
        struct log *log;

        history.count = 0;
        bench_prepare_sim(&bench, seed, &options, 1);
        bench.options.cleaner.backoff_ms = 1;
        bench.config.cleanup_compact = true;
        bench.config.cleanup_delete = false;
        bench.config.min_cleanable_dirty_ratio = 0;
        bench.config.segment_bytes = 700;
        bench.config.flush_mode = seed % 2 ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 300; i++) {
            OKAY(put(&bench, log, &history, i % 7, i)); /* none is refused */
            log_set_high_watermark(log, log_end_written(log));
            if (i % 10 == 0)
                compaction_check(&bench, log, &history);
        }
        bench_pass(&bench, 1000); /* a roll is refused while a swap is under way */
        compaction_run(&bench, log);
        assert_int_equal(compaction_check(&bench, log, &history), 7);
        bench_close(&bench);
    }
}

static void the_rate_is_held(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t size;

    bench_prepare(&bench, 29, 1);
    history.count = 0;
    bench.options.cleaner.backoff_ms = 1;
    bench.options.cleaner.bytes_per_second = 100;
    bench.config.cleanup_compact = true;
    bench.config.cleanup_delete = false;
    bench.config.min_cleanable_dirty_ratio = 0;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    fill(&bench, log, 10, 5);
    log_roll(log);
    bench_pass(&bench, 100);
    size = log_size_bytes(log);
    log_set_high_watermark(log, 50);
    bench_pass(&bench, size * 1000 / 100 - 1000); /* the map alone takes that long */
    assert_int_equal(log_clean_offset(log), -1);
    bench_pass(&bench, size * 3 * 1000 / 100);
    assert_int_equal(log_clean_offset(log), 50);
    bench_close(&bench);
}

/* effect: log.cleaner.io.buffer.size, half of which is for what is written */
static void output_is_written_in_pieces_of_half_the_buffer(void **state)
{
    for (int large = 0; large < 2; large++) {
        struct cleaner_options options;
        struct bench bench;
        struct log *log = compacted(&bench, 35);
        int writes;

        options = bench.options.cleaner;
        options.io_buffer_bytes = large ? 1 << 20 : 64 << 10;
        log_directories_set_cleaner(bench.directories, &options);
        for (int key = 0; key < 2000; key++)
            OKAY(put(&bench, log, NULL, key, key));
        assert_in_range(log_size_bytes(log), 120000, 250000);
        writes = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, ".log.cleaned");
        compaction_run(&bench, log);
        assert_int_equal(log_clean_offset(log), 2000);
        assert_in_range(sim_fault_hits(bench.os, writes), large ? 1 : 4, large ? 1 : 9);
        bench_close(&bench);
    }
}

static void a_segment_that_would_come_out_as_it_is_is_not_swapped(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 30);
    int renames;

    fill(&bench, log, 10, 1);
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
    fill(&bench, copy, 1, 4);
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
    fill(&bench, log, 3, 8);
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

static void a_stale_cleaner_checkpoint_beyond_the_end_counts_for_nothing(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 33);

    fill(&bench, log, 1, 4);
    log_roll(log);
    bench_pass(&bench, 100);
    bench_halt(&bench);
    bench_file_put(&bench, "/data/cleaner-offset-checkpoint", SLICE("0\n1\ntopic 0 900\n"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_clean_offset(log), -1);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 1);
    bench_close(&bench);
}

static void a_broken_cleaner_checkpoint_counts_for_nothing(void **state)
{
    struct bench bench;
    struct log *log = compacted(&bench, 34);

    fill(&bench, log, 1, 4);
    bench_halt(&bench);
    bench_file_put(&bench, "/data/cleaner-offset-checkpoint", SLICE("0\nrubbish\n"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 1);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_value_of_each_key_stays_at_its_offset),
        cmocka_unit_test(the_active_segment_is_never_cleaned),
        cmocka_unit_test(nothing_above_the_high_watermark_is_cleaned),
        cmocka_unit_test(nothing_above_the_last_stable_offset_is_cleaned),
        cmocka_unit_test(a_tombstone_takes_older_values_at_once_and_goes_after_delete_retention_ms),
        cmocka_unit_test(a_rewritten_batch_keeps_the_horizon_that_it_has),
        cmocka_unit_test(records_without_a_key_go),
        cmocka_unit_test(a_log_that_is_mostly_clean_is_left_alone),
        cmocka_unit_test(records_younger_than_min_compaction_lag_ms_stay),
        cmocka_unit_test(max_compaction_lag_ms_makes_a_log_due),
        cmocka_unit_test(a_rewritten_batch_keeps_codec_offsets_and_timestamps),
        cmocka_unit_test(log_append_time_stays),
        cmocka_unit_test(aborted_records_go_and_their_marker_when_nothing_needs_it),
        cmocka_unit_test(a_commit_stays_as_long_as_a_record_of_its_transaction),
        cmocka_unit_test(the_last_batch_of_a_known_producer_stays_empty),
        cmocka_unit_test(the_batch_that_ends_at_the_high_watermark_stays_empty),
        cmocka_unit_test(small_segments_become_one_up_to_segment_bytes),
        cmocka_unit_test(the_first_dirty_offset_is_kept_in_kafkas_file),
        cmocka_unit_test(a_truncation_lowers_the_first_dirty_offset_before_a_byte_goes),
        cmocka_unit_test(a_change_cancels_the_pass_and_leaves_nothing_behind),
        cmocka_unit_test(compact_and_delete_do_both),
        cmocka_unit_test(a_disabled_cleaner_neither_compacts_nor_deletes),
        cmocka_unit_test(a_broken_batch_takes_the_partition_out_and_nothing_else),
        cmocka_unit_test(a_read_that_fails_takes_the_partition_out),
        cmocka_unit_test(a_write_that_fails_takes_the_directory_offline),
        cmocka_unit_test(a_full_disk_puts_the_pass_off),
        cmocka_unit_test(a_full_map_ends_a_pass_in_the_midst_and_the_next_goes_on),
        cmocka_unit_test(a_reader_that_planned_before_the_swap_reads_the_old_bytes),
        cmocka_unit_test(appends_and_reads_go_on_beside_passes_and_swaps),
        cmocka_unit_test(the_rate_is_held),
        cmocka_unit_test(output_is_written_in_pieces_of_half_the_buffer),
        cmocka_unit_test(a_segment_that_would_come_out_as_it_is_is_not_swapped),
        cmocka_unit_test(a_future_copy_is_not_cleaned),
        cmocka_unit_test(a_segment_of_which_nothing_stays_leaves_an_empty_one),
        cmocka_unit_test(a_stale_cleaner_checkpoint_beyond_the_end_counts_for_nothing),
        cmocka_unit_test(a_broken_cleaner_checkpoint_counts_for_nothing),
    };

    return cmocka_run_group_tests_name("storage/compaction", tests, NULL, NULL);
}
