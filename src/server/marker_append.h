/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/marker_append.h: the end marker of one transaction into one partition that this node leads:
 * what WriteTxnMarkers asks for, and what the transaction coordinators of this node ask for without
 * a request. docs/design/transactions.md §4; transactions.md §7, §10 of the reference.
 */
#ifndef SERVER_MARKER_APPEND_H
#define SERVER_MARKER_APPEND_H

#include "records/control_record.h"
#include "server/coordinator.h"
#include "server/partition.h"

struct marker_append {
    /* in: lent until `done` */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    int8_t transaction_version;
    bool is_commit;
    /* On the home shard, once; may be called from inside submit. */
    void (*done)(struct marker_append *append);
    void *context;
    /* out: OK: written and committed. ERR_UNKNOWN_TOPIC_OR_PARTITION: metadata or this node does not have
     * it. Else what the leader says (§10.5): ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_ENOUGH_REPLICAS,
     * ERR_REQUEST_TIMED_OUT (after request.timeout.ms), ERR_KAFKA_STORAGE_ERROR,
     * ERR_INVALID_PRODUCER_EPOCH, ERR_TRANSACTION_COORDINATOR_FENCED, … */
    enum err err;
    /* private */
    struct partition_op op;
    struct partition *partition;
    struct log_append append;
    struct commit_wait wait;
    struct timer timer;
    struct coordinator_marker marker; /* of __consumer_offsets */
    uint8_t bytes[END_TRANSACTION_BATCH_BYTES];
    int pending_count; /* append and commit that are still to come */
    bool is_waiting;
};
void marker_append_submit(struct shard *home, struct marker_append *append, struct slice topic,
                          int32_t index);

#endif
