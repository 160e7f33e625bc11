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

#define INTAKE_BUFFER_BYTES (2 * KIB) /* small frames and the beginning of large ones */
#define FRAME_LENGTH_BYTES 4
#define SMALL_FRAME_BYTES (INTAKE_BUFFER_BYTES - FRAME_LENGTH_BYTES)
#define OUTGO_SLICES 8 /* pieces of one send without an allocation */
#define SEND_SLICES_MAX 1024
#define SEND_BYTES_MAX MIB /* of one operation, so that a slow reader's progress is seen */
#define FRAME_START_BYTES (64 * KIB)
#define FRAME_START_BYTES_MAX MIB /* when frames before it were as large */
#define DRAIN_MS_MAX 5000
#define REASON_COUNT 8

struct gate_listener;
struct gate_ip;

struct network {
    struct os_reader_calls reader_calls; /* first: see struct connection */
    struct reactor *reactor;
    struct logger *logger;
    struct network_options options;
    struct network_handler *handler;
    struct network_counts counts;
    struct list_node idle;     /* the open connections, longest idle first */
    struct list_node draining; /* those that drain, the first deadline first */
    struct list_node waiting;  /* intakes, for frame memory, in order of asking */
    struct timer idle_timer, drain_timer;
    struct connection *turns,
        *turns_last; /* those that have something to do at the end of the turn */
    struct deferred turn;
    struct deferred work;         /* admits who waits; tells that the stop is over */
    struct intake *spare_intakes; /* linked by `next` */
    struct outgo *spare_outgoes;  /* likewise */
    size_t spare_intake_count, spare_outgo_count;
    int64_t frames_whole;    /* given to handlers, or whole and held back by a pause */
    struct connection *over; /* the one whose frame may exceed the budget; see memory.c */
    uint32_t next_number;    /* of connection ids */
    char told_id[192];       /* by connection_id */
    struct os_address told;  /* by connection_peer_address */
    int64_t log_second, log_lines, log_suppressed;
    bool is_stopping;
    void (*stopped)(void *context);
    void *stopped_context;
};

enum connection_state { CONNECTION_OPEN, CONNECTION_DRAINING, CONNECTION_CLOSED };

/* What comes in of one connection, from its first byte until nothing of it is left. A small frame that came alone is
 * given away in it; a copy of one that did not is in one of its own. */
struct intake {
    struct frame frame; /* the small one */
    struct intake *next;
    struct connection *connection;
    struct os_op receive;
    struct list_node waiting_node; /* network->waiting */
    size_t wanted_bytes;           /* while it waits */
    size_t granted_bytes;          /* charged for what is about to be allocated */
    struct frame *large;           /* under way or, paused, whole */
    size_t large_filled, large_length;
    uint16_t begin, end;
    _Alignas(16)
        uint8_t before[16 - FRAME_LENGTH_BYTES]; /* so that a frame at the beginning is aligned */
    uint8_t buffer[INTAKE_BUFFER_BYTES];
};

/* What goes out of one connection, from its first piece until nothing of it is left. */
struct outgo {
    struct outgo *next;
    struct connection *connection;
    struct list_node pieces; /* of struct output_piece; the first part is under way */
    size_t pieces_bytes;     /* of which not yet sent */
    size_t head_sent;        /* of the first piece */
    struct os_op send;
    bool is_sending;
    size_t send_bytes, slice_capacity;
    struct slice *slices; /* own_slices or allocated */
    struct slice own_slices[OUTGO_SLICES];
};

/* A local address, told once for all connections of a listener that came to it. Networks read it, the gate does the
 * rest. */
struct gate_local {
    struct list_node node;
    struct gate_listener *listener;
    int64_t connections;
    struct os_address address;
};

/* All that an idle one holds, with its socket and what its user has. The bytes are counted: a field that is not needed
 * while nothing happens belongs into the intake or the outgo. */
struct connection {
    union {
        struct mail mail; /* to the network before its life, to the gate after it */
        struct {
            struct list_node idle_node;   /* network->idle or ->draining */
            struct connection *turn_next; /* in network->turns */
            struct intake *intake;        /* NULL: nothing has come */
        };
    };
    union { /* the calls are the network's first field, so that one pointer is both */
        struct network *network;
        struct os_reader reader;
    };
    struct os_socket *socket;
    struct outgo *outgo; /* NULL: nothing is to be sent */
    struct gate_ip *gate_ip;
    struct gate_local *local;
    int64_t active_ms;       /* draining: its deadline */
    uint32_t number;         /* of its id; Kafka's has 31 bits and begins anew too */
    uint16_t large_kib_last; /* of the large frame before, rounded up */
    uint16_t peer_port;
    uint16_t network_index; /* the gate's */
    int16_t peer_err;       /* enum err */
    uint8_t pauses;
    enum connection_state state : 8;
    enum network_reason reason : 4;
    bool is_deferred : 1; /* in network->turns */
    bool is_awaiting : 1; /* the reader waits */
    bool is_receiving : 1;
    bool
        is_receiving_large : 1; /* the operation writes into the large frame, not into the buffer */
    bool peer_ended : 1;
    bool is_evictable : 1;
    bool is_evicted : 1;
};
static_assert(sizeof(struct connection) == CONNECTION_IDLE_BYTES, "invariant 2 of network.h");
static_assert(offsetof(struct network, reader_calls) == 0 &&
                  sizeof(struct os_reader) == sizeof(struct network *),
              "a pointer to the network is one to its calls");

/* ---- connection.c ---- */
/* From the gate's thread; where it belongs is set later. NULL: no memory. */
struct connection *connection_create(struct os_socket *socket, size_t user_bytes);
extern const struct os_reader_calls connection_reader_calls;
/* Of network->turn. */
void connections_turn(struct deferred *deferred);
/* Begins its life here, on the network's thread, from the loop; the socket is attached. */
void network_adopt(struct network *network, struct connection *connection);
/* After the memory it waited for was granted. */
void connection_proceed(struct connection *connection);
/* Something happened on the socket. */
void connection_touch(struct connection *connection);
void connection_defer(struct connection *connection);
/* Closes the socket; `closed` follows. */
void connection_shut(struct connection *connection);
bool connection_output_is_over(const struct connection *connection);

/* `done` of intake->receive. */
void connection_received(struct os_op *op);

/* ---- frame.c ---- */
/* Gives every frame that may be given; begins a large one. */
void frame_pump(struct connection *connection);
/* Bytes came into the large frame: grows it, or notes that it is whole. */
void frame_progress(struct connection *connection);
/* Is a whole frame here that was not given? */
bool frame_is_waiting(const struct connection *connection);
/* Of a closing connection without a receive under way. */
void frame_drop(struct connection *connection);
/* NULL: no memory. The connection's, or a small frame's. */
struct intake *intake_take(struct network *network);
void intake_give_back(struct network *network, struct intake *intake);
void spare_intakes_free(struct network *network);

/* ---- memory.c ---- */
static inline bool connection_waits(const struct connection *connection)
{
    return connection->intake && !list_is_empty(&connection->intake->waiting_node);
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
/* Releases every piece, unless a send is under way. */
void output_drop(struct connection *connection);
void spare_outgoes_free(struct network *network);

/* ---- idle.c ---- */
void idle_timer_fire(struct timer *timer);
void idle_timer_set(struct network *network);
void drain_timer_fire(struct timer *timer);
/* Its deadline begins. */
void drain_begin(struct connection *connection);
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
