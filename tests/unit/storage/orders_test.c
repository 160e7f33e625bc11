/* SPDX-License-Identifier: Apache-2.0 */
/* Orders of two events that seeds seldom hit, of changes, writes, checkpoints and retention: each is forced, by jobs
 * that begin late, calls that take long, and failures that come in between. */
#include "compaction_support.h"

#include "base/fault_point.h"
#include "storage/cleaner.h"
#include "storage/shard.h"

#define FOLDER "/data/topic-0"
#define FIRST FOLDER "/00000000000000000000"
#define LATE_MS 10

struct change {
    struct log_change_op op;
    bool is_done;
};

static void changed(struct log_change_op *op)
{
    CONTAINER_OF(op, struct change, op)->is_done = true;
}

struct raise {
    struct log_start_op op;
    bool is_done;
};

static void raised(struct log_start_op *op)
{
    CONTAINER_OF(op, struct raise, op)->is_done = true;
}

static struct log *late_log(struct bench *bench, uint64_t seed)
{
    bench_prepare_late(bench, seed, LATE_MS);
    bench_start(bench);
    return bench_log(bench, "topic", 0);
}

static struct log *late_log_with_reserve(struct bench *bench, uint64_t seed)
{
    bench_prepare_late(bench, seed, LATE_MS);
    bench->options.reserve_bytes = 100000;
    bench_start(bench);
    return bench_log(bench, "topic", 0);
}

/* ---- changes ---- */

static void a_change_that_is_asked_for_while_another_runs_waits_for_its_end(void **state)
{
    struct change first = {.op.done = changed}, second = {.op.done = changed};
    struct bench bench;
    struct log *log = late_log(&bench, 1);

    for (int i = 0; i < 5; i++)
        OKAY(bench_append(&bench, log, 0, 1, 100));
    bench_pass(&bench, 1000);
    log_truncate(log, 3, &first.op);
    bench_pass(&bench, LATE_MS / 2);
    assert_true(log_is_changing(log));
    log_truncate(log, 1, &second.op);
    bench_pass(&bench, 1);
    assert_false(first.is_done || second.is_done);
    bench_run_until(&bench, &first.is_done);
    assert_false(second.is_done);
    assert_int_equal(log_end_written(log), 3);
    bench_run_until(&bench, &second.is_done);
    assert_int_equal(log_end_written(log), 1);
    assert_int_equal(bench_verify(&bench, log), 1);
    bench_close(&bench);
    UNUSED(state);
}

#ifdef BARNABAS_FAULT_POINTS
static bool is_reversed(void *context, enum fault_point point)
{
    UNUSED(context);
    return point == FAULT_POINT_deferred_reversed;
}

static void
an_append_before_a_truncation_is_written_first_whoever_of_them_gets_its_turn(void **state)
{
    struct change cut = {.op.done = changed};
    struct bench_append append;
    struct bench bench;
    struct log *log = late_log(&bench, 2);

    for (int i = 0; i < 3; i++)
        OKAY(bench_append(&bench, log, 0, 1, 100));
    bench_pass(&bench, 1000);
    fault_points_install(is_reversed, NULL);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 3, &(struct bench_batch){0},
                            &append));
    log_truncate(log, 2, &cut.op);
    bench_run_until(&bench, &cut.is_done);
    fault_points_install(NULL, NULL);
    assert_true(append.is_done);
    OKAY(bench_append_end(&bench, &append));
    OKAY(cut.op.err);
    assert_int_equal(bench_verify(&bench, log), 2);
    bench_close(&bench);
    UNUSED(state);
}
#endif

static void a_start_is_not_raised_of_a_log_that_leaves_or_failed(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        struct change closing = {.op.done = changed};
        struct raise raise = {.op.done = raised};
        struct bench bench;
        struct log *log = late_log(&bench, 3);

        OKAY(bench_append(&bench, log, 0, 5, 100));
        log_set_high_watermark(log, 5);
        if (fails) {
            bench_directory_fail(&bench);
            bench_pass(&bench, 1);
        } else {
            log_close(log, &closing.op);
        }
        log_raise_start(log, 3, &raise.op);
        assert_true(raise.is_done);
        assert_int_equal(raise.op.err, ERR_KAFKA_STORAGE_ERROR);
        assert_int_equal(log_start_offset(log), 0);
        if (!fails)
            bench_run_until(&bench, &closing.is_done);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void no_append_is_taken_once_the_directory_is_offline_for_all(void **state)
{
    struct bench_append append;
    struct bench bench;
    struct log *log = late_log(&bench, 4);

    bench_directory_fail(&bench); /* what tells the logs is still on its way */
    assert_false(log_is_failed(log));
    assert_int_equal(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 0,
                                        &(struct bench_batch){0}, &append),
                     ERR_KAFKA_STORAGE_ERROR);
    (void)!bench_append_end(&bench, &append);
    assert_int_equal(log_end_queued(log), 0);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- writes ---- */

static void more_appends_than_one_write_can_hold_are_written_in_order(void **state)
{
    static struct bench_append appends[LOG_SLICES_MAX + 50];
    struct bench bench;
    struct log *log = late_log(&bench, 5);

    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){0}, &appends[i]));
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_end(&bench, &appends[i]));
    assert_int_equal(bench_verify(&bench, log), ARRAY_COUNT(appends));
    bench_close(&bench);
    UNUSED(state);
}

/* A write that ends in want of something while its log fails for another reason is not tried again. */
static void a_write_of_a_log_that_failed_meanwhile_is_answered_and_not_tried_again(void **state)
{
    static const enum err wants[] = {ERR_DISK_FULL, ERR_NO_MEMORY, OK};

    for (size_t i = 0; i < ARRAY_COUNT(wants); i++) {
        struct bench_append append;
        struct bench bench;
        struct log *log;
        int writes;

        log = late_log_with_reserve(&bench, 6);
        bench_calls_delay(&bench, 1u << SIM_CALL_WRITE, FIRST ".log", 100);
        OKAY(bench_append(&bench, log, 0, 1, 100));
        if (wants[i] != OK)
            bench_calls_fail(&bench, 1u << SIM_CALL_WRITE, FIRST ".log", wants[i]);
        writes = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, FIRST ".log");
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 1, &(struct bench_batch){0},
                                &append));
        bench_pass(&bench, 50);
        assert_false(append.is_done);
        bench_directory_fail(&bench);
        assert_int_equal(bench_append_end(&bench, &append), ERR_KAFKA_STORAGE_ERROR);
        bench_pass(&bench, 1000);
        assert_true(sim_fault_hits(bench.os, writes) <= 1);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void the_reserve_that_is_given_up_too_late_for_a_log_saves_no_write(void **state)
{
    struct bench_append append;
    struct bench bench;
    struct log *log;
    int fault;

    log = late_log_with_reserve(&bench, 7);
    OKAY(bench_append(&bench, log, 0, 1, 100));
    bench_pass(&bench, 1000);
    fault = bench_calls_fail(&bench, 1u << SIM_CALL_WRITE, FIRST ".log", ERR_DISK_FULL);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 1, &(struct bench_batch){0},
                            &append));
    bench_pass(&bench, LATE_MS / 2); /* the job that gives it up has not begun */
    assert_int_equal(sim_fault_hits(bench.os, fault), 1);
    assert_false(append.is_done);
    bench_directory_fail(&bench);
    assert_int_equal(bench_append_end(&bench, &append), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(sim_fault_hits(bench.os, fault), 1);
    assert_int_equal(bench_files_count(&bench, "/data/.barnabas_reserve", ""), 0);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- flushes whose file is closed ---- */

static struct log *closed_file_log(struct bench *bench, uint64_t seed)
{
    struct log *log;

    bench_prepare_late(bench, seed, LATE_MS);
    bench->options.open_files_max = 0; /* each file is closed as soon as nobody uses it */
    bench_start(bench);
    log = bench_log(bench, "topic", 0);
    OKAY(bench_append(bench, log, 0, 1, 100));
    OKAY(bench_flush(bench, log, 1)); /* its entry is durable: from here on a bare sync does */
    return log;
}

static void a_sync_whose_file_was_closed_opens_it_and_waits_for_a_descriptor(void **state)
{
    struct bench_append append;
    struct bench bench;
    struct log *log = closed_file_log(&bench, 8);
    int fault = sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_OPEN,
                                                            .path_part = FIRST ".log",
                                                            .skip_count = 1, /* the write's */
                                                            .is_sticky = true,
                                                            .effect = SIM_EFFECT_ERROR,
                                                            .err = ERR_TOO_MANY_FILES});

    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 1, &(struct bench_batch){0},
                            &append));
    OKAY(bench_append_end(&bench, &append));
    bench_pass(&bench, 3000);
    assert_true(sim_fault_hits(bench.os, fault) > 20); /* more than one open tries by itself */
    assert_int_equal(log_end_flushed(log), 1);
    assert_false(log_is_failed(log));
    sim_fault_remove(bench.os, fault);
    OKAY(bench_flush(&bench, log, 2));
    assert_int_equal(log_end_flushed(log), 2);
    bench_close(&bench);
    UNUSED(state);
}

static void a_sync_whose_file_cannot_be_opened_has_failed(void **state)
{
    struct bench bench;
    struct log *log = closed_file_log(&bench, 9);

    sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_OPEN,
                                                .path_part = FIRST ".log",
                                                .skip_count = 1,
                                                .is_sticky = true,
                                                .effect = SIM_EFFECT_ERROR,
                                                .err = ERR_IO});
    OKAY(bench_append(&bench, log, 0, 1, 100));
    assert_int_equal(bench_flush(&bench, log, 2), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(log_end_flushed(log), 1);
    assert_true(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    bench_close(&bench);
    UNUSED(state);
}

/* ---- checkpoints ---- */

static void space_leave(struct bench *bench, int64_t left_bytes)
{
    int64_t free_bytes, total_bytes;

    OKAY(os_disk_space(bench->os, "/data", &free_bytes, &total_bytes));
    sim_disk_set_capacity(bench->os, total_bytes - free_bytes + left_bytes);
}

/* The look at low room is set once, does nothing beside a round that is being written, and that round sets it again. */
static void low_room_is_looked_at_until_there_is_enough_whatever_rounds_come_between(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        struct log_directory *directory;
        struct bench bench;
        struct log *log;
        int fault;

        bench_prepare_late(&bench, 10, LATE_MS);
        bench.options.low_space_bytes = 1000000;
        bench.options.reserve_bytes = 0;
        bench.options.checkpoint_high_watermark_interval_ms = 100;
        bench_start(&bench);
        directory = log_directories_at(bench.directories, 0);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 0, 3, 100));
        bench_pass(&bench, 70000);
        space_leave(&bench, 500000);
        for (int64_t offset = 1; offset < 3; offset++) { /* two rounds: one look is enough */
            log_set_high_watermark(log, offset);
            bench_pass(&bench, 500);
            assert_true(log_directory_is_low_on_space(directory));
        }
        fault = bench_calls_delay(&bench, 1u << SIM_CALL_WRITE, "replication-offset", 8000);
        log_set_high_watermark(log, 3);
        bench_pass(&bench, 5000); /* the look came due while the third round was being written */
        space_leave(&bench, 5000000);
        assert_true(log_directory_is_low_on_space(directory));
        if (fails)
            bench_directory_fail(&bench);
        sim_fault_remove(bench.os, fault);
        bench_pass(&bench, 20000);
        assert_int_equal(log_directory_is_low_on_space(directory),
                         fails); /* nobody looks at one that is offline */
        bench_close(&bench);
    }
    UNUSED(state);
}

/* ---- retention ---- */

static struct log *segments_log(struct bench *bench, uint64_t seed, int count)
{
    struct log *log;

    bench_prepare_late(bench, seed, LATE_MS);
    bench->config.retention_ms = -1;
    bench->config.retention_bytes = -1;
    bench->config.file_delete_delay_ms = 1000;
    bench->config.index_interval_bytes = 100;
    bench_start(bench);
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < count; i++) {
        OKAY(bench_append(bench, log, 0, 2, 200));
        OKAY(bench_append(bench, log, 0, 2, 200));
        log_roll(log);
        bench_pass(bench, 500);
    }
    log_set_high_watermark(log, log_end_written(log));
    return log;
}

static void a_segment_whose_rename_finds_no_descriptor_goes_a_moment_later(void **state)
{
    struct bench bench;
    struct log *log = segments_log(&bench, 11, 3);
    int fault;

    OKAY(bench_raise_start(&bench, log, 4));
    fault = bench_call_short(&bench, 1u << SIM_CALL_RENAME, FIRST);
    log_retention_run(log);
    for (int i = 0; i < 1000 && sim_fault_hits(bench.os, fault) == 0; i++)
        bench_pass(&bench, 1);
    assert_int_equal(sim_fault_hits(bench.os, fault), 1);
    assert_true(bench_file_size(&bench, FIRST ".log") > 0);
    bench_pass(&bench, 5000);
    assert_false(log_is_failed(log));
    assert_int_equal(bench_files_count(&bench, FIRST, ""), 0);
    assert_int_equal(bench_verify(&bench, log), 12);
    bench_close(&bench);
    UNUSED(state);
}

static void a_doomed_directory_that_somebody_else_removed_is_gone_as_wanted(void **state)
{
    struct bench bench;
    struct log *log;
    struct arena arena;
    struct os_names names;

    bench_prepare_late(&bench, 12, LATE_MS);
    bench.config.file_delete_delay_ms = 1000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 100));
    OKAY(bench_delete(&bench, &log));
    arena_init(&arena, &bench_heap, SIZE_MAX);
    OKAY(os_list(bench.os, "/data", &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        char path[200];

        fmt(path, sizeof path, "/data/%s", names.names[i]);
        if (strstr(names.names[i], "-delete"))
            OKAY(os_rename(bench.os, path, "/elsewhere"));
    }
    arena_release(&arena);
    assert_int_equal(bench_files_count(&bench, "/elsewhere/", ".log"), 1);
    bench_pass(&bench, 5000);
    assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    bench_close(&bench);
    UNUSED(state);
}

static void a_first_batch_that_an_empty_segment_cannot_address_gets_one_of_its_own(void **state)
{
    const int64_t far = INT64_C(1) + INT32_MAX;
    struct bench bench;
    struct log *log = late_log(&bench, 13);

    OKAY(bench_replicate(&bench, log, 0, far, &(struct bench_batch){.count = 2}));
    assert_int_equal(log_segment_count(log), 2);
    assert_int_equal(bench_verify_from(&bench, log, far), far + 2);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify_from(&bench, log, far), far + 2);
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_that_is_asked_for_while_another_runs_waits_for_its_end),
#ifdef BARNABAS_FAULT_POINTS
        cmocka_unit_test(
            an_append_before_a_truncation_is_written_first_whoever_of_them_gets_its_turn),
#endif
        cmocka_unit_test(a_start_is_not_raised_of_a_log_that_leaves_or_failed),
        cmocka_unit_test(no_append_is_taken_once_the_directory_is_offline_for_all),
        cmocka_unit_test(more_appends_than_one_write_can_hold_are_written_in_order),
        cmocka_unit_test(a_write_of_a_log_that_failed_meanwhile_is_answered_and_not_tried_again),
        cmocka_unit_test(the_reserve_that_is_given_up_too_late_for_a_log_saves_no_write),
        cmocka_unit_test(a_sync_whose_file_was_closed_opens_it_and_waits_for_a_descriptor),
        cmocka_unit_test(a_sync_whose_file_cannot_be_opened_has_failed),
        cmocka_unit_test(low_room_is_looked_at_until_there_is_enough_whatever_rounds_come_between),
        cmocka_unit_test(a_segment_whose_rename_finds_no_descriptor_goes_a_moment_later),
        cmocka_unit_test(a_doomed_directory_that_somebody_else_removed_is_gone_as_wanted),
        cmocka_unit_test(a_first_batch_that_an_empty_segment_cannot_address_gets_one_of_its_own),
    };

    return cmocka_run_group_tests_name("storage/orders", tests, NULL, NULL);
}
