/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_loads.c: whether the coordinators of groups are loaded, by what the node logs. While one is being loaded it
 * answers the Heartbeat of any classic member with OK, without a look (as Apache's: clients know no other answer to wait
 * by), also that of a member which the group has long expelled. Members cannot tell such an answer from another; the
 * judge must.
 */
#include "group.h"

#include <stdio.h>
#include <stdlib.h>

/* The partition of "topic=__consumer_offsets partition=N …"; -1: something else. */
static int partition_of(const char *fields)
{
    static const char place[] = "topic=__consumer_offsets partition=";
    const char *number;

    if (strncmp(fields, place, sizeof place - 1) != 0)
        return -1;
    number = fields + sizeof place - 1;
    return *number >= '0' && *number <= '9' ? *number - '0' : -1; /* worlds have up to three */
}

static void heard(struct logger *logger, enum log_level level, const char *module,
                  const char *event, const char *fields)
{
    struct group_loads *loads = CONTAINER_OF(logger, struct group_loads, logger);
    bool is_loaded = strcmp(event, "loaded") == 0;
    int partition;

    if (getenv("SIM_LOG"))
        fprintf(stderr, "  %d %s %s %s\n", (int)level, module, event, fields);
    if (strcmp(module, "coordinator") != 0 || (!is_loaded && strcmp(event, "unloaded") != 0))
        return;
    partition = partition_of(fields);
    if (partition < 0)
        return;
    if (loads->starts != loads->node->starts)
        loads->loaded = 0;
    loads->starts = loads->node->starts;
    loads->changed_ns = sim_now_ns(loads->sim);
    loads->known |= 1u << partition;
    if (is_loaded)
        loads->loaded |= 1u << partition;
    else
        loads->loaded &= ~(1u << partition);
}

void group_loads_init(struct group_loads *loads, struct world *world)
{
    loads->logger = (struct logger){.write = heard,
                                    .level = getenv("SIM_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO};
    loads->sim = world->sim;
    loads->node = &world->nodes[0];
    world->nodes[0].node.logger = &loads->logger;
}

bool group_loads_are_done(const struct group_loads *loads, int64_t since_ns)
{
    return loads->starts == loads->node->starts && loads->loaded == loads->known &&
           loads->changed_ns < since_ns;
}
