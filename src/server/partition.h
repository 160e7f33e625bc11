/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition.h: the replicas that this node hosts: each owned by one shard, made, opened, led and
 * deleted as published metadata says. docs/design/partitions.md.
 *
 * Opening  After a clean stop a log is opened when something first asks for it, and by and by in the
 *          background; after an unclean one at once. Whoever asks meanwhile waits.
 * Reach    From any shard by a partition_op: it travels to the owner, waits there until the log is
 *          open, runs, and comes home. On the owner itself nothing travels: run is called at once when
 *          the log is open.
 * Commit   The owner moves the high watermark when the log's flushed end moved; commit_wait and
 *          partition_watch tell who waits. Nothing is told from inside an append.
 */
#ifndef SERVER_PARTITION_H
#define SERVER_PARTITION_H

#include "base/hash_map.h"
#include "config/config.h"
#include "records/validate.h"
#include "replication/replication.h"
#include "server/shard.h"
#include "storage/storage.h"

struct publication;

/* What follows from a topic's configuration, shared by its partitions on a shard. */
struct topic_settings {
    int references;
    struct topic_config topic;
    struct log_config log;
    struct validate_config validate;
    bool is_internal; /* __consumer_offsets and its kin */
};

enum partition_stage {
    PARTITION_CLOSED,  /* known, its log not opened yet */
    PARTITION_OPENING, /* or being created */
    PARTITION_OPEN,
    PARTITION_OFFLINE, /* its directory failed: ERR_KAFKA_STORAGE_ERROR */
    PARTITION_LEAVING, /* being deleted or handed to another directory */
};

struct partition {
    struct hash_map_node node; /* by topic id and index */
    struct uuid topic_id;
    int32_t index;
    enum partition_stage stage;
    struct log *log; /* while open */
    struct shard *shard;
    struct topic_settings *settings;
    struct log_directory *directory; /* NULL: not chosen yet */
    struct log_listener log_listener;
    struct replica_state replica;
    struct list_node waiting; /* struct partition_op: until the log is open */
    struct list_node commits; /* struct commit_wait, rising offsets */
    struct list_node watches; /* struct partition_watch */
    struct slice topic;       /* owned */
    struct log *future_log;   /* the copy on its way to another directory; NULL: none */
    /* The last look of a consumer, whoever it was: what unfetched.c asks for. */
    int64_t fetched_ms;     /* monotone; 0: none yet */
    int64_t fetched_offset; /* that it asked for */
    void *private_state;
};

struct partition_table;
MUST_USE enum err partition_table_create(struct shard *shard, struct partition_table **out);
/* Diffs the images: creates, opens, updates, deletes. The first time it also looks at what the directories
 * hold: replicas that metadata does not know become stray. */
void partition_table_apply(struct partition_table *table, const struct publication *before,
                           const struct publication *after);
/* NULL when this shard does not own it or it is not hosted here. */
struct partition *partition_find(struct partition_table *table, struct uuid topic_id,
                                 int32_t index);
/* Everything that must be open before the node may say it runs (after an unclean stop: all): `done` once. */
void partition_table_ready(struct partition_table *table, void (*done)(void *context),
                           void *context);
/* All waits end with ERR_NOT_LEADER_OR_FOLLOWER and no op is run any more; the logs are closed by
 * log_store_close_all. */
void partition_table_stop(struct partition_table *table);
void partition_table_release(struct partition_table **table);
/* A directory of this process failed: on every shard. */
void partition_table_directory_failed(struct partition_table *table,
                                      struct log_directory *directory);
/* In order of creation; for describe handlers and metrics. */
void partition_table_each(struct partition_table *table,
                          void (*each)(void *context, struct partition *partition), void *context);

/* ---- operations ---- */
struct partition_op {
    /* in */
    struct uuid topic_id;
    int32_t index;
    /* On the owner. partition: open. May end later; ends with partition_op_finish, once. */
    void (*run)(struct partition_op *op, struct partition *partition);
    /* On the home shard. err: OK, what run left there, or why run was not called:
     * ERR_UNKNOWN_TOPIC_OR_PARTITION (not in the owner's metadata), ERR_NOT_LEADER_OR_FOLLOWER (in
     * metadata, not hosted here), ERR_KAFKA_STORAGE_ERROR. */
    void (*done)(struct partition_op *op);
    void *context;
    enum err err;
    /* private */
    struct shard *home;
    struct shard *owner;
    struct mail mail;
    struct list_node node;
    struct partition *partition;
};
/* `done` may be called from inside when home owns the partition. Ops of one home for one partition run in
 * order. */
void partition_op_submit(struct shard *home, struct partition_op *op);
void partition_op_finish(struct partition_op *op);

/* ---- waiting on the owner ---- */
struct commit_wait {
    int64_t offset; /* done when the high watermark is ≥ it */
    /* OK, or ERR_NOT_LEADER_OR_FOLLOWER, ERR_KAFKA_STORAGE_ERROR, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND.
     * Not called from inside partition_commit_wait. */
    void (*done)(struct commit_wait *wait, enum err err);
    struct list_node node;
};
void partition_commit_wait(struct partition *partition, struct commit_wait *wait);
void commit_wait_cancel(struct commit_wait *wait); /* fine when done */

enum partition_news {
    PARTITION_NEWS_COMMITTED = 1, /* high watermark moved */
    PARTITION_NEWS_STABLE = 2,    /* last stable offset moved */
    PARTITION_NEWS_END = 4,       /* written end moved (followers) */
    PARTITION_NEWS_ROLE = 8,      /* role, epoch, ISR or directory changed, or it is leaving */
    PARTITION_NEWS_START = 16,    /* log start moved */
};
struct partition_watch {
    unsigned news; /* wanted */
    /* Stays registered until cancelled; not called after NEWS_ROLE told that the partition is leaving. */
    void (*notify)(struct partition_watch *watch, struct partition *partition, unsigned news);
    struct list_node node;
    uint64_t roles_seen; /* private: role news of before it was added are not told */
};
void partition_watch_add(struct partition *partition, struct partition_watch *watch);
void partition_watch_cancel(struct partition_watch *watch); /* fine when not registered */

#endif
