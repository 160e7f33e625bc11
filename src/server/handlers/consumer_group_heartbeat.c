/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/consumer_group_heartbeat.c: ConsumerGroupHeartbeat (68; KIP-848). groups.md §5.1
 * of the reference.
 */
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

void handle_consumer_group_heartbeat(struct request *request)
{
    const struct consumer_group_heartbeat_request *body = request->body;
    const struct publication *publication = image_view_publication(request);

    if (!publication)
        return;
    if (group_consumer_protocol_is_on(publication))
        group_request_forward(request, body->group_id);
    else
        request_answer_failed(request, ERR_UNSUPPORTED_VERSION, NULL);
}
