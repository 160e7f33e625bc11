/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum.h: this node's seat in the KRaft quorum: runs the raft core on the metadata log,
 * applies what is committed, writes snapshots, runs the controller while this node leads, and the
 * broker's own registration and heartbeats. Shard 0 only. docs/design/quorum.md; kraft.md of the
 * reference.
 *
 * Order   RAFT effects are executed in the order given. A committed record is applied before the
 *         answer that rests on it leaves. The image is published before that answer too.
 */
#ifndef SERVER_QUORUM_H
#define SERVER_QUORUM_H

#include "base/err.h"
#include "base/list.h"
#include "base/uuid.h"
#include "raft/raft.h"

struct node;
struct quorum;
struct metadata_image;

struct quorum_listener {
    /* Records up to a committed offset were applied (and: a snapshot was loaded). One call per
     * batch of commits. The image is counted: the listener takes the reference. Not called before
     * the state is as far as the high watermark known at start. */
    void (*image)(struct quorum_listener *listener, struct metadata_image *image);
    /* The node cannot go on (a record that cannot be applied, a log directory of the metadata log
     * that failed, no memory): it must stop. */
    void (*failed)(struct quorum_listener *listener, enum err err, const char *why);
};

/* Reads the metadata log and its snapshots and starts raft. node: os, directories, config, shard 0
 * are ready. `started` once the log is open and raft runs (not yet: led), or with an error and
 * why. */
MUST_USE enum err quorum_create(struct node *node, struct quorum_listener *listener,
                                struct quorum **out);
void quorum_start(struct quorum *quorum,
                  void (*started)(void *context, enum err err, const struct why *why),
                  void *context);
/* Orderly: resigns, stops the core, flushes. The metadata log is closed with the store's other
 * logs. */
void quorum_stop(struct quorum *quorum, void (*done)(void *context), void *context);
void quorum_release(struct quorum **quorum);

/* ---- the broker's life ---- */
enum broker_state { /* Kafka's BrokerState numbers */
                    BROKER_NOT_RUNNING = 0,
                    BROKER_STARTING = 1,
                    BROKER_RECOVERY = 2,
                    BROKER_RUNNING = 3,
                    BROKER_PENDING_CONTROLLED_SHUTDOWN = 6,
                    BROKER_SHUTTING_DOWN = 7,
};
/* Registers, waits for `may_unfence`, then unfences; `running` once, when unfenced is committed and
 * published. Heartbeats follow by themselves. Logs each move "Transitioning from X to Y" as Kafka
 * does. */
void quorum_broker_start(struct quorum *quorum, int64_t previous_broker_epoch,
                         void (*running)(void *context), void *context);
/* The node's logs are ready for clients. */
void quorum_broker_may_unfence(struct quorum *quorum);
/* Controlled shutdown: told to the controller; `done` when it agrees or the time is out. */
void quorum_broker_stop(struct quorum *quorum, void (*done)(void *context), void *context);
enum broker_state quorum_broker_state(const struct quorum *quorum);
int64_t quorum_broker_epoch(const struct quorum *quorum); /* -1: not registered */
/* A log directory failed: the next heartbeat says so, at once. */
void quorum_broker_directory_failed(struct quorum *quorum, struct uuid directory_id);

/* ---- requests of replicas and tools ---- */
struct quorum_request {
    const struct raft_request *request; /* lent until `done` */
    struct slice listener;              /* upper-case */
    /* `reply` is valid during the call. For a fetch the records read are in `records`. */
    void (*done)(struct quorum_request *request, const struct raft_reply *reply,
                 struct slice records);
    void *context;
    /* private */
    struct quorum *quorum;
    uint64_t token; /* 0: answered or cancelled */
    struct list_node node;
    void *read;
};
void quorum_request(struct quorum *quorum, struct quorum_request *request);
void quorum_request_cancel(struct quorum_request *request); /* the requester hung up */

void quorum_status(const struct quorum *quorum, struct raft_status *out);
struct controller_stats;
/* False: this node's controller is not active. */
bool quorum_controller_stats(const struct quorum *quorum, struct controller_stats *out);

#endif
