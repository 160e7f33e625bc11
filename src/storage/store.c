/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/store.c: the logs of one shard: opening them in the pool, the ticks that all of them share,
 * and the orderly end of all.
 * Invariants  1. an idle store sets no timer but the retention tick, and that only while it has logs.
 * Threads     the store's; opening is a job that has the new log to itself.
 */
#include "storage/shard.h"

#include "base/fault_point.h"

static void retention_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, retention_timer);

    LIST_EACH_SAFE (node, &store->logs)
        log_retention_pass(LIST_ITEM(node, struct log, node));
    if (store->log_count > 0)
        timer_set(store->reactor, timer,
                  reactor_now_ms(store->reactor) +
                      store->directories->options.retention_check_interval_ms);
}

static void flush_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, flush_timer);
    int64_t now_ms = reactor_now_ms(store->reactor);

    LIST_EACH_SAFE (node, &store->logs) {
        struct log *log = LIST_ITEM(node, struct log, node);

        if (log->config.flush_ms != INT64_MAX &&
            now_ms - log->last_flush_ms >= log->config.flush_ms)
            log_flush_full(log, log->end_queued);
    }
    if (store->log_count > 0)
        timer_set(store->reactor, timer,
                  now_ms + store->directories->options.flush_scheduler_interval_ms);
}

static void expiry_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, expiry_timer);
    const struct storage_options *options = &store->directories->options;

    LIST_EACH (node, &store->logs) {
        struct log *log = LIST_ITEM(node, struct log, node);

        if (!log_is_changing(log))
            producer_state_expire(&log->producers, reactor_wall_ms(store->reactor),
                                  atomic_load(&store->directories->producer_expiration_ms));
    }
    if (store->log_count > 0)
        timer_set(store->reactor, timer,
                  reactor_now_ms(store->reactor) + options->producer_expiration_check_ms);
}

static void ticks_start(struct log_store *store)
{
    const struct storage_options *options = &store->directories->options;
    int64_t now_ms = reactor_now_ms(store->reactor);

    if (!timer_is_set(&store->retention_timer))
        timer_set(store->reactor, &store->retention_timer,
                  now_ms + (store->had_logs ? options->retention_check_interval_ms
                                            : options->initial_delay_ms));
    if (!timer_is_set(&store->expiry_timer))
        timer_set(store->reactor, &store->expiry_timer,
                  now_ms + options->producer_expiration_check_ms);
    if (options->flush_scheduler_interval_ms != INT64_MAX && !timer_is_set(&store->flush_timer))
        timer_set(store->reactor, &store->flush_timer,
                  now_ms + options->flush_scheduler_interval_ms);
    store->had_logs = true;
}

static void close_check(struct deferred *deferred);

enum err log_store_create(struct log_directories *directories, struct reactor *reactor,
                          struct reactor *checkpoint_reactor, struct storage_listener *listener,
                          struct log_store **out)
{
    struct log_store *store;

    if (directories->store_count == STORES_MAX)
        return ERR_STATE;
    store = STORAGE_NEW(struct log_store);
    store->directories = directories;
    store->reactor = reactor;
    store->listener = listener;
    store->index = (int)directories->store_count;
    list_init(&store->logs);
    list_init(&store->idle_files);
    list_init(&store->loaded_segments);
    list_init(&store->closed);
    store_doomed_init(store);
    store_checkpoints_init(store);
    timer_init(&store->retention_timer, retention_due);
    timer_init(&store->flush_timer, flush_due);
    timer_init(&store->expiry_timer, expiry_due);
    store_reserved_init(store);
    store_cleaner_init(store);
    shortage_init(&store->shortage, directories, reactor);
    deferred_init(&store->close_deferred, close_check);
    if (!directories->keeper_reactor)
        keeper_open(directories, checkpoint_reactor);
    ASSERT(directories->keeper_reactor == checkpoint_reactor);
    directories->stores[directories->store_count++] = store;
    *out = store;
    return OK;
}

void log_store_release(struct log_store **held)
{
    struct log_store *store = TAKE(*held);

    if (!store)
        return;
    ASSERT(store->log_count == 0 && store->operations == 0);
    store_doomed_release(store);
    shortage_release(&store->shortage);
    store_closed_release(store);
    while (store->scratch_count > 0)
        storage_free(store->scratches[--store->scratch_count], STORE_SCRATCH_BYTES);
    places_free(store);
    timer_cancel(store->reactor, &store->retention_timer);
    timer_cancel(store->reactor, &store->flush_timer);
    timer_cancel(store->reactor, &store->expiry_timer);
    timer_cancel(store->reactor, &store->reserved_timer);
    timer_cancel(store->reactor, &store->offsets_timer);
    timer_cancel(store->reactor, &store->marks_timer);
    timer_cancel(store->reactor, &store->cleaner_timer);
    reactor_defer_cancel(store->reactor, &store->close_deferred);
    if (store->reactor == store->directories->keeper_reactor)
        keeper_stop(store->directories);
    for (size_t i = 0; i < store->directories->store_count; i++)
        if (store->directories->stores[i] == store)
            store->directories->stores[i] =
                store->directories->stores[--store->directories->store_count];
    STORAGE_DELETE(store);
}

void store_operation_begin(struct log_store *store)
{
    store->operations++;
}

void store_operation_end(struct log_store *store)
{
    ASSERT(store->operations > 0);
    store->operations--;
    if (store->close_op)
        reactor_defer(store->reactor, &store->close_deferred);
}

void store_directory_failed(struct log_store *store, struct log_directory *directory)
{
    LIST_EACH_SAFE (node, &store->logs) {
        struct log *log = LIST_ITEM(node, struct log, node);

        if (log->directory == directory)
            log_fail(log);
    }
    if (store->listener)
        store->listener->directory_failed(store->listener, directory);
}

/* ---- opening ---- */

struct open_work {
    struct log_open *open;
    struct log *log;
    struct load_request request;
};

static void open_run(struct os_op *job)
{
    struct open_work *work = job->buffer;

    job->err = log_load(work->log, &work->request, &work->open->why);
}

static void found_mark(struct log_directory *directory, const struct log *log)
{
    for (size_t i = 0; i < directory->found_count; i++) {
        const struct log_name *name = &directory->found[i].name;

        if (name->partition == log->partition && slice_equal(name->topic, log_topic(log)) &&
            name->kind == (log->is_future ? LOG_NAME_FUTURE : LOG_NAME_CURRENT))
            atomic_store(&directory->found[i].opened, true);
    }
}

static bool is_directory_error(enum err err)
{
    return err != ERR_NOT_FOUND && err != ERR_INCONSISTENT_TOPIC_ID && err != ERR_CANCELLED &&
           err != ERR_NO_MEMORY && err != ERR_TOO_MANY_FILES;
}

/* ---- closing one of many ---- */

struct close_one {
    struct log_change_op op;
    struct log_store *store;
};

static void close_one_done(struct log_change_op *op)
{
    struct close_one *one = CONTAINER_OF(op, struct close_one, op);

    STORAGE_DELETE(one);
}

static void store_close_one(struct log_store *store, struct log *log)
{
    struct close_one *one = STORAGE_NEW(struct close_one);

    one->store = store;
    one->op.done = close_one_done;
    log_close(log, &one->op);
}

static void open_end(struct log_open *open, struct log *log, enum err err)
{
    struct log_store *store = log->store;

    if (err != OK && is_directory_error(err)) {
        LOG_ERROR(log_logger(log), "storage", "load_failed", "log=%s error=%s why=\"%s\"",
                  log->path, err_name(err), open->why.text);
        log_directory_fail(log->directory, store, err, "load");
        err = ERR_KAFKA_STORAGE_ERROR;
    }
    if (err != OK) {
        log_free(log);
    } else {
        log_active(log)->roll_jitter_ms = log_jitter_draw(log);
        list_push_back(&store->logs, &log->node);
        store->log_count++;
        atomic_fetch_add(&log->directory->log_count, 1);
        found_mark(log->directory, log);
        log_mark_offsets(log);
        log_mark_high_watermark(log);
        ticks_start(store);
        if (log->config.cleanup_compact)
            store_cleaner_kick(store);
        log->failed = log_directory_is_offline(log->directory);
        open->log = log;
    }
    open->err = err;
    open->done(open);
    if (err == OK && store->close_op && !log->closing)
        store_close_one(store, log); /* it was on its way when everything else was closed */
    store_operation_end(store);
}

static void open_checkpointed(struct checkpoint_batch *batch)
{
    struct open_work *work = batch->context;
    struct log_open *open = work->open;
    struct log *log = work->log;

    storage_free(work, sizeof *work);
    open_end(open, log, batch->err);
}

/* An opening that found no descriptor or no memory begins anew, with a struct that knows nothing. */
static void open_restart(struct open_work *work)
{
    struct log *old = work->log;
    struct log *log =
        log_new(old->store, old->directory, work->open->topic, old->partition, old->is_future);
    const char *name = log->name;
    char *path = log->path;

    /* A copy's name was drawn, and its directory may have been made. */
    log->path = old->path;
    log->name = old->name;
    old->path = path;
    old->name = name;
    log->loaded_anew = old->loaded_anew;
    log->config = old->config;
    log->told_recovery_point = old->told_recovery_point;
    log->told_clean_offset = old->told_clean_offset;
    work->log = log;
    log_free(old);
}

static void open_done(struct os_op *job)
{
    struct open_work *work = job->buffer;
    struct log_open *open = work->open;
    struct log *log = work->log;

    if (!log_directory_is_offline(log->directory) && store_shortage_waits(log->store, job)) {
        open_restart(work);
        return;
    }
    if (job->err == OK && !open->recover_all &&
        (log->told_recovery_point > log->recovery_point ||
         log->told_clean_offset > log->clean_offset)) {
        /* Recovery ended below a checkpoint: what is appended from here on must not be trusted by a
         * start after the next crash, so the file learns of it first. */
        log_checkpoint_now(log, open_checkpointed, work);
        return;
    }
    storage_free(work, sizeof *work);
    open_end(open, log, job->err);
}

static int64_t checkpoint_at_open(const struct log_directory *directory, enum checkpoint_kind kind,
                                  struct slice topic, int32_t partition)
{
    int64_t offset = -1;

    (void)offset_map_get(&directory->at_open[kind], topic, partition, &offset);
    return offset;
}

static void open_refuse(struct os_op *job)
{
    job->err = ERR_KAFKA_STORAGE_ERROR;
}

static void refused_done(struct os_op *job)
{
    struct log_open *open = CONTAINER_OF(job, struct log_open, job);

    open->err = ERR_KAFKA_STORAGE_ERROR;
    open->done(open);
    store_operation_end(open->store);
}

/* A log made in this run has no checkpoint of an earlier one, even if its name had. */
static bool was_found(const struct log_directory *directory, struct slice topic, int32_t partition,
                      bool is_future)
{
    enum log_name_kind kind = is_future ? LOG_NAME_FUTURE : LOG_NAME_CURRENT;

    for (size_t i = 0; i < directory->found_count; i++)
        if (directory->found[i].name.partition == partition &&
            slice_equal(directory->found[i].name.topic, topic) &&
            directory->found[i].name.kind == kind)
            return !atomic_load(&directory->found[i].opened);
    return false;
}

void log_store_open(struct log_store *store, struct log_open *open)
{
    struct log_directory *directory = open->directory;
    struct open_work *work;
    bool recover_all;

    open->store = store;
    open->log = NULL;
    open->err = OK;
    open->why.text[0] = '\0';
    open->job = (struct os_op){.kind = OS_OP_JOB};
    store_operation_begin(store);
    if (log_directory_is_offline(directory)) {
        open->job.run = open_refuse;
        open->job.done = refused_done;
        reactor_submit(store->reactor, &open->job);
        return;
    }
    recover_all = open->recover_all || FAULT_POINT(recovery_point_ignored);
    work = STORAGE_NEW(struct open_work);
    work->open = open;
    work->log = log_new(store, directory, open->topic, open->partition, open->future);
    work->log->config = *open->config;
    work->request = (struct load_request){
        .create = open->create,
        .clean = directory->was_clean && !recover_all,
        .topic_id = open->topic_id,
        .recovery_point = -1,
        .start_offset = -1,
        .high_watermark = -1,
        .clean_offset = -1,
    };
    if (!store_closed_take(store, open, &work->request) &&
        was_found(directory, open->topic, open->partition, open->future)) {
        work->request.recovery_point =
            checkpoint_at_open(directory, CHECKPOINT_RECOVERY, open->topic, open->partition);
        work->request.start_offset =
            checkpoint_at_open(directory, CHECKPOINT_START, open->topic, open->partition);
        work->request.high_watermark =
            checkpoint_at_open(directory, CHECKPOINT_HIGH_WATERMARK, open->topic, open->partition);
        work->request.clean_offset =
            checkpoint_at_open(directory, CHECKPOINT_CLEANER, open->topic, open->partition);
    }
    work->log->told_recovery_point = work->request.recovery_point;
    work->log->told_clean_offset = work->request.clean_offset;
    if (recover_all)
        work->request.recovery_point = -1;
    open->job.buffer = work;
    open->job.run = open_run;
    open->job.done = open_done;
    reactor_submit(store->reactor, &open->job);
}

/* ---- closing ---- */

void store_log_closed(struct log_store *store, enum err err)
{
    ASSERT(store->log_count > 0);
    store->log_count--;
    if (!store->close_op)
        return;
    if (err != OK && store->close_op->err == OK)
        store->close_op->err = err;
    reactor_defer(store->reactor, &store->close_deferred);
}

static void close_check(struct deferred *deferred)
{
    struct log_store *store = CONTAINER_OF(deferred, struct log_store, close_deferred);
    struct log_store_close *op = store->close_op;

    ASSERT(op);
    if (store->log_count > 0)
        return;
    /* Descriptors first: their closing is an operation too. */
    if (store->operations > 0)
        return;
    /* What has not come due stays on the disk under its doomed name: no job begins behind the answer. */
    timer_cancel(store->reactor, &store->doomed_timer);
    store->close_op = NULL;
    op->done(op);
}

void log_store_close_all(struct log_store *store, struct log_store_close *op)
{
    op->store = store;
    op->err = OK;
    store->close_op = op;
    log_directories_hurry(store->directories);
    LIST_EACH_SAFE (node, &store->logs) {
        struct log *log = LIST_ITEM(node, struct log, node);

        if (!log->closing)
            store_close_one(store, log);
    }
    reactor_defer(store->reactor, &store->close_deferred);
}
