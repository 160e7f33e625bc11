/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_value.c: values of committed offsets: replay, what transactions hold
 * back until their marker, and forgetting what a committed successor has made old.
 * offset_internal.h draws it.
 */
#include "coordinator/group/offset_internal.h"

#include "base/bug.h"

static size_t value_bytes(const struct offset_value *value)
{
    return sizeof *value + value->metadata_bytes;
}

static void value_release(struct group_coordinator *coordinator, struct offset_value *value)
{
    list_remove(&value->queue);
    coordinator->allocator->release(coordinator->allocator, value, value_bytes(value));
}

/* `content` NULL: a tombstone. */
static struct offset_value *value_create(struct group_coordinator *coordinator,
                                         const struct offset_content *content,
                                         int64_t record_offset)
{
    size_t metadata_bytes = content ? content->metadata.size_bytes : 0;
    struct offset_value *value;

    if (metadata_bytes > INT32_MAX)
        return NULL;
    value = allocator_zeroed(coordinator->allocator, sizeof *value + metadata_bytes);
    if (!value)
        return NULL;
    list_init(&value->queue);
    value->record_offset = record_offset;
    value->visible_at = record_offset;
    value->is_tombstone = !content;
    if (!content)
        return value;
    value->offset = content->offset;
    value->commit_ms = content->commit_ms;
    value->expire_ms = content->expire_ms;
    value->leader_epoch = content->leader_epoch;
    value->topic_id = content->topic_id;
    value->metadata_bytes = (uint32_t)metadata_bytes;
    if (metadata_bytes > 0)
        memcpy(value->metadata, content->metadata.data, metadata_bytes);
    return value;
}

static bool producer_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, const struct offset_producer, node)->id == *(const int64_t *)key;
}

const struct offset_value *offset_latest(const struct offset_slot *slot)
{
    return slot->latest && !slot->latest->is_tombstone ? slot->latest : NULL;
}

const struct offset_value *offset_committed(const struct group_coordinator *coordinator,
                                            const struct offset_slot *slot)
{
    const struct offset_value *value = slot->latest;

    while (value && value->visible_at >= coordinator->committed_end)
        value = value->previous;
    return value && !value->is_tombstone ? value : NULL;
}

/* ---- values ---- */

void offset_chain_release(struct group_coordinator *coordinator, struct offset_value *value)
{
    while (value) {
        struct offset_value *previous = value->previous;

        value_release(coordinator, value);
        value = previous;
    }
}

/* The value is committed: nobody asks for those before it. */
static void value_settled(struct group_coordinator *coordinator, struct offset_value *value)
{
    struct offset_slot *slot = value->slot;

    offset_chain_release(coordinator, value->previous);
    value->previous = NULL;
    if (slot->latest != value || !value->is_tombstone)
        return;
    slot->latest = NULL;
    value_release(coordinator, value);
    offset_slot_release_if_idle(coordinator, slot);
}

static void value_apply(struct group_coordinator *coordinator, struct offset_slot *slot,
                        struct offset_value *value)
{
    struct group_offsets *offsets = coordinator->offsets;
    bool was_live = offset_latest(slot) != NULL, is_live = !value->is_tombstone;

    slot->topic->group->live += (size_t)is_live - (size_t)was_live;
    offsets->count += (size_t)is_live - (size_t)was_live;
    value->slot = slot;
    value->previous = slot->latest;
    slot->latest = value;
    if (value->visible_at < coordinator->committed_end)
        value_settled(coordinator, value);
    else
        list_push_back(&offsets->uncommitted, &value->queue);
}

void offsets_settle(struct group_coordinator *coordinator)
{
    struct list_node *queue = &coordinator->offsets->uncommitted;

    while (!list_is_empty(queue)) {
        struct offset_value *value = LIST_ITEM(queue->next, struct offset_value, queue);

        if (value->visible_at >= coordinator->committed_end)
            break;
        list_remove(&value->queue);
        value_settled(coordinator, value);
    }
}

/* ---- transactions ---- */

void offset_pending_release(struct group_coordinator *coordinator, struct offset_pending *pending)
{
    pending->slot->topic->group->pending--;
    list_remove(&pending->by_producer);
    list_remove(&pending->by_slot);
    if (pending->value)
        value_release(coordinator, pending->value);
    ALLOCATOR_DELETE(coordinator->allocator, pending);
}

static struct offset_producer *producer_find(const struct group_offsets *offsets, int64_t id)
{
    struct hash_map_node *node = hash_map_find(&offsets->producers, hash_u64((uint64_t)id), &id);

    return node ? CONTAINER_OF(node, struct offset_producer, node) : NULL;
}

static enum err producer_get(struct group_coordinator *coordinator, int64_t id,
                             struct offset_producer **out)
{
    struct offset_producer *producer = producer_find(coordinator->offsets, id);
    enum err err;

    *out = producer;
    if (producer)
        return OK;
    producer = ALLOCATOR_NEW(coordinator->allocator, struct offset_producer);
    if (!producer)
        return ERR_NO_MEMORY;
    producer->id = id;
    list_init(&producer->pending);
    err =
        hash_map_insert(&coordinator->offsets->producers, hash_u64((uint64_t)id), &producer->node);
    if (err != OK) {
        ALLOCATOR_DELETE(coordinator->allocator, producer);
        return err;
    }
    *out = producer;
    return OK;
}

void offset_producer_release_if_idle(struct group_coordinator *coordinator,
                                     struct offset_producer *producer)
{
    if (!list_is_empty(&producer->pending))
        return;
    hash_map_remove(&coordinator->offsets->producers, &producer->node);
    ALLOCATOR_DELETE(coordinator->allocator, producer);
}

/* A producer has one pending value of a partition: its last. */
static enum err pending_put(struct group_coordinator *coordinator, struct offset_slot *slot,
                            int64_t producer_id, struct offset_value *value)
{
    struct offset_producer *producer;
    struct offset_pending *pending;

    LIST_EACH (node, &slot->pending) {
        pending = LIST_ITEM(node, struct offset_pending, by_slot);
        if (pending->producer_id != producer_id)
            continue;
        value_release(coordinator, pending->value);
        pending->value = value;
        return OK;
    }
    TRY(producer_get(coordinator, producer_id, &producer));
    pending = ALLOCATOR_NEW(coordinator->allocator, struct offset_pending);
    if (!pending)
        return ERR_NO_MEMORY;
    *pending = (struct offset_pending){.slot = slot, .producer_id = producer_id, .value = value};
    list_push_back(&slot->pending, &pending->by_slot);
    list_push_back(&producer->pending, &pending->by_producer);
    slot->topic->group->pending++;
    return OK;
}

static void pending_drop_all(struct group_coordinator *coordinator, struct offset_slot *slot)
{
    LIST_EACH_SAFE (node, &slot->pending) {
        struct offset_pending *pending = LIST_ITEM(node, struct offset_pending, by_slot);
        struct offset_producer *producer =
            producer_find(coordinator->offsets, pending->producer_id);

        offset_pending_release(coordinator, pending);
        ASSERT(producer != NULL);
        offset_producer_release_if_idle(coordinator, producer);
    }
}

enum err offsets_replay_marker(struct group_coordinator *coordinator, int64_t producer_id,
                               bool is_commit, int64_t record_offset)
{
    struct offset_producer *producer = producer_find(coordinator->offsets, producer_id);

    if (!producer)
        return OK;
    LIST_EACH_SAFE (node, &producer->pending) {
        struct offset_pending *pending = LIST_ITEM(node, struct offset_pending, by_producer);
        struct offset_slot *slot = pending->slot;
        struct offset_value *value = TAKE(pending->value);

        offset_pending_release(coordinator, pending);
        /* Of a transactional and an ordinary commit the later one in the log stands, not the one
         * whose marker came later. A tombstone has dropped what was pending. */
        if (is_commit && (!slot->latest || slot->latest->is_tombstone ||
                          value->record_offset > slot->latest->record_offset)) {
            value->visible_at = record_offset;
            value_apply(coordinator, slot, value);
        } else {
            value_release(coordinator, value);
            offset_slot_release_if_idle(coordinator, slot);
        }
    }
    offset_producer_release_if_idle(coordinator, producer);
    return OK;
}

/* ---- replay ---- */

enum err offsets_replay(struct group_coordinator *coordinator, const struct offset_key *key,
                        const struct offset_content *content, int64_t record_offset,
                        int64_t producer_id)
{
    struct offset_slot *slot = offset_slot_find(coordinator->offsets, key);
    struct offset_value *value;
    enum err err = OK;

    if (BUG_IS(txn_offsets_before_marker))
        producer_id = -1;
    if (!content && !slot)
        return OK;
    value = value_create(coordinator, content, record_offset);
    if (!value)
        return ERR_NO_MEMORY;
    if (!slot)
        err = offset_slot_get(coordinator, key, &slot);
    if (err == OK && content && producer_id >= 0)
        err = pending_put(coordinator, slot, producer_id, value);
    if (err != OK) {
        value_release(coordinator, value);
        return err;
    }
    if (content && producer_id >= 0)
        return OK;
    if (!content)
        pending_drop_all(coordinator, slot);
    value_apply(coordinator, slot, value);
    return OK;
}

void offset_producers_init(struct group_coordinator *coordinator, struct group_offsets *offsets)
{
    hash_map_init(&offsets->producers, coordinator->allocator, producer_matches);
}
