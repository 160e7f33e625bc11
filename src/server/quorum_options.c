/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_options.c: what the configuration says to the quorum: raft's options, and where
 * others reach this node.
 */
#include "server/format.h"
#include "server/publication.h"
#include "server/quorum_internal.h"

const struct config *quorum_config(const struct quorum *quorum)
{
    const struct publication *publication = quorum->shard->publication;

    return publication ? publication->config : quorum->node->boot_config;
}

static bool is_wild(struct slice host)
{
    return slice_is_null(host) || host.size_bytes == 0;
}

bool quorum_wants_host_name(const struct quorum *quorum)
{
    const struct node_config *config = &quorum->node->config;

    for (size_t i = 0; i < config->advertised_count; i++)
        if (is_wild(config->advertised[i].host))
            return true;
    for (size_t i = 0; i < config->advertised_controller_count; i++)
        if (is_wild(config->advertised_controllers[i].host))
            return true;
    return false;
}

void quorum_advertised(const struct quorum *quorum, const struct listener_config *listener,
                       struct slice *host_out, uint16_t *port_out)
{
    const struct node *node = quorum->node;

    *host_out = is_wild(listener->host) ? slice_from_text(quorum->host_name) : listener->host;
    *port_out = (uint16_t)listener->port;
    if (listener->port != 0 || !node->bound_ports)
        return;
    for (size_t i = 0; i < node->config.listener_count; i++)
        if (slice_equal(node->config.listeners[i].name, listener->name))
            *port_out = node->bound_ports[i];
}

static enum err own_endpoints(struct quorum *quorum, struct arena *arena,
                              struct raft_endpoints *out)
{
    const struct node_config *config = &quorum->node->config;
    struct raft_endpoint *items =
        ARENA_ARRAY(arena, struct raft_endpoint, config->advertised_controller_count);

    if (!items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < config->advertised_controller_count; i++) {
        struct slice host;

        quorum_advertised(quorum, &config->advertised_controllers[i], &host, &items[i].port);
        items[i].listener = config->advertised_controllers[i].name;
        items[i].host = format_host_text(host, arena);
        if (slice_is_null(items[i].host))
            return ERR_NO_MEMORY;
    }
    *out = (struct raft_endpoints){items, config->advertised_controller_count};
    return OK;
}

static enum err static_voters(struct quorum *quorum, struct slice listener, struct arena *arena,
                              struct raft_voters *out)
{
    const struct node_config *config = &quorum->node->config;
    struct raft_voter *voters = ARENA_ARRAY(arena, struct raft_voter, config->voter_count);
    struct raft_endpoint *endpoints = ARENA_ARRAY(arena, struct raft_endpoint, config->voter_count);

    if (!voters || !endpoints)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < config->voter_count; i++) {
        endpoints[i] = (struct raft_endpoint){listener, config->voters[i].host,
                                              (uint16_t)config->voters[i].port};
        voters[i].key.id = config->voters[i].id;
        voters[i].endpoints = (struct raft_endpoints){&endpoints[i], 1};
    }
    *out = (struct raft_voters){voters, config->voter_count};
    return OK;
}

static enum err bootstrap_servers(struct quorum *quorum, struct arena *arena,
                                  struct raft_endpoints *out)
{
    const struct node_config *config = &quorum->node->config;
    struct raft_endpoint *items = ARENA_ARRAY(arena, struct raft_endpoint, config->bootstrap_count);

    if (!items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < config->bootstrap_count; i++)
        items[i] = (struct raft_endpoint){SLICE_EMPTY, config->bootstrap[i].host,
                                          (uint16_t)config->bootstrap[i].port};
    *out = (struct raft_endpoints){items, config->bootstrap_count};
    return OK;
}

enum err quorum_raft_options(struct quorum *quorum, struct arena *arena, struct raft_options *out)
{
    const struct node *node = quorum->node;
    const struct config *config = node->boot_config;

    *out = raft_options_default();
    out->self.id = node->config.node_id;
    out->self.directory_id = log_directory_id(quorum->directory);
    out->cluster_id = node->cluster_id;
    out->can_vote = node->config.controller;
    out->default_listener = node->config.controller_listener_names.count > 0
                                ? node->config.controller_listener_names.items[0]
                                : SLICE_EMPTY;
    out->election_timeout_ms = config_long(config, BROKER_CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS);
    out->election_backoff_max_ms =
        config_long(config, BROKER_CONTROLLER_QUORUM_ELECTION_BACKOFF_MAX_MS);
    out->fetch_timeout_ms = config_long(config, BROKER_CONTROLLER_QUORUM_FETCH_TIMEOUT_MS);
    out->request_timeout_ms = config_long(config, BROKER_CONTROLLER_QUORUM_REQUEST_TIMEOUT_MS);
    out->retry_backoff_ms = config_long(config, BROKER_CONTROLLER_QUORUM_RETRY_BACKOFF_MS);
    out->fetch_bytes_max = config_int(config, BROKER_CONTROLLER_QUORUM_FETCH_MAX_BYTES);
    out->fetch_snapshot_bytes_max =
        config_int(config, BROKER_CONTROLLER_QUORUM_FETCH_SNAPSHOT_MAX_BYTES);
    out->auto_join = config_boolean(config, BROKER_CONTROLLER_QUORUM_AUTO_JOIN_ENABLE);
    TRY(own_endpoints(quorum, arena, &out->endpoints));
    TRY(static_voters(quorum, out->default_listener, arena, &out->static_voters));
    return bootstrap_servers(quorum, arena, &out->bootstrap_servers);
}
