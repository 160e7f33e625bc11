/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_marker.c: .kafka_cleanshutdown: there when every log of the directory was closed in
 * order. Its existence is what counts; the broker epoch inside is for the registration.
 * Crash       written durably as the last thing of a run, removed durably before the first log is
 *             opened.
 * Threads     any; no state.
 */
#include "storage/storage_internal.h"

#include "base/bug.h"
#include "base/parse.h"

#define MARKER_NAME ".kafka_cleanshutdown"

/* The integer behind "key": in a flat JSON object; ERR_FORMAT when there is none. */
static enum err json_integer(struct slice text, const char *key, int64_t *out)
{
    size_t key_bytes = strlen(key);

    for (size_t i = 0; i + key_bytes + 2 < text.size_bytes; i++) {
        size_t at = i + key_bytes + 2;
        size_t start;

        if (text.data[i] != '"' || memcmp(text.data + i + 1, key, key_bytes) != 0 ||
            text.data[at - 1] != '"')
            continue;
        while (at < text.size_bytes && (text.data[at] == ' ' || text.data[at] == ':'))
            at++;
        start = at;
        while (at < text.size_bytes &&
               (text.data[at] == '-' || (text.data[at] >= '0' && text.data[at] <= '9')))
            at++;
        return parse_i64(slice_sub(text, start, at - start), out);
    }
    return ERR_FORMAT;
}

enum err clean_marker_read(struct os *os, const char *directory, bool *present_out,
                           int64_t *broker_epoch_out)
{
    CLEANUP(arena_release) struct arena arena;
    char path[PATH_BYTES];
    struct slice text;
    int64_t version;
    enum err err;

    *present_out = false;
    *broker_epoch_out = -1;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    path_join(directory, MARKER_NAME, path);
    err = os_read_whole(os, path, &arena, 4 * KIB, &text);
    if (err == ERR_NOT_FOUND)
        return OK;
    *present_out = err == OK || err == ERR_TOO_LARGE;
    if (err != OK)
        return err == ERR_TOO_LARGE ? OK : err;
    if (json_integer(text, "version", &version) != OK || version != 0 ||
        json_integer(text, "brokerEpoch", broker_epoch_out) != OK)
        *broker_epoch_out = -1;
    return OK;
}

enum err clean_marker_write(struct os *os, const char *directory, int64_t broker_epoch)
{
    char path[PATH_BYTES];
    char text[64];
    struct slice content;

    path_join(directory, MARKER_NAME, path);
    fmt(text, sizeof text, "{\"version\":0,\"brokerEpoch\":%lld}", (long long)broker_epoch);
    content = slice_from_text(text);
    return os_durable_replace(os, path, &content, 1);
}

enum err clean_marker_remove(struct os *os, const char *directory)
{
    char path[PATH_BYTES];
    enum err err;

    if (BUG_IS(clean_marker_kept))
        return OK;
    path_join(directory, MARKER_NAME, path);
    err = os_unlink(os, path);
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    /* Without a marker too: what is found here may have been named by a process that was killed before it could
     * sync (the identity of the directory above all). */
    return BUG_IS(clean_marker_unlink_not_synced) ? OK : os_sync_directory(os, directory);
}
