/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos/lossy_journal.c: the journal of the lossy disk: everything that is needed to take back what no sync has
 * covered. It is written with plain writes: the page cache outlives the kill of a process.
 */
#include "lossy_disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct real_calls real;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *root; /* only what lies below it is watched */
static const char *journal_path;
static int journal_fd = -1;
static int64_t position_bytes;

static void *find(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found) {
        fprintf(stderr, "lossy disk: libc has no %s\n", name);
        abort();
    }
    return found;
}
#define FIND(field, name) (real.field = (__typeof__(real.field))find(name))

static void begin_once(void)
{
    char path[4096];
    const char *control = getenv("LOSSY_CONTROL");

    FIND(open, "open64");
    FIND(close, "close");
    FIND(pread, "pread64");
    FIND(preadv2, "preadv64v2");
    FIND(write, "write");
    FIND(writev, "writev");
    FIND(pwritev, "pwritev64");
    FIND(ftruncate, "ftruncate64");
    FIND(fallocate, "fallocate64");
    FIND(fsync, "fsync");
    FIND(fdatasync, "fdatasync");
    FIND(rename, "rename");
    FIND(unlink, "unlink");
    FIND(rmdir, "rmdir");
    FIND(mkdir, "mkdir");
    FIND(clock_gettime, "clock_gettime");
    FIND(statvfs, "statvfs64");
    FIND(syscall, "syscall");
    root = getenv("LOSSY_ROOT");
    journal_path = getenv("LOSSY_JOURNAL");
    if (!root || !journal_path || !control)
        return;
    control_begin(control);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no run leaves a node behind */
    snprintf(path, sizeof path, "%s/journal", journal_path);
    journal_fd = real.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (journal_fd < 0) {
        fprintf(stderr, "lossy disk: %s: %s\n", path, strerror(errno));
        abort();
    }
    position_bytes = lseek(journal_fd, 0, SEEK_END);
    journal_append(JOURNAL_START, 0, 0, 0, 0, NULL, 0);
}

void lossy_begin(void)
{
    pthread_once(&once, begin_once);
}

bool lossy_is_on(void)
{
    return journal_fd >= 0;
}

bool lossy_is_below(const char *path)
{
    size_t length;

    if (journal_fd < 0)
        return false;
    length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

void lossy_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void lossy_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

int64_t journal_append(enum journal_kind kind, int64_t inode, int64_t a, int64_t b, int64_t c,
                       const struct iovec *data, int data_count)
{
    struct journal_entry entry = {
        .magic = JOURNAL_MAGIC, .kind = kind, .inode = inode, .a = a, .b = b, .c = c};
    struct iovec vectors[4] = {{&entry, sizeof entry}};
    int64_t here = position_bytes;
    ssize_t due = sizeof entry;

    for (int i = 0; i < data_count; i++) {
        vectors[i + 1] = data[i];
        entry.data_bytes += (int64_t)data[i].iov_len;
        due += (ssize_t)data[i].iov_len;
    }
    if (real.writev(journal_fd, vectors, data_count + 1) != due) {
        fprintf(stderr, "lossy disk: the journal cannot be written: %s\n", strerror(errno));
        abort();
    }
    position_bytes += due;
    return here;
}

int64_t journal_position(void)
{
    return position_bytes;
}

void journal_kept_path(char *out, size_t capacity_bytes)
{
    snprintf(out, capacity_bytes, "%s/kept/%lld", journal_path, (long long)position_bytes);
}
