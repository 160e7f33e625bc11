/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/request.c: the life of one request: made, held, answered, freed.
 * Invariants  1. exactly one of the four ends is called, once.
 *             2. freed when it is answered, out of its session's list, and no hold is left.
 * Threads     the home shard's. docs/design/server.md §4.
 */
#include "server/request_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"
#include "protocol/generated/api_keys.h"
#include "server/quota.h"

/* What decoding and answering a request may take: replies can be larger than requests, but a small
 * frame must not be able to claim everything. */
#define ARENA_BASE_BYTES (64 * MIB)
#define ARENA_FRAME_FACTOR 16
#define ARENA_FRAME_BYTES_MAX (256 * MIB)

struct request *request_new(struct session *session, struct frame *frame)
{
    struct request_service *service = session->kind->shard->requests;
    struct list_node *spare = list_pop_front(&service->spare);
    struct request *request;
    struct arena arena;

    if (spare) {
        request = LIST_ITEM(spare, struct request, node);
        service->spare_count--;
        arena = request->arena;
    } else {
        request = SERVER_NEW(struct request);
        arena_init(&arena, &heap_allocator, 0);
    }
    arena.limit_bytes = ARENA_BASE_BYTES +
                        MIN(frame->size_bytes * ARENA_FRAME_FACTOR, (size_t)ARENA_FRAME_BYTES_MAX);
    *request = (struct request){
        .shard = session->kind->shard,
        .session = session,
        .frame = frame,
        .arena = arena,
        .received_ms = reactor_now_ms(session->kind->shard->reactor),
        .received_ns = reactor_now_ns(session->kind->shard->reactor),
    };
    session_push(session, request);
    service->live_count++;
    return request;
}

static void request_free(struct request *request)
{
    struct request_service *service = request->shard->requests;

    frame_release(&request->frame);
    request_answer_drop(request);
    service->live_count--;
    if (service->spare_count >= REQUESTS_SPARE_MAX) {
        arena_release(&request->arena);
        SERVER_DELETE(request);
        return;
    }
    if (request->arena.used_bytes > REQUEST_ARENA_SPARE_BYTES)
        arena_release(&request->arena);
    else
        arena_reset(&request->arena);
    list_push_front(&service->spare, &request->node);
    service->spare_count++;
}

void request_settle(struct request *request)
{
    ASSERT(request->is_answered && request->session == NULL);
    if (request->holds == 0)
        request_free(request);
}

void request_rest(struct request *request)
{
    ASSERT(!request->is_answered && !request->loan);
    request->body = NULL;
    frame_release(&request->frame);
    arena_release(&request->arena);
}

void request_hold(struct request *request)
{
    request->holds++;
}

void request_release_hold(struct request *request)
{
    ASSERT(request->holds > 0);
    request->holds--;
    if (request->is_answered && request->session == NULL && request->holds == 0)
        request_free(request);
}

/* ---- the four ends ---- */

static void request_end(struct request *request)
{
    struct session *session = request->session;

    ASSERT(!request->is_answered);
    request->is_answered = true;
    request->cancelled = NULL;
    if (session)
        session_flush(session);
    else
        request_settle(request);
}

static void metrics_count(struct request *request, int64_t now_ns)
{
    struct shard_metrics *metrics = &request->shard->metrics;
    int16_t key = request->api->key;

    if (key < 0 || key >= METRICS_API_KEYS)
        return;
    if (!metrics->apis[key])
        metrics->apis[key] = SERVER_NEW(struct api_metrics);
    metrics->apis[key]->requests++;
    latency_histogram_add(&metrics->apis[key]->total, (now_ns - request->received_ns) / 1000);
}

static int64_t clock_ns(const struct request *request)
{
    return os_now_ns(reactor_os(request->shard->reactor));
}

static struct slice principal_name(const struct session *session)
{
    const uint8_t *colon =
        memchr(session->kind->principal.data, ':', session->kind->principal.size_bytes);

    return colon ? slice_sub(session->kind->principal,
                             (size_t)(colon + 1 - session->kind->principal.data), SIZE_MAX)
                 : session->kind->principal;
}

/* The quota on thread time, and what the handler found, into the answer. */
static void throttle_fill(struct request *request, void *response, int64_t now_ns)
{
    int64_t spent_ns = now_ns - reactor_now_ns(request->shard->reactor);
    int32_t offset = request->api->throttle_offset;

    if (offset < 0 || request->session->kind->is_controller_listener)
        return;
    request_throttle(request, quota_record(request->shard->quotas, QUOTA_REQUEST,
                                           principal_name(request->session),
                                           request->header.client_id, (double)MAX(spent_ns, 0)));
    *(int32_t *)(void *)((uint8_t *)response + offset) = request->throttle_ms;
}

void request_answer(struct request *request, void *response)
{
    int64_t now_ns = clock_ns(request);
    enum err err;

    metrics_count(request, now_ns);
    if (!request->session) {
        request_end(request);
        return;
    }
    throttle_fill(request, response, now_ns);
    err = request_encode(request, response);
    if (err != OK) {
        LOG_ERROR(reactor_logger(request->shard->reactor), "server", "answer_not_encoded",
                  "api=%s version=%d error=%s", request->api->name, request->header.api_version,
                  err_name(err));
        request_close(request, "its answer could not be encoded");
        return;
    }
    request_end(request);
}

void request_answer_failed(struct request *request, enum err err, const char *message)
{
    void *response = error_response_make(request, err, message);

    if (response)
        request_answer(request, response);
    else
        request_close(request, err_name(err));
}

void request_answer_nothing(struct request *request)
{
    metrics_count(request, clock_ns(request));
    request_end(request);
}

void request_close(struct request *request, const char *why)
{
    if (request->session)
        session_close(request->session, why);
    request_end(request);
}

void request_pass(struct request *request)
{
    if (request->has_passed)
        return;
    request->has_passed = true;
    if (request->session)
        session_flush(request->session);
}

void request_throttle(struct request *request, int32_t throttle_ms)
{
    request->throttle_ms = MAX(request->throttle_ms, throttle_ms);
}

void *request_response(struct request *request)
{
    size_t size_bytes = message_struct_bytes(request->api->response);
    void *response = arena_allocate(&request->arena, size_bytes);

    if (!response) { /* one response struct is always to be had: it is some hundred bytes */
        request->arena.limit_bytes += size_bytes + KIB;
        MEMORY_MUST(response, arena_allocate(&request->arena, size_bytes));
    }
    message_init(request->api->response, response);
    return response;
}

void request_service_release(struct request_service **service)
{
    struct list_node *spare;

    if (!*service)
        return;
    ASSERT((*service)->live_count == 0);
    while ((spare = list_pop_front(&(*service)->spare))) {
        struct request *request = LIST_ITEM(spare, struct request, node);

        arena_release(&request->arena);
        SERVER_DELETE(request);
    }
    writer_release(&(*service)->scratch);
    if ((*service)->kinds)
        server_free((*service)->kinds, (*service)->kind_count * sizeof(*(*service)->kinds));
    SERVER_DELETE(*service);
    *service = NULL;
}
