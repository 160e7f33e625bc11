/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a log never goes back to a reader who saw it, whatever happens to the machine (start_raise.c,
 * retention.c).
 */
#include "support.h"

#define STARTS BENCH_DIRECTORY "/log-start-offset-checkpoint"

struct raise {
    struct log_start_op op;
    bool is_done;
};

static void raised(struct log_start_op *op)
{
    ((struct raise *)op->context)->is_done = true;
}

static void raise_begin(struct log *log, int64_t offset, struct raise *raise)
{
    *raise = (struct raise){.op = {.done = raised, .context = raise}};
    log_raise_start(log, offset, &raise->op);
}

/* Six segments of one batch of five. */
static struct log *filled(struct bench *bench, uint64_t seed)
{
    struct log *log;

    bench_open(bench, seed);
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < 6; i++) {
        OKAY(bench_append(bench, log, 0, 5, 100));
        log_roll(log);
    }
    bench_pass(bench, 1000);
    log_set_high_watermark(log, 30);
    return log;
}

static void the_start_moves_when_its_checkpoint_is_durable(void **state)
{
    struct bench bench;
    struct log *log = filled(&bench, 1);
    struct raise raise;
    char text[200];

    raise_begin(log, 12, &raise);
    assert_false(raise.is_done);
    assert_int_equal(log_start_offset(log), 0);
    bench_run_until(&bench, &raise.is_done);
    OKAY(raise.op.err);
    assert_int_equal(log_start_offset(log), 12);
    bench_file_get(&bench, STARTS, text, sizeof text);
    assert_string_equal(text, "0\n1\ntopic 0 12\n");
    bench_crash(&bench, &(struct sim_crash_options){.drop_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_start_offset(log), 12);
    bench_close(&bench);
    UNUSED(state);
}

static void what_is_asked_for_beyond_the_watermark_changes_nothing(void **state)
{
    struct bench bench;
    struct log *log = filled(&bench, 2);
    struct raise raise;

    raise_begin(log, 31, &raise);
    assert_true(raise.is_done);
    assert_int_equal(raise.op.err, ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_start_offset(log), 0);
    bench_close(&bench);
    UNUSED(state);
}

static void raises_that_overlap_leave_the_highest(void **state)
{
    struct bench bench;
    struct log *log = filled(&bench, 3);
    struct raise first, second, third;

    raise_begin(log, 20, &first);
    raise_begin(log, 7, &second); /* its checkpoint must not take the other one's place */
    bench_run_until(&bench, &first.is_done);
    bench_run_until(&bench, &second.is_done);
    OKAY(first.op.err);
    OKAY(second.op.err);
    assert_int_equal(log_start_offset(log), 20);
    raise_begin(log, 20, &third);
    assert_true(third.is_done); /* there already */
    OKAY(third.op.err);
    bench_crash(&bench, &(struct sim_crash_options){.drop_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_start_offset(log), 20);
    bench_close(&bench);
    UNUSED(state);
}

static void a_raise_whose_checkpoint_cannot_be_written_is_refused(void **state)
{
    struct bench bench;
    struct log *log = filled(&bench, 4);
    struct raise raise;

    bench_calls_fail(&bench, 1u << SIM_CALL_SYNC, "log-start-offset", ERR_IO);
    raise_begin(log, 12, &raise);
    bench_run_until(&bench, &raise.is_done);
    assert_int_equal(raise.op.err, ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(log_start_offset(log), 0);
    bench_pass(&bench, 1);
    assert_true(log_is_failed(log));
    bench_close(&bench);
    UNUSED(state);
}

/* Runs `act` with a power cut at the n-th file call, for every n; what was seen before stays. */
static void cut_at_every_call(void (*act)(struct bench *bench, struct log *log))
{
    for (int64_t n = 0;; n++) {
        struct bench bench;
        struct log *log = filled(&bench, (uint64_t)n);
        int64_t seen = 0, after;
        bool is_over;

        sim_machine_crash_at(bench.os, n, NULL);
        act(&bench, log);
        for (int i = 0; i < 400 && sim_machine_is_up(bench.os); i++) {
            bench_pass(&bench, 1);
            seen = MAX(seen, log_start_offset(log));
        }
        is_over = sim_machine_is_up(bench.os);
        if (is_over)
            sim_machine_crash_at(bench.os, -1, NULL);
        bench_crash(&bench, NULL);
        log = bench_log(&bench, "topic", 0);
        after = log_start_offset(log);
        if (after < seen)
            fail_msg("cut at call %lld: %lld was seen, %lld is the start now", (long long)n,
                     (long long)seen, (long long)after);
        bench_close(&bench);
        if (is_over) {
            assert_true(seen > 0);
            return;
        }
    }
}

static struct raise cut_raise;

static void raise_act(struct bench *bench, struct log *log)
{
    UNUSED(bench);
    raise_begin(log, 17, &cut_raise);
}

static void retention_act(struct bench *bench, struct log *log)
{
    bench->config.retention_bytes = 700;
    bench->config.file_delete_delay_ms = 5;
    log_set_config(log, &bench->config);
    log_retention_run(log);
}

static void a_raised_start_survives_a_power_cut_at_any_call(void **state)
{
    cut_at_every_call(raise_act);
    UNUSED(state);
}

static void a_start_that_retention_moved_survives_a_power_cut_at_any_call(void **state)
{
    cut_at_every_call(retention_act);
    UNUSED(state);
}

static void the_checkpoint_goes_once_the_names_of_segments_say_the_same(void **state)
{
    struct bench bench;
    struct log *log = filled(&bench, 5);
    char text[200];

    retention_act(&bench, log);
    bench_pass(&bench, 400);
    assert_true(log_start_offset(log) > 0 && log_start_offset(log) % 5 == 0);
    bench_pass(&bench, 130000);
    bench_file_get(&bench, STARTS, text, sizeof text);
    assert_string_equal(text, "0\n0\n"); /* as Apache's */
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_moves_when_its_checkpoint_is_durable),
        cmocka_unit_test(what_is_asked_for_beyond_the_watermark_changes_nothing),
        cmocka_unit_test(raises_that_overlap_leave_the_highest),
        cmocka_unit_test(a_raise_whose_checkpoint_cannot_be_written_is_refused),
        cmocka_unit_test(a_raised_start_survives_a_power_cut_at_any_call),
        cmocka_unit_test(a_start_that_retention_moved_survives_a_power_cut_at_any_call),
        cmocka_unit_test(the_checkpoint_goes_once_the_names_of_segments_say_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
