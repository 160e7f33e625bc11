/* SPDX-License-Identifier: Apache-2.0 */
/* sim/crash_scripts.c: see crash_scripts.h. */
#include "crash_scripts.h"

#include "base/assert.h"
#include "child_end.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_SECONDS 60
#define FAILURES_MAX 5

static const char *const strike_names[STRIKE_COUNT] = {"none", "power at call", "kill at call",
                                                       "power at ms", "kill at ms"};

struct outcome {
    bool is_good, was_struck;
    uint64_t counts[CRASH_COUNTS];
    char failure[1024];
};

struct tally {
    int64_t one_in, rest; /* -1: by script */
    int failed, passed;
    uint64_t counts[CRASH_COUNTS];
};

static void run(const struct crash_scripts *scripts, int script, int strike, int64_t at,
                bool is_loud, struct outcome *out)
{
    static struct world world;
    struct world_options options = {.seed = (uint64_t)script,
                                    .kinds_without = UINT32_MAX,
                                    .points_without = UINT64_MAX,
                                    .run_ms = scripts->run_ms,
                                    .strike = (enum world_strike)strike,
                                    .strike_at = at,
                                    .is_loud = is_loud};

    scripts->choose(&options, script);
    out->is_good = world_run(&world, &options);
    out->was_struck = world.nodes[0].starts > 1;
    scripts->tell(&world.report, out->counts);
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
static void run_apart(const struct crash_scripts *scripts, int script, int strike, int64_t at,
                      struct outcome *out)
{
    int ends[2], status = 0;
    pid_t child;

    *out = (struct outcome){0};
    if (pipe(ends) != 0 || (fflush(NULL), child = fork()) < 0)
        abort();
    if (child == 0) {
        alarm(RUN_SECONDS);
        run(scripts, script, strike, at, false, out);
        if (write(ends[1], out, sizeof *out) != (ssize_t)sizeof *out)
            child_end(3);
        child_end(0);
    }
    close(ends[1]);
    if (read(ends[0], out, sizeof *out) != (ssize_t)sizeof *out)
        snprintf(out->failure, sizeof out->failure, "the process died");
    close(ends[0]);
    if (waitpid(child, &status, 0) != child)
        abort();
}

static void run_all_steps(const struct crash_scripts *scripts, int script, int strike,
                          const char *program, struct tally *tally)
{
    bool is_timed = strike == STRIKE_POWER_AT_TIME || strike == STRIKE_KILL_AT_TIME;
    int64_t at = tally->rest >= 0 ? tally->rest : script % tally->one_in, tried = 0;
    struct outcome outcome;

    for (; tally->failed < FAILURES_MAX; at += tally->one_in) {
        if (is_timed && at > scripts->run_ms - WORLD_STRIKE_FROM_MS)
            break;
        run_apart(scripts, script, strike, at, &outcome);
        for (int i = 0; i < CRASH_COUNTS; i++)
            tally->counts[i] += outcome.counts[i];
        tried++;
        if (outcome.is_good && !outcome.was_struck)
            break; /* the script has no such step */
        tally->passed += outcome.is_good;
        tally->failed += !outcome.is_good;
        if (!outcome.is_good)
            printf("%s, %s %lld: %s\n  again: %s %d %d %lld\n", scripts->names[script],
                   strike_names[strike], (long long)at, outcome.failure, program, script, strike,
                   (long long)at);
    }
    printf("%s, %s: %lld runs, up to %lld\n", scripts->names[script], strike_names[strike],
           (long long)tried, (long long)at);
}

/* Enough runs, and enough done in them. */
static bool tests_something(const struct crash_scripts *scripts, const struct tally *tally)
{
    if (tally->passed < scripts->passed_min / (int)MIN(tally->one_in, scripts->sparse_max))
        return false;
    for (int i = 0; i < CRASH_COUNTS && scripts->counts[i].name; i++)
        if (tally->counts[i] < (uint64_t)tally->passed * scripts->counts[i].each_min)
            return false;
    return true;
}

int crash_scripts_main(const struct crash_scripts *scripts, int argc, char **argv)
{
    struct tally tally = {.one_in = argc > 1 ? MAX(1, strtol(argv[1], NULL, 10)) : 1,
                          .rest = argc > 2 ? strtol(argv[2], NULL, 10) : -1};

    if (argc > 3) {
        struct outcome outcome = {0};

        run(scripts, (int)strtol(argv[1], NULL, 10), (int)strtol(argv[2], NULL, 10),
            strtol(argv[3], NULL, 10), true, &outcome);
        printf("%s\n", outcome.is_good ? "good" : outcome.failure);
        return !outcome.is_good;
    }
    for (int script = 1; script < scripts->count && tally.failed < FAILURES_MAX; script++)
        for (int strike = 1; strike < STRIKE_COUNT && tally.failed < FAILURES_MAX; strike++)
            run_all_steps(scripts, script, strike, argv[0], &tally);
    if (!tests_something(scripts, &tally)) {
        printf("this test tests nothing\n");
        tally.failed++;
    }
    printf("%d passed, %d failed", tally.passed, tally.failed);
    for (int i = 0; i < CRASH_COUNTS && scripts->counts[i].name; i++)
        printf(", %llu %s", (unsigned long long)tally.counts[i], scripts->counts[i].name);
    printf("\n");
    return tally.failed > 0;
}
