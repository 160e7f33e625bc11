/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_load_snapshot.c: the snapshots of the metadata log at start: which there are, what
 * the latest one says, and the records that a new cluster begins with (snapshot 0-0, or Kafka's
 * older bootstrap.checkpoint).
 * Invariants  the latest snapshot is read whole and checked: nothing else holds what it holds.
 */
#include "protocol/generated/voters_record.h"
#include "server/quorum_internal.h"

#define SNAPSHOT_BYTES_MAX (4 * GIB)
#define HEADER_BYTES (64 * KIB) /* enough for the first batch */

static bool is_bootstrap(const struct snapshot_id *id)
{
    return id->end_offset == 0 && id->epoch == 0;
}

static void path_of(const struct quorum_loaded *loaded, const char *name,
                    char out[QUORUM_PATH_BYTES])
{
    fmt(out, QUORUM_PATH_BYTES, "%s/%s", loaded->path, name);
}

/* ---- which there are ---- */

static enum err snapshot_note(struct quorum_loaded *loaded, const struct snapshot_id *id,
                              const char *path, struct quorum_snapshot *out)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    CLEANUP(arena_release) struct arena arena;
    struct snapshot_reader reader;
    struct snapshot_item item;
    uint8_t *buffer;
    size_t read_bytes;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    *out = (struct quorum_snapshot){.id = *id, .contained_ms = -1};
    TRY(os_file_open(loaded->os, path, OS_OPEN_READ, &file));
    TRY(os_file_size(file, &out->size_bytes));
    buffer = arena_allocate(&arena, HEADER_BYTES);
    if (!buffer)
        return ERR_NO_MEMORY;
    TRY(os_file_read(file, buffer, HEADER_BYTES, 0, &read_bytes));
    snapshot_reader_begin(&reader, slice_of(buffer, read_bytes), NULL, &heap_allocator, &arena);
    /* Only its age is of interest here; a broken one keeps it unknown. */
    if (snapshot_reader_next(&reader, &item, NULL) == OK && item.kind == SNAPSHOT_ITEM_HEADER)
        out->contained_ms = item.contained_ms;
    snapshot_reader_release(&reader);
    return OK;
}

static enum err names_look(struct quorum_loaded *loaded, const struct os_names *names)
{
    loaded->snapshots = ARENA_ARRAY(&loaded->arena, struct quorum_snapshot, names->count + 1);
    if (!loaded->snapshots)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < names->count; i++) { /* sorted: ascending offsets */
        struct snapshot_id id;
        char path[QUORUM_PATH_BYTES];
        enum err err = OK;

        path_of(loaded, names->names[i], path);
        switch (snapshot_name_parse(slice_from_text(names->names[i]), &id)) {
        case SNAPSHOT_FILE_NONE:
            break;
        case SNAPSHOT_FILE_PART:
        case SNAPSHOT_FILE_DELETED:
            err = os_unlink(loaded->os, path);
            break;
        case SNAPSHOT_FILE_WHOLE:
            err = snapshot_note(loaded, &id, path, &loaded->snapshots[loaded->snapshot_count++]);
            break;
        }
        if (err != OK)
            return why_set(&loaded->why, err, "%s: %s", path, err_text(err));
    }
    return OK;
}

/* ---- what one says ---- */

static enum err record_keep(struct quorum_loaded *loaded, struct slice value, struct why *why)
{
    struct metadata_record_list *list = &loaded->bootstrap;
    struct slice copy = arena_copy(&loaded->arena, value);
    struct metadata_record record;
    void *message;

    if (slice_is_null(copy))
        return ERR_NO_MEMORY;
    TRY(metadata_record_decode(copy, &loaded->arena, &record, why));
    TRY(metadata_record_add(list, &loaded->arena, record.type->key, record.version, &message));
    memcpy(message, record.message, message_struct_bytes(record.type));
    return OK;
}

static enum err voters_keep(struct quorum_loaded *loaded, const struct voters_record *from)
{
    struct voters_record *voters = ARENA_NEW(&loaded->arena, struct voters_record);

    if (!voters)
        return ERR_NO_MEMORY;
    loaded->voters = voters;
    return message_copy(&voters_record_type, from, &loaded->arena, voters);
}

struct reading {
    struct quorum_loaded *loaded;
    struct snapshot_id id;
    struct snapshot_reader reader;
    struct arena records; /* of one record */
    struct arena voters;
    int64_t contained_ms;
};

static enum err item_take(struct reading *reading, const struct snapshot_item *item,
                          struct why *why)
{
    struct quorum_loaded *loaded = reading->loaded;
    struct metadata_record record;

    switch (item->kind) {
    case SNAPSHOT_ITEM_HEADER:
        reading->contained_ms = item->contained_ms;
        return OK;
    case SNAPSHOT_ITEM_KRAFT_VERSION:
        loaded->kraft_version = item->kraft_version;
        return OK;
    case SNAPSHOT_ITEM_VOTERS:
        return voters_keep(loaded, item->voters);
    case SNAPSHOT_ITEM_RECORD:
        if (is_bootstrap(&reading->id))
            return record_keep(loaded, item->value, why);
        arena_reset(&reading->records);
        TRY(metadata_record_decode(item->value, &reading->records, &record, why));
        loaded->has_data = true;
        return metadata_state_replay(loaded->state, &record, reading->id.end_offset - 1, why);
    case SNAPSHOT_ITEM_FOOTER:
    case SNAPSHOT_ITEM_END:
        break;
    }
    return OK;
}

static enum err items_take(struct reading *reading, struct why *why)
{
    struct snapshot_item item;

    do {
        TRY(snapshot_reader_next(&reading->reader, &item, why));
        TRY(item_take(reading, &item, why));
    } while (item.kind != SNAPSHOT_ITEM_END);
    return OK;
}

static enum err snapshot_read(struct quorum_loaded *loaded, const struct snapshot_id *id)
{
    CLEANUP(arena_release) struct arena bytes_arena;
    CLEANUP(compress_context_release) struct compress_context *compress = NULL;
    struct reading reading = {.loaded = loaded, .id = *id};
    char name[SNAPSHOT_NAME_BYTES], path[QUORUM_PATH_BYTES];
    struct why why = {0};
    struct slice bytes;
    enum err err;

    arena_init(&bytes_arena, &heap_allocator, SIZE_MAX);
    snapshot_name(*id, name);
    path_of(loaded, name, path);
    TRY(compress_context_open(&compress, &heap_allocator));
    err = os_read_whole(loaded->os, path, &bytes_arena, SNAPSHOT_BYTES_MAX, &bytes);
    if (err != OK)
        return why_set(&loaded->why, err, "%s cannot be read: %s", path, err_text(err));
    arena_init(&reading.records, &heap_allocator, SIZE_MAX);
    arena_init(&reading.voters, &heap_allocator, SIZE_MAX);
    snapshot_reader_begin(&reading.reader, bytes, compress, &heap_allocator, &reading.voters);
    err = items_take(&reading, &why);
    snapshot_reader_release(&reading.reader);
    arena_release(&reading.records);
    arena_release(&reading.voters);
    if (err != OK)
        return why_set(&loaded->why, err,
                       "%s is broken: %s. Restore the file from another copy of it; the node does "
                       "not start without what it holds",
                       path, why.text[0] ? why.text : err_text(err));
    if (is_bootstrap(id))
        return OK;
    loaded->provenance =
        (struct metadata_provenance){id->end_offset - 1, id->epoch, reading.contained_ms};
    metadata_state_advance(loaded->state, loaded->provenance);
    return OK;
}

/* ---- Kafka before 4.0 kept the first records in a file of their own ---- */

static enum err old_batch_take(struct quorum_loaded *loaded, struct slice batch, struct why *why)
{
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    bool more;

    if (!batch_is_valid(batch))
        return why_set(why, ERR_CORRUPT, "a batch fails its check");
    TRY(batch_header_read(batch, &header));
    if (batch_is_control(&header) || batch_codec(&header) != 0)
        return OK;
    TRY(record_walk_begin(&walk, &header, batch_records(batch)));
    for (;;) {
        TRY(record_walk_next(&walk, &record, &more));
        if (!more)
            return OK;
        TRY(record_keep(loaded, record.value, why));
    }
}

static enum err old_bootstrap_read(struct quorum_loaded *loaded)
{
    char path[QUORUM_PATH_BYTES];
    struct why why = {0};
    struct slice bytes, batch;
    struct os_stat stat;
    enum err err;

    fmt(path, sizeof path, "%.*s/bootstrap.checkpoint",
        (int)(strlen(loaded->path) - strlen("/" METADATA_LOG_NAME)), loaded->path);
    TRY(os_stat(loaded->os, path, &stat));
    if (!stat.exists)
        return OK;
    TRY(os_read_whole(loaded->os, path, &loaded->arena, SNAPSHOT_BYTES_MAX, &bytes));
    do {
        err = batch_next(&bytes, &batch);
        if (err == OK && batch.size_bytes > 0)
            err = old_batch_take(loaded, batch, &why);
    } while (err == OK && batch.size_bytes > 0);
    if (err != OK)
        return why_set(&loaded->why, err, "%s is broken: %s", path, why.text);
    return OK;
}

enum err quorum_load_snapshots(struct quorum_loaded *loaded)
{
    CLEANUP(arena_release) struct arena names_arena;
    struct os_names names;
    const struct quorum_snapshot *first, *latest;

    arena_init(&names_arena, &heap_allocator, SIZE_MAX);
    TRY(os_list(loaded->os, loaded->path, &names_arena, &names));
    TRY(names_look(loaded, &names));
    if (loaded->snapshot_count == 0)
        return old_bootstrap_read(loaded);
    first = &loaded->snapshots[0];
    latest = &loaded->snapshots[loaded->snapshot_count - 1];
    if (is_bootstrap(&first->id))
        TRY(snapshot_read(loaded, &first->id));
    if (latest != first || !is_bootstrap(&latest->id)) {
        /* A later snapshot says all there is of these. */
        loaded->voters = NULL;
        loaded->kraft_version = 0;
        TRY(snapshot_read(loaded, &latest->id));
    }
    return OK;
}
