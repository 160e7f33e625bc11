/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/partitions_create.c: CreatePartitions.
 */
#include "controller/controller_internal.h"

typedef const struct create_partitions_request_create_partitions_topic *growing;

static enum err added_by_hand(struct call *call, growing wanted, const struct metadata_topic *topic,
                              int32_t factor, struct why *why)
{
    for (int32_t i = 0; i < wanted->assignments_count; i++) {
        const int32_t *replicas = wanted->assignments[i].broker_ids;
        int32_t count = wanted->assignments[i].broker_ids_count;
        struct ids active;

        TRY(assignment_check(call, replicas, count, factor, why));
        TRY(active_replicas(call, replicas, (size_t)count, &active));
        if (active.count == 0)
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "All brokers specified in the manual partition assignment for partition "
                           "%d are fenced or in controlled shutdown.",
                           topic->partition_count + i);
        TRY(partition_record_add(call, topic->id, topic->partition_count + i, replicas,
                                 (size_t)count));
    }
    return OK;
}

static enum err added_by_placement(struct call *call, const struct metadata_topic *topic,
                                   int32_t added, int16_t factor, struct why *why)
{
    struct placement placement = {.partitions = added, .replicas = factor};
    int32_t *replicas;

    TRY(placement_run(call, &placement, &replicas, why));
    for (int32_t i = 0; i < added; i++) {
        const int32_t *own = replicas + (size_t)i * (size_t)factor;
        struct ids active;

        TRY(active_replicas(call, own, (size_t)factor, &active));
        if (active.count == 0)
            return why_set(
                why, ERR_INVALID_REPLICATION_FACTOR,
                "Unable to replicate the partition %d time(s): All brokers are currently "
                "fenced or in controlled shutdown.",
                factor);
        TRY(partition_record_add(call, topic->id, topic->partition_count + i, own, (size_t)factor));
    }
    return OK;
}

static enum err topic_grow(struct call *call, growing wanted, struct why *why)
{
    const struct metadata_topic *topic = metadata_image_topic(call->image, wanted->name);
    const struct metadata_partition *first;
    int32_t added;

    if (!topic)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (wanted->count == topic->partition_count)
        return why_set(why, ERR_INVALID_PARTITIONS, "Topic already has %d partition(s).",
                       topic->partition_count);
    if (wanted->count < topic->partition_count)
        return why_set(why, ERR_INVALID_PARTITIONS,
                       "The topic %.*s currently has %d partition(s); %d would not be an increase.",
                       SLICE_ARGS(wanted->name), topic->partition_count, wanted->count);
    added = wanted->count - topic->partition_count;
    if (wanted->assignments_count >= 0 && wanted->assignments_count != added)
        return why_set(
            why, ERR_INVALID_REPLICA_ASSIGNMENT,
            "Attempted to add %d additional partition(s), but only %d assignment(s) were "
            "specified.",
            added, wanted->assignments_count);
    /* Before anything is worked out for them: the count is a peer's. */
    if (added > CONTROLLER_RECORDS_MAX)
        return why_set(why, ERR_POLICY_VIOLATION,
                       "Excessively large number of additional partitions per request.");
    TRY(quota_take(call, added));
    first = metadata_topic_partition(topic, 0);
    if (!first || first->replica_count > INT16_MAX)
        return why_set(why, ERR_UNKNOWN_SERVER_ERROR,
                       "Invalid state: topic %.*s appears to have no partitions.",
                       SLICE_ARGS(wanted->name));
    if (wanted->assignments_count >= 0)
        return added_by_hand(call, wanted, topic, (int32_t)first->replica_count, why);
    return added_by_placement(call, topic, added, (int16_t)first->replica_count, why);
}

typedef struct create_partitions_response_create_partitions_topic_result topic_result;

static enum err topic_answer(struct call *call, growing wanted, topic_result *result)
{
    size_t records_before = call->records->count;
    struct why why = {0};
    enum err err = topic_grow(call, wanted, &why);

    if (err == ERR_NO_MEMORY)
        return err;
    result->name = wanted->name;
    if (err != OK) {
        call->records->count = records_before;
        result->error_code = item_code(err);
        result->error_message = item_detail(call, &why);
    }
    return call_records_check(call);
}

static enum err names_of(struct call *call, const struct create_partitions_request *request,
                         struct slice **names_out, enum name_repeat **repeats_out)
{
    size_t count = (size_t)MAX(request->topics_count, 0);

    *names_out = ARENA_ARRAY(call->arena, struct slice, count);
    if (!*names_out)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        (*names_out)[i] = request->topics[i].name;
    return names_repeated(call->arena, *names_out, count, repeats_out);
}

/* Refusals come first, then the topics that were looked at, in request order. */
enum err decide_create_partitions(struct call *call, const void *body, void *answer)
{
    const struct create_partitions_request *request = body;
    struct create_partitions_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);
    enum name_repeat *repeats;
    struct slice *names;

    TRY(names_of(call, request, &names, &repeats));
    response->results =
        create_partitions_response_create_partitions_topic_result_array(call->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        topic_result *result = &response->results[response->results_count];

        if (repeats[i] == NAME_AGAIN)
            continue;
        if (repeats[i] == NAME_FIRST_OF_MANY) {
            result->error_code = item_code(ERR_INVALID_REQUEST);
            result->error_message = SLICE("Duplicate topic name.");
        } else if (!call_allowed(call, OPERATION_ALTER, RESOURCE_TOPIC, names[i])) {
            result->error_code = item_code(ERR_TOPIC_AUTHORIZATION_FAILED);
        } else {
            continue;
        }
        result->name = names[i];
        response->results_count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (repeats[i] != NAME_ONCE ||
            !call_allowed(call, OPERATION_ALTER, RESOURCE_TOPIC, names[i]))
            continue;
        TRY(topic_answer(call, &request->topics[i], &response->results[response->results_count++]));
    }
    if (request->validate_only)
        call->records->count = 0;
    return OK;
}
