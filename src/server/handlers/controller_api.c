/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/controller_api.c: what is the controller's, on a controller listener: asked of
 * this node's controller as it comes, and answered NOT_CONTROLLER when another one leads.
 */
#include "protocol/generated/api_keys.h"
#include "server/forward.h"
#include "server/handlers/handlers.h"

void handle_controller_api(struct request *request)
{
    struct forward *forward;

    switch (request->api->key) {
    case API_DELETE_TOPICS: /* its results are shuffled on every way */
        handle_delete_topics(request);
        return;
    case API_INCREMENTAL_ALTER_CONFIGS: /* log levels are this node's own */
        handle_alter_configs(request);
        return;
    default:
        forward = forward_create(request);
        if (forward)
            forward_send(forward);
    }
}
