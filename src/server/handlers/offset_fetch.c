/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_fetch.c: OffsetFetch (9): one call for each group; versions below 8 name one,
 * in another form. groups.md §4.2 of the reference. Names for topic ids, and ids for names, come from
 * the metadata of this shard.
 */
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

#define GROUPS_VERSION_MIN 8
#define IDS_VERSION_MIN 10

typedef struct offset_fetch_request_offset_fetch_request_topics asked_topics;
typedef struct offset_fetch_response_offset_fetch_response_group told_group;
typedef struct offset_fetch_response_offset_fetch_response_topics told_topics;

/* What is behind one part: the body that the coordinator sees, and what it does not see. */
struct fetch_group {
    struct group_offset_fetch body;
    const asked_topics **unknown; /* topic ids that metadata does not have */
    size_t unknown_count;
};

/* ---- the answer of one group ---- */

static enum err unknown_add(struct request *request, told_group *out,
                            const struct fetch_group *group)
{
    size_t old = (size_t)MAX(out->topics_count, 0);
    told_topics *topics = offset_fetch_response_offset_fetch_response_topics_array(
        &request->arena, old + group->unknown_count);

    if (!topics)
        return ERR_NO_MEMORY;
    if (old > 0)
        memcpy(topics, out->topics, old * sizeof *topics);
    out->topics = topics;
    for (size_t i = 0; i < group->unknown_count; i++) {
        const asked_topics *asked = group->unknown[i];
        told_topics *told = &topics[old + i];

        told->topic_id = asked->topic_id;
        told->partitions = offset_fetch_response_offset_fetch_response_partitions_array(
            &request->arena, (size_t)MAX(asked->partition_indexes_count, 0));
        if (!told->partitions)
            return ERR_NO_MEMORY;
        for (int32_t k = 0; k < asked->partition_indexes_count; k++) {
            told->partitions[k].partition_index = asked->partition_indexes[k];
            told->partitions[k].committed_offset = -1;
            told->partitions[k].error_code = err_wire_code(ERR_UNKNOWN_TOPIC_ID);
            told->partitions_count++;
        }
    }
    out->topics_count = (int32_t)(old + group->unknown_count);
    return OK;
}

/* A topic whose id is not known has no place in the answer. */
static void ids_fill(const struct request *request, told_group *out)
{
    const struct metadata_image *image = request->shard->publication->image;
    int32_t kept = 0;

    for (int32_t i = 0; i < out->topics_count; i++) {
        told_topics *topic = &out->topics[i];
        const struct metadata_topic *metadata =
            uuid_is_zero(topic->topic_id) ? metadata_image_topic(image, topic->name) : NULL;

        if (metadata)
            topic->topic_id = metadata->id;
        if (!uuid_is_zero(topic->topic_id))
            out->topics[kept++] = *topic;
    }
    out->topics_count = kept;
}

static enum err group_merge(struct request *request, const struct group_part *part, told_group *out)
{
    const struct fetch_group *group = part->asked;

    if (part->call.err != OK) {
        out->group_id = part->group_id;
        out->error_code = err_wire_code(part->call.err);
        return OK;
    }
    *out = *(const told_group *)part->call.response;
    if (out->error_code != 0)
        return OK;
    if (request->header.api_version >= IDS_VERSION_MIN)
        ids_fill(request, out);
    return group->unknown_count > 0 ? unknown_add(request, out, group) : OK;
}

/* ---- versions below 8 ---- */

static enum err old_topic_fill(struct request *request, const told_topics *from,
                               struct offset_fetch_response_offset_fetch_response_topic *to)
{
    size_t count = (size_t)MAX(from->partitions_count, 0);

    to->name = from->name;
    to->partitions =
        offset_fetch_response_offset_fetch_response_partition_array(&request->arena, count);
    if (!to->partitions)
        return ERR_NO_MEMORY;
    to->partitions_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        to->partitions[i].partition_index = from->partitions[i].partition_index;
        to->partitions[i].committed_offset = from->partitions[i].committed_offset;
        to->partitions[i].committed_leader_epoch = from->partitions[i].committed_leader_epoch;
        to->partitions[i].metadata = from->partitions[i].metadata;
        to->partitions[i].error_code = from->partitions[i].error_code;
    }
    return OK;
}

static enum err old_fill(struct request *request, const told_group *from,
                         struct offset_fetch_response *to)
{
    size_t count = (size_t)MAX(from->topics_count, 0);

    to->topics = offset_fetch_response_offset_fetch_response_topic_array(&request->arena, count);
    if (!to->topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        TRY(old_topic_fill(request, &from->topics[i], &to->topics[to->topics_count++]));
    return OK;
}

static void old_answer(struct group_parts *parts)
{
    struct request *request = parts->request;
    struct offset_fetch_response *response = request_response(request);
    told_group group = {0};
    enum err err = group_merge(request, &parts->items[0], &group);

    if (err == OK && group.error_code != 0)
        err = err_from_wire(group.error_code); /* version 1 tells it of every partition */
    if (err == OK)
        err = old_fill(request, &group, response);
    if (err == OK)
        request_answer(request, response);
    else
        request_answer_failed(request, err, NULL);
}

/* ---- the answer ---- */

static void fetch_finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    struct offset_fetch_response *response;
    enum err err = OK;

    if (request->header.api_version < GROUPS_VERSION_MIN) {
        old_answer(parts);
        return;
    }
    response = request_response(request);
    response->groups =
        offset_fetch_response_offset_fetch_response_group_array(&request->arena, parts->count);
    if (!response->groups)
        err = ERR_NO_MEMORY;
    for (size_t i = 0; err == OK && i < parts->count; i++)
        err = group_merge(request, &parts->items[i], &response->groups[response->groups_count++]);
    if (err == OK)
        request_answer(request, response);
    else
        request_answer_failed(request, err, NULL);
}

/* ---- what is asked ---- */

/* Ids that are known become names; the others are set aside. */
static enum err ids_resolve(struct request *request, const asked_topics *asked, size_t count,
                            struct fetch_group *out)
{
    const struct metadata_image *image = request->shard->publication->image;
    asked_topics *topics =
        offset_fetch_request_offset_fetch_request_topics_array(&request->arena, count);

    out->unknown = ARENA_ARRAY(&request->arena, const asked_topics *, count);
    if (!topics || !out->unknown)
        return ERR_NO_MEMORY;
    out->body.topics = topics;
    for (size_t i = 0; i < count; i++) {
        const struct metadata_topic *metadata =
            metadata_image_topic_by_id(image, asked[i].topic_id);

        if (!metadata) {
            out->unknown[out->unknown_count++] = &asked[i];
            continue;
        }
        topics[out->body.topic_count] = asked[i];
        topics[out->body.topic_count].name = arena_copy(&request->arena, metadata->name);
        if (slice_is_null(topics[out->body.topic_count++].name))
            return ERR_NO_MEMORY;
    }
    return OK;
}

static enum err group_fill(struct request *request,
                           const struct offset_fetch_request_offset_fetch_request_group *asked,
                           struct fetch_group *out)
{
    out->body.group_id = asked->group_id;
    out->body.member_id = asked->member_id;
    out->body.member_epoch = asked->member_epoch;
    out->body.all_topics = asked->topics_count < 0;
    if (out->body.all_topics)
        return OK;
    if (request->header.api_version >= IDS_VERSION_MIN)
        return ids_resolve(request, asked->topics, (size_t)asked->topics_count, out);
    out->body.topics = asked->topics;
    out->body.topic_count = asked->topics_count;
    return OK;
}

static enum err old_group_fill(struct request *request, const struct offset_fetch_request *asked,
                               struct fetch_group *out)
{
    size_t count = (size_t)MAX(asked->topics_count, 0);
    asked_topics *topics =
        offset_fetch_request_offset_fetch_request_topics_array(&request->arena, count);

    if (!topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        topics[i].name = asked->topics[i].name;
        topics[i].partition_indexes = asked->topics[i].partition_indexes;
        topics[i].partition_indexes_count = asked->topics[i].partition_indexes_count;
    }
    out->body.group_id = asked->group_id;
    out->body.member_epoch = -1;
    out->body.all_topics = asked->topics_count < 0;
    out->body.topics = topics;
    out->body.topic_count = (int32_t)count;
    return OK;
}

void handle_offset_fetch(struct request *request)
{
    const struct offset_fetch_request *body = request->body;
    bool is_old = request->header.api_version < GROUPS_VERSION_MIN;
    size_t count = is_old ? 1 : (size_t)MAX(body->groups_count, 0);
    struct fetch_group *groups;
    struct group_parts *parts;
    enum err err;

    if (!image_view_publication(request))
        return;
    groups = ARENA_ARRAY(&request->arena, struct fetch_group, count);
    err = groups ? OK : ERR_NO_MEMORY;
    for (size_t i = 0; err == OK && i < count; i++) {
        groups[i].body.require_stable = body->require_stable;
        err = is_old ? old_group_fill(request, body, &groups[i])
                     : group_fill(request, &body->groups[i], &groups[i]);
    }
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    parts = group_parts_create(request, count, fetch_finish);
    if (!parts)
        return;
    for (size_t i = 0; i < count; i++)
        group_parts_add(parts, groups[i].body.group_id,
                        coordinator_index_of(request->shard, groups[i].body.group_id),
                        &groups[i].body)
            ->asked = &groups[i];
    group_parts_submit(parts);
}
