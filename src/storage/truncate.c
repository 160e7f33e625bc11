/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/truncate.c: a log loses its end (§5.5 of the reference).
 * The recovery point in the checkpoint file is lowered durably before a byte goes (change.c), so that a
 * crash in the middle scans what is left.
 * Rot         where nothing leads past a header that rotted, nobody knows where the cut would be: ERR_CORRUPT_MESSAGE, and
 *             the log fails alone (change.c). The next recovery ends it at that header.
 * Crash       files are cut from the newest segment down; each step leaves a log that loads.
 * Threads     a job that has the log to itself.
 */
#include "storage/load.h"

static enum err segment_cut(struct log *log, struct segment *segment, int64_t offset)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct offset_index_entry start = {0};
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t position;
    bool found;

    TRY(segment_load_whole(log, segment));
    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    (void)offset_index_find(&segment->offsets, offset - segment->base_offset, &start);
    batch_reader_init(&reader, file, start.position_bytes, segment->size_bytes);
    do {
        TRY(batch_reader_next_header(&reader, &found, &header, &position));
    } while (found && batch_last_offset(&header) < offset);
    if (found) {
        TRY(os_file_truncate(file, position));
        segment->reserved_bytes = 0; /* they went too */
    } else if (position < segment->size_bytes) {
        return ERR_CORRUPT_MESSAGE; /* a size beyond the end: what is behind it was to be cut too */
    }
    segment->size_bytes = position;
    segment->written_bytes = position;
    segment->flushed_bytes = MIN(segment->flushed_bytes, position);
    offset_index_cut(&segment->offsets, offset - segment->base_offset);
    time_index_cut(&segment->times, offset - segment->base_offset);
    transaction_index_cut(&segment->aborted, offset);
    segment->index_gap_bytes = 0;
    segment->sealed = false;
    segment->full_synced = false;
    /* Files that are longer than the memory says are written anew from the first byte. */
    segment->offsets.written = 0;
    segment->times.written = 0;
    segment->aborted.written = 0;
    segment->aborted.promised = 0;
    log->digests_dirty |= segment->has_aborted_file;
    return OK;
}

static void last_time_note(struct segment *segment)
{
    const struct time_index_entry *last;

    if (segment->times.count == 0)
        return;
    last = &segment->times.items[segment->times.count - 1];
    if (last->timestamp <= segment->max_timestamp)
        return;
    segment->max_timestamp = last->timestamp;
    segment->max_timestamp_offset = segment->base_offset + last->relative;
}

/* After a cut: largest and first timestamp from the batches that are left. One that rotted hides those behind it, of
 * which the time index tells. */
static enum err timestamps_find(struct log *log, struct segment *segment)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t position;
    bool found;

    segment->max_timestamp = TIMESTAMP_NONE;
    segment->max_timestamp_offset = segment->base_offset;
    segment->first_timestamp_known = false;
    segment->timestamp_known = true;
    if (segment->size_bytes == 0)
        return OK;
    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ, &file));
    batch_reader_init(&reader, file, 0, segment->size_bytes);
    for (;;) {
        enum err err = batch_reader_next_header(&reader, &found, &header, &position);

        if (err != ERR_CORRUPT_MESSAGE)
            TRY(err);
        if (!found) {
            if (position < segment->size_bytes)
                last_time_note(segment);
            return OK;
        }
        if (!segment->first_timestamp_known) {
            segment->first_timestamp = header.max_timestamp;
            segment->first_timestamp_known = true;
        }
        if (header.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = header.max_timestamp;
            segment->max_timestamp_offset = batch_last_offset(&header);
        }
    }
}

/* Unlinks the segments [at, …), the newest first; their structs go to log->dropped, which the owner
 * releases. Each is durably gone before the one below it goes: a crash keeps or undoes each unlink on
 * its own, and a segment must not come back behind a hole. */
static enum err segments_unlink(struct log *log, size_t at)
{
    for (size_t i = log->segment_count; i > at; i--) {
        struct segment *segment = log->segments[i - 1];

        TRY(segment_files_remove(log_os(log), log->path, segment->base_offset));
        if (i - 1 > at)
            TRY(os_sync_directory(log_os(log), log->path));
        log->dropped = storage_grow(log->dropped, sizeof(struct segment *), &log->dropped_capacity,
                                    log->dropped_count + 1);
        log->dropped[log->dropped_count++] = segment;
        log_segments_remove(log, i - 1, 1);
    }
    return OK;
}

static enum err truncate_finish(struct log *log, int64_t end, struct why *why)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];

    UNUSED(why);
    /* In every mode: no later flush covers a cut that ends at the recovery point. */
    segment_path(log_active(log), ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    TRY(os_file_sync(file));
    log_active(log)->flushed_bytes = log_active(log)->size_bytes;
    if (log->epochs.dirty) {
        path_join(log->path, EPOCH_FILE, path);
        TRY(epoch_cache_write(&log->epochs, log_os(log), path));
    } else {
        TRY(os_sync_directory(log_os(log), log->path));
    }
    log_active(log)->entry_synced = true;
    TRY(transaction_digests_write(log));
    log_recount_size(log);
    log->change_end = end;
    return OK;
}

enum err log_truncate_blocking(struct log *log, int64_t offset, struct why *why)
{
    size_t at = log_segment_floor(log, offset);

    if (at == SIZE_MAX)
        return log_truncate_fully_blocking(log, offset, why);
    if (offset < log->change_end) {
        struct segment *segment;

        /* A segment that begins at the offset stays, empty, as Apache keeps it. */
        TRY(segments_unlink(log, at + 1));
        /* Before the cut: a crash must not leave a hole with later segments behind it. */
        TRY(os_sync_directory(log_os(log), log->path));
        segment = log_active(log);
        TRY(segment_cut(log, segment, offset));
        TRY(timestamps_find(log, segment));
        if (segment->has_aborted_file)
            TRY(segment_write_aborted(log_os(log), log->path, segment));
    }
    epoch_cache_truncate_end(&log->epochs, offset);
    log->start_offset = MIN(log->start_offset, offset);
    if (offset < log->change_end) {
        TRY(producer_files_trim(log, offset));
        TRY(producer_state_rebuild(log, offset, why));
        TRY(producer_file_write(log, offset, true));
    }
    return truncate_finish(log, MIN(offset, log->change_end), why);
}

enum err log_truncate_fully_blocking(struct log *log, int64_t offset, struct why *why)
{
    struct segment *segment;

    TRY(segments_unlink(log, 0));
    TRY(producer_files_trim(log, INT64_MIN));
    epoch_cache_clear(&log->epochs);
    producer_state_clear(&log->producers, offset);
    segment = segment_new(log, offset);
    segment->created_ms = os_wall_ms(log_os(log));
    segment->modified_ms = segment->created_ms;
    segment->aborted.known = true;
    segment->index_known = true;
    segment->index_checked = true;
    segment->timestamp_known = true;
    log_segments_insert(log, 0, segment);
    TRY(segment_create_file(log_os(log), log->path, offset, 0));
    log->start_offset = offset;
    return truncate_finish(log, offset, why);
}
