/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_cleanup.c: offsets of topics that were deleted: tombstoned where the
 * stored topic id is that of the deleted topic or none. A deleted topic is queued; each tick writes
 * some of its tombstones. groups.md §1.8 of the reference.
 */
#include "coordinator/group/offset_internal.h"

#define RETRY_MS 500

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

static bool slot_is_of(const struct offset_slot *slot, const struct offset_cleanup *cleanup)
{
    if (value_is_of(slot->latest, cleanup))
        return true;
    LIST_EACH (node, &slot->pending)
        if (value_is_of(LIST_ITEM(node, struct offset_pending, by_slot)->value, cleanup))
            return true;
    return false;
}

/* Tombstones until the step is full; done when the topic has no more. */
static enum err cleanup_step(struct group_call *call, const struct offset_cleanup *cleanup,
                             bool *done_out)
{
    struct hash_map_node *node = hash_map_find(&call->coordinator->offsets->names,
                                               hash_slice(cleanup->topic), &cleanup->topic);

    *done_out = true;
    if (!node)
        return OK;
    LIST_EACH (topic_node, &CONTAINER_OF(node, struct topic_name, node)->topics) {
        const struct offset_topic *topic = LIST_ITEM(topic_node, struct offset_topic, same_name);

        for (uint32_t i = 0; i < topic->slot_count; i++) {
            if (!slot_is_of(topic->slots[i], cleanup))
                continue;
            if (group_step_is_full(call)) {
                *done_out = false;
                return OK;
            }
            TRY(offset_tombstone(call, topic->slots[i]));
        }
    }
    return OK;
}

static void write_release(struct group_coordinator *coordinator, struct group_write *write)
{
    ALLOCATOR_DELETE(coordinator->allocator, write);
}

/* What was refused is tried again, not at once; what was written is done when it is replayed. */
static enum err write_ended(struct group_call *call, struct group_write *write, enum err err)
{
    struct group_coordinator *coordinator = call->coordinator;

    if (list_is_empty(&coordinator->offsets->cleanups))
        return OK;
    return group_timer_set(coordinator, &coordinator->offsets->cleanup_timer,
                           err == OK ? coordinator->now_ms : group_after_ms(coordinator, RETRY_MS));
}

/* One deleted topic: tombstones go out, and when their write has ended one looks again, until none
 * is left. */
static enum err cleanup_fired(struct group_call *call, struct group_timer *timer)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct list_node *first = list_first(&coordinator->offsets->cleanups);
    struct group_write *write;
    bool done;

    if (!first)
        return OK;
    TRY(cleanup_step(call, LIST_ITEM(first, struct offset_cleanup, node), &done));
    if (call->effects->record_count == 0) {
        ASSERT(done);
        cleanup_release(coordinator, LIST_ITEM(first, struct offset_cleanup, node));
        return list_is_empty(&coordinator->offsets->cleanups)
                   ? OK
                   : group_timer_set(coordinator, timer, coordinator->now_ms);
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
    list_push_back(&coordinator->offsets->cleanups, &cleanup->node);
    walk->err = bytes_copy(coordinator->allocator, topic->name, &cleanup->topic);
}

enum err offset_topics_deleted(struct group_call *call, const struct metadata_image *before)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct deletion_walk walk = {.coordinator = coordinator};
    struct metadata_diff diff = {.context = &walk, .topic_deleted = topic_deleted};

    metadata_image_diff(before, call->moment->image, &diff);
    TRY(walk.err);
    if (list_is_empty(&coordinator->offsets->cleanups) ||
        group_timer_is_set(&coordinator->offsets->cleanup_timer))
        return OK;
    return group_timer_set(coordinator, &coordinator->offsets->cleanup_timer, coordinator->now_ms);
}
