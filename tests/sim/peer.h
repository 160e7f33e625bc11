/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/peer.h: a Kafka client's connection on a simulated machine, in callbacks: many of them run at once, each
 * with any number of requests under way. sim_client.h is the same as blocking calls, for one at a time.
 */
#ifndef TESTS_SIM_PEER_H
#define TESTS_SIM_PEER_H

#include "base/arena.h"
#include "os/sim.h"
#include "protocol/message.h"

struct peer;
struct peer_request;
/* `response` NULL: the connection ended or the time was out before an answer came. `response` and what it points
 * to last until the callback returns. */
typedef void peer_answered(void *context, struct peer_request *request, const void *response);

struct peer_request { /* the caller's, until it was answered; may be on the heap of the caller */
    int16_t api_key, version;
    peer_answered *answered;
    void *context;
    /* the peer's own */
    struct peer_request *next;
    int64_t deadline_ns;
};

struct peer *peer_new(struct sim *sim, struct os *machine, const char *host, uint16_t port_number);
/* Connects when it must. Cheap; false: not (yet) connected. */
bool peer_is_ready(struct peer *peer);
/* Sends; the answer comes later, in the order of sending. `request` NULL: none is expected (acks=0).
 * False: there is no connection; `request` is not taken. */
bool peer_send(struct peer *peer, int16_t api_key, int16_t version, const void *body,
               int64_t timeout_ms, struct peer_request *request);
/* Drops the connection: all that is under way is answered with NULL, before this returns. */
void peer_drop(struct peer *peer);
/* Ends connections whose oldest answer is overdue. To be called now and then. */
void peer_tick(struct peer *peer);
/* Counts connections: changes whenever requests may have been cut off. */
int32_t peer_link(const struct peer *peer);
size_t peer_under_way(const struct peer *peer);

#endif
