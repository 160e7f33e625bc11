/* SPDX-License-Identifier: Apache-2.0 */
#include "floor_log.h"

#include <fcntl.h>
#include <isa-l.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "wire.h"

/* What is reserved of the disk at a time, as brokers reserve: of few files, and of each of many. */
enum { RESERVE_FEW = 32 << 20, RESERVE_MANY = 256 << 10, FEW = 16 };
/* So few waits for one file are over sooner without a thread that has to be woken up. */
enum { ITSELF_MAX = 8 };

struct waits {
    struct floor_wait **all;
    size_t count, room;
};

struct file {
    int fd;
    int64_t size, reserved, appends;
    bool is_waited, is_syncing; /* is_waited: in `waited`, to be synced */
    struct waits next, now;     /* for the sync that comes, for the one that runs */
};

struct list {
    uint32_t *files, count, first; /* first: of a ring */
};

struct floor_log {
    uint32_t file_count, thread_count, crc;
    uint32_t running; /* syncs of threads */
    bool is_durable;
    int64_t reserve;
    struct file *files;
    struct list waited; /* the turn's own */
    int event;
    pthread_mutex_t mutex; /* of what is below */
    pthread_cond_t work;
    struct list to_sync, synced;
    uint32_t idle;
};

static void waits_add(struct waits *waits, struct floor_wait *wait)
{
    if (waits->count == waits->room) {
        waits->room = waits->room > 0 ? 2 * waits->room : 16;
        waits->all = realloc(waits->all, waits->room * sizeof(*waits->all));
        if (waits->all == NULL)
            wire_die("no memory");
    }
    waits->all[waits->count++] = wait;
}

static void file_sync(struct floor_log *log, uint32_t file)
{
    if (fdatasync(log->files[file].fd) != 0)
        wire_die_errno("sync");
}

static void *syncs_run(void *context)
{
    struct floor_log *log = context;
    const uint64_t one = 1;

    pthread_mutex_lock(&log->mutex);
    for (;;) {
        uint32_t file;

        while (log->to_sync.count == 0) {
            log->idle++;
            pthread_cond_wait(&log->work, &log->mutex);
            log->idle--;
        }
        file = log->to_sync.files[log->to_sync.first];
        log->to_sync.first = (log->to_sync.first + 1) % log->file_count;
        log->to_sync.count--;
        pthread_mutex_unlock(&log->mutex);
        file_sync(log, file);
        pthread_mutex_lock(&log->mutex);
        log->synced.files[log->synced.count++] = file;
        if (log->synced.count == 1 && write(log->event, &one, sizeof(one)) != sizeof(one))
            wire_die_errno("event");
    }
    return NULL;
}

struct floor_log *floor_log_new(const char *folder, uint32_t file_count, bool is_durable,
                                uint32_t thread_count)
{
    struct floor_log *log = wire_reserve(1, sizeof(*log));

    log->file_count = file_count;
    log->is_durable = is_durable;
    log->thread_count = is_durable ? thread_count : 0;
    log->reserve = file_count <= FEW ? RESERVE_FEW : RESERVE_MANY;
    log->files = wire_reserve(file_count, sizeof(*log->files));
    log->waited.files = wire_reserve(file_count, sizeof(uint32_t));
    log->to_sync.files = wire_reserve(file_count, sizeof(uint32_t));
    log->synced.files = wire_reserve(file_count, sizeof(uint32_t));
    for (uint32_t i = 0; i < file_count; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/floor-log-%d-%u", folder, (int)getpid(), i);
        log->files[i].fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (log->files[i].fd < 0)
            wire_die_errno(path);
        unlink(path);
    }
    pthread_mutex_init(&log->mutex, NULL);
    pthread_cond_init(&log->work, NULL);
    log->event = log->thread_count > 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    for (uint32_t i = 0; i < log->thread_count; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, syncs_run, log) != 0)
            wire_die("no thread");
    }
    return log;
}

uint32_t floor_log_files(const struct floor_log *log)
{
    return log->file_count;
}

int floor_log_event(const struct floor_log *log)
{
    return log->event;
}

int64_t floor_log_append(struct floor_log *log, uint32_t index, const uint8_t *bytes, size_t size,
                         struct floor_wait *wait)
{
    struct file *file = &log->files[index];

    log->crc = crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)size, log->crc);
    if (log->is_durable && file->size + (int64_t)size > file->reserved) {
        file->reserved += log->reserve; /* where the file system cannot, it is done without */
        (void)!fallocate(file->fd, FALLOC_FL_KEEP_SIZE, file->reserved - log->reserve,
                         log->reserve);
    }
    if (pwrite(file->fd, bytes, size, file->size) != (ssize_t)size)
        wire_die_errno("append");
    file->size += (int64_t)size;
    if (log->is_durable && wait != NULL) {
        wait->files++;
        waits_add(&file->next, wait);
        if (!file->is_waited)
            log->waited.files[log->waited.count++] = index;
        file->is_waited = true;
    }
    return file->appends++;
}

static void sync_begin(struct file *file)
{
    struct waits spare = file->now;

    file->now = file->next;
    file->next = spare;
    file->next.count = 0;
    file->is_waited = false;
    file->is_syncing = true;
}

static void sync_end(struct file *file)
{
    for (size_t i = 0; i < file->now.count; i++)
        file->now.all[i]->files--;
    file->now.count = 0;
    file->is_syncing = false;
}

static bool turn_sync_itself(struct floor_log *log)
{
    bool any = log->waited.count > 0;

    for (uint32_t i = 0; i < log->waited.count; i++) {
        struct file *file = &log->files[log->waited.files[i]];

        sync_begin(file);
        file_sync(log, log->waited.files[i]);
        sync_end(file);
    }
    log->waited.count = 0;
    return any;
}

bool floor_log_turn(struct floor_log *log)
{
    uint32_t kept = 0, begun = 0;
    uint64_t events;

    if (log->thread_count == 0 || (log->running == 0 && log->waited.count == 1 &&
                                   log->files[log->waited.files[0]].next.count <= ITSELF_MAX))
        return turn_sync_itself(log);
    (void)!read(log->event, &events, sizeof(events));
    pthread_mutex_lock(&log->mutex);
    for (uint32_t i = 0; i < log->synced.count; i++)
        sync_end(&log->files[log->synced.files[i]]);
    log->running -= log->synced.count;
    log->synced.count = 0;
    for (uint32_t i = 0; i < log->waited.count; i++) {
        uint32_t file = log->waited.files[i];

        if (log->files[file].is_syncing) {
            log->waited.files[kept++] = file; /* in a turn after the sync that runs */
            continue;
        }
        sync_begin(&log->files[file]);
        log->to_sync.files[(log->to_sync.first + log->to_sync.count++) % log->file_count] = file;
        begun++;
    }
    log->waited.count = kept;
    log->running += begun;
    for (uint32_t i = 0; i < begun && i < log->idle; i++)
        pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->mutex);
    return false;
}
