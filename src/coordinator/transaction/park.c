/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/park.c: requests that wait until their id is free. Kafka answers them
 * CONCURRENT_TRANSACTIONS at once and is asked again; here that is the answer when waiting did not help
 * (TRANSACTION_PARK_MS_MAX).
 * Invariants  1. requests of one id run in order of arrival, one at a time, each on a free id; partitions that are
 *                added also behind what the log will commit before them (transaction_may_join).
 *             2. a request that waits again keeps its place and its deadline.
 */
#include "coordinator/transaction_internal.h"

bool transaction_must_wait(const struct transaction_call *call, const struct transaction *t)
{
    bool is_next = call->parked && !call->is_orphan;

    return !transaction_is_free(t) || (!is_next && t->active && !list_is_empty(&t->active->parked));
}

bool transaction_may_resume(const struct transaction *t)
{
    const struct transaction_parked *first;

    if (list_is_empty(&t->active->parked))
        return false;
    first = LIST_ITEM(t->active->parked.next, const struct transaction_parked, node);
    return transaction_is_free(t) || (first->request.api_key == API_ADD_PARTITIONS_TO_TXN &&
                                      transaction_may_join(t, &first->body.add));
}

/* ---- copies ---- */

static struct slice copy_take(uint8_t **at, struct slice from)
{
    struct slice copy = slice_of(*at, from.size_bytes);

    if (from.size_bytes > 0)
        memcpy(*at, from.data, from.size_bytes);
    *at += from.size_bytes;
    return copy;
}

static size_t add_bytes(const struct transaction_add *add)
{
    size_t size_bytes = add->transactional_id.size_bytes;

    for (size_t i = 0; i < add->partition_count; i++)
        size_bytes += sizeof *add->partitions + add->partitions[i].topic.size_bytes;
    return size_bytes;
}

static void add_copy(struct transaction_parked *parked, const struct transaction_add *add)
{
    struct coordinator_partition *partitions = (struct coordinator_partition *)(void *)(parked + 1);
    uint8_t *at = (uint8_t *)(partitions + add->partition_count);

    parked->body.add = *add;
    for (size_t i = 0; i < add->partition_count; i++)
        partitions[i] = (struct coordinator_partition){copy_take(&at, add->partitions[i].topic),
                                                       add->partitions[i].index};
    parked->body.add.partitions = partitions;
    parked->body.add.transactional_id = copy_take(&at, add->transactional_id);
}

static void body_copy(struct transaction_parked *parked, const struct coordinator_request *request)
{
    uint8_t *at = (uint8_t *)(parked + 1);

    parked->request = (struct coordinator_request){
        .api_key = request->api_key,
        .api_version = request->api_version,
        .body = &parked->body,
        .token = request->token,
        .client_id = SLICE_EMPTY,
        .client_host = SLICE_EMPTY,
    };
    if (request->api_key == API_ADD_PARTITIONS_TO_TXN) {
        add_copy(parked, request->body);
    } else if (request->api_key == API_INIT_PRODUCER_ID) {
        parked->body.init = *(const struct init_producer_id_request *)request->body;
        parked->body.init.transactional_id = copy_take(&at, parked->body.init.transactional_id);
    } else {
        parked->body.end = *(const struct end_txn_request *)request->body;
        parked->body.end.transactional_id = copy_take(&at, parked->body.end.transactional_id);
    }
}

static size_t body_bytes(const struct coordinator_request *request)
{
    const struct init_producer_id_request *init = request->body;
    const struct end_txn_request *end = request->body;

    if (request->api_key == API_ADD_PARTITIONS_TO_TXN)
        return add_bytes(request->body);
    return request->api_key == API_INIT_PRODUCER_ID ? init->transactional_id.size_bytes
                                                    : end->transactional_id.size_bytes;
}

static enum err parked_create(struct transaction_call *call, struct transaction_parked **out)
{
    size_t size_bytes = sizeof(struct transaction_parked) + body_bytes(call->request);
    struct transaction_parked *parked = allocator_zeroed(call->coordinator->allocator, size_bytes);

    *out = parked;
    if (!parked)
        return ERR_NO_MEMORY;
    parked->size_bytes = size_bytes;
    parked->deadline.position = HEAP_NOWHERE;
    parked->deadline.key = call->moment->now_ms + TRANSACTION_PARK_MS_MAX;
    list_init(&parked->node);
    body_copy(parked, call->request);
    return OK;
}

/* ---- coming and going ---- */

/* Out of everything; it may be put back. */
static void parked_detach(struct transaction_coordinator *coordinator,
                          struct transaction_parked *parked)
{
    list_remove(&parked->node);
    if (parked->deadline.position == HEAP_NOWHERE)
        return;
    heap_remove(&coordinator->park_deadlines, &parked->deadline);
    hash_map_remove(&coordinator->parked, &parked->by_token);
}

static enum err parked_attach(struct transaction_coordinator *coordinator,
                              struct transaction_parked *parked)
{
    TRY(heap_push(&coordinator->park_deadlines, &parked->deadline, parked->deadline.key));
    if (hash_map_insert(&coordinator->parked, hash_u64(parked->request.token), &parked->by_token) ==
        OK)
        return OK;
    heap_remove(&coordinator->park_deadlines, &parked->deadline);
    return ERR_NO_MEMORY;
}

void transaction_parked_release(struct transaction_coordinator *coordinator,
                                struct transaction_parked **parked)
{
    struct transaction_parked *old = TAKE(*parked);

    if (!old)
        return;
    parked_detach(coordinator, old);
    coordinator->allocator->release(coordinator->allocator, old, old->size_bytes);
}

enum err transaction_park(struct transaction_call *call, struct transaction *t, uint64_t write)
{
    struct transaction_coordinator *coordinator = call->coordinator;
    bool has_waited = call->parked != NULL;
    struct transaction_parked *parked;
    enum err err;

    TRY(transaction_activate(coordinator, t));
    if (!has_waited)
        TRY(parked_create(call, &parked));
    else
        parked = TAKE(call->parked);
    err = parked_attach(coordinator, parked);
    if (err != OK) {
        transaction_parked_release(coordinator, &parked);
        return err;
    }
    parked->transaction = t;
    parked->write = write;
    if (has_waited && !call->is_orphan)
        list_push_front(&t->active->parked, &parked->node);
    else
        list_push_back(&t->active->parked, &parked->node);
    transaction_settle(coordinator, t);
    return OK;
}

void transaction_coordinator_forget(struct transaction_coordinator *coordinator, uint64_t token)
{
    struct hash_map_node *node = hash_map_find(&coordinator->parked, hash_u64(token), &token);
    struct transaction_parked *parked;
    struct transaction *t;

    if (!node)
        return;
    parked = CONTAINER_OF(node, struct transaction_parked, by_token);
    t = parked->transaction;
    transaction_parked_release(coordinator, &parked);
    if (t)
        transaction_settle(coordinator, t);
}

/* ---- going on ---- */

/* Takes the request; it runs, or waits again. */
static enum err parked_run(struct transaction_call *call, struct transaction_parked *parked)
{
    struct coordinator_request request = parked->request;
    struct transaction_call run = *call;
    enum err err;

    run.request = &request;
    run.parked = parked;
    run.is_orphan = parked->transaction == NULL;
    parked_detach(call->coordinator, parked);
    err = transaction_dispatch(&run);
    transaction_parked_release(call->coordinator, &run.parked);
    return err;
}

enum err transaction_resume(struct transaction_call *call, struct transaction *t)
{
    struct list_node *first = list_first(&t->active->parked);

    ASSERT(first && transaction_may_resume(t));
    TRY(parked_run(call, LIST_ITEM(first, struct transaction_parked, node)));
    transaction_settle(call->coordinator, t); /* no request removes an id */
    return OK;
}

void transaction_orphan(struct transaction_coordinator *coordinator, struct transaction *t)
{
    LIST_EACH (node, &t->active->parked)
        LIST_ITEM(node, struct transaction_parked, node)->transaction = NULL;
    list_splice_back(&coordinator->orphans, &t->active->parked);
}

enum err transaction_resume_orphan(struct transaction_call *call)
{
    struct list_node *first = list_first(&call->coordinator->orphans);

    ASSERT(first != NULL);
    return parked_run(call, LIST_ITEM(first, struct transaction_parked, node));
}

/* Takes the request. */
static enum err parked_refuse(struct transaction_call *call, struct transaction_parked *parked,
                              enum err err)
{
    struct coordinator_request request = parked->request;
    struct transaction_call refused = *call;

    refused.request = &request;
    transaction_parked_release(call->coordinator, &parked);
    return transaction_refuse(&refused, err);
}

enum err transaction_park_time_out(struct transaction_call *call)
{
    struct heap_node *first = heap_peek(&call->coordinator->park_deadlines);
    struct transaction_parked *parked = CONTAINER_OF(first, struct transaction_parked, deadline);
    struct transaction *t = parked->transaction;

    TRY(parked_refuse(call, parked, ERR_CONCURRENT_TRANSACTIONS));
    if (t)
        transaction_settle(call->coordinator, t);
    return OK;
}

enum err transaction_park_fail(struct transaction_call *call, struct transaction *t, uint64_t write,
                               enum err err)
{
    LIST_EACH_SAFE (node, &t->active->parked) {
        struct transaction_parked *parked = LIST_ITEM(node, struct transaction_parked, node);

        if (parked->write == write)
            TRY(parked_refuse(call, parked, coordinator_error(err)));
    }
    return OK;
}
