/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/reassignment.c: AlterPartitionReassignments and ListPartitionReassignments. Stage one adds
 * the new replicas behind the wanted ones and notes who comes and who goes; AlterPartition completes it
 * when the newcomers are in the ISR (partition_change.c).
 */
#include "controller/controller_internal.h"

static bool reassigning(const struct metadata_partition *partition)
{
    return partition->removing_count > 0 || partition->adding_count > 0;
}

/* Back to the replicas of before. When none of them is in the ISR, the first of them has to lead with
 * what it has: an unclean election, which the topic must allow. */
static enum err reassignment_cancel(struct call *call, struct partition_change *change,
                                    struct why *why)
{
    const struct metadata_partition *partition = change->partition;

    if (!reassigning(partition))
        return ERR_NO_REASSIGNMENT_IN_PROGRESS;
    TRY(ids_difference(call->arena, partition->replicas, partition->replica_count,
                       partition->adding, partition->adding_count, &change->replicas));
    TRY(ids_difference(call->arena, partition->isr, partition->isr_count, partition->adding,
                       partition->adding_count, &change->isr));
    if (change->isr.count == 0) {
        if (change->replicas.count == 0)
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "Invalid replica assignment: addingReplicas contains all replicas.");
        if (!change->rules.unclean)
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "Unable to revert partition assignment for %.*s:%d because it would "
                           "require an unclean leader election.",
                           SLICE_ARGS(change->topic->name), partition->index);
        TRY(ids_copy(call->arena, change->replicas.items, 1, &change->isr));
    }
    if (change->rules.unclean)
        change->election = ELECTION_UNCLEAN;
    change->removing.count = 0;
    change->adding.count = 0;
    return OK;
}

/* Who of the target is not a settled replica yet: new to the partition, or what an earlier target was
 * adding still. Who is not wanted any more must not be waited for. */
static enum err newcomers(struct call *call, const struct metadata_partition *partition,
                          const int32_t *target, size_t target_count, struct ids *out)
{
    struct ids settled;

    TRY(ids_difference(call->arena, partition->replicas, partition->replica_count,
                       partition->adding, partition->adding_count, &settled));
    TRY(ids_difference(call->arena, target, target_count, settled.items, settled.count, out));
    ids_sort(out);
    return OK;
}

static enum err reassignment_begin(struct call *call, struct partition_change *change,
                                   const int32_t *target, int32_t target_count, struct why *why)
{
    const struct metadata_partition *partition = change->partition;
    const struct alter_partition_reassignments_request *request = call->request->body;
    size_t kept = partition->replica_count - partition->removing_count;
    struct ids removing, adding;
    struct ids replicas = {0};

    TRY(assignment_check(call, target, target_count, -1, why));
    /* Version 0 has no such field; its default allows the change. */
    if (!request->allow_replication_factor_change && (size_t)target_count != kept)
        return why_set(why, ERR_INVALID_REPLICATION_FACTOR,
                       "The replication factor is changed from %zu to %d", kept, target_count);
    TRY(ids_difference(call->arena, partition->replicas, partition->replica_count, target,
                       (size_t)target_count, &removing));
    TRY(newcomers(call, partition, target, (size_t)target_count, &adding));
    ids_sort(&removing);
    replicas.items = ARENA_ARRAY(call->arena, int32_t, (size_t)target_count + removing.count);
    if (!replicas.items)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < target_count; i++)
        replicas.items[replicas.count++] = target[i];
    for (size_t i = 0; i < removing.count; i++)
        replicas.items[replicas.count++] = removing.items[i];
    change->replicas = replicas;
    change->removing = removing;
    change->adding = adding;
    return OK;
}

static enum err
partition_reassign(struct call *call, struct slice name,
                   const struct alter_partition_reassignments_request_reassignable_partition *asked,
                   struct why *why)
{
    const struct metadata_topic *topic = metadata_image_topic(call->image, name);
    const struct metadata_partition *partition;
    struct partition_change_record *record;
    struct partition_change change;
    struct topic_rules rules;

    if (!topic)
        return why_set(why, ERR_UNKNOWN_TOPIC_OR_PARTITION, "Unable to find a topic named %.*s.",
                       SLICE_ARGS(name));
    partition = metadata_topic_partition(topic, asked->partition_index);
    if (!partition)
        return why_set(why, ERR_UNKNOWN_TOPIC_OR_PARTITION, "Unable to find partition %.*s:%d.",
                       SLICE_ARGS(name), asked->partition_index);
    TRY(topic_rules_of(call, topic, &rules));
    TRY(partition_change_init(&change, call, topic, partition, &rules));
    if (asked->replicas_count < 0)
        TRY(reassignment_cancel(call, &change, why));
    else
        TRY(reassignment_begin(call, &change, asked->replicas, asked->replicas_count, why));
    return partition_change_build(&change, call, &record);
}

enum err decide_alter_reassignments(struct call *call, const void *body, void *answer)
{
    const struct alter_partition_reassignments_request *request = body;
    struct alter_partition_reassignments_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    if (!call_allowed(call, OPERATION_ALTER, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    response->allow_replication_factor_change = request->allow_replication_factor_change;
    response->error_message = SLICE_NULL;
    response->responses = alter_partition_reassignments_response_reassignable_topic_response_array(
        call->arena, count);
    if (!response->responses)
        return ERR_NO_MEMORY;
    response->responses_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct alter_partition_reassignments_request_reassignable_topic *asked =
            &request->topics[i];
        size_t partitions = (size_t)MAX(asked->partitions_count, 0);
        struct alter_partition_reassignments_response_reassignable_partition_response *results =
            alter_partition_reassignments_response_reassignable_partition_response_array(
                call->arena, partitions);

        if (!results)
            return ERR_NO_MEMORY;
        response->responses[i].name = asked->name;
        response->responses[i].partitions = results;
        response->responses[i].partitions_count = (int32_t)partitions;
        for (size_t j = 0; j < partitions; j++) {
            struct why why = {0};
            enum err err = partition_reassign(call, asked->name, &asked->partitions[j], &why);

            if (err == ERR_NO_MEMORY)
                return err;
            results[j].partition_index = asked->partitions[j].partition_index;
            results[j].error_code = item_code(err);
            results[j].error_message = err == OK ? SLICE_NULL : item_detail(call, &why);
            TRY(call_apply(call));
        }
        TRY(call_records_check(call));
    }
    return OK;
}

/* ---- listing ---- */

typedef struct list_partition_reassignments_response_ongoing_topic_reassignment ongoing_topic;
typedef struct list_partition_reassignments_response_ongoing_partition_reassignment ongoing;

static enum err ongoing_set(struct call *call, const struct metadata_partition *partition,
                            ongoing *out)
{
    struct ids replicas, adding, removing;

    TRY(ids_copy(call->arena, partition->replicas, partition->replica_count, &replicas));
    TRY(ids_copy(call->arena, partition->adding, partition->adding_count, &adding));
    TRY(ids_copy(call->arena, partition->removing, partition->removing_count, &removing));
    out->partition_index = partition->index;
    out->replicas = replicas.items;
    out->replicas_count = (int32_t)replicas.count;
    out->adding_replicas = adding.items;
    out->adding_replicas_count = (int32_t)adding.count;
    out->removing_replicas = removing.items;
    out->removing_replicas_count = (int32_t)removing.count;
    return OK;
}

/* `indexes` NULL: all partitions. A topic without any reassignment is left out. */
static enum err topic_list(struct call *call, const struct metadata_topic *topic,
                           const int32_t *indexes, int32_t index_count,
                           struct list_partition_reassignments_response *response)
{
    ongoing_topic *out = &response->topics[response->topics_count];
    int32_t count = indexes ? index_count : topic->partition_count;
    size_t found = 0;

    for (int32_t i = 0; i < count; i++) {
        const struct metadata_partition *partition =
            metadata_topic_partition(topic, indexes ? indexes[i] : i);

        found += partition && reassigning(partition);
    }
    if (found == 0)
        return OK;
    out->partitions = list_partition_reassignments_response_ongoing_partition_reassignment_array(
        call->arena, found);
    out->name = arena_copy(call->arena, topic->name);
    if (!out->partitions || slice_is_null(out->name))
        return ERR_NO_MEMORY;
    response->topics_count++;
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_partition *partition =
            metadata_topic_partition(topic, indexes ? indexes[i] : i);

        if (partition && reassigning(partition))
            TRY(ongoing_set(call, partition, &out->partitions[out->partitions_count++]));
    }
    return OK;
}

enum err decide_list_reassignments(struct call *call, const void *body, void *answer)
{
    const struct list_partition_reassignments_request *request = body;
    struct list_partition_reassignments_response *response = answer;
    bool all = request->topics_count < 0;
    size_t count = all ? metadata_image_topic_count(call->image) : (size_t)request->topics_count;
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    if (!call_allowed(call, OPERATION_DESCRIBE, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    response->error_message = SLICE_NULL;
    response->topics =
        list_partition_reassignments_response_ongoing_topic_reassignment_array(call->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    if (all) {
        metadata_walk_start(&walk, call->image, METADATA_TOPICS);
        while ((topic = metadata_walk_next(&walk)))
            TRY(topic_list(call, topic, NULL, 0, response));
        return OK;
    }
    for (int32_t i = 0; i < request->topics_count; i++) {
        static const int32_t none;

        topic = metadata_image_topic(call->image, request->topics[i].name);
        if (topic)
            TRY(topic_list(
                call, topic,
                request->topics[i].partition_indexes ? request->topics[i].partition_indexes : &none,
                MAX(request->topics[i].partition_indexes_count, 0), response));
    }
    return OK;
}
