/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_topics.c: what a classic group of type "consumer" subscribes to, read
 * from the embedded protocol of its members: asked for by OffsetDelete and by expiry, so worked out
 * when first asked for in a generation and kept. What cannot be read counts as all topics: nothing
 * is lost by it.
 */
#include "coordinator/group/classic_internal.h"

bool classic_group_is_consumer(const struct classic_group *group)
{
    return slice_equal(group->protocol_type, SLICE("consumer"));
}

void classic_topics_forget(struct group_coordinator *coordinator, struct classic_group *group)
{
    coordinator->allocator->release(coordinator->allocator, group->topics, group->topic_bytes);
    group->topics = NULL;
    group->topic_count = 0;
    group->topic_bytes = 0;
    group->topics_state = CLASSIC_TOPICS_STALE;
}

struct topic_set {
    struct hash_map map;
    struct arena scratch;
    size_t name_bytes;
};
struct topic_item {
    struct hash_map_node node;
    struct slice name;
};

static bool item_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct topic_item, node)->name,
                       *(const struct slice *)key);
}

/* Version, then the fields of version 0, whatever stands behind them. ERR_FORMAT: cannot be
 * read. */
static enum err subscription_add(struct topic_set *set, struct slice metadata)
{
    struct cursor cursor = cursor_of(metadata);
    uint32_t count;
    int16_t version;

    if (cursor_i16(&cursor, &version) != OK || version < 0 || cursor_u32(&cursor, &count) != OK ||
        count > cursor_left(&cursor) / 2)
        return ERR_FORMAT;
    for (uint32_t i = 0; i < count; i++) {
        struct topic_item *item;
        struct slice name;
        int16_t size_bytes;

        if (cursor_i16(&cursor, &size_bytes) != OK || size_bytes < 0 ||
            cursor_bytes(&cursor, (size_t)size_bytes, &name) != OK)
            return ERR_FORMAT;
        if (hash_map_find(&set->map, hash_slice(name), &name))
            continue;
        item = ARENA_NEW(&set->scratch, struct topic_item);
        if (!item)
            return ERR_NO_MEMORY;
        item->name = name;
        TRY(hash_map_insert(&set->map, hash_slice(name), &item->node));
        set->name_bytes += name.size_bytes;
    }
    return OK;
}

static enum err set_keep(struct group_coordinator *coordinator, struct classic_group *group,
                         const struct topic_set *set)
{
    size_t bytes = set->map.count * sizeof(struct slice) + set->name_bytes;
    uint8_t *block, *at;

    if (set->map.count == 0)
        return OK;
    if (bytes > UINT32_MAX)
        return ERR_NO_MEMORY;
    block = coordinator->allocator->allocate(coordinator->allocator, bytes);
    if (!block)
        return ERR_NO_MEMORY;
    group->topics = (struct slice *)(void *)block;
    group->topic_bytes = (uint32_t)bytes;
    at = block + set->map.count * sizeof(struct slice);
    HASH_MAP_EACH (node, &set->map) {
        struct slice name = HASH_MAP_ITEM(node, struct topic_item, node)->name;

        if (name.size_bytes > 0)
            memcpy(at, name.data, name.size_bytes);
        group->topics[group->topic_count++] = slice_of(at, name.size_bytes);
        at += name.size_bytes;
    }
    return OK;
}

static void sift(struct slice *names, size_t root, size_t count)
{
    for (;;) {
        size_t child = 2 * root + 1;
        struct slice held = names[root];

        if (child >= count)
            return;
        if (child + 1 < count && slice_compare(names[child], names[child + 1]) < 0)
            child++;
        if (slice_compare(held, names[child]) >= 0)
            return;
        names[root] = names[child];
        names[child] = held;
        root = child;
    }
}

static void names_sort(struct slice *names, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(names, i, count);
    for (size_t end = count; end-- > 1;) {
        struct slice last = names[end];

        names[end] = names[0];
        names[0] = last;
        sift(names, 0, end);
    }
}

static enum err topics_learn(struct group_coordinator *coordinator, struct classic_group *group)
{
    struct topic_set set = {0};
    enum err err = OK;

    arena_init(&set.scratch, coordinator->allocator, SIZE_MAX);
    hash_map_init(&set.map, coordinator->allocator, item_matches);
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        err = subscription_add(&set, classic_member_metadata(member, group->protocol));
        if (err != OK)
            break;
    }
    if (err == OK)
        err = set_keep(coordinator, group, &set);
    if (err == OK) {
        group->topics_state = CLASSIC_TOPICS_KNOWN;
        names_sort(group->topics, group->topic_count);
    } else if (err == ERR_FORMAT) {
        group->topics_state = CLASSIC_TOPICS_UNKNOWN;
        err = OK;
    }
    hash_map_release(&set.map);
    arena_release(&set.scratch);
    return err;
}

enum err classic_group_subscribes(struct group_coordinator *coordinator,
                                  struct classic_group *group, struct slice topic,
                                  bool *subscribes_out)
{
    size_t low = 0, high;

    *subscribes_out = false;
    if (!classic_group_is_consumer(group))
        return OK;
    if (group->topics_state == CLASSIC_TOPICS_STALE)
        TRY(topics_learn(coordinator, group));
    if (group->topics_state == CLASSIC_TOPICS_UNKNOWN) {
        *subscribes_out = true;
        return OK;
    }
    high = group->topic_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(group->topics[middle], topic);

        if (order == 0) {
            *subscribes_out = true;
            break;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return OK;
}
