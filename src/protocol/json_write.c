/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/json_write.c: structs → the JSON of Kafka's generated converters: members in schema order,
 * camel-case names, no white space; fields that the version lacks and tagged fields at their default
 * are left out. One thing differs on purpose: Kafka writes records as an empty string, we write their
 * bytes in base64, which its reader takes too.
 * Invariant  on an error the writer holds exactly what it held before.
 * Pure; no state.
 */
#include "protocol/message.h"

#include "base/assert.h"
#include "protocol/json_text.h"
#include "protocol/message_internal.h"

static enum err struct_write(const struct message_struct *table, int16_t version, const void *base,
                             struct writer *out);

static void fixed_write(enum message_kind kind, const void *value, struct writer *out)
{
    char text[UUID_TEXT_BYTES];

    ASSERT(kind < MESSAGE_STRING);
    switch (kind) {
    case MESSAGE_BOOL:
        json_put(out, *(const bool *)value ? "true" : "false");
        return;
    case MESSAGE_I8:
        json_put_integer(out, *(const int8_t *)value);
        return;
    case MESSAGE_I16:
        json_put_integer(out, *(const int16_t *)value);
        return;
    case MESSAGE_U16:
        json_put_integer(out, *(const uint16_t *)value);
        return;
    case MESSAGE_I32:
        json_put_integer(out, *(const int32_t *)value);
        return;
    case MESSAGE_U32:
        json_put_integer(out, *(const uint32_t *)value);
        return;
    case MESSAGE_I64:
        json_put_integer(out, *(const int64_t *)value);
        return;
    case MESSAGE_F64:
        json_put_double(out, *(const double *)value);
        return;
    case MESSAGE_UUID:
        uuid_to_text(*(const struct uuid *)value, text);
        json_put_string(out, slice_from_text(text)); /* its alphabet needs no escapes */
        return;
    case MESSAGE_STRING:
    case MESSAGE_BYTES:
    case MESSAGE_RECORDS:
    case MESSAGE_STRUCT:
        break;
    }
}

static enum err null_write(bool nullable, struct writer *out)
{
    json_put(out, "null");
    return nullable ? OK : ERR_NULL_FIELD;
}

static enum err value_write(const struct message_field *field, int16_t version, bool nullable,
                            const void *value, struct writer *out)
{
    const struct slice *slice = value;

    if (field->kind == MESSAGE_STRUCT)
        return struct_write(field->element, version, value, out);
    if (field->kind < MESSAGE_STRING) {
        fixed_write((enum message_kind)field->kind, value, out);
        return OK;
    }
    if (slice_is_null(*slice))
        return null_write(nullable, out);
    if (field->kind == MESSAGE_STRING)
        json_put_string(out, *slice);
    else
        json_put_base64(out, *slice);
    return OK;
}

static enum err field_write(const struct message_field *field, int16_t version, const void *base,
                            struct writer *out)
{
    bool nullable = message_versions_have(field->nullable, version);
    const void *value = message_at_const(field, base);

    if (field->flags & MESSAGE_ARRAY) {
        int32_t count = message_count(field, base);
        const uint8_t *array = *(const uint8_t *const *)value;

        if (count < 0)
            return null_write(nullable, out);
        writer_u8(out, '[');
        for (int32_t i = 0; i < count; i++) {
            if (i > 0)
                writer_u8(out, ',');
            TRY(value_write(field, version, false, array + (size_t)i * message_value_bytes(field),
                            out));
        }
        writer_u8(out, ']');
        return OK;
    }
    if (field->flags & MESSAGE_POINTER) {
        const void *inner = *(const void *const *)value;

        return inner ? struct_write(field->element, version, inner, out)
                     : null_write(nullable, out);
    }
    return value_write(field, version, nullable, value, out);
}

static enum err struct_write(const struct message_struct *table, int16_t version, const void *base,
                             struct writer *out)
{
    bool first = true;

    writer_u8(out, '{');
    for (uint16_t i = 0; i < table->field_count; i++) {
        const struct message_field *field = &table->fields[i];

        if (!message_versions_have(field->versions, version)) {
            TRY(message_field_droppable(table, field, base));
            continue;
        }
        if (field->tag >= 0 && message_field_is_default(table, field, base))
            continue;
        json_put(out, first ? "\"" : ",\"");
        json_put(out, field->name);
        json_put(out, "\":");
        first = false;
        TRY(field_write(field, version, base, out));
    }
    writer_u8(out, '}');
    return OK;
}

enum err message_to_json(const struct message_type *type, int16_t version, const void *message,
                         struct writer *json_out)
{
    size_t before = json_out->size_bytes;
    enum err err;

    if (!message_type_has(type, version))
        return ERR_UNSUPPORTED_VERSION;
    TRY(writer_error(json_out));
    err = struct_write(type->root, version, message, json_out);
    if (err == OK)
        err = writer_error(json_out);
    if (err != OK)
        json_out->size_bytes = before;
    return err;
}
