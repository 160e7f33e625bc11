/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/delete_groups.c: DeleteGroups (42). groups.md §3.7 of the reference. A group that is
 * named twice is deleted, and answered, once.
 */
#include "base/name_order.h"
#include "protocol/generated/delete_groups_request.h"
#include "protocol/generated/delete_groups_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

static void delete_finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    struct delete_groups_response *response = request_response(request);

    response->results =
        delete_groups_response_deletable_group_result_array(&request->arena, parts->count);
    if (!response->results) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return;
    }
    for (size_t i = 0; i < parts->count; i++) {
        const struct group_part *part = &parts->items[i];
        const struct delete_groups_response *own = part->call.response;
        struct delete_groups_response_deletable_group_result *out =
            &response->results[response->results_count++];

        if (part->call.err == OK && own->results_count == 1) {
            *out = own->results[0];
            continue;
        }
        out->group_id = part->group_id;
        out->error_code = group_part_code(part);
    }
    request_answer(request, response);
}

void handle_delete_groups(struct request *request)
{
    const struct delete_groups_request *body = request->body;
    size_t count = (size_t)MAX(body->groups_names_count, 0);
    struct slice *names = ARENA_ARRAY(&request->arena, struct slice, count);

    if (names && count > 0) {
        memcpy(names, body->groups_names, count * sizeof *names);
        if (name_set(&request->arena, names, &count) != OK)
            names = NULL;
    }
    if (names)
        group_parts_ask(request, GROUP_LIST(struct delete_groups_request, groups_names), names,
                        count, delete_finish);
    else
        request_close(request, "no memory for DeleteGroups");
}
