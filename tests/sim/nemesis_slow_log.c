/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_slow_log.c: the syncs of one kind of log take long while those of the others do not: what is to be
 * durable first becomes durable last, and a crash meanwhile shows who did not wait for it.
 */
#include "world.h"

static void begin(struct world *world, struct fault *fault)
{
    static const char *const kinds[] = {"/__transaction_state-", "/__consumer_offsets-",
                                        "/__cluster_metadata-", "/bank", "/t"};
    struct sim_fault slow = {
        .calls = 1u << SIM_CALL_SYNC,
        .path_part = kinds[random_below(&fault->random, ARRAY_COUNT(kinds))],
        .one_in = (uint32_t)random_between(&fault->random, 1, 3),
        .is_sticky = true,
        .effect = SIM_EFFECT_DELAY,
        .delay_ns = random_between(&fault->random, 10, 300) * MS,
    };

    fault->words[0] = sim_fault_add(fault->node->node.machine, &slow);
    world_say(world, "syncs of %s… take %lld ms longer", slow.path_part,
              (long long)(slow.delay_ns / MS));
}

static void end(struct world *world, struct fault *fault)
{
    UNUSED(world);
    sim_fault_remove(fault->node->node.machine, fault->words[0]);
}

const struct nemesis nemesis_slow_log = {.name = "slow_log", .begin = begin, .end = end};
