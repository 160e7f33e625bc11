/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/failure.c: what happens to a log when its directory goes offline, and the count of what is
 * under way on it.
 * Invariants  1. after log_fail nothing of the log is acknowledged any more.
 *             2. an operation under way still ends through its own completion; then it finds `failed`.
 * Threads     the store's.
 */
#include "storage/shard.h"

void log_notify(struct log *log, unsigned changes)
{
    if (changes != 0 && log->listener)
        log->listener->changed(log->listener, log, changes);
}

void log_io_failed(struct log *log, enum err err, const char *what)
{
    if (log->failed)
        return;
    LOG_ERROR(log_logger(log), "storage", "log_failed", "log=%s what=%s error=%s", log->path, what,
              err_name(err));
    log_directory_fail(log->directory, log->store, err, what);
    log_fail(log);
}

static void appends_fail(struct list_node *list)
{
    while (!list_is_empty(list)) {
        struct log_append *append = LIST_ITEM(list_pop_front(list), struct log_append, node);

        append->err = ERR_KAFKA_STORAGE_ERROR;
        if (append->done)
            append->done(append);
    }
}

void log_fail(struct log *log)
{
    if (log->failed)
        return;
    log->failed = true;
    log_busy_begin(log); /* what is told below may close the log */
    log_clean_cancel(log);
    if (!log->writing)
        appends_fail(&log->writing_list);
    appends_fail(&log->queue);
    log_roll_kick(log);
    log_waits_settle(log);
    if (!log->has_exclusive)
        log_parked_resume(log);
    log_notify(log, LOG_CHANGE_FAILED);
    log_busy_end(log);
}

void log_busy_begin(struct log *log)
{
    log->busy++;
}

void log_busy_end(struct log *log)
{
    ASSERT(log->busy > 0);
    /* Put off, so that no caller finds the log gone. */
    if (--log->busy == 0 && !list_is_empty(&log->changes))
        reactor_defer(log->store->reactor, &log->change_deferred);
}
