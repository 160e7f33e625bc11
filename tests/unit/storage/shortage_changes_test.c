/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors or memory run out amid what changes names: deletions, copies that take a log's place, the swap of a cleaning
 * pass, openings. Each call in its turn; what is done again goes on where it stopped. */
#include "compaction_support.h"

#define FOLDER "/data/topic-0"
#define ALL_NAMES                                                                            \
    (1u << SIM_CALL_OPEN | 1u << SIM_CALL_RENAME | 1u << SIM_CALL_UNLINK |                   \
     1u << SIM_CALL_SYNC_DIRECTORY | 1u << SIM_CALL_LIST | 1u << SIM_CALL_REMOVE_DIRECTORY | \
     1u << SIM_CALL_MAKE_DIRECTORY)

static struct history history;

/* The call number `skip` that touches names finds none, and three more behind it. */
static int names_fail(struct bench *bench, int64_t skip, enum err err)
{
    int first = -1;

    sim_faults_clear(bench->os);
    for (int64_t i = 0; i < 4; i++) {
        int number = sim_fault_add(bench->os, &(struct sim_fault){.calls = ALL_NAMES,
                                                                  .effect = SIM_EFFECT_ERROR,
                                                                  .err = err,
                                                                  .skip_count = skip + i});

        if (i == 0)
            first = number;
    }
    return first;
}

static bool is_offline(struct bench *bench)
{
    return log_directory_is_offline(log_directories_at(bench->directories, 0));
}

static struct log *filled(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 6; i++)
        OKAY(bench_append(bench, log, 0, 1, 1000));
    return log;
}

static void whoever_leaves_waits_at_every_call(void **state)
{
    void (*const changes[])(struct log * log,
                            struct log_change_op * op) = {log_delete, log_make_stray, log_close};

    for (size_t kind = 0; kind < ARRAY_COUNT(changes); kind++) {
        int64_t hits = 1;

        for (int64_t at = 0; hits > 0; at++) {
            struct bench bench;
            struct log *log;
            int fault;

            bench_prepare(&bench, 11, 1);
            bench.config.segment_bytes = 3000;
            bench_start(&bench);
            log = filled(&bench);
            fault = names_fail(&bench, at, at % 2 ? ERR_NO_MEMORY : ERR_TOO_MANY_FILES);
            OKAY(bench_change(&bench, log, changes[kind]));
            hits = sim_fault_hits(bench.os, fault);
            assert_false(is_offline(&bench));
            sim_faults_clear(bench.os);
            bench_pass(&bench, 120000); /* what was deleted goes */
            assert_int_equal(bench_files_count(&bench, "/data", ".log"), kind == 0 ? 0 : 3);
            bench_close(&bench);
        }
    }
}

static void a_copy_takes_its_place_whatever_call_waits(void **state)
{
    int64_t hits = 1;

    for (int64_t at = 0; hits > 0; at++) {
        struct log_open request = {.topic = SLICE("topic"), .create = true, .future = true};
        struct bench bench;
        struct log *copy;
        int fault;

        bench_open(&bench, 12);
        fault = names_fail(&bench, at / 2, at % 2 ? ERR_NO_MEMORY : ERR_TOO_MANY_FILES);
        OKAY(bench_log_open(&bench, &request, &copy));
        for (int i = 0; i < 3; i++)
            OKAY(bench_append(&bench, copy, 0, 1, 100));
        OKAY(bench_change(&bench, copy, log_promote));
        hits = sim_fault_hits(bench.os, fault);
        assert_false(is_offline(&bench));
        sim_faults_clear(bench.os);
        copy = bench_log(&bench, "topic", 0);
        assert_int_equal(bench_verify(&bench, copy), 3);
        assert_int_equal(bench_files_count(&bench, "/data", ".log"), 1); /* no second directory */
        bench_close(&bench);
    }
}

/* The pass is put off, or its swap waits; the log is whole and has been cleaned in the end. */
static void a_swap_waits_at_every_call(void **state)
{
    int64_t hits = 1;

    for (int64_t at = 0; hits > 0; at++) {
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 13);
        int fault;

        compaction_fill(&bench, log, &history, 3, 4);
        log_roll(log);
        compaction_fill(&bench, log, &history, 3, 4);
        log_roll(log);
        bench_pass(&bench, 100);
        fault = names_fail(&bench, at, at % 2 ? ERR_NO_MEMORY : ERR_TOO_MANY_FILES);
        log_set_high_watermark(log, log_end_written(log));
        compaction_wait(&bench, log);
        hits = sim_fault_hits(bench.os, fault);
        assert_false(is_offline(&bench));
        assert_false(log_is_uncleanable(log));
        sim_faults_clear(bench.os);
        compaction_wait(&bench, log);
        assert_int_equal(log_clean_offset(log), 24);
        (void)compaction_check(&bench, log, &history);
        bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        log_set_high_watermark(log, 24);
        (void)compaction_check(&bench, log, &history);
        bench_close(&bench);
    }
}

static void an_opening_begins_anew_when_it_finds_no_descriptor(void **state)
{
    int64_t hits = 1;

    for (int64_t at = 0; hits > 0; at++) {
        struct bench bench;
        struct log *log;
        int fault;

        bench_prepare(&bench, 14, 1);
        bench.config.segment_bytes = 3000;
        bench_start(&bench);
        log = filled(&bench);
        OKAY(bench_flush(&bench, log, 6));
        bench_crash(&bench, NULL); /* recovery opens more than the tail */
        fault = names_fail(&bench, at, at % 2 ? ERR_NO_MEMORY : ERR_TOO_MANY_FILES);
        OKAY(bench_log_try(&bench, "topic", 0, &log));
        hits = sim_fault_hits(bench.os, fault);
        assert_false(is_offline(&bench));
        sim_faults_clear(bench.os);
        assert_int_equal(bench_verify(&bench, log), 6);
        bench_close(&bench);
    }
}

static void a_shortage_may_last_as_long_as_it_likes(void **state)
{
    struct bench_append append;
    struct bench bench;
    struct log *log;
    int fault;

    bench_prepare(&bench, 15, 1);
    bench.config.segment_bytes = 3000;
    bench_start(&bench);
    log = filled(&bench);
    fault = bench_calls_fail(&bench, 1u << SIM_CALL_OPEN, "/data", ERR_NO_MEMORY);
    log_roll(log);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 6,
                            &(struct bench_batch){.value_bytes = 1000}, &append));
    bench_pass(&bench, 300000);
    assert_true(sim_fault_hits(bench.os, fault) > 1000);
    assert_false(is_offline(&bench));
    sim_faults_clear(bench.os);
    OKAY(bench_append_end(&bench, &append));
    assert_int_equal(bench_verify(&bench, log), 7);
    bench_close(&bench);
}

/* What is known is that it must end; the next start finds what was acknowledged. */
static void a_stop_does_not_wait_for_ever(void **state)
{
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 16, 1);
    bench.config.segment_bytes = 3000;
    bench_start(&bench);
    log = filled(&bench);
    OKAY(bench_flush(&bench, log, 6));
    (void)bench_calls_fail(&bench, 1u << SIM_CALL_OPEN, "/data", ERR_TOO_MANY_FILES);
    bench_stop(&bench, true); /* within the hour that the bench grants */
    sim_faults_clear(bench.os);
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 6);
    bench_close(&bench);
}

static void a_start_without_descriptors_is_refused_and_takes_no_directory_offline(void **state)
{
    struct log_directories *directories;
    const char *paths[] = {"/data", "/data1"};
    struct why why = {0};
    struct bench bench;

    bench_prepare(&bench, 17, 2);
    bench_start(&bench);
    bench_stop(&bench, true);
    (void)bench_calls_fail(&bench, 1u << SIM_CALL_OPEN, "/data1", ERR_TOO_MANY_FILES);
    assert_int_equal(
        log_directories_open(bench.os, &bench.logger, &bench.options, paths, 2, &directories, &why),
        ERR_TOO_MANY_FILES);
    assert_non_null(strstr(why.text, "/data1"));
    sim_faults_clear(bench.os);
    bench_start(&bench);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_leaves_waits_at_every_call),
        cmocka_unit_test(a_copy_takes_its_place_whatever_call_waits),
        cmocka_unit_test(a_swap_waits_at_every_call),
        cmocka_unit_test(an_opening_begins_anew_when_it_finds_no_descriptor),
        cmocka_unit_test(a_shortage_may_last_as_long_as_it_likes),
        cmocka_unit_test(a_stop_does_not_wait_for_ever),
        cmocka_unit_test(a_start_without_descriptors_is_refused_and_takes_no_directory_offline),
    };

    return cmocka_run_group_tests_name("storage/shortage_changes", tests, NULL, NULL);
}
