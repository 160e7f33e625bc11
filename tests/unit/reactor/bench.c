/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

static struct bench_port *port_of(struct os_port *port)
{
    return CONTAINER_OF(port, struct bench_port, base);
}

static int64_t now_ns(struct os *os)
{
    return CONTAINER_OF(os, struct bench, os)->now_ns;
}

static int64_t wall_ms(struct os *os)
{
    return CONTAINER_OF(os, struct bench, os)->wall_ms;
}

static enum err port_create(struct os *os, struct os_port **out)
{
    struct bench_port *port = ALLOCATOR_NEW(&heap_allocator, struct bench_port);

    if (!port)
        return ERR_NO_MEMORY;
    port->bench = CONTAINER_OF(os, struct bench, os);
    *out = &port->base;
    return OK;
}

static void port_release(struct os_port *port)
{
    ALLOCATOR_DELETE(&heap_allocator, port_of(port));
}

static size_t port_poll(struct os_port *port, int64_t deadline_ns)
{
    UNUSED(port);
    ASSERT(deadline_ns == 0);
    return 0;
}

static void port_wake(struct os_port *port)
{
    port_of(port)->wake_count++;
}

static void port_on_ready(struct os_port *port, void (*turn)(void *context), void *context)
{
    port_of(port)->turn = turn;
    port_of(port)->context = context;
}

static void port_set_deadline(struct os_port *port, int64_t deadline_ns)
{
    port_of(port)->deadline_ns = deadline_ns;
}

static const struct os_table bench_table = {
    .now_ns = now_ns,
    .wall_ms = wall_ms,
    .port_create = port_create,
    .port_release = port_release,
    .port_poll = port_poll,
    .port_wake = port_wake,
    .port_on_ready = port_on_ready,
    .port_set_deadline = port_set_deadline,
};

void bench_init(struct bench *bench)
{
    *bench = (struct bench){.os = {&bench_table}, .now_ns = 0, .wall_ms = 1700000000000};
}

struct reactor *bench_reactor(struct bench *bench, int index)
{
    struct reactor *reactor;
    enum err err = reactor_create(&bench->os, index, 42, NULL, &reactor);

    ASSERT(err == OK);
    return reactor;
}

struct bench_port *bench_port(struct reactor *reactor)
{
    return port_of(reactor_port(reactor));
}

bool bench_turn_at(struct bench *bench, struct reactor *reactor, int64_t now_ms)
{
    bench->now_ns = now_ms * 1000000;
    return reactor_turn(reactor);
}
