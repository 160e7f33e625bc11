/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/log_line.c: the two forms of a log line. Pure.
 */
#include "base/fmt.h"
#include "base/utf8.h"
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

size_t log_line_text(char *out, size_t capacity_bytes, int64_t wall_ms, enum log_level level,
                     const char *module, const char *event, const char *fields)
{
    struct text text;

    text_init(&text, out, capacity_bytes);
    time_add(&text, wall_ms);
    text_add(&text, " %-5s %s %s", level_names[level], module, event);
    if (fields[0])
        text_add(&text, " %s", fields); /* no byte of them ends a line */
    return text.size_bytes;
}

/* The byte that an escape of base/log.h stands for, and how long that is; 0: there is none, or what a cut left of one. */
static size_t escape_read(const char *at, size_t left, unsigned char *byte)
{
    static const char digits[] = "0123456789abcdef";
    const char *high, *low;

    if (left < 2 || at[0] != '\\')
        return 0;
    if (at[1] == '"' || at[1] == '\\' || at[1] == 'n') {
        *byte = at[1] == 'n' ? '\n' : (unsigned char)at[1];
        return 2;
    }
    if (left < 4 || at[1] != 'x')
        return 0;
    high = memchr(digits, at[2], 16);
    low = memchr(digits, at[3], 16);
    if (!high || !low)
        return 0;
    *byte = (unsigned char)((high - digits) << 4 | (low - digits));
    return 4;
}

/* What peers call themselves may be any bytes; readers of JSON refuse a line with such that are no UTF-8. */
static void json_text_add(struct text *text, const char *from, size_t size_bytes)
{
    size_t step;

    text_add(text, "\"");
    for (size_t i = 0; i < size_bytes; i += MAX(step, (size_t)1)) {
        unsigned char c = (unsigned char)from[i];

        step = escape_read(from + i, size_bytes - i, &c);
        if (step == 0)
            step = utf8_character_bytes((const uint8_t *)from + i, size_bytes - i);
        if (c == '"' || c == '\\')
            text_add(text, "\\%c", c);
        else if (c < ' ')
            text_add(text, "\\u%04x", c);
        else if (c < 0x80)
            text_add(text, "%c", c);
        else if (step == 0 || from[i] == '\\')
            text_add(text, "\\ufffd");
        else
            text_add(text, "%.*s", (int)step, from + i);
    }
    text_add(text, "\"");
}

/* Up to the quote that ends a value: one that is not escaped, before a space or the end. */
static size_t quoted_bytes(const char *value)
{
    size_t i = 0;

    for (; value[i]; i++) {
        if (value[i] == '"' && (value[i + 1] == ' ' || value[i + 1] == 0))
            break;
        i += value[i] == '\\' && value[i + 1];
    }
    return i;
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
        if (*value == '"')
            value_bytes = quoted_bytes(++value);
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
