/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/list_groups.c: ListGroups (16): every coordinator of this node is asked.
 * groups.md §3.7 of the reference.
 */
#include "protocol/generated/list_groups_request.h"
#include "protocol/generated/list_groups_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/node.h"

/* One that is not ours (any more) has nothing to add; one that cannot tell yet fails the whole. */
static enum err parts_error(const struct group_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct coordinator_call *call = &parts->items[i].call;

        if (call->err != OK && call->err != ERR_NOT_COORDINATOR)
            return call->err;
        if (call->err == OK && ((const struct list_groups_response *)call->response)->error_code)
            return err_from_wire(((const struct list_groups_response *)call->response)->error_code);
    }
    return OK;
}

static void list_finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    struct list_groups_response *response = request_response(request);
    enum err err = parts_error(parts);
    size_t count = 0;

    for (size_t i = 0; i < parts->count; i++)
        if (parts->items[i].call.err == OK)
            count += (size_t)MAX(
                ((const struct list_groups_response *)parts->items[i].call.response)->groups_count,
                0);
    if (err == OK) {
        response->groups = list_groups_response_listed_group_array(&request->arena, count);
        err = response->groups ? OK : ERR_NO_MEMORY;
    }
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    for (size_t i = 0; i < parts->count; i++) {
        const struct list_groups_response *part = parts->items[i].call.response;

        for (int32_t k = 0; parts->items[i].call.err == OK && k < part->groups_count; k++)
            response->groups[response->groups_count++] = part->groups[k];
    }
    request_answer(request, response);
}

void handle_list_groups(struct request *request)
{
    const struct publication *publication = image_view_publication(request);
    const struct metadata_topic *topic;
    struct group_parts *parts;

    if (!publication)
        return;
    topic = metadata_image_topic(publication->image, SLICE("__consumer_offsets"));
    parts = group_parts_create(request, topic ? (size_t)topic->partition_count : 0, list_finish);
    if (!parts)
        return;
    for (int32_t i = 0; topic && i < topic->partition_count; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);

        if (partition && partition->leader == request->shard->node->config.node_id)
            group_parts_add(parts, SLICE_EMPTY, i, request->body);
    }
    group_parts_submit(parts);
}
