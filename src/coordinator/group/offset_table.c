/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_table.c: the table of committed offsets: groups, topics, partitions,
 * found, made and released. offset_internal.h draws it; offset_value.c has what stands in it.
 */
#include "coordinator/group/offset_internal.h"

static bool group_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct offset_group, node)->id,
                       *(const struct slice *)key);
}

static bool topic_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct offset_topic, node)->name->name,
                       *(const struct slice *)key);
}

static bool name_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct topic_name, node)->name,
                       *(const struct slice *)key);
}

/* ---- finding ---- */

struct offset_group *offsets_group(const struct group_offsets *offsets, struct slice group_id)
{
    struct hash_map_node *node = hash_map_find(&offsets->groups, hash_slice(group_id), &group_id);

    return node ? CONTAINER_OF(node, struct offset_group, node) : NULL;
}

struct offset_topic *offsets_topic(const struct offset_group *group, struct slice name)
{
    struct hash_map_node *node = hash_map_find(&group->topics, hash_slice(name), &name);

    return node ? CONTAINER_OF(node, struct offset_topic, node) : NULL;
}

/* Where the partition stands, or would. */
static uint32_t slot_place(const struct offset_topic *topic, int32_t partition)
{
    uint32_t low = 0, high = topic->slot_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (topic->slots[middle]->partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct offset_slot *offsets_slot(const struct offset_topic *topic, int32_t partition)
{
    uint32_t place = slot_place(topic, partition);

    return place < topic->slot_count && topic->slots[place]->partition == partition
               ? topic->slots[place]
               : NULL;
}

struct offset_slot *offset_slot_find(const struct group_offsets *offsets,
                                     const struct offset_key *key)
{
    const struct offset_group *group = offsets_group(offsets, key->group_id);
    const struct offset_topic *topic = group ? offsets_topic(group, key->topic) : NULL;

    return topic ? offsets_slot(topic, key->partition) : NULL;
}

/* ---- making and releasing ---- */

static void name_release(struct group_coordinator *coordinator, struct topic_name *name)
{
    hash_map_remove(&coordinator->offsets->names, &name->node);
    bytes_release(coordinator->allocator, &name->name);
    ALLOCATOR_DELETE(coordinator->allocator, name);
}

static void group_release_if_idle(struct group_coordinator *coordinator, struct offset_group *group)
{
    if (group->topics.count > 0)
        return;
    hash_map_remove(&coordinator->offsets->groups, &group->node);
    hash_map_release(&group->topics);
    bytes_release(coordinator->allocator, &group->id);
    ALLOCATOR_DELETE(coordinator->allocator, group);
}

static void topic_release_if_idle(struct group_coordinator *coordinator, struct offset_topic *topic)
{
    struct offset_group *group = topic->group;
    struct topic_name *name = topic->name;

    if (topic->slot_count > 0)
        return;
    hash_map_remove(&group->topics, &topic->node);
    list_remove(&topic->same_name);
    coordinator->allocator->release(coordinator->allocator, topic->slots,
                                    topic->slot_capacity * sizeof(struct offset_slot *));
    ALLOCATOR_DELETE(coordinator->allocator, topic);
    if (--name->topic_count == 0)
        name_release(coordinator, name);
    group_release_if_idle(coordinator, group);
}

void offset_slot_release_if_idle(struct group_coordinator *coordinator, struct offset_slot *slot)
{
    struct offset_topic *topic = slot->topic;
    uint32_t place;

    if (slot->latest || !list_is_empty(&slot->pending))
        return;
    place = slot_place(topic, slot->partition);
    ASSERT(topic->slots[place] == slot);
    topic->slot_count--;
    memmove(&topic->slots[place], &topic->slots[place + 1],
            (topic->slot_count - place) * sizeof(struct offset_slot *));
    ALLOCATOR_DELETE(coordinator->allocator, slot);
    topic_release_if_idle(coordinator, topic);
}

static enum err name_get(struct group_coordinator *coordinator, struct slice name,
                         struct topic_name **out)
{
    struct hash_map *names = &coordinator->offsets->names;
    struct hash_map_node *node = hash_map_find(names, hash_slice(name), &name);
    struct topic_name *made;
    enum err err;

    if (node) {
        *out = CONTAINER_OF(node, struct topic_name, node);
        return OK;
    }
    made = ALLOCATOR_NEW(coordinator->allocator, struct topic_name);
    if (!made)
        return ERR_NO_MEMORY;
    list_init(&made->topics);
    err = bytes_copy(coordinator->allocator, name, &made->name);
    if (err == OK)
        err = hash_map_insert(names, hash_slice(made->name), &made->node);
    if (err != OK) {
        bytes_release(coordinator->allocator, &made->name);
        ALLOCATOR_DELETE(coordinator->allocator, made);
        return err;
    }
    *out = made;
    return OK;
}

static enum err group_get(struct group_coordinator *coordinator, struct slice id,
                          struct offset_group **out)
{
    struct offset_group *group = offsets_group(coordinator->offsets, id);
    enum err err;

    *out = group;
    if (group)
        return OK;
    group = ALLOCATOR_NEW(coordinator->allocator, struct offset_group);
    if (!group)
        return ERR_NO_MEMORY;
    hash_map_init(&group->topics, coordinator->allocator, topic_matches);
    err = bytes_copy(coordinator->allocator, id, &group->id);
    if (err == OK)
        err = hash_map_insert(&coordinator->offsets->groups, hash_slice(group->id), &group->node);
    if (err != OK) {
        bytes_release(coordinator->allocator, &group->id);
        ALLOCATOR_DELETE(coordinator->allocator, group);
        return err;
    }
    *out = group;
    return OK;
}

static enum err topic_make(struct group_coordinator *coordinator, struct offset_group *group,
                           struct slice name, struct offset_topic **out)
{
    struct offset_topic *topic;
    struct topic_name *shared;
    enum err err;

    TRY(name_get(coordinator, name, &shared));
    topic = ALLOCATOR_NEW(coordinator->allocator, struct offset_topic);
    err = topic ? OK : ERR_NO_MEMORY;
    if (topic) {
        topic->group = group;
        topic->name = shared;
        err = hash_map_insert(&group->topics, hash_slice(shared->name), &topic->node);
    }
    if (err != OK) {
        if (topic)
            ALLOCATOR_DELETE(coordinator->allocator, topic);
        if (shared->topic_count == 0)
            name_release(coordinator, shared);
        return err;
    }
    list_push_back(&shared->topics, &topic->same_name);
    shared->topic_count++;
    *out = topic;
    return OK;
}

static enum err slot_make(struct group_coordinator *coordinator, struct offset_topic *topic,
                          int32_t partition, struct offset_slot **out)
{
    struct allocator *allocator = coordinator->allocator;
    uint32_t place = slot_place(topic, partition);
    struct offset_slot *slot;

    if (topic->slot_count == topic->slot_capacity) {
        uint32_t capacity = topic->slot_capacity > 0 ? topic->slot_capacity * 2 : 1;
        struct offset_slot **slots = allocator->resize(
            allocator, topic->slots, topic->slot_capacity * sizeof(struct offset_slot *),
            capacity * sizeof(struct offset_slot *));

        if (!slots)
            return ERR_NO_MEMORY;
        topic->slots = slots;
        topic->slot_capacity = capacity;
    }
    slot = ALLOCATOR_NEW(allocator, struct offset_slot);
    if (!slot)
        return ERR_NO_MEMORY;
    slot->topic = topic;
    slot->partition = partition;
    list_init(&slot->pending);
    memmove(&topic->slots[place + 1], &topic->slots[place],
            (topic->slot_count - place) * sizeof(struct offset_slot *));
    topic->slots[place] = slot;
    topic->slot_count++;
    *out = slot;
    return OK;
}

/* A failure leaves empty parts behind, for offsets_release. */
enum err offset_slot_get(struct group_coordinator *coordinator, const struct offset_key *key,
                         struct offset_slot **out)
{
    struct offset_group *group;
    struct offset_topic *topic;

    TRY(group_get(coordinator, key->group_id, &group));
    topic = offsets_topic(group, key->topic);
    if (!topic)
        TRY(topic_make(coordinator, group, key->topic, &topic));
    *out = offsets_slot(topic, key->partition);
    return *out ? OK : slot_make(coordinator, topic, key->partition, out);
}

/* ---- life ---- */

enum err offsets_create(struct group_coordinator *coordinator, struct group_offsets **out)
{
    struct group_offsets *offsets = ALLOCATOR_NEW(coordinator->allocator, struct group_offsets);

    *out = offsets;
    if (!offsets)
        return ERR_NO_MEMORY;
    hash_map_init(&offsets->groups, coordinator->allocator, group_matches);
    hash_map_init(&offsets->names, coordinator->allocator, name_matches);
    offset_producers_init(coordinator, offsets);
    list_init(&offsets->uncommitted);
    offset_cleanup_init(offsets);
    return OK;
}

static void topic_release_whole(struct group_coordinator *coordinator, struct offset_topic *topic)
{
    struct topic_name *name = topic->name;

    for (uint32_t i = 0; i < topic->slot_count; i++) {
        struct offset_slot *slot = topic->slots[i];

        LIST_EACH_SAFE (node, &slot->pending)
            offset_pending_release(coordinator, LIST_ITEM(node, struct offset_pending, by_slot));
        offset_chain_release(coordinator, slot->latest);
        ALLOCATOR_DELETE(coordinator->allocator, slot);
    }
    coordinator->allocator->release(coordinator->allocator, topic->slots,
                                    topic->slot_capacity * sizeof(struct offset_slot *));
    list_remove(&topic->same_name);
    ALLOCATOR_DELETE(coordinator->allocator, topic);
    if (--name->topic_count == 0)
        name_release(coordinator, name);
}

void offsets_release(struct group_coordinator *coordinator, struct group_offsets **offsets)
{
    struct group_offsets *old = *offsets;

    if (!old)
        return;
    HASH_MAP_EACH_SAFE (node, &old->groups) {
        struct offset_group *group = HASH_MAP_ITEM(node, struct offset_group, node);

        HASH_MAP_EACH_SAFE (topic_node, &group->topics) {
            struct offset_topic *topic = HASH_MAP_ITEM(topic_node, struct offset_topic, node);

            hash_map_remove(&group->topics, &topic->node);
            topic_release_whole(coordinator, topic);
        }
        group_release_if_idle(coordinator, group);
    }
    HASH_MAP_EACH_SAFE (node, &old->producers)
        offset_producer_release_if_idle(coordinator,
                                        HASH_MAP_ITEM(node, struct offset_producer, node));
    hash_map_release(&old->groups);
    hash_map_release(&old->names);
    hash_map_release(&old->producers);
    offset_cleanups_release(coordinator, old);
    ALLOCATOR_DELETE(coordinator->allocator, old);
    *offsets = NULL;
}
