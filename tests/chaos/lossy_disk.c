/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos/lossy_disk.c: the calls of libc that change a disk, each with what is needed to take it back. One lock
 * around entry and call, so that the journal tells the order in which things happened.
 */
#include "lossy_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536
static char *paths[FDS_MAX]; /* of watched descriptors */

static const char *path_of(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? paths[fd] : NULL;
}

bool lossy_is_watched(int fd)
{
    return path_of(fd) != NULL;
}

/* ---- open and close ---- */

static void cut_off_save(int fd, int64_t inode, int64_t new_size, int64_t old_size)
{
    size_t bytes = new_size < old_size ? (size_t)(old_size - new_size) : 0;
    struct iovec data = {malloc(bytes + 1), bytes};
    ssize_t got = bytes ? real.pread(fd, data.iov_base, bytes, new_size) : 0;

    data.iov_len = got > 0 ? (size_t)got : 0;
    journal_append(JOURNAL_TRUNCATE, inode, new_size, 0, old_size, &data, 1);
    if (new_size < old_size && control_get(CONTROL_SPACE_LEFT) >= 0)
        control_add(CONTROL_SPACE_LEFT, old_size - new_size);
    free(data.iov_base);
}

static int open_watched(const char *path, int flags, mode_t mode)
{
    bool is_new, is_cut = (flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != O_RDONLY;
    struct stat stat;
    struct iovec name;
    int64_t directory;
    int fd;

    if (control_name_fails(path))
        return -1;
    lossy_lock();
    is_new = (flags & O_CREAT) && lossy_inode_at(path) < 0;
    if (is_cut && !is_new && lstat(path, &stat) == 0 && stat.st_size > 0) {
        fd = real.open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            cut_off_save(fd, (int64_t)stat.st_ino, 0, stat.st_size);
            real.close(fd);
        }
    }
    fd = real.open(path, flags, mode);
    if (fd >= 0 && is_new) {
        directory = lossy_parent_of(path, &name);
        journal_append(JOURNAL_CREATE, lossy_inode_at(path), directory, 0, 0, &name, 1);
        control_add(CONTROL_NAMES, 1);
        if (control_is_last_call())
            control_die();
    }
    if (fd >= 0 && fd < FDS_MAX) {
        free(paths[fd]);
        paths[fd] = strdup(path);
    }
    lossy_unlock();
    return fd;
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    lossy_begin();
    if (flags & O_CREAT) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return lossy_is_below(path) ? open_watched(path, flags, mode) : real.open(path, flags, mode);
}
int open(const char *path, int flags, ...) __attribute__((alias("open64")));

int creat64(const char *path, mode_t mode)
{
    return open64(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
int creat(const char *path, mode_t mode) __attribute__((alias("creat64")));

int close(int fd)
{
    lossy_begin();
    if (path_of(fd)) {
        lossy_lock();
        free(paths[fd]);
        paths[fd] = NULL;
        lossy_unlock();
    }
    return real.close(fd);
}

/* ---- read ---- */

ssize_t pread64(int fd, void *buffer, size_t bytes, off_t position)
{
    lossy_begin();
    if (path_of(fd) && control_read_fails(path_of(fd)))
        return -1;
    return real.pread(fd, buffer, bytes, position);
}
ssize_t pread(int fd, void *buffer, size_t bytes, off_t position) __attribute__((alias("pread64")));

/* Takes no fault itself: who asks for what is in memory asks again when it is not. */
ssize_t preadv64v2(int fd, const struct iovec *vectors, int count, off_t position, int flags)
{
    lossy_begin();
    if (path_of(fd) && control_get(CONTROL_READ_FAIL_COUNT) > 0) {
        errno = EAGAIN;
        return -1;
    }
    return real.preadv2(fd, vectors, count, position, flags);
}
ssize_t preadv2(int fd, const struct iovec *vectors, int count, off_t position, int flags)
    __attribute__((alias("preadv64v2")));

/* ---- write ---- */

static size_t vectors_bytes(const struct iovec *vectors, int count)
{
    size_t sum = 0;

    for (int i = 0; i < count; i++)
        sum += vectors[i].iov_len;
    return sum;
}

/* The first `bytes` of the vectors; returns how many there are. */
static int vectors_cut(const struct iovec *vectors, int count, size_t bytes, struct iovec *out)
{
    int filled = 0;

    for (int i = 0; i < count && bytes > 0; i++) {
        out[filled] = vectors[i];
        if (out[filled].iov_len > bytes)
            out[filled].iov_len = bytes;
        bytes -= out[filled++].iov_len;
    }
    return filled;
}

/* Under the lock. How many bytes are written now; *error_out: what the caller is told instead, 0: nothing. */
static size_t bytes_allowed(const char *path, int64_t position, int64_t size, size_t bytes,
                            int *error_out)
{
    int64_t growth = position + (int64_t)bytes - (size > position ? size : position);
    int64_t left = control_get(CONTROL_SPACE_LEFT), one_in = control_get(CONTROL_SHORT_ONE_IN);

    if (control_strikes(CONTROL_WRITE_FAIL_SKIP, CONTROL_WRITE_FAIL_COUNT, path)) {
        control_add(CONTROL_WRITES_FAILED, 1);
        *error_out = EIO;
        return (size_t)control_random(bytes + 1); /* any prefix may be there all the same */
    }
    if (one_in > 0 && bytes > 1 && control_matches(path) && control_random((uint64_t)one_in) == 0) {
        control_add(CONTROL_WRITES_SHORT, 1);
        bytes = 1 + (size_t)control_random(bytes - 1);
        growth = position + (int64_t)bytes - (size > position ? size : position);
    }
    if (left >= 0 && growth > 0 && control_matches(path)) {
        if (growth > left) {
            control_add(CONTROL_WRITES_FAILED, 1);
            bytes -= (size_t)(growth - left) > bytes ? bytes : (size_t)(growth - left);
            growth = left;
        }
        control_add(CONTROL_SPACE_LEFT, -growth);
        if (bytes == 0)
            *error_out = ENOSPC;
    }
    return bytes;
}

static ssize_t write_watched(int fd, const char *path, const struct iovec *vectors, int count,
                             int64_t position)
{
    size_t bytes = vectors_bytes(vectors, count), allowed;
    struct iovec cut[IOV_MAX], old = {0};
    struct stat stat;
    ssize_t put = -1, got = 0;
    bool is_last;
    int error = 0;
    int64_t one_in = control_get(CONTROL_WRITE_DELAY_ONE_IN);

    lossy_lock();
    if (one_in > 0 && control_matches(path) && control_random((uint64_t)one_in) == 0) {
        int64_t us = (int64_t)control_random((uint64_t)control_get(CONTROL_WRITE_DELAY_MAX) + 1);

        lossy_unlock();
        control_pause_us(us);
        lossy_lock();
    }
    if (fstat(fd, &stat) != 0) {
        lossy_unlock();
        return -1;
    }
    control_add(CONTROL_WRITES, 1);
    allowed = bytes ? bytes_allowed(path, position, stat.st_size, bytes, &error) : 0;
    is_last = control_is_last_call();
    if (is_last && allowed > 1)
        allowed = (size_t)control_random(allowed) + 1;
    if (allowed > 0 || bytes == 0) {
        if (position < stat.st_size) {
            old.iov_len = allowed < (size_t)(stat.st_size - position)
                              ? allowed
                              : (size_t)(stat.st_size - position);
            old.iov_base = malloc(old.iov_len + 1);
            /* Its own descriptor: this one may be for writing only. */
            int reader = real.open(path, O_RDONLY | O_CLOEXEC);

            got = reader < 0 ? -1 : real.pread(reader, old.iov_base, old.iov_len, position);
            if (reader >= 0)
                real.close(reader);
            old.iov_len = got > 0 ? (size_t)got : 0;
        }
        journal_append(JOURNAL_WRITE, (int64_t)stat.st_ino, position, (int64_t)allowed,
                       stat.st_size, &old, 1);
        put = real.pwritev(fd, cut, vectors_cut(vectors, count, allowed, cut), position);
        free(old.iov_base);
    }
    if (is_last)
        control_die();
    lossy_unlock();
    if (error) {
        errno = error;
        return -1;
    }
    return put;
}

ssize_t pwritev64(int fd, const struct iovec *vectors, int count, off_t position)
{
    const char *path;

    lossy_begin();
    path = path_of(fd);
    if (!path)
        return real.pwritev(fd, vectors, count, position);
    return write_watched(fd, path, vectors, count, position);
}
ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t position)
    __attribute__((alias("pwritev64")));

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t position)
{
    struct iovec vector = {(void *)(uintptr_t)data, bytes};

    return pwritev64(fd, &vector, 1, position);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t position)
    __attribute__((alias("pwrite64")));

ssize_t write(int fd, const void *data, size_t bytes)
{
    struct iovec vector = {(void *)(uintptr_t)data, bytes};
    const char *path;
    off_t here;
    ssize_t put;

    lossy_begin();
    path = path_of(fd);
    if (!path)
        return real.write(fd, data, bytes);
    here = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    put = write_watched(fd, path, &vector, 1, here);
    if (put > 0)
        lseek(fd, here + put, SEEK_SET);
    return put;
}

int ftruncate64(int fd, off_t size)
{
    const char *path;
    struct stat stat;
    int result, reader;

    lossy_begin();
    path = path_of(fd);
    if (!path)
        return real.ftruncate(fd, size);
    lossy_lock();
    control_add(CONTROL_WRITES, 1);
    if (control_strikes(CONTROL_WRITE_FAIL_SKIP, CONTROL_WRITE_FAIL_COUNT, path)) {
        control_add(CONTROL_WRITES_FAILED, 1);
        lossy_unlock();
        errno = EIO;
        return -1;
    }
    if (fstat(fd, &stat) == 0 && stat.st_size != size) {
        reader = real.open(path, O_RDONLY | O_CLOEXEC);
        cut_off_save(reader, (int64_t)stat.st_ino, size, stat.st_size);
        if (reader >= 0)
            real.close(reader);
    }
    result = real.ftruncate(fd, size);
    if (control_is_last_call())
        control_die();
    lossy_unlock();
    return result;
}
int ftruncate(int fd, off_t size) __attribute__((alias("ftruncate64")));

/* Room without size is nothing that a power cut could show; room with size is not asked for by anybody. */
int fallocate64(int fd, int mode, off_t position, off_t size)
{
    int64_t left;

    lossy_begin();
    if (!path_of(fd))
        return real.fallocate(fd, mode, position, size);
    left = control_get(CONTROL_SPACE_LEFT);
    if (mode != FALLOC_FL_KEEP_SIZE || (left >= 0 && left < size && control_matches(path_of(fd)))) {
        errno = mode != FALLOC_FL_KEEP_SIZE ? EOPNOTSUPP : ENOSPC;
        return -1;
    }
    return real.fallocate(fd, mode, position, size);
}
int fallocate(int fd, int mode, off_t position, off_t size) __attribute__((alias("fallocate64")));

/* ---- sync ---- */

static int sync_watched(int fd, const char *path, int (*call)(int fd))
{
    int64_t low = control_get(CONTROL_SYNC_DELAY_MIN), high = control_get(CONTROL_SYNC_DELAY_MAX);
    int64_t lies = control_get(CONTROL_SYNC_LIES), covered, delay_us;
    struct stat stat;
    bool fails, is_last;
    int result = 0;

    if (fstat(fd, &stat) != 0)
        return -1;
    lossy_lock();
    control_add(CONTROL_SYNCS, 1);
    covered = journal_position();
    fails = control_strikes(CONTROL_SYNC_FAIL_SKIP, CONTROL_SYNC_FAIL_COUNT, path);
    is_last = control_is_last_call();
    delay_us = low + (high > low ? (int64_t)control_random((uint64_t)(high - low)) : 0);
    if (is_last && control_random(2) == 0)
        control_die();
    lossy_unlock();
    if (control_matches(path))
        control_pause_us(delay_us);
    if (control_get(CONTROL_SYNC_REAL))
        result = call(fd);
    lossy_lock();
    if (fails) {
        control_add(CONTROL_SYNCS_FAILED, 1);
        journal_append(JOURNAL_SYNC_FAIL, (int64_t)stat.st_ino, covered, 0, 0, NULL, 0);
    } else if (result == 0 && !(lies == 1 || (lies == 2 && S_ISDIR(stat.st_mode)))) {
        journal_append(JOURNAL_SYNC_OK, (int64_t)stat.st_ino, covered, 0, 0, NULL, 0);
    }
    if (is_last)
        control_die();
    lossy_unlock();
    if (fails) {
        errno = EIO;
        return -1;
    }
    return result;
}

int fsync(int fd)
{
    lossy_begin();
    return path_of(fd) ? sync_watched(fd, path_of(fd), real.fsync) : real.fsync(fd);
}

int fdatasync(int fd)
{
    lossy_begin();
    return path_of(fd) ? sync_watched(fd, path_of(fd), real.fdatasync) : real.fdatasync(fd);
}

/* ---- the rest ---- */

int statvfs64(const char *path, struct statvfs64 *out)
{
    int64_t left;
    int result;

    lossy_begin();
    result = real.statvfs(path, out);
    if (result != 0 || !lossy_is_below(path) || (left = control_get(CONTROL_SPACE_LEFT)) < 0)
        return result;
    if (out->f_bavail > (uint64_t)left / out->f_frsize)
        out->f_bavail = out->f_bfree = (uint64_t)left / out->f_frsize;
    return result;
}
int statvfs(const char *path, struct statvfs *out) __attribute__((alias("statvfs64")));

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int64_t offset_ms, ns;
    int result;

    lossy_begin();
    result = real.clock_gettime(clock, out);
    if (result != 0 || clock != CLOCK_REALTIME || !lossy_is_on())
        return result;
    offset_ms = control_get(CONTROL_WALL_OFFSET_MS);
    ns = out->tv_nsec + offset_ms % 1000 * 1000000;
    out->tv_sec += offset_ms / 1000 + ns / 1000000000 - (ns < 0);
    out->tv_nsec = ns % 1000000000 + (ns < 0 ? 1000000000 : 0);
    return result;
}

/* A ring of the kernel's would take its orders past us: there is none. */
long syscall(long number, ...)
{
    va_list arguments;
    long a[6];

    lossy_begin();
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_io_uring_setup) {
        errno = ENOSYS;
        return -1;
    }
    return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
