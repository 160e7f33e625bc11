/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quota_exchange.c: several shards hold one limit together: what a shard recorded in the last 100 ms it
 * tells the others, which record it as if it were their own. An idle node sends nothing; one shard never
 * does.
 * A report that finds no memory is not told: the limit is held less exactly until there is some.
 * Threads  each shard its own service; reports travel by mail.
 */
#include "server/quota_internal.h"

#include "base/memory_reserve.h"
#include "server/node.h"

#define EXCHANGE_MS 100

struct usage_report {
    struct mail mail;
    struct shard *to;
    size_t block_bytes;
    enum quota_kind kind;
    bool is_shared; /* of no client in particular */
    bool is_open;
    double amount;
    size_t user_bytes, client_bytes; /* SIZE_MAX: null */
    uint8_t texts[];
};

static void report_drop(struct mail *mail)
{
    struct usage_report *report = CONTAINER_OF(mail, struct usage_report, mail);

    heap_allocator.release(&heap_allocator, report, report->block_bytes);
}

static size_t text_bytes(size_t told)
{
    return told == SIZE_MAX ? 0 : told;
}

static struct slice text_of(const uint8_t *at, size_t told)
{
    return told == SIZE_MAX ? SLICE_NULL : slice_of(at, told);
}

static void report_deliver(struct mail *mail, struct reactor *to)
{
    struct usage_report *report = CONTAINER_OF(mail, struct usage_report, mail);
    struct quota_service *service = report->to->quotas;
    struct quota_usage_key key = {
        .kind = report->kind,
        .user = text_of(report->texts, report->user_bytes),
        .client_id = text_of(report->texts + text_bytes(report->user_bytes), report->client_bytes),
        .is_open = report->is_open,
    };
    struct quota_usage *usage = report->is_shared
                                    ? &service->shared[report->kind]
                                    : quota_usage_get(service, &key, reactor_now_ms(to));

    quota_rate_record(&usage->rate, &service->windows, reactor_now_ms(to), report->amount);
    report_drop(mail);
}

static size_t told_bytes(struct slice text)
{
    return slice_is_null(text) ? SIZE_MAX : text.size_bytes;
}

static void report_send(struct quota_service *service, const struct quota_usage *usage,
                        struct shard *to)
{
    size_t size_bytes =
        sizeof(struct usage_report) + usage->key.user.size_bytes + usage->key.client_id.size_bytes;
    struct usage_report *report =
        memory_reserve_is_whole() ? allocator_zeroed(&heap_allocator, size_bytes) : NULL;

    if (!report)
        return;
    report->to = to;
    report->block_bytes = size_bytes;
    report->kind = usage->key.kind;
    report->is_shared = usage == &service->shared[usage->key.kind];
    report->is_open = usage->key.is_open;
    report->amount = usage->recorded;
    report->user_bytes = told_bytes(usage->key.user);
    report->client_bytes = told_bytes(usage->key.client_id);
    if (usage->key.user.size_bytes > 0)
        memcpy(report->texts, usage->key.user.data, usage->key.user.size_bytes);
    if (usage->key.client_id.size_bytes > 0)
        memcpy(report->texts + usage->key.user.size_bytes, usage->key.client_id.data,
               usage->key.client_id.size_bytes);
    report->mail.deliver = report_deliver;
    report->mail.drop = report_drop;
    reactor_send(service->shard->reactor, to->reactor, &report->mail);
}

static void usage_tell(struct quota_service *service, struct quota_usage *usage)
{
    const struct node *node = service->shard->node;

    if (usage->recorded == 0)
        return;
    for (size_t i = 0; i < node->shard_count; i++)
        if ((int)i != service->shard->index)
            report_send(service, usage, &node->shards[i]);
    usage->recorded = 0;
}

static void exchange(struct timer *timer)
{
    struct quota_service *service = CONTAINER_OF(timer, struct quota_service, exchange);

    LIST_EACH (each, &service->recent)
        usage_tell(service, LIST_ITEM(each, struct quota_usage, recent));
    for (int kind = 0; kind < QUOTA_KINDS; kind++)
        usage_tell(service, &service->shared[kind]);
}

void quota_exchange_init(struct quota_service *service)
{
    timer_init(&service->exchange, exchange);
}

void quota_exchange_wake(struct quota_service *service)
{
    if (service->shard->node->shard_count > 1 && !timer_is_set(&service->exchange))
        timer_set(service->shard->reactor, &service->exchange,
                  reactor_now_ms(service->shard->reactor) + EXCHANGE_MS);
}

void quota_exchange_stop(struct quota_service *service)
{
    timer_cancel(service->shard->reactor, &service->exchange);
}
