/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/controller_fetch.c: Fetch on a controller listener: the metadata log alone, by
 * raft's rules (kraft.md §2.6 of the reference). Long polls are parked in the raft core; a
 * requester that hangs up is taken out of it.
 */
#include "server/handlers/handlers.h"

void handle_controller_fetch(struct request *request)
{
    handle_raft(request);
}
