/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/transaction_crash_test.c: a node that ends between any two steps of a transaction. Five scripts (both protocols,
 * commits and aborts in turn, with offsets and without; successors that fence their predecessors), each run again and again;
 * each time the node loses power or is killed at the next call to its disk (every write and every sync of the
 * coordinator's log, of the data and of the markers is one), or at the next millisecond. Afterwards it starts, the
 * client finishes, and the history is judged: all or nothing, no answer taken back, nobody fenced comes through, last
 * stable offset at the end of each log, no transaction left open.
 *   transaction_crash_test [ONE_IN]          one of so many steps is tried (1: each)
 *   transaction_crash_test SCRIPT STRIKE AT  for one
 */
#include "transaction.h"

#include "base/assert.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_MS 450
#define RUN_SECONDS 60
#define FAILURES_MAX 5

static const char *const script_names[TRANSACTION_SCRIPT_COUNT] = {
    "none",  "protocol 1", "protocol 2", "protocol 1 with offsets", "protocol 2 with offsets",
    "fenced"};
static const char *const strike_names[STRIKE_COUNT] = {"none", "power at call", "kill at call",
                                                       "power at ms", "kill at ms"};

struct outcome {
    bool is_good, was_struck;
    uint64_t begun, committed, aborted;
    char failure[1024];
};

static void run(int script, int strike, int64_t at, bool is_loud, struct outcome *out)
{
    static struct world world;
    struct world_options options = {.seed = (uint64_t)script,
                                    .kinds_without = UINT32_MAX,
                                    .points_without = UINT64_MAX,
                                    .run_ms = RUN_MS,
                                    .strike = (enum world_strike)strike,
                                    .strike_at = at,
                                    .transaction_script = script,
                                    .is_loud = is_loud};

    out->is_good = world_run(&world, &options);
    out->was_struck = world.nodes[0].starts > 1;
    out->begun = world.report.transactions;
    out->committed = world.report.transactions_committed;
    out->aborted = world.report.transactions_aborted;
    snprintf(out->failure, sizeof out->failure, "%s", world.failure);
    if (is_loud && getenv("HISTORY")) {
        FILE *file = fopen(getenv("HISTORY"), "w");

        ASSERT(file != NULL);
        history_write(world.history, file);
        fclose(file);
    }
    world_release(&world);
}

/* In a process of its own: a crashed node leaves its memory behind, and an assertion ends only this run. */
static void run_apart(int script, int strike, int64_t at, struct outcome *out)
{
    int ends[2], status = 0;
    pid_t child;

    *out = (struct outcome){0};
    if (pipe(ends) != 0 || (fflush(NULL), child = fork()) < 0)
        abort();
    if (child == 0) {
        alarm(RUN_SECONDS);
        run(script, strike, at, false, out);
        if (write(ends[1], out, sizeof *out) != (ssize_t)sizeof *out)
            _exit(3);
        _exit(0);
    }
    close(ends[1]);
    if (read(ends[0], out, sizeof *out) != (ssize_t)sizeof *out)
        snprintf(out->failure, sizeof out->failure, "the process died");
    close(ends[0]);
    if (waitpid(child, &status, 0) != child)
        abort();
}

int main(int argc, char **argv)
{
    int64_t one_in = argc == 2 ? MAX(1, strtol(argv[1], NULL, 10)) : 1;
    uint64_t begun = 0, committed = 0, aborted = 0;
    int failed = 0, passed = 0;
    struct outcome outcome;

    if (argc > 3) {
        run((int)strtol(argv[1], NULL, 10), (int)strtol(argv[2], NULL, 10),
            strtol(argv[3], NULL, 10), true, &outcome);
        printf("%s\n", outcome.is_good ? "good" : outcome.failure);
        return !outcome.is_good;
    }
    for (int script = 1; script < TRANSACTION_SCRIPT_COUNT && failed < FAILURES_MAX; script++) {
        for (int strike = 1; strike < STRIKE_COUNT && failed < FAILURES_MAX; strike++) {
            bool is_timed = strike == STRIKE_POWER_AT_TIME || strike == STRIKE_KILL_AT_TIME;
            int64_t at = script % one_in, tried = 0;

            for (; failed < FAILURES_MAX; at += one_in) {
                if (is_timed && at > RUN_MS - WORLD_STRIKE_FROM_MS)
                    break;
                run_apart(script, strike, at, &outcome);
                begun += outcome.begun;
                committed += outcome.committed;
                aborted += outcome.aborted;
                tried++;
                if (outcome.is_good && !outcome.was_struck)
                    break; /* the script has no such step */
                passed += outcome.is_good;
                failed += !outcome.is_good;
                if (!outcome.is_good)
                    printf("%s, %s %lld: %s\n  again: %s %d %d %lld\n", script_names[script],
                           strike_names[strike], (long long)at, outcome.failure, argv[0], script,
                           strike, (long long)at);
            }
            printf("%s, %s: %lld runs, up to %lld\n", script_names[script], strike_names[strike],
                   (long long)tried, (long long)at);
        }
    }
    if (passed < 200 / (int)MIN(one_in, 20) || committed < (uint64_t)passed ||
        aborted < (uint64_t)passed) {
        printf("this test tests nothing: %d runs, %llu commits, %llu aborts\n", passed,
               (unsigned long long)committed, (unsigned long long)aborted);
        failed++;
    }
    printf("%llu transactions, %llu committed, %llu aborted as seen\n", (unsigned long long)begun,
           (unsigned long long)committed, (unsigned long long)aborted);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
