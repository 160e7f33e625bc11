/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_link.c: see nemesis_link.h. words[0]: 1 + who it is. Ways are healed to what they were at the start.
 */
#include "nemesis_link.h"

struct os *nemesis_other(struct world *world, struct fault *fault)
{
    int32_t who;

    if (fault->words[0] == 0)
        fault->words[0] = 1 + (int32_t)random_below(&fault->random,
                                                    (uint64_t)(WORLD_CLIENTS + world->node_count));
    who = fault->words[0] - 1;
    return who < WORLD_CLIENTS ? world->clients[who]
                               : world->nodes[who - WORLD_CLIENTS].node.machine;
}

void nemesis_link_heal(struct world *world, struct fault *fault)
{
    struct os *machine = fault->node->node.machine, *other = nemesis_other(world, fault);
    struct sim_options plain;

    sim_options_default(&plain);
    sim_link_set(machine, other, machine == other ? &plain.loopback : &plain.link);
    if (machine != other)
        sim_link_set(other, machine, &plain.link);
}
