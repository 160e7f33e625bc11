/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_swap.c: a cleaned segment takes the place of those it was made from (§6.5 of the reference).
 *
 *   1 snapshots → .deleted, sync   2 .cleaned → .swap, sync   3 old files → .deleted, sync   4 .swap → final names, sync
 *
 * Each sync makes what came before it durable before the next step may be: a power cut keeps or undoes every
 * rename on its own. Until 2 is durable the old files are all there; from then on the opening of the log ends the
 * work (load_segments.c); a final name never stands beside an old segment that it covers.
 * The log has no reader in the midst of planning while this runs, so no file is opened under a name that changes
 * hands. Readers that planned before hold the old file open.
 *
 * Producer snapshots inside the group go with their segments. When a marker goes, so do all below the group's end,
 * those amid a segment too: one of them may hold the marker's transaction open, and a replay from it would find
 * nothing that ends it. They go first: after a crash the replay is longer then, over a log that has its markers yet.
 * Threads     steps: the job of a change; taking over: the store's.
 */
#include "storage/cleaner.h"

#include "base/bug.h"

static const char *const swap_suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};

/* A step that ended for want of something is done again: what it had renamed has its new name. */
static enum err rename_once(struct os *os, const char *from, const char *to)
{
    enum err err = os_rename(os, from, to);
    struct os_stat stat;

    if (err != ERR_NOT_FOUND)
        return err;
    TRY(os_stat(os, to, &stat));
    return stat.exists ? OK : ERR_NOT_FOUND;
}

static enum err rename_if_there(struct os *os, const char *from, const char *to)
{
    enum err err = os_rename(os, from, to);

    return err == ERR_NOT_FOUND ? OK : err;
}

static void suffix_join(const char *suffix, const char *state, char out[32])
{
    fmt(out, 32, "%s%s", suffix, state);
}

/* The new segment's files from one state of their names to the next. */
static enum err output_rename(struct clean_pass *pass, const char *from_state, const char *to_state)
{
    for (size_t i = 0; i < ARRAY_COUNT(swap_suffixes); i++) {
        char from_suffix[32], to_suffix[32];
        char from[PATH_BYTES], to[PATH_BYTES];

        if (strcmp(swap_suffixes[i], ".txnindex") == 0 && pass->facts.aborted.count == 0)
            continue;
        suffix_join(swap_suffixes[i], from_state, from_suffix);
        suffix_join(swap_suffixes[i], to_state, to_suffix);
        path_of_file(pass->path, pass->facts.base_offset, from_suffix, from);
        path_of_file(pass->path, pass->facts.base_offset, to_suffix, to);
        TRY(rename_once(pass->os, from, to));
    }
    return OK;
}

static enum err old_rename(struct clean_pass *pass, int64_t base_offset, const char *suffix)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    char deleted[32];

    suffix_join(suffix, ".deleted", deleted);
    path_of_file(pass->path, base_offset, suffix, from);
    path_of_file(pass->path, base_offset, deleted, to);
    return rename_if_there(pass->os, from, to);
}

/* One of a base that is no more would be a stray. No older ones come until the swap is over: what was appended before the
 * recovery point has had its snapshots written. */
void clean_swap_begin(struct clean_pass *pass)
{
    const struct log *log = pass->log;
    bool takes_older = pass->drops_marker && !BUG_IS(snapshots_outlive_markers);
    int64_t base = pass->items[pass->group_from].base_offset;
    int64_t end = pass->items[pass->group_to - 1].next_base;

    pass->swap_step = 0;
    pass->snapshot_count = 0;
    for (size_t i = 0; i < log->snapshot_count; i++) {
        int64_t offset = log->snapshots[i];

        if (offset >= end || (offset <= base && !takes_older))
            continue;
        pass->snapshots = storage_grow(pass->snapshots, sizeof *pass->snapshots,
                                       &pass->snapshot_capacity, pass->snapshot_count + 1);
        pass->snapshots[pass->snapshot_count++] = offset;
    }
}

static enum err snapshots_rename(struct clean_pass *pass)
{
    for (size_t i = 0; i < pass->snapshot_count; i++)
        TRY(old_rename(pass, pass->snapshots[i], ".snapshot"));
    return OK;
}

static enum err olds_rename(struct clean_pass *pass)
{
    for (size_t i = pass->group_from; i < pass->group_to; i++) {
        for (size_t j = 0; j < ARRAY_COUNT(swap_suffixes); j++)
            TRY(old_rename(pass, pass->items[i].base_offset, swap_suffixes[j]));
    }
    return OK;
}

enum err clean_swap_blocking(struct clean_pass *pass)
{
    for (; pass->swap_step < 4; pass->swap_step++) {
        if (pass->swap_step == 0 && pass->snapshot_count == 0)
            continue;
        if (pass->swap_step == 0)
            TRY(snapshots_rename(pass));
        else if (pass->swap_step == 1)
            TRY(output_rename(pass, ".cleaned", ".swap"));
        else if (pass->swap_step == 2)
            TRY(olds_rename(pass));
        else
            TRY(output_rename(pass, ".swap", ""));
        TRY(os_sync_directory(pass->os, pass->path));
    }
    return OK;
}

enum err clean_discard_blocking(struct clean_pass *pass)
{
    for (size_t i = 0; i < ARRAY_COUNT(swap_suffixes); i++) {
        char path[PATH_BYTES];
        char suffix[32];
        enum err err;

        suffix_join(swap_suffixes[i], ".cleaned", suffix);
        path_of_file(pass->path, pass->facts.base_offset, suffix, path);
        err = os_unlink(pass->os, path);
        if (err != OK && err != ERR_NOT_FOUND)
            return err;
    }
    return OK;
}

/* ---- on the shard ---- */

static struct segment *segment_of_output(struct clean_pass *pass)
{
    struct segment *segment = segment_new(pass->log, pass->facts.base_offset);

    segment->size_bytes = pass->facts.size_bytes;
    segment->written_bytes = pass->facts.size_bytes;
    segment->flushed_bytes = pass->facts.size_bytes;
    segment->aborted = pass->facts.aborted;
    segment->aborted.known = true;
    segment->aborted.written = segment->aborted.count;
    pass->facts.aborted = (struct transaction_index){0};
    segment->has_aborted_file = segment->aborted.count > 0;
    segment->sealed = true;
    segment->has_index_files = true;
    segment->entry_synced = true;
    segment->full_synced = true;
    segment->timestamp_known = true;
    segment->max_timestamp = pass->facts.max_timestamp;
    segment->max_timestamp_offset = pass->facts.max_timestamp_offset;
    segment->first_timestamp = pass->facts.first_timestamp;
    segment->first_timestamp_known = pass->facts.first_timestamp_known;
    segment->modified_ms = pass->items[pass->group_to - 1].modified_ms;
    segment->created_ms = segment->modified_ms;
    return segment;
}

static void old_doom(struct clean_pass *pass, int64_t base_offset, const char *suffix)
{
    struct log *log = pass->log;
    char path[PATH_BYTES];
    char deleted[32];

    suffix_join(suffix, ".deleted", deleted);
    path_of_file(pass->path, base_offset, deleted, path);
    store_doom(log->store, log->directory, path, false, log->config.file_delete_delay_ms);
}

void clean_swap_take_over(struct clean_pass *pass)
{
    struct log *log = pass->log;
    size_t at = log_segment_floor(log, pass->facts.base_offset);
    size_t count = pass->group_to - pass->group_from;

    for (size_t i = 0; i < count; i++) {
        struct clean_item *item = &pass->items[pass->group_from + i];
        struct segment *old = log->segments[at + i];

        ASSERT(old == item->segment);
        log->digests_dirty |= old->aborted.count > 0;
        for (size_t j = 0; j < ARRAY_COUNT(swap_suffixes); j++)
            old_doom(pass, item->base_offset, swap_suffixes[j]);
        for (unsigned j = 0; log->recent && j < RECENT_BATCHES; j++)
            if (log->recent[j].segment == old)
                log->recent[j] = (struct recent_batch){0};
        old->deleted = true;
        segment_release(&old);
    }
    for (size_t i = 0; i < pass->snapshot_count; i++) {
        old_doom(pass, pass->snapshots[i], ".snapshot");
        log_forget_snapshot(log, pass->snapshots[i]);
    }
    log_segments_remove(log, at, count);
    log_segments_insert(log, at, segment_of_output(pass));
    log_recount_size(log);
}
