/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node.h: one Kafka node in this process: from a configuration to running shards and back.
 * docs/design/server.md.
 *
 * Start  node_create (checks the configuration; opens and checks the directories; makes shards) →
 *        node_start (asynchronous; listener.started when clients are served, or stopped with an error) →
 *        node_stop → listener.stopped → node_release. With the real machine node_run does the
 *        threads; in the simulator the machine's events drive it.
 * Threads  node_create, node_start, node_release: the starting thread. Everything in `struct node` that
 *        is not marked is set before the shards run and read-only after.
 */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include "config/config.h"
#include "os/os.h"
#include "server/shard.h"

struct log_directories;
struct network_gate;
struct quorum;
struct publisher;

struct node_options {
    struct os *os;
    struct logger *logger;
    const struct config_file *file; /* lives as long as the node */
    uint64_t seed;
    bool format_when_empty; /* started without a FILE */
    /* NULL-able. On shard 0's thread. */
    void (*started)(void *context);
    void (*stopped)(void *context, enum err err, const char *why);
    /* Any shard's thread: the levels in force from now on. NULL-able. */
    void (*log_levels_changed)(void *context, const struct config_logger_levels *levels);
    void *context;
};

struct node {
    struct os *os;
    struct logger *logger;
    struct node_options options;
    struct arena arena;               /* lives as long as the node */
    const struct config *boot_config; /* from the file alone */
    struct node_config config; /* static: roles, listeners, directories, shards, flush mode */
    struct slice cluster_id;
    struct uuid incarnation_id;
    struct log_directories *directories;
    int64_t previous_broker_epoch; /* of the clean markers; -1: unclean or new */
    struct shard *shards;
    size_t shard_count;
    /* shard 0's: */
    struct network_gate *gate;
    struct quorum *quorum;
    struct publisher *publisher;
    uint16_t *bound_ports; /* of config.listeners, once bound */
    void *private_state;
};

/* Blocking. `why` and the log say what is wrong and what to do. ERR_CONFIG, ERR_NOT_FOUND (not formatted),
 * ERR_LOCKED, ERR_INCONSISTENT_CLUSTER_ID, ERR_KAFKA_STORAGE_ERROR, ERR_ADDRESS_IN_USE, … */
MUST_USE enum err node_create(const struct node_options *options, struct node **out,
                              struct why *why);
MUST_USE enum err node_start(struct node *node, struct why *why);
void node_stop(struct node *node); /* any thread; more than once is fine */
/* Real machine: runs shard 0 on this thread and the others on their own until stopped. */
void node_run(struct node *node);
void node_release(struct node **node);

/* Log levels of the modules (BROKER_LOGGER configs): any shard; the last one wins. */
void node_set_log_levels(struct node *node, const struct config_logger_levels *levels);
void node_log_levels(const struct node *node, struct config_logger_levels *out);

#endif
