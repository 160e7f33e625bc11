/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_disk_error.c: calls fail with EIO, once or for good, in one directory or everywhere.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    static const unsigned sets[] = {
        1u << SIM_CALL_WRITE, 1u << SIM_CALL_SYNC,
        1u << SIM_CALL_READ,  1u << SIM_CALL_RENAME | 1u << SIM_CALL_SYNC_DIRECTORY,
        1u << SIM_CALL_OPEN,  1u << SIM_CALL_TRUNCATE | 1u << SIM_CALL_UNLINK,
        SIM_CALLS_ALL};
    char directory[32];
    struct sim_fault error = {
        .calls = sets[random_below(&fault->random, ARRAY_COUNT(sets))],
        .path_part = directory,
        .skip_count = random_between(&fault->random, 0, 50),
        .one_in = (uint32_t)random_between(&fault->random, 1, 10),
        .is_sticky = random_chance(&fault->random, 1, 2),
        .effect = SIM_EFFECT_ERROR,
        .err = ERR_IO,
    };

    world_directory((int)random_below(&fault->random, (uint64_t)world->knobs.directories),
                    directory, sizeof directory);
    if (random_chance(&fault->random, 1, 4))
        error.path_part = NULL;
    fault->node->needs_restart = true;
    world_mark(world, HISTORY_MARK_DISK_FAULT);
    fault->words[0] = sim_fault_add(fault->node->node.machine, &error);
    world_say(world, "EIO in %s, calls %x, %s", error.path_part ? directory : "all", error.calls,
              error.is_sticky ? "for good" : "once");
}

static void end(struct world *world, struct fault *fault)
{
    UNUSED(world);
    sim_fault_remove(fault->node->node.machine, fault->words[0]);
    fault->node->needs_restart = true;
}

const struct nemesis nemesis_disk_error = {.name = "disk_error", .begin = begin, .end = end};
