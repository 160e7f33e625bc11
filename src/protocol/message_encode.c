/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/message_encode.c: structs → bytes, and how many bytes that would be. One walk serves both:
 * without a writer it only counts, which is also how the length before a tagged field is found.
 * Invariant  on an error the writer holds exactly what it held before.
 * Pure; no state.
 */
#include "protocol/message.h"

#include "base/assert.h"
#include "protocol/message_internal.h"

#define STRING_BYTES_MAX 0x7fff

struct encoder {
    struct writer *writer;         /* NULL: only count */
    struct message_pieces *pieces; /* NULL: everything is copied */
    uint64_t size_bytes;           /* counted so far */
    int16_t version;
    bool flexible;
};

static enum err struct_encode(struct encoder *encoder, const struct message_struct *table,
                              const void *base);

static void put_uvarint(struct encoder *encoder, uint32_t value)
{
    if (encoder->writer)
        writer_uvarint(encoder->writer, value);
    else
        encoder->size_bytes += uvarint_size_bytes(value);
}

static void put_i8(struct encoder *encoder, int8_t value)
{
    if (encoder->writer)
        writer_i8(encoder->writer, value);
    else
        encoder->size_bytes += 1;
}

static bool piece_add(struct message_pieces *pieces, size_t at_bytes, struct slice bytes)
{
    if (!pieces || bytes.size_bytes < pieces->least_bytes || pieces->count == pieces->capacity)
        return false;
    pieces->items[pieces->count++] = (struct message_piece){at_bytes, bytes};
    pieces->total_bytes += bytes.size_bytes;
    return true;
}

static void put_bytes(struct encoder *encoder, const struct message_field *field,
                      struct slice bytes)
{
    if (encoder->writer && field->kind == MESSAGE_RECORDS &&
        piece_add(encoder->pieces, encoder->writer->size_bytes, bytes))
        return;
    if (encoder->writer)
        writer_bytes(encoder->writer, bytes.data, bytes.size_bytes);
    else
        encoder->size_bytes += bytes.size_bytes;
}

/* A length or count; -1: null. */
static void put_length(struct encoder *encoder, const struct message_field *field, bool is_string,
                       int32_t length)
{
    if (encoder->flexible && !(field->flags & MESSAGE_PLAIN))
        put_uvarint(encoder, (uint32_t)length + 1u);
    else if (!encoder->writer)
        encoder->size_bytes += is_string ? 2 : 4;
    else if (is_string)
        writer_i16(encoder->writer, (int16_t)length);
    else
        writer_i32(encoder->writer, length);
}

static enum err slice_encode(struct encoder *encoder, const struct message_field *field,
                             bool nullable, struct slice value)
{
    bool is_string = field->kind == MESSAGE_STRING;

    if (slice_is_null(value)) {
        put_length(encoder, field, is_string, -1);
        return nullable ? OK : ERR_NULL_FIELD;
    }
    if (value.size_bytes > (is_string ? STRING_BYTES_MAX : INT32_MAX - 1))
        return ERR_TOO_LARGE;
    put_length(encoder, field, is_string, (int32_t)value.size_bytes);
    put_bytes(encoder, field, value);
    return OK;
}

static const uint8_t fixed_bytes[] = {
    [MESSAGE_BOOL] = 1, [MESSAGE_I8] = 1,  [MESSAGE_I16] = 2,
    [MESSAGE_U16] = 2,  [MESSAGE_I32] = 4, [MESSAGE_U32] = 4,
    [MESSAGE_I64] = 8,  [MESSAGE_F64] = 8, [MESSAGE_UUID] = 16,
};

/* Memory and wire differ in the order of bytes alone; a bool is 0 or 1 in both. */
static void fixed_put(struct writer *writer, const void *value, size_t size_bytes)
{
    uint8_t *room = writer_reserve(writer, size_bytes);

    if (!room)
        return;
    switch (size_bytes) {
    case 1:
        *room = *(const uint8_t *)value;
        return;
    case 2: {
        uint16_t number;

        memcpy(&number, value, sizeof number);
        number = __builtin_bswap16(number);
        memcpy(room, &number, sizeof number);
        return;
    }
    case 4: {
        uint32_t number;

        memcpy(&number, value, sizeof number);
        number = __builtin_bswap32(number);
        memcpy(room, &number, sizeof number);
        return;
    }
    case 8: {
        uint64_t number;

        memcpy(&number, value, sizeof number);
        number = __builtin_bswap64(number);
        memcpy(room, &number, sizeof number);
        return;
    }
    default:
        memcpy(room, value, sizeof(struct uuid));
    }
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are turned round");

static void fixed_encode(struct encoder *encoder, const struct message_field *field,
                         const void *value)
{
    size_t size_bytes = fixed_bytes[field->kind];

    if (encoder->writer)
        fixed_put(encoder->writer, value, size_bytes);
    else
        encoder->size_bytes += size_bytes;
}

static enum err value_encode(struct encoder *encoder, const struct message_field *field,
                             bool nullable, const void *value)
{
    if (field->kind == MESSAGE_STRUCT)
        return struct_encode(encoder, field->element, value);
    if (field->kind >= MESSAGE_STRING)
        return slice_encode(encoder, field, nullable, *(const struct slice *)value);
    fixed_encode(encoder, field, value);
    return OK;
}

static enum err array_encode(struct encoder *encoder, const struct message_field *field,
                             bool nullable, const void *base)
{
    size_t bytes = message_value_bytes(field);
    int32_t count = message_count(field, base);
    const uint8_t *array = *(const uint8_t *const *)message_at_const(field, base);

    if (count < 0) {
        put_length(encoder, field, false, -1);
        return nullable ? OK : ERR_NULL_FIELD;
    }
    put_length(encoder, field, false, count);
    if (!encoder->writer && field->kind < MESSAGE_STRING) {
        encoder->size_bytes += (uint64_t)count * bytes; /* memory and wire width agree */
        return OK;
    }
    for (int32_t i = 0; i < count; i++)
        TRY(value_encode(encoder, field, false, array + (size_t)i * bytes));
    return OK;
}

static enum err pointer_encode(struct encoder *encoder, const struct message_field *field,
                               bool nullable, const void *inner)
{
    if (!inner && !nullable)
        return ERR_NULL_FIELD;
    if (nullable && field->tag >= 0)
        put_uvarint(encoder, inner ? 1 : 0);
    else if (nullable)
        put_i8(encoder, inner ? 1 : -1);
    return inner ? struct_encode(encoder, field->element, inner) : OK;
}

static enum err field_encode(struct encoder *encoder, const struct message_field *field,
                             const void *base)
{
    bool nullable = message_versions_have(field->nullable, encoder->version);
    const void *value = message_at_const(field, base);

    if (field->flags & MESSAGE_ARRAY)
        return array_encode(encoder, field, nullable, base);
    if (field->flags & MESSAGE_POINTER)
        return pointer_encode(encoder, field, nullable, *(const void *const *)value);
    return value_encode(encoder, field, nullable, value);
}

/* Tagged fields that differ from their default, by ascending tag. */
static enum err tags_encode(struct encoder *encoder, const struct message_struct *table,
                            const void *base)
{
    uint32_t count = 0;

    for (uint16_t i = 0; i < table->tagged_count; i++) {
        const struct message_field *field = &table->fields[table->tagged[i]];

        count += message_versions_have(field->versions, encoder->version) &&
                 !message_field_is_default(table, field, base);
    }
    put_uvarint(encoder, count);
    for (uint16_t i = 0; count > 0 && i < table->tagged_count; i++) {
        const struct message_field *field = &table->fields[table->tagged[i]];
        struct encoder counter = {.version = encoder->version, .flexible = true};

        if (!message_versions_have(field->versions, encoder->version) ||
            message_field_is_default(table, field, base))
            continue;
        TRY(field_encode(&counter, field, base));
        if (counter.size_bytes > INT32_MAX)
            return ERR_TOO_LARGE;
        put_uvarint(encoder, (uint32_t)field->tag);
        put_uvarint(encoder, (uint32_t)counter.size_bytes);
        if (encoder->writer) {
            enum err err = field_encode(encoder, field, base);

            ASSERT(err == OK); /* it was counted */
        } else {
            encoder->size_bytes += counter.size_bytes;
        }
    }
    return OK;
}

static enum err struct_encode(struct encoder *encoder, const struct message_struct *table,
                              const void *base)
{
    for (uint16_t i = 0; i < table->field_count; i++) {
        const struct message_field *field = &table->fields[i];

        if (!message_versions_have(field->versions, encoder->version))
            TRY(message_field_droppable(table, field, base));
        else if (field->tag >= 0)
            continue;
        else if (field->flags == 0 && field->kind < MESSAGE_STRING)
            fixed_encode(encoder, field, message_at_const(field, base));
        else
            TRY(field_encode(encoder, field, base));
    }
    return encoder->flexible ? tags_encode(encoder, table, base) : OK;
}

enum err message_encode_pieces(const struct message_type *type, int16_t version,
                               const void *message, struct writer *writer,
                               struct message_pieces *pieces)
{
    struct encoder encoder = {
        .writer = writer,
        .pieces = pieces,
        .version = version,
        .flexible = version >= type->flexible_min,
    };
    size_t before = writer->size_bytes;
    enum err err;

    if (!message_type_has(type, version))
        return ERR_UNSUPPORTED_VERSION;
    TRY(writer_error(writer));
    err = struct_encode(&encoder, type->root, message);
    if (err == OK)
        err = writer_error(writer);
    if (err != OK) {
        writer->size_bytes = before;
        if (pieces)
            pieces->count = pieces->total_bytes = 0;
    }
    return err;
}

enum err message_encode(const struct message_type *type, int16_t version, const void *message,
                        struct writer *writer)
{
    return message_encode_pieces(type, version, message, writer, NULL);
}

enum err message_size(const struct message_type *type, int16_t version, const void *message,
                      size_t *size_bytes_out)
{
    struct encoder encoder = {.version = version, .flexible = version >= type->flexible_min};

    if (!message_type_has(type, version))
        return ERR_UNSUPPORTED_VERSION;
    TRY(struct_encode(&encoder, type->root, message));
    if (encoder.size_bytes > INT32_MAX)
        return ERR_TOO_LARGE;
    *size_bytes_out = (size_t)encoder.size_bytes;
    return OK;
}
