/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_static.c: a static member that comes back without its member id
 * (KIP-345): it gets a new id in the place of the old one, which is fenced. In a Stable group whose
 * protocol stays the same, nobody else notices: the new id is stored and the member told the
 * generation that runs. groups.md §3.4.
 */
#include "coordinator/group/classic_internal.h"

#include "base/fmt.h"

#define VERSION_SKIP_ASSIGNMENT 9

/* What to go back to when the new id cannot be stored. */
struct replacement {
    struct group_write write;
    struct slice group_id, old_id, new_id, old_leader; /* owned; the leader may be null */
    struct classic_protocols protocols;
    int32_t session_timeout_ms, rebalance_timeout_ms, generation;
};

static void replacement_release(struct group_coordinator *coordinator, struct group_write *write)
{
    struct replacement *replacement = CONTAINER_OF(write, struct replacement, write);

    bytes_release(coordinator->allocator, &replacement->group_id);
    bytes_release(coordinator->allocator, &replacement->old_id);
    bytes_release(coordinator->allocator, &replacement->new_id);
    bytes_release(coordinator->allocator, &replacement->old_leader);
    classic_protocols_release(coordinator, &replacement->protocols);
    ALLOCATOR_DELETE(coordinator->allocator, replacement);
}

static enum err answer(struct group_call *call, struct classic_group *group,
                       struct classic_member *member, const struct replacement *replacement)
{
    bool is_leader = slice_equal(group->leader, member->id);
    bool may_skip;

    if (!member->join)
        return OK;
    may_skip = member->join->api_version >= VERSION_SKIP_ASSIGNMENT;
    /* An old client would assign again if it found itself to be the leader: it is told the id that
     * it had. */
    return classic_answer_join(call, member,
                               &(struct classic_join_answer){
                                   .member_id = member->id,
                                   .leader = may_skip ? group->leader : replacement->old_leader,
                                   .with_members = may_skip && is_leader,
                                   .skip_assignment = may_skip && is_leader,
                               });
}

static enum err not_stored(struct group_call *call, struct classic_member *member,
                           struct replacement *replacement, enum err err)
{
    LOG_WARN(call->coordinator->logger, GROUP_LOG, "group_static_member_not_stored",
             "group=%.*s instance=%.*s member=%.*s error=%s", SLICE_ARGS(member->group->head.id),
             SLICE_ARGS(member->instance_id), SLICE_ARGS(member->id), err_name(err));
    TRY(classic_answer_join(
        call, member,
        &(struct classic_join_answer){.err = coordinator_error(err), .member_id = SLICE_EMPTY}));
    /* Late is not refused: the log has the new id, and so has who loads it. The client asks once
     * more. */
    if (err == ERR_REQUEST_TIMED_OUT)
        return OK;
    TRY(classic_member_swap_protocols(call->coordinator, member, &replacement->protocols));
    member->session_timeout_ms = replacement->session_timeout_ms;
    member->rebalance_timeout_ms = replacement->rebalance_timeout_ms;
    member->has_told = false; /* that was the other one */
    TRY(classic_member_rename(call->coordinator, member, replacement->old_id));
    return classic_session_restart(call->coordinator, member, member->session_timeout_ms);
}

static enum err replacement_ended(struct group_call *call, struct group_write *write, enum err err)
{
    struct replacement *replacement = CONTAINER_OF(write, struct replacement, write);
    struct classic_group *group =
        group_classic(group_find(call->coordinator, replacement->group_id));
    struct classic_member *member = group ? classic_member_find(group, replacement->new_id) : NULL;

    /* A rebalance has begun meanwhile: the member has its part in it. */
    if (!member || group->state != CLASSIC_STABLE || group->generation != replacement->generation)
        return OK;
    return err == OK ? answer(call, group, member, replacement)
                     : not_stored(call, member, replacement, err);
}

static enum err watch(struct group_call *call, struct replacement *replacement,
                      const struct classic_member *member)
{
    TRY(bytes_copy(call->coordinator->allocator, member->group->head.id, &replacement->group_id));
    TRY(bytes_copy(call->coordinator->allocator, member->id, &replacement->new_id));
    replacement->generation = member->group->generation;
    replacement->write.ended = replacement_ended;
    replacement->write.release = replacement_release;
    TRY(classic_group_record(call, member->group));
    group_write_watch(call, &replacement->write);
    return OK;
}

/* The old id's parked requests are fenced, the member goes on under the new one. */
static enum err take_over(struct group_call *call, struct classic_member *member,
                          struct slice new_id)
{
    struct sync_group_response *response;

    TRY(classic_answer_join(
        call, member,
        &(struct classic_join_answer){.err = ERR_FENCED_INSTANCE_ID, .member_id = member->id}));
    if (member->sync) {
        TRY(classic_sync_response(call, member->group, ERR_FENCED_INSTANCE_ID, SLICE_NULL,
                                  &response));
        TRY(group_waiter_answer(call, &member->sync, response));
    }
    member->is_new = false;
    member->awaits_sync = false;
    return classic_member_rename(call->coordinator, member, new_id);
}

static enum err replace(struct group_call *call, struct classic_member *member, struct slice new_id,
                        const struct join_group_request *request, struct replacement *replacement,
                        bool *kept_out)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct classic_group *group = member->group;

    *kept_out = false;
    TRY(bytes_copy(coordinator->allocator, member->id, &replacement->old_id));
    TRY(bytes_copy(coordinator->allocator, group->leader, &replacement->old_leader));
    TRY(classic_protocols_copy(coordinator, member->protocols, member->protocol_count,
                               &replacement->protocols));
    replacement->session_timeout_ms = member->session_timeout_ms;
    replacement->rebalance_timeout_ms = member->rebalance_timeout_ms;
    TRY(take_over(call, member, new_id));
    group_timer_stop(coordinator, &member->session);
    TRY(classic_session_restart(coordinator, member, member->session_timeout_ms));
    TRY(classic_member_update(call, member, request));
    TRY(classic_park_join(call, member));
    if (group->state != CLASSIC_STABLE || !slice_equal(classic_group_vote(group), group->protocol))
        return OK;
    TRY(watch(call, replacement, member));
    *kept_out = true; /* the write owns it now */
    return OK;
}

enum err classic_static_replace(struct group_call *call, struct classic_member *member,
                                struct slice new_id, const struct join_group_request *request,
                                const char *client_reason)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct replacement *replacement = ALLOCATOR_NEW(coordinator->allocator, struct replacement);
    struct classic_group *group = member->group;
    char reason[CLASSIC_REASON_BYTES];
    bool kept;
    enum err err;

    if (!replacement)
        return ERR_NO_MEMORY;
    LOG_INFO(coordinator->logger, GROUP_LOG, "group_static_member_back",
             "group=%.*s instance=%.*s old=%.*s new=%.*s state=%s", SLICE_ARGS(group->head.id),
             SLICE_ARGS(member->instance_id), SLICE_ARGS(member->id), SLICE_ARGS(new_id),
             classic_state_name(group->state));
    err = replace(call, member, new_id, request, replacement, &kept);
    if (kept)
        return err;
    replacement_release(coordinator, &replacement->write);
    TRY(err);
    if (group->state == CLASSIC_PREPARING_REBALANCE)
        return classic_maybe_complete_join(call, group);
    /* In CompletingRebalance the leader may be assigning to the old id: once more for all. */
    fmt(reason, sizeof reason, "static member %.*s came back (client: %s)",
        SLICE_ARGS(member->instance_id), client_reason);
    return classic_prepare_rebalance(call, group, reason);
}
