/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/transaction_check.c: see the header. One question at a time for a check; a coordinator on
 * another node will be asked by AddPartitionsToTxn from check_ask.
 */
#include "server/transaction_check.h"

#include "base/assert.h"
#include "config/config.h"
#include "protocol/generated/api_keys.h"
#include "server/publication.h"

#define ADD_VERSION 5 /* of AddPartitionsToTxn, what brokers send each other */

/* What the coordinator said, in the words that the class knows. */
static enum err answer_of(const struct transaction_check *check,
                          const struct coordinator_call *call)
{
    const struct transaction_added *added = call->response;
    enum err err = call->err;

    if (err == OK)
        err = added->err;
    if (err == OK && added->partition_errs)
        err = added->partition_errs[0];
    if (err == ERR_PRODUCER_FENCED)
        return ERR_INVALID_PRODUCER_EPOCH;
    if (err == ERR_TRANSACTION_ABORTABLE && check->asked == TRANSACTION_CLASS_DEFAULT)
        return ERR_INVALID_TXN_STATE;
    return err;
}

static void answered(struct coordinator_call *call)
{
    struct transaction_check *check = CONTAINER_OF(call, struct transaction_check, call);

    check->err = answer_of(check, call);
    coordinator_call_end(call);
}

static bool asks_again(const struct transaction_check *check)
{
    const struct config *config = check->home->publication->config;
    int64_t for_ms = MIN(config_int(config, BROKER_ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MAX_MS),
                         config_int(config, BROKER_REQUEST_TIMEOUT_MS));

    return check->err == ERR_CONCURRENT_TRANSACTIONS && check->retries &&
           check->asked == TRANSACTION_CLASS_ADD &&
           reactor_now_ms(check->home->reactor) - check->begun_ms < for_ms;
}

/* The call is over in every way. */
static void released(struct coordinator_call *call)
{
    struct transaction_check *check = CONTAINER_OF(call, struct transaction_check, call);

    if (!asks_again(check)) {
        check->done(check);
        return;
    }
    timer_set(check->home->reactor, &check->timer,
              reactor_now_ms(check->home->reactor) +
                  config_int(check->home->publication->config,
                             BROKER_ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MS));
}

static void check_ask(struct transaction_check *check)
{
    check->add = (struct transaction_add){
        .transactional_id = check->transactional_id,
        .producer_id = check->producer_id,
        .producer_epoch = check->producer_epoch,
        .verify_only = check->asked != TRANSACTION_CLASS_ADD,
        .transaction_version = check->asked == TRANSACTION_CLASS_ADD ? 2 : 0,
        .partitions = &check->partition,
        .partition_count = 1,
    };
    check->call = (struct coordinator_call){
        .kind = &coordinator_kind_transaction,
        .index = coordinator_key_index(check->home, &coordinator_kind_transaction,
                                       check->transactional_id),
        .api_key = API_ADD_PARTITIONS_TO_TXN,
        .api_version = ADD_VERSION,
        .body = &check->add,
        .client_id = SLICE_EMPTY,
        .client_host = SLICE_EMPTY,
        .done = answered,
        .released = released,
    };
    coordinator_call_submit(check->home, &check->call);
}

static void again_due(struct timer *timer)
{
    check_ask(CONTAINER_OF(timer, struct transaction_check, timer));
}

void transaction_check_submit(struct shard *home, struct transaction_check *check)
{
    check->home = home;
    check->err = OK;
    check->begun_ms = reactor_now_ms(home->reactor);
    timer_init(&check->timer, again_due);
    check_ask(check);
}
