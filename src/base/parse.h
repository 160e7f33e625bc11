/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/parse.h: checked text-to-number conversion: whole input, no surrounding space, no overflow.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/err.h"
#include "base/slice.h"

/* ERR_NUMBER when the text is not exactly one number of the range. */
MUST_USE enum err parse_i64(struct slice text, int64_t *out);
MUST_USE enum err parse_i32(struct slice text, int32_t *out);
MUST_USE enum err parse_u64(struct slice text, uint64_t *out);
/* Decimal or exponent form, as Java's Double.parseDouble takes for finite numbers. */
MUST_USE enum err parse_f64(struct slice text, double *out);

#endif
