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

/* group_request_forward for what the coordinator may let wait: the request rests meanwhile (request_rest), and its body
 * may be gone when `done` is called, which is never NULL: request_answer_failed has nothing to make an answer of.
 * `kept` is copied; null stays null. */
void group_request_wait(struct request *request, struct slice group_id, struct slice kept,
                        void (*done)(struct coordinator_call *call));
struct slice group_request_kept(const struct coordinator_call *call);

/* TxnOffsetCommit: with what verification of the transaction gave. */
void group_request_call_verified(struct request *request, struct slice group_id, const void *body,
                                 uint64_t guard, bool guard_required,
                                 void (*done)(struct coordinator_call *call), void *context);
/* The same of any kind of coordinator. `key`: the group or the transactional id. */
void coordinator_request_call(struct request *request, const struct coordinator_kind *kind,
                              struct slice key, const void *body,
                              void (*done)(struct coordinator_call *call), void *context);

/* What comes to the transaction coordinator as AddPartitionsToTxn, whatever API brought it. */
void transaction_request_add(struct request *request, const struct transaction_add *add,
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
/* Of transactional ids: all parts of a request are of one kind. */
struct group_part *transaction_parts_add(struct group_parts *parts, struct slice transactional_id,
                                         int32_t index, const void *body);
void group_parts_submit(struct group_parts *parts);

/* Where a request has the list of groups that it names. */
struct group_list {
    size_t body_bytes;
    size_t names_at, count_at;
};
#define GROUP_LIST(type, names) \
    ((struct group_list){sizeof(type), offsetof(type, names), offsetof(type, names##_count)})
/* Asks for each of `names` alone: parts whose bodies are the request's but for the list. Then, or closed for
 * lack of memory. */
void group_parts_ask(struct request *request, struct group_list list, const struct slice *names,
                     size_t count, void (*finish)(struct group_parts *parts));
/* What a group is told whose coordinator did not answer for it. */
int16_t group_part_code(const struct group_part *part);

/* Consumer groups: group.coordinator.rebalance.protocols and group.version. */
bool group_consumer_protocol_is_on(const struct publication *publication);

#endif
