/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_times.c: a search by time skips no record that was there: the answer holds a record that is young
 * enough, and nothing before it is (offsets API of the design's list of rules).
 */
#include "history_internal.h"

static bool is_misled(const struct model *model, size_t event)
{
    for (size_t i = 0; i < event; i++)
        if (event_of(model, i)->kind == HISTORY_MARK &&
            event_of(model, i)->mark == HISTORY_MARK_INDEX_ROT)
            return true;
    return false;
}

void rule_times(struct model *model, struct partition *partition)
{
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *invoked = event_of(model, ask->invoked), *ended;
        int64_t start = 0, asked;

        if (!ended_as(model, ask, HISTORY_OK) || invoked->kind != HISTORY_LIST_OFFSETS ||
            invoked->timestamp_ms < 0 || partition->damaged_from != INT64_MAX ||
            is_misled(model, ask->ended))
            continue;
        ended = event_of(model, ask->ended);
        asked = invoked->timestamp_ms;
        for (size_t k = 0; k < partition->ask_count; k++) /* it may have moved on meanwhile */
            start = MAX(start, event_of(model, partition->asks[k]->ended == NO_EVENT
                                                   ? partition->asks[k]->invoked
                                                   : partition->asks[k]->ended)
                                   ->log_start);
        for (size_t k = 0; k < partition->sight_count; k++) {
            const struct sight *sight = &partition->sights[k];
            const struct history_batch *batch = sight->batch;

            if (sight->era != partition_era(partition, ask->ended) || !batch->is_valid)
                continue;
            if (ended->offset >= batch->base_offset && ended->offset <= batch->last_offset &&
                batch->timestamp_ms < asked)
                violation(model, "T", ask->ended,
                          "%s-%d: a search for %lld ms found offset %lld of %lld ms",
                          topic_of(model, partition), partition->number, (long long)asked,
                          (long long)ended->offset, (long long)batch->timestamp_ms);
            if (batch->timestamp_ms >= asked && sight->ended < ask->invoked &&
                batch->base_offset >= start &&
                (ended->offset < 0 || batch->last_offset < ended->offset))
                violation(
                    model, "T", ask->ended,
                    "%s-%d: a search for %lld ms found offset %lld and skipped %lld of %lld ms",
                    topic_of(model, partition), partition->number, (long long)asked,
                    (long long)ended->offset, (long long)batch->base_offset,
                    (long long)batch->timestamp_ms);
        }
    }
}
