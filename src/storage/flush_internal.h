/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/flush_internal.h: one flush of a log, from the shard (flush.c) to its job (flush_job.c) and back.
 */
#ifndef STORAGE_FLUSH_INTERNAL_H
#define STORAGE_FLUSH_INTERNAL_H

#include "storage/shard.h"

struct flush_item {
    struct segment *segment;
    int64_t base_offset;
    int64_t written_bytes; /* what the sync will cover */
    bool full;
    bool has_aborted_file;
    bool trim; /* gives back blocks that were reserved and are not used */
    int32_t offsets_from;
    int32_t offsets_to;
    int32_t times_from;
    int32_t times_to;
    size_t aborted_from;
    size_t aborted_to;
    struct writer offsets;
    struct writer times;
    struct writer aborted;
};

struct flush {
    struct os_op op;
    struct log *log;
    struct os *os;
    int64_t end;            /* of what is synced */
    int64_t recovery_point; /* -1: a data flush */
    struct flush_item *items;
    size_t count;
    struct file_waiter waiter;
    struct snapshot_pending *snapshots;
    size_t snapshot_count;
    size_t snapshot_capacity;
    int64_t old_middle; /* snapshot file to remove; -1: none */
    struct writer epochs;
    struct writer digests; /* of transaction indexes */
    bool has_epochs;
    bool has_digests;
    bool sync_directory;
    bool sync_parent;
    const char *parent;
    const char *path; /* the log's, which is busy */
};

/* flush_job.c: writes and syncs all that the flush says, in an order that a crash may end anywhere; op->err is the
 * first failure. Tried again whole after a shortage, never after another failure. Any thread. */
void flush_run(struct os_op *op);

#endif
