/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_full_disk.c: the disk is full, or nearly so, and is given room again later.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    struct os *machine = fault->node->node.machine;
    int64_t free_bytes, total_bytes;

    if (!sim_machine_is_up(machine) || os_disk_space(machine, "/", &free_bytes, &total_bytes) != OK)
        return;
    fault->node->needs_restart = true;
    world_mark(world, HISTORY_MARK_DISK_FAULT);
    sim_disk_set_capacity(machine,
                          total_bytes - free_bytes + random_between(&fault->random, 0, 16) * 4096);
}

static void end(struct world *world, struct fault *fault)
{
    struct sim_options plain;

    UNUSED(world);
    sim_options_default(&plain);
    sim_disk_set_capacity(fault->node->node.machine, plain.disk_bytes);
    fault->node->needs_restart = true; /* a write that failed took its directory offline */
}

const struct nemesis nemesis_full_disk = {.name = "full_disk", .begin = begin, .end = end};
