/* SPDX-License-Identifier: Apache-2.0 */
#include "real_bench.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    UNUSED(stat);
    UNUSED(type);
    UNUSED(walk);
    return remove(path);
}

int bench_set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    const char *base = getenv("TMPDIR");

    assert_non_null(bench);
    fmt(bench->directory, sizeof(bench->directory), "%s/barnabas-os-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(bench->directory));
    assert_int_equal(os_real_create(NULL, &bench->os), OK);
    assert_int_equal(os_port_create(bench->os, &bench->port), OK);
    arena_init(&bench->arena, &heap_allocator, SIZE_MAX);
    *state = bench;
    return 0;
}

int bench_tear_down(void **state)
{
    struct bench *bench = *state;

    os_port_release(&bench->port);
    os_release(&bench->os);
    arena_release(&bench->arena);
    nftw(bench->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(bench);
    return 0;
}

const char *bench_path(struct bench *bench, const char *name)
{
    fmt(bench->path, sizeof(bench->path), "%s/%s", bench->directory, name);
    return bench->path;
}

void probe_done(struct os_op *op)
{
    CONTAINER_OF(op, struct probe, op)->done_count++;
}

void probe_submit(struct os_port *port, struct probe *probe)
{
    probe->op.done = probe_done;
    probe->done_count = 0;
    os_port_submit(port, &probe->op);
    assert_int_equal(probe->done_count, 0);
}

void probe_wait(struct os_port *port, struct probe *probe)
{
    while (probe->done_count == 0)
        os_port_poll(port, INT64_MAX);
    assert_int_equal(probe->done_count, 1);
}

enum err probe_run(struct os_port *port, struct probe *probe)
{
    probe_submit(port, probe);
    probe_wait(port, probe);
    return probe->op.err;
}
