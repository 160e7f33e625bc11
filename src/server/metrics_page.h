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

struct partition_sample {
    struct slice topic;
    int32_t partition;
    bool is_open; /* else the offsets are not known: the log was not asked for yet */
    bool is_offline, is_leader;
    int32_t replicas, isr, min_isr;
    int64_t start_offset, end_offset, high_watermark, size_bytes;
    int64_t segments;
};

struct shard_sample {
    struct shard_metrics metrics; /* its histograms are copies in the arena */
    struct network_counts network;
    const struct partition_sample *partitions;
    size_t partition_count;
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
    const struct directory_sample *directories;
    size_t directory_count;
};

void metrics_page_write(const struct node_sample *sample, struct writer *out);

#endif
