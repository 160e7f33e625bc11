/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/error_response.c: the answer to a request that failed as a whole, in the form that each API
 * has for it: one code at the top, or the same code for everything that was asked for.
 */
#include "controller/controller_internal.h"

struct failure {
    struct arena *arena;
    int16_t version;
    int16_t code;
    struct slice text;
};

static enum err fail_create_topics(const struct failure *failure, const void *body, void *answer)
{
    const struct create_topics_request *request = body;
    struct create_topics_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->topics = create_topics_response_creatable_topic_result_array(failure->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->topics[i].name = request->topics[i].name;
        response->topics[i].error_code = failure->code;
        response->topics[i].error_message = failure->text;
    }
    return OK;
}

static enum err fail_delete_topics(const struct failure *failure, const void *body, void *answer)
{
    const struct delete_topics_request *request = body;
    struct delete_topics_response *response = answer;
    size_t by_name = (size_t)MAX(request->topic_names_count, 0);
    size_t topics = (size_t)MAX(request->topics_count, 0);

    response->responses =
        delete_topics_response_deletable_topic_result_array(failure->arena, by_name + topics);
    if (!response->responses)
        return ERR_NO_MEMORY;
    response->responses_count = (int32_t)(by_name + topics);
    for (size_t i = 0; i < by_name; i++)
        response->responses[i].name = request->topic_names[i];
    for (size_t i = 0; i < topics; i++) {
        response->responses[by_name + i].name = request->topics[i].name;
        response->responses[by_name + i].topic_id = request->topics[i].topic_id;
    }
    for (size_t i = 0; i < by_name + topics; i++) {
        response->responses[i].error_code = failure->code;
        response->responses[i].error_message = failure->text;
    }
    return OK;
}

static enum err fail_create_partitions(const struct failure *failure, const void *body,
                                       void *answer)
{
    const struct create_partitions_request *request = body;
    struct create_partitions_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->results =
        create_partitions_response_create_partitions_topic_result_array(failure->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->results[i].name = request->topics[i].name;
        response->results[i].error_code = failure->code;
        response->results[i].error_message = failure->text;
    }
    return OK;
}

static enum err fail_incremental_alter_configs(const struct failure *failure, const void *body,
                                               void *answer)
{
    const struct incremental_alter_configs_request *request = body;
    struct incremental_alter_configs_response *response = answer;
    size_t count = (size_t)MAX(request->resources_count, 0);

    response->responses = incremental_alter_configs_response_alter_configs_resource_response_array(
        failure->arena, count);
    if (!response->responses)
        return ERR_NO_MEMORY;
    response->responses_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->responses[i].resource_type = request->resources[i].resource_type;
        response->responses[i].resource_name = request->resources[i].resource_name;
        response->responses[i].error_code = failure->code;
        response->responses[i].error_message = failure->text;
    }
    return OK;
}

static enum err fail_alter_configs(const struct failure *failure, const void *body, void *answer)
{
    const struct alter_configs_request *request = body;
    struct alter_configs_response *response = answer;
    size_t count = (size_t)MAX(request->resources_count, 0);

    response->responses =
        alter_configs_response_alter_configs_resource_response_array(failure->arena, count);
    if (!response->responses)
        return ERR_NO_MEMORY;
    response->responses_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->responses[i].resource_type = request->resources[i].resource_type;
        response->responses[i].resource_name = request->resources[i].resource_name;
        response->responses[i].error_code = failure->code;
        response->responses[i].error_message = failure->text;
    }
    return OK;
}

static enum err fail_elect_leaders(const struct failure *failure, const void *body, void *answer)
{
    const struct elect_leaders_request *request = body;
    struct elect_leaders_response *response = answer;
    size_t count = (size_t)MAX(request->topic_partitions_count, 0);

    response->error_code = failure->version >= 1 ? failure->code : 0;
    response->replica_election_results =
        elect_leaders_response_replica_election_result_array(failure->arena, count);
    if (!response->replica_election_results)
        return ERR_NO_MEMORY;
    response->replica_election_results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct elect_leaders_request_topic_partitions *topic = &request->topic_partitions[i];
        struct elect_leaders_response_replica_election_result *result =
            &response->replica_election_results[i];
        size_t partitions = (size_t)MAX(topic->partitions_count, 0);

        result->topic = topic->topic;
        result->partition_result =
            elect_leaders_response_partition_result_array(failure->arena, partitions);
        if (!result->partition_result)
            return ERR_NO_MEMORY;
        result->partition_result_count = (int32_t)partitions;
        for (size_t j = 0; j < partitions; j++) {
            result->partition_result[j].partition_id = topic->partitions[j];
            result->partition_result[j].error_code = failure->code;
            result->partition_result[j].error_message = failure->text;
        }
    }
    return OK;
}

static enum err fail_alter_reassignments(const struct failure *failure, const void *body,
                                         void *answer)
{
    const struct alter_partition_reassignments_request *request = body;
    struct alter_partition_reassignments_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->error_code = failure->code;
    response->error_message = failure->text;
    response->responses = alter_partition_reassignments_response_reassignable_topic_response_array(
        failure->arena, count);
    if (!response->responses)
        return ERR_NO_MEMORY;
    response->responses_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t partitions = (size_t)MAX(request->topics[i].partitions_count, 0);
        struct alter_partition_reassignments_response_reassignable_partition_response *results =
            alter_partition_reassignments_response_reassignable_partition_response_array(
                failure->arena, partitions);

        if (!results)
            return ERR_NO_MEMORY;
        response->responses[i].name = request->topics[i].name;
        response->responses[i].partitions = results;
        response->responses[i].partitions_count = (int32_t)partitions;
        for (size_t j = 0; j < partitions; j++) {
            results[j].partition_index = request->topics[i].partitions[j].partition_index;
            results[j].error_code = failure->code;
            results[j].error_message = failure->text;
        }
    }
    return OK;
}

static enum err fail_alter_client_quotas(const struct failure *failure, const void *body,
                                         void *answer)
{
    const struct alter_client_quotas_request *request = body;
    struct alter_client_quotas_response *response = answer;
    size_t count = (size_t)MAX(request->entries_count, 0);

    response->entries = alter_client_quotas_response_entry_data_array(failure->arena, count);
    if (!response->entries)
        return ERR_NO_MEMORY;
    response->entries_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t parts = (size_t)MAX(request->entries[i].entity_count, 0);

        response->entries[i].error_code = failure->code;
        response->entries[i].error_message = failure->text;
        response->entries[i].entity =
            alter_client_quotas_response_entity_data_array(failure->arena, parts);
        if (!response->entries[i].entity)
            return ERR_NO_MEMORY;
        response->entries[i].entity_count = (int32_t)parts;
        for (size_t j = 0; j < parts; j++) {
            response->entries[i].entity[j].entity_type = request->entries[i].entity[j].entity_type;
            response->entries[i].entity[j].entity_name = request->entries[i].entity[j].entity_name;
        }
    }
    return OK;
}

static enum err fail_alter_scram(const struct failure *failure, const void *body, void *answer)
{
    const struct alter_user_scram_credentials_request *request = body;
    struct alter_user_scram_credentials_response *response = answer;
    size_t deletions = (size_t)MAX(request->deletions_count, 0);
    size_t upsertions = (size_t)MAX(request->upsertions_count, 0);
    struct slice *users = ARENA_ARRAY(failure->arena, struct slice, deletions + upsertions);
    enum name_repeat *repeats;

    response->results =
        alter_user_scram_credentials_response_alter_user_scram_credentials_result_array(
            failure->arena, deletions + upsertions);
    if (!users || !response->results)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < deletions; i++)
        users[i] = request->deletions[i].name;
    for (size_t i = 0; i < upsertions; i++)
        users[deletions + i] = request->upsertions[i].name;
    TRY(names_repeated(failure->arena, users, deletions + upsertions, &repeats));
    for (size_t i = 0; i < deletions + upsertions; i++) {
        struct alter_user_scram_credentials_response_alter_user_scram_credentials_result *result =
            &response->results[response->results_count];

        if (repeats[i] == NAME_AGAIN)
            continue;
        response->results_count++;
        result->user = users[i];
        result->error_code = failure->code;
        result->error_message = failure->text;
    }
    return OK;
}

/* APIs with one code at the top, and a text where the response has one. */
static enum err fail_top(const struct failure *failure, int16_t api_key, void *answer)
{
    switch (api_key) {
    case API_LIST_PARTITION_REASSIGNMENTS: {
        struct list_partition_reassignments_response *response = answer;

        response->error_code = failure->code;
        response->error_message = failure->text;
        return OK;
    }
    case API_UPDATE_FEATURES: {
        struct update_features_response *response = answer;

        response->error_code = failure->code;
        response->error_message = failure->text;
        return OK;
    }
    case API_UNREGISTER_BROKER: {
        struct unregister_broker_response *response = answer;

        response->error_code = failure->code;
        response->error_message = failure->text;
        return OK;
    }
    case API_UNREGISTER_CONTROLLER: {
        struct unregister_controller_response *response = answer;

        response->error_code = failure->code;
        response->error_message = failure->text;
        return OK;
    }
    case API_CONTROLLER_REGISTRATION: {
        struct controller_registration_response *response = answer;

        response->error_code = failure->code;
        response->error_message = failure->text;
        return OK;
    }
    case API_ALTER_PARTITION:
        ((struct alter_partition_response *)answer)->error_code = failure->code;
        return OK;
    case API_BROKER_REGISTRATION:
        ((struct broker_registration_response *)answer)->error_code = failure->code;
        return OK;
    case API_BROKER_HEARTBEAT:
        ((struct broker_heartbeat_response *)answer)->error_code = failure->code;
        return OK;
    case API_ALLOCATE_PRODUCER_IDS:
        ((struct allocate_producer_ids_response *)answer)->error_code = failure->code;
        return OK;
    case API_ASSIGN_REPLICAS_TO_DIRS:
        ((struct assign_replicas_to_dirs_response *)answer)->error_code = failure->code;
        return OK;
    default:
        return ERR_UNKNOWN_API;
    }
}

static const struct {
    int16_t api_key;
    enum err (*fail)(const struct failure *failure, const void *body, void *answer);
} failures[] = {
    {API_CREATE_TOPICS, fail_create_topics},
    {API_DELETE_TOPICS, fail_delete_topics},
    {API_CREATE_PARTITIONS, fail_create_partitions},
    {API_ALTER_CONFIGS, fail_alter_configs},
    {API_INCREMENTAL_ALTER_CONFIGS, fail_incremental_alter_configs},
    {API_ELECT_LEADERS, fail_elect_leaders},
    {API_ALTER_PARTITION_REASSIGNMENTS, fail_alter_reassignments},
    {API_ALTER_CLIENT_QUOTAS, fail_alter_client_quotas},
    {API_ALTER_USER_SCRAM_CREDENTIALS, fail_alter_scram},
};

enum err controller_error_response(const struct controller_request *request, enum err err,
                                   const struct why *why, struct arena *arena, void **response_out)
{
    const struct api *api = api_find(request->api_key);
    struct failure failure = {
        .arena = arena, .version = request->api_version, .code = err_wire_code(err)};

    *response_out = NULL;
    if (!controller_handles(request->api_key))
        return ERR_UNKNOWN_API;
    failure.text =
        arena_copy(arena, slice_from_text(why && why->text[0] != '\0' ? why->text : err_text(err)));
    *response_out = arena_zeroed(arena, 1, message_struct_bytes(api->response));
    if (!*response_out || slice_is_null(failure.text))
        return ERR_NO_MEMORY;
    message_init(api->response, *response_out);
    for (size_t i = 0; i < ARRAY_COUNT(failures); i++) {
        if (failures[i].api_key == request->api_key)
            return failures[i].fail(&failure, request->body, *response_out);
    }
    return fail_top(&failure, request->api_key, *response_out);
}
