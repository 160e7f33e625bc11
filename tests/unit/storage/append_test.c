/* SPDX-License-Identifier: Apache-2.0 */
/* Appending: the three ends, group commit, the modes of flushing, what is refused. */
#include "support.h"

static void offsets_are_handed_out_before_a_byte_is_written(void **state)
{
    struct bench bench;
    struct bench_append first, second;
    struct log *log;

    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 0,
                            &(struct bench_batch){.count = 3}, &first));
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 3,
                            &(struct bench_batch){.count = 2}, &second));
    assert_int_equal(first.op.first_offset, 0);
    assert_int_equal(first.op.last_offset, 2);
    assert_int_equal(second.op.first_offset, 3);
    assert_int_equal(second.op.last_offset, 4);
    assert_int_equal(log_end_queued(log), 5);
    assert_int_equal(log_end_written(log), 0);
    assert_false(first.is_done);
    OKAY(bench_append_end(&bench, &first));
    OKAY(bench_append_end(&bench, &second));
    assert_int_equal(log_end_written(log), 5);
    bench_close(&bench);
}

struct watch {
    struct log_listener listener;
    unsigned seen;
    int calls;
};

static void watch_changed(struct log_listener *listener, struct log *log, unsigned changes)
{
    struct watch *watch = CONTAINER_OF(listener, struct watch, listener);

    assert_true(log_end_flushed(log) <= log_end_written(log));
    watch->seen |= changes;
    watch->calls++;
}

static void start_flushed_written_and_queued_stay_in_order_at_every_event(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    bench.config.segment_bytes = 4000;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 30; i++) {
        struct bench_append append;

        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){.count = 2, .value_bytes = 300}, &append));
        while (!append.is_done) {
            int64_t flushed = log_end_flushed(log);
            int64_t written = log_end_written(log);

            assert_true(sim_step(bench.sim));
            assert_true(log_start_offset(log) <= log_end_flushed(log));
            assert_true(log_end_flushed(log) <= log_end_written(log));
            assert_true(log_end_written(log) <= log_end_queued(log));
            assert_true(log_recovery_point(log) <= log_end_flushed(log));
            assert_true(log_end_flushed(log) >= flushed && log_end_written(log) >= written);
        }
        OKAY(bench_append_end(&bench, &append));
    }
    bench_close(&bench);
}

static void
a_listener_hears_of_written_and_then_of_flushed_but_never_inside_log_append(void **state)
{
    struct watch watch = {.listener.changed = watch_changed};
    struct bench bench;
    struct bench_append append;
    struct log *log;

    bench_open(&bench, 3);
    log = bench_log(&bench, "topic", 0);
    log_set_listener(log, &watch.listener);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 0, &(struct bench_batch){0},
                            &append));
    assert_int_equal(watch.calls, 0);
    OKAY(bench_append_end(&bench, &append));
    OKAY(bench_flush(&bench, log, 1));
    assert_int_equal(watch.seen, LOG_CHANGE_WRITTEN | LOG_CHANGE_FLUSHED);
    log_set_listener(log, NULL);
    bench_close(&bench);
}

static void the_appends_of_one_turn_share_one_write_and_one_sync(void **state)
{
    struct bench_append appends[50];
    struct bench bench;
    struct log *log;
    int writes, syncs;

    bench_open(&bench, 4);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0)); /* the first flush also syncs directories */
    OKAY(bench_flush(&bench, log, 1));
    writes = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, ".log");
    syncs = bench_calls_count(&bench, 1u << SIM_CALL_SYNC, ".log");
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){0}, &appends[i]));
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_end(&bench, &appends[i]));
    OKAY(bench_flush(&bench, log, 51));
    assert_int_equal(sim_fault_hits(bench.os, writes), 1);
    assert_int_equal(sim_fault_hits(bench.os, syncs), 1);
    assert_int_equal(bench_verify(&bench, log), 51);
    bench_close(&bench);
}

static void what_arrives_during_a_sync_shares_the_next_one(void **state)
{
    const struct sim_latency quick = {.min_ns = 10000, .max_ns = 20000};
    const struct sim_latency slow = {.min_ns = 50000000, .max_ns = 50000000};
    struct bench bench;
    struct log *log;
    int syncs;

    bench_open(&bench, 5);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    OKAY(bench_flush(&bench, log, 1));
    sim_machine_set_disk(bench.os, &quick, &slow);
    syncs = bench_calls_count(&bench, 1u << SIM_CALL_SYNC, ".log");
    for (int i = 0; i < 100; i++) {
        OKAY(bench_append(&bench, log, 0, 1, 0));
        bench_pass(&bench, 1);
    }
    OKAY(bench_flush(&bench, log, 101));
    assert_in_range(sim_fault_hits(bench.os, syncs), 2, 5);
    bench_close(&bench);
}

static void one_write_carries_append_bytes_max_at_most(void **state)
{
    struct bench_append appends[10];
    struct bench bench;
    struct log *log;
    int writes;

    bench_prepare(&bench, 6, 1);
    bench.options.append_bytes_max = 10000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    writes = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, ".log");
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){.value_bytes = 4000}, &appends[i]));
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_end(&bench, &appends[i]));
    assert_int_equal(sim_fault_hits(bench.os, writes), 5);
    assert_int_equal(bench_verify(&bench, log), 11);
    bench_close(&bench);
}

static void in_os_mode_written_counts_as_flushed_and_nothing_is_synced(void **state)
{
    struct bench bench;
    struct log *log;
    int syncs;

    bench_open(&bench, 7);
    bench.config.flush_mode = FLUSH_MODE_OS;
    log = bench_log(&bench, "topic", 0);
    syncs = bench_calls_count(&bench, 1u << SIM_CALL_SYNC, ".log");
    for (int i = 0; i < 10; i++) {
        OKAY(bench_append(&bench, log, 0, 1, 0));
        assert_int_equal(log_end_flushed(log), i + 1);
    }
    bench_pass(&bench, 60000);
    assert_int_equal(sim_fault_hits(bench.os, syncs), 0);
    assert_int_equal(log_recovery_point(log), 0);
    OKAY(bench_flush(&bench, log, 10)); /* but whoever asks for it gets a sync */
    assert_int_equal(sim_fault_hits(bench.os, syncs), 1);
    bench_close(&bench);
}

static void flush_messages_moves_the_recovery_point_in_os_mode(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 8);
    bench.config.flush_mode = FLUSH_MODE_OS;
    bench.config.flush_messages = 5;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 4; i++)
        OKAY(bench_append(&bench, log, 0, 1, 0));
    bench_pass(&bench, 1000);
    assert_int_equal(log_recovery_point(log), 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    bench_pass(&bench, 1000);
    assert_int_equal(log_recovery_point(log), 5);
    bench_close(&bench);
}

static void flush_ms_moves_the_recovery_point_when_the_scheduler_looks(void **state)
{
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 9, 1);
    bench.options.flush_scheduler_interval_ms = 1000;
    bench.config.flush_mode = FLUSH_MODE_OS;
    bench.config.flush_ms = 3000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 2, 0));
    bench_pass(&bench, 2000);
    assert_int_equal(log_recovery_point(log), 0);
    bench_pass(&bench, 3000);
    assert_int_equal(log_recovery_point(log), 2);
    bench_close(&bench);
}

static void in_commit_mode_the_recovery_point_moves_by_bytes(void **state)
{
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 10, 1);
    bench.options.recovery_bytes_max = 20000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 30; i++)
        OKAY(bench_append(&bench, log, 0, 1, 2000));
    bench_pass(&bench, 1000);
    assert_in_range(log_recovery_point(log), 18, 30);
    bench_close(&bench);
}

static void a_leader_stamps_offsets_and_its_epoch(void **state)
{
    struct bench bench;
    struct bench_read read = {.op = {.offset = 2, .bound_offset = 4, .bytes_max = 10000}};
    struct batch_header header;
    struct log *log;

    bench_open(&bench, 11);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 7, 2, 0));
    {
        struct bench_append append; /* the client's own numbers do not matter */

        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 8, 2,
                                &(struct bench_batch){.count = 2}, &append));
        OKAY(bench_append_end(&bench, &append));
    }
    OKAY(bench_read(&bench, log, &read));
    OKAY(batch_header_read(slice_of(read.bytes, read.op.size_bytes), &header));
    assert_int_equal(header.base_offset, 2);
    assert_int_equal(header.leader_epoch, 8);
    bench_read_release(&read);
    bench_close(&bench);
}

static void a_follower_keeps_the_offsets_it_was_sent_and_may_leave_a_gap(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 12);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_replicate(&bench, log, 3, 0, &(struct bench_batch){.count = 2}));
    OKAY(bench_replicate(&bench, log, 3, 10, &(struct bench_batch){.count = 2}));
    assert_int_equal(log_end_queued(log), 12);
    assert_int_equal(bench_verify_from(&bench, log, 10), 12);
    assert_int_equal(bench_replicate(&bench, log, 3, 11, &(struct bench_batch){0}),
                     ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_end_queued(log), 12);
    /* What is asked for inside the gap begins behind it. */
    {
        struct bench_read read = {.op = {.offset = 5, .bound_offset = 12, .bytes_max = 10000}};

        OKAY(bench_read(&bench, log, &read));
        assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.size_bytes), 10), 12);
        bench_read_release(&read);
    }
    bench_close(&bench);
}

static void an_append_that_no_segment_can_hold_is_refused_and_changes_nothing(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 13);
    bench.config.segment_bytes = 1000;
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_append(&bench, log, 0, 1, 2000), ERR_RECORD_LIST_TOO_LARGE);
    assert_int_equal(log_end_queued(log), 0);
    assert_int_equal(log_size_bytes(log), 0);
    OKAY(bench_append(&bench, log, 0, 1, 500));
    assert_int_equal(bench_verify(&bench, log), 1);
    bench_close(&bench);
}

static void bytes_that_are_no_batches_are_refused(void **state)
{
    uint8_t bytes[200] = {0};
    struct log_append append = {
        .data = bytes, .size_bytes = sizeof(bytes), .origin = APPEND_ORIGIN_REPLICATION};
    struct why why = {""};
    struct bench bench;
    struct log *log;

    bench_open(&bench, 14);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_append(log, &append, &why), ERR_CORRUPT_MESSAGE);
    bytes[11] = 180; /* a length, but not to the end */
    bytes[16] = 2;
    assert_int_equal(log_append(log, &append, &why), ERR_CORRUPT_MESSAGE);
    assert_int_equal(log_end_queued(log), 0);
    bench_close(&bench);
}

static void an_append_of_no_bytes_is_told_in_turn(void **state)
{
    struct bench bench;
    struct bench_append first;
    struct bench_append empty = {0};
    struct log *log;

    bench_open(&bench, 15);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 0, &(struct bench_batch){0},
                            &first));
    empty.op.done = first.op.done;
    OKAY(log_append(log, &empty.op, &empty.why));
    assert_int_equal(empty.op.first_offset, -1);
    OKAY(bench_append_end(&bench, &empty));
    assert_true(first.is_done);
    OKAY(bench_append_end(&bench, &first));
    bench_close(&bench);
}

static void
a_repeated_batch_of_a_producer_is_answered_with_the_offsets_of_the_original(void **state)
{
    const struct bench_batch batch = {.count = 3, .producer_id = 9, .sequence = 0};
    struct bench bench;
    struct bench_append original, copy;
    struct log *log;
    int64_t size_bytes;

    bench_open(&bench, 16);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 5, 0));
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 5, &batch, &original));
    size_bytes = log_size_bytes(log);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 8, &batch, &copy));
    assert_true(copy.op.duplicate);
    assert_int_equal(copy.op.first_offset, 5);
    assert_int_equal(copy.op.last_offset, 7);
    OKAY(bench_append_end(&bench, &copy)); /* not before the original is written */
    assert_true(original.is_done);
    assert_int_equal(log_end_written(log), 8);
    assert_int_equal(log_size_bytes(log), size_bytes);
    OKAY(bench_append_end(&bench, &original));
    bench_close(&bench);
}

static void a_gap_in_the_sequence_of_a_producer_is_refused(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 17);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_batch(&bench, log, 0,
                            &(struct bench_batch){.count = 3, .producer_id = 9, .sequence = 0}));
    assert_int_equal(
        bench_append_batch(&bench, log, 0, &(struct bench_batch){.producer_id = 9, .sequence = 7}),
        ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(log_end_queued(log), 3);
    OKAY(
        bench_append_batch(&bench, log, 0, &(struct bench_batch){.producer_id = 9, .sequence = 3}));
    bench_close(&bench);
}

static void wait_ended(struct log_wait *wait)
{
    *(bool *)wait->context = true;
}

static void a_flush_that_is_there_already_is_told_at_once_and_a_wait_may_be_cancelled(void **state)
{
    struct bench bench;
    struct bench_append append;
    bool first_told = false, second_told = false;
    struct log_wait first = {.offset = 1, .done = wait_ended, .context = &first_told};
    struct log_wait second = {.offset = 2, .done = wait_ended, .context = &second_told};
    struct log *log;

    bench_open(&bench, 18);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    OKAY(bench_flush(&bench, log, 1));
    log_flush(log, &first);
    assert_true(first_told);
    OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 1, &(struct bench_batch){0},
                            &append));
    log_flush(log, &second);
    log_wait_cancel(&second);
    OKAY(bench_append_end(&bench, &append));
    bench_pass(&bench, 1000);
    assert_false(second_told);
    assert_int_equal(log_end_flushed(log), 2);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_handed_out_before_a_byte_is_written),
        cmocka_unit_test(start_flushed_written_and_queued_stay_in_order_at_every_event),
        cmocka_unit_test(
            a_listener_hears_of_written_and_then_of_flushed_but_never_inside_log_append),
        cmocka_unit_test(the_appends_of_one_turn_share_one_write_and_one_sync),
        cmocka_unit_test(what_arrives_during_a_sync_shares_the_next_one),
        cmocka_unit_test(one_write_carries_append_bytes_max_at_most),
        cmocka_unit_test(in_os_mode_written_counts_as_flushed_and_nothing_is_synced),
        cmocka_unit_test(flush_messages_moves_the_recovery_point_in_os_mode),
        cmocka_unit_test(flush_ms_moves_the_recovery_point_when_the_scheduler_looks),
        cmocka_unit_test(in_commit_mode_the_recovery_point_moves_by_bytes),
        cmocka_unit_test(a_leader_stamps_offsets_and_its_epoch),
        cmocka_unit_test(a_follower_keeps_the_offsets_it_was_sent_and_may_leave_a_gap),
        cmocka_unit_test(an_append_that_no_segment_can_hold_is_refused_and_changes_nothing),
        cmocka_unit_test(bytes_that_are_no_batches_are_refused),
        cmocka_unit_test(an_append_of_no_bytes_is_told_in_turn),
        cmocka_unit_test(
            a_repeated_batch_of_a_producer_is_answered_with_the_offsets_of_the_original),
        cmocka_unit_test(a_gap_in_the_sequence_of_a_producer_is_refused),
        cmocka_unit_test(a_flush_that_is_there_already_is_told_at_once_and_a_wait_may_be_cancelled),
    };

    return cmocka_run_group_tests_name("storage/append", tests, NULL, NULL);
}
