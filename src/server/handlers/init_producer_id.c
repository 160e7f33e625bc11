/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/init_producer_id.c: InitProducerId (22): an id of the shard's block for an
 * idempotent producer; a transactional id is its coordinator's. requests.md §3.0, transactions.md §5
 * of the reference.
 */
#include "server/partition_internal.h"

#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"

#define FENCED_VERSION_MIN 4 /* knows PRODUCER_FENCED */

struct init_state {
    struct request *request;
    struct producer_id_wait wait;
};

static void init_answer(struct request *request, enum err err, int64_t producer_id)
{
    struct init_producer_id_response *response = request_response(request);

    response->error_code = err_wire_code(err);
    response->producer_id = err == OK ? producer_id : -1;
    response->producer_epoch = err == OK ? 0 : -1;
    request_answer(request, response);
}

static void coordinator_answered(struct coordinator_call *call)
{
    struct init_producer_id_response *response = call->response;
    struct request *request = call->request;

    if (call->err != OK) {
        init_answer(request, call->err, -1);
        return;
    }
    if (request->header.api_version < FENCED_VERSION_MIN &&
        response->error_code == err_wire_code(ERR_PRODUCER_FENCED))
        response->error_code = err_wire_code(ERR_INVALID_PRODUCER_EPOCH);
    request_answer(request, response);
}

static void id_taken(struct producer_id_wait *wait, enum err err, int64_t producer_id)
{
    struct init_state *state = CONTAINER_OF(wait, struct init_state, wait);

    init_answer(state->request, err, producer_id);
}

void handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct init_state *state;

    /* Both or neither name the producer that comes back (KIP-360). */
    if ((body->producer_id == PRODUCER_ID_NONE) != (body->producer_epoch == PRODUCER_EPOCH_NONE) ||
        (!slice_is_null(body->transactional_id) && body->transactional_id.size_bytes == 0)) {
        init_answer(request, ERR_INVALID_REQUEST, -1);
        return;
    }
    if (!slice_is_null(body->transactional_id)) {
        coordinator_request_call(request, &coordinator_kind_transaction, body->transactional_id,
                                 body, coordinator_answered, NULL);
        return;
    }
    state = ARENA_NEW(&request->arena, struct init_state);
    if (!state) {
        request_close(request, "no memory for InitProducerId");
        return;
    }
    state->request = request;
    state->wait.done = id_taken;
    producer_id_next(request->shard->partitions, &state->wait);
}
