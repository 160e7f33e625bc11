/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/connection.c: one connection from adoption to `closed`; see network_internal.h for the
 * states. The handle outlives its operations: closing the socket cancels them, and the last one to
 * complete lets the deferred turn end the connection.
 */
#include "network/gate_internal.h"

#include "base/fault_point.h"

static struct os_op *reader_begin(struct os_reader *reader);
static void reader_undo(struct os_reader *reader, struct os_op *op);

const struct os_reader_calls connection_reader_calls = {.begin = reader_begin, .undo = reader_undo};

struct connection *connection_create(struct os_socket *socket, size_t user_bytes)
{
    struct connection *connection =
        allocator_zeroed(&heap_allocator, sizeof(struct connection) + user_bytes);

    if (!connection)
        return NULL;
    connection->socket = socket;
    return connection;
}

void connection_defer(struct connection *connection)
{
    struct network *network = connection->network;

    if (connection->is_deferred)
        return;
    connection->is_deferred = true;
    connection->turn_next = NULL;
    if (network->turns)
        network->turns_last->turn_next = connection;
    else
        network->turns = connection;
    network->turns_last = connection;
    reactor_defer(network->reactor, &network->turn);
}

/* ---- receiving ---- */

/* Where the next bytes go. */
static void receive_prepare(struct connection *connection)
{
    struct intake *intake = connection->intake;
    struct os_op *op = &intake->receive;

    if (intake->large) {
        op->buffer = intake->large->data + intake->large_filled;
        op->size_bytes = intake->large->capacity_bytes - intake->large_filled;
        op->useful_bytes = op->size_bytes;
    } else {
        op->buffer = intake->buffer + intake->end;
        op->size_bytes = INTAKE_BUFFER_BYTES - (size_t)intake->end;
        op->useful_bytes = 1;
    }
    ASSERT(op->size_bytes > 0);
    if (FAULT_POINT(receive_one_byte))
        op->size_bytes = 1;
    op->socket = connection->socket;
    connection->is_receiving = true;
    connection->is_receiving_large = intake->large != NULL;
}

static struct os_op *reader_begin(struct os_reader *reader)
{
    struct connection *connection = CONTAINER_OF(reader, struct connection, reader);
    struct intake *intake = connection->intake;

    connection->is_awaiting = false;
    if (!intake)
        intake = intake_take(connection->network);
    if (!intake) {
        connection->peer_ended = true;
        connection->peer_err = ERR_NO_MEMORY;
        connection_defer(connection);
        return NULL;
    }
    intake->connection = connection;
    connection->intake = intake;
    receive_prepare(connection);
    return &intake->receive;
}

static void reader_undo(struct os_reader *reader, struct os_op *op)
{
    struct connection *connection = CONTAINER_OF(reader, struct connection, reader);
    struct intake *intake = connection->intake;

    UNUSED(op);
    connection->is_receiving = false;
    connection->is_awaiting = true;
    if (intake->begin == intake->end)
        intake_give_back(connection->network, TAKE(connection->intake));
}

static bool has_room(const struct intake *intake)
{
    return intake->large ? intake->large_filled < intake->large->capacity_bytes
                         : intake->end < INTAKE_BUFFER_BYTES;
}

/* Receives, or waits to, where that is wanted: not while memory is awaited, while too much output is
 * queued, or when there is no room because the connection is paused. A draining one reads on and
 * drops what it reads, lest unread bytes turn the close into a reset that takes our last bytes
 * with it. Only the rest of a large frame has an operation that waits; an intake without one may be
 * given away and go back at any time, whatever still comes. */
static void receive_next(struct connection *connection)
{
    if (connection->is_receiving || connection->is_awaiting || connection->peer_ended ||
        connection->state == CONNECTION_CLOSED)
        return;
    if (connection->state == CONNECTION_OPEN &&
        (connection_waits(connection) || connection_output_is_over(connection)))
        return;
    if (connection->intake && !has_room(connection->intake))
        return;
    if (connection->intake && connection->intake->large) {
        receive_prepare(connection);
        reactor_submit(connection->network->reactor, &connection->intake->receive);
        return;
    }
    connection->is_awaiting = true;
    os_socket_await(connection->socket, &connection->reader);
}

/* The peer's end is acted upon once the frames that came before it were given. */
static void check_ended(struct connection *connection)
{
    enum err err = (enum err)connection->peer_err;

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

void connection_received(struct os_op *op)
{
    struct connection *connection = CONTAINER_OF(op, struct intake, receive)->connection;

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
        connection->peer_err = (int16_t)op->err;
    } else if (connection->is_receiving_large) {
        ASSERT((size_t)op->result <= op->size_bytes);
        connection->intake->large_filled += (size_t)op->result;
        frame_progress(connection);
    } else {
        ASSERT((size_t)op->result <= op->size_bytes);
        connection->intake->end = (uint16_t)(connection->intake->end + op->result);
    }
    connection_advance(connection);
}

void connection_proceed(struct connection *connection)
{
    ASSERT(connection->state == CONNECTION_OPEN);
    if (connection->intake->large)
        frame_progress(connection);
    connection_advance(connection);
}

/* ---- turns and the end ---- */

void connection_shut(struct connection *connection)
{
    connection->state = CONNECTION_CLOSED;
    list_remove(&connection->idle_node);
    connection->is_awaiting = false;
    os_socket_close(&connection->socket, false);
    connection_defer(connection);
}

static void connection_finish(struct connection *connection)
{
    struct network *network = connection->network;

    output_drop(connection);
    if (!connection->is_receiving)
        frame_drop(connection);
    if (connection->outgo || connection->is_receiving || connection->is_deferred)
        return;
    ASSERT(!connection->intake && network->over != connection);
    network->counts.connections--;
    network->counts.connections_closed++;
    if (network->is_stopping)
        network_defer(network);
    network->handler->closed(network->handler, connection);
    ASSERT(!connection->is_deferred);
    connection_report(connection);
}

static void connection_turn(struct connection *connection)
{
    if (connection->state == CONNECTION_OPEN)
        connection_advance(connection);
    output_flush(connection);
    if (connection->state == CONNECTION_DRAINING) {
        if (!connection->outgo)
            connection_shut(connection);
        else
            receive_next(connection);
    }
    if (connection->state == CONNECTION_CLOSED)
        connection_finish(connection);
}

/* One that defers while they have their turn has another one after them. */
void connections_turn(struct deferred *deferred)
{
    struct network *network = CONTAINER_OF(deferred, struct network, turn);
    struct connection *connection = TAKE(network->turns);

    while (connection) {
        struct connection *next = connection->turn_next;

        connection->is_deferred = false;
        connection_turn(connection); /* may free it */
        connection = next;
    }
}

void network_adopt(struct network *network, struct connection *connection)
{
    if (network->is_stopping) {
        os_socket_close(&connection->socket, false);
        connection_report(connection);
        return;
    }
    list_init(&connection->idle_node);
    connection->intake = NULL;
    connection->number = network->next_number++;
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
    if (!drain || connection_output_bytes(connection) == 0) {
        connection_shut(connection);
        return;
    }
    connection->state = CONNECTION_DRAINING;
    if (!connection->is_receiving)
        frame_drop(connection);
    drain_begin(connection);
    connection_defer(connection);
}

void connection_pause(struct connection *connection)
{
    ASSERT(connection->pauses < UINT8_MAX);
    connection->pauses++;
}

void connection_resume(struct connection *connection)
{
    ASSERT(connection->pauses > 0);
    if (--connection->pauses == 0)
        connection_defer(connection);
}

struct network *connection_network(struct connection *connection)
{
    return connection->network;
}

int connection_listener(const struct connection *connection)
{
    return connection->local->listener->options.listener;
}

const char *connection_id(const struct connection *connection)
{
    struct network *network = connection->network;

    fmt(network->told_id, sizeof(network->told_id), "%s:%u-%s:%u-%d-%u",
        connection->local->address.text, (unsigned)connection->local->address.port_number,
        connection->gate_ip->address, (unsigned)connection->peer_port,
        reactor_index(network->reactor), (unsigned)connection->number);
    return network->told_id;
}

const struct os_address *connection_local_address(const struct connection *connection)
{
    return &connection->local->address;
}

const struct os_address *connection_peer_address(const struct connection *connection)
{
    struct os_address *told = &connection->network->told;

    static_assert(sizeof(told->text) == sizeof(connection->gate_ip->address), "texts of addresses");
    memcpy(told->text, connection->gate_ip->address, sizeof(told->text));
    told->port_number = connection->peer_port;
    return told;
}

enum network_reason connection_reason(const struct connection *connection)
{
    return connection->reason;
}
