/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and searches that something overtakes: retention, a failing disk, an index that is dropped or found wrong. Jobs
 * begin late and calls take long, so that each order is forced. */
#include "support.h"

#include "storage/shard.h"

#include <stdio.h>
#include <stdlib.h>

#define FOLDER "/data/topic-0"
#define FIRST FOLDER "/00000000000000000000"
#define LATE_MS 10
#define SEGMENT_OFFSETS 8

/* The start moves to the second segment, and the first one is renamed. */
static void first_segment_goes(struct bench *bench, struct log *log)
{
    log_set_high_watermark(log, log_end_written(log));
    OKAY(bench_raise_start(bench, log, SEGMENT_OFFSETS));
    log_retention_run(log);
    bench_pass(bench, 100);
    assert_int_equal(bench_file_size(bench, FIRST ".log"), -1);
}

/* `count` sealed segments of eight batches, and an active one of eight, each batch a second after the other. */
static struct log *filled(struct bench *bench, uint64_t seed, int count)
{
    struct log *log;

    bench_prepare_late(bench, seed, LATE_MS);
    bench->config.retention_ms = -1;
    bench->config.retention_bytes = -1;
    bench->config.file_delete_delay_ms = 60000;
    bench->config.index_interval_bytes = 100;
    bench->options.index_bytes_max = 1; /* one index in memory */
    bench_start(bench);
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < (count + 1) * SEGMENT_OFFSETS; i++) {
        if (i > 0 && i % SEGMENT_OFFSETS == 0)
            log_roll(log);
        OKAY(bench_append_batch(
            bench, log, 0,
            &(struct bench_batch){.value_bytes = 300, .timestamp = 1000 + 1000 * i}));
    }
    OKAY(bench_flush(bench, log, log_end_queued(log)));
    bench_pass(bench, 500);
    return log;
}

static struct log *filled_and_restarted(struct bench *bench, uint64_t seed, int count)
{
    filled(bench, seed, count);
    bench_restart(bench);
    return bench_log(bench, "topic", 0);
}

static void planned(struct log_read *op)
{
    CONTAINER_OF(op, struct bench_read, op)->is_done = true;
}

/* Begins to plan, and must have to wait. */
static void plan_begin(struct log *log, struct bench_read *read)
{
    read->op.done = planned;
    read->is_done = false;
    assert_false(log_read_plan(log, &read->op));
}

/* The bytes of what was planned, which must be batches from `offset` on; returns the offset behind. */
static int64_t bytes_verify(struct bench *bench, struct bench_read *read, int64_t offset)
{
    int64_t next;

    OKAY(read->op.err);
    assert_true(read->op.size_bytes > 0);
    read->bytes = malloc(read->op.size_bytes);
    assert_non_null(read->bytes);
    read->is_done = false;
    log_read_bytes(&read->op, read->bytes);
    bench_run_until(bench, &read->is_done);
    OKAY(read->op.err);
    next = bench_verify_bytes(slice_of(read->bytes, read->op.read_bytes), offset);
    bench_read_release(read);
    return next;
}

/* ---- reads ---- */

static void an_index_that_is_dropped_amid_a_read_is_read_again(void **state)
{
    for (int bounded = 0; bounded < 2; bounded++) {
        struct bench_read read = {.op = {.offset = 3, .bound_offset = 100, .bytes_max = 100000}};
        struct bench bench;
        struct log *log = filled_and_restarted(&bench, 1, 3);
        int slow = bench_calls_delay(&bench, 1u << SIM_CALL_READ, FIRST ".log", 300);

        if (bounded)
            read.op.bound_offset = 6; /* where it lies has to be found in the index too */
        plan_begin(log, &read);
        bench_pass(&bench, 700); /* the job looks into the log, then the scan */
        assert_false(read.is_done);
        sim_fault_remove(bench.os, slow);
        bench_index_use(&bench, log, SEGMENT_OFFSETS); /* the first one goes from memory */
        bench_run_until(&bench, &read.is_done);
        assert_int_equal(bytes_verify(&bench, &read, 3), bounded ? 6 : SEGMENT_OFFSETS);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void a_reader_whose_segment_goes_while_its_index_is_read_reads_it_still(void **state)
{
    for (int removed = 0; removed < 2; removed++) {
        struct bench_read read = {.op = {.offset = 3, .bound_offset = 100, .bytes_max = 100000}};
        struct bench bench;
        struct log *log = filled_and_restarted(&bench, 2, 3);
        struct log_config config = bench.config;

        config.file_delete_delay_ms = removed ? 0 : 60000;
        log_set_config(log, &config);
        bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, FIRST ".index", 1000);
        plan_begin(log, &read);
        bench_pass(&bench, 100);
        first_segment_goes(&bench, log);
        assert_false(read.is_done);
        bench_run_until(&bench, &read.is_done);
        if (removed) {
            assert_int_equal(read.op.err, ERR_OFFSET_OUT_OF_RANGE); /* there is nothing any more */
            bench_read_release(&read);
        } else {
            assert_int_equal(bytes_verify(&bench, &read, 3), SEGMENT_OFFSETS);
        }
        assert_false(log_is_failed(log));
        assert_int_equal(bench_verify(&bench, log), 4 * SEGMENT_OFFSETS);
        bench_close(&bench);
    }
    UNUSED(state);
}

/* Without its index the whole segment is scanned. */
static void a_reader_whose_index_is_asked_for_under_its_old_name_scans(void **state)
{
    struct bench_read read = {.op = {.offset = 3, .bound_offset = 100, .bytes_max = 100000}};
    struct bench bench;
    struct log *log = filled_and_restarted(&bench, 3, 3);
    int slow = bench_calls_delay(&bench, 1u << SIM_CALL_READ, FIRST ".log", 300);
    int shortage;

    shortage = bench_call_short(&bench, 1u << SIM_CALL_OPEN, FIRST ".index");
    OKAY(bench_raise_start(&bench, log, 0)); /* no move: nothing happens */
    plan_begin(log, &read);
    bench_pass(&bench, LATE_MS + 2); /* it waits for a descriptor */
    assert_int_equal(sim_fault_hits(bench.os, shortage), 1);
    log_set_high_watermark(log, log_end_written(log));
    OKAY(log_set_start_offset(log, SEGMENT_OFFSETS));
    log_retention_run(log);
    bench_pass(&bench, 35); /* renamed; the job is asked for again after that */
    assert_int_equal(bench_file_size(&bench, FIRST ".log"), -1);
    assert_false(read.is_done);
    sim_fault_remove(bench.os, slow);
    bench_run_until(&bench, &read.is_done);
    assert_int_equal(bytes_verify(&bench, &read, 3), SEGMENT_OFFSETS);
    assert_false(log_is_failed(log));
    bench_close(&bench);
    UNUSED(state);
}

static void file_cut(struct bench *bench, const char *path, int64_t size_bytes)
{
    struct os_file *file;

    OKAY(os_file_open(bench->os, path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    OKAY(os_file_truncate(file, size_bytes));
    os_file_close(&file);
}

/* The active segment of a log at rest has its last entry in memory; the file lost what lies below. */
static void an_index_file_that_shrank_since_its_tail_was_read_is_made_anew(void **state)
{
    static const struct {
        const char *suffix;
        int64_t size_bytes;
        bool by_truncation;
    } cases[] = {{".index", 16, false},
                 {".timeindex", 24, false},
                 {".index", 16, true},
                 {".timeindex", 24, true}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        struct log *log = filled_and_restarted(&bench, 4, 0);
        char path[100];

        snprintf(path, sizeof path, FIRST "%s", cases[i].suffix);
        assert_true(bench_file_size(&bench, path) > cases[i].size_bytes);
        file_cut(&bench, path, cases[i].size_bytes);
        if (cases[i].by_truncation)
            OKAY(bench_truncate(&bench, log, 6));
        for (int64_t offset = 0; offset < 6; offset++) {
            struct log_lookup lookup;

            assert_int_equal(bench_verify_from(&bench, log, offset),
                             cases[i].by_truncation ? 6 : 8);
            OKAY(bench_lookup(&bench, log, 1000 + 1000 * offset, &lookup));
            assert_int_equal(lookup.offset, offset);
        }
        OKAY(bench_append(&bench, log, 0, 1, 300));
        bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(bench_verify(&bench, log), cases[i].by_truncation ? 7 : 9);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void appends_go_on_while_the_index_of_the_active_segment_is_made_anew(void **state)
{
    struct bench_read read = {.op = {.offset = 3, .bound_offset = 100, .bytes_max = 100000}};
    struct log_lookup lookup;
    struct bench bench;
    struct log *log;
    int slow;

    filled(&bench, 5, 0);
    bench_halt(&bench);
    OKAY(sim_disk_flip(bench.os, FIRST ".index", 3 * 8 + 3, 0x40)); /* entries fall: rubbish */
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    slow = bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, FIRST ".index", 500);
    plan_begin(log, &read);
    bench_pass(&bench, 100);
    for (int i = 0; i < 5; i++)
        OKAY(bench_append_batch(
            &bench, log, 0,
            &(struct bench_batch){.value_bytes = 300, .timestamp = 100000 + 1000 * i}));
    assert_false(read.is_done);
    sim_fault_remove(bench.os, slow);
    bench_run_until(&bench, &read.is_done);
    bench_read_release(&read);
    for (int64_t offset = 0; offset < 13; offset++)
        assert_int_equal(bench_verify_from(&bench, log, offset), 13);
    OKAY(bench_lookup(&bench, log, 102000, &lookup));
    assert_int_equal(lookup.offset, 10);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, 12);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 13);
    bench_close(&bench);
    UNUSED(state);
}

static void many_reads_that_scan_at_the_same_time_end_each(void **state)
{
    static struct bench_read reads[20];
    struct bench bench;
    struct log *log = filled_and_restarted(&bench, 6, 3);
    int slow = bench_calls_delay(&bench, 1u << SIM_CALL_READ, ".log", 100);

    for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
        reads[i] = (struct bench_read){
            .op = {.offset = (int64_t)i, .bound_offset = 100, .bytes_max = 100000}};
        plan_begin(log, &reads[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++)
        bench_run_until(&bench, &reads[i].is_done);
    sim_fault_remove(bench.os, slow);
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++)
        assert_int_equal(bytes_verify(&bench, &reads[i], (int64_t)i),
                         ((int64_t)i / SEGMENT_OFFSETS + 1) * SEGMENT_OFFSETS);
    bench_close(&bench);
    UNUSED(state);
}

static void
bytes_that_cannot_be_read_for_want_of_memory_or_of_a_closed_log_harm_no_disk(void **state)
{
    for (int closed = 0; closed < 2; closed++) {
        struct bench_read read = {.op = {.offset = 3, .bound_offset = 100, .bytes_max = 100000}};
        struct bench bench;
        struct log *log = filled_and_restarted(&bench, 7, 1);
        uint8_t *bytes = malloc(100000);

        plan_begin(log, &read);
        bench_run_until(&bench, &read.is_done);
        OKAY(read.op.err);
        if (closed)
            OKAY(bench_close_log(&bench, &log));
        bench_calls_fail(&bench, 1u << SIM_CALL_READ, FIRST ".log",
                         closed ? ERR_IO : ERR_NO_MEMORY);
        read.is_done = false;
        log_read_bytes(&read.op, bytes);
        bench_run_until(&bench, &read.is_done);
        assert_int_equal(read.op.err, ERR_KAFKA_STORAGE_ERROR);
        assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
        log_read_release(&read.op);
        free(bytes);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void a_read_and_a_search_of_a_failed_log_wait_for_no_change(void **state)
{
    struct log_read read = {.offset = 3, .bound_offset = 100, .bytes_max = 1000, .done = planned};
    struct log_lookup lookup;
    struct bench bench;
    struct log *log = filled(&bench, 8, 0);

    bench_directory_fail(&bench);
    bench_pass(&bench, 1);
    assert_true(log_is_failed(log));
    assert_int_equal(bench_truncate(&bench, log, 2), ERR_KAFKA_STORAGE_ERROR);
    assert_true(log_read_plan(log, &read));
    assert_int_equal(read.err, ERR_KAFKA_STORAGE_ERROR);
    log_read_release(&read);
    assert_int_equal(bench_lookup(&bench, log, 3000, &lookup), ERR_KAFKA_STORAGE_ERROR);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- searches ---- */

struct search {
    struct log_lookup op;
    bool is_done;
};

static void searched(struct log_lookup *op)
{
    CONTAINER_OF(op, struct search, op)->is_done = true;
}

static void search_begin(struct log *log, struct search *search, int64_t timestamp)
{
    *search = (struct search){.op = {.timestamp = timestamp,
                                     .latest_offset = log_end_written(log),
                                     .bytes_max = 1 << 20,
                                     .done = searched}};
    log_lookup_offset(log, &search->op);
}

/* Each job begins anew 50 ms after it found no descriptor: by then the first segment has another name. */
static void a_search_that_retention_overtakes_goes_on_behind_what_is_left(void **state)
{
    static const char *const waits_for[] = {FIRST ".timeindex", FIRST ".index"};

    for (size_t i = 0; i < ARRAY_COUNT(waits_for); i++) {
        for (int slow = 0; slow < 2; slow++) {
            struct search search;
            struct bench bench;
            struct log *log = filled_and_restarted(&bench, 9, 3);
            int fault = slow ? bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, waits_for[i], 200)
                             : bench_call_short(&bench, 1u << SIM_CALL_OPEN, waits_for[i]);

            search_begin(log, &search, 3000);
            while (sim_fault_hits(bench.os, fault) == 0)
                bench_pass(&bench, 1);
            log_set_high_watermark(log, log_end_written(log));
            OKAY(log_set_start_offset(log, SEGMENT_OFFSETS));
            log_retention_run(log);
            bench_run_until(&bench, &search.is_done);
            OKAY(search.op.err);
            assert_int_equal(search.op.offset,
                             SEGMENT_OFFSETS); /* the first that is young enough */
            assert_false(log_is_failed(log));
            assert_int_equal(bench_file_size(&bench, FIRST ".log"), -1);
            bench_close(&bench);
        }
    }
    UNUSED(state);
}

static void a_search_that_finds_no_file_where_one_must_be_takes_the_directory_offline(void **state)
{
    static const int64_t timestamps[] = {3000, LOG_TIMESTAMP_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(timestamps); i++) {
        struct log_lookup lookup;
        struct bench bench;
        struct log *log = filled_and_restarted(&bench, 10, 1);

        OKAY(bench_lookup(&bench, log, 4000, &lookup)); /* all indexes are there */
        OKAY(os_unlink(bench.os, i == 0 ? FIRST ".log" : FOLDER "/00000000000000000008.log"));
        assert_int_equal(bench_lookup(&bench, log, timestamps[i], &lookup),
                         ERR_KAFKA_STORAGE_ERROR);
        assert_true(log_directory_is_offline(log_directories_at(bench.directories, 0)));
        bench_close(&bench);
    }
    UNUSED(state);
}

static void timestamps_of_a_segment_whose_files_are_gone_take_the_directory_offline(void **state)
{
    struct log_lookup lookup;
    struct bench bench;
    struct log *log = filled_and_restarted(&bench, 11, 2);

    OKAY(os_unlink(bench.os, FIRST ".timeindex"));
    OKAY(bench_lookup(&bench, log, 2000, &lookup)); /* from the log itself */
    assert_int_equal(lookup.offset, 1);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(os_unlink(bench.os, FIRST ".timeindex"));
    OKAY(os_unlink(bench.os, FIRST ".log"));
    assert_int_equal(bench_lookup(&bench, log, 2000, &lookup), ERR_KAFKA_STORAGE_ERROR);
    assert_true(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    bench_close(&bench);
    UNUSED(state);
}

/* Whatever its job found: nobody looks further. */
static void a_search_whose_log_fails_meanwhile_is_answered_a_storage_error(void **state)
{
    enum { FOUND_NONE, INDEX_WRONG, SEGMENT_GONE, KINDS };

    for (int kind = 0; kind < KINDS; kind++) {
        struct search search;
        struct log_lookup lookup;
        struct bench bench;
        struct log *log = filled_and_restarted(&bench, 12, 2);
        int slow;

        OKAY(bench_lookup(&bench, log, 3000, &lookup)); /* loads what it needs */
        assert_int_equal(lookup.offset, 2);
        if (kind == INDEX_WRONG) /* of memory: the entry points to another batch */
            log->segments[0]->offsets.items[3].position_bytes =
                log->segments[0]->offsets.items[2].position_bytes;
        if (kind == FOUND_NONE)
            OKAY(log_set_start_offset(log, 0));
        slow =
            bench_calls_delay(&bench, 1u << SIM_CALL_OPEN | 1u << SIM_CALL_READ, FIRST ".log", 500);
        if (kind == FOUND_NONE) {
            log_set_high_watermark(log, log_end_written(log));
            OKAY(log_set_start_offset(log, 7)); /* the young ones of the segment lie below it */
            log->segments[0]->max_timestamp = 8500;
            search_begin(log, &search, 8200);
        } else {
            search_begin(log, &search, 5000);
        }
        bench_pass(&bench, LATE_MS / 2);
        if (kind == SEGMENT_GONE) {
            OKAY(os_rename(bench.os, FIRST ".log", FIRST ".log.deleted"));
            log->segments[0]->deleted = true;
        }
        bench_pass(&bench, LATE_MS);
        assert_false(search.is_done);
        bench_directory_fail(&bench);
        bench_run_until(&bench, &search.is_done);
        assert_int_equal(search.op.err, ERR_KAFKA_STORAGE_ERROR);
        assert_int_equal(search.op.offset, -1);
        sim_fault_remove(bench.os, slow);
        log->segments[0]->deleted = false;
        bench_close(&bench);
    }
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_that_is_dropped_amid_a_read_is_read_again),
        cmocka_unit_test(a_reader_whose_segment_goes_while_its_index_is_read_reads_it_still),
        cmocka_unit_test(a_reader_whose_index_is_asked_for_under_its_old_name_scans),
        cmocka_unit_test(an_index_file_that_shrank_since_its_tail_was_read_is_made_anew),
        cmocka_unit_test(appends_go_on_while_the_index_of_the_active_segment_is_made_anew),
        cmocka_unit_test(many_reads_that_scan_at_the_same_time_end_each),
        cmocka_unit_test(
            bytes_that_cannot_be_read_for_want_of_memory_or_of_a_closed_log_harm_no_disk),
        cmocka_unit_test(a_read_and_a_search_of_a_failed_log_wait_for_no_change),
        cmocka_unit_test(a_search_that_retention_overtakes_goes_on_behind_what_is_left),
        cmocka_unit_test(a_search_that_finds_no_file_where_one_must_be_takes_the_directory_offline),
        cmocka_unit_test(timestamps_of_a_segment_whose_files_are_gone_take_the_directory_offline),
        cmocka_unit_test(a_search_whose_log_fails_meanwhile_is_answered_a_storage_error),
    };

    return cmocka_run_group_tests_name("storage/orders_read", tests, NULL, NULL);
}
