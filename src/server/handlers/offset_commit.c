/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_commit.c: OffsetCommit (8). groups.md §4.1 of the reference. Topics and
 * partitions that metadata does not have are answered here; the coordinator sees the others.
 */
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

#define IDS_VERSION_MIN 10

typedef struct offset_commit_request_offset_commit_request_topic asked_topic;
typedef struct offset_commit_response_offset_commit_response_topic told_topic;
typedef struct offset_commit_response_offset_commit_response_partition told_partition;

struct commit_work {
    struct request *request;
    const struct metadata_image *image;
    struct arena *arena;
    bool by_id;
    int32_t own_count;                 /* topics that were answered here, wholly or in part */
    struct offset_commit_request body; /* what the coordinator sees */
    struct offset_commit_response *response;
};

static told_topic *topic_answered(struct commit_work *work, const asked_topic *asked)
{
    struct offset_commit_response *response = work->response;
    told_topic *topic = &response->topics[response->topics_count];

    topic->name = asked->name;
    topic->topic_id = asked->topic_id;
    topic->partitions = offset_commit_response_offset_commit_response_partition_array(
        work->arena, (size_t)MAX(asked->partitions_count, 0));
    if (!topic->partitions)
        return NULL;
    response->topics_count++;
    return topic;
}

static enum err topic_refuse(struct commit_work *work, const asked_topic *asked, enum err err)
{
    told_topic *topic = topic_answered(work, asked);

    if (!topic)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        told_partition *partition = &topic->partitions[topic->partitions_count++];

        partition->partition_index = asked->partitions[i].partition_index;
        partition->error_code = err_wire_code(err);
    }
    return OK;
}

/* The partitions that are there go to the coordinator, the others are answered. */
static enum err topic_split(struct commit_work *work, const asked_topic *asked,
                            const struct metadata_topic *metadata)
{
    asked_topic *kept = &work->body.topics[work->body.topics_count];
    told_topic *told = NULL;

    *kept = *asked;
    kept->name = metadata->name;
    kept->topic_id = metadata->id;
    kept->partitions_count = 0;
    kept->partitions = offset_commit_request_offset_commit_request_partition_array(
        work->arena, (size_t)MAX(asked->partitions_count, 0));
    if (!kept->partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        int32_t index = asked->partitions[i].partition_index;

        if (metadata_topic_partition(metadata, index)) {
            kept->partitions[kept->partitions_count++] = asked->partitions[i];
            continue;
        }
        if (!told)
            told = topic_answered(work, asked);
        if (!told)
            return ERR_NO_MEMORY;
        told->partitions[told->partitions_count].partition_index = index;
        told->partitions[told->partitions_count++].error_code =
            err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    work->body.topics_count += kept->partitions_count > 0;
    return OK;
}

static enum err topics_split(struct commit_work *work, const struct offset_commit_request *asked)
{
    size_t count = (size_t)MAX(asked->topics_count, 0);

    work->body = *asked;
    work->body.topics_count = 0;
    work->body.topics = offset_commit_request_offset_commit_request_topic_array(work->arena, count);
    work->response = request_response(work->request);
    /* Twice: what the coordinator tells of comes behind. */
    work->response->topics =
        offset_commit_response_offset_commit_response_topic_array(work->arena, 2 * count);
    if (!work->body.topics || !work->response->topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const asked_topic *topic = &asked->topics[i];
        const struct metadata_topic *metadata =
            work->by_id ? metadata_image_topic_by_id(work->image, topic->topic_id)
                        : metadata_image_topic(work->image, topic->name);

        if (metadata)
            TRY(topic_split(work, topic, metadata));
        else
            TRY(topic_refuse(work, topic,
                             work->by_id ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION));
    }
    return OK;
}

/* ---- the coordinator's part ---- */

static bool same_topic(const struct commit_work *work, const told_topic *a, const told_topic *b)
{
    return work->by_id ? uuid_equal(a->topic_id, b->topic_id) : slice_equal(a->name, b->name);
}

/* Behind what was answered for the same topic here, else as a topic of its own. */
static enum err topic_merge(struct commit_work *work, const told_topic *from)
{
    struct offset_commit_response *response = work->response;
    told_topic *to = NULL;
    told_partition *merged;
    size_t old, added = (size_t)MAX(from->partitions_count, 0);

    for (int32_t i = 0; i < work->own_count && !to; i++)
        if (same_topic(work, &response->topics[i], from))
            to = &response->topics[i];
    if (!to) {
        response->topics[response->topics_count++] = *from;
        return OK;
    }
    old = (size_t)to->partitions_count;
    merged =
        offset_commit_response_offset_commit_response_partition_array(work->arena, old + added);
    if (!merged)
        return ERR_NO_MEMORY;
    if (old > 0)
        memcpy(merged, to->partitions, old * sizeof *merged);
    if (added > 0)
        memcpy(merged + old, from->partitions, added * sizeof *merged);
    to->partitions = merged;
    to->partitions_count = (int32_t)(old + added);
    return OK;
}

static enum err failure_merge(struct commit_work *work, enum err err)
{
    for (int32_t i = 0; i < work->body.topics_count; i++) {
        const asked_topic *asked = &work->body.topics[i];
        told_topic told = {.name = asked->name, .topic_id = asked->topic_id};

        told.partitions = offset_commit_response_offset_commit_response_partition_array(
            work->arena, (size_t)asked->partitions_count);
        if (!told.partitions)
            return ERR_NO_MEMORY;
        for (int32_t k = 0; k < asked->partitions_count; k++) {
            told.partitions[told.partitions_count].partition_index =
                asked->partitions[k].partition_index;
            told.partitions[told.partitions_count++].error_code = err_wire_code(err);
        }
        TRY(topic_merge(work, &told));
    }
    return OK;
}

static void committed(struct coordinator_call *call)
{
    struct commit_work *work = call->context;
    const struct offset_commit_response *told = call->response;
    enum err err = OK;

    if (call->err != OK) {
        err = failure_merge(work, call->err);
    } else {
        for (int32_t i = 0; err == OK && i < told->topics_count && i < work->body.topics_count; i++)
            err = topic_merge(work, &told->topics[i]);
    }
    if (err == OK)
        request_answer(work->request, work->response);
    else
        request_answer_failed(work->request, err, NULL);
}

void handle_offset_commit(struct request *request)
{
    const struct publication *publication = image_view_publication(request);
    struct commit_work *work;
    enum err err;

    if (!publication)
        return;
    work = ARENA_NEW(&request->arena, struct commit_work);
    if (!work) {
        request_close(request, "no memory for OffsetCommit");
        return;
    }
    work->request = request;
    work->image = publication->image;
    work->arena = &request->arena;
    work->by_id = request->header.api_version >= IDS_VERSION_MIN;
    err = topics_split(work, request->body);
    work->own_count = work->response->topics_count;
    work->image = NULL; /* the next publication may take it away */
    for (int32_t i = 0; err == OK && i < work->body.topics_count; i++) {
        work->body.topics[i].name = arena_copy(work->arena, work->body.topics[i].name);
        if (slice_is_null(work->body.topics[i].name))
            err = ERR_NO_MEMORY;
    }
    if (err != OK)
        request_answer_failed(request, err, NULL);
    else if (work->body.topics_count == 0)
        request_answer(request, work->response);
    else
        group_request_call(request, work->body.group_id, &work->body, committed, work);
}
