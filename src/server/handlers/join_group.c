/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/join_group.c: JoinGroup (11). groups.md §3.2 of the reference.
 */
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

/* Where there is no coordinator the member is told its own id again, as Kafka does. */
static void joined(struct coordinator_call *call)
{
    struct join_group_response *response;

    if (call->err == OK) {
        request_answer(call->request, call->response);
        return;
    }
    response = request_response(call->request);
    response->error_code = err_wire_code(call->err);
    if (call->err == ERR_COORDINATOR_NOT_AVAILABLE)
        response->member_id = group_request_kept(call);
    request_answer(call->request, response);
}

void handle_join_group(struct request *request)
{
    const struct join_group_request *body = request->body;

    group_request_wait(request, body->group_id, body->member_id, joined);
}
