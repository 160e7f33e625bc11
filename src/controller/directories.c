/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/directories.c: AssignReplicasToDirs: a broker tells in which directory its replicas lie. A
 * directory that is not online takes the replica out of the ISR.
 */
#include "controller/controller_internal.h"

static enum err replica_change(struct call *call, struct uuid topic_id, int32_t index,
                               const struct metadata_broker *broker, struct uuid directory)
{
    const struct metadata_topic *topic = metadata_image_topic_by_id(call->image, topic_id);
    const struct metadata_partition *partition =
        topic ? metadata_topic_partition(topic, index) : NULL;
    struct partition_change_record *record;
    struct partition_change change;
    struct topic_rules rules;

    if (!topic)
        return ERR_UNKNOWN_TOPIC_ID;
    if (!partition)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!ids_have(partition->replicas, partition->replica_count, broker->id))
        return ERR_NOT_LEADER_OR_FOLLOWER;
    TRY(topic_rules_of(call, topic, &rules));
    TRY(partition_change_init(&change, call, topic, partition, &rules));
    change.directory_broker = broker->id;
    change.directory = directory;
    if (!metadata_broker_directory_online(broker, directory)) {
        /* The replica is lost until its directory is back. */
        if (rules.unclean)
            change.election = ELECTION_UNCLEAN;
        change.leaving = broker->id;
        TRY(ids_difference(call->arena, partition->isr, partition->isr_count, &broker->id, 1,
                           &change.isr));
    }
    return partition_change_build(&change, call, &record);
}

static enum err directory_assign(struct call *call, const struct metadata_broker *broker,
                                 const struct assign_replicas_to_dirs_request_directory_data *asked,
                                 struct assign_replicas_to_dirs_response_directory_data *result)
{
    size_t count = (size_t)MAX(asked->topics_count, 0);

    result->id = asked->id;
    result->topics = assign_replicas_to_dirs_response_topic_data_array(call->arena, count);
    if (!result->topics)
        return ERR_NO_MEMORY;
    result->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct assign_replicas_to_dirs_request_topic_data *topic = &asked->topics[i];
        size_t partitions = (size_t)MAX(topic->partitions_count, 0);
        struct assign_replicas_to_dirs_response_partition_data *results =
            assign_replicas_to_dirs_response_partition_data_array(call->arena, partitions);

        if (!results)
            return ERR_NO_MEMORY;
        result->topics[i].topic_id = topic->topic_id;
        result->topics[i].partitions = results;
        result->topics[i].partitions_count = (int32_t)partitions;
        for (size_t j = 0; j < partitions; j++) {
            int32_t index = topic->partitions[j].partition_index;
            enum err err = replica_change(call, topic->topic_id, index, broker, asked->id);

            if (err == ERR_NO_MEMORY)
                return err;
            results[j].partition_index = index;
            results[j].error_code = item_code(err);
            TRY(call_apply(call));
        }
    }
    return OK;
}

enum err decide_assign_replicas_to_dirs(struct call *call, const void *body, void *answer)
{
    const struct assign_replicas_to_dirs_request *request = body;
    struct assign_replicas_to_dirs_response *response = answer;
    size_t count = (size_t)MAX(request->directories_count, 0);

    if (call->metadata_version < METADATA_VERSION_DIRECTORIES)
        return why_set(call->why, ERR_UNSUPPORTED_VERSION,
                       "Directory assignment is not supported yet.");
    TRY(broker_epoch_check(call, request->broker_id, request->broker_epoch));
    response->directories =
        assign_replicas_to_dirs_response_directory_data_array(call->arena, count);
    if (!response->directories)
        return ERR_NO_MEMORY;
    response->directories_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        TRY(directory_assign(call, metadata_image_broker(call->image, request->broker_id),
                             &request->directories[i], &response->directories[i]));
    return OK;
}
