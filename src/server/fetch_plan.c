/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_plan.c: what each partition could give, asked of the owners, all at once; then:
 * answer, or wait. docs/design/fetch.md §3; requests.md §3.2 "Read", storage.md §5.11 of the
 * reference.
 *
 * Planning is independent of the order; the home cuts the ranges to the limits afterwards, in
 * order. As long as the owners are here and answer at once it is known already what the limits leave:
 * when that is nothing, the parts behind are not looked up.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "base/bug.h"

/* ---- errands: home → owner → home ---- */

static void errand_deliver(struct mail *mail, struct reactor *to)
{
    struct fetch_part *part = CONTAINER_OF(mail, struct fetch_part, mail);

    UNUSED(to);
    if (part->errand_home)
        fetch_part_done(part);
    else
        part->errand(part);
}

void fetch_errand(struct fetch_part *part, void (*errand)(struct fetch_part *part))
{
    struct shard *home = part->state->request->shard;

    part->state->left++;
    part->errand = errand;
    part->errand_home = false;
    if (part->op.owner == home) {
        errand(part);
        return;
    }
    part->mail = (struct mail){.deliver = errand_deliver};
    reactor_send(home->reactor, part->op.owner->reactor, &part->mail);
}

void fetch_errand_end(struct fetch_part *part)
{
    struct shard *home = part->state->request->shard;

    if (part->op.owner == home) {
        fetch_part_done(part);
        return;
    }
    part->errand_home = true;
    part->mail = (struct mail){.deliver = errand_deliver};
    reactor_send(part->op.owner->reactor, home->reactor, &part->mail);
}

/* ---- on the owner ---- */

int64_t fetch_visible_end(const struct fetch_part *part, struct partition *partition)
{
    if (part->state->replica_id >= 0 || BUG_IS(read_past_watermark))
        return log_end_written(partition->log);
    return part->state->is_committed ? log_last_stable_offset(partition->log)
                                     : partition->replica.high_watermark;
}

static bool is_replica(const struct partition *partition, int32_t broker_id)
{
    for (size_t i = 0; i < partition->replica.peer_count; i++)
        if (partition->replica.peers[i].broker_id == broker_id)
            return true;
    return false;
}

static enum err part_check(const struct fetch_part *part, struct partition *partition)
{
    const struct fetch_state *state = part->state;
    bool is_follower = state->replica_id >= 0;
    bool needs_leader = is_follower || state->request->header.api_version <= 10;

    TRY(replica_check_epoch(&partition->replica, part->params.current_leader_epoch, needs_leader));
    if (partition->replica.role == REPLICA_NONE)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (is_follower && !is_replica(partition, state->replica_id))
        return part->params.current_leader_epoch >= 0 ? ERR_UNKNOWN_LEADER_EPOCH
                                                      : ERR_NOT_LEADER_OR_FOLLOWER;
    return OK;
}

/* KIP-595: does the reader's log end where ours was at that epoch? */
static enum err divergence_check(struct fetch_part *part, struct partition *partition)
{
    int32_t epoch;
    int64_t end;

    if (part->params.last_fetched_epoch < 0)
        return OK;
    log_epoch_end(partition->log, part->params.last_fetched_epoch, &epoch, &end);
    if (epoch < 0 || end < 0 || part->params.offset < log_start_offset(partition->log))
        return ERR_OFFSET_OUT_OF_RANGE;
    if (epoch < part->params.last_fetched_epoch || end < part->params.offset) {
        part->is_diverging = true;
        part->diverging_epoch = epoch;
        part->diverging_end = end;
    }
    return OK;
}

static void plan_settle(struct fetch_part *part)
{
    struct partition *partition = part->partition;
    struct log_read *read = &part->read;

    part->base_segment = read->segment_base;
    part->base_position = read->position_bytes;
    if (read->err == OK && read->size_bytes > 0) {
        part->is_planned = true;
        part->planned_bytes = read->size_bytes;
        part->first_batch_bytes = read->first_batch_bytes;
        partition_use(partition); /* until the range is released */
    } else {
        part->err = read->err == ERR_STATE ? ERR_NOT_LEADER_OR_FOLLOWER : read->err;
        log_read_release(read);
    }
    partition_op_finish(&part->op);
}

static void plan_done(struct log_read *read)
{
    plan_settle(CONTAINER_OF(read, struct fetch_part, read));
}

static void base_take(struct fetch_part *part, int64_t visible_end)
{
    part->base_segment = part->params.offset;
    part->base_position = log_bytes_since(part->partition->log, part->params.offset, 0,
                                          MAX(visible_end, part->params.offset));
}

static void consumer_note(const struct fetch_part *part, struct partition *partition)
{
    partition->fetched_ms = reactor_now_ms(partition->shard->reactor);
    partition->fetched_offset = part->params.offset;
}

static void plan_run(struct partition_op *op, struct partition *partition)
{
    struct fetch_part *part = CONTAINER_OF(op, struct fetch_part, op);
    const struct fetch_state *state = part->state;
    struct log *log = partition->log;
    int64_t visible_end;
    enum err err;

    part->partition = partition;
    part->is_planned = false;
    part->planned_bytes = 0;
    part->leader_id = partition->replica.leader_id;
    part->leader_epoch = partition->replica.leader_epoch;
    err = part_check(part, partition);
    if (err == OK) {
        if (state->replica_id >= 0)
            partition_follower_fetched(partition, state->replica_id, part->params.offset);
        else
            consumer_note(part, partition);
        part->high_watermark = partition->replica.high_watermark;
        part->last_stable = log_last_stable_offset(log);
        part->log_start = log_start_offset(log);
        err = divergence_check(part, partition);
    }
    if (err == OK && !part->is_diverging &&
        (part->params.offset < part->log_start || part->params.offset > log_end_written(log)))
        err = ERR_OFFSET_OUT_OF_RANGE;
    visible_end = err == OK ? fetch_visible_end(part, partition) : 0;
    if (err == OK && !part->is_diverging && part->is_left_out) {
        part->err = OK; /* nothing of it would be taken */
        partition_op_finish(op);
        return;
    }
    if (err != OK || part->is_diverging || part->params.offset >= visible_end) {
        part->err = err;
        if (err == OK)
            base_take(part, visible_end);
        partition_op_finish(op);
        return;
    }
    part->read = (struct log_read){
        .offset = part->params.offset,
        .bound_offset = visible_end,
        .bytes_max = (size_t)MAX(MIN((int64_t)part->params.bytes_max, state->max_bytes), 0),
        .at_least_one = true,
        .wants_aborted = state->is_committed && state->replica_id < 0,
        .done = plan_done,
    };
    if (log_read_plan(log, &part->read))
        plan_settle(part);
}

/* ---- at home ---- */

static void plan_decide(struct fetch_state *state)
{
    struct fetch_budget budget = {.left = state->max_bytes};
    int64_t total = 0;
    bool at_once = state->is_final || state->is_gone || state->service->is_stopped ||
                   state->max_wait_ms <= 0 || state->readable == 0;

    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        if (!part->is_readable)
            continue;
        part->taken = part->is_planned
                          ? fetch_budget_take(&budget, part->params.bytes_max, part->planned_bytes,
                                              part->first_batch_bytes)
                          : 0;
        total += (int64_t)part->taken;
        at_once = at_once || part->err != OK || part->is_diverging;
    }
    if (at_once || total >= state->min_bytes)
        fetch_read(state);
    else
        fetch_park(state);
}

void fetch_part_done(struct fetch_part *part)
{
    struct fetch_state *state = part->state;

    ASSERT(state->left > 0);
    if (state->stage == FETCH_READING && part->source == FETCH_FILLS)
        fetch_share_filled(part);
    if (--state->left > 0 || state->is_submitting)
        return;
    switch (state->stage) {
    case FETCH_PLANNING:
        plan_decide(state);
        break;
    case FETCH_PARKING:
    case FETCH_PARKED:
        fetch_parked_step(state);
        break;
    case FETCH_UNPARKING:
        fetch_unparked(state);
        break;
    case FETCH_READING:
        fetch_answer(state);
        break;
    case FETCH_ANSWERED:
        fetch_end(state);
        break;
    }
}

static void plan_home(struct partition_op *op)
{
    struct fetch_part *part = CONTAINER_OF(op, struct fetch_part, op);

    if (op->err != OK)
        part->err = op->err;
    fetch_part_done(part);
}

void fetch_plan(struct fetch_state *state)
{
    struct shard *home = state->request->shard;
    size_t before;

    state->stage = FETCH_PLANNING;
    state->plan_budget = (struct fetch_budget){.left = state->max_bytes};
    state->is_in_order = true;
    state->is_submitting = true;
    state->left++; /* one more, so that the end below is the only one */
    for (size_t i = 0; i < state->count; i++) {
        struct fetch_part *part = &state->parts[i];

        if (!part->is_readable)
            continue;
        part->err = OK;
        part->is_diverging = false;
        /* Said here, for the owner may run at the same time as what follows. */
        part->is_left_out =
            state->is_in_order && state->plan_budget.has_first && state->plan_budget.left <= 0;
        part->op.topic_id = part->params.topic_id;
        part->op.index = part->params.index;
        part->op.run = plan_run;
        part->op.done = plan_home;
        state->left++;
        before = state->left;
        partition_op_submit(home, &part->op);
        state->is_in_order = state->is_in_order && state->left < before; /* it is home again */
        if (state->is_in_order && part->is_planned)
            fetch_budget_take(&state->plan_budget, part->params.bytes_max, part->planned_bytes,
                              part->first_batch_bytes);
    }
    state->is_submitting = false;
    if (--state->left == 0)
        plan_decide(state);
}
