/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_check.c: what a configuration may ask for and this build does not have. Such a file is refused
 * with the reason: a node that starts does what its file says.
 */
#include "server/node_internal.h"

#include "base/fmt.h"

enum err node_check(const struct node *node, struct why *why)
{
    const struct node_config *config = &node->config;

    if (!config->broker || !config->controller)
        return why_set(
            why, ERR_CONFIG,
            "process.roles: only broker,controller in one process is served; a node with "
            "one role needs the links between nodes, which are not built yet");
    if (config->voter_count > 1)
        return why_set(
            why, ERR_CONFIG,
            "controller.quorum.voters: only a quorum of one voter is served; several need "
            "the links between nodes, which are not built yet");
    if (config->voter_count == 1 && config->voters[0].id != config->node_id)
        return why_set(why, ERR_CONFIG,
                       "controller.quorum.voters: the only voter is %d, but node.id is %d",
                       config->voters[0].id, config->node_id);
    return OK;
}

/* In a container clients come through mapped ports: the address that they arrive at is not the one that
 * they can reach. Nothing in here knows the other one. */
static void container_advise(const struct node *node)
{
    static const char *const marks[] = {"/.dockerenv", "/run/.containerenv"};
    bool is_container = false;
    bool is_open = false;

    for (size_t i = 0; i < ARRAY_COUNT(marks); i++) {
        struct os_stat stat;

        is_container |= os_stat(node->os, marks[i], &stat) == OK && stat.exists;
    }
    for (size_t i = 0; i < node->config.listener_count; i++)
        is_open |=
            !node->config.listeners[i].controller && slice_is_null(node->config.listeners[i].host);
    if (is_container && is_open && !node->config.advertised_set)
        LOG_WARN(
            node->logger, "config", "container",
            "reason=\"clients are told the address that they arrived at; where ports are mapped "
            "into this container they cannot reach it: set advertised.listeners to what they "
            "dial, for instance advertised.listeners=PLAINTEXT://localhost:9092\"");
}

/* Kafka's defaults ask for three replicas of the internal topics; one node has one. */
void node_advise(const struct node *node)
{
    static const enum broker_key keys[] = {
        BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR,
        BROKER_TRANSACTION_STATE_LOG_REPLICATION_FACTOR,
        BROKER_TRANSACTION_STATE_LOG_MIN_ISR,
        BROKER_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR,
        BROKER_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR,
    };
    char advice[512];
    bool is_met = true;

    container_advise(node);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        is_met &= config_int(node->boot_config, keys[i]) <= 1;
    if (is_met)
        return;
    fmt(advice, sizeof advice, "%s", config_single_node_properties);
    for (char *at = advice; *at; at++)
        *at = *at == '\n' ? ' ' : *at; /* a line of a file each: a log line shows them as \n */
    LOG_WARN(node->logger, "config", "single_node",
             "reason=\"internal topics cannot have the replicas that are asked for while this is "
             "the only broker; for a cluster of one set: %s\"",
             advice);
}
