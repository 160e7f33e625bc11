/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response.c: the answer to a request that failed as a whole, in the form that each
 * API has for it: one code at the top, or the same code for everything that was asked for. The
 * controller's own APIs have theirs in controller/error_response.c.
 */
#include "server/error_response.h"

#include "controller/controller.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "server/request_internal.h"

/* Requests with partitions under topics: one answer to each. `index_of` is an expression of `from`,
 * the partition asked for; `more` sets what differs from the response's defaults. */
#define FAIL_PARTITIONS(kind, topics_in, partitions_in, topics_out, partitions_out, topic_type,   \
                        partition_type, index_of, index_field, more_topic, more)                  \
    do {                                                                                          \
        size_t topic_count = (size_t)MAX(request->topics_in##_count, 0);                          \
                                                                                                  \
        response->topics_out = kind##_response_##topic_type##_array(failure->arena, topic_count); \
        if (!response->topics_out)                                                                \
            return ERR_NO_MEMORY;                                                                 \
        response->topics_out##_count = (int32_t)topic_count;                                      \
        for (size_t t = 0; t < topic_count; t++) {                                                \
            size_t count = (size_t)MAX(request->topics_in[t].partitions_in##_count, 0);           \
            struct kind##_response_##partition_type *to =                                         \
                kind##_response_##partition_type##_array(failure->arena, count);                  \
                                                                                                  \
            if (!to)                                                                              \
                return ERR_NO_MEMORY;                                                             \
            response->topics_out[t].partitions_out = to;                                          \
            response->topics_out[t].partitions_out##_count = (int32_t)count;                      \
            more_topic;                                                                           \
            for (size_t p = 0; p < count; p++) {                                                  \
                to[p].index_field = request->topics_in[t].partitions_in[p] index_of;              \
                to[p].error_code = failure->code;                                                 \
                more;                                                                             \
            }                                                                                     \
        }                                                                                         \
    } while (0)

static enum err fail_produce(const struct failure *failure, const void *body, void *answer)
{
    const struct produce_request *request = body;
    struct produce_response *response = answer;

    FAIL_PARTITIONS(
        produce, topic_data, partition_data, responses, partition_responses, topic_produce_response,
        partition_produce_response, .index, index,
        {
            response->responses[t].name = request->topic_data[t].name;
            response->responses[t].topic_id = request->topic_data[t].topic_id;
        },
        {
            to[p].base_offset = -1;
            to[p].error_message = failure->text;
        });
    return OK;
}

static enum err fail_fetch(const struct failure *failure, const void *body, void *answer)
{
    const struct fetch_request *request = body;
    struct fetch_response *response = answer;

    response->error_code = failure->code;
    response->session_id = request->session_id;
    if (failure->version >= 13) /* the code at the top is enough for these clients */
        return OK;
    FAIL_PARTITIONS(
        fetch, topics, partitions, responses, partitions, fetchable_topic_response, partition_data,
        .partition, partition_index, { response->responses[t].topic = request->topics[t].topic; },
        {
            to[p].high_watermark = -1;
            to[p].records = SLICE_EMPTY;
        });
    return OK;
}

static enum err fail_list_offsets(const struct failure *failure, const void *body, void *answer)
{
    const struct list_offsets_request *request = body;
    struct list_offsets_response *response = answer;

    FAIL_PARTITIONS(list_offsets, topics, partitions, topics, partitions,
                    list_offsets_topic_response, list_offsets_partition_response, .partition_index,
                    partition_index, { response->topics[t].name = request->topics[t].name; }, {});
    return OK;
}

static enum err fail_delete_records(const struct failure *failure, const void *body, void *answer)
{
    const struct delete_records_request *request = body;
    struct delete_records_response *response = answer;

    FAIL_PARTITIONS(
        delete_records, topics, partitions, topics, partitions, delete_records_topic_result,
        delete_records_partition_result, .partition_index, partition_index,
        { response->topics[t].name = request->topics[t].name; }, { to[p].low_watermark = -1; });
    return OK;
}

static enum err fail_offset_for_leader_epoch(const struct failure *failure, const void *body,
                                             void *answer)
{
    const struct offset_for_leader_epoch_request *request = body;
    struct offset_for_leader_epoch_response *response = answer;

    FAIL_PARTITIONS(offset_for_leader_epoch, topics, partitions, topics, partitions,
                    offset_for_leader_topic_result, epoch_end_offset, .partition, partition,
                    { response->topics[t].topic = request->topics[t].topic; }, {});
    return OK;
}

static enum err fail_describe_producers(const struct failure *failure, const void *body,
                                        void *answer)
{
    const struct describe_producers_request *request = body;
    struct describe_producers_response *response = answer;

    FAIL_PARTITIONS(describe_producers, topics, partition_indexes, topics, partitions,
                    topic_response, partition_response, , partition_index,
                    { response->topics[t].name = request->topics[t].name; }, {});
    return OK;
}

static enum err fail_alter_replica_log_dirs(const struct failure *failure, const void *body,
                                            void *answer)
{
    const struct alter_replica_log_dirs_request *asked = body;
    struct alter_replica_log_dirs_response *whole = answer;
    size_t count = 0;

    for (int32_t i = 0; i < asked->dirs_count; i++)
        count += (size_t)MAX(asked->dirs[i].topics_count, 0);
    whole->results = alter_replica_log_dirs_response_alter_replica_log_dir_topic_result_array(
        failure->arena, count);
    if (!whole->results)
        return ERR_NO_MEMORY;
    whole->results_count = 0;
    for (int32_t i = 0; i < asked->dirs_count; i++) {
        for (int32_t k = 0; k < asked->dirs[i].topics_count; k++) {
            const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *from =
                &asked->dirs[i].topics[k];
            struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result *to =
                &whole->results[whole->results_count++];
            size_t partitions = (size_t)MAX(from->partitions_count, 0);

            to->topic_name = from->name;
            to->partitions =
                alter_replica_log_dirs_response_alter_replica_log_dir_partition_result_array(
                    failure->arena, partitions);
            if (!to->partitions)
                return ERR_NO_MEMORY;
            to->partitions_count = (int32_t)partitions;
            for (size_t p = 0; p < partitions; p++) {
                to->partitions[p].partition_index = from->partitions[p];
                to->partitions[p].error_code = failure->code;
            }
        }
    }
    return OK;
}

static enum err fail_metadata(const struct failure *failure, const void *body, void *answer)
{
    const struct metadata_request *request = body;
    struct metadata_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    response->error_code = failure->code;
    response->topics = metadata_response_metadata_response_topic_array(failure->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct slice name = request->topics[i].name;

        response->topics[i].name = slice_is_null(name) ? SLICE_EMPTY : name;
        response->topics[i].topic_id = request->topics[i].topic_id;
        response->topics[i].error_code = failure->code;
    }
    return OK;
}

/* One code at the top, which nearly every other response has under one name, and a text where it
 * has one. */
static enum err fail_top(const struct failure *failure, const struct message_type *type,
                         void *answer)
{
    int16_t *code = message_field(type, "errorCode", answer);
    struct slice *text = message_field(type, "errorMessage", answer);

    if (!code)
        return ERR_UNSUPPORTED;
    *code = failure->code;
    if (text)
        *text = failure->text;
    return OK;
}

static const struct {
    int16_t api_key;
    failure_maker fail;
} failures[] = {
    {API_PRODUCE, fail_produce},
    {API_FETCH, fail_fetch},
    {API_LIST_OFFSETS, fail_list_offsets},
    {API_METADATA, fail_metadata},
    {API_DELETE_RECORDS, fail_delete_records},
    {API_OFFSET_FOR_LEADER_EPOCH, fail_offset_for_leader_epoch},
    {API_DESCRIBE_PRODUCERS, fail_describe_producers},
    {API_ALTER_REPLICA_LOG_DIRS, fail_alter_replica_log_dirs},
    {API_FIND_COORDINATOR, fail_find_coordinator},
    {API_OFFSET_COMMIT, fail_offset_commit},
    {API_OFFSET_FETCH, fail_offset_fetch},
    {API_DESCRIBE_GROUPS, fail_describe_groups},
    {API_CONSUMER_GROUP_DESCRIBE, fail_consumer_group_describe},
    {API_DELETE_GROUPS, fail_delete_groups},
    {API_INIT_PRODUCER_ID, fail_init_producer_id},
    {API_CREATE_ACLS, fail_create_acls},
    {API_DELETE_ACLS, fail_delete_acls},
    {API_DESCRIBE_CONFIGS, fail_describe_configs},
    {API_CREATE_DELEGATION_TOKEN, fail_create_delegation_token},
    {API_DESCRIBE_CLIENT_QUOTAS, fail_describe_client_quotas},
    {API_DESCRIBE_USER_SCRAM_CREDENTIALS, fail_describe_scram},
    {API_DESCRIBE_TOPIC_PARTITIONS, fail_describe_topic_partitions},
    {API_DESCRIBE_QUORUM, fail_with_own_text},
    {API_ADD_RAFT_VOTER, fail_with_own_text},
    {API_REMOVE_RAFT_VOTER, fail_with_own_text},
};

static enum err fail(const struct failure *failure, const struct api *api, const void *body,
                     void *answer)
{
    for (size_t i = 0; i < ARRAY_COUNT(failures); i++) {
        if (failures[i].api_key != api->key)
            continue;
        if (failures[i].fail == fail_with_own_text) {
            struct failure own = *failure;

            own.text = slice_from_text(err_text(failure->err));
            return fail_top(&own, api->response, answer);
        }
        return failures[i].fail(failure, body, answer);
    }
    return fail_top(failure, api->response, answer);
}

static void *controller_response(const struct api *api, const void *body,
                                 const struct failure *failure)
{
    struct controller_request asked = {
        .api_key = api->key, .api_version = failure->version, .body = body};
    struct why why = {0};
    void *response;

    if (!slice_is_null(failure->text))
        why_set(&why, failure->err, "%.*s", SLICE_ARGS(failure->text));
    return controller_error_response(&asked, failure->err, &why, failure->arena, &response) == OK
               ? response
               : NULL;
}

void *error_response_build(const struct api *api, int16_t version, const void *body,
                           struct arena *arena, enum err err, const char *message)
{
    struct failure failure = {.arena = arena,
                              .version = version,
                              .err = err,
                              .code = err_wire_code(err),
                              .text = arena_copy(arena, slice_from_text(message))};
    void *response;

    if (controller_handles(api->key))
        return controller_response(api, body, &failure);
    response = arena_zeroed(arena, 1, message_struct_bytes(api->response));
    if (!response)
        return NULL;
    message_init(api->response, response);
    return fail(&failure, api, body, response) == OK ? response : NULL;
}

/* A failure for lack of memory still needs room for its answer. */
#define ROOM_BYTES (256 * KIB)

void *error_response_make(struct request *request, enum err err, const char *message)
{
    if (!request->body)
        return NULL;
    if (request->api->key == API_PRODUCE &&
        ((const struct produce_request *)request->body)->acks == 0)
        return NULL;
    if (request->arena.limit_bytes < SIZE_MAX - ROOM_BYTES)
        request->arena.limit_bytes += ROOM_BYTES;
    return error_response_build(request->api, request->header.api_version, request->body,
                                &request->arena, err, message);
}
