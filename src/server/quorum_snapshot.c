/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_snapshot.c: writes a snapshot of the published image when enough was committed
 * since the last one, or enough time has passed. A job walks the image, which the shard keeps for
 * it, and writes <id>-<n>.checkpoint.part piece by piece; synced and renamed it counts.
 * Invariants  1. the image, voters and kraft.version are those of one offset, the end of a batch
 *                outside of any transaction.   2. one is written at a time.   3. a failure costs
 *                nothing but space: the log keeps everything, and it is tried again.
 * Crash       a part file is removed at the next start; a renamed file is whole.
 * Threads     the job reads the image and its own struct; counts of references change on the shard
 *             alone.
 */
#include "base/fault_point.h"
#include "protocol/generated/voters_record.h"
#include "server/quorum_internal.h"

#define PIECE_BYTES (1 * MIB)
#define RETRY_MS 60000

struct snapshot_write {
    struct os_op job;
    struct quorum *quorum;
    struct os *os;
    const char *directory;
    struct metadata_image *image;
    struct metadata_snapshot *records;
    struct snapshot_id id;
    int64_t contained_ms;
    int64_t now_ms;
    int16_t kraft_version;
    struct voters_record *voters; /* the arena's; NULL: none */
    struct arena arena;
    uint64_t number;
    int64_t size_bytes;
    atomic_bool is_cancelled;
};

/* ---- the job ---- */

struct snapshot_output {
    struct os_file *file;
    struct writer bytes;
    struct snapshot_writer writer;
    struct arena scratch;
    struct writer value;
    int64_t size_bytes;
};

static enum err output_drain(struct snapshot_output *output)
{
    struct slice bytes = writer_slice(&output->bytes);

    TRY(writer_error(&output->bytes));
    if (bytes.size_bytes == 0)
        return OK;
    TRY(os_file_write(output->file, &bytes, 1, output->size_bytes));
    output->size_bytes += (int64_t)bytes.size_bytes;
    writer_reset(&output->bytes);
    return OK;
}

static enum err list_write(struct snapshot_write *write, struct snapshot_output *output,
                           const struct metadata_record_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        writer_reset(&output->value);
        TRY(metadata_record_encode(&list->items[i], &output->value));
        TRY(snapshot_writer_record(&output->writer, write->now_ms, writer_slice(&output->value)));
    }
    if (output->bytes.size_bytes < PIECE_BYTES)
        return OK;
    TRY(snapshot_writer_flush(&output->writer));
    return output_drain(output);
}

static enum err output_write(struct snapshot_write *write, struct snapshot_output *output)
{
    struct metadata_record_list list;

    snapshot_writer_begin(&output->writer, write->id.epoch, &output->bytes, &output->scratch);
    TRY(snapshot_writer_header(&output->writer, write->now_ms, write->contained_ms,
                               write->kraft_version, write->voters));
    do {
        if (atomic_load(&write->is_cancelled))
            return ERR_CANCELLED;
        TRY(metadata_snapshot_next(write->records, &list));
        TRY(list_write(write, output, &list));
    } while (list.count > 0);
    TRY(snapshot_writer_finish(&output->writer, write->now_ms));
    TRY(output_drain(output));
    return os_file_sync(output->file);
}

static enum err part_write(struct snapshot_write *write, const char *path)
{
    struct snapshot_output output = {0};
    enum err err;

    writer_init(&output.bytes, &heap_allocator, SIZE_MAX);
    writer_init(&output.value, &heap_allocator, SIZE_MAX);
    arena_init(&output.scratch, &heap_allocator, SIZE_MAX);
    err = os_file_open(write->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE,
                       &output.file);
    if (err == OK)
        err = output_write(write, &output);
    write->size_bytes = output.size_bytes;
    os_file_close(&output.file);
    writer_release(&output.bytes);
    writer_release(&output.value);
    arena_release(&output.scratch);
    return err;
}

static void write_run(struct os_op *job)
{
    struct snapshot_write *write = CONTAINER_OF(job, struct snapshot_write, job);
    char name[SNAPSHOT_NAME_BYTES], part[QUORUM_PATH_BYTES], whole[QUORUM_PATH_BYTES];

    snapshot_name_part(write->id, write->number, name);
    fmt(part, sizeof part, "%s/%s", write->directory, name);
    snapshot_name(write->id, name);
    fmt(whole, sizeof whole, "%s/%s", write->directory, name);
    job->err = part_write(write, part);
    if (job->err == OK)
        job->err = os_rename(write->os, part, whole);
    if (job->err == OK) {
        job->err = os_sync_directory(write->os, write->directory);
    } else {
        enum err err = os_unlink(write->os, part);

        UNUSED(err); /* the next start tries again */
    }
}

/* ---- on the shard ---- */

static void write_free(struct snapshot_write *write)
{
    metadata_snapshot_release(&write->records);
    metadata_image_release(&write->image);
    arena_release(&write->arena);
    SERVER_DELETE(write);
}

void quorum_snapshots_add(struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    struct quorum_snapshots *all = &quorum->snapshots;

    if (all->count == all->capacity) {
        size_t capacity = MAX(all->capacity * 2, (size_t)8);
        struct quorum_snapshot *items = server_allocate(capacity * sizeof *items);

        if (all->count > 0)
            memcpy(items, all->items, all->count * sizeof *items);
        server_free(all->items, all->capacity * sizeof *items);
        all->items = items;
        all->capacity = capacity;
    }
    all->items[all->count++] = *snapshot;
}

static void write_succeeded(struct quorum *quorum, const struct snapshot_write *write)
{
    struct quorum_snapshot snapshot = {write->id, write->size_bytes, write->contained_ms};
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_MADE};

    quorum_snapshots_add(quorum, &snapshot);
    event.snapshot_made =
        (struct raft_snapshot){{write->id.end_offset, write->id.epoch}, write->size_bytes};
    quorum_feed(quorum, event);
    LOG_INFO(quorum->logger, "quorum", "snapshot_written", "offset=%lld epoch=%d bytes=%lld",
             (long long)write->id.end_offset, write->id.epoch, (long long)write->size_bytes);
}

static void write_done(struct os_op *job)
{
    struct snapshot_write *write = CONTAINER_OF(job, struct snapshot_write, job);
    struct quorum *quorum = write->quorum;

    quorum->snapshots.writing = NULL;
    if (job->err == OK) {
        write_succeeded(quorum, write);
    } else if (job->err != ERR_CANCELLED) {
        quorum->snapshots.retry_ms = reactor_now_ms(quorum->reactor) + RETRY_MS;
        LOG_ERROR(quorum->logger, "quorum", "snapshot_failed", "offset=%lld error=%s",
                  (long long)write->id.end_offset, err_name(job->err));
    }
    write_free(write);
    quorum_end(quorum);
}

static bool is_due(const struct quorum *quorum)
{
    const struct quorum_snapshots *all = &quorum->snapshots;
    const struct config *config = quorum->node->boot_config;
    int64_t now_ms = reactor_now_ms(quorum->reactor);
    int64_t interval_ms = config_long(config, BROKER_METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS);

    if (all->writing || all->bytes_since == 0 || now_ms < all->retry_ms)
        return false;
    /* A broker on its way up has better things to sync. */
    if (quorum->broker.state == BROKER_STARTING || quorum->broker.state == BROKER_RECOVERY)
        return false;
    if (all->count > 0 && all->items[all->count - 1].id.end_offset >= quorum->loader.next_offset)
        return false;
    return all->bytes_since >=
               config_long(config, BROKER_METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS) ||
           (interval_ms > 0 && now_ms - all->last_ms >= interval_ms) || FAULT_POINT(snapshot_early);
}

void quorum_snapshot_consider(struct quorum *quorum, struct metadata_image *image)
{
    struct snapshot_write *write;
    struct quorum_loader *loader = &quorum->loader;

    if (!is_due(quorum))
        return;
    write = SERVER_NEW(struct snapshot_write);
    arena_init(&write->arena, &heap_allocator, SIZE_MAX);
    if (metadata_snapshot_start(image, &heap_allocator, &write->records) != OK) {
        arena_release(&write->arena);
        SERVER_DELETE(write);
        return;
    }
    write->quorum = quorum;
    write->os = quorum->node->os;
    write->directory = quorum->path;
    write->image = metadata_image_ref(image);
    /* The state stands at the end of the last batch applied, which may hold no data record. */
    write->id = (struct snapshot_id){loader->next_offset, loader->provenance.epoch};
    write->contained_ms = loader->provenance.timestamp_ms;
    write->now_ms = reactor_wall_ms(quorum->reactor);
    write->kraft_version = loader->kraft_version;
    write->number = random_u64(reactor_random(quorum->reactor));
    if (loader->voters && loader->kraft_version > 0) {
        write->voters = ARENA_NEW(&write->arena, struct voters_record);
        if (!write->voters ||
            message_copy(&voters_record_type, loader->voters, &write->arena, write->voters) != OK) {
            write_free(write);
            return;
        }
    }
    quorum->snapshots.writing = write;
    quorum->snapshots.bytes_since = 0;
    quorum->snapshots.last_ms = reactor_now_ms(quorum->reactor);
    write->job = (struct os_op){.kind = OS_OP_JOB, .run = write_run, .done = write_done};
    quorum_begin(quorum);
    reactor_submit(quorum->reactor, &write->job);
}

void quorum_snapshots_init(struct quorum *quorum)
{
    quorum_clean_init(quorum);
}

void quorum_snapshots_stop(struct quorum *quorum)
{
    quorum_clean_stop(quorum);
    if (quorum->snapshots.writing)
        atomic_store(&quorum->snapshots.writing->is_cancelled, true);
}

void quorum_snapshots_release(struct quorum *quorum)
{
    struct quorum_snapshots *all = &quorum->snapshots;

    server_free(all->items, all->capacity * sizeof *all->items);
}
