/* SPDX-License-Identifier: Apache-2.0 */
/* A log loses its end. */
#include "storage/storage_internal.h"
#include "support.h"

#define FOLDER "/data/topic-0/"

/* Batches of two records: epochs 1 (0-9), 2 (10-19), 3 (20-29); producer 7 wrote all of them. */
static struct log *filled_at(struct bench *bench, int64_t timestamp, int64_t step)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 15; i++)
        OKAY(bench_append_batch(bench, log, 1 + i / 5,
                                &(struct bench_batch){.count = 2,
                                                      .value_bytes = 700,
                                                      .producer_id = 7,
                                                      .sequence = 2 * i,
                                                      .timestamp = timestamp + step * i}));
    OKAY(bench_flush(bench, log, 30));
    return log;
}

static struct log *filled(struct bench *bench)
{
    return filled_at(bench, 1000, 10);
}

static void everything_at_or_above_the_offset_goes(void **state)
{
    for (int64_t offset = 0; offset <= 30; offset++) {
        for (int segments = 0; segments < 2; segments++) {
            struct bench bench;
            struct log *log;
            int64_t end = offset & ~1; /* a batch goes whole */

            bench_open(&bench, (uint64_t)offset);
            bench.config.segment_bytes = segments ? 5000 : 1 << 20;
            log = filled(&bench);
            log_set_high_watermark(log, 30);
            OKAY(bench_truncate(&bench, log, offset));
            assert_int_equal(log_end_queued(log), offset);
            assert_int_equal(log_end_flushed(log), offset);
            assert_true(log_high_watermark(log) <= offset);
            assert_true(log_recovery_point(log) <= offset);
            if (end == offset) {
                assert_int_equal(bench_verify(&bench, log), offset);
                assert_int_equal(log_epoch_latest(log),
                                 offset == 0 ? -1 : 1 + (int)(offset - 1) / 10);
                /* The producer goes on from what is left. */
                OKAY(bench_append_batch(
                    &bench, log, 8,
                    &(struct bench_batch){.producer_id = 7, .sequence = (int32_t)offset}));
                assert_int_equal(bench_verify(&bench, log), offset + 1);
                OKAY(bench_flush(&bench, log, offset + 1));
                bench_crash(&bench, NULL);
                log = bench_log(&bench, "topic", 0);
                assert_int_equal(bench_verify(&bench, log), offset + 1);
                assert_int_equal(log_epoch_latest(log), 8);
            }
            bench_close(&bench);
        }
    }
}

static void a_truncation_is_durable_when_it_is_told(void **state)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, seed);
        bench.config.segment_bytes = seed % 2 ? 5000 : 1 << 20;
        log = filled(&bench);
        OKAY(bench_truncate(&bench, log, 12));
        bench_crash(&bench, NULL);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), 12);
        assert_int_equal(bench_verify(&bench, log), 12);
        assert_int_equal(log_epoch_latest(log), 2);
        bench_close(&bench);
    }
}

static void above_the_end_only_epochs_are_cut(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 1);
    log = filled(&bench);
    OKAY(log_epoch_assign(log, 9, 30));
    OKAY(bench_truncate(&bench, log, 30));
    assert_int_equal(log_epoch_latest(log), 3);
    assert_int_equal(log_end_queued(log), 30);
    OKAY(bench_truncate(&bench, log, 50));
    assert_int_equal(log_end_queued(log), 30);
    assert_int_equal(bench_verify(&bench, log), 30);
    bench_close(&bench);
}

static void a_truncation_below_the_start_moves_the_start_back(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    log = filled(&bench);
    log_set_high_watermark(log, 30);
    OKAY(log_set_start_offset(log, 20));
    OKAY(bench_truncate(&bench, log, 10));
    assert_int_equal(log_start_offset(log), 10);
    assert_int_equal(log_end_queued(log), 10);
    assert_int_equal(log_high_watermark(log), 10);
    bench_close(&bench);
}

static void a_truncation_below_the_first_segment_empties_the_log(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    bench.config.segment_bytes = 5000;
    log = filled(&bench);
    log_set_high_watermark(log, 30);
    OKAY(log_set_start_offset(log, 20));
    log_retention_run(log);
    bench_pass(&bench, 1000);
    OKAY(bench_truncate(&bench, log, 4));
    assert_int_equal(log_start_offset(log), 4);
    assert_int_equal(log_end_queued(log), 4);
    assert_int_equal(log_segment_count(log), 1);
    assert_int_equal(log_epoch_latest(log), -1);
    OKAY(bench_append(&bench, log, 5, 1, 0));
    assert_int_equal(bench_verify(&bench, log), 5);
    bench_close(&bench);
}

static void a_log_truncated_fully_begins_anew_where_it_is_told(void **state)
{
    static const int64_t offsets[] = {0, 7, 30, 1000};

    for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
        struct bench bench;
        struct log *log;
        int64_t offset = offsets[i];

        bench_open(&bench, 4);
        bench.config.segment_bytes = 5000;
        log = filled(&bench);
        log_set_high_watermark(log, 30);
        OKAY(bench_truncate_fully(&bench, log, offset));
        assert_int_equal(log_start_offset(log), offset);
        assert_int_equal(log_end_queued(log), offset);
        assert_int_equal(log_high_watermark(log), offset);
        assert_int_equal(log_size_bytes(log), 0);
        assert_int_equal(log_epoch_latest(log), -1);
        assert_null(producer_state_find(log_producers(log), 7));
        assert_int_equal(bench_files_count(&bench, FOLDER, ".snapshot"), 0);
        OKAY(bench_append(&bench, log, 4, 3, 100));
        OKAY(bench_flush(&bench, log, offset + 3));
        bench_crash(&bench, NULL);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_start_offset(log), offset);
        assert_int_equal(bench_verify(&bench, log), offset + 3);
        bench_close(&bench);
    }
}

struct waiting {
    struct log_change_op op;
    bool is_done;
};

static void waiting_done(struct log_change_op *op)
{
    CONTAINER_OF(op, struct waiting, op)->is_done = true;
}

static void read_told(struct log_read *read)
{
    *(bool *)read->context = true;
}

static void while_a_log_is_truncated_appends_are_refused_and_reads_wait(void **state)
{
    struct bench bench;
    struct bench_append append;
    struct waiting cut = {.op.done = waiting_done};
    bool is_read = false;
    struct log_read read = {.offset = 0,
                            .bound_offset = 30,
                            .bytes_max = 1 << 20,
                            .done = read_told,
                            .context = &is_read};
    struct log *log;

    bench_open(&bench, 5);
    log = filled(&bench);
    log_truncate(log, 10, &cut.op);
    assert_int_equal(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 30,
                                        &(struct bench_batch){0}, &append),
                     ERR_STATE);
    assert_int_equal(bench_append_end(&bench, &append), ERR_STATE);
    assert_false(log_read_plan(log, &read));
    assert_int_equal(log_set_start_offset(log, 0), OK);
    assert_int_equal(log_epoch_assign(log, 9, 30), ERR_STATE);
    bench_run_until(&bench, &cut.is_done);
    OKAY(cut.op.err);
    bench_run_until(&bench, &is_read);
    OKAY(read.err);
    assert_true(read.size_bytes > 0);
    log_read_release(&read);
    assert_int_equal(bench_verify(&bench, log), 10);
    bench_close(&bench);
}

static void changes_wait_for_the_appends_before_them_and_run_in_turn(void **state)
{
    struct bench bench;
    struct bench_append append;
    struct waiting first = {.op.done = waiting_done};
    struct waiting second = {.op.done = waiting_done};
    struct log *log;

    bench_open(&bench, 6);
    log = filled(&bench);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 4, 30,
                            &(struct bench_batch){.count = 4}, &append));
    log_truncate(log, 20, &first.op);
    log_truncate_fully(log, 5, &second.op);
    bench_run_until(&bench, &first.is_done);
    assert_true(append.is_done);
    OKAY(bench_append_end(&bench, &append));
    bench_run_until(&bench, &second.is_done);
    OKAY(second.op.err);
    assert_int_equal(log_end_queued(log), 5);
    bench_close(&bench);
}

struct awaited {
    struct log_wait op;
    bool is_done;
};

static void flush_told(struct log_wait *op)
{
    CONTAINER_OF(op, struct awaited, op)->is_done = true;
}

static void who_waits_for_a_flush_of_what_was_cut_off_is_told_so(void **state)
{
    for (int fully = 0; fully < 2; fully++) {
        struct bench bench;
        struct waiting cut = {.op.done = waiting_done};
        struct awaited kept = {.op = {.offset = 30, .done = flush_told}};
        struct awaited lost = {.op = {.offset = 34, .done = flush_told}};
        struct log *log;

        bench_open(&bench, 8);
        bench.config.flush_mode = FLUSH_MODE_OS; /* written is not flushed */
        log = filled(&bench);
        OKAY(bench_append(&bench, log, 4, 4, 0));
        if (fully)
            log_truncate_fully(log, 30, &cut.op);
        else
            log_truncate(log, 30, &cut.op);
        while (!log->has_exclusive) /* until it has the log to itself */
            bench_pass(&bench, 1);
        log_flush(log, &kept.op);
        log_flush(log, &lost.op);
        assert_false(lost.is_done);
        bench_run_until(&bench, &cut.is_done);
        OKAY(cut.op.err);
        bench_run_until(&bench, &lost.is_done);
        bench_run_until(&bench, &kept.is_done);
        assert_int_equal(lost.op.err, ERR_OFFSET_OUT_OF_RANGE);
        OKAY(kept.op.err);
        bench_close(&bench);
    }
}

/* Found by reading: the new end lay above what they waited for. */
static void who_waits_for_what_a_later_start_replaced_is_told_so(void **state)
{
    for (int commit = 0; commit < 2; commit++) {
        struct bench bench;
        struct waiting cut = {.op.done = waiting_done};
        struct awaited kept = {.op = {.offset = 30, .done = flush_told}};
        struct awaited lost = {.op = {.offset = 34, .done = flush_told}};
        struct log *log;

        bench_open(&bench, 9);
        bench.config.flush_mode = FLUSH_MODE_OS;
        log = filled(&bench);
        OKAY(bench_append(&bench, log, 4, 4, 0));
        log_truncate_fully(log, 200, &cut.op);
        while (!log->has_exclusive)
            bench_pass(&bench, 1);
        if (commit) /* what is left is synced, and its end is then the synced end */
            log->config.flush_mode = FLUSH_MODE_COMMIT;
        log_flush(log, &kept.op);
        log_flush(log, &lost.op);
        assert_true(kept.is_done);
        assert_false(lost.is_done);
        bench_run_until(&bench, &cut.is_done);
        OKAY(cut.op.err);
        bench_run_until(&bench, &lost.is_done);
        assert_int_equal(lost.op.err, ERR_OFFSET_OUT_OF_RANGE);
        assert_int_equal(lost.op.offset, 34);
        OKAY(kept.op.err);
        bench_close(&bench);
    }
    UNUSED(state);
}

/* Found by reading: the directory went offline, and all of its logs with it. Where the index leads past the rotted batch
 * the cut is made; where nothing does, the log alone fails, and the next start keeps what is sound. */
static void a_batch_that_rotted_below_the_cut_harms_no_other_log(void **state)
{
    /* Times that rise, fall, are nearly none: the time index has all, the first, one. */
    static const int64_t times[][2] = {{1000, 10}, {1000, 10}, {1000, -10}, {-1, 0}};

    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        for (int flip = 1; flip < 0x100; flip <<= 1) {
            struct bench bench;
            bool indexed = i > 0;
            struct log *log, *other;
            int64_t batch_bytes;
            enum err err;

            bench_open(&bench, 10);
            bench.config.index_interval_bytes = indexed ? 1 : 1 << 20;
            log = filled_at(&bench, times[i][0], times[i][1]);
            other = bench_log(&bench, "other", 0);
            batch_bytes = bench_file_size(&bench, FOLDER "00000000000000000000.log") / 15;
            /* The first byte of its size: what it says is negative, or more than there is. */
            OKAY(sim_disk_flip(bench.os, FOLDER "00000000000000000000.log", 2 * batch_bytes + 8,
                               (uint8_t)flip));
            err = bench_truncate(&bench, log, 18);
            assert_int_equal(err, indexed ? OK : ERR_KAFKA_STORAGE_ERROR);
            assert_int_equal(log_is_failed(log), !indexed);
            assert_int_equal(bench.directories_failed, 0);
            assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
            OKAY(bench_append(&bench, other, 0, 1, 100));
            OKAY(bench_flush(&bench, other, 1));
            if (indexed) {
                struct log_lookup lookup;
                bool leads_past_it = times[i][1] > 0;

                assert_int_equal(log_end_queued(log), 18);
                assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000000.log"),
                                 9 * batch_bytes);
                OKAY(bench_append_batch(&bench, log, 4,
                                        &(struct bench_batch){.count = 2, .timestamp = 2000}));
                err = bench_lookup(&bench, log, 1500, &lookup);
                assert_int_equal(err, leads_past_it ? OK : ERR_CORRUPT_MESSAGE);
                if (leads_past_it)
                    assert_int_equal(lookup.offset, 18);
                assert_int_equal(bench_verify_from(&bench, log, 8), 20);
            }
            bench_crash(&bench, NULL);
            log = bench_log(&bench, "topic", 0);
            other = bench_log(&bench, "other", 0);
            assert_int_equal(log_end_written(log), 4); /* the recovery point lay below it */
            assert_int_equal(bench_verify(&bench, other), 1);
            bench_close(&bench);
        }
    }
    UNUSED(state);
}

static void aborted_transactions_behind_the_cut_are_forgotten(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {
        .op = {.offset = 0, .bound_offset = 7, .bytes_max = 1 << 20, .wants_aborted = true}};

    bench_open(&bench, 7);
    log = bench_log(&bench, "topic", 0);
    for (int64_t id = 7; id < 9; id++) {
        OKAY(bench_append_batch(
            &bench, log, 0,
            &(struct bench_batch){.producer_id = id, .count = 2, .transactional = true}));
        OKAY(bench_append_batch(
            &bench, log, 0,
            &(struct bench_batch){.producer_id = id, .is_control = true, .is_abort = true}));
    }
    OKAY(bench_truncate(&bench, log, 5)); /* the second marker goes */
    log_set_high_watermark(log, 5);
    assert_int_equal(log_last_stable_offset(log), 3);
    OKAY(bench_append_batch(&bench, log, 0,
                            &(struct bench_batch){.producer_id = 8, .is_control = true}));
    OKAY(bench_append(&bench, log, 0, 1, 0));
    OKAY(bench_read(&bench, log, &read));
    assert_int_equal(read.op.aborted_count, 1);
    assert_int_equal(read.op.aborted[0].producer_id, 7);
    bench_read_release(&read);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_read(&bench, log, &read));
    assert_int_equal(read.op.aborted_count, 1);
    bench_read_release(&read);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_at_or_above_the_offset_goes),
        cmocka_unit_test(a_truncation_is_durable_when_it_is_told),
        cmocka_unit_test(above_the_end_only_epochs_are_cut),
        cmocka_unit_test(a_truncation_below_the_start_moves_the_start_back),
        cmocka_unit_test(a_truncation_below_the_first_segment_empties_the_log),
        cmocka_unit_test(a_log_truncated_fully_begins_anew_where_it_is_told),
        cmocka_unit_test(while_a_log_is_truncated_appends_are_refused_and_reads_wait),
        cmocka_unit_test(changes_wait_for_the_appends_before_them_and_run_in_turn),
        cmocka_unit_test(who_waits_for_a_flush_of_what_was_cut_off_is_told_so),
        cmocka_unit_test(who_waits_for_what_a_later_start_replaced_is_told_so),
        cmocka_unit_test(a_batch_that_rotted_below_the_cut_harms_no_other_log),
        cmocka_unit_test(aborted_transactions_behind_the_cut_are_forgotten),
    };

    return cmocka_run_group_tests_name("storage/truncate", tests, NULL, NULL);
}
