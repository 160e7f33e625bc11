/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/shard.h: what the files of a running shard say to each other. Inside the module only.
 * Nothing here blocks; everything runs on the store's thread.
 */
#ifndef STORAGE_SHARD_H
#define STORAGE_SHARD_H

#include "storage/directories.h"
#include "storage/load.h"

/* log.c */
struct log *log_new(struct log_store *store, struct log_directory *directory, struct slice topic,
                    int32_t partition, bool is_future);
void log_free(struct log *log);

/* failure.c */
void log_notify(struct log *log, unsigned changes);
/* An I/O error of this log: its directory goes offline and with it all logs there. */
void log_io_failed(struct log *log, enum err err, const char *what);
/* The directory is offline: everything that waits on the log is told. */
void log_fail(struct log *log);
/* Operations and jobs that lean on the log. The last one to end starts the change that waits. */
void log_busy_begin(struct log *log);
void log_busy_end(struct log *log);

/* append.c */
void log_note_recent(struct log *log, struct segment *segment, const struct batch_header *header,
                     int64_t position_bytes);
void log_forget_recent(struct log *log);

/* write.c */
void log_write_turn(struct deferred *deferred);
void log_write_kick(struct log *log);

/* reserve.c */
void store_reserved_init(struct log_store *store);
/* A write of the segment has ended. */
void log_reserve_look(struct log *log, struct segment *segment);

/* roll.c */
/* Starts a segment at `base_offset`; the old one is sealed and flushed in the background. */
void log_roll_to(struct log *log, int64_t base_offset);
void log_roll_kick(struct log *log);
int64_t log_jitter_draw(const struct log *log);
bool log_must_roll(const struct log *log, size_t size_bytes, int64_t max_timestamp,
                   int64_t last_offset);

/* flush.c */
void log_flush_kick(struct log *log);
/* Wants the recovery point at `offset`. */
void log_flush_full(struct log *log, int64_t offset);
/* Keeps the producer state as of the queued end for a file that the next full flush writes. */
void log_snapshot_take(struct log *log, int64_t offset);
void log_waits_settle(struct log *log);
/* What they wait for above `offset` is no more: the next log_waits_settle tells them, wherever the log ends then. */
void log_waits_lose(struct log *log, int64_t offset);

/* index_load.c */
struct index_waiter {
    struct list_node node;
    void (*ready)(struct index_waiter *waiter);
    bool failed; /* of log_timestamps_load */
};
/* Loads what the memory lacks of the segment's indexes, or makes them anew. `ready` comes later; it may
 * find the log failed. */
void segment_index_load(struct segment *segment, struct index_waiter *waiter);
/* The batch at an entry is not what the entry says: the index is made anew at its next use. */
void segment_index_distrust(struct segment *segment);
/* Finds the largest timestamp of every segment that does not know it. */
/* All of it lies below the start: nobody reads it, and in mode os a power cut may have made holes in it. */
bool log_segment_is_dead(const struct log *log, size_t at);
/* Of the segments that are not dead. */
bool log_timestamps_known(const struct log *log);
void log_timestamps_load(struct log *log, struct index_waiter *waiter);

/* read.c, lookup.c */
struct parked {
    struct list_node node;
    void (*resume)(struct parked *parked); /* the change is over, or the log failed */
};

/* change.c */
/* A cleaning pass has a segment ready. Runs when no reader is in the midst of planning. */
void log_swap(struct log *log, struct log_change_op *op);
/* Something that appends must not meet, or that takes the log away, is asked for or runs. */
bool log_refuses_appends(const struct log *log);
/* Writes are held back so that a swap gets its turn. */
bool log_swap_waits(const struct log *log);
void log_changes_run(struct log *log);
void log_change_turn(struct deferred *deferred);
bool log_is_changing(const struct log *log);
void log_parked_resume(struct log *log);

/* retention.c */
void log_retention_pass(struct log *log);

/* close.c: blocking, alone with the log */
MUST_USE enum err log_close_blocking(struct log *log);

/* doomed.c */
void store_doomed_init(struct log_store *store);
/* Removes a file or directory (with what is in it) after the delay. */
void store_doom(struct log_store *store, struct log_directory *directory, const char *path,
                bool is_directory, int64_t delay_ms);
void store_doomed_release(struct log_store *store);
/* Takes segments that left the log out of the directory: renamed at once, removed later. */
void log_segments_doom(struct log *log, struct segment **segments, size_t count);

/* cleaner.c */
void store_cleaner_init(struct log_store *store);
/* A log that is compacted has come or changed. */
void store_cleaner_kick(struct log_store *store);
bool store_cleaner_is_enabled(const struct log_store *store);
/* A pass of the log ends as soon as it can. */
void log_clean_cancel(struct log *log);

/* closed.c */
/* The log was closed in order, or took its name as a copy that was. */
void store_closed_note(struct log_store *store, const struct log *log);
/* What was noted of the log to be opened; false: nothing. */
bool store_closed_take(struct log_store *store, const struct log_open *open,
                       struct load_request *request);
void store_closed_release(struct log_store *store);

/* checkpoints.c */
void log_mark_offsets(struct log *log);        /* recovery point or start moved */
void log_mark_recovery_point(struct log *log); /* by a flush: sooner */
void log_mark_high_watermark(struct log *log);
void log_checkpoint_cleaner(struct log *log); /* the first dirty offset moved */
void log_forget_checkpoints(struct log *log); /* the log is gone */
void log_checkpoint_last(struct log *log);    /* it is being closed */
void store_checkpoints_init(struct log_store *store);
/* Sends the start that is to be at once; `done` when it is durable. */
void log_checkpoint_start(struct log *log, void (*done)(struct checkpoint_batch *batch),
                          void *context);
/* The same of the recovery point and the first dirty offset. */
void log_checkpoint_now(struct log *log, void (*done)(struct checkpoint_batch *batch),
                        void *context);

/* store.c */
void store_operation_begin(struct log_store *store);
void store_operation_end(struct log_store *store);
void store_directory_failed(struct log_store *store, struct log_directory *directory);
void store_log_closed(struct log_store *store, enum err err);

#endif
