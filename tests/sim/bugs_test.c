/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/bugs_test.c: would the simulation find the bugs that others had? Each bug of base/bug.h is switched on in turn
 * and seeds run until one fails; a bug that no seed finds within its limit fails the test, and so does a judge
 * that fails without any bug.
 *   bugs_test [--bug NAME] [--sound SEEDS] [--list]
 * Each seed runs in a process of its own: bugs may end it, and nodes that crash leave their memory behind.
 */
#include "base/assert.h"
#include "base/bug.h"
#include "child_end.h"
#include "prober.h"
#include "world.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILURE_BYTES 1024
#define SEED_SECONDS 60

typedef bool judge_run(uint64_t seed, char *failure, size_t failure_bytes);

static bool world_judge(uint64_t seed, char *failure, size_t failure_bytes)
{
    static struct world world;
    struct world_options options = {.seed = seed, .with_transactions = -1};
    bool passes = world_run(&world, &options);

    snprintf(failure, failure_bytes, "%s", world.failure);
    world_release(&world);
    return passes;
}

static bool groups_judge(uint64_t seed, char *failure, size_t failure_bytes)
{
    static struct world world;
    struct world_options options = {.seed = seed, .with_groups = 1, .with_transactions = -1};
    bool passes = world_run(&world, &options);

    snprintf(failure, failure_bytes, "%s", world.failure);
    world_release(&world);
    return passes;
}

static bool transactions_judge(uint64_t seed, char *failure, size_t failure_bytes)
{
    static struct world world;
    struct world_options options = {.seed = seed, .with_transactions = 1};
    bool passes = world_run(&world, &options);

    snprintf(failure, failure_bytes, "%s", world.failure);
    world_release(&world);
    return passes;
}

static const struct judge {
    const char *name;
    judge_run *run;
} judges[] = {{"prober", prober_run},
              {"span", prober_span_run},
              {"world", world_judge},
              {"groups", groups_judge},
              {"transactions", transactions_judge}};
enum judge_number { PROBER, SPAN, WORLD, GROUPS, TRANSACTIONS };

/* Who has to find it, and within how many seeds. */
static const struct {
    enum bug bug;
    enum judge_number judge;
    uint64_t limit;
} expected[] = {
    {BUG_ack_before_commit, PROBER, 200},
    {BUG_watermark_of_written, PROBER, 200},
    {BUG_data_not_synced, PROBER, 200},
    {BUG_directory_not_synced, PROBER, 200},
    {BUG_snapshot_not_synced, PROBER, 2000},
    {BUG_epochs_not_synced, PROBER, 2000},
    {BUG_write_after_failure, PROBER, 200},
    {BUG_failed_write_acknowledged, PROBER, 500},
    {BUG_sync_tried_again, PROBER, 500},
    {BUG_clean_marker_kept, PROBER, 1000},
    {BUG_clean_marker_unlink_not_synced, PROBER, 20000},
    {BUG_torn_tail_kept, PROBER, 200},
    {BUG_recovery_checks_no_crc, PROBER, 4000},
    {BUG_recovery_point_early, WORLD, 4000},
    {BUG_index_offset_overflow, SPAN, 20},
    {BUG_index_trusted, PROBER, 500},
    {BUG_index_end_missing, PROBER, 500},
    {BUG_read_past_watermark, PROBER, 500},
    {BUG_read_past_watermark, WORLD, 50},
    {BUG_sequence_does_not_wrap, PROBER, 200},
    {BUG_producers_not_replayed, PROBER, 200},
    {BUG_one_batch_remembered, PROBER, 200},
    {BUG_epoch_kept_of_refused, PROBER, 200},
    {BUG_duplicate_before_commit, PROBER, 1000},
    {BUG_answers_out_of_order, PROBER, 200},
    {BUG_turns_overtaken, WORLD, 1000},
    {BUG_start_not_checkpointed, PROBER, 500},
    {BUG_tail_believed_after_failed_sync, PROBER, 2000},
    {BUG_index_repaired_in_place, PROBER, 5000},
    {BUG_metadata_before_sync, PROBER, 2000},
    {BUG_vote_before_sync, PROBER, 500},
    {BUG_producer_ids_twice, PROBER, 200},
    {BUG_shared_range_outlives_segment, WORLD, 1000},
    {BUG_producer_epoch_not_fenced, PROBER, 200},
    {BUG_offsets_before_commit, GROUPS, 1000},
    {BUG_stale_generation_commits, GROUPS, 1000},
    {BUG_static_member_not_fenced, GROUPS, 1000},
    {BUG_partition_given_early, GROUPS, 200},
    {BUG_join_does_not_wait, GROUPS, 200},
    {BUG_sessions_not_resumed, GROUPS, 200},
    {BUG_markers_before_prepare, TRANSACTIONS, 2000},
    {BUG_complete_before_markers, TRANSACTIONS, 1000},
    {BUG_txn_offsets_before_marker, TRANSACTIONS, 200},
    {BUG_aborted_list_cut, TRANSACTIONS, 200},
    {BUG_successor_epoch_kept, TRANSACTIONS, 200},
    {BUG_overdue_by_wall_clock, TRANSACTIONS, 1000},
    {BUG_transaction_not_verified, TRANSACTIONS, 1000},
    {BUG_stable_before_marker_commits, TRANSACTIONS, 2000},
    {BUG_snapshots_outlive_markers, TRANSACTIONS, 4000},
};

static const struct bug_text {
    const char *name, *origin, *text;
} texts[BUG_COUNT] = {
#define X(name, origin, text) [BUG_##name] = {#name, origin, text},
    BUG_LIST(X)
#undef X
};

/* ---- one seed in its own process ---- */

static int failure_pipe;

static void assertion_failed(const char *condition, const char *file, int line,
                             const char *function)
{
    char text[FAILURE_BYTES];
    const char *name = strrchr(file, '/');
    int length = snprintf(text, sizeof text, "the node's own assertion: %s (%s:%d, %s)", condition,
                          name ? name + 1 : file, line, function);

    if (write(failure_pipe, text, (size_t)length) < 0)
        child_end(3);
    child_end(1);
}

static void child_run(enum bug bug, const struct judge *judge, uint64_t seed)
{
    char failure[FAILURE_BYTES] = "";

    assert_hook_set(assertion_failed);
    bug_set(bug);
    alarm(SEED_SECONDS);
    if (judge->run(seed, failure, sizeof failure))
        child_end(0);
    if (write(failure_pipe, failure, strlen(failure)) < 0)
        child_end(3);
    child_end(1);
}

/* True: it passed. */
static bool seed_passes(enum bug bug, const struct judge *judge, uint64_t seed,
                        char failure[FAILURE_BYTES])
{
    size_t length = 0;
    int ends[2], status = 0;
    pid_t child;

    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        close(ends[0]);
        failure_pipe = ends[1];
        child_run(bug, judge, seed);
    }
    close(ends[1]);
    for (ssize_t got; length < FAILURE_BYTES - 1 &&
                      (got = read(ends[0], failure + length, FAILURE_BYTES - 1 - length)) > 0;)
        length += (size_t)got;
    failure[length] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        snprintf(failure, FAILURE_BYTES, "%s",
                 WTERMSIG(status) == SIGALRM ? "it hangs" : "the process died of a signal");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- the table ---- */

static bool bug_is_found(size_t row)
{
    const struct bug_text *text = &texts[expected[row].bug];
    const struct judge *judge = &judges[expected[row].judge];
    char failure[FAILURE_BYTES];

    for (uint64_t seed = 1; seed <= expected[row].limit; seed++) {
        char without[FAILURE_BYTES];

        /* What fails without the bug says nothing of it. */
        if (seed_passes(expected[row].bug, judge, seed, failure) ||
            !seed_passes(BUG_none, judge, seed, without))
            continue;
        printf("| %s | %s | %s | %s | %llu of %llu | %.160s |\n", text->name, text->origin,
               text->text, judge->name, (unsigned long long)seed,
               (unsigned long long)expected[row].limit, failure);
        return true;
    }
    printf("| %s | %s | %s | %s | NOT FOUND in %llu | |\n", text->name, text->origin, text->text,
           judge->name, (unsigned long long)expected[row].limit);
    return false;
}

/* Without a bug nothing may be found. */
static bool judge_is_sound(const struct judge *judge, uint64_t seeds)
{
    char failure[FAILURE_BYTES];
    int failed = 0;

    for (uint64_t seed = 1; seed <= seeds && failed < 5; seed++) {
        if (seed_passes(BUG_none, judge, seed, failure))
            continue;
        printf("%s fails without a bug: seed %llu: %s\n", judge->name, (unsigned long long)seed,
               failure);
        failed++;
    }
    return failed == 0;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"bug", 1, NULL, 'b'},   {"sound", 1, NULL, 's'},
                                          {"judge", 1, NULL, 'j'}, {"seed", 1, NULL, 'n'},
                                          {"list", 0, NULL, 'l'},  {0}};
    const char *only = NULL, *judge_name = NULL;
    uint64_t sound = 100, seed = 0;
    int passed = 0, failed = 0, option;
    enum bug bug = BUG_none;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'b':
            only = optarg;
            break;
        case 's':
            sound = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            judge_name = optarg;
            break;
        case 'n':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'l':
            for (int i = 1; i < BUG_COUNT; i++)
                printf("%s\n", texts[i].name);
            return 0;
        default:
            return 2;
        }
    }
    for (int i = 1; only && i < BUG_COUNT; i++)
        if (strcmp(texts[i].name, only) == 0)
            bug = (enum bug)i;
    if (seed > 0) { /* one, in this process, for the debugger */
        char failure[FAILURE_BYTES] = "";

        for (size_t i = 0; i < ARRAY_COUNT(judges); i++) {
            if (strcmp(judges[i].name, judge_name ? judge_name : "prober") != 0)
                continue;
            bug_set(bug);
            failed = !judges[i].run(seed, failure, sizeof failure);
            printf("seed %llu: %s\n", (unsigned long long)seed, failed ? failure : "passes");
        }
        return failed;
    }
    for (size_t i = 0; i < ARRAY_COUNT(judges) && sound > 0; i++) {
        if (judge_name && strcmp(judges[i].name, judge_name) != 0)
            continue;
        if (judge_is_sound(&judges[i], sound))
            passed++;
        else
            failed++;
    }
    printf("| bug | seen in, or promise | what is wrong | judge | seeds | what it said |\n"
           "|---|---|---|---|---|---|\n");
    for (size_t row = 0; row < ARRAY_COUNT(expected); row++) {
        if ((only && expected[row].bug != bug) ||
            (judge_name && strcmp(judges[expected[row].judge].name, judge_name) != 0))
            continue;
        if (bug_is_found(row))
            passed++;
        else
            failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
