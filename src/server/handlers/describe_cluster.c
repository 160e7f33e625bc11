/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_cluster.c: the nodes of the cluster (DescribeCluster, requests.md §3.14
 * of the reference; KIP-700, 919, 1073). The broker listener tells of brokers, the controller
 * listener of controllers and of the one that leads.
 */
#include "protocol/generated/describe_cluster_request.h"
#include "protocol/generated/describe_cluster_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/node.h"
#include "server/quorum_bridge.h"

enum endpoint_type { ENDPOINT_BROKER = 1, ENDPOINT_CONTROLLER = 2 };

static const char *endpoint_type_name(int8_t type)
{
    return type == ENDPOINT_BROKER ? "BROKER" : "CONTROLLER";
}

static enum err type_check(const struct request *request, int8_t served, struct why *why)
{
    const struct describe_cluster_request *asked = request->body;
    bool is_first = request->header.api_version == 0;

    if (asked->endpoint_type != ENDPOINT_BROKER && asked->endpoint_type != ENDPOINT_CONTROLLER)
        return why_set(why, is_first ? ERR_INVALID_REQUEST : ERR_UNSUPPORTED_ENDPOINT_TYPE,
                       "Unsupported endpoint type %d", asked->endpoint_type);
    if (asked->endpoint_type != served)
        return why_set(why, is_first ? ERR_INVALID_REQUEST : ERR_MISMATCHED_ENDPOINT_TYPE,
                       "The request was sent to an endpoint of type %s, but we wanted an endpoint "
                       "of type %s",
                       endpoint_type_name(served), endpoint_type_name(asked->endpoint_type));
    return OK;
}

static struct describe_cluster_response *response_start(struct request *request, int8_t served)
{
    const struct describe_cluster_request *asked = request->body;
    struct describe_cluster_response *response = request_response(request);

    response->cluster_id = request->shard->node->cluster_id;
    response->endpoint_type = served;
    if (asked->include_cluster_authorized_operations)
        response->cluster_authorized_operations = OPERATIONS_CLUSTER;
    return response;
}

static enum err brokers_fill(struct request *request, const struct metadata_image *image,
                             struct describe_cluster_response *response)
{
    const struct describe_cluster_request *asked = request->body;
    struct metadata_walk walk;
    const struct metadata_broker *broker;

    response->brokers_count = 0;
    response->brokers = describe_cluster_response_describe_cluster_broker_array(
        &request->arena, metadata_image_broker_count(image));
    if (!response->brokers)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        struct describe_cluster_response_describe_cluster_broker *out =
            &response->brokers[response->brokers_count];

        if (broker->fenced && !asked->include_fenced_brokers)
            continue;
        if (!request_broker_endpoint(request, broker->id, &out->host, &out->port))
            continue;
        out->broker_id = broker->id;
        out->rack = broker->rack;
        out->is_fenced = broker->fenced;
        response->brokers_count++;
    }
    return OK;
}

/* A controller that is not among the nodes told of would only confuse. */
static void controller_set(struct describe_cluster_response *response, int32_t id)
{
    response->controller_id = -1;
    for (int32_t i = 0; i < response->brokers_count; i++)
        if (response->brokers[i].broker_id == id)
            response->controller_id = id;
}

static void brokers_describe(struct request *request, const struct publication *publication)
{
    struct describe_cluster_response *response = response_start(request, ENDPOINT_BROKER);
    struct image_view view = {publication->image, request->session->kind->listener->name};
    enum err err = brokers_fill(request, publication->image, response);

    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    controller_set(response, image_view_any_alive(&view, reactor_random(request->shard->reactor)));
    request_answer(request, response);
}

/* ---- the controller listener ---- */

static enum err controllers_fill(struct request *request, const struct metadata_image *image,
                                 struct describe_cluster_response *response)
{
    struct metadata_walk walk;
    const struct metadata_controller *controller;
    size_t count = 0;

    metadata_walk_start(&walk, image, METADATA_CONTROLLERS);
    while (metadata_walk_next(&walk))
        count++;
    response->brokers_count = 0;
    response->brokers =
        describe_cluster_response_describe_cluster_broker_array(&request->arena, count);
    if (!response->brokers)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, image, METADATA_CONTROLLERS);
    while ((controller = metadata_walk_next(&walk))) {
        for (size_t i = 0; i < controller->endpoint_count; i++) {
            struct describe_cluster_response_describe_cluster_broker *out =
                &response->brokers[response->brokers_count];

            if (!slice_equal(controller->endpoints[i].name, request->session->kind->listener->name))
                continue;
            out->broker_id = controller->id;
            out->host = controller->endpoints[i].host;
            out->port = controller->endpoints[i].port;
            response->brokers_count++;
            break;
        }
    }
    return OK;
}

/* The image may have moved while the question was on shard 0: the nodes are read now. */
static void leader_known(struct quorum_bridge *bridge)
{
    struct request *request = bridge->request;
    const struct publication *publication = request->shard->publication;
    struct describe_cluster_response *response;
    enum err err;

    if (!request->session) {
        request_answer_nothing(request);
        return;
    }
    response = response_start(request, ENDPOINT_CONTROLLER);
    err = controllers_fill(request, publication->image, response);
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    controller_set(response, bridge->leader_id);
    request_answer(request, response);
}

static void controllers_describe(struct request *request, const struct publication *publication)
{
    struct quorum_bridge *bridge;

    if (publication->metadata_version < METADATA_VERSION_CONTROLLER_REGISTRATION) {
        request_answer_failed(request, ERR_UNSUPPORTED_VERSION,
                              "Direct-to-controller communication is not supported with the "
                              "current MetadataVersion.");
        return;
    }
    bridge = quorum_bridge_create(request);
    if (!bridge) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return;
    }
    bridge->raft.api = RAFT_API_DESCRIBE_QUORUM;
    bridge->raft.one_partition = true;
    bridge->raft.metadata_partition = true;
    bridge->done = leader_known;
    quorum_bridge_send(bridge);
}

void handle_describe_cluster(struct request *request)
{
    bool is_controller = request->session->kind->is_controller_listener;
    const struct publication *publication = image_view_publication(request);
    struct why why = {0};
    enum err err;

    if (!publication)
        return;
    err = type_check(request, is_controller ? ENDPOINT_CONTROLLER : ENDPOINT_BROKER, &why);
    if (err != OK)
        request_answer_failed(request, err, why.text);
    else if (is_controller)
        controllers_describe(request, publication);
    else
        brokers_describe(request, publication);
}
