/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_group_offsets.c: G2: a committed offset goes away or back only by a commit, a deletion of the offset, its
 * group or its topic, or expiry. Each (group, topic, partition) is a register: what is read must be what some
 * write left there, and no write or read of another value may lie wholly between that write and the read.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdlib.h>

struct access {
    int32_t group, topic, partition; /* -1: all */
    int64_t value;                   /* -1: none */
    size_t invoked, ended;           /* a write that may take effect for ever: NO_EVENT */
    bool is_read, is_certain;        /* a write that has taken effect */
};
struct register_run { /* all of one register */
    const struct access *items;
    size_t count;
};
struct offsets {
    struct model *model;
    struct access *items; /* of one register each */
    size_t count, capacity;
    struct access *wide; /* deletions of groups and topics, expiry */
    size_t wide_count, wide_capacity;
};

static int access_compare(const void *left, const void *right)
{
    const struct access *a = left, *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->topic != b->topic)
        return a->topic < b->topic ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->invoked > b->invoked) - (a->invoked < b->invoked);
}

static void collect(struct offsets *offsets, enum history_kind kind)
{
    struct model *model = offsets->model;
    size_t count;
    struct operation **list = model_operations(model, kind, &count);

    for (size_t i = 0; i < count; i++) {
        const struct operation *operation = list[i];
        const struct history_event *sent = event_of(model, operation->invoked);
        bool is_done = ended_as(model, operation, HISTORY_OK);
        struct access access = {.group = sent->group,
                                .topic = sent->topic,
                                .partition = sent->partition,
                                .value = -1,
                                .invoked = operation->invoked,
                                .ended = is_done ? operation->ended : NO_EVENT,
                                .is_read = kind == HISTORY_GROUP_OFFSET,
                                .is_certain = is_done};

        if (ended_as(model, operation, HISTORY_FAIL) || (access.is_read && !is_done))
            continue;
        if (kind == HISTORY_GROUP_COMMIT)
            access.value = sent->offset;
        else if (access.is_read)
            access.value = event_of(model, operation->ended)->offset;
        model->report->group_commits += kind == HISTORY_GROUP_COMMIT && is_done;
        model->report->group_offsets += access.is_read;
        if (kind == HISTORY_GROUP_DELETE || kind == HISTORY_DELETE_TOPIC) {
            /* A deleted topic's offsets go some time after the answer. */
            access.ended = kind == HISTORY_DELETE_TOPIC ? NO_EVENT : access.ended;
            access.is_certain = kind == HISTORY_GROUP_DELETE && is_done;
            *PUSH(&model->arena, offsets->wide, offsets->wide_count, offsets->wide_capacity) =
                access;
        } else {
            *PUSH(&model->arena, offsets->items, offsets->count, offsets->capacity) = access;
        }
    }
}

static void expiries_collect(struct offsets *offsets)
{
    struct model *model = offsets->model;

    for (size_t i = 0; i < model->history->count; i++)
        if (event_of(model, i)->kind == HISTORY_MARK &&
            event_of(model, i)->mark == HISTORY_MARK_EXPIRE)
            *PUSH(&model->arena, offsets->wide, offsets->wide_count, offsets->wide_capacity) =
                (struct access){.group = -1,
                                .topic = -1,
                                .partition = -1,
                                .value = -1,
                                .invoked = i,
                                .ended = NO_EVENT};
}

/* Up to the read's end: the last cut that may have taken writes away. */
static size_t last_volatile_cut(const struct model *model, size_t until)
{
    size_t last = NO_EVENT;

    for (size_t i = 0; i < model->power_cut_count; i++)
        if (model->power_cuts[i] < until &&
            event_of(model, model->power_cuts[i])->mark == HISTORY_MARK_POWER_CUT_VOLATILE)
            last = model->power_cuts[i];
    return last;
}

static bool concerns(const struct access *wide, const struct access *read)
{
    return (wide->group < 0 || wide->group == read->group) &&
           (wide->topic < 0 || wide->topic == read->topic);
}

struct search {
    const struct access *read;
    size_t cut;
    bool is_covered; /* another value stood there since this event */
    size_t covered;
    bool is_found;
};

static void look_for_cover(struct search *search, const struct access *other)
{
    if (!other->is_certain || other->value == search->read->value ||
        other->ended >= search->read->invoked ||
        (search->cut != NO_EVENT && other->invoked < search->cut))
        return;
    search->is_covered = true;
    search->covered = MAX(search->covered, other->invoked);
}

static void look_for_source(struct search *search, const struct access *write)
{
    search->is_found |= !write->is_read && write->value == search->read->value &&
                        write->invoked < search->read->ended && write->ended >= search->covered;
}

static void read_check(struct offsets *offsets, const struct register_run *run,
                       const struct access *read)
{
    struct model *model = offsets->model;
    struct search search = {.read = read, .cut = last_volatile_cut(model, read->ended)};

    for (size_t i = 0; i < run->count; i++)
        look_for_cover(&search, &run->items[i]);
    for (size_t i = 0; i < offsets->wide_count; i++)
        if (concerns(&offsets->wide[i], read))
            look_for_cover(&search, &offsets->wide[i]);
    /* None at the beginning, nor behind a cut that may have taken all. */
    search.is_found = read->value < 0 && (!search.is_covered || search.cut != NO_EVENT);
    for (size_t i = 0; i < run->count && !search.is_found; i++)
        look_for_source(&search, &run->items[i]);
    for (size_t i = 0; i < offsets->wide_count && !search.is_found; i++)
        if (concerns(&offsets->wide[i], read))
            look_for_source(&search, &offsets->wide[i]);
    if (!search.is_found)
        violation(model, "G2", read->ended,
                  "%s: %lld was read; it was never committed, or another value stood there later, "
                  "at event %zu",
                  model_place(model, read->group, read->topic, read->partition).text,
                  (long long)read->value, search.covered + 1);
}

void rule_group_offsets(struct model *model)
{
    struct offsets offsets = {.model = model};

    collect(&offsets, HISTORY_GROUP_COMMIT);
    collect(&offsets, HISTORY_GROUP_OFFSET);
    collect(&offsets, HISTORY_GROUP_DELETE_OFFSET);
    collect(&offsets, HISTORY_GROUP_DELETE);
    collect(&offsets, HISTORY_DELETE_TOPIC);
    expiries_collect(&offsets);
    if (offsets.count > 0)
        qsort(offsets.items, offsets.count, sizeof *offsets.items, access_compare);
    for (size_t from = 0, to; from < offsets.count; from = to) {
        struct register_run run;

        for (to = from + 1; to < offsets.count &&
                            offsets.items[to].group == offsets.items[from].group &&
                            offsets.items[to].topic == offsets.items[from].topic &&
                            offsets.items[to].partition == offsets.items[from].partition;)
            to++;
        run = (struct register_run){&offsets.items[from], to - from};
        for (size_t i = from; i < to; i++)
            if (offsets.items[i].is_read)
                read_check(&offsets, &run, &offsets.items[i]);
    }
}
