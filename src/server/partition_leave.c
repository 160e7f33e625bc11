/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_leave.c: replicas that go: deleted, reassigned away, or their directory failed.
 * docs/design/partitions.md §9.
 */
#include "server/partition_internal.h"

#include "base/assert.h"

/* ---- going ---- */

static void hosted_gone(struct hosted *hosted)
{
    struct partition_table *table = hosted->table;
    struct uuid topic_id = hosted->partition.topic_id;
    struct uuid successor_id = hosted->successor_id;
    int32_t index = hosted->partition.index;

    LOG_INFO(table_logger(table), "server", "replica_gone", "topic=%.*s partition=%d",
             SLICE_ARGS(hosted->partition.topic), index);
    if (uuid_is_zero(successor_id)) {
        /* The same topic came back to this node while its old replica went. */
        const struct metadata_topic *topic =
            table->after ? metadata_image_topic_by_id(table->after->image, topic_id) : NULL;
        const struct metadata_partition *metadata =
            topic ? metadata_topic_partition(topic, index) : NULL;
        struct uuid assigned;

        if (metadata && metadata_directory_of(metadata, table_self(table), &assigned)) {
            hosted->end = HOSTED_STAYS;
            hosted->is_ending = false;
            hosted->is_found = false;
            hosted->partition.directory = NULL;
            hosted->partition.stage = PARTITION_CLOSED;
            hosted->partition.replica.leader_epoch = -1;
            hosted->partition.replica.partition_epoch = -1;
            hosted->partition.replica.role = REPLICA_NONE;
            hosted->partition.replica.high_watermark = 0;
            hosted->assigned = assigned;
            hosted_queue(hosted, true);
            return;
        }
    }
    hosted_free(hosted); /* tells those who wait for the name */
}

static void hosted_renamed(struct log_change_op *op)
{
    struct hosted *hosted = CONTAINER_OF(op, struct hosted, change);

    if (op->err != OK)
        LOG_ERROR(table_logger(hosted->table), "server", "log_delete_failed",
                  "topic=%.*s partition=%d error=%s", SLICE_ARGS(hosted->partition.topic),
                  hosted->partition.index, err_name(op->err));
    hosted->partition.log = NULL;
    hosted_gone(hosted);
}

/* Goes as far as it can; called whenever something that it waits for has ended. */
void hosted_leave_step(struct hosted *hosted)
{
    struct partition *partition = &hosted->partition;

    ASSERT(hosted->end != HOSTED_STAYS);
    if (hosted->is_ending || hosted->uses > 0 || hosted->waits_for_name || hosted->news != 0 ||
        partition->stage == PARTITION_OPENING || hosted->table->is_stopped)
        return;
    if (hosted->move) {
        partition_move_cancel(hosted, true);
        if (hosted->move)
            return;
    }
    if (!partition->log && hosted->is_found && partition->directory &&
        !log_directory_is_offline(partition->directory)) {
        /* Never opened: only an open log can be renamed. */
        hosted->is_found = false;
        hosted_open_to_leave(hosted);
        return;
    }
    hosted->is_ending = true;
    if (!partition->log) {
        hosted_gone(hosted);
        return;
    }
    log_set_listener(partition->log, NULL);
    hosted->change = (struct log_change_op){.done = hosted_renamed};
    if (hosted->end == HOSTED_STRAY)
        log_make_stray(partition->log, &hosted->change);
    else
        log_delete(partition->log, &hosted->change);
}

void hosted_leave(struct hosted *hosted, enum hosted_end end)
{
    struct partition *partition = &hosted->partition;

    if (hosted->end != HOSTED_STAYS)
        return;
    hosted->end = end;
    hosted_ready(hosted);
    directory_report_cancel(hosted);
    list_remove(&hosted->queue_node);
    hosted->uses++;
    hosted_news(hosted, PARTITION_NEWS_ROLE);
    if (partition->stage != PARTITION_OPENING)
        partition->stage = PARTITION_LEAVING;
    hosted_ops_fail(hosted, partition_absent_reason(hosted->table->after, partition->topic_id,
                                                    partition->index));
    hosted_commits_fail(hosted, ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unuse(partition); /* goes on when the news are told and nothing runs */
}

void hosted_offline(struct hosted *hosted, enum err err)
{
    struct partition *partition = &hosted->partition;

    if (partition->stage == PARTITION_OFFLINE || hosted->end != HOSTED_STAYS)
        return;
    LOG_WARN(table_logger(hosted->table), "server", "replica_offline",
             "topic=%.*s partition=%d error=%s", SLICE_ARGS(partition->topic), partition->index,
             err_name(err));
    partition->stage = PARTITION_OFFLINE;
    hosted->uses++;
    hosted_ready(hosted);
    partition_move_cancel(hosted, false);
    hosted_news(hosted, PARTITION_NEWS_ROLE);
    hosted_ops_fail(hosted, ERR_KAFKA_STORAGE_ERROR);
    hosted_commits_fail(hosted, ERR_KAFKA_STORAGE_ERROR);
    partition_unuse(partition);
}
