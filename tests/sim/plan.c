/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/plan.c: swarm testing: each seed allows some kinds of faults only, so that one that hides others does
 * not hide them always; some seeds have none at all.
 */
#include "plan.h"

#include "base/assert.h"

#include <string.h>

const struct nemesis *const nemeses[] = {
    &nemesis_power,      &nemesis_kill,      &nemesis_crash_at, &nemesis_stop,
    &nemesis_pause,      &nemesis_clock,     &nemesis_cut,      &nemesis_slow_link,
    &nemesis_reset,      &nemesis_slow_disk, &nemesis_slow_log, &nemesis_full_disk,
    &nemesis_disk_error, &nemesis_rot_cache, &nemesis_rot_log,
};
const size_t nemesis_count = ARRAY_COUNT(nemeses);

static int kind_index(const struct nemesis *kind)
{
    int index = 0;

    while (nemeses[index] != kind)
        index++;
    return index;
}

void plan_make(struct world *world)
{
    struct random random;
    int allowed[ARRAY_COUNT(nemeses)], allowed_count = 0;

    sim_random_init(world->sim, &random, "plan");
    for (int i = 0; i < (int)ARRAY_COUNT(nemeses); i++)
        if (random_chance(&random, 1, 3))
            allowed[allowed_count++] = i;
    world->fault_count = allowed_count == 0 ? 0 : (int)random_below(&random, 13);
    for (int i = 0; i < world->fault_count; i++) {
        struct fault *fault = &world->faults[i];
        int64_t run_ms = world->options.run_ms > 0 ? 4000 : world->knobs.run_ms;

        *fault = (struct fault){
            .kind = nemeses[allowed[random_below(&random, (uint64_t)allowed_count)]],
            .number = i,
            .at_ns = random_between(&random, 1, run_ms) * MS,
            .node = &world->nodes[random_below(&random, (uint64_t)world->node_count)],
        };
        fault->until_ns = fault->at_ns + random_between(&random, 1, 1500) * MS;
        random_init(&fault->random, random_u64(&random));
    }
}

bool plan_is_left_out(const struct world *world, const struct fault *fault)
{
    return (world->options.faults_without >> fault->number & 1) ||
           (world->options.kinds_without >> kind_index(fault->kind) & 1);
}

bool plan_has_struck(const struct world *world, const char *name)
{
    for (size_t i = 0; i < nemesis_count; i++)
        if (strcmp(nemeses[i]->name, name) == 0)
            return world->kinds_struck >> i & 1;
    return false;
}

int64_t plan_next(const struct world *world, int64_t end_ns)
{
    int64_t next_ns = end_ns;

    for (int i = 0; i < world->fault_count; i++) {
        const struct fault *fault = &world->faults[i];

        if (fault->is_on)
            next_ns = MIN(next_ns, fault->until_ns);
        else if (!fault->is_past && !plan_is_left_out(world, fault))
            next_ns = MIN(next_ns, fault->at_ns);
    }
    return MAX(next_ns, sim_now_ns(world->sim));
}

static void fault_end(struct world *world, struct fault *fault)
{
    world_say(world, "fault %d %s ends", fault->number, fault->kind->name);
    fault->is_on = false;
    fault->kind->end(world, fault);
}

void plan_act(struct world *world)
{
    int64_t now_ns = sim_now_ns(world->sim);

    for (int i = 0; i < world->fault_count; i++) {
        struct fault *fault = &world->faults[i];

        if (fault->is_on && fault->until_ns <= now_ns)
            fault_end(world, fault);
        if (fault->is_past || fault->at_ns > now_ns)
            continue;
        fault->is_past = true;
        if (plan_is_left_out(world, fault))
            continue;
        world_say(world, "fault %d %s", fault->number, fault->kind->name);
        world->kinds_struck |= 1u << kind_index(fault->kind);
        fault->is_on = !fault->kind->is_instant;
        fault->kind->begin(world, fault);
    }
}

void plan_heal(struct world *world)
{
    for (int i = 0; i < world->fault_count; i++)
        if (world->faults[i].is_on)
            fault_end(world, &world->faults[i]);
    for (int i = 0; i < world->node_count; i++) {
        struct world_node *node = &world->nodes[i];

        sim_machine_crash_at(node->node.machine, -1, NULL);
        sim_machine_kill_at(node->node.machine, -1);
        node->due_ns = node->state == NODE_DOWN ? sim_now_ns(world->sim) : node->due_ns;
        if (node->state != NODE_DOWN && node->needs_restart)
            world_kill(world, node);
    }
    for (int i = 0; i < world->node_count; i++)
        if (world->nodes[i].state == NODE_DOWN)
            world->nodes[i].due_ns = sim_now_ns(world->sim);
}
