/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_crash_test.c: a coordinator that ends between any two steps (crash_scripts.h). Four scripts: classic groups,
 * eager and cooperative; KIP-848; up to it and back. No committed offset is lost, no partition has two owners, nothing
 * stale is committed, all is processed, and every group is whole and drained in time.
 */
#include "crash_scripts.h"
#include "group.h"

static const char *const names[SCRIPT_COUNT] = {"none", "eager", "cooperative", "modern",
                                                "migration"};

static void choose(struct world_options *options, int script)
{
    options->group_script = script;
}

static void tell(const struct history_report *report, uint64_t counts[CRASH_COUNTS])
{
    counts[0] = report->group_commits;
}

int main(int argc, char **argv)
{
    static const struct crash_scripts scripts = {
        .names = names,
        .count = SCRIPT_COUNT,
        .run_ms = 650,
        .choose = choose,
        .counts = {{"commits", 5}},
        .tell = tell,
        .passed_min = 100,
        .sparse_max = 10,
    };

    return crash_scripts_main(&scripts, argc, argv);
}
