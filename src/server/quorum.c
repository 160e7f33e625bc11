/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum.c: the seat as a whole: making, one round of work a turn, failing, stopping.
 *
 *   CREATED ─start─► LOADING ─log and snapshots read─► RUNNING ─stop─► STOPPING ─► STOPPED
 *                       └────────────── cannot go on: failed, told once ──────────────┘
 *
 * Invariants  1. quorum_work alone calls into the listener, the controller and the callers' `done`:
 *                no caller is re-entered.   2. after a failure nothing is appended, applied or
 *                answered OK.
 *             3. STOPPED only when nothing of ours is under way and everything appended is flushed.
 * Crash       what was answered is below a flushed high watermark (docs/design/quorum.md).
 * Threads     shard 0's.
 */
#include "server/quorum_internal.h"

static void stop_advance(struct quorum *quorum);

static void failure_tell(struct quorum *quorum)
{
    if (!quorum_is_failed(quorum) || quorum->is_failure_told)
        return;
    quorum->is_failure_told = true;
    broker_life_halt(quorum);
    controller_announce_stop(quorum);
    controller_run_stop(quorum);
    quorum_requests_stop(quorum);
    quorum->listener->failed(quorum->listener, quorum->failure, quorum->failure_why.text);
}

/* Applying a long log is cut into turns, so that the shard's other work goes on between them. */
static void again_send(struct quorum *quorum)
{
    if (quorum->is_again_sent)
        return;
    quorum->is_again_sent = true;
    reactor_send(quorum->reactor, quorum->reactor, &quorum->again);
}

static void again_deliver(struct mail *mail, struct reactor *to)
{
    struct quorum *quorum = CONTAINER_OF(mail, struct quorum, again);

    UNUSED(to);
    quorum->is_again_sent = false;
    if (quorum->phase == QUORUM_STOPPING)
        stop_advance(quorum);
    else
        quorum_wake(quorum);
}

static void quorum_work(struct deferred *deferred)
{
    struct quorum *quorum = CONTAINER_OF(deferred, struct quorum, work);

    if (quorum_is_running(quorum)) {
        if (quorum_loader_run(quorum))
            again_send(quorum);
        controller_run_work(quorum);
        quorum_tail_trim(quorum);
    } else if (quorum->phase >= QUORUM_STOPPING || quorum_is_failed(quorum)) {
        controller_run_stop(quorum); /* calls that came since */
    }
    failure_tell(quorum);
    stop_advance(quorum);
}

void quorum_wake(struct quorum *quorum)
{
    reactor_defer(quorum->reactor, &quorum->work);
}

void quorum_begin(struct quorum *quorum)
{
    quorum->under_way++;
}

void quorum_end(struct quorum *quorum)
{
    ASSERT(quorum->under_way > 0);
    quorum->under_way--;
    quorum_wake(quorum);
}

void quorum_fail(struct quorum *quorum, enum err err, const char *format, ...)
{
    va_list arguments;

    if (quorum_is_failed(quorum) || quorum->phase == QUORUM_STOPPED)
        return;
    quorum->failure = err;
    va_start(arguments, format);
    fmt_list(quorum->failure_why.text, sizeof quorum->failure_why.text, format, arguments);
    va_end(arguments);
    LOG_ERROR(quorum->logger, "quorum", "failed", "error=%s reason=\"%s\"", err_name(err),
              quorum->failure_why.text);
    quorum_wake(quorum);
}

static void raft_timer_fire(struct timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, raft_timer);

    quorum_feed(quorum, (struct raft_event){.kind = RAFT_EVENT_TIMEOUT});
}

enum err quorum_create(struct node *node, struct quorum_listener *listener, struct quorum **out)
{
    struct quorum *quorum = SERVER_NEW(struct quorum);

    quorum->node = node;
    quorum->shard = &node->shards[0];
    quorum->reactor = quorum->shard->reactor;
    quorum->logger = node->logger;
    quorum->listener = listener;
    quorum->role = RAFT_UNATTACHED;
    quorum->leader_id = -1;
    quorum->epoch_start_offset = -1;
    quorum->high_watermark = -1;
    quorum->remote_fetch_ms = -1;
    arena_init(&quorum->arena, &heap_allocator, SIZE_MAX);
    deferred_init(&quorum->work, quorum_work);
    quorum->again.deliver = again_deliver;
    timer_init(&quorum->raft_timer, raft_timer_fire);
    list_init(&quorum->events);
    list_init(&quorum->prepared);
    list_init(&quorum->tail);
    quorum_requests_init(quorum);
    quorum_loader_init(quorum);
    quorum_snapshots_init(quorum);
    controller_run_init(quorum);
    controller_announce_init(quorum);
    broker_life_init(quorum);
    *out = quorum;
    return OK;
}

/* ---- stopping ---- */

static void flush_done(struct log_wait *wait)
{
    struct quorum *quorum = CONTAINER_OF(wait, struct quorum, flush);

    quorum->is_flushed = true;
    quorum_end(quorum);
}

static void flush_ask(struct quorum *quorum)
{
    quorum->is_flush_asked = true;
    if (!quorum->log || log_is_failed(quorum->log)) {
        quorum->is_flushed = true;
        return;
    }
    quorum_begin(quorum);
    quorum->flush = (struct log_wait){.offset = log_end_queued(quorum->log), .done = flush_done};
    log_flush(quorum->log, &quorum->flush);
}

static void stop_finish(struct quorum *quorum)
{
    quorum->phase = QUORUM_STOPPED;
    timer_cancel(quorum->reactor, &quorum->raft_timer);
    reactor_defer_cancel(quorum->reactor, &quorum->work);
    if (quorum->log)
        log_set_listener(quorum->log, NULL);
    quorum_tail_trim(quorum);
    LOG_INFO(quorum->logger, "quorum", "stopped", "epoch=%d", quorum->epoch);
    quorum->stopped(quorum->stopped_context);
}

/* Each step when the one before it is done; harmless at any time. */
static void stop_advance(struct quorum *quorum)
{
    if (quorum->phase != QUORUM_STOPPING)
        return;
    if (!quorum->is_shutdown_sent && !quorum->loaded) {
        quorum->is_shutdown_sent = true;
        if (quorum->raft && !quorum_is_failed(quorum))
            quorum_feed(quorum, (struct raft_event){.kind = RAFT_EVENT_SHUTDOWN});
        else
            quorum->is_raft_stopped = true;
    }
    if (!quorum->is_shutdown_sent || (!quorum->is_raft_stopped && !quorum_is_failed(quorum)))
        return;
    if (!quorum->is_flush_asked)
        flush_ask(quorum);
    if (quorum->is_flushed && quorum->under_way == 0 && !quorum->is_again_sent)
        stop_finish(quorum);
}

void quorum_stop(struct quorum *quorum, void (*done)(void *context), void *context)
{
    ASSERT(quorum->phase != QUORUM_STOPPING && quorum->phase != QUORUM_STOPPED);
    quorum->stopped = done;
    quorum->stopped_context = context;
    quorum->phase = QUORUM_STOPPING;
    broker_life_halt(quorum);
    controller_announce_stop(quorum);
    controller_run_stop(quorum);
    quorum_requests_stop(quorum);
    quorum_snapshots_stop(quorum);
    quorum_peers_stop(quorum);
    again_send(quorum); /* `done` is never called from inside */
}

static void batches_release(struct list_node *list)
{
    while (!list_is_empty(list)) {
        struct quorum_batch *batch = LIST_ITEM(list_pop_front(list), struct quorum_batch, node);

        /* A crashed machine never gives back what it was lent. */
        quorum_batch_free(batch);
    }
}

void quorum_release(struct quorum **quorum_pointer)
{
    struct quorum *quorum = *quorum_pointer;

    if (!quorum)
        return;
    broker_life_release(quorum);
    controller_announce_release(quorum);
    controller_run_release(quorum);
    quorum_snapshots_release(quorum);
    quorum_loader_release(quorum);
    batches_release(&quorum->prepared);
    batches_release(&quorum->tail);
    quorum_step_release(quorum);
    raft_release(&quorum->raft);
    arena_release(&quorum->arena);
    SERVER_DELETE(quorum);
    *quorum_pointer = NULL;
}

/* ---- looking in ---- */

void quorum_status(const struct quorum *quorum, struct raft_status *out)
{
    if (quorum->raft) {
        raft_status(quorum->raft, out);
        return;
    }
    *out = (struct raft_status){
        .role = RAFT_UNATTACHED,
        .leader_id = -1,
        .high_watermark = -1,
        .epoch_start_offset = -1,
        .latest_snapshot = {.id = {-1, -1}},
    };
}

bool quorum_controller_stats(const struct quorum *quorum, struct controller_stats *out)
{
    if (!quorum->run.is_active)
        return false;
    controller_stats(quorum->run.controller, out);
    return true;
}
