/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/checkpoints.c: how a shard hands the checkpoint values of its logs to the one that writes
 * the directory-wide files. A log whose value moved waits in a list; a timer, set by the first of
 * them, sends the list by mail. An idle shard sets no timer.
 * Crash       a value may be as old as the interval: the log is then recovered from further back.
 * Threads     the store's.
 */
#include "storage/shard.h"

#include "base/bug.h"
#include "base/fault_point.h"

#define RECOVERY_POINT_DELAY_MS 1000

static void offsets_mark(struct log *log, int64_t delay_ms)
{
    struct log_store *store = log->store;
    int64_t due_ms = reactor_now_ms(store->reactor) + delay_ms;

    if (list_is_empty(&log->dirty_offsets))
        list_push_back(&store->dirty_offsets, &log->dirty_offsets);
    if (!timer_is_set(&store->offsets_timer) || store->offsets_timer.deadline_ms > due_ms)
        timer_set(store->reactor, &store->offsets_timer, due_ms);
}

void log_mark_offsets(struct log *log)
{
    const struct storage_options *options = log_options(log);

    offsets_mark(
        log, MIN(options->checkpoint_offset_interval_ms, options->checkpoint_start_interval_ms));
}

void log_mark_recovery_point(struct log *log)
{
    int64_t delay_ms = log_options(log)->checkpoint_offset_interval_ms;

    /* In commit mode the recovery point moves by bytes, to bound what a crash leaves to scan: the file
     * must not lag behind by a minute of full speed. */
    if (log->config.flush_mode == FLUSH_MODE_COMMIT)
        delay_ms = MIN(delay_ms, RECOVERY_POINT_DELAY_MS);
    offsets_mark(log, delay_ms);
}

void log_mark_high_watermark(struct log *log)
{
    struct log_store *store = log->store;

    if (!list_is_empty(&log->dirty_marks))
        return;
    list_push_back(&store->dirty_marks, &log->dirty_marks);
    if (!timer_is_set(&store->marks_timer))
        timer_set(store->reactor, &store->marks_timer,
                  reactor_now_ms(store->reactor) +
                      store->directories->options.checkpoint_high_watermark_interval_ms);
}

struct checkpoint_batch *checkpoint_batch_new(struct log_store *store,
                                              struct log_directory *directory)
{
    struct checkpoint_batch *batch = STORAGE_NEW(struct checkpoint_batch);

    batch->store = store;
    batch->directory = directory;
    list_init(&batch->node);
    return batch;
}

void checkpoint_batch_add(struct checkpoint_batch *batch, enum checkpoint_kind kind,
                          struct slice topic, int32_t partition, int64_t offset)
{
    struct checkpoint_value *value = storage_allocate(sizeof *value + topic.size_bytes);

    value->kind = kind;
    value->offset = offset;
    value->partition = partition;
    value->topic_bytes = topic.size_bytes;
    memcpy(value->topic, topic.data, topic.size_bytes);
    value->next = batch->values;
    batch->values = value;
}

/* The segments' names say it too, unless they are still to go durably. */
static void start_add(struct checkpoint_batch *batch, const struct log *log)
{
    int64_t start = MAX(log->start_offset, log->raising_to);
    bool matters = log->segment_count > 0 &&
                   (start > log->segments[0]->base_offset || log->dooms > 0) &&
                   !BUG_IS(start_not_checkpointed);

    checkpoint_batch_add(batch, CHECKPOINT_START, log_topic(log), log->partition,
                         matters ? start : -1);
}

static void offsets_add(struct checkpoint_batch *batch, struct log *log)
{
    log->told_recovery_point = log->recovery_point;
    checkpoint_batch_add(batch, CHECKPOINT_RECOVERY, log_topic(log), log->partition,
                         log->recovery_point);
    start_add(batch, log);
}

static void mark_add(struct checkpoint_batch *batch, const struct log *log)
{
    checkpoint_batch_add(batch, CHECKPOINT_HIGH_WATERMARK, log_topic(log), log->partition,
                         log->high_watermark);
}

static void offsets_send(struct log_store *store, struct log_directory *directory)
{
    struct checkpoint_batch *batch = NULL;

    LIST_EACH_SAFE (node, &store->dirty_offsets) {
        struct log *log = LIST_ITEM(node, struct log, dirty_offsets);

        if (log->directory != directory || log->has_exclusive)
            continue;
        list_remove(node);
        if (!batch)
            batch = checkpoint_batch_new(store, directory);
        offsets_add(batch, log);
    }
    if (batch)
        checkpoint_batch_send(batch);
}

static void marks_send(struct log_store *store, struct log_directory *directory)
{
    struct checkpoint_batch *batch = NULL;

    LIST_EACH_SAFE (node, &store->dirty_marks) {
        struct log *log = LIST_ITEM(node, struct log, dirty_marks);

        if (log->directory != directory || log->has_exclusive)
            continue;
        list_remove(node);
        if (!batch)
            batch = checkpoint_batch_new(store, directory);
        mark_add(batch, log);
    }
    if (batch)
        checkpoint_batch_send(batch);
}

static void offsets_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, offsets_timer);

    if (FAULT_POINT(checkpoint_postponed)) {
        timer_set(store->reactor, timer, reactor_now_ms(store->reactor) + 100);
        return;
    }
    for (size_t i = 0; i < store->directories->count; i++)
        offsets_send(store, &store->directories->items[i]);
    if (!list_is_empty(&store->dirty_offsets))
        timer_set(store->reactor, timer, reactor_now_ms(store->reactor) + 1000);
}

static void marks_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, marks_timer);

    if (FAULT_POINT(checkpoint_postponed)) {
        timer_set(store->reactor, timer, reactor_now_ms(store->reactor) + 100);
        return;
    }
    for (size_t i = 0; i < store->directories->count; i++)
        marks_send(store, &store->directories->items[i]);
    if (!list_is_empty(&store->dirty_marks))
        timer_set(store->reactor, timer, reactor_now_ms(store->reactor) + 1000);
}

void store_checkpoints_init(struct log_store *store)
{
    list_init(&store->dirty_offsets);
    list_init(&store->dirty_marks);
    timer_init(&store->offsets_timer, offsets_due);
    timer_init(&store->marks_timer, marks_due);
}

void log_checkpoint_last(struct log *log)
{
    struct checkpoint_batch *batch = checkpoint_batch_new(log->store, log->directory);

    list_remove(&log->dirty_offsets);
    list_remove(&log->dirty_marks);
    offsets_add(batch, log);
    mark_add(batch, log);
    checkpoint_batch_send(batch);
}

void log_forget_checkpoints(struct log *log)
{
    struct checkpoint_batch *batch = checkpoint_batch_new(log->store, log->directory);

    list_remove(&log->dirty_offsets);
    list_remove(&log->dirty_marks);
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++)
        checkpoint_batch_add(batch, (enum checkpoint_kind)kind, log_topic(log), log->partition, -1);
    checkpoint_batch_send(batch);
}

static void clean_offset_add(struct checkpoint_batch *batch, struct log *log)
{
    log->told_clean_offset = log->clean_offset;
    checkpoint_batch_add(batch, CHECKPOINT_CLEANER, log_topic(log), log->partition,
                         log->clean_offset);
}

void log_checkpoint_cleaner(struct log *log)
{
    struct checkpoint_batch *batch = checkpoint_batch_new(log->store, log->directory);

    clean_offset_add(batch, log);
    checkpoint_batch_send(batch);
}

void log_checkpoint_now(struct log *log, void (*done)(struct checkpoint_batch *batch),
                        void *context)
{
    struct checkpoint_batch *batch = checkpoint_batch_new(log->store, log->directory);

    if (log->told_clean_offset != log->clean_offset)
        clean_offset_add(batch, log);

    log->told_recovery_point = log->recovery_point;
    checkpoint_batch_add(batch, CHECKPOINT_RECOVERY, log_topic(log), log->partition,
                         log->recovery_point);
    batch->done = done;
    batch->context = context;
    checkpoint_batch_send(batch);
}

void log_checkpoint_start(struct log *log, void (*done)(struct checkpoint_batch *batch),
                          void *context)
{
    struct checkpoint_batch *batch = checkpoint_batch_new(log->store, log->directory);

    start_add(batch, log);
    batch->done = done;
    batch->context = context;
    checkpoint_batch_send(batch);
}
