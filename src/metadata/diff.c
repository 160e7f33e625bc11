/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/diff.c: what differs between two images. Both trees are walked in key order at once; a
 * subtree that both hold is passed over whole, so the cost is that of the changes.
 */
#include "metadata/metadata_internal.h"

/* What is still ahead in one tree, the nearest last: whole subtrees and single nodes. */
struct ahead {
    struct {
        const struct metadata_node *node;
        bool whole;
    } items[2 * METADATA_TREE_DEPTH_MAX];
    size_t count;
};

static void ahead_push(struct ahead *ahead, const struct metadata_node *node, bool whole)
{
    if (!node)
        return;
    ASSERT(ahead->count < ARRAY_COUNT(ahead->items));
    ahead->items[ahead->count].node = node;
    ahead->items[ahead->count].whole = whole;
    ahead->count++;
}

static void ahead_expand(struct ahead *ahead)
{
    const struct metadata_node *node = ahead->items[--ahead->count].node;

    ahead_push(ahead, node->right, true);
    ahead_push(ahead, node, false);
    ahead_push(ahead, node->left, true);
}

static const void *node_first(const struct metadata_node *node)
{
    while (node->left)
        node = node->left;
    return node->object;
}

static const void *node_last(const struct metadata_node *node)
{
    while (node->right)
        node = node->right;
    return node->object;
}

struct map_diff {
    const struct metadata_diff *diff;
    enum metadata_map map;
    struct ahead before;
    struct ahead after;
};

static void topic_partitions_differ(const struct metadata_diff *diff,
                                    const struct metadata_topic *before,
                                    const struct metadata_topic *after)
{
    if (!diff->partition_changed)
        return;
    for (uint32_t i = 0; i < after->block_count; i++) {
        const struct metadata_block *old =
            before && i < before->block_count ? before->blocks[i] : NULL;
        const struct metadata_block *new = after->blocks[i];

        for (size_t j = 0; new != old &&j < METADATA_BLOCK_PARTITIONS; j++) {
            const struct metadata_partition *was = old ? old->partitions[j] : NULL;
            const struct metadata_partition *is = new->partitions[j];

            if (is && is != was && (!was || is->object.hash != was->object.hash))
                diff->partition_changed(diff->context, after, was, is);
        }
    }
}

static void report(const struct map_diff *map_diff, const void *before, const void *after)
{
    const struct metadata_diff *diff = map_diff->diff;

    if (map_diff->map == METADATA_TOPICS) {
        const struct metadata_topic *old = before;
        const struct metadata_topic *new = after;

        if (old && new &&uuid_equal(old->id, new->id)) {
            topic_partitions_differ(diff, old, new);
            return;
        }
        if (old && diff->topic_deleted)
            diff->topic_deleted(diff->context, old);
        if (new && diff->topic_created)
            diff->topic_created(diff->context, new);
        if (new)
            topic_partitions_differ(diff, NULL, new);
        return;
    }
    if (before && after &&
        ((const struct metadata_object *)before)->hash ==
            ((const struct metadata_object *)after)->hash)
        return;
    if (diff->object_changed)
        diff->object_changed(diff->context, map_diff->map, before, after);
}

static void report_subtree(const struct map_diff *map_diff, const struct metadata_node *node,
                           bool gone)
{
    if (!node)
        return;
    report_subtree(map_diff, node->left, gone);
    report(map_diff, gone ? node->object : NULL, gone ? NULL : node->object);
    report_subtree(map_diff, node->right, gone);
}

/* Takes what is nearest in one tree off and reports it, because the other has nothing like it. */
static void report_nearest(struct map_diff *map_diff, bool gone)
{
    struct ahead *ahead = gone ? &map_diff->before : &map_diff->after;
    const struct metadata_node *node = ahead->items[--ahead->count].node;

    if (ahead->items[ahead->count].whole)
        report_subtree(map_diff, node, gone);
    else
        report(map_diff, gone ? node->object : NULL, gone ? NULL : node->object);
}

static const void *nearest_first(const struct ahead *ahead)
{
    const struct metadata_node *node = ahead->items[ahead->count - 1].node;

    return ahead->items[ahead->count - 1].whole ? node_first(node) : node->object;
}

static const void *nearest_last(const struct ahead *ahead)
{
    const struct metadata_node *node = ahead->items[ahead->count - 1].node;

    return ahead->items[ahead->count - 1].whole ? node_last(node) : node->object;
}

static void diff_step(struct map_diff *d)
{
    const struct metadata_node *a = d->before.items[d->before.count - 1].node;
    const struct metadata_node *b = d->after.items[d->after.count - 1].node;
    bool a_whole = d->before.items[d->before.count - 1].whole;
    bool b_whole = d->after.items[d->after.count - 1].whole;

    if (a == b && a_whole == b_whole) {
        d->before.count--;
        d->after.count--;
    } else if (!a_whole && !b_whole && metadata_order(d->map, a->object, b->object) == 0) {
        d->before.count--;
        d->after.count--;
        if (a->object != b->object)
            report(d, a->object, b->object);
    } else if (metadata_order(d->map, nearest_last(&d->before), nearest_first(&d->after)) < 0) {
        report_nearest(d, true);
    } else if (metadata_order(d->map, nearest_last(&d->after), nearest_first(&d->before)) < 0) {
        report_nearest(d, false);
    } else {
        /* They overlap: look into the larger, so that a shared subtree is met whole in both. */
        uint32_t a_size = a_whole ? a->count : 0;
        uint32_t b_size = b_whole ? b->count : 0;

        if (a_size >= b_size)
            ahead_expand(&d->before);
        if (b_size >= a_size)
            ahead_expand(&d->after);
    }
}

static void map_diff_run(const struct metadata_diff *diff, enum metadata_map map,
                         const struct metadata_node *before, const struct metadata_node *after)
{
    struct map_diff d = {.diff = diff, .map = map};

    ahead_push(&d.before, before, true);
    ahead_push(&d.after, after, true);
    while (d.before.count > 0 && d.after.count > 0)
        diff_step(&d);
    while (d.before.count > 0)
        report_nearest(&d, true);
    while (d.after.count > 0)
        report_nearest(&d, false);
}

void metadata_image_diff(const struct metadata_image *before, const struct metadata_image *after,
                         const struct metadata_diff *diff)
{
    for (size_t i = 0; i < METADATA_TOPIC_IDS; i++)
        map_diff_run(diff, (enum metadata_map)i, before ? before->maps[i] : NULL, after->maps[i]);
    if (diff->producer_ids_changed &&
        (before ? before->next_producer_id : 0) != after->next_producer_id)
        diff->producer_ids_changed(diff->context, after->next_producer_id);
}
