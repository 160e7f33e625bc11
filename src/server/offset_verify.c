/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/offset_verify.c: see the header. The guard comes first, from the owner of the partition, then
 * the question: an end marker in between makes the guard worthless.
 */
#include "server/offset_verify.h"

#include "config/config.h"
#include "server/partition_internal.h"

#define SEQUENCE_NONE (-1)

static void verify_over(struct offset_verify *verify, enum err err)
{
    verify->err = coordinator_error(err);
    verify->done(verify);
}

static void checked(struct transaction_check *check)
{
    verify_over(CONTAINER_OF(check, struct offset_verify, check), check->err);
}

static void guard_run(struct partition_op *op, struct partition *partition)
{
    struct offset_verify *verify = CONTAINER_OF(op, struct offset_verify, op);

    if (partition->stage != PARTITION_OPEN || partition->replica.role != REPLICA_LEADER)
        op->err = ERR_NOT_LEADER_OR_FOLLOWER;
    else
        op->err = producer_verification_begin(
            log_producers(partition->log), verify->producer_id, verify->producer_epoch,
            SEQUENCE_NONE, verify->check.asked == TRANSACTION_CLASS_ADD,
            reactor_wall_ms(partition->shard->reactor), &verify->guard);
    partition_op_finish(op);
}

static void guard_taken(struct partition_op *op)
{
    struct offset_verify *verify = CONTAINER_OF(op, struct offset_verify, op);

    if (op->err != OK || verify->guard == 0) {
        verify_over(verify, op->err);
        return;
    }
    transaction_check_submit(verify->home, &verify->check);
}

void offset_verify_submit(struct shard *home, struct offset_verify *verify)
{
    const struct publication *publication = home->publication;
    const struct metadata_topic *topic =
        metadata_image_topic(publication->image, SLICE("__consumer_offsets"));
    enum transaction_class asked = transaction_class_of_offset_commit(verify->api_version);

    verify->home = home;
    verify->guard = 0;
    verify->guard_required =
        config_boolean(publication->config, BROKER_TRANSACTION_PARTITION_VERIFICATION_ENABLE);
    if (!topic) {
        verify_over(verify, ERR_NOT_COORDINATOR);
        return;
    }
    if (!transaction_class_asks(asked, publication->config)) {
        verify_over(verify, OK);
        return;
    }
    verify->check = (struct transaction_check){
        .transactional_id = verify->transactional_id,
        .producer_id = verify->producer_id,
        .producer_epoch = verify->producer_epoch,
        .asked = asked,
        .partition = {SLICE("__consumer_offsets"), coordinator_index_of(home, verify->group_id)},
        .done = checked,
    };
    verify->op = (struct partition_op){.topic_id = topic->id,
                                       .index = verify->check.partition.index,
                                       .run = guard_run,
                                       .done = guard_taken};
    partition_op_submit(home, &verify->op);
}
