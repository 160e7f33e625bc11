/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_commit.c: writes that are in the log wait until they are committed, or for as
 * long as their kind waits (commit_timeout_ms); then the core and whoever waits are told.
 * docs/design/coordinator_runner.md §4.
 */
#include "server/coordinator_internal.h"

static void commit_timer_arm(struct coordinator_runner *runner)
{
    const struct list_node *first = list_first(&runner->writes);

    if (!first)
        timer_cancel(runner->shard->reactor, &runner->commit_timer);
    else if (!timer_is_set(&runner->commit_timer))
        timer_set(runner->shard->reactor, &runner->commit_timer,
                  LIST_ITEM(first, const struct runner_write, node)->deadline_ms);
}

void runner_write_add(struct coordinator_runner *runner, struct runner_write *write,
                      int64_t end_offset)
{
    ASSERT(end_offset >= runner->newest_end);
    write->end_offset = runner->newest_end = end_offset;
    write->deadline_ms = reactor_now_ms(runner->shard->reactor) +
                         runner_kind(runner)->commit_timeout_ms(runner_config(runner));
    list_push_back(&runner->writes, &write->node);
    commit_timer_arm(runner);
}

/* Tells the core and whoever waits. The block is given back. */
static void write_end(struct coordinator_runner *runner, struct runner_write *write, enum err err)
{
    struct effects_block *block = TAKE(write->block);
    struct effects_block *more = NULL;
    enum err ended = OK;

    if (write->number != 0) {
        struct coordinator_moment moment = runner_moment(runner);

        more = block_new(runner->service, NULL);
        ended = runner_kind(runner)->write_ended(runner->core, write->number, err, &moment,
                                                 &more->effects);
    }
    for (size_t i = 0; i < block->effects.reply_count; i++) {
        const struct coordinator_reply *reply = &block->effects.replies[i];
        struct coordinator_call *call =
            reply->after_commit ? runner_call_find(runner, reply->token) : NULL;

        if (call)
            call_answer(runner, call, runner_kind(runner)->error(call, err), reply->response,
                        block);
    }
    block_unref(runner->shard, block);
    if (more)
        runner_take_more(runner, more, ended);
}

void runner_committed(struct coordinator_runner *runner)
{
    int64_t offset = runner->partition->replica.high_watermark;

    runner_begin_work(runner);
    runner_kind(runner)->committed(runner->core, offset);
    while (runner->state == RUNNER_ACTIVE && !list_is_empty(&runner->writes)) {
        struct runner_write *write =
            LIST_ITEM(list_first(&runner->writes), struct runner_write, node);

        if (write->end_offset > offset)
            break;
        list_remove(&write->node);
        if (write->block)
            write_end(runner, write, OK);
        runner_marker_end(write, OK);
        SERVER_DELETE(write);
    }
    if (runner->state == RUNNER_ACTIVE) {
        timer_cancel(runner->shard->reactor, &runner->commit_timer);
        commit_timer_arm(runner);
        runner_arm(runner);
    }
    runner_end_work(runner);
}

static struct runner_write *overdue(struct coordinator_runner *runner)
{
    struct list_node *first = list_first(&runner->writes);
    struct runner_write *write = first ? LIST_ITEM(first, struct runner_write, node) : NULL;

    return write && write->deadline_ms <= reactor_now_ms(runner->shard->reactor) ? write : NULL;
}

/* Who waits is told. What was written stays, and whatever comes later waits for it too: newest_end. */
void runner_commit_timeout(struct timer *timer)
{
    struct coordinator_runner *runner =
        CONTAINER_OF(timer, struct coordinator_runner, commit_timer);
    struct runner_write *write;

    runner_begin_work(runner);
    while (runner->state == RUNNER_ACTIVE && (write = overdue(runner))) {
        list_remove(&write->node);
        runner_marker_end(write, ERR_REQUEST_TIMED_OUT);
        if (write->block)
            write_end(runner, write, ERR_REQUEST_TIMED_OUT);
        SERVER_DELETE(write);
    }
    if (runner->state == RUNNER_ACTIVE) {
        commit_timer_arm(runner);
        runner_arm(runner);
    }
    runner_end_work(runner);
}

void runner_writes_drop(struct coordinator_runner *runner)
{
    if (runner->has_batch) {
        runner->has_batch = false;
        partition_unuse(runner->partition);
    }
    while (!list_is_empty(&runner->writes)) {
        struct runner_write *write =
            LIST_ITEM(list_pop_front(&runner->writes), struct runner_write, node);

        if (write->block)
            block_unref(runner->shard, write->block);
        runner_marker_end(write, ERR_NOT_LEADER_OR_FOLLOWER);
        SERVER_DELETE(write);
    }
}
