/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/index.c: offset and time index of a segment: Kafka's entries as sorted arrays.
 * Invariants  1. offsets rise strictly in the offset index; neither column falls in the time index.
 *             2. memory holds a suffix [first, count): a log at rest needs its last entry alone.
 * Crash       an index is a cache: what is not below the recovery point is made anew from the log.
 * Threads     the segment's owner, or the job that has the log to itself.
 */
#include "storage/storage_internal.h"

#include "base/cursor.h"

void offset_index_release(struct offset_index *index)
{
    storage_free(index->items, index->capacity * sizeof *index->items);
    *index = (struct offset_index){0};
}

void time_index_release(struct time_index *index)
{
    storage_free(index->items, index->capacity * sizeof *index->items);
    *index = (struct time_index){0};
}

void offset_index_add(struct offset_index *index, int32_t relative, int32_t position_bytes)
{
    size_t used = (size_t)(index->count - index->first);

    index->items = storage_grow(index->items, sizeof *index->items, &index->capacity, used + 1);
    index->items[used] = (struct offset_index_entry){relative, position_bytes};
    index->count++;
}

void time_index_add(struct time_index *index, int64_t timestamp, int32_t relative)
{
    size_t used = (size_t)(index->count - index->first);

    if (timestamp <= (used > 0 ? index->items[used - 1].timestamp : (int64_t)TIMESTAMP_NONE))
        return;
    index->items = storage_grow(index->items, sizeof *index->items, &index->capacity, used + 1);
    index->items[used] = (struct time_index_entry){timestamp, relative};
    index->count++;
}

/* How many of `count` items are as `condition` says of `item`: those stand in front of all others. */
#define COUNT_IN_FRONT(items, count, item, condition)             \
    __extension__({                                               \
        size_t low_ = 0;                                          \
        size_t high_ = (count);                                   \
                                                                  \
        while (low_ < high_) {                                    \
            size_t middle_ = low_ + (high_ - low_) / 2;           \
            const __typeof__(*(items)) *item = &(items)[middle_]; \
                                                                  \
            if (condition)                                        \
                low_ = middle_ + 1;                               \
            else                                                  \
                high_ = middle_;                                  \
        }                                                         \
        low_;                                                     \
    })

enum index_answer offset_index_find(const struct offset_index *index, int64_t relative,
                                    struct offset_index_entry *out)
{
    size_t below = COUNT_IN_FRONT(index->items, (size_t)(index->count - index->first), entry,
                                  entry->relative <= relative);

    if (below == 0)
        return index->first > 0 ? INDEX_NOT_LOADED : INDEX_BEFORE;
    *out = index->items[below - 1];
    return INDEX_FOUND;
}

enum index_answer time_index_find(const struct time_index *index, int64_t timestamp,
                                  struct time_index_entry *out)
{
    size_t below = COUNT_IN_FRONT(index->items, (size_t)(index->count - index->first), entry,
                                  entry->timestamp <= timestamp);

    if (below == 0)
        return index->first > 0 ? INDEX_NOT_LOADED : INDEX_BEFORE;
    *out = index->items[below - 1];
    return INDEX_FOUND;
}

enum index_answer offset_index_find_position(const struct offset_index *index,
                                             int64_t position_bytes, struct offset_index_entry *out)
{
    size_t count = (size_t)(index->count - index->first);
    size_t below =
        COUNT_IN_FRONT(index->items, count, entry, entry->position_bytes < position_bytes);

    if (below == 0 && index->first > 0)
        return INDEX_NOT_LOADED;
    if (below == count)
        return INDEX_BEFORE;
    *out = index->items[below];
    return INDEX_FOUND;
}

/* Cutting needs all entries in memory: a change loads them first. */
void offset_index_cut(struct offset_index *index, int64_t relative_end)
{
    ASSERT(index->first == 0);
    while (index->count > 0 && index->items[index->count - 1].relative >= relative_end)
        index->count--;
    index->written = MIN(index->written, index->count);
}

void time_index_cut(struct time_index *index, int64_t relative_end)
{
    ASSERT(index->first == 0);
    while (index->count > 0 && index->items[index->count - 1].relative >= relative_end)
        index->count--;
    index->written = MIN(index->written, index->count);
}

/* The sizes are right by type: nothing can be refused. */
void offset_index_entry_read(const uint8_t bytes[OFFSET_INDEX_ENTRY_BYTES],
                             struct offset_index_entry *out)
{
    struct cursor cursor = cursor_of(slice_of(bytes, OFFSET_INDEX_ENTRY_BYTES));
    enum err err = cursor_i32(&cursor, &out->relative);

    ASSERT(err == OK);
    err = cursor_i32(&cursor, &out->position_bytes);
    ASSERT(err == OK);
}

void time_index_entry_read(const uint8_t bytes[TIME_INDEX_ENTRY_BYTES],
                           struct time_index_entry *out)
{
    struct cursor cursor = cursor_of(slice_of(bytes, TIME_INDEX_ENTRY_BYTES));
    enum err err = cursor_i64(&cursor, &out->timestamp);

    ASSERT(err == OK);
    err = cursor_i32(&cursor, &out->relative);
    ASSERT(err == OK);
}

bool offset_index_decode(struct slice file, int64_t log_bytes, struct offset_index *out)
{
    int64_t last_relative = -1;
    int64_t last_position = -1;

    *out = (struct offset_index){0};
    if (file.size_bytes % OFFSET_INDEX_ENTRY_BYTES != 0)
        return false;
    for (size_t at = 0; at < file.size_bytes; at += OFFSET_INDEX_ENTRY_BYTES) {
        struct offset_index_entry entry;

        offset_index_entry_read(file.data + at, &entry);
        if (entry.relative <= last_relative || entry.position_bytes <= last_position ||
            entry.position_bytes >= log_bytes) {
            offset_index_release(out);
            return false;
        }
        offset_index_add(out, entry.relative, entry.position_bytes);
        last_relative = entry.relative;
        last_position = entry.position_bytes;
    }
    out->written = out->count;
    return true;
}

bool time_index_decode(struct slice file, struct time_index *out)
{
    int64_t last_timestamp = -1;
    int64_t last_relative = -1;

    *out = (struct time_index){0};
    if (file.size_bytes % TIME_INDEX_ENTRY_BYTES != 0)
        return false;
    for (size_t at = 0; at < file.size_bytes; at += TIME_INDEX_ENTRY_BYTES) {
        struct time_index_entry entry;

        time_index_entry_read(file.data + at, &entry);
        if (entry.timestamp < last_timestamp || entry.relative < last_relative ||
            entry.relative < 0) {
            time_index_release(out);
            return false;
        }
        out->items =
            storage_grow(out->items, sizeof *out->items, &out->capacity, (size_t)out->count + 1);
        out->items[out->count++] = entry;
        last_timestamp = entry.timestamp;
        last_relative = entry.relative;
    }
    out->written = out->count;
    return true;
}

void offset_index_encode(const struct offset_index *index, int32_t from, struct writer *writer)
{
    ASSERT(from >= index->first);
    for (int32_t i = from - index->first; i < index->count - index->first; i++) {
        writer_i32(writer, index->items[i].relative);
        writer_i32(writer, index->items[i].position_bytes);
    }
}

void time_index_encode(const struct time_index *index, int32_t from, struct writer *writer)
{
    ASSERT(from >= index->first);
    for (int32_t i = from - index->first; i < index->count - index->first; i++) {
        writer_i64(writer, index->items[i].timestamp);
        writer_i32(writer, index->items[i].relative);
    }
}
