/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/message_internal.h: the descriptor tables that tools/gen_protocol.py fills and the walkers
 * read. A message is a tree of message_struct; its depth is fixed by the schema, so that walking it
 * recursively is bounded.
 */
#ifndef PROTOCOL_MESSAGE_INTERNAL_H
#define PROTOCOL_MESSAGE_INTERNAL_H

#include "protocol/message.h"

enum message_kind {
    MESSAGE_BOOL,
    MESSAGE_I8,
    MESSAGE_I16,
    MESSAGE_U16,
    MESSAGE_I32,
    MESSAGE_U32,
    MESSAGE_I64,
    MESSAGE_F64,
    MESSAGE_UUID,
    MESSAGE_STRING,
    MESSAGE_BYTES,
    MESSAGE_RECORDS,
    MESSAGE_STRUCT,
};

enum message_flag {
    MESSAGE_ARRAY = 1,        /* pointer + int32_t count */
    MESSAGE_POINTER = 2,      /* a struct that may be null */
    MESSAGE_IGNORABLE = 4,    /* dropped silently from versions without it */
    MESSAGE_PLAIN = 8,        /* keeps the old length form in flexible versions */
    MESSAGE_NULL_DEFAULT = 16 /* null is the default */
};

/* Both ends included; {1, 0} is empty; 127 stands for "and above". */
struct message_versions {
    int8_t low;
    int8_t high;
};

struct message_field {
    const char *name; /* as in JSON */
    uint8_t kind;     /* enum message_kind */
    uint8_t flags;    /* enum message_flag */
    int8_t tag;       /* -1: none; a tagged field is tagged in all its versions */
    struct message_versions versions;
    struct message_versions nullable;
    uint16_t offset;       /* in the C struct */
    uint16_t count_offset; /* of arrays */
    const struct message_struct *element;
};

struct message_struct {
    const char *name; /* as in Kafka */
    const struct message_field *fields;
    const uint8_t *tagged; /* indexes into fields, by ascending tag */
    const void *defaults;  /* an instance with every default set */
    uint32_t size_bytes;   /* of the C struct */
    uint16_t field_count;
    uint16_t tagged_count;
};

/* generated/tables.c */
extern const struct api message_apis[];
extern const size_t message_apis_count;
extern const int16_t message_apis_by_key[]; /* index + 1 into message_apis; 0: none */
extern const size_t message_apis_by_key_count;
extern const struct message_type *const message_types[]; /* sorted by name */
extern const size_t message_types_count;
extern const struct message_type *const message_metadata_records[]; /* by key, with holes */
extern const size_t message_metadata_records_count;

static inline bool message_versions_have(struct message_versions versions, int16_t version)
{
    return version >= versions.low && version <= versions.high;
}

static inline bool message_versions_empty(struct message_versions versions)
{
    return versions.low > versions.high;
}

static inline bool message_type_has(const struct message_type *type, int16_t version)
{
    return version >= type->version_min && version <= type->version_max;
}

/* Where a field (and the count of an array) lives in a struct. */
static inline void *message_at(const struct message_field *field, void *base)
{
    return (uint8_t *)base + field->offset;
}

static inline const void *message_at_const(const struct message_field *field, const void *base)
{
    return (const uint8_t *)base + field->offset;
}

static inline int32_t *message_count_at(const struct message_field *field, void *base)
{
    return (int32_t *)(void *)((uint8_t *)base + field->count_offset);
}

static inline int32_t message_count(const struct message_field *field, const void *base)
{
    return *(const int32_t *)(const void *)((const uint8_t *)base + field->count_offset);
}

/* The field of that JSON name; NULL when the struct has none. */
const struct message_field *message_struct_field(const struct message_struct *table,
                                                 const char *name);
/* The bytes one value (one element of an array) takes in memory. */
size_t message_value_bytes(const struct message_field *field);
/* True when the field of `base` holds its default. */
bool message_field_is_default(const struct message_struct *owner, const struct message_field *field,
                              const void *base);
/* OK, or why a field that the version lacks must not be dropped. */
MUST_USE static inline enum err message_field_droppable(const struct message_struct *owner,
                                                        const struct message_field *field,
                                                        const void *base)
{
    if (field->flags & MESSAGE_IGNORABLE || message_field_is_default(owner, field, base))
        return OK;
    return ERR_UNSUPPORTED_VERSION;
}

#endif
