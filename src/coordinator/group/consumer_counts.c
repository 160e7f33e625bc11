/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_counts.c: who would subscribe to what if a draft came true: the group's topics with
 * the changes of the draft laid over them; the metadata hash and the kind of subscription that follow.
 */
#include "coordinator/group/consumer_internal.h"

struct consumer_count {
    struct hash_map_node node;
    struct slice name;
    int32_t names, regexes;
    struct consumer_shared_topic *shared; /* NULL: no group subscribes yet */
};

static bool count_matches(const struct hash_map_node *node, const void *key)
{
    const struct slice *name = key;

    return slice_equal(CONTAINER_OF(node, const struct consumer_count, node)->name, *name);
}

static enum err count_ensure(struct consumer_counts *counts, struct slice name,
                             struct consumer_count **out)
{
    uint64_t hash = hash_slice(name);
    struct hash_map_node *node = hash_map_find(&counts->names, hash, &name);
    struct consumer_count *count;

    if (node) {
        *out = CONTAINER_OF(node, struct consumer_count, node);
        return OK;
    }
    count = ARENA_NEW(counts->call->arena, struct consumer_count);
    *out = count;
    if (!count)
        return ERR_NO_MEMORY;
    count->name = name;
    return hash_map_insert(&counts->names, hash, &count->node);
}

enum err consumer_counts_create(struct group_call *call, struct consumer_group *group,
                                struct consumer_counts *out)
{
    out->call = call;
    out->group = group;
    hash_map_init(&out->names, call->coordinator->allocator, count_matches);
    HASH_MAP_EACH (at, &group->topics) {
        const struct consumer_topic *topic = HASH_MAP_ITEM(at, struct consumer_topic, node);
        struct consumer_count *count;
        enum err err = count_ensure(out, topic->shared->name, &count);

        if (err != OK) {
            consumer_counts_release(out);
            return err;
        }
        count->names = topic->names;
        count->regexes = topic->regexes;
        count->shared = topic->shared;
    }
    return OK;
}

void consumer_counts_release(struct consumer_counts *counts)
{
    if (counts->call)
        hash_map_release(&counts->names);
    *counts = (struct consumer_counts){0};
}

enum err consumer_counts_add(struct consumer_counts *counts, const struct slice *names,
                             int32_t count, int32_t by_name, int32_t by_regex)
{
    for (int32_t i = 0; i < count; i++) {
        struct consumer_count *entry;

        TRY(count_ensure(counts, names[i], &entry));
        entry->names += by_name;
        entry->regexes += by_regex;
    }
    return OK;
}

static enum err topic_hash(struct consumer_counts *counts, struct consumer_count *count,
                           uint64_t *out)
{
    const struct metadata_image *image = counts->call->moment->image;
    struct allocator *allocator = counts->call->coordinator->allocator;

    if (count->shared && count->shared->hash_known) {
        *out = count->shared->hash;
        return OK;
    }
    TRY(consumer_topic_hash(image, count->name, allocator, out));
    if (count->shared) {
        count->shared->hash = *out;
        count->shared->hash_known = true;
    }
    return OK;
}

enum err consumer_counts_hash(struct consumer_counts *counts, uint64_t *out)
{
    struct arena *arena = counts->call->arena;
    struct slice *names = ARENA_ARRAY(arena, struct slice, counts->names.count);
    uint64_t *hashes = ARENA_ARRAY(arena, uint64_t, counts->names.count);
    int32_t count = 0;

    if (!names || !hashes)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (at, &counts->names) {
        const struct consumer_count *entry = HASH_MAP_ITEM(at, struct consumer_count, node);

        if ((entry->names > 0 || entry->regexes > 0) &&
            metadata_image_topic(counts->call->moment->image, entry->name))
            names[count++] = entry->name;
    }
    count = consumer_names_sort(names, count);
    for (int32_t i = 0; i < count; i++) {
        struct hash_map_node *node = hash_map_find(&counts->names, hash_slice(names[i]), &names[i]);

        TRY(topic_hash(counts, CONTAINER_OF(node, struct consumer_count, node), &hashes[i]));
    }
    *out = consumer_group_hash(hashes, (size_t)count);
    return OK;
}

bool consumer_counts_homogeneous(const struct consumer_counts *counts, int32_t regexes,
                                 int32_t first_members, int32_t member_count)
{
    if (regexes > 0 && first_members != member_count)
        return false;
    HASH_MAP_EACH (at, &counts->names) {
        const struct consumer_count *entry = HASH_MAP_ITEM(at, struct consumer_count, node);

        if (entry->names <= 0 && entry->regexes <= 0)
            continue;
        if (regexes > 0 ? entry->regexes != 1 || entry->names > 0 : entry->names != member_count)
            return false;
    }
    return true;
}
