/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/accept.c: the loop of one listener. Whoever may not come in yet waits: in the kernel's
 * backlog as long as no accept is under way, else parked here, one socket per listener. Checks in
 * Kafka's order: slots of listener and node, their rates (both delay), the rate of the address
 * (holds, then closes), the number of the address's connections (closes).
 */
#include "network/gate_internal.h"

#include "base/memory_reserve.h"

#include <math.h>

static double rate_limit(int32_t rate_max)
{
    return rate_max == INT32_MAX ? INFINITY : (double)rate_max;
}

/* Of addresses above max.connections.per.ip; at most one line per second. */
static void log_refused(struct network_gate *gate, const char *address)
{
    int64_t now_ms = reactor_now_ms(gate->reactor);

    gate->refused++;
    if (now_ms - gate->refused_logged_ms < 1000)
        return;
    LOG_INFO(gate->logger, "network", "connection_refused",
             "address=%s reason=max.connections.per.ip count=%lld", address,
             (long long)gate->refused);
    gate->refused = 0;
    gate->refused_logged_ms = now_ms;
}

/* The entry of this address; NULL: no memory. Mostly the first: a listener is found by a few addresses. Where they are
 * many, as of a client in the whole of 127.0.0.0/8, an address may have more than one. */
static struct gate_local *local_get(struct gate_listener *listener, struct os_socket *socket)
{
    struct os_address address;
    struct gate_local *local;
    int looked_at = 0;

    os_socket_local_address(socket, &address);
    LIST_EACH (node, &listener->locals) {
        local = LIST_ITEM(node, struct gate_local, node);
        if (local->address.port_number == address.port_number &&
            strcmp(local->address.text, address.text) == 0) {
            list_remove(node);
            list_push_front(&listener->locals, node);
            return local;
        }
        if (++looked_at == GATE_LOCALS_LOOKED_AT)
            break;
    }
    local = ALLOCATOR_NEW(&heap_allocator, struct gate_local);
    if (!local)
        return NULL;
    local->listener = listener;
    local->address = address;
    list_push_front(&listener->locals, &local->node);
    return local;
}

static void local_free_unused(struct gate_local *local)
{
    if (local->connections > 0)
        return;
    list_remove(&local->node);
    ALLOCATOR_DELETE(&heap_allocator, local);
}

void local_put(struct gate_local *local)
{
    local->connections--;
    ASSERT(local->connections >= 0);
    local_free_unused(local);
}

/* Past slots and rates of the listener: what the address may decides. Owns the socket. */
static void let_in(struct gate_listener *listener, struct os_socket *socket)
{
    struct network_gate *gate = listener->gate;
    struct os_address peer;
    char address[OS_ADDRESS_TEXT_BYTES];
    struct gate_local *local;
    struct connection *connection;
    struct gate_ip *ip;
    int64_t wait_ms;

    os_socket_peer_address(socket, &peer);
    gate_address(peer.text, strlen(peer.text), address);
    ip = gate_ip_get(gate, address);
    if (!ip) {
        os_socket_close(&socket, false);
        return;
    }
    wait_ms = gate_rate_record(&ip->rate, reactor_now_ms(gate->reactor),
                               gate_ip_rate_limit(gate, address));
    if (wait_ms > 0) {
        gate_rate_forget(&ip->rate);
        gate_rate_forget(&listener->rate);
        gate_rate_forget(&gate->rate);
        gate_hold(gate, socket, wait_ms);
        return;
    }
    gate_ip_unused(gate, ip); /* used just now */
    if (ip->connections >= gate_ip_limit(gate, address)) {
        log_refused(gate, address);
        os_socket_close(&socket, false);
        return;
    }
    local = local_get(listener, socket);
    connection =
        local && memory_reserve_is_whole() ? connection_create(socket, gate->user_bytes) : NULL;
    if (!connection) {
        if (local)
            local_free_unused(local);
        os_socket_close(&socket, false);
        return;
    }
    list_remove(&ip->idle_node);
    ip->connections++;
    connection->gate_ip = ip;
    connection->local = local;
    local->connections++;
    connection->peer_port = peer.port_number;
    gate_hand_over(listener, connection);
}

/* True: nobody is parked any more. */
static bool parked_admit(struct gate_listener *listener)
{
    struct network_gate *gate = listener->gate;
    int64_t now_ms = reactor_now_ms(gate->reactor);

    if (!listener->parked)
        return true;
    if (timer_is_set(&listener->timer) || !gate_has_slot(listener))
        return false;
    if (!listener->parked_is_recorded) {
        int64_t node_ms = gate_rate_record(&gate->rate, now_ms, rate_limit(gate->rate_max));
        int64_t own_ms =
            gate_rate_record(&listener->rate, now_ms, rate_limit(listener->options.rate_max));

        listener->parked_is_recorded = true;
        if (node_ms > 0 || own_ms > 0) {
            timer_set(gate->reactor, &listener->timer, now_ms + MAX(node_ms, own_ms));
            return false;
        }
    }
    listener->parked_is_recorded = false;
    let_in(listener, TAKE(listener->parked));
    return true;
}

static void accept_done(struct os_op *op)
{
    struct gate_listener *listener = CONTAINER_OF(op, struct gate_listener, accept);
    struct network_gate *gate = listener->gate;

    listener->is_accepting = false;
    if (gate->is_stopping) {
        os_socket_close(&op->accepted, false);
        gate_check_stopped(gate);
        return;
    }
    if (op->err == OK) {
        ASSERT(!listener->parked);
        listener->parked = op->accepted;
        if (listener->options.send_bytes > 0 || listener->options.receive_bytes > 0)
            os_socket_set_buffers(listener->parked, listener->options.send_bytes,
                                  listener->options.receive_bytes);
        listener_go(listener);
        return;
    }
    /* Mostly ERR_TOO_MANY_FILES: the client stays in the backlog; trying again at once would spin.
     * */
    LOG_WARN(gate->logger, "network", "accept_failed", "listener=%d port=%u error=%s",
             listener->options.listener, (unsigned)listener->options.port, err_name(op->err));
    timer_set(gate->reactor, &listener->timer, reactor_now_ms(gate->reactor) + GATE_RETRY_MS);
}

static void listener_timer_fire(struct timer *timer)
{
    listener_go(CONTAINER_OF(timer, struct gate_listener, timer));
}

void listener_init(struct gate_listener *listener)
{
    timer_init(&listener->timer, listener_timer_fire);
    list_init(&listener->locals);
}

void listener_release(struct gate_listener *listener)
{
    ASSERT(list_is_empty(&listener->locals)); /* as the gate outlives its connections */
    ALLOCATOR_DELETE(&heap_allocator, listener);
}

void listener_go(struct gate_listener *listener)
{
    struct network_gate *gate = listener->gate;

    if (!listener->is_open || gate->is_stopping || listener->is_accepting)
        return;
    if (!parked_admit(listener) || timer_is_set(&listener->timer) || !gate_has_slot(listener))
        return;
    listener->is_accepting = true;
    listener->accept = (struct os_op){
        .kind = OS_OP_ACCEPT,
        .done = accept_done,
        .socket = listener->socket,
    };
    reactor_submit(gate->reactor, &listener->accept);
}

void gate_go(struct network_gate *gate)
{
    LIST_EACH (node, &gate->listeners)
        listener_go(LIST_ITEM(node, struct gate_listener, node));
}
