/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_cleanup.c: offsets of topics that were deleted: tombstoned where the
 * stored topic id is that of the deleted topic or none. groups.md §1.8 of the reference.
 *
 * A deleted topic is queued. A pass goes through all that stands under its name, some at each tick. A
 * tombstone takes all that a partition has, also what is pending. Where a value of another topic of
 * the same name would go with it, the partition is left until its transactions have ended: then the
 * topic is queued again, for another pass after a while.
 */
#include "coordinator/group/offset_internal.h"

#define RETRY_MS 500
/* A transaction may hang: passes that may be in vain are rare. */
#define WAIT_MS 10000

static void cleanup_release(struct group_coordinator *coordinator, struct offset_cleanup *cleanup)
{
    list_remove(&cleanup->node);
    bytes_release(coordinator->allocator, &cleanup->topic);
    ALLOCATOR_DELETE(coordinator->allocator, cleanup);
}

void offset_cleanups_release(struct group_coordinator *coordinator, struct group_offsets *offsets)
{
    group_timer_stop(coordinator, &offsets->cleanup_timer);
    LIST_EACH_SAFE (node, &offsets->cleanups)
        cleanup_release(coordinator, LIST_ITEM(node, struct offset_cleanup, node));
}

static bool value_is_of(const struct offset_value *value, const struct offset_cleanup *cleanup)
{
    return value && !value->is_tombstone &&
           (uuid_is_zero(value->topic_id) || uuid_equal(value->topic_id, cleanup->topic_id));
}

enum slot_fate {
    SLOT_STAYS,
    SLOT_GOES,
    SLOT_WAITS, /* values of both topics may come to be seen */
};

static enum slot_fate slot_fate(const struct offset_slot *slot,
                                const struct offset_cleanup *cleanup)
{
    const struct offset_value *latest = offset_latest(slot);
    bool goes = value_is_of(latest, cleanup), stays = latest && !goes;

    LIST_EACH (node, &slot->pending) {
        const struct offset_value *value = LIST_ITEM(node, struct offset_pending, by_slot)->value;

        if (latest && value->record_offset < latest->record_offset)
            continue; /* never seen, whatever its transaction comes to */
        if (value_is_of(value, cleanup))
            goes = true;
        else
            stays = true;
    }
    return !goes ? SLOT_STAYS : stays ? SLOT_WAITS : SLOT_GOES;
}

/* ---- passes ---- */

static enum err topic_clean(struct group_call *call, struct offset_cleanup *cleanup,
                            const struct offset_topic *topic, bool *done_out)
{
    *done_out = false;
    for (uint32_t i = 0; i < topic->slot_count; i++) {
        enum slot_fate fate = slot_fate(topic->slots[i], cleanup);

        cleanup->waits = cleanup->waits || fate == SLOT_WAITS;
        if (fate != SLOT_GOES)
            continue;
        if (group_step_is_full(call))
            return OK;
        TRY(offset_tombstone(call, topic->slots[i]));
    }
    *done_out = true;
    return OK;
}

/* What is looked at moves behind, where new ones come too: those that are left stand in front,
 * whatever comes and goes between steps. Nothing is left: the pass is over. */
static enum err cleanup_step(struct group_call *call, struct offset_cleanup *cleanup)
{
    struct hash_map_node *node = hash_map_find(&call->coordinator->offsets->names,
                                               hash_slice(cleanup->topic), &cleanup->topic);
    struct topic_name *name = node ? CONTAINER_OF(node, struct topic_name, node) : NULL;
    size_t looked_at = 0;

    if (!cleanup->is_open) {
        cleanup->is_open = true;
        cleanup->waits = false;
        cleanup->left = SIZE_MAX;
    }
    cleanup->left = MIN(cleanup->left, name ? name->topic_count : 0);
    while (cleanup->left > 0 && looked_at < GROUP_STEP_ITEMS) {
        struct offset_topic *topic =
            LIST_ITEM(list_first(&name->topics), struct offset_topic, same_name);
        bool done;

        looked_at += 1 + topic->slot_count;
        TRY(topic_clean(call, cleanup, topic, &done));
        if (!done)
            return OK;
        list_remove(&topic->same_name);
        list_push_back(&name->topics, &topic->same_name);
        cleanup->left--;
    }
    return OK;
}

/* ---- the queue ---- */

static struct offset_cleanup *cleanup_first(struct group_offsets *offsets)
{
    struct list_node *first = list_first(&offsets->cleanups);

    return first ? LIST_ITEM(first, struct offset_cleanup, node) : NULL;
}

/* Behind those that are due then or before: a pass that has begun is finished first. */
static void cleanup_queue(struct group_offsets *offsets, struct offset_cleanup *cleanup,
                          int64_t due_ms)
{
    struct list_node *place = offsets->cleanups.previous;

    while (place != &offsets->cleanups &&
           LIST_ITEM(place, struct offset_cleanup, node)->due_ms > due_ms)
        place = place->previous;
    cleanup->due_ms = due_ms;
    list_insert_between(&cleanup->node, place, place->next);
}

static enum err cleanup_arm(struct group_coordinator *coordinator)
{
    const struct offset_cleanup *first = cleanup_first(coordinator->offsets);

    return first ? group_timer_set(coordinator, &coordinator->offsets->cleanup_timer,
                                   MAX(first->due_ms, coordinator->now_ms))
                 : OK;
}

static void pass_ended(struct group_coordinator *coordinator, struct offset_cleanup *cleanup)
{
    if (!cleanup->waits) {
        cleanup_release(coordinator, cleanup);
        return;
    }
    cleanup->is_open = false;
    list_remove(&cleanup->node);
    cleanup_queue(coordinator->offsets, cleanup, group_after_ms(coordinator, WAIT_MS));
}

static void write_release(struct group_coordinator *coordinator, struct group_write *write)
{
    ALLOCATOR_DELETE(coordinator->allocator, write);
}

/* What was refused is tried again, not at once: the pass begins anew, where it stands. */
static enum err write_ended(struct group_call *call, struct group_write *write, enum err err)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct offset_cleanup *first = cleanup_first(coordinator->offsets);

    UNUSED(write);
    if (err == OK || !first)
        return cleanup_arm(coordinator);
    first->is_open = false;
    return group_timer_set(coordinator, &coordinator->offsets->cleanup_timer,
                           group_after_ms(coordinator, RETRY_MS));
}

/* A step of the first pass; when its tombstones are written, the next one. */
static enum err cleanup_fired(struct group_call *call, struct group_timer *timer)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct offset_cleanup *cleanup = cleanup_first(coordinator->offsets);
    struct group_write *write;

    UNUSED(timer);
    if (!cleanup || cleanup->due_ms > coordinator->now_ms)
        return cleanup_arm(coordinator);
    TRY(cleanup_step(call, cleanup));
    if (call->effects->record_count == 0) {
        if (cleanup->left == 0)
            pass_ended(coordinator, cleanup);
        return cleanup_arm(coordinator);
    }
    write = ALLOCATOR_NEW(coordinator->allocator, struct group_write);
    if (!write)
        return ERR_NO_MEMORY;
    write->ended = write_ended;
    write->release = write_release;
    group_write_watch(call, write);
    return OK;
}

void offset_cleanup_init(struct group_offsets *offsets)
{
    list_init(&offsets->cleanups);
    group_timer_init(&offsets->cleanup_timer, cleanup_fired);
}

/* ---- from images ---- */

struct deletion_walk {
    struct group_coordinator *coordinator;
    bool found;
    enum err err;
};

static void topic_deleted(void *context, const struct metadata_topic *topic)
{
    struct deletion_walk *walk = context;
    struct group_coordinator *coordinator = walk->coordinator;
    struct offset_cleanup *cleanup;

    if (walk->err != OK ||
        !hash_map_find(&coordinator->offsets->names, hash_slice(topic->name), &topic->name))
        return;
    cleanup = ALLOCATOR_NEW(coordinator->allocator, struct offset_cleanup);
    if (!cleanup) {
        walk->err = ERR_NO_MEMORY;
        return;
    }
    cleanup->topic_id = topic->id;
    cleanup_queue(coordinator->offsets, cleanup, coordinator->now_ms);
    walk->found = true;
    walk->err = bytes_copy(coordinator->allocator, topic->name, &cleanup->topic);
}

enum err offset_topics_deleted(struct group_call *call, const struct metadata_image *before)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct deletion_walk walk = {.coordinator = coordinator};
    struct metadata_diff diff = {.context = &walk, .topic_deleted = topic_deleted};

    metadata_image_diff(before, call->moment->image, &diff);
    TRY(walk.err);
    return walk.found ? cleanup_arm(coordinator) : OK;
}
