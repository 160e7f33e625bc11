/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/world_test.c: runs worlds, a seed each, in several processes; says how each failure is run again; runs a
 * share of the seeds twice and compares their hashes; shrinks. docs/design/simulation.md, "Whole worlds".
 *   sim_world [--seeds N] [--first N] [--seconds N] [--jobs N] [--seed N] [--twice-one-in N]
 *             [--without KIND,…] [--without-faults N,…] [--run-ms N] [--history FILE] [--trace N] [--quiet]
 *             [--shrink] [--idle HOURS] [--skip SEED,…] [--without-points NAME,…] [--every-point]
 *             [--groups always|never] [--transactions always|never]
 */
#include "points.h"
#include "runner.h"

#include "base/assert.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum option_number {
    OPTION_SEEDS,
    OPTION_FIRST,
    OPTION_SECONDS,
    OPTION_JOBS,
    OPTION_SEED,
    OPTION_TWICE,
    OPTION_WITHOUT,
    OPTION_WITHOUT_FAULTS,
    OPTION_RUN_MS,
    OPTION_HISTORY,
    OPTION_TRACE,
    OPTION_QUIET,
    OPTION_SHRINK,
    OPTION_IDLE,
    OPTION_SKIP,
    OPTION_WITHOUT_POINTS,
    OPTION_EVERY_POINT,
    OPTION_GROUPS,
    OPTION_TRANSACTIONS,
};
static const struct option_name {
    const char *name;
    int has_argument;
} option_names[] = {
    {"seeds", 1},       {"first", 1},        {"seconds", 1},      {"jobs", 1},
    {"seed", 1},        {"twice-one-in", 1}, {"without", 1},      {"without-faults", 1},
    {"run-ms", 1},      {"history", 1},      {"trace", 1},        {"quiet", 0},
    {"shrink", 0},      {"idle", 1},         {"skip", 1},         {"without-points", 1},
    {"every-point", 0}, {"groups", 1},       {"transactions", 1},
};

static uint32_t kinds_parse(char *text)
{
    uint32_t set = 0;
    char *rest = NULL;

    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;

        while (i < nemesis_count && strcmp(nemeses[i]->name, word) != 0)
            i++;
        if (i == nemesis_count) {
            fprintf(stderr, "no such kind of fault: %s\n", word);
            exit(2);
        }
        set |= 1u << i;
    }
    return set;
}

static uint32_t numbers_parse(char *text)
{
    uint32_t set = 0;
    char *rest = NULL;

    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        set |= 1u << (strtoul(word, NULL, 10) % WORLD_FAULTS_MAX);
    return set;
}

int main(int argc, char **argv)
{
    struct runner_options options = {
        .program = argv[0], .first = 1, .count = 200, .jobs = 1, .twice_one_in = 50};
    struct option names[ARRAY_COUNT(option_names) + 1] = {{0}};
    bool is_one = false, is_quiet = false, is_shrinking = false;
    int64_t idle_hours = 0;
    int option, index = 0;

    for (size_t i = 0; i < ARRAY_COUNT(option_names); i++)
        names[i] = (struct option){option_names[i].name, option_names[i].has_argument, NULL, 0};
    while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
        if (option != 0)
            return 2;
        switch ((enum option_number)index) {
        case OPTION_SEEDS:
            options.count = strtoull(optarg, NULL, 10);
            break;
        case OPTION_FIRST:
            options.first = strtoull(optarg, NULL, 10);
            break;
        case OPTION_SECONDS:
            options.seconds = strtoll(optarg, NULL, 10);
            options.count = UINT64_MAX - options.first;
            break;
        case OPTION_JOBS:
            options.jobs = (int)strtol(optarg, NULL, 10);
            break;
        case OPTION_SEED:
            options.world.seed = strtoull(optarg, NULL, 10);
            is_one = true;
            break;
        case OPTION_TWICE:
            options.twice_one_in = strtoull(optarg, NULL, 10);
            break;
        case OPTION_WITHOUT:
            options.world.kinds_without = kinds_parse(optarg);
            break;
        case OPTION_WITHOUT_FAULTS:
            options.world.faults_without = numbers_parse(optarg);
            break;
        case OPTION_WITHOUT_POINTS:
            if (!points_parse(optarg, &options.world.points_without)) {
                fprintf(stderr, "no such fault points: %s\n", optarg);
                return 2;
            }
            break;
        case OPTION_EVERY_POINT:
            options.every_point = true;
            break;
        case OPTION_GROUPS:
            options.world.with_groups = strcmp(optarg, "never") == 0 ? -1 : 1;
            break;
        case OPTION_TRANSACTIONS:
            options.world.with_transactions = strcmp(optarg, "never") == 0 ? -1 : 1;
            break;
        case OPTION_RUN_MS:
            options.world.run_ms = strtoll(optarg, NULL, 10);
            break;
        case OPTION_HISTORY:
            options.history_path = optarg;
            break;
        case OPTION_TRACE:
            options.world.trace_count = strtoull(optarg, NULL, 10);
            break;
        case OPTION_QUIET:
            is_quiet = true;
            break;
        case OPTION_SHRINK:
            is_shrinking = true;
            break;
        case OPTION_SKIP: {
            static char listed[4096];

            snprintf(listed, sizeof listed, ",%s,", optarg);
            options.skip = listed;
            break;
        }
        case OPTION_IDLE:
            idle_hours = strtoll(optarg, NULL, 10);
            break;
        }
    }
    if (idle_hours > 0)
        return runner_idle(&options, idle_hours);
    if (is_shrinking)
        return runner_shrink(&options);
    if (is_one) {
        options.world.is_loud = !is_quiet;
        return runner_one(&options);
    }
    return runner_many(&options);
}
