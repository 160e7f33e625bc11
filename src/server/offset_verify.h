/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/offset_verify.h: what must be true before offsets are committed in a transaction: the group's
 * partition of __consumer_offsets is part of it. docs/design/transactions.md §3; transactions.md §8 of
 * the reference.
 */
#ifndef SERVER_OFFSET_VERIFY_H
#define SERVER_OFFSET_VERIFY_H

#include "server/partition.h"
#include "server/transaction_check.h"

struct offset_verify {
    /* in: lent until `done` */
    struct slice group_id;
    struct slice transactional_id;
    int64_t producer_id;
    int16_t producer_epoch;
    int16_t api_version; /* of TxnOffsetCommit */
    /* On the home shard, once; may be called from inside submit. */
    void (*done)(struct offset_verify *verify);
    void *context;
    /* out: what a client is told, or OK; then what the log is to be shown with the append */
    enum err err;
    uint64_t guard;
    bool guard_required;
    /* private */
    struct shard *home;
    struct partition_op op;
    struct transaction_check check;
};
void offset_verify_submit(struct shard *home, struct offset_verify *verify);

#endif
