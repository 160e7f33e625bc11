/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_lost.c: X3: whoever drains the partitions under read_committed, after the final mark, gets every
 * record of each transaction that was answered as committed, or seen so by anybody. Compacted topics have a rule
 * of their own.
 */
#include "history_internal.h"

static bool is_compacted(const struct model *model, const struct history_event *sent)
{
    for (size_t i = 0; i < model->partition_count; i++)
        if (model->partitions[i].topic == sent->topic)
            return model->partitions[i].is_compacted;
    return false;
}

void rule_transaction_lost(struct model *model)
{
    if (!transactions_are_judged_finally(model))
        return;
    for (size_t i = 0; i < model->transaction_count; i++) {
        const struct transaction *t = &model->transactions[i];

        if (!transaction_is_committed(t))
            continue;
        for (size_t k = 0; k < t->produce_count; k++) {
            const struct history_event *sent = event_of(model, t->produces[k]->invoked);

            if (!ended_as(model, t->produces[k], HISTORY_OK) || is_compacted(model, sent) ||
                transaction_produce_is_final(model, t->produces[k]))
                continue;
            violation(model, "X3", t->produces[k]->ended,
                      "transaction %lld of %s is committed, but value %lld is not in %s-%d",
                      (long long)t->number, name_of(model, t->id), (long long)sent->first_value,
                      model->history->topics[sent->topic], sent->partition);
        }
    }
}
