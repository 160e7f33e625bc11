/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/epoch_cache.c: which leader epoch began at which offset, and leader-epoch-checkpoint.
 * Invariants  1. epochs and start offsets rise strictly.
 *             2. latest == the last entry.
 *             3. dirty == the file does not say what the memory says.
 * Crash       what the file lacks is found again in the batches past the recovery point.
 * Threads     the log's owner, or the job that has the log to itself.
 */
#include "storage/storage_internal.h"

#include "base/parse.h"
#include "base/writer.h"

void epoch_cache_release(struct epoch_cache *cache)
{
    storage_free(cache->entries, cache->capacity * sizeof *cache->entries);
    *cache = (struct epoch_cache){0};
}

static void latest_note(struct epoch_cache *cache)
{
    if (cache->count > 0)
        cache->latest = cache->entries[cache->count - 1];
}

void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset)
{
    if (epoch < 0)
        return;
    ASSERT(start_offset >= 0);
    if (cache->count > 0 && cache->latest.epoch == epoch &&
        start_offset >= cache->latest.start_offset)
        return;
    while (cache->count > 0 && (cache->entries[cache->count - 1].epoch >= epoch ||
                                cache->entries[cache->count - 1].start_offset >= start_offset))
        cache->count--;
    cache->dirty = true;
    cache->entries =
        storage_grow(cache->entries, sizeof *cache->entries, &cache->capacity, cache->count + 1);
    cache->entries[cache->count++] = (struct epoch_entry){epoch, start_offset};
    latest_note(cache);
}

void epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset)
{
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= end_offset) {
        cache->count--;
        cache->dirty = true;
    }
    latest_note(cache);
}

void epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset)
{
    size_t dropped = 0;

    while (dropped < cache->count && cache->entries[dropped].start_offset <= start_offset)
        dropped++;
    if (dropped == 0)
        return;
    dropped--; /* the epoch that holds start_offset stays and begins there */
    if (dropped == 0 && cache->entries[0].start_offset == start_offset)
        return;
    memmove(cache->entries, cache->entries + dropped,
            (cache->count - dropped) * sizeof *cache->entries);
    cache->count -= dropped;
    cache->entries[0].start_offset = start_offset;
    cache->dirty = true;
    latest_note(cache);
}

void epoch_cache_clear(struct epoch_cache *cache)
{
    if (cache->count > 0)
        cache->dirty = true;
    cache->count = 0;
    latest_note(cache);
}

void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end,
                     int32_t *epoch_out, int64_t *end_offset_out)
{
    size_t above = 0;

    *epoch_out = -1;
    *end_offset_out = -1;
    if (epoch < 0 || cache->count == 0)
        return;
    if (cache->entries[cache->count - 1].epoch == epoch) {
        *epoch_out = epoch;
        *end_offset_out = log_end;
        return;
    }
    while (above < cache->count && cache->entries[above].epoch <= epoch)
        above++;
    if (above == cache->count)
        return; /* an epoch that we have not seen */
    *epoch_out = above == 0 ? epoch : cache->entries[above - 1].epoch;
    *end_offset_out = cache->entries[above].start_offset;
}

int32_t epoch_cache_of(const struct epoch_cache *cache, int64_t offset)
{
    for (size_t i = cache->count; i > 0; i--)
        if (cache->entries[i - 1].start_offset <= offset)
            return cache->entries[i - 1].epoch;
    return -1;
}

static enum err epoch_line_read(void *context, const struct slice *words)
{
    struct epoch_cache *cache = context;
    int32_t epoch;
    int64_t start_offset;

    if (parse_i32(words[0], &epoch) != OK || parse_i64(words[1], &start_offset) != OK ||
        epoch < 0 || start_offset < 0)
        return ERR_FORMAT;
    epoch_cache_assign(cache, epoch, start_offset);
    return OK;
}

enum err epoch_cache_read(struct epoch_cache *cache, struct os *os, const char *path)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice text;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    err = os_read_whole(os, path, &arena, 64 * MIB, &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return err;
    TRY(checkpoint_parse(text, 2, epoch_line_read, cache));
    cache->dirty = false;
    return OK;
}

enum err epoch_cache_text(const struct epoch_cache *cache, struct writer *writer)
{
    char line[64];
    size_t size = fmt(line, sizeof line, "0\n%zu\n", cache->count);

    writer_bytes(writer, line, size);
    for (size_t i = 0; i < cache->count; i++) {
        size = fmt(line, sizeof line, "%d %lld\n", (int)cache->entries[i].epoch,
                   (long long)cache->entries[i].start_offset);
        writer_bytes(writer, line, size);
    }
    return writer_error(writer);
}

enum err epoch_cache_write(struct epoch_cache *cache, struct os *os, const char *path)
{
    CLEANUP(writer_release) struct writer writer;
    struct slice text;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    TRY(epoch_cache_text(cache, &writer));
    text = writer_slice(&writer);
    TRY(os_durable_replace(os, path, &text, 1));
    cache->dirty = false;
    return OK;
}
