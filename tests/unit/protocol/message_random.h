/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random messages for tests, from the descriptor tables, and the text entries that the golden files
 * and the interop test exchange: lines "Name version hex json".
 */
#ifndef TESTS_MESSAGE_RANDOM_H
#define TESTS_MESSAGE_RANDOM_H

#include "base/random.h"
#include "protocol/message.h"

/* Fills every field of the version, within the schema's ranges; arrays and strings stay short. */
void message_random(const struct message_type *type, int16_t version, struct random *random,
                    struct arena *arena, void *message_out);

/* Holds one entry (no newline) against the codec: its bytes are decoded, encoded again, written as
 * JSON, and the JSON read back; all must agree. On a difference `why` tells. */
MUST_USE enum err message_line_check(struct slice line, struct why *why);
/* Holds "Name from hex to hex" against the codec: the message of one version written as another; "-" for
 * the last word: it must be refused. */
MUST_USE enum err message_recast_check(struct slice line, struct why *why);
/* Appends the entry of a message, with a newline. */
MUST_USE enum err message_line_write(const struct message_type *type, int16_t version,
                                     const void *message, struct writer *out);

#endif
