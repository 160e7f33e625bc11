/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_cut.c: a blocked way between a node and a client, another node or itself: both directions or one.
 */
#include "world.h"

#include "nemesis_link.h"

static void begin(struct world *world, struct fault *fault)
{
    struct os *other = nemesis_other(world, fault);
    struct sim_link link;
    uint64_t ways = 1 + random_below(&fault->random, 3);

    if ((ways & 1) != 0) {
        sim_link_get(fault->node->node.machine, other, &link);
        link.is_blocked = true;
        sim_link_set(fault->node->node.machine, other, &link);
    }
    if ((ways & 2) != 0) {
        sim_link_get(other, fault->node->node.machine, &link);
        link.is_blocked = true;
        sim_link_set(other, fault->node->node.machine, &link);
    }
}

const struct nemesis nemesis_cut = {.name = "cut", .begin = begin, .end = nemesis_link_heal};
