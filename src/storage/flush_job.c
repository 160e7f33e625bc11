/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/flush_job.c: the blocking part of a flush: data, index files, producer snapshots, the epoch file, directory
 * entries.
 *
 * Threads     a job's: it works on copies, and on names and sizes that do not change while the log is busy.
 */
#include "storage/flush_internal.h"

#include "base/bug.h"

/* A file that is written anew keeps its old bytes until the new ones are durable: the recovery point vouches
 * for the entries below it in both indexes, and a time index cut short would show no mark of it. */
static enum err part_write(struct flush *flush, int64_t base_offset, const char *suffix,
                           const struct writer *content, int64_t position)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    struct slice bytes = writer_slice(content);
    struct os_stat stat = {0};
    char path[PATH_BYTES];

    TRY(writer_error(content));
    path_of_file(flush->path, base_offset, suffix, path);
    if (position == 0)
        TRY(os_stat(flush->os, path, &stat));
    if (stat.exists && stat.size_bytes > 0)
        return os_durable_replace(flush->os, path, &bytes, 1);
    TRY(os_file_open(flush->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    if (bytes.size_bytes > 0)
        TRY(os_file_write(file, &bytes, 1, position));
    return os_file_sync(file);
}

static enum err item_run(struct flush *flush, struct flush_item *item)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];

    path_of_file(flush->path, item->base_offset, ".log", path);
    TRY(os_file_open(flush->os, path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    if (item->trim)
        TRY(os_file_truncate(file, item->written_bytes));
    if (!BUG_IS(data_not_synced))
        TRY(os_file_sync(file));
    if (!item->full)
        return OK;
    TRY(part_write(flush, item->base_offset, ".index", &item->offsets,
                   item->offsets_from * (int64_t)OFFSET_INDEX_ENTRY_BYTES));
    TRY(part_write(flush, item->base_offset, ".timeindex", &item->times,
                   item->times_from * (int64_t)TIME_INDEX_ENTRY_BYTES));
    if (item->has_aborted_file)
        TRY(part_write(flush, item->base_offset, ".txnindex", &item->aborted,
                       (int64_t)item->aborted_from * TRANSACTION_INDEX_ENTRY_BYTES));
    return OK;
}

static enum err snapshots_run(struct flush *flush)
{
    for (size_t i = 0; i < flush->snapshot_count; i++) {
        CLEANUP(os_file_close) struct os_file *file = NULL;
        const struct snapshot_pending *snapshot = &flush->snapshots[i];
        struct slice bytes = slice_of(snapshot->data, snapshot->size_bytes);
        char path[PATH_BYTES];

        path_of_file(flush->path, snapshot->offset, ".snapshot", path);
        TRY(os_file_open(flush->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE,
                         &file));
        TRY(os_file_write(file, &bytes, 1, 0));
        if (!BUG_IS(snapshot_not_synced))
            TRY(os_file_sync(file));
    }
    return OK;
}

static enum err flush_work(struct flush *flush)
{
    for (size_t i = 0; i < flush->count; i++)
        TRY(item_run(flush, &flush->items[i]));
    TRY(snapshots_run(flush));
    if (flush->has_digests) {
        TRY(writer_error(&flush->digests));
        TRY(transaction_digests_put(flush->os, flush->path, writer_slice(&flush->digests)));
    }
    if (flush->has_epochs) {
        struct slice text = writer_slice(&flush->epochs);
        char path[PATH_BYTES];

        TRY(writer_error(&flush->epochs));
        path_join(flush->path, EPOCH_FILE, path);
        TRY(os_durable_replace(flush->os, path, &text, 1)); /* syncs the directory */
    } else if (flush->sync_directory && !BUG_IS(directory_not_synced)) {
        TRY(os_sync_directory(flush->os, flush->path));
    }
    if (flush->sync_parent && !BUG_IS(directory_not_synced))
        TRY(os_sync_directory(flush->os, flush->parent));
    if (flush->old_middle >= 0) {
        char path[PATH_BYTES];
        enum err err;

        path_of_file(flush->path, flush->old_middle, ".snapshot", path);
        err = os_unlink(flush->os, path);
        if (err != OK && err != ERR_NOT_FOUND)
            return err;
    }
    return OK;
}

void flush_run(struct os_op *op)
{
    op->err = flush_work(CONTAINER_OF(op, struct flush, op));
}
