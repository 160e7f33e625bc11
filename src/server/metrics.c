/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics.c: counting. Threads: the owner's.
 */
#include "server/metrics.h"

void latency_histogram_add(struct latency_histogram *histogram, int64_t us)
{
    int bucket = 0;

    while (bucket < METRICS_LATENCY_BUCKETS - 1 && us >= (int64_t)1 << bucket)
        bucket++;
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum_us += us > 0 ? (uint64_t)us : 0;
}
