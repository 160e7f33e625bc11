/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/message_decode.c: bytes → structs.
 * Invariants  1. no byte outside the cursor is read, whatever the input.
 *             2. an array is allocated only after its count was held against the bytes left, the
 *                least size of its elements, and Kafka's limit: memory is bounded by the input.
 *             3. on success every field has a value: what the version lacks has its default.
 * As in Kafka, the size written before a known tagged field is not held against what the field took,
 * and null lengths are whatever is negative.
 * Pure; no state.
 */
#include "protocol/message.h"

#include "protocol/message_internal.h"

#define STRING_BYTES_MAX 0x7fff

struct decoder {
    struct cursor *cursor;
    struct arena *arena;
    int16_t version;
    bool flexible;
};

static enum err struct_decode(struct decoder *decoder, const struct message_struct *table,
                              void *base);

static const uint8_t fixed_bytes[] = {
    [MESSAGE_BOOL] = 1, [MESSAGE_I8] = 1,  [MESSAGE_I16] = 2,
    [MESSAGE_U16] = 2,  [MESSAGE_I32] = 4, [MESSAGE_U32] = 4,
    [MESSAGE_I64] = 8,  [MESSAGE_F64] = 8, [MESSAGE_UUID] = 16,
};

/* Memory and wire differ in the order of bytes, and a bool is any byte but 0. */
static enum err fixed_decode(struct cursor *cursor, uint8_t kind, void *out)
{
    const uint8_t *at = cursor->at;
    size_t size_bytes = fixed_bytes[kind];

    if (cursor_left(cursor) < size_bytes)
        return ERR_SHORT;
    cursor->at += size_bytes;
    switch (size_bytes) {
    case 1:
        *(uint8_t *)out = kind == MESSAGE_BOOL ? *at != 0 : *at;
        return OK;
    case 2: {
        uint16_t number;

        memcpy(&number, at, sizeof number);
        number = __builtin_bswap16(number);
        memcpy(out, &number, sizeof number);
        return OK;
    }
    case 4: {
        uint32_t number;

        memcpy(&number, at, sizeof number);
        number = __builtin_bswap32(number);
        memcpy(out, &number, sizeof number);
        return OK;
    }
    case 8: {
        uint64_t number;

        memcpy(&number, at, sizeof number);
        number = __builtin_bswap64(number);
        memcpy(out, &number, sizeof number);
        return OK;
    }
    default:
        memcpy(out, at, sizeof(struct uuid));
        return OK;
    }
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are turned round");

/* One byte nearly always. */
static inline enum err length_uvarint(struct cursor *cursor, uint32_t *out)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        *out = *cursor->at++;
        return OK;
    }
    return cursor_uvarint(cursor, out);
}

/* The fewest bytes that one value of the field takes, at least 1. */
static size_t value_bytes_min(const struct decoder *decoder, const struct message_field *field)
{
    size_t sum = decoder->flexible ? 1 : 0; /* the tagged section */

    if (field->kind < MESSAGE_STRING)
        return fixed_bytes[field->kind];
    if (field->kind != MESSAGE_STRUCT)
        return decoder->flexible ? 1 : field->kind == MESSAGE_STRING ? 2 : 4;
    for (uint16_t i = 0; i < field->element->field_count; i++) {
        const struct message_field *inner = &field->element->fields[i];

        if (inner->tag >= 0 || !message_versions_have(inner->versions, decoder->version))
            continue;
        if (inner->flags & MESSAGE_ARRAY)
            sum += decoder->flexible ? 1 : 4;
        else if (inner->flags & MESSAGE_POINTER)
            sum += 1;
        else
            sum += value_bytes_min(decoder, inner);
    }
    return MAX(sum, (size_t)1);
}

/* A length or count; negative: null. */
static enum err length_decode(struct decoder *decoder, const struct message_field *field,
                              bool is_string, int32_t *length_out)
{
    if (decoder->flexible && !(field->flags & MESSAGE_PLAIN)) {
        uint32_t value;

        TRY(length_uvarint(decoder->cursor, &value));
        *length_out = (int32_t)(value - 1u);
        return OK;
    }
    if (is_string) {
        int16_t value;

        TRY(cursor_i16(decoder->cursor, &value));
        *length_out = value;
        return OK;
    }
    return cursor_i32(decoder->cursor, length_out);
}

static enum err slice_decode(struct decoder *decoder, const struct message_field *field,
                             bool nullable, struct slice *out)
{
    bool is_string = field->kind == MESSAGE_STRING;
    int32_t length;

    TRY(length_decode(decoder, field, is_string, &length));
    if (length < 0) {
        *out = SLICE_NULL;
        return nullable ? OK : ERR_NULL_FIELD;
    }
    if (is_string && length > STRING_BYTES_MAX)
        return ERR_COUNT;
    return cursor_bytes(decoder->cursor, (size_t)length, out);
}

static enum err value_decode(struct decoder *decoder, const struct message_field *field,
                             bool nullable, void *value)
{
    if (field->kind == MESSAGE_STRUCT)
        return struct_decode(decoder, field->element, value);
    if (field->kind >= MESSAGE_STRING)
        return slice_decode(decoder, field, nullable, value);
    return fixed_decode(decoder->cursor, field->kind, value);
}

static enum err array_decode(struct decoder *decoder, const struct message_field *field,
                             bool nullable, void *base)
{
    size_t bytes = message_value_bytes(field);
    uint8_t *array = NULL;
    int32_t count;

    TRY(length_decode(decoder, field, false, &count));
    if (count < 0) {
        *message_count_at(field, base) = -1;
        *(uint8_t **)message_at(field, base) = NULL;
        return nullable ? OK : ERR_NULL_FIELD;
    }
    if (count > PROTOCOL_ARRAY_COUNT_MAX ||
        (size_t)count > cursor_left(decoder->cursor) / value_bytes_min(decoder, field))
        return ERR_COUNT;
    if (count > 0) {
        array = arena_allocate(decoder->arena, (size_t)count * bytes);
        if (!array)
            return ERR_NO_MEMORY;
    }
    for (int32_t i = 0; i < count; i++)
        TRY(value_decode(decoder, field, false, array + (size_t)i * bytes));
    *message_count_at(field, base) = count;
    *(uint8_t **)message_at(field, base) = array;
    return OK;
}

/* A struct that may be null: a marker stands before it. */
static enum err pointer_decode(struct decoder *decoder, const struct message_field *field,
                               bool nullable, void *base)
{
    void *inner;
    bool present = true;

    if (nullable && field->tag >= 0) {
        uint32_t marker;

        TRY(cursor_uvarint(decoder->cursor, &marker));
        present = (int32_t)marker > 0;
    } else if (nullable) {
        int8_t marker;

        TRY(cursor_i8(decoder->cursor, &marker));
        present = marker >= 0;
    }
    if (!present) {
        *(void **)message_at(field, base) = NULL;
        return OK;
    }
    inner = arena_allocate(decoder->arena, field->element->size_bytes);
    if (!inner)
        return ERR_NO_MEMORY;
    *(void **)message_at(field, base) = inner;
    return struct_decode(decoder, field->element, inner);
}

static enum err field_decode(struct decoder *decoder, const struct message_field *field, void *base)
{
    bool nullable = message_versions_have(field->nullable, decoder->version);

    if (field->flags & MESSAGE_ARRAY)
        return array_decode(decoder, field, nullable, base);
    if (field->flags & MESSAGE_POINTER)
        return pointer_decode(decoder, field, nullable, base);
    return value_decode(decoder, field, nullable, message_at(field, base));
}

static const struct message_field *field_tagged(const struct message_struct *table, uint32_t tag)
{
    for (uint16_t i = 0; i < table->tagged_count; i++)
        if ((uint32_t)table->fields[table->tagged[i]].tag == tag)
            return &table->fields[table->tagged[i]];
    return NULL;
}

static enum err tags_decode(struct decoder *decoder, const struct message_struct *table, void *base)
{
    uint32_t count;

    TRY(length_uvarint(decoder->cursor, &count));
    if (count > PROTOCOL_TAGGED_COUNT_MAX)
        return ERR_COUNT;
    for (uint32_t i = 0; i < count; i++) {
        const struct message_field *field;
        uint32_t tag, size_bytes;

        TRY(cursor_uvarint(decoder->cursor, &tag));
        TRY(cursor_uvarint(decoder->cursor, &size_bytes));
        field = field_tagged(table, tag);
        if (!field) {
            TRY(cursor_skip(decoder->cursor, size_bytes)); /* of a later minor version */
            continue;
        }
        if (!message_versions_have(field->versions, decoder->version))
            return ERR_UNSUPPORTED_VERSION;
        TRY(field_decode(decoder, field, base));
    }
    return OK;
}

static enum err struct_decode(struct decoder *decoder, const struct message_struct *table,
                              void *base)
{
    memcpy(base, table->defaults, table->size_bytes);
    for (uint16_t i = 0; i < table->field_count; i++) {
        const struct message_field *field = &table->fields[i];

        if (field->tag >= 0 || !message_versions_have(field->versions, decoder->version))
            continue;
        if (field->flags == 0 && field->kind < MESSAGE_STRING)
            TRY(fixed_decode(decoder->cursor, field->kind, message_at(field, base)));
        else
            TRY(field_decode(decoder, field, base));
    }
    return decoder->flexible ? tags_decode(decoder, table, base) : OK;
}

enum err message_decode(const struct message_type *type, int16_t version, struct cursor *cursor,
                        struct arena *arena, void *message_out)
{
    struct decoder decoder = {
        .cursor = cursor,
        .arena = arena,
        .version = version,
        .flexible = version >= type->flexible_min,
    };

    if (!message_type_has(type, version))
        return ERR_UNSUPPORTED_VERSION;
    return struct_decode(&decoder, type->root, message_out);
}
