/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: which bytes an offset, a bound and a limit give. */
#include "support.h"

/* Ten batches of two records each. */
static struct log *filled(struct bench *bench, size_t value_bytes)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 10; i++)
        OKAY(bench_append(bench, log, 0, 2, value_bytes));
    return log;
}

static void a_read_begins_with_the_batch_that_holds_the_offset(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 1);
    log = filled(&bench, 100);
    for (int64_t offset = 0; offset < 20; offset++) {
        struct bench_read read = {
            .op = {.offset = offset, .bound_offset = 20, .bytes_max = 1 << 20}};

        OKAY(bench_read(&bench, log, &read));
        assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.size_bytes), offset & ~1),
                         20);
        bench_read_release(&read);
    }
    bench_close(&bench);
}

static void nothing_at_or_above_the_bound_is_read(void **state)
{
    for (int restarted = 0; restarted < 2; restarted++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 2);
        log = filled(&bench, 3000);
        if (restarted) { /* without the memory of recent batches */
            bench_restart(&bench);
            log = bench_log(&bench, "topic", 0);
        }
        for (int64_t bound = 1; bound <= 20; bound++) {
            struct bench_read read = {
                .op = {.offset = 0, .bound_offset = bound, .bytes_max = 1 << 20}};

            OKAY(bench_read(&bench, log, &read));
            if (bound >= 2)
                assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.size_bytes), 0),
                                 bound & ~1);
            else
                assert_int_equal(read.op.size_bytes, 0);
            bench_read_release(&read);
        }
        bench_close(&bench);
    }
}

static void a_read_at_its_bound_is_empty_and_beyond_the_log_it_is_out_of_range(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read at_end = {.op = {.offset = 20, .bound_offset = 20, .bytes_max = 1000}};
    struct bench_read above = {.op = {.offset = 21, .bound_offset = 20, .bytes_max = 1000}};
    struct bench_read below = {.op = {.offset = 3, .bound_offset = 20, .bytes_max = 1000}};

    bench_open(&bench, 3);
    log = filled(&bench, 10);
    OKAY(bench_read(&bench, log, &at_end));
    assert_int_equal(at_end.op.size_bytes, 0);
    assert_int_equal(bench_read(&bench, log, &above), ERR_OFFSET_OUT_OF_RANGE);
    log_set_high_watermark(log, 20);
    OKAY(log_set_start_offset(log, 4));
    assert_int_equal(bench_read(&bench, log, &below), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(below.op.start_offset, 4);
    bench_read_release(&at_end);
    bench_read_release(&above);
    bench_read_release(&below);
    bench_close(&bench);
}

static void the_first_batch_comes_whole_only_when_that_is_wished(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read strict = {.op = {.offset = 0, .bound_offset = 20, .bytes_max = 100}};
    struct bench_read generous = {
        .op = {.offset = 0, .bound_offset = 20, .bytes_max = 100, .at_least_one = true}};
    struct bench_read cut = {.op = {.offset = 0, .bound_offset = 20, .bytes_max = 2500}};

    bench_open(&bench, 4);
    log = filled(&bench, 1000);
    OKAY(bench_read(&bench, log, &strict));
    assert_true(strict.op.first_incomplete);
    assert_int_equal(strict.op.size_bytes, 0);
    assert_true(strict.op.first_batch_bytes > 2000);
    OKAY(bench_read(&bench, log, &generous));
    assert_int_equal(generous.op.size_bytes, strict.op.first_batch_bytes);
    assert_int_equal(bench_verify_bytes(slice_of(generous.bytes, generous.op.size_bytes), 0), 2);
    OKAY(bench_read(&bench, log, &cut)); /* Kafka's readers take a last batch that is cut */
    assert_int_equal(cut.op.size_bytes, 2500);
    bench_read_release(&strict);
    bench_read_release(&generous);
    bench_read_release(&cut);
    bench_close(&bench);
}

static void a_read_ends_with_its_segment(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {.op = {.offset = 1, .bound_offset = 20, .bytes_max = 1 << 20}};

    bench_open(&bench, 5);
    bench.config.segment_bytes = 5000;
    log = filled(&bench, 1000);
    assert_int_equal(log_segment_count(log), 5);
    OKAY(bench_read(&bench, log, &read));
    assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.size_bytes), 0), 4);
    bench_read_release(&read);
    assert_int_equal(bench_verify(&bench, log), 20);
    bench_close(&bench);
}

static void the_bytes_of_a_planned_range_outlive_the_deletion_of_their_segment(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {.op = {.offset = 0, .bound_offset = 20, .bytes_max = 1 << 20}};
    struct bench_read later = {.op = {.offset = 0, .bound_offset = 20, .bytes_max = 1000}};
    uint8_t bytes[8000];

    bench_open(&bench, 6);
    bench.config.segment_bytes = 5000;
    bench.config.file_delete_delay_ms = 10;
    log = filled(&bench, 1000);
    OKAY(bench_read(&bench, log, &read)); /* holds the file */
    log_set_high_watermark(log, 20);
    OKAY(log_set_start_offset(log, 8));
    log_retention_run(log);
    bench_pass(&bench, 60000);
    assert_int_equal(bench_file_size(&bench, "/data/topic-0/00000000000000000000.log"), -1);
    assert_int_equal(bench_files_count(&bench, "/data/topic-0/", ".deleted"), 0);
    assert_true(read.op.size_bytes <= sizeof(bytes));
    read.is_done = false;
    log_read_bytes(&read.op, bytes);
    bench_run_until(&bench, &read.is_done);
    OKAY(read.op.err);
    assert_int_equal(bench_verify_bytes(slice_of(bytes, read.op.read_bytes), 0), 4);
    bench_read_release(&read);
    assert_int_equal(bench_read(&bench, log, &later), ERR_OFFSET_OUT_OF_RANGE);
    bench_read_release(&later);
    bench_close(&bench);
}

static void few_files_stay_open_however_many_segments_are_read(void **state)
{
    struct bench bench;
    struct os_usage usage;
    struct log *log;

    bench_prepare(&bench, 7, 1);
    bench.options.open_files_max = 2;
    bench.config.segment_bytes = 3000;
    bench_start(&bench);
    log = filled(&bench, 1000);
    assert_int_equal(log_segment_count(log), 10);
    assert_int_equal(bench_verify(&bench, log), 20);
    bench_pass(&bench, 1000);
    os_usage(bench.os, &usage);
    assert_in_range(usage.open_files, 1, 4); /* two, the lock, a spare */
    bench_close(&bench);
}

static void the_bytes_behind_a_planned_position_are_counted(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {.op = {.offset = 0, .bound_offset = 2, .bytes_max = 1 << 20}};
    int64_t size_bytes;

    bench_open(&bench, 8);
    bench.config.segment_bytes = 5000;
    log = filled(&bench, 1000);
    size_bytes = log_size_bytes(log);
    OKAY(bench_read(&bench, log, &read));
    assert_int_equal(log_bytes_since(log, read.op.segment_base, read.op.position_bytes, 20),
                     size_bytes);
    assert_int_equal(log_bytes_since(log, read.op.segment_base, read.op.position_bytes, 2),
                     (int64_t)read.op.size_bytes);
    bench_read_release(&read);
    bench_close(&bench);
}

static void read_is_done(struct log_read *op)
{
    CONTAINER_OF(op, struct bench_read, op)->is_done = true;
}

/* Found by `./dev sim` with the fault point recent_forgotten: it planned bytes of a file that was not there. */
static void a_committed_read_whose_segment_goes_while_it_looks_is_out_of_range(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {.op = {.offset = 0,
                                     .bound_offset = 20,
                                     .bytes_max = 1 << 20,
                                     .at_least_one = true,
                                     .wants_aborted = true,
                                     .done = read_is_done}};

    bench_open(&bench, 9);
    bench.config.segment_bytes = 5000;
    bench.config.retention_ms = -1;
    log = filled(&bench, 1000);
    bench_restart(&bench); /* without the memory of recent batches */
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, 20);
    sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_READ,
                                                .path_part = "00000000000000000000.log",
                                                .effect = SIM_EFFECT_DELAY,
                                                .delay_ns = INT64_C(5000000000)});
    assert_false(log_read_plan(log, &read.op));
    OKAY(log_set_start_offset(log, 8));
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_false(read.is_done);
    assert_int_equal(log_segment_count(log), 3);
    bench_run_until(&bench, &read.is_done);
    assert_int_equal(read.op.err, ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(read.op.size_bytes, 0);
    bench_read_release(&read);
    bench_close(&bench);
}

/* A reader that asks for memory by the size of the first batch would ask for half of all there is. */
static void a_rotted_size_of_a_batch_asks_for_no_more_than_its_segment_has(void **state)
{
    static const char path[] = BENCH_DIRECTORY "/topic-0/00000000000000000000.log";

    for (int bit = 0; bit < 31; bit++) {
        struct bench bench;
        struct log *log;
        struct bench_read read = {.op = {.offset = 0,
                                         .bound_offset = 20,
                                         .bytes_max = 100,
                                         .at_least_one = true,
                                         .done = read_is_done}};
        enum err err;

        bench_open(&bench, 10);
        bench.config.segment_bytes = 5000;
        log = filled(&bench, 1000);
        bench_halt(&bench);
        OKAY(sim_disk_flip(bench.os, path, 8 + (31 - bit) / 8, (uint8_t)(1u << bit % 8)));
        bench_start(&bench); /* without the memory of recent batches */
        log = bench_log(&bench, "topic", 0);
        log_set_high_watermark(log, 20);
        if (!log_read_plan(log, &read.op))
            bench_run_until(&bench, &read.is_done);
        err = read.op.err;
        assert_true(err == OK || err == ERR_CORRUPT_MESSAGE);
        assert_true(read.op.size_bytes <= 5000);
        log_read_release(&read.op);
        bench_close(&bench);
    }
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_begins_with_the_batch_that_holds_the_offset),
        cmocka_unit_test(nothing_at_or_above_the_bound_is_read),
        cmocka_unit_test(a_read_at_its_bound_is_empty_and_beyond_the_log_it_is_out_of_range),
        cmocka_unit_test(the_first_batch_comes_whole_only_when_that_is_wished),
        cmocka_unit_test(a_read_ends_with_its_segment),
        cmocka_unit_test(a_committed_read_whose_segment_goes_while_it_looks_is_out_of_range),
        cmocka_unit_test(the_bytes_of_a_planned_range_outlive_the_deletion_of_their_segment),
        cmocka_unit_test(few_files_stay_open_however_many_segments_are_read),
        cmocka_unit_test(the_bytes_behind_a_planned_position_are_counted),
        cmocka_unit_test(a_rotted_size_of_a_batch_asks_for_no_more_than_its_segment_has),
    };

    return cmocka_run_group_tests_name("storage/read", tests, NULL, NULL);
}
