/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_bridge.h: a shard's question to the quorum's seat on shard 0 and its answer, in the
 * form of a response struct. docs/design/handlers.md.
 *
 * Life   create (in the request's arena) → quorum_bridge_send → `done`, once, on the home shard,
 *        perhaps from inside send when home is shard 0. Meanwhile request and arena are lent to
 *        shard 0. When the connection goes the question is taken back; `done` comes all the same,
 *        with response NULL.
 */
#ifndef SERVER_QUORUM_BRIDGE_H
#define SERVER_QUORUM_BRIDGE_H

#include "base/arena.h"
#include "raft/raft.h"
#include "reactor/reactor.h"
#include "server/quorum.h"
#include "server/request.h"

struct quorum_bridge {
    /* in */
    struct request *request;
    struct raft_request raft;
    struct slice listener;
    /* What the response is made from; the request's own, or those inside an envelope. */
    const struct api *api;
    int16_t api_version;
    const void *body;
    void (*done)(struct quorum_bridge *bridge);
    void *context;
    /* out */
    void *response;    /* NULL: taken back; or of DescribeCluster, which needs the leader alone */
    enum err err;      /* whole request */
    enum err raft_err; /* of the partition, or of the request */
    int32_t leader_id;
    /* private */
    struct mail mail;
    struct mail cancel_mail;
    struct quorum_request question;
    bool is_asked;      /* shard 0's: the quorum has it */
    bool is_over;       /* shard 0's: answered or taken back */
    bool is_home;       /* home's: the answer is here */
    bool is_cancelling; /* home's: cancel_mail is out */
};

/* With api, version, body and listener of the request; NULL: no memory. */
struct quorum_bridge *quorum_bridge_create(struct request *request);
/* bridge->raft from the body, whose API is one of raft's. */
MUST_USE enum err quorum_bridge_read(struct quorum_bridge *bridge);
/* Sets the request's `cancelled`. */
void quorum_bridge_send(struct quorum_bridge *bridge);

/* quorum_bridge_read.c, quorum_bridge_write.c; on shard 0: bridge->response from raft's reply. */
MUST_USE enum err quorum_bridge_write(struct quorum_bridge *bridge, const struct raft_reply *reply,
                                      struct slice records);

#define METADATA_TOPIC_NAME "__cluster_metadata"
#define METADATA_TOPIC_ID ((struct uuid){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}})

#endif
