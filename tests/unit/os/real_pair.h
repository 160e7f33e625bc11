/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sockets of the real machine that are connected to each other, and operations on them.
 */
#ifndef OS_REAL_PAIR_H
#define OS_REAL_PAIR_H

#include "real_bench.h"

struct pair {
    struct os_socket *listener;
    struct os_socket *client;
    struct os_socket *server;
    uint16_t port_number;
};

void listen_any(struct bench *bench, struct pair *pair, const char *address);
void pair_open(struct bench *bench, struct pair *pair);
void pair_close(struct pair *pair);
struct os_op receive_op(struct os_socket *socket, void *buffer, size_t size_bytes);
struct os_op send_op(struct os_socket *socket, const struct slice *slices, size_t count);

#endif
