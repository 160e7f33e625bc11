/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/http_internal.h: the server's own structs.
 */
#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include "base/allocator.h"
#include "base/assert.h"
#include "http/http.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct http_server {
    struct MHD_Daemon *daemon;
    struct logger *logger;
    struct http_handler *handler;
    uint16_t port;
    atomic_bool is_started;
    char reason[256]; /* the library's last word before it was started */
};

/* Bytes of an answer while the library sends them. */
struct http_body {
    uint8_t *data;
    size_t capacity_bytes;
};

struct http_address {
    struct sockaddr_storage storage;
    bool is_v6;
    bool is_any;
};
/* What to bind for address (NULL or "": all), in the order in which to try; 0: no such address. */
size_t http_addresses(const char *address, uint16_t port, struct http_address out[2]);

#endif
