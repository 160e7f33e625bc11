/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/admin_delete.c: DeleteGroups. A group may have more offsets than one write
 * should carry: what does not fit is written at the next ticks, and the answer follows the last
 * write. A group that got members meanwhile keeps what is left of it.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

struct deletion {
    struct list_node node; /* in coordinator->deletions */
    struct group_timer timer;
    struct group_waiter *waiter; /* NULL inside of the request's own call */
    uint64_t number;
    struct slice *group_ids; /* owned, each */
    enum err *errors;
    size_t count, done;
};

static void deletion_release(struct group_coordinator *coordinator, struct deletion *deletion)
{
    struct allocator *allocator = coordinator->allocator;

    group_timer_stop(coordinator, &deletion->timer);
    group_waiter_release(coordinator, &deletion->waiter);
    list_remove(&deletion->node);
    for (size_t i = 0; i < deletion->count && deletion->group_ids; i++)
        bytes_release(allocator, &deletion->group_ids[i]);
    allocator->release(allocator, deletion->group_ids,
                       deletion->count * sizeof *deletion->group_ids);
    allocator->release(allocator, deletion->errors, deletion->count * sizeof *deletion->errors);
    ALLOCATOR_DELETE(allocator, deletion);
}

void group_deletions_release(struct group_coordinator *coordinator)
{
    LIST_EACH_SAFE (node, &coordinator->deletions)
        deletion_release(coordinator, LIST_ITEM(node, struct deletion, node));
}

static enum err deletion_answer(struct group_call *call, struct deletion *deletion)
{
    struct delete_groups_response *response = delete_groups_response_array(call->arena, 1);
    uint64_t token = deletion->waiter ? deletion->waiter->token : call->request->token;

    if (!response)
        return ERR_NO_MEMORY;
    response->results =
        delete_groups_response_deletable_group_result_array(call->arena, deletion->count);
    if (!response->results)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < deletion->count; i++) {
        struct delete_groups_response_deletable_group_result *result = &response->results[i];

        result->group_id = arena_copy(call->arena, deletion->group_ids[i]);
        result->error_code = err_wire_code(deletion->errors[i]);
        if (slice_is_null(result->group_id))
            return ERR_NO_MEMORY;
    }
    response->results_count = (int32_t)deletion->count;
    deletion_release(call->coordinator, deletion);
    return token == 0 ? OK : coordinator_effects_reply(call->effects, token, response, true);
}

/* ---- one group ---- */

static enum err deletable(struct group *group)
{
    if (!group)
        return ERR_GROUP_ID_NOT_FOUND;
    if (group->kind == GROUP_CLASSIC)
        return group_classic(group)->state == CLASSIC_EMPTY ? OK : ERR_NON_EMPTY_GROUP;
    return consumer_group_member_count(group_consumer(group)) == 0 ? OK : ERR_NON_EMPTY_GROUP;
}

/* False in done_out: the step is full before the group's end. */
static enum err offsets_delete(struct group_call *call, struct slice group_id, bool *done_out)
{
    const struct offset_group *offsets = offsets_group(call->coordinator->offsets, group_id);

    *done_out = true;
    if (!offsets)
        return OK;
    HASH_MAP_EACH (node, &offsets->topics) {
        const struct offset_topic *topic = HASH_MAP_ITEM(node, struct offset_topic, node);

        for (uint32_t i = 0; i < topic->slot_count; i++) {
            const struct offset_slot *slot = topic->slots[i];

            if (!offset_latest(slot) && list_is_empty(&slot->pending))
                continue;
            if (group_step_is_full(call)) {
                *done_out = false;
                return OK;
            }
            TRY(offset_tombstone(call, slot));
        }
    }
    return OK;
}

static enum err group_delete(struct group_call *call, struct slice group_id, enum err *told,
                             bool *done_out)
{
    struct group *group = group_find(call->coordinator, group_id);

    *done_out = true;
    *told = deletable(group);
    if (*told != OK)
        return OK;
    TRY(offsets_delete(call, group_id, done_out));
    if (!*done_out)
        return OK;
    LOG_INFO(call->coordinator->logger, GROUP_LOG, "group_deleted", "group=%.*s",
             SLICE_ARGS(group_id));
    return group->kind == GROUP_CLASSIC ? classic_group_tombstone(call, group_id)
                                        : consumer_group_tombstones(call, group_consumer(group));
}

/* ---- steps ---- */

struct deletion_write {
    struct group_write write;
    uint64_t number; /* of the deletion */
};

static void write_release(struct group_coordinator *coordinator, struct group_write *write)
{
    struct deletion_write *own = CONTAINER_OF(write, struct deletion_write, write);

    ALLOCATOR_DELETE(coordinator->allocator, own);
}

/* A step that was refused ends the whole: what is left is not deleted. */
static enum err step_ended(struct group_call *call, struct group_write *write, enum err err)
{
    uint64_t number = CONTAINER_OF(write, struct deletion_write, write)->number;

    if (err == OK || err == ERR_REQUEST_TIMED_OUT)
        return OK;
    LIST_EACH (node, &call->coordinator->deletions) {
        struct deletion *deletion = LIST_ITEM(node, struct deletion, node);

        if (deletion->number != number)
            continue;
        for (size_t i = deletion->done; i < deletion->count; i++)
            deletion->errors[i] = coordinator_error(err);
        return deletion_answer(call, deletion);
    }
    return OK;
}

static enum err step_watch(struct group_call *call, const struct deletion *deletion)
{
    struct deletion_write *write =
        ALLOCATOR_NEW(call->coordinator->allocator, struct deletion_write);

    if (!write)
        return ERR_NO_MEMORY;
    write->number = deletion->number;
    write->write.ended = step_ended;
    write->write.release = write_release;
    group_write_watch(call, &write->write);
    return OK;
}

static enum err deletion_step(struct group_call *call, struct deletion *deletion)
{
    size_t looked_at = 0;

    while (deletion->done < deletion->count && looked_at++ < GROUP_STEP_ITEMS) {
        bool done;

        TRY(group_delete(call, deletion->group_ids[deletion->done],
                         &deletion->errors[deletion->done], &done));
        if (!done)
            break;
        deletion->done++;
    }
    if (deletion->done == deletion->count)
        return deletion_answer(call, deletion);
    if (!deletion->waiter)
        TRY(group_waiter_create(call, &deletion->waiter));
    if (call->effects->record_count > 0)
        TRY(step_watch(call, deletion));
    return group_timer_set(call->coordinator, &deletion->timer, call->coordinator->now_ms);
}

static enum err deletion_fired(struct group_call *call, struct group_timer *timer)
{
    return deletion_step(call, CONTAINER_OF(timer, struct deletion, timer));
}

enum err group_handle_delete(struct group_call *call, const struct delete_groups_request *request)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct allocator *allocator = coordinator->allocator;
    struct deletion *deletion = ALLOCATOR_NEW(allocator, struct deletion);
    size_t count = (size_t)MAX(request->groups_names_count, 0);

    if (!deletion)
        return ERR_NO_MEMORY;
    list_push_back(&coordinator->deletions, &deletion->node);
    group_timer_init(&deletion->timer, deletion_fired);
    deletion->number = call->request->token;
    if (count == 0)
        return deletion_answer(call, deletion);
    deletion->group_ids = allocator_zeroed(allocator, count * sizeof *deletion->group_ids);
    deletion->count = deletion->group_ids ? count : 0;
    if (deletion->group_ids)
        deletion->errors = allocator_zeroed(allocator, count * sizeof *deletion->errors);
    if (!deletion->errors)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        TRY(bytes_copy(allocator, request->groups_names[i], &deletion->group_ids[i]));
    return deletion_step(call, deletion);
}
