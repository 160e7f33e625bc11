/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that has a clock and a port and nothing else: time stands until a test moves it, and what
 * a reactor asks of its port can be looked at.
 */
#ifndef REACTOR_BENCH_H
#define REACTOR_BENCH_H

#include "os/os_internal.h"
#include "reactor/reactor.h"

struct bench;

struct bench_port {
    struct os_port base;
    struct bench *bench;
    int wake_count;
    int64_t deadline_ns; /* last told */
    void (*turn)(void *context);
    void *context;
};

struct bench {
    struct os os;
    int64_t now_ns;
    int64_t wall_ms;
};

void bench_init(struct bench *bench);
struct reactor *bench_reactor(struct bench *bench, int index);
struct bench_port *bench_port(struct reactor *reactor);
/* Sets the clock and gives the reactor one turn. */
bool bench_turn_at(struct bench *bench, struct reactor *reactor, int64_t now_ms);

#endif
