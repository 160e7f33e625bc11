/* SPDX-License-Identifier: Apache-2.0 */
/* coordinator/group/consumer_describe.c: ConsumerGroupDescribe, and what is shown of a group elsewhere. */
#include "coordinator/group/consumer_internal.h"

const char *consumer_group_state(const struct consumer_group *group)
{
    if (group->member_count == 0)
        return "Empty";
    if (group->epoch > group->target_epoch)
        return "Assigning";
    return group->unreconciled > 0 ? "Reconciling" : "Stable";
}

/* Topics that are still there, `second` behind `first`; a topic may be in both. */
static enum err assignment_describe(struct group_call *call, const struct assignment *first,
                                    const struct assignment *second,
                                    struct consumer_group_describe_response_assignment *out)
{
    int32_t i = 0, j = 0, second_count = second ? second->count : 0;

    out->topic_partitions = consumer_group_describe_response_topic_partitions_array(
        call->arena, (size_t)first->count + (size_t)second_count);
    if (!out->topic_partitions)
        return ERR_NO_MEMORY;
    while (i < first->count || j < second_count) {
        int order = i == first->count ? 1
                    : j == second_count
                        ? -1
                        : uuid_compare(first->topics[i].topic_id, second->topics[j].topic_id);
        const struct topic_partitions *a = order <= 0 ? &first->topics[i] : NULL;
        const struct topic_partitions *b = order >= 0 ? &second->topics[j] : NULL;
        const struct metadata_topic *topic =
            metadata_image_topic_by_id(call->moment->image, a ? a->topic_id : b->topic_id);
        struct consumer_group_describe_response_topic_partitions *to;
        int32_t a_count = a ? a->count : 0, b_count = b ? b->count : 0;

        i += order <= 0;
        j += order >= 0;
        if (!topic)
            continue;
        to = &out->topic_partitions[out->topic_partitions_count++];
        to->topic_id = topic->id;
        to->topic_name = arena_copy(call->arena, topic->name);
        to->partitions = ARENA_ARRAY(call->arena, int32_t, (size_t)a_count + (size_t)b_count);
        if (slice_is_null(to->topic_name) || !to->partitions)
            return ERR_NO_MEMORY;
        for (int32_t k = 0; k < a_count; k++)
            to->partitions[to->partitions_count++] = a->partitions[k];
        for (int32_t k = 0; k < b_count; k++)
            to->partitions[to->partitions_count++] = b->partitions[k];
    }
    return OK;
}

static enum err member_describe(struct group_call *call, const struct consumer_member *member,
                                struct consumer_group_describe_response_member *out)
{
    static const struct assignment none = {0};
    const struct consumer_metadata *metadata = member->metadata;

    out->member_id = arena_copy(call->arena, member->id);
    out->instance_id = arena_copy(call->arena, metadata->instance_id);
    out->rack_id = arena_copy(call->arena, metadata->rack_id);
    out->member_epoch = member->epoch;
    out->client_id = arena_copy(call->arena, metadata->client_id);
    out->client_host = arena_copy(call->arena, metadata->client_host);
    out->subscribed_topic_regex = arena_copy(call->arena, metadata->regex);
    out->member_type = metadata->is_classic ? 0 : 1;
    out->subscribed_topic_names_count = metadata->topic_count;
    out->subscribed_topic_names =
        ARENA_ARRAY(call->arena, struct slice, (size_t)metadata->topic_count);
    if (!out->subscribed_topic_names)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < metadata->topic_count; i++) {
        out->subscribed_topic_names[i] = arena_copy(call->arena, metadata->topics[i]);
        if (slice_is_null(out->subscribed_topic_names[i]))
            return ERR_NO_MEMORY;
    }
    /* What it still has to give up is its responsibility too. */
    TRY(assignment_describe(call, &member->assigned.is, &member->revoking.is, &out->assignment));
    return assignment_describe(call, member->has_target ? &member->target.is : &none, NULL,
                               &out->target_assignment);
}

static enum err group_describe(struct group_call *call, const struct consumer_group *group,
                               struct consumer_group_describe_response_described_group *out)
{
    out->group_state = slice_from_text(consumer_group_state(group));
    out->group_epoch = group->epoch;
    out->assignment_epoch = group->target_epoch;
    out->assignor_name = arena_copy(call->arena, consumer_preferred(group, NULL, NULL));
    out->members =
        consumer_group_describe_response_member_array(call->arena, (size_t)group->member_count);
    if (!out->members || slice_is_null(out->assignor_name))
        return ERR_NO_MEMORY;
    CONSUMER_MEMBERS_EACH(member, group)
    TRY(member_describe(call, member, &out->members[out->members_count++]));
    return OK;
}

static enum err describe_one(struct group_call *call, struct slice id, bool is_on,
                             struct consumer_group_describe_response_described_group *out)
{
    struct group *group = group_find(call->coordinator, id);
    enum err err = !is_on                  ? ERR_UNSUPPORTED_VERSION
                   : id.size_bytes == 0    ? ERR_INVALID_GROUP_ID
                   : group_consumer(group) ? OK
                                           : ERR_GROUP_ID_NOT_FOUND;

    out->group_id = id;
    out->group_state = SLICE_EMPTY;
    out->assignor_name = SLICE_EMPTY;
    out->error_code = err_wire_code(err);
    if (err == OK)
        return group_describe(call, group_consumer(group), out);
    if (err == ERR_GROUP_ID_NOT_FOUND) {
        out->error_message = arena_format_slice(
            call->arena, group ? "Group %.*s is not a consumer group." : "Group %.*s not found.",
            SLICE_ARGS(id));
        if (slice_is_null(out->error_message))
            return ERR_NO_MEMORY;
    }
    return OK;
}

enum err consumer_group_handle_describe(struct group_call *call,
                                        const struct consumer_group_describe_request *request)
{
    struct consumer_group_describe_response *response =
        consumer_group_describe_response_array(call->arena, 1);
    int32_t count = MAX(request->group_ids_count, 0);
    bool is_on = call->coordinator->options.consumer_on &&
                 metadata_image_level(call->moment->image, "group.version") >= 1;

    if (!response)
        return ERR_NO_MEMORY;
    response->groups_count = count;
    response->groups =
        consumer_group_describe_response_described_group_array(call->arena, (size_t)count);
    if (!response->groups)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++)
        TRY(describe_one(call, request->group_ids[i], is_on, &response->groups[i]));
    return group_reply(call, response, true);
}

/* ---- for people ---- */

/* Who holds a rebalance up: a member that does not give up what it must. Null: nobody in particular. */
static struct slice waits_for(const struct consumer_group *group)
{
    CONSUMER_MEMBERS_EACH(member, group)
    if (member->state == CONSUMER_UNREVOKED)
        return member->id;
    CONSUMER_MEMBERS_EACH(member, group)
    {
        if (member->state != CONSUMER_UNRELEASED || !member->has_target)
            continue;
        for (int32_t i = 0; i < member->target.is.count; i++) {
            const struct topic_partitions *topic = &member->target.is.topics[i];

            for (int32_t j = 0; j < topic->count; j++) {
                const struct consumer_member *holder =
                    consumer_holder(group, topic->topic_id, topic->partitions[j]);

                if (holder && holder != member)
                    return holder->id;
            }
        }
    }
    CONSUMER_MEMBERS_EACH(member, group)
    if (!consumer_member_is_reconciled(member, group->target_epoch))
        return member->id; /* its next heartbeat does it */
    return SLICE_NULL;
}

void consumer_group_view(const struct group_coordinator *coordinator,
                         const struct consumer_group *group, struct group_view *view)
{
    UNUSED(coordinator);
    *view = (struct group_view){
        .group_id = group->head.id,
        .type = "consumer",
        .state = consumer_group_state(group),
        .members = group->member_count,
        .waits_since_ms = group->rebalance_since_ms,
        .last_rebalance_reason = group->reason[0] ? slice_from_text(group->reason) : SLICE_NULL,
        .last_rebalance_ms = group->rebalance_last_ms,
    };
    if (group->rebalance_since_ms >= 0)
        view->waits_for_member = waits_for(group);
}
