/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_isolation.c: X1: a reader under read_committed sees nothing of a transaction that was
 * aborted, of one whose commit nobody asked for, or of one whose commit was asked for only later; and nothing at or behind
 * the last stable offset. A marker that commits such a transaction is the same.
 */
#include "history_internal.h"

static void stable_end_holds(struct model *model, const struct partition *partition)
{
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *ended;

        if (!ended_as(model, ask, HISTORY_OK) || event_of(model, ask->invoked)->isolation != 1)
            continue;
        ended = event_of(model, ask->ended);
        for (size_t k = 0; k < ended->batch_count; k++)
            if (ended->last_stable >= 0 && ended->batches[k].last_offset >= ended->last_stable)
                violation(model, "X1", ask->ended,
                          "%s-%d: offset %lld was shown under read_committed, the last stable "
                          "offset is %lld",
                          topic_of(model, partition), partition->number,
                          (long long)ended->batches[k].last_offset, (long long)ended->last_stable);
    }
}

void rule_transaction_isolation(struct model *model)
{
    for (size_t i = 0; i < model->transaction_count; i++) {
        const struct transaction *t = &model->transactions[i];

        if (t->seen_committed == NO_EVENT)
            continue;
        if (t->fate == FATE_ABORT)
            violation(model, "X1", t->seen_committed,
                      "transaction %lld of %s was seen committed: %s", (long long)t->number,
                      name_of(model, t->id),
                      t->commit  ? "its commit was refused"
                      : t->abort ? "it was to be aborted"
                                 : "nobody has asked for its commit");
        else if (t->commit->invoked > t->seen_committed)
            violation(model, "X1", t->seen_committed,
                      "transaction %lld of %s was seen committed before that was asked for, at %zu",
                      (long long)t->number, name_of(model, t->id), t->commit->invoked + 1);
    }
    for (size_t i = 0; i < model->partition_count; i++)
        stable_end_holds(model, &model->partitions[i]);
}
