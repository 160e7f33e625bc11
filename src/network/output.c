/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/output.c: the pieces on their way to the peer. Those of one turn leave in one operation
 * at its end; while one is under way the next ones gather. All of it lies in an outgo, which a connection has as long as
 * something is in it. A piece is released when its last byte
 * went to the kernel, or when the connection is over and no operation can touch it.
 */
#include "network/network_internal.h"

#include "base/fault_point.h"
#include "base/sanitizer.h"

/* ---- outgoes, which are used again ---- */

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
    list_init(&outgo->pieces);
    outgo->send.kind = OS_OP_SEND;
    outgo->send.done = send_done;
    return outgo;
}

static void outgo_give_back(struct network *network, struct outgo *outgo)
{
    ASSERT(list_is_empty(&outgo->pieces) && outgo->pieces_bytes == 0 && !outgo->is_sending);
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

/* ---- pieces ---- */

void connection_send(struct connection *connection, struct output_piece *piece)
{
    struct outgo *outgo = connection->outgo;

    if (connection->state == CONNECTION_OPEN && !outgo) {
        outgo = outgo_take(connection->network);
        if (outgo)
            outgo->connection = connection;
        else
            connection_close(connection, NETWORK_REASON_ERROR, false, "no memory for a send");
        connection->outgo = outgo;
    }
    if (connection->state != CONNECTION_OPEN) {
        if (piece->release)
            piece->release(piece);
        return;
    }
    list_push_back(&outgo->pieces, &piece->node);
    outgo->pieces_bytes += piece->bytes.size_bytes;
    connection_defer(connection);
}

size_t connection_output_bytes(const struct connection *connection)
{
    return connection->outgo ? connection->outgo->pieces_bytes : 0;
}

bool connection_output_is_over(const struct connection *connection)
{
    return connection->outgo &&
           connection->outgo->pieces_bytes > connection->network->options.output_bytes_max;
}

/* `size_bytes` more bytes from the front are done. It goes back when nothing is left in it; a piece's release may send
 * the next one. */
static void output_consume(struct connection *connection, size_t size_bytes)
{
    struct outgo *outgo = connection->outgo;
    struct list_node *node;

    ASSERT(size_bytes <= outgo->pieces_bytes);
    outgo->pieces_bytes -= size_bytes;
    while ((node = list_first(&outgo->pieces)) != NULL) {
        struct output_piece *piece = LIST_ITEM(node, struct output_piece, node);
        size_t left = piece->bytes.size_bytes - outgo->head_sent;

        if (size_bytes < left) {
            outgo->head_sent += size_bytes;
            return;
        }
        size_bytes -= left;
        outgo->head_sent = 0;
        list_remove(node);
        if (piece->release)
            piece->release(piece);
    }
    ASSERT(size_bytes == 0);
    connection->outgo = NULL;
    outgo_give_back(connection->network, outgo);
}

void output_drop(struct connection *connection)
{
    struct outgo *outgo = connection->outgo;

    if (!outgo || outgo->is_sending)
        return;
    output_consume(connection, outgo->pieces_bytes);
    ASSERT(!connection->outgo);
}

/* ---- sends ---- */

/* How many slices the next operation takes. */
static size_t slices_count(const struct outgo *outgo)
{
    size_t count = 0, size_bytes = 0;

    LIST_EACH (node, &outgo->pieces) {
        if (count == SEND_SLICES_MAX || size_bytes >= SEND_BYTES_MAX)
            break;
        size_bytes += LIST_ITEM(node, struct output_piece, node)->bytes.size_bytes;
        count++;
    }
    return count;
}

static void slices_reserve(struct outgo *outgo)
{
    size_t capacity = slices_count(outgo);

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
    size_t bytes_max = FAULT_POINT(send_one_byte) ? 1 : SEND_BYTES_MAX;
    size_t skip = outgo->head_sent;
    size_t count = 0;

    outgo->send_bytes = 0;
    LIST_EACH (node, &outgo->pieces) {
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

    outgo->is_sending = false;
    slices_release(outgo);
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
    struct outgo *outgo = connection->outgo;

    if (!outgo || outgo->is_sending || connection->state == CONNECTION_CLOSED)
        return;
    if (outgo->pieces_bytes == 0) {
        output_consume(connection, 0); /* pieces without bytes */
        return;
    }
    slices_reserve(outgo);
    outgo->send.slice_count = slices_fill(outgo);
    ASSERT(outgo->send_bytes > 0);
    outgo->is_sending = true;
    outgo->send.socket = connection->socket;
    outgo->send.slices = outgo->slices;
    reactor_submit(connection->network->reactor, &outgo->send);
}
