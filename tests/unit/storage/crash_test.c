/* SPDX-License-Identifier: Apache-2.0 */
/* The storage engine on the simulated machine: what was acknowledged comes back. */
#include "support.h"

#include <stdlib.h>

static void an_appended_batch_is_read_back(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_queued(log), 0);
    OKAY(bench_append(&bench, log, 0, 3, 0));
    OKAY(bench_append(&bench, log, 0, 2, 5000));
    assert_int_equal(log_end_written(log), 5);
    assert_int_equal(bench_verify(&bench, log), 5);
    OKAY(bench_flush(&bench, log, 5));
    assert_int_equal(log_end_flushed(log), 5);
    bench_close(&bench);
}

static void an_orderly_stop_keeps_everything_and_leaves_the_clean_marker(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    log = bench_log(&bench, "topic", 3);
    for (int i = 0; i < 20; i++)
        OKAY(bench_append(&bench, log, 1, 5, 700));
    bench_restart(&bench);
    assert_true(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    log = bench_log(&bench, "topic", 3);
    assert_int_equal(log_end_written(log), 100);
    assert_int_equal(bench_verify(&bench, log), 100);
    assert_int_equal(log_epoch_latest(log), 1);
    bench_close(&bench);
}

static void flushed_records_survive_a_power_cut(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench bench;
        struct log *log;
        int64_t end;

        bench_open(&bench, seed);
        bench.config.segment_bytes = 20000;
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 12; i++)
            OKAY(bench_append(&bench, log, 0, 4, 1000));
        OKAY(bench_flush(&bench, log, 48));
        for (int i = 0; i < 3; i++)
            OKAY(bench_append(&bench, log, 0, 4, 1000));
        bench_crash(&bench, NULL);
        assert_false(log_directory_was_clean(log_directories_at(bench.directories, 0)));
        log = bench_log(&bench, "topic", 0);
        end = log_end_written(log);
        assert_in_range(end, 48, 60);
        assert_int_equal(bench_verify(&bench, log), end);
        /* And the log goes on from there. */
        OKAY(bench_append(&bench, log, 1, 4, 1000));
        assert_int_equal(bench_verify(&bench, log), end + 4);
        bench_close(&bench);
    }
}

/* cmocka shows it only beside a failure's own lines. */
static void print_on_failure(uint64_t seed, int64_t n)
{
    if (getenv("BARNABAS_VERBOSE"))
        print_message("BARNABAS_SEED=%llu n=%lld\n", (unsigned long long)seed, (long long)n);
}

/* One life up to a crash at the n-th file call; true when the call was never reached. */
static bool life_with_crash_at(uint64_t seed, int64_t n)
{
    struct bench bench;
    struct log *log;
    int64_t flushed = 0;
    bool survived;
    enum err err;

    bench_open(&bench, seed);
    bench.config.segment_bytes = 6000;
    sim_machine_crash_at(bench.os, n, NULL);
    err = bench_log_try(&bench, "topic", 0, &log);
    for (int i = 0; i < 8 && err == OK; i++) {
        err = bench_append(&bench, log, 0, 2, 1000);
        if (err == OK)
            err = bench_flush(&bench, log, log_end_written(log));
        if (err == OK)
            flushed = log_end_flushed(log);
    }
    survived = sim_machine_is_up(bench.os);
    print_on_failure(seed, n);
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_true(log_end_written(log) >= flushed);
    assert_int_equal(bench_verify(&bench, log), log_end_written(log));
    bench_close(&bench);
    return survived;
}

/* BARNABAS_SEED: the first seed; BARNABAS_SEEDS: how many. */
static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void flushed_records_survive_a_crash_at_every_file_call(void **state)
{
    uint64_t first = number_of("BARNABAS_SEED", 1);

    for (uint64_t seed = first; seed < first + number_of("BARNABAS_SEEDS", 1); seed++) {
        int64_t n = 0;

        while (!life_with_crash_at(seed, n))
            n++;
        assert_true(n > 20);
    }
}

/* Appends of one turn, which cross several segments, then death at the n-th file call. */
static bool life_in_flush_mode_os_with_death_at(int64_t n)
{
    struct bench bench;
    struct bench_append appends[8];
    struct log *log;
    struct os *dead;
    int64_t written = 0;
    bool survived;

    bench_open(&bench, (uint64_t)n);
    bench.config.segment_bytes = 4500;
    bench.config.flush_mode = FLUSH_MODE_OS;
    log = bench_log(&bench, "topic", 0);
    sim_machine_kill_at(bench.os, n);
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){.count = 2, .value_bytes = 1000},
                                &appends[i]));
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        if (bench_append_end(&bench, &appends[i]) == OK)
            written = appends[i].op.last_offset + 1;
    survived = sim_machine_is_up(bench.os);
    print_on_failure((uint64_t)n, n);
    dead = bench.os;
    sim_machine_kill(dead);
    bench_stop(&bench, false);
    OKAY(sim_machine_restart(dead, &bench.os));
    os_release(&dead);
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_true(log_end_written(log) >= written);
    assert_int_equal(bench_verify(&bench, log), log_end_written(log));
    bench_close(&bench);
    return survived;
}

static void
in_flush_mode_os_a_death_of_the_process_loses_nothing_written_and_leaves_no_hole(void **state)
{
    int64_t n = 0;

    while (!life_in_flush_mode_os_with_death_at(n))
        n++;
    assert_true(n > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_appended_batch_is_read_back),
        cmocka_unit_test(an_orderly_stop_keeps_everything_and_leaves_the_clean_marker),
        cmocka_unit_test(flushed_records_survive_a_power_cut),
        cmocka_unit_test(flushed_records_survive_a_crash_at_every_file_call),
        cmocka_unit_test(
            in_flush_mode_os_a_death_of_the_process_loses_nothing_written_and_leaves_no_hole),
    };

    return cmocka_run_group_tests_name("storage/crash", tests, NULL, NULL);
}
