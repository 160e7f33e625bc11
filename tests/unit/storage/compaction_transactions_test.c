/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction of transactions: what was aborted goes, and markers as soon as nothing needs them. */
#include "compaction_support.h"
#include "storage/storage_internal.h"

#include <stdio.h>

static struct history history;
static struct view view;

static void nothing_above_the_last_stable_offset_is_cleaned(void **state)
{
    const int pair[1][2] = {{0, 7}};
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 4);

    compaction_fill(&bench, log, &history, 1, 3);
    log_roll(log);
    OKAY(keyed_append(
        &bench, log, &history,
        &(struct keyed){.pairs = pair, .count = 1, .producer_id = 5, .transactional = true}));
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 3);
    OKAY(mark(&bench, log, &history, 5, false));
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 5);
    assert_int_equal(compaction_check(&bench, log, &history), 1);
    bench_close(&bench);
}

static void transaction(struct bench *bench, struct log *log, int64_t producer, int32_t sequence,
                        int key, int value, bool is_abort)
{
    const int pair[1][2] = {{key, value}};

    OKAY(keyed_append(bench, log, &history,
                      &(struct keyed){.pairs = pair,
                                      .count = 1,
                                      .producer_id = producer,
                                      .sequence = sequence,
                                      .transactional = true}));
    OKAY(mark(bench, log, &history, producer, is_abort));
}

static void aborted_records_go_and_their_marker_when_nothing_needs_it(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 13);

    OKAY(put(&bench, log, &history, 0, 1));
    transaction(&bench, log, 5, 0, 0, 2, true);
    transaction(&bench, log, 5, 1, 1, 3, true); /* its header is the producer's last */
    OKAY(put(&bench, log, &history, 2, 1));
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 2); /* key 0 has its old value */
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.count, 2);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 0);
    assert_int_equal(view.empty_batches, 1);
    assert_int_equal(bench_file_size(&bench, TOPIC_FOLDER "00000000000000000000.txnindex"), 68);
    OKAY(put(&bench, log, &history, 2, 2));
    compaction_run(&bench, log); /* the first has no batch left: its time begins */
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 1);
    bench_pass(&bench, DAY);
    OKAY(put(&bench, log, &history, 2, 3));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    compaction_check(&bench, log, &history);
    bench_close(&bench);
}

static void a_commit_stays_as_long_as_a_record_of_its_transaction(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 14);

    transaction(&bench, log, 5, 0, 0, 1, false);
    transaction(&bench, log, 5, 1, 1, 1, false);
    OKAY(put(&bench, log, &history, 7, 0));
    compaction_run(&bench, log);
    bench_pass(&bench, 2 * DAY);
    OKAY(put(&bench, log, &history, 7, 1));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 0);
    OKAY(put(&bench, log, &history, 0, 2)); /* the first transaction's record is superseded */
    compaction_run(&bench, log);
    OKAY(put(&bench, log, &history, 7, 2));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 2);
    assert_int_equal(view.horizons, 1);
    bench_pass(&bench, DAY);
    OKAY(put(&bench, log, &history, 7, 3));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    assert_int_equal(compaction_check(&bench, log, &history), 3);
    bench_close(&bench);
}

/* A transaction of a producer that was not known. */
static void transaction_begins(struct bench *bench, struct log *log)
{
    const int pair[1][2] = {{0, 1}};

    OKAY(keyed_append(
        bench, log, &history,
        &(struct keyed){.pairs = pair, .count = 1, .producer_id = 5, .transactional = true}));
}

#define OPEN_SNAPSHOT TOPIC_FOLDER "00000000000000000013.snapshot"
static struct log *transaction_open_in_a_snapshot(struct bench *bench, uint64_t seed)
{
    struct log *log;

    compaction_open(bench, seed);
    history.count = 0;
    bench->config.segment_bytes = 1000;
    log = bench_log(bench, "topic", 0);
    for (int key = 20; key < 32; key++) /* keeps the segment from becoming one with the next */
        OKAY(put(bench, log, &history, key, 0));
    transaction_begins(bench, log);
    log_roll(log);
    bench_pass(bench, 100);
    assert_true(bench_file_size(bench, OPEN_SNAPSHOT) > 0);
    return log;
}

static void marker_ages(struct bench *bench, struct log *log, int rounds)
{
    for (int round = 0; round < rounds && !log_is_failed(log); round++) {
        if (put(bench, log, &history, 0, history.count) == OK)
            compaction_run(bench, log);
        bench_pass(bench, DAY);
    }
}

/* Found by a simulated power cut: a replay from such a snapshot left the transaction open for ever. */
static void a_marker_takes_older_producer_snapshots_with_it(void **state)
{
    struct bench bench;
    struct log *log = transaction_open_in_a_snapshot(&bench, 16);

    OKAY(mark(&bench, log, &history, 5, false));
    transaction(&bench, log, 5, 1, 1, 1, false);
    marker_ages(&bench, log, 4);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    assert_int_equal(bench_file_size(&bench, OPEN_SNAPSHOT), -1);
    bench_close(&bench);
    UNUSED(state);
}

/* Found by `./dev sim` (seed 301968): as above, by a snapshot amid the segment: a full flush had left it, or here a stop. */
static void a_marker_takes_snapshots_amid_a_segment_with_it(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 17);

    transaction_begins(&bench, log);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_true(bench_file_size(&bench, TOPIC_FOLDER "00000000000000000001.snapshot") > 0);
    OKAY(mark(&bench, log, &history, 5, false));
    transaction(&bench, log, 5, 1, 1, 1, false);
    marker_ages(&bench, log, 4);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    assert_int_equal(bench_file_size(&bench, TOPIC_FOLDER "00000000000000000001.snapshot"), -1);
    bench_close(&bench);
}

/* Its marker is behind that; nobody knows the producer any more. */
static struct log *transaction_behind_a_snapshot(struct bench *bench, uint64_t seed)
{
    struct log *log = transaction_open_in_a_snapshot(bench, seed);

    OKAY(mark(bench, log, &history, 5, false));
    for (int key = 32; key < 44;
         key++) /* neither of the two segments has room for more of the other's */
        OKAY(put(bench, log, &history, key, 0));
    return log;
}

/* The pass that gives the marker its horizon took the snapshot; one that was cut short may have left it. */
static struct log *snapshot_comes_back(struct bench *bench, struct log *log)
{
    uint8_t snapshot[1000];
    size_t snapshot_bytes = bench_file_get(bench, OPEN_SNAPSHOT, snapshot, sizeof snapshot);

    marker_ages(bench, log, 4); /* the marker has its horizon */
    assert_int_equal(bench_file_size(bench, OPEN_SNAPSHOT), -1);
    bench_cut(bench, &(struct sim_crash_options){.keep_weight = 1});
    bench_file_put(bench, OPEN_SNAPSHOT, slice_of(snapshot, snapshot_bytes));
    bench_start(bench);
    log = bench_log(bench, "topic", 0);
    assert_int_equal(bench_file_size(bench, OPEN_SNAPSHOT), snapshot_bytes);
    view_read(bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 1);
    return log;
}

/* Of a machine that is down, or whose log is not open: what a recovery point that lags behind would not look at. */
static void snapshots_are_lost_after(struct bench *bench, const char *kept)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(os_list(bench->os, "/data/topic-0", &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        char path[200];

        if (!text_ends_with(names.names[i], ".snapshot") || strcmp(names.names[i], kept) <= 0)
            continue;
        snprintf(path, sizeof path, TOPIC_FOLDER "%s", names.names[i]);
        OKAY(os_unlink(bench->os, path));
    }
    OKAY(os_sync_directory(bench->os, "/data/topic-0"));
}

/* Found by reading: the snapshots went last, and the opening of the log finished what was before them. */
static void a_swap_that_stops_anywhere_leaves_no_transaction_open(void **state)
{
    int64_t hits = 1;
    int64_t at;

    for (at = 0; hits > 0; at++) {
        struct bench bench;
        struct log *log = transaction_behind_a_snapshot(&bench, 18);
        int fault;

        log = snapshot_comes_back(&bench, log);
        fault = sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_RENAME |
                                                                     1u << SIM_CALL_SYNC_DIRECTORY,
                                                            .path_part = "topic-0",
                                                            .skip_count = at,
                                                            .is_sticky = true,
                                                            .effect = SIM_EFFECT_ERROR,
                                                            .err = ERR_IO});
        marker_ages(&bench, log, 2);
        hits = sim_fault_hits(bench.os, fault);
        sim_faults_clear(bench.os);
        bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
        snapshots_are_lost_after(&bench, "00000000000000000013.snapshot");
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        log_set_high_watermark(log, log_end_written(log));
        assert_int_equal(log_last_stable_offset(log), log_end_written(log));
        if (hits == 0) {
            view_read(&bench, log, log_end_written(log), false, &view);
            assert_int_equal(view.markers, 0);
        }
        bench_close(&bench);
    }
    assert_true(at > 20);
    UNUSED(state);
}

/* Apache renames the segments, and deletes its snapshots after that. */
static void a_swap_that_another_program_left_takes_older_snapshots_with_it(void **state)
{
    static const char *const suffixes[] = {".log", ".index", ".timeindex"};
    uint8_t snapshot[1000];
    size_t snapshot_bytes;
    struct bench bench;
    struct log *log = transaction_behind_a_snapshot(&bench, 19);

    snapshot_bytes = bench_file_get(&bench, OPEN_SNAPSHOT, snapshot, sizeof snapshot);
    marker_ages(&bench, log, 5);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.markers, 0);
    bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char from[100], to[200];

        snprintf(from, sizeof from, TOPIC_FOLDER "%020d%s", 13, suffixes[i]);
        snprintf(to, sizeof to, "%s.swap", from);
        OKAY(os_rename(bench.os, from, to));
    }
    bench_file_put(&bench, OPEN_SNAPSHOT, slice_of(snapshot, snapshot_bytes));
    snapshots_are_lost_after(&bench, "00000000000000000013.snapshot");
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, log_end_written(log));
    assert_int_equal(log_last_stable_offset(log), log_end_written(log));
    assert_int_equal(bench_file_size(&bench, OPEN_SNAPSHOT), -1);
    (void)compaction_check(&bench, log, &history);
    bench_close(&bench);
    UNUSED(state);
}

static void the_last_batch_of_a_known_producer_stays_empty(void **state)
{
    const int pair[1][2] = {{0, 1}};
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 15);
    struct keyed keyed = {.pairs = pair, .count = 1, .producer_id = 5, .epoch = 2};

    for (int32_t sequence = 0; sequence < 3; sequence++) {
        keyed.sequence = sequence;
        OKAY(keyed_append(&bench, log, &history, &keyed));
    }
    OKAY(put(&bench, log, &history, 0, 9));
    compaction_run(&bench, log);
    view_read(&bench, log, log_end_written(log), false, &view);
    assert_int_equal(view.count, 1);
    assert_int_equal(view.empty_batches, 1);
    /* From the log alone the producer is known again. */
    bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
    snapshots_are_lost_after(&bench, "");
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    keyed.sequence = 7;
    assert_int_equal(keyed_append(&bench, log, &history, &keyed), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    keyed.sequence = 3;
    OKAY(keyed_append(&bench, log, &history, &keyed));
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_above_the_last_stable_offset_is_cleaned),
        cmocka_unit_test(aborted_records_go_and_their_marker_when_nothing_needs_it),
        cmocka_unit_test(a_commit_stays_as_long_as_a_record_of_its_transaction),
        cmocka_unit_test(a_marker_takes_older_producer_snapshots_with_it),
        cmocka_unit_test(a_marker_takes_snapshots_amid_a_segment_with_it),
        cmocka_unit_test(a_swap_that_stops_anywhere_leaves_no_transaction_open),
        cmocka_unit_test(a_swap_that_another_program_left_takes_older_snapshots_with_it),
        cmocka_unit_test(the_last_batch_of_a_known_producer_stays_empty),
    };

    return cmocka_run_group_tests_name("storage/compaction_transactions", tests, NULL, NULL);
}
