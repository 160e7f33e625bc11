/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/roll.c: when a segment ends and how the next one begins.
 *
 *   append decides → old segment sealed in memory, producer snapshot kept → its bytes are written (all modes)
 *   → job syncs them (commit mode) and makes the new file → queued appends flow into it; the full
 *   flush up to the new base runs behind
 *
 * Crash       the new file may be missing or empty: recovery starts at the recovery point, which is
 *             still in the old segment until the full flush is done.
 * Threads     the store's; the job touches files alone.
 */
#include "storage/shard.h"

#include "base/bug.h"
#include "base/fault_point.h"

static int64_t segment_waited_ms(const struct log *log, const struct segment *segment,
                                 int64_t max_timestamp)
{
    if (segment->first_timestamp_known && segment->first_timestamp >= 0)
        return max_timestamp - segment->first_timestamp;
    return reactor_wall_ms(log->store->reactor) - segment->created_ms;
}

bool log_must_roll(const struct log *log, size_t size_bytes, int64_t max_timestamp,
                   int64_t last_offset)
{
    const struct log_config *config = &log->config;
    const struct segment *segment = log_active(log);
    int64_t segment_ms = config->segment_ms;

    if (config->cleanup_compact)
        segment_ms = MIN(segment_ms, config->max_compaction_lag_ms);
    if (segment->size_bytes > 0 && FAULT_POINT(segment_rolled_early))
        return true;
    return segment->size_bytes > (int64_t)config->segment_bytes - (int64_t)size_bytes ||
           (segment->size_bytes > 0 && segment_waited_ms(log, segment, max_timestamp) >
                                           segment_ms - segment->roll_jitter_ms) ||
           segment->offsets.count >= config->segment_index_bytes / OFFSET_INDEX_ENTRY_BYTES ||
           segment->times.count >= config->segment_index_bytes / TIME_INDEX_ENTRY_BYTES - 1 ||
           (last_offset - segment->base_offset > RELATIVE_OFFSET_MAX &&
            !BUG_IS(index_offset_overflow));
}

struct roll_job {
    struct os_op op;
    struct list_node node; /* in log->rolls while it waits */
    struct log *log;
    struct segment *old;
    struct segment *segment;
    struct os *os;
    int64_t reserve_bytes;
    bool sync_old;
    bool sync_entry; /* the old segment's own name is not durable yet */
    char path[PATH_BYTES];
};

/* In commit mode no later segment exists before everything below it is synced: a power cut can then
 * never leave a hole with data behind it, which no epoch comparison between replicas would notice. */
static enum err old_sync(struct roll_job *job)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];

    path_of_file(job->path, job->old->base_offset, ".log", path);
    TRY(os_file_open(job->os, path, OS_OPEN_READ | OS_OPEN_WRITE, &file));
    if (!BUG_IS(data_not_synced))
        TRY(os_file_sync(file));
    return job->sync_entry && !BUG_IS(directory_not_synced) ? os_sync_directory(job->os, job->path)
                                                            : OK;
}

static void roll_run(struct os_op *op)
{
    struct roll_job *job = CONTAINER_OF(op, struct roll_job, op);

    op->err = job->sync_old ? old_sync(job) : OK;
    if (op->err == OK)
        op->err = segment_files_remove(job->os, job->path, job->segment->base_offset);
    if (op->err == OK)
        op->err =
            segment_create_file(job->os, job->path, job->segment->base_offset, job->reserve_bytes);
}

static void roll_end(struct roll_job *job)
{
    struct log *log = job->log;

    segment_release(&job->segment);
    segment_release(&job->old);
    STORAGE_DELETE(job);
    log_busy_end(log);
}

static void roll_done(struct os_op *op)
{
    struct roll_job *job = CONTAINER_OF(op, struct roll_job, op);
    struct log *log = job->log;

    if (store_shortage_waits(log->store, op))
        return;
    log->rolling = false;
    if (op->err != OK) {
        log_io_failed(log, op->err, "create segment");
    } else if (!log->failed) {
        job->segment->state = SEGMENT_READY;
        log_write_kick(log);
        log_flush_kick(log);
        log_roll_kick(log);
        if (log->retention_waits || FAULT_POINT(retention_between))
            log_retention_pass(log);
    }
    roll_end(job);
}

void log_roll_kick(struct log *log)
{
    struct roll_job *job;

    while (log->failed && !list_is_empty(&log->rolls))
        roll_end(LIST_ITEM(list_pop_front(&log->rolls), struct roll_job, node));
    if (list_is_empty(&log->rolls) || log->rolling)
        return;
    job = LIST_ITEM(list_first(&log->rolls), struct roll_job, node);
    job->sync_old = log->config.flush_mode == FLUSH_MODE_COMMIT;
    job->sync_entry = !job->old->entry_synced;
    /* In every mode: the death of the process would else leave a segment behind bytes that were never written,
     * and recovery could not tell the hole from one that compaction made. */
    if (job->old->written_bytes < job->old->size_bytes)
        return; /* write.c comes back */
    list_remove(&job->node);
    log->rolling = true;
    reactor_submit(log->store->reactor, &job->op);
}

int64_t log_jitter_draw(const struct log *log)
{
    int64_t bound = MIN(log->config.segment_jitter_ms, log->config.segment_ms);

    return bound > 0 ? (int64_t)random_below(reactor_random(log->store->reactor), (uint64_t)bound)
                     : 0;
}

void log_roll_to(struct log *log, int64_t base_offset)
{
    struct segment *old = log_active(log);
    struct segment *segment;
    struct roll_job *job;

    if (old->size_bytes == 0 && old->base_offset == base_offset)
        return; /* nothing in it: it goes on */
    ASSERT(base_offset > old->base_offset);
    segment_seal(old);
    segment = segment_new(log, base_offset);
    segment->state = SEGMENT_CREATING;
    segment->created_ms = reactor_wall_ms(log->store->reactor);
    segment->modified_ms = segment->created_ms;
    segment->roll_jitter_ms = log_jitter_draw(log);
    segment->aborted.known = true;
    segment->index_known = true;
    segment->index_checked = true;
    segment->timestamp_known = true;
    log_segments_insert(log, log->segment_count, segment);
    log_snapshot_take(log, base_offset);
    if (log->middle_snapshot == base_offset)
        log->middle_snapshot = -1; /* it stands for the segments below now, and stays */
    LOG_DEBUG(log_logger(log), "storage", "segment_rolled", "log=%s base=%lld", log->name,
              (long long)base_offset);

    job = STORAGE_NEW(struct roll_job);
    job->log = log;
    job->old = segment_ref(old);
    job->segment = segment_ref(segment);
    job->os = log_os(log);
    job->reserve_bytes = log_reserve_bytes(log);
    path_copy(log->path, job->path);
    job->op.kind = OS_OP_JOB;
    job->op.run = roll_run;
    job->op.done = roll_done;
    log_busy_begin(log);
    list_push_back(&log->rolls, &job->node);
    log_roll_kick(log);
    log_flush_full(log, MIN(base_offset, log->end_queued));
}

void log_roll(struct log *log)
{
    if (log->failed || log->closing || log_is_changing(log) || log_active(log)->size_bytes == 0)
        return;
    log_roll_to(log, log->end_queued);
}
