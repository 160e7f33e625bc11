/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_internal.h: what node_*.c, shard.c and publication.c say to each other.
 */
#ifndef SERVER_NODE_INTERNAL_H
#define SERVER_NODE_INTERNAL_H

#include "network/network.h"
#include "raft/raft.h"
#include "server/node.h"
#include "server/publication.h"
#include "server/quorum.h"
#include "storage/storage.h"

#include <stdatomic.h>

/* One piece of work on every shard, on its own thread. Shard 0 starts it and hears `done`. */
struct round_part;
struct shard_round {
    void (*run)(struct shard_round *round, struct shard *shard); /* ends with shard_round_done */
    void (*done)(struct shard_round *round);                     /* on shard 0 */
    struct node *node;
    struct round_part *parts;
    size_t left;
};
void shard_round_start(struct shard_round *round, struct node *node);
void shard_round_done(struct shard_round *round, struct shard *shard);

enum node_phase { NODE_CREATED, NODE_STARTING, NODE_RUNNING, NODE_STOPPING, NODE_STOPPED };

/* Per shard, beside struct shard: what the node itself keeps. */
struct node_shard {
    struct storage_listener storage_listener;
    struct shard *shard;
    struct os_thread *thread;
    struct log_store_close close;
    struct shard_round *round; /* under way */
    bool was_failed;           /* its logs did not all close well */
};

struct node_private {
    struct node *node;
    struct quorum_listener quorum_listener;
    enum node_phase phase;          /* shard 0's */
    bool is_ready_asked;            /* the first publication is out */
    struct shard_round ready_round; /* of the start */
    struct shard_round round;       /* of the stop */
    struct mail start_mail;
    struct timer start_timer; /* server.max.startup.time.ms */
    struct mail stop_mail;
    atomic_bool stop_asked;
    enum err stop_err;
    struct why stop_why;
    struct node_shard *shards;
    bool closed_well; /* every log of every shard closed in order */
    _Atomic int8_t log_levels[CONFIG_LOGGER_COUNT];
    int64_t broker_epoch_at_stop; /* for the clean marker; -1: not registered */
};

static inline struct node_private *node_private(const struct node *node)
{
    return node->private_state;
}

/* node_start.c */
/* Binds every listener (port 0 becomes a number), accepts nothing yet. */
MUST_USE enum err node_listen(struct node *node, struct why *why);
void node_image_arrived(struct node *node, struct metadata_image *image);
/* node_stop.c: shard 0; err ≠ OK: because of it. */
void node_stop_begin(struct node *node, enum err err, const char *why);
/* node_apply.c: news that concern the node as a whole (limits, log levels); shard 0. */
void node_apply(struct node *node, const struct publication *before,
                const struct publication *after);
void node_network_options(const struct node *node, const struct config *config,
                          struct network_options *out);
void node_gate_limits(struct node *node, const struct config *config);
/* log.cleaner.*: at the start and whenever they change. */
void node_cleaner_options(const struct config *config, struct cleaner_options *out);
/* node_check.c: what this build cannot do is refused, with what to do instead. */
MUST_USE enum err node_check(const struct node *node, struct why *why);
/* Logs what a cluster of one broker should set. */
void node_advise(const struct node *node);

/* publication.c */
MUST_USE enum err publisher_create(struct node *node, struct publisher **out);
void publisher_release(struct publisher **publisher); /* after the shards stopped */

#endif
