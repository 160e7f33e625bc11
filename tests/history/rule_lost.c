/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_lost.c: D1: what was acknowledged or seen is there, as long as the log start has not passed it.
 * At any time: a high watermark that ends below it. After the final mark: it is read again.
 */
#include "history_internal.h"

/* Could something between the two events take what ends at `end`? */
static bool could_be_taken(const struct model *model, const struct partition *partition,
                           size_t from, size_t to, int64_t end)
{
    return end > partition->damaged_from ||
           partition_volatile_takes(model, partition, from, to, end);
}

/* May a crash before `until` have taken what was acknowledged at `produce->ended`? */
static bool may_be_lost(const struct model *model, const struct partition *partition,
                        const struct operation *produce, size_t until)
{
    const struct history_event *ended = event_of(model, produce->ended);

    if (partition->may_be_gone || ended->offset < 0)
        return true;
    /* From its sending on: an acknowledgement may have been on its way when the power went. */
    if (could_be_taken(model, partition, produce->invoked, until,
                       ended->offset + event_of(model, produce->invoked)->count))
        return true;
    return event_of(model, produce->invoked)->acks != -1 && !produce->was_seen &&
           model_power_cut_between(model, produce->invoked, until);
}

/* An answer given after the acknowledgement whose high watermark ends below what was acknowledged. */
static void watermark_covers(struct model *model, struct partition *partition)
{
    int64_t acked = -1; /* end of what was acknowledged before the ask */
    const struct operation *of = NULL;
    size_t next = 0;

    /* Asks stand by their ends, produces by their invocations: only ends before an invocation count. */
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *ended;

        if (!ended_as(model, ask, HISTORY_OK))
            continue;
        ended = event_of(model, ask->ended);
        if (ended->kind != HISTORY_FETCH || ended->high_watermark < 0)
            continue;
        acked = -1;
        for (next = 0; next < partition->produce_count; next++) {
            const struct operation *produce = partition->produces[next];

            if (produce->invoked > ask->invoked)
                break;
            if (!ended_as(model, produce, HISTORY_OK) || produce->ended > ask->invoked ||
                event_of(model, produce->invoked)->acks != -1 ||
                may_be_lost(model, partition, produce, ask->ended))
                continue;
            if (event_of(model, produce->ended)->offset + event_of(model, produce->invoked)->count >
                acked) {
                acked = event_of(model, produce->ended)->offset +
                        event_of(model, produce->invoked)->count;
                of = produce;
            }
        }
        if (of && acked > ended->high_watermark) {
            violation(model, "D1", ask->ended,
                      "%s-%d: value %lld was acknowledged up to offset %lld, the high watermark is "
                      "%lld",
                      topic_of(model, partition), partition->number,
                      (long long)event_of(model, of->invoked)->first_value, (long long)acked,
                      (long long)ended->high_watermark);
            return;
        }
    }
}

static const struct sight *final_sight(const struct model *model, const struct partition *partition,
                                       const struct sight *finals, size_t count, int64_t offset)
{
    size_t low = 0, high = count;

    (void)model;
    (void)partition;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (finals[middle].batch->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || finals[low - 1].batch->last_offset < offset)
        return NULL;
    return &finals[low - 1];
}

static void final_covers(struct model *model, struct partition *partition)
{
    struct sight *finals = arena_zeroed(&model->arena, partition->sight_count + 1, sizeof *finals);
    size_t count = 0;
    int64_t log_start = -1;

    for (size_t i = 0; i < partition->sight_count; i++)
        if (partition->sights[i].invoked > model->final_mark)
            finals[count++] = partition->sights[i];
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];

        if (ask->invoked > model->final_mark && ended_as(model, ask, HISTORY_OK))
            log_start = MAX(log_start, event_of(model, ask->ended)->log_start);
    }
    if (log_start < 0 && !partition->may_be_gone && partition->produce_count > 0)
        violation(model, "D1", model->final_mark, "%s-%d was not read at the end",
                  topic_of(model, partition), partition->number);
    if (log_start < 0)
        return;
    for (size_t i = 0; i < partition->produce_count; i++) {
        const struct operation *produce = partition->produces[i];
        const struct history_event *sent = event_of(model, produce->invoked);
        const struct sight *sight;
        int64_t offset;

        if (!ended_as(model, produce, HISTORY_OK) ||
            may_be_lost(model, partition, produce, model->final_mark))
            continue;
        offset = event_of(model, produce->ended)->offset;
        if (offset + sent->count <= log_start)
            continue;
        sight = final_sight(model, partition, finals, count, offset);
        if (!sight || sight->batch->first_value != sent->first_value)
            violation(model, "D1", produce->ended,
                      "%s-%d: value %lld, acknowledged at offset %lld, is %s at the end",
                      topic_of(model, partition), partition->number, (long long)sent->first_value,
                      (long long)offset, sight ? "another" : "not there");
    }
    for (size_t i = 0; i < partition->sight_count; i++) { /* seen is as good as acknowledged */
        const struct sight *seen = &partition->sights[i], *sight;

        if (seen->batch->last_offset < log_start || seen->invoked > model->final_mark ||
            partition->may_be_gone || !seen->batch->is_valid ||
            could_be_taken(model, partition, seen->ended, model->final_mark,
                           seen->batch->last_offset + 1))
            continue;
        sight = final_sight(model, partition, finals, count, seen->batch->base_offset);
        if (!sight || sight->batch->crc != seen->batch->crc)
            violation(model, "D1", seen->ended,
                      "%s-%d: value %lld, seen at offset %lld, is %s at the end",
                      topic_of(model, partition), partition->number,
                      (long long)seen->batch->first_value, (long long)seen->batch->base_offset,
                      sight ? "another" : "not there");
    }
}

void rule_lost(struct model *model, struct partition *partition)
{
    watermark_covers(model, partition);
    if (model->final_mark != NO_EVENT && !partition->is_compacted)
        final_covers(model, partition);
}
