/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_bench.h: what the tests of the simulated machine share: a simulation, machines with a port
 * whose turn only polls, and files in one line.
 */
#ifndef TESTS_UNIT_OS_SIM_BENCH_H
#define TESTS_UNIT_OS_SIM_BENCH_H

#include "os/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* Fails the test that calls it. */
#define OKAY(expression) assert_int_equal((expression), OK)

struct sim *bench_sim(uint64_t seed);
struct os *bench_machine(struct sim *sim, const char *name);
struct os *bench_restart(struct os *os);

/* A port that polls in its turns. */
struct bench_port {
    struct os_port *port;
    int turns;
};
void bench_port_open(struct bench_port *bench, struct os *os);
void bench_port_close(struct bench_port *bench);

/* An operation that remembers that it is done. */
struct bench_op {
    struct os_op op;
    int done;
};
void bench_submit(struct os_port *port, struct bench_op *op, enum os_op_kind kind);
/* Steps until it is done. */
enum err bench_wait(struct sim *sim, struct bench_op *op);

/* Blocking; the file is made when it is not there. */
void bench_write(struct os *os, const char *path, const char *text, int64_t position_bytes);
void bench_sync(struct os *os, const char *path);
/* The content as text; NULL when it is not there. Static memory of the caller. */
const char *bench_read(struct os *os, const char *path, char *out, size_t capacity_bytes);
bool bench_exists(struct os *os, const char *path);

#endif
