/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/message.c: what all requests and all answers have in common: cluster id, partition, epochs,
 * and learning of leaders. Peers are believed about epochs and leaders of their own or a later epoch,
 * and about nothing that contradicts what is known of the present epoch.
 */
#include "raft/raft_internal.h"

bool raft_cluster_id_valid(const struct raft *raft, const struct raft_request *request)
{
    return slice_is_null(request->cluster_id) ||
           slice_equal(request->cluster_id, raft->options.cluster_id);
}

enum err raft_check_voter_request(const struct raft *raft, int32_t peer_id, int32_t epoch)
{
    if (epoch < raft->epoch)
        return ERR_FENCED_LEADER_EPOCH;
    return peer_id < 0 ? ERR_INVALID_REQUEST : OK;
}

enum err raft_check_leader_request(const struct raft *raft, int32_t epoch)
{
    if (epoch < raft->epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (epoch > raft->epoch)
        return ERR_UNKNOWN_LEADER_EPOCH;
    if (raft->role != RAFT_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return raft->stopping ? ERR_BROKER_NOT_AVAILABLE : OK;
}

bool raft_is_own_key(const struct raft *raft, struct raft_replica_key voter)
{
    if (voter.id < 0)
        return true; /* old versions do not name the receiver */
    return voter.id == raft->options.self.id &&
           (uuid_is_zero(voter.directory_id) ||
            uuid_equal(voter.directory_id, raft->options.self.directory_id));
}

typedef void (*request_handler)(struct raft *raft, uint64_t token, struct slice listener,
                                const struct raft_request *request);
static const request_handler handlers[] = {
    [RAFT_API_VOTE] = raft_vote_request,
    [RAFT_API_BEGIN_QUORUM_EPOCH] = raft_begin_request,
    [RAFT_API_END_QUORUM_EPOCH] = raft_end_request,
    [RAFT_API_FETCH] = raft_fetch_request,
    [RAFT_API_FETCH_SNAPSHOT] = raft_snapshot_request,
    [RAFT_API_DESCRIBE_QUORUM] = raft_describe_request,
    [RAFT_API_ADD_VOTER] = raft_add_voter_request,
    [RAFT_API_REMOVE_VOTER] = raft_remove_voter_request,
    [RAFT_API_UPDATE_VOTER] = raft_update_voter_request,
};

void raft_request(struct raft *raft, uint64_t token, struct slice listener,
                  const struct raft_request *request)
{
    enum raft_api api = request->api;
    enum err err = OK;

    ASSERT((size_t)api < ARRAY_COUNT(handlers));
    if (api != RAFT_API_DESCRIBE_QUORUM && !raft_cluster_id_valid(raft, request))
        err = ERR_INCONSISTENT_CLUSTER_ID;
    else if (!request->one_partition && api != RAFT_API_DESCRIBE_QUORUM)
        err = ERR_INVALID_REQUEST;
    else if (!request->metadata_partition && api != RAFT_API_DESCRIBE_QUORUM &&
             api != RAFT_API_FETCH_SNAPSHOT)
        err = ERR_INVALID_REQUEST;
    if (err == OK)
        handlers[api](raft, token, listener, request);
    else if (api >= RAFT_API_ADD_VOTER)
        raft_change_reply(
            raft, token, api, err,
            err == ERR_INCONSISTENT_CLUSTER_ID
                ? arena_format(&raft->queue.arena,
                               "The given id \"%.*s\" doesn't match the cluster id \"%.*s\"",
                               SLICE_ARGS(request->cluster_id),
                               SLICE_ARGS(raft->options.cluster_id))
                : NULL);
    else
        raft_emit_reply_top(raft, token, api, err);
}

/* Where a peer's word of a leader comes without endpoints, the voter set may know them. */
static struct raft_endpoints endpoints_or_known(const struct raft *raft, int32_t leader_id,
                                                struct raft_endpoints endpoints)
{
    const struct raft_voter *voter;

    if (endpoints.count > 0 || leader_id < 0)
        return endpoints;
    voter = raft_voters_find(raft_voters_now(raft), leader_id);
    return voter ? voter->endpoints : endpoints;
}

static bool is_consistent(const struct raft *raft, int32_t leader_id, int32_t epoch)
{
    if (leader_id == raft->options.self.id)
        return raft->role == RAFT_LEADER && epoch == raft->epoch;
    return epoch != raft->epoch || leader_id < 0 || raft->leader_id < 0 ||
           leader_id == raft->leader_id;
}

bool raft_adopt(struct raft *raft, int32_t leader_id, int32_t epoch,
                struct raft_endpoints endpoints)
{
    size_t known = raft->leader_endpoints ? raft->leader_endpoints->endpoints.count : 0;

    ASSERT(epoch >= raft->epoch);
    if (!is_consistent(raft, leader_id, epoch)) {
        LOG_ERROR(raft->logger, "raft", "leader_contradicts",
                  "node=%d epoch=%d leader=%d said_epoch=%d said_leader=%d", raft->options.self.id,
                  raft->epoch, raft->leader_id, epoch, leader_id);
        if (epoch > raft->epoch) /* named as leader of an epoch that it knows nothing of */
            raft_become_unattached(raft, epoch, -1);
        return false;
    }
    endpoints = endpoints_or_known(raft, leader_id, endpoints);
    if (endpoints.count == 0 && leader_id != raft->options.self.id)
        leader_id = -1; /* a leader that cannot be reached is no help */
    if (epoch > raft->epoch) {
        if (leader_id >= 0)
            raft_become_follower(raft, epoch, leader_id, endpoints);
        else
            raft_become_unattached(raft, epoch, -1);
    } else if (leader_id >= 0 && raft->role != RAFT_LEADER &&
               (raft->leader_id < 0 || endpoints.count > known)) {
        ASSERT(raft->role != RAFT_RESIGNED); /* it knows itself for the leader of the epoch */
        raft_become_follower(raft, epoch, leader_id, endpoints);
    }
    return true;
}

/* An error that taught nothing new is answered with a pause, or the two would talk without end. */
static enum raft_handled adopt_error(struct raft *raft, const struct raft_reply *reply)
{
    enum raft_role role = raft->role;
    int32_t epoch = raft->epoch;

    if (!raft_adopt(raft, reply->leader_id, reply->leader_epoch, reply->leader_endpoints))
        return RAFT_HANDLED_BAD;
    return role != raft->role || epoch != raft->epoch ? RAFT_HANDLED_OK : RAFT_HANDLED_BAD;
}

static bool leader_is_news(const struct raft *raft, const struct raft_reply *reply)
{
    if (reply->leader_id < 0 || reply->leader_id == raft->options.self.id)
        return false;
    if (raft->role == RAFT_UNATTACHED) /* it may know the leader's id without its endpoint */
        return true;
    return raft->leader_id < 0;
}

enum raft_handled raft_common_reply(struct raft *raft, const struct raft_reply *reply)
{
    if (reply->leader_epoch < raft->epoch || reply->error == ERR_UNKNOWN_LEADER_EPOCH)
        return RAFT_HANDLED_OK;
    if (reply->leader_epoch > raft->epoch || reply->error == ERR_FENCED_LEADER_EPOCH ||
        reply->error == ERR_NOT_LEADER_OR_FOLLOWER)
        return adopt_error(raft, reply);
    if (leader_is_news(raft, reply)) {
        if (!raft_adopt(raft, reply->leader_id, reply->leader_epoch, reply->leader_endpoints))
            return RAFT_HANDLED_BAD;
        if (reply->error != OK)
            return RAFT_HANDLED_OK;
    }
    switch (reply->error) {
    case ERR_BROKER_NOT_AVAILABLE:
        return RAFT_HANDLED_BAD;
    case ERR_INVALID_VOTER_KEY:
        LOG_INFO(raft->logger, "raft", "voter_key_refused", "api=%s", raft_api_name(reply->api));
        return RAFT_HANDLED_OK;
    case ERR_INVALID_REQUEST:
        return RAFT_HANDLED_BAD;
    default:
        return RAFT_HANDLED_NOT;
    }
}

/* true: the peer is ready for more; false: it is left alone for the back-off time. */
static bool reply_handle(struct raft *raft, const struct raft_peer *peer,
                         const struct raft_reply *reply)
{
    switch (peer->api) {
    case RAFT_API_VOTE:
        return raft_vote_reply(raft, peer->id, reply);
    case RAFT_API_BEGIN_QUORUM_EPOCH:
        return raft_begin_reply(raft, reply);
    case RAFT_API_END_QUORUM_EPOCH:
        return raft_end_reply(raft, peer->id, reply);
    case RAFT_API_FETCH:
        return raft_fetch_reply(raft, peer->number, reply);
    case RAFT_API_FETCH_SNAPSHOT:
        return raft_snapshot_reply(raft, peer->number, reply);
    case RAFT_API_ADD_VOTER:
        return raft_join_reply(raft, reply, ERR_DUPLICATE_VOTER);
    case RAFT_API_REMOVE_VOTER:
        return raft_join_reply(raft, reply, ERR_VOTER_NOT_FOUND);
    case RAFT_API_UPDATE_VOTER:
        return raft_update_voter_reply(raft, reply);
    case RAFT_API_API_VERSIONS:
        return raft_versions_reply(raft, peer->id, reply);
    case RAFT_API_DESCRIBE_QUORUM:
        break;
    }
    return true;
}

void raft_reply(struct raft *raft, uint64_t number, const struct raft_reply *reply)
{
    struct raft_peer peer;

    if (!raft_peer_answered(raft, number, &peer))
        return; /* given up, or asked in another state */
    if (reply_handle(raft, &peer, reply))
        return;
    LOG_INFO(raft->logger, "raft", "reply_unusable", "node=%d peer=%d api=%s top=%s error=%s",
             raft->options.self.id, peer.id, raft_api_name(peer.api), err_name(reply->error_top),
             err_name(reply->error));
    raft_peer_back_off(raft, peer.id);
}

void raft_send_failed(struct raft *raft, uint64_t number, bool unsupported_version)
{
    struct raft_reply reply = {
        .error_top = unsupported_version ? ERR_UNSUPPORTED_VERSION : ERR_BROKER_NOT_AVAILABLE,
        .leader_id = -1,
    };

    raft_reply(raft, number, &reply);
}
