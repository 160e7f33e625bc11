/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/end_txn.c: EndTxn (26): answered when the decision is written; the markers follow.
 * transactions.md §9 of the reference.
 */
#include "protocol/generated/end_txn_request.h"
#include "protocol/generated/end_txn_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

#define FENCED_VERSION_MIN 2 /* knows PRODUCER_FENCED */

static void ended(struct coordinator_call *call)
{
    struct end_txn_response *response = call->response;
    struct request *request = call->request;

    if (call->err != OK) {
        response = request_response(request);
        response->error_code = err_wire_code(call->err);
    }
    if (request->header.api_version < FENCED_VERSION_MIN &&
        response->error_code == err_wire_code(ERR_PRODUCER_FENCED))
        response->error_code = err_wire_code(ERR_INVALID_PRODUCER_EPOCH);
    request_answer(request, response);
}

void handle_end_txn(struct request *request)
{
    const struct end_txn_request *body = request->body;

    coordinator_request_call(request, &coordinator_kind_transaction, body->transactional_id, body,
                             ended, NULL);
}
