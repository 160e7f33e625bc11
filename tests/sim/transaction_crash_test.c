/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/transaction_crash_test.c: a node that ends between any two steps of a transaction (crash_scripts.h): every write and
 * every sync of the coordinator's log, of the data and of the markers is one. Five scripts: both protocols, commits and
 * aborts in turn, with offsets and without; successors that fence their predecessors. All or nothing, no answer taken
 * back, nobody fenced comes through, last stable offset at the end of each log, no transaction left open.
 */
#include "crash_scripts.h"
#include "transaction.h"

static const char *const names[TRANSACTION_SCRIPT_COUNT] = {
    "none",  "protocol 1", "protocol 2", "protocol 1 with offsets", "protocol 2 with offsets",
    "fenced"};

static void choose(struct world_options *options, int script)
{
    options->transaction_script = script;
}

static void tell(const struct history_report *report, uint64_t counts[CRASH_COUNTS])
{
    counts[0] = report->transactions;
    counts[1] = report->transactions_committed;
    counts[2] = report->transactions_aborted;
}

int main(int argc, char **argv)
{
    static const struct crash_scripts scripts = {
        .names = names,
        .count = TRANSACTION_SCRIPT_COUNT,
        .run_ms = 450,
        .choose = choose,
        .counts = {{"transactions", 0}, {"committed", 1}, {"aborted as seen", 1}},
        .tell = tell,
        .passed_min = 200,
        .sparse_max = 20,
    };

    return crash_scripts_main(&scripts, argc, argv);
}
