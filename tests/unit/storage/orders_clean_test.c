/* SPDX-License-Identifier: Apache-2.0 */
/* The cleaner and what may come between two of its steps: a failing disk, a change, another log; and groups, maps and
 * rates at their bounds. */
#include "compaction_support.h"

#include "storage/cleaner.h"
#include "storage/shard.h"

#define LATE_MS 10

static struct history history;

static struct log *late_compacted_with(struct bench *bench, uint64_t seed, int32_t interval_bytes)
{
    history.count = 0;
    bench_prepare_late(bench, seed, LATE_MS);
    bench->options.cleaner.backoff_ms = 1000;
    bench->config.min_cleanable_dirty_ratio = 0;
    bench->config.cleanup_compact = true;
    bench->config.cleanup_delete = false;
    bench->config.index_interval_bytes = interval_bytes;
    bench_start(bench);
    return bench_log(bench, "topic", 0);
}

static struct log *late_compacted(struct bench *bench, uint64_t seed)
{
    return late_compacted_with(bench, seed, 4096);
}

/* Two keys in each of `count` segments, which may be cleaned from now on. */
static void segments_fill(struct bench *bench, struct log *log, int count)
{
    for (int i = 0; i < count; i++) {
        compaction_fill(bench, log, &history, 2, 2);
        log_roll(log);
        bench_pass(bench, 300);
    }
    log_set_high_watermark(log, log_end_written(log));
}

static void stage_wait(struct bench *bench, struct log *log, enum clean_stage stage)
{
    for (int64_t i = 0; i < 100000 && !(log->clean && log->clean->stage == stage); i++)
        sim_run_until(bench->sim, sim_now_ns(bench->sim) + 200000, NULL, NULL);
    assert_true(log->clean && log->clean->stage == stage);
}

static void changed(struct log_change_op *op)
{
    *(bool *)op->context = true;
}

static void nothing_is_left_of(struct bench *bench, struct log *log)
{
    bench_pass(bench, 3000);
    assert_null(log->clean);
    assert_int_equal(bench_files_count(bench, TOPIC_FOLDER, ".cleaned"), 0);
}

static void a_pass_whose_log_fails_ends_in_whatever_step_it_is(void **state)
{
    static const enum clean_stage stages[] = {CLEAN_MAP, CLEAN_COPY, CLEAN_SWAP, CLEAN_DISCARD};

    for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
        struct bench bench;
        struct log *log = late_compacted(&bench, 1 + i);

        if (stages[i] == CLEAN_DISCARD) { /* of a group that comes out as it was */
            OKAY(put(&bench, log, &history, 1, 1));
            log_roll(log);
            bench_pass(&bench, 300);
            log_set_high_watermark(log, log_end_written(log));
        } else {
            segments_fill(&bench, log, 3);
        }
        stage_wait(&bench, log, stages[i]);
        bench_directory_fail(&bench);
        bench_pass(&bench, 3000);
        assert_null(log->clean);
        assert_int_equal(log_clean_offset(log), -1);
        sim_faults_clear(bench.os);
        bench_halt(&bench);
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        compaction_run(&bench, log);
        compaction_check(&bench, log, &history);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void a_pass_that_a_change_cancels_ends_in_whatever_step_it_is(void **state)
{
    static const enum clean_stage stages[] = {CLEAN_MAP, CLEAN_COPY, CLEAN_SWAP, CLEAN_DISCARD};

    for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
        bool is_done = false;
        struct log_change_op cut = {.done = changed, .context = &is_done};
        struct bench bench;
        struct log *log = late_compacted(&bench, 11 + i);
        int64_t end;

        if (stages[i] == CLEAN_DISCARD) {
            OKAY(put(&bench, log, &history, 1, 1));
            log_roll(log);
            bench_pass(&bench, 300);
        } else {
            segments_fill(&bench, log, 3);
        }
        OKAY(put(&bench, log, &history, 1, 7));
        log_set_high_watermark(log, log_end_written(log));
        stage_wait(&bench, log, stages[i]);
        end = log_end_queued(log) - 1;
        log_truncate(log, end, &cut);
        bench_run_until(&bench, &is_done);
        OKAY(cut.err);
        assert_int_equal(log_end_written(log), end);
        history_cut(&history, end);
        bench_pass(&bench, 100);
        compaction_check(&bench, log, &history);
        nothing_is_left_of(&bench, log);
        bench_close(&bench);
    }
    UNUSED(state);
}

/* The job has begun late: it finds out by itself, before it reads. */
static void a_slice_that_was_cancelled_before_it_began_does_nothing(void **state)
{
    bool is_done = false;
    struct log_change_op cut = {.done = changed, .context = &is_done};
    struct bench bench;
    struct log *log = late_compacted(&bench, 21);
    int opened;

    segments_fill(&bench, log, 3);
    stage_wait(&bench, log, CLEAN_COPY);
    opened = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, ".log.cleaned");
    log_truncate(log, log_end_queued(log), &cut);
    bench_run_until(&bench, &is_done);
    assert_int_equal(sim_fault_hits(bench.os, opened), 0);
    compaction_wait(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 2);
    bench_close(&bench);
    UNUSED(state);
}

/* A look that falls into the pass of another log, or into that log's own look at its timestamps. */
static void one_log_is_cleaned_after_the_other_and_none_twice_at_a_time(void **state)
{
    struct bench bench;
    struct log *log = late_compacted(&bench, 22);
    struct log *other;
    struct cleaner_stats stats;

    bench.config.min_compaction_lag_ms = 1;
    bench.config.max_compaction_lag_ms = 1000000;
    segments_fill(&bench, log, 3);
    other = bench_log(&bench, "other", 0);
    for (int i = 0; i < 3; i++) {
        compaction_fill(&bench, other, NULL, 2, 2);
        log_roll(other);
        bench_pass(&bench, 300);
    }
    bench_restart(&bench); /* nobody knows a timestamp */
    log = bench_log(&bench, "topic", 0);
    other = bench_log(&bench, "other", 0);
    bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, "/other-0/00000000000000000000", 1500);
    bench_calls_delay(&bench, 1u << SIM_CALL_WRITE, "/topic-0/", 1000);
    compaction_fill(&bench, log, &history, 2, 2);
    log_roll(log);
    bench_pass(&bench, 300);
    log_set_high_watermark(log, log_end_written(log));
    log_set_high_watermark(other, log_end_written(other));
    for (int i = 0; i < 400; i++) {
        assert_true(!log->clean || !other->clean);
        store_cleaner_look(bench.store, 0); /* as when another log's timestamps are known */
        bench_pass(&bench, 100);
    }
    assert_true(log_clean_offset(log) > 0 && log_clean_offset(other) > 0);
    log_store_cleaner_stats(bench.store, &stats);
    assert_true(stats.passes >= 2);
    compaction_check(&bench, log, &history);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- bounds ---- */

static void a_group_ends_where_one_index_could_not_hold_it(void **state)
{
    for (int by_offset = 0; by_offset < 2; by_offset++) {
        struct bench bench;
        struct log *log = late_compacted(&bench, 23);
        const int64_t far = INT64_C(10) + INT32_MAX;
        size_t segments;

        segments_fill(&bench, log, 3);
        log_set_high_watermark(log, 0); /* not yet */
        if (by_offset) {
            OKAY(bench_replicate(&bench, log, 0, far, &(struct bench_batch){.count = 1}));
            log_roll(log);
            bench_pass(&bench, 300);
        } else {
            struct log_config config = bench.config;

            config.segment_index_bytes = 2 * TIME_INDEX_ENTRY_BYTES;
            log_set_config(log, &config);
        }
        segments = log_segment_count(log);
        log_set_high_watermark(log, log_end_written(log));
        compaction_wait(&bench, log);
        assert_true(log_clean_offset(log) >= 12);
        /* Three became one but for what may not be in one; or two and one. */
        assert_int_equal(log_segment_count(log), by_offset ? segments - 2 : segments - 1);
        if (by_offset)
            assert_int_equal(bench_verify_from(&bench, log, far), far + 1);
        else
            assert_int_equal(compaction_check(&bench, log, &history), 2);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void a_map_that_is_full_amid_a_batch_ends_the_pass_there(void **state)
{
    static int pairs[48][2];
    struct cleaner_options options;
    struct bench bench;
    struct log *log = late_compacted(&bench, 24);

    for (int i = 0; i < 48; i++) {
        pairs[i][0] = i;
        pairs[i][1] = 1000 + i;
    }
    options = bench.options.cleaner;
    options.dedupe_bytes = 24 * 12;
    log_directories_set_cleaner(bench.directories, &options);
    for (int round = 0; round < 2; round++)
        OKAY(keyed_append(&bench, log, &history, &(struct keyed){.pairs = pairs, .count = 48}));
    log_roll(log);
    bench_pass(&bench, 300);
    log_set_high_watermark(log, log_end_written(log));
    for (int i = 0; i < 20; i++)
        compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 96);
    compaction_check(&bench, log, &history);
    bench_close(&bench);
    UNUSED(state);
}

static void a_cleaner_of_the_least_numbers_goes_on_however_slowly(void **state)
{
    static const double rates[] = {0.0, 500000.0, 1e12};

    for (size_t i = 0; i < ARRAY_COUNT(rates); i++) {
        struct cleaner_options options = {
            .enabled = true, .threads = 1, .backoff_ms = 1000, .bytes_per_second = rates[i]};
        struct bench bench;
        struct log *log = late_compacted(&bench, 25);

        log_directories_set_cleaner(bench.directories, &options);
        compaction_fill(&bench, log, &history, 1, 4);
        log_roll(log);
        bench_pass(&bench, 300);
        log_set_high_watermark(log, log_end_written(log));
        bench_pass(&bench, 10 * 3600 * 1000);
        assert_int_equal(log_clean_offset(log), 4);
        assert_int_equal(compaction_check(&bench, log, &history), 1);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void a_clock_before_1970_hurries_no_pass(void **state)
{
    struct bench bench;
    struct log *log = late_compacted(&bench, 26);

    bench.config.max_compaction_lag_ms = INT64_MAX - 1;
    bench.config.min_cleanable_dirty_ratio = 1;
    log_set_config(log, &bench.config);
    segments_fill(&bench, log, 2);
    sim_wall_jump(bench.os, -(os_wall_ms(bench.os) + 5000));
    assert_true(os_wall_ms(bench.os) < 0);
    bench_pass(&bench, 3000);
    assert_int_equal(log_clean_offset(log), -1);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- timestamps that a lag asks for ---- */

static struct log *lagging(struct bench *bench, uint64_t seed)
{
    struct log *log = late_compacted_with(bench, seed, 1);

    bench->config.max_compaction_lag_ms = 2000;
    bench->config.min_cleanable_dirty_ratio = 1; /* the lag alone makes it due */
    segments_fill(bench, log, 3);
    bench_halt(bench);
    return log;
}

static void what_cannot_be_read_of_a_first_batch_hurries_no_pass(void **state)
{
    for (int removed = 0; removed < 2; removed++) {
        struct bench bench;
        struct log *log = lagging(&bench, 27);

        if (!removed)
            OKAY(sim_disk_flip(bench.os, TOPIC_FOLDER "00000000000000000000.log", 16, 0x40));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        if (removed)
            sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_OPEN,
                                                        .path_part = "00000000000000000000.log",
                                                        .skip_count = 1, /* for the largest one */
                                                        .effect = SIM_EFFECT_ERROR,
                                                        .err = ERR_IO});
        log_set_high_watermark(log, log_end_written(log));
        while (!log->segments[0]->first_timestamp_known)
            bench_pass(&bench, 1);
        assert_false(log_is_failed(log));
        assert_int_equal(log->segments[0]->first_timestamp, TIMESTAMP_NONE);
        assert_true(log->segments[1]->first_timestamp > 0); /* which does make one due */
        bench_close(&bench);
    }
    UNUSED(state);
}

static void timestamps_that_are_known_already_are_not_read_again(void **state)
{
    struct log_lookup lookup;
    struct bench bench;
    struct log *log = lagging(&bench, 28);
    int reads;

    bench.options.cleaner.backoff_ms = 60000;
    bench.config.min_compaction_lag_ms = 1;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup)); /* loads the largest of each */
    reads = bench_calls_count(&bench, 1u << SIM_CALL_READ, ".timeindex");
    log_set_high_watermark(log, log_end_written(log));
    bench_pass(&bench, 70000);
    assert_true(log_clean_offset(log) > 0);
    assert_int_equal(sim_fault_hits(bench.os, reads), 0);
    bench_close(&bench);
    UNUSED(state);
}

static void a_look_at_timestamps_ends_with_its_log(void **state)
{
    enum { FAILS, CHANGES, ROTTEN, KINDS };

    for (int kind = 0; kind < KINDS; kind++) {
        bool is_done = false;
        struct log_change_op cut = {.done = changed, .context = &is_done};
        struct bench bench;
        struct log *log = lagging(&bench, 29);

        bench.config.min_compaction_lag_ms = 1;
        if (kind == ROTTEN) {
            OKAY(os_unlink(bench.os, TOPIC_FOLDER "00000000000000000000.timeindex"));
            OKAY(sim_disk_flip(bench.os, TOPIC_FOLDER "00000000000000000000.log", 16, 0x40));
        }
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        bench_calls_delay(&bench, 1u << SIM_CALL_OPEN, ".timeindex", 500);
        log_set_high_watermark(log, log_end_written(log));
        while (!log->clean_facts_loading)
            bench_pass(&bench, 1);
        if (kind == FAILS)
            bench_directory_fail(&bench);
        if (kind == CHANGES)
            log_truncate(log, log_end_queued(log) - 1, &cut);
        bench_pass(&bench, 20000);
        assert_false(log->clean_facts_loading);
        assert_int_equal(is_done, kind == CHANGES);
        assert_int_equal(log_is_uncleanable(log), kind == ROTTEN);
        assert_int_equal(log_is_failed(log), kind == FAILS);
        bench_close(&bench);
    }
    UNUSED(state);
}

/* The first start after an unclean stop that lost the recovery point: the cleaner's file promises more than it. */
static void a_truncation_below_what_was_cleaned_tells_the_cleaners_file_first(void **state)
{
    char text[200];
    struct bench bench;
    struct log *log = late_compacted(&bench, 30);

    segments_fill(&bench, log, 3);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 12);
    bench_pass(&bench, 70000);
    bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
    bench_file_put(&bench, "/data/recovery-point-offset-checkpoint", SLICE(""));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_recovery_point(log), log_start_offset(log));
    OKAY(bench_truncate(&bench, log, log_start_offset(log) + 1));
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_null(strstr(text, " 12\n"));
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_whose_log_fails_ends_in_whatever_step_it_is),
        cmocka_unit_test(a_pass_that_a_change_cancels_ends_in_whatever_step_it_is),
        cmocka_unit_test(a_slice_that_was_cancelled_before_it_began_does_nothing),
        cmocka_unit_test(one_log_is_cleaned_after_the_other_and_none_twice_at_a_time),
        cmocka_unit_test(a_group_ends_where_one_index_could_not_hold_it),
        cmocka_unit_test(a_map_that_is_full_amid_a_batch_ends_the_pass_there),
        cmocka_unit_test(a_cleaner_of_the_least_numbers_goes_on_however_slowly),
        cmocka_unit_test(a_clock_before_1970_hurries_no_pass),
        cmocka_unit_test(what_cannot_be_read_of_a_first_batch_hurries_no_pass),
        cmocka_unit_test(timestamps_that_are_known_already_are_not_read_again),
        cmocka_unit_test(a_look_at_timestamps_ends_with_its_log),
        cmocka_unit_test(a_truncation_below_what_was_cleaned_tells_the_cleaners_file_first),
    };

    return cmocka_run_group_tests_name("storage/orders_clean", tests, NULL, NULL);
}
