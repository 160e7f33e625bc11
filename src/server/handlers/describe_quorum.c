/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_quorum.c: DescribeQuorum (KIP-836; requests.md §3.19 of the reference).
 * On a broker listener it waits for a leader, as forwarded requests do; on the controller listener
 * the node that was asked says NOT_LEADER_OR_FOLLOWER.
 */
#include "server/forward.h"
#include "server/handlers/handlers.h"

void handle_describe_quorum(struct request *request)
{
    struct forward *forward = forward_create(request);

    if (forward)
        forward_send(forward);
}
