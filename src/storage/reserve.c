/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/reserve.c: the blocks that a fast log will write to next are taken from the file system ahead, many at a
 * time and off the shard, instead of one by one in each append. Sizes stay as they are. docs/design/storage.md,
 * "Blocks ahead".
 *
 *   write ends → grown by a look in a short time? → job: room? reserve [written, written + a step) → …
 *   sealed: the full flush gives the rest back;   grows no more, or low on space: a tick does
 *
 * Invariants  1. nothing fails because blocks could not be had ahead.
 *             2. the active segment is cut to its size only while no write is under way or begins.
 *             3. what lies behind the end of a segment that grows no more is given back: here, by its full flush, when
 *                the log is cut or closed, and after a crash when it is opened.
 * Threads     the store's; the job touches files alone.
 */
#include "storage/shard.h"

#include "base/fault_point.h"

#define LOOK_BYTES ((int64_t)(8 * MIB))
#define LOOK_MS 2000                       /* in which a fast log grows by so much */
#define AHEAD_BYTES ((int64_t)(64 * MIB))  /* at most, and no more than the segment has */
#define EARLY_BYTES ((int64_t)(128 * KIB)) /* of a fault point */
#define ROOM_SHARE 32                      /* a reservation takes no more of what is free */
#define IDLE_MS 30000                      /* grown by less than a look in so long */
#define TICK_MS 10000

struct ahead_job {
    struct os_op op;
    struct log *log;
    struct segment *segment;
    int64_t from_bytes;
    int64_t to_bytes; /* -1: give back what lies behind from_bytes */
    char path[PATH_BYTES];
};

static enum err ahead_take(struct ahead_job *job)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    const struct storage_options *options = log_options(job->log);
    int64_t free_bytes;
    int64_t total_bytes;
    int64_t size_bytes = job->to_bytes - job->from_bytes;

    TRY(os_disk_space(log_os(job->log), job->log->directory->path, &free_bytes, &total_bytes));
    free_bytes -= options->low_space_bytes + options->reserve_bytes;
    if (free_bytes / ROOM_SHARE < size_bytes)
        return ERR_DISK_FULL;
    TRY(os_file_open(log_os(job->log), job->path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    return os_file_reserve(file, job->from_bytes, size_bytes);
}

static enum err ahead_give_back(struct ahead_job *job)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;

    TRY(os_file_open(log_os(job->log), job->path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    return os_file_truncate(file, job->from_bytes);
}

static void ahead_run(struct os_op *op)
{
    struct ahead_job *job = CONTAINER_OF(op, struct ahead_job, op);

    op->err = job->to_bytes >= 0 ? ahead_take(job) : ahead_give_back(job);
}

static void ahead_done(struct os_op *op);

static void ahead_submit(struct log *log, struct segment *segment, int64_t from_bytes,
                         int64_t to_bytes)
{
    struct ahead_job *job = STORAGE_NEW(struct ahead_job);

    job->log = log;
    job->segment = segment_ref(segment);
    job->from_bytes = from_bytes;
    job->to_bytes = to_bytes;
    segment_path(segment, ".log", job->path);
    job->op.kind = OS_OP_JOB;
    job->op.run = ahead_run;
    job->op.done = ahead_done;
    log->reserving = true;
    log_busy_begin(log);
    reactor_submit(log->store->reactor, &job->op);
}

/* Nobody writes to it: `giving_back` holds off what would. */
static void give_back(struct log *log, struct segment *segment)
{
    ASSERT(!log->reserving && (segment->sealed || !log->writing));
    ASSERT(!segment->sealed || segment->written_bytes == segment->size_bytes);
    log->giving_back = !segment->sealed;
    ahead_submit(log, segment, segment->written_bytes, -1);
}

static void nothing_left(struct segment *segment)
{
    segment->reserved_bytes = 0;
    list_remove(&segment->reserved);
}

static void ahead_done(struct os_op *op)
{
    struct ahead_job *job = CONTAINER_OF(op, struct ahead_job, op);
    struct log *log = job->log;
    struct segment *segment = job->segment;
    int64_t to_bytes = job->to_bytes;
    bool has_taken = to_bytes >= 0;
    enum err err = op->err; /* the operation is of the job */

    if (err != OK)
        LOG_DEBUG(log_logger(log), "storage", "not_reserved", "file=%s error=%s", job->path,
                  err_name(err));
    STORAGE_DELETE(job);
    log->reserving = false;
    log->giving_back = false;
    if (has_taken) {
        segment->reserve_refused = err != OK; /* in this segment it is not asked for again */
        segment->reserved_bytes = to_bytes; /* a faster full flush said none: the tick sees to it */
    } else {
        if (err == OK)
            nothing_left(segment);
        log_write_kick(log);
    }
    segment_release(&segment);
    log_busy_end(log);
}

/* How far to reserve now; 0: not at all. */
static int64_t ahead_wish(const struct log *log, struct segment *segment, bool early)
{
    int64_t now_ms = reactor_now_ms(log->store->reactor);
    int64_t written_bytes = segment->written_bytes;
    bool is_fast = now_ms - segment->grown_ms <= LOOK_MS;

    segment->grown_bytes = written_bytes;
    segment->grown_ms = now_ms;
    if (segment->sealed || segment->reserve_refused || segment->log->config.preallocate)
        return 0;
    if (early)
        return MIN(written_bytes + EARLY_BYTES, log->config.segment_bytes);
    if (!is_fast || segment->reserved_bytes - written_bytes >= 2 * LOOK_BYTES)
        return 0;
    return MIN(written_bytes + MIN(written_bytes, AHEAD_BYTES), log->config.segment_bytes);
}

void log_reserve_look(struct log *log, struct segment *segment)
{
    bool early = FAULT_POINT(blocks_taken_early);
    int64_t from_bytes;
    int64_t to_bytes;

    if (segment->written_bytes - segment->grown_bytes < LOOK_BYTES && !early)
        return;
    to_bytes = ahead_wish(log, segment, early);
    from_bytes = MAX(segment->reserved_bytes, segment->written_bytes);
    if (to_bytes <= from_bytes || log->reserving || log->failed || log->closing ||
        log_is_changing(log))
        return;
    segment->reserved_bytes = to_bytes; /* a refused reservation may have taken a part */
    if (list_is_empty(&segment->reserved))
        list_push_back(&log->store->reserved, &segment->reserved);
    if (!timer_is_set(&log->store->reserved_timer))
        timer_set(log->store->reactor, &log->store->reserved_timer,
                  reactor_now_ms(log->store->reactor) + TICK_MS);
    ahead_submit(log, segment, from_bytes, to_bytes);
}

/* Nobody writes to it now, and it is done with or does not grow as it did. */
static bool is_to_give_back(const struct log *log, const struct segment *segment, int64_t now_ms)
{
    if (segment->sealed)
        return segment->full_synced;
    return !log->writing &&
           (now_ms - segment->grown_ms >= IDLE_MS || log_directory_is_low_on_space(log->directory));
}

static void reserved_look(struct log_store *store, struct segment *segment)
{
    struct log *log = segment->log; /* of a deleted one it may be gone */

    if (segment->deleted) {
        nothing_left(segment);
        return;
    }
    if (log->failed || log->closing || log->reserving || log_is_changing(log))
        return;
    if (segment->reserved_bytes <= segment->written_bytes)
        nothing_left(segment);
    else if (is_to_give_back(log, segment, reactor_now_ms(store->reactor)))
        give_back(log, segment);
}

static void reserved_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, reserved_timer);

    LIST_EACH_SAFE (node, &store->reserved)
        reserved_look(store, LIST_ITEM(node, struct segment, reserved));
    if (!list_is_empty(&store->reserved))
        timer_set(store->reactor, timer, reactor_now_ms(store->reactor) + TICK_MS);
}

void store_reserved_init(struct log_store *store)
{
    list_init(&store->reserved);
    timer_init(&store->reserved_timer, reserved_due);
}

enum err log_reserved_give_back(struct log *log)
{
    for (size_t i = 0; i < log->segment_count; i++) {
        CLEANUP(os_file_close) struct os_file *file = NULL;
        struct segment *segment = log->segments[i];
        char path[PATH_BYTES];

        if (segment->reserved_bytes == 0)
            continue;
        segment_path(segment, ".log", path);
        TRY(os_file_open(log_os(log), path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
        TRY(os_file_truncate(file, segment->size_bytes));
        segment->reserved_bytes = 0;
    }
    return OK;
}
