/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/load_segments.c: from a partition's directory to its list of segments.
 * What an unfinished compaction or split left behind is completed or dropped first (§5.2 of the
 * reference): .cleaned goes; .swap without .cleaned replaces what it covers.
 * Crash       every step can be run again: renames come after the deletions they replace.
 * Threads     a job that has the log to itself.
 */
#include "storage/load.h"

static bool is_log_file(const char *suffix)
{
    return strcmp(suffix, ".log") == 0;
}

static enum err remove_file(struct log *log, const char *name)
{
    char path[PATH_BYTES];
    enum err err;

    path_join(log->path, name, path);
    err = os_unlink(log_os(log), path);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Where the batches of a segment file end, by their headers alone. */
static enum err file_next_offset(struct log *log, const char *name, int64_t base_offset,
                                 int64_t *next_out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t size_bytes;
    int64_t position;
    bool found;

    *next_out = base_offset;
    path_join(log->path, name, path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ, &file));
    TRY(os_file_size(file, &size_bytes));
    batch_reader_init(&reader, file, 0, size_bytes);
    for (;;) {
        enum err err = batch_reader_next_header(&reader, &found, &header, &position);

        if (err == ERR_CORRUPT_MESSAGE || (err == OK && !found))
            return OK;
        TRY(err);
        *next_out = batch_next_offset(&header);
    }
}

/* Where the segment behind those that a swap covers begins; without one, where the swap ends. */
static int64_t covered_end(const struct os_names *names, int64_t covered_max)
{
    int64_t end = INT64_MAX;

    for (size_t i = 0; i < names->count; i++) {
        const char *suffix;
        int64_t offset;

        if (file_name_parse(names->names[i], &offset, &suffix) && is_log_file(suffix) &&
            offset >= covered_max)
            end = MIN(end, offset);
    }
    return end == INT64_MAX ? covered_max : end;
}

/* Deletes leftovers; finishes swaps. `*changed_out`: list the directory again. */
static enum err leftovers_clean(struct log *log, const struct os_names *names, bool *changed_out)
{
    int64_t cleaned_min = INT64_MAX;
    int64_t covered_min = INT64_MAX;
    int64_t covered_max = INT64_MIN;
    int64_t snapshots_end;
    const char *suffix;
    int64_t offset;
    bool removed = false;

    *changed_out = false;
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];

        if (text_ends_with(name, ".deleted") && !text_ends_with(name, ".checkpoint.deleted")) {
            TRY(remove_file(log, name));
            *changed_out = true;
        } else if (text_ends_with(name, ".cleaned") && file_name_parse(name, &offset, &suffix)) {
            cleaned_min = MIN(cleaned_min, offset);
        }
    }
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];

        if (!file_name_parse(name, &offset, &suffix))
            continue;
        if (text_ends_with(name, ".cleaned") ||
            (text_ends_with(name, ".swap") && offset >= cleaned_min)) {
            TRY(remove_file(log, name));
            *changed_out = true;
        } else if (strcmp(suffix, ".log.swap") == 0) {
            int64_t next;

            TRY(file_next_offset(log, name, offset, &next));
            covered_min = MIN(covered_min, offset);
            covered_max = MAX(covered_max, MAX(next, offset + 1)); /* an empty one covers itself */
        }
    }
    /* Older producer snapshots too: one may hold a transaction open whose marker the swap takes away. Another
     * program's swap takes them last. */
    snapshots_end = covered_end(names, covered_max);
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];

        if (!file_name_parse(name, &offset, &suffix) || text_ends_with(name, ".swap") ||
            text_ends_with(name, ".cleaned") || text_ends_with(name, ".deleted"))
            continue;
        if (strcmp(suffix, ".snapshot") == 0 ? covered_min <= covered_max && offset < snapshots_end
                                             : offset >= covered_min && offset < covered_max) {
            TRY(remove_file(log, name));
            *changed_out = true;
            removed = true;
        }
    }
    /* Before a new file gets its name: a crash must not leave it beside one that it covers. */
    if (removed)
        TRY(os_sync_directory(log_os(log), log->path));
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        char from[PATH_BYTES];
        char to[PATH_BYTES];

        if (!text_ends_with(name, ".swap") || !file_name_parse(name, &offset, &suffix) ||
            offset >= cleaned_min)
            continue;
        path_join(log->path, name, from);
        path_join(log->path, name, to);
        to[strlen(to) - strlen(".swap")] = '\0';
        TRY(os_rename(log_os(log), from, to));
        *changed_out = true;
    }
    return *changed_out ? os_sync_directory(log_os(log), log->path) : OK;
}

static bool names_hold(const struct os_names *names, int64_t offset, const char *suffix)
{
    char wanted[64];
    size_t low = 0;
    size_t high = names->count;

    fmt(wanted, sizeof wanted, "%020lld%s", (long long)offset, suffix);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(names->names[middle], wanted);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* What a file may hold beyond its size for its own map and the end of its last block. */
#define HELD_BYTES_MORE ((int64_t)(64 * KIB))

static enum err segment_found(struct log *log, const struct os_names *names, const char *name,
                              int64_t base_offset, struct why *why)
{
    struct segment *segment;
    struct os_stat stat;
    char path[PATH_BYTES];

    path_join(log->path, name, path);
    TRY(os_stat(log_os(log), path, &stat));
    if (stat.size_bytes > SEGMENT_FILE_BYTES_MAX)
        return why_set(why, ERR_CORRUPT, "%s is larger than a segment can be", path);
    if (log->segment_count > 0 && log_active(log)->base_offset >= base_offset)
        return why_set(why, ERR_CORRUPT, "%s: two names for one offset", path);
    segment = segment_new(log, base_offset);
    segment->size_bytes = stat.size_bytes;
    segment->written_bytes = stat.size_bytes;
    segment->flushed_bytes = stat.size_bytes;
    segment->entry_synced = true;
    segment->sealed = true;
    segment->full_synced = true;
    segment->modified_ms = stat.modified_ms;
    segment->created_ms = stat.modified_ms;
    if (!log->config.preallocate && stat.held_bytes - stat.size_bytes > HELD_BYTES_MORE)
        segment->reserved_bytes = stat.held_bytes;
    segment->has_aborted_file = names_hold(names, base_offset, ".txnindex");
    segment->aborted.known = !segment->has_aborted_file;
    log_segments_insert(log, log->segment_count, segment);
    return OK;
}

enum err load_segments(struct log *log, int64_t start_offset, struct why *why)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;
    bool changed = true;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    while (changed) {
        arena_reset(&arena);
        TRY(os_list(log_os(log), log->path, &arena, &names));
        TRY(leftovers_clean(log, &names, &changed));
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *suffix;
        int64_t offset;

        if (!file_name_parse(names.names[i], &offset, &suffix))
            continue;
        if (is_log_file(suffix))
            TRY(segment_found(log, &names, names.names[i], offset, why));
        else if ((strcmp(suffix, ".index") == 0 || strcmp(suffix, ".timeindex") == 0 ||
                  strcmp(suffix, ".txnindex") == 0) &&
                 !names_hold(&names, offset, ".log"))
            TRY(remove_file(log, names.names[i]));
    }
    producer_files_list(log, &names);
    if (log->segment_count == 0) {
        struct segment *segment;

        TRY(segment_create_file(log_os(log), log->path, MAX(start_offset, 0),
                                log_reserve_bytes(log)));
        segment = segment_new(log, MAX(start_offset, 0));
        segment->created_ms = os_wall_ms(log_os(log));
        segment->aborted.known = true;
        log_segments_insert(log, 0, segment);
    }
    log_active(log)->sealed = false;
    log_active(log)->full_synced = false;
    return OK;
}

/* ---- the tail of a clean log ---- */

/* The last whole entry of an index file; *count_out 0: none. */
static enum err last_entry_read(struct os *os, const char *path, size_t entry_bytes,
                                uint8_t *entry_out, int32_t *count_out, bool *present_out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    int64_t size_bytes;
    size_t read_bytes;
    enum err err = os_file_open(os, path, OS_OPEN_READ, &file);

    memset(entry_out, 0, entry_bytes); /* a file that becomes shorter meanwhile leaves no entry */
    *count_out = 0;
    *present_out = err == OK;
    if (err == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    TRY(os_file_size(file, &size_bytes));
    if (size_bytes / (int64_t)entry_bytes > INT32_MAX)
        return OK;
    *count_out = (int32_t)(size_bytes / (int64_t)entry_bytes);
    if (*count_out == 0)
        return OK;
    TRY(os_file_read(file, entry_out, entry_bytes, (*count_out - 1) * (int64_t)entry_bytes,
                     &read_bytes));
    return OK;
}

enum err load_tail_entries(struct log *log, struct segment *segment, bool *trusted_out)
{
    struct offset_index_entry offset;
    struct time_index_entry time;
    char path[PATH_BYTES];
    uint8_t entry[TIME_INDEX_ENTRY_BYTES];
    int32_t count;
    bool present;

    *trusted_out = false;
    segment_path(segment, ".index", path);
    TRY(last_entry_read(log_os(log), path, OFFSET_INDEX_ENTRY_BYTES, entry, &count, &present));
    if (!present)
        return OK;
    if (count > 0) {
        offset_index_entry_read(entry, &offset);
        if (offset.relative < 0 || offset.position_bytes <= 0 ||
            offset.position_bytes >= segment->size_bytes)
            return OK; /* a zero tail of an index that was never trimmed ends here too */
        segment->offsets.first = count - 1;
        segment->offsets.count = count - 1;
        offset_index_add(&segment->offsets, offset.relative, offset.position_bytes);
        segment->offsets.written = count;
    }
    segment_path(segment, ".timeindex", path);
    TRY(last_entry_read(log_os(log), path, TIME_INDEX_ENTRY_BYTES, entry, &count, &present));
    if (!present)
        return OK;
    if (count > 0) {
        time_index_entry_read(entry, &time);
        if (time.relative < 0 || time.timestamp < 0)
            return OK;
        segment->times.first = count - 1;
        segment->times.count = count - 1;
        time_index_add(&segment->times, time.timestamp, time.relative);
        segment->times.written = count;
        segment->max_timestamp = time.timestamp;
        segment->max_timestamp_offset = segment->base_offset + time.relative;
    }
    *trusted_out = true;
    return OK;
}

static enum err first_timestamp_read(struct segment *segment, struct os_file *file)
{
    CLEANUP(batch_reader_release) struct batch_reader reader;
    struct batch_header header;
    int64_t position;
    bool found;
    enum err err;

    batch_reader_init(&reader, file, 0, segment->size_bytes);
    err = batch_reader_next_header(&reader, &found, &header, &position);
    if (err == OK && found) {
        segment->first_timestamp = header.max_timestamp;
        segment->first_timestamp_known = true;
    }
    return err == ERR_CORRUPT_MESSAGE ? OK : err;
}

/* Is what the last entry of the time index says true? Mostly it names a batch behind the last entry of the other. */
static enum err tail_time_check(struct log *log, struct segment *segment, struct os_file *file,
                                const struct offset_index_entry *last, bool *holds_out)
{
    const struct time_index_entry *time = segment->times.items;

    *holds_out = true;
    if (segment->times.count == segment->times.first || segment->size_bytes == 0)
        return OK;
    if (last->position_bytes == 0 || time->relative >= last->relative)
        return time_entry_check(file, last->position_bytes, segment->size_bytes,
                                segment->base_offset + time->relative, time->timestamp, holds_out);
    return time_entry_check_file(log_os(log), log->path, segment->base_offset, segment->size_bytes,
                                 time->timestamp, time->relative, holds_out);
}

enum err load_active_tail(struct log *log, struct segment *segment, int64_t *next_offset_out,
                          bool *trusted_out, struct why *why)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct offset_index_entry last = {0};
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t start = 0;
    int64_t position;
    bool found;
    bool is_first = true;

    *next_offset_out = segment->base_offset;
    TRY(load_tail_entries(log, segment, trusted_out));
    if (!*trusted_out)
        return OK;
    if (segment->offsets.count > 0) {
        last = segment->offsets.items[0];
        start = last.position_bytes;
    }
    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    TRY(tail_time_check(log, segment, file, &last, trusted_out));
    if (!*trusted_out)
        return OK;
    TRY(first_timestamp_read(segment, file));
    batch_reader_init(&reader, file, start, segment->size_bytes);
    for (;;) {
        enum err err = batch_reader_next_header(&reader, &found, &header, &position);

        if (err == ERR_CORRUPT_MESSAGE ||
            (err == OK && found && batch_last_offset(&header) < *next_offset_out)) {
            *trusted_out = false;
            return OK;
        }
        TRY(err);
        if (is_first && start > 0 &&
            (!found || batch_last_offset(&header) - segment->base_offset != last.relative)) {
            *trusted_out = false;
            return OK;
        }
        is_first = false;
        if (!found)
            break;
        if (batch_last_offset(&header) - segment->base_offset > RELATIVE_OFFSET_MAX) {
            *trusted_out = false;
            return OK;
        }
        *next_offset_out = batch_next_offset(&header);
        if (header.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = header.max_timestamp;
            segment->max_timestamp_offset = batch_last_offset(&header);
        }
    }
    if (reader.position_bytes < segment->size_bytes) {
        /* A tail that no reader can see: cut it, or appends would land behind it. */
        why_set(why, OK, "%s: cut at %lld of %lld", path, (long long)reader.position_bytes,
                (long long)segment->size_bytes);
        TRY(os_file_truncate(file, reader.position_bytes));
        segment->size_bytes = reader.position_bytes;
        segment->written_bytes = reader.position_bytes;
        segment->flushed_bytes = reader.position_bytes;
    }
    segment->index_known = true;
    segment->index_checked = true;
    segment->timestamp_known = true;
    segment->has_index_files = true;
    return OK;
}
