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
    struct frame *waiting; /* that of the session before and after */
    int64_t until_ms;
};

static_assert(CONNECTION_IDLE_BYTES + sizeof(struct session) <= 136,
              "what each idle connection holds; with the heap's own 8 bytes it is a block of 144");

static struct connection *connection_of(const struct session *session)
{
    return connection_of_user(session);
}

static struct frame **waiting_of(struct session *session)
{
    return session->is_throttled ? &session->throttle->waiting : &session->waiting;
}

static bool all_passed(const struct session *session)
{
    struct list_node *node = session->requests;
    size_t count = 0;

    do {
        const struct request *request = LIST_ITEM(node, struct request, node);

        if (request->api->key != API_PRODUCE || !(request->has_passed || request->is_answered))
            return false;
        count++;
        node = node->next;
    } while (node != session->requests);
    return count < SESSION_REQUESTS_MAX;
}

static bool may_begin(const struct session *session, const struct frame *frame)
{
    if (session->is_throttled)
        return false;
    if (!session->requests)
        return true;
    return frame_api_key(frame) == API_PRODUCE && all_passed(session);
}

static void wait_push(struct session *session, struct frame *frame)
{
    struct frame **waiting = waiting_of(session);

    ASSERT(!*waiting);
    *waiting = frame;
    session->kind->shard->requests->waiting_count++;
    connection_pause(connection_of(session));
}

static struct frame *wait_pop(struct session *session)
{
    ASSERT(session->kind->shard->requests->waiting_count > 0);
    session->kind->shard->requests->waiting_count--;
    return TAKE(*waiting_of(session));
}

/* One that already has a frame waiting is paused for that. */
static void hold_update(struct session *session)
{
    const struct request_service *service = session->kind->shard->requests;
    bool holds = session->requests && !*waiting_of(session) &&
                 service->waiting_count >= service->waiting_max;

    if (holds == session->is_held)
        return;
    session->is_held = holds;
    if (holds)
        connection_pause(connection_of(session));
    else
        connection_resume(connection_of(session));
}

static void throttle_end(struct session *session)
{
    struct session_throttle *throttle = session->throttle;

    if (!session->is_throttled)
        return;
    session->is_throttled = false;
    session->waiting = throttle->waiting;
    timer_cancel(session->kind->shard->reactor, &throttle->unmute);
    SERVER_DELETE(throttle);
}

static void unmute(struct timer *timer)
{
    struct session_throttle *throttle = CONTAINER_OF(timer, struct session_throttle, unmute);
    struct session *session = throttle->session;

    if (reactor_now_ms(session->kind->shard->reactor) >= throttle->until_ms)
        throttle_end(session);
    session_flush(session);
}

static void throttle_extend(struct session *session, int64_t until_ms)
{
    if (!session->is_throttled) {
        struct session_throttle *throttle = SERVER_NEW(struct session_throttle);

        throttle->session = session;
        throttle->waiting = session->waiting;
        timer_init(&throttle->unmute, unmute);
        session->throttle = throttle;
        session->is_throttled = true;
    }
    session->throttle->until_ms = MAX(session->throttle->until_ms, until_ms);
}

/* The answered requests at the head of the list leave. */
static void answers_send(struct session *session)
{
    struct request *request;

    while ((request = session_oldest(session))) {
        if (BUG_IS(answers_out_of_order) && !request->is_answered)
            request = LIST_ITEM(request->node.next, struct request, node);
        if (!request->is_answered)
            return;
        session_remove(session, request);
        if (!session->is_closing)
            request_send(request);
        if (request->throttle_ms > 0)
            throttle_extend(session,
                            reactor_now_ms(session->kind->shard->reactor) + request->throttle_ms);
        request->session = NULL;
        request_settle(request);
    }
}

void session_flush(struct session *session)
{
    struct frame *waiting;

    if (session->is_flushing) /* a handler that answered at once: the loop below goes on */
        return;
    session->is_flushing = true;
    for (;;) {
        answers_send(session);
        waiting = *waiting_of(session);
        if (session->is_closing || !waiting || !may_begin(session, waiting))
            break;
        connection_resume(connection_of(session));
        dispatch_frame(session, wait_pop(session));
    }
    hold_update(session);
    if (session->is_throttled && !timer_is_set(&session->throttle->unmute) && !session->is_closing)
        timer_set(session->kind->shard->reactor, &session->throttle->unmute,
                  session->throttle->until_ms);
    session->is_flushing = false;
}

void session_close(struct session *session, const char *why)
{
    if (session->is_closing)
        return;
    session->is_closing = true;
    connection_close(connection_of(session), NETWORK_REASON_REQUEST, true, why);
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
        session->software = software_get(session->kind->shard->requests, name, version);
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
    struct session *session = connection_user(connection);
    int listener = connection_listener(connection);

    ASSERT(listener >= 0 && (size_t)listener < service->kind_count);
    session->kind = &service->kinds[listener];
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
    if (*waiting_of(session) || !may_begin(session, frame)) {
        wait_push(session, frame);
        return;
    }
    dispatch_frame(session, frame);
    hold_update(session);
}

/* Before any of them is told. */
static void requests_disown(struct session *session)
{
    struct list_node *node = session->requests;

    while (node && LIST_ITEM(node, struct request, node)->session) {
        LIST_ITEM(node, struct request, node)->session = NULL;
        node = node->next;
    }
}

static void session_closed(struct network_handler *handler, struct connection *connection)
{
    struct session *session = connection_user(connection);
    struct request *request;

    UNUSED(handler);
    session->is_closing = true;
    throttle_end(session);
    if (session->waiting) {
        struct frame *frame = wait_pop(session);

        frame_release(&frame);
    }
    requests_disown(session);
    while ((request = session_oldest(session))) {
        void (*cancelled)(struct request *) = request->cancelled;

        session_remove(session, request);
        if (request->is_answered) {
            request_settle(request);
            continue;
        }
        request->cancelled = NULL;
        if (cancelled)
            cancelled(request);
    }
    session_set_software(session, SLICE_EMPTY, SLICE_EMPTY);
}

static size_t waiting_max_of(const struct node *node)
{
    int64_t queued = config_int(node->boot_config, BROKER_QUEUED_MAX_REQUESTS);

    return (size_t)MAX(queued / MAX((int64_t)node->shard_count, 1), 1);
}

static void kinds_make(struct request_service *service)
{
    const struct node *node = service->shard->node;
    size_t count = node->config.listener_count;

    if (count > 0)
        service->kinds = server_allocate(count * sizeof(*service->kinds));
    service->kind_count = count;
    for (size_t i = 0; i < count; i++)
        service->kinds[i] = (struct session_kind){
            .shard = service->shard,
            .listener = &node->config.listeners[i],
            .is_controller_listener = node->config.listeners[i].controller,
            .principal = SLICE("User:ANONYMOUS"),
        };
}

enum err request_service_create(struct shard *shard, struct request_service **out)
{
    struct request_service *service = SERVER_NEW(struct request_service);

    service->shard = shard;
    service->handler.opened = session_opened;
    service->handler.frame = session_frame;
    service->handler.closed = session_closed;
    service->handler.user_bytes = sizeof(struct session);
    list_init(&service->spare);
    list_init(&service->softwares);
    writer_init(&service->scratch, &heap_allocator, SIZE_MAX);
    service->waiting_max = waiting_max_of(shard->node);
    kinds_make(service);
    *out = service;
    return OK;
}

struct network_handler *request_service_handler(struct request_service *service)
{
    return &service->handler;
}
