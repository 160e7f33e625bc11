/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/consumer_group_describe.c: ConsumerGroupDescribe (69; KIP-848). groups.md §5.8 of
 * the reference.
 */
#include "protocol/generated/consumer_group_describe_request.h"
#include "protocol/generated/consumer_group_describe_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

typedef struct consumer_group_describe_response_described_group described;

static void part_merge(struct consumer_group_describe_response *response,
                       const struct group_part *part, bool wants_operations)
{
    const struct consumer_group_describe_response *own = part->call.response;
    described *out = &response->groups[response->groups_count++];

    if (part->call.err == OK && own->groups_count == 1) {
        *out = own->groups[0];
        if (wants_operations && out->error_code == 0)
            out->authorized_operations = OPERATIONS_GROUP;
        return;
    }
    out->group_id = part->group_id;
    out->error_code = group_part_code(part);
}

static void describe_finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    const struct consumer_group_describe_request *body = request->body;
    struct consumer_group_describe_response *response = request_response(request);

    response->groups =
        consumer_group_describe_response_described_group_array(&request->arena, parts->count);
    if (!response->groups) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return;
    }
    for (size_t i = 0; i < parts->count; i++)
        part_merge(response, &parts->items[i], body->include_authorized_operations);
    request_answer(request, response);
}

void handle_consumer_group_describe(struct request *request)
{
    const struct consumer_group_describe_request *body = request->body;
    const struct publication *publication = image_view_publication(request);

    if (!publication)
        return;
    if (group_consumer_protocol_is_on(publication))
        group_parts_ask(request, GROUP_LIST(struct consumer_group_describe_request, group_ids),
                        body->group_ids, (size_t)MAX(body->group_ids_count, 0), describe_finish);
    else
        request_answer_failed(request, ERR_UNSUPPORTED_VERSION, NULL);
}
