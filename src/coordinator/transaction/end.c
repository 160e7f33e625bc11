/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/end.c: the first stage of an end: EndTxn of clients, and aborts that the
 * coordinator begins by itself. transactions.md §9 of the reference.
 *
 * Protocol 2 (KIP-890) raises the epoch with each end, so that nothing of the transaction before can
 * touch the next one. A client that asks again is known by the epoch before; at the last epoch the
 * next producer id goes into the Prepare record and takes over when the transaction is complete.
 */
#include "coordinator/transaction_internal.h"

#include "base/bug.h"

#define VERSION_PROTOCOL_2 5

static enum err end_reply(struct transaction_call *call, int64_t producer_id, int16_t epoch,
                          bool after_commit)
{
    struct end_txn_response *response = end_txn_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    response->producer_id = producer_id;
    response->producer_epoch = epoch;
    return transaction_reply(call, response, after_commit);
}

static enum err wrong_state(struct transaction_call *call, const struct transaction *t,
                            const struct end_txn_request *request)
{
    LOG_INFO(call->coordinator->logger, TRANSACTION_LOG, "transaction_end_in_wrong_state",
             "transactional_id=%.*s state=%s asked=%s", SLICE_ARGS(transaction_id(t)),
             transaction_state_name((enum transaction_state)t->value.state),
             request->committed ? "commit" : "abort");
    return transaction_refuse(call, ERR_INVALID_TXN_STATE);
}

/* What a Complete state says of this request: done, as asked. */
static bool is_done(const struct transaction *t, const struct end_txn_request *request)
{
    return t->value.state ==
           (request->committed ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT);
}

/* Markers belong behind the commit of the Prepare record. Of these nobody waits for the outcome. */
static enum err early_markers_give(struct transaction_call *call,
                                   const struct transaction_value *prepare)
{
    uint32_t count = (uint32_t)transaction_partitions_count(prepare->partitions);
    struct coordinator_partition *out =
        ARENA_ARRAY(call->arena, struct coordinator_partition, count);
    struct coordinator_markers markers = {
        .producer_id = prepare->producer_id,
        .producer_epoch = prepare->epoch,
        .coordinator_epoch = call->coordinator->coordinator_epoch,
        .transaction_version = prepare->client_version >= 2 ? 2 : 0,
        .is_commit = prepare->state == TRANSACTION_PREPARE_COMMIT,
        .partitions = out,
        .partition_count = count,
        .ticket = UINT64_MAX,
    };

    if (count == 0 || !out)
        return OK;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (struct coordinator_partition){
            arena_copy(call->arena, prepare->partitions->items[i].topic),
            prepare->partitions->items[i].index};
    return coordinator_effects_markers(call->effects, &markers);
}

/* The Prepare record. */
static enum err prepare_write(struct transaction_call *call, struct transaction *t,
                              const struct transaction_value *prepare, bool fences)
{
    if (BUG_IS(markers_before_prepare))
        TRY(early_markers_give(call, prepare));
    return transaction_write(call, t, prepare, fences);
}

/* ---- protocol 0 ---- */

static enum err end_0(struct transaction_call *call, struct transaction *t,
                      const struct end_txn_request *request)
{
    struct transaction_value to;

    if (t->value.producer_id != request->producer_id)
        return transaction_refuse(call, ERR_INVALID_PRODUCER_ID_MAPPING);
    if (transaction_epoch(t, &t->value) != request->producer_epoch)
        return transaction_refuse(call, ERR_PRODUCER_FENCED);
    if (transaction_must_wait(call, t))
        return transaction_park(call, t, 0);
    if (t->value.state != TRANSACTION_ONGOING)
        return is_done(t, request) ? end_reply(call, -1, -1, false) : wrong_state(call, t, request);
    transaction_value_ended(call, t, request->committed, 0, -1, &to);
    TRY(prepare_write(call, t, &to, false));
    return end_reply(call, -1, -1, true);
}

/* ---- protocol 2 ---- */

static enum err end_2_write(struct transaction_call *call, struct transaction *t,
                            const struct end_txn_request *request)
{
    int16_t epoch = transaction_epoch(t, &t->value), outcome_epoch;
    int64_t next_producer_id = -1, outcome_producer_id;
    struct transaction_value to;
    enum err told = OK;

    if (request->committed && epoch == INT16_MAX)
        return transaction_refuse(call, ERR_UNKNOWN_SERVER_ERROR); /* no epoch is left for it */
    if (transaction_epoch_exhausted(epoch))
        TRY(transaction_producer_id(call, &next_producer_id, &told));
    if (told != OK)
        return transaction_refuse(call, told);
    transaction_value_ended(call, t, request->committed, 2, next_producer_id, &to);
    transaction_value_outcome(&to, &outcome_producer_id, &outcome_epoch);
    TRY(prepare_write(call, t, &to, false));
    return end_reply(call, outcome_producer_id, outcome_epoch, true);
}

static enum err end_2(struct transaction_call *call, struct transaction *t,
                      const struct end_txn_request *request)
{
    const struct transaction_value *value = &t->value;
    int16_t epoch, asked = request->producer_epoch;
    bool overflowed, is_retry, is_complete;

    if (transaction_must_wait(call, t))
        return transaction_park(call, t, 0);
    epoch = transaction_epoch(t, value);
    overflowed = value->previous_producer_id == request->producer_id &&
                 asked == TRANSACTION_EPOCH_LAST && epoch == 0;
    /* The reference takes the epoch before for a retry after an end in protocol 0, too, which has not
     * raised it: then a producer of the past would be told of the epoch of the present one. */
    is_retry = overflowed || (epoch == asked + 1 && value->client_version >= 2);
    is_complete =
        value->state == TRANSACTION_COMPLETE_COMMIT || value->state == TRANSACTION_COMPLETE_ABORT;
    if (value->producer_id != request->producer_id && !overflowed)
        return transaction_refuse(call, ERR_INVALID_PRODUCER_ID_MAPPING);
    if (asked != epoch && !(is_complete && is_retry))
        return transaction_refuse(call, ERR_PRODUCER_FENCED);
    if (value->state == TRANSACTION_ONGOING)
        return end_2_write(call, t, request);
    if (is_complete && is_retry)
        return is_done(t, request) ? end_reply(call, value->producer_id, value->epoch, false)
                                   : wrong_state(call, t, request);
    /* Nothing was added: only an abort makes sense, and raises the epoch like any other. */
    return request->committed ? wrong_state(call, t, request) : end_2_write(call, t, request);
}

enum err transaction_handle_end(struct transaction_call *call,
                                const struct end_txn_request *request)
{
    struct transaction *t;

    if (request->transactional_id.size_bytes == 0)
        return transaction_refuse(call, ERR_INVALID_REQUEST);
    t = transaction_find(call->coordinator, request->transactional_id);
    if (!t)
        return transaction_refuse(call, ERR_INVALID_PRODUCER_ID_MAPPING);
    return call->request->api_version >= VERSION_PROTOCOL_2 ? end_2(call, t, request)
                                                            : end_0(call, t, request);
}

/* ---- aborts of our own ---- */

enum err transaction_fence(struct transaction_call *call, struct transaction *t, enum err *told)
{
    bool raises_anyway =
        metadata_image_level(call->moment->image, FEATURE_TRANSACTION_VERSION) >= 2;
    int16_t epoch = transaction_epoch(t, &t->value);
    int64_t next_producer_id = -1;
    struct transaction_value to;

    ASSERT(transaction_is_free(t) && t->value.state == TRANSACTION_ONGOING);
    *told = OK;
    if (raises_anyway) {
        if (transaction_epoch_exhausted(epoch))
            TRY(transaction_producer_id(call, &next_producer_id, told));
        if (*told != OK)
            return OK;
        transaction_value_ended(call, t, false, 2, next_producer_id, &to);
        return prepare_write(call, t, &to, true);
    }
    /* Raised once, however often the write is refused: nobody was told of the epoch. */
    if (!t->active->fence_failed && epoch < INT16_MAX)
        epoch++;
    t->active->fence_epoch = epoch;
    transaction_value_ended(call, t, false, 0, -1, &to);
    to.last_epoch = -1;
    return prepare_write(call, t, &to, true);
}
