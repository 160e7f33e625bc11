/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/world.c: a world from its seed to its verdict: actors and phases. Nodes: world_nodes.c.
 */
#include "world.h"

#include "base/assert.h"
#include "group.h"
#include "peer.h"
#include "plan.h"
#include "points.h"
#include "transaction.h"

#include <stdarg.h>
#include <stdlib.h>

#define LIVENESS_MS 10000
#define GROUPS_MS 11000 /* patterns are matched anew every ten seconds */
#define SLOW_CALL_MS \
    4000 /* what a call may still take that a slow disk holds; later ones are drawn anew */
#define SETTLE_MS 4000

/* ---- telling ---- */

void world_say(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (!world->options.is_loud)
        return;
    fprintf(stderr, "%10.3f ms  ", (double)sim_now_ns(world->sim) / 1e6);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void world_fail(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (world->failure[0])
        return;
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
    world_say(world, "FAILURE %s", world->failure);
}

/* ---- history ---- */

int64_t world_event(struct world *world, struct history_event *event)
{
    struct world_node *node = &world->nodes[0];

    if (sim_machine_is_up(node->node.machine))
        node->last_wall_ms = os_wall_ms(node->node.machine);
    event->time_ns = sim_now_ns(world->sim);
    event->wall_ms = node->last_wall_ms;
    if (event->op < 0 && event->kind != HISTORY_MARK)
        event->op = world->next_op++;
    history_add(world->history, event);
    return event->op;
}

void world_mark(struct world *world, enum history_mark mark)
{
    struct history_event event;

    history_event_init(&event, HISTORY_MARK, HISTORY_OK);
    event.mark = mark;
    world_event(world, &event);
}

struct slot *world_slot(struct world *world, struct random *random, bool with_churn)
{
    struct slot *slot = &world->slots[random_below(random, (uint64_t)world->slot_count)];

    return slot->is_live && (with_churn || !slot->is_churn) ? slot : NULL;
}

void world_directory(int index, char *out, size_t capacity_bytes)
{
    snprintf(out, capacity_bytes, "/data%d/", index);
}

/* ---- actors ---- */

static void actor_tick(void *context)
{
    struct actor *actor = context;
    struct world *world = actor->world;

    if (world->phase == WORLD_DONE || world->failure[0])
        return;
    peer_tick(actor->peer);
    actor->type->tick(actor);
    sim_call_at(world->sim,
                sim_now_ns(world->sim) +
                    random_between(&actor->random, 1, 2 * actor->tick_ms * 1000) * 1000,
                actor_tick, actor);
}

struct actor *world_actor_add(struct world *world, const struct actor_type *type, int number)
{
    struct actor *actor = &world->actors[world->actor_count];
    char stream[32];

    ASSERT(world->actor_count < WORLD_ACTORS_MAX);
    snprintf(stream, sizeof stream, "actor %s %d", type->name, number);
    *actor = (struct actor){.type = type,
                            .world = world,
                            .machine = world->clients[world->actor_count % WORLD_CLIENTS],
                            .process = world->actor_count,
                            .tick_ms = 10,
                            .own = calloc(1, type->own_bytes)};
    ASSERT(actor->own != NULL);
    sim_random_init(world->sim, &actor->random, stream);
    /* Several nodes: bootstrap with any; leaders are followed by the actor once there are several. */
    actor->peer = peer_new(world->sim, actor->machine,
                           world->nodes[world->actor_count % world->node_count].name, 9092);
    world->actor_count++;
    type->begin(actor, number);
    sim_call_at(world->sim, sim_now_ns(world->sim) + 1, actor_tick, actor);
    return actor;
}

static void actors_add(struct world *world)
{
    int producers = (int)random_between(&world->random, 1, 5);
    int consumers = (int)random_between(&world->random, 1, 4);

    world_actor_add(world, &actor_topics, 0);
    for (int i = 0; i < producers; i++)
        world_actor_add(world, &actor_producer, i);
    for (int i = 0; i < consumers; i++)
        world_actor_add(world, &actor_consumer, i);
    world_actor_add(world, &actor_searcher, 0);
    if (random_chance(&world->random, 1, 2))
        world_actor_add(world, &actor_trimmer, 0);
    for (int i = 0; i < world->slot_count; i++)
        world_actor_add(world, &actor_final_reader, i);
    if (world->knobs.has_groups)
        groups_add(world);
    if (world->transactions)
        transactions_add(world);
}

static const struct actor *actor_undrained(const struct world *world)
{
    for (int i = 0; i < world->actor_count; i++)
        if (!world->actors[i].type->is_drained(&world->actors[i]))
            return &world->actors[i];
    return NULL;
}

static bool nodes_are_up(const struct world *world)
{
    for (int i = 0; i < world->node_count; i++)
        if (world->nodes[i].state != NODE_UP)
            return false;
    return true;
}

/* ---- phases ---- */

static void phase_begin(struct world *world, enum world_phase phase, const char *name)
{
    world->phase = phase;
    world->phase_began_ns = sim_now_ns(world->sim);
    world_say(world, "phase %s", name);
}

/* Until everybody has ended what this phase asks of him. */
static void phase_await(struct world *world, const char *name)
{
    int64_t liveness_ms =
        LIVENESS_MS +
        (world->phase == WORLD_DRAIN && plan_has_struck(world, "slow_disk") ? SLOW_CALL_MS : 0) +
        (world->phase == WORLD_DRAIN && world->groups ? GROUPS_MS : 0);
    int64_t until_ns = sim_now_ns(world->sim) + liveness_ms * MS;
    const struct actor *actor;

    while (!world->failure[0] && (!nodes_are_up(world) || actor_undrained(world)) &&
           sim_now_ns(world->sim) < until_ns)
        world_advance(world, MIN(sim_now_ns(world->sim) + 20 * MS, until_ns));
    if (world->failure[0])
        return;
    if (!nodes_are_up(world))
        world_fail(world, "L1: a node is not up %d s after the last fault; it said: %s",
                   (int)(liveness_ms / 1000), world->nodes[0].node.stop_why);
    else if ((actor = actor_undrained(world)) != NULL)
        world_fail(world, "L1: %s of process %d is not done %d s after the phase %s began%s%s",
                   actor->type->name, actor->process, (int)(liveness_ms / 1000), name,
                   actor->type->describe ? ": " : "",
                   actor->type->describe ? actor->type->describe(actor) : "");
}

static void faults_strike(struct world *world)
{
    int64_t end_ns = world->knobs.run_ms * MS;

    for (;;) {
        int64_t next_ns = plan_next(world, end_ns);

        world_advance(world, next_ns);
        if (world->failure[0] || sim_now_ns(world->sim) >= end_ns)
            break;
        plan_act(world);
    }
    points_end();
    plan_heal(world);
}

static void nodes_stop(struct world *world)
{
    for (int i = 0; i < world->node_count; i++)
        world_stop(world, &world->nodes[i]);
    for (int i = 0; i < world->node_count && !world->failure[0]; i++)
        while (!world->failure[0] && world->nodes[i].state == NODE_STOPPING)
            world_advance(world, sim_now_ns(world->sim) + 10 * MS);
}

static void judge(struct world *world)
{
    size_t length = 0;

    sim_counts(world->sim, &world->counts);
    if (world->counts.blocking_in_turn > 0)
        world_fail(world, "a running shard made %llu blocking calls",
                   (unsigned long long)world->counts.blocking_in_turn);
    history_check(world->history, &world->report);
    if (world->report.count == 0)
        return;
    if (world->failure[0])
        length = (size_t)snprintf(world->failure + strlen(world->failure),
                                  sizeof world->failure - strlen(world->failure), "; ");
    length += strlen(world->failure) - length;
    for (size_t i = 0; i < world->report.count && i < 3 && length < sizeof world->failure; i++)
        length += (size_t)snprintf(world->failure + length, sizeof world->failure - length,
                                   "%s%s event %zu: %s", i ? "; " : "", world->report.first[i].rule,
                                   world->report.first[i].event + 1, world->report.first[i].text);
}

static void world_create(struct world *world, const struct world_options *options)
{
    struct sim_options sim_options;
    enum err err;

    *world = (struct world){.options = *options, .node_count = MAX(options->node_count, 1)};
    world->next_op = world->next_value = 1;
    world->history = history_new();
    sim_options_default(&sim_options);
    sim_options.trace_count = options->trace_count;
    err = sim_create(options->seed, &sim_options, &world->sim);
    ASSERT(err == OK);
    points_begin(world->sim, options->points_without);
    sim_random_init(world->sim, &world->random, "world");
    knobs_draw(&world->random, world->node_count, &world->knobs);
    if (options->group_script > 0)
        knobs_fix((uint64_t)options->group_script, &world->knobs);
    if (options->transaction_script > 0) {
        knobs_fix((uint64_t)options->transaction_script, &world->knobs);
        world->knobs.has_groups = false;
    }
    transactions_draw(world);
    if (options->with_groups != 0)
        world->knobs.has_groups = options->with_groups > 0;
    if (options->run_ms > 0)
        world->knobs.run_ms = options->run_ms;
    for (int i = 0; i < world->node_count; i++) {
        struct world_node *node = &world->nodes[i];

        /* "node" as advertised; more of them need their own properties (node.id, voters). */
        snprintf(node->name, sizeof node->name, i ? "node%d" : "node", i);
        sim_node_init(&node->node, world->sim, node->name, world->knobs.properties);
        node->last_wall_ms = os_wall_ms(node->node.machine);
    }
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        char name[16];

        snprintf(name, sizeof name, "client%d", i);
        err = sim_machine_create(world->sim, name, &world->clients[i]);
        ASSERT(err == OK);
    }
    world->slot_count = (int)random_between(&world->random, 1, 3);
    for (int i = 0; i < world->slot_count; i++) {
        snprintf(world->slots[i].name, sizeof world->slots[i].name, "t%d", i);
        world->slots[i].partitions = (int32_t)random_between(&world->random, 1, 4);
        world->slots[i].is_churn = i > 0 && random_chance(&world->random, 2, 3);
    }
}

static void strike(void *context)
{
    struct world *world = context;
    struct world_node *node = &world->nodes[0];
    enum world_strike kind = world->options.strike;
    bool is_power = kind == STRIKE_POWER_AT_CALL || kind == STRIKE_POWER_AT_TIME;

    node->armed = is_power ? HISTORY_MARK_POWER_CUT : HISTORY_MARK_KILL;
    if (kind == STRIKE_POWER_AT_CALL)
        sim_machine_crash_at(node->node.machine, world->options.strike_at, NULL);
    else if (kind == STRIKE_KILL_AT_CALL)
        sim_machine_kill_at(node->node.machine, world->options.strike_at);
    else if (is_power)
        sim_machine_crash(node->node.machine, NULL);
    else
        sim_machine_kill(node->node.machine);
}

bool world_run(struct world *world, const struct world_options *options)
{
    world_create(world, options);
    plan_make(world);
    actors_add(world);
    if (options->strike == STRIKE_POWER_AT_TIME || options->strike == STRIKE_KILL_AT_TIME)
        sim_call_at(world->sim, (WORLD_STRIKE_FROM_MS + options->strike_at) * MS, strike, world);
    else if (options->strike != STRIKE_NONE)
        sim_call_at(world->sim, WORLD_STRIKE_FROM_MS * MS, strike, world);
    world_supervise(world);
    faults_strike(world);
    phase_begin(world, WORLD_DRAIN, "drain");
    phase_await(world, "drain");
    if (!world->failure[0]) {
        /* What acks=1 acknowledged is shown when its sync has ended, and that may have begun on a slow disk. */
        world_advance(world, sim_now_ns(world->sim) + SETTLE_MS * MS);
        world_mark(world, HISTORY_MARK_FINAL);
        phase_begin(world, WORLD_FINAL, "final");
        phase_await(world, "final");
    }
    if (!world->failure[0]) {
        phase_begin(world, WORLD_DONE, "done");
        nodes_stop(world);
    }
    judge(world);
    world->hash = sim_hash(world->sim);
    world->simulated_ns = sim_now_ns(world->sim);
    return !world->failure[0];
}

void world_release(struct world *world)
{
    for (int i = 0; i < world->node_count; i++)
        sim_node_release(&world->nodes[i].node);
    for (int i = 0; i < world->actor_count; i++)
        free(world->actors[i].own);
    free(world->groups);
    free(world->transactions);
    sim_release(&world->sim);
    history_free(&world->history);
}

void world_describe(const struct world *world, FILE *out)
{
    fprintf(out,
            "  %d shards, %d directories, %sflush %s, segments of %s bytes, retention %lld ms %lld "
            "bytes\n",
            world->knobs.shards, world->knobs.directories,
            world->knobs.has_groups ? "groups, " : "", world->knobs.is_flush_os ? "os" : "commit",
            world->knobs.segment_bytes, (long long)world->knobs.retention_ms,
            (long long)world->knobs.retention_bytes);
    for (int i = 0; i < world->fault_count; i++)
        fprintf(out, "  fault %d at %.3f ms: %s%s\n", world->faults[i].number,
                (double)world->faults[i].at_ns / 1e6, world->faults[i].kind->name,
                plan_is_left_out(world, &world->faults[i]) ? " (left out)" : "");
    points_describe(out);
}
