/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/held.c: sockets of addresses above their connection rate. Each is kept unread for its
 * throttle time and then closed, so that a client that reconnects at once is slowed down.
 */
#include "network/gate_internal.h"

static void held_close(struct gate_held *held)
{
    struct network_gate *gate = held->gate;

    timer_cancel(gate->reactor, &held->timer);
    list_remove(&held->node);
    gate->held_count--;
    os_socket_close(&held->socket, false);
    ALLOCATOR_DELETE(&heap_allocator, held);
}

static void held_fire(struct timer *timer)
{
    held_close(CONTAINER_OF(timer, struct gate_held, timer));
}

void gate_hold(struct network_gate *gate, struct os_socket *socket, int64_t wait_ms)
{
    struct gate_held *held = NULL;

    if (gate->held_count < GATE_HELD_MAX)
        held = ALLOCATOR_NEW(&heap_allocator, struct gate_held);
    if (!held) {
        os_socket_close(&socket, false);
        return;
    }
    held->gate = gate;
    held->socket = socket;
    list_push_back(&gate->held, &held->node);
    gate->held_count++;
    timer_init(&held->timer, held_fire);
    timer_set(gate->reactor, &held->timer, reactor_now_ms(gate->reactor) + wait_ms);
}

void gate_held_release(struct network_gate *gate)
{
    LIST_EACH_SAFE (node, &gate->held)
        held_close(LIST_ITEM(node, struct gate_held, node));
}
