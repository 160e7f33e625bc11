/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_bridge.c: the way of a question to shard 0 and home again, and its being taken
 * back.
 * Invariants  1. request and arena are touched by one shard at a time: shard 0 from the mail's
 *                arrival until it sends it home.
 *             2. `done` is called when both mails, where both were sent, are home.
 */
#include "server/quorum_bridge.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "server/node.h"

static struct shard *home_of(const struct quorum_bridge *bridge)
{
    return bridge->request->shard;
}

struct quorum_bridge *quorum_bridge_create(struct request *request)
{
    struct quorum_bridge *bridge = ARENA_NEW(&request->arena, struct quorum_bridge);

    if (!bridge)
        return NULL;
    bridge->request = request;
    bridge->api = request->api;
    bridge->api_version = request->header.api_version;
    bridge->body = request->body;
    bridge->listener = request->session->kind->listener->name;
    bridge->leader_id = -1;
    return bridge;
}

static void end_when_home(struct quorum_bridge *bridge)
{
    if (!bridge->is_home || bridge->is_cancelling)
        return;
    bridge->request->cancelled = NULL;
    bridge->done(bridge);
}

static void mail_home(struct mail *mail, struct reactor *to)
{
    struct quorum_bridge *bridge = CONTAINER_OF(mail, struct quorum_bridge, mail);

    UNUSED(to);
    bridge->is_home = true;
    end_when_home(bridge);
}

/* Shard 0: it is over. */
static void send_home(struct quorum_bridge *bridge)
{
    struct shard *home = home_of(bridge);

    ASSERT(!bridge->is_over);
    bridge->is_over = true;
    if (home->index == 0) {
        mail_home(&bridge->mail, home->reactor);
        return;
    }
    bridge->mail = (struct mail){.deliver = mail_home};
    reactor_send(home->node->shards[0].reactor, home->reactor, &bridge->mail);
}

static void answered(struct quorum_request *question, const struct raft_reply *reply,
                     struct slice records)
{
    struct quorum_bridge *bridge = CONTAINER_OF(question, struct quorum_bridge, question);

    bridge->leader_id = reply->leader_id;
    bridge->raft_err = reply->error_top != OK ? reply->error_top : reply->error;
    if (bridge->api->key != API_DESCRIBE_CLUSTER)
        bridge->err = quorum_bridge_write(bridge, reply, records);
    send_home(bridge);
}

static void ask(struct quorum_bridge *bridge)
{
    struct quorum *quorum = home_of(bridge)->node->quorum;

    ASSERT(quorum != NULL); /* it is there before any listener opens */
    bridge->question.request = &bridge->raft;
    bridge->question.listener = bridge->listener;
    bridge->question.done = answered;
    bridge->is_asked = true;
    quorum_request(quorum, &bridge->question);
}

static void mail_arrive(struct mail *mail, struct reactor *to)
{
    struct quorum_bridge *bridge = CONTAINER_OF(mail, struct quorum_bridge, mail);

    UNUSED(to);
    ask(bridge);
}

/* ---- taking back ---- */

static void cancel_home(struct mail *mail, struct reactor *to)
{
    struct quorum_bridge *bridge = CONTAINER_OF(mail, struct quorum_bridge, cancel_mail);

    UNUSED(to);
    bridge->is_cancelling = false;
    end_when_home(bridge);
}

static void take_back(struct quorum_bridge *bridge)
{
    if (bridge->is_over)
        return;
    ASSERT(bridge->is_asked); /* mails of one shard arrive in order */
    quorum_request_cancel(&bridge->question);
    bridge->response = NULL;
    bridge->err = ERR_CANCELLED;
    send_home(bridge);
}

static void cancel_arrive(struct mail *mail, struct reactor *to)
{
    struct quorum_bridge *bridge = CONTAINER_OF(mail, struct quorum_bridge, cancel_mail);
    struct shard *home = home_of(bridge);

    UNUSED(to);
    take_back(bridge);
    bridge->cancel_mail = (struct mail){.deliver = cancel_home};
    reactor_send(home->node->shards[0].reactor, home->reactor, &bridge->cancel_mail);
}

static void cancelled(struct request *request)
{
    struct quorum_bridge *bridge = request->state;
    struct shard *home = request->shard;

    if (home->index == 0) {
        take_back(bridge);
        return;
    }
    bridge->is_cancelling = true;
    bridge->cancel_mail = (struct mail){.deliver = cancel_arrive};
    reactor_send(home->reactor, home->node->shards[0].reactor, &bridge->cancel_mail);
}

void quorum_bridge_send(struct quorum_bridge *bridge)
{
    struct request *request = bridge->request;
    struct shard *home = request->shard;

    bridge->is_asked = bridge->is_over = bridge->is_home = bridge->is_cancelling = false;
    bridge->response = NULL;
    bridge->err = OK;
    request->state = bridge;
    request->cancelled = cancelled;
    if (home->index == 0) {
        ask(bridge);
        return;
    }
    bridge->mail = (struct mail){.deliver = mail_arrive};
    reactor_send(home->reactor, home->node->shards[0].reactor, &bridge->mail);
}
