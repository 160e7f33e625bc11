/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_fenced.c: X5 (D7): when InitProducerId was answered, whoever had the transactional id before has
 * no effect any more: what it sends from then on is not acknowledged, not committed, and not seen. So no two of them
 * are told the same epoch.
 */
#include "history_internal.h"

static void produces_check(struct model *model, const struct transaction *t)
{
    for (size_t i = 0; i < t->produce_count; i++) {
        const struct operation *produce = t->produces[i];
        const struct history_event *sent = event_of(model, produce->invoked);

        if (produce->invoked < t->fenced_at)
            continue;
        if (ended_as(model, produce, HISTORY_OK) || produce->was_seen)
            violation(model, "X5", produce->invoked,
                      "%s: value %lld of epoch %d was sent after event %zu fenced it, and %s",
                      name_of(model, t->id), (long long)sent->first_value, t->epoch,
                      t->fenced_at + 1, produce->was_seen ? "seen" : "acknowledged");
    }
}

static void epochs_check(struct model *model)
{
    size_t *told = NULL, count = 0, capacity = 0;

    for (size_t i = 0; i < model->history->count; i++) {
        const struct history_event *event = event_of(model, i);

        if (event->kind != HISTORY_TXN_INIT || event->phase != HISTORY_OK)
            continue;
        for (size_t k = 0; k < count; k++) {
            const struct history_event *earlier = event_of(model, told[k]);

            if (earlier->member == event->member && earlier->producer_id == event->producer_id &&
                earlier->producer_epoch == event->producer_epoch)
                violation(model, "X5", i,
                          "%s: producer %lld epoch %d was told at event %zu already",
                          name_of(model, event->member), (long long)event->producer_id,
                          event->producer_epoch, told[k] + 1);
        }
        *PUSH(&model->arena, told, count, capacity) = i;
    }
}

void rule_transaction_fenced(struct model *model)
{
    epochs_check(model);
    for (size_t i = 0; i < model->transaction_count; i++) {
        const struct transaction *t = &model->transactions[i];

        if (t->fenced_at == NO_EVENT)
            continue;
        produces_check(model, t);
        if (t->commit && t->commit->invoked > t->fenced_at && transaction_is_committed(t))
            violation(model, "X5", t->commit->invoked,
                      "%s: the commit of transaction %lld, epoch %d, was sent after event %zu "
                      "fenced it, and had its effect",
                      name_of(model, t->id), (long long)t->number, t->epoch, t->fenced_at + 1);
    }
}
