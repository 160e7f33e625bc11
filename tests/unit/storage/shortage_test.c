/* SPDX-License-Identifier: Apache-2.0 */
/* A process that has no more descriptors: the disks are well. */
#include "support.h"

#define FOLDER "/data/topic-0"

static int no_descriptors(struct bench *bench, const char *part)
{
    return bench_calls_fail(bench, 1u << SIM_CALL_OPEN, part, ERR_TOO_MANY_FILES);
}

static bool is_offline(struct bench *bench)
{
    return log_directory_is_offline(log_directories_at(bench->directories, 0));
}

static void appends_wait_for_a_descriptor_and_no_directory_goes_offline(void **state)
{
    struct bench bench;
    struct bench_append appends[6];
    struct log *log;
    int fault;

    bench_open(&bench, 1);
    bench.config.segment_bytes = 3000; /* each of them rolls, flushes, writes indexes */
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    fault = no_descriptors(&bench, FOLDER);
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){.value_bytes = 1000}, &appends[i]));
    bench_pass(&bench, 5000);
    assert_true(sim_fault_hits(bench.os, fault) > 1);
    assert_false(is_offline(&bench));
    assert_false(log_is_failed(log));
    sim_fault_remove(bench.os, fault);
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_end(&bench, &appends[i]));
    OKAY(bench_flush(&bench, log, log_end_queued(log)));
    assert_int_equal(bench_verify(&bench, log), 7);
    bench_close(&bench);
}

static void a_reader_that_gets_no_descriptor_is_answered_an_error_it_asks_again_after(void **state)
{
    struct bench bench;
    struct bench_read read = {.op = {.offset = 0, .bound_offset = 5, .bytes_max = 100000}};
    struct log_lookup lookup;
    struct log *log;
    int fault;

    bench_open(&bench, 2);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 5; i++)
        OKAY(bench_append(&bench, log, 0, 1, 100));
    bench_restart(&bench); /* no file is open */
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, 5);
    fault = no_descriptors(&bench, FOLDER "/00000000000000000000.log");
    assert_int_equal(bench_read(&bench, log, &read), ERR_KAFKA_STORAGE_ERROR);
    bench_read_release(&read);
    assert_int_equal(bench_lookup(&bench, log, 0, &lookup), ERR_KAFKA_STORAGE_ERROR);
    assert_false(log_is_failed(log));
    assert_false(is_offline(&bench));
    sim_fault_remove(bench.os, fault);
    OKAY(bench_read(&bench, log, &read));
    bench_read_release(&read);
    OKAY(bench_lookup(&bench, log, 0, &lookup));
    assert_int_equal(bench_verify(&bench, log), 5);
    bench_close(&bench);
}

static void checkpoints_and_truncations_wait_too(void **state)
{
    struct bench bench;
    struct log *log;
    int number;
    int64_t hits = 0;

    bench_open(&bench, 3);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 5; i++)
        OKAY(bench_append(&bench, log, 0, 1, 100));
    /* Each open of a truncation in its turn: what is done again starts from its beginning. */
    for (int64_t end = 4; end > 0; end--) {
        sim_faults_clear(bench.os);
        number = sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_OPEN,
                                                             .effect = SIM_EFFECT_ERROR,
                                                             .err = ERR_TOO_MANY_FILES,
                                                             .skip_count = end - 1});
        OKAY(bench_truncate(&bench, log, end));
        hits += sim_fault_hits(bench.os, number);
        assert_int_equal(log_end_written(log), end);
    }
    assert_true(hits >= 2);
    assert_false(is_offline(&bench));
    sim_faults_clear(bench.os);
    assert_int_equal(bench_verify(&bench, log), 1);
    bench_close(&bench);
}

static void a_file_is_closed_before_the_next_is_opened(void **state)
{
    struct bench bench;
    struct os_usage usage;
    struct log *log;

    bench_prepare(&bench, 4, 1);
    bench.options.open_files_max = 2;
    bench.config.segment_bytes = 3000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 20; i++)
        OKAY(bench_append(&bench, log, 0, 1, 1000));
    bench_pass(&bench, 1000);
    assert_int_equal(bench_verify(&bench, log), 20);
    bench_pass(&bench, 1000);
    os_usage(bench.os, &usage);
    assert_in_range(usage.open_files, 1, 3); /* two and the lock */
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_wait_for_a_descriptor_and_no_directory_goes_offline),
        cmocka_unit_test(a_reader_that_gets_no_descriptor_is_answered_an_error_it_asks_again_after),
        cmocka_unit_test(checkpoints_and_truncations_wait_too),
        cmocka_unit_test(a_file_is_closed_before_the_next_is_opened),
    };

    return cmocka_run_group_tests_name("storage/shortage", tests, NULL, NULL);
}
