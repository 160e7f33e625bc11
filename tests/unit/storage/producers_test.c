/* SPDX-License-Identifier: Apache-2.0 */
/* Leader epochs, producers, their snapshots, the index of aborted transactions. */
#include "base/fault_point.h"
#include "support.h"

#include <stdio.h>

#define FOLDER "/data/topic-0/"
#define EPOCHS FOLDER "leader-epoch-checkpoint"

/* ---- leader epochs ---- */

static void epochs_begin_where_their_first_batch_lies(void **state)
{
    struct bench bench;
    struct log *log;
    int32_t epoch;
    int64_t end;

    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_epoch_latest(log), -1);
    log_epoch_end(log, 0, &epoch, &end);
    assert_int_equal(epoch, -1);
    OKAY(bench_append(&bench, log, 2, 10, 0));
    OKAY(bench_append(&bench, log, 2, 10, 0));
    OKAY(bench_append(&bench, log, 5, 10, 0));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(log_epoch_latest(log), 5);
        assert_int_equal(log_epoch_latest_start(log), 20);
        log_epoch_end(log, 5, &epoch, &end);
        assert_int_equal(epoch, 5);
        assert_int_equal(end, 30);
        log_epoch_end(log, 3, &epoch, &end); /* the largest epoch that is not above it */
        assert_int_equal(epoch, 2);
        assert_int_equal(end, 20);
        log_epoch_end(log, 1, &epoch, &end); /* older than all */
        assert_int_equal(epoch, 1);
        assert_int_equal(end, 0);
        log_epoch_end(log, 6, &epoch, &end); /* not known */
        assert_int_equal(epoch, -1);
        assert_int_equal(end, -1);
        assert_int_equal(log_epoch_of(log, 19), 2);
        assert_int_equal(log_epoch_of(log, 20), 5);
        if (round == 0) {
            bench_restart(&bench);
        } else if (round == 1) {
            OKAY(bench_flush(&bench, log, 30));
            bench_crash(&bench, NULL);
        }
        if (round < 2)
            log = bench_log(&bench, "topic", 0);
    }
    bench_close(&bench);
}

static void the_epoch_of_a_new_leader_is_durable_with_what_is_flushed_after_it(void **state)
{
    char text[200];
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 1, 3, 0));
    OKAY(log_epoch_assign(log, 4, 3));
    OKAY(bench_append(&bench, log, 4, 1, 0));
    OKAY(bench_flush(&bench, log, 4));
    bench_pass(&bench, 1000);
    bench_file_get(&bench, EPOCHS, text, sizeof(text));
    assert_string_equal(text, "0\n2\n1 0\n4 3\n");
    bench_close(&bench);
}

static void an_epoch_that_left_no_batch_is_kept_over_a_restart(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 1, 3, 0));
    OKAY(log_epoch_assign(log, 4, 3));
    bench_pass(&bench, 1000);
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    /* It began at the end: nothing tells that it is not a leftover, and Kafka cuts it too. */
    assert_int_equal(log_epoch_latest(log), 1);
    OKAY(bench_append(&bench, log, 4, 1, 0));
    assert_int_equal(log_epoch_latest_start(log), 3);
    bench_close(&bench);
}

static void a_missing_or_stale_epoch_file_is_completed_from_the_batches(void **state)
{
    for (int missing = 0; missing < 2; missing++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 4);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 1, 3, 0));
        OKAY(bench_append(&bench, log, 2, 3, 0));
        OKAY(bench_flush(&bench, log, 6));
        bench_cut(&bench, NULL);
        if (missing)
            OKAY(os_unlink(bench.os, EPOCHS));
        else
            bench_file_put(&bench, EPOCHS, SLICE("0\n1\n1 0\n"));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_epoch_latest(log), 2);
        assert_int_equal(log_epoch_latest_start(log), 3);
        assert_int_equal(log_epoch_of(log, 0), 1);
        bench_close(&bench);
    }
}

/* ---- producers ---- */

static void produce(struct bench *bench, struct log *log, int64_t producer_id, int32_t sequence,
                    int count)
{
    OKAY(bench_append_batch(
        bench, log, 0,
        &(struct bench_batch){.producer_id = producer_id, .sequence = sequence, .count = count}));
}

static int32_t last_sequence(struct log *log, int64_t producer_id)
{
    const struct producer_entry *entry = producer_state_find(log_producers(log), producer_id);

    return entry ? producer_entry_last_sequence(entry) : -2;
}

static void an_orderly_stop_leaves_a_snapshot_at_the_end(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 10);
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 5);
    produce(&bench, log, 8, 0, 3);
    bench_restart(&bench);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000008.snapshot"), 10 + 2 * 46);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(last_sequence(log, 7), 4);
    assert_int_equal(last_sequence(log, 8), 2);
    produce(&bench, log, 7, 5, 1);
    bench_close(&bench);
}

static void after_a_crash_the_state_is_made_of_a_snapshot_and_the_batches_behind_it(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, seed);
        bench.config.segment_bytes = 3000;
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 40; i++) {
            produce(&bench, log, 7, 2 * i, 2);
            produce(&bench, log, 8, 3 * i, 3);
        }
        OKAY(bench_flush(&bench, log, 200));
        bench_crash(&bench, NULL);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(last_sequence(log, 7), 79);
        assert_int_equal(last_sequence(log, 8), 119);
        /* The last batch is known as a duplicate still. */
        produce(&bench, log, 7, 78, 2);
        assert_int_equal(log_end_queued(log), 200);
        bench_close(&bench);
    }
}

static void broken_and_missing_snapshots_are_replaced_by_older_ones_or_the_log(void **state)
{
    for (int how = 0; how < 4; how++) {
        for (int crash = 0; crash < 2; crash++) {
            uint8_t bytes[200] = {0};
            struct bench bench;
            struct log *log;
            size_t size_bytes;

            bench_open(&bench, 11);
            log = bench_log(&bench, "topic", 0);
            produce(&bench, log, 7, 0, 5);
            log_roll(log);
            produce(&bench, log, 7, 5, 5);
            bench_halt(&bench);
            size_bytes = bench_file_get(&bench, FOLDER "00000000000000000010.snapshot", bytes,
                                        sizeof(bytes));
            assert_int_equal(size_bytes, 56);
            if (how < 2) {
                bytes[20]++; /* its CRC does not match */
                bench_file_put(&bench, FOLDER "00000000000000000010.snapshot",
                               slice_of(bytes, size_bytes));
            } else {
                OKAY(os_unlink(bench.os, FOLDER "00000000000000000010.snapshot"));
            }
            if (how % 2 == 1)
                bench_file_put(&bench, FOLDER "00000000000000000005.snapshot", slice_of(bytes, 7));
            if (crash)
                OKAY(os_unlink(bench.os, "/data/.kafka_cleanshutdown"));
            bench_start(&bench);
            log = bench_log(&bench, "topic", 0);
            assert_int_equal(last_sequence(log, 7), 9);
            assert_int_equal(bench_verify(&bench, log), 10);
            bench_close(&bench);
        }
    }
}

static void a_snapshot_beyond_what_an_unclean_stop_left_is_removed(void **state)
{
    uint8_t bytes[200];
    struct bench bench;
    struct log *log;
    size_t size_bytes;

    bench_open(&bench, 15);
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 5);
    bench_halt(&bench);
    size_bytes =
        bench_file_get(&bench, FOLDER "00000000000000000005.snapshot", bytes, sizeof(bytes));
    OKAY(os_unlink(bench.os, "/data/.kafka_cleanshutdown"));
    bench_file_put(&bench, FOLDER "00000000000000000007.snapshot", slice_of(bytes, size_bytes));
    bench_file_put(&bench, FOLDER "00000000000000000009.snapshot", slice_of(bytes, size_bytes));
    bench_start(&bench);
    bench_log(&bench, "topic", 0);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000007.snapshot"), -1);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000009.snapshot"), -1);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000005.snapshot") > 0);
    bench_close(&bench);
}

static void producers_that_were_silent_too_long_are_forgotten(void **state)
{
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 12, 1);
    bench.options.producer_expiration_ms = 5000;
    bench.options.producer_expiration_check_ms = 1000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 1);
    bench_pass(&bench, 3000);
    produce(&bench, log, 8, 0, 1);
    bench_pass(&bench, 3500);
    assert_int_equal(last_sequence(log, 7), -2);
    assert_int_equal(last_sequence(log, 8), 0);
    bench_close(&bench);
}

static void snapshots_go_with_their_segments(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 13);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 5; i++) {
        produce(&bench, log, 7, 2 * i, 2);
        log_roll(log);
    }
    bench_pass(&bench, 2000);
    assert_int_equal(bench_files_count(&bench, FOLDER, ".snapshot"), 5);
    log_set_high_watermark(log, 10);
    OKAY(log_set_start_offset(log, 6));
    log_retention_run(log);
    bench_pass(&bench, 70000);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000002.snapshot"), -1);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000004.snapshot"), -1);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000008.snapshot") > 0);
    assert_int_equal(last_sequence(log, 7), 9);
    bench_close(&bench);
}

/* Found by `./dev sim` (seed 301968): of two that one full flush wrote, the older one stayed for good. */
static void full_flushes_leave_one_snapshot_amid_a_segment(void **state)
{
    struct bench_append appends[4];
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 19, 1);
    bench.options.recovery_bytes_max = 1; /* a full flush with each append */
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 1);
    for (int i = 0; i < 4; i++) /* the first is flushed, then all others at once */
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, i + 1,
                                &(struct bench_batch){.producer_id = 7, .sequence = i + 1},
                                &appends[i]));
    for (int i = 0; i < 4; i++)
        OKAY(bench_append_end(&bench, &appends[i]));
    bench_pass(&bench, 1000);
    assert_int_equal(bench_files_count(&bench, FOLDER, ".snapshot"), 1);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000005.snapshot") > 0);
    bench_close(&bench);
}

static void snapshots_remove(struct bench *bench, int from)
{
    char path[100];

    for (int i = from; i <= 12; i++) {
        snprintf(path, sizeof(path), FOLDER "%020d.snapshot", i);
        if (bench_file_size(bench, path) >= 0)
            OKAY(os_unlink(bench->os, path));
    }
}

static struct log *five_segments(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 5; i++) {
        produce(bench, log, i < 2 ? 7 : 8, 2 * (i < 2 ? i : i - 2), 2);
        log_roll(log);
    }
    produce(bench, log, 8, 6, 1);
    bench_pass(bench, 2000);
    return log;
}

/* The roll had no memory for one, or it rotted. */
static void no_segment_goes_before_a_snapshot_knows_its_producers(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 16);
    five_segments(&bench);
    bench_halt(&bench);
    snapshots_remove(&bench, 3);
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(last_sequence(log, 7), 3);
    log_set_high_watermark(log, 11);
    OKAY(log_set_start_offset(log, 6));
    log_retention_run(log);
    bench_pass(&bench, 70000);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000004.log"), -1);
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(last_sequence(log, 7), 3);
    produce(&bench, log, 7, 4, 1);
    bench_close(&bench);
}

static void a_snapshot_from_below_the_first_segment_holds_nobody_to_old_sequences(void **state)
{
    uint8_t bytes[200];
    struct bench bench;
    struct log *log;
    size_t size_bytes;

    bench_open(&bench, 17);
    log = five_segments(&bench);
    size_bytes =
        bench_file_get(&bench, FOLDER "00000000000000000002.snapshot", bytes, sizeof(bytes));
    log_set_high_watermark(log, 11);
    OKAY(log_set_start_offset(log, 6));
    log_retention_run(log);
    bench_pass(&bench, 70000);
    bench_halt(&bench);
    snapshots_remove(&bench, 0);
    bench_file_put(&bench, FOLDER "00000000000000000002.snapshot", slice_of(bytes, size_bytes));
    OKAY(os_unlink(bench.os, "/data/.kafka_cleanshutdown"));
    OKAY(os_unlink(bench.os, "/data/recovery-point-offset-checkpoint"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(last_sequence(log, 7), -2);
    produce(&bench, log, 7, 4, 1);
    assert_int_equal(last_sequence(log, 8), 6);
    bench_close(&bench);
}

static void producers_outlive_the_deletion_of_all_their_records(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 14);
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 5);
    log_set_high_watermark(log, 5);
    OKAY(log_set_start_offset(log, 5));
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_start_offset(log), 5);
    assert_int_equal(last_sequence(log, 7), 4);
    bench_close(&bench);
}

/* Found by `./dev sim`: after a crash the next sequence but one was taken from a producer whose batches lay below a start
 * that DeleteRecords had raised. */
static void a_producer_below_the_start_is_known_while_its_bytes_are_there(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 18);
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 6);
    produce(&bench, log, 8, 0, 6);
    OKAY(bench_flush(&bench, log, 12));
    log_set_high_watermark(log, 12);
    OKAY(bench_raise_start(&bench, log, 9));
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_start_offset(log), 9);
    assert_int_equal(last_sequence(log, 7), 5);
    assert_int_equal(last_sequence(log, 8), 5);
    bench_close(&bench);
}

/* Found by `./dev sim` with the fault points retention_between and flush_full_early: retention took the batches,
 * and the snapshot of the roll waited for a flush that had nothing else to do. */
static void a_roll_where_the_last_flush_ended_keeps_its_producers(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 15);
    bench.config.flush_messages = 1;
    log = bench_log(&bench, "topic", 0);
    produce(&bench, log, 7, 0, 5);
    bench_pass(&bench, 1000);
    assert_int_equal(log_recovery_point(log), 5);
    log_roll(log);
    bench_pass(&bench, 1000);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000005.snapshot") > 0);
    log_set_high_watermark(log, 5);
    OKAY(log_set_start_offset(log, 5));
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_int_equal(log_segment_count(log), 1);
    bench_crash(&bench, &(struct sim_crash_options){.keep_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(last_sequence(log, 7), 4);
    bench_close(&bench);
}

#ifdef BARNABAS_FAULT_POINTS
static bool is_full_early(void *context, enum fault_point point)
{
    UNUSED(context);
    return point == FAULT_POINT_flush_full_early;
}

/* Found by reading: a snapshot that was taken amid the active segment, which then ended there, was removed by the next. */
static void a_roll_where_a_snapshot_was_taken_keeps_it(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 19);
    log = bench_log(&bench, "topic", 0);
    fault_points_install(is_full_early, NULL);
    produce(&bench, log, 7, 0, 5);
    bench_pass(&bench, 1000);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000005.snapshot") > 0);
    log_roll(log);
    bench_pass(&bench, 1000);
    produce(&bench, log, 8, 0, 5);
    bench_pass(&bench, 1000);
    fault_points_install(NULL, NULL);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000010.snapshot") > 0);
    assert_true(bench_file_size(&bench, FOLDER "00000000000000000005.snapshot") > 0);
    bench_close(&bench);
    UNUSED(state);
}
#endif

/* ---- transactions ---- */

static void transact(struct bench *bench, struct log *log, int64_t producer_id, int32_t sequence)
{
    OKAY(bench_append_batch(
        bench, log, 0,
        &(struct bench_batch){
            .producer_id = producer_id, .sequence = sequence, .count = 2, .transactional = true}));
}

static void transaction_end(struct bench *bench, struct log *log, int64_t producer_id,
                            bool is_abort)
{
    OKAY(bench_append_batch(bench, log, 0,
                            &(struct bench_batch){.producer_id = producer_id,
                                                  .is_control = true,
                                                  .is_abort = is_abort}));
}

/* 0-1 open by 7, 2-3 by 8, 4 abort of 8, 5-6 by 9, 7 commit of 9, 8 abort of 7. */
static struct log *with_transactions(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    transact(bench, log, 7, 0);
    transact(bench, log, 8, 0);
    transaction_end(bench, log, 8, true);
    transact(bench, log, 9, 0);
    transaction_end(bench, log, 9, false);
    transaction_end(bench, log, 7, true);
    return log;
}

static void the_last_stable_offset_waits_for_the_oldest_open_transaction(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 20);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 3, 0));
    log_set_high_watermark(log, 3);
    assert_int_equal(log_last_stable_offset(log), 3);
    transact(&bench, log, 7, 0);
    transact(&bench, log, 8, 0);
    log_set_high_watermark(log, 7);
    assert_int_equal(log_last_stable_offset(log), 3);
    transaction_end(&bench, log, 7, false);
    assert_int_equal(log_last_stable_offset(log), 3); /* the marker is not replicated yet */
    log_set_high_watermark(log, 8);
    assert_int_equal(log_last_stable_offset(log), 5);
    transaction_end(&bench, log, 8, true);
    log_set_high_watermark(log, 9);
    assert_int_equal(log_last_stable_offset(log), 9);
    bench_close(&bench);
}

static void expect_aborted(struct bench *bench, struct log *log)
{
    struct bench_read read = {
        .op = {.offset = 0, .bound_offset = 9, .bytes_max = 1 << 20, .wants_aborted = true}};
    struct bench_read middle = {
        .op = {.offset = 5, .bound_offset = 9, .bytes_max = 1 << 20, .wants_aborted = true}};

    OKAY(bench_read(bench, log, &read));
    assert_int_equal(read.op.aborted_count, 2);
    assert_int_equal(read.op.aborted[0].producer_id, 8);
    assert_int_equal(read.op.aborted[0].first_offset, 2);
    assert_int_equal(read.op.aborted[1].producer_id, 7);
    assert_int_equal(read.op.aborted[1].first_offset, 0);
    bench_read_release(&read);
    OKAY(bench_read(bench, log, &middle)); /* the one that ended below does not matter any more */
    assert_int_equal(middle.op.aborted_count, 1);
    assert_int_equal(middle.op.aborted[0].producer_id, 7);
    bench_read_release(&middle);
}

static void a_committed_read_is_told_of_the_aborted_transactions_it_overlaps(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 21);
    log = with_transactions(&bench);
    expect_aborted(&bench, log);
    bench_restart(&bench);
    assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000000.txnindex"), 2 * 34);
    log = bench_log(&bench, "topic", 0);
    expect_aborted(&bench, log);
    OKAY(bench_flush(&bench, log, 9));
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    expect_aborted(&bench, log);
    bench_close(&bench);
}

static void an_abort_marker_in_a_later_segment_is_found_from_an_earlier_one(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {
        .op = {.offset = 0, .bound_offset = 5, .bytes_max = 1 << 20, .wants_aborted = true}};

    bench_open(&bench, 22);
    log = bench_log(&bench, "topic", 0);
    transact(&bench, log, 7, 0);
    log_roll(log);
    OKAY(bench_append(&bench, log, 0, 2, 0));
    log_roll(log);
    transaction_end(&bench, log, 7, true);
    OKAY(bench_read(&bench, log, &read));
    assert_int_equal(read.op.aborted_count, 1);
    assert_int_equal(read.op.aborted[0].first_offset, 0);
    bench_read_release(&read);
    bench_close(&bench);
}

static void a_broken_transaction_index_is_made_anew(void **state)
{
    uint8_t bytes[100];
    struct bench bench;
    struct log *log;
    size_t size_bytes;

    for (int how = 0; how < 4; how++) {
        bench_open(&bench, 23);
        log = with_transactions(&bench);
        bench_halt(&bench);
        size_bytes =
            bench_file_get(&bench, FOLDER "00000000000000000000.txnindex", bytes, sizeof(bytes));
        assert_int_equal(size_bytes, 68);
        if (how == 0)
            size_bytes = 67;
        else if (how == 1)
            bytes[1] = 3; /* a version that we do not know */
        else if (how == 2)
            memcpy(bytes + 34, bytes, 34); /* markers do not rise */
        else
            memset(bytes, 0xff, 34);
        bench_file_put(&bench, FOLDER "00000000000000000000.txnindex", slice_of(bytes, size_bytes));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        expect_aborted(&bench, log);
        bench_close(&bench);
    }
}

static void an_open_transaction_is_open_after_a_restart(void **state)
{
    for (int crash = 0; crash < 2; crash++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 24);
        log = bench_log(&bench, "topic", 0);
        transact(&bench, log, 7, 0);
        OKAY(bench_append(&bench, log, 0, 4, 0));
        OKAY(bench_flush(&bench, log, 6));
        if (crash)
            bench_crash(&bench, NULL);
        else
            bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        log_set_high_watermark(log, 6);
        assert_int_equal(log_last_stable_offset(log), 0);
        transaction_end(&bench, log, 7, true);
        log_set_high_watermark(log, 7);
        assert_int_equal(log_last_stable_offset(log), 7);
        bench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs_begin_where_their_first_batch_lies),
        cmocka_unit_test(the_epoch_of_a_new_leader_is_durable_with_what_is_flushed_after_it),
        cmocka_unit_test(an_epoch_that_left_no_batch_is_kept_over_a_restart),
        cmocka_unit_test(a_missing_or_stale_epoch_file_is_completed_from_the_batches),
        cmocka_unit_test(an_orderly_stop_leaves_a_snapshot_at_the_end),
        cmocka_unit_test(after_a_crash_the_state_is_made_of_a_snapshot_and_the_batches_behind_it),
        cmocka_unit_test(broken_and_missing_snapshots_are_replaced_by_older_ones_or_the_log),
        cmocka_unit_test(a_snapshot_beyond_what_an_unclean_stop_left_is_removed),
        cmocka_unit_test(producers_that_were_silent_too_long_are_forgotten),
        cmocka_unit_test(snapshots_go_with_their_segments),
        cmocka_unit_test(full_flushes_leave_one_snapshot_amid_a_segment),
        cmocka_unit_test(no_segment_goes_before_a_snapshot_knows_its_producers),
        cmocka_unit_test(a_snapshot_from_below_the_first_segment_holds_nobody_to_old_sequences),
        cmocka_unit_test(producers_outlive_the_deletion_of_all_their_records),
        cmocka_unit_test(a_producer_below_the_start_is_known_while_its_bytes_are_there),
        cmocka_unit_test(a_roll_where_the_last_flush_ended_keeps_its_producers),
#ifdef BARNABAS_FAULT_POINTS
        cmocka_unit_test(a_roll_where_a_snapshot_was_taken_keeps_it),
#endif
        cmocka_unit_test(the_last_stable_offset_waits_for_the_oldest_open_transaction),
        cmocka_unit_test(a_committed_read_is_told_of_the_aborted_transactions_it_overlaps),
        cmocka_unit_test(an_abort_marker_in_a_later_segment_is_found_from_an_earlier_one),
        cmocka_unit_test(a_broken_transaction_index_is_made_anew),
        cmocka_unit_test(an_open_transaction_is_open_after_a_restart),
    };

    return cmocka_run_group_tests_name("storage/producers", tests, NULL, NULL);
}
