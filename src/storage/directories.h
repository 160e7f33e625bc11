/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/directories.h: the structs behind the set of log directories; inside the module only.
 */
#ifndef STORAGE_DIRECTORIES_H
#define STORAGE_DIRECTORIES_H

#include "storage/storage_internal.h"

#define STORES_MAX 256

enum checkpoint_kind {
    CHECKPOINT_RECOVERY,
    CHECKPOINT_START,
    CHECKPOINT_HIGH_WATERMARK,
    CHECKPOINT_CLEANER,
    CHECKPOINT_KINDS,
};

struct found_log {
    struct uuid topic_id; /* read only when another directory has the name too; else zero */
    const char *text;
    struct log_name name;
    atomic_bool opened;
};

struct log_directory {
    struct log_directories *set;
    size_t index;
    char *path;
    size_t path_bytes;
    struct os_file *lock;
    struct arena arena; /* strings found at open */
    struct meta_properties properties;
    bool was_clean;
    int64_t marker_epoch; /* -1: no marker, or unreadable */
    struct found_log *found;
    size_t found_count;
    size_t found_capacity;
    struct offset_map at_open[CHECKPOINT_KINDS]; /* as read; not changed afterwards */
    atomic_bool offline;
    atomic_bool low;
    atomic_bool has_reserve;
    atomic_llong free_bytes;
    atomic_llong total_bytes;
    atomic_int log_count;
    struct keeper_files *keeper;
};

/* As cleaner_options has them; any store reads them. */
struct cleaner_settings {
    atomic_bool enabled;
    atomic_int threads;
    atomic_int running; /* passes */
    _Atomic int64_t dedupe_bytes;
    _Atomic int64_t io_buffer_bytes;
    _Atomic int64_t backoff_ms;
    _Atomic double load_factor;
    _Atomic double bytes_per_second;
};

#define RESERVE_NAME ".barnabas_reserve"
#define LOCK_NAME ".lock"

struct log_directories {
    struct os *os;
    struct logger *logger;
    struct storage_options options;
    _Atomic int64_t producer_expiration_ms; /* of the options, or later news */
    struct cleaner_settings cleaner;
    struct log_directory *items;
    size_t count;
    struct log_store *stores[STORES_MAX]; /* filled before shards run */
    size_t store_count;
    struct reactor *keeper_reactor; /* where the checkpoint files are written */
    _Atomic uint64_t incarnations;  /* given to segments, from any thread */
    atomic_bool is_closing;         /* a shortage may end it */
};

/* Takes the directory offline, once; tells every store. Any store's thread. */
void log_directory_fail(struct log_directory *directory, struct log_store *store, enum err err,
                        const char *what);
/* Looks at the space that is left; blocking. Makes or gives up the reserve file. */
void log_directory_measure(struct log_directory *directory);
/* Deletes the reserve file; false when there is none. Blocking. */
bool log_directory_use_reserve(struct log_directory *directory);

/* ---- checkpoint_keeper.c ---- */
void keeper_open(struct log_directories *directories, struct reactor *reactor);
void keeper_stop(struct log_directories *directories); /* its reactor is about to go */
void keeper_release(struct log_directories *directories);
const char *checkpoint_file_name(enum checkpoint_kind kind);
/* One value; offset -1 takes the entry out. */
struct checkpoint_value {
    struct checkpoint_value *next;
    enum checkpoint_kind kind;
    int64_t offset;
    int32_t partition;
    size_t topic_bytes;
    char topic[]; /* not terminated */
};
/* Values of one directory on their way to the keeper. `done` (may be NULL) comes back on the sender's
 * thread when they are durable. */
struct checkpoint_batch {
    struct mail mail;
    struct log_directory *directory;
    struct log_store *store;
    struct checkpoint_value *values;
    void (*done)(struct checkpoint_batch *batch);
    void *context;
    enum err err;
    struct list_node node;
};
struct checkpoint_batch *checkpoint_batch_new(struct log_store *store,
                                              struct log_directory *directory);
void checkpoint_batch_add(struct checkpoint_batch *batch, enum checkpoint_kind kind,
                          struct slice topic, int32_t partition, int64_t offset);
void checkpoint_batch_send(struct checkpoint_batch *batch);

#endif
