/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/json_read.c: the JSON of Kafka's generated converters → structs. The text is parsed by
 * jansson; nothing of it outlives the call, every value is copied into the arena. As in Kafka, members
 * that the message does not know are ignored, and a field that the version has untagged must be there.
 * Beyond Kafka, a double may be written as an integer.
 * Pure but for jansson's own memory; no state.
 */
#include "protocol/message.h"

#include "base/sanitizer.h"
#include "protocol/json_text.h"
#include "protocol/message_internal.h"

#include <jansson.h>

#if HAS_MEMORY_SANITIZER
#include <sanitizer/msan_interface.h>
#include <stdlib.h>
#define PARSE_BEGIN() __msan_scoped_disable_interceptor_checks()
#define PARSE_END() __msan_scoped_enable_interceptor_checks()

/* MemorySanitizer does not see what jansson writes: to it all of that is written from the beginning. */
static void *zeroed(size_t size_bytes)
{
    return calloc(1, size_bytes);
}

static __attribute__((constructor)) void jansson_prepare(void)
{
    json_set_alloc_funcs(zeroed, free);
}
#else
#define PARSE_BEGIN() ((void)0)
#define PARSE_END() ((void)0)
#endif

struct reader {
    struct arena *arena;
    struct why *why;
    int16_t version;
    const struct message_struct *owner; /* of the field being read, for error texts */
};

static enum err struct_read(struct reader *reader, const struct message_struct *table,
                            const json_t *json, void *base);

static enum err wrong(struct reader *reader, const struct message_field *field,
                      const char *expected)
{
    return why_set(reader->why, ERR_FORMAT, "%s.%s: %s", reader->owner->name, field->name,
                   expected);
}

static struct slice json_text(const json_t *json)
{
    return slice_of(json_string_value(json), json_string_length(json));
}

static enum err integer_read(struct reader *reader, const struct message_field *field,
                             const json_t *json, void *value)
{
    static const struct {
        int64_t low, high;
    } ranges[] = {
        [MESSAGE_I8] = {INT8_MIN, 255},  [MESSAGE_I16] = {INT16_MIN, INT16_MAX},
        [MESSAGE_U16] = {0, UINT16_MAX}, [MESSAGE_I32] = {INT32_MIN, INT32_MAX},
        [MESSAGE_U32] = {0, UINT32_MAX}, [MESSAGE_I64] = {INT64_MIN, INT64_MAX},
    };
    int64_t number;

    if (!json_is_integer(json))
        return wrong(reader, field, "an integer is expected");
    number = json_integer_value(json);
    if (number < ranges[field->kind].low || number > ranges[field->kind].high)
        return wrong(reader, field, "the number is out of range");
    switch ((enum message_kind)field->kind) {
    case MESSAGE_I8:
        /* As in Kafka, which takes 128…255 for a spelling of its own: less 128. */
        *(int8_t *)value = (int8_t)(number > INT8_MAX ? number - 128 : number);
        return OK;
    case MESSAGE_I16:
        *(int16_t *)value = (int16_t)number;
        return OK;
    case MESSAGE_U16:
        *(uint16_t *)value = (uint16_t)number;
        return OK;
    case MESSAGE_I32:
        *(int32_t *)value = (int32_t)number;
        return OK;
    case MESSAGE_U32:
        *(uint32_t *)value = (uint32_t)number;
        return OK;
    default:
        *(int64_t *)value = number;
        return OK;
    }
}

static enum err text_read(struct reader *reader, const struct message_field *field,
                          const json_t *json, struct slice *out)
{
    struct slice text;

    if (!json_is_string(json))
        return wrong(reader, field, "a string is expected");
    text = json_text(json);
    if (field->kind != MESSAGE_STRING) {
        enum err err = json_base64_decode(text, reader->arena, out);

        return err == ERR_FORMAT ? wrong(reader, field, "base64 is expected") : err;
    }
    *out = arena_copy(reader->arena, text);
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

static enum err value_read(struct reader *reader, const struct message_field *field,
                           const json_t *json, void *value)
{
    switch ((enum message_kind)field->kind) {
    case MESSAGE_BOOL:
        if (!json_is_boolean(json))
            return wrong(reader, field, "true or false is expected");
        *(bool *)value = json_is_true(json);
        return OK;
    case MESSAGE_F64:
        if (!json_is_number(json))
            return wrong(reader, field, "a number is expected");
        *(double *)value = json_number_value(json);
        return OK;
    case MESSAGE_UUID:
        if (!json_is_string(json) || uuid_from_text(json_text(json), value) != OK)
            return wrong(reader, field, "an id of 22 characters is expected");
        return OK;
    case MESSAGE_STRING:
    case MESSAGE_BYTES:
    case MESSAGE_RECORDS:
        return text_read(reader, field, json, value);
    case MESSAGE_STRUCT:
        return struct_read(reader, field->element, json, value);
    case MESSAGE_I8:
    case MESSAGE_I16:
    case MESSAGE_U16:
    case MESSAGE_I32:
    case MESSAGE_U32:
    case MESSAGE_I64:
        break;
    }
    return integer_read(reader, field, json, value);
}

static enum err array_read(struct reader *reader, const struct message_field *field,
                           const json_t *json, void *base)
{
    size_t bytes = message_value_bytes(field);
    size_t count = json_array_size(json);
    uint8_t *array = NULL;

    if (!json_is_array(json))
        return wrong(reader, field, "an array is expected");
    if (count > PROTOCOL_ARRAY_COUNT_MAX)
        return wrong(reader, field, "the array is too long");
    if (count > 0) {
        array = arena_zeroed(reader->arena, count, bytes);
        if (!array)
            return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++)
        TRY(value_read(reader, field, json_array_get(json, i), array + i * bytes));
    *message_count_at(field, base) = (int32_t)count;
    *(uint8_t **)message_at(field, base) = array;
    return OK;
}

static enum err null_read(struct reader *reader, const struct message_field *field, void *base)
{
    if (!message_versions_have(field->nullable, reader->version))
        return why_set(reader->why, ERR_NULL_FIELD, "%s.%s: null is not allowed",
                       reader->owner->name, field->name);
    if (field->flags & MESSAGE_ARRAY) {
        *message_count_at(field, base) = -1;
        *(void **)message_at(field, base) = NULL;
    } else if (field->flags & MESSAGE_POINTER) {
        *(void **)message_at(field, base) = NULL;
    } else {
        *(struct slice *)message_at(field, base) = SLICE_NULL;
    }
    return OK;
}

static enum err field_read(struct reader *reader, const struct message_field *field,
                           const json_t *json, void *base)
{
    if (json_is_null(json))
        return null_read(reader, field, base);
    if (field->flags & MESSAGE_ARRAY)
        return array_read(reader, field, json, base);
    if (field->flags & MESSAGE_POINTER) {
        void *inner = arena_allocate(reader->arena, field->element->size_bytes);

        if (!inner)
            return ERR_NO_MEMORY;
        *(void **)message_at(field, base) = inner;
        return struct_read(reader, field->element, json, inner);
    }
    return value_read(reader, field, json, message_at(field, base));
}

static enum err struct_read(struct reader *reader, const struct message_struct *table,
                            const json_t *json, void *base)
{
    const struct message_struct *outer = reader->owner;

    if (!json_is_object(json))
        return why_set(reader->why, ERR_FORMAT, "%s: an object is expected", table->name);
    memcpy(base, table->defaults, table->size_bytes);
    for (uint16_t i = 0; i < table->field_count; i++) {
        const struct message_field *field = &table->fields[i];
        const json_t *inner = json_object_get(json, field->name);

        reader->owner = table;
        if (inner)
            TRY(field_read(reader, field, inner, base));
        else if (field->tag < 0 && message_versions_have(field->versions, reader->version))
            return why_set(reader->why, ERR_FORMAT, "%s: version %d needs the field %s",
                           table->name, reader->version, field->name);
    }
    reader->owner = outer;
    return OK;
}

enum err message_from_json(const struct message_type *type, int16_t version, struct slice json,
                           struct arena *arena, void *message_out, struct why *why)
{
    struct reader reader = {.arena = arena, .why = why, .version = version, .owner = type->root};
    json_error_t problem = {0};
    json_t *parsed;
    enum err err;

    if (!message_type_has(type, version))
        return why_set(why, ERR_UNSUPPORTED_VERSION, "%s has versions %d to %d", type->name,
                       type->version_min, type->version_max);
    PARSE_BEGIN();
    parsed = json_loadb((const char *)json.data, json.size_bytes, JSON_ALLOW_NUL, &problem);
    PARSE_END();
    if (!parsed)
        return why_set(why, ERR_FORMAT, "line %d column %d: %s", problem.line, problem.column,
                       problem.text);
    err = struct_read(&reader, type->root, parsed, message_out);
    json_decref(parsed);
    return err;
}
