/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/file_cache.c: at most open_files_max segment files of a store stay open while nobody uses
 * them; the least recently used is closed first, before the next one is opened. An open that finds no
 * descriptor is tried again; then it is for whoever asked to wait on, or to answer an error.
 * Invariants  1. a file in use is never closed.   2. one open is under way per handle at most.
 * Threads     the store's.
 */
#include "storage/shard.h"

#include "base/fault_point.h"

#define OPEN_TRIES 20

void file_handle_init(struct file_handle *handle)
{
    list_init(&handle->idle);
    list_init(&handle->waiters);
}

struct closing {
    struct os_op op;
    struct log_store *store;
};

static void file_closed(struct os_op *op)
{
    struct closing *closing = CONTAINER_OF(op, struct closing, op);

    struct log_store *store = closing->store;

    STORAGE_DELETE(closing);
    store_operation_end(store);
}

void file_handle_close(struct file_handle *handle)
{
    struct log_store *store = handle->store;
    struct closing *closing;

    ASSERT(handle->users == 0 && !handle->opening);
    if (!handle->file)
        return;
    list_remove(&handle->idle);
    closing = STORAGE_NEW(struct closing);
    closing->store = store;
    closing->op.kind = OS_OP_CLOSE;
    closing->op.file = TAKE(handle->file);
    closing->op.done = file_closed;
    store->open_files--;
    store_operation_begin(store);
    reactor_submit(store->reactor, &closing->op);
}

void store_idle_files_close(struct log_store *store)
{
    while (!list_is_empty(&store->idle_files))
        file_handle_close(LIST_ITEM(list_first(&store->idle_files), struct file_handle, idle));
}

static void file_cache_trim(struct log_store *store)
{
    while (store->open_files + store->opening_files > store->directories->options.open_files_max ||
           FAULT_POINT(file_closed_early)) {
        struct list_node *oldest = list_first(&store->idle_files);

        if (!oldest)
            return;
        file_handle_close(LIST_ITEM(oldest, struct file_handle, idle));
    }
}

static void file_opened(struct os_op *op)
{
    struct file_handle *handle = CONTAINER_OF(op, struct file_handle, op);
    struct log_store *store = handle->store;
    struct list_node waiters;
    enum err err = op->err;

    if (err_is_shortage(err) && ++handle->tries < OPEN_TRIES &&
        store_shortage_waits(store, &handle->op))
        return;
    store->opening_files--;
    storage_free(handle->path, handle->path_bytes);
    handle->path = NULL;
    handle->opening = false;
    if (err == OK) {
        handle->file = op->file;
        store->open_files++;
    }
    list_init(&waiters);
    list_splice_back(&waiters, &handle->waiters);
    ASSERT(!list_is_empty(&waiters)); /* nobody stops waiting */
    /* All waiters are users before the first is told: none may close it under another. */
    if (err == OK)
        LIST_EACH (node, &waiters)
            handle->users++;
    while (!list_is_empty(&waiters)) {
        struct file_waiter *waiter = LIST_ITEM(list_pop_front(&waiters), struct file_waiter, node);

        waiter->ready(waiter, err);
    }
    file_cache_trim(store);
    store_operation_end(store);
}

bool file_acquire(struct log_store *store, struct file_handle *handle, const char *path,
                  struct file_waiter *waiter)
{
    handle->store = store;
    if (handle->file) {
        list_remove(&handle->idle);
        handle->users++;
        return true;
    }
    list_push_back(&handle->waiters, &waiter->node);
    if (handle->opening)
        return false;
    handle->opening = true;
    handle->path_bytes = strlen(path) + 1;
    handle->path = storage_allocate(handle->path_bytes);
    memcpy(handle->path, path, handle->path_bytes);
    handle->op = (struct os_op){.kind = OS_OP_OPEN,
                                .path = handle->path,
                                .flags = OS_OPEN_READ | OS_OPEN_WRITE,
                                .done = file_opened};
    handle->tries = 0;
    store->opening_files++;
    file_cache_trim(store);
    store_operation_begin(store);
    reactor_submit(store->reactor, &handle->op);
    return false;
}

/* Apart, so that the common case has no path on its stack. */
static __attribute__((noinline)) bool
segment_file_open(struct log_store *store, struct segment *segment, struct file_waiter *waiter)
{
    char path[PATH_BYTES];

    segment_path(segment, segment->deleted ? ".log.deleted" : ".log", path);
    return file_acquire(store, &segment->file, path, waiter);
}

bool segment_file_acquire(struct log_store *store, struct segment *segment,
                          struct file_waiter *waiter)
{
    if (!segment->file.file && !segment->file.opening)
        return segment_file_open(store, segment, waiter);
    return file_acquire(store, &segment->file, NULL, waiter);
}

void file_release(struct file_handle *handle)
{
    ASSERT(handle->users > 0 && handle->file);
    if (--handle->users > 0)
        return;
    list_push_back(&handle->store->idle_files, &handle->idle);
    file_cache_trim(handle->store);
}
