/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_sequence.c: D5: each sequence of a producer once, without gap, in order; no value twice that was
 * sent once or by an idempotent producer; requests of one connection in their order.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdlib.h>

struct producer {
    int64_t id;
    int32_t epoch;
    const struct history_batch *last;
    bool is_fresh; /* a marker has raised the epoch: sequences begin anew */
    size_t run;    /* gapless stretch of seen offsets in which `last` lies */
};

static int32_t sequence_after(const struct history_batch *batch)
{
    uint64_t next = (uint64_t)(uint32_t)batch->base_sequence +
                    (uint64_t)(batch->last_offset - batch->base_offset + 1);

    return (int32_t)(next & 0x7fffffff); /* 2^31 - 1 is followed by 0 */
}

static void batch_follows(struct model *model, struct partition *partition,
                          const struct sight *sight, struct producer *producer, size_t run)
{
    const struct history_batch *batch = sight->batch, *last = producer->last;
    int32_t due;
    bool is_new_epoch = producer->epoch != batch->producer_epoch;

    if (last && sight->ended < model->forget_mark) {
        due = is_new_epoch || producer->is_fresh ? 0 : sequence_after(last);
        if (batch->producer_epoch < producer->epoch)
            violation(model, "D5", sight->ended,
                      "%s-%d: producer %lld epoch %d at offset %lld behind epoch %d",
                      topic_of(model, partition), partition->number, (long long)producer->id,
                      batch->producer_epoch, (long long)batch->base_offset, producer->epoch);
        else if (batch->base_sequence != due &&
                 (producer->run == run || batch->base_sequence < due) &&
                 !producer_went_with(model, partition, last, sight->ended))
            violation(model, "D5", sight->ended,
                      "%s-%d: producer %lld sequence %d at offset %lld, %d is due",
                      topic_of(model, partition), partition->number, (long long)producer->id,
                      batch->base_sequence, (long long)batch->base_offset, due);
    }
    producer->epoch = batch->producer_epoch;
    producer->is_fresh = false;
    producer->last = batch;
    producer->run = run;
}

struct twice {
    int64_t value;
    const struct sight *sight;
};

static int twice_compare(const void *left, const void *right)
{
    const struct twice *a = left, *b = right;

    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return (a->sight > b->sight) - (a->sight < b->sight);
}

static void values_once(struct model *model, struct partition *partition,
                        const struct sight *sights, size_t count)
{
    struct twice *values = arena_zeroed(&model->arena, count + 1, sizeof *values);
    const struct operation *produce;

    ASSERT(values != NULL);
    for (size_t i = 0; i < count; i++)
        values[i] = (struct twice){sights[i].batch->first_value, &sights[i]};
    qsort(values, count, sizeof *values, twice_compare);
    for (size_t i = 1; i < count; i++) {
        if (values[i].value != values[i - 1].value || values[i].value < 0 ||
            values[i].sight->batch->base_offset == values[i - 1].sight->batch->base_offset)
            continue;
        produce = model_produce_of(model, values[i].value);
        if (!produce || values[i].sight->ended > model->forget_mark ||
            (event_of(model, produce->invoked)->producer_id < 0 &&
             event_of(model, produce->invoked)->link < 0) ||
            producer_went_with(model, partition, values[i - 1].sight->batch,
                               values[i].sight->ended))
            continue; /* a repetition without protection may be there twice */
        violation(model, "D5", values[i].sight->ended,
                  "%s-%d: value %lld stands at offset %lld and at %lld", topic_of(model, partition),
                  partition->number, (long long)values[i].value,
                  (long long)values[i - 1].sight->batch->base_offset,
                  (long long)values[i].sight->batch->base_offset);
    }
}

/* By offset: what one connection sent later stands later. */
static void links_keep_order(struct model *model, struct partition *partition,
                             const struct sight *sights, size_t count)
{
    const struct operation *lasts[64] = {0};
    int32_t links[64];
    size_t link_count = 0;

    for (size_t i = 0; i < count; i++) {
        const struct operation *produce = model_produce_of(model, sights[i].batch->first_value);
        int32_t link;
        size_t k = 0;

        if (!produce || (link = event_of(model, produce->invoked)->link) < 0)
            continue;
        while (k < link_count && links[k] != link)
            k++;
        if (k == link_count && link_count < ARRAY_COUNT(links))
            links[link_count++] = link;
        if (k == ARRAY_COUNT(links))
            return;
        if (lasts[k] && lasts[k]->invoked > produce->invoked)
            violation(
                model, "D5", sights[i].ended,
                "%s-%d: value %lld at offset %lld was sent before its predecessor on the same "
                "connection",
                topic_of(model, partition), partition->number,
                (long long)sights[i].batch->first_value, (long long)sights[i].batch->base_offset);
        lasts[k] = produce;
    }
}

static void era_check(struct model *model, struct partition *partition, const struct sight *sights,
                      size_t count)
{
    struct producer *producers = arena_zeroed(&model->arena, count + 1, sizeof *producers);
    size_t producer_count = 0, run = 0;
    int64_t next = -1;

    ASSERT(producers != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct history_batch *batch = sights[i].batch;
        size_t k = 0;

        if (!batch->is_valid || (i > 0 && batch->base_offset == sights[i - 1].batch->base_offset))
            continue;
        run += batch->base_offset != next;
        next = batch->last_offset + 1;
        if (batch->producer_id < 0)
            continue;
        while (k < producer_count && producers[k].id != batch->producer_id)
            k++;
        if (k == producer_count)
            producers[producer_count++] = (struct producer){.id = batch->producer_id};
        if (!batch->is_control) {
            batch_follows(model, partition, &sights[i], &producers[k], run);
        } else if (batch->producer_epoch > producers[k].epoch) {
            producers[k].epoch = batch->producer_epoch;
            producers[k].is_fresh = true;
        }
    }
    values_once(model, partition, sights, count);
    links_keep_order(model, partition, sights, count);
}

/* What stands below the damage was there before it. */
static size_t sound_sights(const struct partition *partition, size_t from, size_t to)
{
    size_t count = 0;

    while (from + count < to &&
           partition->sights[from + count].batch->last_offset < partition->damaged_from)
        count++; /* by base offset */
    return count;
}

void rule_sequence(struct model *model, struct partition *partition)
{
    for (size_t from = 0, to; from < partition->sight_count; from = to) {
        for (to = from; to < partition->sight_count &&
                        partition->sights[to].era == partition->sights[from].era;)
            to++;
        era_check(model, partition, &partition->sights[from], sound_sights(partition, from, to));
    }
}
