/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/transaction_digest.c: what the .txnindex files of a partition hold, in a file of ours beside them, which Apache
 * passes over: entries of Kafka's format have no checksum, and one that rotted shows what was aborted.
 *
 *   "0\n<lines>\n", "<base> <entries> <CRC-32C of them>\n" for each segment with entries, "-1 0 <CRC-32C of the above>\n"
 *
 * Invariants  1. it is replaced when the entries that it speaks of are durable, and before the recovery point moves over
 *                them: what it does not know of is made anew by recovery.
 *             2. what does not fit it is made anew from the log: that costs a scan, never a record.
 * Crash       old or new file, whole. An older one fits less, see 2; so its name waits for the next sync of the
 *             directory, which is not to become durable for this alone: in flush mode os names would outrun bytes.
 * Threads     texts: the store's; files: a job.
 */
#include "storage/load.h"
#include "storage/shard.h"

#include "base/parse.h"
#include "records/crc32c.h"

#define DIGEST_BYTES_MAX (64 * MIB)
#define DIGEST_TAIL (-1)

/* The CRC of the first `count` entries; that of the last call is kept and gone on from. */
static uint32_t entries_digest(struct transaction_index *index, size_t count)
{
    if (index->digested > count) {
        index->digested = 0;
        index->digest = 0;
    }
    while (index->digested < count) {
        uint8_t entry[TRANSACTION_INDEX_ENTRY_BYTES];

        transaction_index_entry_write(&index->items[index->digested++], entry);
        index->digest = crc32c_extend(index->digest, slice_of(entry, sizeof entry));
    }
    return index->digest;
}

/* What the file holds when the flush under way, if any, is done. */
static size_t entries_durable(const struct transaction_index *index)
{
    return MIN(MAX(index->written, index->promised), index->count);
}

static void line_put(struct writer *out, int64_t base, size_t count, uint32_t digest)
{
    char line[96];
    size_t size = fmt(line, sizeof line, "%lld %zu %u\n", (long long)base, count, digest);

    writer_bytes(out, line, size);
}

void transaction_digests_text(struct log *log, struct writer *out)
{
    size_t lines = 1;
    char head[64];

    log->digests_dirty = false;
    for (size_t i = 0; i < log->segment_count; i++) {
        struct transaction_index *index = &log->segments[i]->aborted;

        lines += entries_durable(index) > 0;
        log->digests_dirty |= entries_durable(index) < index->count;
    }
    writer_bytes(out, head, fmt(head, sizeof head, "0\n%zu\n", lines));
    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        size_t count = entries_durable(&segment->aborted);

        if (count > 0)
            line_put(out, segment->base_offset, count, entries_digest(&segment->aborted, count));
    }
    line_put(out, DIGEST_TAIL, 0, crc32c(writer_slice(out)));
    if (writer_error(out) != OK)
        log->digests_dirty = true;
}

enum err transaction_digests_put(struct os *os, const char *log_path, struct slice text)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];
    char temporary[PATH_BYTES];

    path_join(log_path, TRANSACTION_DIGEST_FILE, path);
    path_join(log_path, TRANSACTION_DIGEST_FILE ".tmp", temporary);
    TRY(os_file_open(os, temporary, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    TRY(os_file_write(file, &text, 1, 0));
    TRY(os_file_sync(file));
    return os_rename(os, temporary, path);
}

enum err transaction_digests_write(struct log *log)
{
    CLEANUP(writer_release) struct writer text;
    enum err err;

    writer_init(&text, &heap_allocator, SIZE_MAX);
    if (!log->digests_dirty)
        return OK;
    transaction_digests_text(log, &text);
    err = writer_error(&text);
    if (err == OK)
        err = transaction_digests_put(log_os(log), log->path, writer_slice(&text));
    log->digests_dirty |= err != OK;
    return err;
}

/* ---- at the opening ---- */

struct digest {
    int64_t base;
    int64_t count;
    uint32_t digest;
};
struct digests {
    struct digest *items;
    size_t count;
    size_t capacity;
    bool is_there; /* else Apache wrote the log, or an older version: nothing is known */
};

static enum err digest_read(void *context, const struct slice *words)
{
    struct digests *digests = context;
    struct digest each;
    int64_t digest;

    if (parse_i64(words[0], &each.base) != OK || parse_i64(words[1], &each.count) != OK ||
        parse_i64(words[2], &digest) != OK || each.count < 0 || digest < 0 || digest > UINT32_MAX)
        return ERR_FORMAT;
    each.digest = (uint32_t)digest;
    digests->items = storage_grow(digests->items, sizeof *digests->items, &digests->capacity,
                                  digests->count + 1);
    digests->items[digests->count++] = each;
    return OK;
}

/* The last line vouches for those above it. */
static bool is_whole(const struct digests *digests, struct slice text)
{
    size_t head = text.size_bytes;
    const struct digest *tail;

    if (digests->count == 0 || text.data[text.size_bytes - 1] != '\n')
        return false;
    tail = &digests->items[digests->count - 1];
    while (head > 0 && (head == text.size_bytes || text.data[head - 1] != '\n'))
        head--;
    return tail->base == DIGEST_TAIL && tail->count == 0 &&
           tail->digest == crc32c(slice_sub(text, 0, head));
}

static enum err digests_read(struct log *log, struct digests *out)
{
    CLEANUP(arena_release) struct arena arena;
    char path[PATH_BYTES];
    struct slice text;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    path_join(log->path, TRANSACTION_DIGEST_FILE, path);
    err = os_read_whole(log_os(log), path, &arena, DIGEST_BYTES_MAX, &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK && err != ERR_TOO_LARGE)
        return err;
    out->is_there = true;
    if (err == OK && checkpoint_parse(text, 3, digest_read, out) == OK && is_whole(out, text))
        return OK;
    LOG_WARN(log_logger(log), "storage", "transaction_digests_broken", "file=%s", path);
    out->count = 0; /* each index with entries is made anew */
    return OK;
}

/* Is the index what was written? Entries from the recovery point on are made anew anyway. */
static bool digest_holds(const struct digests *digests, int64_t base,
                         struct transaction_index *index, int64_t recovery_point)
{
    const struct digest *digest = NULL;
    size_t known;

    if (!digests->is_there)
        return true;
    for (size_t i = 0; i < digests->count; i++)
        if (digests->items[i].base == base)
            digest = &digests->items[i];
    known = digest ? (size_t)digest->count : 0;
    return known <= index->count &&
           (known == 0 || entries_digest(index, known) == digest->digest) &&
           (known == index->count || index->items[known].last_offset >= recovery_point);
}

static enum err index_check(struct log *log, size_t at, const struct digests *digests,
                            int64_t recovery_point, bool *holds_out)
{
    struct segment *segment = log->segments[at];
    int64_t end = at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : INT64_MAX;
    struct transaction_index index = {.known = true};
    char path[PATH_BYTES];
    enum err err = OK;

    segment_path(segment, ".txnindex", path);
    if (segment->has_aborted_file)
        err = transaction_index_read(log_os(log), path, segment->base_offset, end, &index);
    if (err != OK && err != ERR_CORRUPT)
        return err;
    *holds_out = err == OK && digest_holds(digests, segment->base_offset, &index, recovery_point);
    transaction_index_release(&segment->aborted);
    if (*holds_out) {
        segment->aborted = index;
        return OK;
    }
    transaction_index_release(&index);
    LOG_WARN(log_logger(log), "storage", "transaction_index_broken", "file=%s", path);
    return OK;
}

enum err transaction_indexes_load(struct log *log, int64_t recovery_point, struct why *why)
{
    struct digests digests = {0};
    bool any = false;
    enum err err = digests_read(log, &digests);

    for (size_t i = 0; i < log->segment_count && err == OK; i++) {
        struct segment *segment = log->segments[i];
        bool holds = true;

        if (segment->has_aborted_file || digests.is_there)
            err = index_check(log, i, &digests, recovery_point, &holds);
        log->digests_dirty |= segment->aborted.count > 0 && !digests.is_there;
        /* Recovery makes those anew that begin beyond its point. */
        if (err != OK || holds || segment->base_offset >= recovery_point)
            continue;
        err = producer_segment_aborted(log, segment, recovery_point, why);
        if (err == OK)
            err = segment_write_aborted(log_os(log), log->path, segment);
        any = true;
    }
    storage_free(digests.items, digests.capacity * sizeof *digests.items);
    log->digests_dirty |= any;
    return err == OK && any ? transaction_digests_write(log) : err;
}
