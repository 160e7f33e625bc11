/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/segment.c: one append-only file of record batches and what is known about it.
 *
 *   0 ............ flushed ............ written ............ size (queued)
 *
 * Invariants  1. bytes [0, written) are whole batches that passed their checks.
 *             2. every index entry points at the start of a batch with that last offset.
 *             3. a sealed segment never changes but by truncation, which has the log to itself.
 *             4. what was written stands unchanged as long as the incarnation, which no other segment of the process
 *                ever had, is the same.
 * Crash       bytes at or above the recovery point are checked again at open (recover.c).
 * Threads     the log's owner; references are counted there.
 */
#include "storage/storage_internal.h"

#include "base/bug.h"
#include "storage/directories.h"

/* What a file's name could tell: a topic of the same name, made anew, has the same. */
static uint64_t name_hash(const struct segment *segment)
{
    uint64_t hash = (uint64_t)segment->base_offset + 1;

    for (size_t i = 0; i < segment->log->topic_bytes; i++)
        hash = hash * 31 + (uint8_t)segment->log->topic[i];
    return hash * 31 + (uint64_t)segment->log->partition;
}

void segment_renew(struct segment *segment)
{
    segment->incarnation =
        BUG_IS(shared_range_outlives_segment)
            ? name_hash(segment)
            : atomic_fetch_add(&segment->log->store->directories->incarnations, 1) + 1;
}

struct segment *segment_new(struct log *log, int64_t base_offset)
{
    struct segment *segment = STORAGE_NEW(struct segment);

    segment->log = log;
    segment->references = 1;
    segment->state = SEGMENT_READY;
    segment->base_offset = base_offset;
    segment->max_timestamp = TIMESTAMP_NONE;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = TIMESTAMP_NONE;
    segment_renew(segment);
    file_handle_init(&segment->file);
    list_init(&segment->loaded);
    list_init(&segment->reserved);
    segment->grown_ms = INT64_MIN / 2;
    list_init(&segment->index_waiters);
    return segment;
}

struct segment *segment_ref(struct segment *segment)
{
    ASSERT(segment->references > 0);
    segment->references++;
    return segment;
}

void segment_release(struct segment **held)
{
    struct segment *segment = TAKE(*held);

    if (!segment || --segment->references > 0)
        return;
    file_handle_close(&segment->file);
    list_remove(&segment->loaded);
    list_remove(&segment->reserved);
    offset_index_release(&segment->offsets);
    time_index_release(&segment->times);
    transaction_index_release(&segment->aborted);
    STORAGE_DELETE(segment);
}

void segment_path(const struct segment *segment, const char *suffix, char out[PATH_BYTES])
{
    path_of_file(segment->log->path, segment->base_offset, suffix, out);
}

int32_t segment_relative(const struct segment *segment, int64_t offset)
{
    int64_t relative = offset - segment->base_offset;

    ASSERT((relative >= 0 && relative <= RELATIVE_OFFSET_MAX) || BUG_IS(index_offset_overflow));
    return (int32_t)relative;
}

void segment_note_batch(struct segment *segment, const struct batch_header *header,
                        size_t size_bytes, int32_t interval_bytes)
{
    int64_t last_offset = batch_last_offset(header);

    if (!segment->first_timestamp_known) {
        segment->first_timestamp = header->max_timestamp;
        segment->first_timestamp_known = true;
    }
    if (header->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = header->max_timestamp;
        segment->max_timestamp_offset = last_offset;
    }
    if (segment->index_gap_bytes > interval_bytes) {
        offset_index_add(&segment->offsets, segment_relative(segment, last_offset),
                         (int32_t)segment->size_bytes);
        if (segment->max_timestamp > TIMESTAMP_NONE)
            time_index_add(&segment->times, segment->max_timestamp,
                           segment_relative(segment, segment->max_timestamp_offset));
        segment->index_gap_bytes = 0;
    }
    segment->index_gap_bytes += (int64_t)size_bytes;
    segment->size_bytes += (int64_t)size_bytes;
}

void segment_seal(struct segment *segment)
{
    if (!BUG_IS(index_end_missing) && segment->max_timestamp > TIMESTAMP_NONE)
        time_index_add(&segment->times, segment->max_timestamp,
                       segment_relative(segment, segment->max_timestamp_offset));
    segment->sealed = true;
}
