/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/producer_files.c: snapshot files of the producer state, and the state at an offset made from
 * the newest of them and the batches behind it.
 * Invariants  1. log->snapshots lists the files, rising.
 * Crash       a file that cannot be read is deleted and the next older one is tried; what is lost is
 *             found in the log.
 * Threads     a job that has the log to itself.
 */
#include "storage/directories.h"
#include "storage/load.h"

#include "base/bug.h"

#define SNAPSHOT_BYTES_MAX (1 * GIB)

void log_note_snapshot(struct log *log, int64_t offset)
{
    size_t at = log->snapshot_count;

    while (at > 0 && log->snapshots[at - 1] > offset)
        at--;
    if (at > 0 && log->snapshots[at - 1] == offset)
        return;
    log->snapshots = storage_grow(log->snapshots, sizeof *log->snapshots, &log->snapshot_capacity,
                                  log->snapshot_count + 1);
    memmove(log->snapshots + at + 1, log->snapshots + at,
            (log->snapshot_count - at) * sizeof *log->snapshots);
    log->snapshots[at] = offset;
    log->snapshot_count++;
}

void producer_files_list(struct log *log, const struct os_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *suffix;
        int64_t offset;

        if (file_name_parse(names->names[i], &offset, &suffix) && strcmp(suffix, ".snapshot") == 0)
            log_note_snapshot(log, offset);
    }
}

enum err producer_file_write(struct log *log, int64_t offset, bool sync)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(writer_release) struct writer writer;
    char path[PATH_BYTES];
    struct slice content;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    TRY(producer_snapshot_write(&log->producers, &writer));
    path_of_file(log->path, offset, ".snapshot", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    content = writer_slice(&writer);
    TRY(os_file_write(file, &content, 1, 0));
    if (sync && !BUG_IS(snapshot_not_synced))
        TRY(os_file_sync(file));
    log_note_snapshot(log, offset);
    return OK;
}

enum err producer_file_remove(struct log *log, size_t at)
{
    char path[PATH_BYTES];
    enum err err;

    path_of_file(log->path, log->snapshots[at], ".snapshot", path);
    err = os_unlink(log_os(log), path);
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    memmove(log->snapshots + at, log->snapshots + at + 1,
            (log->snapshot_count - at - 1) * sizeof *log->snapshots);
    log->snapshot_count--;
    return OK;
}

enum err producer_files_trim(struct log *log, int64_t end)
{
    for (size_t i = log->snapshot_count; i > 0; i--)
        if (log->snapshots[i - 1] > end)
            TRY(producer_file_remove(log, i - 1));
    return OK;
}

enum err producer_apply_batch(struct log *log, struct os_file *file,
                              const struct batch_header *header, int64_t position_bytes,
                              struct segment *aborted_to)
{
    struct producer_update update;
    struct producer_append append;
    enum err err = OK;

    if (header->magic < BATCH_MAGIC || !batch_has_producer(header) ||
        BUG_IS(producers_not_replayed)) {
        producer_state_set_end_offset(&log->producers, batch_next_offset(header));
        return OK;
    }
    if (batch_is_control(header)) {
        size_t size_bytes = batch_size_bytes(header);
        uint8_t *bytes = heap_allocator.allocate(&heap_allocator, size_bytes);
        size_t read_bytes = 0;

        if (!bytes)
            return ERR_NO_MEMORY;
        err = os_file_read(file, bytes, size_bytes, position_bytes, &read_bytes);
        if (err == OK)
            err = read_bytes == size_bytes
                      ? producer_append_read(slice_of(bytes, size_bytes), &append)
                      : ERR_CORRUPT_MESSAGE;
        storage_free(bytes, size_bytes);
        TRY(err);
    } else {
        append = (struct producer_append){
            .producer_id = header->producer_id,
            .epoch = header->producer_epoch,
            .first_sequence = header->base_sequence,
            .last_sequence = batch_last_sequence(header),
            .first_offset = header->base_offset,
            .last_offset = batch_last_offset(header),
            .timestamp = header->max_timestamp,
            .transactional = batch_is_transactional(header),
        };
    }
    producer_update_begin(&update, &log->producers, APPEND_ORIGIN_REPLICATION);
    err = producer_update_add(&update, &append, NULL);
    if (err == OK) {
        producer_update_apply(&update);
        for (size_t i = 0; aborted_to && i < update.completed_count; i++) {
            const struct producer_completed *done = &update.completed[i];

            if (done->aborted) {
                struct transaction_index_entry entry = {0, done->producer_id, done->first_offset,
                                                        done->last_offset,
                                                        done->last_stable_offset};

                transaction_index_add(&aborted_to->aborted, &entry);
                aborted_to->has_aborted_file = true;
                log->digests_dirty = true;
            }
        }
        producer_state_set_end_offset(&log->producers, batch_next_offset(header));
    }
    producer_update_discard(&update);
    if (err == OK || err == ERR_NO_MEMORY)
        return err;
    /* The batch is in the log, so its leader took it: the state goes on without it. */
    LOG_WARN(log_logger(log), "storage", "replay_refused", "log=%s offset=%lld error=%s", log->name,
             (long long)header->base_offset, err_name(err));
    producer_state_set_end_offset(&log->producers, batch_next_offset(header));
    return OK;
}

/* Batches of one segment on their way to the producers. A batch that rotted says nothing of its producer. No CRC covers
 * where a batch stands, but its neighbours tell: one waits until the next sound one is seen. */
struct replay {
    struct log *log;
    struct os_file *file;
    struct segment *aborted_to;
    int64_t from, to;
    int64_t end_offset;  /* where the next segment begins */
    int64_t next_offset; /* behind the last one that was applied */
    bool has_pending;
    struct batch_header pending;
    int64_t pending_position;
};

static void replay_passes(struct replay *replay, int64_t position)
{
    LOG_WARN(log_logger(replay->log), "storage", "replay_passed", "log=%s position=%lld",
             replay->log->name, (long long)position);
}

/* *over_out: what follows lies behind the end of the replay. */
static enum err replay_apply(struct replay *replay, bool *over_out)
{
    if (!replay->has_pending)
        return OK;
    replay->has_pending = false;
    *over_out = replay->pending.base_offset >= replay->to;
    if (*over_out)
        return OK;
    replay->next_offset = batch_next_offset(&replay->pending);
    if (batch_last_offset(&replay->pending) < replay->from)
        return OK;
    return producer_apply_batch(replay->log, replay->file, &replay->pending,
                                replay->pending_position, replay->aborted_to);
}

static enum err replay_see(struct replay *replay, struct slice batch, int64_t position,
                           bool *over_out)
{
    struct batch_header header;

    if (!batch_is_valid(batch) || batch_header_read(batch, &header) != OK ||
        header.base_offset < replay->next_offset ||
        batch_last_offset(&header) < replay->next_offset ||
        batch_last_offset(&header) >= replay->end_offset) {
        replay_passes(replay, position);
        return OK;
    }
    if (replay->has_pending && header.base_offset <= batch_last_offset(&replay->pending)) {
        replay_passes(replay, replay->pending_position);
        replay->has_pending = false;
    }
    TRY(replay_apply(replay, over_out));
    replay->has_pending = true;
    replay->pending = header;
    replay->pending_position = position;
    return OK;
}

/* Applies the batches of one segment that lie in [from, to). */
static enum err segment_replay(struct log *log, struct segment *segment, int64_t from, int64_t to,
                               struct segment *aborted_to)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(batch_reader_release) struct batch_reader reader = {0};
    struct offset_index_entry start = {0};
    size_t at = log_segment_floor(log, segment->base_offset);
    struct replay replay = {
        .log = log,
        .aborted_to = aborted_to,
        .from = from,
        .to = to,
        .end_offset = at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : INT64_MAX,
        .next_offset = segment->base_offset,
    };
    char path[PATH_BYTES];
    bool is_over = false;

    segment_path(segment, ".log", path);
    TRY(os_file_open(log_os(log), path, OS_OPEN_READ, &file));
    replay.file = file;
    if (segment->index_known && from > segment->base_offset)
        (void)offset_index_find(&segment->offsets, from - segment->base_offset, &start);
    batch_reader_init(&reader, file, start.position_bytes, segment->size_bytes);
    while (!is_over) {
        struct slice batch;
        int64_t position;
        enum err err = batch_reader_next(&reader, &batch, &position);

        if (err == ERR_CORRUPT_MESSAGE) {
            /* A disk that decays: what the rest of the segment says of producers is lost, its sound batches
             * are not, and the other logs of the directory are none the worse. */
            LOG_WARN(log_logger(log), "storage", "replay_stopped", "file=%s position=%lld", path,
                     (long long)reader.position_bytes);
            break;
        }
        TRY(err);
        if (batch.size_bytes == 0)
            break;
        TRY(replay_see(&replay, batch, position, &is_over));
    }
    return is_over ? OK : replay_apply(&replay, &is_over);
}

/* The newest readable file at or below `offset`; without one the state is empty at the first byte that is there: what
 * lies below the log's start nobody reads any more, but who wrote it goes on with the sequence after it. A file from
 * below the first byte would be of no use: what followed it is gone, and producers would be held to old sequences. */
static enum err snapshot_load(struct log *log, int64_t offset, struct why *why)
{
    int64_t first = MIN(log->segments[0]->base_offset, offset);
    int64_t expiration_ms = atomic_load(&log->store->directories->producer_expiration_ms);

    for (size_t i = log->snapshot_count; i > 0; i--) {
        CLEANUP(arena_release) struct arena arena;
        char path[PATH_BYTES];
        struct slice file;
        enum err err;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        if (log->snapshots[i - 1] > offset || log->snapshots[i - 1] < first)
            continue;
        path_of_file(log->path, log->snapshots[i - 1], ".snapshot", path);
        err = os_read_whole(log_os(log), path, &arena, SNAPSHOT_BYTES_MAX, &file);
        if (err == OK)
            err = producer_snapshot_read(&log->producers, file, log->snapshots[i - 1],
                                         os_wall_ms(log_os(log)), expiration_ms, why);
        if (err == OK)
            return OK;
        if (err != ERR_CORRUPT && err != ERR_NOT_FOUND && err != ERR_TOO_LARGE)
            return err;
        LOG_WARN(log_logger(log), "storage", "snapshot_dropped", "file=%s", path);
        TRY(producer_file_remove(log, i - 1));
    }
    producer_state_clear(&log->producers, first);
    return OK;
}

enum err producer_state_rebuild(struct log *log, int64_t offset, struct why *why)
{
    int64_t from;

    TRY(snapshot_load(log, offset, why));
    from = log->producers.end_offset;
    for (size_t i = 0; from < offset && i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        int64_t next = i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : INT64_MAX;

        if (next > from && segment->base_offset < offset)
            TRY(segment_replay(log, segment, from, offset, NULL));
    }
    producer_state_set_end_offset(&log->producers, offset);
    return OK;
}

enum err producer_segment_aborted(struct log *log, struct segment *segment, int64_t to,
                                  struct why *why)
{
    TRY(producer_state_rebuild(log, segment->base_offset, why));
    transaction_index_release(&segment->aborted);
    segment->aborted.known = true;
    return segment_replay(log, segment, segment->base_offset, to, segment);
}

void log_forget_snapshot(struct log *log, int64_t offset)
{
    for (size_t i = 0; i < log->snapshot_count; i++) {
        if (log->snapshots[i] != offset)
            continue;
        memmove(log->snapshots + i, log->snapshots + i + 1,
                (log->snapshot_count - i - 1) * sizeof *log->snapshots);
        log->snapshot_count--;
        return;
    }
}
