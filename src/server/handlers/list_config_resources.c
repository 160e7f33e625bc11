/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/list_config_resources.c: what can be configured (ListConfigResources, KIP-714,
 * 1142; requests.md §3.9 of the reference). Version 0 knew client metrics alone.
 */
#include "base/fmt.h"
#include "protocol/generated/list_config_resources_request.h"
#include "protocol/generated/list_config_resources_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

struct work {
    struct arena *arena;
    const struct list_config_resources_request *asked;
    struct list_config_resources_response *response;
    struct image_view view;
    int16_t version;
};

static bool is_supported(const struct work *work, int8_t type)
{
    if (work->version == 0)
        return type == CONFIG_RESOURCE_CLIENT_METRICS;
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER ||
           type == CONFIG_RESOURCE_BROKER_LOGGER || type == CONFIG_RESOURCE_CLIENT_METRICS ||
           type == CONFIG_RESOURCE_GROUP;
}

static bool is_wanted(const struct work *work, int8_t type)
{
    if (work->version == 0 || work->asked->resource_types_count <= 0)
        return is_supported(work, type);
    for (int32_t i = 0; i < work->asked->resource_types_count; i++)
        if (work->asked->resource_types[i] == type)
            return true;
    return false;
}

static void resource_add(struct work *work, int8_t type, struct slice name)
{
    struct list_config_resources_response_config_resource *out =
        &work->response->config_resources[work->response->config_resources_count++];

    out->resource_type = type;
    out->resource_name = name;
}

/* Groups and client metrics exist for this purpose only where something is configured. */
static void configured_add(struct work *work, int8_t type)
{
    struct metadata_walk walk;
    const struct metadata_configs *configs;

    if (!is_wanted(work, type))
        return;
    metadata_walk_start(&walk, work->view.image, METADATA_CONFIGS);
    while ((configs = metadata_walk_next(&walk)))
        if (configs->resource_type == type)
            resource_add(work, type, configs->resource_name);
}

static enum err brokers_add(struct work *work, int8_t type)
{
    struct metadata_walk walk;
    const struct metadata_broker *broker;

    if (!is_wanted(work, type))
        return OK;
    metadata_walk_start(&walk, work->view.image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        struct slice name;

        if (!image_view_broker(&work->view, broker->id))
            continue;
        name = arena_format_slice(work->arena, "%d", broker->id);
        if (slice_is_null(name))
            return ERR_NO_MEMORY;
        resource_add(work, type, name);
    }
    return OK;
}

static void topics_add(struct work *work)
{
    struct metadata_walk walk;
    const struct metadata_topic *topic;

    if (!is_wanted(work, CONFIG_RESOURCE_TOPIC))
        return;
    metadata_walk_start(&walk, work->view.image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk)))
        resource_add(work, CONFIG_RESOURCE_TOPIC, topic->name);
}

static size_t most_resources(const struct work *work)
{
    struct metadata_walk walk;
    size_t count = 2 * metadata_image_broker_count(work->view.image) +
                   metadata_image_topic_count(work->view.image);

    metadata_walk_start(&walk, work->view.image, METADATA_CONFIGS);
    while (metadata_walk_next(&walk))
        count++;
    return count;
}

static enum err answer_fill(struct work *work)
{
    if (work->version > 0)
        for (int32_t i = 0; i < work->asked->resource_types_count; i++)
            if (!is_supported(work, work->asked->resource_types[i]))
                return ERR_UNSUPPORTED_VERSION;
    work->response->config_resources =
        list_config_resources_response_config_resource_array(work->arena, most_resources(work));
    if (!work->response->config_resources)
        return ERR_NO_MEMORY;
    configured_add(work, CONFIG_RESOURCE_GROUP);
    configured_add(work, CONFIG_RESOURCE_CLIENT_METRICS);
    TRY(brokers_add(work, CONFIG_RESOURCE_BROKER_LOGGER));
    TRY(brokers_add(work, CONFIG_RESOURCE_BROKER));
    topics_add(work);
    return OK;
}

void handle_list_config_resources(struct request *request)
{
    const struct publication *publication = image_view_publication(request);
    enum err err;
    struct work work = {.arena = &request->arena,
                        .asked = request->body,
                        .response = request_response(request),
                        .version = request->header.api_version};

    if (!publication)
        return;
    work.view = (struct image_view){publication->image, request->session->kind->listener->name};
    err = answer_fill(&work);
    if (err != OK)
        request_answer_failed(request, err, NULL);
    else
        request_answer(request, work.response);
}
