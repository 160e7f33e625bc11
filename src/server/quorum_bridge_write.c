/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_bridge_write.c: Kafka's responses out of raft's replies. Runs on shard 0 while the
 * reply is valid; everything is copied into the request's arena. kraft.md §2 of the reference.
 */
#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "server/node.h"
#include "server/quorum_bridge.h"

/* From which version on a response names the leader's endpoint. */
#define FETCH_ENDPOINT_VERSION 17
#define RAFT_ENDPOINT_VERSION 1
/* From which version on DescribeQuorum tells of directories and of the nodes. */
#define QUORUM_DIRECTORY_VERSION 2

struct writing {
    struct quorum_bridge *bridge;
    const struct raft_reply *reply;
    struct slice records;
    struct arena *arena;
};

static int16_t code_of(const struct writing *writing)
{
    return err_wire_code(writing->reply->error);
}

static const struct raft_endpoint *leader_endpoint(const struct writing *writing, int16_t version)
{
    const struct raft_reply *reply = writing->reply;

    return writing->bridge->api_version >= version && reply->leader_id >= 0 &&
                   reply->leader_endpoints.count > 0
               ? &reply->leader_endpoints.items[0]
               : NULL;
}

/* One topic with one partition, an error at the top, and the leader's endpoint: four of the
 * responses. */
#define WRITE_ONE(kind, name_field, topics_field, topic_type, partition_type, partition_out) \
    do {                                                                                     \
        response->topics_field = kind##_response_##topic_type##_array(writing->arena, 1);    \
        if (!response->topics_field)                                                         \
            return ERR_NO_MEMORY;                                                            \
        response->topics_field##_count = 1;                                                  \
        response->topics_field[0].name_field = SLICE(METADATA_TOPIC_NAME);                   \
        response->topics_field[0].partitions =                                               \
            kind##_response_##partition_type##_array(writing->arena, 1);                     \
        if (!response->topics_field[0].partitions)                                           \
            return ERR_NO_MEMORY;                                                            \
        response->topics_field[0].partitions_count = 1;                                      \
        (partition_out) = &response->topics_field[0].partitions[0];                          \
    } while (0)

#define WRITE_ENDPOINT(kind, version)                                                      \
    do {                                                                                   \
        const struct raft_endpoint *endpoint = leader_endpoint(writing, (version));        \
                                                                                           \
        if (!endpoint)                                                                     \
            break;                                                                         \
        response->node_endpoints = kind##_response_node_endpoint_array(writing->arena, 1); \
        if (!response->node_endpoints)                                                     \
            return ERR_NO_MEMORY;                                                          \
        response->node_endpoints_count = 1;                                                \
        response->node_endpoints[0].node_id = writing->reply->leader_id;                   \
        response->node_endpoints[0].host = arena_copy(writing->arena, endpoint->host);     \
        response->node_endpoints[0].port = endpoint->port;                                 \
    } while (0)

static enum err vote_write(struct writing *writing, struct vote_response *response)
{
    struct vote_response_partition_data *partition;

    WRITE_ONE(vote, topic_name, topics, topic_data, partition_data, partition);
    partition->error_code = code_of(writing);
    partition->leader_id = writing->reply->leader_id;
    partition->leader_epoch = writing->reply->leader_epoch;
    partition->vote_granted = writing->reply->vote_granted;
    WRITE_ENDPOINT(vote, RAFT_ENDPOINT_VERSION);
    return OK;
}

static enum err begin_write(struct writing *writing, struct begin_quorum_epoch_response *response)
{
    struct begin_quorum_epoch_response_partition_data *partition;

    WRITE_ONE(begin_quorum_epoch, topic_name, topics, topic_data, partition_data, partition);
    partition->error_code = code_of(writing);
    partition->leader_id = writing->reply->leader_id;
    partition->leader_epoch = writing->reply->leader_epoch;
    WRITE_ENDPOINT(begin_quorum_epoch, RAFT_ENDPOINT_VERSION);
    return OK;
}

static enum err end_write(struct writing *writing, struct end_quorum_epoch_response *response)
{
    struct end_quorum_epoch_response_partition_data *partition;

    WRITE_ONE(end_quorum_epoch, topic_name, topics, topic_data, partition_data, partition);
    partition->error_code = code_of(writing);
    partition->leader_id = writing->reply->leader_id;
    partition->leader_epoch = writing->reply->leader_epoch;
    WRITE_ENDPOINT(end_quorum_epoch, RAFT_ENDPOINT_VERSION);
    return OK;
}

static enum err fetch_write(struct writing *writing, struct fetch_response *response)
{
    const struct raft_fetch_answer *answer = &writing->reply->fetch;
    struct fetch_response_partition_data *partition;

    response->responses = fetch_response_fetchable_topic_response_array(writing->arena, 1);
    if (!response->responses)
        return ERR_NO_MEMORY;
    response->responses_count = 1;
    response->responses[0].topic_id = METADATA_TOPIC_ID;
    response->responses[0].partitions = fetch_response_partition_data_array(writing->arena, 1);
    if (!response->responses[0].partitions)
        return ERR_NO_MEMORY;
    response->responses[0].partitions_count = 1;
    partition = &response->responses[0].partitions[0];
    partition->error_code = code_of(writing);
    partition->high_watermark = answer->high_watermark;
    partition->log_start_offset = answer->log_start_offset;
    partition->current_leader.leader_id = writing->reply->leader_id;
    partition->current_leader.leader_epoch = writing->reply->leader_epoch;
    partition->aborted_transactions_count = -1;
    partition->records = SLICE_EMPTY;
    if (answer->diverging.epoch >= 0) {
        partition->diverging_epoch.epoch = answer->diverging.epoch;
        partition->diverging_epoch.end_offset = answer->diverging.offset;
    }
    if (answer->snapshot_id.epoch >= 0) {
        partition->snapshot_id.epoch = answer->snapshot_id.epoch;
        partition->snapshot_id.end_offset = answer->snapshot_id.offset;
    }
    if (writing->records.size_bytes > 0) {
        partition->records = arena_copy(writing->arena, writing->records);
        if (slice_is_null(partition->records))
            return ERR_NO_MEMORY;
    }
    WRITE_ENDPOINT(fetch, FETCH_ENDPOINT_VERSION);
    return OK;
}

static enum err fetch_snapshot_write(struct writing *writing,
                                     struct fetch_snapshot_response *response)
{
    const struct fetch_snapshot_request *body = writing->bridge->body;
    const struct raft_fetch_snapshot_answer *answer = &writing->reply->fetch_snapshot;
    struct fetch_snapshot_response_partition_snapshot *partition;

    WRITE_ONE(fetch_snapshot, name, topics, topic_snapshot, partition_snapshot, partition);
    /* An unknown partition is answered under its own name. */
    response->topics[0].name = body->topics[0].name;
    partition->index = body->topics[0].partitions[0].partition;
    partition->error_code = code_of(writing);
    partition->current_leader.leader_id = writing->reply->leader_id;
    partition->current_leader.leader_epoch = writing->reply->leader_epoch;
    partition->unaligned_records = SLICE_EMPTY;
    if (writing->reply->error == OK) {
        partition->snapshot_id.end_offset = answer->snapshot_id.offset;
        partition->snapshot_id.epoch = answer->snapshot_id.epoch;
        partition->size = answer->size_bytes;
        partition->position = answer->position;
    }
    if (writing->records.size_bytes > 0) {
        partition->unaligned_records = arena_copy(writing->arena, writing->records);
        if (slice_is_null(partition->unaligned_records))
            return ERR_NO_MEMORY;
    }
    WRITE_ENDPOINT(fetch_snapshot, RAFT_ENDPOINT_VERSION);
    return OK;
}

/* ---- DescribeQuorum ---- */

/* Raft counts in its own time. */
static int64_t wall_of(const struct writing *writing, int64_t at_ms)
{
    const struct reactor *reactor = writing->bridge->request->shard->node->shards[0].reactor;

    return at_ms < 0 ? -1 : reactor_wall_ms(reactor) - (reactor_now_ms(reactor) - at_ms);
}

static enum err states_write(struct writing *writing, const struct raft_replica_state *states,
                             size_t count, struct describe_quorum_response_replica_state **out,
                             int32_t *count_out)
{
    *out = describe_quorum_response_replica_state_array(writing->arena, count);
    if (!*out)
        return ERR_NO_MEMORY;
    *count_out = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        (*out)[i].replica_id = states[i].key.id;
        if (writing->bridge->api_version >= QUORUM_DIRECTORY_VERSION)
            (*out)[i].replica_directory_id = states[i].key.directory_id;
        (*out)[i].log_end_offset = states[i].log_end_offset;
        (*out)[i].last_fetch_timestamp = wall_of(writing, states[i].last_fetch_ms);
        (*out)[i].last_caught_up_timestamp = wall_of(writing, states[i].last_caught_up_ms);
    }
    return OK;
}

static enum err nodes_write(struct writing *writing, struct describe_quorum_response *response)
{
    struct raft_voters voters = writing->reply->describe.voter_set;

    response->nodes = describe_quorum_response_node_array(writing->arena, voters.count);
    if (!response->nodes)
        return ERR_NO_MEMORY;
    response->nodes_count = (int32_t)voters.count;
    for (size_t i = 0; i < voters.count; i++) {
        const struct raft_voter *voter = &voters.items[i];
        struct describe_quorum_response_node *node = &response->nodes[i];

        node->node_id = voter->key.id;
        node->listeners =
            describe_quorum_response_listener_array(writing->arena, voter->endpoints.count);
        if (!node->listeners)
            return ERR_NO_MEMORY;
        node->listeners_count = (int32_t)voter->endpoints.count;
        for (size_t k = 0; k < voter->endpoints.count; k++) {
            node->listeners[k].name =
                arena_copy(writing->arena, voter->endpoints.items[k].listener);
            node->listeners[k].host = arena_copy(writing->arena, voter->endpoints.items[k].host);
            node->listeners[k].port = voter->endpoints.items[k].port;
        }
    }
    return OK;
}

/* What was asked for that is not the metadata log's: each with the same error. */
static enum err describe_refuse(struct writing *writing, struct describe_quorum_response *response)
{
    const struct describe_quorum_request *body = writing->bridge->body;
    size_t count = (size_t)MAX(body->topics_count, 0);

    response->topics = describe_quorum_response_topic_data_array(writing->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t partitions = (size_t)MAX(body->topics[i].partitions_count, 0);
        struct describe_quorum_response_partition_data *to =
            describe_quorum_response_partition_data_array(writing->arena, partitions);

        if (!to)
            return ERR_NO_MEMORY;
        response->topics[i].topic_name = body->topics[i].topic_name;
        response->topics[i].partitions = to;
        response->topics[i].partitions_count = (int32_t)partitions;
        for (size_t k = 0; k < partitions; k++) {
            to[k].partition_index = body->topics[i].partitions[k].partition_index;
            to[k].error_code = code_of(writing);
            to[k].error_message = slice_from_text(err_text(writing->reply->error));
        }
    }
    return OK;
}

static enum err describe_write(struct writing *writing, struct describe_quorum_response *response)
{
    const struct raft_describe_answer *answer = &writing->reply->describe;
    struct describe_quorum_response_partition_data *partition;

    response->error_message = SLICE_EMPTY; /* as Kafka has it: not null */
    if (writing->reply->error == ERR_UNKNOWN_TOPIC_OR_PARTITION)
        return describe_refuse(writing, response);
    WRITE_ONE(describe_quorum, topic_name, topics, topic_data, partition_data, partition);
    partition->error_code = code_of(writing);
    partition->error_message = SLICE_EMPTY;
    if (writing->reply->error != OK) {
        partition->error_message = slice_from_text(err_text(writing->reply->error));
        return OK;
    }
    partition->leader_id = writing->reply->leader_id;
    partition->leader_epoch = writing->reply->leader_epoch;
    partition->high_watermark = answer->high_watermark;
    TRY(states_write(writing, answer->voters, answer->voter_count, &partition->current_voters,
                     &partition->current_voters_count));
    TRY(states_write(writing, answer->observers, answer->observer_count, &partition->observers,
                     &partition->observers_count));
    return writing->bridge->api_version >= QUORUM_DIRECTORY_VERSION ? nodes_write(writing, response)
                                                                    : OK;
}

/* ---- voter changes ---- */

static struct slice error_text(const struct writing *writing)
{
    if (writing->reply->error == OK)
        return SLICE_NULL;
    if (!writing->reply->error_text)
        return slice_from_text(err_text(writing->reply->error));
    return arena_copy(writing->arena, slice_from_text(writing->reply->error_text));
}

static void update_write(struct writing *writing, struct update_raft_voter_response *response)
{
    const struct raft_endpoint *endpoint = leader_endpoint(writing, 0);

    response->error_code = code_of(writing);
    response->current_leader.leader_id = writing->reply->leader_id;
    response->current_leader.leader_epoch = writing->reply->leader_epoch;
    if (endpoint) {
        response->current_leader.host = arena_copy(writing->arena, endpoint->host);
        response->current_leader.port = endpoint->port;
    }
}

static enum err body_write(struct writing *writing, void *answer)
{
    switch (writing->bridge->api->key) {
    case API_VOTE:
        return vote_write(writing, answer);
    case API_BEGIN_QUORUM_EPOCH:
        return begin_write(writing, answer);
    case API_END_QUORUM_EPOCH:
        return end_write(writing, answer);
    case API_FETCH:
        return fetch_write(writing, answer);
    case API_FETCH_SNAPSHOT:
        return fetch_snapshot_write(writing, answer);
    case API_DESCRIBE_QUORUM:
        return describe_write(writing, answer);
    case API_ADD_RAFT_VOTER: {
        struct add_raft_voter_response *response = answer;

        response->error_code = code_of(writing);
        response->error_message = error_text(writing);
        return OK;
    }
    case API_REMOVE_RAFT_VOTER: {
        struct remove_raft_voter_response *response = answer;

        response->error_code = code_of(writing);
        response->error_message = error_text(writing);
        return OK;
    }
    default:
        ASSERT(writing->bridge->api->key == API_UPDATE_RAFT_VOTER);
        update_write(writing, answer);
        return OK;
    }
}

enum err quorum_bridge_write(struct quorum_bridge *bridge, const struct raft_reply *reply,
                             struct slice records)
{
    struct writing writing = {bridge, reply, records, &bridge->request->arena};
    const struct message_type *type = bridge->api->response;

    bridge->response = arena_zeroed(writing.arena, 1, message_struct_bytes(type));
    if (!bridge->response)
        return ERR_NO_MEMORY;
    message_init(type, bridge->response);
    /* A frame that names no partition has no other place for an error. */
    if (reply->error_top != OK || (reply->error != OK && !bridge->raft.one_partition &&
                                   bridge->api->key != API_DESCRIBE_QUORUM)) {
        int16_t *code = message_field(type, "errorCode", bridge->response);

        ASSERT(code != NULL); /* every response of raft has one */
        *code = err_wire_code(reply->error_top != OK ? reply->error_top : reply->error);
        return OK;
    }
    return body_write(&writing, bridge->response);
}
