/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as any message. Input: u16 selects the message type (65535: a request header), u8 the
 * version, the rest is what a peer sent. What decodes must encode to the size that message_size tells,
 * decode again, and give the same bytes; the same by way of JSON as far as strings are UTF-8.
 */
#include "protocol/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static size_t type_count(void)
{
    static size_t count;

    while (message_type_at(count))
        count++;
    return count;
}

static void encode_again(const struct message_type *type, int16_t version, const void *message,
                         struct arena *arena)
{
    CLEANUP(writer_release) struct writer first, second;
    void *again = arena_zeroed(arena, 1, message_struct_bytes(type));
    struct cursor cursor;
    size_t size_bytes;

    writer_init(&first, &heap_allocator, SIZE_MAX);
    writer_init(&second, &heap_allocator, SIZE_MAX);
    CHECK(again != NULL);
    CHECK(message_encode(type, version, message, &first) == OK);
    CHECK(message_size(type, version, message, &size_bytes) == OK);
    CHECK(size_bytes == first.size_bytes);
    cursor = cursor_of(writer_slice(&first));
    CHECK(message_decode(type, version, &cursor, arena, again) == OK);
    CHECK(cursor_left(&cursor) == 0);
    CHECK(message_encode(type, version, again, &second) == OK);
    CHECK(slice_equal(writer_slice(&first), writer_slice(&second)));
}

static void through_json(const struct message_type *type, int16_t version, const void *message,
                         struct arena *arena)
{
    CLEANUP(writer_release) struct writer json;
    void *again = arena_zeroed(arena, 1, message_struct_bytes(type));
    enum err err;

    writer_init(&json, &heap_allocator, SIZE_MAX);
    CHECK(again != NULL);
    CHECK(message_to_json(type, version, message, &json) == OK);
    err = message_from_json(type, version, writer_slice(&json), arena, again, NULL);
    CHECK(err == OK || err == ERR_FORMAT); /* NaN is written, but Kafka's form cannot read it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    CLEANUP(arena_release) struct arena arena;
    struct cursor cursor = {data, data + size_bytes};
    const struct message_type *type;
    struct request_header header;
    int16_t version;
    uint16_t selector;
    uint8_t byte;
    void *message, *copy;

    arena_init(&arena, &heap_allocator, 256 * MIB);
    if (cursor_u16(&cursor, &selector) != OK || cursor_u8(&cursor, &byte) != OK)
        return 0;
    if (selector == UINT16_MAX) {
        enum err err = request_header_decode(&cursor, &header);

        (void)err; /* any error is fine, a crash is not */
        return 0;
    }
    type = message_type_at(selector % type_count());
    version = (int16_t)(type->version_min + byte % (type->version_max - type->version_min + 1));
    message = arena_zeroed(&arena, 1, message_struct_bytes(type));
    copy = arena_zeroed(&arena, 1, message_struct_bytes(type));
    if (message_decode(type, version, &cursor, &arena, message) == OK) {
        CHECK(message_copy(type, message, &arena, copy) == OK);
        encode_again(type, version, copy, &arena);
        through_json(type, version, message, &arena);
    }
    return 0;
}
