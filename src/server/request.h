/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/request.h: one request from its frame to its answer, and the session (connection) that it came
 * in on. docs/design/server.md §4; requests.md §1–2 of the reference.
 *
 * Life     frame → header → handler(request) → … request_answer / request_answer_failed /
 *          request_answer_nothing / request_close, exactly one of them, once. The request lives until it
 *          was answered *and* every hold is gone: whoever leans on its frame or arena after the
 *          answer (an append that runs on when its time is out, a read) holds it.
 * Order    Answers leave in order of arrival, whatever order they are made in. The next request of a
 *          session is begun when all earlier ones are answered; a Produce also while all earlier ones are
 *          Produce requests that called request_pass.
 * Gone     When the connection is gone request->session is NULL and `cancelled` (if set) is called
 *          once; the handler still ends the request as above.
 * Threads  The home shard's. Parts of it may be lent to others (partition.h, controller_gate.h), one at a time.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "base/arena.h"
#include "base/list.h"
#include "protocol/message.h"
#include "server/shard.h"

struct connection;
struct frame;
struct request;
struct listener_config;

/* What the sessions of a listener have in common on a shard. */
struct session_kind {
    struct shard *shard;
    const struct listener_config *listener;
    bool is_controller_listener;
    struct slice principal; /* "User:ANONYMOUS" without authentication */
};

/* One connection as the handlers see it; it lies behind the network's handle (connection_of_user), and each of its
 * bytes is held by every idle client. */
struct session {
    const struct session_kind *kind;
    /* session.c's own */
    struct client_software *software; /* of ApiVersions; NULL: unknown */
    struct list_node *requests;       /* a ring in order of arrival, here the oldest; NULL: none */
    union {
        struct frame *waiting;             /* not begun yet; NULL: none */
        struct session_throttle *throttle; /* is_throttled: it has the waiting one */
    };
    bool is_closing;
    bool is_flushing;
    bool is_held;
    bool is_throttled;
};

/* What clients say of themselves: one of a kind in a shard, for all sessions that said the same. */
struct client_software {
    struct list_node node;
    struct slice name, version;
    size_t sessions;
};

struct request {
    struct shard *shard;
    struct session *session; /* NULL: the connection is gone */
    struct frame *frame;
    const struct api *api;
    struct request_header header; /* client_id: never null here, empty when null on the wire */
    void *body;                   /* decoded; slices are views into the frame */
    struct arena arena;           /* for the body, the response and the handler's scratch */
    int64_t received_ms;          /* monotone */
    void (*cancelled)(struct request *request); /* the connection is gone; may be NULL */
    void *state;                                /* the handler's own, usually in the arena */
    /* dispatch's own */
    struct list_node node;
    int holds;
    bool is_answered;
    bool has_passed;
    int32_t throttle_ms;
    int64_t received_ns;
    struct answer *answer; /* encoded, not yet sent */
    struct request_loan *loan;
    size_t loan_slices_max;
    void *private_state;
};

typedef void (*request_handler)(struct request *request);
/* What serves an API on a listener; NULL: not advertised. handlers.c lists them all and is checked
 * against the generated served_*_apis tables at start. */
request_handler handler_of_broker_api(int16_t api_key);
request_handler handler_of_controller_api(int16_t api_key);

/* A response struct of the request's API with the schema's defaults, in its arena; never NULL. */
void *request_response(struct request *request);
/* Encodes and queues the response. Fills its throttle_time_ms from the quotas that apply. */
void request_answer(struct request *request, void *response);
/* The API's own generic form of one error (AbstractRequest.getErrorResponse): protocol/… error_response.c
 * of this module. `message` NULL: none. */
void request_answer_failed(struct request *request, enum err err, const char *message);
/* Produce with acks=0. */
void request_answer_nothing(struct request *request);
/* Closes the session without an answer, as Kafka does for what it cannot parse or answer. */
void request_close(struct request *request, const char *why);

/* Memory of the caller's that records of the response point into. Large ones are sent from there, and `release` is
 * called once: when they were sent or never will be, or when they were copied. Before request_answer, once;
 * slices_max: how many records may point into it. */
struct request_loan {
    void (*release)(struct request_loan *loan);
};
void request_lend(struct request *request, struct request_loan *loan, size_t slices_max);

/* It waits for others, and nobody looks at its frame, its body or its arena any more: they are given back, so that
 * thousands may wait. The answer's own memory comes from the arena again. The header's client id must lie elsewhere.
 * request_answer_failed is not for it any more: its answer is made of the body. */
void request_rest(struct request *request);

void request_hold(struct request *request);
void request_release_hold(struct request *request);
/* This Produce is queued in every log that it goes to: the next one may be begun. */
void request_pass(struct request *request);
/* Mutes the session for so long after the answer and tells it in the answer; the largest one counts. */
void request_throttle(struct request *request, int32_t throttle_ms);

/* Remembers what an ApiVersions request said of the client; two empty ones: nothing. */
void session_set_software(struct session *session, struct slice name, struct slice version);

/* ---- the service ---- */
struct network_handler;
struct request_service;
MUST_USE enum err request_service_create(struct shard *shard, struct request_service **out);
void request_service_release(struct request_service **service);
/* What the shard's network is given. */
struct network_handler *request_service_handler(struct request_service *service);

/* Where clients reach this node on the session's listener: the advertised one, or the local address of the
 * accepted connection when none is set and the bind is a wildcard. Arena of the request. */
void request_own_endpoint(const struct request *request, struct slice *host_out, int32_t *port_out);
/* The endpoint of any broker on the request's listener; false when it is not there or has none. */
bool request_broker_endpoint(const struct request *request, int32_t broker_id,
                             struct slice *host_out, int32_t *port_out);

#endif
