/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves a log at its front, and what becomes of files and directories that are gone. */
#include "support.h"

#define FOLDER "/data/topic-0/"
#define HOUR INT64_C(3600000)

/* `segments` sealed segments of two records each and an active one with one record. */
static struct log *filled(struct bench *bench, int segments)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < segments; i++) {
        OKAY(bench_append(bench, log, 3, 2, 1000));
        log_roll(log);
    }
    OKAY(bench_append(bench, log, 3, 1, 1000));
    OKAY(bench_flush(bench, log, log_end_queued(log)));
    bench_pass(bench, 1000);
    return log;
}

static void segments_older_than_retention_ms_go(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t now;

    bench_open(&bench, 1);
    bench.config.retention_ms = 10 * HOUR;
    log = bench_log(&bench, "topic", 0);
    now = os_wall_ms(bench.os);
    for (int i = 12; i > 0; i -= 3) { /* 12, 9, 6 and 3 hours old */
        OKAY(
            bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = now - i * HOUR}));
        log_roll(log);
    }
    log_set_high_watermark(log, 4);
    bench_pass(&bench, 1000);
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_int_equal(log_start_offset(log), 1);
    bench_pass(&bench, 2 * HOUR); /* by its own tick */
    assert_int_equal(log_start_offset(log), 2);
    assert_int_equal(bench_verify(&bench, log), 4);
    bench_close(&bench);
}

static void retention_knows_the_age_of_segments_after_a_restart(void **state)
{
    for (int crash = 0; crash < 2; crash++) {
        struct bench bench;
        struct log *log;
        int64_t now;

        bench_open(&bench, 2);
        bench.config.retention_ms = 10 * HOUR;
        log = bench_log(&bench, "topic", 0);
        now = os_wall_ms(bench.os);
        for (int i = 12; i > 0; i -= 3) {
            OKAY(bench_append_batch(&bench, log, 0,
                                    &(struct bench_batch){.timestamp = now - i * HOUR}));
            log_roll(log);
        }
        log_set_high_watermark(log, 4);
        bench_pass(&bench, 10000);
        if (crash)
            bench_crash(&bench, NULL);
        else
            bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        log_retention_run(log);
        bench_pass(&bench, 1000);
        assert_int_equal(log_start_offset(log), 1);
        bench_close(&bench);
    }
}

static void segments_beyond_retention_bytes_go_from_the_front(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t segment_bytes;

    bench_open(&bench, 3);
    log = filled(&bench, 6);
    log_set_high_watermark(log, 13);
    segment_bytes = bench_file_size(&bench, FOLDER "00000000000000000000.log");
    bench.config.retention_bytes = log_size_bytes(log) - 2 * segment_bytes - 1;
    log_set_config(log, &bench.config);
    log_retention_run(log);
    bench_pass(&bench, 1000);
    /* A third one would go below the limit. */
    assert_int_equal(log_start_offset(log), 4);
    assert_int_equal(log_segment_count(log), 5);
    assert_true(log_size_bytes(log) >= bench.config.retention_bytes);
    assert_int_equal(bench_verify(&bench, log), 13);
    bench_close(&bench);
}

/* Found by `./dev sim` with the fault points segment_rolled_early and retention_between: D9. */
static void segments_that_are_too_old_count_for_retention_bytes(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t now, young_bytes;

    bench_open(&bench, 12);
    bench.config.retention_ms = 10 * HOUR;
    log = bench_log(&bench, "topic", 0);
    now = os_wall_ms(bench.os);
    for (int i = 0; i < 4; i++)
        OKAY(bench_append_batch(&bench, log, 0,
                                &(struct bench_batch){.timestamp = now - 12 * HOUR}));
    log_roll(log);
    for (int i = 0; i < 2; i++) { /* young and small */
        OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = now}));
        log_roll(log);
    }
    log_set_high_watermark(log, 6);
    bench_pass(&bench, 1000);
    young_bytes = bench_file_size(&bench, FOLDER "00000000000000000004.log");
    assert_true(young_bytes > 0);
    bench.config.retention_bytes = 2 * young_bytes;
    log_set_config(log, &bench.config);
    log_retention_run(log);
    bench_pass(&bench, 1000);
    /* Without the old one the log is just as large as it may be. */
    assert_int_equal(log_start_offset(log), 4);
    assert_int_equal(log_size_bytes(log), 2 * young_bytes);
    bench_close(&bench);
}

static void nothing_at_or_above_the_high_watermark_goes(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 4);
    log = filled(&bench, 4);
    log_set_high_watermark(log, 3);
    bench.config.retention_bytes = 0;
    log_set_config(log, &bench.config);
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_int_equal(log_start_offset(log), 2);
    bench_close(&bench);
}

static void when_everything_is_too_old_an_empty_segment_is_left(void **state)
{
    for (int os_mode = 0; os_mode < 2; os_mode++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 5);
        bench.config.retention_ms = HOUR;
        bench.config.flush_mode = os_mode ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
        log = filled(&bench, 3);
        log_set_high_watermark(log, 7);
        bench_pass(&bench, 2 * HOUR);
        assert_int_equal(log_start_offset(log), 7);
        assert_int_equal(log_segment_count(log), 1);
        assert_int_equal(log_size_bytes(log), 0);
        assert_int_equal(log_epoch_latest(log), 3);
        OKAY(bench_append(&bench, log, 3, 1, 10));
        assert_int_equal(bench_verify(&bench, log), 8);
        bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_start_offset(log), 7);
        assert_int_equal(bench_verify(&bench, log), 8);
        bench_close(&bench);
    }
}

static void a_log_that_is_only_compacted_keeps_old_segments(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 6);
    bench.config.retention_ms = HOUR;
    bench.config.retention_bytes = 0;
    bench.config.cleanup_delete = false;
    bench.config.cleanup_compact = true;
    log = filled(&bench, 3);
    log_set_high_watermark(log, 7);
    bench_pass(&bench, 3 * HOUR);
    assert_int_equal(log_start_offset(log), 0);
    OKAY(log_set_start_offset(log, 4)); /* but DeleteRecords is obeyed */
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_int_equal(log_segment_count(log), 2);
    bench_close(&bench);
}

static void deleted_records_cannot_be_read_and_their_segments_go_at_the_next_pass(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 7);
    log = filled(&bench, 4);
    assert_int_equal(log_set_start_offset(log, 5), ERR_OFFSET_OUT_OF_RANGE); /* watermark 0 */
    log_set_high_watermark(log, 7);
    OKAY(log_set_start_offset(log, 5));
    OKAY(log_set_start_offset(log, 3)); /* never back */
    assert_int_equal(log_start_offset(log), 5);
    assert_int_equal(log_set_start_offset(log, 8), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_segment_count(log), 5);
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_int_equal(log_segment_count(log), 3);
    assert_int_equal(log_start_offset(log), 5);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000000.log"), -1);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000004.log") > 0);
    assert_int_equal(bench_verify_from(&bench, log, 6), 9);
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_true(log_start_offset(log) <= 5);
    assert_int_equal(log_end_written(log), 9);
    bench_close(&bench);
}

static void deleted_files_wait_for_file_delete_delay_ms(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 8);
    bench.config.file_delete_delay_ms = 30000;
    log = filled(&bench, 2);
    log_set_high_watermark(log, 5);
    OKAY(log_set_start_offset(log, 4));
    log_retention_run(log);
    bench_pass(&bench, 29000);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000000.log.deleted") > 0);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000000.index.deleted"), 0);
    bench_pass(&bench, 2000);
    assert_int_equal(bench_files_count(&bench, FOLDER, ".deleted"), 0);
    bench_close(&bench);
}

static void deleted_files_of_an_earlier_run_go_when_the_log_is_opened(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 9);
    log = filled(&bench, 2);
    log_set_high_watermark(log, 5);
    OKAY(log_set_start_offset(log, 4));
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_true(bench_files_count(&bench, FOLDER, ".deleted") > 0);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_files_count(&bench, FOLDER, ".deleted"), 0);
    assert_int_equal(log_start_offset(log), 4);
    assert_int_equal(bench_verify(&bench, log), 5);
    bench_close(&bench);
}

static void a_retention_pass_waits_for_a_roll_that_is_under_way(void **state)
{
    struct sim_options options;

    sim_options_default(&options);
    options.job_latency = (struct sim_latency){.min_ns = 1000, .max_ns = 50000000};
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct bench bench;
        struct log *log;

        bench_prepare_sim(&bench, seed, &options, 1);
        bench_start(&bench);
        bench.config.flush_mode = seed % 2 ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 0, 1, 10));
        for (int i = 0; i < 20; i++) {
            log_roll(log);
            OKAY(bench_append(&bench, log, 0, 1, 10));
            log_set_high_watermark(log, log_end_written(log));
            OKAY(log_set_start_offset(log, log_end_written(log)));
            log_retention_run(log);
        }
        bench_pass(&bench, 10000);
        assert_false(log_is_failed(log));
        assert_true(log_segment_count(log) <= 2);
        bench_close(&bench);
    }
}

/* ---- whole logs ---- */

static void a_deleted_log_is_renamed_at_once_and_removed_after_the_delay(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 20);
    bench.config.file_delete_delay_ms = 30000;
    log = filled(&bench, 3);
    OKAY(bench_delete(&bench, &log));
    assert_int_equal(bench_files_count(&bench, FOLDER, ""), 0);
    assert_int_equal(bench_files_count(&bench, "/data/topic-0.", "-delete/"), 1);
    /* The name is free. */
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    bench_pass(&bench, 31000);
    assert_int_equal(bench_files_count(&bench, "/data/", "-delete/"), 0);
    assert_int_equal(bench_verify(&bench, log), 1);
    bench_close(&bench);
}

static void a_deleted_log_of_an_earlier_run_is_found_and_purged(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_name name;
    struct log_directory *directory;

    bench_open(&bench, 21);
    log = filled(&bench, 1);
    OKAY(bench_delete(&bench, &log));
    bench_crash(&bench, NULL);
    directory = log_directories_at(bench.directories, 0);
    assert_int_equal(log_directory_found_count(directory), 1);
    log_directory_found(directory, 0, &name);
    assert_int_equal(name.kind, LOG_NAME_DELETE);
    assert_true(slice_equal_text(name.topic, "topic"));
    log_store_purge(bench.store, directory, log_directory_found(directory, 0, &name));
    bench_pass(&bench, 59000);
    assert_int_equal(bench_files_count(&bench, "/data/", "-delete/"), 1);
    bench_pass(&bench, 2000);
    assert_int_equal(bench_files_count(&bench, "/data/", "-delete/"), 0);
    bench_close(&bench);
}

static void a_stray_log_is_renamed_and_stays(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_name name;

    bench_open(&bench, 22);
    log = filled(&bench, 1);
    OKAY(bench_make_stray(&bench, &log));
    bench_pass(&bench, 2 * HOUR);
    assert_int_equal(bench_files_count(&bench, "/data/topic-0.", "-stray/"), 1);
    assert_true(bench_files_count(&bench, "/data/topic-0.", "00000000000000000000.log") == 1);
    bench_restart(&bench);
    assert_true(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    log_directory_found(log_directories_at(bench.directories, 0), 0, &name);
    assert_int_equal(name.kind, LOG_NAME_STRAY);
    bench_close(&bench);
}

static void a_future_copy_takes_the_place_of_the_partition_when_it_is_promoted(void **state)
{
    struct bench bench;
    struct log_open request = {.topic = SLICE("topic"), .create = true, .future = true};
    struct log *log, *copy;

    bench_prepare(&bench, 23, 2);
    bench_start(&bench);
    log = filled(&bench, 1);
    request.directory = log_directories_at(bench.directories, 1);
    OKAY(bench_log_open(&bench, &request, &copy));
    for (int64_t offset = 0; offset < 3; offset++)
        OKAY(bench_replicate(&bench, copy, 3, offset, &(struct bench_batch){0}));
    assert_int_equal(bench_files_count(&bench, "/data1/topic-0.", "-future/"), 1);
    log_set_high_watermark(copy, 3);
    OKAY(bench_delete(&bench, &log));
    OKAY(bench_change(&bench, copy, log_promote));
    assert_int_equal(bench_files_count(&bench, "/data1/topic-0/", "00000000000000000000.log"), 1);
    request = (struct log_open){.topic = SLICE("topic"),
                                .directory = log_directories_at(bench.directories, 1)};
    OKAY(bench_log_open(&bench, &request, &log));
    assert_int_equal(log_high_watermark(log), 3);
    assert_int_equal(bench_verify(&bench, log), 3);
    bench_close(&bench);
}

static void a_log_that_is_closed_and_opened_again_is_as_it_was(void **state)
{
    struct bench bench;
    struct log *log;
    int reads;

    bench_open(&bench, 24);
    log = filled(&bench, 2);
    log_set_high_watermark(log, 4);
    OKAY(log_set_start_offset(log, 2));
    OKAY(bench_close_log(&bench, &log));
    reads = bench_calls_count(&bench, 1u << SIM_CALL_READ, "/00000000000000000000.log");
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_high_watermark(log), 4);
    assert_int_equal(log_start_offset(log), 2);
    assert_int_equal(sim_fault_hits(bench.os, reads), 0); /* and nothing was scanned */
    assert_int_equal(bench_verify(&bench, log), 5);
    OKAY(bench_append(&bench, log, 4, 1, 0));
    OKAY(bench_flush(&bench, log, 6));
    bench_crash(&bench, &(struct sim_crash_options){.drop_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 6);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_older_than_retention_ms_go),
        cmocka_unit_test(retention_knows_the_age_of_segments_after_a_restart),
        cmocka_unit_test(segments_beyond_retention_bytes_go_from_the_front),
        cmocka_unit_test(segments_that_are_too_old_count_for_retention_bytes),
        cmocka_unit_test(nothing_at_or_above_the_high_watermark_goes),
        cmocka_unit_test(when_everything_is_too_old_an_empty_segment_is_left),
        cmocka_unit_test(a_log_that_is_only_compacted_keeps_old_segments),
        cmocka_unit_test(deleted_records_cannot_be_read_and_their_segments_go_at_the_next_pass),
        cmocka_unit_test(deleted_files_wait_for_file_delete_delay_ms),
        cmocka_unit_test(deleted_files_of_an_earlier_run_go_when_the_log_is_opened),
        cmocka_unit_test(a_retention_pass_waits_for_a_roll_that_is_under_way),
        cmocka_unit_test(a_deleted_log_is_renamed_at_once_and_removed_after_the_delay),
        cmocka_unit_test(a_deleted_log_of_an_earlier_run_is_found_and_purged),
        cmocka_unit_test(a_stray_log_is_renamed_and_stays),
        cmocka_unit_test(a_future_copy_takes_the_place_of_the_partition_when_it_is_promoted),
        cmocka_unit_test(a_log_that_is_closed_and_opened_again_is_as_it_was),
    };

    return cmocka_run_group_tests_name("storage/retention", tests, NULL, NULL);
}
