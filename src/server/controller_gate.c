/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/controller_gate.c: a call's way to shard 0 and home again.
 * Invariants  the answer is sent after the publication that holds what it tells of: mail of shard 0
 *             to one shard keeps its order, and shard 0 itself has applied it.
 */
#include "server/quorum_internal.h"

static void call_home(struct mail *mail, struct reactor *to)
{
    struct controller_call *call = CONTAINER_OF(mail, struct controller_call, mail);

    UNUSED(to);
    call->done(call);
}

static void call_arrive(struct mail *mail, struct reactor *to)
{
    struct controller_call *call = CONTAINER_OF(mail, struct controller_call, mail);

    UNUSED(to);
    controller_run_accept(call->home->node->quorum, call);
}

void controller_call_submit(struct shard *home, struct controller_call *call)
{
    struct node *node = home->node;

    call->home = home;
    call->response = NULL;
    call->err = OK;
    call->why.text[0] = '\0';
    call->commit_offset = -1;
    list_init(&call->node);
    call->mail = (struct mail){.deliver = call_arrive};
    if (home->index == 0)
        controller_run_accept(node->quorum, call);
    else
        reactor_send(home->reactor, node->shards[0].reactor, &call->mail);
}

/* On shard 0, from quorum_work. */
void controller_call_finish(struct controller_call *call)
{
    ASSERT(call->response || call->err != OK);
    if (call->home->index == 0) {
        call->done(call);
        return;
    }
    call->mail = (struct mail){.deliver = call_home};
    reactor_send(call->home->node->shards[0].reactor, call->home->reactor, &call->mail);
}
