/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_runner.c: one coordinator from election to resignation: its partition, its
 * timers and tasks, and what becomes of its effects. docs/design/coordinator_runner.md §1, §2.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"

/* ---- life ---- */

static void runner_free(struct coordinator_runner *runner)
{
    struct coordinator_service *service = runner->service;

    ASSERT(runner->state == RUNNER_CLOSED && runner->under_way == 0);
    ASSERT(runner->calls.count == 0 && list_is_empty(&runner->writes));
    list_remove(&runner->node);
    ASSERT(list_is_empty(&runner->marked));
    if (runner->core)
        runner_kind(runner)->release(TAKE(runner->core));
    hash_map_release(&runner->calls);
    writer_release(&runner->bytes);
    writer_release(&runner->scratch);
    writer_release(&runner->load.inflated);
    SERVER_DELETE(runner);
    if (service->is_stopped)
        reactor_defer(service->shard->reactor, &service->stopped_turn);
}

void runner_begin_work(struct coordinator_runner *runner)
{
    runner->under_way++;
}

void runner_end_work(struct coordinator_runner *runner)
{
    ASSERT(runner->under_way > 0);
    if (--runner->under_way == 0 && runner->state == RUNNER_CLOSED)
        runner_free(runner);
}

void runner_close(struct coordinator_runner *runner)
{
    struct coordinator_service *service = runner->service;
    struct reactor *reactor = runner->shard->reactor;

    ASSERT(runner->state != RUNNER_CLOSED);
    runner_begin_work(runner);
    if (runner->state == RUNNER_ACTIVE)
        LOG_INFO(runner_logger(runner), "coordinator", "unloaded",
                 "topic=%.*s partition=%d epoch=%d", SLICE_ARGS(runner_kind(runner)->topic),
                 runner->index, runner->leader_epoch);
    runner->state = RUNNER_CLOSED;
    service->runners[runner->index] = NULL;
    list_push_back(&service->closing, &runner->node);
    timer_cancel(reactor, &runner->timer);
    timer_cancel(reactor, &runner->linger);
    timer_cancel(reactor, &runner->commit_timer);
    reactor_defer_cancel(reactor, &runner->flush);
    partition_watch_cancel(&runner->watch);
    runner_load_cancel(runner);
    runner_writes_drop(runner);
    runner_calls_fail(runner,
                      service->is_stopped ? ERR_COORDINATOR_NOT_AVAILABLE : ERR_NOT_COORDINATOR);
    runner_end_work(runner);
}

void runner_fail(struct coordinator_runner *runner, enum err err, const char *why, bool again)
{
    struct coordinator_service *service = runner->service;
    int32_t index = runner->index;
    int32_t epoch = runner->leader_epoch;

    LOG_ERROR(runner_logger(runner), "coordinator", again ? "reloading" : "failed",
              "topic=%.*s partition=%d epoch=%d error=%s reason=\"%s\"",
              SLICE_ARGS(runner_kind(runner)->topic), index, epoch, err_name(err), why);
    runner_close(runner);
    if (service->is_stopped)
        return;
    runner_create(service, index, epoch, !again);
}

/* ---- the partition ---- */

static bool leads(const struct partition *partition)
{
    return partition->stage == PARTITION_OPEN && partition->replica.role == REPLICA_LEADER;
}

static void partition_news(struct partition_watch *watch, struct partition *partition,
                           unsigned news)
{
    struct coordinator_runner *runner = CONTAINER_OF(watch, struct coordinator_runner, watch);

    if (runner->state == RUNNER_FAILED)
        return;
    if (!leads(partition)) {
        /* Between two directories it has no log for a moment, and comes back as it was. */
        if (runner->state != RUNNER_OPENING &&
            (partition->replica.role != REPLICA_LEADER || partition->stage == PARTITION_OFFLINE ||
             partition->stage == PARTITION_LEAVING))
            runner_close(runner);
        return;
    }
    if (runner->state == RUNNER_OPENING)
        runner_load_start(runner);
    else if (runner->state == RUNNER_LOADING && (news & PARTITION_NEWS_END))
        runner_load_resume(runner);
    else if (runner->state == RUNNER_ACTIVE && (news & PARTITION_NEWS_COMMITTED))
        runner_committed(runner);
}

static void partition_opened(struct partition_op *op, struct partition *partition)
{
    struct coordinator_runner *runner = CONTAINER_OF(op, struct coordinator_runner, open);

    if (runner->state == RUNNER_OPENING) {
        runner->partition = partition;
        runner->watch = (struct partition_watch){.news = PARTITION_NEWS_COMMITTED |
                                                         PARTITION_NEWS_ROLE | PARTITION_NEWS_END,
                                                 .notify = partition_news};
        partition_watch_add(partition, &runner->watch);
        if (leads(partition))
            runner_load_start(runner);
    }
    partition_op_finish(op);
}

static void partition_answered(struct partition_op *op)
{
    struct coordinator_runner *runner = CONTAINER_OF(op, struct coordinator_runner, open);

    if (op->err != OK && runner->state == RUNNER_OPENING) {
        LOG_WARN(runner_logger(runner), "coordinator", "not_opened",
                 "topic=%.*s partition=%d error=%s", SLICE_ARGS(runner_kind(runner)->topic),
                 runner->index, err_name(op->err));
        runner->state = RUNNER_FAILED;
    }
    runner_end_work(runner);
}

static void timer_fired(struct timer *timer);

void runner_create(struct coordinator_service *service, int32_t index, int32_t leader_epoch,
                   bool is_failed)
{
    struct coordinator_runner *runner = SERVER_NEW(struct coordinator_runner);
    struct shard *shard = service->shard;

    ASSERT(index >= 0 && (size_t)index < service->runner_count && !service->runners[index]);
    runner->service = service;
    runner->shard = shard;
    runner->index = index;
    runner->topic_id = service->topic_id;
    runner->leader_epoch = leader_epoch;
    list_init(&runner->node);
    list_init(&runner->writes);
    list_init(&runner->load.node);
    list_init(&runner->marked);
    deferred_init(&runner->marked_turn, runner_marked_turn);
    hash_map_init(&runner->calls, &heap_allocator, call_matches);
    random_init(&runner->random, random_u64(reactor_random(shard->reactor)));
    timer_init(&runner->timer, timer_fired);
    timer_init(&runner->linger, runner_linger_over);
    timer_init(&runner->commit_timer, runner_commit_timeout);
    deferred_init(&runner->flush, runner_flush);
    writer_init(&runner->bytes, &heap_allocator, SIZE_MAX);
    writer_init(&runner->scratch, &heap_allocator, SIZE_MAX);
    writer_init(&runner->load.inflated, &heap_allocator, SIZE_MAX);
    service->runners[index] = runner;
    if (is_failed) {
        runner->state = RUNNER_FAILED;
        return;
    }
    if (runner_kind(runner)->elected)
        runner_kind(runner)->elected(service);
    runner_begin_work(runner);
    runner->open = (struct partition_op){.topic_id = service->topic_id,
                                         .index = index,
                                         .run = partition_opened,
                                         .done = partition_answered};
    partition_op_submit(shard, &runner->open);
}

/* ---- the core is called ---- */

struct coordinator_moment runner_moment(struct coordinator_runner *runner)
{
    return (struct coordinator_moment){
        .now_ms = reactor_now_ms(runner->shard->reactor),
        .wall_ms = reactor_wall_ms(runner->shard->reactor),
        .random = &runner->random,
        .image = runner->shard->publication->image,
        .producer_id_take = runner_kind(runner)->producer_id_take,
        .producer_id_context = runner->service,
    };
}

void runner_arm(struct coordinator_runner *runner)
{
    struct reactor *reactor = runner->shard->reactor;
    int64_t deadline_ms = runner_kind(runner)->deadline_ms(runner->core);

    if (deadline_ms == INT64_MAX)
        timer_cancel(reactor, &runner->timer);
    else if (!timer_is_set(&runner->timer) || runner->timer.deadline_ms != deadline_ms)
        timer_set(reactor, &runner->timer, deadline_ms);
}

static void task_run(struct os_op *op)
{
    coordinator_task_run(CONTAINER_OF(op, struct runner_task, op)->task);
}

static void task_done(struct os_op *op)
{
    struct runner_task *own = CONTAINER_OF(op, struct runner_task, op);
    struct coordinator_runner *runner = own->runner;
    struct effects_block *block = block_new(runner->service, NULL);
    struct coordinator_moment moment = runner_moment(runner);
    enum err err =
        runner_kind(runner)->task_done(runner->core, &own->task, &moment, &block->effects);

    SERVER_DELETE(own);
    if (runner->state != RUNNER_ACTIVE)
        block_unref(runner->shard, block); /* a closed one keeps its core for its tasks alone */
    else
        runner_take_more(runner, block, err);
    runner_end_work(runner);
}

static void tasks_start(struct coordinator_runner *runner,
                        const struct coordinator_effects *effects)
{
    for (size_t i = 0; i < effects->task_count; i++) {
        struct runner_task *own = SERVER_NEW(struct runner_task);

        own->runner = runner;
        own->task = effects->tasks[i];
        own->op = (struct os_op){.kind = OS_OP_JOB, .run = task_run, .done = task_done};
        runner_begin_work(runner);
        reactor_submit(runner->shard->reactor, &own->op);
    }
}

/* Replies of a refused write (`refused` ≠ OK) fail; `waits`: those that want the commit come later. */
static void replies_give(struct coordinator_runner *runner, struct effects_block *block,
                         enum err refused, bool waits)
{
    const struct coordinator_effects *effects = &block->effects;

    for (size_t i = 0; i < effects->reply_count; i++) {
        const struct coordinator_reply *reply = &effects->replies[i];
        struct coordinator_call *call;

        if (reply->after_commit && waits)
            continue;
        call = runner_call_find(runner, reply->token);
        if (call)
            call_answer(runner, call,
                        reply->after_commit ? runner_kind(runner)->error(call, refused) : OK,
                        reply->response, block);
    }
}

void runner_take(struct coordinator_runner *runner, struct effects_block *block)
{
    struct effects_block *more = NULL;
    bool failed = false, waits = false;
    enum err err = OK, undone = OK;

    runner_begin_work(runner);
    if (block->effects.record_count > 0) {
        err = runner_write(runner, block, &failed);
        waits = err == OK;
    } else {
        waits = runner_wait(runner, block);
    }
    if (!failed) {
        if (err != OK) {
            struct coordinator_moment moment = runner_moment(runner);

            LOG_WARN(runner_logger(runner), "coordinator", "write_refused",
                     "topic=%.*s partition=%d records=%zu error=%s",
                     SLICE_ARGS(runner_kind(runner)->topic), runner->index,
                     block->effects.record_count, err_name(err));
            more = block_new(runner->service, NULL);
            undone = runner_kind(runner)->write_ended(runner->core, block->effects.write, err,
                                                      &moment, &more->effects);
        }
        tasks_start(runner, &block->effects);
        replies_give(runner, block, err, waits);
        runner_markers_send(runner, block);
    }
    block_unref(runner->shard, block);
    if (more)
        runner_take_more(runner, more, undone);
    runner_end_work(runner);
}

/* What a call of the core yielded, or that it failed: then its state cannot be relied on. */
void runner_take_more(struct coordinator_runner *runner, struct effects_block *block, enum err err)
{
    runner_begin_work(runner);
    if (err != OK) {
        block_unref(runner->shard, block);
        runner_fail(runner, err, "a call of the coordinator failed", true);
    } else {
        runner_take(runner, block);
        if (runner->state == RUNNER_ACTIVE)
            runner_arm(runner);
    }
    runner_end_work(runner);
}

void runner_handle(struct coordinator_runner *runner, struct coordinator_call *call)
{
    struct effects_block *block = block_new(runner->service, call);
    struct coordinator_moment moment = runner_moment(runner);
    struct coordinator_request request = {
        .api_key = call->api_key,
        .api_version = call->api_version,
        .body = call->body,
        .token = call->token,
        .client_id = call->client_id,
        .client_host = call->client_host,
    };
    enum err err = runner_kind(runner)->handle(runner->core, &request, &moment, &block->effects);

    service_unfetched_wish(runner->service);
    runner_take_more(runner, block, err);
}

void runner_image_changed(struct coordinator_runner *runner, const struct metadata_image *before)
{
    const struct coordinator_kind *kind = runner_kind(runner);
    struct effects_block *block;
    struct coordinator_moment moment;

    if (!kind->image_changed)
        return;
    block = block_new(runner->service, NULL);
    moment = runner_moment(runner);
    runner_take_more(runner, block,
                     kind->image_changed(runner->core, before, &moment, &block->effects));
}

void runner_ticks(struct coordinator_runner *runner)
{
    int64_t now_ms = reactor_now_ms(runner->shard->reactor);

    runner_begin_work(runner);
    for (int i = 0; i < COORDINATOR_TICKS_TURN && runner->state == RUNNER_ACTIVE &&
                    runner_kind(runner)->deadline_ms(runner->core) <= now_ms;
         i++) {
        struct effects_block *block = block_new(runner->service, NULL);
        struct coordinator_moment moment = runner_moment(runner);

        runner_take_more(runner, block,
                         runner_kind(runner)->tick(runner->core, &moment, &block->effects));
    }
    runner_end_work(runner);
}

static void timer_fired(struct timer *timer)
{
    runner_ticks(CONTAINER_OF(timer, struct coordinator_runner, timer));
}
