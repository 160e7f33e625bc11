/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_visible.c: D4 and what each answer says by itself: nothing above its high watermark, no offset
 * skipped, no record that nobody sent to this very partition or whose refusal was final.
 */
#include "history_internal.h"

static void batch_check(struct model *model, struct partition *partition, size_t event,
                        const struct history_batch *batch)
{
    const struct operation *produce = model_produce_of(model, batch->first_value);
    const struct history_event *sent;
    const char *topic = topic_of(model, partition);
    long long offset = batch->base_offset;

    if (!batch->is_valid || batch->is_control || batch->is_empty)
        return; /* D10's; nobody's; what compaction left */
    if (!produce || produce->invoked > event) {
        violation(model, "D4", event, "%s-%d: offset %lld holds value %lld, which nobody had sent",
                  topic, partition->number, offset, (long long)batch->first_value);
        return;
    }
    sent = event_of(model, produce->invoked);
    if (sent->topic != partition->topic || sent->partition != partition->number)
        violation(model, "D4", event, "%s-%d: offset %lld holds value %lld, sent to %s-%d", topic,
                  partition->number, offset, (long long)batch->first_value,
                  model->history->topics[sent->topic], sent->partition);
    else if (ended_as(model, produce, HISTORY_FAIL))
        violation(model, "D4", event, "%s-%d: offset %lld holds value %lld, which was refused",
                  topic, partition->number, offset, (long long)batch->first_value);
    else if (sent->first_value != batch->first_value ||
             batch->last_offset - batch->base_offset + 1 != sent->count)
        violation(model, "D4", event, "%s-%d: the batch of value %lld is not as it was sent", topic,
                  partition->number, (long long)batch->first_value);
}

/* After the final mark every partition is read whole: what is below the high watermark and never came is a hole. */
static void end_is_reached(struct model *model, struct partition *partition)
{
    int64_t reached = -1, end = -1;
    size_t event = NO_EVENT;

    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *ended;

        if (ask->invoked < model->final_mark || !ended_as(model, ask, HISTORY_OK))
            continue;
        ended = event_of(model, ask->ended);
        if (ended->kind != HISTORY_FETCH)
            continue;
        event = ask->ended;
        end = MAX(end, ended->high_watermark);
        reached = MAX(reached, event_of(model, ask->invoked)->offset);
        if (ended->batch_count > 0)
            reached = MAX(reached, ended->batches[ended->batch_count - 1].last_offset + 1);
    }
    if (reached < end && end <= partition->damaged_from &&
        !partition_volatile_takes(model, partition, 0, event, reached + 1))
        violation(model, "D4", event,
                  "%s-%d: nothing is there at offset %lld, below the high watermark %lld",
                  topic_of(model, partition), partition->number, (long long)reached,
                  (long long)end);
}

void rule_visible(struct model *model, struct partition *partition)
{
    const char *topic = topic_of(model, partition);

    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *ended;
        int64_t next;

        if (!ended_as(model, ask, HISTORY_OK))
            continue;
        ended = event_of(model, ask->ended);
        if (ended->kind != HISTORY_FETCH)
            continue;
        next = event_of(model, ask->invoked)->offset;
        if (ended->last_stable > ended->high_watermark || ended->log_start > ended->high_watermark)
            violation(model, "D4", ask->ended,
                      "%s-%d: start %lld, last stable %lld, high watermark %lld", topic,
                      partition->number, (long long)ended->log_start, (long long)ended->last_stable,
                      (long long)ended->high_watermark);
        for (size_t k = 0; k < ended->batch_count; k++) {
            const struct history_batch *batch = &ended->batches[k];

            if (batch->last_offset >= ended->high_watermark)
                violation(model, "D4", ask->ended,
                          "%s-%d: offset %lld was shown, the high watermark is %lld", topic,
                          partition->number, (long long)batch->last_offset,
                          (long long)ended->high_watermark);
            if (batch->base_offset >= partition->damaged_from || next >= partition->damaged_from) {
                next = batch->last_offset + 1; /* a CRC does not cover the base offset */
                continue;
            }
            /* In flush mode os a power cut may leave a hole behind the last flush; a kill may not. */
            if (!partition->is_compacted &&
                (k == 0 ? batch->base_offset > next : batch->base_offset != next) &&
                !partition_volatile_takes(model, partition, 0, ask->ended, next + 1))
                violation(model, "D4", ask->ended, "%s-%d: offset %lld follows where %lld is due",
                          topic, partition->number, (long long)batch->base_offset, (long long)next);
            if (batch->last_offset < next)
                violation(model, "D4", ask->ended,
                          "%s-%d: a batch that ends at %lld answers for offset %lld", topic,
                          partition->number, (long long)batch->last_offset, (long long)next);
            next = batch->last_offset + 1;
            batch_check(model, partition, ask->ended, batch);
        }
    }
    if (model->final_mark != NO_EVENT && !partition->may_be_gone)
        end_is_reached(model, partition);
}
