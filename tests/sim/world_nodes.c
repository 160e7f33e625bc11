/* SPDX-License-Identifier: Apache-2.0 */
/* sim/world_nodes.c: nodes of a world: how they go down, and who starts them again. */
#include "world.h"

#include "disk_paths.h"

#define STOP_MS 30000

static void node_went_down(struct world *world, struct world_node *node, enum history_mark mark)
{
    int64_t pause_ms = world->phase == WORLD_FAULTS ? random_between(&world->random, 1, 1500) : 0;

    if (mark == HISTORY_MARK_POWER_CUT) {
        world->had_power_cut = true;
        if (world->knobs.is_flush_os)
            mark = HISTORY_MARK_POWER_CUT_VOLATILE;
    }
    world_mark(world, mark);
    world_say(world, "%s: %s", node->name, history_mark_names[mark]);
    if (!sim_machine_is_up(node->node.machine))
        sim_node_restart_machine(&node->node);
    if (mark == HISTORY_MARK_POWER_CUT_VOLATILE)
        disk_mark_synced(world, node);
    node->state = NODE_DOWN;
    node->is_paused = false;
    node->due_ns = sim_now_ns(world->sim) + pause_ms * MS;
}

void world_power_cut(struct world *world, struct world_node *node)
{
    if (sim_machine_is_up(node->node.machine))
        sim_machine_crash(node->node.machine, NULL);
    node_went_down(world, node, HISTORY_MARK_POWER_CUT);
}

void world_kill(struct world *world, struct world_node *node)
{
    if (sim_machine_is_up(node->node.machine))
        sim_machine_kill(node->node.machine);
    node_went_down(world, node, HISTORY_MARK_KILL);
}

void world_stop(struct world *world, struct world_node *node)
{
    if (node->state != NODE_UP)
        return;
    world_say(world, "%s: stop", node->name);
    node_stop(node->node.node);
    node->state = NODE_STOPPING;
    node->due_ns = sim_now_ns(world->sim) + STOP_MS * MS;
}

static void node_start_try(struct world *world, struct world_node *node)
{
    enum err err;

    world_mark(world, HISTORY_MARK_START);
    node->starts++;
    node->needs_restart = false;
    err = sim_node_begin(&node->node);
    if (err == OK) {
        node->state = NODE_STARTING;
        return;
    }
    world_say(world, "%s: start: %s: %s", node->name, err_name(err), node->node.stop_why);
    if (err == ERR_CRASHED) {
        node_went_down(world, node, node->armed);
        return;
    }
    node->start_failures++;
    if (world->phase != WORLD_FAULTS)
        world_fail(world, "L1: %s does not start: %s: %s", node->name, err_name(err),
                   node->node.stop_why);
    world_kill(world, node); /* what is half open closes with the process */
}

static void node_supervise(struct world *world, struct world_node *node)
{
    int64_t now_ns = sim_now_ns(world->sim);

    if (!sim_machine_is_up(node->node.machine)) {
        node_went_down(world, node, node->armed);
        return;
    }
    switch (node->state) {
    case NODE_DOWN:
        if (now_ns >= node->due_ns && world->phase != WORLD_DONE)
            node_start_try(world, node);
        break;
    case NODE_STARTING:
        if (node->node.is_serving) {
            world_say(world, "%s: up", node->name);
            node->state = NODE_UP;
        }
        /* fall through */
    case NODE_UP:
        if (!node->node.is_stopped)
            break;
        world_say(world, "%s: stopped by itself: %s %s", node->name, err_name(node->node.stop_err),
                  node->node.stop_why);
        if (world->phase != WORLD_FAULTS)
            world_fail(world, "L1: %s stopped by itself: %s: %s", node->name,
                       err_name(node->node.stop_err), node->node.stop_why);
        world_kill(world, node);
        break;
    case NODE_STOPPING:
        if (node->node.is_stopped) {
            node_release(&node->node.node);
            /* With a directory that has failed a stop is no cleaner than a kill. */
            world_mark(world, node->needs_restart ? HISTORY_MARK_KILL : HISTORY_MARK_STOP);
            world_say(world, "%s: stopped", node->name);
            sim_machine_kill(node->node.machine); /* the next start is from the disk */
            sim_node_restart_machine(&node->node);
            node->state = NODE_DOWN;
            node->is_paused = false;
            node->due_ns = now_ns + random_between(&world->random, 1, 200) * MS;
        } else if (now_ns >= node->due_ns) {
            if (world->phase != WORLD_FAULTS)
                world_fail(world, "L1: %s does not stop within %d s", node->name, STOP_MS / 1000);
            world_kill(world, node);
        }
        break;
    }
}

/* Ends a stretch of simulation as soon as the supervisor has something to do. */
static bool supervisor_is_due(void *context)
{
    struct world *world = context;

    if (world->failure[0])
        return true;
    for (int i = 0; i < world->node_count; i++) {
        struct world_node *node = &world->nodes[i];

        if (!sim_machine_is_up(node->node.machine) ||
            (node->state == NODE_STARTING && node->node.is_serving) ||
            (node->state != NODE_DOWN && node->node.is_stopped))
            return true;
    }
    return false;
}

void world_supervise(struct world *world)
{
    for (int i = 0; i < world->node_count; i++)
        node_supervise(world, &world->nodes[i]);
}

void world_advance(struct world *world, int64_t until_ns)
{
    while (!world->failure[0] && sim_now_ns(world->sim) < until_ns) {
        int64_t next_ns = until_ns;

        for (int i = 0; i < world->node_count; i++)
            if ((world->nodes[i].state == NODE_DOWN || world->nodes[i].state == NODE_STOPPING) &&
                world->phase != WORLD_DONE)
                next_ns = MIN(next_ns, MAX(world->nodes[i].due_ns, sim_now_ns(world->sim) + 1));
        if (!sim_run_until(world->sim, next_ns, supervisor_is_due, world) &&
            sim_now_ns(world->sim) < next_ns)
            return; /* nothing is left that could happen */
        world_supervise(world);
    }
}
