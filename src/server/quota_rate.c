/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quota_rate.c: Kafka's way of measuring a rate: the sum of some windows over the time since the oldest
 * began, never less than all but one window. Pure.
 */
#include "server/quota_rate.h"

#include "base/macros.h"

#include <math.h>

static void sample_start(struct quota_sample *sample, int64_t now_ms)
{
    *sample = (struct quota_sample){.start_ms = now_ms, .last_ms = now_ms};
}

static struct quota_sample *sample_now(struct quota_rate *rate, const struct quota_windows *windows,
                                       int64_t now_ms)
{
    struct quota_sample *sample = &rate->samples[rate->current];

    if (rate->used == 0) {
        rate->used = 1;
        sample_start(sample, now_ms);
        return sample;
    }
    if (now_ms - sample->start_ms < windows->size_ms)
        return sample;
    rate->current = (rate->current + 1) % windows->count;
    rate->used = MIN(rate->used + 1, windows->count);
    sample = &rate->samples[rate->current];
    sample_start(sample, now_ms);
    return sample;
}

void quota_rate_record(struct quota_rate *rate, const struct quota_windows *windows, int64_t now_ms,
                       double value)
{
    struct quota_sample *sample = sample_now(rate, windows, now_ms);

    sample->value += value;
    sample->last_ms = now_ms;
}

void quota_rate_measure(struct quota_rate *rate, const struct quota_windows *windows,
                        int64_t now_ms, double *sum_out, int64_t *span_ms_out)
{
    int64_t oldest_ms = now_ms;
    int64_t span_ms, full;
    double sum = 0;

    for (int32_t i = 0; i < rate->used; i++) {
        struct quota_sample *sample = &rate->samples[i];

        if (now_ms - sample->last_ms >= windows->count * windows->size_ms)
            sample_start(sample, now_ms);
        sum += sample->value;
        oldest_ms = MIN(oldest_ms, sample->start_ms);
    }
    span_ms = now_ms - oldest_ms;
    full = span_ms / windows->size_ms;
    if (full < windows->count - 1)
        span_ms += (windows->count - 1 - full) * windows->size_ms;
    *sum_out = sum;
    *span_ms_out = MAX(span_ms, 1);
}

int64_t quota_rate_throttle_ms(double sum, int64_t span_ms, double limit)
{
    double observed = sum * 1000.0 / (double)span_ms;

    if (!(observed > limit) || limit <= 0)
        return observed > limit ? INT32_MAX : 0;
    return (int64_t)llround(MIN((observed - limit) / limit * (double)span_ms, (double)INT32_MAX));
}

int64_t quota_bucket_throttle_ms(struct quota_bucket *bucket, const struct quota_windows *windows,
                                 int64_t now_ms, double rate)
{
    double capacity = rate * (double)windows->count * (double)windows->size_ms / 1000.0;

    if (!bucket->is_filled) {
        bucket->is_filled = true;
        bucket->tokens = capacity;
    } else {
        bucket->tokens =
            MIN(capacity, bucket->tokens + rate * (double)(now_ms - bucket->refilled_ms) / 1000.0);
    }
    bucket->refilled_ms = now_ms;
    if (bucket->tokens >= 0)
        return 0;
    if (rate <= 0)
        return INT32_MAX;
    return (int64_t)llround(MIN(-bucket->tokens / rate * 1000.0, (double)INT32_MAX));
}

void quota_bucket_take(struct quota_bucket *bucket, double permits)
{
    bucket->tokens -= permits;
}
