/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/controller_gate.h: how a shard asks the active controller. On this node the call goes to
 * shard 0 by mail; the answer comes when what it rests on is committed, and after the publication
 * that holds it was sent to every shard. docs/design/quorum.md.
 */
#ifndef SERVER_CONTROLLER_GATE_H
#define SERVER_CONTROLLER_GATE_H

#include "base/arena.h"
#include "controller/controller.h"
#include "reactor/reactor.h"

struct node;
struct shard;

struct controller_call {
    /* in: lent until `done`, with all that it points at */
    struct controller_request request;
    struct arena *arena; /* response and scratch; the caller's, untouched by it until `done` */
    void (*done)(struct controller_call *call); /* on the home shard; never from inside submit */
    void *context;
    /* out: in the API's own form also when the call failed whole; NULL: not even that found memory, and err is set */
    void *response;
    enum err err; /* of the whole request; OK otherwise */
    struct why why;
    /* private */
    struct shard *home;
    struct mail mail;
    struct list_node node;
    int64_t commit_offset;
    int64_t wait_deadline_ms;
    uint64_t upgrade_token; /* of a kraft.version change under way; 0: none */
};
void controller_call_submit(struct shard *home, struct controller_call *call);

#endif
