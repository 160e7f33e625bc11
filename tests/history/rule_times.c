/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_times.c: a search by time skips no record that was there: the answer holds a record that is young
 * enough, and nothing before it is (offsets API of the design's list of rules).
 */
#include "history_internal.h"

/* Where the log starts, by that answer; by the invocation when there is none. */
static int64_t start_told(const struct model *model, const struct operation *ask)
{
    const struct history_event *invoked = event_of(model, ask->invoked);

    if (ask->ended == NO_EVENT)
        return invoked->log_start;
    if (invoked->kind == HISTORY_LIST_OFFSETS && invoked->timestamp_ms == -2)
        return event_of(model, ask->ended)->offset;
    return event_of(model, ask->ended)->log_start;
}

void rule_times(struct model *model, struct partition *partition)
{
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *invoked = event_of(model, ask->invoked), *ended;
        int64_t start = 0, asked;

        if (!ended_as(model, ask, HISTORY_OK) || invoked->kind != HISTORY_LIST_OFFSETS ||
            invoked->timestamp_ms < 0)
            continue;
        ended = event_of(model, ask->ended);
        asked = invoked->timestamp_ms;
        for (size_t k = 0; k < partition->ask_count; k++) /* it may have moved on meanwhile */
            start = MAX(start, start_told(model, partition->asks[k]));
        for (size_t k = 0; k < partition->sight_count; k++) {
            const struct sight *sight = &partition->sights[k];
            const struct history_batch *batch = sight->batch;

            if (sight->era != partition_era(partition, ask->ended) || !batch->is_valid ||
                batch->last_offset >= partition->damaged_from)
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
