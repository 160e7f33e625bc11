/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/assigned.c: which partitions members have, for whoever looks whether they are
 * fetched. docs/design/group_coordinator.md.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/consumer_internal.h"

struct assigned_walk {
    const struct metadata_image *image;
    bool (*each)(void *context, const struct group_assigned_view *assigned);
    void *context;
    struct group_assigned_view view;
    bool is_over;
};

static void tell(struct assigned_walk *walk, int32_t partition)
{
    walk->view.partition = partition;
    walk->is_over = walk->is_over || !walk->each(walk->context, &walk->view);
}

/* The embedded assignment: version, then topics with partitions, whatever stands behind them. It is the
 * leader's: what cannot be read is passed over. */
static void embedded_walk(struct assigned_walk *walk, struct slice assignment)
{
    struct cursor cursor = cursor_of(assignment);
    uint32_t topics, partitions, partition;
    int16_t version, name_bytes;

    if (cursor_i16(&cursor, &version) != OK || version < 0 || cursor_u32(&cursor, &topics) != OK)
        return;
    for (uint32_t i = 0; i < topics && !walk->is_over; i++) {
        const struct metadata_topic *topic;

        if (cursor_i16(&cursor, &name_bytes) != OK || name_bytes < 0 ||
            cursor_bytes(&cursor, (size_t)name_bytes, &walk->view.topic) != OK ||
            cursor_u32(&cursor, &partitions) != OK)
            return;
        topic = metadata_image_topic(walk->image, walk->view.topic);
        walk->view.topic_id = topic ? topic->id : UUID_ZERO;
        for (uint32_t k = 0; k < partitions && !walk->is_over; k++) {
            if (cursor_u32(&cursor, &partition) != OK)
                return;
            tell(walk, (int32_t)partition);
        }
    }
}

static void classic_walk(struct assigned_walk *walk, const struct classic_group *group)
{
    if (group->state != CLASSIC_STABLE || !classic_group_is_consumer(group))
        return;
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        walk->view.member_id = member->id;
        if (!walk->is_over && !slice_is_null(member->assignment))
            embedded_walk(walk, member->assignment);
    }
}

static void consumer_walk(struct assigned_walk *walk, const struct consumer_group *group)
{
    CONSUMER_MEMBERS_EACH(member, group)
    {
        const struct assignment *assigned = &member->assigned.is;

        walk->view.member_id = member->id;
        for (int32_t i = 0; i < assigned->count && !walk->is_over; i++) {
            const struct topic_partitions *from = &assigned->topics[i];
            const struct metadata_topic *topic =
                metadata_image_topic_by_id(walk->image, from->topic_id);

            walk->view.topic_id = from->topic_id;
            walk->view.topic = topic ? topic->name : SLICE_NULL;
            for (int32_t k = 0; k < from->count && !walk->is_over; k++)
                tell(walk, from->partitions[k]);
        }
    }
}

void group_coordinator_each_assigned(
    const struct group_coordinator *coordinator, const struct metadata_image *image,
    bool (*each)(void *context, const struct group_assigned_view *assigned), void *context)
{
    struct assigned_walk walk = {.image = image, .each = each, .context = context};

    HASH_MAP_EACH (node, &coordinator->groups) {
        struct group *group = HASH_MAP_ITEM(node, struct group, node);

        if (walk.is_over)
            return;
        walk.view =
            (struct group_assigned_view){.group_id = group->id, .since_ms = group->rested_ms};
        if (group->kind == GROUP_CLASSIC)
            classic_walk(&walk, group_classic(group));
        else
            consumer_walk(&walk, group_consumer(group));
    }
}
