/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/index_files.c: the index files of one segment: written, read, made anew from the log, and put together
 * with what is in memory.
 * Crash       all of them are caches of the batches; only the list of aborted transactions cannot tell what it lacks,
 *             and is replaced as a whole.
 * Threads     jobs, on files and on a segment that nobody else touches.
 */
#include "storage/load.h"

static enum err file_replace(struct os *os, const char *path, struct writer *writer, bool durably)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    struct slice content = writer_slice(writer);

    TRY(writer_error(writer));
    if (durably)
        return os_durable_replace(os, path, &content, 1);
    TRY(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    if (content.size_bytes > 0)
        TRY(os_file_write(file, &content, 1, 0));
    return OK;
}

enum err segment_write_indexes(struct os *os, const char *log_path, struct segment *segment,
                               bool durably)
{
    CLEANUP(writer_release) struct writer writer;
    char path[PATH_BYTES];

    ASSERT(segment->offsets.first == 0 && segment->times.first == 0);
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    offset_index_encode(&segment->offsets, 0, &writer);
    path_of_file(log_path, segment->base_offset, ".index", path);
    TRY(file_replace(os, path, &writer, durably));
    writer_reset(&writer);
    time_index_encode(&segment->times, 0, &writer);
    path_of_file(log_path, segment->base_offset, ".timeindex", path);
    TRY(file_replace(os, path, &writer, durably));
    segment->offsets.written = segment->offsets.count;
    segment->times.written = segment->times.count;
    return OK;
}

/* Unlike the other indexes nothing can tell later that entries are missing: replaced as a whole. */
enum err segment_write_aborted(struct os *os, const char *log_path, struct segment *segment)
{
    CLEANUP(writer_release) struct writer writer;
    char path[PATH_BYTES];
    struct slice content;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < segment->aborted.count; i++) {
        uint8_t *entry = writer_reserve(&writer, TRANSACTION_INDEX_ENTRY_BYTES);

        if (entry)
            transaction_index_entry_write(&segment->aborted.items[i], entry);
    }
    TRY(writer_error(&writer));
    content = writer_slice(&writer);
    path_of_file(log_path, segment->base_offset, ".txnindex", path);
    segment->aborted.written = segment->aborted.count;
    return os_durable_replace(os, path, &content, 1);
}

static enum err index_scan(struct os *os, const char *log_path, int64_t base_offset,
                           int64_t size_bytes, int32_t interval_bytes, struct segment *out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct batch_header header;
    char path[PATH_BYTES];
    int64_t position;
    bool found;

    *out = (struct segment){.base_offset = base_offset,
                            .max_timestamp = TIMESTAMP_NONE,
                            .max_timestamp_offset = base_offset};
    path_of_file(log_path, base_offset, ".log", path);
    TRY(os_file_open(os, path, OS_OPEN_READ, &file));
    batch_reader_init(&reader, file, 0, size_bytes);
    for (;;) {
        TRY(batch_reader_next_header(&reader, &found, &header, &position));
        if (!found)
            break;
        if (batch_last_offset(&header) < base_offset ||
            batch_last_offset(&header) - base_offset > RELATIVE_OFFSET_MAX)
            return ERR_CORRUPT;
        segment_note_batch(out, &header, batch_size_bytes(&header), interval_bytes);
    }
    return OK;
}

enum err segment_scan_index(struct os *os, const char *log_path, int64_t base_offset,
                            int64_t size_bytes, int32_t interval_bytes, struct segment *out)
{
    enum err err = index_scan(os, log_path, base_offset, size_bytes, interval_bytes, out);

    if (err != OK) {
        offset_index_release(&out->offsets);
        time_index_release(&out->times);
    }
    return err;
}

/* ---- a segment whose index is only in its file, or partly ---- */

static enum err index_file_read(struct os *os, const char *path, struct arena *arena,
                                struct slice *out)
{
    enum err err = os_read_whole(os, path, arena, SEGMENT_FILE_BYTES_MAX, out);

    if (err != ERR_NOT_FOUND && err != ERR_TOO_LARGE)
        return err;
    *out = SLICE_NULL;
    return OK;
}

/* Takes the entries below the ones in memory from the file's. False: they do not fit together. */
static bool offsets_merge(struct segment *segment, struct offset_index *file)
{
    struct offset_index *index = &segment->offsets;
    struct offset_index merged = {0};

    if (!segment->index_known) {
        *index = *file;
        *file = (struct offset_index){0};
        return true;
    }
    if (file->count < index->first ||
        (index->first > 0 && index->count > index->first &&
         file->items[index->first - 1].relative >= index->items[0].relative))
        return false;
    for (int32_t i = 0; i < index->first; i++)
        offset_index_add(&merged, file->items[i].relative, file->items[i].position_bytes);
    for (int32_t i = 0; i < index->count - index->first; i++)
        offset_index_add(&merged, index->items[i].relative, index->items[i].position_bytes);
    merged.written = index->written;
    offset_index_release(index);
    *index = merged;
    return true;
}

static bool times_merge(struct segment *segment, struct time_index *file)
{
    struct time_index *index = &segment->times;
    struct time_index merged = {0};
    int32_t in_memory = index->count - index->first;

    if (!segment->index_known) {
        *index = *file;
        *file = (struct time_index){0};
        return true;
    }
    if (file->count < index->first)
        return false;
    merged.items =
        storage_grow(NULL, sizeof *merged.items, &merged.capacity, (size_t)MAX(index->count, 1));
    for (int32_t i = 0; i < index->first; i++)
        merged.items[i] = file->items[i];
    for (int32_t i = 0; i < in_memory; i++)
        merged.items[index->first + i] = index->items[i];
    merged.count = index->count;
    merged.written = index->written;
    time_index_release(index);
    *index = merged;
    return true;
}

bool segment_index_adopt(struct segment *segment, struct offset_index *offsets,
                         struct time_index *times)
{
    if (!offsets_merge(segment, offsets) || !times_merge(segment, times))
        return false;
    if (!segment->index_known && segment->times.count > 0) {
        const struct time_index_entry *last = &segment->times.items[segment->times.count - 1];

        segment->max_timestamp = last->timestamp;
        segment->max_timestamp_offset = segment->base_offset + last->relative;
    }
    if (!segment->index_known)
        segment->timestamp_known = true;
    segment->index_known = true;
    return true;
}

bool index_files_read(struct os *os, const char *log_path, int64_t base_offset, int64_t size_bytes,
                      struct offset_index *offsets_out, struct time_index *times_out,
                      enum err *err_out)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice offsets = SLICE_NULL;
    struct slice times = SLICE_NULL;
    char path[PATH_BYTES];

    *offsets_out = (struct offset_index){0};
    *times_out = (struct time_index){0};
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    path_of_file(log_path, base_offset, ".index", path);
    *err_out = index_file_read(os, path, &arena, &offsets);
    path_of_file(log_path, base_offset, ".timeindex", path);
    if (*err_out == OK)
        *err_out = index_file_read(os, path, &arena, &times);
    if (*err_out != OK)
        return false;
    if (!slice_is_null(offsets) && !slice_is_null(times) &&
        offset_index_decode(offsets, size_bytes, offsets_out) &&
        time_index_decode(times, times_out))
        return true;
    offset_index_release(offsets_out);
    time_index_release(times_out);
    return false;
}

void segment_index_take(struct segment *segment, struct segment *scanned)
{
    offset_index_release(&segment->offsets);
    time_index_release(&segment->times);
    segment->offsets = scanned->offsets;
    segment->times = scanned->times;
    scanned->offsets = (struct offset_index){0};
    scanned->times = (struct time_index){0};
    segment->offsets.written = 0;
    segment->times.written = 0;
    segment->max_timestamp = scanned->max_timestamp;
    segment->max_timestamp_offset = scanned->max_timestamp_offset;
    segment->timestamp_known = true;
    segment->index_gap_bytes = scanned->index_gap_bytes;
    segment->index_known = true;
    segment->index_bad = false;
    segment->index_checked = true;
    if (segment->sealed)
        segment_seal(segment);
}

enum err segment_load_whole(struct log *log, struct segment *segment)
{
    if (!segment->index_known || segment->index_bad || segment->offsets.first > 0 ||
        segment->times.first > 0) {
        struct offset_index offsets;
        struct time_index times;
        enum err err;
        bool good = index_files_read(log_os(log), log->path, segment->base_offset,
                                     segment->size_bytes, &offsets, &times, &err) &&
                    !segment->index_bad && segment_index_adopt(segment, &offsets, &times);

        offset_index_release(&offsets);
        time_index_release(&times);
        if (!good) {
            struct segment scanned;

            TRY(err);
            TRY(segment_scan_index(log_os(log), log->path, segment->base_offset,
                                   segment->size_bytes, log->config.index_interval_bytes,
                                   &scanned));
            segment_index_take(segment, &scanned);
        }
    }
    return OK;
}
