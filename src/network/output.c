/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/output.c: the pieces on their way to the peer. Those of one turn leave in one operation
 * at its end; while one is under way the next ones gather. A piece is released when its last byte
 * went to the kernel, or when the connection is over and no operation can touch it.
 */
#include "network/network_internal.h"

#include "base/fault_point.h"
#include "base/sanitizer.h"

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
    ASSERT(!connection->outgo);
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

/* ---- sends ---- */

#if HAS_ADDRESS_SANITIZER
#define SPARE_OUTGOES_MAX 0
#else
#define SPARE_OUTGOES_MAX 64
#endif

static void send_done(struct os_op *op);

static struct outgo *outgo_take(struct network *network)
{
    struct outgo *outgo = network->spare_outgoes;

    if (outgo) {
        network->spare_outgoes = outgo->next;
        network->spare_outgo_count--;
        return outgo;
    }
    outgo = ALLOCATOR_NEW(&heap_allocator, struct outgo);
    if (!outgo)
        return NULL;
    outgo->send.kind = OS_OP_SEND;
    outgo->send.done = send_done;
    return outgo;
}

static void outgo_give_back(struct network *network, struct outgo *outgo)
{
    if (network->spare_outgo_count >= SPARE_OUTGOES_MAX) {
        ALLOCATOR_DELETE(&heap_allocator, outgo);
        return;
    }
    outgo->next = network->spare_outgoes;
    network->spare_outgoes = outgo;
    network->spare_outgo_count++;
}

void spare_outgoes_free(struct network *network)
{
    while (network->spare_outgoes)
        ALLOCATOR_DELETE(&heap_allocator, outgo_take(network));
}

static void slices_reserve(struct outgo *outgo)
{
    size_t capacity = slices_count(outgo->connection);

    outgo->slices = NULL;
    if (capacity > OUTGO_SLICES)
        outgo->slices = heap_allocator.allocate(&heap_allocator, capacity * sizeof(struct slice));
    if (!outgo->slices) { /* few, or no memory: then a smaller send */
        outgo->slices = outgo->own_slices;
        capacity = OUTGO_SLICES;
    }
    outgo->slice_capacity = capacity;
}

static size_t slices_fill(struct outgo *outgo)
{
    const struct connection *connection = outgo->connection;
    size_t bytes_max = FAULT_POINT(send_one_byte) ? 1 : SEND_BYTES_MAX;
    size_t skip = connection->output_head_sent;
    size_t count = 0;

    outgo->send_bytes = 0;
    LIST_EACH (node, &connection->output) {
        struct slice bytes = LIST_ITEM(node, struct output_piece, node)->bytes;

        bytes = slice_sub(bytes, skip, bytes_max - outgo->send_bytes);
        skip = 0;
        if (bytes.size_bytes == 0)
            continue; /* an empty piece: consumed with its neighbours */
        outgo->slices[count++] = bytes;
        outgo->send_bytes += bytes.size_bytes;
        if (count == outgo->slice_capacity || outgo->send_bytes == bytes_max)
            break;
    }
    return count;
}

static void slices_release(struct outgo *outgo)
{
    if (outgo->slices != outgo->own_slices)
        heap_allocator.release(&heap_allocator, outgo->slices,
                               outgo->slice_capacity * sizeof(struct slice));
    outgo->slices = NULL;
}

static void send_done(struct os_op *op)
{
    struct outgo *outgo = CONTAINER_OF(op, struct outgo, send);
    struct connection *connection = outgo->connection;
    size_t sent_bytes = outgo->send_bytes;
    enum err err = op->err;

    connection->outgo = NULL;
    slices_release(outgo);
    outgo_give_back(connection->network, outgo);
    connection_defer(connection);
    if (err == OK) {
        connection->network->counts.bytes_sent += (int64_t)sent_bytes;
        connection_touch(connection);
        output_consume(connection, sent_bytes);
        return;
    }
    connection_close(connection, err == ERR_CONNECTION ? NETWORK_REASON_PEER : NETWORK_REASON_ERROR,
                     false, err_text(err));
}

void output_flush(struct connection *connection)
{
    struct outgo *outgo;

    if (connection->outgo || connection->state == CONNECTION_CLOSED)
        return;
    if (connection->output_bytes == 0) {
        if (!list_is_empty(&connection->output))
            output_consume(connection, 0); /* pieces without bytes */
        return;
    }
    outgo = outgo_take(connection->network);
    if (!outgo) {
        connection_close(connection, NETWORK_REASON_ERROR, false, "no memory for a send");
        return;
    }
    outgo->connection = connection;
    connection->outgo = outgo;
    slices_reserve(outgo);
    outgo->send.slice_count = slices_fill(outgo);
    ASSERT(outgo->send_bytes > 0);
    outgo->send.socket = connection->socket;
    outgo->send.slices = outgo->slices;
    reactor_submit(connection->network->reactor, &outgo->send);
}
