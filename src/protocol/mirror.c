/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/mirror.c: one element of an answer for each element of a request. The names of a row are looked up
 * once a level, not once an element.
 */
#include "protocol/mirror.h"

#include "base/assert.h"
#include "protocol/message_internal.h"

#define CODE_NAME "errorCode"

typedef const struct message_field *field_ref;

/* What a struct of the answer gets whatever it answers; NULL: no such field in this version. */
struct verdict_fields {
    field_ref code;
    field_ref text;
    field_ref unknown[MIRROR_UNKNOWN_MAX];
};

struct level {
    field_ref asked;
    field_ref told; /* NULL: the elements of the next level stand for these */
    struct {
        field_ref from; /* NULL: the element itself */
        field_ref to;   /* NULL: no such field in this version */
    } keys[MIRROR_KEYS_MAX];
    struct verdict_fields fields;
};

struct walk {
    const struct mirror *mirror;
    int16_t version;
    struct mirror_verdict verdict;
    struct arena *arena;
    size_t depth;
    struct level levels[MIRROR_DEPTH_MAX];
};

/* ---- names ---- */

static field_ref field_named(const struct message_struct *table, const char *name)
{
    field_ref field = message_struct_field(table, name);

    ASSERT(field);
    return field;
}

/* NULL when the version lacks it. */
static field_ref field_in(const struct walk *walk, field_ref field)
{
    return field && message_versions_have(field->versions, walk->version) ? field : NULL;
}

static void fields_find(const struct walk *walk, const struct message_struct *table,
                        const char *code, const char *const *unknown, struct verdict_fields *out)
{
    out->code = field_in(walk, message_struct_field(table, code));
    out->text = field_in(walk, message_struct_field(table, "errorMessage"));
    ASSERT(!out->code || out->code->kind == MESSAGE_I16);
    for (size_t i = 0; i < MIRROR_UNKNOWN_MAX; i++)
        out->unknown[i] = unknown[i] ? field_in(walk, field_named(table, unknown[i])) : NULL;
}

static void keys_find(const struct walk *walk, const struct mirror_level *row, struct level *level)
{
    for (size_t i = 0; i < MIRROR_KEYS_MAX && row->keys[i].told; i++) {
        field_ref to = field_named(level->told->element, row->keys[i].told);
        field_ref from = NULL;

        if (row->keys[i].asked)
            from = field_named(level->asked->element, row->keys[i].asked);
        ASSERT((from ? from : level->asked)->kind == to->kind);
        ASSERT(!(to->flags & (MESSAGE_ARRAY | MESSAGE_POINTER)));
        level->keys[i].from = from;
        level->keys[i].to = field_in(walk, to);
    }
}

/* Stops at the first list that the version lacks. */
static void levels_find(struct walk *walk, const struct api *api)
{
    const struct message_struct *asked = api->request->root;
    const struct message_struct *told = api->response->root;

    for (; walk->depth < MIRROR_DEPTH_MAX; walk->depth++) {
        const struct mirror_level *row = &walk->mirror->levels[walk->depth];
        struct level *level = &walk->levels[walk->depth];

        if (!row->asked)
            return;
        level->asked = field_in(walk, field_named(asked, row->asked));
        if (!level->asked)
            return;
        if (row->told) {
            level->told = field_in(walk, field_named(told, row->told));
            if (!level->told)
                return;
            told = level->told->element;
            keys_find(walk, row, level);
            fields_find(walk, told, row->code ? row->code : CODE_NAME, row->unknown,
                        &level->fields);
        }
        asked = level->asked->element;
    }
}

/* ---- values ---- */

static void number_put(field_ref field, void *base, int64_t value)
{
    void *at = message_at(field, base);

    switch ((enum message_kind)field->kind) {
    case MESSAGE_I16:
        *(int16_t *)at = (int16_t)value;
        return;
    case MESSAGE_I32:
        *(int32_t *)at = (int32_t)value;
        return;
    default:
        ASSERT(field->kind == MESSAGE_I64);
        *(int64_t *)at = value;
    }
}

static void null_put(field_ref field, void *base)
{
    if (field->flags & MESSAGE_ARRAY) {
        *(void **)message_at(field, base) = NULL;
        *message_count_at(field, base) = -1;
    } else {
        ASSERT(field->kind == MESSAGE_STRING);
        *(struct slice *)message_at(field, base) = SLICE_NULL;
    }
}

static void verdict_put(const struct walk *walk, const struct verdict_fields *fields, void *base)
{
    if (fields->code)
        number_put(fields->code, base, walk->verdict.code);
    if (fields->text)
        *(struct slice *)message_at(fields->text, base) = walk->verdict.text;
    for (size_t i = 0; i < MIRROR_UNKNOWN_MAX; i++)
        if (fields->unknown[i])
            number_put(fields->unknown[i], base, -1);
}

static void keys_put(const struct level *level, const uint8_t *from, uint8_t *to)
{
    for (size_t i = 0; i < MIRROR_KEYS_MAX; i++) {
        field_ref key = level->keys[i].to;
        field_ref asked = level->keys[i].from;

        if (key)
            memcpy(message_at(key, to), asked ? message_at_const(asked, from) : from,
                   message_value_bytes(key));
    }
}

/* ---- lists ---- */

/* A list of the request. */
struct span {
    const uint8_t *at;
    size_t count;
    size_t step_bytes;
};

static struct span span_of(field_ref field, const void *base)
{
    int32_t count = message_count(field, base);

    return (struct span){.at = *(const uint8_t *const *)message_at_const(field, base),
                         .count = (size_t)MAX(count, 0),
                         .step_bytes = message_value_bytes(field)};
}

/* Makes the list in `base`, every element with its defaults. */
static enum err list_make(const struct walk *walk, field_ref list, size_t count, void *base,
                          uint8_t **first_out)
{
    const struct message_struct *element = list->element;

    *first_out = message_array(walk->arena, count, element->defaults, element->size_bytes);
    if (!*first_out)
        return ERR_NO_MEMORY;
    *(uint8_t **)message_at(list, base) = *first_out;
    *message_count_at(list, base) = (int32_t)count;
    return OK;
}

static enum err level_mirror(const struct walk *walk, size_t depth, const void *asked, void *told);

/* Answers the elements of one list, from `to` on. */
static enum err elements_mirror(const struct walk *walk, size_t depth, struct span from,
                                uint8_t *to)
{
    const struct level *level = &walk->levels[depth];

    for (size_t i = 0; i < from.count; i++) {
        const uint8_t *asked = from.at + i * from.step_bytes;
        uint8_t *told = to + i * level->told->element->size_bytes;

        keys_put(level, asked, told);
        verdict_put(walk, &level->fields, told);
        TRY(level_mirror(walk, depth + 1, asked, told));
    }
    return OK;
}

/* The lists within the elements of `outer` (or in one struct) are answered by one. */
static enum err lists_mirror(const struct walk *walk, size_t depth, struct span outer, void *told)
{
    const struct level *level = &walk->levels[depth];
    size_t count = 0;
    uint8_t *to;

    for (size_t i = 0; i < outer.count; i++)
        count += span_of(level->asked, outer.at + i * outer.step_bytes).count;
    TRY(list_make(walk, level->told, count, told, &to));
    for (size_t i = 0; i < outer.count; i++) {
        struct span from = span_of(level->asked, outer.at + i * outer.step_bytes);

        TRY(elements_mirror(walk, depth, from, to));
        to += from.count * level->told->element->size_bytes;
    }
    return OK;
}

static enum err level_mirror(const struct walk *walk, size_t depth, const void *asked, void *told)
{
    const struct level *level = &walk->levels[depth];

    if (depth == walk->depth)
        return OK;
    if (level->told)
        return lists_mirror(walk, depth, (struct span){.at = asked, .count = 1}, told);
    if (depth + 1 == walk->depth)
        return OK;
    ASSERT(walk->levels[depth + 1].told);
    return lists_mirror(walk, depth + 1, span_of(level->asked, asked), told);
}

enum err mirror_answer(const struct mirror *mirror, const struct api *api, int16_t version,
                       const void *body, struct mirror_verdict verdict, struct arena *arena,
                       void *answer)
{
    const struct message_struct *root = api->response->root;
    struct walk walk = {.mirror = mirror, .version = version, .verdict = verdict, .arena = arena};
    struct verdict_fields fields;
    field_ref null = mirror->null ? field_in(&walk, field_named(root, mirror->null)) : NULL;

    fields_find(&walk, root, CODE_NAME, mirror->unknown, &fields);
    verdict_put(&walk, &fields, answer);
    if (null && message_versions_have(null->nullable, version))
        null_put(null, answer);
    levels_find(&walk, api);
    return level_mirror(&walk, 0, body, answer);
}
