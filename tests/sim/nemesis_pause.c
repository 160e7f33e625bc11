/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_pause.c: SIGSTOP, and SIGCONT later: the node wakes as a zombie, its clocks have gone on.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    if (fault->node->is_paused || !sim_machine_is_up(fault->node->node.machine))
        return;
    fault->node->is_paused = true;
    if (random_chance(&fault->random, 1, 4)) /* longer than sessions last */
        fault->until_ns =
            sim_now_ns(world->sim) + random_between(&fault->random, 1, 30) * 1000 * MS;
    sim_machine_pause(fault->node->node.machine);
}

static void end(struct world *world, struct fault *fault)
{
    UNUSED(world);
    if (fault->node->is_paused && sim_machine_is_up(fault->node->node.machine))
        sim_machine_resume(fault->node->node.machine);
    fault->node->is_paused = false;
}

const struct nemesis nemesis_pause = {.name = "pause", .begin = begin, .end = end};
