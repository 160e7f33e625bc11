/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/properties.c: Java's properties format, as java.util.Properties.load reads it, and overrides
 * from the command line.
 *   natural lines end with \n, \r or \r\n; blank ones and those that begin with # or ! are skipped
 *   a line with an odd number of \ at its end goes on in the next, whose leading blanks are dropped
 *   the key ends at the first = : or blank without \; one = or : and the blanks around it separate
 *   \t \n \r \f \uXXXX; any other escaped byte stands for itself
 * Difference to Java: bytes above 127 are UTF-8, not Latin-1.
 */
#include "config/config_internal.h"

#define SINGLE_NODE                                        \
    "offsets.topic.replication.factor=1\n"                 \
    "transaction.state.log.replication.factor=1\n"         \
    "transaction.state.log.min.isr=1\n"                    \
    "share.coordinator.state.topic.replication.factor=1\n" \
    "share.coordinator.state.topic.min.isr=1\n"

const char config_single_node_properties[] = SINGLE_NODE;
const char config_properties_without_file[] =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
    "controller.listener.names=CONTROLLER\n"
    "controller.quorum.bootstrap.servers=127.0.0.1:9093\n"
    "log.dirs=./barnabas-data\n" SINGLE_NODE;

struct reader {
    struct slice text;
    size_t at;
    int32_t line; /* of `at`, from 1 */
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\f';
}

static bool is_newline(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

static void newline_skip(struct reader *reader)
{
    struct slice text = reader->text;

    if (text.data[reader->at] == '\r' && reader->at + 1 < text.size_bytes &&
        text.data[reader->at + 1] == '\n')
        reader->at++;
    reader->at++;
    reader->line++;
}

static void blanks_skip(struct reader *reader)
{
    while (reader->at < reader->text.size_bytes && is_blank(reader->text.data[reader->at]))
        reader->at++;
}

/* To the first byte of the next logical line; false at the end. */
static bool line_seek(struct reader *reader)
{
    struct slice text = reader->text;

    for (;;) {
        blanks_skip(reader);
        if (reader->at == text.size_bytes)
            return false;
        if (text.data[reader->at] == '#' || text.data[reader->at] == '!') {
            while (reader->at < text.size_bytes && !is_newline(text.data[reader->at]))
                reader->at++;
        }
        if (reader->at == text.size_bytes)
            return false;
        if (!is_newline(text.data[reader->at]))
            return true;
        newline_skip(reader);
    }
}

/* The logical line as raw bytes, continued lines joined, escapes still in place. */
static struct slice line_take(struct reader *reader, uint8_t *buffer)
{
    struct slice text = reader->text;
    size_t size = 0;
    bool escaped = false;

    while (reader->at < text.size_bytes) {
        uint8_t byte = text.data[reader->at];

        if (is_newline(byte)) {
            newline_skip(reader);
            if (!escaped)
                break;
            size--; /* the backslash that continued the line */
            escaped = false;
            blanks_skip(reader);
            continue;
        }
        escaped = byte == '\\' && !escaped;
        buffer[size++] = byte;
        reader->at++;
    }
    if (escaped)
        size--; /* a backslash at the very end of the file */
    return slice_of(buffer, size);
}

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* The four digits behind \u; -1 when they are not there. */
static int32_t hex_unit(struct slice text, size_t at)
{
    int32_t unit = 0;

    if (text.size_bytes < at + 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = hex_value(text.data[i]);

        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static size_t utf8_put(uint8_t *out, int32_t point)
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

/* Replaces escapes; the text only gets shorter. False on a broken \u or a zero byte. */
static bool unescape(struct arena *arena, struct slice text, struct slice *out)
{
    uint8_t *data = arena_allocate(arena, text.size_bytes + 1);
    size_t size = 0;

    *out = SLICE_NULL;
    if (!data)
        return true; /* the caller sees the null */
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        int32_t point;

        if (byte == 0)
            return false;
        if (byte != '\\' || i + 1 == text.size_bytes) {
            data[size++] = byte;
            continue;
        }
        byte = text.data[++i];
        if (byte != 'u') {
            data[size++] = byte == 't'   ? '\t'
                           : byte == 'n' ? '\n'
                           : byte == 'r' ? '\r'
                           : byte == 'f' ? '\f'
                                         : byte;
            continue;
        }
        point = hex_unit(text, i + 1);
        if (point <= 0)
            return false;
        i += 4;
        if (point >= 0xd800 && point < 0xdc00 && i + 2 < text.size_bytes &&
            text.data[i + 1] == '\\' && text.data[i + 2] == 'u') {
            int32_t second = hex_unit(text, i + 3);

            if (second >= 0xdc00 && second < 0xe000) {
                point = 0x10000 + ((point - 0xd800) << 10) + (second - 0xdc00);
                i += 6;
            }
        }
        size += utf8_put(data + size, point);
    }
    data[size] = 0;
    *out = slice_of(data, size);
    return true;
}

/* Splits a logical line at its separator. */
static void line_split(struct slice line, struct slice *key_out, struct slice *value_out)
{
    size_t end = 0;
    size_t value;
    bool escaped = false;

    for (; end < line.size_bytes; end++) {
        uint8_t byte = line.data[end];

        if (!escaped && (byte == '=' || byte == ':' || is_blank(byte)))
            break;
        escaped = byte == '\\' && !escaped;
    }
    value = end;
    while (value < line.size_bytes && is_blank(line.data[value]))
        value++;
    if (value < line.size_bytes && (line.data[value] == '=' || line.data[value] == ':'))
        value++;
    while (value < line.size_bytes && is_blank(line.data[value]))
        value++;
    *key_out = slice_sub(line, 0, end);
    *value_out = slice_sub(line, value, SIZE_MAX);
}

/* Room for `capacity` pairs, with those of the file in front. */
static enum err file_reserve(struct arena *arena, struct config_file *file, size_t capacity)
{
    struct config_pair *pairs = ARENA_ARRAY(arena, struct config_pair, capacity);
    int32_t *lines = ARENA_ARRAY(arena, int32_t, capacity);

    if (!pairs || !lines)
        return ERR_NO_MEMORY;
    if (file->set.count > 0) {
        memcpy(pairs, file->set.pairs, file->set.count * sizeof *pairs);
        memcpy(lines, file->lines, file->set.count * sizeof *lines);
    }
    file->set.pairs = pairs;
    file->lines = lines;
    return OK;
}

/* There must be room. A key that is there already moves nowhere and takes the new value. */
static void file_put(struct config_file *file, struct config_pair pair, int32_t line)
{
    struct config_pair *pairs = (struct config_pair *)file->set.pairs;
    int32_t *lines = (int32_t *)file->lines;
    size_t i = 0;

    while (i < file->set.count && !slice_equal(pairs[i].key, pair.key))
        i++;
    pairs[i] = pair;
    lines[i] = line;
    file->set.count += i == file->set.count;
}

enum err config_file_parse(struct arena *arena, struct slice name, struct slice text,
                           struct config_file *out, struct why *why)
{
    struct reader reader = {text, 0, 1};
    size_t lines = 1;
    uint8_t *buffer = arena_allocate(arena, text.size_bytes + 1);

    for (size_t i = 0; i < text.size_bytes; i++)
        lines += is_newline(text.data[i]);
    *out = (struct config_file){.name = arena_copy(arena, name)};
    if (!buffer)
        return ERR_NO_MEMORY;
    TRY(file_reserve(arena, out, lines));
    while (line_seek(&reader)) {
        int32_t line = reader.line;
        struct config_pair pair;
        struct slice key;
        struct slice value;

        line_split(line_take(&reader, buffer), &key, &value);
        if (!unescape(arena, key, &pair.key) || !unescape(arena, value, &pair.value))
            return why_set(why, ERR_CONFIG, "%.*s:%d: zero byte or malformed \\uxxxx encoding",
                           SLICE_ARGS(name), (int)line);
        if (slice_is_null(pair.key) || slice_is_null(pair.value))
            return ERR_NO_MEMORY;
        file_put(out, pair, line);
    }
    return OK;
}

enum err config_file_override(struct arena *arena, struct config_file *file,
                              struct slice assignment, struct why *why)
{
    const uint8_t *equal = memchr(assignment.data, '=', assignment.size_bytes);
    size_t at = equal ? (size_t)(equal - assignment.data) : 0;
    struct config_pair pair;

    if (at == 0)
        return why_set(why, ERR_USAGE, "--override takes key=value, not \"%.*s\"",
                       SLICE_ARGS(assignment));
    pair.key = arena_copy(arena, config_trim(slice_sub(assignment, 0, at)));
    pair.value = arena_copy(arena, config_trim(slice_sub(assignment, at + 1, SIZE_MAX)));
    if (slice_is_null(pair.key) || slice_is_null(pair.value))
        return ERR_NO_MEMORY;
    TRY(file_reserve(arena, file, file->set.count + 1));
    file_put(file, pair, 0);
    return OK;
}
