/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/json_text.h: the JSON spelling of single values, as Jackson and Java write them.
 */
#ifndef PROTOCOL_JSON_TEXT_H
#define PROTOCOL_JSON_TEXT_H

#include "base/arena.h"
#include "base/writer.h"

/* Without escapes: the text must need none. */
void json_put(struct writer *out, const char *text);
/* Quoted and escaped; what is not UTF-8 becomes U+FFFD, so that the output always is. */
void json_put_string(struct writer *out, struct slice text);
/* Quoted base64 of the standard alphabet, padded. */
void json_put_base64(struct writer *out, struct slice bytes);
void json_put_integer(struct writer *out, int64_t value);
/* The fewest digits that read back as the same number, in the form of Java's Double.toString; NaN and
 * the infinities quoted. */
void json_put_double(struct writer *out, double value);

/* ERR_FORMAT when it is not base64 (with or without padding). */
MUST_USE enum err json_base64_decode(struct slice text, struct arena *arena, struct slice *out);

#endif
