/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/create_topics.c: CreateTopics on a broker listener: every check is the
 * controller's (requests.md §3.5 of the reference); what belongs to the broker is the mutation
 * quota's throttling and the waiting for a controller, both of forward.h.
 */
#include "server/forward.h"
#include "server/handlers/handlers.h"

void handle_create_topics(struct request *request)
{
    struct forward *forward = forward_create(request);

    if (forward)
        forward_send(forward);
}
