/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/topic_name.c: which names a topic may have.
 */
#include "metadata/topic_name.h"

static bool is_allowed(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

enum err topic_name_check(struct slice name, struct why *why)
{
    if (name.size_bytes == 0)
        return why_set(why, ERR_INVALID_TOPIC_EXCEPTION,
                       "Topic name is invalid: the empty string is not allowed");
    if (slice_equal_text(name, ".") || slice_equal_text(name, ".."))
        return why_set(why, ERR_INVALID_TOPIC_EXCEPTION,
                       "Topic name is invalid: '%.*s' is not allowed", SLICE_ARGS(name));
    if (name.size_bytes > TOPIC_NAME_BYTES_MAX)
        return why_set(why, ERR_INVALID_TOPIC_EXCEPTION,
                       "Topic name is invalid: the length of '%.*s' is longer than the max allowed "
                       "length %d",
                       SLICE_ARGS(name), TOPIC_NAME_BYTES_MAX);
    for (size_t i = 0; i < name.size_bytes; i++)
        if (!is_allowed(name.data[i]))
            return why_set(why, ERR_INVALID_TOPIC_EXCEPTION,
                           "Topic name is invalid: '%.*s' contains one or more characters other "
                           "than ASCII alphanumerics, '.', '_' and '-'",
                           SLICE_ARGS(name));
    return OK;
}
