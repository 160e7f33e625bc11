/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_stop.c: an orderly stop, and the next start from a clean directory.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    world_stop(world, fault->node);
}

const struct nemesis nemesis_stop = {.name = "stop", .is_instant = true, .begin = begin};
