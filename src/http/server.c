/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/server.c: http.h on libmicrohttpd. The library polls on one thread of its own; a request is
 * answered from memory in one piece when its body, which nobody needs yet, has been read and
 * dropped.
 */
#include "http/http_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (256 * KIB)
#define BODY_BYTES_MAX (64 * MIB) /* of an answer */

/* ---- what the library says ---- */

static void server_log(void *context, const char *format, va_list arguments)
{
    struct http_server *server = context;
    char text[sizeof(server->reason)];

    (void)vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    if (atomic_load(&server->is_started))
        LOG_DEBUG(server->logger, "http", "library", "text=\"%s\"", text);
    else /* still on the starting thread */
        memcpy(server->reason, text, sizeof(text));
}

/* ---- one request ---- */

static void body_free(void *context)
{
    struct http_body *body = context;

    heap_allocator.release(&heap_allocator, body->data, body->capacity_bytes);
    ALLOCATOR_DELETE(&heap_allocator, body);
}

/* NULL: no memory; the library then closes the connection. Takes the writer's bytes. */
static struct MHD_Response *response_make(struct writer *writer)
{
    struct http_body *body = ALLOCATOR_NEW(&heap_allocator, struct http_body);
    struct MHD_Response *response;
    size_t size_bytes;

    if (!body)
        return NULL;
    body->data = writer_take(writer, &size_bytes, &body->capacity_bytes);
    response = MHD_create_response_from_buffer_with_free_callback_cls(size_bytes, body->data,
                                                                      body_free, body);
    if (!response)
        body_free(body);
    return response;
}

static enum MHD_Result answer_queue(struct MHD_Connection *connection, struct http_answer *answer)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (writer_error(&answer->body) != OK) {
        writer_reset(&answer->body);
        answer->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        answer->content_type = NULL;
    }
    if (answer->body.size_bytes == 0 && answer->status >= 400) {
        const char *text = MHD_get_reason_phrase_for((unsigned)answer->status);

        writer_bytes(&answer->body, text, strlen(text));
        writer_u8(&answer->body, '\n');
        answer->content_type = "text/plain; charset=utf-8";
    }
    response = response_make(&answer->body);
    if (!response)
        return MHD_NO;
    if (answer->content_type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    result = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* A HEAD is answered like a GET; the library leaves the body out. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **state)
{
    static const char begun = 0;
    struct http_server *server = context;
    struct http_answer answer = {.status = MHD_HTTP_OK};
    struct http_request request = {
        .method = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : method,
        .path = path,
    };
    enum MHD_Result result;

    UNUSED(version);
    UNUSED(upload);
    if (!*state) { /* the headers have come; nothing is answered before the body has, too */
        *state = (void *)(uintptr_t)&begun;
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    writer_init(&answer.body, &heap_allocator, BODY_BYTES_MAX);
    server->handler->answer(server->handler, &request, &answer);
    result = answer_queue(connection, &answer);
    writer_release(&answer.body);
    return result;
}

/* ---- life ---- */

static struct MHD_Daemon *daemon_start(struct http_server *server,
                                       const struct http_options *options,
                                       const struct http_address *address)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG;

    flags |= MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES ? MHD_USE_EPOLL : MHD_USE_POLL;
    if (address->is_v6)
        flags |= address->is_any ? MHD_USE_DUAL_STACK : MHD_USE_IPv6;
    return MHD_start_daemon(flags, options->port, NULL, NULL, on_request, server,
                            MHD_OPTION_EXTERNAL_LOGGER, server_log,
                            server, /* first, so that it hears everything */
                            MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address->storage,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->connections_max,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)options->idle_seconds,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->request_bytes_max,
                            MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, MHD_OPTION_END);
}

static enum err server_start(struct http_server *server, const struct http_options *options,
                             struct why *why)
{
    bool is_any = !options->address || !options->address[0];
    const char *shown = is_any ? "*" : options->address;
    const union MHD_DaemonInfo *info;
    struct http_address addresses[2];
    size_t count;
    int error_number = 0;

    count = http_addresses(options->address, options->port, addresses);
    if (count == 0)
        return why_set(why, ERR_ADDRESS, "http on %s:%u: not an address of this machine", shown,
                       (unsigned)options->port);
    for (size_t i = 0; i < count && !server->daemon; i++) {
        errno = 0;
        server->daemon = daemon_start(server, options, &addresses[i]);
        error_number = errno;
        if (error_number == EADDRINUSE)
            break;
    }
    if (!server->daemon)
        return why_set(why, error_number == EADDRINUSE ? ERR_ADDRESS_IN_USE : ERR_ADDRESS,
                       "http on %s:%u: %s", shown, (unsigned)options->port, server->reason);
    atomic_store(&server->is_started, true);
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    server->port = info ? info->port : options->port;
    return OK;
}

enum err http_server_start(const struct http_options *options, struct logger *logger,
                           struct http_handler *handler, struct http_server **out, struct why *why)
{
    struct http_server *server = ALLOCATOR_NEW(&heap_allocator, struct http_server);
    struct http_options own = *options;
    enum err err;

    *out = NULL;
    if (!server)
        return ERR_NO_MEMORY;
    own.connections_max = own.connections_max > 0 ? own.connections_max : 32;
    own.idle_seconds = own.idle_seconds > 0 ? own.idle_seconds : 15;
    own.request_bytes_max = own.request_bytes_max > 0 ? own.request_bytes_max : 16 * KIB;
    server->logger = logger;
    server->handler = handler;
    err = server_start(server, &own, why);
    if (err != OK) {
        ALLOCATOR_DELETE(&heap_allocator, server);
        return err;
    }
    *out = server;
    return OK;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop(struct http_server **server)
{
    struct http_server *gone = *server;

    *server = NULL;
    if (!gone)
        return;
    MHD_stop_daemon(gone->daemon);
    ALLOCATOR_DELETE(&heap_allocator, gone);
}
