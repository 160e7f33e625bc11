/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/add.c: partitions that take part in a transaction: added before anything is
 * written to them, verified when an old client writes. transactions.md §6 of the reference; KIP-890.
 */
#include "coordinator/transaction_internal.h"

/* ---- verify ---- */

/* Answers from what is committed, whatever is on its way: the partition's log decides at the append. */
static enum err verify(struct transaction_call *call, const struct transaction *t,
                       const struct transaction_add *request)
{
    const struct transaction_value *value = &t->value;
    struct transaction_added *response;
    enum err *errs;

    if (value->producer_id != request->producer_id)
        return transaction_refuse(call, ERR_INVALID_PRODUCER_ID_MAPPING);
    if (transaction_epoch(t, value) != request->producer_epoch)
        return transaction_refuse(call, ERR_PRODUCER_FENCED);
    if (transaction_is_ending((enum transaction_state)value->state))
        return transaction_refuse(call, ERR_CONCURRENT_TRANSACTIONS);
    response = ARENA_NEW(call->arena, struct transaction_added);
    errs = ARENA_ARRAY(call->arena, enum err, request->partition_count);
    if (!response || !errs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < request->partition_count; i++)
        errs[i] = transaction_partitions_have(value->partitions, &request->partitions[i])
                      ? OK
                      : ERR_TRANSACTION_ABORTABLE;
    response->partition_errs = errs;
    return transaction_reply(call, response, false);
}

/* ---- add ---- */

/* The log is committed in order: what the same producer adds may be written behind others that are being added,
 * and behind the Complete record of the transaction before, whose markers are all committed. */
bool transaction_may_join(const struct transaction *t, const struct transaction_add *request)
{
    const struct transaction_value *latest = transaction_latest(t);

    return (latest->state == TRANSACTION_ONGOING || latest->state == TRANSACTION_COMPLETE_COMMIT ||
            latest->state == TRANSACTION_COMPLETE_ABORT) &&
           !transaction_has_draft(t) && latest->producer_id == request->producer_id &&
           transaction_epoch(t, latest) == request->producer_epoch;
}

static bool joins(const struct transaction_call *call, const struct transaction *t,
                  const struct transaction_add *request)
{
    bool is_next = list_is_empty(&t->active->parked) || (call->parked && !call->is_orphan);

    return is_next && transaction_may_join(t, request);
}

static bool has_all(const struct transaction_value *value, const struct transaction_add *request)
{
    if (value->state != TRANSACTION_ONGOING)
        return false;
    for (size_t i = 0; i < request->partition_count; i++)
        if (!transaction_partitions_have(value->partitions, &request->partitions[i]))
            return false;
    return true;
}

static enum err add(struct transaction_call *call, struct transaction *t,
                    const struct transaction_add *request)
{
    struct allocator *allocator = call->coordinator->allocator;
    const struct transaction_value *latest = transaction_latest(t);
    struct transaction_added *response = ARENA_NEW(call->arena, struct transaction_added);
    struct transaction_partitions *all;
    struct transaction_value to;
    enum err err;

    if (!response)
        return ERR_NO_MEMORY;
    if (has_all(&t->value, request))
        return transaction_reply(call, response, false);
    if (has_all(latest, request))
        return transaction_reply(call, response,
                                 true); /* somebody else's write, not committed yet */
    if (transaction_partitions_count(latest->partitions) + request->partition_count >
        TRANSACTION_PARTITIONS_MAX)
        return transaction_refuse(call, ERR_UNKNOWN_SERVER_ERROR); /* as too large a record */
    TRY(transaction_partitions_union(allocator, call->arena, latest->partitions,
                                     request->partitions, request->partition_count, &all));
    transaction_value_added(call, t, request->transaction_version, &to);
    to.partitions = all;
    err = transaction_write(call, t, &to, false);
    transaction_partitions_release(allocator, &all);
    TRY(err);
    return transaction_reply(call, response, true);
}

enum err transaction_handle_add(struct transaction_call *call,
                                const struct transaction_add *request)
{
    struct transaction *t;
    int16_t epoch;

    if (request->transactional_id.size_bytes == 0)
        return transaction_refuse(call, ERR_INVALID_REQUEST);
    t = transaction_find(call->coordinator, request->transactional_id);
    if (!t)
        return transaction_refuse(call, ERR_INVALID_PRODUCER_ID_MAPPING);
    if (request->verify_only)
        return verify(call, t, request);
    if (transaction_must_wait(call, t) && !joins(call, t, request))
        return transaction_park(call, t, 0);
    epoch = transaction_epoch(t, transaction_latest(t));
    if (transaction_latest(t)->producer_id != request->producer_id)
        return transaction_refuse(call, ERR_INVALID_PRODUCER_ID_MAPPING);
    if (epoch != request->producer_epoch)
        return transaction_refuse(call, ERR_PRODUCER_FENCED);
    if (epoch < 0)
        return transaction_refuse(call, ERR_UNKNOWN_SERVER_ERROR); /* never initialised */
    return add(call, t, request);
}
