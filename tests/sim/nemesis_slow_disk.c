/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_slow_disk.c: reads, writes or syncs take up to seconds.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    struct sim_latency slow = {.min_ns = MS,
                               .max_ns = random_between(&fault->random, 1, 50) * MS,
                               .slow_ns = random_between(&fault->random, 100, 3000) * MS,
                               .slow_one_in = 10};
    struct sim_options plain;
    uint64_t which = 1 + random_below(&fault->random, 3);

    UNUSED(world);
    sim_options_default(&plain);
    sim_machine_set_disk(fault->node->node.machine, which & 1 ? &slow : &plain.disk_latency,
                         which & 2 ? &slow : &plain.sync_latency);
}

static void end(struct world *world, struct fault *fault)
{
    struct sim_options plain;

    UNUSED(world);
    sim_options_default(&plain);
    sim_machine_set_disk(fault->node->node.machine, &plain.disk_latency, &plain.sync_latency);
}

const struct nemesis nemesis_slow_disk = {.name = "slow_disk", .begin = begin, .end = end};
