/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics.h: numbers that one shard counts and /metrics shows. Plain counters of the owner's
 * thread; the page is built from copies that the shards send (metrics_page.c). docs/design/metrics.md.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdint.h>

#define METRICS_API_KEYS 96 /* api keys 0…95 */
#define METRICS_LATENCY_BUCKETS 24

/* Powers of two of microseconds: bucket i counts values < 2^i µs; the last one the rest. */
struct latency_histogram {
    uint64_t buckets[METRICS_LATENCY_BUCKETS];
    uint64_t count;
    uint64_t sum_us;
};
void latency_histogram_add(struct latency_histogram *histogram, int64_t us);

struct api_metrics {
    uint64_t requests;
    struct latency_histogram total; /* from the whole frame to the answer given to the connection */
};

struct shard_metrics {
    struct api_metrics *apis[METRICS_API_KEYS]; /* allocated at first use */
    uint64_t bytes_in, bytes_out;               /* of produce batches, of fetched bytes */
    uint64_t messages_in;
    uint64_t produce_requests_failed,
        fetch_requests_failed; /* as Kafka's: docs/design/metrics.md */
    uint64_t bytes_rejected;   /* of batches that are too large */
    uint64_t invalid_records_crc, invalid_records_sequence, no_key_compacted_topic;
    uint64_t requests_unknown;               /* not advertised: closed */
    uint64_t produce_delayed, fetch_delayed; /* waiting now */
    uint64_t produce_expired, fetch_expired;
    uint64_t fetch_sessions, fetch_sessions_evicted, fetch_session_partitions;
    uint64_t throttled_ms_produce, throttled_ms_fetch;
};

#endif
