/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/dispatch.c: from a frame to its handler. What cannot be read, or is not advertised on this
 * listener, ends the connection without an answer, as with Kafka; one log line says what it was.
 * Threads  the shard's. requests.md §1.1, §2.2 of the reference.
 */
#include "server/request_internal.h"

#include "config/served_apis.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/api_versions_response.h"
#include "server/handlers/handlers.h"
#include "server/node.h"

int16_t frame_api_key(const struct frame *frame)
{
    struct cursor cursor = cursor_of(slice_of(frame->data, frame->size_bytes));
    int16_t key;

    return cursor_i16(&cursor, &key) == OK ? key : -1;
}

/* One line a second: a broken client must not fill the disk. */
static void refuse(struct session *session, struct request *request, const char *what)
{
    static const struct client_software unknown;
    const struct client_software *software = session->software ? session->software : &unknown;
    struct request_service *service = session->kind->shard->requests;
    int64_t second = reactor_now_ms(session->kind->shard->reactor) / 1000;

    session->kind->shard->metrics.requests_unknown++;
    if (second != service->log_second) {
        LOG_WARN(session->kind->shard->node->logger, "server", "request_refused",
                 "reason=\"%s\" api_key=%d api=%s version=%d client_id=\"%.*s\" software=\"%.*s\" "
                 "software_version=\"%.*s\" connection=%s not_logged=%llu",
                 what, request->header.api_key, api_key_name(request->header.api_key),
                 request->header.api_version, SLICE_ARGS(request->header.client_id),
                 SLICE_ARGS(software->name), SLICE_ARGS(software->version),
                 connection_id(connection_of_user(session)),
                 (unsigned long long)service->log_dropped);
        service->log_second = second;
        service->log_dropped = 0;
    } else {
        service->log_dropped++;
    }
    request_close(request, what);
}

static const struct served_api *served_find(bool is_controller, int16_t key)
{
    const struct served_api *row = is_controller ? served_controller_apis : served_broker_apis;

    for (; row->api_key >= 0; row++)
        if (row->api_key == key)
            return row;
    return NULL;
}

/* A version of ApiVersions that nobody here knows: version 0, one row, so that the client can ask again. */
static void answer_unknown_api_versions(struct request *request)
{
    struct api_versions_response *response = request_response(request);
    struct api_versions_response_api_version *row =
        api_versions_response_api_version_array(&request->arena, 1);

    response->error_code = err_wire_code(ERR_UNSUPPORTED_VERSION);
    if (row) {
        row->api_key = API_API_VERSIONS;
        row->min_version = request->api->request->version_min;
        row->max_version = request->api->request->version_max;
        response->api_keys = row;
        response->api_keys_count = 1;
    }
    request->header.api_version = 0;
    request_answer(request, response);
}

static enum err body_decode(struct request *request, struct cursor *cursor)
{
    request->body = arena_allocate(&request->arena, message_struct_bytes(request->api->request));
    if (!request->body)
        return ERR_NO_MEMORY;
    return message_decode(request->api->request, request->header.api_version, cursor,
                          &request->arena, request->body);
}

void dispatch_frame(struct session *session, struct frame *frame)
{
    struct request *request = request_new(session, frame);
    struct cursor cursor = cursor_of(slice_of(frame->data, frame->size_bytes));
    bool is_controller = session->kind->is_controller_listener;
    const struct served_api *served;
    request_handler handler;
    enum err err;

    request->header.api_key = frame_api_key(frame);
    request->header.client_id = SLICE_EMPTY;
    request->api = api_find(API_API_VERSIONS); /* until it is known: only its name is looked at */
    err = request_header_decode(&cursor, &request->header);
    if (err != OK) {
        refuse(session, request, "its header cannot be read");
        return;
    }
    if (slice_is_null(request->header.client_id))
        request->header.client_id = SLICE_EMPTY;
    request->api = api_find(request->header.api_key);
    served = served_find(is_controller, request->header.api_key);
    handler = is_controller ? handler_of_controller_api(request->header.api_key)
                            : handler_of_broker_api(request->header.api_key);
    if (!served || !handler) {
        refuse(session, request, "the API is not served on this listener");
        return;
    }
    if (request->header.api_version < served->min || request->header.api_version > served->max ||
        request->header.api_version < request->api->request->version_min) {
        if (request->header.api_key == API_API_VERSIONS)
            answer_unknown_api_versions(request);
        else
            refuse(session, request, "the version is not served");
        return;
    }
    err = body_decode(request, &cursor);
    if (err != OK) {
        refuse(session, request, "its body cannot be read");
        return;
    }
    handler(request);
}
