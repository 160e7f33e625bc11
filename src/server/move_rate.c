/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/move_rate.c: how fast replicas move between the directories of this node:
 * replica.alter.log.dirs.io.max.bytes.per.second, measured over the windows of
 * alter.log.dirs.replication.quota.*. Each shard holds its share of the limit.
 * docs/design/partitions.md §10.
 */
#include "server/move_rate.h"

#include "server/partition_internal.h"

static void wait_over(struct timer *timer)
{
    struct partition_table *table = CONTAINER_OF(timer, struct partition_table, moves.timer);

    HASH_MAP_EACH_SAFE (node, &table->partitions) {
        struct hosted *hosted = HASH_MAP_ITEM(node, struct hosted, partition.node);

        if (hosted->move)
            partition_move_step(hosted);
    }
}

void move_rate_init(struct move_rate *rate)
{
    rate->limit = INT64_MAX;
    timer_init(&rate->timer, wait_over);
}

void move_rate_apply(struct move_rate *rate, const struct shard *shard, const struct config *config)
{
    int64_t limit = config_long(config, BROKER_REPLICA_ALTER_LOG_DIRS_IO_MAX_BYTES_PER_SECOND);

    rate->windows = (struct quota_windows){
        .count = MIN(config_int(config, BROKER_ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_NUM),
                     QUOTA_SAMPLES_MAX),
        .size_ms = 1000 * (int64_t)config_int(
                              config, BROKER_ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_SIZE_SECONDS),
    };
    rate->limit = limit == INT64_MAX ? limit : limit / (int64_t)shard->node->shard_count;
    if (timer_is_set(&rate->timer)) /* the limit may have risen */
        timer_set(shard->reactor, &rate->timer, reactor_now_ms(shard->reactor));
}

size_t move_rate_piece_bytes(const struct move_rate *rate)
{
    return (size_t)MIN(MAX(rate->limit, 1), (int64_t)MOVE_BYTES_MAX);
}

bool move_rate_waits(struct move_rate *rate, struct reactor *reactor)
{
    int64_t now_ms = reactor_now_ms(reactor);
    int64_t wait_ms, span_ms;
    double sum;

    if (rate->limit == INT64_MAX)
        return false;
    if (timer_is_set(&rate->timer))
        return true;
    quota_rate_measure(&rate->used, &rate->windows, now_ms, &sum, &span_ms);
    wait_ms = rate->limit > 0 ? quota_rate_throttle_ms(sum, span_ms, (double)rate->limit)
                              : rate->windows.size_ms;
    if (wait_ms <= 0)
        return false;
    timer_set(reactor, &rate->timer, now_ms + MIN(wait_ms, rate->windows.size_ms));
    return true;
}

void move_rate_record(struct move_rate *rate, struct reactor *reactor, size_t size_bytes)
{
    if (rate->limit != INT64_MAX)
        quota_rate_record(&rate->used, &rate->windows, reactor_now_ms(reactor), (double)size_bytes);
}
