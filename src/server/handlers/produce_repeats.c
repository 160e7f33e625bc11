/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/produce_repeats.c: a Produce request that names a partition more than once. Kafka keeps what a
 * request says by partition: the last one counts, and those before it are neither written nor answered
 * (KafkaApis.handleProduceRequest). (There an earlier one is written when the last has no valid records. Here it is
 * not.) No client does so; that none did is what must cost little, in whatever order partitions come: Kafka's own
 * producer sends them as a hash table gives them.
 */
#include <stdlib.h>
#include <string.h>

#include "server/handlers/produce_internal.h"

#include "base/assert.h"

typedef struct produce_request_topic_produce_data asked_topic;
typedef struct produce_request_partition_produce_data asked_partition;

/* So many topics are compared each with each. */
#define TOPICS_COMPARED_MAX 16
/* Of partitions that do not ascend these are marked on the stack; who names a later one is looked at closely. */
#define INDEXES_MARKED 4096
#define WORD_BITS 64

/* A partition as it is named. Topics are compared once, not for each of their partitions: a name may be long. */
struct naming {
    uint32_t topic; /* its rank; the same for the same topic */
    int32_t index;
    uint32_t order; /* of the request */
};

/* A request has ids or names. */
static int topic_order(const asked_topic *one, const asked_topic *two)
{
    int order = uuid_compare(one->topic_id, two->topic_id);

    return order != 0 ? order : slice_compare(one->name, two->name);
}

static int topic_pointer_order(const void *one, const void *two)
{
    return topic_order(*(const asked_topic *const *)one, *(const asked_topic *const *)two);
}

static int naming_order(const void *a, const void *b)
{
    const struct naming *one = a;
    const struct naming *two = b;

    if (one->topic != two->topic)
        return one->topic < two->topic ? -1 : 1;
    if (one->index != two->index)
        return one->index < two->index ? -1 : 1;
    return one->order < two->order ? -1 : 1;
}

static bool indexes_ascend(const asked_topic *topic)
{
    const asked_partition *data = topic->partition_data;
    int32_t count = topic->partition_data_count, i = 1;

    while (i < count && data[i].index > data[i - 1].index)
        i++;
    return i >= count;
}

static bool indexes_may_repeat(const asked_topic *topic)
{
    uint64_t marked[INDEXES_MARKED / WORD_BITS];

    if (indexes_ascend(topic))
        return false;
    memset(marked, 0, sizeof(marked));
    for (int32_t i = 0; i < topic->partition_data_count; i++) {
        int32_t index = topic->partition_data[i].index;
        uint64_t bit = UINT64_C(1) << ((uint32_t)index % WORD_BITS);

        if (index < 0 || index >= INDEXES_MARKED || (marked[index / WORD_BITS] & bit))
            return true;
        marked[index / WORD_BITS] |= bit;
    }
    return false;
}

/* NULL: no memory. */
static const asked_topic **topics_sorted(const struct produce_request *body, struct arena *arena)
{
    size_t count = (size_t)body->topic_data_count;
    const asked_topic **sorted = ARENA_ARRAY(arena, const asked_topic *, count);

    if (!sorted)
        return NULL;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &body->topic_data[i];
    qsort(sorted, count, sizeof(const asked_topic *), topic_pointer_order);
    return sorted;
}

static bool topics_may_repeat(const struct produce_request *body, struct arena *arena)
{
    size_t count = (size_t)body->topic_data_count;
    const asked_topic **sorted;

    if (count <= TOPICS_COMPARED_MAX) {
        for (size_t i = 1; i < count; i++)
            for (size_t j = 0; j < i; j++)
                if (topic_order(&body->topic_data[i], &body->topic_data[j]) == 0)
                    return true;
        return false;
    }
    sorted = topics_sorted(body, arena);
    if (!sorted)
        return true; /* to be looked at closely, which fails */
    for (size_t i = 1; i < count; i++)
        if (topic_order(sorted[i - 1], sorted[i]) == 0)
            return true;
    return false;
}

/* Takes out what is marked, and topics that have nothing left. */
static void marked_drop(struct produce_request *body, const bool *is_dropped)
{
    int32_t topics = 0;
    size_t order = 0;

    for (int32_t i = 0; i < body->topic_data_count; i++) {
        asked_topic *topic = &body->topic_data[i];
        int32_t before = topic->partition_data_count;
        int32_t kept = 0;

        for (int32_t j = 0; j < before; j++)
            if (!is_dropped[order++])
                topic->partition_data[kept++] = topic->partition_data[j];
        topic->partition_data_count = kept;
        if (kept > 0 || before == 0)
            body->topic_data[topics++] = *topic;
    }
    body->topic_data_count = topics;
}

/* The rank of each topic in the request's order; NULL: no memory. */
static const uint32_t *topics_rank(const struct produce_request *body, struct arena *arena)
{
    size_t count = (size_t)body->topic_data_count;
    const asked_topic **sorted = topics_sorted(body, arena);
    uint32_t *ranks = ARENA_ARRAY(arena, uint32_t, count);
    uint32_t rank = 0;

    if (!sorted || !ranks)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        rank += i > 0 && topic_order(sorted[i - 1], sorted[i]) != 0;
        ranks[sorted[i] - body->topic_data] = rank;
    }
    return ranks;
}

static bool repeats_drop(struct produce_request *body, size_t count, struct arena *arena)
{
    struct naming *namings = ARENA_ARRAY(arena, struct naming, count);
    bool *is_dropped = ARENA_ARRAY(arena, bool, count);
    const uint32_t *ranks = topics_rank(body, arena);
    uint32_t order = 0;

    if (!namings || !is_dropped || !ranks)
        return false;
    for (int32_t i = 0; i < body->topic_data_count; i++) {
        const asked_topic *topic = &body->topic_data[i];

        for (int32_t j = 0; j < topic->partition_data_count; j++, order++)
            namings[order] = (struct naming){ranks[i], topic->partition_data[j].index, order};
    }
    ASSERT(order == count);
    qsort(namings, count, sizeof(*namings), naming_order);
    for (size_t i = 1; i < count; i++)
        is_dropped[namings[i - 1].order] =
            namings[i - 1].topic == namings[i].topic && namings[i - 1].index == namings[i].index;
    marked_drop(body, is_dropped);
    return true;
}

bool produce_repeats_drop(struct produce_request *body, size_t count, struct arena *arena)
{
    bool may_repeat = topics_may_repeat(body, arena);

    for (int32_t i = 0; i < body->topic_data_count && !may_repeat; i++)
        may_repeat = indexes_may_repeat(&body->topic_data[i]);
    return !may_repeat || repeats_drop(body, count, arena);
}
