/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_bridge_read.c: raft's questions out of Kafka's requests. Whatever the frame says is
 * only read here; raft judges it. The slices stay views into the frame.
 */
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "server/quorum_bridge.h"

/* The one partition that a request is about; NULL: it names none or several. */
#define ONLY_PARTITION(body)                                              \
    ((body)->topics_count == 1 && (body)->topics[0].partitions_count == 1 \
         ? &(body)->topics[0].partitions[0]                               \
         : NULL)

/* Every message has a type of its own for endpoints, all with the same fields. */
#define ENDPOINTS_READ(from, from_count, bridge, endpoints_out)                                  \
    do {                                                                                         \
        size_t count_ = (size_t)MAX((from_count), 0);                                            \
        struct raft_endpoint *to_ =                                                              \
            ARENA_ARRAY(&(bridge)->request->arena, struct raft_endpoint, count_);                \
                                                                                                 \
        if (!to_)                                                                                \
            return ERR_NO_MEMORY;                                                                \
        for (size_t i_ = 0; i_ < count_; i_++)                                                   \
            to_[i_] = (struct raft_endpoint){(from)[i_].name, (from)[i_].host, (from)[i_].port}; \
        *(endpoints_out) = (struct raft_endpoints){to_, count_};                                 \
    } while (0)

static bool is_metadata(struct slice topic, int32_t partition)
{
    return slice_equal_text(topic, METADATA_TOPIC_NAME) && partition == 0;
}

/* True when the request is about one partition, so that there is more to read. */
static bool opening_read(struct raft_request *raft, enum raft_api api, struct slice cluster_id,
                         const void *partition)
{
    raft->api = api;
    raft->cluster_id = cluster_id;
    raft->one_partition = partition != NULL;
    return raft->one_partition;
}

/* Requests about a voter name no partition: they are about the metadata log. */
static void voter_opening_read(struct raft_request *raft, enum raft_api api,
                               struct slice cluster_id)
{
    *raft = (struct raft_request){
        .api = api, .cluster_id = cluster_id, .one_partition = true, .metadata_partition = true};
}

static enum err vote_read(struct quorum_bridge *bridge)
{
    const struct vote_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct vote_request_partition_data *partition = ONLY_PARTITION(body);

    if (!opening_read(raft, RAFT_API_VOTE, body->cluster_id, partition))
        return OK;
    raft->metadata_partition = is_metadata(body->topics[0].topic_name, partition->partition_index);
    raft->vote = (struct raft_vote_request){
        .voter = {body->voter_id, partition->voter_directory_id},
        .candidate = {partition->replica_id, partition->replica_directory_id},
        .candidate_epoch = partition->replica_epoch,
        .log_end = {partition->last_offset, partition->last_offset_epoch},
        .pre_vote = partition->pre_vote,
    };
    return OK;
}

static enum err begin_read(struct quorum_bridge *bridge)
{
    const struct begin_quorum_epoch_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct begin_quorum_epoch_request_partition_data *partition = ONLY_PARTITION(body);
    struct raft_endpoints endpoints;

    if (!opening_read(raft, RAFT_API_BEGIN_QUORUM_EPOCH, body->cluster_id, partition))
        return OK;
    ENDPOINTS_READ(body->leader_endpoints, body->leader_endpoints_count, bridge, &endpoints);
    raft->metadata_partition = is_metadata(body->topics[0].topic_name, partition->partition_index);
    raft->begin = (struct raft_begin_request){
        .voter = {body->voter_id, partition->voter_directory_id},
        .leader_id = partition->leader_id,
        .leader_epoch = partition->leader_epoch,
        .leader_endpoints = endpoints,
    };
    return OK;
}

static enum err preferred_read(struct quorum_bridge *bridge,
                               const struct end_quorum_epoch_request_partition_data *partition)
{
    bool by_id = bridge->api_version == 0;
    size_t count = (size_t)MAX(
        by_id ? partition->preferred_successors_count : partition->preferred_candidates_count, 0);
    struct raft_replica_key *keys =
        ARENA_ARRAY(&bridge->request->arena, struct raft_replica_key, count);

    if (!keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (by_id) {
            keys[i].id = partition->preferred_successors[i];
        } else {
            keys[i].id = partition->preferred_candidates[i].candidate_id;
            keys[i].directory_id = partition->preferred_candidates[i].candidate_directory_id;
        }
    }
    bridge->raft.end.preferred = keys;
    bridge->raft.end.preferred_count = count;
    return OK;
}

static enum err end_read(struct quorum_bridge *bridge)
{
    const struct end_quorum_epoch_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct end_quorum_epoch_request_partition_data *partition = ONLY_PARTITION(body);
    struct raft_endpoints endpoints;

    if (!opening_read(raft, RAFT_API_END_QUORUM_EPOCH, body->cluster_id, partition))
        return OK;
    ENDPOINTS_READ(body->leader_endpoints, body->leader_endpoints_count, bridge, &endpoints);
    raft->metadata_partition = is_metadata(body->topics[0].topic_name, partition->partition_index);
    raft->end = (struct raft_end_request){
        .leader_id = partition->leader_id,
        .leader_epoch = partition->leader_epoch,
        .leader_endpoints = endpoints,
    };
    return preferred_read(bridge, partition);
}

/* The metadata log is fetched by topic id: older versions name no topic that raft knows. */
static enum err fetch_read(struct quorum_bridge *bridge)
{
    const struct fetch_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct fetch_request_fetch_partition *partition = ONLY_PARTITION(body);

    if (!opening_read(raft, RAFT_API_FETCH, body->cluster_id, partition))
        return OK;
    raft->metadata_partition =
        uuid_equal(body->topics[0].topic_id, METADATA_TOPIC_ID) && partition->partition == 0;
    raft->fetch = (struct raft_fetch_request){
        .replica = {body->replica_id != -1 ? body->replica_id : body->replica_state.replica_id,
                    partition->replica_directory_id},
        .current_leader_epoch = partition->current_leader_epoch,
        .last_fetched_epoch = partition->last_fetched_epoch,
        .fetch_offset = partition->fetch_offset,
        .high_watermark = partition->high_watermark,
        .wait_ms_max = body->max_wait_ms,
        .bytes_max = body->max_bytes,
    };
    return OK;
}

static enum err fetch_snapshot_read(struct quorum_bridge *bridge)
{
    const struct fetch_snapshot_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct fetch_snapshot_request_partition_snapshot *partition = ONLY_PARTITION(body);

    if (!opening_read(raft, RAFT_API_FETCH_SNAPSHOT, body->cluster_id, partition))
        return OK;
    raft->metadata_partition = is_metadata(body->topics[0].name, partition->partition);
    raft->fetch_snapshot = (struct raft_fetch_snapshot_request){
        .replica = {body->replica_id, partition->replica_directory_id},
        .current_leader_epoch = partition->current_leader_epoch,
        .snapshot_id = {partition->snapshot_id.end_offset, partition->snapshot_id.epoch},
        .position = partition->position,
        .bytes_max = body->max_bytes,
    };
    return OK;
}

static enum err describe_read(struct quorum_bridge *bridge)
{
    const struct describe_quorum_request *body = bridge->body;
    const struct describe_quorum_request_partition_data *partition = ONLY_PARTITION(body);
    struct raft_request *raft = &bridge->raft;

    raft->api = RAFT_API_DESCRIBE_QUORUM;
    raft->one_partition = partition != NULL;
    raft->metadata_partition =
        partition && is_metadata(body->topics[0].topic_name, partition->partition_index);
    return OK;
}

static enum err add_voter_read(struct quorum_bridge *bridge)
{
    const struct add_raft_voter_request *body = bridge->body;
    struct raft_endpoints endpoints;

    ENDPOINTS_READ(body->listeners, body->listeners_count, bridge, &endpoints);
    voter_opening_read(&bridge->raft, RAFT_API_ADD_VOTER, body->cluster_id);
    bridge->raft.add_voter = (struct raft_add_voter_request){
        .voter = {body->voter_id, body->voter_directory_id},
        .endpoints = endpoints,
        .ack_when_committed = body->ack_when_committed,
    };
    return OK;
}

static enum err remove_voter_read(struct quorum_bridge *bridge)
{
    const struct remove_raft_voter_request *body = bridge->body;

    voter_opening_read(&bridge->raft, RAFT_API_REMOVE_VOTER, body->cluster_id);
    bridge->raft.remove_voter.voter =
        (struct raft_replica_key){body->voter_id, body->voter_directory_id};
    return OK;
}

static enum err update_voter_read(struct quorum_bridge *bridge)
{
    const struct update_raft_voter_request *body = bridge->body;
    struct raft_endpoints endpoints;

    ENDPOINTS_READ(body->listeners, body->listeners_count, bridge, &endpoints);
    voter_opening_read(&bridge->raft, RAFT_API_UPDATE_VOTER, body->cluster_id);
    bridge->raft.update_voter = (struct raft_update_voter_request){
        .voter = {body->voter_id, body->voter_directory_id},
        .current_leader_epoch = body->current_leader_epoch,
        .endpoints = endpoints,
        .kraft_version_min = body->kraft_version_feature.min_supported_version,
        .kraft_version_max = body->kraft_version_feature.max_supported_version,
    };
    return OK;
}

enum err quorum_bridge_read(struct quorum_bridge *bridge)
{
    switch (bridge->api->key) {
    case API_VOTE:
        return vote_read(bridge);
    case API_BEGIN_QUORUM_EPOCH:
        return begin_read(bridge);
    case API_END_QUORUM_EPOCH:
        return end_read(bridge);
    case API_FETCH:
        return fetch_read(bridge);
    case API_FETCH_SNAPSHOT:
        return fetch_snapshot_read(bridge);
    case API_DESCRIBE_QUORUM:
        return describe_read(bridge);
    case API_ADD_RAFT_VOTER:
        return add_voter_read(bridge);
    case API_REMOVE_RAFT_VOTER:
        return remove_voter_read(bridge);
    case API_UPDATE_RAFT_VOTER:
        return update_voter_read(bridge);
    default:
        return ERR_UNKNOWN_API;
    }
}
