/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_file.c: calls on open files, and the reads and writes that a shard may do itself because
 * they only copy to or from the page cache.
 */
#include "os/real_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than this is a pool's work even when all of it is in memory. */
#define INLINE_BYTES_MAX (1 * MIB)
/* An inline write that took longer, and slept meanwhile, met dirty throttling or a busy journal: the
 * file's next writes go through the pool for a while. One that did not sleep was only not let run,
 * and a pool's thread would not be either. To count sleeps is a system call more: it is done for
 * some time after a write that took long. */
#define INLINE_WRITE_NS_MAX ((int64_t)5 * 1000000)
#define SLOW_FOR_NS ((int64_t)1000 * 1000000)
#define WATCHED_FOR_NS ((int64_t)10000 * 1000000)

static struct real_file *real_of(struct os_file *file)
{
    return CONTAINER_OF(file, struct real_file, base);
}

/* ---- vectors ---- */

size_t vectors_fill(struct iovec *vectors, size_t capacity, const struct slice *slices,
                    size_t count, size_t index, size_t offset)
{
    size_t filled = 0;

    for (size_t i = index; i < count && filled < capacity; i++) {
        size_t skip = i == index ? offset : 0;

        if (slices[i].size_bytes == skip)
            continue;
        vectors[filled].iov_base = (void *)(uintptr_t)(slices[i].data + skip);
        vectors[filled].iov_len = slices[i].size_bytes - skip;
        filled++;
    }
    return filled;
}

void vectors_advance(const struct slice *slices, size_t count, size_t *index, size_t *offset,
                     size_t size_bytes)
{
    while (*index < count) {
        size_t left = slices[*index].size_bytes - *offset;

        if (size_bytes < left) {
            *offset += size_bytes;
            return;
        }
        size_bytes -= left;
        *offset = 0;
        (*index)++;
    }
    ASSERT(size_bytes == 0);
}

/* ---- open and close ---- */

static int open_flags(unsigned flags)
{
    int native = O_CLOEXEC;

    if ((flags & OS_OPEN_READ) && (flags & OS_OPEN_WRITE))
        native |= O_RDWR;
    else
        native |= flags & OS_OPEN_WRITE ? O_WRONLY : O_RDONLY;
    if (flags & OS_OPEN_CREATE)
        native |= O_CREAT;
    if (flags & OS_OPEN_EXCLUSIVE)
        native |= O_EXCL;
    if (flags & OS_OPEN_TRUNCATE)
        native |= O_TRUNC;
    return native;
}

static int open_again(const char *path, int native)
{
    int fd;

    do
        fd = open(path, native, 0640);
    while (fd < 0 && errno == EINTR);
    return fd;
}

enum err real_file_open(struct os *os, const char *path, unsigned flags, struct os_file **out)
{
    struct real_file *file = ALLOCATOR_NEW(&heap_allocator, struct real_file);
    int native = open_flags(flags);
    bool is_direct = (flags & OS_OPEN_DIRECT) != 0;

    UNUSED(os);
    if (!file)
        return ERR_NO_MEMORY;
    file->base.table = &real_table;
    file->fd = open_again(path, is_direct ? native | O_DIRECT : native);
    if (file->fd < 0 && is_direct && errno == EINVAL) {
        is_direct = false;
        /* The refused open may have created the file already. */
        file->fd = open_again(path, native & ~O_EXCL);
    }
    if (file->fd < 0) {
        enum err err = real_err(errno);

        ALLOCATOR_DELETE(&heap_allocator, file);
        return err;
    }
    atomic_init(&file->is_direct, is_direct);
    *out = &file->base;
    return OK;
}

void real_file_close(struct os_file *file)
{
    struct real_file *real = real_of(file);

    /* EINTR: the descriptor is gone all the same. Write errors were told by sync. */
    close(real->fd);
    ALLOCATOR_DELETE(&heap_allocator, real);
}

/* The file system took O_DIRECT at open and refuses this range or buffer: use the cache then. */
static bool leave_direct(struct real_file *file)
{
    int flags;

    if (!atomic_load_explicit(&file->is_direct, memory_order_relaxed))
        return false;
    flags = fcntl(file->fd, F_GETFL);
    if (flags < 0 || fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) < 0)
        return false;
    atomic_store_explicit(&file->is_direct, false, memory_order_relaxed);
    return true;
}

/* ---- read and write ---- */

enum err real_file_read(struct os_file *file, void *buffer, size_t size_bytes,
                        int64_t position_bytes, size_t *read_bytes_out)
{
    struct real_file *real = real_of(file);
    size_t done = 0;

    while (done < size_bytes) {
        ssize_t got = pread(real->fd, (uint8_t *)buffer + done, size_bytes - done,
                            position_bytes + (int64_t)done);

        if (got < 0 && errno == ESPIPE) /* has no positions: what comes next */
            got = read(real->fd, (uint8_t *)buffer + done, size_bytes - done);
        if (got < 0 && (errno == EINTR || (errno == EINVAL && leave_direct(real))))
            continue;
        if (got < 0)
            return real_err(errno);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *read_bytes_out = done;
    return OK;
}

enum err real_file_write(struct os_file *file, const struct slice *slices, size_t count,
                         int64_t position_bytes)
{
    struct real_file *real = real_of(file);
    struct iovec vectors[VECTORS_MAX];
    size_t index = 0;
    size_t offset = 0;

    for (;;) {
        size_t filled = vectors_fill(vectors, VECTORS_MAX, slices, count, index, offset);
        ssize_t put;

        if (filled == 0)
            return OK;
        /* Most appends are one piece, and the kernel reads no list then. */
        put = filled == 1
                  ? pwrite(real->fd, vectors[0].iov_base, vectors[0].iov_len, position_bytes)
                  : pwritev(real->fd, vectors, (int)filled, position_bytes);
        if (put < 0 && (errno == EINTR || (errno == EINVAL && leave_direct(real))))
            continue;
        if (put < 0)
            return real_err(errno);
        if (put == 0)
            return ERR_IO; /* no progress and no reason: do not try for ever */
        position_bytes += put;
        vectors_advance(slices, count, &index, &offset, (size_t)put);
    }
}

/* Only what the page cache has. A short answer is the end of file or a page that is not there: the
 * next round tells. */
static bool try_read(struct real_file *file, struct os_op *op)
{
    size_t done = 0;

    if (op->size_bytes > INLINE_BYTES_MAX ||
        atomic_load_explicit(&file->has_no_nowait, memory_order_relaxed))
        return false;
    while (done < op->size_bytes) {
        struct iovec vector = {(uint8_t *)op->buffer + done, op->size_bytes - done};
        ssize_t got = preadv2(file->fd, &vector, 1, op->position_bytes + (int64_t)done, RWF_NOWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            if (errno == EOPNOTSUPP || errno == ENOSYS)
                atomic_store_explicit(&file->has_no_nowait, true, memory_order_relaxed);
            return false; /* whatever it was, the blocking call will meet it */
        }
        if (got == 0)
            break;
        done += (size_t)got;
    }
    op->result = (int64_t)done;
    return true;
}

/* How often this thread gave up its core by itself; -1: the kernel does not tell. */
static int64_t thread_sleeps(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (int64_t)usage.ru_nvcsw : -1;
}

static bool try_write(struct os *os, struct real_file *file, struct os_op *op)
{
    int64_t start_ns = real_now_ns(os);
    int64_t sleeps = -1;
    size_t size_bytes = 0;
    bool is_watched;

    for (size_t i = 0; i < op->slice_count; i++)
        size_bytes += op->slices[i].size_bytes;
    if (size_bytes > INLINE_BYTES_MAX ||
        start_ns < atomic_load_explicit(&file->slow_until_ns, memory_order_relaxed))
        return false;
    is_watched = start_ns < atomic_load_explicit(&file->watched_until_ns, memory_order_relaxed);
    if (is_watched)
        sleeps = thread_sleeps();
    os_op_run_blocking(os, op);
    if (real_now_ns(os) - start_ns <= INLINE_WRITE_NS_MAX)
        return true;
    if (is_watched && (sleeps < 0 || thread_sleeps() != sleeps))
        atomic_store_explicit(&file->slow_until_ns, start_ns + SLOW_FOR_NS, memory_order_relaxed);
    atomic_store_explicit(&file->watched_until_ns, start_ns + WATCHED_FOR_NS, memory_order_relaxed);
    return true;
}

bool real_file_try_now(struct os *os, struct os_op *op)
{
    struct real_file *file = real_of(op->file);

    ASSERT(op->position_bytes >= 0);
    if (atomic_load_explicit(&file->is_direct, memory_order_relaxed))
        return false;
    return op->kind == OS_OP_READ ? try_read(file, op) : try_write(os, file, op);
}

/* ---- the rest ---- */

enum err real_file_sync(struct os_file *file)
{
    while (fdatasync(real_of(file)->fd) < 0) {
        if (errno != EINTR)
            return real_sync_err(errno);
    }
    return OK;
}

enum err real_file_truncate(struct os_file *file, int64_t size_bytes)
{
    while (ftruncate(real_of(file)->fd, size_bytes) < 0) {
        if (errno != EINTR)
            return real_err(errno);
    }
    return OK;
}

enum err real_file_reserve(struct os_file *file, int64_t position_bytes, int64_t size_bytes)
{
    if (size_bytes == 0)
        return OK;
    while (fallocate(real_of(file)->fd, FALLOC_FL_KEEP_SIZE, position_bytes, size_bytes) < 0) {
        if (errno != EINTR)
            return real_err(errno);
    }
    return OK;
}

enum err real_file_size(struct os_file *file, int64_t *size_bytes_out)
{
    struct stat stat;

    if (fstat(real_of(file)->fd, &stat) < 0)
        return real_err(errno);
    *size_bytes_out = stat.st_size;
    return OK;
}

/* A lock of the open file description: it conflicts with the record lock that a Java process takes
 * on the same file, and unlike that one it is not lost when another descriptor of the file is
 * closed. */
enum err real_file_lock(struct os_file *file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    while (fcntl(real_of(file)->fd, F_OFD_SETLK, &lock) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return ERR_LOCKED;
        if (errno != EINTR)
            return real_err(errno);
    }
    return OK;
}
