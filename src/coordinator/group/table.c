/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/table.c: what all kinds of groups stand on: owned bytes, timers, the table of
 * groups, parked requests, writes whose end matters, and the way of records and replies into the
 * effects.
 */
#include "coordinator/group_internal.h"

#include "coordinator/group/offset_internal.h"

/* ---- owned bytes ---- */

enum err bytes_copy(struct allocator *allocator, struct slice from, struct slice *out)
{
    uint8_t *copy;

    *out = SLICE_NULL;
    if (slice_is_null(from))
        return OK;
    copy = allocator->allocate(allocator, from.size_bytes + 1);
    if (!copy)
        return ERR_NO_MEMORY;
    if (from.size_bytes > 0)
        memcpy(copy, from.data, from.size_bytes);
    copy[from.size_bytes] = 0;
    *out = slice_of(copy, from.size_bytes);
    return OK;
}

void bytes_release(struct allocator *allocator, struct slice *bytes)
{
    if (!slice_is_null(*bytes))
        allocator->release(allocator, (void *)(uintptr_t)bytes->data, bytes->size_bytes + 1);
    *bytes = SLICE_NULL;
}

/* ---- timers ---- */

void group_timer_init(struct group_timer *timer,
                      enum err (*fire)(struct group_call *call, struct group_timer *timer))
{
    *timer = (struct group_timer){.node.position = HEAP_NOWHERE, .fire = fire};
}

enum err group_timer_set(struct group_coordinator *coordinator, struct group_timer *timer,
                         int64_t deadline_ms)
{
    if (group_timer_is_set(timer)) {
        /* Later than now set: looked at again when it fires. Heartbeats cost one store. */
        if (timer->node.key <= deadline_ms) {
            timer->deadline_ms = deadline_ms;
            return OK;
        }
        heap_remove(&coordinator->timers, &timer->node);
    }
    timer->deadline_ms = deadline_ms;
    return heap_push(&coordinator->timers, &timer->node, deadline_ms);
}

void group_timer_stop(struct group_coordinator *coordinator, struct group_timer *timer)
{
    if (group_timer_is_set(timer))
        heap_remove(&coordinator->timers, &timer->node);
}

int64_t group_after_ms(const struct group_coordinator *coordinator, int64_t delay_ms)
{
    int64_t delay = MAX(delay_ms, 0);

    return coordinator->now_ms > INT64_MAX - delay ? INT64_MAX : coordinator->now_ms + delay;
}

/* ---- groups ---- */

struct group *group_find(const struct group_coordinator *coordinator, struct slice id)
{
    struct hash_map_node *node = hash_map_find(&coordinator->groups, hash_slice(id), &id);

    return node ? CONTAINER_OF(node, struct group, node) : NULL;
}

enum err group_insert(struct group_coordinator *coordinator, struct group *group)
{
    ASSERT(!group_find(coordinator, group->id));
    return hash_map_insert(&coordinator->groups, hash_slice(group->id), &group->node);
}

void group_remove(struct group_coordinator *coordinator, struct group *group)
{
    if (coordinator->scan == group) {
        coordinator->scan = group_after(coordinator, group);
        coordinator->scan_topics = 0;
    }
    hash_map_remove(&coordinator->groups, &group->node);
    if (group->kind == GROUP_CLASSIC) {
        struct classic_group *classic = group_classic(group);

        classic_group_release(coordinator, &classic);
    } else {
        struct consumer_group *consumer = group_consumer(group);

        consumer_group_release(coordinator, &consumer);
    }
}

struct group *group_after(const struct group_coordinator *coordinator, const struct group *group)
{
    const struct list_node *next = group ? group->node.order.next : coordinator->groups.order.next;

    if (next == &coordinator->groups.order)
        return NULL;
    return HASH_MAP_ITEM((struct list_node *)(uintptr_t)next, struct group, node);
}

bool group_is_simple(const struct group *group)
{
    const struct classic_group *classic;

    if (!group || group->kind != GROUP_CLASSIC)
        return false;
    classic = (const struct classic_group *)(const void *)group;
    return classic->state == CLASSIC_EMPTY && slice_is_null(classic->protocol_type) &&
           classic->members.count == 0 && classic->pending.count == 0;
}

/* ---- waiters ---- */

static bool waiter_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, const struct group_waiter, node)->token == *(const uint64_t *)key;
}

static bool group_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(CONTAINER_OF(node, const struct group, node)->id,
                       *(const struct slice *)key);
}

void group_table_init(struct group_coordinator *coordinator)
{
    hash_map_init(&coordinator->groups, coordinator->allocator, group_matches);
    hash_map_init(&coordinator->waiters, coordinator->allocator, waiter_matches);
    heap_init(&coordinator->timers, coordinator->allocator);
    list_init(&coordinator->writes);
    list_init(&coordinator->deletions);
}

enum err group_waiter_create(struct group_call *call, struct group_waiter **out)
{
    struct allocator *allocator = call->coordinator->allocator;
    struct group_waiter *waiter = ALLOCATOR_NEW(allocator, struct group_waiter);
    enum err err;

    *out = NULL;
    if (!waiter)
        return ERR_NO_MEMORY;
    waiter->token = call->request->token;
    waiter->api_version = call->request->api_version;
    err = hash_map_insert(&call->coordinator->waiters, hash_u64(waiter->token), &waiter->node);
    if (err != OK)
        ALLOCATOR_DELETE(allocator, waiter);
    else
        *out = waiter;
    return err;
}

void group_waiter_release(struct group_coordinator *coordinator, struct group_waiter **waiter)
{
    struct group_waiter *old = TAKE(*waiter);

    if (!old)
        return;
    if (old->token != 0)
        hash_map_remove(&coordinator->waiters, &old->node);
    ALLOCATOR_DELETE(coordinator->allocator, old);
}

enum err group_waiter_answer(struct group_call *call, struct group_waiter **waiter, void *response)
{
    uint64_t token = (*waiter)->token;

    group_waiter_release(call->coordinator, waiter);
    return token == 0 ? OK : coordinator_effects_reply(call->effects, token, response, false);
}

void group_coordinator_forget(struct group_coordinator *coordinator, uint64_t token)
{
    struct hash_map_node *node = hash_map_find(&coordinator->waiters, hash_u64(token), &token);

    if (!node)
        return;
    hash_map_remove(&coordinator->waiters, node);
    CONTAINER_OF(node, struct group_waiter, node)->token = 0;
}

/* ---- writes ---- */

void group_write_watch(struct group_call *call, struct group_write *write)
{
    ASSERT(call->effects->write != 0); /* there is something to wait for */
    write->number = call->effects->write;
    list_push_back(&call->coordinator->writes, &write->node);
}

/* ---- records and replies ---- */

static enum err encoded(struct group_call *call, int16_t prefix, const struct message_type *type,
                        int16_t version, const void *message, struct slice *out)
{
    struct writer writer;
    size_t size_bytes;
    uint8_t *buffer;

    TRY(message_size(type, version, message, &size_bytes));
    buffer = arena_allocate(call->arena, size_bytes + sizeof prefix);
    if (!buffer)
        return ERR_NO_MEMORY;
    writer_init_fixed(&writer, buffer, size_bytes + sizeof prefix);
    writer_i16(&writer, prefix);
    TRY(message_encode(type, version, message, &writer));
    TRY(writer_error(&writer));
    *out = writer_slice(&writer);
    return OK;
}

enum err group_record(struct group_call *call, const struct message_type *key_type, const void *key,
                      const struct message_type *value_type, int16_t value_version,
                      const void *value)
{
    struct slice key_bytes, value_bytes = SLICE_NULL;
    enum err err = encoded(call, key_type->key, key_type, key_type->version_max, key, &key_bytes);

    if (err == OK && value)
        err = encoded(call, value_version, value_type, value_version, value, &value_bytes);
    if (err == ERR_NO_MEMORY)
        return err;
    ASSERT(err == OK); /* what we write, we can write */
    if (call->effects->write == 0)
        call->effects->write = ++call->coordinator->write_last;
    return coordinator_effects_record(call->effects, key_bytes, value_bytes);
}

enum err group_reply(struct group_call *call, void *response, bool after_commit)
{
    ASSERT(call->request != NULL);
    return coordinator_effects_reply(call->effects, call->request->token, response, after_commit);
}
