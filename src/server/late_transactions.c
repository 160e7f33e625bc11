/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/late_transactions.c: see the header.
 */
#include "server/late_transactions.h"

#include "base/assert.h"
#include "server/partition_internal.h"

#define LATE_MS INT64_C(300000) /* on top of the longest timeout */

struct late_transactions {
    struct shard *shard;
    struct timer timer;
    bool is_stopped;
};

bool partition_held_back(const struct partition *partition, struct held_back *out)
{
    const struct producer_state *producers;
    const struct producer_entry *entry;

    if (partition->stage != PARTITION_OPEN || partition->replica.role != REPLICA_LEADER)
        return false;
    producers = log_producers(partition->log);
    if (producers->ongoing.count == 0)
        return false;
    entry = producer_state_find(producers, producers->ongoing.items[0].producer_id);
    if (!entry)
        return false;
    *out = (struct held_back){
        .producer_id = entry->producer_id,
        .producer_epoch = entry->epoch,
        .first_offset = entry->transaction_first_offset,
        .last_write_wall_ms = entry->last_timestamp,
    };
    return true;
}

/* Once for each transaction that is late. */
static void partition_look(void *context, struct partition *partition)
{
    struct late_transactions *late = context;
    struct hosted *hosted = hosted_of(partition);
    int64_t now_ms = reactor_wall_ms(late->shard->reactor);
    int64_t timeout_max_ms =
        config_int(late->shard->publication->config, BROKER_TRANSACTION_MAX_TIMEOUT_MS);
    struct held_back held;

    if (!partition_held_back(partition, &held) ||
        !producer_state_has_late_transaction(log_producers(partition->log), now_ms,
                                             timeout_max_ms) ||
        now_ms - held.last_write_wall_ms <= timeout_max_ms + LATE_MS) {
        hosted->late_told = 0;
        return;
    }
    if (hosted->late_told == held.producer_id + 1)
        return;
    hosted->late_told = held.producer_id + 1;
    LOG_WARN(table_logger(hosted->table), "transactions", "hanging",
             "topic=%.*s partition=%d producer=%lld epoch=%d first_offset=%lld idle_ms=%lld "
             "hint=\"no reader of committed records gets past it: kafka-transactions.sh abort "
             "--topic %.*s --partition %d --start-offset %lld\"",
             SLICE_ARGS(partition->topic), partition->index, (long long)held.producer_id,
             held.producer_epoch, (long long)held.first_offset,
             (long long)(now_ms - held.last_write_wall_ms), SLICE_ARGS(partition->topic),
             partition->index, (long long)held.first_offset);
}

static void look_due(struct timer *timer)
{
    struct late_transactions *late = CONTAINER_OF(timer, struct late_transactions, timer);

    if (late->is_stopped)
        return;
    partition_table_each(late->shard->partitions, partition_look, late);
    timer_set(late->shard->reactor, &late->timer,
              reactor_now_ms(late->shard->reactor) + LATE_LOOK_MS);
}

void late_transactions_create(struct shard *shard, struct late_transactions **out)
{
    struct late_transactions *late = SERVER_NEW(struct late_transactions);

    late->shard = shard;
    timer_init(&late->timer, look_due);
    *out = late;
}

void late_transactions_apply(struct late_transactions *late)
{
    if (!late->is_stopped && !timer_is_set(&late->timer))
        timer_set(late->shard->reactor, &late->timer,
                  reactor_now_ms(late->shard->reactor) + LATE_LOOK_MS);
}

void late_transactions_stop(struct late_transactions *late)
{
    late->is_stopped = true;
    timer_cancel(late->shard->reactor, &late->timer);
}

void late_transactions_release(struct late_transactions **pointer)
{
    struct late_transactions *late = TAKE(*pointer);

    if (!late)
        return;
    timer_cancel(late->shard->reactor, &late->timer);
    SERVER_DELETE(late);
}
