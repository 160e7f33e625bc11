/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor/reactor.c: the turn, on both machines: the real one sleeps inside reactor_run, the
 * simulated one calls a turn when there is reason for one.
 */
#include "reactor/reactor_internal.h"

#include "base/fmt.h"

static void on_ready(void *context)
{
    reactor_turn(context);
}

enum err reactor_create(struct os *os, int index, uint64_t seed, struct logger *logger,
                        struct reactor **out)
{
    struct reactor *reactor = ALLOCATOR_NEW(&heap_allocator, struct reactor);
    struct reactor_clock *clock = ALLOCATOR_NEW(&heap_allocator, struct reactor_clock);
    enum err err = reactor && clock ? OK : ERR_NO_MEMORY;
    char name[32];

    *out = NULL;
    if (err == OK)
        err = os_port_create(os, &reactor->port);
    if (err != OK) {
        if (clock)
            ALLOCATOR_DELETE(&heap_allocator, clock);
        if (reactor)
            ALLOCATOR_DELETE(&heap_allocator, reactor);
        return err;
    }
    reactor->os = os;
    reactor->logger = logger;
    reactor->index = index;
    reactor->clock = clock;
    fmt(name, sizeof(name), "reactor %d", index);
    random_init_named(&reactor->random, seed, name);
    wheel_init(&reactor->wheel, reactor_now_ms(reactor));
    list_init(&reactor->deferred);
    os_port_on_ready(reactor->port, on_ready, reactor);
    *out = reactor;
    return OK;
}

void reactor_release(struct reactor **owned)
{
    struct reactor *reactor = *owned;

    if (!reactor)
        return;
    ASSERT(!reactor->is_in_turn);
    reactor->is_in_turn = true; /* what is still sent to us wakes nobody */
    mail_drop_all(reactor);
    mail_flush_wakes(reactor);
    os_port_release(&reactor->port);
    mail_drop_all(reactor); /* of connects that were cancelled */
    mail_flush_wakes(reactor);
    ALLOCATOR_DELETE(&heap_allocator, reactor->clock);
    ALLOCATOR_DELETE(&heap_allocator, reactor);
    *owned = NULL;
}

/* ---- what it is ---- */

int reactor_index(const struct reactor *reactor)
{
    return reactor->index;
}

struct os *reactor_os(struct reactor *reactor)
{
    return reactor->os;
}

struct os_port *reactor_port(struct reactor *reactor)
{
    return reactor->port;
}

struct random *reactor_random(struct reactor *reactor)
{
    return &reactor->random;
}

struct logger *reactor_logger(struct reactor *reactor)
{
    return reactor->logger;
}

/* ---- time ---- */

static const struct reactor_clock *clock_of(const struct reactor *reactor)
{
    struct reactor_clock *clock = reactor->clock;

    if (!clock->is_taken) {
        clock->now_ns = os_now_ns(reactor->os);
        clock->now_ms = clock->now_ns / 1000000;
        clock->is_taken = reactor->is_in_turn; /* between turns each look is a new one */
    }
    return clock;
}

int64_t reactor_now_ns(const struct reactor *reactor)
{
    return clock_of(reactor)->now_ns;
}

int64_t reactor_now_ms(const struct reactor *reactor)
{
    return clock_of(reactor)->now_ms;
}

int64_t reactor_wall_ms(const struct reactor *reactor)
{
    struct reactor_clock *clock = reactor->clock;

    if (!clock->is_wall_taken) {
        clock->wall_ms = os_wall_ms(reactor->os);
        clock->is_wall_taken = reactor->is_in_turn;
    }
    return clock->wall_ms;
}

/* ---- turns ---- */

/* When the next turn is due: 0 when there is work already. */
static int64_t next_ns(const struct reactor *reactor)
{
    int64_t next_ms;

    if (!list_is_empty(&reactor->deferred) || !list_is_empty(&reactor->wheel.due) ||
        mail_is_waiting(reactor))
        return 0;
    next_ms = wheel_next_ms(&reactor->wheel);
    return next_ms >= INT64_MAX / 1000000 ? INT64_MAX : next_ms * 1000000;
}

static void tell_deadline(struct reactor *reactor)
{
    int64_t deadline_ns = next_ns(reactor);

    os_port_set_deadline(reactor->port, deadline_ns == 0 ? os_now_ns(reactor->os) : deadline_ns);
}

void reactor_rearm(struct reactor *reactor)
{
    if (!reactor->is_in_turn)
        tell_deadline(reactor);
}

static bool turn(struct reactor *reactor, int64_t deadline_ns)
{
    size_t count;

    ASSERT(!reactor->is_in_turn);
    reactor->is_in_turn = true;
    reactor->clock->is_taken = reactor->clock->is_wall_taken = false;
    count = os_port_poll(reactor->port, deadline_ns);
    count += mail_run(reactor);
    count += timers_run(reactor);
    count += deferred_run(reactor);
    mail_flush_wakes(reactor);
    reactor->is_in_turn = false;
    reactor->clock->is_taken = reactor->clock->is_wall_taken = false;
    tell_deadline(reactor);
    return count > 0;
}

bool reactor_turn(struct reactor *reactor)
{
    return turn(reactor, 0);
}

void reactor_run(struct reactor *reactor)
{
    while (!atomic_load_explicit(&reactor->is_stopping, memory_order_acquire))
        turn(reactor, next_ns(reactor));
}

void reactor_stop(struct reactor *reactor)
{
    atomic_store_explicit(&reactor->is_stopping, true, memory_order_release);
    os_port_wake(reactor->port);
}
