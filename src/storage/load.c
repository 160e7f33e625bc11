/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/load.c: opening one partition (§5.2 of the reference): its directory, segments, recovery if
 * the last stop was unclean, epochs, producer state, and the offsets that come from checkpoints.
 * A clean log costs its directory listing, one stat per segment and the active segment's tail.
 * Crash       can be run again.
 * Threads     a job that has the log to itself.
 */
#include "storage/load.h"

static enum err directory_ready(struct log *log, const struct load_request *request,
                                struct why *why)
{
    struct os_stat stat;

    TRY(os_stat(log_os(log), log->path, &stat));
    if (stat.exists)
        return stat.is_directory ? OK
                                 : why_set(why, ERR_FORMAT, "%s is not a directory", log->path);
    if (!request->create)
        return why_set(why, ERR_NOT_FOUND, "%s is not there", log->path);
    log->loaded_anew = true;
    return os_make_directory(log_os(log), log->path);
}

/* partition.metadata against what the cluster says. */
static enum err topic_id_settle(struct log *log, const struct load_request *request,
                                struct why *why)
{
    char expected[UUID_TEXT_BYTES];
    char found[UUID_TEXT_BYTES];
    enum err err = partition_metadata_read(log_os(log), log->path, &log->topic_id);

    if (err != OK)
        return why_set(why, err, "%s/partition.metadata is not acceptable", log->path);
    if (uuid_is_zero(request->topic_id) || uuid_equal(log->topic_id, request->topic_id))
        return OK;
    if (uuid_is_zero(log->topic_id)) {
        log->topic_id = request->topic_id;
        return partition_metadata_write(log_os(log), log->path, log->topic_id);
    }
    uuid_to_text(request->topic_id, expected);
    uuid_to_text(log->topic_id, found);
    return why_set(why, ERR_INCONSISTENT_TOPIC_ID, "%s has topic id %s, not %s", log->path, found,
                   expected);
}

static enum err epochs_load(struct log *log, struct why *why)
{
    char path[PATH_BYTES];
    struct os_stat stat;
    enum err err;

    path_join(log->path, EPOCH_FILE, path);
    err = epoch_cache_read(&log->epochs, log_os(log), path);
    if (err != OK)
        return why_set(why, err, "%s is not acceptable", path);
    TRY(os_stat(log_os(log), path, &stat));
    if (!stat.exists) {
        CLEANUP(os_file_close) struct os_file *file = NULL;

        TRY(os_file_open(log_os(log), path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    }
    return OK;
}

/* Apache keeps of the snapshots that name no segment only the largest above the last base. */
static enum err strays_remove(struct log *log)
{
    int64_t last_base = log_active(log)->base_offset;

    for (size_t i = log->snapshot_count; i > 0; i--) {
        int64_t offset = log->snapshots[i - 1];
        size_t at = log_segment_floor(log, offset);

        if (at != SIZE_MAX && log->segments[at]->base_offset == offset)
            continue;
        if (offset > last_base && i == log->snapshot_count)
            continue;
        TRY(producer_file_remove(log, i - 1));
    }
    return OK;
}

/* Of a log that was stopped well. */
static enum err producers_load(struct log *log, int64_t end, struct why *why)
{
    if (log->snapshot_count == 0) {
        /* No producer ever wrote here, or Apache would have left a file. */
        producer_state_clear(&log->producers, end);
        return OK;
    }
    TRY(strays_remove(log));
    TRY(producer_files_trim(log, end));
    return producer_state_rebuild(log, end, why);
}

/* The log's start is past its end: nothing of it counts any more. */
static enum err log_restart_at(struct log *log, int64_t offset)
{
    struct segment *segment;

    for (size_t i = log->segment_count; i > 0; i--) {
        segment = log->segments[i - 1];
        TRY(segment_files_remove(log_os(log), log->path, segment->base_offset));
        log_segments_remove(log, i - 1, 1);
        segment_release(&segment);
    }
    epoch_cache_clear(&log->epochs);
    TRY(producer_files_trim(log, INT64_MIN));
    producer_state_clear(&log->producers, offset);
    segment = segment_new(log, offset);
    segment->created_ms = os_wall_ms(log_os(log));
    segment->aborted.known = true;
    segment->index_known = true;
    segment->index_checked = true;
    segment->timestamp_known = true;
    log_segments_insert(log, 0, segment);
    return segment_create_file(log_os(log), log->path, offset, log_reserve_bytes(log));
}

/* The log's end, by its tail or by recovery. */
static enum err end_find(struct log *log, const struct load_request *request, int64_t *end_out,
                         bool *clean_out, struct why *why)
{
    int64_t recovery_point = request->clean ? INT64_MAX : MAX(request->recovery_point, 0);

    *clean_out = false;
    TRY(transaction_indexes_load(log, recovery_point, why));
    if (recovery_point == INT64_MAX) {
        bool trusted;

        TRY(load_active_tail(log, log_active(log), end_out, &trusted, why));
        *clean_out = trusted;
        if (trusted)
            return OK;
        offset_index_release(&log_active(log)->offsets);
        time_index_release(&log_active(log)->times);
        recovery_point = log_active(log)->base_offset;
    }
    return log_recover(log, recovery_point, end_out, why);
}

enum err log_load(struct log *log, const struct load_request *request, struct why *why)
{
    int64_t start_offset = MAX(request->start_offset, 0);
    int64_t end;
    bool clean;

    TRY(directory_ready(log, request, why));
    TRY(load_segments(log, start_offset, why));
    TRY(epochs_load(log, why));
    TRY(topic_id_settle(log, request, why));
    log->start_offset = MAX(start_offset, log->segments[0]->base_offset);
    TRY(end_find(log, request, &end, &clean, why));
    if (end < log->start_offset) {
        end = log->start_offset;
        TRY(log_restart_at(log, end));
    }
    TRY(log_reserved_give_back(log));
    epoch_cache_truncate_end(&log->epochs, end);
    epoch_cache_truncate_start(&log->epochs, log->start_offset);
    if (clean) {
        TRY(producers_load(log, end, why));
    } else {
        producer_state_set_end_offset(&log->producers, end);
        if (end > log->segments[0]->base_offset)
            TRY(producer_file_write(log, end, true));
        TRY(strays_remove(log));
    }
    if (log->epochs.dirty) {
        char path[PATH_BYTES];

        path_join(log->path, EPOCH_FILE, path);
        TRY(epoch_cache_write(&log->epochs, log_os(log), path));
    }
    log->end_queued = end;
    log->end_written = end;
    log->end_flushed = end;
    log->end_synced = clean || log->config.flush_mode == FLUSH_MODE_COMMIT
                          ? end
                          : MIN(MAX(request->recovery_point, 0), end);
    log->parent_synced = request->clean && !log->loaded_anew;
    log->recovery_point = clean ? end : MIN(MAX(request->recovery_point, log->start_offset), end);
    log->high_watermark = MIN(MAX(request->high_watermark, log->start_offset), end);
    producer_state_set_log_start(&log->producers, log->start_offset);
    producer_state_set_high_watermark(&log->producers, log->high_watermark);
    /* Ahead of the end: the log is not the one that was cleaned. Else as after a truncation. */
    log->clean_offset =
        request->clean_offset > end ? -1 : MIN(request->clean_offset, log_active(log)->base_offset);
    log_recount_size(log);
    return OK;
}
