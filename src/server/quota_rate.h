/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quota_rate.h: what was used of late: Kafka's sampled rate and token bucket, as pure values
 * (requests.md §5 of the reference). Threads: none of its own.
 */
#ifndef SERVER_QUOTA_RATE_H
#define SERVER_QUOTA_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_SAMPLES_MAX 64

struct quota_windows {
    int32_t count;   /* quota.window.num, at most QUOTA_SAMPLES_MAX */
    int64_t size_ms; /* quota.window.size.seconds */
};

struct quota_sample {
    int64_t start_ms;
    int64_t last_ms; /* of the last record in it */
    double value;
};
struct quota_rate {
    struct quota_sample samples[QUOTA_SAMPLES_MAX];
    int32_t used;    /* samples that exist */
    int32_t current; /* the newest */
};

void quota_rate_record(struct quota_rate *rate, const struct quota_windows *windows, int64_t now_ms,
                       double value);
/* Sum of the samples that are not too old, and the span that it is measured against. */
void quota_rate_measure(struct quota_rate *rate, const struct quota_windows *windows,
                        int64_t now_ms, double *sum_out, int64_t *span_ms_out);
/* How long to wait so that `sum` over `span` comes down to the limit per second; 0: within it. */
int64_t quota_rate_throttle_ms(double sum, int64_t span_ms, double limit);

/* controller_mutation_rate: starts full, refills, may go below zero by one operation. */
struct quota_bucket {
    double tokens;
    int64_t refilled_ms;
    bool is_filled;
};
/* ms until it is no longer below zero; 0: an operation may go on. */
int64_t quota_bucket_throttle_ms(struct quota_bucket *bucket, const struct quota_windows *windows,
                                 int64_t now_ms, double rate);
void quota_bucket_take(struct quota_bucket *bucket, double permits);

#endif
