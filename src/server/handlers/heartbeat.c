/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/heartbeat.c: Heartbeat (12). groups.md §3.6, §1.7 of the reference.
 */
#include "protocol/generated/heartbeat_request.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

/* While the group is being loaded its members are left in peace. */
static void beaten(struct coordinator_call *call)
{
    if (call->err == OK)
        request_answer(call->request, call->response);
    else if (call->err == ERR_COORDINATOR_LOAD_IN_PROGRESS)
        request_answer(call->request, request_response(call->request));
    else
        request_answer_failed(call->request, call->err, NULL);
}

void handle_heartbeat(struct request *request)
{
    const struct heartbeat_request *body = request->body;

    group_request_call(request, body->group_id, body, beaten, NULL);
}
