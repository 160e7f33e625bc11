/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/doomed.c: files and directories that are gone for everybody but still there for readers that
 * hold them open: renamed at once, removed after file.delete.delay.ms.
 * Crash       .deleted files go at the next load of the log, -delete directories at the next start.
 * Threads     the store's; removal is a job.
 */
#include "storage/shard.h"

struct doomed {
    struct list_node node;
    struct os_op op;
    struct log_store *store;
    struct log_directory *directory;
    struct os *os;
    int64_t due_ms;
    bool is_directory;
    size_t size_bytes; /* of this struct with its path */
    char path[];
};

static enum err directory_remove(struct os *os, const char *path)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    err = os_list(os, path, &arena, &names);
    if (err == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    for (size_t i = 0; i < names.count; i++) {
        char file[PATH_BYTES];

        path_join(path, names.names[i], file);
        err = os_unlink(os, file);
        if (err != OK && err != ERR_NOT_FOUND)
            return err;
    }
    return os_remove_directory(os, path);
}

static void doomed_run(struct os_op *op)
{
    struct doomed *doomed = CONTAINER_OF(op, struct doomed, op);

    op->err = doomed->is_directory ? directory_remove(doomed->os, doomed->path)
                                   : os_unlink(doomed->os, doomed->path);
    if (op->err == ERR_NOT_FOUND)
        op->err = OK;
}

static void doomed_free(struct doomed *doomed)
{
    storage_free(doomed, doomed->size_bytes);
}

static void doomed_done(struct os_op *op)
{
    struct doomed *doomed = CONTAINER_OF(op, struct doomed, op);
    struct log_store *store = doomed->store;

    if (store_shortage_waits(store, op))
        return;
    if (op->err != OK && !log_directory_is_offline(doomed->directory))
        log_directory_fail(doomed->directory, store, op->err, "delete");
    doomed_free(doomed);
    store_operation_end(store);
}

static void doomed_timer_set(struct log_store *store)
{
    int64_t due_ms = INT64_MAX;

    LIST_EACH (node, &store->doomed)
        due_ms = MIN(due_ms, LIST_ITEM(node, struct doomed, node)->due_ms);
    if (due_ms < INT64_MAX)
        timer_set(store->reactor, &store->doomed_timer, due_ms);
}

static void doomed_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, doomed_timer);
    int64_t now_ms = reactor_now_ms(store->reactor);

    LIST_EACH_SAFE (node, &store->doomed) {
        struct doomed *doomed = LIST_ITEM(node, struct doomed, node);

        if (doomed->due_ms > now_ms)
            continue;
        list_remove(node);
        if (log_directory_is_offline(doomed->directory)) {
            doomed_free(doomed);
            continue;
        }
        doomed->op = (struct os_op){.kind = OS_OP_JOB, .run = doomed_run, .done = doomed_done};
        store_operation_begin(store);
        reactor_submit(store->reactor, &doomed->op);
    }
    doomed_timer_set(store);
}

void store_doomed_init(struct log_store *store)
{
    list_init(&store->doomed);
    timer_init(&store->doomed_timer, doomed_due);
}

void store_doom(struct log_store *store, struct log_directory *directory, const char *path,
                bool is_directory, int64_t delay_ms)
{
    size_t path_bytes = strlen(path) + 1;
    struct doomed *doomed = storage_allocate(sizeof *doomed + path_bytes);

    doomed->size_bytes = sizeof *doomed + path_bytes;
    doomed->store = store;
    doomed->directory = directory;
    doomed->os = store->directories->os;
    doomed->is_directory = is_directory;
    doomed->due_ms = reactor_now_ms(store->reactor) + MAX(delay_ms, 0);
    memcpy(doomed->path, path, path_bytes);
    list_push_back(&store->doomed, &doomed->node);
    doomed_timer_set(store);
}

/* What has not come due stays on the disk under its doomed name. */
void store_doomed_release(struct log_store *store)
{
    timer_cancel(store->reactor, &store->doomed_timer);
    while (!list_is_empty(&store->doomed))
        doomed_free(LIST_ITEM(list_pop_front(&store->doomed), struct doomed, node));
}

void log_store_purge(struct log_store *store, struct log_directory *directory, const char *name)
{
    char path[PATH_BYTES];

    path_join(directory->path, name, path);
    store_doom(store, directory, path, true, store->directories->options.file_delete_delay_ms);
}

/* ---- segments that left their log ---- */

static const char *const segment_suffixes[] = {".log", ".index", ".timeindex", ".txnindex",
                                               ".snapshot"};

struct rename_job {
    struct os_op op;
    struct log *log;
    struct os *os;
    struct segment **segments;
    size_t count;
    char path[PATH_BYTES];
};

static void rename_run(struct os_op *op)
{
    struct rename_job *job = CONTAINER_OF(op, struct rename_job, op);

    for (size_t i = 0; i < job->count; i++) {
        for (size_t j = 0; j < ARRAY_COUNT(segment_suffixes); j++) {
            char from[PATH_BYTES];
            char to[PATH_BYTES];
            char suffix[32];

            fmt(suffix, sizeof suffix, "%s.deleted", segment_suffixes[j]);
            path_of_file(job->path, job->segments[i]->base_offset, segment_suffixes[j], from);
            path_of_file(job->path, job->segments[i]->base_offset, suffix, to);
            op->err = os_rename(job->os, from, to);
            if (op->err != OK && op->err != ERR_NOT_FOUND)
                return;
        }
        op->err = OK;
        /* The older one is durably gone before the next goes: a crash keeps or undoes each rename on
         * its own, and a segment must not come back before a hole. And the last one before the
         * checkpoint of the log's start is let go. */
        op->err = os_sync_directory(job->os, job->path);
        if (op->err != OK)
            return;
    }
}

static void rename_done(struct os_op *op)
{
    struct rename_job *job = CONTAINER_OF(op, struct rename_job, op);
    struct log *log = job->log;

    if (store_shortage_waits(log->store, op))
        return;
    log->dooms--;
    if (op->err != OK)
        log_io_failed(log, op->err, "rename segment");
    else
        log_mark_offsets(log);
    for (size_t i = 0; i < job->count; i++) {
        for (size_t j = 0; op->err == OK && j < ARRAY_COUNT(segment_suffixes); j++) {
            char path[PATH_BYTES];
            char suffix[32];

            fmt(suffix, sizeof suffix, "%s.deleted", segment_suffixes[j]);
            path_of_file(job->path, job->segments[i]->base_offset, suffix, path);
            store_doom(log->store, log->directory, path, false, log->config.file_delete_delay_ms);
        }
        segment_release(&job->segments[i]);
    }
    storage_free(job->segments, job->count * sizeof(struct segment *));
    STORAGE_DELETE(job);
    log_busy_end(log);
}

void log_segments_doom(struct log *log, struct segment **segments, size_t count)
{
    struct rename_job *job = STORAGE_NEW(struct rename_job);

    job->log = log;
    job->os = log_os(log);
    job->count = count;
    job->segments = storage_allocate(count * sizeof(struct segment *));
    memcpy(job->segments, segments, count * sizeof(struct segment *));
    path_copy(log->path, job->path);
    for (size_t i = 0; i < count; i++)
        log_forget_snapshot(log, segments[i]->base_offset);
    job->op = (struct os_op){.kind = OS_OP_JOB, .run = rename_run, .done = rename_done};
    log->dooms++;
    log_busy_begin(log);
    reactor_submit(log->store->reactor, &job->op);
}
