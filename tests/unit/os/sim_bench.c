/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_bench.h"

#include "base/assert.h"

#include <stdio.h>

static void print_assert(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
}

__attribute__((constructor)) static void hook(void)
{
    assert_hook_set(print_assert);
}

struct sim *bench_sim(uint64_t seed)
{
    struct sim *sim;

    OKAY(sim_create(seed, NULL, &sim));
    return sim;
}

struct os *bench_machine(struct sim *sim, const char *name)
{
    struct os *os;

    OKAY(sim_machine_create(sim, name, &os));
    return os;
}

struct os *bench_restart(struct os *os)
{
    struct os *fresh;

    OKAY(sim_machine_restart(os, &fresh));
    return fresh;
}

static void turn(void *context)
{
    struct bench_port *bench = context;

    bench->turns++;
    os_port_poll(bench->port, 0);
}

void bench_port_open(struct bench_port *bench, struct os *os)
{
    *bench = (struct bench_port){0};
    OKAY(os_port_create(os, &bench->port));
    os_port_on_ready(bench->port, turn, bench);
}

void bench_port_close(struct bench_port *bench)
{
    os_port_release(&bench->port);
}

static void op_done(struct os_op *op)
{
    CONTAINER_OF(op, struct bench_op, op)->done++;
}

void bench_submit(struct os_port *port, struct bench_op *op, enum os_op_kind kind)
{
    op->op.kind = kind;
    op->op.done = op_done;
    op->done = 0;
    os_port_submit(port, &op->op);
    assert_int_equal(op->done, 0); /* never from inside submit */
}

static bool is_done(void *context)
{
    return ((struct bench_op *)context)->done > 0;
}

enum err bench_wait(struct sim *sim, struct bench_op *op)
{
    assert_true(sim_run_until(sim, INT64_MAX, is_done, op));
    assert_int_equal(op->done, 1);
    return op->op.err;
}

void bench_write(struct os *os, const char *path, const char *text, int64_t position_bytes)
{
    struct slice slice = slice_from_text(text);
    struct os_file *file;

    OKAY(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    OKAY(os_file_write(file, &slice, 1, position_bytes));
    os_file_close(&file);
}

void bench_sync(struct os *os, const char *path)
{
    struct os_file *file;

    OKAY(os_file_open(os, path, OS_OPEN_WRITE, &file));
    OKAY(os_file_sync(file));
    os_file_close(&file);
}

const char *bench_read(struct os *os, const char *path, char *out, size_t capacity_bytes)
{
    struct os_file *file;
    size_t size_bytes;
    enum err err = os_file_open(os, path, OS_OPEN_READ, &file);

    if (err == ERR_NOT_FOUND)
        return NULL;
    OKAY(err);
    OKAY(os_file_read(file, out, capacity_bytes - 1, 0, &size_bytes));
    out[size_bytes] = '\0';
    os_file_close(&file);
    return out;
}

bool bench_exists(struct os *os, const char *path)
{
    struct os_stat stat;

    OKAY(os_stat(os, path, &stat));
    return stat.exists;
}
