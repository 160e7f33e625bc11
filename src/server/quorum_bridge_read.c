/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_bridge_read.c: raft's questions out of Kafka's requests. Whatever the frame says is
 * only read here; raft judges it. The slices stay views into the frame.
 */
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "server/quorum_bridge.h"

static bool is_one(int32_t topics_count)
{
    return topics_count == 1;
}

static bool is_metadata(struct slice topic, int32_t partition)
{
    return slice_equal_text(topic, METADATA_TOPIC_NAME) && partition == 0;
}

static enum err vote_read(struct quorum_bridge *bridge)
{
    const struct vote_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct vote_request_partition_data *partition;

    raft->api = RAFT_API_VOTE;
    raft->cluster_id = body->cluster_id;
    raft->one_partition = is_one(body->topics_count) && is_one(body->topics[0].partitions_count);
    if (!raft->one_partition)
        return OK;
    partition = &body->topics[0].partitions[0];
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
    const struct begin_quorum_epoch_request_partition_data *partition;
    size_t count = (size_t)MAX(body->leader_endpoints_count, 0);
    struct raft_endpoint *endpoints =
        ARENA_ARRAY(&bridge->request->arena, struct raft_endpoint, count);

    raft->api = RAFT_API_BEGIN_QUORUM_EPOCH;
    raft->cluster_id = body->cluster_id;
    raft->one_partition = is_one(body->topics_count) && is_one(body->topics[0].partitions_count);
    if (!raft->one_partition)
        return OK;
    if (!endpoints)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        endpoints[i] =
            (struct raft_endpoint){body->leader_endpoints[i].name, body->leader_endpoints[i].host,
                                   body->leader_endpoints[i].port};
    partition = &body->topics[0].partitions[0];
    raft->metadata_partition = is_metadata(body->topics[0].topic_name, partition->partition_index);
    raft->begin = (struct raft_begin_request){
        .voter = {body->voter_id, partition->voter_directory_id},
        .leader_id = partition->leader_id,
        .leader_epoch = partition->leader_epoch,
        .leader_endpoints = {endpoints, count},
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
    const struct end_quorum_epoch_request_partition_data *partition;
    size_t count = (size_t)MAX(body->leader_endpoints_count, 0);
    struct raft_endpoint *endpoints =
        ARENA_ARRAY(&bridge->request->arena, struct raft_endpoint, count);

    raft->api = RAFT_API_END_QUORUM_EPOCH;
    raft->cluster_id = body->cluster_id;
    raft->one_partition = is_one(body->topics_count) && is_one(body->topics[0].partitions_count);
    if (!raft->one_partition)
        return OK;
    if (!endpoints)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        endpoints[i] =
            (struct raft_endpoint){body->leader_endpoints[i].name, body->leader_endpoints[i].host,
                                   body->leader_endpoints[i].port};
    partition = &body->topics[0].partitions[0];
    raft->metadata_partition = is_metadata(body->topics[0].topic_name, partition->partition_index);
    raft->end = (struct raft_end_request){
        .leader_id = partition->leader_id,
        .leader_epoch = partition->leader_epoch,
        .leader_endpoints = {endpoints, count},
    };
    return preferred_read(bridge, partition);
}

/* The metadata log is fetched by topic id: older versions name no topic that raft knows. */
static enum err fetch_read(struct quorum_bridge *bridge)
{
    const struct fetch_request *body = bridge->body;
    struct raft_request *raft = &bridge->raft;
    const struct fetch_request_fetch_partition *partition;

    raft->api = RAFT_API_FETCH;
    raft->cluster_id = body->cluster_id;
    raft->one_partition = is_one(body->topics_count) && is_one(body->topics[0].partitions_count);
    if (!raft->one_partition)
        return OK;
    partition = &body->topics[0].partitions[0];
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
    const struct fetch_snapshot_request_partition_snapshot *partition;

    raft->api = RAFT_API_FETCH_SNAPSHOT;
    raft->cluster_id = body->cluster_id;
    raft->one_partition = is_one(body->topics_count) && is_one(body->topics[0].partitions_count);
    if (!raft->one_partition)
        return OK;
    partition = &body->topics[0].partitions[0];
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
    struct raft_request *raft = &bridge->raft;

    raft->api = RAFT_API_DESCRIBE_QUORUM;
    raft->one_partition = is_one(body->topics_count) && is_one(body->topics[0].partitions_count);
    raft->metadata_partition =
        raft->one_partition &&
        is_metadata(body->topics[0].topic_name, body->topics[0].partitions[0].partition_index);
    return OK;
}

static enum err add_voter_read(struct quorum_bridge *bridge)
{
    const struct add_raft_voter_request *body = bridge->body;
    size_t count = (size_t)MAX(body->listeners_count, 0);
    struct raft_endpoint *endpoints =
        ARENA_ARRAY(&bridge->request->arena, struct raft_endpoint, count);

    if (!endpoints)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        endpoints[i] = (struct raft_endpoint){body->listeners[i].name, body->listeners[i].host,
                                              body->listeners[i].port};
    bridge->raft = (struct raft_request){.api = RAFT_API_ADD_VOTER,
                                         .cluster_id = body->cluster_id,
                                         .one_partition = true,
                                         .metadata_partition = true};
    bridge->raft.add_voter = (struct raft_add_voter_request){
        .voter = {body->voter_id, body->voter_directory_id},
        .endpoints = {endpoints, count},
        .ack_when_committed = body->ack_when_committed,
    };
    return OK;
}

static enum err remove_voter_read(struct quorum_bridge *bridge)
{
    const struct remove_raft_voter_request *body = bridge->body;

    bridge->raft = (struct raft_request){.api = RAFT_API_REMOVE_VOTER,
                                         .cluster_id = body->cluster_id,
                                         .one_partition = true,
                                         .metadata_partition = true};
    bridge->raft.remove_voter.voter =
        (struct raft_replica_key){body->voter_id, body->voter_directory_id};
    return OK;
}

static enum err update_voter_read(struct quorum_bridge *bridge)
{
    const struct update_raft_voter_request *body = bridge->body;
    size_t count = (size_t)MAX(body->listeners_count, 0);
    struct raft_endpoint *endpoints =
        ARENA_ARRAY(&bridge->request->arena, struct raft_endpoint, count);

    if (!endpoints)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        endpoints[i] = (struct raft_endpoint){body->listeners[i].name, body->listeners[i].host,
                                              body->listeners[i].port};
    bridge->raft = (struct raft_request){.api = RAFT_API_UPDATE_VOTER,
                                         .cluster_id = body->cluster_id,
                                         .one_partition = true,
                                         .metadata_partition = true};
    bridge->raft.update_voter = (struct raft_update_voter_request){
        .voter = {body->voter_id, body->voter_directory_id},
        .current_leader_epoch = body->current_leader_epoch,
        .endpoints = {endpoints, count},
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
