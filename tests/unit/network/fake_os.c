/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_os.h"

#include "base/allocator.h"
#include "base/fmt.h"

#include <stdlib.h>

static struct fake_os *os_of(struct os *os)
{
    return CONTAINER_OF(os, struct fake_os, base);
}

static struct fake_socket *socket_of(struct os_socket *socket)
{
    return CONTAINER_OF(socket, struct fake_socket, base);
}

static int64_t now_ns(struct os *os)
{
    return os_of(os)->now_ns;
}

static int64_t wall_ms(struct os *os)
{
    return os_of(os)->now_ns / 1000000;
}

static enum err port_create(struct os *os, struct os_port **out)
{
    struct fake_port *port = calloc(1, sizeof(*port));

    ASSERT(port);
    list_init(&port->completed);
    *out = &port->base;
    return OK;
}

static void port_release(struct os_port *port)
{
    ASSERT(list_is_empty(&CONTAINER_OF(port, struct fake_port, base)->completed));
    free(CONTAINER_OF(port, struct fake_port, base));
}

static void complete(struct fake_port *port, struct os_op *op, enum err err, int64_t result)
{
    op->err = err;
    op->result = result;
    list_push_back(&port->completed, &op->node);
}

static void try_receive(struct fake_socket *socket)
{
    struct os_op *op = socket->receive;
    size_t have = socket->in_size - socket->in_read;

    if ((!op && !socket->reader) || (have == 0 && !socket->peer_ended))
        return;
    if (!op) {
        struct os_reader *reader = TAKE(socket->reader);

        op = reader->calls->begin(reader);
        if (!op)
            return;
        os_op_prepare(op, &socket->port->base);
        socket->receives++;
    }
    socket->receive = NULL;
    if (have == 0) {
        complete(socket->port, op, socket->peer_err, 0);
        return;
    }
    have = MIN(have, MIN(op->size_bytes, socket->os->receive_bytes_max));
    memcpy(op->buffer, socket->in + socket->in_read, have);
    socket->in_read += have;
    complete(socket->port, op, OK, (int64_t)have);
}

static void out_add(struct fake_socket *socket, const uint8_t *data, size_t size_bytes)
{
    socket->out = realloc(socket->out, socket->out_size + size_bytes + 1);
    ASSERT(socket->out);
    memcpy(socket->out + socket->out_size, data, size_bytes);
    socket->out_size += size_bytes;
    socket->out_room -= size_bytes;
}

static void try_send(struct fake_socket *socket)
{
    struct os_op *op = socket->send;
    size_t skip = socket->send_progress;

    if (!op)
        return;
    if (socket->peer_ended && socket->peer_err != OK) {
        socket->send = NULL;
        complete(socket->port, op, socket->peer_err, 0);
        return;
    }
    for (size_t i = 0; i < op->slice_count; i++) {
        struct slice part = slice_sub(op->slices[i], skip, SIZE_MAX);
        size_t fits = MIN(part.size_bytes, socket->out_room);

        skip -= MIN(skip, op->slices[i].size_bytes);
        if (part.size_bytes == 0)
            continue;
        out_add(socket, part.data, fits);
        socket->send_progress += fits;
        if (fits < part.size_bytes)
            return;
    }
    socket->send = NULL;
    complete(socket->port, op, OK, (int64_t)socket->send_progress);
}

static void try_accept(struct fake_socket *socket)
{
    struct os_op *op = socket->accept;
    struct list_node *node = list_first(&socket->backlog);
    struct fake_socket *accepted;

    if (!op || !node)
        return;
    socket->accept = NULL;
    if (socket->accept_err != OK) {
        socket->accept_failures++;
        complete(socket->port, op, socket->accept_err, 0);
        return;
    }
    list_remove(node);
    accepted = LIST_ITEM(node, struct fake_socket, backlog_node);
    accepted->port = socket->port;
    op->accepted = &accepted->base;
    complete(socket->port, op, OK, 0);
}

static void port_submit(struct os_port *port, struct os_op *op)
{
    struct fake_socket *socket = socket_of(op->socket);

    ASSERT(!socket->is_closed && socket->port == CONTAINER_OF(port, struct fake_port, base));
    switch (op->kind) {
    case OS_OP_RECEIVE:
        ASSERT(!socket->receive && !socket->reader && op->size_bytes > 0);
        socket->receive = op;
        socket->receives++;
        try_receive(socket);
        return;
    case OS_OP_SEND:
        ASSERT(!socket->send && op->slice_count > 0);
        socket->send = op;
        socket->send_progress = 0;
        socket->sends++;
        try_send(socket);
        return;
    case OS_OP_ACCEPT:
        ASSERT(!socket->accept && socket->is_listening);
        socket->accept = op;
        try_accept(socket);
        return;
    default:
        ASSERT(false);
    }
}

static size_t port_poll(struct os_port *base, int64_t deadline_ns)
{
    struct fake_port *port = CONTAINER_OF(base, struct fake_port, base);
    struct list_node batch, *node;
    size_t count = 0;

    list_init(&batch);
    list_splice_back(&batch, &port->completed);
    while ((node = list_pop_front(&batch)) != NULL) {
        struct os_op *op = LIST_ITEM(node, struct os_op, node);

        op->done(op);
        count++;
    }
    return count;
}

static void port_wake(struct os_port *port)
{
    UNUSED(port);
}

static void port_on_ready(struct os_port *port, void (*turn)(void *context), void *context)
{
    UNUSED(port);
}

static void port_set_deadline(struct os_port *port, int64_t deadline_ns)
{
    UNUSED(port);
}

static struct fake_socket *socket_new(struct fake_os *fake)
{
    struct fake_socket *socket = calloc(1, sizeof(*socket));

    ASSERT(socket);
    socket->base.table = &fake->table;
    socket->os = fake;
    socket->out_room = SIZE_MAX;
    list_init(&socket->backlog);
    list_init(&socket->backlog_node);
    list_push_back(&fake->sockets, &socket->node);
    return socket;
}

static enum err fake_listen(struct os_port *port, const char *address, uint16_t port_number,
                            int backlog, struct os_socket **out)
{
    struct fake_os *fake = os_of(port->os);
    struct fake_socket *socket;

    if (port_number != 0 && fake_listener(fake, port_number))
        return ERR_ADDRESS_IN_USE;
    socket = socket_new(fake);
    socket->is_listening = true;
    socket->port = CONTAINER_OF(port, struct fake_port, base);
    fmt(socket->local.text, sizeof(socket->local.text), "10.0.0.1");
    socket->local.port_number = port_number ? port_number : fake->next_port++;
    *out = &socket->base;
    return OK;
}

static void cancel(struct fake_socket *socket, struct os_op **op)
{
    if (*op)
        complete(socket->port, *op, ERR_CANCELLED, 0);
    *op = NULL;
}

static void socket_close(struct os_socket *base, bool abort)
{
    struct fake_socket *socket = socket_of(base);

    ASSERT(!socket->is_closed);
    socket->reader = NULL;
    cancel(socket, &socket->receive);
    cancel(socket, &socket->send);
    cancel(socket, &socket->accept);
    socket->is_closed = true;
}

static void local_address(struct os_socket *socket, struct os_address *out)
{
    *out = socket_of(socket)->local;
}

static void peer_address(struct os_socket *socket, struct os_address *out)
{
    *out = socket_of(socket)->peer;
}

static void set_buffers(struct os_socket *socket, int send_bytes, int receive_bytes)
{
    UNUSED(socket);
}

static void await(struct os_socket *base, struct os_reader *reader)
{
    struct fake_socket *socket = socket_of(base);

    ASSERT(!socket->is_closed && !socket->receive && !socket->reader);
    if (socket->os->looks_in_vain && socket->in_read == socket->in_size && !socket->peer_ended) {
        struct os_op *op = reader->calls->begin(reader);

        if (!op)
            return;
        reader->calls->undo(reader, op);
    }
    socket->reader = reader;
    try_receive(socket);
}

static void detach(struct os_socket *base)
{
    struct fake_socket *socket = socket_of(base);

    ASSERT(!socket->reader && !socket->receive && !socket->send && socket->port);
    socket->port = NULL;
}

static void attach(struct os_socket *base, struct os_port *port)
{
    ASSERT(!socket_of(base)->port);
    socket_of(base)->port = CONTAINER_OF(port, struct fake_port, base);
}

void fake_os_init(struct fake_os *fake)
{
    *fake = (struct fake_os){
        .table =
            {
                .now_ns = now_ns,
                .wall_ms = wall_ms,
                .port_create = port_create,
                .port_release = port_release,
                .port_submit = port_submit,
                .port_poll = port_poll,
                .port_wake = port_wake,
                .port_on_ready = port_on_ready,
                .port_set_deadline = port_set_deadline,
                .listen = fake_listen,
                .socket_close = socket_close,
                .socket_local_address = local_address,
                .socket_peer_address = peer_address,
                .socket_set_buffers = set_buffers,
                .socket_detach = detach,
                .socket_attach = attach,
                .socket_await = await,
            },
        .now_ns = 1000000000,
        .next_port = 9000,
        .receive_bytes_max = SIZE_MAX,
    };
    fake->base.table = &fake->table;
    list_init(&fake->sockets);
}

size_t fake_os_release(struct fake_os *fake)
{
    struct list_node *node;
    size_t open = 0;

    LIST_EACH (each, &fake->sockets) {
        struct fake_socket *socket = LIST_ITEM(each, struct fake_socket, node);

        open += !socket->is_closed && list_is_empty(&socket->backlog_node);
        list_remove(&socket->backlog_node);
    }
    while ((node = list_pop_front(&fake->sockets)) != NULL) {
        struct fake_socket *socket = LIST_ITEM(node, struct fake_socket, node);

        free(socket->in);
        free(socket->out);
        free(socket);
    }
    return open;
}

struct fake_socket *fake_listener(struct fake_os *fake, uint16_t port_number)
{
    LIST_EACH (node, &fake->sockets) {
        struct fake_socket *socket = LIST_ITEM(node, struct fake_socket, node);

        if (socket->is_listening && !socket->is_closed && socket->local.port_number == port_number)
            return socket;
    }
    return NULL;
}

struct fake_socket *fake_connect(struct fake_os *fake, uint16_t port_number, const char *from)
{
    struct fake_socket *listener = fake_listener(fake, port_number);
    struct fake_socket *socket = socket_new(fake);

    ASSERT(listener);
    socket->local = listener->local;
    fmt(socket->peer.text, sizeof(socket->peer.text), "%s", from);
    socket->peer.port_number = fake->next_port++;
    list_push_back(&listener->backlog, &socket->backlog_node);
    try_accept(listener);
    return socket;
}

void fake_write(struct fake_socket *socket, const void *data, size_t size_bytes)
{
    socket->in = realloc(socket->in, socket->in_size + size_bytes + 1);
    ASSERT(socket->in);
    memcpy(socket->in + socket->in_size, data, size_bytes);
    socket->in_size += size_bytes;
    try_receive(socket);
}

void fake_end(struct fake_socket *socket, enum err err)
{
    socket->peer_ended = true;
    socket->peer_err = err;
    try_receive(socket);
}

void fake_break(struct fake_socket *socket)
{
    socket->in_read = socket->in_size;
    fake_end(socket, ERR_CONNECTION);
    try_send(socket);
}

void fake_take(struct fake_socket *socket, size_t size_bytes)
{
    socket->out_room += size_bytes;
    try_send(socket);
}
