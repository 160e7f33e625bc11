/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_heartbeat.c: ConsumerGroupHeartbeat: what may be asked, which group it is for, what the
 * member is told. KIP-848; groups.md §5.1–5.3.
 */
#include "coordinator/group/consumer_internal.h"

static enum err refuse(struct group_call *call, enum err err, const char *text)
{
    struct consumer_group_heartbeat_response *response =
        consumer_group_heartbeat_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    response->error_code = err_wire_code(err);
    response->error_message = arena_copy(call->arena, slice_from_text(text));
    return group_reply(call, response, false);
}

/* ---- what may be asked ---- */

static bool is_blank(struct slice text)
{
    if (slice_is_null(text))
        return false;
    for (size_t i = 0; i < text.size_bytes; i++)
        if (text.data[i] > ' ')
            return false;
    return true;
}

static enum err check_join(const struct consumer_group_heartbeat_request *request, struct why *why)
{
    if (request->rebalance_timeout_ms == -1)
        return why_set(why, ERR_INVALID_REQUEST,
                       "RebalanceTimeoutMs must be provided in first request.");
    if (request->topic_partitions_count != 0)
        return why_set(why, ERR_INVALID_REQUEST,
                       "TopicPartitions must be empty when (re-)joining.");
    if (request->subscribed_topic_names_count < 0 && slice_is_null(request->subscribed_topic_regex))
        return why_set(why, ERR_INVALID_REQUEST,
                       "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
                       "(re-)joining.");
    return OK;
}

static enum err check_assignor(struct group_call *call, struct slice name, struct why *why)
{
    const struct group_options *options = &call->coordinator->options;
    char text[128];
    struct text names;

    text_init(&names, text, sizeof text);
    for (size_t i = 0; i < options->consumer_assignor_count; i++) {
        if (slice_equal(options->consumer_assignors[i], name))
            return OK;
        text_add(&names, "%s%.*s", i == 0 ? "" : ", ", SLICE_ARGS(options->consumer_assignors[i]));
    }
    return why_set(why, ERR_UNSUPPORTED_ASSIGNOR,
                   "ServerAssignor %.*s is not supported. Supported assignors: %s.",
                   SLICE_ARGS(name), text);
}

static enum err check_request(struct group_call *call,
                              const struct consumer_group_heartbeat_request *request,
                              struct why *why)
{
    int32_t epoch = request->member_epoch;

    if ((call->request->api_version >= 1 || epoch > 0 || epoch == CONSUMER_EPOCH_LEAVE) &&
        is_blank(request->member_id))
        return why_set(why, ERR_INVALID_REQUEST, "MemberId can't be empty.");
    if (is_blank(request->group_id))
        return why_set(why, ERR_INVALID_REQUEST, "GroupId can't be empty.");
    if (is_blank(request->instance_id))
        return why_set(why, ERR_INVALID_REQUEST, "InstanceId can't be empty.");
    if (is_blank(request->rack_id))
        return why_set(why, ERR_INVALID_REQUEST, "RackId can't be empty.");
    if (epoch == CONSUMER_EPOCH_JOIN)
        TRY(check_join(request, why));
    else if (epoch == CONSUMER_EPOCH_LEAVE_STATIC && slice_is_null(request->instance_id))
        return why_set(why, ERR_INVALID_REQUEST, "InstanceId can't be null.");
    else if (epoch < CONSUMER_EPOCH_LEAVE_STATIC)
        return why_set(why, ERR_INVALID_REQUEST, "MemberEpoch is invalid.");
    return slice_is_null(request->server_assignor)
               ? OK
               : check_assignor(call, request->server_assignor, why);
}

/* ---- which group ---- */

static enum err find_group(struct consumer_update *update, bool create)
{
    struct group_coordinator *coordinator = update->call->coordinator;
    struct slice id = update->draft.group_id;
    struct group *group = group_find(coordinator, id);
    struct classic_group *classic = group_classic(group);

    update->group = group_consumer(group);
    if (update->group)
        return OK;
    if (!group && !create)
        return why_set(&update->why, ERR_GROUP_ID_NOT_FOUND, "Consumer group %.*s not found.",
                       SLICE_ARGS(id));
    if (!create)
        return why_set(&update->why, ERR_GROUP_ID_NOT_FOUND, "Group %.*s is not a consumer group.",
                       SLICE_ARGS(id));
    TRY(consumer_group_create(coordinator, id, &update->made));
    update->group = update->made;
    update->draft.replaces = classic;
    if (classic && classic->state != CLASSIC_EMPTY)
        return consumer_upgrade(update, classic);
    return OK;
}

/* ---- the member's news ---- */

static enum err update_after(struct consumer_update *update,
                             const struct consumer_group_heartbeat_request *request)
{
    struct consumer_metadata *after = &update->after;

    *after = *update->before;
    after->block_bytes = 0;
    if (!slice_is_null(request->instance_id))
        after->instance_id = request->instance_id;
    if (!slice_is_null(request->rack_id))
        after->rack_id = request->rack_id;
    if (request->rebalance_timeout_ms != -1)
        after->rebalance_timeout_ms = request->rebalance_timeout_ms;
    if (!slice_is_null(request->server_assignor))
        after->assignor = request->server_assignor;
    if (!slice_is_null(request->subscribed_topic_regex))
        after->regex = request->subscribed_topic_regex;
    if (request->subscribed_topic_names_count >= 0) {
        int32_t count = request->subscribed_topic_names_count;
        struct slice *names = ARENA_ARRAY(update->call->arena, struct slice, (size_t)count);

        if (!names)
            return ERR_NO_MEMORY;
        if (count > 0)
            memcpy(names, request->subscribed_topic_names, (size_t)count * sizeof *names);
        after->topics = names;
        after->topic_count = consumer_names_sort(names, count);
    }
    after->client_id = update->call->request->client_id;
    after->client_host = update->call->request->client_host;
    after->is_classic = false;
    after->classic_session_timeout_ms = 0;
    after->protocols = NULL;
    after->protocol_count = 0;
    return OK;
}

static enum err update_owned(struct consumer_update *update,
                             const struct consumer_group_heartbeat_request *request)
{
    int32_t count = request->topic_partitions_count;
    struct topic_partitions *owned;

    if (count < 0)
        return OK;
    owned = ARENA_ARRAY(update->call->arena, struct topic_partitions, (size_t)count);
    if (!owned)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        owned[i].topic_id = request->topic_partitions[i].topic_id;
        owned[i].partitions = request->topic_partitions[i].partitions;
        owned[i].count = MAX(request->topic_partitions[i].partitions_count, 0);
    }
    update->owned = owned;
    update->owned_count = count;
    update->owned_known = true;
    return OK;
}

/* ---- the answer ---- */

static enum err answer_assignment(struct arena *arena, const struct assignment *from,
                                  struct consumer_group_heartbeat_response_assignment **out)
{
    struct consumer_group_heartbeat_response_assignment *assignment =
        consumer_group_heartbeat_response_assignment_array(arena, 1);

    *out = assignment;
    if (!assignment)
        return ERR_NO_MEMORY;
    assignment->topic_partitions_count = from->count;
    assignment->topic_partitions =
        consumer_group_heartbeat_response_topic_partitions_array(arena, (size_t)from->count);
    if (!assignment->topic_partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < from->count; i++) {
        int32_t count = from->topics[i].count;
        int32_t *partitions = ARENA_ARRAY(arena, int32_t, (size_t)count);

        if (!partitions)
            return ERR_NO_MEMORY;
        memcpy(partitions, from->topics[i].partitions, (size_t)count * sizeof *partitions);
        assignment->topic_partitions[i].topic_id = from->topics[i].topic_id;
        assignment->topic_partitions[i].partitions = partitions;
        assignment->topic_partitions[i].partitions_count = count;
    }
    return OK;
}

static enum err answer(struct consumer_update *update,
                       const struct consumer_group_heartbeat_request *request)
{
    struct group_call *call = update->call;
    struct consumer_group_heartbeat_response *response =
        consumer_group_heartbeat_response_array(call->arena, 1);
    bool is_full = request->rebalance_timeout_ms != -1 &&
                   (request->subscribed_topic_names_count >= 0 ||
                    !slice_is_null(request->subscribed_topic_regex)) &&
                   request->topic_partitions_count >= 0;

    if (!response)
        return ERR_NO_MEMORY;
    response->member_id = arena_copy(call->arena, update->member_id);
    if (slice_is_null(response->member_id))
        return ERR_NO_MEMORY;
    response->member_epoch = update->next.epoch;
    response->heartbeat_interval_ms =
        consumer_heartbeat_interval_ms(update->group, call->moment->image);
    if (request->member_epoch == CONSUMER_EPOCH_JOIN || is_full ||
        !assignment_equal(&update->current.assigned, &update->next.assigned))
        TRY(answer_assignment(call->arena, &update->next.assigned, &response->assignment));
    return group_reply(call, response, true);
}

static enum err member_id_make(struct consumer_update *update)
{
    char text[UUID_TEXT_BYTES];

    if (update->member_id.size_bytes > 0)
        return OK;
    uuid_to_text(uuid_random(update->call->moment->random), text);
    update->member_id = arena_copy(update->call->arena, slice_from_text(text));
    return slice_is_null(update->member_id) ? ERR_NO_MEMORY : OK;
}

static enum err heartbeat_run(struct consumer_update *update,
                              const struct consumer_group_heartbeat_request *request)
{
    bool create = request->member_epoch == CONSUMER_EPOCH_JOIN;

    TRY(find_group(update, create));
    TRY(consumer_update_check_size(update, request->instance_id));
    TRY(member_id_make(update));
    TRY(update_owned(update, request));
    TRY(consumer_update_member(update, request->member_epoch, request->instance_id, create, false));
    TRY(update_after(update, request));
    TRY(consumer_update_subscription(update));
    TRY(consumer_update_target(update));
    return consumer_update_reconcile(update);
}

/* ---- leaving ---- */

static enum err leave_for_a_while(struct group_call *call, struct consumer_member *member)
{
    struct consumer_draft draft = {.call = call, .group_id = member->group->head.id};
    struct consumer_current current = consumer_member_current(member);
    struct topic_partitions *topics =
        ARENA_ARRAY(call->arena, struct topic_partitions, (size_t)current.assigned.count);

    if (!topics)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < current.assigned.count; i++) {
        topics[i] = current.assigned.topics[i];
        topics[i].epochs = ARENA_ARRAY(call->arena, int32_t, (size_t)topics[i].count);
        if (!topics[i].epochs)
            return ERR_NO_MEMORY;
    }
    current.epoch = CONSUMER_EPOCH_LEAVE_STATIC;
    current.assigned.topics = topics;
    current.revoking = (struct assignment){0};
    TRY(consumer_draft_current(&draft, member->id, &current));
    return consumer_draft_flush(&draft);
}

static enum err leave_run(struct group_call *call,
                          const struct consumer_group_heartbeat_request *request, struct why *why)
{
    struct group *found = group_find(call->coordinator, request->group_id);
    struct consumer_group *group = group_consumer(found);
    struct consumer_member *member;

    if (!group)
        return why_set(why, ERR_GROUP_ID_NOT_FOUND,
                       found ? "Group %.*s is not a consumer group." : "Group %.*s not found.",
                       SLICE_ARGS(request->group_id));
    if (slice_is_null(request->instance_id)) {
        member = consumer_member_find(group, request->member_id);
        if (!member)
            return why_set(why, ERR_UNKNOWN_MEMBER_ID, "Member %.*s is not a member of group %.*s.",
                           SLICE_ARGS(request->member_id), SLICE_ARGS(request->group_id));
        return consumer_fence(call, group, &member, 1, "left");
    }
    member = consumer_static_find(group, request->instance_id);
    if (!member)
        return why_set(why, ERR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
                       SLICE_ARGS(request->instance_id));
    if (!slice_equal(member->id, request->member_id))
        return why_set(why, ERR_FENCED_INSTANCE_ID,
                       "Static member %.*s with instance id %.*s was fenced by member %.*s.",
                       SLICE_ARGS(request->member_id), SLICE_ARGS(request->instance_id),
                       SLICE_ARGS(member->id));
    return request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC
               ? leave_for_a_while(call, member)
               : consumer_fence(call, group, &member, 1, "left");
}

static enum err leave(struct group_call *call,
                      const struct consumer_group_heartbeat_request *request)
{
    struct consumer_group_heartbeat_response *response =
        consumer_group_heartbeat_response_array(call->arena, 1);
    struct why why = {{0}};
    enum err err;

    if (!response)
        return ERR_NO_MEMORY;
    response->member_id = arena_copy(call->arena, request->member_id);
    if (slice_is_null(response->member_id))
        return ERR_NO_MEMORY;
    response->member_epoch = request->member_epoch;
    err = leave_run(call, request, &why);
    if (err == ERR_NO_MEMORY)
        return err;
    return err == OK ? group_reply(call, response, true) : refuse(call, err, why.text);
}

enum err consumer_group_handle_heartbeat(struct group_call *call,
                                         const struct consumer_group_heartbeat_request *request)
{
    struct consumer_update update = {.call = call,
                                     .draft = {.call = call, .group_id = request->group_id},
                                     .member_id = request->member_id};
    enum err err, refused = OK;

    if (!call->coordinator->options.consumer_on ||
        metadata_image_level(call->moment->image, "group.version") < 1)
        return refuse(call, ERR_UNSUPPORTED_VERSION, err_text(ERR_UNSUPPORTED_VERSION));
    err = check_request(call, request, &update.why);
    if (err != OK)
        return refuse(call, err, update.why.text);
    if (request->member_epoch < CONSUMER_EPOCH_JOIN)
        return leave(call, request);
    err = heartbeat_run(&update, request);
    if (err == OK)
        err = answer(&update, request);
    else if (err != ERR_NO_MEMORY)
        refused = refuse(call, err, update.why.text);
    if (err == OK)
        err = consumer_update_finish(&update);
    consumer_update_release(&update);
    return err == OK || err == ERR_NO_MEMORY ? err : refused;
}
