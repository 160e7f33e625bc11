/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/session.c: a connection's requests: which may begin, and that answers leave in order.
 * Invariants  1. session->requests is in order of arrival; answers leave from its head only.
 *             2. At most one frame waits: the connection is paused while it does.
 *             3. While `throttled_until_ms` lies ahead nothing begins.
 *             4. While waiting_max frames of the shard wait, no connection with a request under way is
 *                read further.
 * Threads     the shard's. docs/design/server.md §4.
 */
#include "server/request_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "protocol/generated/api_keys.h"
#include "server/node.h"

struct waiting_frame {
    struct list_node node;
    struct frame *frame;
};

/* What only this file knows of a session. */
struct session_private {
    struct timer unmute;
    struct session *session;
    bool is_flushing;
    bool is_held; /* paused because of invariant 4 */
};

static bool all_passed(const struct session *session)
{
    size_t count = 0;

    LIST_EACH (node, &session->requests) {
        const struct request *request = LIST_ITEM(node, struct request, node);

        if (request->api->key != API_PRODUCE || !(request->has_passed || request->is_answered))
            return false;
        count++;
    }
    return count < SESSION_REQUESTS_MAX;
}

static bool may_begin(const struct session *session, const struct frame *frame)
{
    if (session->throttled_until_ms > 0)
        return false;
    if (list_is_empty(&session->requests))
        return true;
    return frame_api_key(frame) == API_PRODUCE && all_passed(session);
}

static void wait_push(struct session *session, struct frame *frame)
{
    struct waiting_frame *waiting = SERVER_NEW(struct waiting_frame);

    waiting->frame = frame;
    list_push_back(&session->waiting, &waiting->node);
    session->shard->requests->waiting_count++;
    connection_pause(session->connection);
}

static struct frame *wait_pop(struct session *session)
{
    struct waiting_frame *waiting =
        LIST_ITEM(list_pop_front(&session->waiting), struct waiting_frame, node);
    struct frame *frame = waiting->frame;

    ASSERT(session->shard->requests->waiting_count > 0);
    session->shard->requests->waiting_count--;
    SERVER_DELETE(waiting);
    return frame;
}

/* One that already has a frame waiting is paused for that. */
static void hold_update(struct session *session)
{
    const struct request_service *service = session->shard->requests;
    struct session_private *mine = session->private_state;
    bool holds = !list_is_empty(&session->requests) && list_is_empty(&session->waiting) &&
                 service->waiting_count >= service->waiting_max;

    if (holds == mine->is_held)
        return;
    mine->is_held = holds;
    if (holds)
        connection_pause(session->connection);
    else
        connection_resume(session->connection);
}

/* The answered requests at the head of the list leave. */
static void answers_send(struct session *session)
{
    struct list_node *first;

    while ((first = list_first(&session->requests))) {
        struct request *request = LIST_ITEM(first, struct request, node);

        if (BUG_IS(answers_out_of_order) && !request->is_answered &&
            first->next != &session->requests)
            request = LIST_ITEM(first->next, struct request, node);
        if (!request->is_answered)
            return;
        list_remove(&request->node);
        if (!session->is_closing)
            request_send(request);
        if (request->throttle_ms > 0) {
            uint64_t until =
                (uint64_t)reactor_now_ms(session->shard->reactor) + (uint64_t)request->throttle_ms;

            session->throttled_until_ms = MAX(session->throttled_until_ms, until);
        }
        request->session = NULL;
        request_settle(request);
    }
}

void session_flush(struct session *session)
{
    struct session_private *mine = session->private_state;

    if (mine->is_flushing) /* a handler that answered at once: the loop below goes on */
        return;
    mine->is_flushing = true;
    for (;;) {
        struct waiting_frame *next;

        answers_send(session);
        if (session->is_closing || list_is_empty(&session->waiting))
            break;
        next = LIST_ITEM(list_first(&session->waiting), struct waiting_frame, node);
        if (!may_begin(session, next->frame))
            break;
        connection_resume(session->connection);
        dispatch_frame(session, wait_pop(session));
    }
    hold_update(session);
    if (session->throttled_until_ms > 0 && !timer_is_set(&mine->unmute) && !session->is_closing)
        timer_set(session->shard->reactor, &mine->unmute, (int64_t)session->throttled_until_ms);
    mine->is_flushing = false;
}

static void unmute(struct timer *timer)
{
    struct session_private *mine = CONTAINER_OF(timer, struct session_private, unmute);
    struct session *session = mine->session;

    if ((uint64_t)reactor_now_ms(session->shard->reactor) >= session->throttled_until_ms)
        session->throttled_until_ms = 0;
    session_flush(session);
}

void session_close(struct session *session, const char *why)
{
    if (session->is_closing)
        return;
    session->is_closing = true;
    connection_close(session->connection, NETWORK_REASON_REQUEST, true, why);
}

static void own_slice(struct slice *own, struct slice from)
{
    if (own->size_bytes > 0)
        server_free((void *)(uintptr_t)own->data, own->size_bytes);
    *own = SLICE_EMPTY;
    if (from.size_bytes > 0) {
        uint8_t *copy = server_allocate(from.size_bytes);

        memcpy(copy, from.data, from.size_bytes);
        *own = slice_of(copy, from.size_bytes);
    }
}

void session_set_software(struct session *session, struct slice name, struct slice version)
{
    own_slice(&session->software_name, name);
    own_slice(&session->software_version, version);
}

/* ---- what the network tells ---- */

static void session_opened(struct network_handler *handler, struct connection *connection)
{
    struct request_service *service = CONTAINER_OF(handler, struct request_service, handler);
    struct session *session = SERVER_NEW(struct session);
    struct session_private *mine = SERVER_NEW(struct session_private);
    const struct node *node = service->shard->node;
    int listener = connection_listener(connection);

    ASSERT(listener >= 0 && (size_t)listener < node->config.listener_count);
    session->shard = service->shard;
    session->connection = connection;
    session->listener = &node->config.listeners[listener];
    session->is_controller_listener = session->listener->controller;
    session->principal = SLICE("User:ANONYMOUS");
    session->software_name = SLICE_EMPTY;
    session->software_version = SLICE_EMPTY;
    list_init(&session->requests);
    list_init(&session->waiting);
    session->private_state = mine;
    mine->session = session;
    timer_init(&mine->unmute, unmute);
    connection_set_user(connection, session);
}

static void session_frame(struct network_handler *handler, struct connection *connection,
                          struct frame *frame)
{
    struct session *session = connection_user(connection);

    UNUSED(handler);
    if (session->is_closing) {
        frame_release(&frame);
        return;
    }
    if (!list_is_empty(&session->waiting) || !may_begin(session, frame)) {
        wait_push(session, frame);
        return;
    }
    dispatch_frame(session, frame);
    hold_update(session);
}

static void session_closed(struct network_handler *handler, struct connection *connection)
{
    struct session *session = connection_user(connection);
    struct session_private *mine = session->private_state;
    struct list_node gone;

    UNUSED(handler);
    session->is_closing = true;
    timer_cancel(session->shard->reactor, &mine->unmute);
    while (!list_is_empty(&session->waiting)) {
        struct frame *frame = wait_pop(session);

        frame_release(&frame);
    }
    list_init(&gone);
    LIST_EACH (node, &session->requests)
        LIST_ITEM(node, struct request, node)->session = NULL;
    list_splice_back(&gone, &session->requests);
    while (!list_is_empty(&gone)) {
        struct request *request = LIST_ITEM(list_pop_front(&gone), struct request, node);
        void (*cancelled)(struct request *) = request->cancelled;

        if (request->is_answered) {
            request_settle(request);
            continue;
        }
        request->cancelled = NULL;
        if (cancelled)
            cancelled(request);
    }
    session_set_software(session, SLICE_EMPTY, SLICE_EMPTY);
    SERVER_DELETE(mine);
    SERVER_DELETE(session);
}

static size_t waiting_max_of(const struct node *node)
{
    int64_t queued = config_int(node->boot_config, BROKER_QUEUED_MAX_REQUESTS);

    return (size_t)MAX(queued / MAX((int64_t)node->shard_count, 1), 1);
}

enum err request_service_create(struct shard *shard, struct request_service **out)
{
    struct request_service *service = SERVER_NEW(struct request_service);

    service->shard = shard;
    service->handler.opened = session_opened;
    service->handler.frame = session_frame;
    service->handler.closed = session_closed;
    list_init(&service->spare);
    writer_init(&service->scratch, &heap_allocator, SIZE_MAX);
    service->waiting_max = waiting_max_of(shard->node);
    *out = service;
    return OK;
}

struct network_handler *request_service_handler(struct request_service *service)
{
    return &service->handler;
}
