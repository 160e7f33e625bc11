/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/elections.c: ElectLeaders, and one election as periodic work asks for it too.
 */
#include "controller/controller_internal.h"

enum err election_run(struct call *call, const struct metadata_topic *topic,
                      int32_t partition_index, bool unclean, struct why *why)
{
    const struct metadata_partition *partition = metadata_topic_partition(topic, partition_index);
    struct partition_change_record *record;
    struct partition_change change;
    struct topic_rules rules;

    if (!partition)
        return why_set(why, ERR_UNKNOWN_TOPIC_OR_PARTITION, "No such partition as %.*s-%d",
                       SLICE_ARGS(topic->name), partition_index);
    if (unclean ? partition->leader != NO_BROKER
                : partition->replica_count > 0 && partition->leader == partition->replicas[0])
        return ERR_ELECTION_NOT_NEEDED;
    TRY(topic_rules_of(call, topic, &rules));
    TRY(partition_change_init(&change, call, topic, partition, &rules));
    change.election = unclean ? ELECTION_UNCLEAN : ELECTION_PREFERRED;
    TRY(partition_change_build(&change, call, &record));
    if (!record)
        return unclean ? ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE : ERR_PREFERRED_LEADER_NOT_AVAILABLE;
    return OK;
}

typedef struct elect_leaders_response_replica_election_result topic_result;

static void partition_result_set(struct call *call,
                                 struct elect_leaders_response_partition_result *result,
                                 int32_t index, enum err err, const struct why *why)
{
    result->partition_id = index;
    result->error_message = SLICE_NULL;
    if (err == OK)
        return;
    result->error_code = item_code(err);
    result->error_message = item_text(call, err, why);
}

static enum err topic_elect_all(struct call *call, const struct metadata_topic *topic, bool unclean,
                                topic_result *result)
{
    result->topic = arena_copy(call->arena, topic->name);
    result->partition_result =
        elect_leaders_response_partition_result_array(call->arena, (size_t)topic->partition_count);
    if (!result->partition_result || slice_is_null(result->topic))
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct why why = {0};
        enum err err = election_run(call, topic, i, unclean, &why);

        if (err == ERR_NO_MEMORY)
            return err;
        if (err != ERR_ELECTION_NOT_NEEDED)
            partition_result_set(call, &result->partition_result[result->partition_result_count++],
                                 i, err, &why);
    }
    return OK;
}

static enum err elect_all(struct call *call, bool unclean, struct elect_leaders_response *response)
{
    size_t count = metadata_image_topic_count(call->image);
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    response->replica_election_results =
        elect_leaders_response_replica_election_result_array(call->arena, count);
    if (!response->replica_election_results)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, call->image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk))) {
        topic_result *result =
            &response->replica_election_results[response->replica_election_results_count++];

        TRY(topic_elect_all(call, topic, unclean, result));
        TRY(call_records_check(call));
    }
    return OK;
}

static enum err topic_elect(struct call *call,
                            const struct elect_leaders_request_topic_partitions *asked,
                            bool unclean, topic_result *result)
{
    size_t count = (size_t)MAX(asked->partitions_count, 0);

    result->topic = asked->topic;
    result->partition_result = elect_leaders_response_partition_result_array(call->arena, count);
    if (!result->partition_result)
        return ERR_NO_MEMORY;
    result->partition_result_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct metadata_topic *topic = metadata_image_topic(call->image, asked->topic);
        struct why why = {0};
        enum err err = topic ? election_run(call, topic, asked->partitions[i], unclean, &why)
                             : why_set(&why, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                                       "No such topic as %.*s", SLICE_ARGS(asked->topic));

        if (err == ERR_NO_MEMORY)
            return err;
        partition_result_set(call, &result->partition_result[i], asked->partitions[i], err, &why);
        TRY(call_apply(call));
    }
    return call_records_check(call);
}

enum err decide_elect_leaders(struct call *call, const void *body, void *answer)
{
    const struct elect_leaders_request *request = body;
    struct elect_leaders_response *response = answer;
    size_t count = (size_t)MAX(request->topic_partitions_count, 0);
    bool unclean = request->election_type == 1;

    if (!call_allowed(call, OPERATION_ALTER, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    if (request->election_type != 0 && request->election_type != 1)
        return why_set(call->why, ERR_INVALID_REQUEST, "Unknown election type %d",
                       request->election_type);
    if (request->topic_partitions_count < 0)
        return elect_all(call, unclean, response);
    response->replica_election_results =
        elect_leaders_response_replica_election_result_array(call->arena, count);
    if (!response->replica_election_results)
        return ERR_NO_MEMORY;
    response->replica_election_results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        TRY(topic_elect(call, &request->topic_partitions[i], unclean,
                        &response->replica_election_results[i]));
    return OK;
}
