/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_answer.c: X4: an answer is final: what was answered as committed is aborted for nobody and never,
 * and no transaction is answered both as committed and as aborted. (Answered as aborted and seen: X1.)
 */
#include "history_internal.h"

void rule_transaction_answer(struct model *model)
{
    for (size_t i = 0; i < model->transaction_count; i++) {
        const struct transaction *t = &model->transactions[i];

        if (t->fate != FATE_COMMIT)
            continue;
        if (t->seen_aborted != NO_EVENT)
            violation(model, "X4", t->seen_aborted,
                      "transaction %lld of %s was answered as committed at event %zu, and is "
                      "aborted here",
                      (long long)t->number, name_of(model, t->id), t->commit->ended + 1);
        if (t->abort && ended_as(model, t->abort, HISTORY_OK))
            violation(model, "X4", t->abort->ended,
                      "transaction %lld of %s was answered as committed at event %zu and as "
                      "aborted here",
                      (long long)t->number, name_of(model, t->id), t->commit->ended + 1);
    }
}
