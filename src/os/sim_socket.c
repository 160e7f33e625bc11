/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_socket.c: sockets as a process sees them: listening, accepting, sending, receiving,
 * closing.
 */
#include "os/sim_internal.h"

#include "base/fmt.h"

/* ---- life ---- */

struct sim_socket *sim_socket_new(struct sim_process *process, struct sim_port *port)
{
    struct sim_socket *socket = SIM_NEW(struct sim_socket);

    socket->socket.table = &sim_table;
    socket->process = process;
    socket->port = port;
    list_init(&socket->receives);
    list_init(&socket->sends);
    list_init(&socket->accepts);
    list_init(&socket->backlog);
    list_init(&socket->backlog_node);
    list_init(&socket->listener_node);
    list_push_back(&process->sockets, &socket->node);
    return socket;
}

void sim_socket_release(struct sim_socket *socket)
{
    ASSERT(!socket->connection);
    ASSERT(list_is_empty(&socket->receives) && list_is_empty(&socket->sends) &&
           list_is_empty(&socket->accepts));
    while (!list_is_empty(&socket->backlog))
        list_pop_front(&socket->backlog);
    list_remove(&socket->backlog_node);
    list_remove(&socket->listener_node);
    list_remove(&socket->node);
    sim_free(socket);
}

static void connection_leave(struct sim_socket *socket, bool abort)
{
    struct sim_connection *connection = TAKE(socket->connection);

    if (connection)
        sim_end_close(connection, socket->end, abort);
}

void sim_socket_end(struct sim_socket *socket, bool is_crash)
{
    list_remove(&socket->listener_node);
    if (!is_crash) /* else the whole kernel is about to forget it */
        connection_leave(socket, !list_is_empty(&socket->backlog_node));
}

static void works_cancel(struct list_node *works)
{
    while (!list_is_empty(works))
        sim_work_complete(LIST_ITEM(list_first(works), struct sim_work, socket_node), ERR_CANCELLED,
                          0);
}

void sim_socket_close(struct os_socket *os_socket, bool abort)
{
    struct sim_socket *socket = sim_socket_of(os_socket);

    socket->reader = NULL;
    works_cancel(&socket->accepts);
    works_cancel(&socket->receives);
    works_cancel(&socket->sends);
    while (!list_is_empty(&socket->backlog)) {
        struct sim_socket *waiting =
            LIST_ITEM(list_pop_front(&socket->backlog), struct sim_socket, backlog_node);

        connection_leave(waiting, true);
        sim_socket_release(waiting);
    }
    connection_leave(socket, abort);
    sim_socket_release(socket);
}

/* ---- listening ---- */

static bool address_collides(const struct sim_machine *machine, const struct sim_socket *socket)
{
    LIST_EACH (node, &machine->listeners) {
        const struct sim_socket *other = LIST_ITEM(node, struct sim_socket, listener_node);

        if (other->port_number == socket->port_number &&
            (other->is_any_address || socket->is_any_address ||
             strcmp(other->address, socket->address) == 0))
            return true;
    }
    return false;
}

enum err sim_listen(struct os_port *os_port, const char *address, uint16_t port_number, int backlog,
                    struct os_socket **out)
{
    struct sim_port *port = sim_port_of(os_port);
    struct sim_machine *machine = port->process->machine;
    struct sim_socket *socket;
    char canonical[OS_ADDRESS_TEXT_BYTES] = "";
    bool is_any =
        address[0] == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;

    if (!port->process->is_alive)
        return ERR_CRASHED;
    if (!is_any && sim_resolve(machine, address, canonical) != machine)
        return ERR_ADDRESS;
    socket = sim_socket_new(port->process, port);
    socket->is_listener = true;
    socket->is_any_address = is_any;
    socket->backlog_max = backlog > 0 ? (size_t)backlog : 1;
    socket->send_bytes = (size_t)machine->sim->options.socket_send_bytes;
    socket->receive_bytes = (size_t)machine->sim->options.socket_receive_bytes;
    fmt(socket->address, sizeof(socket->address), "%s", is_any ? machine->address : canonical);
    socket->port_number = port_number ? port_number : sim_free_port(machine);
    if (address_collides(machine, socket)) {
        sim_socket_release(socket);
        return ERR_ADDRESS_IN_USE;
    }
    list_push_back(&machine->listeners, &socket->listener_node);
    sim_note(machine->sim, machine, "listen", socket->port_number, address);
    *out = &socket->socket;
    return OK;
}

static void accepts_settle(struct sim_socket *listener)
{
    while (!list_is_empty(&listener->accepts) && !list_is_empty(&listener->backlog)) {
        struct sim_work *work =
            LIST_ITEM(list_first(&listener->accepts), struct sim_work, socket_node);
        struct sim_socket *socket =
            LIST_ITEM(list_pop_front(&listener->backlog), struct sim_socket, backlog_node);

        listener->backlog_count--;
        socket->port = work->port;
        work->op->accepted = &socket->socket;
        sim_note(listener->process->machine->sim, listener->process->machine, "accept", 0, "");
        sim_work_complete(work, OK, 0);
    }
}

/* ---- sending and receiving ---- */

static bool receive_settle(struct sim_socket *socket, struct sim_work *work)
{
    struct sim_connection *connection = socket->connection;
    struct sim_flow *flow = &connection->flows[!socket->end];
    struct sim_end *end = &connection->ends[socket->end];

    if (flow->received.size > 0) {
        size_t size = sim_queue_take(&flow->received, work->op->buffer, work->op->size_bytes);

        sim_work_complete(work, OK, (int64_t)size);
        sim_flow_pump(connection, !socket->end);
        return true;
    }
    if (flow->fin_received)
        sim_work_complete(work, OK, 0);
    else if (end->err != OK)
        sim_work_complete(work, end->err, 0);
    else
        return false;
    return true;
}

static bool send_settle(struct sim_socket *socket, struct sim_work *work)
{
    struct sim_connection *connection = socket->connection;
    struct sim_end *end = &connection->ends[socket->end];
    const struct os_op *op = work->op;
    size_t space = sim_end_space(connection, socket->end);
    int64_t total = 0;

    if (end->err != OK) {
        sim_work_complete(work, end->err, 0);
        return true;
    }
    while (work->slice_index < op->slice_count) {
        const struct slice *slice = &op->slices[work->slice_index];
        size_t part = MIN(space, slice->size_bytes - work->slice_bytes);

        if (part > 0)
            sim_queue_put(&connection->flows[socket->end].bytes, slice->data + work->slice_bytes,
                          part);
        space -= part;
        work->slice_bytes += part;
        if (work->slice_bytes < slice->size_bytes)
            break;
        work->slice_index++;
        work->slice_bytes = 0;
    }
    sim_flow_pump(connection, socket->end);
    if (work->slice_index < op->slice_count)
        return false;
    for (size_t i = 0; i < op->slice_count; i++)
        total += (int64_t)op->slices[i].size_bytes;
    sim_work_complete(work, OK, total);
    return true;
}

/* Asks for the operation that there is something for. */
static void reader_settle(struct sim_socket *socket)
{
    struct os_reader *reader;
    struct os_op *op;

    if (!socket->reader || !sim_socket_is_readable(&socket->socket))
        return;
    reader = TAKE(socket->reader);
    op = reader->calls->begin(reader);
    if (!op)
        return;
    os_op_prepare(op, &socket->port->port);
    sim_port_submit(&socket->port->port, op);
}

void sim_socket_await(struct os_socket *os_socket, struct os_reader *reader)
{
    struct sim_socket *socket = sim_socket_of(os_socket);

    ASSERT(socket->port && !socket->is_listener);
    ASSERT(!socket->reader && list_is_empty(&socket->receives));
    socket->reader = reader;
    if (socket->process->is_alive)
        reader_settle(socket);
}

void sim_socket_settle(struct sim_socket *socket)
{
    if (socket->is_listener) {
        accepts_settle(socket);
        return;
    }
    ASSERT(socket->connection != NULL);
    while (!list_is_empty(&socket->receives) &&
           receive_settle(socket,
                          LIST_ITEM(list_first(&socket->receives), struct sim_work, socket_node)))
        ;
    reader_settle(socket);
    while (!list_is_empty(&socket->sends) &&
           send_settle(socket, LIST_ITEM(list_first(&socket->sends), struct sim_work, socket_node)))
        ;
}

void sim_socket_submit(struct sim_work *work)
{
    struct os_op *op = work->op;
    struct sim_socket *socket = sim_socket_of(op->socket);

    ASSERT(socket->process == work->port->process);
    ASSERT(socket->port == work->port);
    ASSERT(socket->is_listener == (op->kind == OS_OP_ACCEPT));
    switch (op->kind) {
    case OS_OP_ACCEPT:
        list_push_back(&socket->accepts, &work->socket_node);
        break;
    case OS_OP_RECEIVE:
        ASSERT(op->size_bytes > 0 && !socket->reader);
        list_push_back(&socket->receives, &work->socket_node);
        break;
    default:
        ASSERT(op->kind == OS_OP_SEND);
        list_push_back(&socket->sends, &work->socket_node);
        break;
    }
    sim_socket_settle(socket);
}

/* ---- the rest ---- */

void sim_socket_local_address(struct os_socket *os_socket, struct os_address *out)
{
    const struct sim_socket *socket = sim_socket_of(os_socket);

    fmt(out->text, sizeof(out->text), "%s", socket->address);
    out->port_number = socket->port_number;
    if (socket->connection) {
        const struct sim_end *end = &socket->connection->ends[socket->end];

        fmt(out->text, sizeof(out->text), "%s", end->address);
        out->port_number = end->port_number;
    }
}

void sim_socket_peer_address(struct os_socket *os_socket, struct os_address *out)
{
    const struct sim_socket *socket = sim_socket_of(os_socket);

    if (socket->connection) {
        const struct sim_end *end = &socket->connection->ends[!socket->end];

        fmt(out->text, sizeof(out->text), "%s", end->address);
        out->port_number = end->port_number;
    }
}

void sim_socket_set_buffers(struct os_socket *os_socket, int send_bytes, int receive_bytes)
{
    struct sim_socket *socket = sim_socket_of(os_socket);

    if (send_bytes > 0)
        socket->send_bytes = (size_t)send_bytes;
    if (receive_bytes > 0)
        socket->receive_bytes = (size_t)receive_bytes;
    if (!socket->connection)
        return;
    if (send_bytes > 0)
        socket->connection->ends[socket->end].send_bytes = (size_t)send_bytes;
    if (receive_bytes > 0)
        socket->connection->ends[socket->end].receive_bytes = (size_t)receive_bytes;
}

void sim_socket_detach(struct os_socket *os_socket)
{
    struct sim_socket *socket = sim_socket_of(os_socket);

    ASSERT(list_is_empty(&socket->receives) && list_is_empty(&socket->sends) &&
           list_is_empty(&socket->accepts) && !socket->reader);
    socket->port = NULL;
}

void sim_socket_attach(struct os_socket *os_socket, struct os_port *os_port)
{
    struct sim_socket *socket = sim_socket_of(os_socket);

    ASSERT(!socket->port);
    ASSERT(socket->process == sim_port_of(os_port)->process);
    socket->port = sim_port_of(os_port);
}

bool sim_socket_is_readable(struct os_socket *os_socket)
{
    const struct sim_socket *socket = sim_socket_of(os_socket);
    const struct sim_flow *flow;

    if (socket->is_listener)
        return !list_is_empty(&socket->backlog);
    if (!socket->connection)
        return false;
    flow = &socket->connection->flows[!socket->end];
    return flow->received.size > 0 || flow->fin_received ||
           socket->connection->ends[socket->end].err != OK;
}

/* ---- schedules ---- */

void sim_connections_reset(struct os *a, struct os *b)
{
    const struct sim_machine *one = sim_process_of(a)->machine;
    const struct sim_machine *two = sim_process_of(b)->machine;

    LIST_EACH_SAFE (node, &one->sim->connections) {
        struct sim_connection *connection = LIST_ITEM(node, struct sim_connection, node);
        const struct sim_end *ends = connection->ends;

        if ((ends[0].machine == one && ends[1].machine == two) ||
            (ends[0].machine == two && ends[1].machine == one))
            sim_connection_reset(connection);
    }
}

void sim_socket_cut(struct os_socket *os_socket, int64_t after_bytes)
{
    struct sim_socket *socket = sim_socket_of(os_socket);

    ASSERT(socket->connection != NULL && after_bytes >= 0);
    if (after_bytes == 0)
        sim_connection_reset(socket->connection);
    else
        socket->connection->flows[socket->end].cut_bytes = after_bytes;
}

size_t sim_machine_connections(const struct os *os)
{
    const struct sim_process *process = sim_process_of(os)->machine->process;
    size_t count = 0;

    if (!process)
        return 0;
    LIST_EACH (node, &process->sockets) {
        const struct sim_socket *socket = LIST_ITEM(node, struct sim_socket, node);

        count += socket->connection && socket->connection->ends[socket->end].err == OK;
    }
    return count;
}
