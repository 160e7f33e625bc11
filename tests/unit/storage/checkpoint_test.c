/* SPDX-License-Identifier: Apache-2.0 */
/* High watermark, recovery point and log start in the checkpoint files of a directory. */
#include "support.h"

#include "storage/storage_internal.h"

#define HIGH_WATERMARKS "/data/replication-offset-checkpoint"
#define RECOVERY_POINTS "/data/recovery-point-offset-checkpoint"
#define STARTS "/data/log-start-offset-checkpoint"

static void the_high_watermark_is_kept_every_five_seconds(void **state)
{
    char text[200];
    struct bench bench;
    struct log *log;

    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 3);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    bench_pass(&bench, 6000);
    log_set_high_watermark(log, 7);
    bench_pass(&bench, 4000);
    bench_file_get(&bench, HIGH_WATERMARKS, text, sizeof(text));
    assert_string_equal(text, "0\n1\ntopic 3 0\n");
    bench_pass(&bench, 1200);
    bench_file_get(&bench, HIGH_WATERMARKS, text, sizeof(text));
    assert_string_equal(text, "0\n1\ntopic 3 7\n");
    bench_close(&bench);
}

static void an_idle_store_writes_nothing(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t calls;

    bench_open(&bench, 2);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    log_set_high_watermark(log, 10);
    bench_pass(&bench, 200000);
    calls = sim_machine_io_calls(bench.os);
    bench_pass(&bench, 3600000);
    assert_int_equal(sim_machine_io_calls(bench.os), calls);
    bench_close(&bench);
}

static void the_high_watermark_at_open_is_the_checkpoint_clipped_to_the_log(void **state)
{
    static const struct {
        const char *text;
        int64_t expected;
    } cases[] = {{"0\n1\ntopic 0 6\n", 6},
                 {"0\n1\ntopic 0 99\n", 10},
                 {"0\n1\ntopic 0 1\n", 4},
                 {"0\n1\nother 0 6\n", 4},
                 {"0\n0\n", 4},
                 {"", 4},
                 {"0\n1\ntopic\t0  8\n", 8},
                 {"0\r\n1\r\ntopic 0 7\r\n", 7}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 3);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 0, 10, 0));
        log_set_high_watermark(log, 10);
        OKAY(log_set_start_offset(log, 4));
        bench_halt(&bench);
        bench_file_put(&bench, HIGH_WATERMARKS, slice_from_text(cases[i].text));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_high_watermark(log), cases[i].expected);
        assert_int_equal(log_start_offset(log), 4);
        bench_close(&bench);
    }
}

static void recovery_begins_at_the_recovery_point(void **state)
{
    for (int known = 0; known < 2; known++) {
        struct bench bench;
        struct log *log;
        int reads;

        bench_open(&bench, 4);
        bench.config.segment_bytes = 20000;
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 40; i++)
            OKAY(bench_append(&bench, log, 0, 1, 2000));
        bench_pass(&bench, 70000);
        assert_true(log_recovery_point(log) >= 27);
        OKAY(bench_flush(&bench, log, 40));
        bench_cut(&bench, NULL);
        if (!known)
            OKAY(os_unlink(bench.os, RECOVERY_POINTS));
        bench_start(&bench);
        reads = bench_calls_count(&bench, 1u << SIM_CALL_READ, "/00000000000000000000.log");
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), 40);
        if (known)
            assert_int_equal(sim_fault_hits(bench.os, reads), 0);
        else
            assert_true(sim_fault_hits(bench.os, reads) > 0);
        assert_int_equal(bench_verify(&bench, log), 40);
        bench_close(&bench);
    }
}

static void a_recovery_point_beyond_the_log_does_no_harm(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 5);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    OKAY(bench_flush(&bench, log, 10));
    bench_cut(&bench, NULL);
    bench_file_put(&bench, RECOVERY_POINTS, SLICE("0\n1\ntopic 0 500\n"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 10);
    assert_true(log_recovery_point(log) <= 10);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    OKAY(bench_flush(&bench, log, 20));
    /* Now offsets below 500 are not trusted: the file was lowered before the log opened. */
    bench_crash(&bench, &(struct sim_crash_options){.tear_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 20);
    bench_close(&bench);
}

static void the_log_start_is_kept_when_it_lies_inside_a_segment(void **state)
{
    char text[200];
    struct bench bench;
    struct log *log;

    bench_open(&bench, 6);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    OKAY(bench_append(&bench, log, 0, 10, 0));
    log_set_high_watermark(log, 15);
    OKAY(log_set_start_offset(log, 12));
    bench_pass(&bench, 61000);
    bench_file_get(&bench, STARTS, text, sizeof(text));
    assert_string_equal(text, "0\n1\ntopic 0 12\n");
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_start_offset(log), 12);
    bench_close(&bench);
}

static void a_log_start_beyond_the_log_empties_it(void **state)
{
    for (int crash = 0; crash < 2; crash++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 7);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 0, 10, 0));
        bench_halt(&bench);
        if (crash)
            OKAY(os_unlink(bench.os, "/data/.kafka_cleanshutdown"));
        bench_file_put(&bench, STARTS, SLICE("0\n1\ntopic 0 50\n"));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_start_offset(log), 50);
        assert_int_equal(log_end_written(log), 50);
        assert_int_equal(log_high_watermark(log), 50);
        OKAY(bench_append(&bench, log, 0, 1, 0));
        assert_int_equal(bench_verify(&bench, log), 51);
        bench_close(&bench);
    }
}

static void unreadable_recovery_points_and_starts_are_forgiven(void **state)
{
    static const char *const texts[] = {
        "1\n0\n",  "0\n5\ntopic 0 1\n", "0\n1\ntopic x 1\n", "0\n1\ntopic 0 -4\n",
        "rubbish", "0\n1\ntopic 0\n"};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 8);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 0, 10, 0));
        OKAY(bench_flush(&bench, log, 10));
        bench_cut(&bench, NULL);
        bench_file_put(&bench, RECOVERY_POINTS, slice_from_text(texts[i]));
        bench_file_put(&bench, STARTS, slice_from_text(texts[i]));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(bench_verify(&bench, log), 10);
        bench_close(&bench);
    }
}

/* Of two directories; the start goes on. */
static void expect_first_offline(struct bench *bench)
{
    static const char *const paths[] = {"/data", "/data1"};
    struct log_directories *directories;
    struct why why = {""};

    OKAY(log_directories_open(bench->os, &bench->logger, &bench->options, paths, 2, &directories,
                              &why));
    assert_true(log_directory_is_offline(log_directories_at(directories, 0)));
    assert_false(log_directory_is_offline(log_directories_at(directories, 1)));
    log_directories_close(&directories, false, -1);
}

static void unreadable_high_watermarks_take_the_directory_offline(void **state)
{
    struct bench bench;

    bench_prepare(&bench, 9, 2);
    bench_file_put(&bench, HIGH_WATERMARKS, SLICE("0\n3\n"));
    expect_first_offline(&bench);
    bench_close(&bench);
}

static void starts_that_cannot_be_read_take_the_directory_offline(void **state)
{
    struct bench bench;

    bench_prepare(&bench, 13, 2);
    bench_file_put(&bench, STARTS, SLICE("0\n1\ntopic 0 43\n"));
    sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_READ,
                                                .path_part = STARTS,
                                                .effect = SIM_EFFECT_ERROR,
                                                .err = ERR_IO});
    expect_first_offline(&bench);
    bench_close(&bench);
}

static void what_apache_kept_of_other_partitions_is_not_lost_while_they_are_there(void **state)
{
    char text[200];
    struct bench bench;
    struct log *log;

    bench_open(&bench, 10);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    log = bench_log(&bench, "late", 0);
    OKAY(bench_append(&bench, log, 0, 5, 0));
    log_set_high_watermark(log, 4);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, 8);
    bench_pass(&bench, 6000); /* "late" is not open yet */
    bench_file_get(&bench, HIGH_WATERMARKS, text, sizeof(text));
    assert_non_null(strstr(text, "late 0 4\n"));
    assert_non_null(strstr(text, "topic 0 8\n"));
    bench_close(&bench);
}

static void a_log_made_anew_under_an_old_name_has_no_checkpoints(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 11);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 10, 0));
    log_set_high_watermark(log, 10);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_high_watermark(log), 10);
    OKAY(bench_delete(&bench, &log));
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_high_watermark(log), 0);
    assert_int_equal(log_end_written(log), 0);
    assert_int_equal(log_recovery_point(log), 0);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_high_watermark_is_kept_every_five_seconds),
        cmocka_unit_test(an_idle_store_writes_nothing),
        cmocka_unit_test(the_high_watermark_at_open_is_the_checkpoint_clipped_to_the_log),
        cmocka_unit_test(recovery_begins_at_the_recovery_point),
        cmocka_unit_test(a_recovery_point_beyond_the_log_does_no_harm),
        cmocka_unit_test(the_log_start_is_kept_when_it_lies_inside_a_segment),
        cmocka_unit_test(a_log_start_beyond_the_log_empties_it),
        cmocka_unit_test(unreadable_recovery_points_and_starts_are_forgiven),
        cmocka_unit_test(unreadable_high_watermarks_take_the_directory_offline),
        cmocka_unit_test(starts_that_cannot_be_read_take_the_directory_offline),
        cmocka_unit_test(what_apache_kept_of_other_partitions_is_not_lost_while_they_are_there),
        cmocka_unit_test(a_log_made_anew_under_an_old_name_has_no_checkpoints),
    };

    return cmocka_run_group_tests_name("storage/checkpoint", tests, NULL, NULL);
}
