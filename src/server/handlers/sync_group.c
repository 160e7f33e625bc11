/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/sync_group.c: SyncGroup (14). groups.md §3.5 of the reference.
 */
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

#define PROTOCOL_VERSION_MIN 5 /* from here on type and name of the protocol must be given */

static void synced(struct coordinator_call *call)
{
    struct sync_group_response *response = call->response;

    if (call->err != OK) {
        response = request_response(call->request);
        response->error_code = err_wire_code(call->err);
    }
    request_answer(call->request, response);
}

void handle_sync_group(struct request *request)
{
    const struct sync_group_request *body = request->body;

    if (request->header.api_version >= PROTOCOL_VERSION_MIN &&
        (slice_is_null(body->protocol_type) || slice_is_null(body->protocol_name)))
        request_answer_failed(request, ERR_INCONSISTENT_GROUP_PROTOCOL, NULL);
    else
        group_request_wait(request, body->group_id, SLICE_EMPTY, synced);
}
