/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/finish_sealed.c: the closing time entry of the segment that ends at the recovery point.
 *
 * A full flush may have ended where a segment ends, and the segment was sealed only then: its closing entry was in
 * memory alone, while the recovery point says that there is nothing to look at. Searches by time and retention
 * would take the segment for older than it is. Nearly always nothing is missing, and the tail alone tells.
 * Crash       can be run again; index files are replaced whole.
 * Threads     a job that has the log to itself.
 */
#include "storage/load.h"

/* The youngest of the batches that have no entry. ERR_CORRUPT: the last entry names none. */
static enum err youngest_find(const struct log *log, struct segment *segment)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    const struct offset_index *offsets = &segment->offsets;
    struct offset_index_entry last = {.relative = -1};
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t position;
    bool found;

    if (offsets->count > 0)
        last = offsets->items[offsets->count - 1 - offsets->first];
    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ, &file));
    batch_reader_init(&reader, file, last.position_bytes, segment->size_bytes);
    for (bool is_first = true;; is_first = false) {
        TRY(batch_reader_next_header(&reader, &found, &header, &position));
        if (is_first && last.relative >= 0 &&
            (!found || batch_last_offset(&header) - segment->base_offset != last.relative))
            return ERR_CORRUPT;
        if (!found)
            return OK;
        if (batch_last_offset(&header) < segment->base_offset ||
            batch_last_offset(&header) - segment->base_offset > RELATIVE_OFFSET_MAX)
            return ERR_CORRUPT;
        if (header.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = header.max_timestamp;
            segment->max_timestamp_offset = batch_last_offset(&header);
        }
    }
}

enum err segment_finish_sealed(struct log *log, struct segment *segment)
{
    struct segment tail = {
        .log = log,
        .base_offset = segment->base_offset,
        .size_bytes = segment->size_bytes,
        .max_timestamp = TIMESTAMP_NONE,
    };
    struct segment scanned;
    bool is_trusted;
    int64_t youngest;
    enum err err = load_tail_entries(log, &tail, &is_trusted);

    youngest = tail.max_timestamp;
    if (err == OK)
        err = is_trusted ? youngest_find(log, &tail) : ERR_CORRUPT;
    offset_index_release(&tail.offsets);
    time_index_release(&tail.times);
    if (err == OK && tail.max_timestamp == youngest)
        return OK;
    if (err == OK || err == ERR_CORRUPT)
        err = segment_scan_index(log_os(log), log->path, segment->base_offset, segment->size_bytes,
                                 log->config.index_interval_bytes, &scanned);
    if (err == ERR_CORRUPT || err == ERR_CORRUPT_MESSAGE)
        return OK; /* the log itself is broken there: whoever reads it sees */
    TRY(err);
    segment_index_take(segment, &scanned);
    return segment_write_indexes(log_os(log), log->path, segment, true);
}
