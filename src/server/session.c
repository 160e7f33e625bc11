/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/session.c: a connection's requests: which may begin, and that answers leave in order.
 * Invariants  1. session->requests is in order of arrival; answers leave from its head only.
 *             2. At most one frame waits: the connection is paused while it does.
 *             3. While a session has a throttle nothing begins.
 *             4. While waiting_max frames of the shard wait, no connection with a request under way is
 *                read further.
 * Threads     the shard's. docs/design/server.md §4.
 */
#include "server/request_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "protocol/generated/api_keys.h"
#include "server/node.h"

#include <assert.h>

/* Of a session that may not begin anything: gone when the time is out and it began again. */
struct session_throttle {
    struct timer unmute;
    struct session *session;
    int64_t until_ms;
};

static_assert(sizeof(struct session) <= 96, "what each idle connection holds");

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
    if (session->throttle)
        return false;
    if (list_is_empty(&session->requests))
        return true;
    return frame_api_key(frame) == API_PRODUCE && all_passed(session);
}

static void wait_push(struct session *session, struct frame *frame)
{
    ASSERT(!session->waiting);
    session->waiting = frame;
    session->shard->requests->waiting_count++;
    connection_pause(session->connection);
}

static struct frame *wait_pop(struct session *session)
{
    ASSERT(session->shard->requests->waiting_count > 0);
    session->shard->requests->waiting_count--;
    return TAKE(session->waiting);
}

/* One that already has a frame waiting is paused for that. */
static void hold_update(struct session *session)
{
    const struct request_service *service = session->shard->requests;
    bool holds = !list_is_empty(&session->requests) && !session->waiting &&
                 service->waiting_count >= service->waiting_max;

    if (holds == session->is_held)
        return;
    session->is_held = holds;
    if (holds)
        connection_pause(session->connection);
    else
        connection_resume(session->connection);
}

static void throttle_end(struct session *session)
{
    struct session_throttle *throttle = TAKE(session->throttle);

    if (!throttle)
        return;
    timer_cancel(session->shard->reactor, &throttle->unmute);
    SERVER_DELETE(throttle);
}

static void unmute(struct timer *timer)
{
    struct session_throttle *throttle = CONTAINER_OF(timer, struct session_throttle, unmute);
    struct session *session = throttle->session;

    if (reactor_now_ms(session->shard->reactor) >= throttle->until_ms)
        throttle_end(session);
    session_flush(session);
}

static void throttle_extend(struct session *session, int64_t until_ms)
{
    if (!session->throttle) {
        session->throttle = SERVER_NEW(struct session_throttle);
        session->throttle->session = session;
        timer_init(&session->throttle->unmute, unmute);
    }
    session->throttle->until_ms = MAX(session->throttle->until_ms, until_ms);
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
        if (request->throttle_ms > 0)
            throttle_extend(session,
                            reactor_now_ms(session->shard->reactor) + request->throttle_ms);
        request->session = NULL;
        request_settle(request);
    }
}

void session_flush(struct session *session)
{
    struct session_throttle *throttle;

    if (session->is_flushing) /* a handler that answered at once: the loop below goes on */
        return;
    session->is_flushing = true;
    for (;;) {
        answers_send(session);
        if (session->is_closing || !session->waiting || !may_begin(session, session->waiting))
            break;
        connection_resume(session->connection);
        dispatch_frame(session, wait_pop(session));
    }
    hold_update(session);
    throttle = session->throttle;
    if (throttle && !timer_is_set(&throttle->unmute) && !session->is_closing)
        timer_set(session->shard->reactor, &throttle->unmute, throttle->until_ms);
    session->is_flushing = false;
}

void session_close(struct session *session, const char *why)
{
    if (session->is_closing)
        return;
    session->is_closing = true;
    connection_close(session->connection, NETWORK_REASON_REQUEST, true, why);
}

/* ---- what clients say of themselves ---- */

static struct slice slice_own(struct slice from)
{
    uint8_t *copy;

    if (from.size_bytes == 0)
        return SLICE_EMPTY;
    copy = server_allocate(from.size_bytes);
    memcpy(copy, from.data, from.size_bytes);
    return slice_of(copy, from.size_bytes);
}

static void slice_disown(struct slice own)
{
    if (own.size_bytes > 0)
        server_free((void *)(uintptr_t)own.data, own.size_bytes);
}

/* Only so many are looked at: a client that calls itself something else each time must not make hellos dear. */
#define SOFTWARES_LOOKED_AT 16

static struct client_software *software_get(struct request_service *service, struct slice name,
                                            struct slice version)
{
    struct client_software *software;
    int looked_at = 0;

    LIST_EACH (node, &service->softwares) {
        software = LIST_ITEM(node, struct client_software, node);
        if (++looked_at > SOFTWARES_LOOKED_AT)
            break;
        if (slice_equal(software->name, name) && slice_equal(software->version, version)) {
            list_remove(&software->node);
            list_push_front(&service->softwares, &software->node);
            return software;
        }
    }
    software = SERVER_NEW(struct client_software);
    software->name = slice_own(name);
    software->version = slice_own(version);
    list_push_front(&service->softwares, &software->node);
    return software;
}

void session_set_software(struct session *session, struct slice name, struct slice version)
{
    struct client_software *before = session->software;

    session->software = NULL;
    if (name.size_bytes + version.size_bytes > 0) {
        session->software = software_get(session->shard->requests, name, version);
        session->software->sessions++;
    }
    if (!before || --before->sessions > 0)
        return;
    list_remove(&before->node);
    slice_disown(before->name);
    slice_disown(before->version);
    SERVER_DELETE(before);
}

/* ---- what the network tells ---- */

static void session_opened(struct network_handler *handler, struct connection *connection)
{
    struct request_service *service = CONTAINER_OF(handler, struct request_service, handler);
    struct session *session = SERVER_NEW(struct session);
    const struct node *node = service->shard->node;
    int listener = connection_listener(connection);

    ASSERT(listener >= 0 && (size_t)listener < node->config.listener_count);
    session->shard = service->shard;
    session->connection = connection;
    session->listener = &node->config.listeners[listener];
    session->is_controller_listener = session->listener->controller;
    session->principal = SLICE("User:ANONYMOUS");
    list_init(&session->requests);
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
    if (session->waiting || !may_begin(session, frame)) {
        wait_push(session, frame);
        return;
    }
    dispatch_frame(session, frame);
    hold_update(session);
}

static void session_closed(struct network_handler *handler, struct connection *connection)
{
    struct session *session = connection_user(connection);
    struct list_node gone;

    UNUSED(handler);
    session->is_closing = true;
    throttle_end(session);
    if (session->waiting) {
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
    list_init(&service->softwares);
    writer_init(&service->scratch, &heap_allocator, SIZE_MAX);
    service->waiting_max = waiting_max_of(shard->node);
    *out = service;
    return OK;
}

struct network_handler *request_service_handler(struct request_service *service)
{
    return &service->handler;
}
