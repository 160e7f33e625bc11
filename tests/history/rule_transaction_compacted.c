/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_transaction_compacted.c: X8 (D8): compaction keeps the last committed record of each key, however many
 * aborted ones stand behind it.
 */
#include "history_internal.h"

#include "base/assert.h"

struct newest { /* of one key */
    int32_t key;
    int64_t offset, value;
    size_t event;
};

static void partition_check(struct model *model, const struct partition *partition)
{
    struct newest *keys = NULL;
    size_t count = 0, capacity = 0;

    for (size_t i = 0; i < partition->produce_count; i++) {
        const struct operation *produce = partition->produces[i];
        const struct history_event *sent = event_of(model, produce->invoked);
        const struct transaction *t = transaction_of(model, sent->transaction);
        int64_t offset;
        size_t k = 0;

        if (!t || !transaction_is_committed(t) || !ended_as(model, produce, HISTORY_OK))
            continue;
        offset = event_of(model, produce->ended)->offset;
        while (k < count && keys[k].key != sent->key)
            k++;
        if (k == count)
            *PUSH(&model->arena, keys, count, capacity) =
                (struct newest){.key = sent->key, .offset = -1};
        if (offset > keys[k].offset)
            keys[k] = (struct newest){sent->key, offset, sent->first_value, produce->ended};
        if (offset < 0) /* a duplicate, told without its offset: nothing is known of this key */
            keys[k].offset = INT64_MAX;
    }
    for (size_t k = 0; k < count; k++) {
        const struct operation *produce = model_produce_of(model, keys[k].value);

        if (keys[k].offset != INT64_MAX && produce && !transaction_produce_is_final(model, produce))
            violation(model, "X8", keys[k].event,
                      "%s-%d: the last committed record of key %d, value %lld at offset %lld, is "
                      "not there",
                      topic_of(model, partition), partition->number, keys[k].key,
                      (long long)keys[k].value, (long long)keys[k].offset);
    }
}

void rule_transaction_compacted(struct model *model)
{
    if (!transactions_are_judged_finally(model))
        return;
    for (size_t i = 0; i < model->partition_count; i++)
        if (model->partitions[i].is_compacted)
            partition_check(model, &model->partitions[i]);
}
