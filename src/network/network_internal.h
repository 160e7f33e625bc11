/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/network_internal.h: the structs behind network.h and what its files call of each other.
 *
 * Life of a connection
 *
 *   gate: accepted ──► OPEN ──connection_close──► DRAINING ──sent, or 5 s──► CLOSED ──► freed
 *                        └──────────without drain──────────────────────────────┘  when no operation
 *                                                                                 is under way
 * Whatever happens outside the loop (calls of the owner) only marks the connection and defers its
 * turn; handlers are called from completions and from turns alone.
 */
#ifndef NETWORK_NETWORK_INTERNAL_H
#define NETWORK_NETWORK_INTERNAL_H

#include "base/allocator.h"
#include "base/assert.h"
#include "base/fmt.h"
#include "base/hash_map.h"
#include "network/network.h"
#include "reactor/reactor.h"

#include <assert.h>

#define CONNECTION_BUFFER_BYTES (2 * KIB) /* small frames and the beginning of large ones */
#define CONNECTION_SLICES 8               /* pieces of one send without an allocation */
#define SEND_SLICES_MAX 1024
#define SEND_BYTES_MAX MIB /* of one operation, so that a slow reader's progress is seen */
#define FRAME_START_BYTES (64 * KIB)
#define FRAME_START_BYTES_MAX MIB /* when frames before it were as large */
#define DRAIN_MS_MAX 5000
#define REASON_COUNT 8

struct gate_listener;
struct gate_ip;

struct network {
    struct reactor *reactor;
    struct logger *logger;
    struct network_options options;
    struct network_handler *handler;
    struct network_counts counts;
    struct list_node connections; /* all, until `closed` */
    struct list_node idle;        /* the open ones, longest idle first */
    struct list_node waiting;     /* for frame memory, in order of asking */
    struct timer idle_timer;
    struct deferred work;       /* admits who waits; tells that the stop is over */
    struct frame *spare_frames; /* small ones, linked by `data` */
    size_t spare_frame_count;
    int64_t frames_whole;    /* given to handlers, or whole and held back by a pause */
    struct connection *over; /* the one whose frame may exceed the budget; see memory.c */
    int64_t next_number;     /* of connection ids */
    int64_t log_second, log_lines, log_suppressed;
    bool is_stopping;
    void (*stopped)(void *context);
    void *stopped_context;
};

enum connection_state { CONNECTION_OPEN, CONNECTION_DRAINING, CONNECTION_CLOSED };

struct connection {
    struct list_node node;         /* network->connections */
    struct list_node idle_node;    /* network->idle */
    struct list_node waiting_node; /* network->waiting */
    struct network *network;
    struct os_socket *socket;
    void *user;
    enum connection_state state;
    enum network_reason reason;
    int listener;
    int pauses;
    int64_t active_ms;
    struct deferred turn;
    struct timer drain_timer;

    /* in */
    struct os_op receive;
    bool is_receiving;
    bool is_receiving_frame; /* the operation writes into frame->data, not into buffer */
    bool peer_ended;
    enum err peer_err;
    uint16_t buffer_begin, buffer_end;
    struct frame *frame; /* a large one under way or, paused, whole */
    size_t frame_filled, frame_length;
    size_t frame_length_last; /* of the large frame before */
    size_t wanted_bytes;      /* while it waits */
    size_t granted_bytes;     /* charged for what it is about to allocate */

    /* out */
    struct list_node output; /* of struct output_piece; the first part is under way */
    size_t output_head_sent; /* of the first piece */
    size_t output_bytes;
    struct os_op send;
    size_t send_bytes, send_slice_capacity;
    struct slice *send_slices; /* own_slices or allocated */
    bool is_sending;

    /* the gate's; read only on the gate's thread but for the first and the flags */
    struct network_gate *gate; /* NULL: none */
    struct gate_listener *gate_listener;
    struct gate_ip *gate_ip;
    struct mail mail; /* to the network once, to the gate once */
    size_t network_index;
    bool is_evictable;
    bool is_evicted;

    struct os_address local, peer;
    char id[192];
    struct slice own_slices[CONNECTION_SLICES];
    uint8_t buffer[CONNECTION_BUFFER_BYTES];
};
static_assert(sizeof(struct connection) <= CONNECTION_IDLE_BYTES, "invariant 2 of network.h");

/* ---- connection.c ---- */
/* From the gate's thread; the network is set later. NULL: no memory. */
struct connection *connection_create(struct os_socket *socket);
/* Begins its life here, on the network's thread, from the loop; the socket is attached. */
void network_adopt(struct network *network, struct connection *connection);
/* After the memory it waited for was granted. */
void connection_proceed(struct connection *connection);
/* Something happened on the socket. */
void connection_touch(struct connection *connection);
void connection_defer(struct connection *connection);
bool connection_output_is_over(const struct connection *connection);

/* ---- frame.c ---- */
/* Gives every frame that may be given; begins a large one. */
void frame_pump(struct connection *connection);
/* Bytes came into connection->frame: grows it, or notes that it is whole. */
void frame_progress(struct connection *connection);
/* Is a whole frame here that was not given? */
bool frame_is_waiting(const struct connection *connection);
/* Of a closing connection without a receive under way. */
void frame_drop(struct connection *connection);
void spare_frames_free(struct network *network);

/* ---- memory.c ---- */
static inline bool connection_waits(const struct connection *connection)
{
    return !list_is_empty(&connection->waiting_node);
}
/* Charges bytes for the connection's frame, or queues the connection and tells false. */
bool memory_take(struct connection *connection, size_t size_bytes);
void memory_give_back(struct network *network, size_t size_bytes);
/* The frame is whole: the privilege to exceed ends. */
void memory_frame_whole(struct connection *connection);
/* The connection closes: leaves the queue, returns an unused grant. */
void memory_leave(struct connection *connection);
/* Loop only. */
void memory_admit(struct network *network);

/* ---- output.c ---- */
void output_flush(struct connection *connection);
/* Releases every piece; no send is under way. */
void output_drop(struct connection *connection);

/* ---- idle.c ---- */
void idle_timer_fire(struct timer *timer);
void idle_timer_set(struct network *network);
/* The longest idle connection that may be evicted, closed with NETWORK_REASON_LIMIT; false: none.
 * */
bool network_evict(struct network *network);

/* ---- network.c ---- */
void network_log_closed(struct network *network, const struct connection *connection,
                        const char *why);
/* Checks at the end of the turn whether somebody can be admitted or the stop is over. */
void network_defer(struct network *network);

/* ---- hand_over.c ---- */
/* `closed` was called (or the connection never opened): tells the gate, frees the connection. */
void connection_report(struct connection *connection);

#endif
