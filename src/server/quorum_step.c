/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_step.c: one event into the raft core, its effects out of it.
 * Invariants  1. steps never nest: what comes in during one follows it, in order.
 *             2. effects are executed in the order given, before the next step.
 *             3. the core's deadline is the raft timer's after every step.
 */
#include "server/quorum_internal.h"

struct quorum_pending_event {
    struct list_node node;
    struct raft_event event;
};

/* A request that waited for its turn may have been cancelled meanwhile: what it points at is
 * gone. */
static bool is_gone(const struct quorum *quorum, const struct raft_event *event)
{
    if (event->kind != RAFT_EVENT_REQUEST)
        return false;
    LIST_EACH (node, &quorum->requests)
        if (LIST_ITEM(node, struct quorum_request, node)->token == event->request.token)
            return false;
    return true;
}

static enum err step(struct quorum *quorum, struct raft_event *event, int64_t *submit_base_out)
{
    struct raft_effects effects;
    enum err err;

    if (!quorum->raft || quorum->is_raft_stopped || quorum_is_failed(quorum))
        return ERR_NOT_CONTROLLER;
    event->now_ms = reactor_now_ms(quorum->reactor);
    event->random = random_u64(reactor_random(quorum->reactor));
    quorum->is_stepping = true;
    err = raft_step(quorum->raft, event, &effects);
    if (submit_base_out)
        *submit_base_out = effects.submit_base_offset;
    for (size_t i = 0; i < effects.count; i++)
        quorum_execute(quorum, &effects.items[i]);
    quorum->is_stepping = false;
    if (err == ERR_NO_MEMORY)
        quorum_fail(quorum, err, "the quorum is out of memory");
    else
        ASSERT(err == OK || event->kind == RAFT_EVENT_SUBMIT);
    return err;
}

static void follow_up(struct quorum *quorum)
{
    int64_t deadline_ms;

    while (!list_is_empty(&quorum->events)) {
        struct quorum_pending_event *pending =
            LIST_ITEM(list_pop_front(&quorum->events), struct quorum_pending_event, node);
        enum err err = is_gone(quorum, &pending->event) ? OK : step(quorum, &pending->event, NULL);

        UNUSED(err); /* told by quorum_fail */
        SERVER_DELETE(pending);
    }
    if (!quorum->raft || quorum_is_failed(quorum))
        return;
    deadline_ms = raft_deadline_ms(quorum->raft);
    if (deadline_ms == INT64_MAX)
        timer_cancel(quorum->reactor, &quorum->raft_timer);
    else if (!timer_is_set(&quorum->raft_timer) || quorum->raft_timer.deadline_ms != deadline_ms)
        timer_set(quorum->reactor, &quorum->raft_timer, deadline_ms);
}

void quorum_feed(struct quorum *quorum, struct raft_event event)
{
    enum err err;

    if (quorum->is_stepping) {
        struct quorum_pending_event *pending = SERVER_NEW(struct quorum_pending_event);

        pending->event = event;
        list_push_back(&quorum->events, &pending->node);
        return;
    }
    err = step(quorum, &event, NULL);
    UNUSED(err); /* told by quorum_fail; only a submission has an error of its own */
    follow_up(quorum);
}

enum err quorum_feed_submit(struct quorum *quorum, struct quorum_batch *batch,
                            int64_t *base_offset_out)
{
    struct raft_event event = {.kind = RAFT_EVENT_SUBMIT};
    enum err err;

    ASSERT(!quorum->is_stepping);
    batch->token = quorum_token(quorum);
    event.submit.epoch = quorum->run.epoch;
    event.submit.record_count = batch->record_count;
    event.submit.size_bytes = batch->size_bytes;
    event.submit.token = batch->token;
    list_push_back(&quorum->prepared, &batch->node);
    err = step(quorum, &event, base_offset_out);
    if (err != OK)
        list_remove(&batch->node);
    follow_up(quorum);
    return err;
}

uint64_t quorum_token(struct quorum *quorum)
{
    return ++quorum->next_token;
}

void quorum_step_release(struct quorum *quorum)
{
    while (!list_is_empty(&quorum->events)) {
        struct quorum_pending_event *pending =
            LIST_ITEM(list_pop_front(&quorum->events), struct quorum_pending_event, node);

        SERVER_DELETE(pending);
    }
}
