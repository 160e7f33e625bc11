/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/late_transactions.h: which transaction holds back a partition's last stable offset, and a
 * word in the log when that lasts longer than any transaction may (transaction.max.timeout.ms and
 * five minutes): nobody will end it but an operator. docs/design/transactions.md §8.
 */
#ifndef SERVER_LATE_TRANSACTIONS_H
#define SERVER_LATE_TRANSACTIONS_H

#include "server/partition.h"

#define LATE_LOOK_MS 60000 /* between looks */

struct late_transactions;
void late_transactions_create(struct shard *shard, struct late_transactions **out);
/* After the first publication: looks begin. */
void late_transactions_apply(struct late_transactions *late);
void late_transactions_stop(struct late_transactions *late);
void late_transactions_release(struct late_transactions **late);

/* The oldest open transaction of a partition that is led here and open. */
struct held_back {
    int64_t producer_id;
    int16_t producer_epoch;
    int64_t first_offset;
    int64_t last_write_wall_ms; /* time of its newest record here */
};
/* False: nothing is open. */
bool partition_held_back(const struct partition *partition, struct held_back *out);

#endif
