/* SPDX-License-Identifier: Apache-2.0 */
/* Events, turns, jobs, clocks, pause, signals, determinism. */
#include "sim_bench.h"

/* ---- clocks ---- */

static void nothing(void *context)
{
    ++*(int *)context;
}

static void run_to(struct sim *sim, int64_t at_ns)
{
    int called = 0;

    sim_call_at(sim, at_ns, nothing, &called);
    while (!called)
        assert_true(sim_step(sim));
    assert_int_equal(sim_now_ns(sim), at_ns);
}

static void time_moves_only_with_events(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    int64_t start_ns = os_now_ns(os), start_ms = os_wall_ms(os);

    bench_write(os, "/f", "x", 0);
    assert_int_equal(os_now_ns(os), start_ns);
    run_to(sim, 5 * SECOND);
    assert_int_equal(os_now_ns(os) - start_ns, 5 * SECOND);
    assert_int_equal(os_wall_ms(os) - start_ms, 5000);
    assert_false(sim_step(sim));
    sim_release(&sim);
}

static void the_wall_clock_jumps_and_stalls_and_the_monotone_one_does_not(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    int64_t start_ns = os_now_ns(os), start_ms = os_wall_ms(os);

    sim_wall_jump(os, -3600000);
    assert_int_equal(os_wall_ms(os), start_ms - 3600000);
    sim_wall_stall(os, true);
    run_to(sim, 10 * SECOND);
    assert_int_equal(os_wall_ms(os), start_ms - 3600000);
    sim_wall_stall(os, false);
    run_to(sim, 11 * SECOND);
    assert_int_equal(os_wall_ms(os), start_ms - 3600000 + 1000);
    assert_int_equal(os_now_ns(os), start_ns + 11 * SECOND);
    sim_release(&sim);
}

static void a_drifting_machine_is_fast_or_slow_by_its_rate(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *fast = bench_machine(sim, "fast"), *slow = bench_machine(sim, "slow");
    int64_t fast_ns = os_now_ns(fast), slow_ns = os_now_ns(slow);
    int64_t fast_ms = os_wall_ms(fast);

    sim_clock_drift(fast, 1000);
    sim_clock_drift(slow, -250000);
    run_to(sim, 100 * SECOND);
    assert_int_equal(os_now_ns(fast) - fast_ns, 100 * SECOND + 100 * MS);
    assert_int_equal(os_now_ns(slow) - slow_ns, 75 * SECOND);
    assert_int_equal(os_wall_ms(fast) - fast_ms, 100100);
    sim_release(&sim);
}

static bool has_turned(void *context)
{
    return ((struct bench_port *)context)->turns > 0;
}

static void a_deadline_gives_a_turn_and_never_early(void **state)
{
    for (int32_t ppm = -1000; ppm <= 1000; ppm += 500) {
        struct sim *sim = bench_sim(1);
        struct os *os = bench_machine(sim, "a");
        struct bench_port port;
        int64_t deadline_ns = os_now_ns(os) + 7 * SECOND;

        bench_port_open(&port, os);
        os_port_set_deadline(port.port, deadline_ns);
        run_to(sim, SECOND);
        sim_clock_drift(os, ppm);
        assert_true(sim_run_until(sim, INT64_MAX, has_turned, &port));
        assert_true(os_now_ns(os) >= deadline_ns);
        assert_true(os_now_ns(os) < deadline_ns + 10 * MS);
        assert_false(sim_step(sim)); /* once */
        bench_port_close(&port);
        sim_release(&sim);
    }
}

static void a_wake_gives_one_turn(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;

    bench_port_open(&port, os);
    os_port_wake(port.port);
    os_port_wake(port.port);
    assert_true(sim_run_until(sim, INT64_MAX, has_turned, &port));
    assert_false(sim_run_until(sim, SECOND, NULL, NULL));
    assert_int_equal(port.turns, 1);
    bench_port_close(&port);
    sim_release(&sim);
}

/* ---- jobs ---- */

static void job_that_writes(struct os_op *op)
{
    struct os *os = os_port_os(op->port);

    op->result = 42;
    bench_write(os, "/job", "done", 0);
    bench_sync(os, "/job");
}

static void a_job_may_block_and_its_time_passes_before_it_is_done(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op job = {.op.run = job_that_writes};
    struct sim_counts counts;
    char text[8];

    bench_port_open(&port, os);
    bench_submit(port.port, &job, OS_OP_JOB);
    assert_false(bench_exists(os, "/job"));
    OKAY(bench_wait(sim, &job));
    assert_int_equal(job.op.result, 42);
    assert_string_equal(bench_read(os, "/job", text, sizeof(text)), "done");
    assert_true(sim_now_ns(sim) >= 200000); /* at least one sync */
    sim_counts(sim, &counts);
    assert_int_equal(counts.blocking_in_turn, 0);
    bench_port_close(&port);
    sim_release(&sim);
}

static void job_of_many_syncs(struct os_op *op)
{
    struct os *os = os_port_os(op->port);

    for (int i = 0; i < 100; i++) {
        bench_write(os, "/job", "done", 0);
        bench_sync(os, "/job");
    }
}

/* A job makes all its calls in one event; those that would come later are not of the disk as it was. */
static void a_job_that_began_on_a_slow_disk_goes_on_at_the_speed_of_the_disk(void **state)
{
    struct sim_latency slow = {.min_ns = 1000000000, .max_ns = 1000000001};
    struct sim_options plain;

    sim_options_default(&plain);
    for (int is_healed = 0; is_healed < 2; is_healed++) {
        struct sim *sim = bench_sim(1);
        struct os *os = bench_machine(sim, "a");
        struct bench_port port;
        struct bench_op job = {.op.run = job_of_many_syncs};

        bench_port_open(&port, os);
        sim_machine_set_disk(os, &plain.disk_latency, &slow);
        bench_submit(port.port, &job, OS_OP_JOB);
        sim_run_until(sim, sim_now_ns(sim) + 10000000000, NULL, NULL);
        assert_false(job.done);
        if (is_healed)
            sim_machine_set_disk(os, &plain.disk_latency, &plain.sync_latency);
        OKAY(bench_wait(sim, &job));
        if (is_healed)
            assert_true(sim_now_ns(sim) < 12000000000);
        else
            assert_true(sim_now_ns(sim) >= 100000000000);
        bench_port_close(&port);
        sim_release(&sim);
    }
    UNUSED(state);
}

/* The same where a fault delays the calls, alone or beside another that goes on. */
static void a_job_that_a_fault_delayed_goes_on_without_it_when_it_ends(void **state)
{
    const struct sim_fault slow = {.calls = 1u << SIM_CALL_SYNC,
                                   .path_part = "/job",
                                   .is_sticky = true,
                                   .effect = SIM_EFFECT_DELAY,
                                   .delay_ns = 1000000000};
    const struct sim_fault elsewhere = {.calls = 1u << SIM_CALL_SYNC,
                                        .path_part = "/other",
                                        .is_sticky = true,
                                        .effect = SIM_EFFECT_DELAY,
                                        .delay_ns = 1000000000};

    for (int ended = 0; ended <= 3; ended++) {
        struct sim *sim = bench_sim(1);
        struct os *os = bench_machine(sim, "a");
        struct bench_port port;
        struct bench_op job = {.op.run = job_of_many_syncs};
        int other = sim_fault_add(os, &elsewhere);
        int faults[2] = {sim_fault_add(os, &slow), sim_fault_add(os, &slow)};
        int64_t took_ns;

        bench_port_open(&port, os);
        bench_submit(port.port, &job, OS_OP_JOB);
        sim_run_until(sim, sim_now_ns(sim) + 20000000000, NULL, NULL);
        assert_false(job.done);
        sim_fault_remove(os, other);
        if (ended == 3)
            sim_faults_clear(os);
        for (int i = 0; i < ended && i < 2; i++)
            sim_fault_remove(os, faults[i]);
        OKAY(bench_wait(sim, &job));
        took_ns = sim_now_ns(sim);
        /* 10 of 100 syncs have passed; the others take 2 s, 1 s or next to nothing each. */
        if (ended == 0)
            assert_in_range(took_ns, 199000000000, 203000000000);
        else if (ended == 1)
            assert_in_range(took_ns, 109000000000, 113000000000);
        else
            assert_in_range(took_ns, 20000000000, 22000000000);
        bench_port_close(&port);
        sim_release(&sim);
    }
    UNUSED(state);
}

/* A disk that changes amid the job leaves it what faults that go on have cost, and nothing of those that ended. */
static void a_delay_outlives_a_change_of_the_disk_and_ends_with_its_fault(void **state)
{
    const struct sim_fault delays = {.calls = 1u << SIM_CALL_SYNC,
                                     .path_part = "/job",
                                     .is_sticky = true,
                                     .effect = SIM_EFFECT_DELAY,
                                     .delay_ns = 1000000000};
    struct sim_options plain;

    sim_options_default(&plain);
    for (int is_ended = 0; is_ended < 2; is_ended++) {
        struct sim *sim = bench_sim(1);
        struct os *os = bench_machine(sim, "a");
        struct sim_latency slow = {.min_ns = 1000000000, .max_ns = 1000000001};
        struct bench_port port;
        struct bench_op job = {.op.run = job_of_many_syncs};
        int fault = sim_fault_add(os, &delays);

        bench_port_open(&port, os);
        sim_machine_set_disk(os, &plain.disk_latency, &slow);
        bench_submit(port.port, &job, OS_OP_JOB);
        sim_run_until(sim, sim_now_ns(sim) + 20000000000, NULL, NULL);
        assert_false(job.done);
        if (is_ended)
            sim_fault_remove(os, fault);
        sim_machine_set_disk(os, &plain.disk_latency, &plain.sync_latency);
        OKAY(bench_wait(sim, &job));
        /* 10 of 100 syncs have passed, of 2 s each. */
        if (is_ended)
            assert_in_range(sim_now_ns(sim), 20000000000, 22000000000);
        else
            assert_in_range(sim_now_ns(sim), 109000000000, 113000000000);
        bench_port_close(&port);
        sim_release(&sim);
    }
    UNUSED(state);
}

/* When the fault is over and the disk changes: what delayed it before is past. */
static void a_job_done_again_is_not_charged_what_delayed_it_before(void **state)
{
    const struct sim_fault delays = {.calls = 1u << SIM_CALL_SYNC,
                                     .path_part = "/job",
                                     .is_sticky = true,
                                     .effect = SIM_EFFECT_DELAY,
                                     .delay_ns = 1000000000};
    struct sim_latency slow = {.min_ns = 1000000000, .max_ns = 1000000001};
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op job = {.op.run = job_of_many_syncs};
    struct sim_options plain;
    int fault = sim_fault_add(os, &delays);
    int64_t again_ns;

    sim_options_default(&plain);
    bench_port_open(&port, os);
    bench_submit(port.port, &job, OS_OP_JOB);
    OKAY(bench_wait(sim, &job));
    assert_true(sim_now_ns(sim) >= 100000000000);
    sim_fault_remove(os, fault);
    again_ns = sim_now_ns(sim);
    sim_machine_set_disk(os, &plain.disk_latency, &slow);
    job.done = false;
    bench_submit(port.port, &job, OS_OP_JOB);
    sim_run_until(sim, again_ns + 10000000000, NULL, NULL);
    assert_false(job.done);
    sim_machine_set_disk(os, &plain.disk_latency, &plain.sync_latency);
    OKAY(bench_wait(sim, &job));
    assert_true(sim_now_ns(sim) - again_ns < 12000000000);
    bench_port_close(&port);
    sim_release(&sim);
    UNUSED(state);
}

static void bad_turn(void *context)
{
    struct bench_port *port = context;

    port->turns++;
    assert_false(bench_exists(os_port_os(port->port), "/f"));
}

static void blocking_calls_of_a_running_shard_are_counted(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port = {0};
    struct sim_counts counts;

    OKAY(os_port_create(os, &port.port));
    os_port_on_ready(port.port, bad_turn, &port);
    os_port_wake(port.port);
    assert_true(sim_run_until(sim, INT64_MAX, has_turned, &port));
    sim_counts(sim, &counts);
    assert_int_equal(counts.blocking_in_turn, 1);
    bench_port_close(&port);
    sim_release(&sim);
}

static void crash_the_machine(void *context)
{
    sim_machine_crash(context, NULL);
}

static void a_job_that_loses_its_machine_is_forgotten(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op job = {.op.run = job_that_writes};

    bench_port_open(&port, os);
    bench_submit(port.port, &job, OS_OP_JOB);
    sim_call_at(sim, 0, crash_the_machine, os);
    assert_false(sim_run_until(sim, SECOND, NULL, NULL));
    assert_int_equal(job.done, 0);
    memset(&job, 0xee, sizeof(job)); /* nobody looks at it any more */
    sim_release(&sim);
}

/* ---- pause ---- */

static void a_paused_process_takes_no_turn_while_disk_and_clocks_go_on(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op open = {0}, job = {.op.run = job_that_writes};

    bench_port_open(&port, os);
    open.op.path = "/f";
    open.op.flags = OS_OPEN_WRITE | OS_OPEN_CREATE;
    bench_submit(port.port, &open, OS_OP_OPEN);
    bench_submit(port.port, &job, OS_OP_JOB);
    sim_machine_pause(os);
    assert_false(sim_run_until(sim, 60 * SECOND, NULL, NULL));
    assert_int_equal(port.turns, 0);
    assert_true(bench_exists(os, "/f"));    /* the kernel did it */
    assert_false(bench_exists(os, "/job")); /* the job did not run */
    sim_machine_resume(os);
    OKAY(bench_wait(sim, &open));
    OKAY(bench_wait(sim, &job));
    os_file_close(&open.op.file);
    bench_port_close(&port);
    sim_release(&sim);
}

/* ---- signals ---- */

static void note_signal(void *context, int signal)
{
    *(int *)context = signal;
}

static void a_signal_is_an_event(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    int seen = 0;

    OKAY(os_on_signal(os, note_signal, &seen));
    sim_machine_signal(os, 15);
    assert_int_equal(seen, 0);
    assert_true(sim_step(sim));
    assert_int_equal(seen, 15);
    sim_machine_pause(os);
    sim_machine_signal(os, 1);
    assert_false(sim_run_until(sim, SECOND, NULL, NULL));
    assert_int_equal(seen, 15);
    sim_machine_resume(os);
    assert_false(sim_run_until(sim, 2 * SECOND, NULL, NULL));
    assert_int_equal(seen, 1);
    sim_machine_pause(os);
    sim_machine_signal(os, 2);
    assert_false(sim_run_until(sim, 3 * SECOND, NULL, NULL));
    sim_machine_kill(os); /* the signal goes with it */
    assert_int_equal(seen, 1);
    sim_release(&sim);
}

/* ---- life and determinism ---- */

static void names_are_unique_and_a_machine_that_runs_is_not_restarted(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a"), *other;
    char name[32];

    assert_int_equal(sim_machine_create(sim, "a", &other), ERR_EXISTS);
    assert_int_equal(sim_machine_restart(os, &other), ERR_STATE);
    OKAY(os_host_name(os, name, sizeof(name)));
    assert_string_equal(name, "a");
    assert_int_equal(os_core_count(os), 4);
    os_release(&os); /* exits */
    assert_null(os);
    sim_release(&sim);
}

static void a_reboot_has_a_new_monotone_clock_and_a_new_process_has_the_old_one(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a"), *old = os;
    uint8_t one[16], two[16];

    run_to(sim, SECOND);
    sim_machine_kill(os);
    os = bench_restart(os);
    assert_int_equal(os_now_ns(os), os_now_ns(old));
    sim_machine_crash(os, NULL);
    os = bench_restart(os);
    assert_true(os_now_ns(os) != os_now_ns(old));
    assert_int_equal(os_wall_ms(os), os_wall_ms(old));
    os_entropy(os, one, sizeof(one));
    os_entropy(os, two, sizeof(two));
    assert_memory_not_equal(one, two, sizeof(one));
    sim_release(&sim);
}

static uint64_t busy_run(uint64_t seed)
{
    struct sim *sim = bench_sim(seed);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op ops[20];
    struct slice word = SLICE("word");
    struct os_file *file;
    uint64_t hash;

    bench_port_open(&port, os);
    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    memset(ops, 0, sizeof(ops));
    for (int i = 0; i < 20; i++) {
        ops[i].op.file = file;
        ops[i].op.slices = &word;
        ops[i].op.slice_count = 1;
        ops[i].op.position_bytes = 600 * i;
        bench_submit(port.port, &ops[i], i % 5 == 4 ? OS_OP_SYNC : OS_OP_WRITE);
    }
    for (int i = 0; i < 20; i++) {
        if (!ops[i].done)
            OKAY(bench_wait(sim, &ops[i]));
    }
    sim_machine_crash(os, NULL);
    os = bench_restart(os);
    hash = sim_hash(sim);
    sim_release(&sim);
    return hash;
}

static void the_same_seed_gives_the_same_hash_and_another_seed_another(void **state)
{
    for (uint64_t seed = 0; seed < 5; seed++) {
        assert_true(busy_run(seed) == busy_run(seed));
        assert_true(busy_run(seed) != busy_run(seed + 1));
    }
}

static void count_line(void *context, const char *text)
{
    assert_non_null(strstr(text, " "));
    ++*(size_t *)context;
}

static void the_trace_keeps_the_last_events(void **state)
{
    struct sim_options options;
    struct sim *sim;
    struct os *os;
    size_t lines = 0;

    sim_options_default(&options);
    options.trace_count = 8;
    OKAY(sim_create(1, &options, &sim));
    os = bench_machine(sim, "a");
    for (int i = 0; i < 20; i++)
        assert_false(bench_exists(os, "/f"));
    sim_trace(sim, count_line, &lines);
    assert_int_equal(lines, 8);
    sim_release(&sim);
}

static void named_streams_are_independent_and_repeat(void **state)
{
    struct sim *sim = bench_sim(1);
    struct random a, b, again;

    sim_random_init(sim, &a, "a");
    sim_random_init(sim, &b, "b");
    sim_random_init(sim, &again, "a");
    for (int i = 0; i < 10; i++) {
        uint64_t draw = random_u64(&a);

        assert_true(draw == random_u64(&again));
        assert_true(draw != random_u64(&b));
    }
    sim_release(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_moves_only_with_events),
        cmocka_unit_test(the_wall_clock_jumps_and_stalls_and_the_monotone_one_does_not),
        cmocka_unit_test(a_drifting_machine_is_fast_or_slow_by_its_rate),
        cmocka_unit_test(a_deadline_gives_a_turn_and_never_early),
        cmocka_unit_test(a_wake_gives_one_turn),
        cmocka_unit_test(a_job_may_block_and_its_time_passes_before_it_is_done),
        cmocka_unit_test(a_job_that_began_on_a_slow_disk_goes_on_at_the_speed_of_the_disk),
        cmocka_unit_test(a_job_that_a_fault_delayed_goes_on_without_it_when_it_ends),
        cmocka_unit_test(a_delay_outlives_a_change_of_the_disk_and_ends_with_its_fault),
        cmocka_unit_test(a_job_done_again_is_not_charged_what_delayed_it_before),
        cmocka_unit_test(blocking_calls_of_a_running_shard_are_counted),
        cmocka_unit_test(a_job_that_loses_its_machine_is_forgotten),
        cmocka_unit_test(a_paused_process_takes_no_turn_while_disk_and_clocks_go_on),
        cmocka_unit_test(a_signal_is_an_event),
        cmocka_unit_test(names_are_unique_and_a_machine_that_runs_is_not_restarted),
        cmocka_unit_test(a_reboot_has_a_new_monotone_clock_and_a_new_process_has_the_old_one),
        cmocka_unit_test(the_same_seed_gives_the_same_hash_and_another_seed_another),
        cmocka_unit_test(the_trace_keeps_the_last_events),
        cmocka_unit_test(named_streams_are_independent_and_repeat),
    };

    return cmocka_run_group_tests_name("os/sim_machine", tests, NULL, NULL);
}
