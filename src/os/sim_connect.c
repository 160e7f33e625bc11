/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_connect.c: making a connection: the request travels to the listener's kernel, its answer
 * travels back. Either is sent again while the way is blocked, until the timeout.
 */
#include "os/sim_internal.h"

#include "base/fmt.h"

enum connect_stage {
    STAGE_REQUEST, /* to the listener */
    STAGE_ANSWER,  /* back: accepted */
    STAGE_REFUSED, /* back: nobody listens */
    STAGE_UNKNOWN, /* no such address */
};

struct sim_connect {
    struct sim_event event;
    struct sim_work *work;
    enum connect_stage stage;
    struct sim_machine *from;
    struct sim_machine *to;
    char address[OS_ADDRESS_TEXT_BYTES];
    int64_t started_ns;
    int64_t retry_ns;
    struct sim_socket *socket; /* ours, once the listener's kernel knows us */
};

static void connect_end(struct sim_connect *connect, enum err err)
{
    struct sim_work *work = connect->work;

    sim_note(connect->from->sim, connect->from, "connect", (int64_t)err, connect->address);
    if (err == OK)
        work->op->accepted = &connect->socket->socket;
    else if (connect->socket)
        sim_socket_close(&connect->socket->socket, true);
    sim_work_complete(work, err, 0);
}

static void again(struct sim_connect *connect)
{
    struct sim *sim = connect->from->sim;

    if (sim->now_ns - connect->started_ns >= sim->options.connect_timeout_ns) {
        connect_end(connect, ERR_TIMEOUT);
        return;
    }
    sim_schedule(sim, &connect->event,
                 MIN(sim_later(sim->now_ns, connect->retry_ns),
                     sim_later(connect->started_ns, sim->options.connect_timeout_ns)));
    connect->retry_ns = MIN(2 * connect->retry_ns, sim->options.retransmit_ns_max);
}

static void answer(struct sim_connect *connect, enum connect_stage stage)
{
    connect->stage = stage;
    sim_schedule(connect->from->sim, &connect->event,
                 sim_link_arrival(connect->to, connect->from, 0));
}

static void ends_name(struct sim_connect *connect, struct sim_connection *connection,
                      uint16_t port_number)
{
    bool is_loopback =
        connect->from == connect->to && strcmp(connect->address, connect->to->address) != 0;

    fmt(connection->ends[1].address, OS_ADDRESS_TEXT_BYTES, "%s", connect->address);
    connection->ends[1].port_number = port_number;
    fmt(connection->ends[0].address, OS_ADDRESS_TEXT_BYTES, "%s",
        is_loopback ? connect->address : connect->from->address);
    connection->ends[0].port_number = sim_free_port(connect->from);
}

static void request_arrives(struct sim_connect *connect)
{
    struct sim *sim = connect->from->sim;
    const struct os_op *op = connect->work->op;
    struct sim_socket *listener;
    struct sim_connection *connection;
    struct sim_socket *accepted;

    if (!connect->to->is_powered || sim_is_blocked(connect->from, connect->to)) {
        again(connect);
        return;
    }
    listener = sim_listener_find(connect->to, connect->address, op->port_number);
    if (!listener) {
        answer(connect, STAGE_REFUSED);
        return;
    }
    if (listener->backlog_count >= listener->backlog_max) {
        again(connect); /* the kernel drops the request */
        return;
    }
    connection = sim_connection_new(sim, connect->from, connect->to);
    ends_name(connect, connection, op->port_number);
    connect->socket = sim_socket_new(connect->work->port->process, connect->work->port);
    accepted = sim_socket_new(listener->process, NULL);
    connect->socket->connection = connection;
    connect->socket->end = 0;
    accepted->connection = connection;
    accepted->end = 1;
    connection->ends[0].socket = connect->socket;
    connection->ends[1].socket = accepted;
    connection->ends[1].send_bytes = listener->send_bytes;
    connection->ends[1].receive_bytes = listener->receive_bytes;
    list_push_back(&listener->backlog, &accepted->backlog_node);
    listener->backlog_count++;
    sim_socket_settle(listener);
    answer(connect, STAGE_ANSWER);
}

static void connect_event(struct sim *sim, struct sim_event *event)
{
    struct sim_connect *connect = CONTAINER_OF(event, struct sim_connect, event);

    UNUSED(sim);
    if (connect->stage == STAGE_UNKNOWN) {
        connect_end(connect, ERR_ADDRESS);
        return;
    }
    if (connect->stage == STAGE_REQUEST) {
        request_arrives(connect);
        return;
    }
    if (connect->socket && connect->socket->connection->ends[0].err != OK) {
        connect_end(connect, connect->socket->connection->ends[0].err);
        return;
    }
    if (sim_is_blocked(connect->to, connect->from) ||
        (connect->stage == STAGE_ANSWER && !connect->to->is_powered)) {
        if (connect->stage == STAGE_REFUSED)
            connect->stage = STAGE_REQUEST; /* asked anew */
        again(connect);
        return;
    }
    connect_end(connect, connect->stage == STAGE_REFUSED ? ERR_CONNECTION : OK);
}

void sim_connect_submit(struct sim_work *work)
{
    struct sim_machine *machine = work->port->process->machine;
    struct sim *sim = machine->sim;
    struct sim_connect *connect = SIM_NEW(struct sim_connect);

    work->connect = connect;
    connect->work = work;
    connect->from = machine;
    connect->started_ns = sim->now_ns;
    connect->retry_ns = MIN(SIM_RETRANSMIT_NS, sim->options.retransmit_ns_max);
    sim_event_init(&connect->event, "connect", machine, connect_event);
    connect->to = sim_resolve(machine, work->op->address, connect->address);
    if (connect->to) {
        sim_schedule(sim, &connect->event, sim_link_arrival(machine, connect->to, 0));
        return;
    }
    connect->stage = STAGE_UNKNOWN;
    sim_schedule(sim, &connect->event, sim_link_arrival(machine, machine, 0));
}

void sim_connect_cancel(struct sim_work *work)
{
    connect_end(work->connect, ERR_CANCELLED);
}

void sim_connect_forget(struct sim_work *work)
{
    struct sim_connect *connect = TAKE(work->connect);

    if (!connect)
        return;
    sim_unschedule(connect->from->sim, &connect->event);
    sim_free(connect);
}
