/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/leave_group.c: LeaveGroup (13). groups.md §3.6 of the reference.
 */
#include "protocol/generated/leave_group_request.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

void handle_leave_group(struct request *request)
{
    group_request_forward(request, ((const struct leave_group_request *)request->body)->group_id);
}
