/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/marker_append.c: see the header. A control batch of one record, appended as a coordinator's
 * (no sequences, its own epoch rules), committed as with acks=-1. The coordinator of a partition of
 * __consumer_offsets writes it there itself.
 */
#include "server/marker_append.h"

#include "base/assert.h"
#include "server/partition_internal.h"

/* ---- the end, on the owner ---- */

static void marker_settle(struct marker_append *append)
{
    ASSERT(append->pending_count > 0);
    if (--append->pending_count > 0)
        return;
    timer_cancel(append->partition->shard->reactor, &append->timer);
    partition_op_finish(&append->op);
}

static void marker_end(struct marker_append *append, enum err err)
{
    append->op.err = err;
    append->pending_count = 1;
    marker_settle(append);
}

static void wait_over(struct marker_append *append, enum err err)
{
    append->is_waiting = false;
    timer_cancel(append->partition->shard->reactor, &append->timer);
    if (append->op.err == OK)
        append->op.err = err;
    marker_settle(append);
}

static void committed(struct commit_wait *wait, enum err err)
{
    wait_over(CONTAINER_OF(wait, struct marker_append, wait), err);
}

static void timed_out(struct timer *timer)
{
    struct marker_append *append = CONTAINER_OF(timer, struct marker_append, timer);

    if (!append->is_waiting)
        return;
    commit_wait_cancel(&append->wait);
    wait_over(append, ERR_REQUEST_TIMED_OUT);
}

static void appended(struct log_append *log_append)
{
    struct marker_append *append = CONTAINER_OF(log_append, struct marker_append, append);

    if (log_append->err != OK) {
        append->op.err = log_append->err;
        if (append->is_waiting) {
            append->is_waiting = false;
            commit_wait_cancel(&append->wait);
            append->pending_count--;
        }
    }
    marker_settle(append);
}

/* ---- the append, on the owner ---- */

static enum err batch_write(struct marker_append *append)
{
    CLEANUP(writer_release) struct writer writer;
    struct end_transaction_marker marker = {.is_abort = !append->is_commit,
                                            .coordinator_epoch = append->coordinator_epoch};
    struct partition *partition = append->partition;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    TRY(end_transaction_batch_write(&marker, log_end_queued(partition->log),
                                    partition->replica.leader_epoch, append->producer_id,
                                    append->producer_epoch,
                                    reactor_wall_ms(partition->shard->reactor), &writer));
    ASSERT(writer_slice(&writer).size_bytes == sizeof append->bytes);
    memcpy(append->bytes, writer_slice(&writer).data, sizeof append->bytes);
    return OK;
}

static enum err plain_append(struct marker_append *append)
{
    struct partition *partition = append->partition;
    const struct replica_state *replica = &partition->replica;
    enum err err;

    if (partition->stage != PARTITION_OPEN || replica->role != REPLICA_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    TRY(replica_check_produce(replica, -1, partition->settings->topic.min_insync_replicas));
    TRY(batch_write(append));
    append->append = (struct log_append){
        .data = append->bytes,
        .size_bytes = sizeof append->bytes,
        .origin = APPEND_ORIGIN_COORDINATOR,
        .leader_epoch = replica->leader_epoch,
        .transaction_version = append->transaction_version,
        .done = appended,
    };
    err = log_append(partition->log, &append->append, NULL);
    if (err != OK)
        return err == ERR_STATE ? ERR_NOT_LEADER_OR_FOLLOWER : err;
    partition->shard->metrics.bytes_in += sizeof append->bytes;
    partition->shard->metrics.messages_in++;
    append->pending_count = 2;
    append->is_waiting = true;
    append->wait =
        (struct commit_wait){.offset = append->append.last_offset + 1, .done = committed};
    partition_commit_wait(partition, &append->wait);
    timer_set(partition->shard->reactor, &append->timer,
              reactor_now_ms(partition->shard->reactor) +
                  config_int(partition->shard->publication->config, BROKER_REQUEST_TIMEOUT_MS));
    return OK;
}

static void coordinator_marked(struct coordinator_marker *marker, enum err err)
{
    marker_end(CONTAINER_OF(marker, struct marker_append, marker), err);
}

static void marker_run(struct partition_op *op, struct partition *partition)
{
    struct marker_append *append = CONTAINER_OF(op, struct marker_append, op);
    enum err err;

    append->partition = partition;
    timer_init(&append->timer, timed_out);
    if (partition->shard->coordinators &&
        slice_equal_text(partition->topic, "__consumer_offsets")) {
        append->marker = (struct coordinator_marker){
            .producer_id = append->producer_id,
            .producer_epoch = append->producer_epoch,
            .coordinator_epoch = append->coordinator_epoch,
            .transaction_version = append->transaction_version,
            .is_commit = append->is_commit,
            .done = coordinator_marked,
        };
        coordinator_marker_submit(partition->shard, partition->index, &append->marker);
        return;
    }
    err = plain_append(append);
    if (err != OK)
        marker_end(append, err);
}

/* ---- at home ---- */

static void marker_home(struct partition_op *op)
{
    struct marker_append *append = CONTAINER_OF(op, struct marker_append, op);

    append->err = op->err;
    /* run was not called: not hosted, or its directory failed; Kafka calls both "not online" */
    if (!append->partition && op->err != OK)
        append->err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    append->done(append);
}

void marker_append_submit(struct shard *home, struct marker_append *append, struct slice topic,
                          int32_t index)
{
    const struct metadata_topic *metadata = metadata_image_topic(home->publication->image, topic);

    append->err = OK;
    append->partition = NULL;
    append->pending_count = 0;
    append->is_waiting = false;
    if (!metadata || !metadata_topic_partition(metadata, index))
        append->err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    else if (append->producer_id < 0 || append->producer_epoch < 0)
        append->err = ERR_UNKNOWN_SERVER_ERROR; /* as Kafka, which cannot build such a batch */
    if (append->err != OK) {
        append->done(append);
        return;
    }
    append->op = (struct partition_op){
        .topic_id = metadata->id, .index = index, .run = marker_run, .done = marker_home};
    partition_op_submit(home, &append->op);
}
