/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_wait.c: fetches that wait for bytes: a watch on each partition, one deadline at
 * home, nothing in between. docs/design/fetch.md §6; requests.md §4.2 of the reference.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "base/fault_point.h"

static void news_home(struct fetch_part *part);

/* ---- on the owner ---- */

/* What this partition could add to the reply by now, and whether it must be looked at whatever it
 * adds. */
static struct fetch_measure part_measure(const struct fetch_part *part, struct partition *partition,
                                         unsigned news)
{
    struct fetch_measure measure = {0};
    int64_t visible_end;
    int64_t bytes;

    measure.is_urgent = (news & PARTITION_NEWS_ROLE) != 0 || partition->stage != PARTITION_OPEN;
    if (measure.is_urgent)
        return measure;
    visible_end = fetch_visible_end(part, partition);
    measure.is_urgent = part->params.offset > log_end_written(partition->log) ||
                        part->params.offset < log_start_offset(partition->log);
    if (visible_end <= part->params.offset)
        return measure;
    bytes = log_bytes_since(partition->log, part->base_segment, part->base_position, visible_end);
    bytes = MAX(bytes, 1); /* an estimate from below; something is there */
    measure.available = MIN(bytes, (int64_t)part->params.bytes_max);
    return measure;
}

static void news_deliver(struct mail *mail, struct reactor *to)
{
    UNUSED(to);
    news_home(CONTAINER_OF(mail, struct fetch_part, news_mail));
}

static void part_told(struct partition_watch *watch, struct partition *partition, unsigned news)
{
    struct fetch_part *part = CONTAINER_OF(watch, struct fetch_part, watch);
    struct shard *home = part->state->request->shard;

    part->at_news = part_measure(part, partition, news);
    if (part->op.owner == home) {
        news_home(part);
        return;
    }
    /* One word at a time: the home asks again when it was not enough. */
    partition_watch_cancel(watch);
    part->news_mail = (struct mail){.deliver = news_deliver};
    reactor_send(part->op.owner->reactor, home->reactor, &part->news_mail);
}

static void watch_run(struct partition_op *op, struct partition *partition)
{
    struct fetch_part *part = CONTAINER_OF(op, struct fetch_part, op);
    unsigned news = PARTITION_NEWS_ROLE | PARTITION_NEWS_START;

    if (part->state->replica_id >= 0)
        news |= PARTITION_NEWS_END;
    else
        news |= part->state->is_committed ? PARTITION_NEWS_STABLE | PARTITION_NEWS_COMMITTED
                                          : PARTITION_NEWS_COMMITTED;
    part->partition = partition;
    part->watch = (struct partition_watch){.news = news, .notify = part_told};
    part->at_watch = part_measure(part, partition, 0);
    partition_watch_add(partition, &part->watch);
    part->is_watching = true;
    partition_op_finish(op);
}

static void unwatch_errand(struct fetch_part *part)
{
    partition_watch_cancel(&part->watch);
    fetch_errand_end(part);
}

/* ---- at home ---- */

static bool is_enough(const struct fetch_state *state)
{
    return state->is_woken || state->is_gone || state->available >= state->min_bytes;
}

static void available_set(struct fetch_part *part, struct fetch_measure measure)
{
    struct fetch_state *state = part->state;

    state->available += measure.available - part->available;
    part->available = measure.available;
    state->is_woken = state->is_woken || measure.is_urgent;
}

static void watch_home(struct partition_op *op)
{
    struct fetch_part *part = CONTAINER_OF(op, struct fetch_part, op);

    if (op->err != OK) {
        part->state->is_woken = true; /* not there any more: the reply says so */
        part->is_watching = false;
    } else {
        available_set(part, part->at_watch);
    }
    fetch_part_done(part);
}

static void watch_submit(struct fetch_part *part)
{
    part->op.run = watch_run;
    part->op.done = watch_home;
    part->state->left++;
    partition_op_submit(part->state->request->shard, &part->op);
}

static void news_home(struct fetch_part *part)
{
    struct fetch_state *state = part->state;

    if (state->stage != FETCH_PARKED && state->stage != FETCH_PARKING)
        return;
    available_set(part, part->at_news);
    if (FAULT_POINT(fetch_woken_early))
        state->is_woken = true;
    if (is_enough(state) && !(state->stage == FETCH_PARKED && !part->at_news.is_urgent &&
                              FAULT_POINT(fetch_woken_late)))
        reactor_defer(state->request->shard->reactor, &state->wake);
    else if (part->op.owner != state->request->shard)
        watch_submit(part);
}

static void parked_wake(struct deferred *deferred)
{
    struct fetch_state *state = CONTAINER_OF(deferred, struct fetch_state, wake);

    if (state->stage == FETCH_PARKED && state->left == 0 && is_enough(state))
        fetch_unpark(state);
}

static void parked_timeout(struct timer *timer)
{
    struct fetch_state *state = CONTAINER_OF(timer, struct fetch_state, timer);

    state->request->shard->metrics.fetch_expired++;
    state->is_woken = true;
    if (state->stage == FETCH_PARKED && state->left == 0)
        fetch_unpark(state);
}

void fetch_parked_step(struct fetch_state *state)
{
    if (state->stage == FETCH_PARKING)
        state->stage = FETCH_PARKED;
    if (is_enough(state))
        reactor_defer(state->request->shard->reactor, &state->wake);
}

void fetch_park(struct fetch_state *state)
{
    struct shard *home = state->request->shard;
    struct fetch_service *service = state->service;

    state->stage = FETCH_PARKING;
    state->available = 0;
    state->is_woken = false;
    deferred_init(&state->wake, parked_wake);
    timer_init(&state->timer, parked_timeout);
    timer_set(home->reactor, &state->timer, reactor_now_ms(home->reactor) + state->max_wait_ms);
    list_push_back(&service->parked, &state->node);
    home->metrics.fetch_delayed++;
    state->is_submitting = true;
    state->left++;
    for (size_t i = 0; i < state->count; i++)
        state->parts[i].taken = 0;
    fetch_release_planned(state, true);
    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        part->available = 0;
        if (part->is_readable)
            watch_submit(part);
    }
    state->is_submitting = false;
    if (--state->left == 0)
        fetch_parked_step(state);
}

void fetch_unpark(struct fetch_state *state)
{
    struct shard *home = state->request->shard;

    timer_cancel(home->reactor, &state->timer);
    reactor_defer_cancel(home->reactor, &state->wake);
    list_remove(&state->node);
    home->metrics.fetch_delayed--;
    state->is_final = true;
    state->stage = FETCH_UNPARKING; /* news that are on their way are not listened to */
    state->is_submitting = true;
    state->left++;
    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        if (!part->is_watching)
            continue;
        part->is_watching = false;
        fetch_errand(part, unwatch_errand);
    }
    state->is_submitting = false;
    if (--state->left == 0)
        fetch_unparked(state);
}

void fetch_unparked(struct fetch_state *state)
{
    if (state->is_gone)
        fetch_read(state); /* nothing is planned: it ends there */
    else
        fetch_plan(state);
}
