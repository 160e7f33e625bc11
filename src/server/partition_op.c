/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_op.c: an operation's way to the owner of its partition and home again.
 * docs/design/partitions.md §8. On one shard it is two function calls.
 */
#include "server/partition_internal.h"

#include "base/assert.h"

enum err partition_absent_reason(const struct publication *publication, struct uuid topic_id,
                                 int32_t index)
{
    const struct metadata_topic *topic =
        publication ? metadata_image_topic_by_id(publication->image, topic_id) : NULL;

    return topic && metadata_topic_partition(topic, index) ? ERR_NOT_LEADER_OR_FOLLOWER
                                                           : ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

void partition_use(struct partition *partition)
{
    hosted_of(partition)->uses++;
}

void partition_unuse(struct partition *partition)
{
    struct hosted *hosted = hosted_of(partition);

    ASSERT(hosted->uses > 0);
    if (--hosted->uses > 0)
        return;
    if (hosted->end != HOSTED_STAYS)
        hosted_leave_step(hosted);
    else if (hosted->is_held)
        partition_move_step(hosted);
}

static void op_home(struct mail *mail, struct reactor *to)
{
    struct partition_op *op = CONTAINER_OF(mail, struct partition_op, mail);

    UNUSED(to);
    op->done(op);
}

void partition_op_finish(struct partition_op *op)
{
    struct partition *partition = TAKE(op->partition);
    struct shard *home = op->home;
    struct shard *owner = op->owner;

    /* `done` may free the operation: the partition is given back afterwards, and `op` is not
     * touched any more. */
    if (home == owner) {
        op->done(op);
    } else {
        op->mail = (struct mail){.deliver = op_home};
        reactor_send(owner->reactor, home->reactor, &op->mail);
    }
    if (partition)
        partition_unuse(partition);
}

static void op_run(struct partition_op *op, struct partition *partition)
{
    partition_use(partition);
    op->partition = partition;
    op->run(op, partition);
}

void hosted_ops_run(struct hosted *hosted)
{
    struct partition *partition = &hosted->partition;

    if (hosted->is_draining)
        return;
    hosted->is_draining = true;
    hosted->uses++;
    while (partition->stage == PARTITION_OPEN && !hosted->is_held &&
           !list_is_empty(&partition->waiting))
        op_run(LIST_ITEM(list_pop_front(&partition->waiting), struct partition_op, node),
               partition);
    hosted->is_draining = false;
    partition_unuse(partition);
}

void hosted_ops_fail(struct hosted *hosted, enum err err)
{
    struct list_node failed;

    list_init(&failed);
    list_splice_back(&failed, &hosted->partition.waiting);
    while (!list_is_empty(&failed)) {
        struct partition_op *op = LIST_ITEM(list_pop_front(&failed), struct partition_op, node);

        op->err = err;
        partition_op_finish(op);
    }
}

static void op_refuse(struct partition_op *op, enum err err)
{
    op->err = err;
    partition_op_finish(op);
}

static void op_arrive(struct partition_op *op)
{
    struct partition_table *table = op->owner->partitions;
    struct hosted *hosted;

    if (table->is_stopped) {
        op_refuse(op, ERR_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    hosted = table_find(table, op->topic_id, op->index);
    if (!hosted || hosted->partition.stage == PARTITION_LEAVING || hosted->end != HOSTED_STAYS) {
        op_refuse(op, partition_absent_reason(table->after, op->topic_id, op->index));
    } else if (hosted->partition.stage == PARTITION_OFFLINE) {
        op_refuse(op, ERR_KAFKA_STORAGE_ERROR);
    } else if (hosted->partition.stage == PARTITION_OPEN && !hosted->is_held &&
               list_is_empty(&hosted->partition.waiting)) {
        op_run(op, &hosted->partition);
    } else {
        list_push_back(&hosted->partition.waiting, &op->node);
        hosted_queue(hosted, true);
    }
}

static void op_deliver(struct mail *mail, struct reactor *to)
{
    UNUSED(to);
    op_arrive(CONTAINER_OF(mail, struct partition_op, mail));
}

void partition_op_submit(struct shard *home, struct partition_op *op)
{
    struct node *node = home->node;

    op->home = home;
    op->owner = &node->shards[shard_of_partition(node, op->topic_id, op->index)];
    op->partition = NULL;
    op->err = OK;
    if (op->owner == home) {
        op_arrive(op);
        return;
    }
    op->mail = (struct mail){.deliver = op_deliver};
    reactor_send(home->reactor, op->owner->reactor, &op->mail);
}
