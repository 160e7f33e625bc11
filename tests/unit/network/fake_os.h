/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for the tests of the network: sockets in memory whose every byte, end and error the
 * test decides, and a clock that it moves.
 */
#ifndef TESTS_NETWORK_FAKE_OS_H
#define TESTS_NETWORK_FAKE_OS_H

#include "os/os_internal.h"

struct fake_os {
    struct os base;
    struct os_table table;
    int64_t now_ns;
    struct list_node sockets; /* all that ever were */
    struct list_node listeners;
    uint16_t next_port;
    size_t receive_bytes_max; /* per operation */
    bool looks_in_vain;       /* who awaits is asked at once, although there is nothing */
};

struct fake_port {
    struct os_port base;
    struct list_node completed;
};

struct fake_socket {
    struct os_socket base;
    struct list_node node;
    struct fake_os *os;
    struct fake_port *port; /* NULL: detached */
    struct os_address local, peer;
    bool is_listening, is_closed;
    /* in */
    uint8_t *in;
    size_t in_size, in_read;
    bool peer_ended;
    enum err peer_err;
    struct os_op *receive;
    struct os_reader *reader; /* waits */
    size_t receives;          /* operations submitted */
    /* out */
    uint8_t *out;
    size_t out_size;
    size_t out_room; /* what the peer's window still takes */
    struct os_op *send;
    size_t send_progress;
    size_t sends; /* operations submitted */
    /* listening */
    struct list_node backlog;
    struct list_node backlog_node;
    struct os_op *accept;
    enum err accept_err; /* of the next accepts, until set to OK */
    size_t accept_failures;
};

void fake_os_init(struct fake_os *fake);
/* Frees the sockets; tells how many were never closed. */
size_t fake_os_release(struct fake_os *fake);
struct fake_socket *fake_listener(struct fake_os *fake, uint16_t port_number);

/* The peer's side. */
struct fake_socket *fake_connect(struct fake_os *fake, uint16_t port_number, const char *from);
void fake_write(struct fake_socket *socket, const void *data, size_t size_bytes);
void fake_end(struct fake_socket *socket,
              enum err err);                 /* OK: FIN, else the error of the receive */
void fake_break(struct fake_socket *socket); /* sends and receives fail from now on */
void fake_take(struct fake_socket *socket, size_t size_bytes); /* opens the window */

#endif
