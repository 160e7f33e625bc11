/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/message.c: defaults, deep copies, and the questions about one field that all walkers share.
 * Pure; no state.
 */
#include "protocol/message.h"

#include "base/assert.h"
#include "protocol/message_internal.h"

static const uint8_t value_bytes[] = {
    [MESSAGE_BOOL] = sizeof(bool),
    [MESSAGE_I8] = 1,
    [MESSAGE_I16] = 2,
    [MESSAGE_U16] = 2,
    [MESSAGE_I32] = 4,
    [MESSAGE_U32] = 4,
    [MESSAGE_I64] = 8,
    [MESSAGE_F64] = 8,
    [MESSAGE_UUID] = sizeof(struct uuid),
    [MESSAGE_STRING] = sizeof(struct slice),
    [MESSAGE_BYTES] = sizeof(struct slice),
    [MESSAGE_RECORDS] = sizeof(struct slice),
};

size_t message_value_bytes(const struct message_field *field)
{
    if (field->kind == MESSAGE_STRUCT)
        return field->element->size_bytes;
    return value_bytes[field->kind];
}

void message_init(const struct message_type *type, void *message_out)
{
    memcpy(message_out, type->root->defaults, type->root->size_bytes);
}

size_t message_struct_bytes(const struct message_type *type)
{
    return type->root->size_bytes;
}

void *message_array(struct arena *arena, size_t count, const void *element, size_t element_bytes)
{
    uint8_t *array;

    if (count > SIZE_MAX / element_bytes)
        return NULL;
    array = arena_allocate(arena, count * element_bytes);
    for (size_t i = 0; array && i < count; i++)
        memcpy(array + i * element_bytes, element, element_bytes);
    return array;
}

static bool struct_is_default(const struct message_struct *table, const void *base)
{
    for (uint16_t i = 0; i < table->field_count; i++)
        if (!message_field_is_default(table, &table->fields[i], base))
            return false;
    return true;
}

bool message_field_is_default(const struct message_struct *owner, const struct message_field *field,
                              const void *base)
{
    const void *value = message_at_const(field, base);

    if (field->flags & MESSAGE_ARRAY) {
        int32_t count = message_count(field, base);

        if (field->flags & MESSAGE_NULL_DEFAULT)
            return count < 0;
        return count == 0 || (count < 0 && message_versions_empty(field->nullable));
    }
    switch ((enum message_kind)field->kind) {
    case MESSAGE_STRING:
    case MESSAGE_BYTES:
    case MESSAGE_RECORDS: {
        const struct slice *slice = value;

        if (field->flags & MESSAGE_NULL_DEFAULT)
            return slice_is_null(*slice);
        return slice->size_bytes == 0 &&
               (!slice_is_null(*slice) || message_versions_empty(field->nullable));
    }
    case MESSAGE_STRUCT:
        if (field->flags & MESSAGE_POINTER) {
            const void *inner = *(const void *const *)value;

            if (field->flags & MESSAGE_NULL_DEFAULT)
                return inner == NULL;
            return inner && struct_is_default(field->element, inner);
        }
        return struct_is_default(field->element, value);
    case MESSAGE_BOOL:
    case MESSAGE_I8:
    case MESSAGE_I16:
    case MESSAGE_U16:
    case MESSAGE_I32:
    case MESSAGE_U32:
    case MESSAGE_I64:
    case MESSAGE_F64:
    case MESSAGE_UUID:
        break;
    }
    if (field->kind == MESSAGE_F64) { /* -0.0 equals 0.0, as for Kafka */
        double left, right;

        memcpy(&left, value, sizeof left);
        memcpy(&right, message_at_const(field, owner->defaults), sizeof right);
        return !(left < right) && !(left > right) && left == left;
    }
    return memcmp(value, message_at_const(field, owner->defaults), value_bytes[field->kind]) == 0;
}

/* ---- copies ---- */

static enum err struct_copy(const struct message_struct *table, const void *from,
                            struct arena *arena, void *to);

static enum err slice_copy(const struct slice *from, struct arena *arena, struct slice *to)
{
    *to = arena_copy(arena, *from);
    return slice_is_null(*to) && !slice_is_null(*from) ? ERR_NO_MEMORY : OK;
}

static enum err value_copy(const struct message_field *field, const void *from, struct arena *arena,
                           void *to)
{
    if (field->kind == MESSAGE_STRUCT)
        return struct_copy(field->element, from, arena, to);
    if (field->kind >= MESSAGE_STRING)
        return slice_copy(from, arena, to);
    return OK; /* copied with the bytes around it */
}

static enum err array_copy(const struct message_field *field, const void *from_base,
                           struct arena *arena, void *to_base)
{
    size_t bytes = message_value_bytes(field);
    int32_t count = message_count(field, from_base);
    const uint8_t *from = *(const uint8_t *const *)message_at_const(field, from_base);
    uint8_t *to = NULL;

    if (count > 0) {
        if ((size_t)count > SIZE_MAX / bytes)
            return ERR_NO_MEMORY;
        to = arena_allocate(arena, (size_t)count * bytes);
        if (!to)
            return ERR_NO_MEMORY;
        memcpy(to, from, (size_t)count * bytes);
        for (int32_t i = 0; field->kind >= MESSAGE_STRING && i < count; i++)
            TRY(value_copy(field, from + (size_t)i * bytes, arena, to + (size_t)i * bytes));
    }
    *(uint8_t **)message_at(field, to_base) = to;
    return OK;
}

static enum err struct_copy(const struct message_struct *table, const void *from,
                            struct arena *arena, void *to)
{
    memcpy(to, from, table->size_bytes);
    for (uint16_t i = 0; i < table->field_count; i++) {
        const struct message_field *field = &table->fields[i];

        if (field->flags & MESSAGE_ARRAY) {
            TRY(array_copy(field, from, arena, to));
        } else if (field->flags & MESSAGE_POINTER) {
            const void *inner = *(const void *const *)message_at_const(field, from);
            void *copy = NULL;

            if (inner) {
                copy = arena_allocate(arena, field->element->size_bytes);
                if (!copy)
                    return ERR_NO_MEMORY;
                TRY(struct_copy(field->element, inner, arena, copy));
            }
            *(void **)message_at(field, to) = copy;
        } else {
            TRY(value_copy(field, message_at_const(field, from), arena, message_at(field, to)));
        }
    }
    return OK;
}

enum err message_copy(const struct message_type *type, const void *from, struct arena *arena,
                      void *to_out)
{
    ASSERT(from != to_out);
    return struct_copy(type->root, from, arena, to_out);
}

const struct message_field *message_struct_field(const struct message_struct *table,
                                                 const char *name)
{
    for (uint16_t i = 0; i < table->field_count; i++)
        if (strcmp(table->fields[i].name, name) == 0)
            return &table->fields[i];
    return NULL;
}

void *message_field(const struct message_type *type, const char *name, void *message)
{
    const struct message_field *field = message_struct_field(type->root, name);

    return field ? message_at(field, message) : NULL;
}
