/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/failing_calls_test.c: one scripted life of a node (first start, topic, produce, roll, DeleteRecords, retention,
 * reads, orderly stop), run again and again; each time another call fails: each file call with EIO, with a full disk, with no
 * descriptor left, and each allocation; once, and from then on for ever.
 * What must hold: the node goes on, refuses with an error, or, while there is no memory at all, ends with the report
 * that says so: one failed allocation ends nobody who has a reserve, and no other assertion ever does. It does not hang;
 * and when the fault is gone the next start finds everything that was acknowledged.
 *   failing_calls_test [ONE_IN]     one of so many calls is tried (1: each)
 *   failing_calls_test KIND AT EVER for one: KIND io, full, files or memory; FAILING_CALLS_TRAP=1 stops at it
 */
#include "prober_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"
#include "child_end.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILURE_BYTES 1024
#define RESERVE_BYTES ((size_t)MIB)
#define RUN_SECONDS 60
#define STEPS 36

enum kind { KIND_IO, KIND_FULL, KIND_FILES, KIND_MEMORY, KIND_COUNT };
static const struct {
    const char *name;
    enum err err;
    unsigned calls;
} kinds[KIND_COUNT] = {
    [KIND_IO] = {"io", ERR_IO, SIM_CALLS_ALL},
    [KIND_FULL] = {"full", ERR_DISK_FULL,
                   1u << SIM_CALL_WRITE | 1u << SIM_CALL_OPEN | 1u << SIM_CALL_MAKE_DIRECTORY |
                       1u << SIM_CALL_RENAME | 1u << SIM_CALL_SYNC | 1u << SIM_CALL_RESERVE},
    [KIND_FILES] = {"files", ERR_TOO_MANY_FILES, 1u << SIM_CALL_OPEN | 1u << SIM_CALL_LIST},
    [KIND_MEMORY] = {"memory", ERR_NO_MEMORY, 0},
};

struct outcome { /* what the process of one run says */
    bool has_failed;
    bool was_struck;
    int64_t calls; /* that could have failed */
    int64_t acknowledged;
    char failure[FAILURE_BYTES];
};

/* ---- memory ---- */

static struct allocator heap; /* as it is without us */
static int64_t allocations, allocation_fails_at;
static bool allocation_fails_for_ever, is_memory_short;

static bool allocation_fails(void)
{
    int64_t at = allocations++;

    if (!is_memory_short)
        return false;
    if (at == allocation_fails_at && getenv("FAILING_CALLS_TRAP"))
        __builtin_trap(); /* for a debugger: who asks? */
    return allocation_fails_for_ever ? at >= allocation_fails_at : at == allocation_fails_at;
}

static void *short_allocate(struct allocator *self, size_t size_bytes)
{
    return allocation_fails() ? NULL : heap.allocate(self, size_bytes);
}

static void *short_resize(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    return allocation_fails() ? NULL : heap.resize(self, pointer, old_bytes, new_bytes);
}

static void memory_set_short(bool is_short)
{
    is_memory_short = is_short;
}

/* ---- the script ---- */

static int64_t soon(const struct probe *probe)
{
    return sim_now_ns(probe->sim) + 300 * MS;
}

static bool step(struct probe *probe, int number)
{
    int32_t index = number % PROBE_PARTITIONS;
    struct probe_partition *partition = &probe->partitions[index];

    if (!probe_ready(probe, soon(probe)))
        return false;
    switch (number) {
    case 16:
    case 25:
        return probe_delete(probe, index, partition->committed * 3 / 4, soon(probe));
    case 17:
    case 26:
        sim_run_until(probe->sim, sim_now_ns(probe->sim) + 60 * MS, NULL, NULL);
        return true;
    case 20:
    case 30:
        return probe_fetch(probe, probe->client, index, partition->log_start, soon(probe)) >= 0;
    case 22:
        return partition->committed <= partition->log_start ||
               probe_search(probe, index, partition->log_start, soon(probe));
    default:
        probe_pending_make(probe, index);
        return probe_pending_send(probe, index, -1);
    }
}

static void script(struct probe *probe)
{
    int failures = 0;

    if (sim_node_start(&probe->node, 5000) != OK)
        return; /* refused: that is one way */
    for (int i = 0; i < STEPS && failures < 6 && !probe_has_failed(probe); i++) {
        if (probe->node.is_stopped)
            break; /* that is another */
        if (step(probe, i))
            continue;
        failures++;
        sim_client_close(probe->client);
        sim_client_close(probe->other);
    }
    sim_client_close(probe->client);
    sim_client_close(probe->other);
    if (!probe->node.is_stopped && !sim_node_stop(&probe->node, 120000))
        probe_fail(probe, "the node does not stop in two minutes");
}

/* ---- one run, in a process of its own ---- */

static struct run {
    struct probe probe;
    struct outcome outcome;
    int pipe;
    bool is_over;
} run;

static void tell(void)
{
    if (write(run.pipe, &run.outcome, sizeof run.outcome) != (ssize_t)sizeof run.outcome)
        child_end(3);
    child_end(run.outcome.has_failed ? 1 : 0);
}

/* The fault is gone, the process of the node too: what was acknowledged is there. */
static void afterwards(void)
{
    struct probe *probe = &run.probe;

    run.is_over = true;
    memory_set_short(false);
    run.outcome.acknowledged = probe->acknowledged;
    sim_faults_clear(probe->node.machine);
    sim_node_kill(&probe->node);
    sim_client_close(probe->client);
    sim_client_close(probe->other);
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++)
        probe->partitions[i].known_count = 0;
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++)
        probe->partitions[i].told_start = 0; /* its checkpoint may lag behind */
    if (!probe_has_failed(probe))
        probe_final_check(probe);
    run.outcome.has_failed = probe_has_failed(probe);
    tell();
}

static void assertion_failed(const char *condition, const char *file, int line,
                             const char *function)
{
    bool is_simulator = strstr(file, "os/sim") || strstr(file, "tests/");
    bool is_report = strcmp(condition, MEMORY_EXHAUSTED) == 0 && allocation_fails_for_ever;

    memory_set_short(false);
    if (run.is_over || allocation_fails_at < 0 || (!is_report && !is_simulator)) {
        run.outcome.has_failed = true;
        snprintf(run.outcome.failure, FAILURE_BYTES, "assertion %s (%s:%d, %s)", condition, file,
                 line, function);
        tell();
    }
    if (is_simulator) { /* its own memory, or a client's: none of the node's business */
        run.outcome.was_struck = false;
        tell();
    }
    run.outcome.was_struck = true;
    sim_step_abandon(run.probe.sim);
    afterwards(); /* the report that ends the process is an orderly end */
}

static void run_one(enum kind kind, int64_t at, bool for_ever)
{
    struct probe *probe = &run.probe;
    struct sim_fault fault = {.calls = kinds[kind].calls,
                              .skip_count = at,
                              .is_sticky = for_ever,
                              .effect = SIM_EFFECT_ERROR,
                              .err = kinds[kind].err};
    int number = -1;
    enum err err;

    run.probe = (struct probe){.heap = heap,
                               .is_short_of_memory = kind == KIND_MEMORY,
                               .failure = run.outcome.failure,
                               .failure_bytes = FAILURE_BYTES};
    alarm(RUN_SECONDS);
    assert_hook_set(assertion_failed);
    err = sim_create(1, NULL, &probe->sim);
    ASSERT(err == OK);
    sim_random_init(probe->sim, &probe->random, "failing");
    sim_node_init(&probe->node, probe->sim, "node",
                  "log.dirs=/data0,/data1\n"
                  "metadata.log.dir=/meta\n"
                  "barnabas.disk.reserve.bytes=65536\n"
                  "log.retention.check.interval.ms=20\n"
                  "log.initial.task.delay.ms=1\n"
                  "log.segment.delete.delay.ms=0\n"
                  "log.flush.offset.checkpoint.interval.ms=50\n");
    err = sim_machine_create(probe->sim, "client", &probe->machine);
    ASSERT(err == OK);
    probe->client = sim_client_new(probe->sim, probe->machine);
    probe->other = sim_client_new(probe->sim, probe->machine);
    probe->segment_bytes = 1024;
    probe->index_interval = 100;
    probe->base_ms = os_wall_ms(probe->node.machine);
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++)
        probe->partitions[i].producer_id = -1;
    err = memory_reserve_fill(RESERVE_BYTES);
    ASSERT(err == OK);
    allocations = 0;
    allocation_fails_at = kind == KIND_MEMORY ? at : -1;
    allocation_fails_for_ever = for_ever;
    if (kind == KIND_MEMORY)
        memory_set_short(at >= 0);
    else if (at >= 0)
        number = sim_fault_add(probe->node.machine, &fault);
    script(probe);
    run.outcome.calls =
        kind == KIND_MEMORY ? allocations : sim_machine_io_calls(probe->node.machine);
    run.outcome.was_struck = kind == KIND_MEMORY
                                 ? allocations > at
                                 : number >= 0 && sim_fault_hits(probe->node.machine, number) > 0;
    afterwards();
}

/* ---- in the parent ---- */

static struct outcome outcome_of(enum kind kind, int64_t at, bool for_ever)
{
    struct outcome outcome = {0};
    int ends[2], status = 0;
    pid_t child;
    ssize_t got;

    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        close(ends[0]);
        run.pipe = ends[1];
        run_one(kind, at, for_ever);
    }
    close(ends[1]);
    got = read(ends[0], &outcome, sizeof outcome);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (got != (ssize_t)sizeof outcome) {
        outcome.has_failed = true;
        snprintf(outcome.failure, FAILURE_BYTES,
                 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it hangs"
                                                                    : "the process died");
    }
    return outcome;
}

static bool kind_holds(enum kind kind, bool for_ever, int64_t one_in, const char *program)
{
    struct outcome outcome = outcome_of(kind, -1, for_ever);
    int64_t calls = outcome.calls, tried = 0, struck = 0, failed = 0;

    if (outcome.has_failed || outcome.acknowledged < STEPS / 2) {
        printf("the script fails without a fault: %s\n", outcome.failure);
        return false;
    }
    for (int64_t at = 0; at < calls && failed < 5; at += one_in) {
        outcome = outcome_of(kind, at, for_ever);
        tried++;
        struck += outcome.was_struck;
        if (!outcome.has_failed)
            continue;
        printf("%s call %lld %s: %s\n  again: %s %s %lld %d\n", kinds[kind].name, (long long)at,
               for_ever ? "and all later ones" : "alone", outcome.failure, program,
               kinds[kind].name, (long long)at, for_ever);
        failed++;
    }
    printf("%s, %s: %lld of %lld calls tried, %lld struck, %lld failed\n", kinds[kind].name,
           for_ever ? "for ever" : "once", (long long)tried, (long long)calls, (long long)struck,
           (long long)failed);
    return failed == 0;
}

int main(int argc, char **argv)
{
    int64_t one_in = argc == 2 ? strtoll(argv[1], NULL, 10) : 1;
    bool holds = true;

    heap = heap_allocator;
    heap_allocator.allocate = short_allocate;
    heap_allocator.resize = short_resize;
    if (argc == 4) {
        for (int kind = 0; kind < KIND_COUNT; kind++)
            if (strcmp(kinds[kind].name, argv[1]) == 0) {
                struct outcome outcome =
                    outcome_of((enum kind)kind, strtoll(argv[2], NULL, 10), argv[3][0] == '1');

                printf("%s\n", outcome.has_failed ? outcome.failure : "holds");
                return outcome.has_failed;
            }
        return 2;
    }
    for (int kind = 0; kind < KIND_COUNT; kind++)
        for (int for_ever = 0; for_ever < 2; for_ever++)
            holds = kind_holds((enum kind)kind, for_ever, one_in, argv[0]) && holds;
    return holds ? 0 : 1;
}
