/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/replay.c: records of __transaction_state into values, at load and right after
 * this leader has appended them. transactions.md §3 of the reference.
 */
#include "coordinator/transaction_internal.h"

#define KEY_TYPE 0

struct replayed {
    struct transaction_coordinator *coordinator;
    int64_t offset;
    struct arena *scratch;
    struct why *why;
};

static enum err broken(const struct replayed *record, const char *what)
{
    return why_set(record->why, ERR_CORRUPT, "transaction record at offset %lld: %s",
                   (long long)record->offset, what);
}

static enum err decoded(const struct replayed *record, enum err err, const char *what)
{
    return err == OK || err == ERR_NO_MEMORY ? err : broken(record, what);
}

/* A state that is written, and what it must have. */
static enum err value_check(const struct replayed *record, const struct transaction_log_value *log)
{
    if (log->transaction_status < TRANSACTION_EMPTY ||
        log->transaction_status > TRANSACTION_COMPLETE_ABORT)
        return broken(record, "no such state");
    if (log->producer_id < 0 || log->producer_epoch < 0 || log->next_producer_id < -1)
        return broken(record, "no producer id");
    if (log->client_transaction_version < 0 || log->client_transaction_version > 2)
        return broken(record, "no such transaction version");
    if (log->transaction_partitions_count < 0 && log->transaction_status != TRANSACTION_EMPTY)
        return broken(record, "no partitions");
    return OK;
}

static enum err partitions_take(const struct replayed *record,
                                const struct transaction_log_value *log,
                                struct transaction_partitions **out)
{
    struct coordinator_partition *all;
    size_t count = 0, at = 0;

    for (int32_t i = 0; i < log->transaction_partitions_count; i++)
        count += (size_t)log->transaction_partitions[i].partition_ids_count;
    if (count > TRANSACTION_PARTITIONS_MAX)
        return broken(record, "too many partitions");
    all = ARENA_ARRAY(record->scratch, struct coordinator_partition, count);
    if (!all)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < log->transaction_partitions_count; i++) {
        const struct transaction_log_value_partitions_schema *topic =
            &log->transaction_partitions[i];

        for (int32_t k = 0; k < topic->partition_ids_count; k++)
            all[at++] = (struct coordinator_partition){topic->topic, topic->partition_ids[k]};
    }
    return transaction_partitions_union(record->coordinator->allocator, record->scratch, NULL, all,
                                        count, out);
}

static enum err value_take(const struct replayed *record, struct slice bytes, int16_t version,
                           struct transaction_value *out)
{
    struct cursor cursor = cursor_of(bytes);
    struct transaction_log_value log;

    TRY(decoded(
        record,
        message_decode(&transaction_log_value_type, version, &cursor, record->scratch, &log),
        "broken value"));
    TRY(value_check(record, &log));
    *out = (struct transaction_value){
        .producer_id = log.producer_id,
        .previous_producer_id = log.previous_producer_id,
        .next_producer_id = log.next_producer_id,
        .update_wall_ms = log.transaction_last_update_timestamp_ms,
        .start_wall_ms = log.transaction_start_timestamp_ms,
        .timeout_ms = log.transaction_timeout_ms,
        .epoch = log.producer_epoch,
        .last_epoch = -1,
        .state = log.transaction_status,
        .client_version = (int8_t)log.client_transaction_version,
    };
    if (log.transaction_status == TRANSACTION_EMPTY)
        return OK;
    return partitions_take(record, &log, &out->partitions);
}

static enum err value_apply(const struct replayed *record, struct slice id,
                            struct transaction_value *value)
{
    struct transaction_coordinator *coordinator = record->coordinator;
    struct transaction *t = transaction_find(coordinator, id);

    if (!t) {
        enum err err = transaction_create(coordinator, id, &t);

        if (err != OK) {
            transaction_partitions_release(coordinator->allocator, &value->partitions);
            return err;
        }
    }
    transaction_partitions_release(coordinator->allocator, &t->value.partitions);
    t->value = *value;
    t->last_offset = record->offset;
    return OK;
}

static enum err record_apply(const struct replayed *record, struct slice id, struct slice bytes)
{
    struct transaction_coordinator *coordinator = record->coordinator;
    struct transaction *t = transaction_find(coordinator, id);
    struct cursor cursor = cursor_of(bytes);
    struct transaction_value value;
    int16_t version;

    /* Our own: the draft has said it, and knows more. */
    if (coordinator->loaded) {
        ASSERT(t && transaction_has_draft(t));
        return transaction_draft_replayed(coordinator, t, record->offset);
    }
    if (slice_is_null(bytes)) {
        if (t)
            transaction_remove(coordinator, t);
        return OK;
    }
    TRY(decoded(record, cursor_i16(&cursor, &version), "value without a version"));
    if (version < transaction_log_value_type.version_min ||
        version > transaction_log_value_type.version_max) {
        LOG_WARN(coordinator->logger, TRANSACTION_LOG, "transaction_record_passed_over",
                 "transactional_id=%.*s value_version=%d offset=%lld", SLICE_ARGS(id), version,
                 (long long)record->offset);
        return OK;
    }
    TRY(value_take(record, slice_sub(bytes, sizeof version, SIZE_MAX), version, &value));
    return value_apply(record, id, &value);
}

static enum err key_take(const struct replayed *record, struct slice bytes, int16_t *type_out,
                         struct slice *id_out)
{
    struct cursor cursor = cursor_of(bytes);
    struct transaction_log_key key;

    if (slice_is_null(bytes))
        return broken(record, "no key");
    TRY(decoded(record, cursor_i16(&cursor, type_out), "broken key"));
    if (*type_out != KEY_TYPE)
        return OK;
    TRY(decoded(record,
                message_decode(&transaction_log_key_type, 0, &cursor, record->scratch, &key),
                "broken key"));
    *id_out = key.transactional_id;
    return OK;
}

enum err transaction_coordinator_replay(struct transaction_coordinator *coordinator,
                                        const struct coordinator_record *record, int64_t offset,
                                        struct why *why)
{
    struct arena scratch;
    struct replayed replayed = {coordinator, offset, &scratch, why};
    struct slice id = SLICE_NULL;
    int16_t type;
    enum err err;

    arena_init(&scratch, coordinator->allocator, SIZE_MAX);
    err = key_take(&replayed, record->key, &type, &id);
    if (err == OK && type == KEY_TYPE)
        err = record_apply(&replayed, id, record->value);
    else if (err == OK)
        LOG_WARN(coordinator->logger, TRANSACTION_LOG, "transaction_record_passed_over",
                 "key_type=%d offset=%lld", type, (long long)offset);
    arena_release(&scratch);
    return err;
}
