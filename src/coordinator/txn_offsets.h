/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/txn_offsets.h: what TxnOffsetCommit asks and is told of topics has the fields of OffsetCommit's,
 * in generated types of its own. Both are laid out alike, which is checked here, so one piece of code serves
 * both.
 */
#ifndef COORDINATOR_TXN_OFFSETS_H
#define COORDINATOR_TXN_OFFSETS_H

#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/txn_offset_commit_request.h"
#include "protocol/generated/txn_offset_commit_response.h"

#include <stddef.h>

typedef struct offset_commit_request_offset_commit_request_topic offsets_asked_topic;
typedef struct offset_commit_request_offset_commit_request_partition offsets_asked_partition;
typedef struct offset_commit_response_offset_commit_response_topic offsets_told_topic;
typedef struct offset_commit_response_offset_commit_response_partition offsets_told_partition;

typedef struct txn_offset_commit_request_txn_offset_commit_request_topic txn_offsets_asked_topic;
typedef struct txn_offset_commit_request_txn_offset_commit_request_partition
    txn_offsets_asked_partition;
typedef struct txn_offset_commit_response_txn_offset_commit_response_topic txn_offsets_told_topic;
typedef struct txn_offset_commit_response_txn_offset_commit_response_partition
    txn_offsets_told_partition;

#define TXN_OFFSETS_SAME(type, field)                                                  \
    _Static_assert(offsetof(type, field) == offsetof(txn_##type, field) &&             \
                       sizeof(((type *)0)->field) == sizeof(((txn_##type *)0)->field), \
                   "the layouts differ")
#define TXN_OFFSETS_SAME_SIZE(type) \
    _Static_assert(sizeof(type) == sizeof(txn_##type), "the layouts differ")

TXN_OFFSETS_SAME_SIZE(offsets_asked_topic);
TXN_OFFSETS_SAME(offsets_asked_topic, name);
TXN_OFFSETS_SAME(offsets_asked_topic, topic_id);
TXN_OFFSETS_SAME(offsets_asked_topic, partitions);
TXN_OFFSETS_SAME(offsets_asked_topic, partitions_count);
TXN_OFFSETS_SAME_SIZE(offsets_asked_partition);
TXN_OFFSETS_SAME(offsets_asked_partition, partition_index);
TXN_OFFSETS_SAME(offsets_asked_partition, committed_offset);
TXN_OFFSETS_SAME(offsets_asked_partition, committed_leader_epoch);
TXN_OFFSETS_SAME(offsets_asked_partition, committed_metadata);
TXN_OFFSETS_SAME_SIZE(offsets_told_topic);
TXN_OFFSETS_SAME(offsets_told_topic, name);
TXN_OFFSETS_SAME(offsets_told_topic, topic_id);
TXN_OFFSETS_SAME(offsets_told_topic, partitions);
TXN_OFFSETS_SAME(offsets_told_topic, partitions_count);
TXN_OFFSETS_SAME_SIZE(offsets_told_partition);
TXN_OFFSETS_SAME(offsets_told_partition, partition_index);
TXN_OFFSETS_SAME(offsets_told_partition, error_code);

#undef TXN_OFFSETS_SAME
#undef TXN_OFFSETS_SAME_SIZE

static inline const offsets_asked_topic *txn_offsets_asked(const txn_offsets_asked_topic *topics)
{
    return (const void *)topics;
}

static inline const offsets_told_topic *txn_offsets_told(const txn_offsets_told_topic *topics)
{
    return (const void *)topics;
}

/* The other way. */
static inline txn_offsets_asked_topic *txn_offsets_asked_back(offsets_asked_topic *topics)
{
    return (void *)topics;
}

static inline txn_offsets_told_topic *txn_offsets_told_back(offsets_told_topic *topics)
{
    return (void *)topics;
}

#endif
