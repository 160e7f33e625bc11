/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/runner.h: worlds by the thousand. Each process runs a stretch of seeds and ends: the memory that crashed
 * nodes leave behind goes with it, and a seed that kills its process is told like any other failure.
 */
#ifndef TESTS_SIM_RUNNER_H
#define TESTS_SIM_RUNNER_H

#include "world.h"

struct runner_options {
    const char *program;
    uint64_t first, count;
    int64_t seconds; /* 0: no limit */
    int jobs;
    uint64_t twice_one_in; /* share of the seeds that run twice; 0: none */
    bool every_point;      /* a fault point that no seed struck is a failure */
    const char *history_path;
    const char *skip; /* ",3,17,": seeds that are passed over; NULL: none */
    struct world_options world;
};

/* What main returns: 0: nothing found. */
int runner_many(const struct runner_options *options);
int runner_one(const struct runner_options *options);
/* shrink.c: leaves out what the failure of one seed does not need, and prints the command. */
int runner_shrink(const struct runner_options *options);
/* One idle node for so long; prints simulated ÷ real time. */
int runner_idle(const struct runner_options *options, int64_t hours);
/* Runs it in a process of its own. True: it failed. */
bool runner_fails(const struct world_options *world);
void runner_command(const struct world_options *world, const char *program, FILE *out);

#endif
