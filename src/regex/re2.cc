/* SPDX-License-Identifier: Apache-2.0 */
/* regex/re2.cc: the only C++ here: RE2 behind three C functions. Nothing throws through them. */
#include "regex/regex_internal.h"

#include <new>
#include <re2/re2.h>

void *regex_re2_create(const char *pattern, size_t size_bytes, int64_t memory_max, char *why,
                       size_t why_bytes)
{
    re2::RE2::Options options;

    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(memory_max);
    why[0] = '\0';
    re2::RE2 *compiled =
        new (std::nothrow) re2::RE2(re2::StringPiece(pattern, size_bytes), options);
    if (!compiled || compiled->ok())
        return compiled;
    size_t length = compiled->error().copy(why, why_bytes - 1);
    why[length] = '\0';
    delete compiled;
    return nullptr;
}

void regex_re2_release(void *re2)
{
    delete static_cast<re2::RE2 *>(re2);
}

int regex_re2_matches(const void *re2, const char *text, size_t size_bytes)
{
    return re2::RE2::FullMatch(re2::StringPiece(text, size_bytes),
                               *static_cast<const re2::RE2 *>(re2));
}
