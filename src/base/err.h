/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/err.h: the one error type. Values -1…136 are Kafka's wire codes; values from 1000 are ours
 * and carry the wire code that a peer is told. The table is schema/errors; tools/gen_errors.py
 * writes err_codes.h (enum err, ERR_TABLE) from it at build time.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/err_codes.h" /* generated: enum err { OK = 0, ERR_UNKNOWN_SERVER_ERROR = -1, … } */
#include "base/macros.h"

#include <stdbool.h>

/* Kafka's name without prefix ("NOT_LEADER_OR_FOLLOWER", "NONE" for OK), or ours ("SHORT"). */
const char *err_name(enum err err);
/* One sentence for people. */
const char *err_text(enum err err);
/* What a peer is told: the value itself for Kafka's codes, the mapped code for ours. */
int16_t err_wire_code(enum err err);
/* From a peer's code; unknown codes become ERR_UNKNOWN_SERVER_ERROR. */
enum err err_from_wire(int16_t code);
/* True when Kafka's clients retry it. */
bool err_is_retriable(enum err err);

/* A fixed buffer for the human detail of one failure; the owner of the error logs it once. */
#define WHY_BYTES 512
struct why {
    char text[WHY_BYTES]; /* NUL-terminated; empty: no detail */
};
/* Empty, at the cost of one byte: what is done for each record must not clear the whole buffer. */
static inline void why_clear(struct why *why)
{
    why->text[0] = '\0';
}

/* Formats the detail and returns `err`, so that `return why_set(&why, ERR_X, "…")` reads well.
 * `why` may be NULL. Formatting as base/fmt.h. */
enum err why_set(struct why *why, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
