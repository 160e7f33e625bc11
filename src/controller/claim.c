/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/claim.c: a controller becomes the active one: over an empty log it writes the bootstrap
 * records, over a transaction that its forerunner left open the end of it.
 */
#include "controller/controller_internal.h"

static enum err bootstrap_records(struct call *call, const struct metadata_record_list *bootstrap)
{
    for (size_t i = 0; i < bootstrap->count; i++) {
        const struct metadata_record *record = &bootstrap->items[i];
        void *message;

        TRY(record_add(call, record->type->key, record->version, &message));
        memcpy(message, record->message, message_struct_bytes(record->type));
    }
    return OK;
}

static int16_t bootstrap_level(const struct metadata_record_list *bootstrap, const char *name)
{
    int16_t level = 0;

    for (size_t i = 0; i < bootstrap->count; i++) {
        const struct feature_level_record *record = bootstrap->items[i].message;

        if (bootstrap->items[i].type->key == METADATA_RECORD_FEATURE_LEVEL &&
            slice_equal_text(record->name, name))
            level = record->feature_level;
    }
    return level;
}

/* With ELR the cluster's min.insync.replicas is a record, so that every controller counts alike. */
static enum err min_isr_record(struct call *call)
{
    struct broker_layers layers;
    struct config_set nothing = CONFIG_SET_EMPTY;
    enum config_source source;
    struct config_record *record;

    TRY(broker_layers_of(call, &layers));
    TRY(record_add(call, METADATA_RECORD_CONFIG, 0, &record));
    record->resource_type = METADATA_RESOURCE_BROKER;
    record->name = SLICE("min.insync.replicas");
    record->value = config_topic_effective(call->arena, &layers.layers, &nothing,
                                           TOPIC_MIN_INSYNC_REPLICAS, &source);
    return slice_is_null(record->value) ? ERR_NO_MEMORY : OK;
}

static enum err abort_record(struct call *call)
{
    struct abort_transaction_record *record;

    TRY(record_add(call, METADATA_RECORD_ABORT_TRANSACTION, 0, &record));
    record->reason = SLICE("Controller failover");
    return OK;
}

static enum err claim_empty(struct call *call, bool transaction_open)
{
    struct metadata_record_list bootstrap = call->controller->options.bootstrap;
    struct begin_transaction_record *begin;
    struct end_transaction_record *end;
    bool transaction;

    if (bootstrap_level(&bootstrap, FEATURE_METADATA_VERSION) == 0)
        TRY(metadata_bootstrap_records(METADATA_VERSION_LATEST, NULL, 0, call->arena, &bootstrap,
                                       call->why));
    transaction =
        bootstrap_level(&bootstrap, FEATURE_METADATA_VERSION) >= METADATA_VERSION_TRANSACTIONS;
    if (transaction_open && !transaction)
        return why_set(call->why, ERR_STATE,
                       "a partial bootstrap transaction at a metadata.version without any");
    if (transaction_open)
        TRY(abort_record(call));
    if (transaction) {
        TRY(record_add(call, METADATA_RECORD_BEGIN_TRANSACTION, 0, &begin));
        begin->name = SLICE("Bootstrap records");
    }
    TRY(bootstrap_records(call, &bootstrap));
    if (bootstrap_level(&bootstrap, FEATURE_ELR_VERSION) > 0)
        TRY(min_isr_record(call));
    if (transaction)
        TRY(record_add(call, METADATA_RECORD_END_TRANSACTION, 0, &end));
    call->result->atomic = !transaction;
    return OK;
}

static enum err claim_records(struct call *call, bool transaction_open)
{
    if (call->metadata_version == 0)
        return claim_empty(call, transaction_open);
    if (!transaction_open)
        return OK;
    if (call->metadata_version < METADATA_VERSION_TRANSACTIONS)
        return why_set(call->why, ERR_STATE,
                       "an open metadata transaction at a metadata.version without any");
    return abort_record(call);
}

/* Unfenced brokers get a whole session to find this controller. */
static enum err heartbeats_start(struct call *call)
{
    const struct metadata_broker *broker;
    struct metadata_walk walk;

    metadata_walk_start(&walk, call->image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        TRY(heartbeat_register(call->controller, broker->id, broker->epoch));
        if (!broker->fenced)
            heartbeat_find(call->controller, broker->id)->contact_ms = call->moment->now_ms;
    }
    return OK;
}

static void tasks_start(struct controller *controller, int64_t now_ms)
{
    const struct controller_options *options = &controller->options;

    controller->task_deadline_ms[TASK_FENCE] = now_ms + options->session_timeout_ms / 8;
    controller->task_deadline_ms[TASK_NO_OP] =
        options->idle_interval_ms_max > 0 ? now_ms + options->idle_interval_ms_max : INT64_MAX;
    controller->task_deadline_ms[TASK_PREFERRED] =
        options->leader_rebalance ? now_ms + options->leader_rebalance_interval_ms : INT64_MAX;
    controller->task_deadline_ms[TASK_UNCLEAN] = now_ms + options->unclean_election_interval_ms;
}

enum err controller_claim(struct controller *controller, const struct controller_claim *claim,
                          const struct controller_moment *moment, struct arena *arena,
                          struct controller_result *out)
{
    struct call call;
    enum err err;

    *out = (struct controller_result){.kraft_version_upgrade = -1};
    controller_renounce(controller);
    TRY(metadata_state_create(controller->allocator, claim->image, &controller->state));
    controller->epoch = claim->epoch;
    controller->end_offset = moment->next_offset;
    controller->written_since_no_op = true;
    call = call_of(controller, moment, arena, out);
    err = controller_quorum_changed(controller, claim->kraft_version, claim->voters,
                                    claim->voter_count);
    if (err == OK)
        err = heartbeats_start(&call);
    if (err == OK)
        err = claim_records(&call, claim->transaction_open);
    if (err != OK) {
        out->records.count = 0;
        controller_renounce(controller);
        return err;
    }
    tasks_start(controller, moment->now_ms);
    LOG_INFO(controller->logger, "controller", "claimed", "epoch=%d offset=%lld records=%zu",
             claim->epoch, (long long)moment->next_offset, out->records.count);
    return OK;
}
