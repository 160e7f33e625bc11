/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/request_internal.h: what session.c, request.c and dispatch.c say to each other.
 */
#ifndef SERVER_REQUEST_INTERNAL_H
#define SERVER_REQUEST_INTERNAL_H

#include "network/network.h"
#include "server/request.h"

/* Requests of one session that may be under way (all Produce, all passed). */
#define SESSION_REQUESTS_MAX 64
/* Requests kept for reuse by a shard, and what an arena may keep of its memory. */
#define REQUESTS_SPARE_MAX 64
#define REQUEST_ARENA_SPARE_BYTES (64 * KIB)

struct request_service {
    struct network_handler handler;
    struct shard *shard;
    struct writer scratch;  /* answers are encoded here */
    struct list_node spare; /* struct request */
    size_t spare_count;
    size_t live_count;
    struct session_kind *kinds; /* of each listener */
    size_t kind_count;
    struct list_node softwares; /* struct client_software; few, those of the last hello first */
    size_t waiting_count;       /* frames that wait for the answer before them, of all sessions */
    size_t waiting_max;         /* this shard's share of queued.max.requests */
    int64_t log_second;         /* of the last "refused" line: one a second */
    uint64_t log_dropped;
};

/* ---- the requests of a session ---- */

static inline void session_push(struct session *session, struct request *request)
{
    list_init(&request->node);
    if (session->requests)
        list_push_back(session->requests, &request->node);
    else
        session->requests = &request->node;
}

static inline void session_remove(struct session *session, struct request *request)
{
    if (session->requests == &request->node)
        session->requests = list_first(&request->node); /* NULL: it was the last one */
    list_remove(&request->node);
}

/* NULL: none. */
static inline struct request *session_oldest(const struct session *session)
{
    return session->requests ? LIST_ITEM(session->requests, struct request, node) : NULL;
}

/* session.c */
/* Sends what is answered in order, then begins what may begin now. */
void session_flush(struct session *session);
void session_close(struct session *session, const char *why);

/* request.c */
struct request *request_new(struct session *session, struct frame *frame);
/* It is out of its session's list. Frees it unless something holds it. */
void request_settle(struct request *request);

/* request_answer.c */
/* Encodes header and body into request->answer. */
MUST_USE enum err request_encode(struct request *request, const void *response);
/* Hands request->answer to the connection; nothing when there is none. */
void request_send(struct request *request);
/* What was not sent, and what was lent for it. */
void request_answer_drop(struct request *request);

/* dispatch.c */
/* The API key of a frame whose header was not looked at yet; -1: too short. */
int16_t frame_api_key(const struct frame *frame);
/* Header, API, body, handler. May close the session. */
void dispatch_frame(struct session *session, struct frame *frame);

/* error_response.c: the response that stands for one error of the whole request; NULL: there is none
 * (Produce with acks=0, messages without a place for an error): the session is closed. */
void *error_response_make(struct request *request, enum err err, const char *message);

#endif
