/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_crash_at.c: power cut or kill in the midst of the n-th call to the disk from now, perhaps in a start.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    int64_t calls =
        random_between(&fault->random, 0, random_chance(&fault->random, 1, 2) ? 30 : 400);
    struct os *machine = fault->node->node.machine;

    if (!sim_machine_is_up(machine))
        return;
    UNUSED(world);
    if (random_chance(&fault->random, 1, 2)) {
        fault->node->armed = HISTORY_MARK_POWER_CUT;
        sim_machine_crash_at(machine, calls, NULL);
    } else {
        fault->node->armed = HISTORY_MARK_KILL;
        sim_machine_kill_at(machine, calls);
    }
}

const struct nemesis nemesis_crash_at = {.name = "crash_at", .is_instant = true, .begin = begin};
