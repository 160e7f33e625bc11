/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_commit.c: OffsetCommit (8). groups.md §4.1 of the reference. Topics and
 * partitions that metadata does not have are answered here; the coordinator sees the others.
 */
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/handlers/offset_topics.h"

#define IDS_VERSION_MIN 10

struct commit_work {
    struct request *request;
    struct offset_topics topics;
    struct offset_commit_request body; /* what the coordinator sees */
};

static void answer(struct commit_work *work, enum err err)
{
    struct offset_commit_response *response = request_response(work->request);

    if (err != OK) {
        request_answer_failed(work->request, err, NULL);
        return;
    }
    response->topics = work->topics.told;
    response->topics_count = work->topics.told_count;
    request_answer(work->request, response);
}

static void committed(struct coordinator_call *call)
{
    struct commit_work *work = call->context;
    const struct offset_commit_response *told = call->response;

    answer(work, call->err == OK
                     ? offset_topics_merge(&work->topics, told->topics, told->topics_count)
                     : offset_topics_fail(&work->topics, call->err));
}

void handle_offset_commit(struct request *request)
{
    const struct offset_commit_request *asked = request->body;
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
    work->topics.arena = &request->arena;
    work->topics.by_id = request->header.api_version >= IDS_VERSION_MIN;
    err =
        offset_topics_split(&work->topics, publication->image, asked->topics, asked->topics_count);
    work->body = *asked;
    work->body.topics = work->topics.kept;
    work->body.topics_count = work->topics.kept_count;
    if (err != OK || work->topics.kept_count == 0)
        answer(work, err);
    else
        group_request_call(request, work->body.group_id, &work->body, committed, work);
}
