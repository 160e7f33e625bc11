/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/listing.c: DescribeTransactions and ListTransactions, from committed values.
 * transactions.md §13 of the reference.
 */
#include "coordinator/transaction_internal.h"

#include "base/name_order.h"

/* ---- describe ---- */

/* While markers are written: the partitions that still wait for theirs. */
static enum err topics_fill(struct transaction_call *call, const struct transaction *t,
                            struct describe_transactions_response_transaction_state *out)
{
    const struct transaction_partitions *set = t->value.partitions;
    bool is_ending = transaction_is_ending((enum transaction_state)t->value.state);
    size_t count = transaction_partitions_count(set);
    int32_t *indexes = ARENA_ARRAY(call->arena, int32_t, count);
    struct describe_transactions_response_topic_data *topic = NULL;
    size_t told = 0;

    out->topics = describe_transactions_response_topic_data_array(call->arena, count);
    if (!out->topics || !indexes)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (is_ending && !transaction_marking_waits(t, i))
            continue;
        if (!topic || !slice_equal(topic->topic, set->items[i].topic)) {
            topic = &out->topics[out->topics_count++];
            topic->topic = arena_copy(call->arena, set->items[i].topic);
            if (slice_is_null(topic->topic))
                return ERR_NO_MEMORY;
            topic->partitions = &indexes[told];
        }
        indexes[told++] = set->items[i].index;
        topic->partitions_count++;
    }
    return OK;
}

enum err transaction_handle_describe(struct transaction_call *call, struct slice id)
{
    struct describe_transactions_response_transaction_state *out =
        describe_transactions_response_transaction_state_array(call->arena, 1);
    const struct transaction *t = transaction_find(call->coordinator, id);

    if (!out)
        return ERR_NO_MEMORY;
    out->transactional_id = arena_copy(call->arena, id);
    if (slice_is_null(out->transactional_id))
        out->transactional_id = SLICE_EMPTY;
    if (id.size_bytes == 0 || !t || t->value.state == TRANSACTION_DEAD) {
        out->error_code = err_wire_code(id.size_bytes == 0 ? ERR_INVALID_REQUEST
                                                           : ERR_TRANSACTIONAL_ID_NOT_FOUND);
        return transaction_reply(call, out, false);
    }
    out->transaction_state =
        slice_from_text(transaction_state_name((enum transaction_state)t->value.state));
    out->transaction_timeout_ms = t->value.timeout_ms;
    out->transaction_start_time_ms = t->value.start_wall_ms;
    out->producer_id = t->value.producer_id;
    out->producer_epoch = transaction_epoch(t, &t->value);
    TRY(topics_fill(call, t, out));
    return transaction_reply(call, out, false);
}

/* ---- list ---- */

static struct slice id_bytes(const int64_t *id)
{
    return (struct slice){.data = (const uint8_t *)id, .size_bytes = sizeof *id};
}

static bool state_is_named(const struct list_transactions_request *request, int state)
{
    const char *name = transaction_state_name((enum transaction_state)state);

    for (int32_t i = 0; i < request->state_filters_count; i++)
        if (slice_equal_text(request->state_filters[i], name))
            return true;
    return request->state_filters_count <= 0;
}

_Static_assert((int)TRANSACTION_STATE_COUNT <= (int)TRANSACTION_LIST_STATES,
               "one filter for each state");

/* Held against the few states once, and ids in order: a request may name a million of each. */
enum err transaction_list_init(struct arena *arena, const struct list_transactions_request *request,
                               struct transaction_list *out)
{
    *out = (struct transaction_list){
        .request = request, .producer_count = (size_t)MAX(request->producer_id_filters_count, 0)};
    for (int state = 0; state < TRANSACTION_STATE_COUNT; state++)
        out->states[state] = state_is_named(request, state);
    if (out->producer_count == 0)
        return OK;
    out->producers = ARENA_ARRAY(arena, struct slice, out->producer_count);
    if (!out->producers)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < out->producer_count; i++)
        out->producers[i] = id_bytes(&request->producer_id_filters[i]);
    return name_order(arena, out->producers, out->producer_count, &out->producer_order);
}

static bool producer_is_asked(const struct transaction_list *list, const struct transaction *t)
{
    uint32_t at;

    return list->producer_count == 0 ||
           name_find(list->producers, list->producer_order, list->producer_count,
                     id_bytes(&t->value.producer_id), &at);
}

/* Ids that never had a transaction started at -1: longer ago than anybody asks for. */
static bool duration_is_asked(const struct list_transactions_request *request,
                              const struct transaction *t, int64_t wall_ms)
{
    return request->duration_filter < 0 ||
           t->value.start_wall_ms < wall_ms - request->duration_filter;
}

static bool is_asked(const struct transaction_call *call, const struct transaction_list *list,
                     const struct transaction *t)
{
    return t->value.state != TRANSACTION_DEAD && producer_is_asked(list, t) &&
           list->states[t->value.state] &&
           duration_is_asked(list->request, t, call->moment->wall_ms) &&
           (!list->matches || list->matches(list->context, transaction_id(t)));
}

enum err transaction_handle_list(struct transaction_call *call, const struct transaction_list *list)
{
    struct transaction_coordinator *coordinator = call->coordinator;
    struct list_transactions_response *out = list_transactions_response_array(call->arena, 1);
    size_t capacity = 0;

    if (!out)
        return ERR_NO_MEMORY;
    for (const struct transaction *t = transaction_after(coordinator, NULL); t;
         t = transaction_after(coordinator, t)) {
        struct list_transactions_response_transaction_state *item;

        if (!is_asked(call, list, t))
            continue;
        if ((size_t)out->transaction_states_count == capacity) {
            capacity = MAX(2 * capacity, 16);
            item = list_transactions_response_transaction_state_array(call->arena, capacity);
            if (!item)
                return ERR_NO_MEMORY;
            if (out->transaction_states_count > 0)
                memcpy(item, out->transaction_states,
                       (size_t)out->transaction_states_count * sizeof *item);
            out->transaction_states = item;
        }
        item = &out->transaction_states[out->transaction_states_count++];
        item->transactional_id = arena_copy(call->arena, transaction_id(t));
        if (slice_is_null(item->transactional_id))
            return ERR_NO_MEMORY;
        item->producer_id = t->value.producer_id;
        item->transaction_state =
            slice_from_text(transaction_state_name((enum transaction_state)t->value.state));
    }
    return transaction_reply(call, out, false);
}
