/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_power.c: power cut: what was not synced is kept, dropped or torn.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    world_power_cut(world, fault->node);
}

const struct nemesis nemesis_power = {.name = "power", .is_instant = true, .begin = begin};
