/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/storage/compaction_support.h: a compacted log on the bench, a model of what was written to it, and
 * a reader that holds one against the other.
 */
#ifndef TESTS_STORAGE_COMPACTION_SUPPORT_H
#define TESTS_STORAGE_COMPACTION_SUPPORT_H

#include "records/record.h"
#include "support.h"

#define TOPIC_FOLDER "/data/topic-0/"
#define HISTORY_MAX 4000
#define KEYS_MAX 64
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

/* A record as it was appended; key -1: none; value -1: a tombstone. */
struct written {
    int64_t offset;
    int key;
    int value;
    int64_t timestamp;
    int64_t producer_id; /* of a transaction; 0: none */
    bool decided;
    bool aborted;
};
struct history {
    struct written records[HISTORY_MAX];
    int count;
};

/* What one append holds: pairs of key and value. */
struct keyed {
    const int (*pairs)[2];
    int count;
    enum compression codec;
    int64_t producer_id; /* 0: none */
    int32_t sequence;
    int16_t epoch;
    bool transactional;
    bool log_append_time;
    enum append_origin origin; /* CLIENT (0), or REPLICATION for what a leader would refuse */
};
enum err keyed_append(struct bench *bench, struct log *log, struct history *history,
                      const struct keyed *keyed);
/* One record each. */
enum err put(struct bench *bench, struct log *log, struct history *history, int key, int value);
/* A marker of the producer. */
enum err mark(struct bench *bench, struct log *log, struct history *history, int64_t producer_id,
              bool is_abort);
/* Forgets what lies at or above the offset. */
void history_cut(struct history *history, int64_t end);

/* A bench whose cleaner looks every second and finds every log worth it. */
void compaction_open(struct bench *bench, uint64_t seed);
/* The log of such a bench; `history` is emptied. */
struct log *compaction_log(struct bench *bench, struct history *history, uint64_t seed);
/* Appends keys 0…keys-1, `rounds` times. */
void compaction_fill(struct bench *bench, struct log *log, struct history *history, int keys,
                     int rounds);
/* Seals the active segment, raises the high watermark to the end and waits for all passes. */
void compaction_run(struct bench *bench, struct log *log);
/* The same with the high watermark left alone. */
void compaction_wait(struct bench *bench, struct log *log);

struct seen {
    int64_t offset;
    int key;
    int value;
    int64_t timestamp;
};
struct view {
    struct seen records[HISTORY_MAX];
    int count;
    int batches, empty_batches, markers, horizons;
    int64_t horizon;          /* of the last batch that has one */
    int codecs;               /* bits */
    struct batch_header last; /* header of the last data batch */
};
/* All of the log below `bound`; what was aborted only if `committed` is false. */
void view_read(struct bench *bench, struct log *log, int64_t bound, bool committed,
               struct view *view);
/* Whoever reads now has the newest committed value of each key, or nothing of a deleted one. */
void view_check(const struct view *view, const struct history *history, int64_t bound);
bool view_has(const struct view *view, int64_t offset);
/* Reads and checks; returns how many records were there. */
int compaction_check(struct bench *bench, struct log *log, const struct history *history);

#endif
