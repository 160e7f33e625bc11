/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/controller_watch.c: how long the controller's events take: one line for each slow one, and one
 * per period about all of them. An idle controller sets no timer and says nothing.
 * controller.performance.always.log.threshold.ms, controller.performance.sample.period.ms.
 */
#include "server/quorum_internal.h"

#define NS_PER_MS 1000000

static void period_over(struct timer *timer)
{
    struct controller_watch *watch = CONTAINER_OF(timer, struct controller_watch, period);

    LOG_INFO(watch->quorum->logger, "controller", "events",
             "period_ms=%lld count=%lld average_ms=%.2f slowest=%s slowest_ms=%.2f",
             (long long)watch->period_ms, (long long)watch->count,
             (double)watch->total_ns / (double)watch->count / NS_PER_MS, watch->slowest,
             (double)watch->slowest_ns / NS_PER_MS);
    watch->count = watch->total_ns = watch->slowest_ns = 0;
}

void controller_watch_init(struct quorum *quorum, const struct config *config)
{
    struct controller_watch *watch = &quorum->run.watch;

    watch->quorum = quorum;
    watch->threshold_ms =
        config_long(config, BROKER_CONTROLLER_PERFORMANCE_ALWAYS_LOG_THRESHOLD_MS);
    watch->period_ms = config_long(config, BROKER_CONTROLLER_PERFORMANCE_SAMPLE_PERIOD_MS);
    timer_init(&watch->period, period_over);
}

void controller_watch_event(struct quorum *quorum, const char *event, int64_t began_ns)
{
    struct controller_watch *watch = &quorum->run.watch;
    int64_t took_ns = os_now_ns(reactor_os(quorum->reactor)) - began_ns;

    if (took_ns / NS_PER_MS >= watch->threshold_ms)
        LOG_INFO(quorum->logger, "controller", "slow_event", "event=%s took_ms=%.2f", event,
                 (double)took_ns / NS_PER_MS);
    if (watch->count++ == 0)
        timer_set(quorum->reactor, &watch->period,
                  reactor_now_ms(quorum->reactor) + watch->period_ms);
    watch->total_ns += took_ns;
    if (watch->count == 1 || took_ns > watch->slowest_ns) {
        watch->slowest_ns = took_ns;
        watch->slowest = event;
    }
}

void controller_watch_stop(struct quorum *quorum)
{
    timer_cancel(quorum->reactor, &quorum->run.watch.period);
}
