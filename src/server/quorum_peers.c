/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_peers.c: the way to the other replicas of the quorum. Quorums of one voter have
 * nobody to reach: what raft sends all the same (to bootstrap servers, or to voters that an older
 * log names) is answered as an unreachable peer is, in a later turn, and raft's own back-off sets
 * the pace.
 *
 * The channel to real peers takes the place of send_fail; what only a peer's reply can cause
 * (quorum_peers_effect) comes with it.
 */
#include "server/quorum_internal.h"

struct failed_send {
    struct mail mail;
    struct quorum *quorum;
    uint64_t number;
};

static void failed_drop(struct mail *mail)
{
    struct failed_send *failed = CONTAINER_OF(mail, struct failed_send, mail);

    SERVER_DELETE(failed);
}

static void failed_deliver(struct mail *mail, struct reactor *to)
{
    struct failed_send *failed = CONTAINER_OF(mail, struct failed_send, mail);
    struct raft_event event = {.kind = RAFT_EVENT_SEND_FAILED};
    struct quorum *quorum = failed->quorum;

    UNUSED(to);
    event.send_failed.number = failed->number;
    SERVER_DELETE(failed);
    quorum_feed(quorum, event);
    quorum_end(quorum);
}

static void send_fail(struct quorum *quorum, uint64_t number)
{
    struct failed_send *failed = SERVER_NEW(struct failed_send);

    failed->quorum = quorum;
    failed->number = number;
    failed->mail.deliver = failed_deliver;
    failed->mail.drop = failed_drop;
    quorum_begin(quorum);
    reactor_send(quorum->reactor, quorum->reactor, &failed->mail);
}

void quorum_peers_send(struct quorum *quorum, const struct raft_effect *effect)
{
    LOG_DEBUG(quorum->logger, "quorum", "peer_unreachable", "api=%s peer=%d host=%.*s port=%d",
              raft_api_name(effect->send.request.api), effect->send.peer_id,
              SLICE_ARGS(effect->send.endpoint.host), effect->send.endpoint.port);
    send_fail(quorum, effect->send.number);
}

void quorum_peers_effect(struct quorum *quorum, const struct raft_effect *effect)
{
    UNUSED(quorum);
    UNUSED(effect);
    ASSERT(false); /* follows from a reply alone, and none was ever handed in */
}

void quorum_peers_stop(struct quorum *quorum)
{
    UNUSED(quorum);
}
