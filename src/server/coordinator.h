/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator.h: the coordinators that run on this node: one per partition of
 * __consumer_offsets that it leads, on the shard that owns the partition. The shell of
 * coordinator/group.h. docs/design/coordinator_runner.md.
 *
 * Reach    From any shard by a coordinator_call, as with partition_op: it travels to the owner, waits
 *          there as long as the coordinator lets it wait, and comes home.
 * Order    Calls of one home for one group run in order.
 */
#ifndef SERVER_COORDINATOR_H
#define SERVER_COORDINATOR_H

#include "base/hash_map.h"
#include "coordinator/group.h"
#include "server/shard.h"

struct coordinator_service;
struct coordinator_runner;
struct effects_block;
struct metadata_topic;
struct publication;
struct request;

MUST_USE enum err coordinator_service_create(struct shard *shard, struct coordinator_service **out);
/* After the partition table has taken the publication. */
void coordinator_service_apply(struct coordinator_service *service,
                               const struct publication *before, const struct publication *after);
/* Before the partition table stops. Whoever waits is told; later calls get COORDINATOR_NOT_AVAILABLE.
 * `done` once nothing of a coordinator is under way. */
void coordinator_service_stop(struct coordinator_service *service, void (*done)(void *context),
                              void *context);
void coordinator_service_release(struct coordinator_service **service);

/* ---- calls ---- */
struct coordinator_call {
    /* in: lent until coordinator_call_end, and the body until the request's hold is gone */
    struct request *request; /* held meanwhile; the call lives in its arena */
    int32_t index;           /* of the partition: coordinator_index_of */
    int16_t api_key;
    int16_t api_version;
    const void *body;
    struct slice client_id;
    struct slice client_host;
    /* On the home shard, once; may be called from inside submit. Ends with coordinator_call_end, when
     * the response is not looked at any more. */
    void (*done)(struct coordinator_call *call);
    void *context;
    /* out */
    enum err err;   /* what a client is told (mapped); OK: see response */
    void *response; /* of the API, when err is OK */
    /* private */
    struct shard *home;
    struct shard *owner;
    struct uuid topic_id;
    struct mail mail; /* there, and home with the answer */
    struct mail body_mail;
    struct mail forget_mail;
    struct hash_map_node node; /* of the runner's calls, by token */
    struct list_node ended;    /* of the service's answers of this turn */
    struct effects_block *block;
    uint64_t token;
    int uses;
    bool is_done;
    bool is_forgotten;
};
/* Which partition holds the group; -1: the topic is not there. */
int32_t coordinator_index_of(const struct shard *shard, struct slice group_id);
void coordinator_call_submit(struct shard *home, struct coordinator_call *call);
/* The requester is gone: nobody waits for the answer. `done` still comes. */
void coordinator_call_cancel(struct coordinator_call *call);
void coordinator_call_end(struct coordinator_call *call);

/* ---- looking in, on the shard ---- */
struct coordinator_watcher {
    void *context;
    void (*group)(void *context, const struct group_view *group);
    void (*offset)(void *context, const struct group_offset_view *offset);
};
void coordinator_service_each(struct coordinator_service *service,
                              const struct coordinator_watcher *watcher);

/* What the node's configuration says of groups; lists live in `arena`. */
void coordinator_options(const struct config *config, struct arena *arena,
                         struct group_options *out);

#endif
