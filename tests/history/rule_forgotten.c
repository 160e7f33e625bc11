/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_forgotten.c: D5 from the producer's side: a batch whose predecessors were all acknowledged is not
 * out of order, unless the node may have forgotten what it knew. It may
 *   - all of a producer: clocks jumped beyond the expiration, damage, a snapshot that rotted when the log has
 *     lost its beginning, a power cut that takes what was acknowledged;
 *   - over a restart, all but the last batch of a producer: its snapshot holds no more, as Apache's. Then the
 *     batch is there already, in front of others;
 *   - that a producer's first batch is missing: a log that knows nothing of a producer takes any sequence.
 */
#include "history_internal.h"

/* Another batch of the same producer that was sent later, and before `until`. */
static bool has_successor(const struct model *model, const struct partition *partition,
                          const struct operation *produce, size_t until)
{
    const struct history_event *own = event_of(model, produce->invoked);

    for (size_t i = 0; i < partition->produce_count; i++) {
        const struct operation *other = partition->produces[i];
        const struct history_event *sent = event_of(model, other->invoked);

        if (other->invoked > produce->invoked && other->invoked < until &&
            sent->producer_id == own->producer_id && sent->producer_epoch == own->producer_epoch)
            return true;
    }
    return false;
}

static const struct operation *first_of_producer(const struct model *model,
                                                 const struct partition *partition,
                                                 const struct operation *produce)
{
    const struct history_event *own = event_of(model, produce->invoked);

    for (size_t i = 0; i < partition->produce_count; i++) { /* in order of invocation */
        const struct history_event *sent = event_of(model, partition->produces[i]->invoked);

        if (sent->producer_id == own->producer_id && sent->producer_epoch == own->producer_epoch)
            return partition->produces[i];
    }
    return produce;
}

/* Somebody was told that the log begins above `offset`. */
static bool has_lost(const struct model *model, const struct partition *partition, int64_t offset)
{
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];

        if (!ended_as(model, ask, HISTORY_OK))
            continue;
        if (event_of(model, ask->ended)->log_start > offset ||
            (event_of(model, ask->invoked)->kind == HISTORY_LIST_OFFSETS &&
             event_of(model, ask->invoked)->timestamp_ms == -2 &&
             event_of(model, ask->ended)->offset > offset))
            return true;
    }
    return false;
}

static bool has_lost_its_beginning(const struct model *model, const struct partition *partition)
{
    return has_lost(model, partition, 0);
}

bool producer_went_with(const struct model *model, const struct partition *partition,
                        const struct history_batch *batch, size_t until)
{
    return partition->rotted_snapshot_at < until && has_lost(model, partition, batch->last_offset);
}

/* The node is started anew between the two, and the producer had sent more by then. */
static bool is_restarted_between(const struct model *model, const struct partition *partition,
                                 const struct operation *produce, size_t until)
{
    for (size_t i = until - 1; i > produce->invoked;
         i--) { /* the last one: most was sent by then */
        const struct history_event *event = event_of(model, i);

        if (event->kind == HISTORY_MARK && event->mark == HISTORY_MARK_START)
            return has_successor(model, partition, produce, i);
    }
    return false;
}

static bool is_explained(const struct model *model, const struct partition *partition,
                         const struct operation *produce, size_t event)
{
    const struct operation *first = first_of_producer(model, partition, produce);
    bool is_short = has_lost_its_beginning(model, partition);

    if (model->forget_mark < event || partition->damaged_at < event ||
        partition_volatile_takes(model, partition, first->invoked, event, INT64_MAX))
        return true;
    if (event_of(model, produce->invoked)->acks != -1 &&
        model_power_cut_between(model, first->invoked, event))
        return true;
    if (partition->rotted_snapshot_at < event && is_short)
        return true;
    if (first == produce && has_successor(model, partition, produce, event))
        return true;
    /* There already: whoever reads the whole log sees it. */
    return is_restarted_between(model, partition, produce, event) &&
           (produce->was_seen || is_short || partition->may_be_gone ||
            model->final_mark == NO_EVENT ||
            (event_of(model, produce->invoked)->acks != -1 &&
             model_power_cut_between(model, event, SIZE_MAX)) ||
            partition_volatile_takes(model, partition, event, SIZE_MAX, INT64_MAX) ||
            partition->damaged_from != INT64_MAX);
}

bool is_forgetful(const char *error)
{
    return strcmp(error, "OUT_OF_ORDER_SEQUENCE_NUMBER") == 0 ||
           strcmp(error, "UNKNOWN_PRODUCER_ID") == 0 ||
           strcmp(error, "INVALID_PRODUCER_EPOCH") == 0;
}

void rule_forgotten(struct model *model, struct partition *partition)
{
    for (size_t i = 0; i < partition->produce_count; i++) {
        const struct operation *produce = partition->produces[i];

        for (size_t at = produce->first_end; at != NO_EVENT; at = model->next_end[at]) {
            const char *error = event_of(model, at)->error;

            if (!error || !is_forgetful(error))
                continue;
            /* Nobody else has the producer's id, and what rotted says nothing of it. */
            if (strcmp(error, "INVALID_PRODUCER_EPOCH") == 0 ||
                !is_explained(model, partition, produce, at))
                violation(model, "D5", at,
                          "%s-%d: value %lld is %s, though all before it were acknowledged",
                          topic_of(model, partition), partition->number,
                          (long long)event_of(model, produce->invoked)->first_value, error);
        }
    }
}
