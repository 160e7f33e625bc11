/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_configs.c: effective configurations (DescribeConfigs, requests.md §3.8
 * of the reference; KIP-226, 412, 569, 714, 848). Each resource succeeds or fails by itself; what a
 * configuration is comes from the config module.
 */
#include "base/parse.h"
#include "protocol/generated/describe_configs_request.h"
#include "protocol/generated/describe_configs_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/node.h"
#include "server/topic_name.h"

typedef const struct describe_configs_request_describe_configs_resource asked_resource;
typedef struct describe_configs_response_describe_configs_result answer_result;
typedef struct describe_configs_response_describe_configs_resource_result answer_config;

struct work {
    struct request *request;
    struct arena *arena;
    const struct publication *publication;
    const struct describe_configs_request *asked;
    const struct config_orders *orders;
};

/* ---- one resource ---- */

static enum err set_describe(struct work *work, asked_resource *asked,
                             const struct config_describe_options *options,
                             struct config_description *out)
{
    const struct metadata_configs *configs =
        metadata_image_configs(work->publication->image,
                               (enum metadata_resource)asked->resource_type, asked->resource_name);
    struct config_set set = CONFIG_SET_EMPTY;

    if (configs) {
        struct config_pair *pairs =
            ARENA_ARRAY(work->arena, struct config_pair, configs->entry_count);

        if (!pairs)
            return ERR_NO_MEMORY;
        for (size_t i = 0; i < configs->entry_count; i++)
            pairs[i] = (struct config_pair){configs->entries[i].key, configs->entries[i].value};
        set = (struct config_set){pairs, configs->entry_count};
    }
    return config_describe(work->arena, work->publication->config,
                           (enum config_resource)asked->resource_type, &set, options, out);
}

static enum err topic_describe(struct work *work, asked_resource *asked,
                               const struct config_describe_options *options,
                               struct config_description *out, struct why *why)
{
    TRY(topic_name_check(asked->resource_name, why));
    if (!metadata_image_topic(work->publication->image, asked->resource_name))
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    return set_describe(work, asked, options, out);
}

static enum err own_id_check(const struct work *work, struct slice name, const char *or_empty,
                             struct why *why)
{
    int32_t own = work->request->shard->node->config.node_id;
    int32_t id;

    if (parse_i32(name, &id) != OK)
        return why_set(why, ERR_INVALID_REQUEST, "Broker id must be an integer, but it is: %.*s",
                       SLICE_ARGS(name));
    if (id != own)
        return why_set(why, ERR_INVALID_REQUEST,
                       "Unexpected broker id, expected %d%s but received %.*s", own, or_empty,
                       SLICE_ARGS(name));
    return OK;
}

static enum err broker_describe(struct work *work, asked_resource *asked,
                                const struct config_describe_options *options,
                                struct config_description *out, struct why *why)
{
    if (asked->resource_name.size_bytes == 0)
        return config_describe_cluster(work->arena, work->publication->config, options, out);
    TRY(own_id_check(work, asked->resource_name, " or empty string,", why));
    return config_describe(work->arena, work->publication->config, CONFIG_RESOURCE_BROKER, NULL,
                           options, out);
}

static enum err loggers_describe(struct work *work, asked_resource *asked,
                                 const struct config_describe_options *options,
                                 struct config_description *out, struct why *why)
{
    struct config_logger_levels levels;

    if (asked->resource_name.size_bytes == 0)
        return why_set(why, ERR_INVALID_REQUEST, "Broker id must not be empty");
    TRY(own_id_check(work, asked->resource_name, "", why));
    node_log_levels(work->request->shard->node, &levels);
    return config_loggers_describe(work->arena, &levels, options, out);
}

static enum err resource_describe(struct work *work, asked_resource *asked,
                                  struct config_description *out, struct why *why)
{
    struct config_describe_options options = {
        .names = asked->configuration_keys,
        .name_count = (size_t)MAX(asked->configuration_keys_count, 0),
        .synonyms = work->asked->include_synonyms,
        .text = work->asked->include_documentation,
        .orders = work->orders,
    };

    switch (asked->resource_type) {
    case CONFIG_RESOURCE_TOPIC:
        return topic_describe(work, asked, &options, out, why);
    case CONFIG_RESOURCE_BROKER:
        return broker_describe(work, asked, &options, out, why);
    case CONFIG_RESOURCE_BROKER_LOGGER:
        return loggers_describe(work, asked, &options, out, why);
    case CONFIG_RESOURCE_CLIENT_METRICS:
        if (asked->resource_name.size_bytes == 0)
            return why_set(why, ERR_INVALID_REQUEST,
                           "Client metrics subscription name must not be empty");
        return set_describe(work, asked, &options, out);
    default:
        if (asked->resource_name.size_bytes == 0)
            return why_set(why, ERR_INVALID_REQUEST, "Group name must not be empty");
        return set_describe(work, asked, &options, out);
    }
}

/* ---- into the response ---- */

static enum err synonyms_fill(struct work *work, const struct config_described *from,
                              answer_config *to)
{
    to->synonyms =
        describe_configs_response_describe_configs_synonym_array(work->arena, from->synonym_count);
    if (!to->synonyms)
        return ERR_NO_MEMORY;
    to->synonyms_count = (int32_t)from->synonym_count;
    for (size_t i = 0; i < from->synonym_count; i++) {
        to->synonyms[i].name = from->synonyms[i].name;
        to->synonyms[i].value = from->synonyms[i].value;
        to->synonyms[i].source = (int8_t)from->synonyms[i].source;
    }
    return OK;
}

static enum err configs_fill(struct work *work, const struct config_description *description,
                             answer_result *result)
{
    result->configs = describe_configs_response_describe_configs_resource_result_array(
        work->arena, description->count);
    if (!result->configs)
        return ERR_NO_MEMORY;
    result->configs_count = (int32_t)description->count;
    for (size_t i = 0; i < description->count; i++) {
        const struct config_described *from = &description->entries[i];
        answer_config *to = &result->configs[i];

        to->name = from->name;
        to->value = from->value;
        to->read_only = from->read_only;
        to->config_source = (int8_t)from->source;
        to->is_sensitive = from->sensitive;
        to->config_type = (int8_t)from->type;
        to->documentation = from->text;
        if (work->asked->include_synonyms)
            TRY(synonyms_fill(work, from, to));
    }
    return OK;
}

static enum err result_fill(struct work *work, asked_resource *asked, answer_result *result)
{
    struct config_description description = {NULL, 0};
    struct why why = {0};
    enum err err = resource_describe(work, asked, &description, &why);

    result->resource_type = asked->resource_type;
    result->resource_name = asked->resource_name;
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != OK) {
        result->error_code = err_wire_code(err);
        /* Kafka leaves an empty text for a topic that is not there. */
        if (why.text[0])
            result->error_message = arena_copy(work->arena, slice_from_text(why.text));
        return OK;
    }
    return configs_fill(work, &description, result);
}

static bool is_known_type(int8_t type)
{
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER ||
           type == CONFIG_RESOURCE_BROKER_LOGGER || type == CONFIG_RESOURCE_CLIENT_METRICS ||
           type == CONFIG_RESOURCE_GROUP;
}

static enum err answer_fill(struct work *work, struct describe_configs_response *response,
                            struct why *why)
{
    int32_t count = MAX(work->asked->resources_count, 0);

    for (int32_t i = 0; i < count; i++)
        if (!is_known_type(work->asked->resources[i].resource_type))
            return why_set(why, ERR_INVALID_REQUEST,
                           "Unexpected resource type UNKNOWN for resource %.*s",
                           SLICE_ARGS(work->asked->resources[i].resource_name));
    response->results =
        describe_configs_response_describe_configs_result_array(work->arena, (size_t)count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = count;
    if (count > 1)
        TRY(config_orders_make(work->arena, work->publication->config, &work->orders));
    for (int32_t i = 0; i < count; i++)
        TRY(result_fill(work, &work->asked->resources[i], &response->results[i]));
    return OK;
}

void handle_describe_configs(struct request *request)
{
    struct describe_configs_response *response = request_response(request);
    struct why why = {0};
    enum err err;
    struct work work = {.request = request,
                        .arena = &request->arena,
                        .publication = image_view_publication(request),
                        .asked = request->body};

    if (!work.publication)
        return;
    err = answer_fill(&work, response, &why);
    if (err != OK)
        request_answer_failed(request, err, why.text[0] ? why.text : NULL);
    else
        request_answer(request, response);
}
