/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defects of the storage engine that simulated worlds found, each in its smallest form, where no test of a single
 * file shows them.
 */
#include "support.h"

#define FIRST "/data/topic-0/00000000000000000000"

struct closing {
    struct log_store_close op;
    bool is_done;
};

static void closed(struct log_store_close *op)
{
    CONTAINER_OF(op, struct closing, op)->is_done = true;
}

/* Segments of four batches of one record with the times 1000, 1010 …, an index entry for each. */
static struct log *filled(struct bench *bench, uint64_t seed)
{
    struct log *log;

    bench_open(bench, seed);
    bench->config.index_interval_bytes = 1;
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < 12; i++) {
        struct bench_batch batch = {.count = 1, .timestamp = 1000 + 10 * i};

        OKAY(bench_append_batch(bench, log, 0, &batch));
        if (i % 4 == 3)
            log_roll(log);
    }
    bench_pass(bench, 1000);
    log_set_high_watermark(log, 12);
    return log;
}

static void no_deletion_begins_behind_a_finished_close(void **state)
{
    for (int64_t delay_ms = 0; delay_ms < 60; delay_ms++) {
        struct bench bench;
        struct log *log = filled(&bench, 1);
        struct closing closing = {.op.done = closed};
        int left;

        bench.config.retention_bytes = 100;
        bench.config.file_delete_delay_ms = delay_ms;
        log_set_config(log, &bench.config);
        log_retention_run(log);
        bench_pass(&bench, 20);
        log_store_close_all(bench.store, &closing.op);
        bench_run_until(&bench, &closing.is_done);
        left = bench_files_count(&bench, "/data/topic-0", ".deleted");
        bench_pass(&bench, 1000);
        assert_int_equal(bench_files_count(&bench, "/data/topic-0", ".deleted"), left);
        bench_close(&bench);
    }
    UNUSED(state);
}

/* An index that is made anew from a log with a rotted base offset (no checksum covers it) cannot be true. */
static void a_search_ends_whatever_base_offset_has_rotted(void **state)
{
    int refused = 0;

    for (int batch = 0; batch < 4; batch++) {
        for (int byte = 0; byte < 8; byte++) {
            struct bench bench;
            struct log *log;
            int64_t size_bytes;

            (void)filled(&bench, 2);
            bench_halt(&bench);
            size_bytes = bench_file_size(&bench, FIRST ".log");
            assert_int_equal(size_bytes % 4, 0);
            OKAY(sim_disk_flip(bench.os, FIRST ".log", size_bytes / 4 * batch + byte, 0x01));
            OKAY(sim_disk_flip(bench.os, FIRST ".index", 3, 0x40)); /* to be made anew */
            bench_start(&bench);
            log = bench_log(&bench, "topic", 0);
            for (int i = 0; i < 12; i++) {
                struct log_lookup lookup;
                enum err err = bench_lookup(&bench, log, 995 + 10 * i, &lookup);

                if (err != OK)
                    assert_int_equal(err, ERR_CORRUPT_MESSAGE);
                refused += err != OK;
                if (i >= 4 && err == OK)
                    assert_int_equal(lookup.offset, i); /* behind the damage */
            }
            assert_false(log_is_failed(log));
            bench_close(&bench); /* and so does a stop */
        }
    }
    assert_true(refused > 0);
    UNUSED(state);
}

/* In mode os a power cut may take bytes that the start has passed: the recovery point stands at the start then. */
static void a_hole_below_the_start_disturbs_no_search(void **state)
{
    struct bench bench;
    struct log_lookup lookup;
    struct log *log = filled(&bench, 3);
    char bytes[1000];
    size_t size_bytes;

    OKAY(bench_raise_start(&bench, log, 5));
    bench_halt(&bench);
    OKAY(os_unlink(bench.os, FIRST ".timeindex"));
    size_bytes = bench_file_get(&bench, FIRST ".log", bytes, sizeof bytes);
    memset(bytes + size_bytes / 4, 0,
           size_bytes - size_bytes / 4); /* sectors that did not arrive */
    bench_file_put(&bench, FIRST ".log", slice_of(bytes, size_bytes));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_start_offset(log), 5);
    OKAY(bench_lookup(&bench, log, 0, &lookup));
    assert_int_equal(lookup.offset, 5);
    OKAY(bench_lookup(&bench, log, 1085, &lookup));
    assert_int_equal(lookup.offset, 9);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, 11);
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_deletion_begins_behind_a_finished_close),
        cmocka_unit_test(a_search_ends_whatever_base_offset_has_rotted),
        cmocka_unit_test(a_hole_below_the_start_disturbs_no_search),
    };

    return cmocka_run_group_tests_name("storage/seeds", tests, NULL, NULL);
}
