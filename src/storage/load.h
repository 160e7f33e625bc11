/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/load.h: blocking work on a log that the caller has to itself: opening, recovery, truncation.
 * Inside the module only.
 */
#ifndef STORAGE_LOAD_H
#define STORAGE_LOAD_H

#include "storage/storage_internal.h"

struct load_request {
    bool create;
    bool clean; /* the directory was closed in order */
    int64_t recovery_point;
    int64_t start_offset;   /* from the checkpoint; -1: none */
    int64_t high_watermark; /* from the checkpoint; 0: none */
    int64_t clean_offset;   /* from the checkpoint; -1: none */
    struct uuid topic_id;   /* zero: whatever is there */
};
/* Fills a fresh `log` from its directory. ERR_NOT_FOUND, ERR_INCONSISTENT_TOPIC_ID, or what makes the
 * directory go offline. */
MUST_USE enum err log_load(struct log *log, const struct load_request *request, struct why *why);

/* load_segments.c: files → log->segments, after the leftovers of an unfinished swap are dealt with. */
MUST_USE enum err load_segments(struct log *log, int64_t start_offset, struct why *why);
/* The last entry of both indexes, and the largest timestamp as far as it tells. *trusted_out false: a file is not
 * there, or its end means nothing. */
MUST_USE enum err load_tail_entries(struct log *log, struct segment *segment, bool *trusted_out);
/* Index tails, timestamps and end of the active segment of a clean log, without looking at more than
 * its tail. *trusted_out false: its index cannot be trusted and the segment must be recovered. */
MUST_USE enum err load_active_tail(struct log *log, struct segment *segment,
                                   int64_t *next_offset_out, bool *trusted_out, struct why *why);

/* finish_sealed.c: for the segment below the one that begins at the recovery point, after an unclean stop. */
MUST_USE enum err segment_finish_sealed(struct log *log, struct segment *segment);

/* recover.c */
/* Scans every segment that reaches past recovery_point; cuts what is broken and drops what follows. */
MUST_USE enum err log_recover(struct log *log, int64_t recovery_point, int64_t *next_offset_out,
                              struct why *why);
MUST_USE enum err segment_files_remove(struct os *os, const char *log_path, int64_t base_offset);

/* index_files.c */
/* Makes both indexes of a segment anew from its bytes [0, size). */
MUST_USE enum err segment_scan_index(struct os *os, const char *log_path, int64_t base_offset,
                                     int64_t size_bytes, int32_t interval_bytes,
                                     struct segment *out);
/* Writes both index files whole. `durably`: nothing will look at them again before they are trusted; else nothing
 * is synced, and recovery comes by again after a crash. */
MUST_USE enum err segment_write_indexes(struct os *os, const char *log_path,
                                        struct segment *segment, bool durably);
/* Replaces the transaction index's file, durably. */
MUST_USE enum err segment_write_aborted(struct os *os, const char *log_path,
                                        struct segment *segment);
/* Has every index entry and aborted transaction of the segment in memory. */
MUST_USE enum err segment_load_whole(struct log *log, struct segment *segment);
/* Reads and decodes both index files; false: missing or broken, or *err_out tells of a failed read. */
bool index_files_read(struct os *os, const char *log_path, int64_t base_offset, int64_t size_bytes,
                      struct offset_index *offsets_out, struct time_index *times_out,
                      enum err *err_out);
/* Completes the index of `segment` from the files'. False: they do not fit what is in memory. */
bool segment_index_adopt(struct segment *segment, struct offset_index *offsets,
                         struct time_index *times);
/* Takes over what segment_scan_index found. */
void segment_index_take(struct segment *segment, struct segment *scanned);

/* time_check.c: does the entry name the batch that it should? From `from_bytes` on, where a batch begins. */
enum err time_entry_check(struct os_file *file, int64_t from_bytes, int64_t log_bytes,
                          int64_t last_offset, int64_t timestamp, bool *holds_out);
/* The same by the index file. */
enum err time_entry_check_file(struct os *os, const char *log_path, int64_t base_offset,
                               int64_t log_bytes, int64_t timestamp, int32_t relative,
                               bool *holds_out);
/* The last entry, by indexes in memory. */
enum err time_index_end_check(struct os_file *file, int64_t log_bytes, int64_t base_offset,
                              const struct offset_index *offsets, const struct time_index *times,
                              bool *holds_out);

/* producer_files.c */
void producer_files_list(struct log *log, const struct os_names *names);
MUST_USE enum err producer_file_write(struct log *log, int64_t offset, bool sync);
/* Deletes files above `end`. */
MUST_USE enum err producer_files_trim(struct log *log, int64_t end);
MUST_USE enum err producer_file_remove(struct log *log, size_t at); /* index into log->snapshots */
/* State as of `offset`: the newest readable file at or below it, and the batches from there. */
MUST_USE enum err producer_state_rebuild(struct log *log, int64_t offset, struct why *why);
/* Has the segment's aborted transactions found in its batches below `to`. The producers are those at `to` then. */
MUST_USE enum err producer_segment_aborted(struct log *log, struct segment *segment, int64_t to,
                                           struct why *why);
/* The rules' facts of one batch whose header is read already; control batches are read from `file`. */
MUST_USE enum err producer_apply_batch(struct log *log, struct os_file *file,
                                       const struct batch_header *header, int64_t position_bytes,
                                       struct segment *aborted_to);
void log_note_snapshot(struct log *log, int64_t offset);
void log_forget_snapshot(struct log *log, int64_t offset);

/* reserve.c: what segments have behind their end, as found when the log was opened. */
MUST_USE enum err log_reserved_give_back(struct log *log);

/* truncate.c */
MUST_USE enum err log_truncate_blocking(struct log *log, int64_t offset, struct why *why);
MUST_USE enum err log_truncate_fully_blocking(struct log *log, int64_t offset, struct why *why);

/* log.c */
void log_segments_insert(struct log *log, size_t at, struct segment *segment);
void log_segments_remove(struct log *log, size_t at, size_t count); /* does not release them */
/* The last segment whose base is ≤ offset; SIZE_MAX: none. */
size_t log_segment_floor(const struct log *log, int64_t offset);
struct segment *log_active(const struct log *log);
void log_recount_size(struct log *log);
/* What a new segment takes of the disk at once: preallocate. */
static inline int64_t log_reserve_bytes(const struct log *log)
{
    return log->config.preallocate ? log->config.segment_bytes : 0;
}
/* Makes an empty segment file; blocking. */
MUST_USE enum err segment_create_file(struct os *os, const char *log_path, int64_t base_offset,
                                      int64_t reserve_bytes);

#endif
