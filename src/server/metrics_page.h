/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_page.h: what /metrics shows, and its text. The sample is a copy, so the page is built
 * on any thread; the text is Prometheus' exposition format 0.0.4 with the names that exporters give
 * Kafka's own metrics (requests.md §8 of the reference). docs/design/metrics.md.
 */
#ifndef SERVER_METRICS_PAGE_H
#define SERVER_METRICS_PAGE_H

#include "base/arena.h"
#include "base/writer.h"
#include "controller/controller.h"
#include "network/network.h"
#include "os/os.h"
#include "server/metrics.h"
#include "storage/storage.h"

struct shard;

struct partition_sample {
    struct slice topic;
    struct uuid topic_id;
    int32_t partition;
    bool is_open; /* else the offsets are not known: the log was not asked for yet */
    bool is_offline, is_leader;
    int32_t replicas, isr, min_isr;
    int64_t start_offset, end_offset, high_watermark, size_bytes;
    int64_t segments;
};

#define METRICS_GROUP_STATES 32 /* combinations of type and state */
struct group_state_sample {
    const char *type, *state; /* static texts */
    int64_t groups, members;
};
struct group_offset_sample {
    struct slice group_id, topic;
    int32_t partition;
    int64_t offset;
    /* group_offsets_match: of the partition, on this node and open. NULL: not on the page. */
    const struct partition_sample *log;
    int32_t log_shard;
    int64_t oldest_ms; /* lag_times.c: when the record at `offset` was written; -1: not known */
};

#define METRICS_TRANSACTION_STATES 8
#define METRICS_OPEN_TRANSACTIONS_MAX 1000 /* of a shard: to name those that hold readers back */
#define METRICS_HELD_MAX 100
struct transaction_state_sample {
    const char *state; /* static text */
    int64_t count;
};
struct open_transaction_sample {
    struct slice transactional_id;
    int64_t producer_id, start_wall_ms;
};
struct held_sample { /* a partition with an open transaction */
    struct slice topic;
    int32_t partition;
    int64_t producer_id, last_write_wall_ms;
};

struct shard_sample {
    struct shard_metrics metrics; /* its histograms are copies in the arena */
    struct network_counts network;
    struct cleaner_stats cleaner;
    const struct partition_sample *partitions;
    size_t partition_count;
    /* metrics_groups.c */
    struct group_state_sample group_states[METRICS_GROUP_STATES];
    size_t group_state_count;
    struct group_offset_sample *group_offsets;
    size_t group_offset_count;
    int64_t group_offsets_left_out;
    int32_t group_series_max;
    /* metrics_transactions.c */
    struct transaction_state_sample transaction_states[METRICS_TRANSACTION_STATES];
    size_t transaction_state_count;
    struct open_transaction_sample *open_transactions;
    size_t open_transaction_count;
    struct held_sample *held;
    size_t held_count;
    int64_t held_left_out, wall_ms;
};

struct directory_sample {
    const char *path;
    int64_t free_bytes, total_bytes;
    bool is_offline, is_low;
};

struct node_sample {
    int broker_state; /* enum broker_state */
    bool is_active_controller;
    struct controller_stats controller;
    int64_t metadata_offset;
    struct os_usage usage;
    int64_t uptime_ms;
    const char *version;
    const struct shard_sample *shards;
    size_t shard_count;
    int64_t group_series_left_out;
    int64_t wall_ms;
    const struct directory_sample *directories;
    size_t directory_count;
};

/* metrics_groups.c: on the shard, and on the page. */
void group_sample_take(const struct shard *shard, struct arena *arena, struct shard_sample *sample);
/* Finds the partitions of the offsets. At most barnabas.metrics.group.series.max get one; gives the number
 * of those that were left out, here or on the shards. */
int64_t group_offsets_match(struct shard_sample *shards, size_t shard_count);
void metrics_groups_write(const struct node_sample *sample, struct writer *out);
/* metrics_transactions.c, likewise. */
void transaction_sample_take(const struct shard *shard, struct arena *arena,
                             struct shard_sample *sample);
void metrics_transactions_write(const struct node_sample *sample, struct writer *out);

void metrics_page_write(const struct node_sample *sample, struct writer *out);

#endif
