/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include "base/assert.h"
#include "base/sanitizer.h"
#include "child_end.h"
#include "points.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STRETCH 25 /* seeds a process */
#if HAS_ADDRESS_SANITIZER
#define SEED_SECONDS 300
#else
#define SEED_SECONDS 60 /* real time after which a seed hangs */
#endif
#define JOBS_MAX 16
#define FAILURES_MAX 10

struct outcome { /* what a process says of a seed, through a pipe */
    uint64_t seed;
    bool is_begun; /* only that it was begun */
    bool has_failed;
    uint32_t kinds_struck;
    bool has_groups;
    uint64_t group_commits;
    bool has_transactions;
    uint64_t transactions, transactions_committed, transactions_aborted;
    int64_t simulated_ns;
    uint64_t events, seen_batches, acknowledged;
    uint32_t points_struck[FAULT_POINT_COUNT]; /* how often */
    char failure[1024];
};

struct job {
    pid_t pid; /* 0: none */
    int pipe;
    uint64_t seed, next, end; /* under way; what is left */
    int64_t since;
};

struct totals {
    uint64_t with_groups, group_commits;
    uint64_t with_transactions, transactions, transactions_committed, transactions_aborted;
    uint64_t seeds, failed, events, seen_batches, acknowledged;
    int64_t simulated_ns;
    uint64_t struck[32];
    uint64_t points_seeds[FAULT_POINT_COUNT], points_struck[FAULT_POINT_COUNT];
};

static int64_t real_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void runner_command(const struct world_options *world, const char *program, FILE *out)
{
    fprintf(out, "%s --seed %llu", program, (unsigned long long)world->seed);
    for (size_t i = 0, first = 1; i < nemesis_count; i++)
        if (world->kinds_without >> i & 1) {
            fprintf(out, "%s%s", first ? " --without " : ",", nemeses[i]->name);
            first = 0;
        }
    for (int i = 0, first = 1; i < WORLD_FAULTS_MAX; i++)
        if (world->faults_without >> i & 1) {
            fprintf(out, "%s%d", first ? " --without-faults " : ",", i);
            first = 0;
        }
    if (world->points_without == UINT64_MAX)
        fprintf(out, " --without-points all");
    for (int i = 0, first = 1; i < FAULT_POINT_COUNT && world->points_without != UINT64_MAX; i++)
        if (world->points_without >> i & 1) {
            fprintf(out, "%s%s", first ? " --without-points " : ",", points_name(i));
            first = 0;
        }
    if (world->with_groups != 0)
        fprintf(out, " --groups %s", world->with_groups > 0 ? "always" : "never");
    if (world->with_transactions != 0)
        fprintf(out, " --transactions %s", world->with_transactions > 0 ? "always" : "never");
    if (world->run_ms > 0)
        fprintf(out, " --run-ms %lld", (long long)world->run_ms);
    fputc('\n', out);
}

/* ---- in the process of a stretch ---- */

static void seed_run(const struct runner_options *options, uint64_t seed, struct outcome *out)
{
    struct world_options world_options = options->world;
    static struct world world;
    uint64_t hash;

    world_options.seed = seed;
    *out = (struct outcome){.seed = seed};
    out->has_failed = !world_run(&world, &world_options);
    out->kinds_struck = world.kinds_struck;
    out->has_groups = world.knobs.has_groups;
    out->group_commits = world.report.group_commits;
    out->has_transactions = world.transactions != NULL;
    out->transactions = world.report.transactions;
    out->transactions_committed = world.report.transactions_committed;
    out->transactions_aborted = world.report.transactions_aborted;
    out->simulated_ns = world.simulated_ns;
    out->events = world.counts.events;
    out->seen_batches = world.report.seen_batches;
    out->acknowledged = world.report.acknowledged;
    for (int i = 0; i < FAULT_POINT_COUNT; i++)
        out->points_struck[i] = (uint32_t)MIN(points_struck(i), UINT32_MAX);
    snprintf(out->failure, sizeof out->failure, "%s", world.failure);
    hash = world.hash;
    world_release(&world);
    if (out->has_failed || options->twice_one_in == 0 || seed % options->twice_one_in != 0)
        return;
    if (!world_run(&world, &world_options) || world.hash != hash) {
        out->has_failed = true;
        snprintf(out->failure, sizeof out->failure, "the same seed gave %016llx and %016llx %.200s",
                 (unsigned long long)hash, (unsigned long long)world.hash, world.failure);
    }
    world_release(&world);
}

static void say(int pipe, const struct outcome *outcome)
{
    if (write(pipe, outcome, sizeof *outcome) != (ssize_t)sizeof *outcome) /* ≤ PIPE_BUF */
        child_end(3);
}

static void stretch_run(const struct runner_options *options, int pipe, uint64_t from, uint64_t to)
{
    for (uint64_t seed = from; seed < to; seed++) {
        struct outcome outcome = {.seed = seed, .is_begun = true};
        char listed[32];

        snprintf(listed, sizeof listed, ",%llu,", (unsigned long long)seed);
        if (options->skip && strstr(options->skip, listed))
            continue;
        say(pipe, &outcome);
        seed_run(options, seed, &outcome);
        say(pipe, &outcome);
    }
    child_end(0);
}

/* ---- in the parent ---- */

static void failure_tell(const struct runner_options *options, struct totals *totals, uint64_t seed,
                         const char *failure)
{
    struct world_options world = options->world;

    world.seed = seed;
    totals->failed++;
    printf("seed %llu: %s\n  again: ", (unsigned long long)seed, failure);
    runner_command(&world, options->program, stdout);
    fflush(stdout);
}

static void job_start(const struct runner_options *options, struct job *job, uint64_t from,
                      uint64_t to)
{
    int ends[2];

    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    job->pid = fork();
    if (job->pid < 0)
        abort();
    if (job->pid == 0) {
        close(ends[0]);
        stretch_run(options, ends[1], from, to);
    }
    close(ends[1]);
    job->pipe = ends[0];
    job->seed = job->next = from;
    job->end = to;
    job->since = real_ns();
}

/* Ends the job; what is left of its stretch stays in next…end. */
static void job_end(const struct runner_options *options, struct job *job, struct totals *totals)
{
    int status = 0;
    char text[64];

    close(job->pipe);
    waitpid(job->pid, &status, 0);
    job->pid = 0;
    if (job->next >= job->end || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        job->next = job->end;
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "the process died of signal %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, "the process ended with %d", WEXITSTATUS(status));
    totals->seeds++;
    failure_tell(options, totals, job->seed, text);
    job->next = job->seed + 1;
}

static void job_read(const struct runner_options *options, struct job *job, struct totals *totals)
{
    struct outcome outcome;
    ssize_t length = read(job->pipe, &outcome, sizeof outcome);

    if (length != (ssize_t)sizeof outcome) {
        job_end(options, job, totals);
        return;
    }
    job->since = real_ns();
    job->seed = outcome.seed;
    if (outcome.is_begun)
        return;
    job->next = outcome.seed + 1;
    totals->seeds++;
    totals->simulated_ns += outcome.simulated_ns;
    totals->events += outcome.events;
    totals->seen_batches += outcome.seen_batches;
    totals->acknowledged += outcome.acknowledged;
    totals->with_groups += outcome.has_groups;
    totals->group_commits += outcome.group_commits;
    totals->with_transactions += outcome.has_transactions;
    totals->transactions += outcome.transactions;
    totals->transactions_committed += outcome.transactions_committed;
    totals->transactions_aborted += outcome.transactions_aborted;
    for (size_t i = 0; i < nemesis_count; i++)
        totals->struck[i] += outcome.kinds_struck >> i & 1;
    for (int i = 0; i < FAULT_POINT_COUNT; i++) {
        totals->points_seeds[i] += outcome.points_struck[i] > 0;
        totals->points_struck[i] += outcome.points_struck[i];
    }
    if (outcome.has_failed)
        failure_tell(options, totals, outcome.seed, outcome.failure);
}

/* Which fault points struck, in how many seeds and how often; what is said of the rest. */
static void points_tell(const struct runner_options *options, struct totals *totals)
{
    uint64_t all = 0;

    for (int i = 0; i < FAULT_POINT_COUNT; i++)
        all += totals->points_struck[i];
    if (all == 0 && !options->every_point)
        return;
    printf("  fault points (seeds/times):");
    for (int i = 0; i < FAULT_POINT_COUNT; i++)
        if (totals->points_seeds[i] > 0)
            printf(" %s %llu/%llu", points_name(i), (unsigned long long)totals->points_seeds[i],
                   (unsigned long long)totals->points_struck[i]);
    printf("\n");
    for (int i = 0; i < FAULT_POINT_COUNT; i++) {
        /* Worlds have no groups: groups_test.c looks after those. */
        if (totals->points_seeds[i] > 0 || strcmp(points_area(i), "coordinator") == 0 ||
            strcmp(points_area(i), "compaction") == 0)
            continue;
        printf("  fault point %s never struck\n", points_name(i));
        totals->failed += options->every_point;
    }
}

static void totals_tell(const struct runner_options *options, const struct totals *totals,
                        int64_t elapsed_ns)
{
    double real_s = (double)elapsed_ns / 1e9, simulated_s = (double)totals->simulated_ns / 1e9;

    printf("seeds %llu-%llu: %.2f simulated hours in %.1f s (x %.0f), %.0f events/s, %llu batches "
           "acknowledged, %llu read\n  struck (seeds):",
           (unsigned long long)options->first,
           (unsigned long long)(options->first + totals->seeds - 1), simulated_s / 3600, real_s,
           simulated_s / real_s, (double)totals->events / real_s,
           (unsigned long long)totals->acknowledged, (unsigned long long)totals->seen_batches);
    for (size_t i = 0; i < nemesis_count; i++)
        printf(" %s %llu", nemeses[i]->name, (unsigned long long)totals->struck[i]);
    printf("\n  groups: %llu seeds, %llu commits of offsets acknowledged",
           (unsigned long long)totals->with_groups, (unsigned long long)totals->group_commits);
    printf("\n  transactions: %llu seeds, %llu begun, %llu committed, %llu aborted as seen",
           (unsigned long long)totals->with_transactions, (unsigned long long)totals->transactions,
           (unsigned long long)totals->transactions_committed,
           (unsigned long long)totals->transactions_aborted);
    printf("\n%llu passed, %llu failed\n", (unsigned long long)(totals->seeds - totals->failed),
           (unsigned long long)totals->failed);
}

int runner_many(const struct runner_options *options)
{
    struct job jobs[JOBS_MAX] = {{0}};
    struct totals totals = {0};
    int job_count = MAX(1, MIN(options->jobs, JOBS_MAX));
    uint64_t next = options->first, end = options->first + options->count;
    int64_t began = real_ns();

    for (;;) {
        struct pollfd polls[JOBS_MAX];
        int running = 0;
        bool is_over = totals.failed >= FAILURES_MAX ||
                       (options->seconds > 0 && real_ns() - began > options->seconds * 1000000000);

        for (int i = 0; i < job_count; i++) {
            if (jobs[i].pid == 0 && !is_over && jobs[i].next < jobs[i].end) {
                job_start(options, &jobs[i], jobs[i].next, jobs[i].end); /* its stretch goes on */
            } else if (jobs[i].pid == 0 && !is_over && next < end) {
                job_start(options, &jobs[i], next, MIN(next + STRETCH, end));
                next = MIN(next + STRETCH, end);
            }
            running += jobs[i].pid != 0;
            polls[i] = (struct pollfd){.fd = jobs[i].pid ? jobs[i].pipe : -1, .events = POLLIN};
        }
        if (running == 0)
            break;
        if (poll(polls, (nfds_t)job_count, 1000) < 0 && errno != EINTR)
            abort();
        for (int i = 0; i < job_count; i++) {
            if (jobs[i].pid == 0)
                continue;
            if (polls[i].revents != 0)
                job_read(options, &jobs[i], &totals);
            else if (real_ns() - jobs[i].since > SEED_SECONDS * 1000000000LL)
                kill(jobs[i].pid, SIGABRT); /* its own child; told as a death */
        }
    }
    if (totals.seeds >= 20 && totals.acknowledged < totals.seeds * 10) {
        printf("only %llu batches were acknowledged: this tests nothing\n",
               (unsigned long long)totals.acknowledged);
        totals.failed++;
    }
    points_tell(options, &totals);
    totals_tell(options, &totals, real_ns() - began);
    return totals.failed > 0;
}

static void line_print(void *context, const char *text)
{
    fprintf(context, "%s\n", text);
}

int runner_one(const struct runner_options *options)
{
    static struct world world;
    bool is_good = world_run(&world, &options->world);

    if (world.options.trace_count > 0)
        sim_trace(world.sim, line_print, stderr);
    if (options->history_path) {
        FILE *out = fopen(options->history_path, "w");

        if (!out)
            return 2;
        history_write(world.history, out);
        fclose(out);
    }
    world_describe(&world, stdout);
    printf("seed %llu: %s, hash %016llx, %.3f s simulated, %llu events, %zu batches sent, %zu "
           "acknowledged, %zu read\n",
           (unsigned long long)options->world.seed, is_good ? "good" : world.failure,
           (unsigned long long)world.hash, (double)world.simulated_ns / 1e9,
           (unsigned long long)world.counts.events, world.report.produced,
           world.report.acknowledged, world.report.seen_batches);
    return is_good ? 0 : 1;
}

bool runner_fails(const struct world_options *options)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        static struct world world;

        alarm(SEED_SECONDS);
        child_end(!world_run(&world, options));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

int runner_idle(const struct runner_options *options, int64_t hours)
{
    struct sim_node node;
    struct sim *sim;
    int64_t began;
    double real_s;

    if (sim_create(options->world.seed, NULL, &sim) != OK)
        return 1;
    sim_node_init(&node, sim, "node", NULL);
    if (sim_node_start(&node, 60000) != OK)
        return 1;
    began = real_ns();
    sim_run_until(sim, sim_now_ns(sim) + hours * 3600000 * MS, NULL, NULL);
    real_s = (double)(real_ns() - began) / 1e9;
    printf("idle node: %lld simulated hours in %.3f s: x %.0f\n", (long long)hours, real_s,
           (double)hours * 3600 / real_s);
    return 0;
}
