/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/forward.c: the way of a request to the controller or the quorum's leader.
 * Invariants  1. one of call, bridge and timer is under way until `finish`.
 *             2. a request whose connection is gone is not sent again.
 * Threads     the home shard's.
 */
#include "server/forward.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "server/node.h"
#include "server/publication.h"

#define RETRY_MS 100

static bool is_raft(int16_t api_key)
{
    return api_key == API_DESCRIBE_QUORUM || api_key == API_ADD_RAFT_VOTER ||
           api_key == API_REMOVE_RAFT_VOTER;
}

bool forward_handles(int16_t api_key)
{
    return controller_handles(api_key) || is_raft(api_key);
}

/* ---- the end ---- */

static void answer(struct forward *forward, void *response, enum err err)
{
    if (response)
        request_answer(forward->request, response);
    else
        request_answer_failed(forward->request, err, NULL);
}

static void finish(struct forward *forward, void *response, enum err err)
{
    struct arena arena = forward->arena; /* the request, and forward with it, may go */

    forward->request->cancelled = NULL;
    if (forward->throttles && forward->quota.throttle_ms > 0)
        request_throttle(forward->request, forward->quota.throttle_ms);
    forward->finish(forward, response, err);
    arena_release(&arena);
}

/* ---- again ---- */

static void cancelled_while_waiting(struct request *request)
{
    struct forward *forward = request->state;

    timer_cancel(request->shard->reactor, &forward->again);
    finish(forward, NULL, ERR_CANCELLED);
}

static void again(struct timer *timer)
{
    struct forward *forward = CONTAINER_OF(timer, struct forward, again);

    forward->request->cancelled = NULL;
    arena_reset(&forward->arena);
    forward_send(forward);
}

/* True: it will be sent again. */
static bool wait_for_leader(struct forward *forward, enum err err)
{
    struct request *request = forward->request;
    int64_t now_ms = reactor_now_ms(request->shard->reactor);

    if (!forward->waits || !request->session || now_ms >= forward->wait_deadline_ms)
        return false;
    if (err != ERR_NOT_CONTROLLER &&
        !(err == ERR_NOT_LEADER_OR_FOLLOWER && forward->api->key == API_DESCRIBE_QUORUM))
        return false;
    request->state = forward;
    request->cancelled = cancelled_while_waiting;
    timer_set(request->shard->reactor, &forward->again, now_ms + RETRY_MS);
    return true;
}

/* ---- to the controller ---- */

static void controller_done(struct controller_call *call)
{
    struct forward *forward = call->context;

    if (wait_for_leader(forward, call->err))
        return;
    finish(forward, call->response, call->err);
}

/* From these versions on a request over the quota is refused, not only slowed down (KIP-599). */
static bool is_strict(int16_t api_key, int16_t version)
{
    switch (api_key) {
    case API_CREATE_TOPICS:
        return version >= 6;
    case API_DELETE_TOPICS:
        return version >= 5;
    case API_CREATE_PARTITIONS:
        return version >= 3;
    default:
        return false;
    }
}

static bool has_mutation_quota(int16_t api_key)
{
    return api_key == API_CREATE_TOPICS || api_key == API_DELETE_TOPICS ||
           api_key == API_CREATE_PARTITIONS;
}

/* How long the client lets the controller work; INT64_MAX where it does not say. */
static int64_t deadline_ms(const struct forward *forward)
{
    const void *body = forward->body;
    int64_t timeout_ms;

    switch (forward->api->key) {
    case API_CREATE_TOPICS:
        timeout_ms = ((const struct create_topics_request *)body)->timeout_ms;
        break;
    case API_DELETE_TOPICS:
        timeout_ms = ((const struct delete_topics_request *)body)->timeout_ms;
        break;
    case API_CREATE_PARTITIONS:
        timeout_ms = ((const struct create_partitions_request *)body)->timeout_ms;
        break;
    case API_ELECT_LEADERS:
        timeout_ms = ((const struct elect_leaders_request *)body)->timeout_ms;
        break;
    case API_ALTER_PARTITION_REASSIGNMENTS:
        timeout_ms = ((const struct alter_partition_reassignments_request *)body)->timeout_ms;
        break;
    case API_BROKER_HEARTBEAT: {
        const struct publication *publication = forward->request->shard->publication;
        const struct config *config =
            publication ? publication->config : forward->request->shard->node->boot_config;

        timeout_ms = config_int(config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS) / 2;
        break;
    }
    default:
        return INT64_MAX;
    }
    /* No time is none: it has run out when the controller looks at it. */
    return forward->request->received_ms + (timeout_ms > 0 ? timeout_ms : -1);
}

static void controller_send(struct forward *forward)
{
    struct request *request = forward->request;
    int16_t key = forward->api->key;

    mutation_quota_init(&forward->quota, request->shard->node, forward->principal,
                        forward->client_id, is_strict(key, forward->api_version));
    forward->call.request = (struct controller_request){
        .api_key = key,
        .api_version = forward->api_version,
        .body = forward->body,
        .principal = forward->principal,
        .deadline_ms = deadline_ms(forward),
        .forwarded = forward->forwarded,
        .quota = has_mutation_quota(key) ? &forward->quota.quota : NULL,
    };
    forward->call.arena = &forward->arena;
    forward->call.done = controller_done;
    forward->call.context = forward;
    controller_call_submit(request->shard, &forward->call);
}

/* ---- to the quorum ---- */

static void quorum_done(struct quorum_bridge *bridge)
{
    struct forward *forward = bridge->context;

    if (bridge->response && wait_for_leader(forward, bridge->raft_err))
        return;
    finish(forward, bridge->response, bridge->err);
}

static void quorum_send(struct forward *forward)
{
    struct quorum_bridge *bridge = forward->bridge;
    enum err err;

    if (!bridge)
        bridge = forward->bridge = quorum_bridge_create(forward->request);
    if (!bridge) {
        finish(forward, NULL, ERR_NO_MEMORY);
        return;
    }
    bridge->api = forward->api;
    bridge->api_version = forward->api_version;
    bridge->body = forward->body;
    bridge->done = quorum_done;
    bridge->context = forward;
    err = quorum_bridge_read(bridge);
    if (err != OK)
        finish(forward, NULL, err);
    else
        quorum_bridge_send(bridge);
}

void forward_send(struct forward *forward)
{
    if (is_raft(forward->api->key)) {
        quorum_send(forward);
        return;
    }
    ASSERT(controller_handles(forward->api->key));
    controller_send(forward);
}

struct forward *forward_create(struct request *request)
{
    struct forward *forward = ARENA_NEW(&request->arena, struct forward);
    bool is_controller = request->session->kind->is_controller_listener;

    if (!forward) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return NULL;
    }
    forward->request = request;
    forward->api = request->api;
    forward->api_version = request->header.api_version;
    forward->body = request->body;
    forward->client_id = request->header.client_id;
    forward->principal =
        request->session->kind->principal; /* of the listener: outlives every request */
    forward->waits = !is_controller;
    forward->forwarded = !is_controller;
    forward->throttles = true;
    forward->finish = answer;
    forward->wait_deadline_ms = request->received_ms + FORWARD_WAIT_MS;
    arena_init(&forward->arena, &heap_allocator, SIZE_MAX);
    timer_init(&forward->again, again);
    return forward;
}
