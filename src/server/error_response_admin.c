/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response_admin.c: whole failures of the APIs that describe and administrate.
 */
#include "protocol/generated/messages.h"
#include "server/error_response.h"

enum err fail_init_producer_id(const struct failure *failure, const void *body, void *answer)
{
    struct init_producer_id_response *response = answer;

    UNUSED(body);
    response->error_code = failure->code;
    response->producer_id = -1;
    response->producer_epoch = -1;
    return OK;
}

enum err fail_create_acls(const struct failure *failure, const void *body, void *answer)
{
    const struct create_acls_request *request = body;
    struct create_acls_response *response = answer;
    size_t count = (size_t)MAX(request->creations_count, 0);

    response->results = create_acls_response_acl_creation_result_array(failure->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->results[i].error_code = failure->code;
        response->results[i].error_message = failure->text;
    }
    return OK;
}

enum err fail_delete_acls(const struct failure *failure, const void *body, void *answer)
{
    const struct delete_acls_request *request = body;
    struct delete_acls_response *response = answer;
    size_t count = (size_t)MAX(request->filters_count, 0);

    response->filter_results =
        delete_acls_response_delete_acls_filter_result_array(failure->arena, count);
    if (!response->filter_results)
        return ERR_NO_MEMORY;
    response->filter_results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->filter_results[i].error_code = failure->code;
        response->filter_results[i].error_message = failure->text;
    }
    return OK;
}

/* Always with the code's own text. */
enum err fail_describe_configs(const struct failure *failure, const void *body, void *answer)
{
    const struct describe_configs_request *request = body;
    struct describe_configs_response *response = answer;
    size_t count = (size_t)MAX(request->resources_count, 0);

    response->results =
        describe_configs_response_describe_configs_result_array(failure->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->results[i].error_code = failure->code;
        response->results[i].error_message = slice_from_text(err_text(failure->err));
        response->results[i].resource_type = request->resources[i].resource_type;
        response->results[i].resource_name = request->resources[i].resource_name;
    }
    return OK;
}

enum err fail_create_delegation_token(const struct failure *failure, const void *body, void *answer)
{
    struct create_delegation_token_response *response = answer;

    UNUSED(body);
    response->error_code = failure->code;
    response->principal_type = SLICE("User");
    response->principal_name = SLICE("ANONYMOUS");
    if (failure->version >= 3) {
        response->token_requester_principal_type = response->principal_type;
        response->token_requester_principal_name = response->principal_name;
    }
    response->issue_timestamp_ms = -1;
    response->expiry_timestamp_ms = -1;
    response->max_timestamp_ms = -1;
    return OK;
}

enum err fail_describe_client_quotas(const struct failure *failure, const void *body, void *answer)
{
    struct describe_client_quotas_response *response = answer;

    UNUSED(body);
    response->error_code = failure->code;
    response->error_message = failure->text;
    response->entries = NULL;
    response->entries_count = -1;
    return OK;
}

enum err fail_describe_scram(const struct failure *failure, const void *body, void *answer)
{
    const struct describe_user_scram_credentials_request *request = body;
    struct describe_user_scram_credentials_response *response = answer;
    size_t count = (size_t)MAX(request->users_count, 0);

    response->error_code = failure->code;
    response->error_message = failure->text;
    response->results =
        describe_user_scram_credentials_response_describe_user_scram_credentials_result_array(
            failure->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->results[i].error_code = failure->code;
        response->results[i].error_message = failure->text;
    }
    return OK;
}

enum err fail_describe_topic_partitions(const struct failure *failure, const void *body,
                                        void *answer)
{
    const struct describe_topic_partitions_request *request = body;
    struct describe_topic_partitions_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->topics =
        describe_topic_partitions_response_describe_topic_partitions_response_topic_array(
            failure->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->topics[i].name = request->topics[i].name;
        response->topics[i].error_code = failure->code;
    }
    return OK;
}

enum err fail_with_own_text(const struct failure *failure, const void *body, void *answer)
{
    UNUSED(failure);
    UNUSED(body);
    UNUSED(answer);
    return ERR_UNSUPPORTED;
}
