/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_service.c: which coordinators a shard runs, from one publication to the next.
 * docs/design/coordinator_runner.md §1.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"
#include "server/publication.h"

/* ---- options ---- */

static void options_take(struct coordinator_service *service, const struct config *config)
{
    struct arena old = service->options_arena;

    arena_init(&service->options_arena, &must_allocator, SIZE_MAX);
    service->kind->options_read(config, service);
    service->has_options = true;
    for (size_t i = 0; i < service->runner_count; i++) {
        struct coordinator_runner *runner = service->runners[i];

        if (runner && runner->core && service->kind->set_options(runner->core, service) != OK)
            LOG_WARN(runner_logger(runner), "coordinator", "options_not_taken",
                     "topic=%.*s partition=%d", SLICE_ARGS(service->kind->topic), runner->index);
    }
    arena_release(&old);
}

/* ---- from publication to publication ---- */

static void runners_close(struct coordinator_service *service)
{
    for (size_t i = 0; i < service->runner_count; i++)
        if (service->runners[i])
            runner_close(service->runners[i]);
}

static void runners_room(struct coordinator_service *service, size_t count)
{
    struct coordinator_runner **runners;

    if (count <= service->runner_count)
        return;
    runners = server_allocate(count * sizeof(struct coordinator_runner *));
    if (service->runner_count > 0)
        memcpy((void *)runners, (const void *)service->runners,
               service->runner_count * sizeof(struct coordinator_runner *));
    server_free((void *)service->runners,
                service->runner_count * sizeof(struct coordinator_runner *));
    service->runners = runners;
    service->runner_count = count;
}

static void partition_apply(struct coordinator_service *service, int32_t index,
                            const struct metadata_partition *metadata)
{
    struct coordinator_runner *runner = service->runners[index];
    bool leads = metadata && metadata->leader == service->shard->node->config.node_id;

    if (!leads) {
        if (runner)
            runner_close(runner);
        return;
    }
    if (runner && metadata->leader_epoch > runner->leader_epoch &&
        (runner->state == RUNNER_FAILED || service->kind->reloads_on_epoch)) {
        runner_close(runner);
        runner = NULL;
    }
    if (runner)
        runner->leader_epoch = metadata->leader_epoch;
    else
        runner_create(service, index, metadata->leader_epoch, false);
}

static void topic_apply(struct coordinator_service *service, const struct metadata_topic *topic)
{
    struct node *node = service->shard->node;

    if (!topic || !uuid_equal(topic->id, service->topic_id)) {
        runners_close(service);
        service->topic_id = topic ? topic->id : UUID_ZERO;
    }
    if (!topic)
        return;
    runners_room(service, (size_t)topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (shard_of_partition(node, topic->id, i) == service->shard->index)
            partition_apply(service, i, metadata_topic_partition(topic, i));
}

void coordinator_service_apply(struct coordinator_service *service,
                               const struct publication *before, const struct publication *after)
{
    if (service->is_stopped)
        return;
    if (!service->has_options || !before || before->config != after->config)
        options_take(service, after->config);
    topic_apply(service, metadata_image_topic(after->image, service->kind->topic));
    for (size_t i = 0; before && i < service->runner_count; i++) {
        struct coordinator_runner *runner = service->runners[i];

        if (runner && runner->state == RUNNER_ACTIVE)
            runner_image_changed(runner, before->image);
    }
}

/* ---- looking in ---- */

void coordinator_service_each(struct coordinator_service *service,
                              const struct coordinator_watcher *watcher)
{
    for (size_t i = 0; i < service->runner_count; i++) {
        const struct coordinator_runner *runner = service->runners[i];

        if (!runner || runner->state != RUNNER_ACTIVE)
            continue;
        service->kind->each(runner->core, watcher);
    }
}

/* ---- the service ---- */

static void stopped_turn(struct deferred *deferred)
{
    struct coordinator_service *service =
        CONTAINER_OF(deferred, struct coordinator_service, stopped_turn);
    void (*stopped)(void *context) = service->stopped;

    if (!stopped || !list_is_empty(&service->closing) || service->visits > 0)
        return;
    service->stopped = NULL;
    stopped(service->stopped_context);
}

void service_visit_begin(struct coordinator_service *service)
{
    service->visits++;
}

void service_visit_end(struct coordinator_service *service)
{
    ASSERT(service->visits > 0);
    if (--service->visits == 0 && service->is_stopped)
        reactor_defer(service->shard->reactor, &service->stopped_turn);
}

enum err coordinator_service_create(struct shard *shard, const struct coordinator_kind *kind,
                                    struct coordinator_service **out)
{
    struct coordinator_service *service = SERVER_NEW(struct coordinator_service);

    service->shard = shard;
    service->kind = kind;
    list_init(&service->closing);
    list_init(&service->loads);
    list_init(&service->ended);
    list_init(&service->spare);
    deferred_init(&service->ended_turn, service_answers_turn);
    deferred_init(&service->stopped_turn, stopped_turn);
    timer_init(&service->unfetched_timer, service_unfetched_turn);
    arena_init(&service->options_arena, &must_allocator, SIZE_MAX);
    *out = service;
    return OK;
}

void coordinator_service_stop(struct coordinator_service *service, void (*done)(void *context),
                              void *context)
{
    ASSERT(!service->is_stopped);
    service->is_stopped = true;
    service->stopped = done;
    service->stopped_context = context;
    runners_close(service);
    timer_cancel(service->shard->reactor, &service->unfetched_timer);
    reactor_defer(service->shard->reactor, &service->stopped_turn);
}

void coordinator_service_release(struct coordinator_service **pointer)
{
    struct coordinator_service *service = TAKE(*pointer);

    if (!service)
        return;
    ASSERT(list_is_empty(&service->closing) || service->is_stopped);
    reactor_defer_cancel(service->shard->reactor, &service->ended_turn);
    reactor_defer_cancel(service->shard->reactor, &service->stopped_turn);
    timer_cancel(service->shard->reactor, &service->unfetched_timer);
    while (!list_is_empty(&service->spare)) {
        struct effects_block *block =
            LIST_ITEM(list_pop_front(&service->spare), struct effects_block, node);

        arena_release(&block->arena);
        SERVER_DELETE(block);
    }
    server_free((void *)service->runners,
                service->runner_count * sizeof(struct coordinator_runner *));
    arena_release(&service->options_arena);
    SERVER_DELETE(service);
}
