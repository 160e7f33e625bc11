/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/durable.c: whole files at once, written on top of the blocking calls so that both tables share
 * the order of steps.
 * Crash  os_durable_replace leaves the old or the new content, and perhaps `path.tmp`, which the next
 *        replacement truncates.
 */
#include "os/os_internal.h"

#include "base/bug.h"
#include "base/fmt.h"
#include "base/writer.h"

#define PATH_BYTES 4096
#define STREAM_BYTES (16 * KIB)
#define SUFFIX ".tmp"

/* The directory that holds `path`; `path` itself is known to fit. */
static void directory_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        fmt(out, PATH_BYTES, ".");
    else if (slash == path)
        fmt(out, PATH_BYTES, "/");
    else
        fmt(out, PATH_BYTES, "%.*s", (int)(slash - path), path);
}

static enum err write_new(struct os *os, const char *path, const struct slice *slices, size_t count)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;

    TRY(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    TRY(os_file_write(file, slices, count, 0));
    if ((BUG_IS(epochs_not_synced) && strstr(path, "/leader-epoch-checkpoint")) ||
        (BUG_IS(vote_before_sync) && strstr(path, "/quorum-state")))
        return OK;
    return os_file_sync(file);
}

enum err os_durable_replace(struct os *os, const char *path, const struct slice *slices,
                            size_t count)
{
    char temporary[PATH_BYTES];
    char directory[PATH_BYTES];
    enum err err;

    if (fmt(temporary, sizeof(temporary), "%s" SUFFIX, path) >= sizeof(temporary))
        return ERR_TOO_LARGE;
    err = write_new(os, temporary, slices, count);
    if (err == OK)
        err = os_rename(os, temporary, path);
    if (err != OK) {
        /* The first failure is the one to tell. */
        enum err ignored = os_unlink(os, temporary);

        UNUSED(ignored);
        return err;
    }
    directory_of(path, directory);
    if (BUG_IS(directory_not_synced))
        return OK;
    return os_sync_directory(os, directory);
}

enum err os_read_whole(struct os *os, const char *path, struct arena *arena, size_t limit_bytes,
                       struct slice *out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    int64_t size_bytes;
    size_t read_bytes;
    uint8_t *data;

    *out = SLICE_NULL;
    TRY(os_file_open(os, path, OS_OPEN_READ, &file));
    TRY(os_file_size(file, &size_bytes));
    if ((uint64_t)size_bytes > limit_bytes)
        return ERR_TOO_LARGE;
    data = arena_allocate(arena, (size_t)size_bytes);
    if (!data)
        return ERR_NO_MEMORY;
    TRY(os_file_read(file, data, (size_t)size_bytes, 0, &read_bytes));
    *out = slice_of(data, read_bytes);
    return OK;
}

enum err os_read_stream(struct os *os, const char *path, struct arena *arena, size_t limit_bytes,
                        struct slice *out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(writer_release) struct writer bytes;
    uint8_t piece[STREAM_BYTES];
    size_t read_bytes;

    *out = SLICE_NULL;
    writer_init(&bytes, &heap_allocator, SIZE_MAX);
    TRY(os_file_open(os, path, OS_OPEN_READ, &file));
    do {
        TRY(os_file_read(file, piece, sizeof piece, (int64_t)bytes.size_bytes, &read_bytes));
        if (read_bytes > limit_bytes - bytes.size_bytes)
            return ERR_TOO_LARGE;
        writer_bytes(&bytes, piece, read_bytes);
        TRY(writer_error(&bytes));
    } while (read_bytes == sizeof piece);
    *out = arena_copy(arena, slice_of(bytes.data ? bytes.data : piece, bytes.size_bytes));
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}
