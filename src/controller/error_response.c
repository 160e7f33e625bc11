/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/error_response.c: the answer to a request that failed as a whole, in the form that each API
 * has for it: one code at the top, or the same code for everything that was asked for.
 */
#include "controller/controller_internal.h"
#include "protocol/mirror.h"

#define RESOURCES                                                                               \
    {                                                                                           \
        {"resources", "responses", {MIRROR_SAME("resourceType"), MIRROR_SAME("resourceName")}}, \
    }

/* The others have one code at the top. */
static const struct {
    int16_t api_key;
    struct mirror mirror;
} forms[] = {
    {API_CREATE_TOPICS, {{{"topics", "topics", {MIRROR_SAME("name")}}}}},
    /* one list until version 5, the other since */
    {API_DELETE_TOPICS, {{{"topicNames", "responses", {MIRROR_VALUE("name")}}}}},
    {API_DELETE_TOPICS, {{{"topics", "responses", {MIRROR_SAME("name"), MIRROR_SAME("topicId")}}}}},
    {API_CREATE_PARTITIONS, {{{"topics", "results", {MIRROR_SAME("name")}}}}},
    {API_ALTER_CONFIGS, {RESOURCES}},
    {API_INCREMENTAL_ALTER_CONFIGS, {RESOURCES}},
    {API_ELECT_LEADERS,
     {{{"topicPartitions", "replicaElectionResults", {MIRROR_SAME("topic")}},
       {"partitions", "partitionResult", {MIRROR_VALUE("partitionId")}}}}},
    {API_ALTER_PARTITION_REASSIGNMENTS,
     {{{"topics", "responses", {MIRROR_SAME("name")}},
       {"partitions", "partitions", {MIRROR_SAME("partitionIndex")}}}}},
    {API_ALTER_CLIENT_QUOTAS,
     {{{"entries", "entries"},
       {"entity", "entity", {MIRROR_SAME("entityType"), MIRROR_SAME("entityName")}}}}},
};

/* Every user once, however often the request names it. */
static enum err alter_scram_fill(const struct alter_user_scram_credentials_request *request,
                                 struct mirror_verdict verdict, struct arena *arena,
                                 struct alter_user_scram_credentials_response *response)
{
    size_t deletions = (size_t)MAX(request->deletions_count, 0);
    size_t upsertions = (size_t)MAX(request->upsertions_count, 0);
    struct slice *users = ARENA_ARRAY(arena, struct slice, deletions + upsertions);
    enum name_repeat *repeats;

    response->results =
        alter_user_scram_credentials_response_alter_user_scram_credentials_result_array(
            arena, deletions + upsertions);
    if (!users || !response->results)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < deletions; i++)
        users[i] = request->deletions[i].name;
    for (size_t i = 0; i < upsertions; i++)
        users[deletions + i] = request->upsertions[i].name;
    TRY(names_repeated(arena, users, deletions + upsertions, &repeats));
    for (size_t i = 0; i < deletions + upsertions; i++) {
        struct alter_user_scram_credentials_response_alter_user_scram_credentials_result *result =
            &response->results[response->results_count];

        if (repeats[i] == NAME_AGAIN)
            continue;
        response->results_count++;
        result->user = users[i];
        result->error_code = verdict.code;
        result->error_message = verdict.text;
    }
    return OK;
}

static enum err forms_fill(const struct controller_request *request, const struct api *api,
                           struct mirror_verdict verdict, struct arena *arena, void *response)
{
    static const struct mirror at_the_top = {0};

    TRY(mirror_answer(&at_the_top, api, request->api_version, request->body, verdict, arena,
                      response));
    if (request->api_key == API_ALTER_USER_SCRAM_CREDENTIALS)
        return alter_scram_fill(request->body, verdict, arena, response);
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        if (forms[i].api_key == request->api_key)
            TRY(mirror_answer(&forms[i].mirror, api, request->api_version, request->body, verdict,
                              arena, response));
    return OK;
}

enum err controller_error_response(const struct controller_request *request, enum err err,
                                   const struct why *why, struct arena *arena, void **response_out)
{
    const struct api *api = api_find(request->api_key);
    struct mirror_verdict verdict = {.code = err_wire_code(err)};

    *response_out = NULL;
    if (!controller_handles(request->api_key))
        return ERR_UNKNOWN_API;
    verdict.text =
        arena_copy(arena, slice_from_text(why && why->text[0] != '\0' ? why->text : err_text(err)));
    *response_out = arena_zeroed(arena, 1, message_struct_bytes(api->response));
    if (!*response_out || slice_is_null(verdict.text))
        return ERR_NO_MEMORY;
    message_init(api->response, *response_out);
    return forms_fill(request, api, verdict, arena, *response_out);
}
