/* SPDX-License-Identifier: Apache-2.0 */
/* regex/re2.cc: the only C++ here: RE2 behind three C functions. Nothing throws through them. */
#include "regex/regex_internal.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <re2/re2.h>

using re2::RE2;

/* What RE2J, which Kafka has, says of the same mistake: clients see it. */
static const char *mistake(const RE2 &compiled)
{
    switch (compiled.error_code()) {
    case RE2::ErrorBadEscape:
        return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
        return "invalid character class";
    case RE2::ErrorBadCharRange:
        return "invalid character class range";
    case RE2::ErrorMissingBracket:
        return "missing closing ]";
    case RE2::ErrorMissingParen:
        return "missing closing )";
    case RE2::ErrorUnexpectedParen:
        return "regexp/syntax: internal error";
    case RE2::ErrorTrailingBackslash:
        return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
        return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
        return "invalid repeat count";
    case RE2::ErrorRepeatOp:
        return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
        return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
        return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
        return "invalid named capture";
    default:
        return compiled.error().c_str();
    }
}

void *regex_re2_create(const char *pattern, size_t size_bytes, size_t name_count,
                       int64_t memory_max, char *why, size_t why_bytes)
{
    RE2::Options options;

    options.set_log_errors(false);
    options.set_max_mem(memory_max);
    why[0] = '\0';
    RE2 *compiled = new (std::nothrow) RE2(re2::StringPiece(pattern, size_bytes), options);
    if (!compiled)
        return nullptr;
    if (compiled->ok() && compiled->NamedCapturingGroups().size() >= name_count)
        return compiled;
    const char *text = compiled->ok() ? "duplicate capture group name" : mistake(*compiled);
    size_t text_bytes = std::min(std::strlen(text), why_bytes - 1);
    std::memcpy(why, text, text_bytes);
    why[text_bytes] = '\0';
    delete compiled;
    return nullptr;
}

void regex_re2_release(void *re2)
{
    delete static_cast<RE2 *>(re2);
}

int regex_re2_matches(const void *re2, const char *text, size_t size_bytes)
{
    return RE2::FullMatch(re2::StringPiece(text, size_bytes), *static_cast<const RE2 *>(re2));
}
