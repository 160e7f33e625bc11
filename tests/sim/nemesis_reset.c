/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_reset.c: every connection between two machines is reset now.
 */
#include "world.h"

#include "nemesis_link.h"

static void begin(struct world *world, struct fault *fault)
{
    sim_connections_reset(fault->node->node.machine, nemesis_other(world, fault));
}

const struct nemesis nemesis_reset = {.name = "reset", .is_instant = true, .begin = begin};
