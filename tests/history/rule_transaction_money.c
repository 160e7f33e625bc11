/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_money.c: X7: the sum is constant: transactions move amounts between keys, each sums to nothing,
 * and so does all that readers under read_committed have got when they have drained every partition.
 */
#include "history_internal.h"

void rule_transaction_money(struct model *model)
{
    size_t last = NO_EVENT;
    int64_t sum = 0;

    if (model->transaction_count == 0 || !transactions_are_judged_finally(model))
        return;
    for (size_t i = 0; i < model->partition_count; i++) {
        const struct partition *partition = &model->partitions[i];
        int64_t next = -1;

        for (size_t k = 0; k < partition->sight_count; k++) { /* by offset: each once */
            const struct sight *sight = &partition->sights[k];

            if (sight->invoked < model->final_mark || sight->batch->base_offset < next ||
                event_of(model, sight->invoked)->isolation != 1)
                continue;
            next = sight->batch->last_offset + 1;
            if (sight->batch->is_control || sight->batch->is_aborted)
                continue;
            sum += sight->batch->amount;
            last = sight->ended;
        }
    }
    if (sum != 0)
        violation(model, "X7", last, "the sum of all amounts is %lld, not 0", (long long)sum);
}
