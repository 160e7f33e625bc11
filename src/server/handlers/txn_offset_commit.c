/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/txn_offset_commit.c: TxnOffsetCommit (28). transactions.md §8 of the reference.
 * Topics and partitions that metadata does not have are answered here; the coordinator sees the
 * others, once the transaction was verified.
 */
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/handlers/offset_topics.h"
#include "server/offset_verify.h"

#define IDS_VERSION_MIN 6
#define LOADING_VERSION_MIN 2 /* KAFKA-7296: older clients die of COORDINATOR_LOAD_IN_PROGRESS */

struct txn_commit_work {
    struct request *request;
    struct offset_topics topics;
    struct txn_offset_commit_request body; /* what the coordinator sees */
    struct offset_verify verify;
};

/* ---- the answer ---- */

static void answer(struct txn_commit_work *work)
{
    struct txn_offset_commit_response *response = request_response(work->request);

    response->topics = txn_offsets_told_back(work->topics.told);
    response->topics_count = work->topics.told_count;
    if (work->request->header.api_version < LOADING_VERSION_MIN)
        for (int32_t i = 0; i < response->topics_count; i++)
            for (int32_t k = 0; k < response->topics[i].partitions_count; k++) {
                int16_t *code = &response->topics[i].partitions[k].error_code;

                if (*code == err_wire_code(ERR_COORDINATOR_LOAD_IN_PROGRESS))
                    *code = err_wire_code(ERR_COORDINATOR_NOT_AVAILABLE);
            }
    request_answer(work->request, response);
}

/* Of all partitions that the coordinator was to see. */
static void answer_failed(struct txn_commit_work *work, enum err told)
{
    enum err err = offset_topics_fail(&work->topics, told);

    if (err == OK)
        answer(work);
    else
        request_answer_failed(work->request, err, NULL);
}

static void committed(struct coordinator_call *call)
{
    struct txn_commit_work *work = call->context;
    const struct txn_offset_commit_response *told = call->response;
    enum err err;

    if (call->err != OK) {
        answer_failed(work, call->err);
        return;
    }
    err = offset_topics_merge(&work->topics, txn_offsets_told(told->topics), told->topics_count);
    if (err == OK)
        answer(work);
    else
        request_answer_failed(work->request, err, NULL);
}

/* The transaction is known to its coordinator, which has the group's partition in it. */
static void txn_offset_commit_submit(struct txn_commit_work *work)
{
    group_request_call_verified(work->request, work->body.group_id, &work->body, work->verify.guard,
                                work->verify.guard_required, committed, work);
}

static void verified(struct offset_verify *verify)
{
    struct txn_commit_work *work = verify->context;
    struct request *request = work->request;

    if (verify->err != OK)
        answer_failed(work, verify->err);
    else if (verify->producer_id < 0 || verify->producer_epoch < 0)
        answer_failed(work, ERR_UNKNOWN_SERVER_ERROR); /* no batch can be of such a producer */
    else if (!request->session)
        request_answer_nothing(request); /* nobody waits, and nobody was told that it is done */
    else
        txn_offset_commit_submit(work);
    request_release_hold(request);
}

static void verify_begin(struct txn_commit_work *work)
{
    work->verify = (struct offset_verify){
        .group_id = work->body.group_id,
        .transactional_id = work->body.transactional_id,
        .producer_id = work->body.producer_id,
        .producer_epoch = work->body.producer_epoch,
        .api_version = work->request->header.api_version,
        .done = verified,
        .context = work,
    };
    request_hold(work->request);
    offset_verify_submit(work->request->shard, &work->verify);
}

void handle_txn_offset_commit(struct request *request)
{
    const struct txn_offset_commit_request *asked = request->body;
    const struct publication *publication = image_view_publication(request);
    struct txn_commit_work *work;
    enum err err;

    if (!publication)
        return;
    work = ARENA_NEW(&request->arena, struct txn_commit_work);
    if (!work) {
        request_close(request, "no memory for TxnOffsetCommit");
        return;
    }
    work->request = request;
    work->topics.arena = &request->arena;
    work->topics.by_id = request->header.api_version >= IDS_VERSION_MIN;
    err = offset_topics_split(&work->topics, publication->image, txn_offsets_asked(asked->topics),
                              asked->topics_count);
    work->body = *asked;
    work->body.topics = txn_offsets_asked_back(work->topics.kept);
    work->body.topics_count = work->topics.kept_count;
    if (err != OK)
        request_answer_failed(request, err, NULL);
    else if (work->topics.kept_count == 0)
        answer(work);
    else if (work->body.group_id.size_bytes == 0)
        answer_failed(work, ERR_INVALID_GROUP_ID);
    else
        verify_begin(work);
}
