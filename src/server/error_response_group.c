/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response_group.c: failed requests of groups whose answer has no code at the top, or not
 * in every version.
 */
#include "server/error_response.h"

#include "protocol/generated/messages.h"

enum err fail_find_coordinator(const struct failure *failure, const void *body, void *answer)
{
    const struct find_coordinator_request *request = body;
    struct find_coordinator_response *response = answer;
    size_t count = (size_t)MAX(request->coordinator_keys_count, 0);

    response->error_code = failure->code;
    response->error_message = slice_from_text(err_text(failure->err));
    response->node_id = -1;
    response->port = -1;
    if (failure->version < 4)
        return OK;
    response->coordinators = find_coordinator_response_coordinator_array(failure->arena, count);
    if (!response->coordinators)
        return ERR_NO_MEMORY;
    response->coordinators_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->coordinators[i].key = request->coordinator_keys[i];
        response->coordinators[i].error_code = failure->code;
        response->coordinators[i].error_message = slice_from_text(err_text(failure->err));
        response->coordinators[i].node_id = -1;
        response->coordinators[i].port = -1;
    }
    response->error_code = 0; /* no place for these in a list */
    response->error_message = SLICE_EMPTY;
    response->node_id = 0;
    response->port = 0;
    return OK;
}

enum err fail_offset_commit(const struct failure *failure, const void *body, void *answer)
{
    const struct offset_commit_request *request = body;
    struct offset_commit_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->topics =
        offset_commit_response_offset_commit_response_topic_array(failure->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct offset_commit_response_offset_commit_response_topic *topic = &response->topics[i];
        size_t partitions = (size_t)MAX(request->topics[i].partitions_count, 0);

        topic->name = request->topics[i].name;
        topic->topic_id = request->topics[i].topic_id;
        topic->partitions = offset_commit_response_offset_commit_response_partition_array(
            failure->arena, partitions);
        if (!topic->partitions)
            return ERR_NO_MEMORY;
        topic->partitions_count = (int32_t)partitions;
        for (size_t k = 0; k < partitions; k++) {
            topic->partitions[k].partition_index = request->topics[i].partitions[k].partition_index;
            topic->partitions[k].error_code = failure->code;
        }
    }
    return OK;
}

/* Version 1 has no other place than the partitions. */
static enum err fail_offset_fetch_partitions(const struct failure *failure,
                                             const struct offset_fetch_request *request,
                                             struct offset_fetch_response *response)
{
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->topics =
        offset_fetch_response_offset_fetch_response_topic_array(failure->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct offset_fetch_response_offset_fetch_response_topic *topic = &response->topics[i];
        size_t partitions = (size_t)MAX(request->topics[i].partition_indexes_count, 0);

        topic->name = request->topics[i].name;
        topic->partitions =
            offset_fetch_response_offset_fetch_response_partition_array(failure->arena, partitions);
        if (!topic->partitions)
            return ERR_NO_MEMORY;
        topic->partitions_count = (int32_t)partitions;
        for (size_t k = 0; k < partitions; k++) {
            topic->partitions[k].partition_index = request->topics[i].partition_indexes[k];
            topic->partitions[k].committed_offset = -1;
            topic->partitions[k].metadata = SLICE_EMPTY;
            topic->partitions[k].error_code = failure->code;
        }
    }
    return OK;
}

enum err fail_offset_fetch(const struct failure *failure, const void *body, void *answer)
{
    const struct offset_fetch_request *request = body;
    struct offset_fetch_response *response = answer;
    size_t count = (size_t)MAX(request->groups_count, 0);

    if (failure->version < 2)
        return fail_offset_fetch_partitions(failure, request, response);
    if (failure->version < 8) {
        response->error_code = failure->code;
        return OK;
    }
    response->groups =
        offset_fetch_response_offset_fetch_response_group_array(failure->arena, count);
    if (!response->groups)
        return ERR_NO_MEMORY;
    response->groups_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->groups[i].group_id = request->groups[i].group_id;
        response->groups[i].error_code = failure->code;
    }
    return OK;
}

enum err fail_describe_groups(const struct failure *failure, const void *body, void *answer)
{
    const struct describe_groups_request *request = body;
    struct describe_groups_response *response = answer;
    size_t count = (size_t)MAX(request->groups_count, 0);

    response->groups = describe_groups_response_described_group_array(failure->arena, count);
    if (!response->groups)
        return ERR_NO_MEMORY;
    response->groups_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->groups[i].group_id = request->groups[i];
        response->groups[i].error_code = failure->code;
    }
    return OK;
}

enum err fail_consumer_group_describe(const struct failure *failure, const void *body, void *answer)
{
    const struct consumer_group_describe_request *request = body;
    struct consumer_group_describe_response *response = answer;
    size_t count = (size_t)MAX(request->group_ids_count, 0);

    response->groups =
        consumer_group_describe_response_described_group_array(failure->arena, count);
    if (!response->groups)
        return ERR_NO_MEMORY;
    response->groups_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->groups[i].group_id = request->group_ids[i];
        response->groups[i].error_code = failure->code;
    }
    return OK;
}

enum err fail_delete_groups(const struct failure *failure, const void *body, void *answer)
{
    const struct delete_groups_request *request = body;
    struct delete_groups_response *response = answer;
    size_t count = (size_t)MAX(request->groups_names_count, 0);

    response->results = delete_groups_response_deletable_group_result_array(failure->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->results[i].group_id = request->groups_names[i];
        response->results[i].error_code = failure->code;
    }
    return OK;
}
