/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_leave.c: LeaveGroup of classic groups (members of a request one by one,
 * then one rebalance for all), and whether a member may commit. groups.md §3.6, §4.1 (4) of the
 * reference.
 */
#include "coordinator/group/classic_internal.h"

#include "base/bug.h"
#include "base/fmt.h"

static enum err member_leave(struct group_call *call, struct classic_member *member,
                             struct slice reason)
{
    LOG_INFO(call->coordinator->logger, GROUP_LOG, "group_member_left",
             "group=%.*s member=%.*s instance=%.*s client_reason=\"%.*s\"",
             SLICE_ARGS(member->group->head.id), SLICE_ARGS(member->id),
             SLICE_ARGS(member->instance_id), SLICE_ARGS(reason));
    return classic_member_expel(call, member);
}

static enum err leave_one(struct group_call *call, struct classic_group *group,
                          const struct leave_group_request_member_identity *identity,
                          enum err *told)
{
    struct classic_pending *pending;
    struct classic_member *member;

    *told = OK;
    if (identity->member_id.size_bytes == 0) {
        /* An administrator removes a static member by its instance id. */
        member = slice_is_null(identity->group_instance_id)
                     ? NULL
                     : classic_static_find(group, identity->group_instance_id);
        if (!member)
            *told = ERR_UNKNOWN_MEMBER_ID;
        return member ? member_leave(call, member, identity->reason) : OK;
    }
    pending = classic_pending_find(group, identity->member_id);
    if (pending) {
        classic_pending_remove(call->coordinator, pending);
        return OK;
    }
    *told = classic_member_validate(group, identity->member_id, identity->group_instance_id);
    if (*told != OK)
        return OK;
    return member_leave(call, classic_member_find(group, identity->member_id), identity->reason);
}

enum err classic_handle_leave(struct group_call *call, struct classic_group *group,
                              const struct leave_group_request_member_identity *members,
                              struct leave_group_response_member_response *results, int32_t count)
{
    char reason[CLASSIC_REASON_BYTES];
    int32_t gone = 0;

    for (int32_t i = 0; i < count; i++) {
        enum err told;

        TRY(leave_one(call, group, &members[i], &told));
        results[i].error_code = err_wire_code(told);
        if (told != OK)
            continue;
        gone++;
        fmt(reason, sizeof reason, "%.*s%.*s left",
            SLICE_ARGS(members[i].member_id.size_bytes > 0 ? members[i].member_id
                                                           : members[i].group_instance_id),
            SLICE_ARGS(gone > 1 ? SLICE(" and others") : SLICE_EMPTY));
    }
    if (gone == 0)
        return OK;
    if (group->state == CLASSIC_STABLE || group->state == CLASSIC_COMPLETING_REBALANCE)
        return classic_prepare_rebalance(call, group, reason);
    return classic_maybe_complete_join(call, group);
}

enum err classic_check_commit(struct group_call *call, struct classic_group *group,
                              const struct group_commit_identity *identity)
{
    struct classic_member *member;

    /* Nobody is there: whoever assigns to itself, or an administrator. */
    if (identity->generation < 0 && group->state == CLASSIC_EMPTY)
        return OK;
    if (identity->generation >= 0 || identity->member_id.size_bytes > 0 ||
        !slice_is_null(identity->instance_id)) {
        enum err err = classic_member_validate(group, identity->member_id, identity->instance_id);

        if (err != OK && !(BUG_IS(static_member_not_fenced) && err == ERR_FENCED_INSTANCE_ID))
            return err;
        if (identity->generation != group->generation && !BUG_IS(stale_generation_commits))
            return ERR_ILLEGAL_GENERATION;
    } else if (!identity->is_transactional && group->state != CLASSIC_EMPTY) {
        return ERR_UNKNOWN_MEMBER_ID;
    }
    /* Whatever the group is doing, and no sign of life. */
    if (identity->is_transactional)
        return OK;
    if (group->state == CLASSIC_COMPLETING_REBALANCE)
        return ERR_REBALANCE_IN_PROGRESS;
    member = classic_member_find(group, identity->member_id);
    if (!member || group->state == CLASSIC_EMPTY)
        return OK;
    return classic_session_restart(call->coordinator, member, member->session_timeout_ms);
}
