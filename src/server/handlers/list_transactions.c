/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/list_transactions.c: ListTransactions (66): every transaction coordinator of this
 * node is asked. transactions.md §13 of the reference.
 */
#include "protocol/generated/list_transactions_request.h"
#include "protocol/generated/list_transactions_response.h"
#include "regex/regex.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/node.h"

struct list_work {
    struct transaction_list list;
    struct regex *regex; /* NULL: all ids */
};

static bool is_state(struct slice name)
{
    static const char *const names[] = {"Empty",        "Ongoing",          "PrepareCommit",
                                        "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                        "Dead",         "PrepareEpochFence"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (slice_equal_text(name, names[i]))
            return true;
    return false;
}

static bool matches(void *context, struct slice transactional_id)
{
    return regex_matches(context, transactional_id);
}

/* One that is not ours (any more) has nothing to add; one that cannot tell yet fails the whole. */
static enum err parts_error(const struct group_parts *parts, size_t *count_out)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct coordinator_call *call = &parts->items[i].call;
        const struct list_transactions_response *response = call->response;

        if (call->err == OK && response->error_code == 0)
            *count_out += (size_t)MAX(response->transaction_states_count, 0);
        else if (call->err != ERR_NOT_COORDINATOR)
            return call->err != OK ? call->err : err_from_wire(response->error_code);
    }
    return OK;
}

static void unknown_states(const struct list_transactions_request *body,
                           struct list_transactions_response *response)
{
    for (int32_t i = 0; i < body->state_filters_count; i++)
        if (!is_state(body->state_filters[i]))
            response->unknown_state_filters[response->unknown_state_filters_count++] =
                body->state_filters[i];
}

static void finish(struct group_parts *parts)
{
    struct request *request = parts->request;
    const struct list_transactions_request *body = request->body;
    struct list_transactions_response *response = request_response(request);
    struct list_work *work = parts->context;
    size_t count = 0;
    enum err err = parts_error(parts, &count);

    regex_release(&work->regex);
    if (err == OK) {
        response->transaction_states =
            list_transactions_response_transaction_state_array(&request->arena, count);
        response->unknown_state_filters =
            ARENA_ARRAY(&request->arena, struct slice, (size_t)MAX(body->state_filters_count, 0));
        if (!response->transaction_states || !response->unknown_state_filters)
            err = ERR_NO_MEMORY;
    }
    if (err != OK) {
        response = request_response(request);
        response->error_code = err_wire_code(err);
        request_answer(request, response);
        return;
    }
    unknown_states(body, response);
    for (size_t i = 0; i < parts->count; i++) {
        const struct list_transactions_response *part = parts->items[i].call.response;

        for (int32_t k = 0; parts->items[i].call.err == OK && k < part->transaction_states_count;
             k++)
            response->transaction_states[response->transaction_states_count++] =
                part->transaction_states[k];
    }
    request_answer(request, response);
}

void handle_list_transactions(struct request *request)
{
    const struct list_transactions_request *body = request->body;
    const struct publication *publication = image_view_publication(request);
    struct list_work *work;
    const struct metadata_topic *topic;
    struct group_parts *parts;
    struct why why = {""};
    enum err err = OK;

    if (!publication)
        return;
    topic = metadata_image_topic(publication->image, SLICE("__transaction_state"));
    parts = group_parts_create(request, topic ? (size_t)topic->partition_count : 0, finish);
    if (!parts)
        return;
    work = ARENA_NEW(&request->arena, struct list_work);
    if (!work || transaction_list_init(&request->arena, body, &work->list) != OK) {
        request_close(request, "no memory for ListTransactions");
        return;
    }
    if (body->transactional_id_pattern.size_bytes > 0)
        err = regex_compile(body->transactional_id_pattern, &work->regex, &why);
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    if (work->regex) {
        work->list.matches = matches;
        work->list.context = work->regex;
    }
    parts->context = work;
    for (int32_t i = 0; topic && i < topic->partition_count; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);

        if (partition && partition->leader == request->shard->node->config.node_id)
            transaction_parts_add(parts, SLICE_EMPTY, i, &work->list);
    }
    group_parts_submit(parts);
}
