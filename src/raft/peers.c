/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/peers.c: one request at a time to each peer, waiting and backing off; whom to fetch from.
 * Invariants  1. a peer has at most one request under way.   2. an answer to a request that was given
 *             up, or sent in an earlier state, is not known any more.
 */
#include "raft/raft_internal.h"

static struct raft_peer *peer_find(struct raft *raft, int32_t id)
{
    for (size_t i = 0; i < raft->peer_count; i++)
        if (raft->peers[i].id == id)
            return &raft->peers[i];
    return NULL;
}

static void peer_remove(struct raft *raft, struct raft_peer *peer)
{
    *peer = raft->peers[--raft->peer_count];
}

/* Requests and back-offs whose time is over. */
static void peers_expire(struct raft *raft)
{
    for (size_t i = raft->peer_count; i-- > 0;)
        if (raft->now_ms >= raft->peers[i].until_ms)
            peer_remove(raft, &raft->peers[i]);
}

void raft_peers_reset(struct raft *raft)
{
    raft->peer_count = 0;
}

bool raft_peers_any_waiting(struct raft *raft)
{
    peers_expire(raft);
    for (size_t i = 0; i < raft->peer_count; i++)
        if (raft->peers[i].state == RAFT_PEER_WAITING)
            return true;
    return false;
}

const struct raft_endpoint *raft_voter_endpoint(const struct raft *raft,
                                                const struct raft_voter *voter)
{
    const struct raft_endpoint *found =
        raft_endpoints_find(voter->endpoints, raft->options.default_listener);

    return found || voter->endpoints.count == 0 ? found : &voter->endpoints.items[0];
}

/* The request as the effect carries it: everything it points at in the queue's memory. */
static struct raft_request request_copy(struct raft *raft, const struct raft_request *from)
{
    struct raft_request to = *from;

    to.cluster_id = raft->options.cluster_id;
    to.one_partition = to.metadata_partition = true;
    if (from->api == RAFT_API_BEGIN_QUORUM_EPOCH)
        to.begin.leader_endpoints = raft_scratch_endpoints(raft, from->begin.leader_endpoints);
    if (from->api == RAFT_API_ADD_VOTER)
        to.add_voter.endpoints = raft_scratch_endpoints(raft, from->add_voter.endpoints);
    if (from->api == RAFT_API_UPDATE_VOTER)
        to.update_voter.endpoints = raft_scratch_endpoints(raft, from->update_voter.endpoints);
    if (from->api == RAFT_API_END_QUORUM_EPOCH) {
        size_t bytes = from->end.preferred_count * sizeof *from->end.preferred;
        struct raft_replica_key *keys = raft_scratch(raft, bytes);

        if (keys && bytes > 0)
            memcpy(keys, from->end.preferred, bytes);
        to.end.preferred = keys;
        to.end.preferred_count = keys ? from->end.preferred_count : 0;
    }
    return to;
}

bool raft_send(struct raft *raft, int32_t peer_id, const struct raft_endpoint *endpoint,
               const struct raft_request *request)
{
    struct raft_endpoints to;
    struct raft_request copy;
    struct raft_effect *effect;
    struct raft_peer *peer;

    if (!endpoint)
        return false;
    peers_expire(raft);
    peer = peer_find(raft, peer_id);
    if (peer) {
        raft_wake_at(raft, peer->until_ms);
        return false;
    }
    if (!RAFT_RESERVE(raft, raft->peers, raft->peer_capacity, raft->peer_count))
        return false;
    raft->peers[raft->peer_count++] = (struct raft_peer){
        .id = peer_id,
        .state = RAFT_PEER_WAITING,
        .api = request->api,
        .number = raft->next_number,
        .until_ms = raft_after(raft, MAX(raft->options.request_timeout_ms, 1)),
    };
    raft_wake_at(raft, raft->peers[raft->peer_count - 1].until_ms);
    to = raft_scratch_endpoints(raft, (struct raft_endpoints){endpoint, 1});
    copy = request_copy(raft, request);
    effect = raft_emit(raft, RAFT_EFFECT_SEND);
    effect->send.number = raft->next_number++;
    effect->send.peer_id = peer_id;
    if (to.count > 0)
        effect->send.endpoint = to.items[0];
    effect->send.timeout_ms = raft->options.request_timeout_ms;
    effect->send.request = copy;
    return true;
}

static const struct raft_endpoint *leader_endpoint(const struct raft *raft)
{
    const struct raft_endpoint *found;

    ASSERT(raft->leader_endpoints && raft->leader_endpoints->endpoints.count > 0); /* a follower */
    found = raft_endpoints_find(raft->leader_endpoints->endpoints, raft->options.default_listener);
    return found ? found : &raft->leader_endpoints->endpoints.items[0];
}

bool raft_send_leader(struct raft *raft, const struct raft_request *request)
{
    return raft_send(raft, raft->leader_id, leader_endpoint(raft), request);
}

bool raft_peer_answered(struct raft *raft, uint64_t number, struct raft_peer *peer_out)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct raft_peer *peer = &raft->peers[i];

        if (peer->state != RAFT_PEER_WAITING || peer->number != number)
            continue;
        *peer_out = *peer;
        peer_remove(raft, peer);
        return true;
    }
    return false;
}

void raft_peer_back_off(struct raft *raft, int32_t peer_id)
{
    ASSERT(!peer_find(raft, peer_id));              /* it has just answered */
    ASSERT(raft->peer_count < raft->peer_capacity); /* and left its place */
    raft->peers[raft->peer_count++] = (struct raft_peer){
        .id = peer_id,
        .state = RAFT_PEER_BACKING_OFF,
        .until_ms = raft_after(raft, MAX(raft->options.retry_backoff_ms, 1)),
    };
}

/* The bootstrap servers: as configured, with ids from -2 down, else the static voters but this one. */
static size_t bootstrap_count(const struct raft *raft)
{
    return raft->options.bootstrap_servers.count > 0 ? raft->options.bootstrap_servers.count
                                                     : raft->options.static_voters.count;
}

static const struct raft_endpoint *bootstrap_at(const struct raft *raft, size_t index,
                                                int32_t *id_out)
{
    const struct raft_voter *voter;

    if (raft->options.bootstrap_servers.count > 0) {
        *id_out = -2 - (int32_t)index;
        return &raft->options.bootstrap_servers.items[index];
    }
    voter = &raft->options.static_voters.items[index];
    *id_out = voter->key.id;
    return voter->key.id == raft->options.self.id ? NULL : raft_voter_endpoint(raft, voter);
}

void raft_send_fetch_bootstrap(struct raft *raft)
{
    size_t count = bootstrap_count(raft);
    size_t first = count > 0 ? (size_t)random_below(&raft->random, count) : 0;
    struct raft_request request;

    if (raft_peers_any_waiting(raft) || raft_log_held_offset(raft) != raft->log.end_offset) {
        for (size_t i = 0; i < raft->peer_count; i++)
            raft_wake_at(raft, raft->peers[i].until_ms);
        return;
    }
    raft_fetch_fill(raft, &request);
    for (size_t i = 0; i < count; i++) {
        int32_t id;
        const struct raft_endpoint *endpoint = bootstrap_at(raft, (first + i) % count, &id);

        if (endpoint && raft_send(raft, id, endpoint, &request))
            return;
    }
}

void raft_send_fetch_best(struct raft *raft)
{
    const struct raft_peer *leader = peer_find(raft, raft->leader_id);
    bool timed_out =
        leader && leader->state == RAFT_PEER_WAITING && raft->now_ms >= leader->until_ms;
    bool backs_off =
        leader && leader->state == RAFT_PEER_BACKING_OFF && raft->now_ms < leader->until_ms;

    if (backs_off)
        raft_wake_at(raft, leader->until_ms);
    if (timed_out || backs_off)
        raft_send_fetch_bootstrap(raft);
    else
        raft_follow_send(raft);
}
