/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_start.c: what the directories held when the process started, against what the
 * first publication says. docs/design/partitions.md §5; kraft.md §5.4, storage.md §5.10 of the
 * reference.
 *
 * A directory is of a replica of ours (its topic's name, and the topic id in it), or stray: renamed
 * -stray and kept. -delete directories are removed after the usual delay, once, by shard 0.
 */
#include "server/partition_internal.h"

#include "base/assert.h"

/* Opens a directory whatever topic it is of and renames it. */
struct stray_work {
    struct list_node node;
    struct partition_table *table;
    struct hosted *then_open; /* waits for this one and its like; NULL: nobody */
    struct topic_settings *settings;
    struct log_open open;
    struct log_change_op change;
    struct slice topic;     /* owned */
    struct list_node heirs; /* struct name_ask: replicas that want the name */
};

static void stray_end(struct stray_work *work, enum err err)
{
    struct partition_table *table = work->table;
    struct hosted *hosted = work->then_open;
    const struct log_directory *directory = work->open.directory;

    if (err == OK)
        LOG_WARN(table_logger(table), "server", "stray_log", "topic=%.*s partition=%d directory=%s",
                 SLICE_ARGS(work->topic), work->open.partition,
                 log_directory_path(work->open.directory));
    else
        LOG_ERROR(table_logger(table), "server", "stray_log_failed",
                  "topic=%.*s partition=%d directory=%s error=%s why=\"%s\"",
                  SLICE_ARGS(work->topic), work->open.partition,
                  log_directory_path(work->open.directory), err_name(err), work->open.why.text);
    list_remove(&work->node);
    names_release(table, &work->heirs);
    topic_settings_release(&work->settings);
    server_free((void *)(uintptr_t)work->topic.data, work->topic.size_bytes + 1);
    SERVER_DELETE(work);
    if (!hosted)
        return;
    hosted->uses--;
    hosted->strays_left--;
    if (err != OK && hosted->partition.directory == directory)
        hosted_offline(hosted, err);
    name_is_free(hosted);
}

static void stray_renamed(struct log_change_op *op)
{
    struct stray_work *work = op->context;

    stray_end(work, op->err);
}

static void stray_opened(struct log_open *open)
{
    struct stray_work *work = open->context;

    if (open->err == ERR_NOT_FOUND)
        stray_end(work, OK);
    else if (open->err != OK)
        stray_end(work, open->err);
    else {
        work->change = (struct log_change_op){.done = stray_renamed, .context = work};
        log_make_stray(open->log, &work->change);
    }
}

struct list_node *stray_heirs(struct partition_table *table, struct slice topic, int32_t index)
{
    LIST_EACH (node, &table->strays) {
        struct stray_work *work = LIST_ITEM(node, struct stray_work, node);

        if (work->open.partition == index && !work->then_open && slice_equal(work->topic, topic))
            return &work->heirs;
    }
    return NULL;
}

void stray_make(struct partition_table *table, struct log_directory *directory, struct slice topic,
                int32_t index, bool future, struct hosted *then_open)
{
    struct stray_work *work = SERVER_NEW(struct stray_work);
    uint8_t *name = server_allocate(topic.size_bytes + 1);

    memcpy(name, topic.data, topic.size_bytes);
    work->topic = slice_of(name, topic.size_bytes);
    work->table = table;
    work->then_open = then_open;
    if (then_open) {
        then_open->waits_for_name = true;
        then_open->strays_left++;
        then_open->uses++;
    }
    work->settings = topic_settings_resolve(table, table->after, topic);
    list_init(&work->heirs);
    list_push_back(&table->strays, &work->node);
    work->open = (struct log_open){
        .directory = directory,
        .topic = work->topic,
        .partition = index,
        .config = &work->settings->log,
        .future = future,
        .done = stray_opened,
        .context = work,
    };
    log_store_open(table->shard->store, &work->open);
}

/* ---- the first look ---- */

static void current_found(struct partition_table *table, struct log_directory *directory,
                          struct hosted *hosted)
{
    struct partition *partition = &hosted->partition;

    if (hosted->is_found) {
        /* Twice on this node: a crash in the midst of a move. Metadata says which one counts. */
        bool better = uuid_equal(log_directory_id(directory), hosted->assigned);
        struct log_directory *worse = better ? partition->directory : directory;

        if (better)
            partition->directory = directory;
        stray_make(table, worse, partition->topic, partition->index, false, NULL);
        return;
    }
    hosted->is_found = true;
    partition->directory = directory;
    if (!log_directory_was_clean(directory)) {
        hosted->must_be_ready = true;
        table->ready_left++;
    }
}

static void found_one(struct partition_table *table, struct log_directory *directory,
                      const char *text, const struct log_name *name, struct uuid topic_id)
{
    const struct shard *shard = table->shard;
    const struct metadata_topic *topic;
    struct hosted *hosted;
    int owner;

    if (name->kind == LOG_NAME_DELETE) {
        if (shard->index == 0)
            log_store_purge(shard->store, directory, text);
        return;
    }
    if (name->kind == LOG_NAME_STRAY || slice_equal_text(name->topic, "__cluster_metadata"))
        return;
    topic = metadata_image_topic(table->after->image, name->topic);
    owner = topic ? shard_of_partition(shard->node, topic->id, name->partition) : 0;
    if (owner != shard->index)
        return;
    hosted = topic ? table_find(table, topic->id, name->partition) : NULL;
    if (!hosted)
        stray_make(table, directory, name->topic, name->partition, name->kind == LOG_NAME_FUTURE,
                   NULL);
    else if (name->kind == LOG_NAME_FUTURE)
        hosted->future_found = directory;
    else if (!uuid_is_zero(topic_id) && !uuid_equal(topic_id, topic->id))
        stray_make(table, directory, name->topic, name->partition, false, hosted);
    else
        current_found(table, directory, hosted);
}

void table_found_apply(struct partition_table *table)
{
    struct log_directories *directories = table->shard->node->directories;

    for (size_t i = 0; i < log_directories_count(directories); i++) {
        struct log_directory *directory = log_directories_at(directories, i);

        for (size_t j = 0; j < log_directory_found_count(directory); j++) {
            struct log_name name;
            const char *text = log_directory_found(directory, j, &name);

            found_one(table, directory, text, &name, log_directory_found_topic_id(directory, j));
        }
    }
    HASH_MAP_EACH (node, &table->partitions) {
        struct hosted *hosted = HASH_MAP_ITEM(node, struct hosted, partition.node);

        hosted_queue(hosted, !hosted->is_found || hosted->must_be_ready);
    }
}
