/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos/lossy_names.c: the calls of libc that change names, as lossy_disk.c those that change contents.
 */
#include "lossy_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t lossy_inode_at(const char *path)
{
    struct stat stat;

    return lstat(path, &stat) == 0 ? (int64_t)stat.st_ino : -1;
}

/* The directory of a path, and its last name. */
int64_t lossy_parent_of(const char *path, struct iovec *name)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];

    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    *name = (struct iovec){(void *)(uintptr_t)(slash + 1), strlen(slash + 1)};
    return lossy_inode_at(directory);
}

static void keep(const char *path)
{
    char kept[PATH_MAX];

    journal_kept_path(kept, sizeof kept);
    if (real.syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) != 0) {
        fprintf(stderr, "lossy disk: %s cannot be kept: %s\n", path, strerror(errno));
        abort();
    }
}

/* One call on a name, under the lock; the entry stands in the journal already. */
static int name_call(int (*call)(const char *path), const char *path)
{
    bool is_last = control_is_last_call();
    int result;

    control_add(CONTROL_NAMES, 1);
    if (is_last && control_random(2) == 0)
        control_die();
    result = call(path);
    if (is_last)
        control_die();
    lossy_unlock();
    return result;
}

int rename(const char *from, const char *to)
{
    struct iovec data[3];
    struct stat replaced;
    int64_t directory, directory_to;
    bool replaces;
    int result = 0;

    lossy_begin();
    if (!lossy_is_below(from) || !lossy_is_below(to))
        return real.rename(from, to);
    if (control_name_fails(to))
        return -1;
    lossy_lock();
    directory = lossy_parent_of(from, &data[0]);
    data[1] = (struct iovec){(char[]){0}, 1};
    directory_to = lossy_parent_of(to, &data[2]);
    replaces = lstat(to, &replaced) == 0 && S_ISREG(replaced.st_mode);
    if (lossy_inode_at(from) >= 0) {
        if (replaces)
            keep(to);
        journal_append(JOURNAL_RENAME, lossy_inode_at(from), directory, directory_to, replaces,
                       data, 3);
    }
    control_add(CONTROL_NAMES, 1);
    if (control_is_last_call()) {
        if (control_random(2) == 0)
            result = real.rename(from, to);
        control_die();
    }
    result = real.rename(from, to);
    lossy_unlock();
    return result;
}

int unlink(const char *path)
{
    struct iovec name;
    struct stat stat;

    lossy_begin();
    if (!lossy_is_below(path))
        return real.unlink(path);
    if (control_name_fails(path))
        return -1;
    lossy_lock();
    if (lstat(path, &stat) == 0 && S_ISREG(stat.st_mode)) {
        int64_t directory = lossy_parent_of(path, &name);

        keep(path);
        journal_append(JOURNAL_UNLINK, (int64_t)stat.st_ino, directory, 0, 0, &name, 1);
        if (control_get(CONTROL_SPACE_LEFT) >= 0)
            control_add(CONTROL_SPACE_LEFT, stat.st_size);
    }
    return name_call(real.unlink, path);
}

int rmdir(const char *path)
{
    struct iovec name;
    int64_t directory;

    lossy_begin();
    if (!lossy_is_below(path))
        return real.rmdir(path);
    if (control_name_fails(path))
        return -1;
    lossy_lock();
    directory = lossy_parent_of(path, &name);
    journal_append(JOURNAL_RMDIR, lossy_inode_at(path), directory, 0, 0, &name, 1);
    return name_call(real.rmdir, path);
}

int mkdir(const char *path, mode_t mode)
{
    struct iovec name;
    int64_t directory;
    int result;

    lossy_begin();
    if (!lossy_is_below(path))
        return real.mkdir(path, mode);
    if (control_name_fails(path))
        return -1;
    lossy_lock();
    result = real.mkdir(path, mode);
    if (result == 0) {
        directory = lossy_parent_of(path, &name);
        journal_append(JOURNAL_MKDIR, lossy_inode_at(path), directory, 0, 0, &name, 1);
        control_add(CONTROL_NAMES, 1);
        if (control_is_last_call())
            control_die();
    }
    lossy_unlock();
    return result;
}
