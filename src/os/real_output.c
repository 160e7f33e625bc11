/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_output.c: standard output for lines, without ever waiting for whoever reads it.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* Others have descriptor 1 too: it cannot be told not to wait, and a terminal that has room for a byte lets a line
 * wait for the rest. What the name in /proc gives is our own. A file never waits, and shares its position. */
struct os_output os_output_open(void)
{
    struct os_output output = {STDOUT_FILENO, PTHREAD_MUTEX_INITIALIZER};
    struct stat stat;
    int fd;

    if (fstat(STDOUT_FILENO, &stat) < 0 || !(S_ISCHR(stat.st_mode) || S_ISFIFO(stat.st_mode)))
        return output;
    fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        output.fd = fd;
    return output;
}

void os_output_close(struct os_output *output)
{
    if (output->fd != STDOUT_FILENO)
        close(output->fd);
    output->fd = STDOUT_FILENO;
}

void os_output_lock(struct os_output *output)
{
    pthread_mutex_lock(&output->lock);
}

void os_output_unlock(struct os_output *output)
{
    pthread_mutex_unlock(&output->lock);
}

bool os_output_wait(const struct os_output *output, int wait_ms)
{
    struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};
    int ready;

    do
        ready = poll(&poll_fd, 1, wait_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

size_t os_output_put(const struct os_output *output, const void *bytes, size_t size_bytes)
{
    ssize_t put;

    do
        put = write(output->fd, bytes, size_bytes);
    while (put < 0 && errno == EINTR);
    return put > 0 ? (size_t)put : 0;
}
