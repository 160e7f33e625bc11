/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_sync.c: SyncGroup and Heartbeat of classic groups. The leader's
 * assignment is stored before anybody hears of it. groups.md §3.5, §3.6 of the reference.
 */
#include "coordinator/group/classic_internal.h"

#include "base/fmt.h"

enum err classic_sync_response(struct group_call *call, const struct classic_group *group,
                               enum err err, struct slice assignment,
                               struct sync_group_response **out)
{
    struct sync_group_response *response = sync_group_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    *out = response;
    response->error_code = err_wire_code(err);
    response->assignment = SLICE_EMPTY;
    if (err != OK)
        return OK;
    response->protocol_type = arena_copy(call->arena, group->protocol_type);
    response->protocol_name = arena_copy(call->arena, group->protocol);
    if (!slice_is_null(assignment))
        response->assignment = arena_copy(call->arena, assignment);
    return slice_is_null(response->assignment) ||
                   slice_is_null(response->protocol_type) != slice_is_null(group->protocol_type) ||
                   slice_is_null(response->protocol_name) != slice_is_null(group->protocol)
               ? ERR_NO_MEMORY
               : OK;
}

static enum err sync_answer(struct group_call *call, const struct classic_group *group,
                            enum err err, struct slice assignment)
{
    struct sync_group_response *response;

    TRY(classic_sync_response(call, group, err, assignment, &response));
    return group_reply(call, response, false);
}

static bool fits(struct slice given, struct slice ours)
{
    return slice_is_null(given) || slice_is_null(ours) || slice_equal(given, ours);
}

static enum err sync_validate(const struct classic_group *group,
                              const struct sync_group_request *request)
{
    TRY(classic_member_validate(group, request->member_id, request->group_instance_id));
    if (request->generation_id != group->generation)
        return ERR_ILLEGAL_GENERATION;
    if (!fits(request->protocol_type, group->protocol_type) ||
        !fits(request->protocol_name, group->protocol))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    return OK;
}

/* ---- the leader's assignment on its way to the log ---- */

struct assigning {
    struct group_write write;
    struct slice group_id, leader; /* owned */
    int32_t generation;
};

static void assigning_release(struct group_coordinator *coordinator, struct group_write *write)
{
    struct assigning *assigning = CONTAINER_OF(write, struct assigning, write);

    bytes_release(coordinator->allocator, &assigning->group_id);
    bytes_release(coordinator->allocator, &assigning->leader);
    ALLOCATOR_DELETE(coordinator->allocator, assigning);
}

static void assignments_given(struct group_call *call, struct classic_group *group)
{
    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        bytes_release(call->coordinator->allocator, &member->held);
        member->has_told = false;
    }
}

static enum err assigning_ended(struct group_call *call, struct group_write *write, enum err err)
{
    struct assigning *assigning = CONTAINER_OF(write, struct assigning, write);
    struct classic_group *group = group_classic(group_find(call->coordinator, assigning->group_id));
    char reason[CLASSIC_REASON_BYTES];

    /* Somebody may have joined meanwhile: then the assignment is of no use. */
    if (!group || group->state != CLASSIC_COMPLETING_REBALANCE ||
        group->generation != assigning->generation || group->assignment_write != write->number)
        return OK;
    if (err == OK) {
        group->assignment_write = 0;
        assignments_given(call, group);
        TRY(classic_answer_syncs(call, group, OK));
        classic_transition(call->coordinator, group, CLASSIC_STABLE);
        classic_rebalance_done(call->coordinator, group);
        return OK;
    }
    TRY(classic_answer_syncs(call, group, coordinator_error(err)));
    group->assignment_write = 0;
    fmt(reason, sizeof reason, "assignment of %.*s not stored: %s", SLICE_ARGS(assigning->leader),
        err_name(err));
    return classic_prepare_rebalance(call, group, reason);
}

/* Members that the leader left out get an empty assignment; ids that it made up are passed over. */
static enum err assignments_take(struct group_call *call, struct classic_group *group,
                                 const struct sync_group_request *request)
{
    size_t assigned = 0;

    HASH_MAP_EACH (node, &group->members)
        classic_assignment_withdraw(call->coordinator,
                                    HASH_MAP_ITEM(node, struct classic_member, node));
    for (int32_t i = 0; i < request->assignments_count; i++) {
        struct classic_member *member =
            classic_member_find(group, request->assignments[i].member_id);

        if (!member)
            continue;
        assigned += slice_is_null(member->assignment);
        TRY(classic_assignment_set(call->coordinator, member, request->assignments[i].assignment));
    }
    if (assigned < group->members.count)
        LOG_WARN(call->coordinator->logger, GROUP_LOG, "group_members_without_assignment",
                 "group=%.*s generation=%d leader=%.*s members=%zu assigned=%zu",
                 SLICE_ARGS(group->head.id), group->generation, SLICE_ARGS(group->leader),
                 group->members.count, assigned);
    return OK;
}

static enum err assign(struct group_call *call, struct classic_group *group,
                       const struct sync_group_request *request)
{
    struct allocator *allocator = call->coordinator->allocator;
    struct assigning *assigning;
    enum err err;

    TRY(assignments_take(call, group, request));
    TRY(classic_group_record(call, group));
    assigning = ALLOCATOR_NEW(allocator, struct assigning);
    if (!assigning)
        return ERR_NO_MEMORY;
    assigning->generation = group->generation;
    assigning->write.ended = assigning_ended;
    assigning->write.release = assigning_release;
    err = bytes_copy(allocator, group->head.id, &assigning->group_id);
    if (err == OK)
        err = bytes_copy(allocator, group->leader, &assigning->leader);
    if (err != OK) {
        assigning_release(call->coordinator, &assigning->write);
        return err;
    }
    group_write_watch(call, &assigning->write);
    group->assignment_write = assigning->write.number;
    return OK;
}

static enum err park(struct group_call *call, struct classic_member *member)
{
    struct sync_group_response *response;

    if (member->sync) {
        /* Asked again on another connection: what was asked before is void. */
        TRY(classic_sync_response(call, member->group, ERR_REBALANCE_IN_PROGRESS, SLICE_NULL,
                                  &response));
        TRY(group_waiter_answer(call, &member->sync, response));
    }
    member->awaits_sync = false;
    return group_waiter_create(call, &member->sync);
}

enum err classic_handle_sync(struct group_call *call, struct classic_group *group,
                             const struct sync_group_request *request)
{
    struct classic_member *member;
    enum err err;

    if (group->state == CLASSIC_EMPTY)
        return sync_answer(call, group, ERR_UNKNOWN_MEMBER_ID, SLICE_NULL);
    err = sync_validate(group, request);
    if (err != OK)
        return sync_answer(call, group, err, SLICE_NULL);
    member = classic_member_find(group, request->member_id);
    switch (group->state) {
    case CLASSIC_PREPARING_REBALANCE:
        return sync_answer(call, group, ERR_REBALANCE_IN_PROGRESS, SLICE_NULL);
    case CLASSIC_COMPLETING_REBALANCE:
        TRY(park(call, member));
        /* One that is on its way to the log stands. */
        if (!slice_equal(group->leader, member->id) || group->assignment_write != 0)
            return OK;
        return assign(call, group, request);
    default:
        ASSERT(group->state == CLASSIC_STABLE); /* a dead group is in no table */
        member->awaits_sync = false;
        member->has_told = false;
        return sync_answer(call, group, OK, member->assignment);
    }
}

/* ---- Heartbeat ---- */

static enum err heartbeat_check(struct group_call *call, struct classic_group *group,
                                const struct heartbeat_request *request, enum err *told)
{
    struct classic_member *member;

    *told = classic_member_validate(group, request->member_id, request->group_instance_id);
    if (*told == OK && request->generation_id != group->generation)
        *told = ERR_ILLEGAL_GENERATION;
    if (*told == OK && group->state == CLASSIC_EMPTY)
        *told = ERR_UNKNOWN_MEMBER_ID;
    if (*told != OK)
        return OK;
    if (group->state == CLASSIC_PREPARING_REBALANCE)
        *told = ERR_REBALANCE_IN_PROGRESS;
    member = classic_member_find(group, request->member_id);
    return classic_session_restart(call->coordinator, member, member->session_timeout_ms);
}

enum err classic_handle_heartbeat(struct group_call *call, struct classic_group *group,
                                  const struct heartbeat_request *request)
{
    struct heartbeat_response *response = heartbeat_response_array(call->arena, 1);
    enum err told;

    if (!response)
        return ERR_NO_MEMORY;
    TRY(heartbeat_check(call, group, request, &told));
    response->error_code = err_wire_code(told);
    return group_reply(call, response, false);
}
