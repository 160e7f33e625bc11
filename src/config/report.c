/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/report.c: what there is to say about a configuration, collected so that a start names every
 * problem at once.
 */
#include "config/config_internal.h"

void config_report_init(struct config_report *report, struct arena *arena)
{
    *report = (struct config_report){.arena = arena};
}

void config_report_add(struct config_report *report, enum config_finding_kind kind,
                       struct slice key, const char *where, const char *format, ...)
{
    char detail[WHY_BYTES];
    struct config_finding *finding = ARENA_NEW(report->arena, struct config_finding);
    va_list arguments;

    va_start(arguments, format);
    fmt_list(detail, sizeof detail, format, arguments);
    va_end(arguments);
    report->count[kind]++;
    if (!finding) {
        report->no_memory = true;
        return;
    }
    finding->kind = kind;
    finding->key = key;
    finding->text = arena_format(report->arena, "%s%s", where, detail);
    if (!finding->text) {
        report->no_memory = true;
        return;
    }
    finding->detail = finding->text + strlen(where);
    if (report->last)
        report->last->next = finding;
    else
        report->first = finding;
    report->last = finding;
}

const char *config_file_where(struct arena *arena, const struct config_file *file, struct slice key)
{
    const char *where = NULL;

    for (size_t i = 0; file && i < file->set.count; i++) {
        if (!slice_equal(file->set.pairs[i].key, key))
            continue;
        where = file->lines[i] > 0
                    ? arena_format(arena, "%.*s:%d: ", SLICE_ARGS(file->name), (int)file->lines[i])
                    : "--override: ";
        break;
    }
    return where ? where : "";
}
