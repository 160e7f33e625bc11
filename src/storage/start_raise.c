/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/start_raise.c: moves a log's start so that nobody who saw it there ever sees it further back.
 *
 *   asked → log-start-offset-checkpoint is durable → the start moves → whoever asked is told
 *
 * Invariants  1. the checkpoint says what the start is, or more, whenever segments do not say it themselves.
 * Crash       before the file is replaced: as if nobody had asked. After it: the start is there at the next load.
 * Threads     the store's; the keeper writes the file.
 */
#include "storage/shard.h"

#include "base/bug.h"

static void start_apply(struct log *log, int64_t offset)
{
    if (offset <= log->start_offset)
        return;
    log->start_offset = offset;
    epoch_cache_truncate_start(&log->epochs, offset);
    producer_state_set_log_start(&log->producers, offset);
    log_flush_kick(log);
    log_notify(log, LOG_CHANGE_START);
}

static void start_told(struct checkpoint_batch *batch)
{
    struct log_start_op *op = batch->context;
    struct log *log = op->log;

    if (--log->raises == 0)
        log->raising_to = -1;
    op->err = batch->err != OK || log->failed ? ERR_KAFKA_STORAGE_ERROR : OK;
    if (op->err == OK)
        start_apply(log, op->offset);
    op->done(op);
    log_busy_end(log);
}

static enum err start_judge(const struct log *log, int64_t offset)
{
    if (log->failed || log->closing)
        return ERR_KAFKA_STORAGE_ERROR;
    if (offset > log->high_watermark)
        return ERR_OFFSET_OUT_OF_RANGE;
    return offset > log->start_offset && log_refuses_appends(log) ? ERR_STATE : OK;
}

void log_raise_start(struct log *log, int64_t offset, struct log_start_op *op)
{
    op->log = log;
    op->offset = offset;
    op->err = start_judge(log, offset);
    if (op->err == OK && BUG_IS(start_not_checkpointed))
        start_apply(log, offset);
    if (op->err != OK || offset <= log->start_offset) {
        op->done(op);
        return;
    }
    log->raises++;
    log->raising_to = MAX(log->raising_to, offset);
    log_busy_begin(log); /* a truncation waits: the watermark stays above */
    log_checkpoint_start(log, start_told, op);
}

enum err log_set_start_offset(struct log *log, int64_t offset)
{
    TRY(start_judge(log, offset));
    if (offset <= log->start_offset)
        return OK;
    start_apply(log, offset);
    log_mark_offsets(log);
    return OK;
}
