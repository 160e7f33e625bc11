/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/assign_uniform_mixed.c: "uniform" where members subscribe to different topics. Old
 * partitions of topics still subscribed stay; free ones go to the subscriber with the least load; then
 * partitions move from the most to the least loaded subscriber of each topic, topic by topic, until a
 * round changes nothing or 16 rounds are done.
 *
 * The subscribers of a topic stand sorted by load. Two ranges grow towards each other: the low one from
 * the left, whose members are all at the low level, the high one from the right:
 *
 *            low_end        high_start   high_end
 *               v               v           v
 *     [ low ....|  .  .  .  .   | .... high | spent ]   spent: nothing of this topic left to give
 */
#include "coordinator/group/assign.h"

#include "base/assert.h"

#define ROUNDS_MAX 16

struct mixed {
    const struct assign_input *input;
    struct arena *arena;
    struct assign_owners owners;
    int32_t *loads;       /* per place: partitions of the member in all topics */
    int32_t *walk;        /* place → member */
    int32_t *places;      /* member → place */
    size_t *first;        /* topic → where its subscribers begin */
    int32_t *subscribers; /* places, ascending, topic after topic */
    int32_t *topics;      /* those somebody subscribes to, in the order of work */
    int32_t topic_count;
};

struct scale {
    const int32_t *loads;
    int32_t *sorted;
    int32_t count;
    int32_t low_end, low_level, low_next;
    int32_t high_start, high_end, high_level, high_next;
};

static int32_t subscriber_count(const struct mixed *mixed, int32_t topic)
{
    return (int32_t)(mixed->first[topic + 1] - mixed->first[topic]);
}

static bool load_before(const int32_t *loads, int32_t a, int32_t b)
{
    return loads[a] != loads[b] ? loads[a] < loads[b] : a < b;
}

/* Sorts places by load; heap sort, because nothing else is needed and the order is total. */
static void places_sort(const int32_t *loads, int32_t *places, int32_t count)
{
    for (int32_t end = count, start = count / 2; end > 1;) {
        int32_t root;

        if (start > 0) {
            root = --start;
        } else {
            int32_t top = places[0];

            end--;
            places[0] = places[end];
            places[end] = top;
            root = 0;
        }
        for (int32_t child; (child = 2 * root + 1) < end; root = child) {
            int32_t held = places[root];

            if (child + 1 < end && load_before(loads, places[child], places[child + 1]))
                child++;
            if (!load_before(loads, held, places[child]))
                break;
            places[root] = places[child];
            places[child] = held;
        }
    }
}

/* Gives the difference between the most and the least loaded subscriber. */
static int32_t scale_start(struct scale *scale, const struct mixed *mixed, int32_t topic)
{
    scale->count = subscriber_count(mixed, topic);
    ASSERT(scale->count > 0);
    memcpy(scale->sorted, mixed->subscribers + mixed->first[topic],
           (size_t)scale->count * sizeof *scale->sorted);
    places_sort(scale->loads, scale->sorted, scale->count);
    int32_t least = scale->loads[scale->sorted[0]];
    int32_t most = scale->loads[scale->sorted[scale->count - 1]];

    scale->low_end = 0;
    scale->low_level = least - 1;
    scale->low_next = 0;
    scale->high_start = scale->high_end = scale->count;
    scale->high_level = most + 1;
    scale->high_next = scale->count - 1;
    return most - least;
}

static int32_t scale_lowest(struct scale *scale)
{
    if (scale->low_next >= scale->low_end) {
        scale->low_level++;
        while (scale->low_end < scale->count &&
               scale->loads[scale->sorted[scale->low_end]] == scale->low_level)
            scale->low_end++;
        scale->low_next = 0;
    }
    return scale->sorted[scale->low_next++];
}

/* -1: nobody is left who could give. */
static int32_t scale_highest(struct scale *scale)
{
    if (scale->high_next < scale->high_start) {
        if (scale->high_end <= scale->high_start && scale->high_start > 0)
            scale->high_level = scale->loads[scale->sorted[scale->high_start - 1]];
        else
            scale->high_level--;
        while (scale->high_start > 0 &&
               scale->loads[scale->sorted[scale->high_start - 1]] == scale->high_level)
            scale->high_start--;
        scale->high_next = scale->high_end - 1;
    }
    return scale->high_next < 0 ? -1 : scale->sorted[scale->high_next--];
}

/* The member that scale_highest gave last has nothing more of this topic. */
static void scale_spend(struct scale *scale)
{
    int32_t at = scale->high_next + 1, last = scale->high_end - 1;
    int32_t place = scale->sorted[at];

    scale->sorted[at] = scale->sorted[last];
    scale->sorted[last] = place;
    scale->high_end--;
}

static bool scale_level(const struct scale *scale)
{
    return scale->high_level - scale->low_level <= 1;
}

/* More partitions per subscriber first, then fewer subscribers, then the smaller id. */
static bool topic_before(const struct mixed *mixed, int32_t a, int32_t b)
{
    int32_t subscribers_a = subscriber_count(mixed, a), subscribers_b = subscriber_count(mixed, b);
    double a_each = (double)mixed->input->topics[a].partition_count / subscribers_a;
    double b_each = (double)mixed->input->topics[b].partition_count / subscribers_b;

    if (a_each > b_each || a_each < b_each)
        return a_each > b_each;
    if (subscribers_a != subscribers_b)
        return subscribers_a < subscribers_b;
    return assign_compare_uuid(mixed->input->topics[a].id, mixed->input->topics[b].id) < 0;
}

static void topics_sort(const struct mixed *mixed, int32_t *topics, int32_t count)
{
    for (int32_t gap = count / 2; gap > 0; gap = gap == 2 ? 1 : (int32_t)((int64_t)gap * 5 / 11)) {
        for (int32_t i = gap; i < count; i++) {
            int32_t topic = topics[i], at = i;

            for (; at >= gap && topic_before(mixed, topic, topics[at - gap]); at -= gap)
                topics[at] = topics[at - gap];
            topics[at] = topic;
        }
    }
}

static enum err mixed_prepare(struct mixed *mixed)
{
    const struct assign_input *input = mixed->input;
    size_t member_count = (size_t)input->member_count, total = 0;
    uint32_t *hashes = ARENA_ARRAY(mixed->arena, uint32_t, member_count);
    size_t *next = ARENA_ARRAY(mixed->arena, size_t, (size_t)input->topic_count + 1);

    mixed->loads = ARENA_ARRAY(mixed->arena, int32_t, member_count);
    mixed->walk = ARENA_ARRAY(mixed->arena, int32_t, member_count);
    mixed->places = ARENA_ARRAY(mixed->arena, int32_t, member_count);
    mixed->first = ARENA_ARRAY(mixed->arena, size_t, (size_t)input->topic_count + 1);
    mixed->topics = ARENA_ARRAY(mixed->arena, int32_t, (size_t)input->topic_count);
    if (!hashes || !next || !mixed->loads || !mixed->walk || !mixed->places || !mixed->first ||
        !mixed->topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < member_count; i++)
        hashes[i] = assign_hash_text(input->members[i].member_id);
    TRY(assign_order(hashes, input->member_count, assign_table_grown(member_count), mixed->arena,
                     mixed->walk));
    for (int32_t i = 0; i < input->member_count; i++) {
        mixed->places[mixed->walk[i]] = i;
        total += (size_t)input->members[i].topic_count;
        for (int32_t j = 0; j < input->members[i].topic_count; j++)
            mixed->first[input->members[i].topics[j] + 1]++;
    }
    mixed->subscribers = ARENA_ARRAY(mixed->arena, int32_t, total);
    if (!mixed->subscribers)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < input->topic_count; i++) {
        if (mixed->first[i + 1] > 0)
            mixed->topics[mixed->topic_count++] = i;
        mixed->first[i + 1] += mixed->first[i];
        next[i] = mixed->first[i];
    }
    for (int32_t i = 0; i < input->member_count; i++) {
        const struct assign_member *member = &input->members[mixed->walk[i]];

        for (int32_t j = 0; j < member->topic_count; j++)
            mixed->subscribers[next[member->topics[j]]++] = i;
    }
    topics_sort(mixed, mixed->topics, mixed->topic_count);
    return OK;
}

/* What is kept. A partition that two old targets name stays with the later one. */
static void mixed_keep(struct mixed *mixed)
{
    const struct assign_input *input = mixed->input;

    for (int32_t place = 0; place < input->member_count; place++) {
        int32_t member = mixed->walk[place];
        const struct assignment *old = &input->members[member].old;

        for (int32_t i = 0; i < old->count; i++) {
            int32_t topic = assign_topic_find(input, old->topics[i].topic_id);

            if (topic < 0 || !assign_member_subscribes(&input->members[member], topic))
                continue;
            for (int32_t j = 0; j < old->topics[i].count; j++) {
                int32_t partition = old->topics[i].partitions[j];

                if (partition < 0 || partition >= input->topics[topic].partition_count)
                    continue;
                int32_t *owner = assign_owner(&mixed->owners, topic, partition);

                if (*owner >= 0)
                    mixed->loads[mixed->places[*owner]]--;
                *owner = member;
                mixed->loads[place]++;
            }
        }
    }
}

static void mixed_give(struct mixed *mixed, int32_t topic, int32_t partition, int32_t place)
{
    int32_t *owner = assign_owner(&mixed->owners, topic, partition);

    if (*owner >= 0)
        mixed->loads[mixed->places[*owner]]--;
    *owner = mixed->walk[place];
    mixed->loads[place]++;
}

static void mixed_fill(struct mixed *mixed, struct scale *scale)
{
    for (int32_t i = 0; i < mixed->topic_count; i++) {
        int32_t topic = mixed->topics[i];
        bool started = false;

        for (int32_t j = 0; j < mixed->input->topics[topic].partition_count; j++) {
            if (*assign_owner(&mixed->owners, topic, j) >= 0)
                continue;
            if (!started)
                (void)scale_start(scale, mixed, topic);
            started = true;
            mixed_give(mixed, topic, j, scale_lowest(scale));
        }
    }
}

/* Partitions of one topic grouped by owner's place: partitions[starts[p]] … partitions[ends[p] - 1],
 * ascending. */
struct holdings {
    int32_t *partitions;
    int32_t *starts, *ends; /* per place; only those of the topic's subscribers are valid */
};

static void holdings_fill(const struct mixed *mixed, int32_t topic, struct holdings *holdings)
{
    int32_t partition_count = mixed->input->topics[topic].partition_count, at = 0;

    for (size_t i = mixed->first[topic]; i < mixed->first[topic + 1]; i++)
        holdings->ends[mixed->subscribers[i]] = 0;
    for (int32_t j = 0; j < partition_count; j++)
        holdings->ends[mixed->places[*assign_owner(&mixed->owners, topic, j)]]++;
    for (size_t i = mixed->first[topic]; i < mixed->first[topic + 1]; i++) {
        int32_t place = mixed->subscribers[i], held = holdings->ends[place];

        holdings->starts[place] = holdings->ends[place] = at;
        at += held;
    }
    for (int32_t j = 0; j < partition_count; j++)
        holdings
            ->partitions[holdings->ends[mixed->places[*assign_owner(&mixed->owners, topic, j)]]++] =
            j;
}

/* Whether a partition moved. */
static bool topic_balance(struct mixed *mixed, struct scale *scale, struct holdings *holdings,
                          int32_t topic)
{
    bool moved = false;

    if (scale_start(scale, mixed, topic) <= 1)
        return false;
    holdings_fill(mixed, topic, holdings);
    while (!scale_level(scale)) {
        int32_t from;

        while ((from = scale_highest(scale)) >= 0 && holdings->ends[from] <= holdings->starts[from])
            scale_spend(scale);
        if (from < 0)
            break;
        int32_t partition = holdings->partitions[--holdings->ends[from]];
        int32_t to = scale_lowest(scale);

        if (scale_level(scale))
            break;
        mixed_give(mixed, topic, partition, to);
        moved = true;
    }
    return moved;
}

static enum err mixed_balance(struct mixed *mixed, struct scale *scale)
{
    size_t member_count = (size_t)mixed->input->member_count;
    int32_t most = 0, count = 0, last = -1;
    struct holdings holdings = {
        .starts = ARENA_ARRAY(mixed->arena, int32_t, member_count),
        .ends = ARENA_ARRAY(mixed->arena, int32_t, member_count),
    };

    for (int32_t i = 0; i < mixed->topic_count; i++) {
        int32_t topic = mixed->topics[i];

        if (subscriber_count(mixed, topic) < 2)
            continue; /* nobody to move anything to */
        mixed->topics[count++] = topic;
        most = MAX(most, mixed->input->topics[topic].partition_count);
    }
    holdings.partitions = ARENA_ARRAY(mixed->arena, int32_t, (size_t)most);
    if (!holdings.partitions || !holdings.starts || !holdings.ends)
        return ERR_NO_MEMORY;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        for (int32_t i = 0; i < count; i++) {
            if (i == last)
                return OK; /* a full round in which nothing moved */
            if (topic_balance(mixed, scale, &holdings, mixed->topics[i]) || last < 0)
                last = i;
        }
    }
    return OK;
}

enum err assign_uniform_mixed(const struct assign_input *input, struct arena *arena,
                              struct assignment **targets_out)
{
    struct mixed mixed = {.input = input, .arena = arena};
    struct scale scale = {0};

    TRY(assign_owners_create(input, arena, &mixed.owners));
    TRY(mixed_prepare(&mixed));
    scale.loads = mixed.loads;
    scale.sorted = ARENA_ARRAY(arena, int32_t, (size_t)input->member_count);
    if (!scale.sorted)
        return ERR_NO_MEMORY;
    mixed_keep(&mixed);
    mixed_fill(&mixed, &scale);
    TRY(mixed_balance(&mixed, &scale));
    return assign_owners_targets(&mixed.owners, arena, targets_out);
}
