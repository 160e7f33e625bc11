/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/time_check.c: is an entry of a time index true? It names the last offset of a batch and its largest
 * timestamp: that batch must be there and say the same. An entry that does not hold would hide younger
 * records from searches, or let retention take a segment for older than it is.
 * Not seen    an entry that names another batch of the very same timestamp.
 */
#include "storage/shard.h"

#include "storage/load.h"

enum err time_entry_check(struct os_file *file, int64_t from_bytes, int64_t log_bytes,
                          int64_t last_offset, int64_t timestamp, bool *holds_out)
{
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};

    *holds_out = false;
    batch_reader_init(&reader, file, from_bytes, log_bytes);
    for (;;) {
        struct batch_header header;
        int64_t position;
        bool found;
        enum err err = batch_reader_next_header(&reader, &found, &header, &position);

        if (err == ERR_CORRUPT_MESSAGE)
            return OK;
        TRY(err);
        if (!found)
            return OK;
        if (batch_last_offset(&header) < last_offset)
            continue;
        *holds_out = batch_last_offset(&header) == last_offset && header.max_timestamp == timestamp;
        return OK;
    }
}

/* Where the batch stands that the last entry at or below `relative` of an index file names; 0: none. */
static enum err position_find(struct os_file *index, int32_t relative, int64_t *position_out)
{
    int64_t size_bytes, low = 0, high;

    *position_out = 0;
    TRY(os_file_size(index, &size_bytes));
    high = size_bytes / OFFSET_INDEX_ENTRY_BYTES;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        uint8_t bytes[OFFSET_INDEX_ENTRY_BYTES] = {
            0}; /* of a file that became shorter: the beginning */
        struct offset_index_entry entry;
        size_t read_bytes;

        TRY(os_file_read(index, bytes, sizeof bytes, middle * OFFSET_INDEX_ENTRY_BYTES,
                         &read_bytes));
        offset_index_entry_read(bytes, &entry);
        if (entry.relative <= relative) {
            *position_out = MAX(entry.position_bytes, 0);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return OK;
}

enum err time_entry_check_file(struct os *os, const char *log_path, int64_t base_offset,
                               int64_t log_bytes, int64_t timestamp, int32_t relative,
                               bool *holds_out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(os_file_close) struct os_file *index = NULL;
    int64_t position = 0;
    char path[PATH_BYTES];
    enum err err;

    *holds_out = false;
    path_of_file(log_path, base_offset, ".index", path);
    err = os_file_open(os, path, OS_OPEN_READ, &index);
    if (err == OK)
        err = position_find(index, relative, &position);
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    path_of_file(log_path, base_offset, ".log", path);
    TRY(os_file_open(os, path, OS_OPEN_READ, &file));
    return time_entry_check(file, position, log_bytes, base_offset + relative, timestamp,
                            holds_out);
}

enum err time_index_end_check(struct os_file *file, int64_t log_bytes, int64_t base_offset,
                              const struct offset_index *offsets, const struct time_index *times,
                              bool *holds_out)
{
    const struct time_index_entry *last;
    struct offset_index_entry entry = {0};

    *holds_out = true;
    if (times->count == times->first)
        return OK;
    last = &times->items[times->count - times->first - 1];
    if (offset_index_find(offsets, last->relative, &entry) != INDEX_FOUND)
        entry = (struct offset_index_entry){0};
    return time_entry_check(file, entry.position_bytes, log_bytes, base_offset + last->relative,
                            last->timestamp, holds_out);
}
