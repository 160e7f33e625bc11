/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/history_check.c: judges a history in JSON lines: history_check [FILE]. Ends with 0: nothing found;
 * 1: violations, one a line; 2: it cannot be read.
 */
#include "history.h"

int main(int argc, char **argv)
{
    FILE *in = argc > 1 ? fopen(argv[1], "r") : stdin;
    struct history *history = history_new();
    struct history_report report;
    char why[256];

    if (!in || !history_read(history, in, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", argc > 1 ? argv[1] : "stdin", in ? why : "cannot be opened");
        return 2;
    }
    history_check(history, &report);
    for (size_t i = 0; i < report.count && i < ARRAY_COUNT(report.first); i++)
        printf("%s event %zu: %s\n", report.first[i].rule, report.first[i].event + 1,
               report.first[i].text);
    printf("%zu events, %zu partitions, %zu batches sent, %zu acknowledged, %zu read, %zu "
           "violations%s\n",
           history_count(history), report.partitions, report.produced, report.acknowledged,
           report.seen_batches, report.count,
           report.is_final ? "" : "; no final read: losses at the end were not looked for");
    if (report.transactions > 0)
        printf("transactions: %zu begun, %zu committed, %zu aborted as seen\n", report.transactions,
               report.transactions_committed, report.transactions_aborted);
    if (report.group_owned + report.group_commits + report.group_offsets > 0)
        printf("groups: %zu partitions given, %zu commits acknowledged, %zu offsets read, %zu "
               "stretches processed\n",
               report.group_owned, report.group_commits, report.group_offsets,
               report.group_processed);
    history_free(&history);
    if (in != stdin)
        fclose(in);
    return report.count > 0;
}
