/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/lag_times.h: when the oldest record was written that a group has not committed: for its lag in
 * seconds on /metrics. docs/design/metrics.md.
 *
 * Threads  All of it is the HTTP thread's. Shards read headers of batches for it, when asked by mail; an
 *          answer that comes late is dropped.
 */
#ifndef SERVER_LAG_TIMES_H
#define SERVER_LAG_TIMES_H

#include "server/metrics_page.h"

struct lag_times;
struct node;

struct lag_times *lag_times_create(struct node *node, struct os_port *port);
void lag_times_release(struct lag_times **times); /* NULL-safe */
/* Sets behind and oldest_ms of all group offsets that the page will show. What is not remembered is
 * looked up, LAG_LOOKUPS_MAX at a time; waits until `deadline_ns` for it. */
#define LAG_LOOKUPS_MAX 512
void lag_times_fill(struct lag_times *times, struct shard_sample *shards, size_t shard_count,
                    int64_t deadline_ns);

#endif
