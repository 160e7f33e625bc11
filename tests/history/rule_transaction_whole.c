/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_whole.c: X2: all or nothing: no transaction is committed for one reader, partition or marker and
 * aborted for another, whatever its end was answered. rule_transaction_lost.c has the part that never came,
 * rule_transaction_offsets.c that of offsets.
 */
#include "history_internal.h"

void rule_transaction_whole(struct model *model)
{
    for (size_t i = 0; i < model->transaction_count; i++) {
        const struct transaction *t = &model->transactions[i];

        if (t->seen_committed == NO_EVENT || t->seen_aborted == NO_EVENT)
            continue;
        violation(model, "X2", MAX(t->seen_committed, t->seen_aborted),
                  "transaction %lld of %s is committed at event %zu and aborted at event %zu",
                  (long long)t->number, name_of(model, t->id), t->seen_committed + 1,
                  t->seen_aborted + 1);
    }
}
