/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_load.c: what the metadata log's directory holds, read once at start by a job:
 * quorum-state, snapshots, the log's batches.
 * Invariants  1. nothing here changes a byte of the log; leftovers of unfinished snapshots go.
 *             2. whatever is found broken names its file.
 * Crash       *.part and *.deleted are worthless and removed again at the next start.
 * Threads     a pool thread, before the log is opened; the struct is the job's alone until it is
 *             done.
 */
#include "server/quorum_internal.h"

#define QUORUM_STATE_BYTES_MAX (1 * MIB)

int64_t quorum_loaded_snapshot_end(const struct quorum_loaded *loaded)
{
    return loaded->snapshot_count == 0
               ? 0
               : loaded->snapshots[loaded->snapshot_count - 1].id.end_offset;
}

static enum err state_load(struct quorum_loaded *loaded)
{
    char path[QUORUM_PATH_BYTES];
    struct why why = {0};
    struct os_stat stat;
    struct slice text;
    enum err err;

    fmt(path, sizeof path, "%s/quorum-state", loaded->path);
    TRY(os_stat(loaded->os, path, &stat));
    if (!stat.exists)
        return OK;
    err = os_read_whole(loaded->os, path, &loaded->arena, QUORUM_STATE_BYTES_MAX, &text);
    if (err != OK)
        return why_set(&loaded->why, err, "%s cannot be read: %s", path, err_text(err));
    err = raft_quorum_state_decode(text, &loaded->arena, &loaded->quorum_state, &why);
    if (err != OK)
        return why_set(&loaded->why, err, "%s is broken: %s", path, why.text);
    loaded->has_quorum_state = true;
    return OK;
}

static enum err load(struct quorum_loaded *loaded)
{
    struct os_stat stat;

    if (loaded->wants_host_name &&
        os_host_name(loaded->os, loaded->host_name, sizeof loaded->host_name) != OK)
        fmt(loaded->host_name, sizeof loaded->host_name, "localhost");
    TRY(metadata_state_create(&heap_allocator, NULL, &loaded->state));
    TRY(os_stat(loaded->os, loaded->path, &stat));
    if (!stat.exists)
        return OK; /* an observer's first start: the log makes the directory */
    TRY(state_load(loaded));
    TRY(quorum_load_snapshots(loaded));
    return quorum_load_log(loaded);
}

void quorum_load_run(struct os_op *job)
{
    struct quorum_loaded *loaded = CONTAINER_OF(job, struct quorum_loaded, job);

    job->err = load(loaded);
    if (job->err != OK && loaded->why.text[0] == '\0')
        why_set(&loaded->why, job->err, "%s cannot be read: %s", loaded->path, err_text(job->err));
}
