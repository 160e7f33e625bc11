/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_delete.c: OffsetDelete (KIP-496): offsets of topics that the group does
 * not subscribe to. groups.md §3.7 of the reference.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

static enum err subscribes(struct group_call *call, struct group *group, struct slice topic,
                           bool *out)
{
    if (group->kind == GROUP_CLASSIC)
        return classic_group_subscribes(call->coordinator, group_classic(group), topic, out);
    *out = consumer_group_subscribes(group_consumer(group), topic);
    return OK;
}

static enum err topic_delete(struct group_call *call, struct group *group,
                             const struct offset_delete_request_offset_delete_request_topic *topic,
                             struct offset_delete_response_offset_delete_response_topic *out)
{
    const struct offset_group *offsets = offsets_group(call->coordinator->offsets, group->id);
    const struct offset_topic *stored = offsets ? offsets_topic(offsets, topic->name) : NULL;
    int32_t count = MAX(topic->partitions_count, 0);
    bool is_subscribed;

    TRY(subscribes(call, group, topic->name, &is_subscribed));
    out->name = topic->name;
    out->partitions =
        offset_delete_response_offset_delete_response_partition_array(call->arena, (size_t)count);
    if (!out->partitions)
        return ERR_NO_MEMORY;
    out->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        int32_t index = topic->partitions[i].partition_index;
        const struct offset_slot *slot = stored ? offsets_slot(stored, index) : NULL;

        out->partitions[i].partition_index = index;
        if (is_subscribed)
            out->partitions[i].error_code = err_wire_code(ERR_GROUP_SUBSCRIBED_TO_TOPIC);
        else if (slot && (offset_latest(slot) || !list_is_empty(&slot->pending)))
            TRY(offset_tombstone(call, slot));
    }
    return OK;
}

enum err offset_handle_delete(struct group_call *call, const struct offset_delete_request *request)
{
    struct offset_delete_response *response = offset_delete_response_array(call->arena, 1);
    struct group *group = group_find(call->coordinator, request->group_id);
    const struct classic_group *classic = group_classic(group);
    int32_t count = MAX(request->topics_count, 0);

    if (!response)
        return ERR_NO_MEMORY;
    if (request->group_id.size_bytes == 0)
        response->error_code = err_wire_code(ERR_INVALID_GROUP_ID);
    else if (!group)
        response->error_code = err_wire_code(ERR_GROUP_ID_NOT_FOUND);
    else if (classic && classic->state != CLASSIC_EMPTY && !classic_group_is_consumer(classic))
        response->error_code = err_wire_code(ERR_NON_EMPTY_GROUP);
    if (response->error_code != 0)
        return group_reply(call, response, true);
    response->topics =
        offset_delete_response_offset_delete_response_topic_array(call->arena, (size_t)count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = count;
    for (int32_t i = 0; i < count; i++)
        TRY(topic_delete(call, group, &request->topics[i], &response->topics[i]));
    return group_reply(call, response, true);
}
