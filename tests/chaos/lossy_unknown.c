/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos/lossy_unknown.c: calls that change a disk and that the node does not make today. The lossy disk could not
 * take them back: a node that begins to make them is told so, loudly, instead of being judged wrongly.
 * Not seen: writes through a shared mapping.
 */
#include "lossy_disk.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void refuse_path(const char *call, const char *path)
{
    lossy_begin();
    if (!lossy_is_below(path))
        return;
    fprintf(stderr,
            "lossy disk: %s of %s cannot be taken back; tests/chaos/lossy_disk.c needs it\n", call,
            path);
    abort();
}

int link(const char *from, const char *to)
{
    refuse_path("link", to);
    return (int)real.syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    refuse_path("linkat", to);
    return (int)real.syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    refuse_path("renameat", to);
    return (int)real.syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    refuse_path("renameat2", to);
    return (int)real.syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int truncate64(const char *path, off_t size)
{
    refuse_path("truncate", path);
    return (int)real.syscall(SYS_truncate, path, size);
}
int truncate(const char *path, off_t size) __attribute__((alias("truncate64")));

int unlinkat(int fd, const char *path, int flags)
{
    refuse_path("unlinkat", path);
    return (int)real.syscall(SYS_unlinkat, fd, path, flags);
}

int openat64(int fd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    if (flags & O_CREAT) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)
        refuse_path("openat", path);
    else
        lossy_begin();
    return (int)real.syscall(SYS_openat, fd, path, flags, mode);
}
int openat(int fd, const char *path, int flags, ...) __attribute__((alias("openat64")));

static void refuse_fd(const char *call, int fd)
{
    lossy_begin();
    if (!lossy_is_watched(fd))
        return;
    fprintf(stderr, "lossy disk: %s cannot be taken back; tests/chaos/lossy_disk.c needs it\n",
            call);
    abort();
}

ssize_t pwritev64v2(int fd, const struct iovec *vectors, int count, off_t position, int flags)
{
    refuse_fd("pwritev2", fd);
    return real.syscall(SYS_pwritev2, fd, vectors, count, position, 0, flags);
}
ssize_t pwritev2(int fd, const struct iovec *vectors, int count, off_t position, int flags)
    __attribute__((alias("pwritev64v2")));

ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    refuse_fd("writev", fd);
    return real.writev(fd, vectors, count);
}
