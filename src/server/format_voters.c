/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/format_voters.c: the text of --initial-controllers and of --feature. Texts of errors are those
 * that Kafka's tool prints.
 */
#include "server/format.h"

#include "base/parse.h"

static struct slice trim(struct slice text)
{
    while (text.size_bytes > 0 && text.data[0] <= ' ')
        text = slice_sub(text, 1, text.size_bytes);
    while (text.size_bytes > 0 && text.data[text.size_bytes - 1] <= ' ')
        text.size_bytes--;
    return text;
}

/* Where the byte stands first; size_bytes when nowhere. */
static size_t find(struct slice text, char byte)
{
    size_t at = 0;

    while (at < text.size_bytes && text.data[at] != (uint8_t)byte)
        at++;
    return at;
}

static struct slice from(struct slice text, size_t at)
{
    return slice_sub(text, at, text.size_bytes);
}

static enum err host_parse(struct slice *rest, struct slice *host_out, struct why *why)
{
    size_t end;

    if (rest->size_bytes == 0)
        return why_set(why, ERR_USAGE, "No hostname found after node id.");
    if (rest->data[0] == '[') {
        end = find(*rest, ']');
        if (end == rest->size_bytes)
            return why_set(why, ERR_USAGE,
                           "Hostname began with left bracket, but no right bracket was found.");
        *host_out = slice_sub(*rest, 1, end - 1);
        *rest = from(*rest, end + 1);
    } else {
        end = find(*rest, ':');
        if (end == rest->size_bytes)
            return why_set(why, ERR_USAGE, "No colon following hostname could be found.");
        *host_out = slice_sub(*rest, 0, end);
        *rest = from(*rest, end);
    }
    if (rest->size_bytes == 0 || rest->data[0] != ':')
        return why_set(why, ERR_USAGE, "Port section must start with a colon.");
    *rest = from(*rest, 1);
    return OK;
}

static enum err voter_parse(struct slice text, struct format_voter *out, struct why *why)
{
    size_t at;
    int32_t port;

    text = trim(text);
    at = find(text, '@');
    if (at == text.size_bytes)
        return why_set(why, ERR_USAGE, "No @ found in dynamic voter string.");
    if (at == 0)
        return why_set(why, ERR_USAGE, "Invalid @ at beginning of dynamic voter string.");
    if (parse_i32(slice_sub(text, 0, at), &out->id) != OK)
        return why_set(why, ERR_USAGE, "Failed to parse node id in dynamic voter string.");
    if (out->id < 0)
        return why_set(why, ERR_USAGE, "Invalid negative node id %d in dynamic voter string.",
                       out->id);
    text = from(text, at + 1);
    TRY(host_parse(&text, &out->host, why));
    at = find(text, ':');
    if (at == text.size_bytes)
        return why_set(why, ERR_USAGE, "No colon following port could be found.");
    if (parse_i32(slice_sub(text, 0, at), &port) != OK)
        return why_set(why, ERR_USAGE, "Failed to parse port in dynamic voter string.");
    if (port < 0 || port > UINT16_MAX)
        return why_set(why, ERR_USAGE, "Invalid port %d in dynamic voter string.", port);
    out->port = (uint16_t)port;
    if (uuid_from_text(from(text, at + 1), &out->directory_id) != OK)
        return why_set(why, ERR_USAGE, "Failed to parse directory ID in dynamic voter string.");
    return OK;
}

/* In order of ids. */
static enum err voter_insert(struct format_voter *items, size_t count,
                             const struct format_voter *voter, struct why *why)
{
    size_t at = count;

    while (at > 0 && items[at - 1].id >= voter->id) {
        if (items[at - 1].id == voter->id)
            return why_set(why, ERR_USAGE, "Node id %d was specified more than once.", voter->id);
        at--;
    }
    memmove(items + at + 1, items + at, (count - at) * sizeof *items);
    items[at] = *voter;
    return OK;
}

enum err format_voters_parse(struct slice text, struct arena *arena, struct format_voters *out,
                             struct why *why)
{
    struct format_voter *items;
    size_t count = 0;
    size_t parts = 1;

    for (size_t i = 0; i < text.size_bytes; i++)
        parts += text.data[i] == ',';
    items = ARENA_ARRAY(arena, struct format_voter, parts + 1);
    if (!items)
        return ERR_NO_MEMORY;
    text = trim(text);
    while (text.size_bytes > 0) {
        size_t end = find(text, ',');
        struct format_voter voter;

        if (end > 0) {
            TRY(voter_parse(slice_sub(text, 0, end), &voter, why));
            TRY(voter_insert(items, count++, &voter, why));
        }
        text = from(text, MIN(end + 1, text.size_bytes));
    }
    if (count == 0)
        return why_set(why, ERR_USAGE, "No voters given.");
    *out = (struct format_voters){items, count};
    return OK;
}

enum err format_level_parse(struct slice text, struct feature_level *out, struct why *why)
{
    size_t equals = find(text, '=');
    struct slice level_text;
    int32_t level;

    if (equals == text.size_bytes)
        return why_set(why, ERR_USAGE,
                       "Can't parse feature=level string %.*s: equals sign not found.",
                       SLICE_ARGS(text));
    out->name = trim(slice_sub(text, 0, equals));
    level_text = trim(from(text, equals + 1));
    if (parse_i32(level_text, &level) != OK || level < INT16_MIN || level > INT16_MAX)
        return why_set(why, ERR_USAGE,
                       "Can't parse feature=level string %.*s: unable to parse %.*s as a short.",
                       SLICE_ARGS(text), SLICE_ARGS(level_text));
    out->level = (int16_t)level;
    return OK;
}

/* ---- IPv6 hosts ---- */

static bool group_parse(struct slice text, uint16_t *out)
{
    unsigned value = 0;

    if (text.size_bytes == 0 || text.size_bytes > 4)
        return false;
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *out = (uint16_t)value;
    return true;
}

/* Groups on one side of "::"; false: not an address of plain groups. */
static bool side_parse(struct slice text, uint16_t groups[8], size_t *count)
{
    *count = 0;
    while (text.size_bytes > 0) {
        size_t end = find(text, ':');

        if (*count == 8 || !group_parse(slice_sub(text, 0, end), &groups[(*count)++]))
            return false;
        if (end + 1 == text.size_bytes)
            return false; /* a colon with nothing behind it */
        text = from(text, MIN(end + 1, text.size_bytes));
    }
    return true;
}

struct slice format_host_text(struct slice host, struct arena *arena)
{
    uint16_t left[8] = {0}, right[8] = {0};
    size_t left_count, right_count = 0;
    size_t gap = 0;

    while (gap + 1 < host.size_bytes && !(host.data[gap] == ':' && host.data[gap + 1] == ':'))
        gap++;
    if (gap + 1 >= host.size_bytes) { /* nothing left out */
        if (!side_parse(host, left, &left_count) || left_count != 8)
            return host;
    } else {
        if (!side_parse(slice_sub(host, 0, gap), left, &left_count) ||
            !side_parse(from(host, gap + 2), right, &right_count) || left_count + right_count > 7)
            return host;
        memcpy(left + 8 - right_count, right, right_count * sizeof *right);
    }
    return arena_format_slice(arena, "%x:%x:%x:%x:%x:%x:%x:%x", left[0], left[1], left[2], left[3],
                              left[4], left[5], left[6], left[7]);
}
