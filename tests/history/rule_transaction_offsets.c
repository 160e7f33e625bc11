/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_offsets.c: X6: offsets move with their transactions: committed ones tile what was consumed, each
 * offset of the input in one of them; a committed offset that is read is where one of them has moved it, none behind
 * what was answered, and at the end the last one. Not judged when clocks jumped so far that offsets may have expired.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdlib.h>

struct move { /* of a group in a partition, by one transaction */
    int32_t group, topic, partition;
    int64_t from, to;
    const struct operation *operation;
    const struct transaction *transaction;
};
struct moves {
    struct move *items;
    size_t count, capacity;
};

static int move_compare(const void *left, const void *right)
{
    const struct move *a = left, *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->topic != b->topic)
        return a->topic < b->topic ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return (a->transaction->number > b->transaction->number) -
           (a->transaction->number < b->transaction->number);
}

static bool is_same_place(const struct move *a, const struct move *b)
{
    return a->group == b->group && a->topic == b->topic && a->partition == b->partition;
}

static void moves_collect(struct model *model, struct moves *moves)
{
    for (size_t i = 0; i < model->transaction_count; i++) {
        const struct transaction *t = &model->transactions[i];

        for (size_t k = 0; k < t->offset_count; k++) {
            const struct history_event *sent = event_of(model, t->offsets[k]->invoked);

            *PUSH(&model->arena, moves->items, moves->count, moves->capacity) =
                (struct move){sent->group,
                              sent->topic,
                              sent->partition,
                              sent->offset - sent->count,
                              sent->offset,
                              t->offsets[k],
                              t};
        }
    }
    if (moves->count > 0)
        qsort(moves->items, moves->count, sizeof *moves->items, move_compare);
}

/* Committed ones do not overlap and leave nothing out. */
static void tiles_check(struct model *model, const struct moves *moves)
{
    const struct move *last = NULL;

    for (size_t i = 0; i < moves->count; i++) {
        const struct move *move = &moves->items[i];

        if (!transaction_is_committed(move->transaction))
            continue;
        if (last && is_same_place(last, move) && last->to != move->from)
            violation(model, "X6", move->operation->invoked,
                      "%s: transaction %lld consumed up to %lld, transaction %lld from %lld: %s",
                      model_place(model, move->group, move->topic, move->partition).text,
                      (long long)last->transaction->number, (long long)last->to,
                      (long long)move->transaction->number, (long long)move->from,
                      last->to > move->from ? "twice" : "left out");
        last = move;
    }
}

static void read_check(struct model *model, const struct moves *moves, const struct operation *read)
{
    const struct history_event *asked = event_of(model, read->invoked);
    const struct move place = {asked->group, asked->topic, asked->partition, 0, 0, NULL, NULL};
    int64_t value = event_of(model, read->ended)->offset, least = -1;
    bool is_final = read->invoked > model->final_mark && model->final_mark != NO_EVENT;
    const struct transaction *source = NULL;

    for (size_t i = 0; i < moves->count; i++) {
        const struct move *move = &moves->items[i];
        const struct transaction *t = move->transaction;

        if (!is_same_place(move, &place))
            continue;
        if (move->to == value && t->fate != FATE_ABORT && t->commit->invoked < read->ended &&
            (!source || t->seen_aborted == NO_EVENT))
            source = t;
        if ((t->fate == FATE_COMMIT && t->commit->ended < read->invoked) ||
            (is_final && transaction_is_committed(t)))
            least = MAX(least, move->to);
    }
    if (value >= 0 && !source)
        violation(model, "X6", read->ended, "%s: %lld was read, which no transaction has committed",
                  model_place(model, asked->group, asked->topic, asked->partition).text,
                  (long long)value);
    else if (value < least)
        violation(model, "X6", read->ended, "%s: %lld was read, %lld is committed",
                  model_place(model, asked->group, asked->topic, asked->partition).text,
                  (long long)value, (long long)least);
    else if (is_final && source && !transaction_is_committed(source) && source->produce_count > 0)
        violation(model, "X6", read->ended,
                  "%s: %lld was read, of transaction %lld, whose records are not there",
                  model_place(model, asked->group, asked->topic, asked->partition).text,
                  (long long)value, (long long)source->number);
    else if (source && source->seen_aborted != NO_EVENT)
        violation(model, "X6", read->ended,
                  "%s: %lld was read, of transaction %lld, aborted at %zu",
                  model_place(model, asked->group, asked->topic, asked->partition).text,
                  (long long)value, (long long)source->number, source->seen_aborted + 1);
}

void rule_transaction_offsets(struct model *model)
{
    struct moves moves = {0};
    struct operation **reads;
    size_t count;

    if (model_volatile_cut_before(model, model->history->count))
        return;
    for (size_t i = 0; i < model->history->count; i++)
        if (event_of(model, i)->kind == HISTORY_MARK &&
            event_of(model, i)->mark == HISTORY_MARK_EXPIRE)
            return;
    moves_collect(model, &moves);
    tiles_check(model, &moves);
    reads = model_operations(model, HISTORY_TXN_OFFSET, &count);
    for (size_t i = 0; i < count; i++)
        if (ended_as(model, reads[i], HISTORY_OK))
            read_check(model, &moves, reads[i]);
}
