/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_node.h"

#include "base/assert.h"
#include "base/leak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS ((int64_t)1000000)
#define STARTS_MAX 50
#define START_MS 120000

static const char base_properties[] =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
    "advertised.listeners=PLAINTEXT://node:9092,CONTROLLER://node:9093\n"
    "controller.listener.names=CONTROLLER\n"
    "controller.quorum.bootstrap.servers=node:9093\n"
    "log.dirs=/data\n"
    "offsets.topic.replication.factor=1\n"
    "transaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\n"
    "share.coordinator.state.topic.replication.factor=1\n"
    "share.coordinator.state.topic.min.isr=1\n"
    "barnabas.shards=1\n";

static void log_write(struct logger *logger, enum log_level level, const char *module,
                      const char *event, const char *fields)
{
    UNUSED(logger);
    fprintf(stderr, "  %d %s %s %s\n", (int)level, module, event, fields);
}

/* SIM_LOG=1 shows what the node says. */
static struct logger logger = {.write = log_write, .level = LOG_LEVEL_DEBUG};

void sim_node_init(struct sim_node *own, struct sim *sim, const char *name, const char *properties)
{
    struct why why;
    struct slice text;
    enum err err;

    *own = (struct sim_node){.sim = sim, .seed = sim_seed(sim)};
    err = sim_machine_create(sim, name, &own->machine);
    ASSERT(err == OK);
    arena_init(&own->arena, &heap_allocator, SIZE_MAX);
    text = arena_format_slice(&own->arena, "%s%s", base_properties, properties ? properties : "");
    err = config_file_parse(&own->arena, SLICE("sim"), text, &own->file, &why);
    ASSERT(err == OK);
}

static void started(void *context)
{
    ((struct sim_node *)context)->is_serving = true;
}

static void stopped(void *context, enum err err, const char *why)
{
    struct sim_node *own = context;

    own->is_stopped = true;
    own->is_serving = false;
    own->stop_err = err;
    snprintf(own->stop_why, sizeof own->stop_why, "%s", why ? why : "");
}

static bool start_is_over(void *context)
{
    const struct sim_node *own = context;

    return own->is_serving || own->is_stopped || !sim_machine_is_up(own->machine);
}

enum err sim_node_begin(struct sim_node *own)
{
    struct why why = {{0}};
    struct node_options options = {
        .os = own->machine,
        .logger = own->logger         ? own->logger
                  : getenv("SIM_LOG") ? &logger
                                      : NULL,
        .file = &own->file,
        .seed = own->seed++,
        .format_when_empty = true,
        .started = started,
        .stopped = stopped,
        .context = own,
    };
    enum err err;

    own->is_serving = own->is_stopped = false;
    own->stop_err = OK;
    err = node_create(&options, &own->node, &why);
    if (err == OK)
        err = node_start(own->node, &why);
    if (err != OK) {
        snprintf(own->stop_why, sizeof own->stop_why, "%s", why.text);
        return sim_machine_is_up(own->machine) ? err : ERR_CRASHED;
    }
    return OK;
}

enum err sim_node_start(struct sim_node *own, int64_t timeout_ms)
{
    TRY(sim_node_begin(own));
    if (!sim_run_until(own->sim, sim_now_ns(own->sim) + timeout_ms * MS, start_is_over, own))
        return ERR_REQUEST_TIMED_OUT;
    if (!sim_machine_is_up(own->machine))
        return ERR_CRASHED;
    return own->is_serving ? OK : own->stop_err == OK ? ERR_STATE : own->stop_err;
}

bool sim_node_raise(struct sim_node *own, char *failure, size_t failure_bytes)
{
    for (int i = 0; i < STARTS_MAX; i++) {
        enum err err = sim_node_start(own, START_MS);

        if (err == OK)
            return true;
        if (err != ERR_CRASHED) {
            snprintf(failure, failure_bytes, "the node does not start: %s: %s", err_name(err),
                     own->stop_why);
            return false;
        }
        sim_node_restart_machine(own);
    }
    snprintf(failure, failure_bytes, "the node crashed %d times at start", STARTS_MAX);
    return false;
}

static bool is_stopped(void *context)
{
    return ((const struct sim_node *)context)->is_stopped;
}

bool sim_node_stop(struct sim_node *own, int64_t timeout_ms)
{
    if (!own->node)
        return true;
    node_stop(own->node);
    if (!sim_run_until(own->sim, sim_now_ns(own->sim) + timeout_ms * MS, is_stopped, own))
        return false;
    node_release(&own->node);
    return true;
}

void sim_node_restart_machine(struct sim_node *own)
{
    enum err err;

    ASSERT(!sim_machine_is_up(own->machine));
    leak_on_purpose(own->node);
    own->node = NULL;
    own->is_serving = false;
    err = sim_machine_restart(own->machine, &own->machine);
    ASSERT(err == OK);
}

void sim_node_crash(struct sim_node *own, const struct sim_crash_options *options)
{
    sim_machine_crash(own->machine, options);
    sim_node_restart_machine(own);
}

void sim_node_kill(struct sim_node *own)
{
    sim_machine_kill(own->machine);
    sim_node_restart_machine(own);
}

void sim_node_release(struct sim_node *own)
{
    if (own->node) {
        sim_machine_kill(own->machine);
        leak_on_purpose(own->node);
        own->node = NULL;
    }
    arena_release(&own->arena);
}
