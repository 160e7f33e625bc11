/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response_forms.c: the table of the APIs whose failure is told for each thing that was asked
 * for, or with words of its own.
 */
#include "server/error_response_forms.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"

static void fetch_add(int16_t version, const void *body, void *answer)
{
    struct fetch_response *response = answer;

    UNUSED(version);
    response->session_id = ((const struct fetch_request *)body)->session_id;
    for (int32_t i = 0; i < response->responses_count; i++)
        for (int32_t k = 0; k < response->responses[i].partitions_count; k++)
            response->responses[i].partitions[k].records = SLICE_EMPTY;
}

/* The answer has no null names where they were asked for by id. */
static void metadata_add(int16_t version, const void *body, void *answer)
{
    struct metadata_response *response = answer;

    UNUSED(version);
    UNUSED(body);
    for (int32_t i = 0; i < response->topics_count; i++)
        if (slice_is_null(response->topics[i].name))
            response->topics[i].name = SLICE_EMPTY;
}

static void create_delegation_token_add(int16_t version, const void *body, void *answer)
{
    struct create_delegation_token_response *response = answer;

    UNUSED(body);
    response->principal_type = SLICE("User");
    response->principal_name = SLICE("ANONYMOUS");
    if (version < 3)
        return;
    response->token_requester_principal_type = response->principal_type;
    response->token_requester_principal_name = response->principal_name;
}

/* Rows of an API stand by ascending version_max. */
static const struct error_form forms[] = {
    {API_PRODUCE,
     .mirror.levels = {{"topicData", "responses", {MIRROR_SAME("name"), MIRROR_SAME("topicId")}},
                       {"partitionData",
                        "partitionResponses",
                        {MIRROR_SAME("index")},
                        .unknown = {"baseOffset"}}}},
    {API_FETCH, .version_max = 12,
     .mirror.levels = {{"topics", "responses", {MIRROR_SAME("topic")}},
                       {"partitions",
                        "partitions",
                        {{"partition", "partitionIndex"}},
                        .unknown = {"highWatermark"}}},
     .add = fetch_add},
    {API_FETCH, .add = fetch_add}, /* the code at the top is enough for these clients */
    {API_LIST_OFFSETS,
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name")}},
                       {"partitions", "partitions", {MIRROR_SAME("partitionIndex")}}}},
    {API_METADATA,
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name"), MIRROR_SAME("topicId")}}},
     .add = metadata_add},
    {API_DELETE_RECORDS, .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name")}},
                                           {"partitions",
                                            "partitions",
                                            {MIRROR_SAME("partitionIndex")},
                                            .unknown = {"lowWatermark"}}}},
    {API_OFFSET_FOR_LEADER_EPOCH,
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("topic")}},
                       {"partitions", "partitions", {MIRROR_SAME("partition")}}}},
    {API_DESCRIBE_PRODUCERS, .text = ERROR_TEXT_NONE,
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name")}},
                       {"partitionIndexes", "partitions", {MIRROR_VALUE("partitionIndex")}}}},
    {API_ALTER_REPLICA_LOG_DIRS,
     .mirror.levels = {{"dirs", NULL},
                       {"topics", "results", {{"name", "topicName"}}},
                       {"partitions", "partitions", {MIRROR_VALUE("partitionIndex")}}}},
    /* groups */
    {API_FIND_COORDINATOR, .text = ERROR_TEXT_OF_CODE,
     .mirror = {.levels = {{"coordinatorKeys",
                            "coordinators",
                            {MIRROR_VALUE("key")},
                            .unknown = {"nodeId", "port"}}},
                .unknown = {"nodeId", "port"}}},
    {API_JOIN_GROUP, .mirror.null = "protocolName"},
    {API_OFFSET_COMMIT,
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name"), MIRROR_SAME("topicId")}},
                       {"partitions", "partitions", {MIRROR_SAME("partitionIndex")}}}},
    {API_TXN_OFFSET_COMMIT,
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name"), MIRROR_SAME("topicId")}},
                       {"partitions", "partitions", {MIRROR_SAME("partitionIndex")}}}},
    {API_OFFSET_FETCH, .version_max = 1, /* which has no other place than the partitions */
     .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name")}},
                       {"partitionIndexes",
                        "partitions",
                        {MIRROR_VALUE("partitionIndex")},
                        .unknown = {"committedOffset"}}}},
    {API_OFFSET_FETCH, .mirror.levels = {{"groups", "groups", {MIRROR_SAME("groupId")}}}},
    {API_DESCRIBE_GROUPS, .text = ERROR_TEXT_NONE,
     .mirror.levels = {{"groups", "groups", {MIRROR_VALUE("groupId")}}}},
    {API_CONSUMER_GROUP_DESCRIBE, .text = ERROR_TEXT_NONE,
     .mirror.levels = {{"groupIds", "groups", {MIRROR_VALUE("groupId")}}}},
    {API_DELETE_GROUPS, .text = ERROR_TEXT_NONE,
     .mirror.levels = {{"groupsNames", "results", {MIRROR_VALUE("groupId")}}}},
    /* transactions */
    {API_ADD_PARTITIONS_TO_TXN,
     .mirror = {.levels = {{"v3AndBelowTopics", "resultsByTopicV3AndBelow", {MIRROR_SAME("name")}},
                           {"partitions",
                            "resultsByPartition",
                            {MIRROR_VALUE("partitionIndex")},
                            .code = "partitionErrorCode"}}}},
    {API_DESCRIBE_TRANSACTIONS, .mirror.levels = {{"transactionalIds",
                                                   "transactionStates",
                                                   {MIRROR_VALUE("transactionalId")}}}},
    {API_WRITE_TXN_MARKERS,
     .mirror.levels = {{"markers", "markers", {MIRROR_SAME("producerId")}},
                       {"topics", "topics", {MIRROR_SAME("name")}},
                       {"partitionIndexes", "partitions", {MIRROR_VALUE("partitionIndex")}}}},
    {API_INIT_PRODUCER_ID, .mirror.unknown = {"producerId", "producerEpoch"}},
    /* what describes and administrates */
    {API_CREATE_ACLS, .mirror.levels = {{"creations", "results"}}},
    {API_DELETE_ACLS, .mirror.levels = {{"filters", "filterResults"}}},
    {API_DESCRIBE_CONFIGS, .text = ERROR_TEXT_OF_CODE,
     .mirror.levels = {{"resources",
                        "results",
                        {MIRROR_SAME("resourceType"), MIRROR_SAME("resourceName")}}}},
    {API_CREATE_DELEGATION_TOKEN,
     .mirror.unknown = {"issueTimestampMs", "expiryTimestampMs", "maxTimestampMs"},
     .add = create_delegation_token_add},
    {API_DESCRIBE_CLIENT_QUOTAS, .mirror.null = "entries"},
    {API_DESCRIBE_USER_SCRAM_CREDENTIALS, .mirror.levels = {{"users", "results"}}},
    {API_DESCRIBE_TOPIC_PARTITIONS, .mirror.levels = {{"topics", "topics", {MIRROR_SAME("name")}}}},
    {API_DESCRIBE_QUORUM, .text = ERROR_TEXT_OF_CODE},
    {API_ADD_RAFT_VOTER, .text = ERROR_TEXT_OF_CODE},
    {API_REMOVE_RAFT_VOTER, .text = ERROR_TEXT_OF_CODE},
};

const struct error_form *error_form_find(int16_t api_key, int16_t version)
{
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        if (forms[i].api_key == api_key &&
            (forms[i].version_max == 0 || version <= forms[i].version_max))
            return &forms[i];
    return NULL;
}
