/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/prober.c: the lives of a node under a client that knows every answer (prober.h).
 */
#include "prober_internal.h"

#include "points.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LIVES 5
#define CALL_MS 3000

enum life_end { END_POWER_CUT, END_POWER_CUT_AT, END_KILL, END_KILL_AT, END_STOP, END_COUNT };

void probe_fail(struct probe *probe, const char *format, ...)
{
    va_list arguments;

    if (probe->failure[0])
        return;
    va_start(arguments, format);
    vsnprintf(probe->failure, probe->failure_bytes, format, arguments);
    va_end(arguments);
}

void probe_say(const struct probe *probe, const char *format, ...)
{
    va_list arguments;

    if (!getenv("PROBER_LOG"))
        return;
    fprintf(stderr, "%10.3f ms  ", (double)sim_now_ns(probe->sim) / 1e6);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

bool probe_has_failed(const struct probe *probe)
{
    return probe->failure[0] != '\0';
}

bool probe_may_err(const struct probe *probe, enum err err)
{
    return err_is_retriable(err) || (probe->is_short_of_memory && err == ERR_UNKNOWN_SERVER_ERROR);
}

static int64_t deadline(const struct probe *probe)
{
    return sim_now_ns(probe->sim) + CALL_MS * MS;
}

/* ---- producing ---- */

static struct probe_batch batch_next_make(struct probe *probe,
                                          const struct probe_partition *partition)
{
    int32_t count = (int32_t)random_between(&probe->random, 1, 8);
    int32_t batch_max = MIN(probe->segment_bytes * 2 / 3, 4000);

    return (struct probe_batch){
        .value = partition->next,
        .count = count,
        /* It must fit into a segment; what spans sectors can be torn. */
        .pad_bytes = random_chance(&probe->random, 1, 2)
                         ? (int32_t)random_between(&probe->random, 0, batch_max) / count
                         : 0,
        .sequence = partition->next_sequence,
        .epoch = partition->epoch,
        .producer_id = partition->producer_id,
    };
}

static void acknowledged(struct probe *probe, struct probe_partition *partition, int16_t acks)
{
    struct probe_batch *batch = &partition->last;

    if (partition->known_count > 0 && (partition->known[0].epoch != batch->epoch ||
                                       partition->known[0].producer_id != batch->producer_id))
        partition->known_count = 0;
    memmove(partition->known + 1, partition->known, (PROBE_BATCHES - 1) * sizeof *partition->known);
    partition->known[0] = *batch;
    partition->known_count = MIN(partition->known_count + 1, PROBE_BATCHES);
    partition->next = batch->value + batch->count;
    partition->epoch = batch->epoch;
    partition->next_sequence =
        (int32_t)(((uint32_t)batch->sequence + (uint32_t)batch->count) & 0x7fffffff);
    partition->is_pending = false;
    if (acks == -1)
        partition->committed = partition->next;
    probe->acknowledged++;
}

/* What became of partition->last. */
static void pending_answered(struct probe *probe, int32_t index, int16_t acks, enum err error,
                             int64_t offset)
{
    struct probe_partition *partition = &probe->partitions[index];

    probe_say(probe, "%d: value %lld+%d sequence %d epoch %d acks %d: %s at %lld", index,
              (long long)partition->last.value, partition->last.count, partition->last.sequence,
              partition->last.epoch, acks, err_name(error), (long long)offset);
    if (error == OK) {
        if (offset != partition->last.value)
            probe_fail(probe, "partition %d: value %lld was acknowledged at offset %lld", index,
                       (long long)partition->last.value, (long long)offset);
        acknowledged(probe, partition, acks);
    } else if (!probe_may_err(probe, error)) {
        probe_fail(probe, "partition %d: Produce of value %lld: %s", index,
                   (long long)partition->last.value, err_name(error));
    }
}

bool probe_pending_send(struct probe *probe, int32_t index, int16_t acks)
{
    enum err error;
    int64_t offset;

    if (probe_produce(probe, index, &probe->partitions[index].last, acks, deadline(probe), &error,
                      &offset) != OK)
        return false;
    pending_answered(probe, index, acks, error, offset);
    return true;
}

void probe_pending_make(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];

    if (partition->is_pending)
        return;
    partition->last = batch_next_make(probe, partition);
    partition->is_pending = true;
}

/* Must be answered with `wanted`; errors of a failing disk are none of this. */
static bool refused(struct probe *probe, int32_t index, const struct probe_batch *batch,
                    enum err wanted, const char *what)
{
    enum err error;
    int64_t offset;

    if (probe_produce(probe, index, batch, -1, deadline(probe), &error, &offset) != OK)
        return false;
    if (error != wanted && (error == OK || !probe_may_err(probe, error)))
        probe_fail(probe, "partition %d: %s: %s instead of %s", index, what, err_name(error),
                   err_name(wanted));
    return true;
}

/* ---- steps ---- */

static bool step_produce(struct probe *probe, int32_t index, int16_t acks)
{
    probe_pending_make(probe, index);
    return probe_pending_send(probe, index, acks);
}

static bool step_duplicate(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];
    const struct probe_batch *batch;
    enum err error;
    int64_t offset;

    if (partition->is_pending || partition->known_count == 0)
        return true;
    batch = &partition->known[random_below(&probe->random, (uint64_t)partition->known_count)];
    if (probe_produce(probe, index, batch, -1, deadline(probe), &error, &offset) != OK)
        return false;
    if (error == OK ? offset != batch->value : !probe_may_err(probe, error))
        probe_fail(probe, "partition %d: a duplicate of value %lld: %s at offset %lld", index,
                   (long long)batch->value, err_name(error), (long long)offset);
    return true;
}

static bool step_refused(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];
    struct probe_batch batch;

    if (partition->is_pending || partition->known_count == 0)
        return true; /* a producer of whom nothing is known yet may begin anywhere */
    batch = batch_next_make(probe, partition);
    if (random_chance(&probe->random, 1, 2)) {
        batch.epoch++;
        batch.sequence = 7;
        return refused(probe, index, &batch, ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                       "a new epoch that does not begin at 0");
    }
    batch.sequence = (int32_t)(((uint32_t)batch.sequence + 3) & 0x7fffffff);
    return refused(probe, index, &batch, ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a gap of sequences");
}

static bool step_bump(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];
    struct probe_batch old;

    if (partition->is_pending || partition->known_count == 0)
        return true;
    old = batch_next_make(probe, partition);
    partition->last = old;
    partition->last.epoch++;
    partition->last.sequence = 0;
    partition->is_pending = true;
    if (!probe_pending_send(probe, index, -1))
        return false;
    if (partition->is_pending)
        return true;
    old.value = partition->next;
    return refused(probe, index, &old, ERR_INVALID_PRODUCER_EPOCH, "a batch of an older epoch");
}

/* Several at once, and a reader in between. */
static bool step_pipeline(struct probe *probe)
{
    int64_t until_ns = deadline(probe);

    for (int32_t i = 0; i < PROBE_PARTITIONS; i++) {
        probe_pending_make(probe, i);
        if (probe_send(probe, i, &probe->partitions[i].last, until_ns) != OK)
            return false;
    }
    if (random_chance(&probe->random, 1, 2))
        sim_run_until(probe->sim,
                      sim_now_ns(probe->sim) + random_between(&probe->random, 0, 2000) * 1000, NULL,
                      NULL);
    for (int64_t reads = random_between(&probe->random, 0, 6); reads > 0; reads--) {
        int32_t index = (int32_t)random_below(&probe->random, PROBE_PARTITIONS);

        if (probe_fetch(probe, probe->other, index, probe->partitions[index].next, until_ns) < 0) {
            sim_client_close(probe->other);
            break;
        }
    }
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++) {
        enum err error;
        int64_t offset;

        if (probe_receive(probe, i, until_ns, &error, &offset) != OK)
            return false;
        pending_answered(probe, i, -1, error, offset);
    }
    return true;
}

/* The connection ends before the answer: the same again on a new one. */
static bool step_drop(struct probe *probe, int32_t index)
{
    probe_pending_make(probe, index);
    if (probe_send(probe, index, &probe->partitions[index].last, deadline(probe)) != OK)
        return false;
    sim_run_until(probe->sim,
                  sim_now_ns(probe->sim) + random_between(&probe->random, 0, 1500) * 1000, NULL,
                  NULL);
    sim_client_close(probe->client);
    return probe_ready(probe, deadline(probe)) && probe_pending_send(probe, index, -1);
}

static bool step_read(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];
    int64_t span = partition->next - partition->log_start;
    int64_t from = partition->log_start + (int64_t)random_below(&probe->random, (uint64_t)span + 1);

    return probe_fetch(probe, probe->client, index, from, deadline(probe)) >= 0;
}

static bool step_search(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];
    int64_t span = partition->committed - partition->log_start;

    if (span <= 0)
        return true;
    return probe_search(
        probe, index, partition->log_start + (int64_t)random_below(&probe->random, (uint64_t)span),
        deadline(probe));
}

static bool step_delete(struct probe *probe, int32_t index)
{
    struct probe_partition *partition = &probe->partitions[index];
    int64_t span = partition->committed - partition->log_start;
    int64_t to = partition->log_start;

    if (span <= 0)
        return true;
    to = random_chance(&probe->random, 1, 3)
             ? partition->committed
             : to + (int64_t)random_below(&probe->random, (uint64_t)span + 1);
    return probe_delete(probe, index, to, deadline(probe));
}

static bool step(struct probe *probe, int16_t acks)
{
    int32_t index = (int32_t)random_below(&probe->random, PROBE_PARTITIONS);
    int64_t unused;

    if (!probe_ready(probe, deadline(probe)))
        return false;
    switch (random_below(&probe->random, 20)) {
    case 0:
    case 1:
        return step_duplicate(probe, index);
    case 2:
        return step_refused(probe, index);
    case 3:
        return step_bump(probe, index);
    case 4:
    case 5:
        return step_pipeline(probe);
    case 6:
        return step_drop(probe, index);
    case 7:
    case 8:
        return step_read(probe, index);
    case 9:
    case 10:
        return step_search(probe, index);
    case 11:
        return random_chance(&probe->random, 1, 3) ? step_delete(probe, index) : true;
    case 12:
        return probe_producer_new(probe, deadline(probe), &unused);
    case 13:
        sim_run_until(probe->sim,
                      sim_now_ns(probe->sim) + random_between(&probe->random, 1, 80) * MS, NULL,
                      NULL);
        return true;
    default:
        return step_produce(probe, index, acks);
    }
}

/* ---- what strikes ---- */

/* Bits of offset indexes flip while the node is down: they can be made anew from the log. */
static void indexes_rot(struct probe *probe)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    if (sim_disk_walk(probe->node.machine, &arena, &names) != OK)
        return;
    for (size_t i = 0; i < names.count; i++) {
        const char *path = names.names[i], *end = strrchr(path, '.');
        struct slice content;

        if (!end || strcmp(end, ".index") != 0 || !strstr(path, "/" PROBE_TOPIC "-") ||
            random_chance(&probe->random, 1, 2) ||
            sim_disk_peek(probe->node.machine, path, &arena, &content) != OK ||
            content.size_bytes == 0)
            continue;
        for (int64_t k = random_between(&probe->random, 1, 3); k > 0; k--) {
            size_t at = (size_t)random_below(&probe->random, content.size_bytes);
            int64_t mask_max = 255;

            if (random_chance(&probe->random, 1, 2)) {
                at |= 3; /* the low byte of a field: what comes of it may look right */
                mask_max = 63;
            }
            if (sim_disk_flip(probe->node.machine, path, (int64_t)MIN(at, content.size_bytes - 1),
                              (uint8_t)random_between(&probe->random, 1, mask_max)) != OK)
                ASSERT(!"the byte is there");
        }
    }
}

/* EIO or a full disk where the topic lives. True: syncs may fail, and with them lose what they were for. */
static bool disk_fails(struct probe *probe)
{
    struct sim_fault fault = {
        .path_part = random_chance(&probe->random, 1, 2) ? "/data0" : "/data",
        .skip_count = random_between(&probe->random, 0, 40),
        .is_sticky = random_chance(&probe->random, 1, 2),
        .effect = SIM_EFFECT_ERROR,
        .err = random_chance(&probe->random, 2, 3) ? ERR_IO : ERR_DISK_FULL,
    };
    bool is_sync = random_chance(&probe->random, 1, 2);

    probe_say(probe, "%s of %s fail with %s after %lld, sticky %d", is_sync ? "syncs" : "writes",
              fault.path_part, err_name(fault.err), (long long)fault.skip_count, fault.is_sticky);
    fault.calls = is_sync ? 1u << SIM_CALL_SYNC : 1u << SIM_CALL_WRITE;
    (void)sim_fault_add(probe->node.machine, &fault);
    return is_sync;
}

static void disk_slows(struct probe *probe)
{
    struct sim_latency fast = {10000, 100000, 0, 0};
    struct sim_latency slow = {MS, random_between(&probe->random, 2, 30) * MS, 0, 0};

    sim_machine_set_disk(probe->node.machine, &fast,
                         random_chance(&probe->random, 1, 2) ? &slow : &fast);
}

/* ---- lives ---- */

static bool node_up(struct probe *probe)
{
    char failure[1024];

    if (sim_node_raise(&probe->node, failure, sizeof failure))
        return true;
    probe_fail(probe, "%s", failure);
    return false;
}

static void clients_close(struct probe *probe)
{
    sim_client_close(probe->client);
    sim_client_close(probe->other);
}

static void files_say(struct probe *probe)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    if (!getenv("PROBER_LOG") || sim_disk_walk(probe->node.machine, &arena, &names) != OK)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (strstr(names.names[i], "/" PROBE_TOPIC "-"))
            probe_say(probe, "%s", names.names[i]);
}

/* What the next life may count on. */
static void life_over(struct probe *probe, bool was_orderly)
{
    clients_close(probe);
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++) {
        struct probe_partition *partition = &probe->partitions[i];

        /* Snapshots hold the last one, which may be the one under way. */
        partition->known_count = partition->is_pending ? 0 : MIN(partition->known_count, 1);
        if (was_orderly)
            partition->durable_start = partition->told_start;
        partition->told_start = partition->durable_start;
    }
}

static bool life_end(struct probe *probe, enum life_end end, bool disk_failed)
{
    bool was_orderly = false;

    if (!sim_machine_is_up(probe->node.machine)) {
        sim_node_restart_machine(&probe->node);
    } else if (end == END_POWER_CUT || end == END_POWER_CUT_AT) {
        sim_node_crash(&probe->node, NULL);
    } else if (end == END_STOP) {
        clients_close(probe);
        was_orderly = sim_node_stop(&probe->node, 60000);
        if (!was_orderly)
            probe_fail(probe, "the node did not stop in a minute");
        was_orderly = was_orderly && probe->node.stop_err == OK && !disk_failed;
        sim_node_kill(&probe->node);
    } else {
        sim_node_kill(&probe->node);
    }
    sim_faults_clear(probe->node.machine);
    probe_say(probe, "down, orderly %d", was_orderly);
    files_say(probe);
    life_over(probe, was_orderly);
    return !probe_has_failed(probe);
}

static void machine_arm(struct probe *probe, enum life_end end, int64_t calls)
{
    if (end == END_POWER_CUT_AT)
        sim_machine_crash_at(probe->node.machine, calls, NULL);
    else if (end == END_KILL_AT)
        sim_machine_kill_at(probe->node.machine, calls);
}

static bool life(struct probe *probe)
{
    enum life_end end = (enum life_end)random_below(&probe->random, END_COUNT);
    int64_t calls =
        random_between(&probe->random, 0, random_chance(&probe->random, 1, 2) ? 60 : 600);
    int64_t steps = random_between(&probe->random, 3, 60);
    bool syncs_fail = false, disk_failed = false;
    bool is_power = end == END_POWER_CUT || end == END_POWER_CUT_AT;

    if (random_chance(&probe->random, 1, 3))
        indexes_rot(probe);
    /* What is not synced is so once a start has gone well. */
    if (!probe->has_unsynced)
        machine_arm(probe, end, calls);
    disk_slows(probe);
    probe_say(probe, "a life that ends in %d, call %lld", end, (long long)calls);
    if (!node_up(probe))
        return false;
    probe_say(probe, "up, segments of %d", probe->segment_bytes);
    if (probe->has_unsynced)
        machine_arm(probe, end, calls);
    probe->has_unsynced = false;
    if (random_chance(&probe->random, 1, 4)) {
        disk_failed = true;
        syncs_fail = disk_fails(probe);
    }
    for (int64_t i = 0; i < steps && !probe_has_failed(probe); i++) {
        /* acks=1 promises nothing where syncs fail or the power does. */
        int16_t acks = !is_power && !syncs_fail && random_chance(&probe->random, 1, 2) ? 1 : -1;

        probe->has_unsynced |= acks == 1;
        if (!step(probe, acks))
            clients_close(probe);
        if (!sim_machine_is_up(probe->node.machine) || probe->node.is_stopped)
            break;
    }
    return !probe_has_failed(probe) && life_end(probe, end, disk_failed);
}

/* ---- the end ---- */

static bool partition_check(struct probe *probe, int32_t index, int64_t until_ns)
{
    struct probe_partition *partition = &probe->partitions[index];
    int64_t offset = partition->log_start;

    while (!probe_has_failed(probe) && sim_now_ns(probe->sim) < until_ns) {
        int64_t next;

        if (!probe_ready(probe, deadline(probe)) ||
            (partition->is_pending && !probe_pending_send(probe, index, -1))) {
            clients_close(probe);
            continue;
        }
        if (partition->is_pending)
            continue;
        next = probe_fetch(probe, probe->client, index, offset, deadline(probe));
        if (next < 0)
            clients_close(probe);
        offset = MAX(offset, next);
        if (offset == partition->next)
            return step_duplicate(probe, index) && step_search(probe, index);
        if (next == offset) /* nothing came: retries must not stand still */
            sim_run_until(probe->sim, sim_now_ns(probe->sim) + MS, NULL, NULL);
    }
    probe_fail(probe, "partition %d: %lld were acknowledged, %lld can be read (%s)", index,
               (long long)partition->next, (long long)offset,
               partition->is_pending ? "and a batch finds no end" : "and no more comes");
    return false;
}

void probe_final_check(struct probe *probe)
{
    for (int round = 0; round < 2 && !probe_has_failed(probe); round++) {
        sim_machine_crash_at(probe->node.machine, -1, NULL);
        sim_machine_kill_at(probe->node.machine, -1);
        if (!node_up(probe))
            return;
        for (int32_t i = 0; i < PROBE_PARTITIONS; i++)
            if (!partition_check(probe, i, sim_now_ns(probe->sim) + 30000 * MS))
                return;
        if (!life_end(probe, END_STOP, false))
            return;
    }
}

bool prober_run(uint64_t seed, char *failure, size_t failure_bytes)
{
    static const int32_t segment_bytes[] = {1024, 2000, 4096, 16384, 1 << 20};
    static const int32_t intervals[] = {0, 200, 1000, 4096};
    struct probe probe = {
        .heap = heap_allocator, .failure = failure, .failure_bytes = failure_bytes};
    char properties[512];
    uint64_t points_without;
    enum err err = sim_create(seed, NULL, &probe.sim);

    failure[0] = '\0';
    ASSERT(err == OK);
    /* It foresees every refusal, and what a session knows. */
    points_parse("produce_refused,fetch_session_evicted,fetch_woken_early", &points_without);
    points_begin(probe.sim, points_without);
    sim_random_init(probe.sim, &probe.random, "prober");
    snprintf(properties, sizeof properties,
             "log.dirs=/data0,/data1\n"
             "metadata.log.dir=/meta\n"
             "barnabas.shards=%lld\n"
             "barnabas.disk.reserve.bytes=0\n"
             "log.retention.check.interval.ms=%lld\n"
             "log.segment.delete.delay.ms=%lld\n"
             "log.flush.offset.checkpoint.interval.ms=%lld\n",
             (long long)random_between(&probe.random, 1, 3),
             (long long)random_between(&probe.random, 10, 200),
             (long long)random_between(&probe.random, 0, 1) * 50,
             (long long)random_between(&probe.random, 10, 1000));
    sim_node_init(&probe.node, probe.sim, "node", properties);
    err = sim_machine_create(probe.sim, "client", &probe.machine);
    ASSERT(err == OK);
    probe.client = sim_client_new(probe.sim, probe.machine);
    probe.other = sim_client_new(probe.sim, probe.machine);
    probe.segment_bytes = segment_bytes[random_below(&probe.random, ARRAY_COUNT(segment_bytes))];
    probe.index_interval = intervals[random_below(&probe.random, ARRAY_COUNT(intervals))];
    probe.is_wrapping = random_chance(&probe.random, 1, 3);
    probe.base_ms = os_wall_ms(probe.node.machine);
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++)
        probe.partitions[i].producer_id = -1;
    for (int i = 0; i < LIVES && !probe_has_failed(&probe); i++)
        life(&probe);
    points_end();
    if (!probe_has_failed(&probe))
        probe_final_check(&probe);
    sim_node_release(&probe.node);
    sim_client_free(&probe.client);
    sim_client_free(&probe.other);
    sim_release(&probe.sim);
    return !probe_has_failed(&probe);
}
