/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/output.c: the pieces on their way to the peer. Those of one turn leave in one operation
 * at its end; while one is under way the next ones gather. A piece is released when its last byte
 * went to the kernel, or when the connection is over and no operation can touch it.
 */
#include "network/network_internal.h"

#include "base/fault_point.h"

void connection_send(struct connection *connection, struct output_piece *piece)
{
    if (connection->state != CONNECTION_OPEN) {
        if (piece->release)
            piece->release(piece);
        return;
    }
    list_push_back(&connection->output, &piece->node);
    connection->output_bytes += piece->bytes.size_bytes;
    connection_defer(connection);
}

size_t connection_output_bytes(const struct connection *connection)
{
    return connection->output_bytes;
}

bool connection_output_is_over(const struct connection *connection)
{
    return connection->output_bytes > connection->network->options.output_bytes_max;
}

/* `size_bytes` more bytes from the front are done. */
static void output_consume(struct connection *connection, size_t size_bytes)
{
    struct list_node *node;

    ASSERT(size_bytes <= connection->output_bytes);
    connection->output_bytes -= size_bytes;
    while ((node = list_first(&connection->output)) != NULL) {
        struct output_piece *piece = LIST_ITEM(node, struct output_piece, node);
        size_t left = piece->bytes.size_bytes - connection->output_head_sent;

        if (size_bytes < left) {
            connection->output_head_sent += size_bytes;
            return;
        }
        size_bytes -= left;
        connection->output_head_sent = 0;
        list_remove(node);
        if (piece->release)
            piece->release(piece);
    }
    ASSERT(size_bytes == 0);
}

void output_drop(struct connection *connection)
{
    ASSERT(!connection->is_sending);
    output_consume(connection, connection->output_bytes);
    ASSERT(list_is_empty(&connection->output));
}

/* How many slices the next operation takes. */
static size_t slices_count(const struct connection *connection)
{
    size_t count = 0, size_bytes = 0;

    LIST_EACH (node, &connection->output) {
        if (count == SEND_SLICES_MAX || size_bytes >= SEND_BYTES_MAX)
            break;
        size_bytes += LIST_ITEM(node, struct output_piece, node)->bytes.size_bytes;
        count++;
    }
    return count;
}

static void slices_reserve(struct connection *connection)
{
    size_t capacity = slices_count(connection);

    connection->send_slices = NULL;
    if (capacity > CONNECTION_SLICES)
        connection->send_slices =
            heap_allocator.allocate(&heap_allocator, capacity * sizeof(struct slice));
    if (!connection->send_slices) { /* few, or no memory: then a smaller send */
        connection->send_slices = connection->own_slices;
        capacity = CONNECTION_SLICES;
    }
    connection->send_slice_capacity = capacity;
}

static size_t slices_fill(struct connection *connection)
{
    size_t bytes_max = FAULT_POINT(send_one_byte) ? 1 : SEND_BYTES_MAX;
    size_t skip = connection->output_head_sent;
    size_t count = 0;

    connection->send_bytes = 0;
    LIST_EACH (node, &connection->output) {
        struct slice bytes = LIST_ITEM(node, struct output_piece, node)->bytes;

        bytes = slice_sub(bytes, skip, bytes_max - connection->send_bytes);
        skip = 0;
        if (bytes.size_bytes == 0)
            continue; /* an empty piece: consumed with its neighbours */
        connection->send_slices[count++] = bytes;
        connection->send_bytes += bytes.size_bytes;
        if (count == connection->send_slice_capacity || connection->send_bytes == bytes_max)
            break;
    }
    return count;
}

static void slices_release(struct connection *connection)
{
    if (connection->send_slices != connection->own_slices)
        heap_allocator.release(&heap_allocator, connection->send_slices,
                               connection->send_slice_capacity * sizeof(struct slice));
    connection->send_slices = NULL;
}

static void send_done(struct os_op *op)
{
    struct connection *connection = CONTAINER_OF(op, struct connection, send);

    connection->is_sending = false;
    slices_release(connection);
    connection_defer(connection);
    if (op->err == OK) {
        connection->network->counts.bytes_sent += (int64_t)connection->send_bytes;
        connection_touch(connection);
        output_consume(connection, connection->send_bytes);
        return;
    }
    connection_close(connection,
                     op->err == ERR_CONNECTION ? NETWORK_REASON_PEER : NETWORK_REASON_ERROR, false,
                     err_text(op->err));
}

void output_flush(struct connection *connection)
{
    size_t count;

    if (connection->is_sending || connection->state == CONNECTION_CLOSED)
        return;
    if (connection->output_bytes == 0) {
        output_consume(connection, 0); /* pieces without bytes */
        return;
    }
    slices_reserve(connection);
    count = slices_fill(connection);
    ASSERT(connection->send_bytes > 0);
    connection->is_sending = true;
    connection->send = (struct os_op){
        .kind = OS_OP_SEND,
        .done = send_done,
        .socket = connection->socket,
        .slices = connection->send_slices,
        .slice_count = count,
    };
    reactor_submit(connection->network->reactor, &connection->send);
}
