/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/endpoints.c: where clients reach a broker on the listener that they came in on.
 */
#include "network/network.h"
#include "server/node.h"
#include "server/publication.h"
#include "server/request.h"

static const struct listener_config *listener_find(const struct listener_config *listeners,
                                                   size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(listeners[i].name, name))
            return &listeners[i];
    return NULL;
}

static const struct listener_config *advertised_find(const struct node_config *config,
                                                     struct slice name)
{
    const struct listener_config *found =
        listener_find(config->advertised, config->advertised_count, name);

    return found ? found
                 : listener_find(config->advertised_controllers,
                                 config->advertised_controller_count, name);
}

/* Port 0 was asked for: the one that the system chose. */
static int32_t bound_port(const struct node *node, struct slice name)
{
    for (size_t i = 0; i < node->config.listener_count; i++)
        if (slice_equal(node->config.listeners[i].name, name))
            return node->bound_ports ? node->bound_ports[i] : node->config.listeners[i].port;
    return 0;
}

void request_own_endpoint(const struct request *request, struct slice *host_out, int32_t *port_out)
{
    const struct node *node = request->shard->node;
    struct slice name = request->session->kind->listener->name;
    const struct listener_config *advertised = advertised_find(&node->config, name);

    *host_out = advertised ? advertised->host : SLICE_NULL;
    *port_out = advertised ? advertised->port : 0;
    if (slice_is_null(*host_out) || host_out->size_bytes == 0)
        *host_out =
            slice_from_text(connection_local_address(connection_of_user(request->session))->text);
    if (*port_out == 0)
        *port_out = bound_port(node, name);
}

bool request_broker_endpoint(const struct request *request, int32_t broker_id,
                             struct slice *host_out, int32_t *port_out)
{
    const struct publication *publication = request->shard->publication;
    const struct metadata_broker *broker =
        publication ? metadata_image_broker(publication->image, broker_id) : NULL;

    if (!request->session)
        return false; /* the client is gone: nobody reads the answer */
    for (size_t i = 0; broker && i < broker->endpoint_count; i++) {
        if (!slice_equal(broker->endpoints[i].name, request->session->kind->listener->name))
            continue;
        if (broker_id == request->shard->node->config.node_id) {
            request_own_endpoint(request, host_out, port_out);
        } else {
            *host_out = broker->endpoints[i].host;
            *port_out = broker->endpoints[i].port;
        }
        return true;
    }
    return false;
}
