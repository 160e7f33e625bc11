/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex/regex.h: regular expressions over names, in RE2's syntax and with its promises: matching takes time
 * linear in the text, compiling takes bounded memory. One library behind it; docs/adr/0004-re2.md.
 *
 * Memory   from the process heap, at most some REGEX_MEMORY_MAX for an expression while it lives (RE2's program
 *          and its cached states). What would need more is refused as invalid, and so is what is longer
 *          than REGEX_PATTERN_MAX.
 * Threads  regex_matches may be called on one regex from several threads.
 */
#ifndef REGEX_REGEX_H
#define REGEX_REGEX_H

#include "base/err.h"
#include "base/slice.h"

#define REGEX_MEMORY_MAX ((int64_t)MIB)
#define REGEX_PATTERN_MAX (16 * KIB)

struct regex;

/* ERR_INVALID_REGULAR_EXPRESSION with what is wrong; ERR_NO_MEMORY. */
MUST_USE enum err regex_compile(struct slice pattern, struct regex **out, struct why *why);
void regex_release(struct regex **regex); /* NULL-safe */
/* The whole text, as Java's matches(). */
bool regex_matches(const struct regex *regex, struct slice text);

#endif
