/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/delete_groups.c: DeleteGroups (42). groups.md §3.7 of the reference. A group that is
 * named twice is deleted, and answered, once.
 */
#include "protocol/generated/delete_groups_request.h"
#include "protocol/generated/delete_groups_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "base/name_order.h"

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
        out->error_code =
            err_wire_code(part->call.err != OK ? part->call.err : ERR_UNKNOWN_SERVER_ERROR);
    }
    request_answer(request, response);
}

void handle_delete_groups(struct request *request)
{
    const struct delete_groups_request *body = request->body;
    size_t count = (size_t)MAX(body->groups_names_count, 0);
    struct delete_groups_request *bodies =
        ARENA_ARRAY(&request->arena, struct delete_groups_request, count);
    struct slice *names = ARENA_ARRAY(&request->arena, struct slice, count);
    struct group_parts *parts;

    if (bodies && names && count > 0) {
        memcpy(names, body->groups_names, count * sizeof *names);
        if (name_set(&request->arena, names, &count) != OK)
            names = NULL;
    }
    if (!bodies || !names) {
        request_close(request, "no memory for DeleteGroups");
        return;
    }
    parts = group_parts_create(request, count, delete_finish);
    if (!parts)
        return;
    for (size_t i = 0; i < count; i++) {
        bodies[i] = *body;
        bodies[i].groups_names = &names[i];
        bodies[i].groups_names_count = 1;
        group_parts_add(parts, names[i], coordinator_index_of(request->shard, names[i]),
                        &bodies[i]);
    }
    group_parts_submit(parts);
}
