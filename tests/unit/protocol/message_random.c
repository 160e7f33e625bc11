/* SPDX-License-Identifier: Apache-2.0 */
#include "message_random.h"

#include "base/fmt.h"
#include "base/parse.h"
#include "protocol/message_internal.h"

#define ARRAY_COUNT_RANDOM 4
#define SLICE_BYTES_RANDOM 20

static void struct_random(const struct message_struct *table, int16_t version,
                          struct random *random, struct arena *arena, void *base);

static int64_t integer_random(struct random *random, unsigned bits)
{
    uint64_t draw = random_u64(random);

    switch (random_below(random, 6)) {
    case 0:
        return 0;
    case 1:
        return -1;
    case 2:
        return INT64_MIN >> (64 - bits);
    case 3:
        return INT64_MAX >> (64 - bits);
    default:
        return (int64_t)draw >> (64 - bits);
    }
}

/* A finite double of any size. */
static double double_random(struct random *random)
{
    uint64_t bits = random_u64(random);
    double value;

    if (random_chance(random, 1, 2))
        return (double)(int32_t)bits / 8;
    if ((bits >> 52 & 0x7ff) == 0x7ff)
        bits ^= UINT64_C(1) << 52;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct slice slice_random(bool is_text, struct random *random, struct arena *arena)
{
    static const char *const parts[] = {"\"", "\\", "\n", "\x01", "é", "水", "🎍", "/", "\x7f"};
    size_t size = (size_t)random_below(random, SLICE_BYTES_RANDOM);
    struct writer writer;
    uint8_t *data = arena_allocate(arena, 4 * SLICE_BYTES_RANDOM);

    writer_init_fixed(&writer, data, 4 * SLICE_BYTES_RANDOM);
    for (size_t i = 0; i < size; i++) {
        const char *part = parts[random_below(random, ARRAY_COUNT(parts))];

        if (!is_text)
            writer_u8(&writer, (uint8_t)random_u64(random));
        else if (random_chance(random, 1, 5))
            writer_bytes(&writer, part, strlen(part));
        else
            writer_u8(&writer, (uint8_t)('a' + random_below(random, 26)));
    }
    return slice_of(data, writer.size_bytes);
}

static void value_random(const struct message_field *field, int16_t version, struct random *random,
                         struct arena *arena, void *value)
{
    switch ((enum message_kind)field->kind) {
    case MESSAGE_BOOL:
        *(bool *)value = random_chance(random, 1, 2);
        return;
    case MESSAGE_I8:
        *(int8_t *)value = (int8_t)integer_random(random, 8);
        return;
    case MESSAGE_I16:
        *(int16_t *)value = (int16_t)integer_random(random, 16);
        return;
    case MESSAGE_U16:
        *(uint16_t *)value = (uint16_t)integer_random(random, 16);
        return;
    case MESSAGE_I32:
        *(int32_t *)value = (int32_t)integer_random(random, 32);
        return;
    case MESSAGE_U32:
        *(uint32_t *)value = (uint32_t)integer_random(random, 32);
        return;
    case MESSAGE_I64:
        *(int64_t *)value = integer_random(random, 64);
        return;
    case MESSAGE_F64:
        *(double *)value = double_random(random);
        return;
    case MESSAGE_UUID:
        if (random_chance(random, 3, 4))
            random_fill(random, value, sizeof(struct uuid));
        else
            *(struct uuid *)value = UUID_ZERO;
        return;
    case MESSAGE_STRING:
    case MESSAGE_BYTES:
    case MESSAGE_RECORDS:
        *(struct slice *)value = slice_random(field->kind == MESSAGE_STRING, random, arena);
        return;
    case MESSAGE_STRUCT:
        struct_random(field->element, version, random, arena, value);
    }
}

static void field_random(const struct message_field *field, int16_t version, struct random *random,
                         struct arena *arena, void *base)
{
    bool null = message_versions_have(field->nullable, version) && random_chance(random, 1, 4);

    if (field->flags & MESSAGE_ARRAY) {
        int32_t count = null ? -1 : (int32_t)random_below(random, ARRAY_COUNT_RANDOM);
        size_t bytes = message_value_bytes(field);
        uint8_t *array = arena_zeroed(arena, ARRAY_COUNT_RANDOM, bytes);

        for (int32_t i = 0; i < count; i++)
            value_random(field, version, random, arena, array + (size_t)i * bytes);
        *message_count_at(field, base) = count;
        *(uint8_t **)message_at(field, base) = array;
    } else if (field->flags & MESSAGE_POINTER) {
        void *inner = arena_zeroed(arena, 1, field->element->size_bytes);

        struct_random(field->element, version, random, arena, inner);
        *(void **)message_at(field, base) = null ? NULL : inner;
    } else if (null) {
        *(struct slice *)message_at(field, base) = SLICE_NULL;
    } else {
        value_random(field, version, random, arena, message_at(field, base));
    }
}

static void struct_random(const struct message_struct *table, int16_t version,
                          struct random *random, struct arena *arena, void *base)
{
    memcpy(base, table->defaults, table->size_bytes);
    for (uint16_t i = 0; i < table->field_count; i++) {
        const struct message_field *field = &table->fields[i];

        if (!message_versions_have(field->versions, version) ||
            (field->tag >= 0 && random_chance(random, 1, 3)))
            continue;
        field_random(field, version, random, arena, base);
    }
}

void message_random(const struct message_type *type, int16_t version, struct random *random,
                    struct arena *arena, void *message_out)
{
    struct_random(type->root, version, random, arena, message_out);
}

/* ---- entries ---- */

static struct slice word_take(struct slice *line)
{
    const uint8_t *space = memchr(line->data, ' ', line->size_bytes);
    size_t size = space ? (size_t)(space - line->data) : line->size_bytes;
    struct slice word = slice_sub(*line, 0, size);

    *line = slice_sub(*line, size + (space ? 1 : 0), SIZE_MAX);
    return word;
}

static int hex_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                                        : -1;
}

static enum err hex_decode(struct slice text, struct arena *arena, struct slice *out)
{
    uint8_t *data = arena_allocate(arena, text.size_bytes / 2);

    if (!data)
        return ERR_NO_MEMORY;
    if (text.size_bytes % 2)
        return ERR_FORMAT;
    for (size_t i = 0; i < text.size_bytes / 2; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return ERR_FORMAT;
        data[i] = (uint8_t)(high << 4 | low);
    }
    *out = slice_of(data, text.size_bytes / 2);
    return OK;
}

static enum err encoded_equal(const struct message_type *type, int16_t version, const void *message,
                              struct slice expected, const char *step, struct why *why)
{
    CLEANUP(writer_release) struct writer writer;
    size_t size_bytes;
    enum err err;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    err = message_encode(type, version, message, &writer);
    if (err != OK)
        return why_set(why, err, "%s: encode: %s", step, err_name(err));
    if (!slice_equal(writer_slice(&writer), expected))
        return why_set(why, ERR_FORMAT, "%s: other bytes", step);
    err = message_size(type, version, message, &size_bytes);
    if (err != OK || size_bytes != expected.size_bytes)
        return why_set(why, ERR_FORMAT, "%s: size %zu", step, size_bytes);
    return OK;
}

static enum err line_check(struct slice line, struct arena *arena, struct why *why)
{
    CLEANUP(writer_release) struct writer json;
    struct slice name = word_take(&line), version_text = word_take(&line);
    const struct message_type *type = message_type_find(name);
    struct slice bytes;
    struct cursor cursor;
    int32_t version;
    void *message, *again;
    enum err err;

    writer_init(&json, &heap_allocator, SIZE_MAX);
    if (!type)
        return why_set(why, ERR_NOT_FOUND, "no such message");
    TRY(parse_i32(version_text, &version));
    TRY(hex_decode(word_take(&line), arena, &bytes));
    message = arena_zeroed(arena, 2, message_struct_bytes(type));
    again = (uint8_t *)message + message_struct_bytes(type);
    cursor = cursor_of(bytes);
    err = message_decode(type, (int16_t)version, &cursor, arena, message);
    if (err != OK || cursor_left(&cursor) > 0)
        return why_set(why, ERR_FORMAT, "decode: %s, %zu bytes left", err_name(err),
                       cursor_left(&cursor));
    TRY(encoded_equal(type, (int16_t)version, message, bytes, "decoded", why));
    err = message_to_json(type, (int16_t)version, message, &json);
    if (err != OK || !slice_equal(writer_slice(&json), line))
        return why_set(why, ERR_FORMAT, "to JSON: %s: %.*s", err_name(err),
                       SLICE_ARGS(writer_slice(&json)));
    TRY(message_from_json(type, (int16_t)version, line, arena, again, why));
    return encoded_equal(type, (int16_t)version, again, bytes, "from JSON", why);
}

enum err message_line_check(struct slice line, struct why *why)
{
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    return line_check(line, &arena, why);
}

enum err message_line_write(const struct message_type *type, int16_t version, const void *message,
                            struct writer *out)
{
    CLEANUP(writer_release) struct writer bytes;
    char text[64];

    writer_init(&bytes, &heap_allocator, SIZE_MAX);
    TRY(message_encode(type, version, message, &bytes));
    fmt(text, sizeof text, "%s %d ", type->name, version);
    writer_bytes(out, text, strlen(text));
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        fmt(text, sizeof text, "%02x", (unsigned)bytes.data[i]);
        writer_bytes(out, text, 2);
    }
    writer_u8(out, ' ');
    TRY(message_to_json(type, version, message, out));
    writer_u8(out, '\n');
    return writer_error(out);
}

static enum err recast_check(struct slice line, struct arena *arena, struct why *why)
{
    CLEANUP(writer_release) struct writer writer;
    struct slice name = word_take(&line), from_text = word_take(&line);
    struct slice from_hex = word_take(&line), to_text = word_take(&line);
    const struct message_type *type = message_type_find(name);
    bool refused = slice_equal_text(line, "-");
    struct slice bytes, expected = SLICE_EMPTY;
    struct cursor cursor;
    int32_t from, to;
    void *message;
    enum err err;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    if (!type)
        return why_set(why, ERR_NOT_FOUND, "no such message");
    TRY(parse_i32(from_text, &from));
    TRY(parse_i32(to_text, &to));
    TRY(hex_decode(from_hex, arena, &bytes));
    if (!refused)
        TRY(hex_decode(line, arena, &expected));
    message = arena_zeroed(arena, 1, message_struct_bytes(type));
    cursor = cursor_of(bytes);
    TRY(message_decode(type, (int16_t)from, &cursor, arena, message));
    err = message_encode(type, (int16_t)to, message, &writer);
    if (refused)
        return err == ERR_UNSUPPORTED_VERSION || err == ERR_NULL_FIELD
                   ? OK
                   : why_set(why, ERR_FORMAT, "%s instead of a refusal", err_name(err));
    if (err != OK)
        return why_set(why, err, "encode: %s", err_name(err));
    if (writer.size_bytes != expected.size_bytes ||
        (expected.size_bytes > 0 && memcmp(writer.data, expected.data, expected.size_bytes) != 0))
        return why_set(why, ERR_FORMAT, "other bytes");
    return OK;
}

enum err message_recast_check(struct slice line, struct why *why)
{
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    return recast_check(line, &arena, why);
}
