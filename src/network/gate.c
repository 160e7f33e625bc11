/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/gate.c: the gate's life: made, bound, opened, stopped. It is freed when it was released
 * and the last connection that it let in has ended.
 */
#include "network/gate_internal.h"

static void gate_work(struct deferred *deferred)
{
    struct network_gate *gate = CONTAINER_OF(deferred, struct network_gate, work);

    if (gate->is_stopping) {
        gate_check_stopped(gate);
        return;
    }
    gate_evict(gate); /* the limit may have sunk */
    gate_go(gate);
}

enum err network_gate_create(struct reactor *reactor, struct logger *logger,
                             struct network *const *networks, size_t network_count,
                             struct network_gate **out)
{
    struct network_gate *gate;

    ASSERT(network_count > 0 && network_count <= UINT16_MAX);
    *out = NULL;
    gate = ALLOCATOR_NEW(&heap_allocator, struct network_gate);
    if (!gate)
        return ERR_NO_MEMORY;
    gate->networks = allocator_zeroed(&heap_allocator, network_count * sizeof(*gate->networks));
    if (!gate->networks) {
        ALLOCATOR_DELETE(&heap_allocator, gate);
        return ERR_NO_MEMORY;
    }
    gate->user_bytes = networks[0]->handler->user_bytes;
    for (size_t i = 0; i < network_count; i++) {
        ASSERT(networks[i]->handler->user_bytes == gate->user_bytes);
        gate->networks[i].network = networks[i];
    }
    gate->network_count = network_count;
    gate->reactor = reactor;
    gate->logger = logger;
    gate->refused_logged_ms = INT64_MIN / 2;
    list_init(&gate->listeners);
    list_init(&gate->held);
    gate_ips_init(gate);
    deferred_init(&gate->work, gate_work);
    *out = gate;
    return OK;
}

enum err network_gate_listen(struct network_gate *gate, const struct network_listen *listen,
                             uint16_t *port_out, struct why *why)
{
    struct gate_listener *listener = ALLOCATOR_NEW(&heap_allocator, struct gate_listener);
    struct os_address local;
    enum err err;

    if (!listener)
        return ERR_NO_MEMORY;
    err = os_listen(reactor_port(gate->reactor), listen->address, listen->port, listen->backlog,
                    &listener->socket);
    if (err != OK) {
        ALLOCATOR_DELETE(&heap_allocator, listener);
        return why_set(why, err, "listening on %s:%u: %s",
                       listen->address && listen->address[0] ? listen->address : "*",
                       (unsigned)listen->port, err_text(err));
    }
    os_socket_local_address(listener->socket, &local);
    listener->gate = gate;
    listener->options = *listen;
    listener->options.address = NULL; /* the caller's */
    listener->options.port = local.port_number;
    listener_init(listener);
    list_push_back(&gate->listeners, &listener->node);
    gate->listener_count++;
    *port_out = local.port_number;
    return OK;
}

void network_gate_open(struct network_gate *gate)
{
    LIST_EACH (node, &gate->listeners)
        LIST_ITEM(node, struct gate_listener, node)->is_open = true;
    reactor_defer(gate->reactor, &gate->work);
}

int64_t network_gate_connections(const struct network_gate *gate)
{
    return gate->connections;
}

/* ---- the end ---- */

static void listeners_close(struct network_gate *gate)
{
    LIST_EACH (node, &gate->listeners) {
        struct gate_listener *listener = LIST_ITEM(node, struct gate_listener, node);

        timer_cancel(gate->reactor, &listener->timer);
        os_socket_close(&listener->parked, false);
        os_socket_close(&listener->socket, false); /* an accept under way is cancelled */
    }
}

/* A start that failed behind its listeners ends without a stop. */
static bool was_never_opened(const struct network_gate *gate)
{
    LIST_EACH (node, &gate->listeners)
        if (LIST_ITEM(node, struct gate_listener, node)->is_open)
            return false;
    return true;
}

void network_gate_stop(struct network_gate *gate, void (*done)(void *context), void *context)
{
    ASSERT(!gate->is_stopping);
    gate->is_stopping = true;
    gate->stopped = done;
    gate->stopped_context = context;
    gate_held_release(gate);
    listeners_close(gate);
    reactor_defer(gate->reactor, &gate->work);
}

void gate_check_stopped(struct network_gate *gate)
{
    if (gate->is_stopped)
        return;
    LIST_EACH (node, &gate->listeners) {
        if (LIST_ITEM(node, struct gate_listener, node)->is_accepting)
            return;
    }
    gate->is_stopped = true;
    if (gate->stopped)
        gate->stopped(gate->stopped_context);
}

void gate_free_unused(struct network_gate *gate)
{
    if (!gate->is_released || gate->connections > 0)
        return;
    for (size_t i = 0; i < gate->network_count; i++) {
        if (gate->networks[i].asked > 0)
            return; /* mail about an eviction is on its way */
    }
    LIST_EACH_SAFE (node, &gate->listeners)
        listener_release(LIST_ITEM(node, struct gate_listener, node));
    gate_ips_release(gate);
    heap_allocator.release(&heap_allocator, gate->networks,
                           gate->network_count * sizeof(*gate->networks));
    ALLOCATOR_DELETE(&heap_allocator, gate);
}

void network_gate_release(struct network_gate **gate)
{
    struct network_gate *gone = *gate;

    *gate = NULL;
    if (!gone)
        return;
    ASSERT(gone->is_stopped || was_never_opened(gone));
    if (!gone->is_stopped)
        listeners_close(gone);
    reactor_defer_cancel(gone->reactor, &gone->work);
    gone->is_released = true;
    gate_free_unused(gone);
}
