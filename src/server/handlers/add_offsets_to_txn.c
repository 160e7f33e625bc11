/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/add_offsets_to_txn.c: AddOffsetsToTxn (25): the group's partition of
 * __consumer_offsets becomes part of the transaction. transactions.md §6 of the reference.
 */
#include "protocol/generated/add_offsets_to_txn_request.h"
#include "protocol/generated/add_offsets_to_txn_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

#define FENCED_VERSION_MIN 2 /* knows PRODUCER_FENCED */

struct offsets_work {
    struct transaction_add add;
    struct coordinator_partition partition;
};

static void answer(struct request *request, enum err err)
{
    struct add_offsets_to_txn_response *response = request_response(request);

    if (request->header.api_version < FENCED_VERSION_MIN && err == ERR_PRODUCER_FENCED)
        err = ERR_INVALID_PRODUCER_EPOCH;
    response->error_code = err_wire_code(err);
    request_answer(request, response);
}

static void added(struct coordinator_call *call)
{
    const struct transaction_added *outcome = call->response;

    answer(call->request, call->err != OK ? call->err : outcome->err);
}

/* Where the topic does not exist yet it will have as many partitions as the configuration says. */
static int32_t group_index(const struct request *request, struct slice group_id)
{
    int32_t index = coordinator_index_of(request->shard, group_id);

    return index >= 0 ? index
                      : coordinator_partition_of(group_id,
                                                 config_int(request->shard->publication->config,
                                                            BROKER_OFFSETS_TOPIC_NUM_PARTITIONS));
}

void handle_add_offsets_to_txn(struct request *request)
{
    const struct add_offsets_to_txn_request *body = request->body;
    struct offsets_work *work;

    if (!image_view_publication(request))
        return;
    work = ARENA_NEW(&request->arena, struct offsets_work);
    if (!work) {
        request_close(request, "no memory for AddOffsetsToTxn");
        return;
    }
    work->partition = (struct coordinator_partition){SLICE("__consumer_offsets"),
                                                     group_index(request, body->group_id)};
    work->add = (struct transaction_add){
        .transactional_id = body->transactional_id,
        .producer_id = body->producer_id,
        .producer_epoch = body->producer_epoch,
        .partitions = &work->partition,
        .partition_count = 1,
    };
    transaction_request_add(request, &work->add, added, NULL);
}
