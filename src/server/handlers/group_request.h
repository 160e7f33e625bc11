/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/group_request.h: requests that a group's coordinator answers: one call for one
 * group, or one for each group that the request names. docs/design/coordinator_runner.md §3.
 */
#ifndef SERVER_HANDLERS_GROUP_REQUEST_H
#define SERVER_HANDLERS_GROUP_REQUEST_H

#include "server/coordinator.h"
#include "server/publication.h"
#include "server/request.h"

/* All operations of a group, where there is no authorizer: bit n is operation n. */
#define OPERATIONS_GROUP 3400

/* ---- one group ---- */

/* Sends the request as it is and answers with what the coordinator says, or with the API's own form of
 * an error. */
void group_request_forward(struct request *request, struct slice group_id);
/* With another body, and `done` in place of the answer: it answers the request; then the call is over. */
void group_request_call(struct request *request, struct slice group_id, const void *body,
                        void (*done)(struct coordinator_call *call), void *context);

/* ---- many ---- */

struct group_parts;
struct group_part {
    struct coordinator_call call;
    struct group_parts *parts;
    struct slice group_id;
    const void *asked; /* the handler's */
};
struct group_parts {
    struct request *request;
    struct group_part *items;
    size_t count;
    size_t left;
    bool is_submitting;
    /* At home, once: looks at each part's call.err and call.response, and answers. */
    void (*finish)(struct group_parts *parts);
    void *context;
};
/* NULL: closed for lack of memory. */
struct group_parts *group_parts_create(struct request *request, size_t capacity,
                                       void (*finish)(struct group_parts *parts));
struct group_part *group_parts_add(struct group_parts *parts, struct slice group_id, int32_t index,
                                   const void *body);
void group_parts_submit(struct group_parts *parts);

/* Consumer groups: group.coordinator.rebalance.protocols and group.version. */
bool group_consumer_protocol_is_on(const struct publication *publication);

#endif
