/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/log.c: the struct of one partition's log: making and freeing it, its list of segments, and
 * what others may ask without waiting.
 * Invariants  1. start ≤ flushed ≤ written ≤ queued; recovery point ≤ flushed in commit mode.
 *             2. segments are sorted by base offset; there is always one, the last is active.
 * Threads     the store's.
 */
#include "storage/directories.h"
#include "storage/load.h"
#include "storage/shard.h"

/* A -future copy that an earlier run left keeps its name. */
static bool future_name_find(const struct log_directory *directory, struct slice topic,
                             int32_t partition, char out[LOG_NAME_BYTES])
{
    for (size_t i = 0; i < directory->found_count; i++) {
        const struct log_name *name = &directory->found[i].name;

        if (name->kind != LOG_NAME_FUTURE || name->partition != partition ||
            !slice_equal(name->topic, topic) || atomic_load(&directory->found[i].opened))
            continue;
        fmt(out, LOG_NAME_BYTES, "%s", directory->found[i].text);
        return true;
    }
    return false;
}

struct log *log_new(struct log_store *store, struct log_directory *directory, struct slice topic,
                    int32_t partition, bool is_future)
{
    struct log *log = STORAGE_NEW(struct log);
    char name[LOG_NAME_BYTES];
    char path[PATH_BYTES];
    uint8_t unique[16];

    log->store = store;
    log->directory = directory;
    log->topic = storage_allocate(topic.size_bytes + 1);
    memcpy(log->topic, topic.data, topic.size_bytes);
    log->topic_bytes = topic.size_bytes;
    log->partition = partition;
    log->is_future = is_future;
    random_fill(reactor_random(store->reactor), unique, sizeof unique);
    if (!is_future || !future_name_find(directory, topic, partition, name))
        log_name_make(topic, partition, is_future ? LOG_NAME_FUTURE : LOG_NAME_CURRENT, unique,
                      name);
    path_join(directory->path, name, path);
    log->path = storage_allocate(strlen(path) + 1);
    path_copy(path, log->path);
    log->name = log->path + strlen(path) - strlen(name);
    log->write_slices = log->own_slices;
    list_init(&log->node);
    list_init(&log->dirty_offsets);
    list_init(&log->dirty_marks);
    list_init(&log->queue);
    list_init(&log->writing_list);
    list_init(&log->waits);
    list_init(&log->rolls);
    list_init(&log->changes);
    list_init(&log->parked);
    log->middle_snapshot = -1;
    log->clean_offset = -1;
    log->told_clean_offset = -1;
    log->raising_to = -1;
    deferred_init(&log->write_deferred, log_write_turn);
    deferred_init(&log->change_deferred, log_change_turn);
    producer_state_init(&log->producers, &heap_allocator);
    log->last_flush_ms = reactor_now_ms(store->reactor);
    return log;
}

void log_free(struct log *log)
{
    ASSERT(log->busy == 0 && list_is_empty(&log->queue) && list_is_empty(&log->waits));
    reactor_defer_cancel(log->store->reactor, &log->write_deferred);
    reactor_defer_cancel(log->store->reactor, &log->change_deferred);
    list_remove(&log->dirty_offsets);
    list_remove(&log->dirty_marks);
    list_remove(&log->node);
    for (size_t i = 0; i < log->segment_count; i++) {
        log->segments[i]->log = NULL;
        list_remove(&log->segments[i]->reserved);
        segment_release(&log->segments[i]);
    }
    storage_free(log->segments, log->segment_capacity * sizeof(struct segment *));
    for (size_t i = 0; i < log->pending_snapshot_count; i++)
        storage_free(log->pending_snapshots[i].data, log->pending_snapshots[i].capacity_bytes);
    storage_free(log->pending_snapshots,
                 log->pending_snapshot_capacity * sizeof *log->pending_snapshots);
    storage_free(log->snapshots, log->snapshot_capacity * sizeof *log->snapshots);
    if (log->recent)
        storage_free(log->recent, RECENT_BATCHES * sizeof *log->recent);
    epoch_cache_release(&log->epochs);
    producer_state_release(&log->producers);
    storage_free(log->topic, log->topic_bytes + 1);
    storage_free(log->path, strlen(log->path) + 1);
    if (log->doomed_path)
        storage_free(log->doomed_path, PATH_BYTES);
    if (log->write_slices != log->own_slices)
        storage_free(log->write_slices, LOG_SLICES_MAX * sizeof *log->write_slices);
    STORAGE_DELETE(log);
}

/* ---- segments ---- */

static void active_note(struct log *log)
{
    log->active = log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
}

void log_segments_insert(struct log *log, size_t at, struct segment *segment)
{
    ASSERT(at <= log->segment_count);
    log->segments = storage_grow(log->segments, sizeof(struct segment *), &log->segment_capacity,
                                 log->segment_count + 1);
    memmove(log->segments + at + 1, log->segments + at,
            (log->segment_count - at) * sizeof(struct segment *));
    log->segments[at] = segment;
    log->segment_count++;
    active_note(log);
}

void log_segments_remove(struct log *log, size_t at, size_t count)
{
    ASSERT(at + count <= log->segment_count);
    memmove(log->segments + at, log->segments + at + count,
            (log->segment_count - at - count) * sizeof(struct segment *));
    log->segment_count -= count;
    active_note(log);
}

size_t log_segment_floor(const struct log *log, int64_t offset)
{
    size_t low = 0;
    size_t high = log->segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (log->segments[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? SIZE_MAX : low - 1;
}

struct segment *log_active(const struct log *log)
{
    ASSERT(log->active);
    return log->active;
}

void log_recount_size(struct log *log)
{
    log->size_bytes = 0;
    for (size_t i = 0; i < log->segment_count; i++)
        log->size_bytes += log->segments[i]->size_bytes;
}

enum err segment_create_file(struct os *os, const char *log_path, int64_t base_offset,
                             int64_t reserve_bytes)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];

    path_of_file(log_path, base_offset, ".log", path);
    TRY(os_file_open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE,
                     &file));
    if (reserve_bytes > 0) {
        enum err err = os_file_reserve(file, 0, reserve_bytes);

        if (err != OK && err != ERR_UNSUPPORTED)
            return err;
    }
    return OK;
}

/* ---- what others may ask ---- */

struct os *log_os(const struct log *log)
{
    return log->store->directories->os;
}

struct logger *log_logger(const struct log *log)
{
    return log->store->directories->logger;
}

const struct storage_options *log_options(const struct log *log)
{
    return &log->store->directories->options;
}

void log_set_listener(struct log *log, struct log_listener *listener)
{
    log->listener = listener;
}

struct slice log_topic(const struct log *log)
{
    return slice_of(log->topic, log->topic_bytes);
}

struct uuid log_topic_id(const struct log *log)
{
    return log->topic_id;
}

struct log_directory *log_log_directory(const struct log *log)
{
    return log->directory;
}

const struct log_config *log_config_of(const struct log *log)
{
    return &log->config;
}

bool log_is_failed(const struct log *log)
{
    return log->failed;
}

int64_t log_start_offset(const struct log *log)
{
    return log->start_offset;
}

int64_t log_end_queued(const struct log *log)
{
    return log->end_queued;
}

int64_t log_end_written(const struct log *log)
{
    return log->end_written;
}

int64_t log_end_flushed(const struct log *log)
{
    return log->end_flushed;
}

int64_t log_recovery_point(const struct log *log)
{
    return log->recovery_point;
}

int64_t log_size_bytes(const struct log *log)
{
    return log->size_bytes;
}

size_t log_segment_count(const struct log *log)
{
    return log->segment_count;
}

int64_t log_high_watermark(const struct log *log)
{
    return log->high_watermark;
}

int64_t log_last_stable_offset(const struct log *log)
{
    return producer_state_last_stable_offset(&log->producers, log->high_watermark,
                                             log->start_offset);
}

struct producer_state *log_producers(struct log *log)
{
    return &log->producers;
}

int32_t log_epoch_latest(const struct log *log)
{
    return log->epochs.count ? log->epochs.latest.epoch : -1;
}

int64_t log_epoch_latest_start(const struct log *log)
{
    return log->epochs.count ? log->epochs.latest.start_offset : -1;
}

void log_epoch_end(const struct log *log, int32_t epoch, int32_t *epoch_out,
                   int64_t *end_offset_out)
{
    epoch_cache_end(&log->epochs, epoch, log->end_queued, epoch_out, end_offset_out);
}

int32_t log_epoch_of(const struct log *log, int64_t offset)
{
    return epoch_cache_of(&log->epochs, offset);
}
