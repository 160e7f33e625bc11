/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/model.c: joins invocations and ends, sorts operations and sights by partition.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdlib.h>

void violation(struct model *model, const char *rule, size_t event, const char *format, ...)
{
    struct history_report *report = model->report;
    va_list arguments;

    if (report->count++ >= ARRAY_COUNT(report->first))
        return;
    va_start(arguments, format);
    report->first[report->count - 1] = (struct history_violation){.rule = rule, .event = event};
    vsnprintf(report->first[report->count - 1].text, sizeof report->first[0].text, format,
              arguments);
    va_end(arguments);
}

void *model_grown(struct arena *arena, void *items, size_t count, size_t *capacity,
                  size_t item_bytes)
{
    void *larger;

    if (count < *capacity)
        return items;
    *capacity = *capacity * 2 + 16;
    larger = arena_zeroed(arena, *capacity, item_bytes);
    ASSERT(larger != NULL);
    if (count > 0)
        memcpy(larger, items, count * item_bytes);
    return larger;
}

struct place_text model_place(const struct model *model, int32_t group, int32_t topic,
                              int32_t partition)
{
    struct place_text place;

    snprintf(place.text, sizeof place.text, "%s %s-%d", name_of(model, group),
             topic < 0 ? "?" : model->history->topics[topic], partition);
    return place;
}

struct end_key {
    int64_t op;
    size_t event;
};

static int end_compare(const void *left, const void *right)
{
    const struct end_key *a = left, *b = right;

    if (a->op != b->op)
        return a->op < b->op ? -1 : 1;
    return (a->event > b->event) - (a->event < b->event);
}

static int sight_compare(const void *left, const void *right)
{
    const struct sight *a = left, *b = right;

    if (a->era != b->era)
        return a->era < b->era ? -1 : 1;
    if (a->batch->base_offset != b->batch->base_offset)
        return a->batch->base_offset < b->batch->base_offset ? -1 : 1;
    return (a->ended > b->ended) - (a->ended < b->ended);
}

static int value_compare(const struct model *model, const struct operation *a, int64_t value)
{
    int64_t own = event_of(model, a->invoked)->first_value;

    return (own > value) - (own < value);
}

struct value_key {
    int64_t first_value;
    struct operation *operation;
};

static int value_key_compare(const void *left, const void *right)
{
    const struct value_key *a = left, *b = right;

    return (a->first_value > b->first_value) - (a->first_value < b->first_value);
}

struct operation *model_produce_of(const struct model *model, int64_t value)
{
    size_t low = 0, high = model->produce_count;

    while (low < high) { /* the last one that begins at or before the value */
        size_t middle = (low + high) / 2;

        if (value_compare(model, model->by_value[middle], value) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        const struct history_event *invoked = event_of(model, model->by_value[low - 1]->invoked);

        if (value < invoked->first_value + invoked->count)
            return model->by_value[low - 1];
    }
    return NULL;
}

uint32_t partition_era(const struct partition *partition, size_t event)
{
    uint32_t era = 0;

    while (era < partition->cut_count && partition->cuts[era] < event)
        era++;
    return era;
}

bool model_power_cut_between(const struct model *model, size_t from, size_t to)
{
    for (size_t i = 0; i < model->power_cut_count; i++)
        if (model->power_cuts[i] > from && model->power_cuts[i] < to)
            return true;
    return false;
}

bool model_volatile_cut_before(const struct model *model, size_t event)
{
    for (size_t i = 0; i < model->power_cut_count && model->power_cuts[i] < event; i++)
        if (event_of(model, model->power_cuts[i])->mark == HISTORY_MARK_POWER_CUT_VOLATILE)
            return true;
    return false;
}

/* What a cut left for certain stands behind it, before the next one. */
static int64_t synced_after(const struct partition *partition, size_t cut, size_t next_cut)
{
    for (size_t i = 0; i < partition->synced_count; i++)
        if (partition->synced[i].event > cut && partition->synced[i].event < next_cut)
            return partition->synced[i].offset;
    return 0;
}

bool partition_volatile_takes(const struct model *model, const struct partition *partition,
                              size_t from, size_t to, int64_t end)
{
    for (size_t i = 0; i < model->power_cut_count; i++) {
        size_t cut = model->power_cuts[i];
        size_t next_cut = i + 1 < model->power_cut_count ? model->power_cuts[i + 1] : NO_EVENT;

        if (cut > from && cut < to &&
            event_of(model, cut)->mark == HISTORY_MARK_POWER_CUT_VOLATILE &&
            end > synced_after(partition, cut, next_cut))
            return true;
    }
    return false;
}

static struct partition *partition_get(struct model *model, size_t *capacity, int32_t topic,
                                       int32_t number)
{
    struct partition *partition;

    for (size_t i = 0; i < model->partition_count; i++)
        if (model->partitions[i].topic == topic && model->partitions[i].number == number)
            return &model->partitions[i];
    partition = PUSH(&model->arena, model->partitions, model->partition_count, *capacity);
    *partition = (struct partition){.topic = topic,
                                    .number = number,
                                    .damaged_from = INT64_MAX,
                                    .damaged_at = NO_EVENT,
                                    .rotted_snapshot_at = NO_EVENT};
    return partition;
}

/* Whole operations, ordered by op. An end without an invocation is its own invocation: what was recorded by
 * somebody who saw only answers. */
static void operations_join(struct model *model)
{
    const struct history *history = model->history;
    struct end_key *keys = arena_zeroed(&model->arena, history->count + 1, sizeof *keys);
    size_t count = 0, capacity = 0;

    model->next_end = arena_zeroed(&model->arena, history->count + 1, sizeof *model->next_end);
    ASSERT(keys != NULL && model->next_end != NULL);
    for (size_t i = 0; i < history->count; i++) {
        model->next_end[i] = NO_EVENT;
        if (history->events[i].kind != HISTORY_MARK)
            keys[count++] = (struct end_key){history->events[i].op, i};
    }
    qsort(keys, count, sizeof *keys, end_compare);
    for (size_t i = 0; i < count; i++) {
        struct operation *last =
            model->operation_count ? &model->operations[model->operation_count - 1] : NULL;
        bool is_end = history->events[keys[i].event].phase != HISTORY_INVOKE;

        if (is_end && last && last->op == keys[i].op && keys[i].op >= 0) {
            if (last->ended != NO_EVENT)
                model->next_end[last->ended] = keys[i].event;
            else
                last->first_end = keys[i].event;
            last->ended = keys[i].event; /* the last end counts: unknown may become known */
            continue;
        }
        *PUSH(&model->arena, model->operations, model->operation_count, capacity) =
            (struct operation){.op = keys[i].op,
                               .invoked = keys[i].event,
                               .ended = is_end ? keys[i].event : NO_EVENT,
                               .first_end = is_end ? keys[i].event : NO_EVENT};
    }
}

static int by_end(const void *left, const void *right)
{
    const struct operation *a = *(struct operation *const *)left,
                           *b = *(struct operation *const *)right;

    return (a->ended > b->ended) - (a->ended < b->ended);
}

static int by_invocation(const void *left, const void *right)
{
    const struct operation *a = *(struct operation *const *)left,
                           *b = *(struct operation *const *)right;

    return (a->invoked > b->invoked) - (a->invoked < b->invoked);
}

struct operation **model_operations(struct model *model, enum history_kind kind, size_t *count_out)
{
    struct operation **list = NULL;
    size_t count = 0, capacity = 0;

    for (size_t i = 0; i < model->operation_count; i++)
        if (event_of(model, model->operations[i].invoked)->kind == kind)
            *PUSH(&model->arena, list, count, capacity) = &model->operations[i];
    if (count > 0)
        qsort((void *)list, count, sizeof *list, by_invocation);
    *count_out = count;
    return list;
}

static void operation_place(struct model *model, struct operation *operation, size_t *partitions,
                            size_t *produces)
{
    const struct history_event *event = event_of(model, operation->invoked);
    struct partition *partition;

    if (event->topic < 0 || event->partition < 0 || event->kind > HISTORY_DELETE_RECORDS)
        return;
    partition = partition_get(model, partitions, event->topic, event->partition);
    if (event->kind == HISTORY_PRODUCE) {
        *PUSH(&model->arena, partition->produces, partition->produce_count,
              partition->produce_capacity) = operation;
        *PUSH(&model->arena, model->by_value, model->produce_count, *produces) = operation;
        model->report->produced++;
        model->report->acknowledged += ended_as(model, operation, HISTORY_OK);
    } else {
        *PUSH(&model->arena, partition->asks, partition->ask_count, partition->ask_capacity) =
            operation;
    }
}

static void marks_place(struct model *model, size_t *partitions)
{
    const struct history *history = model->history;
    size_t capacity = 0;

    for (size_t i = 0; i < history->count; i++) {
        const struct history_event *event = &history->events[i];
        bool is_cut =
            event->mark == HISTORY_MARK_POWER_CUT || event->mark == HISTORY_MARK_POWER_CUT_VOLATILE;

        if (event->kind == HISTORY_DELETE_TOPIC && event->phase == HISTORY_INVOKE) {
            for (size_t k = 0; k < model->partition_count; k++)
                model->partitions[k].may_be_gone |= model->partitions[k].topic == event->topic;
        }
        if (event->kind == HISTORY_CREATE_TOPIC && event->is_compacted == 1)
            for (size_t k = 0; k < model->partition_count; k++)
                model->partitions[k].is_compacted |= model->partitions[k].topic == event->topic;
        if (event->kind != HISTORY_MARK)
            continue;
        if (is_cut)
            *PUSH(&model->arena, model->power_cuts, model->power_cut_count, capacity) = i;
        if (event->mark == HISTORY_MARK_FINAL)
            model->final_mark = i;
        if (event->mark == HISTORY_MARK_FORGET)
            model->forget_mark = MIN(model->forget_mark, i);
        if (event->mark == HISTORY_MARK_DISK_FAULT)
            model->disk_fault_mark = MIN(model->disk_fault_mark, i);
        if (event->mark == HISTORY_MARK_SNAPSHOT_ROT) {
            struct partition *partition =
                partition_get(model, partitions, event->topic, event->partition);

            partition->rotted_snapshot_at = MIN(partition->rotted_snapshot_at, i);
        }
        if (event->mark == HISTORY_MARK_SYNCED) {
            struct partition *partition =
                partition_get(model, partitions, event->topic, event->partition);

            *PUSH(&model->arena, partition->synced, partition->synced_count,
                  partition->synced_capacity) = (struct synced){i, event->offset};
        }
        if (event->mark == HISTORY_MARK_DAMAGE) {
            struct partition *partition =
                partition_get(model, partitions, event->topic, event->partition);

            partition->damaged_at = MIN(partition->damaged_at, i);
            partition->damaged_from = MIN(partition->damaged_from, event->offset);
            *PUSH(&model->arena, partition->cuts, partition->cut_count, partition->cut_capacity) =
                i;
        }
        if (is_cut || event->mark == HISTORY_MARK_KILL || event->mark == HISTORY_MARK_START) {
            for (size_t k = 0; k < model->partition_count; k++) {
                struct partition *partition = &model->partitions[k];

                /* A damaged log may be cut anew by each recovery. */
                if (event->mark == HISTORY_MARK_POWER_CUT_VOLATILE ||
                    partition->damaged_from != INT64_MAX)
                    *PUSH(&model->arena, partition->cuts, partition->cut_count,
                          partition->cut_capacity) = i;
            }
        }
    }
}

static void sights_place(struct model *model, struct partition *partition)
{
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *operation = partition->asks[i];
        const struct history_event *ended;

        if (operation->ended == NO_EVENT)
            continue;
        ended = event_of(model, operation->ended);
        if (ended->kind != HISTORY_FETCH || ended->phase != HISTORY_OK)
            continue;
        for (size_t k = 0; k < ended->batch_count; k++) {
            const struct history_batch *batch = &ended->batches[k];
            struct operation *produce =
                batch->first_value >= 0 ? model_produce_of(model, batch->first_value) : NULL;

            if (produce)
                produce->was_seen = true;
            /* Invoked before an era began and ended in it: it saw the older one or the newer one. Both
             * cannot be told apart, so it counts for none. */
            if (partition_era(partition, operation->invoked) !=
                partition_era(partition, operation->ended))
                continue;
            *PUSH(&model->arena, partition->sights, partition->sight_count,
                  partition->sight_capacity) =
                (struct sight){.batch = batch,
                               .invoked = operation->invoked,
                               .ended = operation->ended,
                               .era = partition_era(partition, operation->ended)};
            model->report->seen_batches++;
        }
    }
    if (partition->sight_count > 0)
        qsort(partition->sights, partition->sight_count, sizeof *partition->sights, sight_compare);
}

static void values_sort(struct model *model)
{
    struct value_key *keys = arena_zeroed(&model->arena, model->produce_count + 1, sizeof *keys);

    ASSERT(keys != NULL);
    for (size_t i = 0; i < model->produce_count; i++)
        keys[i] = (struct value_key){event_of(model, model->by_value[i]->invoked)->first_value,
                                     model->by_value[i]};
    qsort(keys, model->produce_count, sizeof *keys, value_key_compare);
    for (size_t i = 0; i < model->produce_count; i++)
        model->by_value[i] = keys[i].operation;
}

void model_build(struct model *model, const struct history *history, struct history_report *report)
{
    size_t partitions = 0, produces = 0;

    *model = (struct model){
        .history = history,
        .final_mark = NO_EVENT,
        .forget_mark = NO_EVENT,
        .disk_fault_mark = NO_EVENT,
        .report = report,
    };
    arena_init(&model->arena, &heap_allocator, SIZE_MAX);
    operations_join(model);
    for (size_t i = 0; i < model->operation_count; i++)
        operation_place(model, &model->operations[i], &partitions, &produces);
    values_sort(model);
    marks_place(model, &partitions);
    for (size_t i = 0; i < model->partition_count; i++) {
        struct partition *partition = &model->partitions[i];

        if (partition->produce_count > 0)
            qsort((void *)partition->produces, partition->produce_count,
                  sizeof *partition->produces, by_invocation);
        if (partition->ask_count > 0)
            qsort((void *)partition->asks, partition->ask_count, sizeof *partition->asks, by_end);
        sights_place(model, partition);
    }
    transactions_build(model);
    report->partitions = model->partition_count;
    report->is_final = model->final_mark != NO_EVENT;
}

void model_release(struct model *model)
{
    arena_release(&model->arena);
}
