/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories that break a rule are caught by that rule; histories that keep them pass. Written in the lines that
 * history_check reads, so both ways in are tested.
 */
#ifndef TESTS_HISTORY_ROWS_H
#define TESTS_HISTORY_ROWS_H

#include "history.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after the three above */
#include <cmocka.h>

struct history_row {
    const char *name, *rule; /* NULL: none is broken */
    const char *lines;
};

static struct history *history_of(const char *lines)
{
    struct history *history = history_new();
    FILE *in = fmemopen((void *)(uintptr_t)lines, strlen(lines), "r");
    char why[128] = "";

    assert_non_null(in);
    if (!history_read(history, in, why, sizeof why))
        fail_msg("%s in %s", why, lines);
    fclose(in);
    return history;
}

static void history_row_check(const struct history_row *row)
{
    struct history *history = history_of(row->lines);
    struct history_report report;
    bool is_caught = false;

    history_check(history, &report);
    for (size_t k = 0; k < report.count && k < ARRAY_COUNT(report.first); k++)
        is_caught |= row->rule && strcmp(report.first[k].rule, row->rule) == 0;
    if (row->rule ? !is_caught : report.count > 0)
        fail_msg("%s: %s was expected; %zu violations, first: %s %s", row->name,
                 row->rule ? row->rule : "nothing", report.count,
                 report.count ? report.first[0].rule : "",
                 report.count ? report.first[0].text : "");
    history_free(&history);
}

/* What is written is read again. */
static void history_row_write(const struct history_row *row)
{
    struct history *history = history_of(row->lines), *again;
    char *first = NULL, *second = NULL;
    size_t first_bytes = 0, second_bytes = 0;
    FILE *out = open_memstream(&first, &first_bytes);

    history_write(history, out);
    fclose(out);
    again = history_of(first);
    out = open_memstream(&second, &second_bytes);
    history_write(again, out);
    fclose(out);
    assert_string_equal(first, second);
    free(first);
    free(second);
    history_free(&history);
    history_free(&again);
}

#endif
