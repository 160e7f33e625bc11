/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text checkpoints of offsets and of leader epochs. What is read and written again reads the same.
 */
#include "base/assert.h"
#include "os/sim.h"
#include "storage/storage_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file_put(struct os *os, const char *path, struct slice content)
{
    struct os_file *file;

    ASSERT(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file) == OK);
    if (content.size_bytes > 0)
        ASSERT(os_file_write(file, &content, 1, 0) == OK);
    os_file_close(&file);
}

static void offsets_check(struct os *os)
{
    struct offset_map map, again;
    struct writer text;

    offset_map_init(&map);
    if (offset_checkpoint_read(os, "/file", &map) == OK) {
        writer_init(&text, &heap_allocator, SIZE_MAX);
        offset_checkpoint_text(&map, &text);
        ASSERT(writer_error(&text) == OK);
        file_put(os, "/again", writer_slice(&text));
        offset_map_init(&again);
        ASSERT(offset_checkpoint_read(os, "/again", &again) == OK);
        ASSERT(again.map.count == map.map.count);
        HASH_MAP_EACH (node, &map.map) {
            const struct offset_map_entry *entry =
                HASH_MAP_ITEM(node, struct offset_map_entry, node);
            int64_t offset = -1;

            ASSERT(offset_map_get(&again, entry->topic, entry->partition, &offset));
            ASSERT(offset == entry->offset);
        }
        offset_map_release(&again);
        writer_release(&text);
    }
    offset_map_release(&map);
}

static void epochs_check(struct os *os)
{
    struct epoch_cache cache = {0}, again = {0};

    if (epoch_cache_read(&cache, os, "/file") == OK) {
        for (size_t i = 1; i < cache.count; i++) {
            ASSERT(cache.entries[i].epoch > cache.entries[i - 1].epoch);
            ASSERT(cache.entries[i].start_offset > cache.entries[i - 1].start_offset);
        }
        ASSERT(epoch_cache_write(&cache, os, "/again") == OK);
        ASSERT(epoch_cache_read(&again, os, "/again") == OK);
        ASSERT(again.count == cache.count);
        for (size_t i = 0; i < cache.count; i++) {
            int32_t epoch;
            int64_t end;

            ASSERT(again.entries[i].start_offset == cache.entries[i].start_offset);
            ASSERT(epoch_cache_of(&cache, cache.entries[i].start_offset) == cache.entries[i].epoch);
            epoch_cache_end(&cache, cache.entries[i].epoch, INT64_MAX, &epoch, &end);
            ASSERT(epoch == cache.entries[i].epoch);
        }
        epoch_cache_truncate_start(&again, 5);
        epoch_cache_truncate_end(&again, 3);
    }
    epoch_cache_release(&cache);
    epoch_cache_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim *sim;
    struct os *os;

    ASSERT(sim_create(1, NULL, &sim) == OK);
    ASSERT(sim_machine_create(sim, "node", &os) == OK);
    file_put(os, "/file", slice_of(data, size));
    offsets_check(os);
    epochs_check(os);
    sim_release(&sim);
    return 0;
}
