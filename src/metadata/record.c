/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/record.c: framing of metadata records: frame version 1, type, version, then the message. No
 * record may be skipped: what is not known ends the reading, because everything behind it depends on it.
 */
#include "metadata/record.h"

#include "base/assert.h"

#define FRAME_VERSION 1

enum err metadata_record_add(struct metadata_record_list *list, struct arena *arena, int16_t key,
                             int16_t version, void **message_out)
{
    const struct message_type *type = metadata_record_type(key);
    struct metadata_record *items;
    void *message;

    ASSERT(type && version >= type->version_min && version <= type->version_max);
    if (list->count == list->capacity) {
        size_t capacity = MAX(list->capacity * 2, (size_t)8);

        items = ARENA_ARRAY(arena, struct metadata_record, capacity);
        if (!items)
            return ERR_NO_MEMORY;
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    message = arena_zeroed(arena, 1, message_struct_bytes(type));
    if (!message)
        return ERR_NO_MEMORY;
    message_init(type, message);
    /* The array was made above and is this list's own. */
    items = (struct metadata_record *)(uintptr_t)list->items;
    items[list->count++] = (struct metadata_record){type, version, message};
    *message_out = message;
    return OK;
}

enum err metadata_record_encode(const struct metadata_record *record, struct writer *writer)
{
    writer_uvarint(writer, FRAME_VERSION);
    writer_uvarint(writer, (uint32_t)record->type->key);
    writer_uvarint(writer, (uint32_t)record->version);
    return message_encode(record->type, record->version, record->message, writer);
}

enum err metadata_record_decode(struct slice value, struct arena *arena,
                                struct metadata_record *out, struct why *why)
{
    struct cursor cursor = cursor_of(value);
    uint32_t head[3];
    void *message;
    enum err err;

    for (size_t i = 0; i < ARRAY_COUNT(head); i++) {
        err = cursor_uvarint(&cursor, &head[i]);
        if (err != OK || head[i] > INT16_MAX)
            return why_set(why, ERR_CORRUPT, "the frame of a metadata record is broken");
    }
    if (head[0] != FRAME_VERSION)
        return why_set(why, ERR_CORRUPT, "frame version %u of a metadata record", head[0]);
    out->type = metadata_record_type((int16_t)head[1]);
    out->version = (int16_t)head[2];
    if (!out->type)
        return why_set(why, ERR_CORRUPT, "metadata record type %u is not known", head[1]);
    if (out->version > out->type->version_max || out->version < out->type->version_min)
        return why_set(why, ERR_CORRUPT, "version %d of %s is not known", out->version,
                       out->type->name);
    message = arena_zeroed(arena, 1, message_struct_bytes(out->type));
    if (!message)
        return ERR_NO_MEMORY;
    out->message = message;
    err = message_decode(out->type, out->version, &cursor, arena, message);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != OK)
        return why_set(why, ERR_CORRUPT, "%s version %d: %s", out->type->name, out->version,
                       err_text(err));
    if (cursor_left(&cursor) > 0)
        return why_set(why, ERR_CORRUPT, "%zu bytes behind %s", cursor_left(&cursor),
                       out->type->name);
    return OK;
}
