/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/storage.h: the logs of partitions in Apache Kafka's own files. docs/design/storage.md.
 *
 * Three objects: log_directories (one per process: the set of log.dirs), log_store (one per shard:
 * the logs that the shard owns), log (one partition).
 *
 * A log has three ends, all exclusive:  start ≤ … ≤ flushed ≤ written ≤ queued.
 *   queued   where the next append goes; offsets are handed out here
 *   written  in the page cache; readable
 *   flushed  on stable storage (mode commit; in mode os it equals written). What counts towards the
 *            high watermark.
 * Invariants  1. Nothing below `flushed` is lost by a power cut, and it comes back in order.
 *             2. The recovery point moves only after log, indexes, transaction index and directory
 *                are synced.
 *             3. The first write or sync error takes the directory offline for good; every log in it
 *                answers ERR_KAFKA_STORAGE_ERROR from then on and nothing is acknowledged.
 * Threads     log_directories_open … log_directories_begin: one thread, before shards run (blocking).
 *             A store and its logs belong to the thread of their reactor; nothing there blocks.
 *             What is const after open (paths, ids) and log_directory_is_offline: any thread.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/allocator.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "os/os.h"
#include "records/producer_state.h"

struct reactor;
struct random;
struct log_directories;
struct log_directory;
struct log_store;
struct log;
struct segment;
struct read_wait;
struct lookup_work;

/* ---- settings ---- */
enum flush_mode {
    FLUSH_MODE_COMMIT, /* group commit: flushed follows written by one sync at most */
    FLUSH_MODE_OS,     /* the page cache counts as flushed, as in Apache Kafka */
};

/* What one log needs of its topic's configuration; names and meaning are Kafka's. */
struct log_config {
    /* what every append looks at */
    int32_t segment_bytes;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    enum flush_mode flush_mode;
    int64_t segment_ms;
    int64_t max_compaction_lag_ms;
    int64_t flush_messages; /* INT64_MAX: never */
    bool cleanup_compact;
    bool cleanup_delete;
    bool preallocate;
    int32_t max_message_bytes;
    int64_t segment_jitter_ms;
    int64_t retention_bytes; /* -1: no limit */
    int64_t retention_ms;    /* -1: no limit */
    int64_t file_delete_delay_ms;
    int64_t flush_ms; /* INT64_MAX: never */
    int64_t min_compaction_lag_ms;
    int64_t delete_retention_ms; /* of tombstones and markers, from the pass that first met them */
    double min_cleanable_dirty_ratio;
};
/* The defaults of Kafka 4.4 (storage.md §7 of the reference). */
void log_config_init(struct log_config *config);

/* log.cleaner.*: of the whole process. */
struct cleaner_options {
    bool enabled;
    int threads;             /* passes at the same time */
    int64_t dedupe_bytes;    /* maps of keys, all threads */
    double load_factor;      /* how full a map may get */
    int64_t io_buffer_bytes; /* all threads */
    double bytes_per_second; /* read and written, all threads */
    int64_t backoff_ms;      /* between looks when nothing is due */
};

struct storage_options {
    int64_t checkpoint_offset_interval_ms;         /* recovery points; 60000 */
    int64_t checkpoint_start_interval_ms;          /* log starts; 60000 */
    int64_t checkpoint_high_watermark_interval_ms; /* 5000 */
    int64_t initial_delay_ms; /* from a store's first log to its first look at retention; 30000 */
    int64_t retention_check_interval_ms;  /* 300000 */
    int64_t flush_scheduler_interval_ms;  /* INT64_MAX: flush.ms is never looked at */
    int64_t producer_expiration_ms;       /* 86400000 */
    int64_t producer_expiration_check_ms; /* 600000 */
    int64_t file_delete_delay_ms;         /* of -delete directories found at start; 60000 */
    int64_t recovery_bytes_max; /* commit mode: the unsynced-index tail that may be left to scan */
    int64_t low_space_bytes;    /* below it is_low_on_space; 0: not watched */
    int64_t reserve_bytes;      /* size of the reserve file; 0: none */
    int open_files_max;         /* per store */
    size_t append_bytes_max;    /* one vectored write */
    size_t index_bytes_max;     /* per store: of indexes of sealed segments in memory */
    struct cleaner_options cleaner;
};
void storage_options_init(struct storage_options *options);

/* ---- names ---- */
enum log_name_kind { LOG_NAME_CURRENT, LOG_NAME_FUTURE, LOG_NAME_DELETE, LOG_NAME_STRAY };
struct log_name {
    struct slice topic; /* cut for -delete and -stray of long names */
    int32_t partition;
    enum log_name_kind kind;
};
/* Parses a directory's name; ERR_FORMAT for what Kafka refuses to start on. */
MUST_USE enum err log_name_parse(struct slice name, struct log_name *out);

/* ---- meta.properties ---- */
struct meta_properties {
    int version; /* 0 or 1; -1: the file is not there */
    struct slice cluster_id;
    int32_t node_id; /* -1: not in the file */
    bool has_directory_id;
    struct uuid directory_id;
};
/* path: the log directory. Strings live in the arena. A missing file is OK with version -1;
 * ERR_FORMAT names the line. */
MUST_USE enum err meta_properties_read(struct os *os, const char *path, struct arena *arena,
                                       struct meta_properties *out, struct why *why);
MUST_USE enum err meta_properties_write(struct os *os, const char *path,
                                        const struct meta_properties *properties);

/* ---- the process's log directories ---- */

/* Blocking. Creates missing directories, takes their locks, reads meta.properties, clean marker,
 * checkpoints and the list of partitions. A directory that fails with an I/O error, or whose
 * meta.properties is broken, is offline from the start; ERR_KAFKA_STORAGE_ERROR when all are.
 * ERR_LOCKED: another process has one of them. ERR_FORMAT: a foreign directory; `why` names it. */
MUST_USE enum err log_directories_open(struct os *os, struct logger *logger,
                                       const struct storage_options *options,
                                       const char *const *paths, size_t count,
                                       struct log_directories **out, struct why *why);
/* Every online directory must be formatted with this cluster and node id, with ids that are unique
 * and not reserved. A missing directory id is drawn and written. ERR_INCONSISTENT_CLUSTER_ID,
 * ERR_NOT_FOUND (not formatted), ERR_CONFIG. Blocking. */
MUST_USE enum err log_directories_check(struct log_directories *directories,
                                        struct slice cluster_id, int32_t node_id,
                                        struct random *random, struct why *why);
/* Removes the clean-shutdown markers, durably, before the first log is opened. Tells the broker
 * epoch that every directory's marker agrees on, else -1. Blocking. */
MUST_USE enum err log_directories_begin(struct log_directories *directories,
                                        int64_t *previous_broker_epoch_out);
/* After every store is closed: the checkpoints of the last hour are on disk already; writes the
 * clean markers of directories whose logs all closed well and gives the locks back. Blocking. */
void log_directories_close(struct log_directories **directories, bool clean, int64_t broker_epoch);

/* producer.id.expiration.ms has changed: holds from the next look on. Any thread. */
void log_directories_set_producer_expiration(struct log_directories *directories,
                                             int64_t expiration_ms);

/* The process is to stop: what waits for descriptors or memory waits ten seconds more, then it fails. Any thread. */
void log_directories_hurry(struct log_directories *directories);

/* log.cleaner.* have changed: holds from the next pass on. Any thread. */
void log_directories_set_cleaner(struct log_directories *directories,
                                 const struct cleaner_options *options);

size_t log_directories_count(const struct log_directories *directories);
struct log_directory *log_directories_at(const struct log_directories *directories, size_t index);
/* NULL when no directory has the id or path. */
struct log_directory *log_directories_find(const struct log_directories *directories,
                                           struct uuid id);
struct log_directory *log_directories_find_path(const struct log_directories *directories,
                                                struct slice path);
/* The online directory with the fewest logs; NULL when none is online. */
struct log_directory *log_directories_emptiest(const struct log_directories *directories);

const char *log_directory_path(const struct log_directory *directory);
struct uuid log_directory_id(const struct log_directory *directory);
const struct meta_properties *log_directory_properties(const struct log_directory *directory);
bool log_directory_was_clean(const struct log_directory *directory);
bool log_directory_is_offline(const struct log_directory *directory); /* any thread */
/* Below low_space_bytes: the owner of the answer refuses produce to user topics. Any thread. */
bool log_directory_is_low_on_space(const struct log_directory *directory);
/* -1 when not known. Any thread; as of the last look. */
int64_t log_directory_free_bytes(const struct log_directory *directory);
int64_t log_directory_total_bytes(const struct log_directory *directory);
/* Partition directories found at open, in name order; -delete and -stray too. Names live as long as
 * `directories`. */
size_t log_directory_found_count(const struct log_directory *directory);
const char *log_directory_found(const struct log_directory *directory, size_t index,
                                struct log_name *name_out);
/* The topic id of a found partition whose name another directory has too, under another id (a topic that was
 * deleted and made again while a directory was away); zero: nothing like that. */
struct uuid log_directory_found_topic_id(const struct log_directory *directory, size_t index);

/* ---- a shard's store ---- */

struct storage_listener {
    /* A directory went offline; called once per directory on every store's thread. */
    void (*directory_failed)(struct storage_listener *listener, struct log_directory *directory);
};

/* checkpoint_reactor: the one that writes the directory-wide checkpoint files (the same for all
 * stores); values travel there by mail. */
MUST_USE enum err log_store_create(struct log_directories *directories, struct reactor *reactor,
                                   struct reactor *checkpoint_reactor,
                                   struct storage_listener *listener, struct log_store **out);
/* All logs closed, nothing under way. */
void log_store_release(struct log_store **store);

struct log_store_close {
    void (*done)(struct log_store_close *op);
    void *context;
    enum err err; /* the first failure; all logs are closed whatever it says */
    /* private */
    size_t left;
    struct log_store *store;
};
/* Orderly: finishes the active segments, flushes, writes producer snapshots, checkpoints. Logs are
 * gone at `done`. */
void log_store_close_all(struct log_store *store, struct log_store_close *op);

/* Removes a -delete directory that an earlier run left behind; after the configured delay. */
void log_store_purge(struct log_store *store, struct log_directory *directory, const char *name);

/* ---- opening ---- */
struct log_open {
    /* in */
    struct log_directory *directory;
    struct slice topic; /* copied */
    int32_t partition;
    struct uuid topic_id;            /* zero: whatever partition.metadata says */
    const struct log_config *config; /* copied */
    bool create;                     /* make it when it is not there; else ERR_NOT_FOUND */
    bool recover_all; /* scan every segment whatever the marker says (the metadata log: always) */
    bool future;      /* the -future copy of a replica on its way to another directory */
    void (*done)(struct log_open *op);
    void *context;
    /* out */
    enum err err; /* ERR_INCONSISTENT_TOPIC_ID, ERR_NOT_FOUND, ERR_KAFKA_STORAGE_ERROR, … */
    struct why why;
    struct log *log;
    /* private */
    struct log_store *store;
    struct os_op job;
    struct list_node node;
};
/* Loads (recovering what an unclean stop left) or creates a log, in the pool; `done` on this shard.
 * Many may be under way. */
void log_store_open(struct log_store *store, struct log_open *op);

/* ---- what happened to a log ---- */
enum log_change {
    LOG_CHANGE_WRITTEN = 1,
    LOG_CHANGE_FLUSHED = 2,
    LOG_CHANGE_START = 4,
    LOG_CHANGE_FAILED = 8, /* offline: nothing will move any more */
};
struct log_listener {
    /* changes: enum log_change bits. Never called from inside log_append. */
    void (*changed)(struct log_listener *listener, struct log *log, unsigned changes);
};
void log_set_listener(struct log *log, struct log_listener *listener); /* NULL: none */

struct slice log_topic(const struct log *log);
struct uuid log_topic_id(const struct log *log);
struct log_directory *log_log_directory(const struct log *log);
const struct log_config *log_config_of(const struct log *log);
void log_set_config(struct log *log, const struct log_config *config);
bool log_is_failed(const struct log *log);

int64_t log_start_offset(const struct log *log);
int64_t log_end_queued(const struct log *log);
int64_t log_end_written(const struct log *log);
int64_t log_end_flushed(const struct log *log);
int64_t log_recovery_point(const struct log *log);
int64_t log_size_bytes(const struct log *log);
size_t log_segment_count(const struct log *log);

/* At open: the checkpoint's value clipped to [start, end]. */
int64_t log_high_watermark(const struct log *log);
/* Within [start, written]; the caller keeps it monotone per epoch. The last stable offset may move
 * with it. */
void log_set_high_watermark(struct log *log, int64_t offset);
int64_t log_last_stable_offset(const struct log *log);

/* ---- appending ---- */
struct log_append {
    /* in: lent until `done`; base offset and leader epoch are written in place for a leader */
    uint8_t *data;
    size_t
        size_bytes; /* whole batches that passed append_scan and, for a leader, append_validate */
    /* CLIENT and COORDINATOR: a leader's append, stamped here. RAFT_LEADER and REPLICATION: bytes that
     * carry their offsets and epochs. Which producer rules hold: records/producer_state.h. */
    enum append_origin origin;
    int32_t leader_epoch;
    uint64_t verification_guard; /* as struct producer_update has them */
    bool verification_required;
    int16_t transaction_version;             /* of a marker; 0, 1 or 2 */
    void (*done)(struct log_append *append); /* once, when written or failed; NULL: not wanted */
    void *context;
    /* out, from log_append on */
    int64_t first_offset; /* -1: nothing to append */
    int64_t last_offset;
    int64_t duplicate_timestamp; /* batch time of the original, when duplicate */
    bool duplicate;              /* nothing appended: offsets are those of the original */
    /* out, at `done` */
    enum err err;
    /* private */
    struct list_node node;
    struct segment *segment;
    int64_t end_offset;
};
/* Queues. OK: offsets are set and `done` will be called (for a duplicate: when the original is
 * written). Otherwise nothing changed and `done` is not called: ERR_OFFSET_OUT_OF_RANGE (follower:
 * first offset below the end), ERR_RECORD_LIST_TOO_LARGE, ERR_MESSAGE_TOO_LARGE, the producer rules'
 * errors, ERR_CORRUPT_MESSAGE (framing), ERR_KAFKA_STORAGE_ERROR (offline), ERR_STATE (the log is being
 * truncated: wait for that). Appends of one turn leave in one vectored write. */
MUST_USE enum err log_append(struct log *log, struct log_append *append, struct why *why);

/* Tells when `flushed` reaches `offset`, syncing as needed in every mode. ERR_OFFSET_OUT_OF_RANGE: a truncation took
 * what it waited for; ERR_KAFKA_STORAGE_ERROR. */
struct log_wait {
    int64_t offset;
    void (*done)(struct log_wait *wait);
    void *context;
    enum err err;
    struct list_node node;
    bool is_lost; /* what it waited for is no more, whatever end the log has now */
};
void log_flush(struct log *log, struct log_wait *wait);
void log_wait_cancel(struct log_wait *wait); /* fine when done */

/* ---- reading ---- */
struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset;
};
struct log_read {
    /* in */
    int64_t offset;
    int64_t bound_offset; /* high watermark, last stable offset or log end: exclusive */
    size_t bytes_max;
    bool at_least_one;  /* the first batch comes whole even if it is larger */
    bool wants_aborted; /* read_committed */
    void (*done)(
        struct log_read *read); /* of log_read_plan when it said so, and of log_read_bytes */
    void *context;
    /* out */
    enum err err;             /* ERR_OFFSET_OUT_OF_RANGE, ERR_KAFKA_STORAGE_ERROR, ERR_STATE */
    size_t size_bytes;        /* of the range; 0: nothing to read */
    bool first_incomplete;    /* the first batch is larger than bytes_max: size_bytes is 0 */
    size_t first_batch_bytes; /* 0 when size_bytes is 0 and not first_incomplete */
    int64_t start_offset;     /* of the log, when planned */
    int64_t segment_base;     /* where the range lies: for counting the bytes that came since */
    int64_t position_bytes;
    /* Of the segment's bytes, in this process: as long as it is the same, so is what a position holds. */
    uint64_t incarnation;
    int64_t floor_offset; /* the first batch begins here or above, or the disk has changed it */
    struct aborted_transaction *aborted;
    size_t aborted_count;
    size_t read_bytes; /* by log_read_bytes; fewer than size_bytes only if the log was truncated */
    /* private */
    struct log *log;
    struct segment *segment;
    struct os_op op;
    uint8_t *scratch;
    size_t scratch_bytes;
    int64_t scan_bytes;   /* file position where the scan stands */
    int64_t scan_floor;   /* no batch from there on begins below this offset */
    int64_t limit_bytes;  /* file position where the range must end */
    int64_t entry_offset; /* last offset that the index promised for the scan's first batch; -1 */
    int stage;
    bool is_waiting;
    bool has_file;
    size_t aborted_capacity;
    struct read_wait *wait; /* what it waits for; NULL until it has to */
};
/* Finds the range by §5.11 of the reference. True: planned now, `done` is not called. False: `done`
 * comes later. Either way end with log_read_release; until then the range's bytes stay readable,
 * whatever is deleted meanwhile. */
bool log_read_plan(struct log *log, struct log_read *read);
/* Reads the planned range into `buffer` of size_bytes; `done` comes later. */
void log_read_bytes(struct log_read *read, void *buffer);
/* Of what was read: `rest` begins at that position with the first batch that reaches `offset`, and may end in the midst of
 * it. Who reads on from there is spared a look into the file. */
void log_read_seen(struct log_read *read, struct slice rest, int64_t position_bytes,
                   int64_t offset);
/* What was read does not begin with a sound batch: the next read of that offset looks into the file again. */
void log_read_unsound(struct log_read *read);
/* Nothing of this read may be under way. */
void log_read_release(struct log_read *read);
/* Bytes between a planned position and `bound_offset`, for fetch.min.bytes; an estimate from below
 * when the bound's position is not at hand. */
int64_t log_bytes_since(const struct log *log, int64_t segment_base, int64_t position_bytes,
                        int64_t bound_offset);

/* ---- looking up ---- */
#define LOG_TIMESTAMP_LATEST (-1)
#define LOG_TIMESTAMP_EARLIEST (-2)
#define LOG_TIMESTAMP_MAX (-3)
#define LOG_TIMESTAMP_EARLIEST_LOCAL (-4)
#define LOG_TIMESTAMP_LATEST_TIERED (-5)
#define LOG_TIMESTAMP_EARLIEST_PENDING_UPLOAD (-6)
struct log_lookup {
    /* in */
    int64_t timestamp;     /* ≥ 0, or one of the above */
    int64_t latest_offset; /* the answer to LATEST: by isolation, the caller's choice */
    int64_t bytes_max;     /* of one inflated batch */
    void (*done)(struct log_lookup *lookup);
    void *context;
    /* out; offset -1: no record */
    enum err err;
    int64_t offset;
    int64_t found_timestamp; /* -1 for special values */
    int32_t leader_epoch;    /* -1: not known */
    /* private */
    struct log *log;
    struct lookup_work *work;
};
/* `done` comes later, always. */
void log_lookup_offset(struct log *log, struct log_lookup *lookup);

/* ---- leader epochs ---- */
/* Notes that `epoch` begins at `start_offset` (a new leader: its queued end). Durable no later than
 * anything flushed afterwards. */
MUST_USE enum err log_epoch_assign(struct log *log, int32_t epoch, int64_t start_offset);
int32_t log_epoch_latest(const struct log *log); /* -1: none */
/* Of the latest epoch; -1: none. */
int64_t log_epoch_latest_start(const struct log *log);
/* OffsetForLeaderEpoch: epoch -1 and offset -1 when undefined. */
void log_epoch_end(const struct log *log, int32_t epoch, int32_t *epoch_out,
                   int64_t *end_offset_out);
/* The epoch that `offset` was written in; -1: not known. */
int32_t log_epoch_of(const struct log *log, int64_t offset);

/* ---- producers ---- */
struct producer_state *log_producers(struct log *log);

/* ---- compaction: runs by itself; docs/design/compaction.md ---- */
/* First dirty offset: below it no key has two values but those younger than the last pass; -1: never cleaned. */
int64_t log_clean_offset(const struct log *log);
/* A pass met what cannot be cleaned: no other is tried until the log is opened again. */
bool log_is_uncleanable(const struct log *log);
struct cleaner_stats {
    uint64_t passes;
    uint64_t bytes_read;
    uint64_t bytes_written;
    uint64_t uncleanable_partitions;
    uint64_t uncleanable_bytes;
    int last_recopy_percent; /* written of what was read by the last pass */
    int last_map_percent;    /* how full its map of keys got */
    int64_t last_pass_ms;
    int max_dirty_percent;      /* of the log that was due at the last look */
    int64_t max_delay_ms;       /* by how much it exceeded max.compaction.lag.ms */
    int64_t since_last_look_ms; /* -1: none yet */
    int64_t last_look_ms;       /* private */
};
void log_store_cleaner_stats(const struct log_store *store, struct cleaner_stats *out);

/* ---- changing ---- */
struct log_change_op {
    void (*done)(struct log_change_op *op);
    void *context;
    enum err err;
    /* private */
    struct log *log;
    struct os_op job;
    int64_t offset;
    int kind;
    struct list_node node;
};
/* Everything at or above `offset` goes (§5.5 of the reference). While it runs appends and reads are
 * refused or wait. */
void log_truncate(struct log *log, int64_t offset, struct log_change_op *op);
/* Empties the log; the next append goes to `offset`. */
void log_truncate_fully(struct log *log, int64_t offset, struct log_change_op *op);
struct log_start_op {
    void (*done)(struct log_start_op *op);
    void *context;
    enum err err;
    /* private */
    struct log *log;
    int64_t offset;
};
/* DeleteRecords: the start is at `offset` or above when `done` says OK, and whoever saw it there never sees it
 * further back, not after a power cut either: its checkpoint is durable before it moves. May be done
 * from inside. ERR_OFFSET_OUT_OF_RANGE above the high watermark (nothing changes). Never moves back;
 * segments go at the next retention pass. */
void log_raise_start(struct log *log, int64_t offset, struct log_start_op *op);
/* The same at once, for those who know the start from elsewhere (a snapshot, a leader) and will say it again
 * after a crash: the checkpoint follows within its interval. */
MUST_USE enum err log_set_start_offset(struct log *log, int64_t offset);
/* Looks at retention now; also runs on its own every retention_check_interval_ms. */
void log_retention_run(struct log *log);
/* Starts a new segment at the end if the active one has data. */
void log_roll(struct log *log);
/* Orderly close of one log; the struct is gone at `done`. */
void log_close(struct log *log, struct log_change_op *op);
/* Closes, renames the directory to -delete (or -stray) and removes a -delete one after the delay. The
 * struct is gone at `done`; a new log of the name may be made then. */
void log_delete(struct log *log, struct log_change_op *op);
void log_make_stray(struct log *log, struct log_change_op *op);
/* The last step of a move between directories (§5.10 of the reference): closes a -future copy in good
 * order and gives its directory the name of the partition, which nothing else on this node may have
 * then. The struct is gone at `done`. */
void log_promote(struct log *log, struct log_change_op *op);

#endif
