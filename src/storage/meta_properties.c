/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/meta_properties.c: meta.properties of a log directory, a Java properties file.
 * Crash       written with os_durable_replace.
 * Threads     any; no state.
 */
#include "storage/storage_internal.h"

#include "base/parse.h"
#include "base/writer.h"

#define META_NAME "meta.properties"
#define META_BYTES_MAX (64 * KIB)

/* ---- reading Java's properties syntax ---- */

struct properties_reader {
    struct slice left;
    struct arena *arena;
    int line;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static size_t utf8_put(uint8_t *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (uint8_t)(0xe0 | code >> 12);
    out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code & 0x3f));
    return 3;
}

/* One logical line: continuation lines joined, leading blanks gone, escapes still in. */
static bool logical_line(struct properties_reader *reader, uint8_t *out, size_t *size_out)
{
    const uint8_t *at = reader->left.data;
    const uint8_t *end = at + reader->left.size_bytes;
    size_t size = 0;
    bool at_start = true;
    bool comment = false;

    if (at == end)
        return false;
    reader->line++;
    while (at < end) {
        uint8_t c = *at++;

        if (at_start && is_blank(c))
            continue;
        if (at_start && size == 0 && (c == '#' || c == '!'))
            comment = true;
        at_start = false;
        if (is_line_end(c)) {
            if (c == '\r' && at < end && *at == '\n')
                at++;
            break;
        }
        if (c == '\\' && !comment && at < end) {
            if (is_line_end(*at)) {
                if (*at == '\r' && at + 1 < end && at[1] == '\n')
                    at++;
                at++;
                at_start = true;
                reader->line++;
                continue;
            }
            out[size++] = c;
            c = *at++;
        }
        if (!comment)
            out[size++] = c;
    }
    reader->left = slice_of(at, (size_t)(end - at));
    *size_out = size;
    return true;
}

/* Unescapes; a wrong \u is ERR_FORMAT as in Java. Shrinks, so it works in place. */
static enum err unescape(uint8_t *text, size_t size, struct slice *out)
{
    size_t put = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t c = text[i];

        if (c == '\\' && i + 1 < size) {
            c = text[++i];
            if (c == 'u') {
                unsigned code = 0;

                if (size - i < 5)
                    return ERR_FORMAT;
                for (int digit = 0; digit < 4; digit++) {
                    int value = hex_digit(text[++i]);

                    if (value < 0)
                        return ERR_FORMAT;
                    code = code << 4 | (unsigned)value;
                }
                put += utf8_put(text + put, code);
                continue;
            }
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
        }
        text[put++] = c;
    }
    *out = slice_of(text, put);
    return OK;
}

/* Next key and value; *found_out false at the end. */
static enum err property_next(struct properties_reader *reader, bool *found_out,
                              struct slice *key_out, struct slice *value_out)
{
    uint8_t *line = arena_allocate(reader->arena, reader->left.size_bytes + 1);
    size_t size;
    size_t key_end = 0;
    size_t value_start;
    bool separated = false;

    if (!line)
        return ERR_NO_MEMORY;
    do {
        *found_out = logical_line(reader, line, &size);
        if (!*found_out)
            return OK;
    } while (size == 0);
    while (key_end < size && !is_blank(line[key_end]) && line[key_end] != '=' &&
           line[key_end] != ':')
        key_end += line[key_end] == '\\' ? 2 : 1;
    key_end = MIN(key_end, size);
    value_start = key_end;
    while (value_start < size) {
        uint8_t c = line[value_start];

        if (!is_blank(c) && (separated || (c != '=' && c != ':')))
            break;
        separated = separated || c == '=' || c == ':';
        value_start++;
    }
    TRY(unescape(line + value_start, size - value_start, value_out));
    return unescape(line, key_end, key_out);
}

static enum err property_take(struct meta_properties *out, struct slice key, struct slice value)
{
    int32_t number;

    if (slice_equal_text(key, "version")) {
        if (parse_i32(value, &number) != OK || number < 0 || number > 1)
            return ERR_FORMAT;
        out->version = number;
    } else if (slice_equal_text(key, "cluster.id")) {
        out->cluster_id = value;
    } else if (slice_equal_text(key, "node.id") ||
               (slice_equal_text(key, "broker.id") && out->node_id < 0)) {
        if (parse_i32(value, &number) != OK || number < -1)
            return ERR_FORMAT;
        out->node_id = number;
    } else if (slice_equal_text(key, "directory.id")) {
        if (uuid_from_text(value, &out->directory_id) != OK)
            return ERR_FORMAT;
        out->has_directory_id = true;
    }
    return OK;
}

enum err meta_properties_read(struct os *os, const char *path, struct arena *arena,
                              struct meta_properties *out, struct why *why)
{
    struct properties_reader reader = {.arena = arena};
    char file_path[PATH_BYTES];
    enum err err;

    *out = (struct meta_properties){.version = -1, .node_id = -1};
    path_join(path, META_NAME, file_path);
    err = os_read_whole(os, file_path, arena, META_BYTES_MAX, &reader.left);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return why_set(why, err, "cannot read %s", file_path);
    out->version = 0;
    for (;;) {
        struct slice key;
        struct slice value;
        bool found;

        err = property_next(&reader, &found, &key, &value);
        if (err == OK && !found)
            break;
        if (err == OK)
            err = property_take(out, key, value);
        if (err != OK)
            return why_set(why, err, "%s, line %d is not acceptable", file_path, reader.line);
    }
    if (out->version == 1 && (slice_is_null(out->cluster_id) || out->node_id < 0))
        return why_set(why, ERR_FORMAT, "%s lacks cluster.id or node.id", file_path);
    return OK;
}

/* ---- writing ---- */

/* Days since 1970 → civil date (proleptic Gregorian), after H. Hinnant's public-domain algorithm. */
static void civil_from_days(int64_t days, int64_t *year_out, int *month_out, int *day_out)
{
    int64_t era;
    int64_t day_of_era;
    int64_t year_of_era;
    int64_t day_of_year;
    int64_t month;

    ASSERT(days >= 0);
    days += 719468;
    era = days / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153;
    *day_out = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *month_out = (int)(month < 10 ? month + 3 : month - 9);
    *year_out = year_of_era + era * 400 + (*month_out <= 2);
}

static void date_line(int64_t wall_ms, char *out, size_t capacity_bytes)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t seconds = MAX(wall_ms, 0) / 1000;
    int64_t day_number = seconds / 86400;
    int64_t year;
    int month;
    int day;

    civil_from_days(day_number, &year, &month, &day);
    fmt(out, capacity_bytes, "#\n#%s %s %02d %02d:%02d:%02d UTC %lld\n", days[day_number % 7],
        months[month - 1], day, (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60),
        (int)(seconds % 60), (long long)year);
}

static void property_write(struct writer *writer, const char *key, struct slice value)
{
    writer_bytes(writer, key, strlen(key));
    writer_u8(writer, '=');
    for (size_t i = 0; i < value.size_bytes; i++) {
        uint8_t c = value.data[i];

        if (c == '\\' || c == '=' || c == ':' || c == '#' || c == '!' || (c == ' ' && i == 0))
            writer_u8(writer, '\\');
        writer_u8(writer, c);
    }
    writer_u8(writer, '\n');
}

enum err meta_properties_write(struct os *os, const char *path,
                               const struct meta_properties *properties)
{
    CLEANUP(writer_release) struct writer writer;
    char file_path[PATH_BYTES];
    char text[UUID_TEXT_BYTES];
    char line[128];
    struct slice content;

    path_join(path, META_NAME, file_path);
    writer_init(&writer, &heap_allocator, META_BYTES_MAX);
    date_line(os_wall_ms(os), line, sizeof line);
    writer_bytes(&writer, line, strlen(line));
    if (!slice_is_null(properties->cluster_id))
        property_write(&writer, "cluster.id", properties->cluster_id);
    if (properties->has_directory_id) {
        uuid_to_text(properties->directory_id, text);
        property_write(&writer, "directory.id", slice_from_text(text));
    }
    if (properties->node_id >= 0) {
        fmt(line, sizeof line, "%d", (int)properties->node_id);
        property_write(&writer, properties->version == 0 ? "broker.id" : "node.id",
                       slice_from_text(line));
    }
    fmt(line, sizeof line, "%d", properties->version);
    property_write(&writer, "version", slice_from_text(line));
    TRY(writer_error(&writer));
    content = writer_slice(&writer);
    return os_durable_replace(os, file_path, &content, 1);
}
