/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/placement.c: where new replicas go. Brokers are dealt out like cards, rack by rack, from
 * random starting points, so that leaders and followers spread evenly and the replicas of a partition
 * stand in different racks as far as there are racks. Fenced brokers come only when the others are used
 * up, and never first: somebody must lead.
 */
#include "controller/controller_internal.h"

struct broker_list {
    int32_t *ids;
    size_t count;
    size_t index;  /* taken in this round */
    size_t offset; /* where the round starts */
    uint32_t round;
};

struct rack {
    struct slice name; /* null: brokers without one */
    struct broker_list unfenced;
    struct broker_list fenced;
};

struct racks {
    struct rack **items; /* order changes when they are shuffled */
    size_t count;
    size_t broker_count;
    size_t unfenced_count;
    size_t offset;
    uint32_t round; /* never goes back, so that no list mistakes a new round for an old one */
    size_t dealt;   /* partitions since the last shuffle */
    struct random *random;
};

static int32_t list_next(struct broker_list *list, uint32_t round)
{
    if (list->count == 0)
        return NO_BROKER;
    if (list->round != round) {
        list->round = round;
        list->index = 0;
        list->offset = (list->offset + 1) % list->count;
    }
    if (list->index >= list->count)
        return NO_BROKER;
    return list->ids[(list->index++ + list->offset) % list->count];
}

static int32_t rack_next(struct rack *rack, uint32_t round)
{
    int32_t id = list_next(&rack->unfenced, round);

    return id != NO_BROKER ? id : list_next(&rack->fenced, round);
}

static void list_shuffle(struct broker_list *list, struct random *random)
{
    for (size_t i = list->count; i > 1; i--) {
        size_t j = (size_t)random_below(random, i);
        int32_t id = list->ids[i - 1];

        list->ids[i - 1] = list->ids[j];
        list->ids[j] = id;
    }
}

static void racks_shuffle(struct racks *racks)
{
    for (size_t i = racks->count; i > 1; i--) {
        size_t j = (size_t)random_below(racks->random, i);
        struct rack *rack = racks->items[i - 1];

        racks->items[i - 1] = racks->items[j];
        racks->items[j] = rack;
    }
    for (size_t i = 0; i < racks->count; i++) {
        list_shuffle(&racks->items[i]->unfenced, racks->random);
        list_shuffle(&racks->items[i]->fenced, racks->random);
    }
}

/* The place of a rack in ascending order, no rack first; made when it is new. */
static enum err rack_of(struct call *call, struct racks *racks, struct slice name,
                        size_t brokers_max, struct rack **out)
{
    size_t at = 0;
    struct rack *rack;

    for (; at < racks->count; at++) {
        struct slice other = racks->items[at]->name;

        *out = racks->items[at];
        if (slice_equal(other, name))
            return OK;
        if (!slice_is_null(other) && (slice_is_null(name) || slice_compare(other, name) > 0))
            break;
    }
    rack = ARENA_NEW(call->arena, struct rack);
    if (!rack)
        return ERR_NO_MEMORY;
    rack->name = name;
    rack->unfenced.ids = ARENA_ARRAY(call->arena, int32_t, brokers_max);
    rack->fenced.ids = ARENA_ARRAY(call->arena, int32_t, brokers_max);
    if (!rack->unfenced.ids || !rack->fenced.ids)
        return ERR_NO_MEMORY;
    for (size_t i = racks->count; i > at; i--)
        racks->items[i] = racks->items[i - 1];
    racks->items[at] = rack;
    racks->count++;
    *out = rack;
    return OK;
}

/* Brokers come in ascending ids, so the lists are sorted. */
static enum err racks_build(struct call *call, struct racks *racks)
{
    size_t brokers_max = metadata_image_broker_count(call->image);
    const struct metadata_broker *broker;
    struct metadata_walk walk;
    struct rack *rack;

    *racks = (struct racks){.random = call->moment->random};
    racks->items = ARENA_ARRAY(call->arena, struct rack *, brokers_max);
    if (!racks->items)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, call->image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        struct heartbeat *heartbeat = heartbeat_find(call->controller, broker->id);
        struct broker_list *list;

        if ((heartbeat && heartbeat->shutdown_offset >= 0) || broker->in_controlled_shutdown ||
            !broker_has_uncordoned(broker))
            continue;
        TRY(rack_of(call, racks, broker->rack, brokers_max, &rack));
        list = broker->fenced ? &rack->fenced : &rack->unfenced;
        list->ids[list->count++] = broker->id;
        racks->broker_count++;
        racks->unfenced_count += !broker->fenced;
    }
    for (size_t i = 0; i < racks->count; i++) {
        rack = racks->items[i];
        if (rack->fenced.count > 0)
            rack->fenced.offset = (size_t)random_below(racks->random, rack->fenced.count);
        if (rack->unfenced.count > 0)
            rack->unfenced.offset = (size_t)random_below(racks->random, rack->unfenced.count);
    }
    if (racks->count > 0)
        racks->offset = (size_t)random_below(racks->random, racks->count);
    return OK;
}

/* At least one broker is unfenced and there are `count` brokers in all: both loops end. */
static void racks_place(struct racks *racks, int16_t count, int32_t *replicas_out)
{
    size_t first, at;

    if (racks->dealt == racks->unfenced_count && racks->unfenced_count > 1) {
        racks_shuffle(racks);
        racks->dealt = 0;
    }
    if (racks->offset == racks->count)
        racks->offset = 0;
    first = racks->offset;
    while ((replicas_out[0] = list_next(&racks->items[first]->unfenced, racks->round)) == NO_BROKER)
        first = (first + 1) % racks->count;
    at = racks->offset;
    for (int16_t replica = 1; replica < count; replica++) {
        int32_t id = NO_BROKER;

        do {
            if (at == first)
                first = SIZE_MAX; /* the leader's rack sits out one turn */
            else
                id = rack_next(racks->items[at], racks->round);
            at = (at + 1) % racks->count;
        } while (id == NO_BROKER);
        replicas_out[replica] = id;
    }
    racks->round++;
    racks->dealt++;
    racks->offset++;
}

enum err placement_run(struct call *call, const struct placement *placement, int32_t **replicas_out,
                       struct why *why)
{
    struct racks racks;
    int32_t *replicas;

    TRY(racks_build(call, &racks));
    if (placement->replicas <= 0)
        return why_set(why, ERR_INVALID_REPLICATION_FACTOR,
                       "Invalid replication factor %d: the replication factor must be positive.",
                       placement->replicas);
    if (racks.unfenced_count == 0)
        return why_set(why, ERR_INVALID_REPLICATION_FACTOR,
                       "All brokers are currently fenced, or have all their log directories "
                       "cordoned.");
    if ((size_t)placement->replicas > racks.broker_count)
        return why_set(why, ERR_INVALID_REPLICATION_FACTOR,
                       "The target replication factor of %d cannot be reached because only %zu "
                       "broker(s) are registered or some brokers have all their log directories "
                       "cordoned.",
                       placement->replicas, racks.broker_count);
    replicas = ARENA_ARRAY(call->arena, int32_t,
                           (size_t)placement->partitions * (size_t)placement->replicas);
    if (!replicas)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < placement->partitions; i++)
        racks_place(&racks, placement->replicas,
                    replicas + (size_t)i * (size_t)placement->replicas);
    *replicas_out = replicas;
    return OK;
}
