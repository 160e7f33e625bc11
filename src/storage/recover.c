/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/recover.c: what an unclean stop leaves: segments from the recovery point up are read, their
 * CRCs checked, and everything derived from them is made anew. The first broken batch ends the log:
 * the file is cut there and later segments go.
 * Invariants  1. after it, [0, size) of every segment is whole batches with good CRCs, as far as they
 *                lie past the recovery point.
 *             2. in commit mode what is kept is synced before the log opens: it counts as flushed.
 * Crash       can be run again; it only cuts, and rebuilds caches.
 * Threads     a job that has the log to itself.
 */
#include "storage/load.h"

#include "base/bug.h"

struct recovery {
    struct log *log;
    struct why *why;
    int64_t next_offset;
    bool has_producers;
};

/* Keeps what is known to be good below the recovery point, so that the scan begins at the last index
 * entry there. Whatever does not fit together means a scan from the first byte. */
static enum err prefix_trust(struct log *log, struct segment *segment, struct os_file *file,
                             int64_t recovery_point, int64_t *position_out, int64_t *offset_out)
{
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    const struct offset_index_entry *last;
    struct batch_header header;
    struct slice batch;
    int64_t position;
    bool holds;
    enum err err;

    *position_out = 0;
    *offset_out = segment->base_offset;
    if (recovery_point <= segment->base_offset)
        return OK;
    ASSERT(segment->aborted.known); /* transaction_indexes_load */
    err = segment_load_whole(log, segment);
    if (err == ERR_CORRUPT || err == ERR_CORRUPT_MESSAGE || err == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    offset_index_cut(&segment->offsets, recovery_point - segment->base_offset);
    if (segment->offsets.count == 0)
        return OK;
    last = &segment->offsets.items[segment->offsets.count - 1];
    batch_reader_init(&reader, file, last->position_bytes, segment->size_bytes);
    err = batch_reader_next(&reader, &batch, &position);
    if (err == ERR_CORRUPT_MESSAGE || (err == OK && batch.size_bytes == 0))
        return OK;
    TRY(err);
    if (!batch_is_valid(batch) || batch_header_read(batch, &header) != OK ||
        header.magic < BATCH_MAGIC ||
        batch_last_offset(&header) - segment->base_offset != last->relative)
        return OK;
    time_index_cut(&segment->times, (int64_t)last->relative + 1);
    TRY(time_index_end_check(file, segment->size_bytes, segment->base_offset, &segment->offsets,
                             &segment->times, &holds));
    if (!holds)
        return OK;
    *position_out = last->position_bytes;
    *offset_out = header.base_offset;
    return OK;
}

/* Sets the segment to what it was before the batch at `position`. */
static enum err segment_rewind(struct segment *segment, struct os_file *file, int64_t position,
                               int64_t offset)
{
    segment->index_known = true;
    segment->index_checked = true;
    segment->timestamp_known = true;
    segment->max_timestamp = TIMESTAMP_NONE;
    segment->max_timestamp_offset = segment->base_offset;
    segment->first_timestamp_known = false;
    segment->index_gap_bytes = 0;
    if (position == 0) {
        offset_index_release(&segment->offsets);
        time_index_release(&segment->times);
        transaction_index_release(&segment->aborted);
        segment->aborted.known = true;
    } else {
        CLEANUP(batch_reader_release) struct batch_reader reader;
        struct batch_header header;
        int64_t first;
        bool found;
        enum err err;

        if (segment->times.count > 0) {
            const struct time_index_entry *last = &segment->times.items[segment->times.count - 1];

            segment->max_timestamp = last->timestamp;
            segment->max_timestamp_offset = segment->base_offset + last->relative;
        }
        batch_reader_init(&reader, file, 0, segment->size_bytes);
        err = batch_reader_next_header(&reader, &found, &header, &first);
        if (err !=
            ERR_CORRUPT_MESSAGE) /* it rotted below the recovery point: its readers will see */
            TRY(err);
        segment->first_timestamp = found ? header.max_timestamp : TIMESTAMP_NONE;
        segment->first_timestamp_known = found;
        transaction_index_cut(&segment->aborted, offset);
    }
    segment->aborted.promised = 0;
    segment->offsets.written = 0;
    segment->times.written = 0;
    segment->aborted.written = 0;
    segment->size_bytes = position;
    return OK;
}

/* False: the log ends before it. */
static bool batch_recover(struct recovery *recovery, struct segment *segment, struct slice batch,
                          struct batch_header *header)
{
    struct log *log = recovery->log;
    int64_t last_offset;

    if ((!batch_is_valid(batch) && !BUG_IS(recovery_checks_no_crc)) ||
        batch_header_read(batch, header) != OK)
        return false;
    last_offset = batch_last_offset(header);
    /* No CRC covers the base offset: a sector that did not arrive may have left zeros in it alone. */
    if (header->magic >= BATCH_MAGIC && header->base_offset < recovery->next_offset)
        return false;
    if (last_offset < recovery->next_offset || last_offset < segment->base_offset ||
        last_offset - segment->base_offset > RELATIVE_OFFSET_MAX)
        return false;
    if (header->magic >= BATCH_MAGIC && header->leader_epoch > log_epoch_latest(log))
        epoch_cache_assign(&log->epochs, header->leader_epoch, header->base_offset);
    recovery->next_offset = last_offset + 1;
    return true;
}

enum err segment_files_remove(struct os *os, const char *log_path, int64_t base_offset)
{
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};

    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char path[PATH_BYTES];
        enum err err;

        path_of_file(log_path, base_offset, suffixes[i], path);
        err = os_unlink(os, path);
        if (err != OK && err != ERR_NOT_FOUND)
            return err;
    }
    return OK;
}

static enum err segments_drop_from(struct log *log, size_t at)
{
    for (size_t i = log->segment_count; i > at; i--) {
        struct segment *segment = log->segments[i - 1];

        TRY(segment_files_remove(log_os(log), log->path, segment->base_offset));
        /* Before the one below it goes: a crash may undo each unlink on its own. */
        if (i - 1 > at)
            TRY(os_sync_directory(log_os(log), log->path));
        log_segments_remove(log, i - 1, 1);
        segment_release(&segment);
    }
    return OK;
}

/* After a failed sync the kernel may show bytes that the disk does not have and that no later sync writes,
 * since it takes their pages for clean: a process that starts again before the machine does would
 * acknowledge what a power cut then takes. Writing the same bytes once more makes the pages dirty. Segments
 * below the last one were synced, or this one would not be there (roll.c). */
static enum err tail_write_again(struct log *log, struct os_file *file, int64_t from, int64_t to)
{
    const size_t chunk_bytes = 1 * MIB;
    uint8_t *bytes;
    enum err err = OK;

    if (from >= to || log->config.flush_mode != FLUSH_MODE_COMMIT ||
        log_directory_was_clean(log->directory) || BUG_IS(tail_believed_after_failed_sync))
        return OK;
    bytes = heap_allocator.allocate(&heap_allocator, chunk_bytes);
    if (!bytes)
        return ERR_NO_MEMORY;
    while (err == OK && from < to) {
        size_t read_bytes = 0;
        struct slice chunk;

        err = os_file_read(file, bytes, (size_t)MIN((int64_t)chunk_bytes, to - from), from,
                           &read_bytes);
        if (err != OK || read_bytes == 0)
            break;
        chunk = slice_of(bytes, read_bytes);
        err = os_file_write(file, &chunk, 1, from);
        from += (int64_t)read_bytes;
    }
    storage_free(bytes, chunk_bytes);
    return err;
}

static enum err segment_recover(struct recovery *recovery, size_t at, int64_t recovery_point)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct log *log = recovery->log;
    struct segment *segment = log->segments[at];
    char path[PATH_BYTES];
    int64_t file_bytes = segment->size_bytes;
    int64_t scan_from;
    int64_t position;
    int64_t offset;

    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    TRY(prefix_trust(log, segment, file, recovery_point, &position, &offset));
    if (!recovery->has_producers)
        TRY(producer_state_rebuild(log, offset, recovery->why));
    recovery->has_producers = true; /* from here on the state follows the scan */
    TRY(segment_rewind(segment, file, position, offset));
    scan_from = position;
    recovery->next_offset = offset;
    batch_reader_init(&reader, file, position, file_bytes);
    for (;;) {
        struct batch_header header;
        struct slice batch;
        enum err err = batch_reader_next(&reader, &batch, &position);

        if (err == ERR_CORRUPT_MESSAGE)
            break;
        TRY(err);
        if (batch.size_bytes == 0 || !batch_recover(recovery, segment, batch, &header))
            break;
        segment_note_batch(segment, &header, batch.size_bytes, log->config.index_interval_bytes);
        TRY(producer_apply_batch(log, file, &header, position, segment));
    }
    if (BUG_IS(torn_tail_kept))
        segment->size_bytes = file_bytes;
    if (segment->size_bytes < file_bytes) {
        LOG_WARN(log_logger(log), "storage", "tail_cut", "file=%s size=%lld kept=%lld", path,
                 (long long)file_bytes, (long long)segment->size_bytes);
        /* Later segments go first, durably: a crash in between must find the broken batch again, not
         * a sound segment with a hole behind it. */
        if (at + 1 < log->segment_count) {
            TRY(segments_drop_from(log, at + 1));
            TRY(os_sync_directory(log_os(log), log->path));
        }
        TRY(os_file_truncate(file, segment->size_bytes));
    }
    if (at + 1 == log->segment_count)
        TRY(tail_write_again(log, file, scan_from, segment->size_bytes));
    if (log->config.flush_mode == FLUSH_MODE_COMMIT)
        TRY(os_file_sync(file));
    segment->written_bytes = segment->size_bytes;
    segment->flushed_bytes = log->config.flush_mode == FLUSH_MODE_COMMIT ? segment->size_bytes : 0;
    segment->full_synced = false;
    return OK;
}

enum err log_recover(struct log *log, int64_t recovery_point, int64_t *next_offset_out,
                     struct why *why)
{
    struct recovery recovery = {.log = log, .why = why};
    size_t from = log_segment_floor(log, recovery_point);
    int64_t started_ns = os_now_ns(log_os(log));
    int64_t scanned_bytes = 0;

    if (from == SIZE_MAX)
        from = 0;
    if (from > 0 && recovery_point == log->segments[from]->base_offset)
        TRY(segment_finish_sealed(log, log->segments[from - 1]));
    TRY(producer_files_trim(log, MAX(recovery_point, log->segments[from]->base_offset)));
    for (size_t i = from;; i++) {
        struct segment *segment = log->segments[i];

        segment->sealed = false;
        TRY(segment_recover(&recovery, i, recovery_point));
        scanned_bytes += segment->size_bytes;
        if (i + 1 < log->segment_count && log->segments[i + 1]->base_offset < recovery.next_offset)
            TRY(segments_drop_from(log, i + 1)); /* overlaps: its offsets are taken */
        if (segment->has_aborted_file)
            TRY(segment_write_aborted(log_os(log), log->path, segment));
        log->digests_dirty |= segment->has_aborted_file;
        if (i + 1 == log->segment_count)
            break; /* its index stays in memory until the next full flush */
        segment_seal(segment);
        TRY(segment_write_indexes(log_os(log), log->path, segment, true));
        TRY(producer_file_write(log, log->segments[i + 1]->base_offset,
                                log->config.flush_mode == FLUSH_MODE_COMMIT));
    }
    TRY(transaction_digests_write(log));
    if (log->config.flush_mode == FLUSH_MODE_COMMIT)
        TRY(os_sync_directory(log_os(log), log->path));
    LOG_INFO(log_logger(log), "storage", "recovered",
             "log=%s from=%lld end=%lld bytes=%lld ms=%lld", log->name, (long long)recovery_point,
             (long long)recovery.next_offset, (long long)scanned_bytes,
             (long long)((os_now_ns(log_os(log)) - started_ns) / 1000000));
    *next_offset_out = recovery.next_offset;
    return OK;
}
