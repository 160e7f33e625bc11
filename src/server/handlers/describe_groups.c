/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_groups.c: DescribeGroups (15). groups.md §3.7 of the reference.
 */
#include "protocol/generated/describe_groups_request.h"
#include "protocol/generated/describe_groups_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

#define OPERATIONS_VERSION_MIN 3

typedef struct describe_groups_response_described_group described;

static void part_merge(struct describe_groups_response *response, const struct group_part *part)
{
    const struct describe_groups_response *own = part->call.response;
    described *out = &response->groups[response->groups_count++];

    if (part->call.err == OK && own->groups_count == 1) {
        *out = own->groups[0];
        return;
    }
    out->group_id = part->group_id;
    out->error_code = group_part_code(part);
}

static void describe_finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    const struct describe_groups_request *body = request->body;
    struct describe_groups_response *response = request_response(request);

    response->groups =
        describe_groups_response_described_group_array(&request->arena, parts->count);
    if (!response->groups) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return;
    }
    for (size_t i = 0; i < parts->count; i++)
        part_merge(response, &parts->items[i]);
    for (int32_t i = 0; i < response->groups_count; i++)
        if (request->header.api_version >= OPERATIONS_VERSION_MIN &&
            body->include_authorized_operations && response->groups[i].error_code == 0)
            response->groups[i].authorized_operations = OPERATIONS_GROUP;
    request_answer(request, response);
}

void handle_describe_groups(struct request *request)
{
    const struct describe_groups_request *body = request->body;

    group_parts_ask(request, GROUP_LIST(struct describe_groups_request, groups), body->groups,
                    (size_t)MAX(body->groups_count, 0), describe_finish);
}
