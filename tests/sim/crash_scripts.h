/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/crash_scripts.h: a node that ends between any two steps of a script. Each script runs again and again; each time
 * the node loses power or is killed at the next call to its disk, or at the next millisecond. Afterwards it starts, the
 * script ends, and the history is judged.
 *   TEST [ONE_IN [REST]]   one of so many steps is tried (1: each); those of this rest, so that runs may share the steps
 *   TEST SCRIPT STRIKE AT  for one; HISTORY=file writes its history there
 */
#ifndef TESTS_SIM_CRASH_SCRIPTS_H
#define TESTS_SIM_CRASH_SCRIPTS_H

#include "world.h"

#define CRASH_COUNTS 3

struct crash_scripts {
    const char *const *names; /* from 1 on; 0 is none */
    int count;
    int run_ms;
    void (*choose)(struct world_options *options, int script);
    /* What says that a run did something, with the least of it for each run that passed. */
    struct crash_count {
        const char *name; /* NULL: no more */
        uint64_t each_min;
    } counts[CRASH_COUNTS];
    void (*tell)(const struct history_report *report, uint64_t counts[CRASH_COUNTS]);
    /* So many runs there are at least, divided by ONE_IN up to `sparse_max`. */
    int passed_min, sparse_max;
};

int crash_scripts_main(const struct crash_scripts *scripts, int argc, char **argv);

#endif
