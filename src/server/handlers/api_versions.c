/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/api_versions.c: what this node speaks (ApiVersions, requests.md §1.5 of the reference;
 * KIP-511, 584, 1102). Versions above the known ones are answered by dispatch.c.
 */
#include "config/served_apis.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/api_versions_request.h"
#include "protocol/generated/api_versions_response.h"
#include "server/handlers/handlers.h"
#include "server/node.h"
#include "server/publication.h"

#define FEATURES_WITH_MINIMUM_ZERO 4 /* first version whose clients bear a range from 0 */

static bool is_alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool is_software_text(struct slice text)
{
    if (text.size_bytes == 0 || !is_alphanumeric(text.data[0]) ||
        !is_alphanumeric(text.data[text.size_bytes - 1]))
        return false;
    for (size_t i = 0; i < text.size_bytes; i++)
        if (!is_alphanumeric(text.data[i]) && text.data[i] != '-' && text.data[i] != '.')
            return false;
    return true;
}

static enum err request_check(const struct request *request)
{
    const struct api_versions_request *body = request->body;
    const struct node *node = request->shard->node;
    int16_t version = request->header.api_version;

    if (version >= 3 && (!is_software_text(body->client_software_name) ||
                         !is_software_text(body->client_software_version)))
        return ERR_INVALID_REQUEST;
    if (version < 5)
        return OK;
    if (slice_is_null(body->cluster_id) != (body->node_id == -1))
        return ERR_INVALID_REQUEST;
    if (slice_is_null(body->cluster_id) || request->session->kind->is_controller_listener)
        return OK;
    if (!slice_equal(body->cluster_id, node->cluster_id) || body->node_id != node->config.node_id)
        return ERR_REBOOTSTRAP_REQUIRED;
    return OK;
}

static enum err apis_fill(struct request *request, struct api_versions_response *response)
{
    const struct served_api *served = request->session->kind->is_controller_listener
                                          ? served_controller_apis
                                          : served_broker_apis;
    size_t count = 0;

    while (served[count].api_key >= 0)
        count++;
    response->api_keys = api_versions_response_api_version_array(&request->arena, count);
    if (!response->api_keys)
        return ERR_NO_MEMORY;
    response->api_keys_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->api_keys[i].api_key = served[i].api_key;
        response->api_keys[i].min_version = served[i].min;
        response->api_keys[i].max_version = served[i].max;
    }
    return OK;
}

static enum err supported_fill(struct request *request, struct api_versions_response *response)
{
    size_t count = 0;

    while (feature_at(count))
        count++;
    response->supported_features =
        api_versions_response_supported_feature_key_array(&request->arena, count);
    if (!response->supported_features)
        return ERR_NO_MEMORY;
    response->supported_features_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct feature_support *feature = feature_at(i);
        struct api_versions_response_supported_feature_key *row;

        if (feature->level_min == 0 && request->header.api_version < FEATURES_WITH_MINIMUM_ZERO)
            continue;
        row = &response->supported_features[response->supported_features_count++];
        row->name = slice_from_text(feature->name);
        row->min_version = feature->level_min;
        row->max_version = feature->level_max;
    }
    return OK;
}

static enum err finalized_fill(struct request *request, struct api_versions_response *response)
{
    const struct publication *publication = request->shard->publication;
    struct metadata_walk walk;
    const struct metadata_feature *feature;
    size_t count = publication && publication->kraft_version > 0;

    if (!publication)
        return OK;
    response->finalized_features_epoch = metadata_image_provenance(publication->image).offset;
    for (metadata_walk_start(&walk, publication->image, METADATA_FEATURES);
         metadata_walk_next(&walk);)
        count++;
    response->finalized_features =
        api_versions_response_finalized_feature_key_array(&request->arena, count);
    if (!response->finalized_features)
        return ERR_NO_MEMORY;
    response->finalized_features_count = (int32_t)count;
    metadata_walk_start(&walk, publication->image, METADATA_FEATURES);
    for (size_t i = 0; (feature = metadata_walk_next(&walk)); i++) {
        response->finalized_features[i].name = feature->name;
        response->finalized_features[i].min_version_level = feature->level;
        response->finalized_features[i].max_version_level = feature->level;
    }
    if (publication->kraft_version > 0) {
        struct api_versions_response_finalized_feature_key *row =
            &response->finalized_features[count - 1];

        row->name = SLICE(FEATURE_KRAFT_VERSION);
        row->min_version_level = publication->kraft_version;
        row->max_version_level = publication->kraft_version;
    }
    return OK;
}

void handle_api_versions(struct request *request)
{
    const struct api_versions_request *body = request->body;
    struct api_versions_response *response = request_response(request);
    enum err err = request_check(request);

    if (err != OK) {
        response->error_code = err_wire_code(err);
        request_answer(request, response);
        return;
    }
    if (request->header.api_version >= 3)
        session_set_software(request->session, body->client_software_name,
                             body->client_software_version);
    err = apis_fill(request, response);
    if (err == OK)
        err = supported_fill(request, response);
    if (err == OK)
        err = finalized_fill(request, response);
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    request_answer(request, response);
}
