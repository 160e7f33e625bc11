/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/topic_collision.c: whether a new topic's name is too like that of another one. Metric names turn '.' into
 * '_', so topics whose names differ in these only would share their metrics.
 * Shape       the tree of topics is asked first, as it is: both separators at each place, as long as some topic begins
 *             so. That is a few look-ups for a name as they are, but many where topics begin alike: when a request has
 *             taken its steps, it orders all names once and looks up the rest of its own there.
 */
#include "base/name_order.h"
#include "controller/controller_internal.h"
#include "metadata/topic_name.h"

static bool is_separator(uint8_t byte)
{
    return byte == '.' || byte == '_';
}

static bool has_separator(struct slice name)
{
    for (size_t i = 0; i < name.size_bytes; i++)
        if (is_separator(name.data[i]))
            return true;
    return false;
}

/* ---- the tree ---- */

/* Of a request. More than ordinary names need: a name of separators alone has two to try at each of its bytes. */
#define STEPS_MAX 1000

static const struct metadata_topic *topic_with_prefix(const struct metadata_image *image,
                                                      struct slice prefix)
{
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    metadata_walk_topics_from(&walk, image, prefix, false);
    topic = metadata_walk_next(&walk);
    return topic && slice_starts_with(topic->name, prefix) ? topic : NULL;
}

static const struct metadata_topic *tree_find(const struct metadata_image *image, uint8_t *name,
                                              size_t size_bytes, size_t from, size_t *steps)
{
    const uint8_t both[] = {'.', '_'};

    while (from < size_bytes && !is_separator(name[from]))
        from++;
    if (from == size_bytes)
        return metadata_image_topic(image, slice_of(name, size_bytes));
    for (size_t i = 0; i < ARRAY_COUNT(both) && *steps < STEPS_MAX; i++) {
        const struct metadata_topic *found = NULL;
        uint8_t was = name[from];

        (*steps)++;
        name[from] = both[i];
        if (topic_with_prefix(image, slice_of(name, from + 1)))
            found = tree_find(image, name, size_bytes, from + 1, steps);
        name[from] = was;
        if (found)
            return found;
    }
    return NULL;
}

/* ---- all names in order ---- */

static struct slice unified(struct slice name, uint8_t *copy)
{
    for (size_t i = 0; i < name.size_bytes; i++)
        copy[i] = name.data[i] == '.' ? '_' : name.data[i];
    return slice_of(copy, name.size_bytes);
}

static enum err names_order(struct call *call, struct topic_collisions *collisions)
{
    const struct metadata_topic *topic;
    struct metadata_walk walk;
    size_t count = 0;

    metadata_walk_start(&walk, call->image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk)))
        count += has_separator(topic->name);
    collisions->topics = ARENA_ARRAY(call->arena, const struct metadata_topic *, count);
    collisions->names = ARENA_ARRAY(call->arena, struct slice, count);
    if (!collisions->topics || !collisions->names)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, call->image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk))) {
        uint8_t *copy;

        if (!has_separator(topic->name))
            continue;
        copy = arena_allocate(call->arena, topic->name.size_bytes);
        if (!copy)
            return ERR_NO_MEMORY;
        collisions->names[collisions->count] = unified(topic->name, copy);
        collisions->topics[collisions->count++] = topic;
    }
    TRY(name_order(call->arena, collisions->names, collisions->count, &collisions->order));
    collisions->is_ordered = true;
    return OK;
}

enum err topic_collision(struct call *call, struct topic_collisions *collisions, struct slice name,
                         const struct metadata_topic **out)
{
    uint8_t copy[TOPIC_NAME_BYTES_MAX];
    uint32_t at;

    *out = NULL;
    if (!has_separator(name))
        return OK;
    if (collisions->steps < STEPS_MAX) {
        memcpy(copy, name.data, name.size_bytes);
        *out = tree_find(call->image, copy, name.size_bytes, 0, &collisions->steps);
        if (*out || collisions->steps < STEPS_MAX)
            return OK;
    }
    if (!collisions->is_ordered)
        TRY(names_order(call, collisions));
    if (name_find(collisions->names, collisions->order, collisions->count, unified(name, copy),
                  &at))
        *out = collisions->topics[at];
    return OK;
}
