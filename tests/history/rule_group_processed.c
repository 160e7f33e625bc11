/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_group_processed.c: G5: a group whose members have drained a partition has dealt with each of its offsets
 * at least once. Not judged where a power cut in flush mode os or damage may have taken records: others stand
 * at their offsets then.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdlib.h>

struct stretch {
    int32_t group, topic, partition;
    int64_t from, to;
};

static int stretch_compare(const void *left, const void *right)
{
    const struct stretch *a = left, *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->topic != b->topic)
        return a->topic < b->topic ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->from > b->from) - (a->from < b->from);
}

static bool is_same(const struct stretch *stretch, const struct history_event *event)
{
    return stretch->group == event->group && stretch->topic == event->topic &&
           stretch->partition == event->partition;
}

static bool is_damaged(const struct model *model, const struct history_event *event)
{
    for (size_t i = 0; i < model->partition_count; i++)
        if (model->partitions[i].topic == event->topic &&
            model->partitions[i].number == event->partition)
            return model->partitions[i].damaged_from != INT64_MAX;
    return false;
}

/* Records below it may have gone before the group came to them. */
static int64_t log_start_ever(const struct model *model, const struct history_event *drained)
{
    int64_t start = MAX(drained->log_start, 0);

    for (size_t i = 0; i < model->history->count; i++) {
        const struct history_event *event = event_of(model, i);

        if (event->topic == drained->topic && event->partition == drained->partition)
            start = MAX(start, event->log_start);
    }
    return start;
}

static void drained_check(struct model *model, const struct stretch *stretches, size_t count,
                          size_t number)
{
    const struct history_event *drained = event_of(model, number);
    int64_t next = log_start_ever(model, drained);

    for (size_t i = 0; i < count && next < drained->offset; i++) {
        if (!is_same(&stretches[i], drained) || stretches[i].to <= next)
            continue;
        if (stretches[i].from > next)
            break;
        next = stretches[i].to;
    }
    if (next < drained->offset)
        violation(model, "G5", number, "%s: drained up to %lld, but nobody dealt with offset %lld",
                  model_place(model, drained->group, drained->topic, drained->partition).text,
                  (long long)drained->offset, (long long)next);
}

void rule_group_processed(struct model *model)
{
    struct stretch *stretches = NULL;
    size_t count = 0, capacity = 0;

    for (size_t i = 0; i < model->history->count; i++) {
        const struct history_event *event = event_of(model, i);

        if (event->kind != HISTORY_GROUP_PROCESS)
            continue;
        *PUSH(&model->arena, stretches, count, capacity) =
            (struct stretch){event->group, event->topic, event->partition, event->offset,
                             event->offset + event->count};
    }
    model->report->group_processed = count;
    if (count > 0)
        qsort(stretches, count, sizeof *stretches, stretch_compare);
    if (model_volatile_cut_before(model, model->history->count))
        return;
    for (size_t i = 0; i < model->history->count; i++)
        if (event_of(model, i)->kind == HISTORY_GROUP_DRAINED &&
            !is_damaged(model, event_of(model, i)))
            drained_check(model, stretches, count, i);
}
