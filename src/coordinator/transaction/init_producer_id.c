/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/init_producer_id.c: InitProducerId: a producer id and an epoch that fences
 * everybody who had the id before. transactions.md §5 of the reference; KIP-98, KIP-360, KIP-939.
 */
#include "coordinator/transaction_internal.h"

static bool timeout_is_valid(const struct transaction_options *options,
                             const struct init_producer_id_request *request)
{
    return request->enable2_pc || (request->transaction_timeout_ms > 0 &&
                                   request->transaction_timeout_ms <= options->timeout_max_ms);
}

static enum err request_check(const struct transaction_call *call,
                              const struct init_producer_id_request *request)
{
    const struct transaction_options *options = &call->coordinator->options;

    if ((request->producer_id == -1) != (request->producer_epoch == -1))
        return ERR_INVALID_REQUEST;
    if (request->transactional_id.size_bytes == 0 ||
        request->transactional_id.size_bytes > INT16_MAX)
        return ERR_INVALID_REQUEST;
    if (request->enable2_pc && !options->two_phase_commit_on)
        return ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (request->keep_prepared_txn)
        return ERR_UNSUPPORTED_VERSION; /* the reference has not got it either */
    return timeout_is_valid(options, request) ? OK : ERR_INVALID_TRANSACTION_TIMEOUT;
}

/* An id that is there in memory only. When its first write is refused it stays, and the next request uses
 * its producer id. */
static enum err id_ensure(struct transaction_call *call, struct slice id, int32_t timeout_ms,
                          enum err *told, struct transaction **out)
{
    struct transaction_coordinator *coordinator = call->coordinator;
    int64_t producer_id;

    *told = OK;
    *out = transaction_find(coordinator, id);
    if (*out)
        return OK;
    TRY(transaction_producer_id(call, &producer_id, told));
    if (*told != OK)
        return OK;
    TRY(transaction_create(coordinator, id, out));
    (*out)->value.producer_id = producer_id;
    (*out)->value.timeout_ms = timeout_ms;
    (*out)->value.update_wall_ms = call->moment->wall_ms;
    return OK;
}

/* Nobody has come in between who made this producer one of the past. The epoch is looked at later. */
static bool is_known(const struct transaction *t, const struct init_producer_id_request *request)
{
    const struct transaction_value *value = &t->value;

    return value->epoch == -1 || request->producer_id == value->producer_id ||
           (request->producer_id == value->previous_producer_id &&
            transaction_epoch_exhausted(request->producer_epoch));
}

static enum err initialize(struct transaction_call *call, struct transaction *t,
                           const struct transaction_init *init)
{
    bool rotates = transaction_epoch_exhausted(t->value.epoch) &&
                   (!init->expects || init->expected_epoch == t->value.epoch);
    struct init_producer_id_response *response;
    struct transaction_value to;
    int64_t producer_id;
    enum err told;

    if (rotates) {
        TRY(transaction_producer_id(call, &producer_id, &told));
        if (told == OK)
            transaction_value_rotated(call, t, init, producer_id, &to);
    } else {
        transaction_value_initialized(call, t, init, &told, &to);
    }
    if (told != OK)
        return transaction_refuse(call, told);
    response = init_producer_id_response_array(call->arena, 1);
    if (!response)
        return ERR_NO_MEMORY;
    response->producer_id = to.producer_id;
    response->producer_epoch = to.epoch;
    TRY(transaction_write(call, t, &to, false));
    return transaction_reply(call, response, true);
}

/* The transaction under way is aborted first; the request then runs as the client's next one would. */
static enum err fence_first(struct transaction_call *call, struct transaction *t)
{
    enum err told;

    TRY(transaction_fence(call, t, &told));
    if (told != OK)
        return transaction_refuse(call, told);
    LOG_INFO(call->coordinator->logger, TRANSACTION_LOG, "transaction_fenced",
             "transactional_id=%.*s producer_id=%lld epoch=%d partitions=%zu",
             SLICE_ARGS(transaction_id(t)), (long long)t->value.producer_id, t->value.epoch,
             transaction_partitions_count(t->value.partitions));
    return transaction_park(call, t, call->effects->write);
}

enum err transaction_handle_init(struct transaction_call *call,
                                 const struct init_producer_id_request *request)
{
    struct transaction_init init = {
        .timeout_ms =
            request->enable2_pc ? TRANSACTION_TIMEOUT_NONE : request->transaction_timeout_ms,
        .expects = request->producer_id != -1,
        .expected_epoch = request->producer_epoch,
    };
    enum err told = request_check(call, request);
    struct transaction *t;

    if (told != OK)
        return transaction_refuse(call, told);
    TRY(id_ensure(call, request->transactional_id, init.timeout_ms, &told, &t));
    if (told != OK)
        return transaction_refuse(call, told);
    if (transaction_must_wait(call, t))
        return transaction_park(call, t, 0);
    if (init.expects && !is_known(t, request))
        return transaction_refuse(call, ERR_PRODUCER_FENCED);
    if (t->value.state == TRANSACTION_ONGOING)
        return fence_first(call, t);
    return initialize(call, t, &init);
}
