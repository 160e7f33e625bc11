/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/rate.c: how many connections came per second, measured as Kafka measures it: over eleven
 * windows of a second, of which ten count as passed even when the node is younger. So a burst of
 * ten times the rate is let through at once, and after it the rate is kept by delays of at most a
 * second.
 */
#include "network/gate_internal.h"

#include <math.h>

static void rate_advance(struct gate_rate *rate, int64_t second)
{
    if (second - rate->second >= GATE_RATE_SECONDS) {
        memset(rate->counts, 0, sizeof(rate->counts));
        rate->second = second;
    }
    while (rate->second < second)
        rate->counts[++rate->second % GATE_RATE_SECONDS] = 0;
}

int64_t gate_rate_record(struct gate_rate *rate, int64_t now_ms, double limit)
{
    double total = 0, elapsed_ms, wait_ms;

    if (isinf(limit))
        return 0;
    rate_advance(rate, now_ms / 1000);
    rate->counts[rate->second % GATE_RATE_SECONDS]++;
    for (size_t i = 0; i < GATE_RATE_SECONDS; i++)
        total += rate->counts[i];
    elapsed_ms = (double)((GATE_RATE_SECONDS - 1) * 1000 + now_ms % 1000);
    if (total * 1000 <= limit * elapsed_ms)
        return 0;
    if (limit <= 0)
        return GATE_THROTTLE_MS_MAX;
    wait_ms = ceil(total * 1000 / limit - elapsed_ms);
    return wait_ms >= GATE_THROTTLE_MS_MAX ? GATE_THROTTLE_MS_MAX : (int64_t)wait_ms;
}

void gate_rate_forget(struct gate_rate *rate)
{
    int32_t *count = &rate->counts[rate->second % GATE_RATE_SECONDS];

    if (*count > 0)
        --*count;
}
