/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are taken ahead of a fast log: who gets them, that nobody sees them, and that they come back. */
#include "support.h"

#define FIRST "/data/topic-0/00000000000000000000.log"
#define A_BLOCK_OR_TWO 8192 /* the end of the last one, and what it is rounded to */

static int64_t ahead_bytes(struct bench *bench, const char *path)
{
    struct os_stat stat = {0};

    OKAY(os_stat(bench->os, path, &stat));
    assert_true(stat.exists);
    return stat.held_bytes - stat.size_bytes;
}

/* Appends of a megabyte each, as fast as the log takes them or `pause_ms` apart. */
static void grow(struct bench *bench, struct log *log, int megabytes, int64_t pause_ms)
{
    for (int i = 0; i < megabytes; i++) {
        OKAY(bench_append(bench, log, 0, 1, 1000000));
        bench_pass(bench, pause_ms);
    }
}

/* A machine whose jobs begin late: much happens between asking for blocks and having them. */
static struct log *late_log(struct bench *bench, uint64_t seed, int64_t least_ms, int64_t most_ms)
{
    struct sim_options options;

    sim_options_default(&options);
    options.job_latency = (struct sim_latency){least_ms * 1000000, most_ms * 1000000, 0, 0};
    bench_prepare_sim(bench, seed, &options, 1);
    bench->config.flush_mode = FLUSH_MODE_OS;
    bench_start(bench);
    return bench_log(bench, "topic", 0);
}

static void settle(struct bench *bench)
{
    bench_pass(bench, 100);
}

static struct log *fast_log(struct bench *bench, uint64_t seed, enum flush_mode mode, int megabytes)
{
    struct log *log;

    bench_open(bench, seed);
    bench->config.flush_mode = mode;
    log = bench_log(bench, "topic", 0);
    grow(bench, log, megabytes, 1);
    settle(bench);
    return log;
}

static void a_fast_log_has_blocks_ahead_and_its_size_stays_exact(void **state)
{
    for (int mode = 0; mode < 2; mode++) {
        struct bench bench;
        struct log *log = fast_log(&bench, 1, mode ? FLUSH_MODE_COMMIT : FLUSH_MODE_OS, 30);

        assert_in_range(ahead_bytes(&bench, FIRST), 4 * MIB, 30 * MIB);
        assert_int_equal(bench_file_size(&bench, FIRST), log_size_bytes(log));
        grow(&bench, log, 120, 1);
        assert_in_range(ahead_bytes(&bench, FIRST), 4 * MIB, 64 * MIB);
        assert_int_equal(bench_file_size(&bench, FIRST), log_size_bytes(log));
        assert_int_equal(bench_verify(&bench, log), 150);
        bench_close(&bench);
    }
}

static void a_small_log_has_none(void **state)
{
    struct bench bench;

    (void)fast_log(&bench, 2, FLUSH_MODE_OS, 15);
    assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
    bench_close(&bench);
}

static void a_slow_log_has_none(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    bench.config.flush_mode = FLUSH_MODE_OS;
    log = bench_log(&bench, "topic", 0);
    grow(&bench, log, 60, 400);
    assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
    bench_close(&bench);
}

static void a_disk_without_ample_room_gives_none(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 4);
    bench.config.flush_mode = FLUSH_MODE_OS;
    sim_disk_set_capacity(bench.os, 400 * (int64_t)MIB);
    log = bench_log(&bench, "topic", 0);
    grow(&bench, log, 60, 1);
    assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
    bench_close(&bench);
}

static void blocks_ahead_end_where_the_segment_will(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 5);
    bench.config.flush_mode = FLUSH_MODE_OS;
    bench.config.segment_bytes = 36 * (int32_t)MIB;
    log = bench_log(&bench, "topic", 0);
    grow(&bench, log, 34, 1);
    settle(&bench);
    assert_int_equal(log_segment_count(log), 1);
    assert_in_range(ahead_bytes(&bench, FIRST), 1 * MIB,
                    36 * MIB - (uint64_t)bench_file_size(&bench, FIRST) + A_BLOCK_OR_TWO);
    bench_close(&bench);
}

static void a_segment_that_ends_gives_back_what_it_did_not_use(void **state)
{
    for (int mode = 0; mode < 2; mode++) {
        struct bench bench;
        struct log *log = fast_log(&bench, 6, mode ? FLUSH_MODE_COMMIT : FLUSH_MODE_OS, 30);

        assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
        log_roll(log);
        bench_pass(&bench, 2000);
        assert_int_equal(log_segment_count(log), 2);
        assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
        assert_int_equal(bench_verify(&bench, log), 30);
        bench_close(&bench);
    }
}

static void a_segment_that_ends_while_blocks_are_taken_gives_them_back_too(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench bench;
        struct log *log = late_log(&bench, 60 + seed, 1, 400);

        grow(&bench, log, 17, 1);
        OKAY(bench_append(&bench, log, 0, 1, 1000000)); /* the second look */
        log_roll(log);
        bench_pass(&bench, 30000);
        assert_int_equal(log_segment_count(log), 2);
        assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
        bench_close(&bench);
    }
}

static void a_log_that_grows_no_more_gives_them_back_and_goes_on(void **state)
{
    struct bench bench;
    struct log *log = fast_log(&bench, 7, FLUSH_MODE_OS, 30);
    int64_t size_bytes;

    assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
    bench_pass(&bench, 45000);
    assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
    size_bytes = bench_file_size(&bench, FIRST);
    assert_int_equal(size_bytes, log_size_bytes(log));
    grow(&bench, log, 30, 1);
    settle(&bench);
    assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
    assert_int_equal(bench_verify(&bench, log), 60);
    bench_close(&bench);
}

/* Appends come at the moment in which the blocks go: none of their bytes may go too. */
static void appends_wait_while_blocks_are_given_back(void **state)
{
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct bench bench;
        struct log *log = late_log(&bench, 80 + seed, 50, 200);

        grow(&bench, log, 30, 1);
        bench_pass(&bench, 1000);
        assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
        for (int i = 0; i < 2500; i++) {
            bench_pass(&bench, 20 + (int64_t)seed);
            OKAY(bench_append(&bench, log, 0, 1, 100));
        }
        assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
        assert_int_equal(bench_file_size(&bench, FIRST), log_size_bytes(log));
        assert_int_equal(bench_verify(&bench, log), 2530);
        bench_close(&bench);
    }
}

static void closing_and_cutting_give_them_back(void **state)
{
    for (int kind = 0; kind < 2; kind++) {
        struct bench bench;
        struct log *log = fast_log(&bench, 8, FLUSH_MODE_OS, 30);

        assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
        if (kind == 0)
            OKAY(bench_close_log(&bench, &log));
        else
            OKAY(bench_truncate(&bench, log, 29));
        assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
        if (log)
            OKAY(bench_close_log(&bench, &log));
        assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
        bench_close(&bench);
    }
}

static void after_a_death_or_a_power_cut_they_are_given_back(void **state)
{
    for (uint64_t seed = 0; seed < 24; seed++) {
        struct bench bench;
        enum flush_mode mode = seed % 2 ? FLUSH_MODE_COMMIT : FLUSH_MODE_OS;
        struct log *log = fast_log(&bench, 100 + seed, mode, 30);
        int64_t end;

        OKAY(bench_flush(&bench, log, 20 + (int64_t)seed % 11));
        if (seed % 3 == 0)
            bench_pass(&bench, 45000); /* given back, and that not synced */
        if (seed % 4 < 2) {
            bench_crash(&bench, NULL);
        } else {
            sim_machine_kill(bench.os);
            bench_stop(&bench, false);
            OKAY(sim_machine_restart(bench.os, &bench.os));
            bench_start(&bench);
        }
        bench.config.flush_mode = mode;
        log = bench_log(&bench, "topic", 0);
        assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
        assert_int_equal(bench_file_size(&bench, FIRST), log_size_bytes(log));
        end = bench_verify(&bench, log);
        assert_in_range(end, 20, 30);
        grow(&bench, log, 20, 1);
        assert_int_equal(bench_verify(&bench, log), end + 20);
        bench_close(&bench);
    }
}

static void a_refused_reservation_is_no_failure_and_is_asked_for_once(void **state)
{
    static const enum err errors[] = {ERR_DISK_FULL, ERR_UNSUPPORTED, ERR_IO, ERR_TOO_MANY_FILES};

    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        struct bench bench;
        struct log *log;
        int fault;

        bench_open(&bench, 9);
        bench.config.flush_mode = FLUSH_MODE_OS;
        log = bench_log(&bench, "topic", 0);
        fault = bench_calls_fail(&bench, 1u << SIM_CALL_RESERVE, "topic-0", errors[i]);
        grow(&bench, log, 60, 1);
        settle(&bench);
        assert_int_equal(sim_fault_hits(bench.os, fault), 1);
        assert_int_equal(bench.directories_failed, 0);
        assert_int_equal(bench_verify(&bench, log), 60);
        bench_close(&bench);
    }
}

static void preallocation_needs_nothing_ahead(void **state)
{
    struct bench bench;
    struct log *log;
    int calls;

    bench_open(&bench, 10);
    bench.config.flush_mode = FLUSH_MODE_OS;
    bench.config.preallocate = true;
    bench.config.segment_bytes = 100 * (int32_t)MIB;
    calls = bench_calls_count(&bench, 1u << SIM_CALL_RESERVE, "topic-0");
    log = bench_log(&bench, "topic", 0);
    grow(&bench, log, 40, 1);
    settle(&bench);
    assert_int_equal(sim_fault_hits(bench.os, calls), 1); /* the whole segment */
    assert_in_range(ahead_bytes(&bench, FIRST), 50 * MIB, 100 * MIB);
    log_roll(log);
    bench_pass(&bench, 2000);
    assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
    bench_close(&bench);
}

static void closed(struct log_change_op *op)
{
    UNUSED(op);
}

/* What may come between a look at the blocks and the job that takes or gives them, or keep them from going. */
static void blocks_of_a_log_that_fails_closes_or_loses_the_segment_are_let_be(void **state)
{
    enum { FAILS, CLOSES, DELETED, WRITES, LOW, KINDS };

    for (int kind = 0; kind < KINDS; kind++) {
        struct bench bench;
        struct bench_append append;
        struct log_change_op closing = {.done = closed};
        struct log *log;

        bench_prepare(&bench, 200, 1);
        bench.options.low_space_bytes = MIB;
        bench.options.reserve_bytes = 0;
        bench.config.flush_mode = FLUSH_MODE_OS;
        bench.config.file_delete_delay_ms = 600000;
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        grow(&bench, log, 30, 1);
        settle(&bench);
        assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
        if (kind == FAILS)
            bench_directory_fail(&bench);
        if (kind == DELETED) {
            log_set_high_watermark(log, log_end_written(log));
            OKAY(log_set_start_offset(log, log_end_written(log)));
            bench_calls_delay(&bench, 1u << SIM_CALL_SYNC, FIRST, 30000);
            log_roll(log);
            bench_pass(&bench, 35000);
            log_retention_run(log);
        }
        if (kind == LOW) {
            int64_t free_bytes, total_bytes;

            OKAY(os_disk_space(bench.os, "/data", &free_bytes, &total_bytes));
            sim_disk_set_capacity(bench.os, total_bytes - free_bytes + 300000);
            log_set_high_watermark(log, 1);
        }
        if (kind == WRITES || kind == CLOSES) { /* one that is under way whenever the tick comes */
            bench_calls_delay(&bench, 1u << SIM_CALL_WRITE, FIRST, 60000);
            OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 30,
                                    &(struct bench_batch){.value_bytes = 10}, &append));
            if (kind == CLOSES)
                log_close(log, &closing);
        }
        bench_pass(&bench, kind == LOW ? 20000 : 45000);
        if (kind == DELETED)
            assert_int_equal(bench_file_size(&bench, FIRST), -1);
        else if (kind == LOW)
            assert_in_range(ahead_bytes(&bench, FIRST), 0,
                            A_BLOCK_OR_TWO); /* sooner than when idle */
        else
            assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
        if (kind == WRITES || kind == CLOSES)
            OKAY(bench_append_end(&bench, &append));
        sim_faults_clear(bench.os);
        sim_disk_set_capacity(bench.os, INT64_C(1) << 40);
        if (kind == CLOSES)
            bench_pass(&bench, 120000);
        bench_close(&bench);
    }
}

static void blocks_that_cannot_be_given_back_are_no_failure_and_go_later(void **state)
{
    struct bench bench;
    struct log *log = fast_log(&bench, 201, FLUSH_MODE_OS, 30);

    for (int i = 0; i < 2; i++) {
        int fault =
            bench_calls_fail(&bench, 1u << (i ? SIM_CALL_TRUNCATE : SIM_CALL_OPEN), FIRST, ERR_IO);

        bench_pass(&bench, 45000);
        assert_true(sim_fault_hits(bench.os, fault) > 0);
        assert_true(ahead_bytes(&bench, FIRST) > 4 * (int64_t)MIB);
        assert_false(log_is_failed(log));
        sim_fault_remove(bench.os, fault);
    }
    bench_pass(&bench, 45000);
    assert_in_range(ahead_bytes(&bench, FIRST), 0, A_BLOCK_OR_TWO);
    assert_int_equal(bench_verify(&bench, log), 30);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fast_log_has_blocks_ahead_and_its_size_stays_exact),
        cmocka_unit_test(a_small_log_has_none),
        cmocka_unit_test(a_slow_log_has_none),
        cmocka_unit_test(a_disk_without_ample_room_gives_none),
        cmocka_unit_test(blocks_ahead_end_where_the_segment_will),
        cmocka_unit_test(a_segment_that_ends_gives_back_what_it_did_not_use),
        cmocka_unit_test(a_segment_that_ends_while_blocks_are_taken_gives_them_back_too),
        cmocka_unit_test(a_log_that_grows_no_more_gives_them_back_and_goes_on),
        cmocka_unit_test(appends_wait_while_blocks_are_given_back),
        cmocka_unit_test(closing_and_cutting_give_them_back),
        cmocka_unit_test(after_a_death_or_a_power_cut_they_are_given_back),
        cmocka_unit_test(a_refused_reservation_is_no_failure_and_is_asked_for_once),
        cmocka_unit_test(preallocation_needs_nothing_ahead),
        cmocka_unit_test(blocks_of_a_log_that_fails_closes_or_loses_the_segment_are_let_be),
        cmocka_unit_test(blocks_that_cannot_be_given_back_are_no_failure_and_go_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
