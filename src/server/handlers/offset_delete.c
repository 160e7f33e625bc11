/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_delete.c: OffsetDelete (47). groups.md §3.7 of the reference. Topics and
 * partitions that metadata does not have are answered here; the coordinator sees the others, even if
 * none is left.
 */
#include "protocol/generated/offset_delete_request.h"
#include "protocol/generated/offset_delete_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/handlers/offset_topics.h"

typedef struct offset_delete_request_offset_delete_request_topic asked_topic;
typedef struct offset_delete_response_offset_delete_response_topic told_topic;
typedef struct offset_delete_response_offset_delete_response_partition told_partition;

struct delete_work {
    struct request *request;
    struct arena *arena;
    struct told_topics own; /* topics that were answered here, wholly or in part */
    struct offset_delete_request body;
    struct offset_delete_response *response;
};

static enum err topic_split(struct delete_work *work, const asked_topic *asked,
                            const struct metadata_topic *metadata)
{
    asked_topic *kept = &work->body.topics[work->body.topics_count];
    told_topic *told = &work->response->topics[work->response->topics_count];
    size_t count = (size_t)MAX(asked->partitions_count, 0);

    *kept = *asked;
    kept->partitions_count = 0;
    kept->partitions =
        offset_delete_request_offset_delete_request_partition_array(work->arena, count);
    told->name = asked->name;
    told->partitions =
        offset_delete_response_offset_delete_response_partition_array(work->arena, count);
    if (!kept->partitions || !told->partitions)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        int32_t index = asked->partitions[i].partition_index;

        if (metadata && metadata_topic_partition(metadata, index)) {
            kept->partitions[kept->partitions_count++] = asked->partitions[i];
            continue;
        }
        told->partitions[told->partitions_count].partition_index = index;
        told->partitions[told->partitions_count++].error_code =
            err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    work->body.topics_count += kept->partitions_count > 0;
    work->response->topics_count += told->partitions_count > 0;
    return OK;
}

static enum err topics_order(struct delete_work *work)
{
    const struct offset_delete_response *response = work->response;

    TRY(told_topics_open(&work->own, work->arena, (size_t)response->topics_count));
    for (int32_t i = 0; i < response->topics_count; i++) {
        work->own.names[i] = response->topics[i].name;
        work->own.room[i] = (size_t)response->topics[i].partitions_count;
    }
    return told_topics_order(&work->own);
}

static enum err topic_merge(struct delete_work *work, const told_topic *from)
{
    struct offset_delete_response *response = work->response;
    size_t added = (size_t)MAX(from->partitions_count, 0);
    told_partition *partitions;
    told_topic *to;
    uint32_t index;

    if (!told_topics_find(&work->own, from->name, &index)) {
        response->topics[response->topics_count++] = *from;
        return OK;
    }
    to = &response->topics[index];
    partitions = told_topics_append(&work->own, index, to->partitions, (size_t)to->partitions_count,
                                    from->partitions, added, sizeof *partitions);
    if (!partitions)
        return ERR_NO_MEMORY;
    to->partitions = partitions;
    to->partitions_count += (int32_t)added;
    return OK;
}

/* An error of the group is told alone: Kafka's builder drops the partitions then. */
static void deleted(struct coordinator_call *call)
{
    struct delete_work *work = call->context;
    const struct offset_delete_response *told = call->response;
    enum err err = call->err;

    if (err == OK && told->error_code != 0) {
        request_answer(work->request, call->response);
        return;
    }
    for (int32_t i = 0; err == OK && i < told->topics_count && i < work->body.topics_count; i++)
        err = topic_merge(work, &told->topics[i]);
    if (err == OK)
        request_answer(work->request, work->response);
    else
        request_answer_failed(work->request, err, NULL);
}

void handle_offset_delete(struct request *request)
{
    const struct offset_delete_request *asked = request->body;
    const struct publication *publication = image_view_publication(request);
    size_t count = (size_t)MAX(asked->topics_count, 0);
    struct delete_work *work;
    enum err err = OK;

    if (!publication)
        return;
    work = ARENA_NEW(&request->arena, struct delete_work);
    if (!work) {
        request_close(request, "no memory for OffsetDelete");
        return;
    }
    work->request = request;
    work->arena = &request->arena;
    work->body = *asked;
    work->body.topics_count = 0;
    work->body.topics = offset_delete_request_offset_delete_request_topic_array(work->arena, count);
    work->response = request_response(request);
    work->response->topics =
        offset_delete_response_offset_delete_response_topic_array(work->arena, 2 * count);
    if (!work->body.topics || !work->response->topics)
        err = ERR_NO_MEMORY;
    for (size_t i = 0; err == OK && i < count; i++)
        err = topic_split(work, &asked->topics[i],
                          metadata_image_topic(publication->image, asked->topics[i].name));
    if (err == OK)
        err = topics_order(work);
    if (err != OK)
        request_answer_failed(request, err, NULL);
    else
        group_request_call(request, work->body.group_id, &work->body, deleted, work);
}
