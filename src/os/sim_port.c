/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_port.c: a shard's gate in the simulator. Each operation under way is a `work` in memory of
 * ours: its event finishes it, then it waits in `ready` for the poll.
 * Invariant  `done` is called only by sim_port_poll.
 */
#include "os/sim_internal.h"

#include "base/leak.h"

/* ---- turns ---- */

static void turn_schedule(struct sim_port *port)
{
    struct sim_machine *machine = port->process->machine;
    struct sim *sim = machine->sim;

    if (sim_is_scheduled(&port->ready_event) || !list_is_empty(&port->ready_event.held))
        return;
    sim_schedule(
        sim, &port->ready_event,
        sim_later(sim->now_ns, sim_draw(&machine->turn_random, &sim->options.turn_latency)));
}

static void turn_run(struct sim *sim, struct sim_port *port)
{
    struct sim_process *process = port->process;

    ASSERT(process->is_alive);
    if (!port->turn)
        return;
    sim_note(sim, process->machine, "turn", 0, "");
    sim->in_turn = process;
    sim->turn_port = port;
    port->turn(port->context);
    sim->in_turn = NULL;
    if (sim->turn_port == port && process->is_alive && !list_is_empty(&port->ready))
        turn_schedule(port);
    sim->turn_port = NULL;
}

static void ready_run(struct sim *sim, struct sim_event *event)
{
    struct sim_port *port = CONTAINER_OF(event, struct sim_port, ready_event);

    if (!sim_hold(port->process, event))
        turn_run(sim, port);
}

static void deadline_run(struct sim *sim, struct sim_event *event)
{
    struct sim_port *port = CONTAINER_OF(event, struct sim_port, deadline_event);

    if (sim_hold(port->process, event))
        return;
    port->deadline_ns = INT64_MAX;
    turn_run(sim, port);
}

void sim_port_wake(struct os_port *port)
{
    if (sim_port_of(port)->process->is_alive)
        turn_schedule(sim_port_of(port));
}

void sim_port_on_ready(struct os_port *port, void (*turn)(void *context), void *context)
{
    struct sim_port *self = sim_port_of(port);

    self->turn = turn;
    self->context = context;
    if (self->process->is_alive && !list_is_empty(&self->ready))
        turn_schedule(self);
}

static void deadline_schedule(struct sim_port *port)
{
    struct sim_machine *machine = port->process->machine;
    struct sim *sim = machine->sim;

    if (port->deadline_ns == INT64_MAX) {
        sim_unschedule(sim, &port->deadline_event);
        return;
    }
    sim_schedule(sim, &port->deadline_event,
                 sim_later(sim_process_when(port->process, port->deadline_ns),
                           sim_draw(&machine->turn_random, &sim->options.turn_latency)));
}

void sim_port_set_deadline(struct os_port *port, int64_t deadline_ns)
{
    struct sim_port *self = sim_port_of(port);

    if (!self->process->is_alive || deadline_ns == self->deadline_ns)
        return;
    self->deadline_ns = deadline_ns;
    deadline_schedule(self);
}

void sim_port_clock_changed(struct sim_port *port)
{
    if (sim_is_scheduled(&port->deadline_event))
        deadline_schedule(port);
}

/* ---- life ---- */

enum err sim_port_create(struct os *os, struct os_port **out)
{
    struct sim_process *process = sim_process_of(os);
    struct sim_port *port;

    if (!process->is_alive)
        return ERR_CRASHED;
    port = SIM_NEW(struct sim_port);
    port->process = process;
    port->deadline_ns = INT64_MAX;
    list_init(&port->under_way);
    list_init(&port->ready);
    sim_event_init(&port->ready_event, "turn", process->machine, ready_run);
    sim_event_init(&port->deadline_event, "deadline", process->machine, deadline_run);
    list_push_back(&process->ports, &port->node);
    *out = &port->port;
    return OK;
}

static void work_free(struct sim_work *work)
{
    struct sim *sim = sim_of(work->port->process);

    sim_unschedule(sim, &work->event);
    sim_free(work->job_delays_ns);
    sim_io_forget(&work->io);
    sim_connect_forget(work);
    list_remove(&work->socket_node);
    list_remove(&work->node);
    sim_free(work);
}

/* Connects have no handle that could be closed: they end with their port. */
static void connects_cancel(struct sim_port *port)
{
    LIST_EACH_SAFE (node, &port->under_way) {
        struct sim_work *work = LIST_ITEM(node, struct sim_work, node);

        if (work->op->kind == OS_OP_CONNECT)
            sim_connect_cancel(work);
    }
    while (!list_is_empty(&port->ready)) {
        struct sim_work *work = LIST_ITEM(list_first(&port->ready), struct sim_work, node);
        struct os_op *op = work->op;

        ASSERT(op->kind == OS_OP_CONNECT);
        if (op->accepted)
            os_socket_close(&op->accepted, true);
        op->err = ERR_CANCELLED;
        work_free(work);
        op->done(op);
    }
}

void sim_port_release(struct os_port *port)
{
    struct sim_port *self = sim_port_of(port);
    struct sim_process *process = self->process;
    struct sim *sim = sim_of(process);

    if (process->is_alive)
        connects_cancel(self);
    ASSERT(!process->is_alive || (list_is_empty(&self->under_way) && list_is_empty(&self->ready)));
    while (!list_is_empty(&self->under_way))
        work_free(LIST_ITEM(list_first(&self->under_way), struct sim_work, node));
    while (!list_is_empty(&self->ready))
        work_free(LIST_ITEM(list_first(&self->ready), struct sim_work, node));
    LIST_EACH (node, &process->sockets) {
        struct sim_socket *socket = LIST_ITEM(node, struct sim_socket, node);

        if (socket->port == self)
            socket->port = NULL;
    }
    sim_unschedule(sim, &self->ready_event);
    sim_unschedule(sim, &self->deadline_event);
    if (sim->turn_port == self)
        sim->turn_port = NULL;
    list_remove(&self->node);
    sim_free(self);
}

/* ---- operations ---- */

void sim_work_complete(struct sim_work *work, enum err err, int64_t result)
{
    struct sim_port *port = work->port;

    ASSERT(port->process->is_alive);
    work->op->err = err;
    work->op->result = result;
    sim_unschedule(sim_of(port->process), &work->event);
    list_remove(&work->socket_node);
    list_remove(&work->node);
    list_push_back(&port->ready, &work->node);
    if (port->turn)
        turn_schedule(port);
}

static void file_call_finish(struct sim_work *work)
{
    struct sim_process *process = work->port->process;
    struct os_op *op = work->op;
    enum err err = sim_io_finish(process, &work->io);

    switch (op->kind) {
    case OS_OP_OPEN:
        op->file = work->io.opened;
        break;
    case OS_OP_STAT:
        op->stat = work->io.stat;
        break;
    case OS_OP_LIST:
        op->names = work->io.names;
        break;
    default:
        break;
    }
    sim_work_complete(work, err, err == OK ? work->io.result : 0);
}

static void work_run(struct sim *sim, struct sim_event *event)
{
    struct sim_work *work = CONTAINER_OF(event, struct sim_work, event);

    ASSERT(work->port->process->is_alive);
    switch (work->op->kind) {
    case OS_OP_JOB:
        if (!sim_hold(work->port->process, event))
            sim_job_run(sim, work);
        return;
    case OS_OP_CLOSE:
        os_file_close(&work->op->file);
        sim_work_complete(work, OK, 0);
        return;
    default:
        file_call_finish(work);
        return;
    }
}

static bool io_from_op(struct sim_io *io, const struct os_op *op)
{
    static const struct {
        bool is_call;
        enum sim_call call;
    } calls[] = {
        [OS_OP_READ] = {true, SIM_CALL_READ},
        [OS_OP_WRITE] = {true, SIM_CALL_WRITE},
        [OS_OP_SYNC] = {true, SIM_CALL_SYNC},
        [OS_OP_TRUNCATE] = {true, SIM_CALL_TRUNCATE},
        [OS_OP_OPEN] = {true, SIM_CALL_OPEN},
        [OS_OP_STAT] = {true, SIM_CALL_STAT},
        [OS_OP_LIST] = {true, SIM_CALL_LIST},
        [OS_OP_MAKE_DIRECTORY] = {true, SIM_CALL_MAKE_DIRECTORY},
        [OS_OP_SYNC_DIRECTORY] = {true, SIM_CALL_SYNC_DIRECTORY},
        [OS_OP_UNLINK] = {true, SIM_CALL_UNLINK},
        [OS_OP_REMOVE_DIRECTORY] = {true, SIM_CALL_REMOVE_DIRECTORY},
        [OS_OP_RENAME] = {true, SIM_CALL_RENAME},
        [OS_OP_SEND] = {false, SIM_CALL_COUNT},
    };

    if (!calls[op->kind].is_call)
        return false;
    *io = (struct sim_io){.call = calls[op->kind].call,
                          .path = op->path,
                          .path_to = op->kind == OS_OP_RENAME ? op->path_to : NULL,
                          .flags = op->flags,
                          .buffer = op->buffer,
                          .slices = op->slices,
                          .slice_count = op->slice_count,
                          .position_bytes = op->position_bytes,
                          .size_bytes = (int64_t)op->size_bytes,
                          .arena = op->arena};
    switch (op->kind) {
    case OS_OP_READ:
    case OS_OP_WRITE:
    case OS_OP_SYNC:
    case OS_OP_TRUNCATE:
        io->file = CONTAINER_OF(op->file, struct sim_file, file);
        io->path = NULL;
        io->path_to = NULL;
        break;
    default:
        break;
    }
    return true;
}

void sim_port_submit(struct os_port *os_port, struct os_op *op)
{
    struct sim_port *port = sim_port_of(os_port);
    struct sim_process *process = port->process;
    struct sim_machine *machine = process->machine;
    struct sim *sim = machine->sim;
    struct sim_work *work = SIM_NEW(struct sim_work);

    work->op = op;
    work->port = port;
    list_init(&work->socket_node);
    list_push_back(&port->under_way, &work->node);
    sim_event_init(&work->event, "operation", machine, work_run);
    if (!process->is_alive) {
        leak_on_purpose(op); /* unless a poll comes, which answers */
        return;
    }
    switch (op->kind) {
    case OS_OP_JOB:
        sim_schedule(
            sim, &work->event,
            sim_later(sim->now_ns, sim_draw(&machine->turn_random, &sim->options.job_latency)));
        return;
    case OS_OP_CLOSE:
        sim_schedule(
            sim, &work->event,
            sim_later(sim->now_ns, sim_draw(&machine->disk_random, &machine->disk_latency)));
        return;
    case OS_OP_CONNECT:
        sim_connect_submit(work);
        return;
    case OS_OP_ACCEPT:
    case OS_OP_RECEIVE:
    case OS_OP_SEND:
        sim_socket_submit(work);
        return;
    default:
        break;
    }
    work->is_file_call = io_from_op(&work->io, op);
    ASSERT(work->is_file_call);
    if (sim_io_begin(process, &work->io) != OK)
        return; /* it was this call that ended the process */
    sim_schedule(sim, &work->event, sim_later(sim->now_ns, sim_io_latency(process, &work->io)));
}

static void poll_dead(struct sim_work *work)
{
    struct os_op *op = work->op;

    op->err = ERR_CRASHED;
    op->result = 0;
    op->accepted = NULL;
    if (op->kind == OS_OP_OPEN)
        op->file = NULL; /* if it was opened, the simulation frees it */
    if (op->kind == OS_OP_CLOSE)
        os_file_close(&op->file);
}

size_t sim_port_poll(struct os_port *os_port, int64_t deadline_ns)
{
    struct sim_port *port = sim_port_of(os_port);
    struct sim_process *process = port->process;
    bool was_alive = process->is_alive;
    size_t limit = 0;
    size_t count = 0;

    ASSERT(deadline_ns == 0); /* nobody sleeps in the simulator */
    if (!was_alive)
        list_splice_back(&port->ready, &port->under_way);
    LIST_EACH (node, &port->ready)
        limit++;
    /* What completes meanwhile waits for the next turn; a `done` may end the process. */
    while (count < limit && process->is_alive == was_alive) {
        struct sim_work *work = LIST_ITEM(list_pop_front(&port->ready), struct sim_work, node);
        struct os_op *op = work->op;

        if (!was_alive)
            poll_dead(work);
        work_free(work);
        count++;
        op->done(op);
    }
    return count;
}

/* ---- the end of the process ---- */

void sim_port_cut(struct sim_port *port)
{
    LIST_EACH (node, &port->under_way) {
        struct sim_work *work = LIST_ITEM(node, struct sim_work, node);

        if (work->is_file_call && sim_is_scheduled(&work->event) &&
            !(work->io.has_fault && work->io.effect == SIM_EFFECT_ERROR))
            sim_io_cut(port->process, &work->io);
    }
}

void sim_port_end(struct sim_port *port)
{
    struct sim *sim = sim_of(port->process);

    LIST_EACH (node, &port->under_way) {
        struct sim_work *work = LIST_ITEM(node, struct sim_work, node);

        sim_unschedule(sim, &work->event);
        sim_io_forget(&work->io);
        sim_connect_forget(work);
        list_remove(&work->socket_node);
        leak_on_purpose(work->op); /* what waits for it may be known by nobody else */
    }
    LIST_EACH (node, &port->ready)
        leak_on_purpose(LIST_ITEM(node, struct sim_work, node)->op);
    sim_unschedule(sim, &port->ready_event);
    sim_unschedule(sim, &port->deadline_event);
}
