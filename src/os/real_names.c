/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_names.c: calls on paths.
 */
#include "os/real_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum err real_stat(struct os *os, const char *path, struct os_stat *out)
{
    struct stat native;

    UNUSED(os);
    if (stat(path, &native) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return OK;
        return real_err(errno);
    }
    out->exists = true;
    out->is_directory = S_ISDIR(native.st_mode);
    out->size_bytes = native.st_size;
    out->held_bytes = (int64_t)native.st_blocks * 512;
    out->modified_ms =
        (int64_t)native.st_mtim.tv_sec * 1000 + (int64_t)native.st_mtim.tv_nsec / 1000000;
    return OK;
}

struct name_found {
    struct name_found *next;
    char text[];
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err collect(DIR *directory, struct arena *arena, struct name_found **found_out,
                        size_t *count_out)
{
    for (;;) {
        struct name_found *found;
        struct dirent *entry;
        size_t size_bytes;

        errno = 0;
        entry = readdir(directory);
        if (!entry)
            return errno == 0 ? OK : real_err(errno);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        size_bytes = strlen(entry->d_name) + 1;
        found = arena_allocate(arena, sizeof(*found) + size_bytes);
        if (!found)
            return ERR_NO_MEMORY;
        memcpy(found->text, entry->d_name, size_bytes);
        found->next = *found_out;
        *found_out = found;
        (*count_out)++;
    }
}

enum err real_list(struct os *os, const char *path, struct arena *arena, struct os_names *out)
{
    DIR *directory = opendir(path);
    struct name_found *found = NULL;
    size_t count = 0;
    char **names;
    enum err err;

    UNUSED(os);
    if (!directory)
        return real_err(errno);
    err = collect(directory, arena, &found, &count);
    closedir(directory);
    if (err != OK)
        return err;
    names = ARENA_ARRAY(arena, char *, count);
    if (!names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++, found = found->next)
        names[i] = found->text;
    if (count > 0)
        qsort(names, count, sizeof(names[0]), name_compare);
    *out = (struct os_names){names, count};
    return OK;
}

enum err real_make_directory(struct os *os, const char *path)
{
    UNUSED(os);
    return mkdir(path, 0750) < 0 ? real_err(errno) : OK;
}

enum err real_sync_directory(struct os *os, const char *path)
{
    int fd;
    enum err err = OK;

    UNUSED(os);
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return real_err(errno);
    while (fsync(fd) < 0) {
        if (errno == EINTR)
            continue;
        /* A file system that has no such call orders its names by itself or not at all. */
        if (errno != EINVAL)
            err = real_sync_err(errno);
        break;
    }
    close(fd);
    return err;
}

enum err real_rename(struct os *os, const char *from, const char *to)
{
    UNUSED(os);
    return rename(from, to) < 0 ? real_err(errno) : OK;
}

enum err real_unlink(struct os *os, const char *path)
{
    UNUSED(os);
    return unlink(path) < 0 ? real_err(errno) : OK;
}

enum err real_remove_directory(struct os *os, const char *path)
{
    UNUSED(os);
    return rmdir(path) < 0 ? real_err(errno) : OK;
}

enum err real_disk_space(struct os *os, const char *path, int64_t *free_bytes_out,
                         int64_t *total_bytes_out)
{
    struct statvfs native;

    UNUSED(os);
    while (statvfs(path, &native) < 0) {
        if (errno != EINTR)
            return real_err(errno);
    }
    *free_bytes_out = (int64_t)native.f_bavail * (int64_t)native.f_frsize;
    *total_bytes_out = (int64_t)native.f_blocks * (int64_t)native.f_frsize;
    return OK;
}
