/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/record.c: values into records of __transaction_state, and answers into the
 * effects. transactions.md §3 of the reference.
 */
#include "coordinator/transaction_internal.h"

#define VALUE_VERSION_FLEXIBLE 1 /* from transaction.version 1 on */

static enum err encoded(struct arena *arena, int16_t prefix, const struct message_type *type,
                        int16_t version, const void *message, struct slice *out)
{
    struct writer writer;
    size_t size_bytes;
    uint8_t *buffer;
    enum err err = message_size(type, version, message, &size_bytes);

    ASSERT(err == OK); /* what we write, we can write */
    buffer = arena_allocate(arena, size_bytes + sizeof prefix);
    if (!buffer)
        return ERR_NO_MEMORY;
    writer_init_fixed(&writer, buffer, size_bytes + sizeof prefix);
    writer_i16(&writer, prefix);
    err = message_encode(type, version, message, &writer);
    if (err == OK)
        err = writer_error(&writer);
    ASSERT(err == OK);
    *out = writer_slice(&writer);
    return OK;
}

/* Null of Empty, else a list, which may be empty. */
static enum err partitions_fill(struct arena *arena, const struct transaction_partitions *set,
                                struct transaction_log_value *out)
{
    size_t count = transaction_partitions_count(set);
    int32_t *indexes = ARENA_ARRAY(arena, int32_t, count);
    struct transaction_log_value_partitions_schema *topic = NULL;

    out->transaction_partitions_count = 0;
    out->transaction_partitions = transaction_log_value_partitions_schema_array(arena, count);
    if (!out->transaction_partitions || !indexes)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        indexes[i] = set->items[i].index;
        if (!topic || !slice_equal(topic->topic, set->items[i].topic)) {
            topic = &out->transaction_partitions[out->transaction_partitions_count++];
            topic->topic = set->items[i].topic;
            topic->partition_ids = &indexes[i];
        }
        topic->partition_ids_count++;
    }
    return OK;
}

static enum err value_encode(struct transaction_call *call, const struct transaction_value *value,
                             struct slice *out)
{
    bool is_flexible = metadata_image_level(call->moment->image, FEATURE_TRANSACTION_VERSION) >= 1;
    int16_t version = is_flexible ? VALUE_VERSION_FLEXIBLE : 0;
    struct transaction_log_value log;

    transaction_log_value_init(&log);
    log.producer_id = value->producer_id;
    log.producer_epoch = value->epoch;
    log.transaction_timeout_ms = value->timeout_ms;
    log.transaction_status = value->state;
    log.transaction_last_update_timestamp_ms = value->update_wall_ms;
    log.transaction_start_timestamp_ms = value->start_wall_ms;
    log.transaction_partitions_count = -1;
    if (is_flexible) {
        log.previous_producer_id = value->previous_producer_id;
        log.next_producer_id = value->next_producer_id;
        log.client_transaction_version = value->client_version;
    }
    if (value->state == TRANSACTION_EMPTY)
        ASSERT(value->partitions == NULL);
    else
        TRY(partitions_fill(call->arena, value->partitions, &log));
    return encoded(call->arena, version, &transaction_log_value_type, version, &log, out);
}

enum err transaction_record(struct transaction_call *call, const struct transaction *t,
                            const struct transaction_value *value)
{
    struct transaction_log_key key;
    struct slice key_bytes, value_bytes = SLICE_NULL;

    transaction_log_key_init(&key);
    key.transactional_id = transaction_id(t);
    TRY(encoded(call->arena, transaction_log_key_type.key, &transaction_log_key_type, 0, &key,
                &key_bytes));
    if (value->state != TRANSACTION_DEAD)
        TRY(value_encode(call, value, &value_bytes));
    if (call->effects->write == 0)
        call->effects->write = ++call->coordinator->write_last;
    return coordinator_effects_record(call->effects, key_bytes, value_bytes);
}

/* ---- answers ---- */

enum err transaction_reply(struct transaction_call *call, void *response, bool after_commit)
{
    ASSERT(call->request != NULL);
    return coordinator_effects_reply(call->effects, call->request->token, response, after_commit);
}

enum err transaction_refuse(struct transaction_call *call, enum err err)
{
    struct init_producer_id_response *initialized;
    struct transaction_added *added;
    struct end_txn_response *ended;

    switch (call->request->api_key) {
    case API_INIT_PRODUCER_ID:
        initialized = init_producer_id_response_array(call->arena, 1);
        if (!initialized)
            return ERR_NO_MEMORY;
        initialized->error_code = err_wire_code(err);
        initialized->producer_epoch = -1;
        return transaction_reply(call, initialized, false);
    case API_ADD_PARTITIONS_TO_TXN:
        added = ARENA_NEW(call->arena, struct transaction_added);
        if (!added)
            return ERR_NO_MEMORY;
        added->err = err;
        return transaction_reply(call, added, false);
    default:
        ASSERT(call->request->api_key == API_END_TXN);
        ended = end_txn_response_array(call->arena, 1);
        if (!ended)
            return ERR_NO_MEMORY;
        ended->error_code = err_wire_code(err);
        return transaction_reply(call, ended, false);
    }
}
