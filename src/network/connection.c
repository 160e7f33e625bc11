/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/connection.c: one connection from adoption to `closed`; see network_internal.h for the
 * states. The handle outlives its operations: closing the socket cancels them, and the last one to
 * complete lets the deferred turn end the connection.
 */
#include "network/network_internal.h"

#include "base/fault_point.h"

static void connection_turn(struct deferred *deferred);
static void drain_timeout(struct timer *timer);

struct connection *connection_create(struct os_socket *socket)
{
    struct connection *connection = ALLOCATOR_NEW(&heap_allocator, struct connection);

    if (!connection)
        return NULL;
    connection->socket = socket;
    list_init(&connection->node);
    list_init(&connection->idle_node);
    list_init(&connection->waiting_node);
    list_init(&connection->output);
    deferred_init(&connection->turn, connection_turn);
    timer_init(&connection->drain_timer, drain_timeout);
    os_socket_local_address(socket, &connection->local);
    os_socket_peer_address(socket, &connection->peer);
    return connection;
}

void connection_defer(struct connection *connection)
{
    reactor_defer(connection->network->reactor, &connection->turn);
}

/* ---- receiving ---- */

static void receive_done(struct os_op *op);

/* Submits a receive where one is wanted: not while memory is awaited, while too much output is
 * queued, or when there is no room because the connection is paused. A draining one reads on and
 * drops what it reads, lest unread bytes turn the close into a reset that takes our last bytes
 * with it. */
static void receive_next(struct connection *connection)
{
    struct frame *frame = connection->frame;
    void *buffer = connection->buffer + connection->buffer_end;
    size_t size_bytes = CONNECTION_BUFFER_BYTES - (size_t)connection->buffer_end;

    if (connection->is_receiving || connection->peer_ended ||
        connection->state == CONNECTION_CLOSED)
        return;
    if (connection->state == CONNECTION_OPEN &&
        (connection_waits(connection) || connection_output_is_over(connection)))
        return;
    if (frame) {
        buffer = frame->data + connection->frame_filled;
        size_bytes = frame->capacity_bytes - connection->frame_filled;
    }
    if (size_bytes == 0)
        return;
    if (FAULT_POINT(receive_one_byte))
        size_bytes = 1;
    connection->is_receiving = true;
    connection->is_receiving_frame = frame != NULL;
    connection->receive = (struct os_op){
        .kind = OS_OP_RECEIVE,
        .done = receive_done,
        .socket = connection->socket,
        .buffer = buffer,
        .size_bytes = size_bytes,
        .useful_bytes = frame ? size_bytes : 1,
    };
    reactor_submit(connection->network->reactor, &connection->receive);
}

/* The peer's end is acted upon once the frames that came before it were given. */
static void check_ended(struct connection *connection)
{
    enum err err = connection->peer_err;

    if (!connection->peer_ended || connection->state != CONNECTION_OPEN ||
        frame_is_waiting(connection))
        return;
    connection_close(
        connection, err == OK || err == ERR_CONNECTION ? NETWORK_REASON_PEER : NETWORK_REASON_ERROR,
        false, err == OK ? NULL : err_text(err));
}

/* Gives what can be given, then reads on. */
static void connection_advance(struct connection *connection)
{
    frame_pump(connection);
    check_ended(connection);
    receive_next(connection);
}

static void receive_done(struct os_op *op)
{
    struct connection *connection = CONTAINER_OF(op, struct connection, receive);

    connection->is_receiving = false;
    if (op->err == OK && op->result > 0)
        connection->network->counts.bytes_received += op->result;
    else
        connection->peer_ended = true;
    if (connection->state != CONNECTION_OPEN) {
        frame_drop(connection);
        connection_defer(connection);
        return;
    }
    connection_touch(connection);
    if (connection->peer_ended) {
        connection->peer_err = op->err;
    } else if (connection->is_receiving_frame) {
        ASSERT((size_t)op->result <= op->size_bytes);
        connection->frame_filled += (size_t)op->result;
        frame_progress(connection);
    } else {
        ASSERT((size_t)op->result <= op->size_bytes);
        connection->buffer_end = (uint16_t)(connection->buffer_end + op->result);
    }
    connection_advance(connection);
}

void connection_proceed(struct connection *connection)
{
    ASSERT(connection->state == CONNECTION_OPEN);
    if (connection->frame)
        frame_progress(connection);
    connection_advance(connection);
}

/* ---- turns and the end ---- */

static void connection_shut(struct connection *connection)
{
    connection->state = CONNECTION_CLOSED;
    timer_cancel(connection->network->reactor, &connection->drain_timer);
    os_socket_close(&connection->socket, false);
    connection_defer(connection);
}

static void drain_timeout(struct timer *timer)
{
    connection_shut(CONTAINER_OF(timer, struct connection, drain_timer));
}

static void connection_finish(struct connection *connection)
{
    struct network *network = connection->network;

    if (!connection->is_sending)
        output_drop(connection);
    if (!connection->is_receiving)
        frame_drop(connection);
    if (connection->is_sending || connection->is_receiving)
        return;
    ASSERT(!connection_waits(connection) && connection->granted_bytes == 0);
    ASSERT(network->over != connection);
    reactor_defer_cancel(network->reactor, &connection->turn);
    list_remove(&connection->node);
    network->counts.connections--;
    network->counts.connections_closed++;
    if (network->is_stopping)
        network_defer(network);
    network->handler->closed(network->handler, connection);
    connection_report(connection);
}

static void connection_turn(struct deferred *deferred)
{
    struct connection *connection = CONTAINER_OF(deferred, struct connection, turn);

    if (connection->state == CONNECTION_OPEN)
        connection_advance(connection);
    output_flush(connection);
    if (connection->state == CONNECTION_DRAINING) {
        if (connection->output_bytes == 0 && !connection->is_sending)
            connection_shut(connection);
        else
            receive_next(connection);
    }
    if (connection->state == CONNECTION_CLOSED)
        connection_finish(connection);
}

void network_adopt(struct network *network, struct connection *connection)
{
    if (network->is_stopping) {
        os_socket_close(&connection->socket, false);
        connection_report(connection);
        return;
    }
    fmt(connection->id, sizeof(connection->id), "%s:%u-%s:%u-%d-%lld", connection->local.text,
        (unsigned)connection->local.port_number, connection->peer.text,
        (unsigned)connection->peer.port_number, reactor_index(network->reactor),
        (long long)network->next_number++);
    list_push_back(&network->connections, &connection->node);
    network->counts.connections++;
    network->counts.connections_opened++;
    connection_touch(connection);
    network->handler->opened(network->handler, connection);
    receive_next(connection);
}

/* ---- the owner's calls ---- */

void connection_close(struct connection *connection, enum network_reason reason, bool drain,
                      const char *why)
{
    struct network *network = connection->network;

    if (connection->state == CONNECTION_DRAINING && !drain)
        connection_shut(connection);
    if (connection->state != CONNECTION_OPEN)
        return;
    connection->reason = reason;
    network->counts.closed_by_reason[reason]++;
    network_log_closed(network, connection, why);
    list_remove(&connection->idle_node);
    memory_leave(connection);
    if (!drain || connection->output_bytes == 0) {
        connection_shut(connection);
        return;
    }
    connection->state = CONNECTION_DRAINING;
    if (!connection->is_receiving)
        frame_drop(connection);
    timer_set(network->reactor, &connection->drain_timer,
              reactor_now_ms(network->reactor) + DRAIN_MS_MAX);
    connection_defer(connection);
}

void connection_pause(struct connection *connection)
{
    connection->pauses++;
}

void connection_resume(struct connection *connection)
{
    ASSERT(connection->pauses > 0);
    if (--connection->pauses == 0)
        connection_defer(connection);
}

void connection_set_user(struct connection *connection, void *user)
{
    connection->user = user;
}

void *connection_user(const struct connection *connection)
{
    return connection->user;
}

struct network *connection_network(struct connection *connection)
{
    return connection->network;
}

int connection_listener(const struct connection *connection)
{
    return connection->listener;
}

const char *connection_id(const struct connection *connection)
{
    return connection->id;
}

const struct os_address *connection_local_address(const struct connection *connection)
{
    return &connection->local;
}

const struct os_address *connection_peer_address(const struct connection *connection)
{
    return &connection->peer;
}

enum network_reason connection_reason(const struct connection *connection)
{
    return connection->reason;
}
