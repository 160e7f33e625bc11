/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/storage_internal.h: the structs of the module and what its files say to each other.
 *
 * Who may touch a struct log: its store's thread, or the one job that has the log to itself (opening,
 * a change). Other jobs work on copies and on os_files.
 */
#ifndef STORAGE_STORAGE_INTERNAL_H
#define STORAGE_STORAGE_INTERNAL_H

#include "storage/storage.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "base/hash_map.h"
#include "base/random.h"
#include "base/writer.h"
#include "reactor/reactor.h"
#include "records/batch.h"

#include <stdatomic.h>

#define PATH_BYTES 4096
#define DIRECTORY_PATH_BYTES_MAX 3584 /* leaves room for a partition's and a file's name */
#define LOG_NAME_BYTES 256
#define RELATIVE_OFFSET_MAX INT32_MAX
#define SEGMENT_FILE_BYTES_MAX INT32_MAX

/* Zeroed; a server without memory for its own bookkeeping stops with a report. */
void *storage_allocate(size_t size_bytes);
void storage_free(void *pointer, size_t size_bytes);
#define STORAGE_NEW(type) ((type *)storage_allocate(sizeof(type)))
#define STORAGE_DELETE(pointer) storage_free((pointer), sizeof(*(pointer)))
/* Grows an array to hold at least `count` items. */
void *storage_grow(void *items, size_t item_bytes, size_t *capacity, size_t count);

/* ---- name.c ---- */
void log_name_make(struct slice topic, int32_t partition, enum log_name_kind kind,
                   const uint8_t unique[16], char out[LOG_NAME_BYTES]);
/* `<digits>.<rest>`: the number and a view of ".<rest>". */
bool file_name_parse(const char *name, int64_t *offset_out, const char **suffix_out);
void path_of_file(const char *directory, int64_t offset, const char *suffix, char out[PATH_BYTES]);
void path_join(const char *directory, const char *name, char out[PATH_BYTES]);
void path_copy(const char *path, char out[PATH_BYTES]);
bool text_ends_with(const char *text, const char *suffix);

/* ---- checkpoint_file.c ---- */
typedef enum err (*checkpoint_entry_fn)(void *context, const struct slice *words);
MUST_USE enum err checkpoint_parse(struct slice text, size_t words_per_line,
                                   checkpoint_entry_fn each, void *context);

struct offset_map_entry {
    struct hash_map_node node;
    struct slice topic; /* behind the struct */
    int32_t partition;
    int64_t offset;
};
struct offset_map {
    struct hash_map map;
};
void offset_map_init(struct offset_map *map);
void offset_map_release(struct offset_map *map);
MUST_USE enum err offset_map_put(struct offset_map *map, struct slice topic, int32_t partition,
                                 int64_t offset);
bool offset_map_get(const struct offset_map *map, struct slice topic, int32_t partition,
                    int64_t *offset_out);
void offset_map_remove(struct offset_map *map, struct slice topic, int32_t partition);
/* A missing file has no entries. ERR_FORMAT when it does not add up. */
MUST_USE enum err offset_checkpoint_read(struct os *os, const char *path, struct offset_map *map);
void offset_checkpoint_text(const struct offset_map *map, struct writer *out);

/* ---- clean_marker.c ---- */
MUST_USE enum err clean_marker_read(struct os *os, const char *directory, bool *present_out,
                                    int64_t *broker_epoch_out);
MUST_USE enum err clean_marker_write(struct os *os, const char *directory, int64_t broker_epoch);
MUST_USE enum err clean_marker_remove(struct os *os, const char *directory);

/* ---- partition_metadata.c ---- */
/* OK with a zero id when the file is not there. ERR_FORMAT. */
MUST_USE enum err partition_metadata_read(struct os *os, const char *directory,
                                          struct uuid *topic_id_out);
MUST_USE enum err partition_metadata_write(struct os *os, const char *directory,
                                           struct uuid topic_id);

/* ---- epoch_cache.c ---- */
struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};
struct epoch_cache {
    struct epoch_entry
        latest; /* the last one of `entries`, when there is one: each append asks for it */
    bool dirty;
    struct epoch_entry *entries;
    size_t count;
    size_t capacity;
};
void epoch_cache_release(struct epoch_cache *cache);
void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset);
void epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset);
void epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset);
void epoch_cache_clear(struct epoch_cache *cache);
void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end,
                     int32_t *epoch_out, int64_t *end_offset_out);
int32_t epoch_cache_of(const struct epoch_cache *cache, int64_t offset);
MUST_USE enum err epoch_cache_read(struct epoch_cache *cache, struct os *os, const char *path);
MUST_USE enum err epoch_cache_text(const struct epoch_cache *cache, struct writer *writer);
MUST_USE enum err epoch_cache_write(struct epoch_cache *cache, struct os *os, const char *path);
#define EPOCH_FILE "leader-epoch-checkpoint"

/* ---- index.c ---- */
#define OFFSET_INDEX_ENTRY_BYTES 8
#define TIME_INDEX_ENTRY_BYTES 12
struct offset_index_entry {
    int32_t relative; /* last offset of the batch - base */
    int32_t position_bytes;
};
struct time_index_entry {
    int64_t timestamp;
    int32_t relative;
};
/* The entries [first, count) of a file are in memory; [0, written) are in the file. */
struct offset_index {
    struct offset_index_entry *items;
    size_t capacity;
    int32_t first;
    int32_t count;
    int32_t written;
};
struct time_index {
    struct time_index_entry *items;
    size_t capacity;
    int32_t first;
    int32_t count;
    int32_t written;
};
enum index_answer {
    INDEX_FOUND,
    INDEX_BEFORE,     /* smaller than every entry: the base and position 0 */
    INDEX_NOT_LOADED, /* the entry would be one that is only in the file */
};
void offset_index_release(struct offset_index *index);
void time_index_release(struct time_index *index);
void offset_index_add(struct offset_index *index, int32_t relative, int32_t position_bytes);
/* Skipped when the timestamp is not above the last entry's. */
void time_index_add(struct time_index *index, int64_t timestamp, int32_t relative);
/* Largest entry ≤ target. */
enum index_answer offset_index_find(const struct offset_index *index, int64_t relative,
                                    struct offset_index_entry *out);
enum index_answer time_index_find(const struct time_index *index, int64_t timestamp,
                                  struct time_index_entry *out);
void offset_index_entry_read(const uint8_t bytes[OFFSET_INDEX_ENTRY_BYTES],
                             struct offset_index_entry *out);
void time_index_entry_read(const uint8_t bytes[TIME_INDEX_ENTRY_BYTES],
                           struct time_index_entry *out);
/* First entry whose position is ≥ the given one; INDEX_BEFORE: none. */
enum index_answer offset_index_find_position(const struct offset_index *index,
                                             int64_t position_bytes,
                                             struct offset_index_entry *out);
void offset_index_cut(struct offset_index *index, int64_t relative_end);
void time_index_cut(struct time_index *index, int64_t relative_end);
/* Whole entries, strictly rising, positions inside [0, log_bytes). False: not to be trusted. */
bool offset_index_decode(struct slice file, int64_t log_bytes, struct offset_index *out);
/* Whole entries, neither falls. */
bool time_index_decode(struct slice file, struct time_index *out);
/* Appends entries [from, count) in file form; they must be in memory. */
void offset_index_encode(const struct offset_index *index, int32_t from, struct writer *writer);
void time_index_encode(const struct time_index *index, int32_t from, struct writer *writer);

/* ---- transaction_index.c ---- */
struct transaction_index {
    struct transaction_index_entry *items;
    size_t capacity;
    size_t count;
    size_t written;
    size_t promised; /* written, when the flush under way is done */
    size_t digested; /* entries that `digest` covers; transaction_digest.c */
    uint32_t digest;
    bool known; /* items holds all; else the file is to be read */
};
void transaction_index_release(struct transaction_index *index);
void transaction_index_add(struct transaction_index *index,
                           const struct transaction_index_entry *entry);
void transaction_index_cut(struct transaction_index *index, int64_t end_offset);
/* ERR_CORRUPT: version, order, or an entry that no marker of [base, end) can have. */
MUST_USE enum err transaction_index_read(struct os *os, const char *path, int64_t base_offset,
                                         int64_t end_offset, struct transaction_index *out);

/* ---- transaction_digest.c: what those files hold ---- */
#define TRANSACTION_DIGEST_FILE "barnabas-aborted-transactions"
/* Of what is in the files, or will be when the flush under way is done. Clears log->digests_dirty when it says all. */
void transaction_digests_text(struct log *log, struct writer *out);
/* A text of that becomes the file, whole; durably with the next sync of the directory. Blocking. */
MUST_USE enum err transaction_digests_put(struct os *os, const char *log_path, struct slice text);
/* Replaces the file when it is out of date. Blocking. */
MUST_USE enum err transaction_digests_write(struct log *log);
/* At the opening: reads the transaction indexes; makes those anew that are not what was written, as far as they lie
 * below the recovery point (INT64_MAX: of a clean log). Blocking; the producers are not to be used afterwards. */
MUST_USE enum err transaction_indexes_load(struct log *log, int64_t recovery_point,
                                           struct why *why);

/* ---- file_cache.c: open descriptors, least recently used closed first ---- */
struct file_waiter {
    struct list_node node;
    void (*ready)(struct file_waiter *waiter, enum err err); /* OK: the file is acquired */
};
struct file_handle {
    struct os_file *file;
    struct log_store *store;
    struct list_node idle;
    int users;
    bool opening;
    int tries; /* of the open under way */
    struct list_node waiters;
    char *path; /* while opening */
    size_t path_bytes;
    struct os_op op;
};
void file_handle_init(struct file_handle *handle);
/* True: acquired. False: `waiter` is told later. */
bool file_acquire(struct log_store *store, struct file_handle *handle, const char *path,
                  struct file_waiter *waiter);
void file_release(struct file_handle *handle);
/* Closes an idle file; nobody uses it and it is not being opened. */
void file_handle_close(struct file_handle *handle);
/* Closes whatever nobody uses. */
void store_idle_files_close(struct log_store *store);

/* ---- shortage.c: descriptors or memory have run out, which says nothing of a disk ---- */
struct shortage {
    struct log_directories *directories;
    struct reactor *reactor;
    struct list_node ops; /* to be submitted again */
    struct timer timer;
    int64_t told_ms;
    int64_t seen_ms, since_ms; /* the newest one, and since when there is one */
    int64_t closing_ms;        /* one was seen while the stores close, first; INT64_MIN: none */
};
bool err_is_shortage(enum err err);
void shortage_init(struct shortage *shortage, struct log_directories *directories,
                   struct reactor *reactor);
void shortage_release(struct shortage *shortage);
/* `err` is a shortage, and there is time: what ended for it may be tried again. */
bool shortage_may_end(struct shortage *shortage, enum err err);
/* True: the operation, one that can be done again from its beginning, ended for a shortage; it is submitted again
 * in a moment. It must not be touched until `done`. */
bool shortage_waits(struct shortage *shortage, struct os_op *op);
/* The same with the store's own, which closes its idle files besides. */
bool store_shortage_may_end(struct log_store *store, enum err err);
bool store_shortage_waits(struct log_store *store, struct os_op *op);

/* ---- segment.c ---- */
enum segment_state {
    SEGMENT_CREATING, /* its files are being made */
    SEGMENT_READY,
};
/* As in struct log, what every append looks at comes first. */
struct segment {
    struct log *log;
    int references;
    enum segment_state state;
    int64_t base_offset;
    int64_t size_bytes;    /* with what is queued */
    int64_t written_bytes; /* in the page cache */
    int64_t grown_bytes;   /* written_bytes at the last look at its growth */
    int64_t roll_jitter_ms;
    int64_t index_gap_bytes; /* since the last index entry */
    int64_t max_timestamp;   /* -1: none */
    int64_t max_timestamp_offset;
    int64_t first_timestamp; /* max timestamp of the first batch; -1 when not known */
    bool first_timestamp_known;
    bool timestamp_known; /* max_timestamp and its offset */
    bool deleted;         /* renamed to .deleted */
    struct offset_index offsets;
    struct time_index times;
    struct file_handle file;
    uint64_t incarnation;  /* of its bytes: another one when what was written goes */
    int64_t flushed_bytes; /* on stable storage */
    /* reserve.c */
    int64_t reserved_bytes; /* blocks may be taken up to here; ≤ written_bytes: none ahead */
    int64_t grown_ms;       /* monotone */
    bool reserve_refused;
    struct list_node reserved; /* in the store's list of segments that may have blocks ahead */
    struct transaction_index aborted;
    bool has_aborted_file;
    bool index_known;    /* `first`, `count` and `written` of both indexes mean something */
    bool index_checked;  /* the last entry was held against the log */
    bool index_bad;      /* an entry did not match the log: to be made anew at the next use */
    bool index_unusable; /* it cannot be made: the log itself is broken somewhere */
    bool index_loading;
    struct list_node index_waiters;
    bool sealed;          /* no longer the last one: its closing time entry is made */
    bool has_index_files; /* .index and .timeindex are there */
    bool entry_synced;    /* the directory entry is durable */
    bool full_synced;     /* log and indexes are durable; only of sealed ones */
    int64_t created_ms;   /* wall */
    int64_t modified_ms;
    struct list_node loaded; /* in the store's list of sealed segments with their index in memory */
};
struct segment *segment_new(struct log *log, int64_t base_offset);
/* Bytes that were written are no more, or will be others. */
void segment_renew(struct segment *segment);
/* file_cache.c: file_acquire of its .log, whose name is made up only when it has to be opened. */
bool segment_file_acquire(struct log_store *store, struct segment *segment,
                          struct file_waiter *waiter);
struct segment *segment_ref(struct segment *segment);
void segment_release(struct segment **segment);
void segment_path(const struct segment *segment, const char *suffix, char out[PATH_BYTES]);
/* Accounts for one batch at the end of the queued bytes: indexes, timestamps, size. */
void segment_note_batch(struct segment *segment, const struct batch_header *header,
                        size_t size_bytes, int32_t interval_bytes);
/* Adds the closing time entry. */
void segment_seal(struct segment *segment);
int32_t segment_relative(const struct segment *segment, int64_t offset);

/* ---- batch_reader.c: batches of a file in order, blocking ---- */
struct batch_reader {
    struct os_file *file;
    int64_t position_bytes; /* of the next batch */
    int64_t end_bytes;
    uint8_t *buffer;
    size_t capacity_bytes;
    int64_t window_bytes; /* file position of buffer[0] */
    size_t filled_bytes;
};
void batch_reader_init(struct batch_reader *reader, struct os_file *file, int64_t position_bytes,
                       int64_t end_bytes);
void batch_reader_release(struct batch_reader *reader); /* CLEANUP-compatible; not the file */
/* The next whole batch; size 0: no whole batch is left. ERR_CORRUPT_MESSAGE: framing. */
MUST_USE enum err batch_reader_next(struct batch_reader *reader, struct slice *batch_out,
                                    int64_t *position_bytes_out);
/* Its header alone: large batches are stepped over unread. false at the end. */
MUST_USE enum err batch_reader_next_header(struct batch_reader *reader, bool *found_out,
                                           struct batch_header *header_out,
                                           int64_t *position_bytes_out);

/* ---- places.c: where batches lie that were seen on the way to others ---- */
struct log_store;
struct batch_place;
const struct batch_place *place_find(struct log_store *store, uint64_t incarnation, int64_t offset);
/* `bytes` of the file begin at that position with the first batch that reaches `offset`; of some from there on, as far as
 * their headers are there. */
void places_note(struct log_store *store, uint64_t incarnation, struct slice bytes,
                 int64_t position_bytes, int64_t offset);
void place_forget(struct log_store *store, uint64_t incarnation, int64_t offset);
void places_free(struct log_store *store);

/* ---- log ---- */
#define RECENT_BATCHES 32
struct recent_batch {
    struct segment *segment; /* compared, never followed */
    int64_t base_offset;
    int64_t last_offset;
    int64_t position_bytes;
    size_t size_bytes;
};
struct batch_place {      /* places.c */
    uint64_t incarnation; /* 0: none */
    int64_t offset;       /* the first batch that reaches it begins here */
    int64_t position_bytes;
    size_t size_bytes;
};
struct snapshot_pending { /* a producer snapshot that is not yet in its file */
    int64_t offset;
    uint8_t *data;
    size_t size_bytes;
    size_t capacity_bytes;
};

enum change_kind {
    CHANGE_TRUNCATE,
    CHANGE_TRUNCATE_FULLY,
    CHANGE_CLOSE,
    CHANGE_DELETE,
    CHANGE_STRAY,
    CHANGE_PROMOTE,
    CHANGE_SWAP, /* of a cleaning pass: appends go on beside it */
};

#define LOG_SLICES_MAX 256
#define LOG_OWN_SLICES 4 /* a log that is written by one connection at a time needs no more */

/* What every append looks at comes first, close together: with ten thousand logs each line of it is fetched from
 * memory. */
struct log {
    struct log_store *store;
    struct log_directory *directory;
    struct log_listener *listener;
    struct segment *active; /* the last one of `segments`; NULL: there is none */
    int64_t end_queued;
    bool failed;
    bool closing;       /* a close or delete is waiting or running */
    bool has_exclusive; /* a change owns the log */
    bool has_swap;      /* and it is one that appends may run beside */
    bool writing;
    bool write_retried;
    bool rolling;
    bool reserving;           /* a job takes blocks ahead, or gives them back */
    bool giving_back;         /* of the active segment: no write meanwhile */
    bool parent_synced;       /* the log directory knows our directory durably */
    bool loaded_anew;         /* created by this open */
    bool digests_dirty;       /* of aborted transactions: the file does not say all */
    int busy;                 /* operations and jobs under way that lean on the log */
    struct flush *flush;      /* under way, else NULL */
    struct list_node changes; /* struct log_change_op */
    struct list_node rolls;   /* struct roll_job: for the bytes below to be written */
    struct list_node queue;   /* struct log_append: waiting */
    struct list_node writing_list;
    int64_t end_written;
    int64_t end_flushed;
    int64_t end_synced; /* on stable storage in fact; end_flushed in commit mode */
    int64_t recovery_point;
    int64_t full_flush_to; /* recovery point wanted; ≤ recovery_point: none */
    int64_t forced_flush_to;
    int64_t unsafe_bytes; /* queued since the recovery point was last asked to move */
    int64_t size_bytes;
    int64_t start_offset;
    int64_t high_watermark;
    size_t pending_snapshot_count;
    struct recent_batch *recent; /* ring, allocated by the first append */
    unsigned recent_next;
    struct epoch_cache epochs;
    struct list_node dirty_marks; /* checkpoint values to hand over */
    struct deferred write_deferred;
    struct segment *write_segment;
    struct file_waiter write_waiter;
    size_t write_bytes;
    struct slice *write_slices; /* own_slices, or LOG_SLICES_MAX of them */
    struct slice own_slices[LOG_OWN_SLICES];
    struct log_config config;
    struct producer_state producers;
    struct os_op write_op;

    struct list_node node; /* in the store */
    struct list_node dirty_offsets;
    char *topic;
    size_t topic_bytes;
    int32_t partition;
    struct uuid topic_id;
    bool is_future;
    char *path;       /* never changes: jobs of a busy log may read it */
    const char *name; /* its last part */

    struct segment **segments; /* by base offset; the last one is active */
    size_t segment_count;
    size_t segment_capacity;
    int64_t told_recovery_point; /* what the checkpoint file says, or will say next */
    int64_t *snapshots;          /* offsets of snapshot files, rising */
    size_t snapshot_count;
    size_t snapshot_capacity;
    struct snapshot_pending *pending_snapshots;
    size_t pending_snapshot_capacity;

    /* flush */
    struct list_node waits;  /* struct log_wait */
    int64_t last_flush_ms;   /* monotone */
    int64_t middle_snapshot; /* offset of the snapshot inside the active segment; -1: none */
    bool retention_waits;    /* for the flush or roll to end */

    /* changes */
    struct list_node parked; /* struct parked */
    struct deferred change_deferred;
    int64_t change_end;       /* in: the end before the change; out: behind it */
    struct segment **dropped; /* by a change, to be released by the owner */
    size_t dropped_count;
    size_t dropped_capacity;
    char *doomed_path; /* of PATH_BYTES, while it is deleted */
    bool renamed;      /* by a change that makes it leave: only the sync is still to come */
    bool retention_loading;
    bool retention_raising;
    int raises;         /* of the start, for which the checkpoint is under way */
    int64_t raising_to; /* the highest of them; -1: none */
    int dooms;          /* renames of segments under way */

    /* compaction */
    struct clean_pass *clean; /* under way */
    int64_t clean_offset;     /* first dirty; -1: never cleaned */
    int64_t told_clean_offset;
    bool uncleanable;
    bool clean_facts_loading;
};

/* What reads look for batches in (read.c). */
#define STORE_SCRATCHES 8
#define STORE_SCRATCH_BYTES (16 * KIB)
/* What it saw of batches on the way to others (places.c). */
#define STORE_PLACES_SHIFT 10
#define STORE_PLACES ((size_t)1 << STORE_PLACES_SHIFT)

struct log_store {
    struct log_directories *directories;
    struct reactor *reactor;
    struct storage_listener *listener;
    int index;
    struct list_node logs;
    size_t log_count;
    bool had_logs; /* the first look at retention comes after options.initial_delay_ms */
    struct list_node idle_files;
    int open_files;
    int opening_files;
    struct shortage shortage;
    struct list_node loaded_segments;
    size_t loaded_bytes;
    void *scratches[STORE_SCRATCHES]; /* of STORE_SCRATCH_BYTES each, not in use */
    size_t scratch_count;
    struct batch_place *places; /* by incarnation and offset; NULL until the first one */
    struct list_node closed;    /* struct closed_log: in this run, in order */
    struct list_node doomed;    /* struct doomed: files and directories to remove, by due time */
    struct timer doomed_timer;
    struct timer retention_timer;
    struct timer offsets_timer;
    struct timer marks_timer;
    struct timer flush_timer;
    struct timer expiry_timer;
    struct timer reserved_timer;
    struct list_node reserved; /* segments that may have blocks behind their end */
    struct list_node dirty_offsets;
    struct list_node dirty_marks;
    struct timer cleaner_timer;
    struct clean_pass *clean; /* under way */
    struct cleaner_stats cleaner_stats;
    int operations; /* under way: a store with some cannot be released */
    struct log_store_close *close_op;
    struct deferred close_deferred;
};

struct os *log_os(const struct log *log);
struct logger *log_logger(const struct log *log);
const struct storage_options *log_options(const struct log *log);

#endif
