/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_slow_link.c: a way with long delays, little bandwidth, losses, tiny segments, or resets in the midst of frames.
 */
#include "world.h"

#include "nemesis_link.h"

static void begin(struct world *world, struct fault *fault)
{
    struct os *machine = fault->node->node.machine, *other = nemesis_other(world, fault);
    struct random *random = &fault->random;
    struct sim_link link;

    sim_link_get(machine, other, &link);
    if (random_chance(random, 1, 2))
        link.latency = (struct sim_latency){.min_ns = MS,
                                            .max_ns = random_between(random, 1, 300) * MS,
                                            .slow_ns = 1000 * MS,
                                            .slow_one_in = 20};
    if (random_chance(random, 1, 3))
        link.bandwidth_bytes_s = random_between(random, 20000, 1000000);
    if (random_chance(random, 1, 3))
        link.loss_one_in = (uint32_t)random_between(random, 2, 50);
    if (random_chance(random, 1, 3))
        link.segment_bytes_max = (int)random_between(random, 1, 100);
    if (random_chance(random, 1, 3))
        link.cut_one_in = (uint32_t)random_between(random, 3, 100);
    sim_link_set(machine, other, &link);
    sim_link_set(other, machine, &link);
}

const struct nemesis nemesis_slow_link = {
    .name = "slow_link", .begin = begin, .end = nemesis_link_heal};
