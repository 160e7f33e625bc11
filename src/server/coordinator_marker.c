/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_marker.c: a transaction's end marker into a partition of __consumer_offsets, in
 * order with what its coordinator writes: the open batch first, then the marker, which is replayed
 * at its offset. docs/design/transactions.md §4; transactions.md §10 of the reference.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"
#include "records/control_record.h"

void runner_marker_end(struct runner_write *write, enum err err)
{
    struct coordinator_marker *marker = TAKE(write->marker);

    if (marker)
        marker->done(marker, err);
}

static enum err marker_append(struct coordinator_runner *runner,
                              const struct coordinator_marker *marker, bool *is_appended_out,
                              struct why *why)
{
    struct end_transaction_marker end = {.is_abort = !marker->is_commit,
                                         .coordinator_epoch = marker->coordinator_epoch};
    struct append_facts facts = {.transaction_version = marker->transaction_version};

    writer_reset(&runner->bytes);
    runner->batch_base = runner->batch_end = log_end_queued(runner->partition->log);
    TRY(end_transaction_batch_write(
        &end, runner->batch_base, runner->partition->replica.leader_epoch, marker->producer_id,
        marker->producer_epoch, reactor_wall_ms(runner->shard->reactor), &runner->bytes));
    TRY(runner_batch_append(runner, writer_slice(&runner->bytes), &facts, is_appended_out, why));
    return runner_kind(runner)->replay_marker(runner->core, marker->producer_id,
                                              marker->producer_epoch, marker->is_commit,
                                              runner->batch_end++);
}

/* What the log itself says (a fenced producer or coordinator) changes nothing here. */
static void runner_mark(struct coordinator_runner *runner, struct coordinator_marker *marker)
{
    struct why why = {""};
    bool is_appended = false;
    struct runner_write *write;
    enum err err = runner_may_write(runner);

    if (err == OK && !runner_batch_close(runner))
        err = ERR_NOT_LEADER_OR_FOLLOWER;
    if (err != OK) {
        marker->done(marker, err);
        return;
    }
    partition_use(runner->partition);
    err = marker_append(runner, marker, &is_appended, &why);
    if (!is_appended)
        partition_unuse(runner->partition);
    if (err != OK) {
        if (is_appended)
            runner_fail(runner, err, why.text[0] ? why.text : "a marker cannot be replayed", true);
        marker->done(marker, is_appended ? ERR_NOT_LEADER_OR_FOLLOWER : err);
        return;
    }
    write = SERVER_NEW(struct runner_write);
    write->marker = marker;
    runner_write_add(runner, write, runner->batch_end);
    runner_arm(runner);
}

/* A coordinator that is not ready is told as the leader being elsewhere: the sender comes again. */
void coordinator_marker_submit(struct shard *shard, int32_t index,
                               struct coordinator_marker *marker)
{
    struct coordinator_service *service = shard->coordinators;
    struct coordinator_runner *runner =
        !service->is_stopped && index >= 0 && (size_t)index < service->runner_count
            ? service->runners[index]
            : NULL;

    if (!runner || runner->state != RUNNER_ACTIVE) {
        marker->done(marker, ERR_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    runner_begin_work(runner);
    runner_mark(runner, marker);
    runner_end_work(runner);
}
