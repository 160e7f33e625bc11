/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_move.c: a replica on its way to another directory of this node.
 * docs/design/partitions.md §10; storage.md §5.10 of the reference.
 *
 *   open -future ─▶ copy, one bounded piece at a time ─▶ equal ends ─▶ report to the controller
 *   ─▶ accepted ─▶ hold operations, drain, copy the rest ─▶ current → -delete ─▶ -future → current
 *   ─▶ open
 *
 * Crash       before the first rename: both are found and the copy goes on. Between the two: only
 * -future             is found, whole and flushed; it is promoted.
 */
#include "server/partition_internal.h"

#include "base/assert.h"
#include "records/batch.h"

enum move_stage { MOVE_OPEN, MOVE_COPY, MOVE_REPORT, MOVE_SWAP };

struct partition_move {
    struct hosted *hosted;
    struct log_directory *target;
    struct log_directory *next_target; /* after a cancel; NULL: none */
    enum move_stage stage;
    bool is_busy; /* a call of storage is under way */
    bool is_cancelled;
    bool discards; /* a cancelled copy is deleted, else left to the store */
    bool is_accepted;
    struct log_open open;
    struct log_read read;
    struct log_append append;
    struct log_change_op change;
    uint8_t *buffer;
    size_t buffer_bytes;
};

static void move_free(struct hosted *hosted)
{
    struct partition_move *move = TAKE(hosted->move);

    server_free(move->buffer, move->buffer_bytes);
    SERVER_DELETE(move);
}

static void move_buffer(struct partition_move *move, size_t size_bytes)
{
    if (move->buffer_bytes >= size_bytes)
        return;
    server_free(move->buffer, move->buffer_bytes);
    move->buffer = server_allocate(size_bytes);
    move->buffer_bytes = size_bytes;
}

/* ---- the end without a swap ---- */

static void move_over(struct hosted *hosted)
{
    struct log_directory *next = hosted->move->next_target;

    hosted->partition.future_log = NULL;
    hosted->is_held = false;
    move_free(hosted);
    if (hosted->end != HOSTED_STAYS) {
        hosted_leave_step(hosted);
        return;
    }
    if (next && next != hosted->partition.directory)
        (void)partition_move_start(&hosted->partition, next);
    hosted_ops_run(hosted);
}

static void move_discarded(struct log_change_op *op)
{
    move_over(CONTAINER_OF(op, struct partition_move, change)->hosted);
}

static void move_end(struct hosted *hosted)
{
    struct partition_move *move = hosted->move;

    if (hosted->table->is_stopped || !hosted->partition.future_log) {
        move_over(hosted); /* the store closes what is open */
        return;
    }
    move->is_busy = true;
    move->change = (struct log_change_op){.done = move_discarded};
    if (move->discards)
        log_delete(hosted->partition.future_log, &move->change);
    else
        log_close(hosted->partition.future_log, &move->change);
}

static void move_failed(struct hosted *hosted, const char *what, enum err err)
{
    LOG_WARN(table_logger(hosted->table), "server", "move_failed",
             "topic=%.*s partition=%d to=%s at=%s error=%s", SLICE_ARGS(hosted->partition.topic),
             hosted->partition.index, log_directory_path(hosted->move->target), what,
             err_name(err));
    hosted->move->is_cancelled = true;
}

void partition_move_cancel(struct hosted *hosted, bool discard)
{
    struct partition_move *move = hosted->move;

    if (!move || move->stage == MOVE_SWAP)
        return; /* a swap that began is carried through */
    move->is_cancelled = true;
    move->discards = discard;
    if (!move->is_busy)
        move_end(hosted);
}

/* ---- copying ---- */

static void move_continue(struct partition_move *move)
{
    move->is_busy = false;
    partition_move_step(move->hosted);
}

static void move_appended(struct log_append *append)
{
    struct partition_move *move = CONTAINER_OF(append, struct partition_move, append);

    if (append->err != OK)
        move_failed(move->hosted, "append", append->err);
    move_continue(move);
}

static void move_read_done(struct log_read *read)
{
    struct partition_move *move = CONTAINER_OF(read, struct partition_move, read);
    struct hosted *hosted = move->hosted;
    struct slice rest = slice_of(move->buffer, read->read_bytes);
    struct slice batch;
    size_t whole_bytes = 0;
    struct why why = {{0}};
    enum err err = read->err;

    log_read_release(read);
    while (err == OK) {
        err = batch_next(&rest, &batch);
        if (err != OK || batch.size_bytes == 0)
            break;
        whole_bytes += batch.size_bytes;
    }
    if (err == OK && whole_bytes > 0) {
        move->append = (struct log_append){
            .data = move->buffer,
            .size_bytes = whole_bytes,
            .origin = APPEND_ORIGIN_REPLICATION,
            .leader_epoch = hosted->partition.replica.leader_epoch,
            .done = move_appended,
        };
        move_rate_record(&hosted->table->moves, hosted->table->shard->reactor, whole_bytes);
        err = log_append(hosted->partition.future_log, &move->append, &why);
        if (err == OK && move->append.first_offset >= 0)
            return;
    }
    if (err != OK)
        move_failed(hosted, "copy", err);
    move_continue(move);
}

static void move_planned(struct log_read *read)
{
    struct partition_move *move = CONTAINER_OF(read, struct partition_move, read);

    if (read->err == OK && read->size_bytes > 0) {
        move_buffer(move, read->size_bytes);
        read->done = move_read_done;
        log_read_bytes(read, move->buffer);
        return;
    }
    if (read->err != OK && read->err != ERR_OFFSET_OUT_OF_RANGE)
        move_failed(move->hosted, "read", read->err);
    log_read_release(read);
    move->is_busy = false;
}

static void move_truncated(struct log_change_op *op)
{
    struct partition_move *move = CONTAINER_OF(op, struct partition_move, change);

    if (op->err != OK)
        move_failed(move->hosted, "truncate", op->err);
    move_continue(move);
}

static void move_truncate(struct partition_move *move, int64_t offset, bool fully)
{
    move->is_busy = true;
    move->change = (struct log_change_op){.done = move_truncated};
    if (fully)
        log_truncate_fully(move->hosted->partition.future_log, offset, &move->change);
    else
        log_truncate(move->hosted->partition.future_log, offset, &move->change);
}

static void move_copy(struct partition_move *move, int64_t from)
{
    struct move_rate *rate = &move->hosted->table->moves;

    if (!move->hosted->is_held && move_rate_waits(rate, move->hosted->table->shard->reactor))
        return; /* stepped again then */
    move->is_busy = true;
    move->read = (struct log_read){
        .offset = from,
        .bound_offset = log_end_written(move->hosted->partition.log),
        .bytes_max = move_rate_piece_bytes(rate),
        .at_least_one = true,
        .done = move_planned,
    };
    if (log_read_plan(move->hosted->partition.log, &move->read))
        move_planned(&move->read);
}

/* ---- the swap ---- */

static void move_promoted(struct log_change_op *op)
{
    struct partition_move *move = CONTAINER_OF(op, struct partition_move, change);
    struct hosted *hosted = move->hosted;
    struct partition *partition = &hosted->partition;
    enum err err = op->err;

    if (op->err != OK)
        LOG_ERROR(table_logger(hosted->table), "server", "move_not_promoted",
                  "topic=%.*s partition=%d to=%s error=%s", SLICE_ARGS(partition->topic),
                  partition->index, log_directory_path(move->target), err_name(op->err));
    else
        LOG_INFO(table_logger(hosted->table), "server", "replica_moved",
                 "topic=%.*s partition=%d to=%s", SLICE_ARGS(partition->topic), partition->index,
                 log_directory_path(move->target));
    partition->directory = move->target;
    partition->future_log = NULL;
    partition->stage = PARTITION_CLOSED;
    hosted->is_found = true;
    hosted->is_held = false;
    move_free(hosted);
    if (hosted->end != HOSTED_STAYS) {
        partition->stage = PARTITION_LEAVING;
        hosted_leave_step(hosted);
    } else if (err != OK) {
        hosted_offline(hosted, err);
    } else {
        hosted_queue(hosted, true);
    }
}

static void move_old_deleted(struct log_change_op *op)
{
    struct partition_move *move = CONTAINER_OF(op, struct partition_move, change);
    struct hosted *hosted = move->hosted;

    if (op->err != OK)
        LOG_WARN(table_logger(hosted->table), "server", "move_old_left",
                 "topic=%.*s partition=%d error=%s", SLICE_ARGS(hosted->partition.topic),
                 hosted->partition.index, err_name(op->err));
    hosted->partition.log = NULL;
    move->change = (struct log_change_op){.done = move_promoted};
    log_promote(hosted->partition.future_log, &move->change);
}

static void move_swap(struct partition_move *move)
{
    struct hosted *hosted = move->hosted;

    move->stage = MOVE_SWAP;
    move->is_busy = true;
    hosted->partition.stage = PARTITION_OPENING;
    log_set_listener(hosted->partition.log, NULL);
    move->change = (struct log_change_op){.done = move_old_deleted};
    log_delete(hosted->partition.log, &move->change);
}

/* ---- steps ---- */

static void move_opened(struct log_open *open)
{
    struct partition_move *move = CONTAINER_OF(open, struct partition_move, open);

    if (open->err == OK) {
        move->hosted->partition.future_log = open->log;
        log_set_config(open->log,
                       &move->hosted->partition.settings->log); /* as in partition_open.c */
        move->stage = MOVE_COPY;
    } else {
        move_failed(move->hosted, "open", open->err);
    }
    move_continue(move);
}

/* The copy in the directory that it moves to. */
static void future_open(struct partition_move *move, bool create, void (*done)(struct log_open *))
{
    struct partition *partition = &move->hosted->partition;

    move->is_busy = true;
    move->open = (struct log_open){
        .directory = move->target,
        .topic = partition->topic,
        .partition = partition->index,
        .topic_id = partition->topic_id,
        .config = &partition->settings->log,
        .create = create,
        .future = true,
        .done = done,
    };
    log_store_open(move->hosted->table->shard->store, &move->open);
}

static void move_open(struct partition_move *move)
{
    future_open(move, true, move_opened);
}

static void move_equal(struct partition_move *move)
{
    struct hosted *hosted = move->hosted;

    if (move->stage == MOVE_COPY) {
        move->stage = MOVE_REPORT;
        directory_report(hosted, log_directory_id(move->target));
        return;
    }
    if (!move->is_accepted)
        return;
    hosted->is_held = true;
    if (hosted->uses == 0 &&
        log_end_queued(hosted->partition.log) == log_end_queued(hosted->partition.future_log) &&
        hosted->partition.stage == PARTITION_OPEN && list_is_empty(&hosted->partition.commits))
        move_swap(move);
}

void partition_move_step(struct hosted *hosted)
{
    struct partition_move *move = hosted->move;
    struct partition *partition = &hosted->partition;
    int64_t end;
    int64_t copied;

    if (!move && hosted->future_found && partition->stage == PARTITION_OPEN) {
        struct log_directory *target = TAKE(hosted->future_found);

        if (partition_move_start(partition, target) != OK)
            stray_make(hosted->table, target, partition->topic, partition->index, true, NULL);
        return;
    }
    if (!move || move->is_busy)
        return;
    if (log_directory_is_offline(move->target))
        move->is_cancelled = true;
    if (move->is_cancelled || hosted->table->is_stopped) {
        move_end(hosted);
        return;
    }
    if (move->stage == MOVE_OPEN) {
        move_open(move);
        return;
    }
    end = log_end_written(partition->log);
    copied = log_end_queued(partition->future_log);
    if (copied > end)
        move_truncate(move, end, false);
    else if (copied < log_start_offset(partition->log))
        move_truncate(move, log_start_offset(partition->log), true);
    else if (copied == end)
        move_equal(move);
    else
        move_copy(move, copied);
}

void partition_move_reported(struct hosted *hosted, enum err err)
{
    struct partition_move *move = hosted->move;

    if (!move || move->stage != MOVE_REPORT)
        return;
    if (err == OK)
        move->is_accepted = true;
    else
        move_failed(hosted, "report", err);
    if (err != OK)
        move->discards = true;
    partition_move_step(hosted);
}

enum err partition_move_start(struct partition *partition, struct log_directory *directory)
{
    struct hosted *hosted = hosted_of(partition);

    if (hosted->move) {
        if (hosted->move->target == directory && !hosted->move->is_cancelled)
            return OK;
        if (hosted->move->stage == MOVE_SWAP)
            return ERR_REPLICA_NOT_AVAILABLE;
        hosted->move->next_target = directory;
        partition_move_cancel(hosted, true);
        return OK;
    }
    if (directory == partition->directory)
        return OK;
    if (log_directory_is_offline(directory))
        return ERR_KAFKA_STORAGE_ERROR;
    hosted->move = SERVER_NEW(struct partition_move);
    hosted->move->hosted = hosted;
    hosted->move->target = directory;
    LOG_INFO(table_logger(hosted->table), "server", "move_started",
             "topic=%.*s partition=%d from=%s to=%s", SLICE_ARGS(partition->topic),
             partition->index, log_directory_path(partition->directory),
             log_directory_path(directory));
    partition_move_step(hosted);
    return OK;
}

/* ---- after a crash in the midst of a swap ---- */

static void found_promoted(struct log_change_op *op)
{
    move_promoted(op);
}

static void found_opened(struct log_open *open)
{
    struct partition_move *move = CONTAINER_OF(open, struct partition_move, open);
    struct hosted *hosted = move->hosted;

    if (open->err != OK) {
        LOG_ERROR(table_logger(hosted->table), "server", "future_log_failed",
                  "topic=%.*s partition=%d error=%s why=\"%s\"",
                  SLICE_ARGS(hosted->partition.topic), hosted->partition.index, err_name(open->err),
                  open->why.text);
        move_free(hosted);
        hosted->partition.stage = PARTITION_CLOSED;
        hosted_offline(hosted, open->err);
        if (hosted->end != HOSTED_STAYS)
            hosted_leave_step(hosted);
        return;
    }
    hosted->partition.future_log = open->log;
    log_set_config(open->log, &hosted->partition.settings->log);
    move->change = (struct log_change_op){.done = found_promoted};
    log_promote(open->log, &move->change);
}

void partition_move_finish_found(struct hosted *hosted)
{
    struct partition_move *move = SERVER_NEW(struct partition_move);

    hosted->move = move;
    move->hosted = hosted;
    move->target = TAKE(hosted->future_found);
    move->stage = MOVE_SWAP;
    hosted->partition.stage = PARTITION_OPENING;
    future_open(move, false, found_opened);
}
