/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/partition_metadata.c: partition.metadata: the topic id of a partition's directory.
 * Crash       written with os_durable_replace before the first append.
 * Threads     any; no state.
 */
#include "storage/storage_internal.h"

#include "base/parse.h"

#define PARTITION_METADATA_NAME "partition.metadata"

/* "key: value" → value; the separator is a colon and white space. */
static bool value_of(struct slice line, const char *key, struct slice *out)
{
    size_t at = strlen(key);

    if (!slice_starts_with(line, slice_from_text(key)) || at + 1 >= line.size_bytes ||
        line.data[at] != ':' || (line.data[at + 1] != ' ' && line.data[at + 1] != '\t'))
        return false;
    for (at++; at < line.size_bytes && (line.data[at] == ' ' || line.data[at] == '\t'); at++)
        ;
    *out = slice_sub(line, at, SIZE_MAX);
    while (out->size_bytes > 0 &&
           (out->data[out->size_bytes - 1] == '\r' || out->data[out->size_bytes - 1] == '\n'))
        out->size_bytes--;
    return true;
}

enum err partition_metadata_read(struct os *os, const char *directory, struct uuid *topic_id_out)
{
    CLEANUP(arena_release) struct arena arena;
    char path[PATH_BYTES];
    struct slice text;
    struct slice value;
    const uint8_t *line_end;
    size_t first_bytes;
    int32_t version;
    enum err err;

    *topic_id_out = UUID_ZERO;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    path_join(directory, PARTITION_METADATA_NAME, path);
    err = os_read_whole(os, path, &arena, 4 * KIB, &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return err == ERR_TOO_LARGE ? ERR_FORMAT : err;
    line_end = text.size_bytes ? memchr(text.data, '\n', text.size_bytes) : NULL;
    if (!line_end)
        return ERR_FORMAT;
    first_bytes = (size_t)(line_end - text.data);
    if (!value_of(slice_sub(text, 0, first_bytes), "version", &value) ||
        parse_i32(value, &version) != OK || version < 0)
        return ERR_FORMAT;
    if (!value_of(slice_sub(text, first_bytes + 1, SIZE_MAX), "topic_id", &value) ||
        uuid_from_text(value, topic_id_out) != OK || uuid_is_zero(*topic_id_out))
        return ERR_FORMAT;
    return OK;
}

enum err partition_metadata_write(struct os *os, const char *directory, struct uuid topic_id)
{
    char path[PATH_BYTES];
    char id[UUID_TEXT_BYTES];
    char text[96];
    struct slice content;

    path_join(directory, PARTITION_METADATA_NAME, path);
    uuid_to_text(topic_id, id);
    fmt(text, sizeof text, "version: 0\ntopic_id: %s", id);
    content = slice_from_text(text);
    return os_durable_replace(os, path, &content, 1);
}
