/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/close.c: the orderly end of a log: what Apache and we find at the next start without looking
 * at the data: trimmed indexes with the closing time entry, a producer snapshot at the end, epochs.
 * Crash       nothing here is needed for safety; without the clean marker all of it is made anew.
 * Threads     a job that has the log to itself.
 */
#include "storage/shard.h"

#include "base/bug.h"

static enum err index_finish(struct log *log, const char *suffix, struct segment *segment,
                             const struct writer *content, int64_t position)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    struct slice bytes = writer_slice(content);
    char path[PATH_BYTES];

    TRY(writer_error(content));
    segment_path(segment, suffix, path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    if (bytes.size_bytes > 0)
        TRY(os_file_write(file, &bytes, 1, position));
    TRY(os_file_truncate(file, position + (int64_t)bytes.size_bytes));
    return os_file_sync(file);
}

static enum err indexes_finish(struct log *log, struct segment *segment)
{
    CLEANUP(writer_release) struct writer writer;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    offset_index_encode(&segment->offsets, segment->offsets.written, &writer);
    TRY(index_finish(log, ".index", segment, &writer,
                     segment->offsets.written * (int64_t)OFFSET_INDEX_ENTRY_BYTES));
    writer_reset(&writer);
    time_index_encode(&segment->times, segment->times.written, &writer);
    TRY(index_finish(log, ".timeindex", segment, &writer,
                     segment->times.written * (int64_t)TIME_INDEX_ENTRY_BYTES));
    segment->offsets.written = segment->offsets.count;
    segment->times.written = segment->times.count;
    if (!segment->has_aborted_file)
        return OK;
    writer_reset(&writer);
    for (size_t i = segment->aborted.written; i < segment->aborted.count; i++) {
        uint8_t *entry = writer_reserve(&writer, TRANSACTION_INDEX_ENTRY_BYTES);

        if (entry)
            transaction_index_entry_write(&segment->aborted.items[i], entry);
    }
    TRY(index_finish(log, ".txnindex", segment, &writer,
                     (int64_t)segment->aborted.written * TRANSACTION_INDEX_ENTRY_BYTES));
    segment->aborted.written = segment->aborted.count;
    return OK;
}

/* Whether the files say already what they will say. */
static bool segment_is_finished(const struct log *log, const struct segment *segment)
{
    return log->recovery_point == log->change_end && segment->entry_synced &&
           segment->reserved_bytes == 0 && segment->flushed_bytes == segment->written_bytes &&
           segment->offsets.written == segment->offsets.count &&
           segment->times.written == segment->times.count && segment->has_index_files;
}

static enum err segment_finish(struct log *log, struct segment *segment, bool *touched)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    bool is_rotten = false;
    char path[PATH_BYTES];

    if (segment->index_bad) {
        enum err err = segment_load_whole(log, segment);

        /* Its batches rotted, which is no fault of the other logs of the directory: the index files stay as they
         * are, and readers or the next start see. */
        is_rotten = err == ERR_CORRUPT || err == ERR_CORRUPT_MESSAGE;
        if (!is_rotten)
            TRY(err);
    }
    if (!is_rotten && segment->max_timestamp > TIMESTAMP_NONE && !BUG_IS(index_end_missing))
        time_index_add(&segment->times, segment->max_timestamp,
                       segment_relative(segment, segment->max_timestamp_offset));
    if (!is_rotten && segment_is_finished(log, segment))
        return OK;
    *touched = true;
    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    if (log->config.preallocate || segment->reserved_bytes > 0)
        TRY(os_file_truncate(file, segment->written_bytes));
    segment->reserved_bytes = 0;
    TRY(os_file_sync(file));
    return is_rotten ? OK : indexes_finish(log, segment);
}

static enum err snapshots_finish(struct log *log, bool *touched)
{
    int64_t last;

    ASSERT(log->pending_snapshot_count == 0); /* a log at rest has flushed them: log_flush_kick */
    /* Not the start: its records may be deleted while their producers go on. */
    last = log->snapshot_count > 0 ? log->snapshots[log->snapshot_count - 1]
                                   : log->segments[0]->base_offset;
    if (log->change_end <= last)
        return OK;
    *touched = true;
    return producer_file_write(log, log->change_end, true);
}

enum err log_close_blocking(struct log *log)
{
    bool touched = false;

    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        /* Below the recovery point nothing is left to do, and sealed ones are not even looked at. */
        if (i + 1 == log->segment_count || !segment->full_synced)
            TRY(segment_finish(log, segment, &touched));
    }
    TRY(transaction_digests_write(log));
    TRY(snapshots_finish(log, &touched));
    ASSERT(!log->epochs.dirty); /* as above */
    if (touched)
        TRY(os_sync_directory(log_os(log), log->path));
    if (touched && !log->parent_synced)
        TRY(os_sync_directory(log_os(log), log->directory->path));
    return OK;
}
