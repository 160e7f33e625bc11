/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_classic.c: members that speak the classic protocol in a consumer group. A generation is
 * a member epoch; a join is a heartbeat that waits for nobody; there is no leader, because the coordinator assigns.
 */
#include "coordinator/group/consumer_internal.h"

/* ---- JoinGroup ---- */

static enum err join_refuse(struct group_call *call, enum err err, struct slice member_id)
{
    struct join_group_response *response = join_group_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    response->error_code = err_wire_code(err);
    response->member_id = member_id;
    response->leader = SLICE_EMPTY;
    response->protocol_name = call->request->api_version >= 7 ? SLICE_NULL : SLICE_EMPTY;
    return group_reply(call, response, false);
}

/* Of type consumer, with a protocol that all classic members of now have. */
static bool protocols_fit(const struct consumer_group *group,
                          const struct join_group_request *request)
{
    if (!slice_equal_text(request->protocol_type, "consumer"))
        return false;
    for (int32_t i = 0; i < request->protocols_count; i++)
        if (group->member_count == 0 ||
            consumer_counter_get(&group->protocols, request->protocols[i].name) ==
                group->classic_count)
            return true;
    return false;
}

static enum err join_after(struct consumer_update *update, const struct join_group_request *request,
                           const struct consumer_protocol_subscription *subscription)
{
    struct consumer_metadata *after = &update->after;
    struct arena *arena = update->call->arena;
    struct classic_protocol *protocols =
        ARENA_ARRAY(arena, struct classic_protocol, (size_t)request->protocols_count);

    if (!protocols)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < request->protocols_count; i++) {
        protocols[i].name = request->protocols[i].name;
        protocols[i].metadata = request->protocols[i].metadata;
    }
    *after = *update->before;
    after->block_bytes = 0;
    if (!slice_is_null(request->group_instance_id))
        after->instance_id = request->group_instance_id;
    if (subscription->rack_id.size_bytes > 0)
        after->rack_id = subscription->rack_id;
    after->rebalance_timeout_ms = request->rebalance_timeout_ms != -1
                                      ? request->rebalance_timeout_ms
                                      : request->session_timeout_ms; /* JoinGroup v0 has none */
    after->topics = subscription->topics;
    after->topic_count =
        consumer_names_sort(subscription->topics, MAX(subscription->topics_count, 0));
    after->regex = SLICE_EMPTY;
    after->client_id = update->call->request->client_id;
    after->client_host = update->call->request->client_host;
    after->is_classic = true;
    after->classic_session_timeout_ms = request->session_timeout_ms;
    after->protocols = protocols;
    after->protocol_count = request->protocols_count;
    return OK;
}

static enum err join_owned(struct consumer_update *update,
                           const struct consumer_protocol_subscription *subscription)
{
    struct topic_partitions *owned;

    TRY(consumer_subscription_owned(subscription, update->call->moment->image, update->call->arena,
                                    &owned, &update->owned_count));
    update->owned = owned;
    update->owned_known = true;
    return OK;
}

static enum err join_run(struct consumer_update *update, const struct join_group_request *request,
                         bool is_unknown, bool *downgrade)
{
    struct consumer_protocol_subscription subscription;
    struct consumer_member *known = consumer_static_find(update->group, request->group_instance_id);

    TRY(consumer_update_member(update, CONSUMER_EPOCH_LEAVE, request->group_instance_id,
                               slice_is_null(request->group_instance_id) || is_unknown, true));
    *downgrade =
        update->replaces && known && consumer_may_downgrade_replacing(update->group, known);
    TRY(consumer_subscription_decode(request->protocols[0].metadata, update->call->arena,
                                     &subscription));
    TRY(join_after(update, request, &subscription));
    TRY(join_owned(update, &subscription));
    TRY(consumer_update_subscription(update));
    if (!*downgrade) {
        TRY(consumer_update_target(update));
        return consumer_update_reconcile(update);
    }
    update->next = update->current;
    update->target_epoch = update->group->target_epoch;
    if (update->target_epoch < update->epoch)
        return OK; /* the classic group rebalances anyway */
    update->target = known->has_target ? known->target.is : (struct assignment){0};
    return consumer_update_reconcile(update);
}

static enum err join_timers(struct consumer_update *update)
{
    struct group_coordinator *coordinator = update->call->coordinator;
    struct consumer_shared *shared = coordinator->consumer;
    struct consumer_member *member = update->member;

    bytes_release(coordinator->allocator, &shared->joining_id);
    if (!member)
        return bytes_copy(coordinator->allocator, update->member_id, &shared->joining_id);
    member->progress_is_sync = true;
    TRY(group_timer_set(coordinator, &member->progress,
                        group_after_ms(coordinator, update->after.rebalance_timeout_ms)));
    return group_timer_set(coordinator, &member->session,
                           group_after_ms(coordinator, update->after.classic_session_timeout_ms));
}

static enum err join_answer(struct consumer_update *update)
{
    struct group_call *call = update->call;
    struct join_group_response *response = join_group_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    response->member_id = arena_copy(call->arena, update->member_id);
    if (slice_is_null(response->member_id))
        return ERR_NO_MEMORY;
    response->generation_id = update->next.epoch;
    response->protocol_type = SLICE("consumer");
    response->protocol_name = update->after.protocols[0].name;
    response->leader = SLICE_EMPTY;
    return group_reply(call, response, true);
}

static enum err join_finish(struct consumer_update *update, bool downgrade)
{
    TRY(join_answer(update));
    if (!downgrade) {
        TRY(join_timers(update));
        return consumer_update_finish(update);
    }
    /* A member that waits for partitions has the group's epoch already: only a rebalance tells it what it has. */
    return consumer_downgrade(&update->draft, update->group, update,
                              update->target_epoch < update->epoch ||
                                  update->group->unreconciled > 0,
                              "a classic member took the place of the last consumer member");
}

enum err consumer_group_handle_join(struct group_call *call, struct consumer_group *group,
                                    const struct join_group_request *request)
{
    struct consumer_update update = {.call = call,
                                     .draft = {.call = call, .group_id = group->head.id},
                                     .group = group,
                                     .member_id = request->member_id};
    bool is_unknown = request->member_id.size_bytes == 0, downgrade = false;
    char text[UUID_TEXT_BYTES];
    enum err err;

    if (call->coordinator->options.consumer_migration == GROUP_MIGRATION_DISABLED)
        return join_refuse(call, ERR_INCONSISTENT_GROUP_PROTOCOL, SLICE_EMPTY);
    if (is_unknown) {
        uuid_to_text(uuid_random(call->moment->random), text);
        update.member_id = arena_copy(call->arena, slice_from_text(text));
        if (slice_is_null(update.member_id))
            return ERR_NO_MEMORY;
    }
    err = consumer_update_check_size(&update, request->group_instance_id);
    if (err != OK)
        return join_refuse(call, err, SLICE_EMPTY);
    if (!protocols_fit(group, request))
        return join_refuse(call, ERR_INCONSISTENT_GROUP_PROTOCOL, SLICE_EMPTY);
    if (is_unknown && slice_is_null(request->group_instance_id) && call->request->api_version >= 4)
        return join_refuse(call, ERR_MEMBER_ID_REQUIRED, update.member_id);
    err = join_run(&update, request, is_unknown, &downgrade);
    if (err == OK)
        err = join_finish(&update, downgrade);
    else if (err != ERR_NO_MEMORY)
        err = join_refuse(call, err, SLICE_EMPTY);
    consumer_update_release(&update);
    return err;
}

/* ---- SyncGroup, Heartbeat ---- */

static enum err member_of(const struct consumer_group *group, struct slice member_id,
                          struct slice instance_id, int32_t generation,
                          struct consumer_member **out)
{
    struct consumer_member *member = slice_is_null(instance_id)
                                         ? consumer_member_find(group, member_id)
                                         : consumer_static_find(group, instance_id);

    *out = member;
    if (!member)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!slice_is_null(instance_id) && !slice_equal(member->id, member_id))
        return ERR_FENCED_INSTANCE_ID;
    if (!member->metadata->is_classic)
        return ERR_UNKNOWN_MEMBER_ID;
    return member->epoch == generation ? OK : ERR_ILLEGAL_GENERATION;
}

/* It is told to rejoin, and has its rebalance timeout to do so. */
static enum err must_join(struct group_call *call, struct consumer_member *member)
{
    if (group_timer_is_set(&member->progress))
        return OK;
    member->progress_is_sync = false;
    return group_timer_set(
        call->coordinator, &member->progress,
        group_after_ms(call->coordinator, member->metadata->rebalance_timeout_ms));
}

static enum err session_restart(struct group_call *call, struct consumer_member *member)
{
    return group_timer_set(
        call->coordinator, &member->session,
        group_after_ms(call->coordinator, member->metadata->classic_session_timeout_ms));
}

static enum err sync_check(struct consumer_group *group, const struct sync_group_request *request,
                           struct consumer_member **member)
{
    TRY(member_of(group, request->member_id, request->group_instance_id, request->generation_id,
                  member));
    if (!slice_is_null(request->protocol_type) &&
        !slice_equal_text(request->protocol_type, "consumer"))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (!slice_is_null(request->protocol_name) &&
        !slice_equal(request->protocol_name, (*member)->metadata->protocols[0].name))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    return group->target_epoch > (*member)->epoch && (*member)->state != CONSUMER_UNREVOKED
               ? ERR_REBALANCE_IN_PROGRESS
               : OK;
}

enum err consumer_group_handle_sync(struct group_call *call, struct consumer_group *group,
                                    const struct sync_group_request *request)
{
    struct sync_group_response *response = sync_group_response_array(call->arena, 1);
    struct consumer_member *member;
    enum err err = sync_check(group, request, &member);

    if (!response)
        return ERR_NO_MEMORY;
    response->assignment = SLICE_EMPTY;
    if (err == OK)
        err = consumer_assignment_encode(&member->assigned.is, call->moment->image,
                                         member->metadata->protocols[0].metadata, call->arena,
                                         &response->assignment);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err == ERR_REBALANCE_IN_PROGRESS)
        TRY(must_join(call, member));
    if (err != OK) {
        response->error_code = err_wire_code(err);
        response->assignment = SLICE_EMPTY;
        return group_reply(call, response, false);
    }
    if (member->progress_is_sync)
        group_timer_stop(call->coordinator, &member->progress);
    TRY(session_restart(call, member));
    response->protocol_type = request->protocol_type;
    response->protocol_name = request->protocol_name;
    return group_reply(call, response, true);
}

/* Somebody still holds a partition that the member shall get. */
static bool waits_for_others(const struct consumer_member *member)
{
    for (int32_t i = 0; member->has_target && i < member->target.is.count; i++) {
        const struct topic_partitions *topic = &member->target.is.topics[i];

        for (int32_t j = 0; j < topic->count; j++) {
            const struct consumer_member *holder =
                consumer_holder(member->group, topic->topic_id, topic->partitions[j]);

            if (holder && holder != member)
                return true;
        }
    }
    return false;
}

/* The target is old or topics have changed, and nobody but classic members is there to see to it: their
 * heartbeats carry nothing that a target could be made of, so one of them has to join. Only a group that must not
 * become a classic one (group.consumer.migration.policy) is ever like this. */
static bool nobody_else_divides(const struct group_call *call, const struct consumer_group *group)
{
    if (group->classic_count < group->member_count)
        return false;
    if (call->moment->now_ms >= group->refresh_ms || group->epoch < group->refresh_epoch)
        return true;
    return group->target_epoch < group->epoch && !consumer_target_is_fresh(call, group);
}

enum err consumer_group_handle_classic_heartbeat(struct group_call *call,
                                                 struct consumer_group *group,
                                                 const struct heartbeat_request *request)
{
    struct heartbeat_response *response = heartbeat_response_array(call->arena, 1);
    struct consumer_member *member;
    enum err err = member_of(group, request->member_id, request->group_instance_id,
                             request->generation_id, &member);

    if (!response)
        return ERR_NO_MEMORY;
    if (err != OK) {
        response->error_code = err_wire_code(err);
        return group_reply(call, response, false);
    }
    TRY(session_restart(call, member));
    if (member->epoch < group->target_epoch || member->state == CONSUMER_UNREVOKED ||
        (member->state == CONSUMER_UNRELEASED && !waits_for_others(member)) ||
        nobody_else_divides(call, group)) {
        response->error_code = err_wire_code(ERR_REBALANCE_IN_PROGRESS);
        TRY(must_join(call, member));
    }
    return group_reply(call, response, true);
}

/* ---- LeaveGroup ---- */

/* By id, or by instance id; an administrator removes static members without their ids. */
static enum err leaving_member(const struct consumer_group *group,
                               const struct leave_group_request_member_identity *identity,
                               struct consumer_member **out)
{
    struct slice instance_id = identity->group_instance_id;

    *out = slice_is_null(instance_id) ? consumer_member_find(group, identity->member_id)
                                      : consumer_static_find(group, instance_id);
    if (!*out)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!slice_is_null(instance_id) && identity->member_id.size_bytes > 0 &&
        !slice_equal((*out)->id, identity->member_id))
        return ERR_FENCED_INSTANCE_ID;
    return OK;
}

enum err consumer_group_handle_leave(struct group_call *call, struct consumer_group *group,
                                     const struct leave_group_request_member_identity *members,
                                     struct leave_group_response_member_response *results,
                                     int32_t count)
{
    struct consumer_member **leaving =
        ARENA_ARRAY(call->arena, struct consumer_member *, (size_t)count);
    int32_t leaving_count = 0;

    if (!leaving)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        struct consumer_member *member;
        enum err err = leaving_member(group, &members[i], &member);

        results[i].error_code = err_wire_code(err);
        if (err == OK && !member->leaving) {
            member->leaving = true; /* named twice: once is enough */
            leaving[leaving_count++] = member;
        }
    }
    for (int32_t i = 0; i < leaving_count; i++)
        leaving[i]->leaving = false;
    return consumer_fence(call, group, leaving, leaving_count, "left");
}
