/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_internal.h: what the files of the partition table share.
 * docs/design/partitions.md.
 *
 * Life of a hosted replica
 *
 *   CLOSED ──queued──▶ OPENING ──▶ OPEN ──▶ LEAVING ──▶ gone
 *     │   ▲  (name free)  │          │         ▲
 *     │   └── retry ◀─────┤          │         │ deleted, reassigned away
 *     └──────────────▶ OFFLINE ◀─────┴─────────┘ directory failed
 *
 * Invariants  1. At most one log of a name (topic and index) is being made, open or going away on
 *                this node: a successor of another topic id waits until its forerunner's directory
 *                is renamed.
 *             2. A log is closed or deleted only when nothing runs on it (uses == 0).
 *             3. News and commits are told from the end of the turn, never from inside an append.
 */
#ifndef SERVER_PARTITION_INTERNAL_H
#define SERVER_PARTITION_INTERNAL_H

#include "server/controller_gate.h"
#include "server/move_rate.h"
#include "server/node.h"
#include "server/partition.h"
#include "server/publication.h"

#define PARTITION_OPENS_MAX 16 /* logs that a shard opens at a time */
#define MOVE_BYTES_MAX (1 * MIB)
#define DIRECTORY_PREFERENCES_MAX 10000 /* the oldest gives way */
#define DIRECTORY_REPORTS_MAX 2250
#define DIRECTORY_REPORT_DELAY_MS 100
#define DIRECTORY_REPORT_BACKOFF_MS_MAX 10000
#define DIRECTORY_ASSIGNMENT_LEVEL 17 /* metadata.version 3.7-IV2 */

/* Settings and what their slices point at. */
struct held_settings {
    struct topic_settings settings;
    struct slice leader_throttled;
    struct slice follower_throttled;
};

/* One topic that has replicas of this shard. */
struct hosted_topic {
    struct hash_map_node node; /* by id */
    struct uuid id;
    struct slice name; /* owned; the partitions' names are views of it */
    struct topic_settings *settings;
    struct list_node partitions; /* struct hosted */
    size_t count;
};

enum hosted_end { HOSTED_STAYS, HOSTED_DELETED, HOSTED_STRAY };

struct partition_move;
struct hosted {
    struct partition partition; /* first: struct partition * and struct hosted * are one pointer */
    /* what every append looks at */
    struct partition_table *table;
    struct list_node news_node; /* of table->news */
    unsigned news;
    int uses;       /* operations and reads that run on the log */
    uint64_t roles; /* times that there was PARTITION_NEWS_ROLE */
    int64_t stable_told;
    enum hosted_end end;
    bool is_draining;
    bool is_held;   /* operations wait: the replica is about to change its directory */
    bool is_ending; /* the log is being closed or renamed */
    bool produce_busy;
    struct partition_move *move;
    /* produce: batches being validated by a job hold up those behind them; those whose transaction is
     * being verified only those of the same producer */
    struct list_node produce_queue;
    struct list_node verifying; /* struct produce_part */
    int64_t late_told; /* producer id + 1 of the late transaction that was told of; 0: none */

    struct hosted_topic *topic;
    struct list_node topic_node;
    struct list_node queue_node; /* of table->queue */
    bool is_older;               /* than this process: metadata had it at start */
    bool is_found;               /* its directory was there at start */
    bool must_be_ready;          /* counted in table->ready_left */
    bool waits_for_name;
    size_t names_left;        /* shards that have not yet said that the name is free */
    size_t strays_left;       /* remains of older ones that are being put aside for it */
    uint64_t since;           /* number of the publication that made it */
    struct list_node heirs;   /* struct name_ask: newer replicas that want the name */
    struct uuid successor_id; /* the topic id that takes the name over; zero: none here */
    struct uuid assigned;     /* directory id as metadata has it */
    struct log_change_op change;
    struct log_directory *future_found; /* a -future copy found at start */
    struct list_node report_node;       /* of table->reports */
    struct uuid reported;               /* directory id on its way to the controller */
    bool report_in_flight;
};

/* Directories that AlterReplicaLogDirs named for partitions that are not here yet. */
struct directory_preference {
    struct list_node node;
    struct slice topic; /* owned */
    int32_t index;
    struct log_directory *directory;
};

struct producer_ids {
    int64_t next, end; /* of the block in use */
    int64_t spare_next, spare_end;
    bool is_asking;
    struct list_node waiting; /* struct producer_id_wait */
    struct controller_call call;
    struct arena arena;
    struct timer retry;
};

struct partition_table {
    struct shard *shard;
    struct hash_map partitions; /* struct partition, by topic id and index */
    struct hash_map topics;     /* struct hosted_topic, by id */
    struct list_node queue;     /* struct hosted: to be opened, first what is asked for */
    int opening;
    struct list_node news;
    struct deferred news_turn;
    struct list_node early_asks; /* struct name_ask: of publications that have not come here yet */
    struct list_node preferences;
    size_t preference_count;
    struct list_node strays; /* struct stray_work */
    bool is_first_applied;
    bool is_stopped;
    size_t ready_left;
    void (*ready)(void *context);
    void *ready_context;
    struct deferred ready_turn;
    /* during apply */
    const struct publication *before;
    const struct publication *after;
    bool is_loading; /* the first publication */
    /* directory reports */
    struct list_node reports;
    struct timer report_timer;
    int64_t report_backoff_ms;
    bool report_in_flight;
    struct controller_call report_call;
    struct arena report_arena;
    struct producer_ids producer_ids;
    struct move_rate moves;
};

static inline struct hosted *hosted_of(struct partition *partition)
{
    return (struct hosted *)(void *)partition;
}
static inline struct logger *table_logger(const struct partition_table *table)
{
    return table->shard->node->logger;
}
static inline int32_t table_self(const struct partition_table *table)
{
    return table->shard->node->config.node_id;
}

/* partition_table.c */
struct hosted *table_find(struct partition_table *table, struct uuid topic_id, int32_t index);
void hosted_free(struct hosted *hosted);
void hosted_ready(struct hosted *hosted); /* it need not be waited for any more */
/* This partition as the shard's publication has it; NULL: not there. */
const struct metadata_partition *hosted_metadata(const struct hosted *hosted);
bool metadata_directory_of(const struct metadata_partition *partition, int32_t broker_id,
                           struct uuid *out);

/* partition_settings.c */
struct topic_settings *topic_settings_resolve(struct partition_table *table,
                                              const struct publication *publication,
                                              struct slice topic);
struct topic_settings *topic_settings_ref(struct topic_settings *settings);
void topic_settings_release(struct topic_settings **settings);
bool topic_name_is_internal(struct slice name);
void topic_settings_changed(struct partition_table *table, struct hosted_topic *topic);

/* partition_open.c */
void hosted_queue(struct hosted *hosted, bool urgent);
void table_open_next(struct partition_table *table);
/* A log that was never opened can only be renamed when it is. */
void hosted_open_to_leave(struct hosted *hosted);

/* partition_start.c: what the directories held at start */
void table_found_apply(struct partition_table *table);
struct stray_work;
/* Who waits for the name of a directory that is being put aside; NULL: none is. */
struct list_node *stray_heirs(struct partition_table *table, struct slice topic, int32_t index);
void stray_make(struct partition_table *table, struct log_directory *directory, struct slice topic,
                int32_t index, bool future, struct hosted *then_open);

/* partition_directory.c */
struct log_directory *directory_choose(struct partition_table *table, struct hosted *hosted,
                                       const struct metadata_partition *metadata);
bool directory_is_cordoned(const struct partition_table *table,
                           const struct log_directory *directory);
void directory_prefer(struct partition_table *table, struct slice topic, int32_t index,
                      struct log_directory *directory);
/* Whichever shard will own the partition: its topic may not exist yet. */
void directory_prefer_everywhere(struct shard *from, struct slice topic, int32_t index,
                                 struct log_directory *directory);
void directory_report(struct hosted *hosted, struct uuid directory_id);
void directory_report_cancel(struct hosted *hosted);
void table_reports_init(struct partition_table *table);
void table_reports_stop(struct partition_table *table);

/* partition_role.c */
void hosted_role_apply(struct hosted *hosted, const struct metadata_partition *metadata);
void hosted_high_watermark_update(struct hosted *hosted);
/* A follower asked for end_offset: everything below it is on its disk. */
void partition_follower_fetched(struct partition *partition, int32_t broker_id, int64_t end_offset);
void hosted_log_listen(struct hosted *hosted);

/* partition_wait.c */
void hosted_news(struct hosted *hosted, unsigned news);
void table_news_init(struct partition_table *table);
void hosted_commits_fail(struct hosted *hosted, enum err err);

/* partition_op.c */
void hosted_ops_run(struct hosted *hosted);
void hosted_ops_fail(struct hosted *hosted, enum err err);
void partition_use(struct partition *partition);
void partition_unuse(struct partition *partition);
/* Why a partition that this shard does not have is not here. */
enum err partition_absent_reason(const struct publication *publication, struct uuid topic_id,
                                 int32_t index);

/* partition_leave.c */
void hosted_leave(struct hosted *hosted, enum hosted_end end);
void hosted_leave_step(struct hosted *hosted);
void hosted_offline(struct hosted *hosted, enum err err);

/* partition_name.c */
/* The replica waits (waits_for_name) until no older one of its name is left on this node. */
void names_ask(struct hosted *hosted);
void names_recheck(struct partition_table *table); /* after a publication was applied */
void name_is_free(struct hosted *hosted);          /* it goes on when it waits for nothing else */
/* Whoever held the name is gone: those who want it look for others that hold it. */
void names_release(struct partition_table *table, struct list_node *asks);

/* partition_move.c */
/* Starts (or redirects) the copy to `directory`. */
enum err partition_move_start(struct partition *partition, struct log_directory *directory);
void partition_move_reported(struct hosted *hosted, enum err err);
void partition_move_step(struct hosted *hosted);
void partition_move_cancel(struct hosted *hosted, bool discard);
/* Only a -future directory was found: a crash between the two renames of a swap. Makes it the
 * current one and queues the replica. */
void partition_move_finish_found(struct hosted *hosted);

/* producer_ids.c */
struct producer_id_wait {
    struct list_node node;
    void (*done)(struct producer_id_wait *wait, enum err err, int64_t producer_id);
};
void producer_ids_init(struct partition_table *table);
void producer_ids_stop(struct partition_table *table);
/* `done` may be called from inside. */
void producer_id_next(struct partition_table *table, struct producer_id_wait *wait);
/* One that is at hand; ERR_COORDINATOR_LOAD_IN_PROGRESS: none is, more are on their way. */
enum err producer_id_take(struct partition_table *table, int64_t *out);
/* Some will be wanted soon. */
void producer_ids_prefetch(struct partition_table *table);

#endif
