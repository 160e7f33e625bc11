/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/init_producer_id.c: InitProducerId (22) of idempotent producers. A transactional
 * id asks the transaction coordinator, which this node does not have: COORDINATOR_NOT_AVAILABLE,
 * as from any broker while there is none. requests.md §3.0, transactions.md of the reference.
 */
#include "server/partition_internal.h"

#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "server/handlers/handlers.h"

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

static void id_taken(struct producer_id_wait *wait, enum err err, int64_t producer_id)
{
    struct init_state *state = CONTAINER_OF(wait, struct init_state, wait);

    init_answer(state->request, err, producer_id);
}

void handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct init_state *state;

    if (!slice_is_null(body->transactional_id)) {
        init_answer(request,
                    body->transactional_id.size_bytes == 0 ? ERR_INVALID_REQUEST
                                                           : ERR_COORDINATOR_NOT_AVAILABLE,
                    -1);
        return;
    }
    /* Both or neither name the producer that comes back (KIP-360). */
    if ((body->producer_id < 0) != (body->producer_epoch < 0)) {
        init_answer(request, ERR_INVALID_REQUEST, -1);
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
