/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/transactions.c: what the history says of each transaction: what was sent in it, what was asked of its end and
 * answered, who fenced it, and what readers under read_committed and the markers in the logs made of it.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdlib.h>

static int by_number(const void *left, const void *right)
{
    const struct transaction *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

struct transaction *transaction_of(const struct model *model, int64_t number)
{
    const struct transaction key = {.number = number};

    if (number < 0 || model->transaction_count == 0)
        return NULL;
    return bsearch(&key, model->transactions, model->transaction_count, sizeof key, by_number);
}

struct transaction *transaction_of_batch(const struct model *model,
                                         const struct history_batch *batch)
{
    const struct operation *produce;

    if (!batch->is_valid || batch->is_control || batch->is_empty || batch->first_value < 0)
        return NULL;
    produce = model_produce_of(model, batch->first_value);
    return produce ? transaction_of(model, event_of(model, produce->invoked)->transaction) : NULL;
}

bool transaction_is_committed(const struct transaction *t)
{
    return t->fate == FATE_COMMIT || t->seen_committed != NO_EVENT;
}

bool transactions_are_judged_finally(const struct model *model)
{
    if (model->final_mark == NO_EVENT || model_volatile_cut_before(model, model->history->count))
        return false;
    for (size_t i = 0; i < model->partition_count; i++)
        if (model->partitions[i].damaged_from != INT64_MAX)
            return false;
    return true;
}

bool transaction_produce_is_final(const struct model *model, const struct operation *produce)
{
    const struct history_event *sent = event_of(model, produce->invoked);

    for (size_t i = 0; i < model->partition_count; i++) {
        const struct partition *partition = &model->partitions[i];

        if (partition->topic != sent->topic || partition->number != sent->partition)
            continue;
        for (size_t k = 0; k < partition->sight_count; k++)
            if (partition->sights[k].invoked > model->final_mark &&
                partition->sights[k].batch->first_value == sent->first_value &&
                !partition->sights[k].batch->is_aborted &&
                event_of(model, partition->sights[k].invoked)->isolation == 1)
                return true;
    }
    return false;
}

/* ---- building ---- */

static void transactions_collect(struct model *model)
{
    size_t capacity = 0, kept = 0;

    for (size_t i = 0; i < model->history->count; i++) {
        const struct history_event *event = event_of(model, i);

        if (event->kind == HISTORY_TXN_BEGIN)
            *PUSH(&model->arena, model->transactions, model->transaction_count, capacity) =
                (struct transaction){.number = event->transaction,
                                     .begun = i,
                                     .id = event->member,
                                     .producer_id = event->producer_id,
                                     .epoch = event->producer_epoch,
                                     .fenced_at = NO_EVENT,
                                     .seen_committed = NO_EVENT,
                                     .seen_aborted = NO_EVENT};
    }
    if (model->transaction_count > 0)
        qsort(model->transactions, model->transaction_count, sizeof *model->transactions,
              by_number);
    for (size_t i = 0; i < model->transaction_count; i++) /* told twice: the first */
        if (i == 0 || model->transactions[i].number != model->transactions[kept - 1].number)
            model->transactions[kept++] = model->transactions[i];
    model->transaction_count = kept;
}

static void parts_join(struct model *model)
{
    for (size_t i = 0; i < model->operation_count; i++) {
        struct operation *operation = &model->operations[i];
        const struct history_event *sent = event_of(model, operation->invoked);
        struct transaction *t = transaction_of(model, sent->transaction);

        if (!t)
            continue;
        if (sent->kind == HISTORY_PRODUCE)
            *PUSH(&model->arena, t->produces, t->produce_count, t->produce_capacity) = operation;
        else if (sent->kind == HISTORY_TXN_OFFSETS)
            *PUSH(&model->arena, t->offsets, t->offset_count, t->offset_capacity) = operation;
        else if (sent->kind == HISTORY_TXN_END && sent->is_commit == 1)
            t->commit = operation;
        else if (sent->kind == HISTORY_TXN_END)
            t->abort = operation;
    }
}

/* Producer ids have no order: another one is newer when it was told after the transaction had begun. */
static bool is_newer(const struct history_event *init, size_t event, const struct transaction *t)
{
    return init->member == t->id &&
           (init->producer_id == t->producer_id ? init->producer_epoch > t->epoch
                                                : event > t->begun);
}

static void fences_find(struct model *model)
{
    for (size_t i = model->history->count; i-- > 0;) {
        const struct history_event *event = event_of(model, i);

        if (event->kind != HISTORY_TXN_INIT || event->phase != HISTORY_OK)
            continue;
        for (size_t k = 0; k < model->transaction_count; k++)
            if (is_newer(event, i, &model->transactions[k]))
                model->transactions[k].fenced_at = i; /* the first one remains */
    }
}

static enum fate fate_of(const struct model *model, const struct transaction *t)
{
    if (!t->commit || ended_as(model, t->commit, HISTORY_FAIL))
        return FATE_ABORT;
    return ended_as(model, t->commit, HISTORY_OK) ? FATE_COMMIT : FATE_OPEN;
}

static void sight_note(struct transaction *t, bool is_commit, size_t event)
{
    size_t *seen = is_commit ? &t->seen_committed : &t->seen_aborted;

    *seen = MIN(*seen, event);
}

/* By producer: the transactions whose records stand behind its last marker. */
struct pending {
    int64_t producer_id;
    struct transaction *transaction;
};

/* In a stretch without holes each marker ends what its producer has written before it. */
static void markers_follow(struct model *model, struct partition *partition)
{
    struct pending *open = arena_zeroed(&model->arena, partition->sight_count + 1, sizeof *open);
    size_t count = 0;
    int64_t next = -1;
    uint32_t era = 0;

    ASSERT(open != NULL);
    for (size_t i = 0; i < partition->sight_count; i++) {
        const struct sight *sight = &partition->sights[i];
        const struct history_batch *batch = sight->batch;
        struct transaction *t;

        if (i > 0 && sight->era == era && batch->base_offset < next)
            continue; /* seen again */
        if (sight->era != era || batch->base_offset != next)
            count = 0;
        era = sight->era;
        next = batch->last_offset + 1;
        if (batch->is_control && (batch->marker == 0 || batch->marker == 1)) {
            for (size_t k = 0; k < count; k++) {
                if (open[k].producer_id != batch->producer_id)
                    continue;
                sight_note(open[k].transaction, batch->marker == 1, sight->ended);
                open[k--] = open[--count];
            }
        } else if ((t = transaction_of_batch(model, batch)) != NULL) {
            open[count++] = (struct pending){batch->producer_id, t};
        }
    }
}

static void sights_judge(struct model *model)
{
    for (size_t i = 0; i < model->partition_count; i++) {
        struct partition *partition = &model->partitions[i];

        for (size_t k = 0; k < partition->sight_count; k++) {
            const struct sight *sight = &partition->sights[k];
            struct transaction *t = transaction_of_batch(model, sight->batch);

            if (t && event_of(model, sight->invoked)->isolation == 1)
                sight_note(t, !sight->batch->is_aborted, sight->ended);
        }
        if (!partition->is_compacted && partition->damaged_from == INT64_MAX)
            markers_follow(model, partition);
    }
}

void transactions_build(struct model *model)
{
    transactions_collect(model);
    if (model->transaction_count == 0)
        return;
    parts_join(model);
    fences_find(model);
    sights_judge(model);
    for (size_t i = 0; i < model->transaction_count; i++) {
        struct transaction *t = &model->transactions[i];

        t->fate = fate_of(model, t);
        model->report->transactions++;
        model->report->transactions_committed += transaction_is_committed(t);
        model->report->transactions_aborted += t->seen_aborted != NO_EVENT;
    }
}
