/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_crash_test.c: a coordinator that ends between any two steps. Four scripts (classic groups, eager and
 * cooperative; KIP-848; up to it and back), each run again and again; each time the node loses power or is killed
 * at the next call to its disk, or at the next millisecond. Afterwards the history is judged (no committed offset lost, no partition with
 * two owners, nothing stale committed, all processed), and every group must be whole and drained in time.
 *   group_crash_test [ONE_IN]          one of so many steps is tried (1: each)
 *   group_crash_test SCRIPT STRIKE AT  for one
 */
#include "group.h"

#include "base/assert.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_MS 650
#define RUN_SECONDS 60
#define FAILURES_MAX 5

static const char *const script_names[SCRIPT_COUNT] = {"none", "eager", "cooperative", "modern",
                                                       "migration"};
static const char *const strike_names[STRIKE_COUNT] = {"none", "power at call", "kill at call",
                                                       "power at ms", "kill at ms"};

struct outcome {
    bool is_good, was_struck;
    uint64_t commits;
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
                                    .group_script = script,
                                    .is_loud = is_loud};

    out->is_good = world_run(&world, &options);
    out->was_struck = world.nodes[0].starts > 1;
    out->commits = world.report.group_commits;
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
    int failed = 0, passed = 0;
    uint64_t commits = 0;
    struct outcome outcome;

    if (argc > 3) {
        run((int)strtol(argv[1], NULL, 10), (int)strtol(argv[2], NULL, 10),
            strtol(argv[3], NULL, 10), true, &outcome);
        printf("%s\n", outcome.is_good ? "good" : outcome.failure);
        return !outcome.is_good;
    }
    for (int script = 1; script < SCRIPT_COUNT && failed < FAILURES_MAX; script++) {
        for (int strike = 1; strike < STRIKE_COUNT && failed < FAILURES_MAX; strike++) {
            bool is_timed = strike == STRIKE_POWER_AT_TIME || strike == STRIKE_KILL_AT_TIME;
            int64_t at = script % one_in, tried = 0;

            for (; failed < FAILURES_MAX; at += one_in) {
                if (is_timed && at > RUN_MS - WORLD_STRIKE_FROM_MS)
                    break;
                run_apart(script, strike, at, &outcome);
                commits += outcome.commits;
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
    if (passed < 100 / (int)MIN(one_in, 10) || commits < (uint64_t)passed * 5) {
        printf("this test tests nothing: %d runs, %llu commits\n", passed,
               (unsigned long long)commits);
        failed++;
    }
    printf("%d passed, %d failed, %llu commits\n", passed, failed, (unsigned long long)commits);
    return failed > 0;
}
