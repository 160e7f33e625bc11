/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/name.c: names of partition directories and of the files inside them.
 * A name from disk is data: a wrong one is ERR_FORMAT or "not ours", never an assert.
 * Threads     any; no state.
 */
#include "storage/storage_internal.h"

#include "base/fmt.h"
#include "base/parse.h"
#include "base/random.h"

#define DIRECTORY_NAME_BYTES_MAX 255

static const char *const kind_suffixes[] = {
    [LOG_NAME_CURRENT] = "",
    [LOG_NAME_FUTURE] = "-future",
    [LOG_NAME_DELETE] = "-delete",
    [LOG_NAME_STRAY] = "-stray",
};

static bool slice_ends_with(struct slice s, const char *suffix)
{
    struct slice end = slice_from_text(suffix);

    return s.size_bytes >= end.size_bytes &&
           slice_equal(slice_sub(s, s.size_bytes - end.size_bytes, end.size_bytes), end);
}

static size_t find_last(struct slice s, char c)
{
    for (size_t i = s.size_bytes; i > 0; i--)
        if (s.data[i - 1] == (uint8_t)c)
            return i - 1;
    return SIZE_MAX;
}

/* True when `name` is `<something>.<32 hex><suffix>`; cuts it to `<something>`. */
static bool suffix_cut(struct slice *name, const char *suffix)
{
    size_t suffix_bytes = strlen(suffix);
    size_t dot;

    if (!slice_ends_with(*name, suffix))
        return false;
    dot = find_last(*name, '.');
    if (dot == SIZE_MAX || dot == 0 || name->size_bytes - dot - 1 != 32 + suffix_bytes)
        return false;
    for (size_t i = dot + 1; i < dot + 33; i++) {
        uint8_t c = name->data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    *name = slice_sub(*name, 0, dot);
    return true;
}

enum err log_name_parse(struct slice name, struct log_name *out)
{
    size_t dash;

    out->kind = LOG_NAME_CURRENT;
    for (enum log_name_kind kind = LOG_NAME_FUTURE; kind <= LOG_NAME_STRAY; kind++) {
        if (suffix_cut(&name, kind_suffixes[kind])) {
            out->kind = kind;
            break;
        }
    }
    dash = find_last(name, '-');
    if (dash == SIZE_MAX || dash == 0 || dash + 1 == name.size_bytes)
        return ERR_FORMAT;
    out->topic = slice_sub(name, 0, dash);
    if (parse_i32(slice_sub(name, dash + 1, SIZE_MAX), &out->partition) != OK || out->partition < 0)
        return ERR_FORMAT;
    return OK;
}

void log_name_make(struct slice topic, int32_t partition, enum log_name_kind kind,
                   const uint8_t unique[16], char out[LOG_NAME_BYTES])
{
    struct text text;
    char tail[64];
    size_t topic_bytes = topic.size_bytes;
    size_t tail_bytes;

    text_init(&text, tail, sizeof tail);
    text_add(&text, "-%d", (int)partition);
    if (kind != LOG_NAME_CURRENT) {
        text_add(&text, ".");
        for (int i = 0; i < 16; i++)
            text_add(&text, "%02x", unique[i]);
        text_add(&text, "%s", kind_suffixes[kind]);
    }
    tail_bytes = text.size_bytes;
    /* Apache cuts the topic so that the whole name fits; the topic id inside tells who it was. */
    if (topic_bytes + tail_bytes > DIRECTORY_NAME_BYTES_MAX)
        topic_bytes = DIRECTORY_NAME_BYTES_MAX - tail_bytes;
    fmt(out, LOG_NAME_BYTES, "%.*s%s", (int)topic_bytes, (const char *)topic.data, tail);
}

bool file_name_parse(const char *name, int64_t *offset_out, const char **suffix_out)
{
    int64_t offset = 0;
    size_t digits = 0;

    while (name[digits] >= '0' && name[digits] <= '9') {
        int digit = name[digits] - '0';

        if (__builtin_mul_overflow(offset, 10, &offset) ||
            __builtin_add_overflow(offset, digit, &offset))
            return false;
        digits++;
    }
    if (digits == 0 || name[digits] != '.')
        return false;
    *offset_out = offset;
    *suffix_out = name + digits;
    return true;
}

void path_of_file(const char *directory, int64_t offset, const char *suffix, char out[PATH_BYTES])
{
    size_t size = fmt(out, PATH_BYTES, "%s/%020lld%s", directory, (long long)offset, suffix);

    ASSERT(size < PATH_BYTES); /* directory paths are bounded at open */
}

void path_join(const char *directory, const char *name, char out[PATH_BYTES])
{
    size_t size = fmt(out, PATH_BYTES, "%s/%s", directory, name);

    ASSERT(size < PATH_BYTES);
}

void path_copy(const char *path, char out[PATH_BYTES])
{
    size_t size_bytes = strlen(path) + 1;

    ASSERT(size_bytes <= PATH_BYTES);
    memcpy(out, path, size_bytes);
}

bool text_ends_with(const char *text, const char *suffix)
{
    return slice_ends_with(slice_from_text(text), suffix);
}
