/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/cleaner.c: log compaction as the shard sees it. docs/design/compaction.md.
 *
 *   tick → the log with the largest dirty share → MAP slices → (COPY slices → swap) per group → checkpoint
 *
 * One pass per store is under way, and at most `threads` per process. Between two slices the pass comes back to
 * the shard, where it is cancelled, slowed down to the allowed rate, or goes on. A pass keeps the log busy, so no
 * change runs beside it; one that is asked for cancels it.
 * Invariants  1. the first dirty offset moves only after every group below it is swapped, durably.
 *             2. appends go on all the time; reads wait for the renames of a swap.
 * Crash       an unfinished group is dropped or completed by the opening; the groups before it are cleaned, which
 *             is correct without those behind it.
 * Threads     the store's.
 */
#include "storage/cleaner.h"

#include "base/fault_point.h"
#include "storage/directories.h"

#include <stdlib.h>

#define SLICE_BYTES (4 * MIB)
#define SLICE_BYTES_MIN (64 * KIB)
#define IO_BYTES_MIN (16 * KIB)
#define KEYS_GUESS 16384 /* a table that few caches are too small for; it grows */

static void pass_slice(struct clean_pass *pass);

/* ---- settings: any thread writes, each store reads ---- */

void log_directories_set_cleaner(struct log_directories *directories,
                                 const struct cleaner_options *options)
{
    struct cleaner_settings *settings = &directories->cleaner;

    atomic_store(&settings->enabled, options->enabled);
    atomic_store(&settings->threads, options->threads);
    atomic_store(&settings->dedupe_bytes, options->dedupe_bytes);
    atomic_store(&settings->io_buffer_bytes, options->io_buffer_bytes);
    atomic_store(&settings->backoff_ms, options->backoff_ms);
    atomic_store(&settings->load_factor, options->load_factor);
    atomic_store(&settings->bytes_per_second, options->bytes_per_second);
}

static struct cleaner_settings *settings_of(const struct log_store *store)
{
    return &store->directories->cleaner;
}

bool store_cleaner_is_enabled(const struct log_store *store)
{
    return atomic_load(&settings_of(store)->enabled);
}

/* How many there may be, of which one is taken; 0: none is left. */
static int thread_take(struct cleaner_settings *settings)
{
    int threads = atomic_load(&settings->threads);

    if (atomic_fetch_add(&settings->running, 1) < threads)
        return threads;
    atomic_fetch_sub(&settings->running, 1);
    return 0;
}

/* ---- the end of a pass ---- */

static void items_release(struct clean_pass *pass)
{
    for (size_t i = 0; i < pass->item_count; i++)
        segment_release(&pass->items[i].segment);
    storage_free(pass->items, pass->item_capacity * sizeof *pass->items);
}

void store_cleaner_look(struct log_store *store, int64_t delay_ms)
{
    if (!store->close_op)
        timer_set(store->reactor, &store->cleaner_timer, reactor_now_ms(store->reactor) + delay_ms);
}

static void pass_free(struct clean_pass *pass)
{
    clean_pass_release_files(pass);
    items_release(pass);
    storage_free(pass->aborted, pass->aborted_capacity * sizeof *pass->aborted);
    storage_free(pass->producers, pass->producer_capacity * sizeof *pass->producers);
    storage_free(pass->snapshots, pass->snapshot_capacity * sizeof *pass->snapshots);
    STORAGE_DELETE(pass);
}

static void pass_end(struct clean_pass *pass, int64_t look_ms)
{
    struct log *log = pass->log;
    struct log_store *store = pass->store;

    timer_cancel(store->reactor, &pass->throttle);
    log->clean = NULL;
    store->clean = NULL;
    atomic_fetch_sub(&settings_of(store)->running, 1);
    pass_free(pass);
    store_cleaner_look(store, look_ms);
    if (log->retention_waits && !log->failed)
        log_retention_pass(log);
    log_busy_end(log);
}

static void pass_finish(struct clean_pass *pass)
{
    struct log *log = pass->log;
    struct cleaner_stats *stats = &pass->store->cleaner_stats;
    int64_t ms = (os_now_ns(pass->os) - pass->started_ns) / 1000000;
    double used = key_map_utilization(&pass->keys);

    log->clean_offset = pass->end_offset;
    log_checkpoint_cleaner(log);
    stats->passes++;
    stats->bytes_read += (uint64_t)(pass->bytes_mapped + pass->bytes_read);
    stats->bytes_written += (uint64_t)pass->bytes_written;
    stats->last_recopy_percent =
        pass->bytes_read > 0 ? (int)(100 * pass->bytes_written / pass->bytes_read) : 0;
    stats->last_map_percent = (int)(100 * used);
    stats->last_pass_ms = ms;
    LOG_INFO(log_logger(log), "storage", "cleaned",
             "log=%s from=%lld end=%lld read=%lld written=%lld keys=%zu ms=%lld", log->name,
             (long long)pass->first_dirty, (long long)pass->end_offset,
             (long long)(pass->bytes_mapped + pass->bytes_read), (long long)pass->bytes_written,
             pass->keys.count, (long long)ms);
    pass_end(pass, 0);
}

static void slice_submit(struct clean_pass *pass);

/* Nothing more comes of the pass; what it has written goes first. */
static void pass_abandon(struct clean_pass *pass)
{
    pass->stage = CLEAN_DISCARD;
    slice_submit(pass);
}

static void pass_failed(struct clean_pass *pass, enum err err)
{
    struct log *log = pass->log;

    pass->goes_on = false;
    if (pass->uncleanable) {
        log->uncleanable = true;
        LOG_ERROR(log_logger(log), "storage", "uncleanable",
                  "log=%s error=%s why=\"%s\" until=\"the next start\"", log->name, err_name(err),
                  pass->why.text);
    } else if (err == ERR_DISK_FULL || err_is_shortage(err)) {
        LOG_WARN(log_logger(log), "storage", "cleaning_put_off", "log=%s error=%s", log->name,
                 err_name(err));
    } else if (err != ERR_CANCELLED) {
        log_io_failed(log, err, "clean");
    }
    pass_abandon(pass);
}

/* The group came out as it was: its files stay, the pass goes on with the next. */
static void group_abandon(struct clean_pass *pass)
{
    pass->goes_on = true;
    pass_abandon(pass);
}

/* ---- from slice to slice ---- */

static void slice_run(struct os_op *op)
{
    op->err = clean_pass_slice(CONTAINER_OF(op, struct clean_pass, job));
}

static int producer_order(const void *a, const void *b)
{
    const struct clean_producer *left = a;
    const struct clean_producer *right = b;

    return left->producer_id < right->producer_id ? -1 : left->producer_id > right->producer_id;
}

/* Who is known now: the last header of each must stay. */
static void producers_gather(struct clean_pass *pass)
{
    const struct producer_state *state = &pass->log->producers;
    const struct producer_entry *entry = NULL;
    size_t count = 0;

    while ((entry = producer_state_next(state, entry)) != NULL) {
        pass->producers = storage_grow(pass->producers, sizeof *pass->producers,
                                       &pass->producer_capacity, count + 1);
        pass->producers[count++] = (struct clean_producer){
            .producer_id = entry->producer_id,
            .last_offset =
                entry->batch_count > 0 ? entry->batches[entry->batch_count - 1].last_offset : -1,
            .epoch = entry->epoch};
    }
    if (count > 1)
        qsort(pass->producers, count, sizeof *pass->producers, producer_order);
    pass->rules.producers = pass->producers;
    pass->rules.producer_count = count;
}

static void group_start(struct clean_pass *pass, size_t from)
{
    struct log *log = pass->log;

    if (from >= pass->item_count || pass->items[from].base_offset >= pass->end_offset) {
        pass_finish(pass);
        return;
    }
    clean_output_release(pass);
    pass->stage = CLEAN_COPY;
    pass->group_from = from;
    pass->group_to = clean_group_end(pass, &log->config, from);
    pass->at = from;
    pass->copied = false;
    pass->goes_on = false;
    pass->rules.keys = &pass->keys;
    pass->rules.high_watermark = log->high_watermark;
    pass->rules.delete_retention_ms = log->config.delete_retention_ms;
    pass->index_interval_bytes = log->config.index_interval_bytes;
    producers_gather(pass);
    pass_slice(pass);
}

static void swap_done(struct log_change_op *op)
{
    struct clean_pass *pass = CONTAINER_OF(op, struct clean_pass, swap);

    log_busy_begin(pass->log);
    if (op->err != OK || atomic_load(&pass->cancelled)) /* so it is when the log failed */
        pass_abandon(pass);
    else
        group_start(pass, pass->group_to);
}

/* While the change waits it, not we, keeps the log. */
static void swap_start(struct clean_pass *pass)
{
    struct log *log = pass->log;

    pass->stage = CLEAN_SWAP;
    clean_swap_begin(pass);
    pass->swap = (struct log_change_op){.done = swap_done, .context = pass};
    log_swap(log, &pass->swap);
    log_busy_end(log);
}

static void slice_done(struct os_op *op)
{
    struct clean_pass *pass = CONTAINER_OF(op, struct clean_pass, job);
    enum err err = op->err;

    if (pass->stage == CLEAN_DISCARD) {
        if (!pass->log->failed && store_shortage_waits(pass->store, op))
            return;
        if (err != OK && !pass->log->failed)
            log_io_failed(pass->log, err, "clean");
        if (err == OK && pass->goes_on && !atomic_load(&pass->cancelled))
            group_start(pass, pass->group_to);
        else
            pass_end(pass, atomic_load(&settings_of(pass->store)->backoff_ms));
        return;
    }
    if (err == OK && atomic_load(&pass->cancelled)) /* for a change, or since the log failed */
        err = ERR_CANCELLED;
    if (err != OK)
        pass_failed(pass, err);
    else if (pass->stage == CLEAN_MAP && pass->mapped)
        group_start(pass, 0);
    else if (pass->stage == CLEAN_COPY && pass->copied && pass->changed)
        swap_start(pass);
    else if (pass->stage == CLEAN_COPY && pass->copied)
        group_abandon(pass);
    else
        pass_slice(pass);
}

static void slice_submit(struct clean_pass *pass)
{
    pass->slice_bytes = 0;
    pass->slice_started_ns = os_now_ns(pass->os);
    pass->job = (struct os_op){.kind = OS_OP_JOB, .run = slice_run, .done = slice_done};
    reactor_submit(pass->store->reactor, &pass->job);
}

static void throttle_due(struct timer *timer)
{
    slice_submit(CONTAINER_OF(timer, struct clean_pass, throttle));
}

/* The next slice, when the allowed rate has room for it. */
static void pass_slice(struct clean_pass *pass)
{
    double rate = pass->bytes_per_second;
    double owed_ms = (double)pass->slice_bytes / rate * 1000.0 -
                     (double)(os_now_ns(pass->os) - pass->slice_started_ns) / 1e6;

    if (owed_ms >= 1.0)
        timer_set(pass->store->reactor, &pass->throttle,
                  reactor_now_ms(pass->store->reactor) + (int64_t)owed_ms);
    else
        slice_submit(pass);
}

/* ---- the beginning ---- */

static int aborted_order(const void *a, const void *b)
{
    const struct transaction_index_entry *left = a;
    const struct transaction_index_entry *right = b;

    return left->first_offset < right->first_offset ? -1 : left->first_offset > right->first_offset;
}

static void log_gather(struct clean_pass *pass)
{
    struct log *log = pass->log;

    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        for (size_t j = 0; j < segment->aborted.count; j++) {
            pass->aborted = storage_grow(pass->aborted, sizeof *pass->aborted,
                                         &pass->aborted_capacity, pass->aborted_count + 1);
            pass->aborted[pass->aborted_count++] = segment->aborted.items[j];
        }
        if (segment->base_offset >= pass->end_offset)
            continue;
        pass->items = storage_grow(pass->items, sizeof *pass->items, &pass->item_capacity,
                                   pass->item_count + 1);
        pass->items[pass->item_count++] =
            (struct clean_item){segment_ref(segment), segment->base_offset, segment->size_bytes,
                                log->segments[i + 1]->base_offset, segment->modified_ms};
    }
    if (pass->aborted_count > 1)
        qsort(pass->aborted, pass->aborted_count, sizeof *pass->aborted, aborted_order);
}

static void pass_start(struct log *log, const struct clean_facts *facts, int threads)
{
    struct log_store *store = log->store;
    struct cleaner_settings *settings = settings_of(store);
    struct clean_pass *pass = STORAGE_NEW(struct clean_pass);
    struct key_map_options map = {
        .limit_bytes = (size_t)MAX(atomic_load(&settings->dedupe_bytes) / threads, 1),
        .expected_keys = KEYS_GUESS,
        .load_factor = atomic_load(&settings->load_factor),
    };
    enum err err;

    pass->log = log;
    pass->store = store;
    pass->os = log_os(log);
    pass->stage = CLEAN_MAP;
    pass->started_ns = os_now_ns(pass->os);
    pass->slice_started_ns = pass->started_ns;
    pass->first_dirty = facts->first_dirty;
    pass->end_offset = facts->end_offset;
    pass->bytes_per_second = MAX(atomic_load(&settings->bytes_per_second) / (double)threads, 1.0);
    pass->slice_bytes_max = (size_t)MIN(MAX(pass->bytes_per_second * 0.3, (double)SLICE_BYTES_MIN),
                                        (double)SLICE_BYTES);
    pass->io_bytes =
        (size_t)MAX(atomic_load(&settings->io_buffer_bytes) / threads / 2, (int64_t)IO_BYTES_MIN);
    pass->rules.now_ms = reactor_wall_ms(store->reactor);
    if (FAULT_POINT(cleaner_slice_small))
        pass->slice_bytes_max = 1;
    if (FAULT_POINT(cleaner_buffer_small))
        pass->io_bytes = 1;
    path_copy(log->path, pass->path);
    timer_init(&pass->throttle, throttle_due);
    log_gather(pass);
    random_fill(reactor_random(store->reactor), map.secret, sizeof map.secret);
    err = key_map_open(&pass->keys, &map);
    log->clean = pass;
    store->clean = pass;
    log_busy_begin(log);
    if (err != OK)
        pass_failed(pass, err);
    else
        slice_submit(pass);
}

/* ---- which log ---- */

static bool log_may_be_cleaned(const struct log *log)
{
    return log->config.cleanup_compact && !log->is_future && !log->uncleanable && !log->failed &&
           !log_is_changing(log) && !log->clean_facts_loading && log->segment_count > 1;
}

static bool is_better(const struct clean_facts *facts, const struct clean_facts *best)
{
    return !best->is_due || facts->ratio > best->ratio;
}

static void cleaner_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, cleaner_timer);
    struct clean_facts best = {0};
    struct log *chosen = NULL;
    bool any = false;
    int threads;

    if (store->clean || store->close_op || !store_cleaner_is_enabled(store))
        return;
    store->cleaner_stats.last_look_ms = reactor_now_ms(store->reactor);
    LIST_EACH_SAFE (node, &store->logs) {
        struct log *log = LIST_ITEM(node, struct log, node);
        struct clean_facts facts;

        any = any || log->config.cleanup_compact;
        if (!log_may_be_cleaned(log))
            continue;
        clean_facts_of(log, &facts);
        if (facts.needs_facts)
            clean_facts_load(log);
        if (!facts.is_due || !is_better(&facts, &best))
            continue;
        best = facts;
        chosen = log;
    }
    store->cleaner_stats.max_dirty_percent = (int)(100 * best.ratio);
    store->cleaner_stats.max_delay_ms = best.delay_ms;
    threads = chosen ? thread_take(settings_of(store)) : 0;
    if (threads > 0)
        pass_start(chosen, &best, threads);
    else if (any)
        store_cleaner_look(store, atomic_load(&settings_of(store)->backoff_ms));
}

void store_cleaner_init(struct log_store *store)
{
    timer_init(&store->cleaner_timer, cleaner_due);
}

void store_cleaner_kick(struct log_store *store)
{
    if (!timer_is_set(&store->cleaner_timer) && !store->clean)
        store_cleaner_look(store, atomic_load(&settings_of(store)->backoff_ms));
}

void log_clean_cancel(struct log *log)
{
    struct clean_pass *pass = log->clean;

    if (!pass)
        return;
    atomic_store(&pass->cancelled, true);
    if (timer_is_set(&pass->throttle)) {
        timer_cancel(log->store->reactor, &pass->throttle);
        pass_abandon(pass);
    }
}

/* ---- asking ---- */

int64_t log_clean_offset(const struct log *log)
{
    return log->clean_offset;
}

bool log_is_uncleanable(const struct log *log)
{
    return log->uncleanable;
}

void log_store_cleaner_stats(const struct log_store *store, struct cleaner_stats *out)
{
    *out = store->cleaner_stats;
    LIST_EACH (node, &store->logs) {
        const struct log *log = LIST_ITEM(node, struct log, node);

        if (!log->uncleanable)
            continue;
        out->uncleanable_partitions++;
        out->uncleanable_bytes += (uint64_t)log->size_bytes;
    }
    out->since_last_look_ms =
        out->last_look_ms == 0 ? -1 : reactor_now_ms(store->reactor) - out->last_look_ms;
}
