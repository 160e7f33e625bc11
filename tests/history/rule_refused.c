/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_refused.c: R: a refusal needs a reason that the history shows. Broken bytes are where a bit was
 * flipped, failed storage is where calls failed, an offset out of range lies outside; once faults are
 * over and everything is up again, nothing is refused but what is not there.
 */
#include "history_internal.h"

static bool is(const char *error, const char *name)
{
    return strcmp(error, name) == 0;
}

/* Was anything of the partition answered well before? Until then it is being made. */
static bool is_known_before(const struct model *model, const struct partition *partition,
                            size_t event)
{
    for (size_t i = 0; i < partition->ask_count; i++)
        if (partition->asks[i]->ended < event && ended_as(model, partition->asks[i], HISTORY_OK))
            return true;
    return false;
}

/* Below the log start that was told at any time, or above an end that a power cut may have moved back. */
static bool is_out_of_range(const struct model *model, const struct partition *partition,
                            int64_t offset, size_t event)
{
    int64_t start = 0;

    if (offset > partition->damaged_from ||
        partition_volatile_takes(model, partition, 0, event, offset))
        return true;
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];

        if (!ended_as(model, ask, HISTORY_OK))
            continue;
        start = MAX(start, event_of(model, ask->ended)->log_start);
        if (event_of(model, ask->invoked)->kind == HISTORY_LIST_OFFSETS &&
            event_of(model, ask->invoked)->timestamp_ms == -2)
            start = MAX(start, event_of(model, ask->ended)->offset);
    }
    return offset < start;
}

static bool is_explained(const struct model *model, const struct partition *partition,
                         const struct history_event *invoked, size_t event)
{
    const char *error = event_of(model, event)->error;
    bool is_over = event > model->final_mark && model->final_mark != NO_EVENT;

    if (is(error,
           "CORRUPT_MESSAGE")) /* of a batch that begins in front of what is asked for, perhaps */
        return invoked->kind != HISTORY_PRODUCE && partition->damaged_at < event &&
               (invoked->kind != HISTORY_FETCH || invoked->offset >= partition->damaged_from);
    if (is(error, "OFFSET_OUT_OF_RANGE"))
        return invoked->kind == HISTORY_DELETE_RECORDS ||
               is_out_of_range(model, partition, invoked->offset, event);
    if (is_forgetful(error))
        return true; /* rule_forgotten's */
    if (is(error, "KAFKA_STORAGE_ERROR"))
        return !is_over && model->disk_fault_mark < event;
    if (is(error, "UNKNOWN_TOPIC_ID") || is(error, "UNKNOWN_TOPIC_OR_PARTITION"))
        return partition->may_be_gone || (!is_over && !is_known_before(model, partition, event));
    return !is_over &&
           (is(error, "NOT_LEADER_OR_FOLLOWER") || is(error, "REQUEST_TIMED_OUT") ||
            is(error, "NETWORK_EXCEPTION") || is(error, "NOT_ENOUGH_REPLICAS_AFTER_APPEND") ||
            is(error, "OFFSET_NOT_AVAILABLE") || is(error, "LEADER_NOT_AVAILABLE"));
}

void rule_refused(struct model *model, struct partition *partition)
{
    struct operation *const *lists[] = {partition->asks, partition->produces};
    size_t counts[] = {partition->ask_count, partition->produce_count};

    for (size_t list = 0; list < ARRAY_COUNT(lists); list++) {
        for (size_t i = 0; i < counts[list]; i++) {
            const struct operation *asked = lists[list][i];
            const struct history_event *invoked = event_of(model, asked->invoked);

            for (size_t at = asked->first_end; at != NO_EVENT; at = model->next_end[at]) {
                if (!event_of(model, at)->error || is_explained(model, partition, invoked, at))
                    continue;
                violation(model, "R", at, "%s-%d: %s from offset %lld was answered %s",
                          topic_of(model, partition), partition->number,
                          history_kind_names[invoked->kind], (long long)invoked->offset,
                          event_of(model, at)->error);
            }
        }
    }
}
