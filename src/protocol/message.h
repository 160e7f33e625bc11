/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/message.h: the codec of every message of Kafka: requests, responses, headers, metadata and
 * coordinator records. schema/protocol describes them; tools/gen_protocol.py writes, at build time, a
 * struct and a descriptor table for each (protocol/generated/<message>.h); the functions here walk
 * the table. docs/design/protocol.md, ADR 0002.
 *
 * In memory
 *   bool → bool, iN → intN_t, u16/u32 → uintN_t, f64 → double, uuid → struct uuid
 *   string, bytes, records → struct slice (null: data == NULL; views into the input when decoded)
 *   []T → `struct <t> *name; int32_t name_count;` null: count -1; zeroed means empty
 *   struct T → embedded; nullable struct → pointer, NULL = null
 * A message struct is initialised with message_init, which sets the schema's defaults: a zeroed struct
 * is valid C but lacks e.g. "-1" defaults, and its strings are null, not empty. Nested elements too:
 * the generated <struct>_init, or <struct>_array for many.
 *
 * Generated for message `Vote`: struct vote_request, struct vote_request_topic_data, …,
 *   extern const struct message_type vote_request_type, vote_response_type;
 *   void vote_request_init(struct vote_request *); … for every nested struct
 *   struct vote_request_topic_data *vote_request_topic_data_array(struct arena *, size_t count);
 * Records: struct register_broker_record, extern const struct message_type register_broker_record_type.
 * Headers: struct request_header_data, request_header_data_type (for the tools; servers and clients
 * use request_header_decode and its like below).
 */
#ifndef PROTOCOL_MESSAGE_H
#define PROTOCOL_MESSAGE_H

#include "base/arena.h"
#include "base/cursor.h"
#include "base/writer.h"

struct message_struct; /* the field table of one struct; protocol/message_internal.h */

struct message_type {
    const char *name; /* "VoteRequest" as in Kafka */
    int16_t key;      /* api key or record type; -1: none */
    int16_t version_min, version_max;
    int16_t flexible_min; /* first flexible version; INT16_MAX: never */
    const struct message_struct *root;
};

#define PROTOCOL_ARRAY_COUNT_MAX 1000000
#define PROTOCOL_TAGGED_COUNT_MAX 10000

/* Sets defaults. */
void message_init(const struct message_type *type, void *message_out);
/* What sizeof gives for the message's struct. */
size_t message_struct_bytes(const struct message_type *type);
/* `count` copies of the element; behind the generated <struct>_array. */
void *message_array(struct arena *arena, size_t count, const void *element, size_t element_bytes);
/* Reads one message. Slices are views into the cursor's bytes; arrays come from the arena. Errors:
 * ERR_SHORT, ERR_COUNT, ERR_NULL_FIELD, ERR_VARINT, ERR_NO_MEMORY, ERR_UNSUPPORTED_VERSION (version
 * outside the type's range). Bytes behind the message are left in the cursor. */
MUST_USE enum err message_decode(const struct message_type *type, int16_t version,
                                 struct cursor *cursor, struct arena *arena, void *message_out);
/* Appends the message. ERR_UNSUPPORTED_VERSION when a non-default value has no place in the version
 * and is not ignorable; ERR_NULL_FIELD when null stands where the version has no null; the writer's
 * own error otherwise. */
MUST_USE enum err message_encode(const struct message_type *type, int16_t version,
                                 const void *message, struct writer *writer);
/* Records that the encoded message does not hold but leaves a gap for, so that they need not be copied: `bytes`
 * stand in front of the byte at_bytes of the writer. */
struct message_piece {
    size_t at_bytes;
    struct slice bytes;
};
struct message_pieces {
    struct message_piece *items; /* the caller's; those that find no room are copied */
    size_t count, capacity;
    size_t total_bytes; /* of all items */
    size_t least_bytes; /* smaller records are copied */
};
/* message_encode, with large records beside it. `pieces` is empty before; NULL: all is copied. */
MUST_USE enum err message_encode_pieces(const struct message_type *type, int16_t version,
                                        const void *message, struct writer *writer,
                                        struct message_pieces *pieces);
/* The size message_encode would write, or an error as there. */
MUST_USE enum err message_size(const struct message_type *type, int16_t version,
                               const void *message, size_t *size_bytes_out);
/* JSON text as Kafka's generated <Message>JsonConverter writes and reads it. */
MUST_USE enum err message_to_json(const struct message_type *type, int16_t version,
                                  const void *message, struct writer *json_out);
MUST_USE enum err message_from_json(const struct message_type *type, int16_t version,
                                    struct slice json, struct arena *arena, void *message_out,
                                    struct why *why);
/* A deep copy whose every byte lives in the arena. */
MUST_USE enum err message_copy(const struct message_type *type, const void *from,
                               struct arena *arena, void *to_out);

/* The root field of that JSON name in a message's struct; NULL when the message has none. The caller knows
 * its type. */
void *message_field(const struct message_type *type, const char *name, void *message);

/* ---- headers ---- */
struct request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct slice client_id; /* null: none given */
};
/* Reads header v1 or v2 by the API's flexible range (open-ended for unknown versions). ERR_SHORT …;
 * ERR_UNKNOWN_API for a key that no message has. */
MUST_USE enum err request_header_decode(struct cursor *cursor, struct request_header *out);
void request_header_encode(const struct request_header *header, struct writer *writer);
/* Response header v0 or v1, by API and version (ApiVersions: always v0). */
void response_header_encode(int16_t api_key, int16_t api_version, int32_t correlation_id,
                            struct writer *writer);
MUST_USE enum err response_header_decode(int16_t api_key, int16_t api_version,
                                         struct cursor *cursor, int32_t *correlation_id_out);

/* ---- the tables of all messages ---- */
enum api_listener { API_LISTENER_BROKER = 1, API_LISTENER_CONTROLLER = 2 };
struct api {
    int16_t key;
    const char *name; /* "Vote" */
    const struct message_type *request;
    const struct message_type *response;
    int32_t throttle_offset; /* of throttleTimeMs in the response's struct; -1: it has none */
    unsigned listeners;      /* enum api_listener bits */
    bool latest_version_unstable;
};
/* NULL for an unknown key. enum api_key { API_PRODUCE = 0, API_FETCH = 1, … } is generated into
 * protocol/generated/api_keys.h. */
const struct api *api_find(int16_t key);
const struct api *api_at(size_t index); /* ascending keys; NULL past the end */
const struct api *api_find_name(struct slice name);

/* Metadata records (type number → type), NULL when unknown. */
const struct message_type *metadata_record_type(int16_t key);
/* Any data, record, header or coordinator message by Kafka's name, NULL when unknown. */
const struct message_type *message_type_find(struct slice name);
const struct message_type *message_type_at(size_t index); /* ascending names; NULL past the end */

/* Every schema-level fact that the tools print is read through the descriptor tables. */
const char *api_key_name(int16_t key); /* "UNKNOWN" when not known */

#endif
