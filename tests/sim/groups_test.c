/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/groups_test.c: groups of both protocols on a node that loses power, is killed and stops at any point: a
 * committed offset never goes away or back (G2), a partition has one owner at a time (G1), and a stale member
 * commits nothing (G3).
 *   groups_test [SEEDS [FIRST]]   or SIM_SEED=n for one; SIM_LOG=1 shows the node's log.
 */
#include "group_actors.h"
#include "points.h"
#include "sim_node.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS ((int64_t)1000000)
#define LIVES 4

struct run {
    struct sim *sim;
    struct sim_node node;
    struct os *client_machine;
    struct group_lab lab;
    struct random random;
    char failure[1200];
};

static bool node_up(struct run *run)
{
    return sim_node_raise(&run->node, run->failure, sizeof run->failure);
}

static void steps(struct run *run, int64_t count)
{
    for (int64_t i = 0; i < count && !run->lab.failure[0] && sim_machine_is_up(run->node.machine);
         i++)
        group_lab_step(&run->lab, sim_now_ns(run->sim) + 15000 * MS);
}

/* One life of the node: work, then an end of a random kind. */
static bool live_and_die(struct run *run)
{
    int64_t count = random_between(&run->random, 5, 300);
    uint64_t kind = random_below(&run->random, 4);

    if (!node_up(run))
        return false;
    if (kind == 0)
        sim_machine_crash_at(run->node.machine, random_between(&run->random, 0, 600), NULL);
    else if (kind == 1)
        sim_machine_kill_at(run->node.machine, random_between(&run->random, 0, 600));
    steps(run, count);
    if (!sim_machine_is_up(run->node.machine)) {
        sim_node_restart_machine(&run->node);
        return true;
    }
    if (kind <= 2) {
        sim_node_crash(&run->node, NULL);
        return true;
    }
    if (!sim_node_stop(&run->node, 60000)) {
        snprintf(run->failure, sizeof run->failure, "the node did not stop in a minute");
        return false;
    }
    sim_node_kill(&run->node);
    return true;
}

static bool seed_passes(uint64_t seed, struct run *run)
{
    const char *properties[] = {
        "barnabas.shards=1\noffsets.topic.num.partitions=2\ngroup.initial.rebalance.delay.ms=0\n",
        "barnabas.shards=3\noffsets.topic.num.partitions=5\ngroup.initial.rebalance.delay.ms=100\n"
        "offsets.load.buffer.size=2000\n",
        /* Compaction runs all the time, wherever segments end early. */
        "barnabas.shards=2\noffsets.topic.num.partitions=2\n"
        "log.cleaner.backoff.ms=20\nlog.cleaner.min.cleanable.ratio=0.01\n",
    };

    *run = (struct run){0};
    if (sim_create(seed, NULL, &run->sim) != OK)
        return false;
    points_begin(run->sim, 0);
    sim_random_init(run->sim, &run->random, "groups");
    sim_node_init(&run->node, run->sim, "node", properties[seed % ARRAY_COUNT(properties)]);
    if (sim_machine_create(run->sim, "client", &run->client_machine) != OK)
        return false;
    group_lab_init(&run->lab, run->sim, run->client_machine, "node");
    for (int i = 0; i < LIVES && !run->failure[0] && !run->lab.failure[0]; i++)
        if (!live_and_die(run))
            break;
    points_end();
    if (!run->failure[0] && !run->lab.failure[0] && node_up(run))
        group_lab_check(&run->lab, sim_now_ns(run->sim) + 60000 * MS);
    group_lab_judge(&run->lab);
    if (run->lab.failure[0] && !run->failure[0])
        snprintf(run->failure, sizeof run->failure, "%s", run->lab.failure);
    return !run->failure[0];
}

int main(int argc, char **argv)
{
    const char *one = getenv("SIM_SEED");
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    uint64_t failed = 0;
    uint64_t struck[FAULT_POINT_COUNT] = {0}, struck_all = 0;
    int64_t commits = 0, beats = 0, rounds = 0;

    if (one) {
        first = strtoull(one, NULL, 10);
        count = 1;
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        static struct run run;

        if (!seed_passes(seed, &run)) {
            fprintf(stderr, "seed %llu: %s\n  again: SIM_SEED=%llu %s\n", (unsigned long long)seed,
                    run.failure, (unsigned long long)seed, argv[0]);
            failed++;
        }
        for (int i = 0; i < FAULT_POINT_COUNT; i++)
            struck[i] += points_struck(i);
        commits += run.lab.commits;
        beats += run.lab.beats;
        rounds += run.lab.rounds;
        sim_node_release(&run.node);
        group_lab_release(&run.lab);
        sim_release(&run.sim);
        if (failed >= 5)
            break;
    }
    for (int i = 0; i < FAULT_POINT_COUNT; i++)
        struck_all += struck[i];
    /* Worlds look after the other areas. */
    for (int i = 0; i < FAULT_POINT_COUNT && struck_all > 0 && count >= 100; i++) {
        if (struck[i] > 0 || (strcmp(points_area(i), "coordinator") != 0 &&
                              strcmp(points_area(i), "compaction") != 0))
            continue;
        fprintf(stderr, "fault point %s never struck\n", points_name(i));
        failed++;
    }
    if (one)
        points_describe(stdout);
    if (!one &&
        (commits < (int64_t)count * 20 || beats < (int64_t)count * 20 || rounds < (int64_t)count)) {
        fprintf(stderr, "this test tests nothing: ");
        failed++;
    }
    printf("%llu seeds, %lld commits, %lld heartbeats, %lld rounds, %llu failed\n",
           (unsigned long long)count, (long long)commits, (long long)beats, (long long)rounds,
           (unsigned long long)failed);
    return failed ? 1 : 0;
}
