/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_open.c: logs are opened a few at a time, first those that somebody waits for.
 * docs/design/partitions.md §4.
 */
#include "server/partition_internal.h"

#include "base/assert.h"

static void hosted_open_failed(struct hosted *hosted, const struct log_open *open)
{
    LOG_ERROR(table_logger(hosted->table), "server", "log_open_failed",
              "topic=%.*s partition=%d directory=%s error=%s why=\"%s\"",
              SLICE_ARGS(hosted->partition.topic), hosted->partition.index,
              log_directory_path(open->directory), err_name(open->err), open->why.text);
    hosted_offline(hosted, open->err);
}

static void hosted_opened(struct hosted *hosted, const struct log_open *open)
{
    struct partition_table *table = hosted->table;
    struct partition *partition = &hosted->partition;
    const struct metadata_partition *metadata;

    table->opening--;
    if (open->err == OK)
        partition->log = open->log;
    if (hosted->end != HOSTED_STAYS) {
        partition->stage = PARTITION_LEAVING;
        hosted_leave_step(hosted);
    } else if (open->err == ERR_INCONSISTENT_TOPIC_ID) {
        /* What lies there belongs to a topic that is gone. */
        partition->stage = PARTITION_CLOSED;
        stray_make(table, open->directory, partition->topic, partition->index, false, hosted);
    } else if (open->err != OK) {
        hosted_open_failed(hosted, open);
    } else if (log_directory_is_offline(partition->directory)) {
        hosted_offline(hosted, ERR_KAFKA_STORAGE_ERROR);
    } else {
        metadata = hosted_metadata(hosted);
        partition->stage = PARTITION_OPEN;
        log_set_config(partition->log, &partition->settings->log); /* changed meanwhile, perhaps */
        hosted_log_listen(hosted);
        if (metadata)
            hosted_role_apply(hosted, metadata);
        hosted_high_watermark_update(hosted);
        if (!uuid_equal(log_directory_id(partition->directory), hosted->assigned) && !hosted->move)
            directory_report(hosted, log_directory_id(partition->directory));
        hosted_ready(hosted);
        if (hosted->move || hosted->future_found)
            partition_move_step(hosted);
        hosted_ops_run(hosted);
    }
    table_open_next(table);
}

static void hosted_open_done(struct log_open *open)
{
    struct hosted *hosted = open->context;

    hosted_opened(hosted, open);
    SERVER_DELETE(open);
}

/* create: the directory is made when it is not there, and must be of this topic's id. */
static void hosted_open_submit(struct hosted *hosted, bool create)
{
    struct partition *partition = &hosted->partition;
    struct log_open *open = SERVER_NEW(struct log_open); /* large, and seldom needed */

    partition->stage = PARTITION_OPENING;
    hosted->table->opening++;
    open->directory = partition->directory;
    open->topic = partition->topic;
    open->partition = partition->index;
    open->topic_id = create ? partition->topic_id : UUID_ZERO;
    open->config = &partition->settings->log;
    open->create = create;
    open->done = hosted_open_done;
    open->context = hosted;
    log_store_open(hosted->table->shard->store, open);
}

static void hosted_open(struct hosted *hosted)
{
    struct partition_table *table = hosted->table;
    struct partition *partition = &hosted->partition;
    const struct metadata_partition *metadata = hosted_metadata(hosted);

    if (!hosted->is_found && hosted->future_found) {
        partition_move_finish_found(hosted);
        return;
    }
    if (!partition->directory && metadata)
        partition->directory = directory_choose(table, hosted, metadata);
    if (!partition->directory || log_directory_is_offline(partition->directory)) {
        hosted_offline(hosted, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    hosted_open_submit(hosted, true);
}

void hosted_open_to_leave(struct hosted *hosted)
{
    hosted_open_submit(hosted, false);
}

void hosted_queue(struct hosted *hosted, bool urgent)
{
    struct partition_table *table = hosted->table;

    if (hosted->partition.stage != PARTITION_CLOSED || hosted->waits_for_name)
        return;
    list_remove(&hosted->queue_node);
    if (urgent)
        list_push_front(&table->queue, &hosted->queue_node);
    else
        list_push_back(&table->queue, &hosted->queue_node);
    if (!table->is_loading && table->before == NULL)
        table_open_next(table);
}

void table_open_next(struct partition_table *table)
{
    while (!table->is_stopped && table->opening < PARTITION_OPENS_MAX &&
           !list_is_empty(&table->queue)) {
        struct hosted *hosted = LIST_ITEM(list_pop_front(&table->queue), struct hosted, queue_node);

        if (hosted->partition.stage == PARTITION_CLOSED && hosted->end == HOSTED_STAYS)
            hosted_open(hosted);
    }
}
