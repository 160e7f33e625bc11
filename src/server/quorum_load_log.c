/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_load_log.c: the batches of the metadata log at start, before the log is opened:
 * where each epoch begins, which voters and kraft.versions are in it, and the batches behind the
 * latest snapshot, which the loader then has in memory.
 *
 * Broken bytes. A power cut may leave a torn tail, which opening the log cuts; records that were
 * acted upon must not be cut in silence. So a broken batch is refused with its file and place when
 * it cannot be such a tail: the directory was closed in order, the latest snapshot covers it, or a
 * whole batch of a later epoch stands behind it (a leader appends only to a log that was found
 * whole).
 */
#include "base/parse.h"
#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/voters_record.h"
#include "records/control_record.h"
#include "server/quorum_internal.h"

#define PIECE_BYTES (1 * MIB)
#define TAIL_BYTES_MAX (64 * MIB) /* beyond it the loader reads the log */
#define SEGMENT_DIGITS 20
#define SEGMENT_NAME_BYTES 24 /* with ".log" */

/* Where the log stops being whole. */
struct hole {
    bool found;
    char path[QUORUM_PATH_BYTES];
    int64_t position_bytes;
    int64_t offset; /* of the batch that should be there */
    int32_t epoch;  /* of the last whole batch; -1: none */
};

struct log_scan {
    struct quorum_loaded *loaded;
    struct compress_context *compress;
    struct writer inflated;
    struct writer bytes; /* of the file, from position_bytes on, consumed up to `taken` */
    size_t taken;
    struct os_file *file;
    char path[QUORUM_PATH_BYTES];
    int64_t position_bytes; /* in the file: where `bytes` begins */
    int64_t read_bytes;     /* in the file: read so far */
    bool at_end;
    int64_t next_offset; /* -1: any */
    int32_t epoch;
    struct hole hole;
};

static bool is_segment(const char *name)
{
    size_t size = strlen(name);

    if (size != SEGMENT_NAME_BYTES || strcmp(name + SEGMENT_DIGITS, ".log") != 0)
        return false;
    for (size_t i = 0; i < SEGMENT_DIGITS; i++)
        if (name[i] < '0' || name[i] > '9')
            return false;
    return true;
}

/* ---- what a batch says ---- */

static void *grown(struct arena *arena, void *items, size_t *capacity, size_t count, size_t bytes)
{
    size_t larger = MAX(*capacity * 2, (size_t)16);
    void *memory;

    if (count < *capacity)
        return items;
    memory = arena_zeroed(arena, larger, bytes);
    if (memory && count > 0)
        memcpy(memory, items, count * bytes);
    *capacity = memory ? larger : *capacity;
    return memory;
}

static enum err epoch_note(struct quorum_loaded *loaded, int32_t epoch, int64_t offset)
{
    struct raft_offset_epoch *items = grown(&loaded->arena, loaded->epochs, &loaded->epoch_capacity,
                                            loaded->epoch_count, sizeof *items);

    if (!items)
        return ERR_NO_MEMORY;
    loaded->epochs = items;
    items[loaded->epoch_count++] = (struct raft_offset_epoch){offset, epoch};
    return OK;
}

static enum err voters_note(struct quorum_loaded *loaded, const struct record *record)
{
    struct raft_voters_at *items =
        grown(&loaded->arena, loaded->voters_at, &loaded->voters_at_capacity,
              loaded->voters_at_count, sizeof *items);
    struct voters_record voters;

    if (!items)
        return ERR_NO_MEMORY;
    loaded->voters_at = items;
    TRY(control_read_voters(record->value, &loaded->arena, &voters));
    items[loaded->voters_at_count].offset = record->offset;
    return quorum_voters_from_record(&voters, &loaded->arena,
                                     &items[loaded->voters_at_count++].voters);
}

static enum err kraft_version_note(struct quorum_loaded *loaded, const struct record *record)
{
    struct raft_kraft_version_at *items =
        grown(&loaded->arena, loaded->kraft_versions_at, &loaded->kraft_versions_at_capacity,
              loaded->kraft_versions_at_count, sizeof *items);
    struct kraft_version_record version;

    if (!items)
        return ERR_NO_MEMORY;
    loaded->kraft_versions_at = items;
    TRY(control_read_kraft_version(record->value, &loaded->arena, &version));
    items[loaded->kraft_versions_at_count++] =
        (struct raft_kraft_version_at){record->offset, version.kraft_version};
    return OK;
}

static enum err control_take(struct log_scan *scan, struct slice batch,
                             const struct batch_header *header)
{
    struct slice records = batch_records(batch);
    int64_t next_offset = header->base_offset;
    struct record_walk walk;
    struct record record;
    bool more;

    if (batch_codec(header) != 0) {
        writer_reset(&scan->inflated);
        TRY(record_inflate(scan->compress, batch, RAFT_BATCH_BYTES_MAX, &scan->inflated));
        records = writer_slice(&scan->inflated);
    }
    TRY(record_walk_begin(&walk, header, records));
    for (;;) {
        enum control_type type;

        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            return OK;
        /* Raft keeps what they set by their offsets, which rise. */
        if (record.offset < next_offset || record.offset > batch_last_offset(header))
            return ERR_CORRUPT;
        next_offset = record.offset + 1;
        TRY(control_key_read(record.key, &type));
        if (type == CONTROL_KRAFT_VOTERS)
            TRY(voters_note(scan->loaded, &record));
        else if (type == CONTROL_KRAFT_VERSION)
            TRY(kraft_version_note(scan->loaded, &record));
    }
}

static void tail_keep(struct quorum_loaded *loaded, struct slice bytes,
                      const struct batch_header *header)
{
    struct quorum_batch *batch;

    loaded->log_bytes_behind += (int64_t)bytes.size_bytes;
    if (loaded->tail_bytes + bytes.size_bytes > TAIL_BYTES_MAX)
        return; /* the rest is read from the log: the kept part stays contiguous */
    if (loaded->log_bytes_behind != (int64_t)(loaded->tail_bytes + bytes.size_bytes))
        return;
    batch = SERVER_NEW(struct quorum_batch);
    list_init(&batch->node);
    batch->data = server_allocate(bytes.size_bytes);
    memcpy(batch->data, bytes.data, bytes.size_bytes);
    batch->size_bytes = batch->capacity_bytes = bytes.size_bytes;
    batch->base_offset = header->base_offset;
    batch->end_offset = batch_next_offset(header);
    list_push_back(&loaded->tail, &batch->node);
    loaded->tail_bytes += bytes.size_bytes;
}

static enum err batch_take(struct log_scan *scan, struct slice batch,
                           const struct batch_header *header)
{
    struct quorum_loaded *loaded = scan->loaded;

    if (loaded->first_offset < 0)
        loaded->first_offset = header->base_offset;
    if (header->leader_epoch > scan->epoch)
        TRY(epoch_note(loaded, header->leader_epoch, header->base_offset));
    scan->epoch = header->leader_epoch;
    scan->next_offset = loaded->end_offset = batch_next_offset(header);
    if (loaded->end_offset <= quorum_loaded_snapshot_end(loaded))
        return OK;
    if (batch_is_control(header))
        TRY(control_take(scan, batch, header));
    tail_keep(loaded, batch, header);
    return OK;
}

/* ---- walking one file ---- */

static struct slice at_hand(const struct log_scan *scan)
{
    return slice_sub(writer_slice(&scan->bytes), scan->taken, SIZE_MAX);
}

static enum err read_more(struct log_scan *scan)
{
    size_t left = scan->bytes.size_bytes - scan->taken;
    uint8_t *room;
    size_t got;

    if (scan->taken > 0) {
        memmove(scan->bytes.data, scan->bytes.data + scan->taken, left);
        scan->position_bytes += (int64_t)scan->taken;
        scan->bytes.size_bytes = left;
        scan->taken = 0;
    }
    room = writer_reserve(&scan->bytes, PIECE_BYTES);
    if (!room)
        return ERR_NO_MEMORY;
    TRY(os_file_read(scan->file, room, PIECE_BYTES, scan->read_bytes, &got));
    scan->bytes.size_bytes -= PIECE_BYTES - got;
    scan->read_bytes += (int64_t)got;
    scan->at_end = got < PIECE_BYTES;
    return OK;
}

/* Is the next batch whole, its check right, its place in order? */
static bool is_sound(const struct log_scan *scan, struct slice batch, struct batch_header *header)
{
    if (!batch_is_valid(batch) || batch_header_read(batch, header) != OK)
        return false;
    if (header->magic != BATCH_MAGIC || batch_last_offset(header) < header->base_offset ||
        header->leader_epoch < 0)
        return false;
    if (scan->hole.found)
        return header->base_offset > scan->hole.offset && header->leader_epoch > scan->hole.epoch;
    return header->leader_epoch >= scan->epoch &&
           (scan->next_offset < 0 || header->base_offset == scan->next_offset);
}

static void hole_note(struct log_scan *scan)
{
    if (scan->hole.found)
        return;
    scan->hole.found = true;
    memcpy(scan->hole.path, scan->path, sizeof scan->hole.path);
    scan->hole.position_bytes = scan->position_bytes + (int64_t)scan->taken;
    scan->hole.offset = scan->next_offset;
    scan->hole.epoch = scan->epoch;
}

static enum err hole_refuse(struct log_scan *scan)
{
    return why_set(&scan->loaded->why, ERR_CORRUPT,
                   "%s is broken at byte %lld (offset %lld), and records behind it were in use. "
                   "Restore the file from another copy of it; the node does not start without "
                   "what it holds",
                   scan->hole.path, (long long)scan->hole.position_bytes,
                   (long long)scan->hole.offset);
}

/* *done_out: nothing can be made out behind here. */
static enum err batch_step(struct log_scan *scan, bool *done_out)
{
    struct slice bytes = at_hand(scan);
    struct batch_header header;
    size_t size_bytes = 0;
    enum batch_frame frame = batch_peek(bytes, &size_bytes);

    *done_out = false;
    if (frame == BATCH_FRAME_PARTIAL && !scan->at_end && size_bytes <= 2 * RAFT_BATCH_BYTES_MAX)
        return read_more(scan);
    if (frame != BATCH_FRAME_WHOLE) {
        if (bytes.size_bytes > 0)
            hole_note(scan);
        *done_out = true;
        return OK;
    }
    bytes = slice_sub(bytes, 0, size_bytes);
    if (!is_sound(scan, bytes, &header))
        hole_note(scan);
    else if (scan->hole.found)
        return hole_refuse(scan);
    else
        TRY(batch_take(scan, bytes, &header));
    scan->taken += size_bytes;
    return OK;
}

/* Batches begin where the file's name says. Segments that were on their way out may come back after a
 * power cut, without those between them and the log: what the latest snapshot covers may be missing,
 * and the log begins behind the gap. */
static void segment_enter(struct log_scan *scan, const char *name)
{
    int64_t base_offset;

    if (parse_i64(slice_of(name, SEGMENT_DIGITS), &base_offset) != OK || scan->hole.found)
        return;
    if (scan->next_offset >= 0 && (base_offset <= scan->next_offset ||
                                   base_offset > quorum_loaded_snapshot_end(scan->loaded)))
        return;
    scan->next_offset = base_offset;
    scan->epoch = -1;
    scan->loaded->first_offset = -1;
    scan->loaded->epoch_count = 0;
}

static enum err file_walk(struct log_scan *scan, const char *name)
{
    bool done = false;

    segment_enter(scan, name);
    fmt(scan->path, sizeof scan->path, "%s/%s", scan->loaded->path, name);
    writer_reset(&scan->bytes);
    scan->taken = 0;
    scan->position_bytes = scan->read_bytes = 0;
    scan->at_end = false;
    TRY(os_file_open(scan->loaded->os, scan->path, OS_OPEN_READ, &scan->file));
    while (!done)
        TRY(batch_step(scan, &done));
    os_file_close(&scan->file);
    return OK;
}

static enum err files_walk(struct log_scan *scan)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    TRY(os_list(scan->loaded->os, scan->loaded->path, &arena, &names));
    for (size_t i = 0; i < names.count; i++) /* sorted: ascending base offsets */
        if (is_segment(names.names[i]))
            TRY(file_walk(scan, names.names[i]));
    return OK;
}

static enum err hole_judge(struct log_scan *scan)
{
    if (!scan->hole.found)
        return OK;
    if (scan->loaded->was_clean ||
        (scan->hole.offset >= 0 && scan->hole.offset < quorum_loaded_snapshot_end(scan->loaded)))
        return hole_refuse(scan);
    return OK;
}

enum err quorum_load_log(struct quorum_loaded *loaded)
{
    struct log_scan scan = {.loaded = loaded, .next_offset = -1, .epoch = -1};
    enum err err = compress_context_open(&scan.compress, &heap_allocator);

    loaded->first_offset = loaded->end_offset = -1;
    writer_init(&scan.inflated, &heap_allocator, SIZE_MAX);
    writer_init(&scan.bytes, &heap_allocator, SIZE_MAX);
    if (err == OK)
        err = files_walk(&scan);
    if (err == OK)
        err = hole_judge(&scan);
    if (err != OK && loaded->why.text[0] == '\0')
        why_set(&loaded->why, err, "%s cannot be read: %s", scan.path, err_text(err));
    os_file_close(&scan.file);
    writer_release(&scan.inflated);
    writer_release(&scan.bytes);
    compress_context_release(&scan.compress);
    return err;
}
