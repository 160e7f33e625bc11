/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/network.h: listeners, connections, frames, back-pressure. docs/design/network.md.
 *
 * One `struct network` per shard owns the connections of that shard; `struct network_gate` on
 * shard 0 accepts for all of them, counts, and hands each socket to the network of a shard. A
 * connection reads frames (int32 length, then that many bytes) and gives each to the handler as
 * soon as it is whole; it writes what it is given, in order, all of one turn in one send.
 *
 * Invariants  1. A frame is given to the handler whole, once, in order of arrival; after
 *                connection_close no frame comes and `closed` comes exactly once.
 *             2. Memory: a connection of which nothing has come and for which nothing is sent has its
 *                handle of CONNECTION_IDLE_BYTES, what its user has and no buffer; frames of all connections together hold at most
 *                frame_bytes_max of the network, over it sockets are not read; while no handler
 *                holds a frame, one connection may exceed it by its frame, so that something
 *                always moves. A length is checked before anything is allocated for it, and the
 *                buffer grows with the bytes that came, so that a claimed length alone costs
 *                nothing.
 *             3. `opened`, `frame` and `closed` are called from the loop, never from inside a call
 *                of this header.
 * Errors      A peer's misbehaviour closes its connection with a reason that is logged once (rate
 *             limited) and counted; nobody else is touched.
 * Threads     A network and its connections belong to the thread of their reactor, the gate to that of
 *             shard 0.
 */
#ifndef NETWORK_NETWORK_H
#define NETWORK_NETWORK_H

#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"
#include "os/os.h"

struct reactor;
struct network;
struct network_gate;
struct connection;

#define CONNECTION_IDLE_BYTES 96 /* and what the handler has of each behind it */

/* ---- frames ---- */
/* The bytes behind the length. Whoever holds it may write into it (batches are stamped in place). The
 * memory counts against the network it came from until frame_release, on that network's thread. */
struct frame {
    uint8_t *data;
    size_t size_bytes;
    struct network *network;
    size_t capacity_bytes;
};
void frame_release(struct frame **frame); /* NULL-safe; sets NULL */

/* ---- a shard's network ---- */
struct network_handler {
    /* The connection is open; what it has for the handler is zeroed. */
    void (*opened)(struct network_handler *handler, struct connection *connection);
    /* The handler owns the frame. */
    void (*frame)(struct network_handler *handler, struct connection *connection,
                  struct frame *frame);
    /* The last word about a connection: every piece was released, the pointer is gone afterwards.
     * connection_reason tells why. */
    /* Of the connection no function may be called there but questions. */
    void (*closed)(struct network_handler *handler, struct connection *connection);
    /* What each connection has for the handler: connection_user. The same for all networks of a gate. */
    size_t user_bytes;
};

struct network_options {
    int32_t frame_bytes_each_max; /* socket.request.max.bytes */
    int64_t frame_bytes_max;      /* invariant 2; queued.max.request.bytes, or a share of memory */
    int64_t idle_ms_max;          /* connections.max.idle.ms; -1: never */
    size_t output_bytes_max;      /* of one connection: over it it is not read until it drains */
};

/* Copies the options. */
MUST_USE enum err network_create(struct reactor *reactor, struct logger *logger,
                                 const struct network_options *options,
                                 struct network_handler *handler, struct network **out);
/* Dynamic configs changed. */
void network_set_options(struct network *network, const struct network_options *options);
/* Closes every connection; `done` when all are closed and every frame was released. */
void network_stop(struct network *network, void (*done)(void *context), void *context);
void network_release(struct network **network); /* after that */

struct network_counts {
    int64_t connections;
    int64_t connections_opened, connections_closed; /* since start */
    int64_t bytes_received, bytes_sent, frames_received;
    int64_t frame_bytes;         /* held now; a small frame as the buffer that it came in */
    int64_t closed_by_reason[8]; /* enum network_reason */
    int64_t muted_for_memory;    /* times that reading stopped because of invariant 2 */
};
const struct network_counts *network_counts(const struct network *network);

enum network_reason {
    NETWORK_REASON_PEER,    /* it closed or reset */
    NETWORK_REASON_IDLE,    /* connections.max.idle.ms */
    NETWORK_REASON_LENGTH,  /* negative or above the limit */
    NETWORK_REASON_REQUEST, /* the handler closed it: bytes that are no request, or as Kafka does */
    NETWORK_REASON_LIMIT,   /* max.connections: the longest idle one makes room */
    NETWORK_REASON_STOP,    /* the node stops */
    NETWORK_REASON_ERROR,   /* of the socket */
    NETWORK_REASON_MOVED,   /* went to another shard; not seen by `closed` of the new one */
};
const char *network_reason_text(enum network_reason reason);

/* ---- connections ---- */
/* The handler's user_bytes lie behind the handle, in the same block: aligned as it is, gone when it is. */
static inline void *connection_user(struct connection *connection)
{
    return (uint8_t *)connection + CONNECTION_IDLE_BYTES;
}
static inline struct connection *connection_of_user(const void *user)
{
    return (struct connection *)((uintptr_t)user - CONNECTION_IDLE_BYTES);
}
struct network *connection_network(struct connection *connection);
/* Which listener it was accepted on: what network_gate_listen was given. */
int connection_listener(const struct connection *connection);
/* "localHost:localPort-remoteHost:remotePort-shard-number", as Kafka's connection ids. Good until the network is asked
 * for another one. */
const char *connection_id(const struct connection *connection);
const struct os_address *connection_local_address(const struct connection *connection);
/* Good until the network is asked for another one. */
const struct os_address *connection_peer_address(const struct connection *connection);

/* After connection_close or in `closed`. */
enum network_reason connection_reason(const struct connection *connection);

/* Stops giving frames (and, once its buffer is full, reading). Counted: as many resumes as pauses. */
void connection_pause(struct connection *connection);
void connection_resume(struct connection *connection);

/* Bytes on their way to the peer. `release` (may be NULL) is called on this thread once they are sent or
 * never will be. Pieces of one turn leave together. After the connection began to close the piece is
 * released at once. */
struct output_piece {
    struct list_node node; /* the network's while queued */
    struct slice bytes;
    void (*release)(struct output_piece *piece);
};
void connection_send(struct connection *connection, struct output_piece *piece);
/* Bytes queued and not yet handed to the kernel. */
size_t connection_output_bytes(const struct connection *connection);

/* Ends it: frames not given are dropped. `drain`: what was queued is sent first (bounded by 5 s).
 * `why` is the detail for the log line, NULL for none. */
void connection_close(struct connection *connection, enum network_reason reason, bool drain,
                      const char *why);

/* ---- the gate ---- */
struct network_limits {
    int32_t per_ip_max; /* max.connections.per.ip */
    /* max.connections.per.ip.overrides: numeric addresses or names resolved by the caller */
    const struct network_ip_limit {
        struct slice address;
        int32_t connections_max;
    } * per_ip;
    size_t per_ip_count;
    int32_t total_max; /* max.connections */
    int32_t rate_max;  /* max.connection.creation.rate per second; INT32_MAX: none; for
                              quotas of entity type ip see network_gate_set_ip_rate */
};
/* networks: one per shard, in order; they and their reactors must outlive the gate. */
MUST_USE enum err network_gate_create(struct reactor *reactor, struct logger *logger,
                                      struct network *const *networks, size_t network_count,
                                      struct network_gate **out);
/* After network_gate_stop, or never opened; connections that are still open may outlive it. */
void network_gate_release(struct network_gate **gate);
/* Copies. */
void network_gate_set_limits(struct network_gate *gate, const struct network_limits *limits);
/* listener: the caller's number, told by connection_listener. limit_max: max.connections of this
 * listener (listener.name.x.max.connections), rate_max likewise; INT32_MAX: none. `protected`: may
 * close another listener's longest idle connection when max.connections is reached (Kafka: the
 * inter-broker listener). Tells the bound port. ERR_ADDRESS_IN_USE, ERR_ADDRESS. */
struct network_listen {
    int listener;
    const char *address; /* "" or NULL: all */
    uint16_t port;
    int backlog;
    int send_bytes, receive_bytes; /* of sockets; 0: the system's */
    int32_t connections_max;
    int32_t rate_max;
    bool is_protected;
};
MUST_USE enum err network_gate_listen(struct network_gate *gate,
                                      const struct network_listen *listen, uint16_t *port_out,
                                      struct why *why);
/* connections_max and rate_max of a listener that is bound; nothing for another number. */
void network_gate_set_listener_limits(struct network_gate *gate, int listener,
                                      int32_t connections_max, int32_t rate_max);
/* connection_creation_rate of an ip (quotas); address null: the default; rate INFINITY: none. */
void network_gate_set_ip_rate(struct network_gate *gate, struct slice address, double rate);
/* Begins to accept on the listeners that are bound and not yet open. */
void network_gate_open(struct network_gate *gate);
/* Stops accepting and closes the listening sockets; `done` later. */
void network_gate_stop(struct network_gate *gate, void (*done)(void *context), void *context);
int64_t network_gate_connections(const struct network_gate *gate);

#endif
