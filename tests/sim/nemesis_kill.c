/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_kill.c: kill -9: the process dies, the kernel keeps what was written.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    world_kill(world, fault->node);
}

const struct nemesis nemesis_kill = {.name = "kill", .is_instant = true, .begin = begin};
