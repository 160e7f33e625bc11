/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_transactions.c: DescribeTransactions (65): each id by its own coordinator.
 * transactions.md §13 of the reference.
 */
#include "protocol/generated/describe_transactions_request.h"
#include "protocol/generated/describe_transactions_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

static void finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    struct describe_transactions_response *response = request_response(request);

    response->transaction_states =
        describe_transactions_response_transaction_state_array(&request->arena, parts->count);
    if (!response->transaction_states) {
        request_answer_failed(request, ERR_NO_MEMORY, NULL);
        return;
    }
    response->transaction_states_count = (int32_t)parts->count;
    for (size_t i = 0; i < parts->count; i++) {
        const struct group_part *part = &parts->items[i];
        struct describe_transactions_response_transaction_state *state =
            &response->transaction_states[i];

        if (part->call.err == OK) {
            *state = *(const struct describe_transactions_response_transaction_state *)
                          part->call.response;
            continue;
        }
        state->transactional_id = part->group_id;
        state->error_code = err_wire_code(part->call.err);
    }
    request_answer(request, response);
}

void handle_describe_transactions(struct request *request)
{
    const struct describe_transactions_request *body = request->body;
    size_t count = (size_t)MAX(body->transactional_ids_count, 0);
    struct group_parts *parts;

    if (!image_view_publication(request))
        return;
    parts = group_parts_create(request, count, finish);
    if (!parts)
        return;
    for (size_t i = 0; i < count; i++)
        transaction_parts_add(parts, body->transactional_ids[i],
                              coordinator_key_index(request->shard, &coordinator_kind_transaction,
                                                    body->transactional_ids[i]),
                              &body->transactional_ids[i]);
    group_parts_submit(parts);
}
