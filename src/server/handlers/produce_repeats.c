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

typedef struct produce_request_topic_produce_data asked_topic;
typedef struct produce_request_partition_produce_data asked_partition;

/* So many topics are compared each with each. */
#define TOPICS_COMPARED_MAX 16
/* Of partitions that do not ascend these are marked on the stack; who names a later one is looked at closely. */
#define INDEXES_MARKED 4096
/* So far closely: no topic comes near so many partitions. Beyond, each naming counts. */
#define INDEXES_MAX (1 << 20)
#define WORD_BITS 64

/* One topic of the request. Topics are compared once, not for each of their partitions: a name may be long. */
struct naming {
    asked_topic *topic;
    size_t first; /* of its partitions in the request's order */
};

/* A request has ids or names. */
static int topic_order(const asked_topic *one, const asked_topic *two)
{
    int order = uuid_compare(one->topic_id, two->topic_id);

    return order != 0 ? order : slice_compare(one->name, two->name);
}

static int naming_order(const void *a, const void *b)
{
    const struct naming *one = a;
    const struct naming *two = b;
    int order = topic_order(one->topic, two->topic);

    return order != 0 ? order : one->first < two->first ? -1 : one->first > two->first;
}

/* Whether it was marked before. */
static bool mark(uint64_t *marked, int32_t index)
{
    uint64_t bit = UINT64_C(1) << ((uint32_t)index % WORD_BITS);
    bool was = (marked[index / WORD_BITS] & bit) != 0;

    marked[index / WORD_BITS] |= bit;
    return was;
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

        if (index < 0 || index >= INDEXES_MARKED || mark(marked, index))
            return true;
    }
    return false;
}

/* The topics, equal ones together and in the request's order; NULL: no memory. */
static struct naming *topics_sorted(const struct produce_request *body, struct arena *arena)
{
    size_t count = (size_t)body->topic_data_count, first = 0;
    struct naming *sorted = ARENA_ARRAY(arena, struct naming, count);

    if (!sorted)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (struct naming){&body->topic_data[i], first};
        first += (size_t)body->topic_data[i].partition_data_count;
    }
    qsort(sorted, count, sizeof(*sorted), naming_order);
    return sorted;
}

static bool topics_may_repeat(const struct produce_request *body, struct arena *arena)
{
    size_t count = (size_t)body->topic_data_count;
    const struct naming *sorted;

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
        if (topic_order(sorted[i - 1].topic, sorted[i].topic) == 0)
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

/* Of namings of one topic, from the last to the first: partitions that were named already are dropped. */
static void topic_repeats_find(const struct naming *namings, size_t count, uint64_t *marked,
                               bool *is_dropped)
{
    for (size_t i = count; i-- > 0;) {
        const asked_topic *topic = namings[i].topic;

        for (int32_t j = topic->partition_data_count; j-- > 0;) {
            int32_t index = topic->partition_data[j].index;

            if (index >= 0 && index < INDEXES_MAX)
                is_dropped[namings[i].first + (size_t)j] = mark(marked, index);
        }
    }
    for (size_t i = 0; i < count; i++)
        for (int32_t j = 0; j < namings[i].topic->partition_data_count; j++) {
            int32_t index = namings[i].topic->partition_data[j].index;

            if (index >= 0 && index < INDEXES_MAX)
                marked[index / WORD_BITS] = 0;
        }
}

static bool repeats_drop(struct produce_request *body, size_t count, struct arena *arena)
{
    const struct naming *namings = topics_sorted(body, arena);
    bool *is_dropped = ARENA_ARRAY(arena, bool, count);
    uint64_t *marked = ARENA_ARRAY(arena, uint64_t, INDEXES_MAX / WORD_BITS);
    size_t topics = (size_t)body->topic_data_count, end;

    if (!namings || !is_dropped || !marked)
        return false;
    for (size_t i = 0; i < topics; i = end) {
        end = i + 1;
        while (end < topics && topic_order(namings[i].topic, namings[end].topic) == 0)
            end++;
        topic_repeats_find(&namings[i], end - i, marked, is_dropped);
    }
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
