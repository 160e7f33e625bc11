/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/checkpoint_file.c: Kafka's text checkpoints: version line "0", a count line, one entry per
 * line. An empty file, or one with the version line alone, has no entries; anything else that does
 * not add up is ERR_FORMAT.
 * Crash       written with os_durable_replace: old or new, both whole.
 * Threads     any; no state.
 */
#include "storage/storage_internal.h"

#include "base/parse.h"
#include "base/writer.h"

#define CHECKPOINT_BYTES_MAX (256 * MIB)

struct line_reader {
    struct slice left;
};

/* Next line without its end; false at the end of the text. Java's readLine also takes CR and CRLF. */
static bool line_next(struct line_reader *reader, struct slice *out)
{
    struct slice left = reader->left;
    size_t i = 0;

    if (left.size_bytes == 0)
        return false;
    while (i < left.size_bytes && left.data[i] != '\n' && left.data[i] != '\r')
        i++;
    *out = slice_sub(left, 0, i);
    if (i + 1 < left.size_bytes && left.data[i] == '\r' && left.data[i + 1] == '\n')
        i++;
    reader->left = slice_sub(left, i + 1, SIZE_MAX);
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Splits at whitespace runs into exactly `count` words. */
static bool words_split(struct slice line, struct slice *words, size_t count)
{
    size_t found = 0;
    size_t i = 0;

    while (i < line.size_bytes) {
        size_t start = i;

        while (i < line.size_bytes && !is_space(line.data[i]))
            i++;
        if (found == count)
            return false;
        words[found++] = slice_sub(line, start, i - start);
        while (i < line.size_bytes && is_space(line.data[i]))
            i++;
    }
    return found == count;
}

static enum err header_read(struct line_reader *reader, int32_t *count_out)
{
    struct slice line;
    int32_t version;

    *count_out = 0;
    if (!line_next(reader, &line))
        return OK;
    if (parse_i32(line, &version) != OK || version != 0)
        return ERR_FORMAT;
    if (!line_next(reader, &line))
        return OK;
    if (parse_i32(line, count_out) != OK || *count_out < 0)
        return ERR_FORMAT;
    return OK;
}

enum err checkpoint_parse(struct slice text, size_t words_per_line, checkpoint_entry_fn each,
                          void *context)
{
    struct line_reader reader = {text};
    struct slice words[3];
    struct slice line;
    int32_t expected;
    int32_t seen = 0;

    ASSERT(words_per_line <= ARRAY_COUNT(words));
    TRY(header_read(&reader, &expected));
    while (line_next(&reader, &line)) {
        if (!words_split(line, words, words_per_line))
            return ERR_FORMAT;
        TRY(each(context, words));
        seen++;
    }
    return seen == expected ? OK : ERR_FORMAT;
}

static enum err offset_entry_read(void *context, const struct slice *words)
{
    struct offset_map *map = context;
    int32_t partition;
    int64_t offset;

    if (parse_i32(words[1], &partition) != OK || partition < 0 ||
        parse_i64(words[2], &offset) != OK || offset < 0)
        return ERR_FORMAT;
    return offset_map_put(map, words[0], partition, offset);
}

enum err offset_checkpoint_read(struct os *os, const char *path, struct offset_map *map)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice text;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    err = os_read_whole(os, path, &arena, CHECKPOINT_BYTES_MAX, &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return err == ERR_TOO_LARGE ? ERR_FORMAT : err;
    return checkpoint_parse(text, 3, offset_entry_read, map);
}

void offset_checkpoint_text(const struct offset_map *map, struct writer *out)
{
    char line[64];
    size_t size = fmt(line, sizeof line, "0\n%zu\n", map->map.count);

    writer_bytes(out, line, size);
    HASH_MAP_EACH (node, &map->map) {
        const struct offset_map_entry *entry = HASH_MAP_ITEM(node, struct offset_map_entry, node);

        writer_bytes(out, entry->topic.data, entry->topic.size_bytes);
        size =
            fmt(line, sizeof line, " %d %lld\n", (int)entry->partition, (long long)entry->offset);
        writer_bytes(out, line, size);
    }
}

/* ---- (topic, partition) → offset ---- */

struct offset_key {
    struct slice topic;
    int32_t partition;
};

static bool offset_entry_matches(const struct hash_map_node *node, const void *key)
{
    const struct offset_map_entry *entry = CONTAINER_OF(node, struct offset_map_entry, node);
    const struct offset_key *wanted = key;

    return entry->partition == wanted->partition && slice_equal(entry->topic, wanted->topic);
}

static uint64_t offset_key_hash(struct slice topic, int32_t partition)
{
    return hash_u64(hash_slice(topic) ^ (uint64_t)(uint32_t)partition);
}

void offset_map_init(struct offset_map *map)
{
    hash_map_init(&map->map, &heap_allocator, offset_entry_matches);
}

static void offset_entry_free(struct offset_map_entry *entry)
{
    heap_allocator.release(&heap_allocator, entry, sizeof *entry + entry->topic.size_bytes);
}

void offset_map_release(struct offset_map *map)
{
    HASH_MAP_EACH_SAFE (node, &map->map) {
        struct offset_map_entry *entry = HASH_MAP_ITEM(node, struct offset_map_entry, node);

        hash_map_remove(&map->map, &entry->node);
        offset_entry_free(entry);
    }
    hash_map_release(&map->map);
}

static struct offset_map_entry *offset_map_find(const struct offset_map *map, struct slice topic,
                                                int32_t partition)
{
    struct offset_key key = {topic, partition};
    struct hash_map_node *node = hash_map_find(&map->map, offset_key_hash(topic, partition), &key);

    return node ? CONTAINER_OF(node, struct offset_map_entry, node) : NULL;
}

enum err offset_map_put(struct offset_map *map, struct slice topic, int32_t partition,
                        int64_t offset)
{
    struct offset_map_entry *entry = offset_map_find(map, topic, partition);
    enum err err;

    if (entry) {
        entry->offset = offset;
        return OK;
    }
    entry = heap_allocator.allocate(&heap_allocator, sizeof *entry + topic.size_bytes);
    if (!entry)
        return ERR_NO_MEMORY;
    memcpy(entry + 1, topic.data, topic.size_bytes);
    entry->topic = slice_of(entry + 1, topic.size_bytes);
    entry->partition = partition;
    entry->offset = offset;
    err = hash_map_insert(&map->map, offset_key_hash(topic, partition), &entry->node);
    if (err != OK)
        offset_entry_free(entry);
    return err;
}

bool offset_map_get(const struct offset_map *map, struct slice topic, int32_t partition,
                    int64_t *offset_out)
{
    struct offset_map_entry *entry = offset_map_find(map, topic, partition);

    if (entry)
        *offset_out = entry->offset;
    return entry != NULL;
}

void offset_map_remove(struct offset_map *map, struct slice topic, int32_t partition)
{
    struct offset_map_entry *entry = offset_map_find(map, topic, partition);

    if (!entry)
        return;
    hash_map_remove(&map->map, &entry->node);
    offset_entry_free(entry);
}
