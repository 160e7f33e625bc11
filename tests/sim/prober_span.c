/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/prober_span.c: a log whose last batch lies nearly 2^31 offsets above its segment's base, as compaction leaves
 * them: the base offset of a batch stands outside of its CRC, so the file is edited while the node is down. Whatever is
 * appended then must roll to a new segment before its relative offsets overflow, and be found again.
 */
#include "prober.h"
#include "prober_internal.h"

#include "base/assert.h"
#include "records/batch.h"

#include <stdio.h>
#include <string.h>

#define BATCHES_BEFORE 3

static struct probe_batch batch_at(int64_t value, int32_t count)
{
    return (struct probe_batch){
        .value = value, .count = count, .producer_id = -1, .epoch = -1, .sequence = -1};
}

/* The bytes of the last batch's base offset. */
static void last_batch_move(struct probe *probe, int64_t to)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(os_file_close) struct os_file *file = NULL;
    const char *path = "/data/" PROBE_TOPIC "-0/00000000000000000000.log";
    struct slice content, rest, batch, last = SLICE_NULL, bytes;
    uint8_t base[8];
    enum err err;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    err = sim_disk_peek(probe->node.machine, path, &arena, &content);
    ASSERT(err == OK);
    rest = content;
    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0)
        last = batch;
    ASSERT(!slice_is_null(last));
    for (int i = 0; i < 8; i++)
        base[i] = (uint8_t)((uint64_t)to >> (56 - 8 * i));
    bytes = slice_of(base, sizeof base);
    err = os_file_open(probe->node.machine, path, OS_OPEN_READ | OS_OPEN_WRITE, &file);
    ASSERT(err == OK);
    err = os_file_write(file, &bytes, 1, last.data - content.data);
    ASSERT(err == OK);
    err = os_file_sync(file);
    ASSERT(err == OK);
}

/* The node is up and has `count` batches of which the last one was moved. */
static void produce_over_the_edge(struct probe *probe, int64_t from, int count)
{
    int64_t offset, next = from;

    for (int i = 0; i < count && !probe_has_failed(probe); i++) {
        struct probe_batch batch = batch_at(next, (int32_t)random_between(&probe->random, 1, 9));
        enum err error;

        if (probe_produce(probe, 0, &batch, -1, sim_now_ns(probe->sim) + 5000 * MS, &error,
                          &offset) != OK) {
            probe_fail(probe, "Produce of offset %lld has no answer", (long long)next);
            return;
        }
        if (error != OK) {
            probe_fail(probe, "Produce of offset %lld: %s", (long long)next, err_name(error));
            return;
        }
        if (offset != next)
            probe_fail(probe, "offset %lld was given out, %lld is due", (long long)offset,
                       (long long)next);
        next += batch.count;
    }
    probe->partitions[0].next = next;
}

static void read_all(struct probe *probe, int64_t from)
{
    for (int64_t offset = from; offset < probe->partitions[0].next && !probe_has_failed(probe);) {
        int64_t next =
            probe_fetch(probe, probe->client, 0, offset, sim_now_ns(probe->sim) + 5000 * MS);

        if (next <= offset) {
            probe_fail(probe, "nothing can be read at offset %lld of %lld", (long long)offset,
                       (long long)probe->partitions[0].next);
            return;
        }
        offset = next;
    }
}

static bool node_up(struct probe *probe)
{
    if (sim_node_start(&probe->node, 60000) == OK &&
        probe_ready(probe, sim_now_ns(probe->sim) + 5000 * MS))
        return true;
    probe_fail(probe, "the node does not start: %s", probe->node.stop_why);
    return false;
}

static void node_down(struct probe *probe, bool orderly)
{
    sim_client_close(probe->client);
    sim_client_close(probe->other);
    if (orderly && !sim_node_stop(&probe->node, 60000))
        probe_fail(probe, "the node does not stop");
    sim_node_kill(&probe->node);
}

static void script(struct probe *probe)
{
    int64_t edge = (int64_t)INT32_MAX - random_between(&probe->random, 10, 60);
    enum err err;

    if (!node_up(probe))
        return;
    produce_over_the_edge(probe, 0, BATCHES_BEFORE);
    node_down(probe, true);
    last_batch_move(probe, edge);
    probe->base_ms -= edge * 10; /* values are about to leap, timestamps must not */
    err = os_unlink(probe->node.machine, "/data/" PROBE_TOPIC "-0/leader-epoch-checkpoint");
    ASSERT(err == OK || err == ERR_NOT_FOUND);
    if (!node_up(probe))
        return;
    /* How many records the moved batch holds is told by where the next one goes. */
    probe->partitions[0].next = INT64_MAX;
    for (int i = 0; i < 1 && !probe_has_failed(probe); i++) {
        struct probe_batch batch = batch_at(0, 1);
        enum err error;
        int64_t offset;

        if (probe_produce(probe, 0, &batch, -1, sim_now_ns(probe->sim) + 5000 * MS, &error,
                          &offset) != OK ||
            error != OK || offset <= edge || offset > edge + 10)
            probe_fail(probe, "the batch behind offset %lld went elsewhere", (long long)edge);
        probe->partitions[0].next = offset + 1;
    }
    edge = probe->partitions[0].next;
    produce_over_the_edge(probe, edge, 30);
    read_all(probe, edge);
    node_down(probe, random_chance(&probe->random, 1, 2));
    if (!node_up(probe))
        return;
    for (int i = 0; i < 5 && !probe_has_failed(probe); i++)
        read_all(probe, random_between(&probe->random, edge, probe->partitions[0].next - 1));
}

bool prober_span_run(uint64_t seed, char *failure, size_t failure_bytes)
{
    struct probe probe = {
        .heap = heap_allocator, .failure = failure, .failure_bytes = failure_bytes};
    enum err err = sim_create(seed, NULL, &probe.sim);

    failure[0] = '\0';
    ASSERT(err == OK);
    sim_random_init(probe.sim, &probe.random, "span");
    sim_node_init(&probe.node, probe.sim, "node", "barnabas.disk.reserve.bytes=0\n");
    err = sim_machine_create(probe.sim, "client", &probe.machine);
    ASSERT(err == OK);
    probe.client = sim_client_new(probe.sim, probe.machine);
    probe.other = sim_client_new(probe.sim, probe.machine);
    probe.segment_bytes = 1 << 20;
    probe.index_interval = (int32_t)random_between(&probe.random, 0, 200);
    probe.base_ms = os_wall_ms(probe.node.machine);
    script(&probe);
    sim_node_release(&probe.node);
    sim_client_free(&probe.client);
    sim_client_free(&probe.other);
    sim_release(&probe.sim);
    return !probe_has_failed(&probe);
}
