/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_single.c: D2: one batch per offset: whoever reads an offset, and whoever was told it, means the
 * same bytes for ever (within an era).
 */
#include "history_internal.h"

static void sights_agree(struct model *model, struct partition *partition)
{
    const struct sight *previous = NULL; /* with the highest last offset so far */

    if (partition->is_compacted)
        return; /* batches are written anew */
    for (size_t i = 0; i < partition->sight_count; i++) {
        const struct sight *sight = &partition->sights[i];
        const struct history_batch *batch = sight->batch, *other;

        if (!batch->is_valid || batch->base_offset >= partition->damaged_from)
            continue;
        if (!previous || previous->era != sight->era) {
            previous = sight;
            continue;
        }
        other = previous->batch;
        if (batch->base_offset == other->base_offset
                ? batch->last_offset != other->last_offset || batch->crc != other->crc
                : batch->base_offset <= other->last_offset)
            violation(model, "D2", sight->ended,
                      "%s-%d: offsets %lld-%lld value %lld and %lld-%lld value %lld, seen at %zu",
                      topic_of(model, partition), partition->number, (long long)batch->base_offset,
                      (long long)batch->last_offset, (long long)batch->first_value,
                      (long long)other->base_offset, (long long)other->last_offset,
                      (long long)other->first_value, previous->ended);
        if (batch->last_offset >= other->last_offset)
            previous = sight;
    }
}

/* The node had forgotten the producer when the repetition came: it stands twice, and the later one was acknowledged. */
static bool is_forgotten_first(const struct model *model, const struct partition *partition,
                               const struct operation *produce, const struct sight *sight)
{
    return event_of(model, produce->invoked)->producer_id >= 0 &&
           (model->forget_mark < produce->ended ||
            producer_went_with(model, partition, sight->batch, produce->ended)) &&
           sight->batch->base_offset < event_of(model, produce->ended)->offset;
}

/* Seen where it was acknowledged. */
static void offsets_agree(struct model *model, struct partition *partition)
{
    for (size_t i = 0; i < partition->sight_count; i++) {
        const struct sight *sight = &partition->sights[i];
        const struct operation *produce = model_produce_of(model, sight->batch->first_value);
        const struct history_event *ended;

        if (!produce || !sight->batch->is_valid || !ended_as(model, produce, HISTORY_OK))
            continue;
        ended = event_of(model, produce->ended);
        if (ended->offset < 0 || ended->offset == sight->batch->base_offset)
            continue;
        /* Acknowledged, taken by a power cut, sent again: acks=1, or flush mode os. */
        if (model_power_cut_between(model, produce->invoked, MAX(sight->ended, produce->ended)) &&
            (event_of(model, produce->invoked)->acks != -1 ||
             partition_era(partition, produce->invoked) != sight->era ||
             partition_era(partition, produce->ended) != sight->era))
            continue;
        if (MAX(ended->offset, sight->batch->base_offset) +
                    event_of(model, produce->invoked)->count >
                partition->damaged_from ||
            is_forgotten_first(model, partition, produce, sight))
            continue;
        violation(model, "D2", sight->ended,
                  "%s-%d: value %lld was acknowledged at offset %lld and seen at %lld",
                  topic_of(model, partition), partition->number,
                  (long long)sight->batch->first_value, (long long)ended->offset,
                  (long long)sight->batch->base_offset);
    }
}

void rule_single(struct model *model, struct partition *partition)
{
    sights_agree(model, partition);
    offsets_agree(model, partition);
}
