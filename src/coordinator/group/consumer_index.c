/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_index.c: what follows from the members of a consumer group: who holds which partition, how
 * many subscribe to what, topic → groups; and looking things up.
 */
#include "coordinator/group/consumer_internal.h"

/* ---- lookups ---- */

#define MATCHES(function, type, field)                                          \
    static bool function(const struct hash_map_node *node, const void *key)     \
    {                                                                           \
        const struct slice *name = key;                                         \
                                                                                \
        return slice_equal(CONTAINER_OF(node, const type, node)->field, *name); \
    }
MATCHES(member_matches, struct consumer_member, id)
MATCHES(static_matches, struct consumer_static, member->metadata->instance_id)
MATCHES(topic_matches, struct consumer_topic, shared->name)
MATCHES(shared_topic_matches, struct consumer_shared_topic, name)
MATCHES(regex_matches_pattern, struct consumer_regex, pattern)
MATCHES(counter_matches, struct consumer_counter, name)

static bool holders_match(const struct hash_map_node *node, const void *key)
{
    const struct uuid *id = key;

    return uuid_equal(CONTAINER_OF(node, const struct consumer_holders, node)->topic_id, *id);
}

#define FOUND(node, type) ((node) ? CONTAINER_OF(node, type, node) : NULL)

struct consumer_member *consumer_member_find_any(const struct consumer_group *group,
                                                 struct slice id)
{
    struct hash_map_node *node = hash_map_find(&group->members, hash_slice(id), &id);

    return FOUND(node, struct consumer_member);
}

struct consumer_member *consumer_member_find(const struct consumer_group *group, struct slice id)
{
    struct consumer_member *member = consumer_member_find_any(group, id);

    return member && member->is_member ? member : NULL;
}

struct consumer_member *consumer_static_find(const struct consumer_group *group,
                                             struct slice instance_id)
{
    struct hash_map_node *node;

    if (slice_is_null(instance_id))
        return NULL;
    node = hash_map_find(&group->statics, hash_slice(instance_id), &instance_id);
    return node ? CONTAINER_OF(node, struct consumer_static, node)->member : NULL;
}

struct consumer_regex *consumer_regex_find(const struct consumer_group *group, struct slice pattern)
{
    struct hash_map_node *node = hash_map_find(&group->regexes, hash_slice(pattern), &pattern);

    return FOUND(node, struct consumer_regex);
}

struct consumer_topic *consumer_topic_find(const struct consumer_group *group, struct slice name)
{
    struct hash_map_node *node = hash_map_find(&group->topics, hash_slice(name), &name);

    return FOUND(node, struct consumer_topic);
}

static struct consumer_counter *counter_find(const struct hash_map *counters, struct slice name)
{
    struct hash_map_node *node = hash_map_find(counters, hash_slice(name), &name);

    return FOUND(node, struct consumer_counter);
}

int32_t consumer_counter_get(const struct hash_map *counters, struct slice name)
{
    const struct consumer_counter *counter = counter_find(counters, name);

    return counter ? counter->count : 0;
}

static struct consumer_holders *holders_find(const struct consumer_group *group, struct uuid id)
{
    struct hash_map_node *node = hash_map_find(&group->holders, hash_bytes(id.bytes, 16), &id);

    return FOUND(node, struct consumer_holders);
}

struct consumer_member *consumer_holder(const struct consumer_group *group, struct uuid topic_id,
                                        int32_t partition)
{
    struct consumer_holders *holders = holders_find(group, topic_id);

    return holders && partition >= 0 && partition < holders->capacity ? holders->holders[partition]
                                                                      : NULL;
}

/* ---- counters ---- */

enum err consumer_counter_add(struct allocator *allocator, struct hash_map *counters,
                              struct slice name, int32_t delta)
{
    struct consumer_counter *counter = counter_find(counters, name);

    if (!counter) {
        ASSERT(delta > 0);
        counter = ALLOCATOR_NEW(allocator, struct consumer_counter);
        if (!counter)
            return ERR_NO_MEMORY;
        if (bytes_copy(allocator, name, &counter->name) != OK ||
            hash_map_insert(counters, hash_slice(name), &counter->node) != OK) {
            bytes_release(allocator, &counter->name);
            ALLOCATOR_DELETE(allocator, counter);
            return ERR_NO_MEMORY;
        }
    }
    counter->count += delta;
    ASSERT(counter->count >= 0);
    if (counter->count == 0) {
        hash_map_remove(counters, &counter->node);
        bytes_release(allocator, &counter->name);
        ALLOCATOR_DELETE(allocator, counter);
    }
    return OK;
}

enum err consumer_counter_add_once(struct allocator *allocator, struct hash_map *counters,
                                   struct slice name, int32_t delta, uint64_t pass)
{
    struct consumer_counter *counter = counter_find(counters, name);

    /* Of a list that is taken back its first mention may have removed the counter. */
    if (counter ? counter->pass == pass : delta < 0)
        return OK;
    if (counter)
        counter->pass = pass;
    TRY(consumer_counter_add(allocator, counters, name, delta));
    if (!counter)
        counter_find(counters, name)->pass = pass;
    return OK;
}

void consumer_counters_release(struct allocator *allocator, struct hash_map *counters)
{
    HASH_MAP_EACH_SAFE (at, counters) {
        struct consumer_counter *counter = HASH_MAP_ITEM(at, struct consumer_counter, node);

        bytes_release(allocator, &counter->name);
        ALLOCATOR_DELETE(allocator, counter);
    }
    hash_map_release(counters);
}

/* ---- topics: names and expressions that subscribe to them ---- */

static enum err shared_topic_ensure(struct group_coordinator *coordinator, struct slice name,
                                    struct consumer_shared_topic **out)
{
    struct hash_map *topics = &coordinator->consumer->topics;
    struct hash_map_node *node = hash_map_find(topics, hash_slice(name), &name);
    struct consumer_shared_topic *shared = FOUND(node, struct consumer_shared_topic);

    if (!shared) {
        shared = ALLOCATOR_NEW(coordinator->allocator, struct consumer_shared_topic);
        if (!shared)
            return ERR_NO_MEMORY;
        list_init(&shared->groups);
        if (bytes_copy(coordinator->allocator, name, &shared->name) != OK ||
            hash_map_insert(topics, hash_slice(name), &shared->node) != OK) {
            bytes_release(coordinator->allocator, &shared->name);
            ALLOCATOR_DELETE(coordinator->allocator, shared);
            return ERR_NO_MEMORY;
        }
    }
    *out = shared;
    return OK;
}

static void shared_topic_maybe_release(struct group_coordinator *coordinator,
                                       struct consumer_shared_topic *shared)
{
    if (!list_is_empty(&shared->groups))
        return;
    hash_map_remove(&coordinator->consumer->topics, &shared->node);
    bytes_release(coordinator->allocator, &shared->name);
    ALLOCATOR_DELETE(coordinator->allocator, shared);
}

void consumer_topic_release(struct consumer_group *group, struct consumer_topic *topic)
{
    struct consumer_shared_topic *shared = topic->shared;

    hash_map_remove(&group->topics, &topic->node);
    list_remove(&topic->link);
    ALLOCATOR_DELETE(group->coordinator->allocator, topic);
    shared_topic_maybe_release(group->coordinator, shared);
}

enum err consumer_topic_add(struct consumer_group *group, struct slice name, int32_t names,
                            int32_t regexes)
{
    struct allocator *allocator = group->coordinator->allocator;
    struct consumer_topic *topic = consumer_topic_find(group, name);

    if (!topic) {
        struct consumer_shared_topic *shared;

        ASSERT(names >= 0 && regexes >= 0);
        TRY(shared_topic_ensure(group->coordinator, name, &shared));
        topic = ALLOCATOR_NEW(allocator, struct consumer_topic);
        if (topic) {
            topic->group = group;
            topic->shared = shared;
            list_init(&topic->link);
        }
        if (!topic || hash_map_insert(&group->topics, hash_slice(name), &topic->node) != OK) {
            if (topic)
                ALLOCATOR_DELETE(allocator, topic);
            shared_topic_maybe_release(group->coordinator, shared);
            return ERR_NO_MEMORY;
        }
        list_push_back(&shared->groups, &topic->link);
    }
    topic->names += names;
    topic->regexes += regexes;
    ASSERT(topic->names >= 0 && topic->regexes >= 0);
    if (topic->names == 0 && topic->regexes == 0)
        consumer_topic_release(group, topic);
    return OK;
}

/* ---- regular expressions ---- */

enum err consumer_regex_ensure(struct consumer_group *group, struct slice pattern,
                               struct consumer_regex **out)
{
    struct allocator *allocator = group->coordinator->allocator;
    struct consumer_regex *regex = consumer_regex_find(group, pattern);

    if (!regex) {
        regex = ALLOCATOR_NEW(allocator, struct consumer_regex);
        if (!regex)
            return ERR_NO_MEMORY;
        if (bytes_copy(allocator, pattern, &regex->pattern) != OK ||
            hash_map_insert(&group->regexes, hash_slice(pattern), &regex->node) != OK) {
            bytes_release(allocator, &regex->pattern);
            ALLOCATOR_DELETE(allocator, regex);
            return ERR_NO_MEMORY;
        }
    }
    *out = regex;
    return OK;
}

void consumer_regex_maybe_release(struct consumer_group *group, struct consumer_regex *regex)
{
    if (regex->members > 0 || regex->resolved)
        return;
    hash_map_remove(&group->regexes, &regex->node);
    bytes_release(group->coordinator->allocator, &regex->pattern);
    ALLOCATOR_DELETE(group->coordinator->allocator, regex);
}

static enum err regex_unresolve(struct consumer_group *group, struct consumer_regex *regex)
{
    struct allocator *allocator = group->coordinator->allocator;

    if (!regex->resolved)
        return OK;
    for (int32_t i = 0; i < regex->topic_count; i++)
        TRY(consumer_topic_add(group, regex->topics[i], 0, -1));
    if (regex->block_bytes > 0)
        allocator->release(allocator, (void *)(uintptr_t)regex->topics, regex->block_bytes);
    regex->topics = NULL;
    regex->topic_count = 0;
    regex->block_bytes = 0;
    regex->resolved = false;
    group->resolved_regexes--;
    return OK;
}

enum err consumer_regex_set(struct consumer_group *group, struct slice pattern,
                            const struct slice *topics, int32_t count, int64_t version,
                            int64_t timestamp_ms)
{
    struct allocator *allocator = group->coordinator->allocator;
    struct consumer_regex *regex;
    size_t bytes = (size_t)count * sizeof *topics;
    struct slice *copy;
    uint8_t *at;

    TRY(consumer_regex_ensure(group, pattern, &regex));
    TRY(regex_unresolve(group, regex));
    regex->resolved = true;
    group->resolved_regexes++;
    regex->version = version;
    regex->timestamp_ms = timestamp_ms;
    if (count == 0)
        return OK;
    for (int32_t i = 0; i < count; i++)
        bytes += topics[i].size_bytes;
    copy = allocator->allocate(allocator, bytes);
    if (!copy)
        return ERR_NO_MEMORY;
    at = (uint8_t *)(void *)(copy + count);
    for (int32_t i = 0; i < count; i++) {
        memcpy(at, topics[i].data, topics[i].size_bytes);
        copy[i] = slice_of(at, topics[i].size_bytes);
        at += topics[i].size_bytes;
    }
    regex->topics = copy;
    regex->block_bytes = bytes;
    regex->topic_count = consumer_names_sort(copy, count);
    for (int32_t i = 0; i < regex->topic_count; i++)
        TRY(consumer_topic_add(group, copy[i], 0, 1));
    return OK;
}

void consumer_regex_clear(struct consumer_group *group, struct slice pattern)
{
    struct consumer_regex *regex = consumer_regex_find(group, pattern);

    if (!regex)
        return;
    enum err err = regex_unresolve(group, regex);

    ASSERT(err == OK); /* lowering a count takes no memory */
    consumer_regex_maybe_release(group, regex);
}

/* ---- holders of partitions ---- */

void consumer_holders_drop(struct consumer_member *member, const struct assignment *assignment)
{
    struct consumer_group *group = member->group;
    struct allocator *allocator = group->coordinator->allocator;

    for (int32_t i = 0; i < assignment->count; i++) {
        const struct topic_partitions *topic = &assignment->topics[i];
        struct consumer_holders *holders = holders_find(group, topic->topic_id);

        for (int32_t j = 0; holders && j < topic->count; j++) {
            int32_t partition = topic->partitions[j];

            if (partition < holders->capacity && holders->holders[partition] == member) {
                holders->holders[partition] = NULL;
                holders->held--;
            }
        }
        if (holders && holders->held == 0) {
            hash_map_remove(&group->holders, &holders->node);
            allocator->release(allocator, holders->holders,
                               (size_t)holders->capacity * sizeof(struct consumer_member *));
            ALLOCATOR_DELETE(allocator, holders);
        }
    }
}

static enum err holders_room(struct consumer_group *group, struct uuid id, int32_t partition,
                             struct consumer_holders **out)
{
    struct allocator *allocator = group->coordinator->allocator;
    struct consumer_holders *holders = holders_find(group, id);
    int32_t capacity;
    struct consumer_member **grown;

    if (!holders) {
        holders = ALLOCATOR_NEW(allocator, struct consumer_holders);
        if (!holders)
            return ERR_NO_MEMORY;
        holders->topic_id = id;
        if (hash_map_insert(&group->holders, hash_bytes(id.bytes, 16), &holders->node) != OK) {
            ALLOCATOR_DELETE(allocator, holders);
            return ERR_NO_MEMORY;
        }
    }
    *out = holders;
    if (partition < holders->capacity)
        return OK;
    capacity = MAX(MAX(4, holders->capacity * 2), partition + 1);
    grown = allocator->resize(allocator, holders->holders,
                              (size_t)holders->capacity * sizeof(struct consumer_member *),
                              (size_t)capacity * sizeof(struct consumer_member *));
    if (!grown)
        return ERR_NO_MEMORY;
    memset(grown + holders->capacity, 0,
           (size_t)(capacity - holders->capacity) * sizeof(struct consumer_member *));
    holders->holders = grown;
    holders->capacity = capacity;
    return OK;
}

/* A holder of a lower epoch lost the partition without a word; one of the same or a later epoch must not
 * exist. */
enum err consumer_holders_take(struct consumer_member *member, int32_t epoch,
                               const struct assignment *assignment)
{
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct topic_partitions *topic = &assignment->topics[i];

        for (int32_t j = 0; j < topic->count; j++) {
            struct consumer_holders *holders;
            struct consumer_member **holder;

            if (topic->partitions[j] < 0 || topic->partitions[j] >= CONSUMER_PARTITIONS_MAX)
                return ERR_CORRUPT;
            TRY(holders_room(member->group, topic->topic_id, topic->partitions[j], &holders));
            holder = &holders->holders[topic->partitions[j]];
            if (*holder && *holder != member && (*holder)->epoch >= epoch)
                return ERR_CORRUPT;
            if (!*holder)
                holders->held++;
            *holder = member;
        }
    }
    return OK;
}

/* ---- tables ---- */

void consumer_tables_init(struct consumer_group *group, struct allocator *allocator)
{
    hash_map_init(&group->members, allocator, member_matches);
    hash_map_init(&group->statics, allocator, static_matches);
    hash_map_init(&group->topics, allocator, topic_matches);
    hash_map_init(&group->regexes, allocator, regex_matches_pattern);
    hash_map_init(&group->assignors, allocator, counter_matches);
    hash_map_init(&group->protocols, allocator, counter_matches);
    hash_map_init(&group->holders, allocator, holders_match);
}

void consumer_shared_tables_init(struct consumer_shared *shared, struct allocator *allocator)
{
    hash_map_init(&shared->topics, allocator, shared_topic_matches);
    hash_map_init(&shared->running, allocator, counter_matches);
}
