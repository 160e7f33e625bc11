/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offset and time index files. What is taken for an index is sorted, finds its entries and is written
 * as it was read.
 */
#include "base/assert.h"
#include "storage/storage_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void offsets_check(struct slice file, int64_t log_bytes)
{
    struct offset_index index;
    struct offset_index_entry entry;
    struct writer again;

    if (!offset_index_decode(file, log_bytes, &index))
        return;
    writer_init(&again, &heap_allocator, SIZE_MAX);
    offset_index_encode(&index, 0, &again);
    ASSERT(slice_equal(writer_slice(&again), file));
    for (int32_t i = 0; i < index.count; i++) {
        ASSERT(index.items[i].position_bytes < log_bytes);
        ASSERT(offset_index_find(&index, index.items[i].relative, &entry) == INDEX_FOUND);
        ASSERT(entry.position_bytes == index.items[i].position_bytes);
        ASSERT(offset_index_find_position(&index, index.items[i].position_bytes, &entry) ==
               INDEX_FOUND);
        ASSERT(entry.relative == index.items[i].relative);
    }
    if (index.count > 1) {
        offset_index_cut(&index, index.items[1].relative);
        ASSERT(index.count == 1);
    }
    offset_index_release(&index);
    writer_release(&again);
}

static void times_check(struct slice file)
{
    struct time_index index;
    struct time_index_entry entry;
    struct writer again;

    if (!time_index_decode(file, &index))
        return;
    writer_init(&again, &heap_allocator, SIZE_MAX);
    time_index_encode(&index, 0, &again);
    ASSERT(slice_equal(writer_slice(&again), file));
    for (int32_t i = 0; i < index.count; i++) {
        ASSERT(time_index_find(&index, index.items[i].timestamp, &entry) == INDEX_FOUND);
        ASSERT(entry.timestamp == index.items[i].timestamp);
    }
    if (index.count > 0)
        time_index_cut(&index, index.items[index.count - 1].relative);
    time_index_release(&index);
    writer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    offsets_check(slice_of(data + 1, size - 1), (int64_t)data[0] << 12);
    times_check(slice_of(data + 1, size - 1));
    return 0;
}
