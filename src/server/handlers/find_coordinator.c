/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/find_coordinator.c: FindCoordinator (10). groups.md §1.1 of the reference.
 *
 * Share groups have no coordinator here yet: their topic is not made, and clients are told
 * COORDINATOR_NOT_AVAILABLE, as by a Kafka whose topic is still missing.
 */
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"
#include "server/auto_create.h"
#include "server/coordinator.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

enum key_type { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2 };

#define LIST_VERSION_MIN 4
#define SHARE_VERSION_MIN 6
#define UUID_TEXT_SIZE 22

struct found {
    enum err err;
    int32_t node_id;
    struct slice host;
    int32_t port;
};

/* "group:topicId:partition"; the group may hold colons itself. */
static bool share_key_is_good(struct slice key)
{
    size_t ends[2] = {0, 0};
    size_t count = 0;
    struct uuid id;

    for (size_t i = key.size_bytes; i-- > 0 && count < 2;)
        if (key.data[i] == ':')
            ends[count++] = i;
    if (count < 2 || ends[1] == 0 || ends[0] + 1 == key.size_bytes ||
        ends[0] - ends[1] - 1 != UUID_TEXT_SIZE)
        return false;
    for (size_t i = ends[0] + 1; i < key.size_bytes; i++)
        if (key.data[i] < '0' || key.data[i] > '9')
            return false;
    return uuid_from_text(slice_sub(key, ends[1] + 1, UUID_TEXT_SIZE), &id) == OK;
}

static struct found nobody(enum err err)
{
    return (struct found){err, -1, SLICE_EMPTY, -1};
}

static struct found leader_find(struct request *request, const struct coordinator_kind *kind,
                                struct slice name, struct slice key)
{
    const struct metadata_image *image = request->shard->publication->image;
    const struct metadata_topic *topic = metadata_image_topic(image, name);
    const struct metadata_partition *partition;
    struct found found = {.err = OK};

    if (!topic) {
        auto_create_topics(request->shard, &name, 1, request->session->kind->principal,
                           request->header.client_id);
        return nobody(ERR_COORDINATOR_NOT_AVAILABLE);
    }
    partition = metadata_topic_partition(topic, coordinator_key_index(request->shard, kind, key));
    if (!partition || partition->leader < 0)
        return nobody(ERR_COORDINATOR_NOT_AVAILABLE);
    found.node_id = partition->leader;
    if (!image_view_alive(&(struct image_view){image, request->session->kind->listener->name},
                          partition->leader) ||
        !request_broker_endpoint(request, partition->leader, &found.host, &found.port))
        return nobody(ERR_COORDINATOR_NOT_AVAILABLE);
    return found;
}

static struct found key_find(struct request *request, int8_t key_type, struct slice key)
{
    switch (key_type) {
    case KEY_GROUP:
        return leader_find(request, &coordinator_kind_group, SLICE("__consumer_offsets"), key);
    case KEY_TRANSACTION:
        return leader_find(request, &coordinator_kind_transaction, SLICE("__transaction_state"),
                           key);
    case KEY_SHARE:
        if (request->header.api_version < SHARE_VERSION_MIN || !share_key_is_good(key))
            return nobody(ERR_INVALID_REQUEST);
        return nobody(ERR_COORDINATOR_NOT_AVAILABLE);
    default:
        return nobody(ERR_INVALID_REQUEST);
    }
}

static void one_answer(struct request *request, const struct find_coordinator_request *body)
{
    struct find_coordinator_response *response = request_response(request);
    struct found found = key_find(request, body->key_type, body->key);

    response->error_code = err_wire_code(found.err);
    response->error_message = slice_from_text(found.err == OK ? "NONE" : err_text(found.err));
    response->node_id = found.node_id;
    response->host = found.host;
    response->port = found.port;
    request_answer(request, response);
}

void handle_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct find_coordinator_response *response;

    if (!image_view_publication(request))
        return;
    if (request->header.api_version < LIST_VERSION_MIN) {
        one_answer(request, body);
        return;
    }
    if (body->coordinator_keys_count > 0 &&
        (body->key_type < KEY_GROUP || body->key_type > KEY_SHARE)) {
        request_answer_failed(request, ERR_INVALID_REQUEST, NULL);
        return;
    }
    response = request_response(request);
    response->coordinators = find_coordinator_response_coordinator_array(
        &request->arena, (size_t)body->coordinator_keys_count);
    if (!response->coordinators) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return;
    }
    for (int32_t i = 0; i < body->coordinator_keys_count; i++) {
        struct find_coordinator_response_coordinator *out =
            &response->coordinators[response->coordinators_count++];
        struct found found = key_find(request, body->key_type, body->coordinator_keys[i]);

        out->key = body->coordinator_keys[i];
        out->error_code = err_wire_code(found.err);
        out->node_id = found.node_id;
        out->host = found.host;
        out->port = found.port;
    }
    request_answer(request, response);
}
