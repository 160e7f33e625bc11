/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real machine, one port, and an empty directory that is removed afterwards.
 */
#ifndef OS_REAL_BENCH_H
#define OS_REAL_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/fmt.h"
#include "os/os.h"

struct bench {
    struct os *os;
    struct os_port *port;
    struct arena arena;
    char directory[64];
    char path[128]; /* last answer of bench_path */
};

int bench_set_up(void **state);
int bench_tear_down(void **state);
/* A path in the directory; valid until the next call. */
const char *bench_path(struct bench *bench, const char *name);

/* An operation that counts its completions. */
struct probe {
    struct os_op op;
    int done_count;
};
void probe_done(struct os_op *op);
/* Sets `done`, submits and checks that nothing completed inside. */
void probe_submit(struct os_port *port, struct probe *probe);
/* Polls until it is done. */
void probe_wait(struct os_port *port, struct probe *probe);
/* Both; returns err. */
enum err probe_run(struct os_port *port, struct probe *probe);

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

#endif
