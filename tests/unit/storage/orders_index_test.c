/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes that go from memory, are wrong or are made anew while somebody needs them, and files that cannot be opened
 * when a read has all but begun. Jobs begin late and calls take long, so that each order is forced. */
#include "support.h"

#include "storage/shard.h"

#include <stdlib.h>

#define FIRST "/data/topic-0/00000000000000000000"
#define LATE_MS 10
#define SEGMENT_OFFSETS 8

static struct log *started(struct bench *bench, uint64_t seed, int open_files_max)
{
    bench_prepare_late(bench, seed, LATE_MS);
    bench->config.retention_ms = -1;
    bench->config.file_delete_delay_ms = 0;
    bench->config.index_interval_bytes = 100;
    bench->options.index_bytes_max = 1; /* one index in memory */
    bench->options.open_files_max = open_files_max;
    bench_start(bench);
    return bench_log(bench, "topic", 0);
}

static void segment_fill(struct bench *bench, struct log *log)
{
    while (log_end_queued(log) % SEGMENT_OFFSETS != 0 || log_active(log)->size_bytes == 0)
        OKAY(bench_append(bench, log, 0, 1, 300));
    OKAY(bench_flush(bench, log, log_end_queued(log)));
}

static struct log *filled_and_restarted(struct bench *bench, uint64_t seed, int sealed)
{
    struct log *log = started(bench, seed, 10);

    for (int i = 0; i < sealed; i++) {
        segment_fill(bench, log);
        log_roll(log);
        bench_pass(bench, 500);
    }
    segment_fill(bench, log);
    bench_pass(bench, 500);
    bench_restart(bench);
    return bench_log(bench, "topic", 0);
}

static void planned(struct log_read *op)
{
    CONTAINER_OF(op, struct bench_read, op)->is_done = true;
}

static void plan_begin(struct log *log, struct bench_read *read, int64_t offset)
{
    *read = (struct bench_read){.op = {.offset = offset,
                                       .bound_offset = log_end_written(log),
                                       .bytes_max = 100000,
                                       .wants_aborted = true,
                                       .done = planned}};
    assert_false(log_read_plan(log, &read->op)); /* it has to wait */
}

static void aborted_transactions_are_told_though_the_index_went_amid_the_read(void **state)
{
    struct bench_read read;
    struct bench bench;
    struct log *log = started(&bench, 1, 10);
    int slow;

    OKAY(bench_append_batch(
        &bench, log, 0,
        &(struct bench_batch){.producer_id = 7, .transactional = true, .value_bytes = 300}));
    OKAY(bench_append_batch(
        &bench, log, 0,
        &(struct bench_batch){.producer_id = 7, .is_control = true, .is_abort = true}));
    for (int i = 0; i < 3; i++) {
        segment_fill(&bench, log);
        log_roll(log);
        bench_pass(&bench, 500);
    }
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    slow = bench_calls_delay(&bench, 1u << SIM_CALL_READ, FIRST ".log", 300);
    plan_begin(log, &read, 0);
    bench_pass(&bench, 700); /* the job looks into the log, then the scan */
    assert_false(read.is_done);
    sim_fault_remove(bench.os, slow);
    bench_index_use(&bench, log, SEGMENT_OFFSETS);
    bench_run_until(&bench, &read.is_done);
    OKAY(read.op.err);
    assert_int_equal(read.op.aborted_count, 1);
    assert_int_equal(read.op.aborted[0].producer_id, 7);
    assert_int_equal(read.op.aborted[0].first_offset, 0);
    log_read_release(&read.op);
    bench_close(&bench);
    UNUSED(state);
}

static void an_index_that_is_being_made_anew_is_not_dropped_meanwhile(void **state)
{
    struct bench_read read;
    struct bench bench;
    struct log *log = filled_and_restarted(&bench, 2, 3);
    int slow;

    assert_int_equal(bench_verify_from(&bench, log, 3), 4 * SEGMENT_OFFSETS);
    plan_begin(log, &read, 3); /* loads the first one, which is the oldest from now on */
    bench_run_until(&bench, &read.is_done);
    log_read_release(&read.op);
    segment_index_distrust(log->segments[0]);
    slow = bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, FIRST ".log", 500);
    plan_begin(log, &read, 3);
    bench_pass(&bench, 100);
    assert_true(log->segments[0]->index_loading);
    bench_index_use(&bench, log, SEGMENT_OFFSETS);
    assert_false(read.is_done);
    sim_fault_remove(bench.os, slow);
    bench_run_until(&bench, &read.is_done);
    OKAY(read.op.err);
    log_read_release(&read.op);
    assert_true(log->segments[0]->index_known && !log->segments[0]->index_bad);
    assert_int_equal(bench_verify(&bench, log), 4 * SEGMENT_OFFSETS);
    bench_close(&bench);
    UNUSED(state);
}

/* As many entries as were below the one in memory, but others: the first is missing. */
static void an_index_file_that_does_not_fit_its_tail_in_memory_is_made_anew(void **state)
{
    uint8_t bytes[200];
    struct os_file *file;
    struct bench bench;
    struct log *log = filled_and_restarted(&bench, 3, 0);
    size_t size_bytes = bench_file_get(&bench, FIRST ".index", bytes, sizeof bytes);

    assert_true(size_bytes >= 24);
    OKAY(os_file_open(bench.os, FIRST ".index", OS_OPEN_READ | OS_OPEN_WRITE, &file));
    OKAY(os_file_write(file, &(struct slice){bytes + 8, size_bytes - 8}, 1, 0));
    OKAY(os_file_truncate(file, (int64_t)size_bytes - 8));
    os_file_close(&file);
    for (int64_t offset = 0; offset < SEGMENT_OFFSETS; offset++)
        assert_int_equal(bench_verify_from(&bench, log, offset), SEGMENT_OFFSETS);
    assert_int_equal(log_active(log)->offsets.first, 0);
    assert_int_equal(log_active(log)->offsets.count, size_bytes / 8);
    bench_close(&bench);
    UNUSED(state);
}

/* What was appended last needs no index, only the file. */
static void a_read_whose_file_cannot_be_opened_harms_no_disk_if_that_is_nobodys_fault(void **state)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        struct bench_read read;
        struct bench bench;
        struct log *log = started(&bench, 4, 0);

        segment_fill(&bench, log);
        if (deleted)
            bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, FIRST ".log", 3000);
        else
            bench_calls_fail(&bench, 1u << SIM_CALL_OPEN, FIRST ".log", ERR_TOO_MANY_FILES);
        plan_begin(log, &read, 3);
        if (deleted) {
            log_set_high_watermark(log, SEGMENT_OFFSETS);
            OKAY(log_set_start_offset(log, SEGMENT_OFFSETS));
            log_roll(log);
            bench_pass(&bench, 10);
            log_retention_run(log);
        }
        bench_run_until(&bench, &read.is_done);
        if (!deleted)
            assert_int_equal(read.op.err, ERR_KAFKA_STORAGE_ERROR);
        assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
        log_read_release(&read.op);
        sim_faults_clear(bench.os);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void changed(struct log_change_op *op)
{
    *(bool *)op->context = true;
}

static void a_read_and_a_search_do_not_wait_for_a_change_of_a_log_that_failed(void **state)
{
    struct log_read read = {.offset = 1, .bound_offset = 8, .bytes_max = 1000, .done = planned};
    bool is_done = false;
    struct log_change_op cut = {.done = changed, .context = &is_done};
    struct bench_append append;
    struct log_lookup lookup;
    struct bench bench;
    struct log *log = started(&bench, 5, 10);

    segment_fill(&bench, log);
    bench_calls_delay(&bench, 1u << SIM_CALL_SYNC, FIRST, 5000);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 8, &(struct bench_batch){0},
                            &append));
    OKAY(bench_append_end(&bench, &append));
    log_truncate(log, 2, &cut); /* it waits for the sync */
    bench_directory_fail(&bench);
    bench_pass(&bench, 10);
    assert_true(log_is_failed(log) && log_is_changing(log));
    assert_true(log_read_plan(log, &read));
    assert_int_equal(read.err, ERR_KAFKA_STORAGE_ERROR);
    log_read_release(&read);
    assert_int_equal(bench_lookup(&bench, log, 3000, &lookup), ERR_KAFKA_STORAGE_ERROR);
    assert_false(is_done);
    bench_run_until(&bench, &is_done);
    assert_int_equal(cut.err, ERR_KAFKA_STORAGE_ERROR);
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aborted_transactions_are_told_though_the_index_went_amid_the_read),
        cmocka_unit_test(an_index_that_is_being_made_anew_is_not_dropped_meanwhile),
        cmocka_unit_test(an_index_file_that_does_not_fit_its_tail_in_memory_is_made_anew),
        cmocka_unit_test(a_read_whose_file_cannot_be_opened_harms_no_disk_if_that_is_nobodys_fault),
        cmocka_unit_test(a_read_and_a_search_do_not_wait_for_a_change_of_a_log_that_failed),
    };

    return cmocka_run_group_tests_name("storage/orders_index", tests, NULL, NULL);
}
