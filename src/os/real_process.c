/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_process.c: threads for shards, and what the process can say about itself and its machine.
 */
#include "os/real_internal.h"

#include "base/fmt.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- threads ---- */

struct real_thread {
    struct os_thread base;
    pthread_t thread;
    void (*run)(void *context);
    void *context;
};

static void *thread_main(void *context)
{
    struct real_thread *thread = context;

    thread->run(thread->context);
    return NULL;
}

enum err real_thread_start(struct os *os, const char *name, void (*run)(void *context),
                           void *context, struct os_thread **out)
{
    struct real_thread *thread = ALLOCATOR_NEW(&heap_allocator, struct real_thread);
    enum err err;

    UNUSED(os);
    if (!thread)
        return ERR_NO_MEMORY;
    thread->base.table = &real_table;
    thread->run = run;
    thread->context = context;
    err = thread_create(name, thread_main, thread, &thread->thread);
    if (err != OK) {
        ALLOCATOR_DELETE(&heap_allocator, thread);
        return err;
    }
    *out = &thread->base;
    return OK;
}

void real_thread_join(struct os_thread *base)
{
    struct real_thread *thread = CONTAINER_OF(base, struct real_thread, base);

    pthread_join(thread->thread, NULL);
    ALLOCATOR_DELETE(&heap_allocator, thread);
}

/* ---- small files of /proc and /sys ---- */

/* NUL-terminated; false when there is none. */
static bool read_text(const char *path, char *out, size_t capacity_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return false;
    got = read(fd, out, capacity_bytes - 1);
    close(fd);
    if (got < 0)
        return false;
    out[got] = '\0';
    return true;
}

/* The number at *at, past blanks; -1 when there is none. */
static int64_t next_number(const char **at)
{
    int64_t number = 0;

    while (**at == ' ')
        (*at)++;
    if (**at < '0' || **at > '9')
        return -1;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (number > (INT64_MAX - 9) / 10)
            return -1;
        number = number * 10 + (**at - '0');
    }
    return number;
}

/* ---- cores ---- */

/* The bandwidth limit of a container: "<quota> <period>" or "max <period>". */
static int64_t quota_cores(void)
{
    char text[64];
    const char *at = text;
    int64_t quota_us;
    int64_t period_us;

    if (!read_text("/sys/fs/cgroup/cpu.max", text, sizeof(text)))
        return INT_MAX;
    quota_us = next_number(&at);
    period_us = next_number(&at);
    if (quota_us <= 0 || period_us <= 0)
        return INT_MAX;
    return MAX(quota_us / period_us + (quota_us % period_us != 0), (int64_t)1);
}

int64_t real_descriptors_max(struct os *os)
{
    struct rlimit limit;

    UNUSED(os);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > (rlim_t)INT64_MAX)
        return INT64_MAX;
    return (int64_t)limit.rlim_cur;
}

int real_core_count(struct os *os)
{
    cpu_set_t set;
    int64_t quota;
    int count = 1;

    UNUSED(os);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        count = CPU_COUNT(&set);
    } else {
        long online = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than a cpu_set_t holds */

        count = online > 0 ? (int)MIN(online, (long)INT_MAX) : 1;
    }
    quota = quota_cores();
    return (int)MIN((int64_t)MAX(count, 1), quota);
}

/* ---- names ---- */

enum err real_host_name(struct os *os, char *out, size_t capacity_bytes)
{
    char name[256];
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME};
    struct addrinfo *found = NULL;
    size_t size_bytes;

    UNUSED(os);
    if (gethostname(name, sizeof(name)) < 0)
        return real_err(errno);
    name[sizeof(name) - 1] = '\0';
    if (getaddrinfo(name, NULL, &hints, &found) == 0 && found->ai_canonname)
        size_bytes = fmt(out, capacity_bytes, "%s", found->ai_canonname);
    else
        size_bytes = fmt(out, capacity_bytes, "%s", name);
    if (found)
        freeaddrinfo(found);
    return size_bytes < capacity_bytes ? OK : ERR_TOO_LARGE;
}

/* ---- usage ---- */

static int64_t resident_bytes(void)
{
    char text[128];
    const char *at = text;
    int64_t pages;

    if (!read_text("/proc/self/statm", text, sizeof(text)))
        return 0;
    next_number(&at); /* the size of the address space */
    pages = next_number(&at);
    return pages < 0 ? 0 : pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = -1; /* without the directory's own */

    if (!directory)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.')
            count++;
    }
    closedir(directory);
    return MAX(count, (int64_t)0);
}

void real_usage(struct os *os, struct os_usage *out)
{
    struct rusage usage;

    UNUSED(os);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->user_cpu_us = (int64_t)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
        out->system_cpu_us = (int64_t)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    }
    out->resident_bytes = resident_bytes();
    out->open_files = open_files();
}

void real_memory_trim(struct os *os)
{
    UNUSED(os);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
