/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/metadata.c: Metadata, all versions (requests.md §3.4 of the reference; KIP-4,
 * 103, 430, 516). Order of topics: unknown ids, then those that exist, then the missing ones.
 */
#include "base/name_order.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/metadata_response.h"
#include "server/auto_create.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/node.h"
#include "server/topic_name.h"

typedef struct metadata_response_metadata_response_topic answer_topic;
typedef struct metadata_response_metadata_response_partition answer_partition;

struct work {
    struct request *request;
    const struct metadata_request *asked;
    struct metadata_response *response;
    const struct publication *publication;
    struct image_view view;
    struct arena *arena;
    int16_t version;
    bool all;
    bool creates; /* missing topics are made */
};

/* ---- one partition ---- */

/* Version 0 tells only of replicas that can be reached, and that some are missing. */
static enum err alive_only(struct work *work, int32_t **ids, int32_t *count)
{
    int32_t *kept = ARENA_ARRAY(work->arena, int32_t, (size_t)*count);
    int32_t kept_count = 0;

    if (!kept)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < *count; i++)
        if (image_view_alive(&work->view, (*ids)[i]))
            kept[kept_count++] = (*ids)[i];
    *ids = kept;
    *count = kept_count;
    return OK;
}

static enum err leader_error(const struct work *work, int32_t leader)
{
    if (!metadata_image_broker(work->view.image, leader))
        return ERR_LEADER_NOT_AVAILABLE;
    return work->version >= 6 ? ERR_LISTENER_NOT_FOUND : ERR_LEADER_NOT_AVAILABLE;
}

static enum err partition_fill(struct work *work, const struct metadata_partition *partition,
                               answer_partition *out)
{
    out->partition_index = partition->index;
    out->leader_epoch = partition->leader_epoch;
    out->replica_nodes = image_view_ids(partition->replicas);
    out->replica_nodes_count = (int32_t)partition->replica_count;
    out->isr_nodes = image_view_ids(partition->isr);
    out->isr_nodes_count = (int32_t)partition->isr_count;
    if (work->version == 0) {
        TRY(alive_only(work, &out->replica_nodes, &out->replica_nodes_count));
        TRY(alive_only(work, &out->isr_nodes, &out->isr_nodes_count));
    }
    TRY(image_view_offline(&work->view, partition, work->arena, &out->offline_replicas,
                           &out->offline_replicas_count));
    if (!image_view_broker(&work->view, partition->leader)) {
        out->leader_id = -1;
        out->error_code = err_wire_code(leader_error(work, partition->leader));
        return OK;
    }
    out->leader_id = partition->leader;
    if ((size_t)out->replica_nodes_count < partition->replica_count ||
        (size_t)out->isr_nodes_count < partition->isr_count)
        out->error_code = err_wire_code(ERR_REPLICA_NOT_AVAILABLE);
    return OK;
}

/* ---- topics ---- */

static answer_topic *topic_next(struct work *work)
{
    answer_topic *topic = &work->response->topics[work->response->topics_count++];

    if (work->asked->include_topic_authorized_operations && work->version >= 8)
        topic->topic_authorized_operations = OPERATIONS_TOPIC;
    return topic;
}

static enum err topic_fill(struct work *work, const struct metadata_topic *topic)
{
    answer_topic *out = topic_next(work);

    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = topic_name_is_internal(topic->name);
    out->partitions = metadata_response_metadata_response_partition_array(
        work->arena, (size_t)topic->partition_count);
    if (!out->partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);

        if (partition)
            TRY(partition_fill(work, partition, &out->partitions[out->partitions_count++]));
    }
    return OK;
}

static void topic_missing(struct work *work, struct slice name, enum err err)
{
    answer_topic *out = topic_next(work);

    out->name = name;
    out->error_code = err_wire_code(err);
    out->is_internal = topic_name_is_internal(name);
}

static enum err topics_room(struct work *work, size_t count)
{
    work->response->topics_count = 0;
    work->response->topics = metadata_response_metadata_response_topic_array(work->arena, count);
    return work->response->topics ? OK : ERR_NO_MEMORY;
}

static enum err all_fill(struct work *work)
{
    struct metadata_walk walk;
    const struct metadata_topic *topic;

    TRY(topics_room(work, metadata_image_topic_count(work->view.image)));
    metadata_walk_start(&walk, work->view.image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk)))
        TRY(topic_fill(work, topic));
    return OK;
}

/* Ids as names of 16 bytes: each once. */
static enum err ids_fill(struct work *work, struct slice *ids, size_t count)
{
    TRY(name_set(work->arena, ids, &count));
    TRY(topics_room(work, count));
    for (size_t i = 0; i < count; i++) {
        struct uuid id;

        memcpy(id.bytes, ids[i].data, sizeof id.bytes);
        if (metadata_image_topic_by_id(work->view.image, id))
            continue;
        work->response->topics[work->response->topics_count].name = SLICE_NULL;
        work->response->topics[work->response->topics_count].topic_id = id;
        work->response->topics[work->response->topics_count++].error_code =
            err_wire_code(ERR_UNKNOWN_TOPIC_ID);
    }
    for (size_t i = 0; i < count; i++) {
        const struct metadata_topic *topic;
        struct uuid id;

        memcpy(id.bytes, ids[i].data, sizeof id.bytes);
        topic = metadata_image_topic_by_id(work->view.image, id);
        if (topic)
            TRY(topic_fill(work, topic));
    }
    return OK;
}

static enum err names_fill(struct work *work, struct slice *names, size_t count)
{
    size_t to_make = 0;

    TRY(name_set(work->arena, names, &count));
    TRY(topics_room(work, count));
    for (size_t i = 0; i < count; i++) {
        const struct metadata_topic *topic = metadata_image_topic(work->view.image, names[i]);

        if (topic)
            TRY(topic_fill(work, topic));
    }
    for (size_t i = 0; i < count; i++) {
        struct slice name = names[i];

        if (metadata_image_topic(work->view.image, name))
            continue;
        if (topic_name_check(name, NULL) != OK) {
            topic_missing(work, name, ERR_INVALID_TOPIC_EXCEPTION);
            continue;
        }
        topic_missing(work, name, ERR_UNKNOWN_TOPIC_OR_PARTITION);
        names[to_make++] = name; /* never beyond i */
    }
    if (work->creates && to_make > 0)
        auto_create_topics(work->request->shard, names, to_make,
                           work->request->session->kind->principal,
                           work->request->header.client_id);
    return OK;
}

static enum err some_fill(struct work *work)
{
    size_t count = (size_t)work->asked->topics_count;
    struct slice *ids = ARENA_ARRAY(work->arena, struct slice, count);
    struct slice *names = ARENA_ARRAY(work->arena, struct slice, count);
    size_t id_count = 0;

    if (!ids || !names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct metadata_request_metadata_request_topic *topic = &work->asked->topics[i];

        names[i] = topic->name;
        if (!uuid_is_zero(topic->topic_id))
            ids[id_count++] = slice_of(topic->topic_id.bytes, sizeof topic->topic_id.bytes);
    }
    return id_count > 0 ? ids_fill(work, ids, id_count) : names_fill(work, names, count);
}

/* ---- the rest ---- */

static enum err request_check(const struct work *work, struct why *why)
{
    bool has_id = false, has_nameless = false;

    for (int32_t i = 0; i < work->asked->topics_count; i++) {
        const struct metadata_request_metadata_request_topic *topic = &work->asked->topics[i];
        bool is_nameless = slice_is_null(topic->name);

        if (is_nameless && work->version < 12)
            return why_set(why, ERR_INVALID_REQUEST, "Topic name can not be null for version %d",
                           work->version);
        if (!uuid_is_zero(topic->topic_id) && work->version < 12)
            return why_set(why, ERR_INVALID_REQUEST,
                           "Topic IDs are not supported in requests for version %d", work->version);
        has_id = has_id || !uuid_is_zero(topic->topic_id);
        has_nameless = has_nameless || is_nameless;
    }
    if (has_nameless && !has_id)
        return why_set(why, ERR_INVALID_REQUEST, "A topic has neither a name nor an id");
    return OK;
}

static enum err brokers_fill(struct work *work)
{
    struct metadata_response *response = work->response;
    struct metadata_walk walk;
    const struct metadata_broker *broker;

    response->brokers_count = 0;
    response->brokers = metadata_response_metadata_response_broker_array(
        work->arena, metadata_image_broker_count(work->view.image));
    if (!response->brokers)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, work->view.image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        struct metadata_response_metadata_response_broker *out =
            &response->brokers[response->brokers_count];

        if (broker->fenced ||
            !request_broker_endpoint(work->request, broker->id, &out->host, &out->port))
            continue;
        out->node_id = broker->id;
        out->rack = broker->rack;
        response->brokers_count++;
    }
    return OK;
}

static enum err answer_fill(struct work *work, struct why *why)
{
    struct request *request = work->request;

    TRY(request_check(work, why));
    TRY(brokers_fill(work));
    work->response->cluster_id = request->shard->node->cluster_id;
    work->response->controller_id =
        image_view_any_alive(&work->view, reactor_random(request->shard->reactor));
    if (work->version >= 8 && work->version <= 10 &&
        work->asked->include_cluster_authorized_operations)
        work->response->cluster_authorized_operations = OPERATIONS_CLUSTER;
    return work->all ? all_fill(work) : some_fill(work);
}

void handle_metadata(struct request *request)
{
    struct why why = {0};
    enum err err;
    struct work work = {.request = request,
                        .asked = request->body,
                        .response = request_response(request),
                        .publication = image_view_publication(request),
                        .arena = &request->arena,
                        .version = request->header.api_version};

    if (!work.publication)
        return;
    work.view =
        (struct image_view){work.publication->image, request->session->kind->listener->name};
    work.all = work.asked->topics_count < 0 || (work.version == 0 && work.asked->topics_count == 0);
    work.creates = (work.version < 4 || work.asked->allow_auto_topic_creation) &&
                   config_boolean(work.publication->config, BROKER_AUTO_CREATE_TOPICS_ENABLE);
    err = answer_fill(&work, &why);
    if (err != OK)
        request_answer_failed(request, err, why.text[0] ? why.text : NULL);
    else
        request_answer(request, work.response);
}
