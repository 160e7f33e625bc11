/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_reconcile.c: one step of a member from what it has towards what it shall have.
 *
 *   STABLE ──target moved──▶ next ◀──all given up── UNREVOKED
 *                             │ ▲                       ▲
 *      nothing to give up,    │ └────── UNRELEASED      │ something to give up:
 *      all there: STABLE ◀────┤             ▲           │ epoch stays
 *      something still held   │             │           │
 *      by others:             └─────────────┴───────────┘
 *
 * Giving up comes first: the member's epoch rises only when the client no longer reports what it must lose.
 */
#include "coordinator/group/consumer_internal.h"

#include "base/bug.h"

/* An assignment that grows in ascending order. */
struct builder {
    struct arena *arena;
    struct topic_partitions *topics;
    int32_t *partitions, *epochs; /* room left for the topic at the end */
    int32_t count, capacity;
};

static enum err builder_init(struct builder *builder, struct arena *arena, int32_t capacity)
{
    *builder = (struct builder){.arena = arena, .capacity = capacity};
    builder->topics = ARENA_ARRAY(arena, struct topic_partitions, (size_t)capacity);
    return builder->topics ? OK : ERR_NO_MEMORY;
}

/* Begins a topic of at most `room` partitions. One that stays empty is taken back by the next. */
static enum err builder_topic(struct builder *builder, struct uuid id, int32_t room)
{
    builder->partitions = ARENA_ARRAY(builder->arena, int32_t, (size_t)room * 2);
    if (!builder->partitions)
        return ERR_NO_MEMORY;
    builder->epochs = builder->partitions + room;
    if (builder->count > 0 && builder->topics[builder->count - 1].count == 0)
        builder->count--;
    ASSERT(builder->count < builder->capacity);
    builder->topics[builder->count++] = (struct topic_partitions){
        .topic_id = id, .partitions = builder->partitions, .epochs = builder->epochs};
    return OK;
}

static void builder_add(struct builder *builder, int32_t partition, int32_t epoch)
{
    struct topic_partitions *topic = &builder->topics[builder->count - 1];

    builder->partitions[topic->count] = partition;
    builder->epochs[topic->count] = epoch;
    topic->count++;
}

static struct assignment builder_end(struct builder *builder)
{
    if (builder->count > 0 && builder->topics[builder->count - 1].count == 0)
        builder->count--;
    return (struct assignment){builder->topics, builder->count};
}

/* ---- what is subscribed ---- */

static bool subscribes(const struct consumer_step *step, struct uuid topic_id)
{
    const struct metadata_topic *topic = metadata_image_topic_by_id(step->image, topic_id);
    const struct consumer_metadata *metadata = step->metadata;
    const struct consumer_regex *regex;

    if (!topic)
        return false;
    if (consumer_names_contain(metadata->topics, metadata->topic_count, topic->name))
        return true;
    if (!consumer_has_regex(metadata))
        return false;
    regex = consumer_regex_find(step->group, metadata->regex);
    return regex && consumer_names_contain(regex->topics, regex->topic_count, topic->name);
}

/* Names or resolved names of any kind. */
static bool subscribes_to_nothing(const struct consumer_step *step)
{
    const struct consumer_regex *regex =
        consumer_has_regex(step->metadata) ? consumer_regex_find(step->group, step->metadata->regex)
                                           : NULL;

    return step->metadata->topic_count == 0 && (!regex || regex->topic_count == 0);
}

/* Whether the client still has, or may still have, one of these. */
static bool client_owns(const struct consumer_step *step, const struct assignment *revoked)
{
    if (!step->owned_known)
        return true;
    for (int32_t i = 0; i < step->owned_count; i++) {
        const struct topic_partitions *topic = assignment_topic(revoked, step->owned[i].topic_id);

        for (int32_t j = 0; topic && j < step->owned[i].count; j++)
            if (topic_partitions_have(topic, step->owned[i].partitions[j]))
                return true;
    }
    return false;
}

/* ---- towards the target ---- */

struct next {
    const struct consumer_step *step;
    struct builder keep, revoke, all; /* all: kept and newly given */
    bool gives, unreleased;
};

static void next_partition(struct next *next, struct uuid topic_id, int32_t partition,
                           const int32_t *held_since, bool wanted)
{
    const struct consumer_step *step = next->step;

    if (held_since && wanted) {
        builder_add(&next->keep, partition, *held_since);
        builder_add(&next->all, partition, *held_since);
    } else if (held_since) {
        builder_add(&next->revoke, partition, *held_since);
    } else if (!BUG_IS(partition_given_early) &&
               consumer_holder(step->group, topic_id, partition) &&
               !topic_partitions_have(assignment_topic(&step->from.revoking, topic_id),
                                      partition)) {
        next->unreleased = true; /* by another member, even if it is about to give it up */
    } else {
        next->gives = true;
        builder_add(&next->all, partition, step->target_epoch);
    }
}

/* One topic: what is held and what is wanted, both ascending, either absent. */
static enum err next_topic(struct next *next, const struct topic_partitions *held,
                           const struct topic_partitions *wanted)
{
    struct uuid id = held ? held->topic_id : wanted->topic_id;
    int32_t held_count = held ? held->count : 0, i = 0, j = 0, wanted_count;

    if (wanted && !subscribes(next->step, id))
        wanted = NULL;
    wanted_count = wanted ? wanted->count : 0;
    TRY(builder_topic(&next->keep, id, held_count));
    TRY(builder_topic(&next->revoke, id, held_count));
    TRY(builder_topic(&next->all, id, held_count + wanted_count));
    while (i < held_count || j < wanted_count) {
        bool has =
            i < held_count && (j == wanted_count || held->partitions[i] <= wanted->partitions[j]);
        bool wants =
            j < wanted_count && (i == held_count || wanted->partitions[j] <= held->partitions[i]);
        int32_t partition = has ? held->partitions[i] : wanted->partitions[j];

        next_partition(next, id, partition, has ? &held->epochs[i] : NULL, wants);
        i += has;
        j += wants;
    }
    return OK;
}

static enum err step_next(const struct consumer_step *step, int32_t epoch, struct arena *arena,
                          struct consumer_current *out)
{
    const struct assignment *held = &step->from.assigned, *wanted = step->target;
    struct next next = {.step = step};
    struct assignment revoke;
    int32_t i = 0, j = 0;

    TRY(builder_init(&next.keep, arena, held->count + wanted->count));
    TRY(builder_init(&next.revoke, arena, held->count + wanted->count));
    TRY(builder_init(&next.all, arena, held->count + wanted->count));
    while (i < held->count || j < wanted->count) {
        int order = i == held->count ? 1
                    : j == wanted->count
                        ? -1
                        : uuid_compare(held->topics[i].topic_id, wanted->topics[j].topic_id);

        TRY(next_topic(&next, order <= 0 ? &held->topics[i] : NULL,
                       order >= 0 ? &wanted->topics[j] : NULL));
        i += order <= 0;
        j += order >= 0;
    }
    revoke = builder_end(&next.revoke);
    out->previous_epoch = step->from.epoch;
    if (revoke.count > 0 && client_owns(step, &revoke)) {
        out->state = CONSUMER_UNREVOKED;
        out->epoch = epoch;
        out->assigned = builder_end(&next.keep);
        out->revoking = revoke;
        return OK;
    }
    out->state = next.unreleased ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
    out->epoch = step->target_epoch;
    out->assigned = builder_end(&next.all);
    out->revoking = (struct assignment){0};
    return OK;
}

/* ---- only giving up what is no longer subscribed ---- */

static enum err merge_topic(struct builder *builder, const struct topic_partitions *a,
                            const struct topic_partitions *b)
{
    int32_t i = 0, j = 0, a_count = a ? a->count : 0, b_count = b ? b->count : 0;

    TRY(builder_topic(builder, a ? a->topic_id : b->topic_id, a_count + b_count));
    while (i < a_count || j < b_count) {
        bool first = i < a_count && (j == b_count || a->partitions[i] < b->partitions[j]);

        if (first) {
            builder_add(builder, a->partitions[i], a->epochs[i]);
        } else {
            i += i < a_count && a->partitions[i] == b->partitions[j]; /* b replaces a */
            builder_add(builder, b->partitions[j], b->epochs[j]);
        }
        i += first;
        j += !first;
    }
    return OK;
}

enum err consumer_assignment_merge(const struct assignment *a, const struct assignment *b,
                                   struct arena *arena, struct assignment *out)
{
    struct builder builder;
    int32_t i = 0, j = 0;

    TRY(builder_init(&builder, arena, a->count + b->count));
    while (i < a->count || j < b->count) {
        int order = i == a->count   ? 1
                    : j == b->count ? -1
                                    : uuid_compare(a->topics[i].topic_id, b->topics[j].topic_id);

        TRY(merge_topic(&builder, order <= 0 ? &a->topics[i] : NULL,
                        order >= 0 ? &b->topics[j] : NULL));
        i += order <= 0;
        j += order >= 0;
    }
    *out = builder_end(&builder);
    return OK;
}

static enum err step_trim(const struct consumer_step *step, struct arena *arena,
                          struct consumer_current *out)
{
    const struct assignment *held = &step->from.assigned;
    bool nothing = subscribes_to_nothing(step);
    struct topic_partitions *keep, *give;
    int32_t keep_count = 0, give_count = 0;
    struct assignment revoked;

    keep = ARENA_ARRAY(arena, struct topic_partitions, (size_t)held->count);
    give = ARENA_ARRAY(arena, struct topic_partitions, (size_t)held->count);
    if (!keep || !give)
        return ERR_NO_MEMORY;
    for (int32_t k = 0; k < held->count; k++) {
        if (!nothing && subscribes(step, held->topics[k].topic_id))
            keep[keep_count++] = held->topics[k];
        else
            give[give_count++] = held->topics[k];
    }
    if (give_count == 0)
        return OK;
    TRY(consumer_assignment_merge(&step->from.revoking, &(struct assignment){give, give_count},
                                  arena, &revoked));
    out->previous_epoch = step->from.epoch;
    out->assigned = (struct assignment){keep, keep_count};
    if (client_owns(step, &revoked)) {
        out->state = CONSUMER_UNREVOKED;
        out->revoking = revoked;
    }
    return OK;
}

enum err consumer_reconcile(const struct consumer_step *step, struct arena *arena,
                            struct consumer_current *out)
{
    const struct consumer_current *from = &step->from;

    *out = *from;
    switch (from->state) {
    case CONSUMER_STABLE:
        if (from->epoch != step->target_epoch)
            return step_next(step, from->epoch, arena, out);
        return step->subscription_changed ? step_trim(step, arena, out) : OK;
    case CONSUMER_UNREVOKED:
        if (client_owns(step, &from->revoking))
            return step->subscription_changed ? step_trim(step, arena, out) : OK;
        return step_next(step, from->epoch, arena, out);
    case CONSUMER_UNRELEASED:
        return step_next(step, from->epoch, arena, out);
    default:
        if (!step->owned_known || step->owned_count > 0)
            return ERR_FENCED_MEMBER_EPOCH;
        return step_next(step, step->target_epoch, arena, out);
    }
}
