/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/change.c: what needs a log to itself: truncation, close, deletion.
 *
 *   asked → what is under way drains (busy = 0, queue empty) → [recovery point lowered durably]
 *   → job alone with the log → results taken over → parked reads go on, or the log is freed
 *
 * Invariants  1. while a change waits or runs, nothing else begins on the log.
 *             2. changes run one by one, in the order asked.
 * Crash       truncate.c; close.c writes in an order that leaves a log that recovers.
 * Threads     the store's; the job owns the struct log meanwhile.
 */
#include "storage/cleaner.h"

#define SWAP_SKIPPED (-1) /* in log_change_op.offset */

static void change_start(struct log *log, struct log_change_op *op);

bool log_is_changing(const struct log *log)
{
    return log->has_exclusive || !list_is_empty(&log->changes);
}

/* The next one, while it waits. */
static const struct log_change_op *change_first(const struct log *log)
{
    if (list_is_empty(&log->changes))
        return NULL;
    return CONTAINER_OF(log->changes.next, struct log_change_op, node);
}

bool log_refuses_appends(const struct log *log)
{
    if (log->has_exclusive && !log->has_swap)
        return true;
    LIST_EACH (node, &log->changes)
        if (LIST_ITEM(node, struct log_change_op, node)->kind != CHANGE_SWAP)
            return true;
    return false;
}

bool log_swap_waits(const struct log *log)
{
    const struct log_change_op *first = change_first(log);

    /* A roll needs the bytes below it written. */
    return first && first->kind == CHANGE_SWAP && list_is_empty(&log->rolls) && !log->rolling;
}

void log_parked_resume(struct log *log)
{
    struct list_node parked;

    list_init(&parked);
    list_splice_back(&parked, &log->parked);
    log_busy_begin(log);
    while (!list_is_empty(&parked)) {
        struct parked *each = LIST_ITEM(list_pop_front(&parked), struct parked, node);

        each->resume(each);
    }
    log_busy_end(log);
}

void log_changes_run(struct log *log)
{
    struct log_change_op *op;

    ASSERT(!list_is_empty(&log->changes)); /* it took one to get a turn, and none is taken back */
    if (log->has_exclusive || log->busy > 0)
        return;
    if (!list_is_empty(&log->queue) && !log_swap_waits(log)) {
        log_write_kick(log);
        return;
    }
    op = LIST_ITEM(list_pop_front(&log->changes), struct log_change_op, node);
    log->has_exclusive = true;
    log->has_swap = op->kind == CHANGE_SWAP;
    change_start(log, op);
}

/* ---- the jobs ---- */

static enum err doom_work(struct log *log, enum log_name_kind kind)
{
    if (!log->doomed_path) {
        char name[LOG_NAME_BYTES];
        uint8_t unique[16];

        os_entropy(log_os(log), unique, sizeof unique);
        log_name_make(log_topic(log), log->partition, kind, unique, name);
        log->doomed_path = storage_allocate(PATH_BYTES);
        path_join(log->directory->path, name, log->doomed_path);
    }
    if (!log->renamed)
        TRY(os_rename(log_os(log), log->path, log->doomed_path));
    log->renamed = true;
    return os_sync_directory(log_os(log), log->directory->path);
}

/* Whole before it gets its name: what is found under it after a crash is the copy or nothing. */
static enum err promote_work(struct log *log)
{
    char name[LOG_NAME_BYTES];
    char path[PATH_BYTES];

    if (!log->renamed) {
        TRY(log_close_blocking(log));
        log_name_make(log_topic(log), log->partition, LOG_NAME_CURRENT, NULL, name);
        path_join(log->directory->path, name, path);
        TRY(os_rename(log_os(log), log->path, path));
        log->renamed = true;
    }
    return os_sync_directory(log_os(log), log->directory->path);
}

static void change_run(struct os_op *job)
{
    struct log_change_op *op = CONTAINER_OF(job, struct log_change_op, job);
    struct log *log = op->log;
    struct why why = {0};

    switch ((enum change_kind)op->kind) {
    case CHANGE_TRUNCATE:
        job->err = log_truncate_blocking(log, op->offset, &why);
        break;
    case CHANGE_TRUNCATE_FULLY:
        job->err = log_truncate_fully_blocking(log, op->offset, &why);
        break;
    case CHANGE_CLOSE:
        job->err = log_close_blocking(log);
        break;
    case CHANGE_DELETE:
        job->err = doom_work(log, LOG_NAME_DELETE);
        break;
    case CHANGE_STRAY:
        job->err = doom_work(log, LOG_NAME_STRAY);
        break;
    case CHANGE_PROMOTE:
        job->err = promote_work(log);
        break;
    case CHANGE_SWAP:
        job->err = clean_swap_blocking(op->context);
        break;
    }
    if (job->err != OK && !err_is_shortage(job->err))
        LOG_ERROR(log_logger(log), "storage", "change_failed", "log=%s error=%s why=\"%s\"",
                  log->path, err_name(job->err), why.text);
}

/* ---- on the shard ---- */

static void dropped_release(struct log *log)
{
    for (size_t i = 0; i < log->dropped_count; i++) {
        log->dropped[i]->deleted = true;
        segment_release(&log->dropped[i]);
    }
    storage_free(log->dropped, log->dropped_capacity * sizeof(struct segment *));
    log->dropped = NULL;
    log->dropped_count = 0;
    log->dropped_capacity = 0;
}

static void truncate_take_over(struct log *log, const struct log_change_op *op)
{
    if (op->kind == CHANGE_TRUNCATE_FULLY)
        log_waits_lose(log, log->end_synced);
    log->end_queued = log->change_end;
    log->end_written = log->change_end;
    log->end_flushed = log->change_end;
    log->end_synced = log->config.flush_mode == FLUSH_MODE_COMMIT
                          ? log->change_end
                          : MIN(log->end_synced, log->change_end);
    log->recovery_point = MIN(log->recovery_point, log->change_end);
    log->full_flush_to = MIN(log->full_flush_to, log->change_end);
    log->forced_flush_to = MIN(log->forced_flush_to, log->change_end);
    log->high_watermark = MAX(MIN(log->high_watermark, log->change_end), log->start_offset);
    ASSERT(log->pending_snapshot_count == 0); /* a log at rest has flushed them: log_flush_kick */
    log->middle_snapshot = -1;
    log_forget_recent(log);
    segment_renew(log_active(log));
    producer_state_set_log_start(&log->producers, log->start_offset);
    producer_state_set_high_watermark(&log->producers, log->high_watermark);
    log_mark_offsets(log);
    log_mark_high_watermark(log);
}

static void log_leave(struct log *log, struct log_change_op *op, enum err err)
{
    struct log_store *store = log->store;

    log->has_exclusive = false;
    log->failed = log->failed || (op->kind != CHANGE_CLOSE && op->kind != CHANGE_PROMOTE);
    if (op->kind != CHANGE_CLOSE && op->kind != CHANGE_PROMOTE)
        log_forget_checkpoints(log);
    else
        log_checkpoint_last(log);
    if (err == OK && (op->kind == CHANGE_PROMOTE || (op->kind == CHANGE_CLOSE && !log->is_future)))
        store_closed_note(store, log);
    if (op->kind == CHANGE_DELETE && err == OK)
        store_doom(store, log->directory, log->doomed_path, true, log->config.file_delete_delay_ms);
    atomic_fetch_sub(&log->directory->log_count, 1);
    /* Changes asked for after this one find no log. */
    while (!list_is_empty(&log->changes)) {
        struct log_change_op *late =
            LIST_ITEM(list_pop_front(&log->changes), struct log_change_op, node);

        late->err = ERR_CLOSED;
        late->done(late);
    }
    log->failed = true;
    log_waits_settle(log);
    log_parked_resume(log);
    log_free(log);
    op->log = NULL;
    op->err = err;
    op->done(op);
    store_log_closed(store, err);
}

static void swap_take_over(struct log *log, struct log_change_op *op, enum err err)
{
    struct clean_pass *pass = op->context;

    if (err == OK && !log->failed && op->offset != SWAP_SKIPPED)
        clean_swap_take_over(pass);
}

static void change_end(struct log *log, struct log_change_op *op, enum err err)
{
    bool leaves = op->kind == CHANGE_CLOSE || op->kind == CHANGE_DELETE ||
                  op->kind == CHANGE_STRAY || op->kind == CHANGE_PROMOTE;

    dropped_release(log);
    if (err != OK && !log->failed) {
        log->has_exclusive = leaves; /* nobody is let in between */
        /* What rotted is no fault of the other logs of the directory. */
        if (err == ERR_CORRUPT || err == ERR_CORRUPT_MESSAGE)
            log_fail(log);
        else
            log_io_failed(log, err, "change");
    }
    if (leaves) {
        log_leave(log, op, err != OK ? ERR_KAFKA_STORAGE_ERROR : OK);
        return;
    }
    if (op->kind == CHANGE_SWAP)
        swap_take_over(log, op, err);
    else if (err == OK && !log->failed)
        truncate_take_over(log, op);
    log->has_exclusive = false;
    log->has_swap = false;
    op->err = log->failed ? ERR_KAFKA_STORAGE_ERROR : OK;
    log_busy_begin(log);
    log_waits_settle(log); /* some wait for what is no more */
    op->done(op);
    if (list_is_empty(&log->changes) || log->failed)
        log_parked_resume(log);
    log_write_kick(log);
    log_flush_kick(log);
    log_busy_end(log);
}

static void change_job_done(struct os_op *job)
{
    struct log_change_op *op = CONTAINER_OF(job, struct log_change_op, job);

    if (!op->log->failed && store_shortage_waits(op->log->store, job))
        return; /* each goes on where it stopped */
    store_operation_end(op->log->store);
    change_end(op->log, op, job->err);
}

static void change_submit(struct log *log, struct log_change_op *op)
{
    op->job = (struct os_op){.kind = OS_OP_JOB, .run = change_run, .done = change_job_done};
    store_operation_begin(log->store);
    reactor_submit(log->store->reactor, &op->job);
}

static void change_checkpointed(struct checkpoint_batch *batch)
{
    struct log_change_op *op = batch->context;

    store_operation_end(op->log->store);
    if (batch->err != OK || op->log->failed)
        change_end(op->log, op, batch->err != OK ? batch->err : ERR_KAFKA_STORAGE_ERROR);
    else
        change_submit(op->log, op);
}

/* To where the active segment will begin: what is appended from there on was never cleaned. The file learns
 * of it before a byte goes, or a later pass would take new records for clean ones, and old values of keys
 * that they delete would come back. */
static void clean_offset_lower(struct log *log, int64_t offset)
{
    size_t at = log_segment_floor(log, offset);
    int64_t base = at == SIZE_MAX ? offset : log->segments[at]->base_offset;

    log->clean_offset = MIN(log->clean_offset, base);
}

static void change_start(struct log *log, struct log_change_op *op)
{
    bool truncates = op->kind == CHANGE_TRUNCATE || op->kind == CHANGE_TRUNCATE_FULLY;

    log->change_end = log->end_queued;
    if (log->failed) {
        change_end(log, op, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    if (op->kind == CHANGE_SWAP && atomic_load(&((struct clean_pass *)op->context)->cancelled)) {
        op->offset = SWAP_SKIPPED; /* whoever asked removes what it has made */
        change_end(log, op, OK);
        return;
    }
    if (truncates && op->kind == CHANGE_TRUNCATE && op->offset >= log->end_queued &&
        log_epoch_latest_start(log) < op->offset) {
        change_end(log, op, OK); /* nothing to cut */
        return;
    }
    if (truncates)
        clean_offset_lower(log, op->offset);
    if (truncates &&
        (op->offset < MAX(log->recovery_point, log->told_recovery_point) ||
         log->told_clean_offset > log->clean_offset || op->kind == CHANGE_TRUNCATE_FULLY)) {
        log->recovery_point = MIN(log->recovery_point, op->offset);
        store_operation_begin(log->store);
        log_checkpoint_now(log, change_checkpointed, op);
        return;
    }
    change_submit(log, op);
}

static void change_ask(struct log *log, struct log_change_op *op, enum change_kind kind,
                       int64_t offset)
{
    op->log = log;
    op->kind = (int)kind;
    op->offset = offset;
    op->err = OK;
    list_push_back(&log->changes, &op->node);
    if (kind != CHANGE_SWAP)
        log_clean_cancel(log);
    reactor_defer(log->store->reactor, &log->change_deferred);
}

void log_swap(struct log *log, struct log_change_op *op)
{
    change_ask(log, op, CHANGE_SWAP, 0);
}

void log_change_turn(struct deferred *deferred)
{
    log_changes_run(CONTAINER_OF(deferred, struct log, change_deferred));
}

void log_truncate(struct log *log, int64_t offset, struct log_change_op *op)
{
    ASSERT(offset >= 0);
    change_ask(log, op, CHANGE_TRUNCATE, offset);
}

void log_truncate_fully(struct log *log, int64_t offset, struct log_change_op *op)
{
    ASSERT(offset >= 0);
    change_ask(log, op, CHANGE_TRUNCATE_FULLY, offset);
}

void log_close(struct log *log, struct log_change_op *op)
{
    log->closing = true;
    change_ask(log, op, CHANGE_CLOSE, 0);
}

void log_delete(struct log *log, struct log_change_op *op)
{
    log->closing = true;
    change_ask(log, op, CHANGE_DELETE, 0);
}

void log_make_stray(struct log *log, struct log_change_op *op)
{
    log->closing = true;
    change_ask(log, op, CHANGE_STRAY, 0);
}

void log_promote(struct log *log, struct log_change_op *op)
{
    log->closing = true;
    change_ask(log, op, CHANGE_PROMOTE, 0);
}
