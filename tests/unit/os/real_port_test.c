/* SPDX-License-Identifier: Apache-2.0 */
#include "real_bench.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MS ((int64_t)1000000)

/* ---- jobs ---- */

struct job {
    struct os_op op;
    pthread_t ran_on;
    atomic_int run_count;
    int done_count;
    struct os_port *port;
    int again_count; /* submits itself that many times more */
};

static void job_run(struct os_op *op)
{
    struct job *job = CONTAINER_OF(op, struct job, op);

    job->ran_on = pthread_self();
    atomic_fetch_add(&job->run_count, 1);
    op->err = ERR_STATE;
    op->result = 42;
}

static void job_done(struct os_op *op)
{
    struct job *job = CONTAINER_OF(op, struct job, op);

    job->done_count++;
    if (job->again_count > 0) {
        job->again_count--;
        os_port_submit(job->port, op);
    }
}

static void job_submit(struct job *job, struct os_port *port)
{
    job->port = port;
    job->op = (struct os_op){.kind = OS_OP_JOB, .run = job_run, .done = job_done};
    os_port_submit(port, &job->op);
}

static void a_job_runs_on_another_thread_and_its_result_comes_back(void **state)
{
    struct bench *bench = *state;
    struct job job = {0};

    job_submit(&job, bench->port);
    while (job.done_count == 0)
        os_port_poll(bench->port, INT64_MAX);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
    assert_int_equal(job.op.err, ERR_STATE);
    assert_int_equal(job.op.result, 42);
}

static void many_jobs_complete_once_each(void **state)
{
    enum { JOBS = 500, AGAIN = 9 };
    static struct job jobs[JOBS];
    struct bench *bench = *state;
    size_t done = 0;

    memset(jobs, 0, sizeof(jobs));
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i].again_count = AGAIN;
        job_submit(&jobs[i], bench->port);
    }
    while (done < (size_t)JOBS * (AGAIN + 1))
        done += os_port_poll(bench->port, INT64_MAX);
    assert_int_equal(os_port_poll(bench->port, 0), 0);
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(atomic_load(&jobs[i].run_count), AGAIN + 1);
        assert_int_equal(jobs[i].done_count, AGAIN + 1);
    }
}

struct gate {
    struct os_op op;
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool is_open;
    int done_count;
};

static void gate_run(struct os_op *op)
{
    struct gate *gate = CONTAINER_OF(op, struct gate, op);

    pthread_mutex_lock(&gate->mutex);
    while (!gate->is_open)
        pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

static void gate_done(struct os_op *op)
{
    CONTAINER_OF(op, struct gate, op)->done_count++;
}

static void jobs_that_take_long_do_not_keep_file_operations_waiting(void **state)
{
    enum { GATES = 300 }; /* more than any pool has threads */
    static struct gate gates[GATES];
    struct bench *bench = *state;
    struct probe probe = {.op = {.kind = OS_OP_STAT, .path = bench->directory}};

    for (size_t i = 0; i < GATES; i++) {
        gates[i] = (struct gate){.op = {.kind = OS_OP_JOB, .run = gate_run, .done = gate_done},
                                 .mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .opened = PTHREAD_COND_INITIALIZER};
        os_port_submit(bench->port, &gates[i].op);
    }
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_true(probe.op.stat.is_directory);
    for (size_t i = 0; i < GATES; i++) {
        assert_int_equal(gates[i].done_count, 0);
        pthread_mutex_lock(&gates[i].mutex);
        gates[i].is_open = true;
        pthread_cond_signal(&gates[i].opened);
        pthread_mutex_unlock(&gates[i].mutex);
    }
    for (size_t i = 0; i < GATES; i++) {
        while (gates[i].done_count == 0)
            os_port_poll(bench->port, INT64_MAX);
    }
}

/* ---- sleeping and waking ---- */

static void a_poll_returns_at_its_deadline_and_not_before(void **state)
{
    struct bench *bench = *state;

    for (int i = 0; i < 5; i++) {
        int64_t deadline_ns = os_now_ns(bench->os) + 2 * MS + i * 1000;

        assert_int_equal(os_port_poll(bench->port, deadline_ns), 0);
        assert_true(os_now_ns(bench->os) >= deadline_ns);
    }
    assert_int_equal(os_port_poll(bench->port, 1), 0); /* long past */
}

static void a_deadline_that_comes_while_the_poll_begins_is_an_ordinary_one(void **state)
{
    struct bench *bench = *state;

    for (int64_t i = 0; i < 20000; i++)
        assert_int_equal(os_port_poll(bench->port, os_now_ns(bench->os) + i % 400), 0);
}

static void a_wake_before_the_sleep_is_not_lost_and_serves_once(void **state)
{
    struct bench *bench = *state;
    int64_t deadline_ns;

    os_port_wake(bench->port);
    os_port_wake(bench->port);
    assert_int_equal(os_port_poll(bench->port, 0), 0); /* does not use it up */
    assert_int_equal(os_port_poll(bench->port, INT64_MAX), 0);
    deadline_ns = os_now_ns(bench->os) + MS;
    assert_int_equal(os_port_poll(bench->port, deadline_ns), 0);
    assert_true(os_now_ns(bench->os) >= deadline_ns);
}

struct waker {
    struct os_port *port;
    struct os_thread *thread;
    atomic_int rounds;
};

static void waker_run(void *context)
{
    struct waker *waker = context;

    for (int i = 0; i < 20000; i++) {
        atomic_fetch_add(&waker->rounds, 1);
        os_port_wake(waker->port);
    }
}

static void the_last_of_many_wakes_is_always_seen(void **state)
{
    struct bench *bench = *state;
    struct waker waker = {.port = bench->port};

    assert_int_equal(os_thread_start(bench->os, "waker", waker_run, &waker, &waker.thread), OK);
    while (atomic_load(&waker.rounds) < 20000)
        os_port_poll(bench->port, INT64_MAX); /* a lost wake hangs here */
    os_thread_join(&waker.thread);
}

/* ---- process ---- */

struct heard {
    struct os_port *port;
    atomic_int signal;
};

static void on_signal(void *context, int signal)
{
    struct heard *heard = context;

    atomic_store(&heard->signal, signal);
    os_port_wake(heard->port);
}

static void a_signal_is_told_on_another_thread(void **state)
{
    struct bench *bench = *state;
    struct heard heard = {.port = bench->port};
    static const int signals[] = {SIGHUP, SIGTERM, SIGINT};

    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        signal(signals[i], SIG_DFL); /* whatever these tests were started with */
    assert_int_equal(os_on_signal(bench->os, on_signal, &heard), OK);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        atomic_store(&heard.signal, 0);
        assert_int_equal(kill(getpid(), signals[i]), 0);
        while (atomic_load(&heard.signal) == 0)
            os_port_poll(bench->port, INT64_MAX);
        assert_int_equal(atomic_load(&heard.signal), signals[i]);
    }
    assert_int_equal(os_on_signal(bench->os, NULL, NULL), OK); /* before the port goes */
}

static void a_signal_that_was_ignored_at_the_start_stays_so(void **state)
{
    struct bench *bench = *state;
    struct heard heard = {.port = bench->port};

    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    assert_int_equal(os_on_signal(bench->os, on_signal, &heard), OK);
    assert_int_equal(kill(getpid(), SIGHUP), 0); /* the lower number: of two that wait the first */
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    while (atomic_load(&heard.signal) == 0)
        os_port_poll(bench->port, INT64_MAX);
    assert_int_equal(atomic_load(&heard.signal), SIGTERM);
    assert_int_equal(os_on_signal(bench->os, NULL, NULL), OK);
    signal(SIGHUP, SIG_DFL);
}

static void the_process_knows_its_usage(void **state)
{
    struct bench *bench = *state;
    struct os_usage before;
    struct os_usage after;
    struct os_file *file;
    char name[256];

    os_usage(bench->os, &before);
    assert_true(before.resident_bytes > 0);
    assert_int_equal(
        os_file_open(bench->os, bench_path(bench, "f"), OS_OPEN_WRITE | OS_OPEN_CREATE, &file), OK);
    os_usage(bench->os, &after);
    assert_int_equal(after.open_files, before.open_files + 1);
    os_file_close(&file);
    assert_true(os_core_count(bench->os) >= 1);
    assert_int_equal(os_host_name(bench->os, name, sizeof(name)), OK);
    assert_true(strlen(name) > 0);
}

static void entropy_differs_from_draw_to_draw(void **state)
{
    struct bench *bench = *state;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};

    os_entropy(bench->os, a, sizeof(a));
    os_entropy(bench->os, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_runs_on_another_thread_and_its_result_comes_back),
        TEST(many_jobs_complete_once_each),
        TEST(jobs_that_take_long_do_not_keep_file_operations_waiting),
        TEST(a_poll_returns_at_its_deadline_and_not_before),
        TEST(a_deadline_that_comes_while_the_poll_begins_is_an_ordinary_one),
        TEST(a_wake_before_the_sleep_is_not_lost_and_serves_once),
        TEST(the_last_of_many_wakes_is_always_seen),
        TEST(a_signal_is_told_on_another_thread),
        TEST(a_signal_that_was_ignored_at_the_start_stays_so),
        TEST(the_process_knows_its_usage),
        TEST(entropy_differs_from_draw_to_draw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
