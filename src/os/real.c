/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real.c: the real machine as a whole: its table, clocks, entropy, birth and end.
 */
#include "os/real_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

int64_t real_now_ns(struct os *os)
{
    struct timespec now;

    UNUSED(os);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_wall_ms(struct os *os)
{
    struct timespec now;

    UNUSED(os);
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void real_entropy(struct os *os, void *out, size_t size_bytes)
{
    uint8_t *at = out;

    UNUSED(os);
    while (size_bytes > 0) {
        ssize_t got = getrandom(at, size_bytes, 0);

        if (got < 0) {
            ASSERT(errno == EINTR); /* no node may run on guessable ids and keys */
            continue;
        }
        at += got;
        size_bytes -= (size_t)got;
    }
}

static void real_release(struct os *os)
{
    struct real_os *real = CONTAINER_OF(os, struct real_os, base);

    signals_fini(&real->signals);
    pool_fini(&real->name_pool);
    pool_fini(&real->job_pool);
    pool_fini(&real->file_pool);
    ALLOCATOR_DELETE(&heap_allocator, real);
}

const struct os_table real_table = {
    .now_ns = real_now_ns,
    .wall_ms = real_wall_ms,
    .entropy = real_entropy,
    .file_open = real_file_open,
    .file_close = real_file_close,
    .file_read = real_file_read,
    .file_write = real_file_write,
    .file_sync = real_file_sync,
    .file_truncate = real_file_truncate,
    .file_reserve = real_file_reserve,
    .file_size = real_file_size,
    .file_lock = real_file_lock,
    .stat = real_stat,
    .list = real_list,
    .make_directory = real_make_directory,
    .sync_directory = real_sync_directory,
    .rename = real_rename,
    .unlink = real_unlink,
    .remove_directory = real_remove_directory,
    .disk_space = real_disk_space,
    .port_create = real_port_create,
    .port_release = real_port_release,
    .port_submit = real_port_submit,
    .port_poll = real_port_poll,
    .port_wake = real_port_wake,
    .port_on_ready = real_port_on_ready,
    .port_set_deadline = real_port_set_deadline,
    .listen = real_listen,
    .socket_close = real_socket_close,
    .socket_local_address = real_socket_local_address,
    .socket_peer_address = real_socket_peer_address,
    .socket_set_buffers = real_socket_set_buffers,
    .socket_detach = real_socket_detach,
    .socket_attach = real_socket_attach,
    .socket_await = real_socket_await,
    .socket_is_readable = real_socket_is_readable,
    .thread_start = real_thread_start,
    .thread_join = real_thread_join,
    .core_count = real_core_count,
    .descriptors_max = real_descriptors_max,
    .host_name = real_host_name,
    .usage = real_usage,
    .memory_trim = real_memory_trim,
    .on_signal = real_on_signal,
    .release = real_release,
};

#define NAME_THREADS_MAX 2
/* They wait for the disk, not for a core. Syncs of different files that wait together end with one commit of
 * the file system's journal; one after another each would pay for its own. */
#define FILE_THREADS_MIN 16

static enum err pools_init(struct real_os *real, int thread_count, int file_thread_count)
{
    enum err err = pool_init(&real->file_pool, "files", file_thread_count);

    if (err != OK)
        return err;
    err = pool_init(&real->job_pool, "jobs", thread_count);
    if (err == OK) {
        err = pool_init(&real->name_pool, "names", NAME_THREADS_MAX);
        if (err != OK)
            pool_fini(&real->job_pool);
    }
    if (err != OK)
        pool_fini(&real->file_pool);
    return err;
}

/* As far as the administrator lets us, as Java does: the soft limit is often 1,024, for programs that call
 * select. */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* A parent may have closed standard input, output or error. The next files would get these numbers, and what is
 * printed would be written into them. What stands there instead takes and gives nothing. */
static enum err standard_descriptors_hold(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/", O_PATH | O_CLOEXEC) < 0)
            return real_err(errno);
    return OK;
}

enum err os_real_create(const struct os_real_options *options, struct os **out)
{
    struct real_os *real = ALLOCATOR_NEW(&heap_allocator, struct real_os);
    int thread_count = options ? options->pool_threads : 0;
    int file_thread_count = thread_count;
    enum err err;

    *out = NULL;
    if (!real)
        return ERR_NO_MEMORY;
    real->base.table = &real_table;
    err = standard_descriptors_hold();
    if (err != OK) {
        ALLOCATOR_DELETE(&heap_allocator, real);
        return err;
    }
    descriptors_raise();
    if (thread_count <= 0) {
        thread_count = real_core_count(&real->base);
        thread_count = MAX(thread_count, 2);
        file_thread_count = MAX(thread_count, FILE_THREADS_MIN);
    }
    err = pools_init(real, thread_count, file_thread_count);
    if (err != OK) {
        ALLOCATOR_DELETE(&heap_allocator, real);
        return err;
    }
    *out = &real->base;
    /* A later lack of threads must not leave a sync or a job without any. */
    err = pool_start(&real->file_pool);
    if (err == OK)
        err = pool_start(&real->job_pool);
    if (err != OK) {
        os_release(out);
        return err;
    }
    /* A peer that closes is an error of the write, not a death of the process, and so is a file that may grow no
     * more (ulimit -f), were it the one that log lines go to. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return OK;
}
