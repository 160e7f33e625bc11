/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/forward.h: a request that is for the controller, or for the leader of the quorum: sent,
 * waited for, and sent again while nobody leads. docs/design/handlers.md; requests.md §3.0,
 * kraft.md §4.7.
 *
 * Life   forward_create (in the request's arena) → fields may be changed → forward_send → `finish`,
 *        once, on the home shard, perhaps from inside send. `finish` ends the request, whose
 *        connection may be gone. The response lives in `arena`, which is freed when `finish`
 *        returns.
 */
#ifndef SERVER_FORWARD_H
#define SERVER_FORWARD_H

#include "server/controller_gate.h"
#include "server/mutation_quota.h"
#include "server/quorum_bridge.h"

/* How long Kafka's broker keeps a request for a controller that cannot be found. */
#define FORWARD_WAIT_MS 60000

struct forward {
    struct request *request;
    /* What is asked: the request itself, or what an envelope holds. */
    const struct api *api;
    int16_t api_version;
    const void *body;
    struct slice principal;
    struct slice client_id;
    bool waits;     /* until somebody leads; else NOT_CONTROLLER is the answer */
    bool forwarded; /* a broker has looked at it before */
    bool throttles; /* the quota holds against this connection; an envelope's is a broker's */
    void (*finish)(struct forward *forward, void *response, enum err err);
    void *context;
    /* private */
    struct arena arena; /* of the controller's call: the control plane's, without limit */
    struct controller_call call;
    struct mutation_quota quota;
    struct quorum_bridge *bridge;
    struct timer again;
    int64_t wait_deadline_ms;
};

/* For a request of a broker listener it waits and counts as looked at. `finish` answers the
 * request. NULL: no memory, and the request was failed. */
struct forward *forward_create(struct request *request);
/* The API must be one of the controller's, DescribeQuorum, or a change of voters. */
void forward_send(struct forward *forward);
/* Is it one that forward_send takes? */
bool forward_handles(int16_t api_key);

#endif
