/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/record.h: the value of a metadata record: frame version 1, type, version, body (three
 * unsigned varints and a flexible message). The record around it has a null key and no headers.
 */
#ifndef METADATA_RECORD_H
#define METADATA_RECORD_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/writer.h"
#include "protocol/message.h"

struct metadata_record {
    const struct message_type *type; /* type->key is an enum metadata_record_key of protocol */
    int16_t version;
    const void *message; /* the struct of the type */
};

/* Records of one operation. Grows in the arena. */
struct metadata_record_list {
    const struct metadata_record *items;
    size_t count;
    size_t capacity;
};
/* Appends a zeroed message with the schema's defaults and gives it out to be filled. */
MUST_USE enum err metadata_record_add(struct metadata_record_list *list, struct arena *arena,
                                      int16_t key, int16_t version, void **message_out);

/* The value bytes of a record. */
MUST_USE enum err metadata_record_encode(const struct metadata_record *record,
                                         struct writer *writer);
/* The message's slices are views into `value`, its arrays are the arena's. ERR_CORRUPT for a
 * frame, type or version that is not known and for bytes behind the message: none can be skipped. */
MUST_USE enum err metadata_record_decode(struct slice value, struct arena *arena,
                                         struct metadata_record *out, struct why *why);

#endif
