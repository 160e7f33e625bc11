/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/alter_configs.c: AlterConfigs and IncrementalAlterConfigs: the broker settles
 * what it can, the controller the rest, and the results are put together in the request's order.
 * requests.md §3.9 of the reference; KIP-226, 339, 412.
 */
#include "server/handlers/alter_configs.h"

#include "protocol/generated/alter_configs_request.h"
#include "protocol/generated/alter_configs_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/incremental_alter_configs_request.h"
#include "protocol/generated/incremental_alter_configs_response.h"
#include "server/forward.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

typedef struct incremental_alter_configs_request_alter_configs_resource incremental_resource;
typedef struct alter_configs_request_alter_configs_resource replace_resource;
typedef struct incremental_alter_configs_response_alter_configs_resource_response
    incremental_result;
typedef struct alter_configs_response_alter_configs_resource_response replace_result;

/* ---- reading ---- */

static enum err alteration_begin(struct arena *arena, int8_t type, struct slice name,
                                 int32_t config_count, struct alteration *to)
{
    to->type = type;
    to->name = name;
    to->count = (size_t)MAX(config_count, 0);
    to->operations = ARENA_ARRAY(arena, struct config_operation, to->count);
    return to->operations ? OK : ERR_NO_MEMORY;
}

static enum err incremental_read(struct arena *arena, const incremental_resource *from,
                                 struct alteration *to)
{
    TRY(alteration_begin(arena, from->resource_type, from->resource_name, from->configs_count, to));
    for (size_t i = 0; i < to->count; i++)
        to->operations[i] =
            (struct config_operation){(enum config_operation_kind)from->configs[i].config_operation,
                                      from->configs[i].name, from->configs[i].value};
    return OK;
}

static enum err replace_read(struct arena *arena, const replace_resource *from,
                             struct alteration *to)
{
    TRY(alteration_begin(arena, from->resource_type, from->resource_name, from->configs_count, to));
    for (size_t i = 0; i < to->count; i++)
        to->operations[i] =
            (struct config_operation){CONFIG_SET, from->configs[i].name, from->configs[i].value};
    return OK;
}

enum err alterations_read(struct request *request, struct alterations *out)
{
    const struct incremental_alter_configs_request *incremental = request->body;
    const struct alter_configs_request *replace = request->body;
    int32_t count;

    *out = (struct alterations){.request = request, .publication = request->shard->publication};
    out->is_incremental = request->api->key == API_INCREMENTAL_ALTER_CONFIGS;
    count = out->is_incremental ? incremental->resources_count : replace->resources_count;
    out->validate_only = out->is_incremental ? incremental->validate_only : replace->validate_only;
    out->count = (size_t)MAX(count, 0);
    out->items = ARENA_ARRAY(&request->arena, struct alteration, out->count);
    if (!out->items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < out->count; i++)
        TRY(out->is_incremental
                ? incremental_read(&request->arena, &incremental->resources[i], &out->items[i])
                : replace_read(&request->arena, &replace->resources[i], &out->items[i]));
    return OK;
}

/* ---- the rest, for the controller ---- */

/* Both APIs have the same fields here, in types of their own: `kind` is the API's name. */
#define REST_DEFINE(function, kind)                                                               \
    static const void *function(const struct alterations *alterations)                            \
    {                                                                                             \
        const struct kind##_request *from = alterations->request->body;                           \
        struct arena *arena = &alterations->request->arena;                                       \
        struct kind##_request *to = kind##_request_array(arena, 1);                               \
        struct kind##_request_alter_configs_resource *resources =                                 \
            ARENA_ARRAY(arena, struct kind##_request_alter_configs_resource, alterations->count); \
                                                                                                  \
        if (!to || !resources)                                                                    \
            return NULL;                                                                          \
        to->validate_only = from->validate_only;                                                  \
        to->resources = resources;                                                                \
        to->resources_count = 0;                                                                  \
        for (size_t i = 0; i < alterations->count; i++)                                           \
            if (!alterations->items[i].is_settled)                                                \
                resources[to->resources_count++] = from->resources[i];                            \
        return to;                                                                                \
    }
REST_DEFINE(incremental_rest, incremental_alter_configs)
REST_DEFINE(replace_rest, alter_configs)

/* ---- putting together ---- */

static bool result_take(struct alteration *item, int8_t type, struct slice name, int16_t code,
                        struct slice text)
{
    if (item->type != type || !slice_equal(item->name, name))
        return false;
    item->is_settled = true;
    item->err = err_from_wire(code);
    item->text = text;
    return true;
}

/* The controller answers each resource once and in order; whatever is missing all the same is an
 * error. */
static void results_take(struct alterations *alterations, const void *response)
{
    const struct incremental_alter_configs_response *incremental = response;
    const struct alter_configs_response *replace = response;
    int32_t count = !response                     ? 0
                    : alterations->is_incremental ? incremental->responses_count
                                                  : replace->responses_count;
    int32_t at = 0;

    for (size_t i = 0; i < alterations->count; i++) {
        struct alteration *item = &alterations->items[i];

        if (item->is_settled)
            continue;
        item->err = ERR_UNKNOWN_SERVER_ERROR;
        item->text = SLICE_NULL;
        if (at >= count)
            continue;
        if (alterations->is_incremental) {
            const incremental_result *result = &incremental->responses[at];

            at += result_take(item, result->resource_type, result->resource_name,
                              result->error_code, result->error_message);
        } else {
            const replace_result *result = &replace->responses[at];

            at += result_take(item, result->resource_type, result->resource_name,
                              result->error_code, result->error_message);
        }
    }
}

#define RESULT_FILL(result, item)                         \
    do {                                                  \
        __typeof__(result) result_ = (result);            \
                                                          \
        result_->error_code = err_wire_code((item)->err); \
        result_->error_message = (item)->text;            \
        result_->resource_type = (item)->type;            \
        result_->resource_name = (item)->name;            \
    } while (0)

#define ANSWER_DEFINE(function, kind)                                                \
    static void function(const struct alterations *alterations)                      \
    {                                                                                \
        struct request *request = alterations->request;                              \
        struct kind##_response *response = request_response(request);                \
                                                                                     \
        response->responses = kind##_response_alter_configs_resource_response_array( \
            &request->arena, alterations->count);                                    \
        if (!response->responses) {                                                  \
            request_answer_failed(request, ERR_NO_MEMORY, NULL);                     \
            return;                                                                  \
        }                                                                            \
        response->responses_count = (int32_t)alterations->count;                     \
        for (size_t i = 0; i < alterations->count; i++)                              \
            RESULT_FILL(&response->responses[i], &alterations->items[i]);            \
        request_answer(request, response);                                           \
    }
ANSWER_DEFINE(answer_incremental, incremental_alter_configs)
ANSWER_DEFINE(answer_replace, alter_configs)

static void put_together(struct alterations *alterations, const void *response)
{
    results_take(alterations, response);
    if (alterations->is_incremental)
        answer_incremental(alterations);
    else
        answer_replace(alterations);
}

static void controller_answered(struct forward *forward, void *response, enum err err)
{
    UNUSED(err); /* each resource has it */
    put_together(forward->context, response);
}

/* ---- the controller listener ---- */

/* A repeated resource is answered once there, so its results are not matched: log levels follow
 * them. */
static void controller_results_append(struct forward *forward, void *answer, enum err err)
{
    const struct alterations *alterations = forward->context;
    struct request *request = forward->request;
    const struct incremental_alter_configs_response *from = answer;
    struct incremental_alter_configs_response *to = request_response(request);
    size_t count = from ? (size_t)from->responses_count : 0;

    to->responses = incremental_alter_configs_response_alter_configs_resource_response_array(
        &request->arena, count + alterations->count);
    if (!to->responses || !from) {
        request_answer_failed(request, from ? ERR_NO_MEMORY : err, NULL);
        return;
    }
    if (count > 0)
        memcpy(to->responses, from->responses, count * sizeof *to->responses);
    for (size_t i = 0; i < alterations->count; i++) {
        const struct alteration *item = &alterations->items[i];

        if (item->is_settled)
            RESULT_FILL(&to->responses[count++], item);
    }
    to->responses_count = (int32_t)count;
    request_answer(request, to);
}

static bool all_settled(const struct alterations *alterations)
{
    for (size_t i = 0; i < alterations->count; i++)
        if (!alterations->items[i].is_settled)
            return false;
    return true;
}

static void rest_send(struct alterations *alterations, bool is_controller)
{
    struct forward *forward = forward_create(alterations->request);

    if (!forward)
        return;
    forward->body =
        alterations->is_incremental ? incremental_rest(alterations) : replace_rest(alterations);
    forward->context = alterations;
    forward->finish = is_controller ? controller_results_append : controller_answered;
    if (!forward->body) {
        request_answer_failed(alterations->request, ERR_NO_MEMORY, NULL);
        return;
    }
    forward_send(forward);
}

void handle_alter_configs(struct request *request)
{
    bool is_controller = request->session->kind->is_controller_listener;
    struct alterations *alterations = ARENA_NEW(&request->arena, struct alterations);
    enum err err = alterations ? alterations_read(request, alterations) : ERR_NO_MEMORY;

    if (!image_view_publication(request))
        return;
    if (err == OK)
        err =
            is_controller ? alterations_check_loggers(alterations) : alterations_check(alterations);
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    if (all_settled(alterations))
        put_together(alterations, NULL);
    else
        rest_send(alterations, is_controller);
}
