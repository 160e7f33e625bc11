/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/checkpoint_keeper.c: writes recovery-point, log-start and replication-offset checkpoints of
 * every directory. Shards send values by mail; one job per directory writes what changed, and what
 * arrives meanwhile waits for the next one. Each job also looks at the space that is left.
 * Invariants  1. a batch is answered after the files that hold its values are durable.
 * Crash       os_durable_replace: old or new file, whole.
 * Threads     the keeper's reactor; the job works on texts of its own.
 */
#include "base/memory_reserve.h"
#include "storage/directories.h"
#include "storage/shard.h"

#define LOW_SPACE_LOOK_MS 5000

static const char *const file_names[CHECKPOINT_KINDS] = {
    [CHECKPOINT_RECOVERY] = "recovery-point-offset-checkpoint",
    [CHECKPOINT_START] = "log-start-offset-checkpoint",
    [CHECKPOINT_HIGH_WATERMARK] = "replication-offset-checkpoint",
    [CHECKPOINT_CLEANER] = "cleaner-offset-checkpoint",
};

struct keeper_files {
    struct log_directory *directory;
    struct reactor *reactor;
    struct offset_map maps[CHECKPOINT_KINDS];
    bool dirty[CHECKPOINT_KINDS];
    struct list_node waiting; /* struct checkpoint_batch */
    struct list_node round;
    bool writing;
    struct os_op op;
    struct writer texts[CHECKPOINT_KINDS];
    struct timer low_timer;
    struct shortage shortage;
};

const char *checkpoint_file_name(enum checkpoint_kind kind)
{
    return file_names[kind];
}

static void round_start(struct keeper_files *keeper);

static void round_run(struct os_op *op)
{
    struct keeper_files *keeper = CONTAINER_OF(op, struct keeper_files, op);
    struct log_directory *directory = keeper->directory;

    log_directory_measure(directory);
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        struct slice text = writer_slice(&keeper->texts[kind]);
        char path[PATH_BYTES];

        if (text.size_bytes == 0)
            continue;
        path_join(directory->path, file_names[kind], path);
        op->err = writer_error(&keeper->texts[kind]);
        if (op->err == OK)
            op->err = os_durable_replace(directory->set->os, path, &text, 1);
        if (op->err == ERR_DISK_FULL && log_directory_use_reserve(directory))
            op->err = os_durable_replace(directory->set->os, path, &text, 1);
        if (op->err != OK)
            return;
    }
}

static void batch_answered(struct mail *mail, struct reactor *to)
{
    struct checkpoint_batch *batch = CONTAINER_OF(mail, struct checkpoint_batch, mail);
    struct log_store *store = batch->store;

    UNUSED(to);
    if (batch->err != OK && !log_directory_is_offline(batch->directory))
        log_directory_fail(batch->directory, store, batch->err, "checkpoint");
    if (batch->done)
        batch->done(batch);
    STORAGE_DELETE(batch);
    store_operation_end(store);
}

static void batch_dropped(struct mail *mail)
{
    struct checkpoint_batch *batch = CONTAINER_OF(mail, struct checkpoint_batch, mail);

    while (batch->values) {
        struct checkpoint_value *value = batch->values;

        batch->values = value->next;
        storage_free(value, sizeof *value + value->topic_bytes);
    }
    STORAGE_DELETE(batch);
}

static void batches_answer(struct keeper_files *keeper, enum err err)
{
    while (!list_is_empty(&keeper->round)) {
        struct checkpoint_batch *batch =
            LIST_ITEM(list_pop_front(&keeper->round), struct checkpoint_batch, node);

        batch->err = err;
        batch->mail.deliver = batch_answered;
        reactor_send(keeper->reactor, batch->store->reactor, &batch->mail);
    }
}

static void text_put(struct keeper_files *keeper, int kind)
{
    writer_init(&keeper->texts[kind], &heap_allocator, SIZE_MAX);
    offset_checkpoint_text(&keeper->maps[kind], &keeper->texts[kind]);
}

/* What could not be put into words for lack of memory: the next try must not find it so. */
static void texts_again(struct keeper_files *keeper)
{
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        if (writer_error(&keeper->texts[kind]) == OK)
            continue;
        writer_release(&keeper->texts[kind]);
        text_put(keeper, kind);
    }
}

static void round_done(struct os_op *op)
{
    struct keeper_files *keeper = CONTAINER_OF(op, struct keeper_files, op);

    if (err_is_shortage(op->err))
        texts_again(keeper);
    if (shortage_waits(&keeper->shortage, op))
        return;
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++)
        writer_release(&keeper->texts[kind]);
    keeper->writing = false;
    batches_answer(keeper, op->err);
    if (atomic_load(&keeper->directory->low) && !timer_is_set(&keeper->low_timer) &&
        !log_directory_is_offline(keeper->directory))
        timer_set(keeper->reactor, &keeper->low_timer,
                  reactor_now_ms(keeper->reactor) + LOW_SPACE_LOOK_MS);
    if (!list_is_empty(&keeper->waiting))
        round_start(keeper);
}

static void round_start(struct keeper_files *keeper)
{
    list_splice_back(&keeper->round, &keeper->waiting);
    if (log_directory_is_offline(keeper->directory)) {
        batches_answer(keeper, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    keeper->writing = true;
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        writer_init(&keeper->texts[kind], &heap_allocator, SIZE_MAX);
        if (keeper->dirty[kind])
            text_put(keeper, kind);
        keeper->dirty[kind] = false;
    }
    keeper->op = (struct os_op){.kind = OS_OP_JOB, .run = round_run, .done = round_done};
    reactor_submit(keeper->reactor, &keeper->op);
}

static void low_due(struct timer *timer)
{
    struct keeper_files *keeper = CONTAINER_OF(timer, struct keeper_files, low_timer);

    if (!keeper->writing)
        round_start(keeper);
}

/* What the file must say is never left out. */
static void map_put(struct offset_map *map, struct slice topic, int32_t partition, int64_t offset)
{
    enum err err = offset_map_put(map, topic, partition, offset);

    if (err != OK && memory_reserve_break())
        err = offset_map_put(map, topic, partition, offset);
    ASSERT_MEMORY(err == OK ? map : NULL);
}

static void batch_deliver(struct mail *mail, struct reactor *to)
{
    struct checkpoint_batch *batch = CONTAINER_OF(mail, struct checkpoint_batch, mail);
    struct keeper_files *keeper = batch->directory->keeper;

    UNUSED(to);
    while (batch->values) {
        struct checkpoint_value *value = batch->values;
        struct slice topic = slice_of(value->topic, value->topic_bytes);
        struct offset_map *map = &keeper->maps[value->kind];

        batch->values = value->next;
        if (value->offset < 0)
            offset_map_remove(map, topic, value->partition);
        else
            map_put(map, topic, value->partition, value->offset);
        keeper->dirty[value->kind] = true;
        storage_free(value, sizeof *value + value->topic_bytes);
    }
    list_push_back(&keeper->waiting, &batch->node);
    if (!keeper->writing)
        round_start(keeper);
}

void checkpoint_batch_send(struct checkpoint_batch *batch)
{
    struct log_store *store = batch->store;

    batch->mail.deliver = batch_deliver;
    batch->mail.drop = batch_dropped;
    store_operation_begin(store);
    reactor_send(store->reactor, store->directories->keeper_reactor, &batch->mail);
}

/* Values of partitions that are in the directory; what Apache kept of others is let go. */
static void maps_fill(struct keeper_files *keeper)
{
    struct log_directory *directory = keeper->directory;

    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        offset_map_init(&keeper->maps[kind]);
        for (size_t i = 0; i < directory->found_count; i++) {
            const struct log_name *name = &directory->found[i].name;
            int64_t offset;

            if ((name->kind == LOG_NAME_CURRENT || name->kind == LOG_NAME_FUTURE) &&
                offset_map_get(&directory->at_open[kind], name->topic, name->partition, &offset))
                map_put(&keeper->maps[kind], name->topic, name->partition, offset);
        }
    }
}

void keeper_open(struct log_directories *directories, struct reactor *reactor)
{
    directories->keeper_reactor = reactor;
    for (size_t i = 0; i < directories->count; i++) {
        struct keeper_files *keeper = STORAGE_NEW(struct keeper_files);

        keeper->directory = &directories->items[i];
        keeper->reactor = reactor;
        list_init(&keeper->waiting);
        list_init(&keeper->round);
        timer_init(&keeper->low_timer, low_due);
        shortage_init(&keeper->shortage, directories, reactor);
        maps_fill(keeper);
        directories->items[i].keeper = keeper;
    }
}

void keeper_release(struct log_directories *directories)
{
    for (size_t i = 0; i < directories->count; i++) {
        struct keeper_files *keeper = TAKE(directories->items[i].keeper);

        if (!keeper)
            continue;
        ASSERT(!keeper->writing && list_is_empty(&keeper->waiting));
        ASSERT(list_is_empty(&keeper->shortage.ops));
        for (int kind = 0; kind < CHECKPOINT_KINDS; kind++)
            offset_map_release(&keeper->maps[kind]);
        STORAGE_DELETE(keeper);
    }
}

void keeper_stop(struct log_directories *directories)
{
    for (size_t i = 0; i < directories->count; i++) {
        struct keeper_files *keeper = directories->items[i].keeper;

        timer_cancel(directories->keeper_reactor, &keeper->low_timer);
        timer_cancel(directories->keeper_reactor, &keeper->shortage.timer);
    }
}
