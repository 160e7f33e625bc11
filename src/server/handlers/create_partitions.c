/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/create_partitions.c: CreatePartitions on a broker listener (requests.md §3.7 of
 * the reference): every check is the controller's; see create_topics.c.
 */
#include "server/forward.h"
#include "server/handlers/handlers.h"

void handle_create_partitions(struct request *request)
{
    struct forward *forward = forward_create(request);

    if (forward)
        forward_send(forward);
}
