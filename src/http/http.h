/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/http.h: a small HTTP/1.1 server behind which a library stands (libmicrohttpd): metrics and
 * health now, Connect's REST and the console later. docs/design/http.md.
 *
 * Threads  The server runs on one thread of its own; `answer` is called on it. It must not block and
 *          may read only what is safe to read from there.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/log.h"
#include "base/slice.h"
#include "base/writer.h"
#include "os/os.h"

struct http_server;

struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* without query */
};
struct http_answer {
    int status;               /* 200 by default */
    const char *content_type; /* static text */
    struct writer body;       /* initialised by the server, released by it */
};
struct http_handler {
    /* Fills the answer; a status ≥ 400 without body gets its standard text. */
    void (*answer)(struct http_handler *handler, const struct http_request *request,
                   struct http_answer *answer);
};
struct http_options {
    const char *address;
    uint16_t port;            /* 0: any, told by http_server_port */
    int connections_max;      /* 32 */
    int idle_seconds;         /* 15 */
    size_t request_bytes_max; /* memory of one connection; 16 KiB */
};
/* ERR_ADDRESS_IN_USE, ERR_ADDRESS with the reason. */
MUST_USE enum err http_server_start(const struct http_options *options, struct logger *logger,
                                    struct http_handler *handler, struct http_server **out,
                                    struct why *why);
uint16_t http_server_port(const struct http_server *server);
void http_server_stop(struct http_server **server); /* NULL-safe; waits for its thread */

#endif
