/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator.h: the coordinators that run on this node: one per partition of
 * __consumer_offsets and of __transaction_state that it leads, on the shard that owns the partition.
 * The shell of coordinator/group.h and coordinator/transaction.h. docs/design/coordinator_runner.md.
 *
 * Reach    From any shard by a coordinator_call, as with partition_op: it travels to the owner, waits
 *          there as long as the coordinator lets it wait, and comes home.
 * Order    Calls of one home for one group or one transactional id run in order.
 */
#ifndef SERVER_COORDINATOR_H
#define SERVER_COORDINATOR_H

#include "base/hash_map.h"
#include "coordinator/group.h"
#include "coordinator/transaction.h"
#include "server/shard.h"

struct coordinator_kind;
struct coordinator_service;
struct coordinator_runner;
struct effects_block;
struct metadata_topic;
struct publication;
struct request;

/* What can be run: groups (shard->coordinators) and transactions (shard->transactions). */
extern const struct coordinator_kind coordinator_kind_group;
extern const struct coordinator_kind coordinator_kind_transaction;

MUST_USE enum err coordinator_service_create(struct shard *shard,
                                             const struct coordinator_kind *kind,
                                             struct coordinator_service **out);
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
    /* in: lent until coordinator_call_end, and the body until the request's hold is gone, or until
     * `released` */
    const struct coordinator_kind *kind;
    /* Held meanwhile; the call lives in its arena, unless `released` is there too. */
    struct request *request;
    /* NULL where the call lives in the request's arena. Nobody looks at the call or its body any more: on the home
     * shard, once, not before coordinator_call_end; may be called from inside it. */
    void (*released)(struct coordinator_call *call);
    /* With request and `released`, for what may wait long: once the owner has read the body the request rests
     * (request_rest), and `body` is NULL. */
    bool rests;
    int32_t index; /* of the partition: coordinator_key_index */
    int16_t api_key;
    int16_t api_version;
    const void *body;
    struct slice client_id;
    struct slice client_host;
    /* On the home shard, once; may be called from inside submit. Ends with coordinator_call_end, when
     * the response is not looked at any more. */
    void (*done)(struct coordinator_call *call);
    void *context;
    /* TxnOffsetCommit: what verification of the transaction gave; as struct log_append has them. */
    uint64_t verification_guard;
    bool verification_required;
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
/* Which partition holds the group, or the key of any kind; -1: the topic is not there. */
int32_t coordinator_index_of(const struct shard *shard, struct slice group_id);
int32_t coordinator_key_index(const struct shard *shard, const struct coordinator_kind *kind,
                              struct slice key);
void coordinator_call_submit(struct shard *home, struct coordinator_call *call);
/* The requester is gone: nobody waits for the answer. `done` still comes. */
void coordinator_call_cancel(struct coordinator_call *call);
void coordinator_call_end(struct coordinator_call *call);

/* ---- end markers of transactions in __consumer_offsets ---- */
/* On the owner, which has the partition open. The marker goes behind what was written so far and is
 * replayed by the group's coordinator. */
struct coordinator_marker {
    /* in: lent until `done` */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    int8_t transaction_version;
    bool is_commit;
    /* Once, when the marker is committed or failed; may be called from inside submit. */
    void (*done)(struct coordinator_marker *marker, enum err err);
};
void coordinator_marker_submit(struct shard *shard, int32_t index,
                               struct coordinator_marker *marker);

/* ---- looking in, on the shard: what the service's kind does not have is not called ---- */
struct coordinator_watcher {
    void *context;
    void (*group)(void *context, const struct group_view *group);
    void (*offset)(void *context, const struct group_offset_view *offset);
    /* Until it says false, for one coordinator. */
    bool (*assigned)(void *context, const struct group_assigned_view *assigned);
    const struct metadata_image *image; /* with `assigned` */
    void (*transaction)(void *context, const struct transaction_view *transaction);
};
void coordinator_service_each(struct coordinator_service *service,
                              const struct coordinator_watcher *watcher);

/* What the node's configuration says of groups (lists live in `arena`, over must_allocator) and of transactions. */
void coordinator_options(const struct config *config, struct arena *arena,
                         struct group_options *out);
void transaction_options_read(const struct config *config, struct transaction_options *out);

#endif
