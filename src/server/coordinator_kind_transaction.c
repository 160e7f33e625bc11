/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_kind_transaction.c: the runner's view of the transaction coordinator:
 * __transaction_state. docs/design/transactions.md §2; transactions.md §3 of the reference.
 */
#include "server/coordinator_internal.h"

/* ---- settings ---- */

void transaction_options_read(const struct config *config, struct transaction_options *out)
{
    transaction_options_init(out);
    out->timeout_max_ms = config_int(config, BROKER_TRANSACTION_MAX_TIMEOUT_MS);
    out->id_expiration_ms = config_int(config, BROKER_TRANSACTIONAL_ID_EXPIRATION_MS);
    out->abort_scan_interval_ms =
        config_int(config, BROKER_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS);
    out->expire_scan_interval_ms =
        config_int(config, BROKER_TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS);
    out->two_phase_commit_on = config_boolean(config, BROKER_TRANSACTION_TWO_PHASE_COMMIT_ENABLE);
}

static void options_read(const struct config *config, struct coordinator_service *service)
{
    transaction_options_read(config, &service->options.transaction);
}

static int32_t linger_ms(const struct config *config)
{
    UNUSED(config);
    return -1; /* what one turn decides is one batch, and nobody waits longer than that */
}

static enum compression codec(const struct config *config)
{
    UNUSED(config);
    return COMPRESSION_NONE;
}

static int32_t commit_timeout_ms(const struct config *config)
{
    return config_int(config, BROKER_REQUEST_TIMEOUT_MS);
}

/* §3, Append. */
static enum err error_told(const struct coordinator_call *call, enum err err)
{
    enum err told = err == OK ? OK : err_from_wire(err_wire_code(err));

    UNUSED(call);
    switch (told) {
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case ERR_REQUEST_TIMED_OUT:
        return ERR_COORDINATOR_NOT_AVAILABLE;
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_KAFKA_STORAGE_ERROR:
        return ERR_NOT_COORDINATOR;
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_RECORD_LIST_TOO_LARGE:
        return ERR_UNKNOWN_SERVER_ERROR;
    default:
        return told;
    }
}

/* ---- producer ids: of the shard's block ---- */

static void elected(struct coordinator_service *service)
{
    producer_ids_prefetch(service->shard->partitions);
}

static enum err id_take(void *context, int64_t *out)
{
    struct coordinator_service *service = context;

    return producer_id_take(service->shard->partitions, out);
}

/* ---- the core ---- */

COORDINATOR_KIND_CORE(transaction_coordinator)

static enum err create(struct coordinator_runner *runner, void **out)
{
    struct transaction_coordinator *core = NULL;

    TRY(transaction_coordinator_create(&heap_allocator, &runner->service->options.transaction,
                                       runner->partition->replica.leader_epoch,
                                       runner_logger(runner), &core));
    *out = core;
    return OK;
}

static enum err set_options(void *core, const struct coordinator_service *service)
{
    transaction_coordinator_set_options(core, &service->options.transaction);
    return OK;
}

static enum err replay(void *core, const struct coordinator_record *record, int64_t offset,
                       int64_t producer_id, int16_t producer_epoch, struct why *why)
{
    UNUSED(producer_id);
    UNUSED(producer_epoch);
    return transaction_coordinator_replay(core, record, offset, why);
}

static enum err marked(void *core, uint64_t ticket, size_t partition, enum err err,
                       const struct coordinator_moment *moment, struct coordinator_effects *effects)
{
    return transaction_coordinator_marked(core, ticket, partition, err, moment, effects);
}

static void each(const void *core, const struct coordinator_watcher *watcher)
{
    if (watcher->transaction)
        transaction_coordinator_each(core, watcher->transaction, watcher->context);
}

const struct coordinator_kind coordinator_kind_transaction = {
    .topic = {(const uint8_t *)"__transaction_state", 19},
    .reloads_on_epoch = true,
    .options_read = options_read,
    .load_buffer_size = BROKER_TRANSACTION_STATE_LOG_LOAD_BUFFER_SIZE,
    .linger_ms = linger_ms,
    .codec = codec,
    .commit_timeout_ms = commit_timeout_ms,
    .error = error_told,
    .elected = elected,
    .create = create,
    .set_options = set_options,
    .replay = replay,
    .marked = marked,
    .producer_id_take = id_take,
    .each = each,
    COORDINATOR_KIND_CORE_ROW,
};
