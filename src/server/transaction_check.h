/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/transaction_check.h: the question that a partition's leader asks before it writes for a
 * transaction: is this partition part of it (verification), or make it so (implicit add).
 * docs/design/transactions.md §3; KIP-890, transactions.md §6 of the reference.
 */
#ifndef SERVER_TRANSACTION_CHECK_H
#define SERVER_TRANSACTION_CHECK_H

#include "coordinator/transaction.h"
#include "server/coordinator.h"
#include "server/shard.h"

enum transaction_class {
    TRANSACTION_CLASS_DEFAULT, /* clients that do not know TRANSACTION_ABORTABLE */
    TRANSACTION_CLASS_GENERIC, /* … that do */
    TRANSACTION_CLASS_ADD,     /* … whose partitions are added without being asked (KIP-890) */
};
enum transaction_class transaction_class_of_produce(int16_t api_version);
enum transaction_class transaction_class_of_offset_commit(int16_t api_version);
/* transaction.partition.verification.enable=false: only additions are asked for. */
bool transaction_class_asks(enum transaction_class of, const struct config *config);

struct transaction_check {
    /* in: lent until `done` */
    struct slice transactional_id;
    int64_t producer_id;
    int16_t producer_epoch;
    enum transaction_class asked;
    struct coordinator_partition partition;
    /* An addition that finds the transaction before it still ending asks again, every
     * add.partitions.to.txn.retry.backoff.ms for add.partitions.to.txn.retry.backoff.max.ms. */
    bool retries;
    /* Once, on the shard that asked, never from inside submit: nothing is under way any more. */
    void (*done)(struct transaction_check *check);
    void *context;
    /* out: OK: write. ERR_INVALID_PRODUCER_EPOCH, ERR_INVALID_TXN_STATE (DEFAULT),
     * ERR_TRANSACTION_ABORTABLE (the others), ERR_INVALID_PRODUCER_ID_MAPPING,
     * ERR_CONCURRENT_TRANSACTIONS, ERR_COORDINATOR_NOT_AVAILABLE, ERR_COORDINATOR_LOAD_IN_PROGRESS,
     * ERR_NOT_COORDINATOR, … */
    enum err err;
    /* private */
    struct shard *home;
    struct coordinator_call call;
    struct transaction_add add;
    struct timer timer;
    int64_t begun_ms;
};
void transaction_check_submit(struct shard *home, struct transaction_check *check);

#endif
