/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_start.c: from what is on disk to a raft core that runs.
 *
 *   read all (job) ─► open the log ─► (snapshot ahead: cut) ─► (flush) ─► raft's START ─► started
 *
 * Invariants  1. raft starts only on what is flushed.   2. a log that begins above 0 without a
 *                snapshot
 *             that reaches its start is refused: what lies before would be missing.
 * Crash       every step may be done again.
 */
#include "base/memory_reserve.h"
#include "protocol/generated/voters_record.h"
#include "server/quorum_internal.h"

static void log_opened(struct log_open *open);
static void log_cut(struct log_change_op *op);
static void log_flushed(struct log_wait *wait);
static void raft_begin(struct quorum *quorum);

static void loaded_free(struct quorum *quorum)
{
    struct quorum_loaded *loaded = TAKE(quorum->loaded);

    if (!loaded)
        return;
    while (!list_is_empty(&loaded->tail))
        quorum_batch_free(LIST_ITEM(list_pop_front(&loaded->tail), struct quorum_batch, node));
    metadata_state_release(&loaded->state);
    arena_release(&loaded->arena);
    SERVER_DELETE(loaded);
}

void quorum_start_fail(struct quorum *quorum, enum err err, const struct why *why)
{
    if (quorum->phase == QUORUM_LOADING) {
        quorum->phase = QUORUM_CREATED;
        LOG_ERROR(quorum->logger, "quorum", "start_failed", "error=%s reason=\"%s\"", err_name(err),
                  why->text);
        quorum->started(quorum->started_context, err, why);
    }
}

/* The end of one step. True: quorum_stop came in between, or it failed. */
static bool is_over(struct quorum *quorum, enum err err, const struct why *why)
{
    bool is_wanted = quorum->phase == QUORUM_LOADING;

    if (err == OK && is_wanted)
        return false;
    loaded_free(quorum);
    if (err != OK)
        quorum_start_fail(quorum, err, why);
    quorum_end(quorum);
    return true;
}

static void load_done(struct os_op *job)
{
    struct quorum_loaded *loaded = CONTAINER_OF(job, struct quorum_loaded, job);
    struct quorum *quorum = loaded->quorum;
    struct log_config config;
    struct why why = loaded->why;

    if (is_over(quorum, job->err, &why))
        return;
    memcpy(quorum->host_name, loaded->host_name, sizeof quorum->host_name);
    quorum_log_config(quorum, &config);
    quorum->open = (struct log_open){
        .directory = quorum->directory,
        .topic = SLICE(METADATA_TOPIC),
        .partition = 0,
        .topic_id = UUID_METADATA,
        .config = &config,
        .create = true,
        /* quorum_load_log has checked every batch; of a log closed in order there is nothing to
         * mend, and three syncs are saved at the start. */
        .recover_all = !loaded->was_clean,
        .done = log_opened,
    };
    log_store_open(quorum->shard->store, &quorum->open);
}

void quorum_start(struct quorum *quorum,
                  void (*started)(void *context, enum err err, const struct why *why),
                  void *context)
{
    struct node *node = quorum->node;
    struct quorum_loaded *loaded;
    struct why why;

    ASSERT(quorum->phase == QUORUM_CREATED);
    quorum->started = started;
    quorum->started_context = context;
    quorum->phase = QUORUM_LOADING;
    quorum->directory = log_directories_find_path(node->directories, node->config.metadata_log_dir);
    if (!quorum->directory || log_directory_is_offline(quorum->directory)) {
        why_set(&why, ERR_KAFKA_STORAGE_ERROR, "the directory %.*s of the metadata log is offline",
                SLICE_ARGS(node->config.metadata_log_dir));
        quorum_start_fail(quorum, ERR_KAFKA_STORAGE_ERROR, &why);
        return;
    }
    fmt(quorum->path, sizeof quorum->path, "%s/" METADATA_LOG_NAME,
        log_directory_path(quorum->directory));
    loaded = SERVER_NEW(struct quorum_loaded);
    loaded->quorum = quorum;
    loaded->os = node->os;
    loaded->path = quorum->path;
    loaded->was_clean = log_directory_was_clean(quorum->directory);
    loaded->wants_host_name = quorum_wants_host_name(quorum);
    arena_init(&loaded->arena, &heap_allocator, SIZE_MAX);
    list_init(&loaded->tail);
    quorum->loaded = loaded;
    loaded->job = (struct os_op){.kind = OS_OP_JOB, .run = quorum_load_run, .done = load_done};
    quorum_begin(quorum);
    reactor_submit(quorum->reactor, &loaded->job);
}

/* ---- the log against what was read ---- */

/* Opening cuts a torn tail; what was read of it goes too. */
static void tail_cut(struct quorum_loaded *loaded, int64_t end_offset)
{
    while (!list_is_empty(&loaded->tail)) {
        struct quorum_batch *batch = LIST_ITEM(loaded->tail.previous, struct quorum_batch, node);

        if (batch->end_offset <= end_offset)
            break;
        list_remove(&batch->node);
        quorum_batch_free(batch);
    }
    while (loaded->epoch_count > 0 && loaded->epochs[loaded->epoch_count - 1].offset >= end_offset)
        loaded->epoch_count--;
    while (loaded->voters_at_count > 0 &&
           loaded->voters_at[loaded->voters_at_count - 1].offset >= end_offset)
        loaded->voters_at_count--;
    while (loaded->kraft_versions_at_count > 0 &&
           loaded->kraft_versions_at[loaded->kraft_versions_at_count - 1].offset >= end_offset)
        loaded->kraft_versions_at_count--;
}

/* Where the whole log ends, as far as it was read. */
static int64_t sound_end(const struct quorum *quorum)
{
    return quorum->loaded->end_offset >= 0 ? quorum->loaded->end_offset
                                           : log_start_offset(quorum->log);
}

/* The log module takes a gap between two segments for what compaction left: here it is a torn tail
 * whose later part has survived (nobody was told of it), or lies below the latest snapshot. */
static void log_start_raise(struct quorum *quorum)
{
    struct quorum_loaded *loaded = quorum->loaded;

    if (loaded->first_offset <= log_start_offset(quorum->log))
        return;
    log_set_high_watermark(quorum->log,
                           MIN(quorum_loaded_snapshot_end(loaded), log_end_written(quorum->log)));
    if (log_set_start_offset(quorum->log, loaded->first_offset) == OK)
        log_retention_run(quorum->log);
}

static void log_opened(struct log_open *open)
{
    struct quorum *quorum = CONTAINER_OF(open, struct quorum, open);
    struct quorum_loaded *loaded = quorum->loaded;
    int64_t snapshot_end = quorum_loaded_snapshot_end(loaded);
    struct why why = open->why;
    enum err err = open->err;

    if (err != OK && why.text[0] == '\0')
        why_set(&why, err, "%s cannot be opened: %s", quorum->path, err_text(err));
    if (is_over(quorum, err, &why))
        return;
    quorum->log = open->log;
    tail_cut(loaded, log_end_queued(quorum->log));
    if (log_start_offset(quorum->log) > snapshot_end && log_start_offset(quorum->log) > 0)
        err = why_set(&why, ERR_CORRUPT,
                      "%s begins at offset %lld, and no snapshot there reaches so far: what lies "
                      "before is missing",
                      quorum->path, (long long)log_start_offset(quorum->log));
    if (is_over(quorum, err, &why))
        return;
    if (snapshot_end > log_end_queued(quorum->log)) {
        tail_cut(loaded, 0);
        quorum->change = (struct log_change_op){.done = log_cut};
        log_truncate_fully(quorum->log, snapshot_end, &quorum->change);
        return;
    }
    if (log_end_queued(quorum->log) > sound_end(quorum)) {
        quorum->change = (struct log_change_op){.done = log_cut};
        log_truncate(quorum->log, sound_end(quorum), &quorum->change);
        return;
    }
    log_start_raise(quorum);
    quorum->flush = (struct log_wait){.offset = log_end_queued(quorum->log), .done = log_flushed};
    if (log_end_flushed(quorum->log) < log_end_queued(quorum->log))
        log_flush(quorum->log, &quorum->flush);
    else
        raft_begin(quorum);
}

static void log_cut(struct log_change_op *op)
{
    struct quorum *quorum = CONTAINER_OF(op, struct quorum, change);
    struct why why = {0};

    if (op->err != OK)
        why_set(&why, op->err, "%s cannot be cut: %s", quorum->path, err_text(op->err));
    if (is_over(quorum, op->err, &why))
        return;
    log_start_raise(quorum);
    raft_begin(quorum);
}

static void log_flushed(struct log_wait *wait)
{
    struct quorum *quorum = CONTAINER_OF(wait, struct quorum, flush);
    struct why why = {0};

    if (wait->err != OK)
        why_set(&why, wait->err, "%s cannot be flushed: %s", quorum->path, err_text(wait->err));
    if (!is_over(quorum, wait->err, &why))
        raft_begin(quorum);
}

/* ---- raft ---- */

static void loader_take(struct quorum *quorum)
{
    struct quorum_loaded *loaded = quorum->loaded;
    struct quorum_loader *loader = &quorum->loader;

    loader->state = TAKE(loaded->state);
    loader->provenance = loaded->provenance;
    loader->next_offset = MAX(quorum_loaded_snapshot_end(loaded), log_start_offset(quorum->log));
    if (loader->next_offset == 0)
        loader->provenance = (struct metadata_provenance){.offset = -1};
    loader->has_data = loader->has_news = loaded->has_data;
    loader->kraft_version = loaded->kraft_version;
    if (loaded->voters) {
        loader->voters = ARENA_NEW(&loader->voters_arena, struct voters_record);
        if (message_copy(&voters_record_type, loaded->voters, &loader->voters_arena,
                         loader->voters) != OK)
            quorum_fail(quorum, ERR_NO_MEMORY, "no memory for the voters");
    }
    LIST_EACH (node, &loaded->tail) {
        struct quorum_batch *batch = LIST_ITEM(node, struct quorum_batch, node);

        batch->quorum = quorum;
    }
    list_splice_back(&quorum->tail, &loaded->tail);
    for (size_t i = 0; i < loaded->snapshot_count; i++)
        quorum_snapshots_add(quorum, &loaded->snapshots[i]);
}

/* The epochs from the log's start on: the first may have begun before it. */
static void epochs_of(const struct quorum *quorum, struct raft_start *start)
{
    struct quorum_loaded *loaded = quorum->loaded;
    size_t from = 0;

    while (from + 1 < loaded->epoch_count &&
           loaded->epochs[from + 1].offset <= start->log_start_offset)
        from++;
    if (loaded->epoch_count > 0)
        loaded->epochs[from].offset = MAX(loaded->epochs[from].offset, start->log_start_offset);
    start->epochs = loaded->epoch_count > 0 ? loaded->epochs + from : NULL;
    start->epoch_count = loaded->epoch_count - from;
}

static enum err snapshots_of(const struct quorum *quorum, struct raft_start *start)
{
    struct quorum_loaded *loaded = quorum->loaded;
    struct raft_snapshot *items =
        ARENA_ARRAY(&loaded->arena, struct raft_snapshot, loaded->snapshot_count + 1);

    if (!items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < loaded->snapshot_count; i++) {
        const struct quorum_snapshot *snapshot = &loaded->snapshots[i];

        if (snapshot->id.end_offset >= start->log_start_offset)
            items[start->snapshot_count++] = (struct raft_snapshot){
                {snapshot->id.end_offset, snapshot->id.epoch}, snapshot->size_bytes};
    }
    start->snapshots = items;
    return OK;
}

/* The latest snapshot's, then the log's. */
static enum err voters_of(const struct quorum *quorum, struct raft_start *start)
{
    struct quorum_loaded *loaded = quorum->loaded;
    int64_t snapshot_offset = quorum_loaded_snapshot_end(loaded) - 1;
    struct raft_voters_at *voters =
        ARENA_ARRAY(&loaded->arena, struct raft_voters_at, loaded->voters_at_count + 1);
    struct raft_kraft_version_at *versions = ARENA_ARRAY(
        &loaded->arena, struct raft_kraft_version_at, loaded->kraft_versions_at_count + 1);

    if (!voters || !versions)
        return ERR_NO_MEMORY;
    if (loaded->voters) {
        voters[0].offset = snapshot_offset;
        TRY(quorum_voters_from_record(loaded->voters, &loaded->arena, &voters[0].voters));
        start->voters_count++;
    }
    if (loaded->kraft_version > 0)
        versions[start->kraft_version_count++] =
            (struct raft_kraft_version_at){snapshot_offset, loaded->kraft_version};
    for (size_t i = 0; i < loaded->voters_at_count; i++)
        voters[start->voters_count++] = loaded->voters_at[i];
    for (size_t i = 0; i < loaded->kraft_versions_at_count; i++)
        versions[start->kraft_version_count++] = loaded->kraft_versions_at[i];
    start->voters = voters;
    start->kraft_versions = versions;
    return OK;
}

static enum err start_make(struct quorum *quorum, struct raft_event *event)
{
    struct raft_start *start = &event->start;
    struct raft_options options;

    event->kind = RAFT_EVENT_START;
    start->quorum_state = quorum->loaded->has_quorum_state ? &quorum->loaded->quorum_state : NULL;
    start->log_start_offset = log_start_offset(quorum->log);
    start->log_end_offset = log_end_queued(quorum->log);
    epochs_of(quorum, start);
    TRY(snapshots_of(quorum, start));
    TRY(voters_of(quorum, start));
    TRY(quorum_raft_options(quorum, &quorum->loaded->arena, &options));
    TRY(raft_create(&must_allocator, &options, quorum->logger, &quorum->raft));
    return controller_run_create(quorum, &quorum->loaded->bootstrap);
}

static void voters_check(struct quorum *quorum)
{
    struct raft_status status;

    raft_status(quorum->raft, &status);
    if (status.voters.count != 1 || !status.is_voter)
        LOG_ERROR(quorum->logger, "quorum", "peers_unreachable",
                  "voters=%zu is_voter=%d text=\"this build runs quorums of one voter: it cannot "
                  "reach other replicas, and nobody will lead here\"",
                  status.voters.count, (int)status.is_voter);
}

static void raft_begin(struct quorum *quorum)
{
    struct raft_event event = {0};
    struct why why = {0};
    enum err err = start_make(quorum, &event);

    if (err != OK)
        why_set(&why, err, "the quorum cannot start: %s", err_text(err));
    if (is_over(quorum, err, &why))
        return;
    loader_take(quorum);
    quorum->phase = QUORUM_RUNNING;
    quorum_log_listen(quorum);
    quorum_snapshots_start(quorum);
    LOG_INFO(quorum->logger, "quorum", "started",
             "start_offset=%lld end_offset=%lld snapshot_end=%lld",
             (long long)event.start.log_start_offset, (long long)event.start.log_end_offset,
             (long long)quorum_loaded_snapshot_end(quorum->loaded));
    quorum_feed(quorum, event);
    voters_check(quorum);
    loaded_free(quorum);
    quorum->started(quorum->started_context, OK, NULL);
    quorum_end(quorum);
}
