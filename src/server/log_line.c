/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/log_line.c: the two forms of a log line. Pure.
 */
#include "base/fmt.h"
#include "server/log_sink.h"

#include <time.h>

static const char *const level_names[] = {
    [LOG_LEVEL_TRACE] = "TRACE", [LOG_LEVEL_DEBUG] = "DEBUG", [LOG_LEVEL_INFO] = "INFO",
    [LOG_LEVEL_WARN] = "WARN",   [LOG_LEVEL_ERROR] = "ERROR",
};

static void time_add(struct text *text, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    text_add(text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
}

/* A line break inside a value would forge a line. */
static void plain_add(struct text *text, const char *from)
{
    for (; *from; from++)
        text_add(text, "%c", (unsigned char)*from < ' ' ? ' ' : *from);
}

size_t log_line_text(char *out, size_t capacity_bytes, int64_t wall_ms, enum log_level level,
                     const char *module, const char *event, const char *fields)
{
    struct text text;

    text_init(&text, out, capacity_bytes);
    time_add(&text, wall_ms);
    text_add(&text, " %-5s %s %s", level_names[level], module, event);
    if (fields[0]) {
        text_add(&text, " ");
        plain_add(&text, fields);
    }
    return text.size_bytes;
}

static void json_text_add(struct text *text, const char *from, size_t size_bytes)
{
    text_add(text, "\"");
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned char c = (unsigned char)from[i];

        if (c == '"' || c == '\\')
            text_add(text, "\\%c", c);
        else if (c < ' ')
            text_add(text, "\\u%04x", c);
        else
            text_add(text, "%c", c);
    }
    text_add(text, "\"");
}

/* key=value and key="value with spaces", one after the other. */
static void json_fields_add(struct text *text, const char *at)
{
    while (*at) {
        size_t key_bytes = strcspn(at, "= ");
        const char *value;
        size_t value_bytes;

        if (at[key_bytes] != '=') { /* not a pair: passed over */
            at += key_bytes + (at[key_bytes] == ' ');
            continue;
        }
        value = at + key_bytes + 1;
        value_bytes = strcspn(value, " ");
        if (*value == '"') {
            const char *end;

            value++;
            end = strstr(value, "\" ");
            value_bytes = end ? (size_t)(end - value) : strlen(value);
            if (!end && value_bytes > 0 && value[value_bytes - 1] == '"')
                value_bytes--;
        }
        text_add(text, ",");
        json_text_add(text, at, key_bytes);
        text_add(text, ":");
        json_text_add(text, value, value_bytes);
        at = value + value_bytes;
        at += strspn(at, "\" ");
    }
}

size_t log_line_json(char *out, size_t capacity_bytes, int64_t wall_ms, enum log_level level,
                     const char *module, const char *event, const char *fields)
{
    struct text text;

    text_init(&text, out, capacity_bytes - 1);
    text_add(&text, "{\"time\":\"");
    time_add(&text, wall_ms);
    text_add(&text, "\",\"level\":\"%s\",\"module\":\"%s\",\"event\":\"%s\"", level_names[level],
             module, event);
    json_fields_add(&text, fields);
    /* A cut line ends inside a text; one more quote and brace keep it JSON in all but the rarest cut. */
    if (text.truncated) {
        text.size_bytes = MIN(text.size_bytes, capacity_bytes - 4);
        out[text.size_bytes] = 0;
        return text.size_bytes + fmt(out + text.size_bytes, 3, "\"}");
    }
    return text.size_bytes + fmt(out + text.size_bytes, 2, "}");
}
