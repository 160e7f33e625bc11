/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/uuid.h: 16 bytes in wire order; all zero is Kafka's "none". Text form: 22 characters of the
 * base64url alphabet without padding.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/err.h"
#include "base/slice.h"

#define UUID_TEXT_BYTES 23 /* with NUL */

struct random;

struct uuid {
    uint8_t bytes[16];
};

#define UUID_ZERO ((struct uuid){{0}})
/* The id of the __cluster_metadata topic. */
#define UUID_METADATA ((struct uuid){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}})

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static inline bool uuid_is_zero(struct uuid id)
{
    return uuid_equal(id, UUID_ZERO);
}

/* Order of Java's compareTo on the two signed halves is not needed: bytewise. */
static inline int uuid_compare(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes);
}

void uuid_to_text(struct uuid id, char text_out[UUID_TEXT_BYTES]);
/* At most 24 characters that decode to exactly 16 bytes, else ERR_INVALID_UUID. */
MUST_USE enum err uuid_from_text(struct slice text, struct uuid *out);
/* Random version 4, drawn again while its text holds a '-' or it is a reserved id, as Kafka does. */
struct uuid uuid_random(struct random *random);

#endif
