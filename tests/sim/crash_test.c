/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/crash_test.c: the unmodified node on a disk that keeps, drops, tears and reorders what was not synced:
 * whatever was acknowledged or seen is there after any number of power cuts, kills and restarts.
 *   crash_test [SEEDS [FIRST]]   or SIM_SEED=n for one; SIM_LOG=1 shows the node's log.
 */
#include "sim_node.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS ((int64_t)1000000)
#define CRASHES 4

struct run {
    struct sim *sim;
    struct sim_node node;
    struct os *client_machine;
    struct workload work;
    struct random random;
    char failure[1200];
};

/* Serves, whatever a crash left; crashes on the way there are followed by another start. */
static bool node_up(struct run *run)
{
    return sim_node_raise(&run->node, run->failure, sizeof run->failure);
}

static void steps(struct run *run, int64_t until_ns)
{
    while (sim_now_ns(run->sim) < until_ns && !run->work.failure[0] &&
           sim_machine_is_up(run->node.machine))
        workload_step(&run->work, MIN(sim_now_ns(run->sim) + 2000 * MS, until_ns));
}

/* One life of the node: work, then an end of a random kind. */
static bool live_and_die(struct run *run)
{
    int64_t until_ns = sim_now_ns(run->sim) + random_between(&run->random, 5, 400) * MS;
    uint64_t kind = random_below(&run->random, 4);

    if (kind <= 1) { /* at a call of the disk, perhaps of the next start */
        int64_t calls = random_between(&run->random, 0, 300);

        if (kind == 0)
            sim_machine_crash_at(run->node.machine, calls, NULL);
        else
            sim_machine_kill_at(run->node.machine, calls);
        if (!node_up(run))
            return false;
        steps(run, until_ns);
        if (sim_machine_is_up(run->node.machine))
            sim_node_crash(&run->node, NULL);
        else
            sim_node_restart_machine(&run->node);
        return true;
    }
    if (!node_up(run))
        return false;
    steps(run, until_ns);
    if (kind == 2) {
        sim_node_crash(&run->node, NULL);
        return true;
    }
    if (!sim_node_stop(&run->node, 60000)) {
        snprintf(run->failure, sizeof run->failure, "the node did not stop in a minute");
        return false;
    }
    sim_node_kill(&run->node); /* the machine goes with it: every start is from the disk */
    return true;
}

static bool seed_passes(uint64_t seed, struct run *run)
{
    const char *shards[] = {"barnabas.shards=1\n", "barnabas.shards=3\n"};

    *run = (struct run){0};
    if (sim_create(seed, NULL, &run->sim) != OK)
        return false;
    sim_random_init(run->sim, &run->random, "crash");
    sim_node_init(&run->node, run->sim, "node", shards[seed % 2]);
    if (sim_machine_create(run->sim, "client", &run->client_machine) != OK)
        return false;
    workload_init(&run->work, run->sim, run->client_machine, "node", 1);
    for (int i = 0; i < CRASHES && !run->failure[0] && !run->work.failure[0]; i++)
        if (!live_and_die(run))
            break;
    if (!run->failure[0] && !run->work.failure[0] && node_up(run))
        workload_check(&run->work, sim_now_ns(run->sim) + 60000 * MS);
    if (run->work.failure[0] && !run->failure[0])
        snprintf(run->failure, sizeof run->failure, "%s", run->work.failure);
    return !run->failure[0];
}

int main(int argc, char **argv)
{
    const char *one = getenv("SIM_SEED");
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 200;
    uint64_t failed = 0;
    int64_t acked = 0;

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
        acked += run.work.acked_batches;
        sim_node_release(&run.node);
        workload_release(&run.work);
        sim_release(&run.sim);
        if (failed >= 5)
            break;
    }
    if (!one && acked < (int64_t)count * 10) {
        fprintf(stderr, "only %lld batches were acknowledged: this test tests nothing\n",
                (long long)acked);
        failed++;
    }
    printf("%llu seeds, %lld batches acknowledged, %llu failed\n", (unsigned long long)count,
           (long long)acked, (unsigned long long)failed);
    return failed ? 1 : 0;
}
