/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/cleaner.h: what the files of log compaction say to each other; inside the module only.
 * docs/design/compaction.md.
 *
 *   cleaner.c             the shard: which log is due, the pass from slice to slice, its end
 *   clean_facts.c         timestamps that the lags ask for
 *   clean_plan.c          which part of a log may be cleaned; groups of segments
 *   clean_pass.c          the job: map of keys, copy of a group to .cleaned, files synced
 *   clean_swap.c          .cleaned → .swap → final names; the new segment takes the old ones' place
 *   clean_batch.c         what stays of one batch
 *   clean_transactions.c  which batches were aborted, which markers are needed no more
 *   key_map.c             key → newest offset
 */
#ifndef STORAGE_CLEANER_H
#define STORAGE_CLEANER_H

#include "storage/load.h"
#include "storage/shard.h"

#include "compress/compress.h"

/* ---- key_map.c ---- */
struct key_slot {
    uint64_t low;
    uint64_t high;
    uint64_t next_offset; /* offset + 1; 0: empty */
};
struct key_hash {
    uint64_t low;
    uint64_t high;
};
struct key_map {
    struct key_slot *slots;
    size_t slot_count;
    size_t slots_max;
    size_t count;
    double load_factor;
    uint64_t secret[2];
};
struct key_map_options {
    size_t limit_bytes;
    size_t expected_keys; /* a guess; the table grows */
    double load_factor;
    uint64_t secret[2];
};
MUST_USE enum err key_map_open(struct key_map *map, const struct key_map_options *options);
void key_map_release(struct key_map *map);
/* Also tells the processor that the key's slot will be asked for: who has many keys hashes some of them
 * ahead, and does not wait for memory at each. */
struct key_hash key_map_hash(const struct key_map *map, struct slice key);
/* False: full, nothing changed. */
bool key_map_put(struct key_map *map, struct key_hash hash, int64_t offset);
/* -1: not there. */
int64_t key_map_get(const struct key_map *map, struct key_hash hash);
#define KEYS_AHEAD 16 /* that are worth it */
double key_map_utilization(const struct key_map *map);

/* ---- clean_transactions.c ---- */
struct clean_transactions {
    const struct transaction_index_entry *aborted; /* by first offset, lent */
    size_t aborted_count;
    size_t next;         /* entries below were met */
    int64_t from_offset; /* entries whose marker lies below do not count */
    struct hash_map producers;
};
void clean_transactions_init(struct clean_transactions *transactions,
                             const struct transaction_index_entry *aborted, size_t count,
                             int64_t from_offset);
void clean_transactions_release(struct clean_transactions *transactions);
/* Batches in order. *discard_out: a data batch was aborted; a marker's transaction has no batch left in what
 * was seen. An ABORT that still has some goes to `kept` (may be NULL). */
MUST_USE enum err clean_transactions_see(struct clean_transactions *transactions,
                                         const struct batch_header *header, struct slice batch,
                                         struct transaction_index *kept, bool *discard_out);

/* ---- clean_batch.c ---- */
struct clean_producer {
    int64_t producer_id;
    int64_t last_offset; /* of its last data batch; -1: none */
    int16_t epoch;
};
struct clean_rules {
    const struct key_map *keys;
    int64_t latest_offset; /* above it nothing is known of any key */
    int64_t high_watermark;
    int64_t now_ms;
    int64_t delete_retention_ms;
    const struct clean_producer *producers; /* by id */
    size_t producer_count;
};
/* Memory that is used again for each batch. */
struct clean_scratch {
    struct compress_context *compress;
    struct writer inflated;
    struct writer plain;
    struct writer keeps; /* a byte a record */
};
enum clean_verdict { CLEAN_DROPPED, CLEAN_VERBATIM, CLEAN_REWRITTEN };
/* Appends to `out` what is left of the batch. discard: as clean_transactions_see said. ERR_INVALID_RECORD and
 * other errors: the batch cannot be understood. */
MUST_USE enum err clean_batch(const struct clean_rules *rules, struct clean_scratch *scratch,
                              const struct batch_header *header, struct slice batch, bool discard,
                              struct writer *out, enum clean_verdict *verdict_out);
/* The plain records of a batch, in `inflated` if they are compressed. */
MUST_USE enum err clean_records(struct clean_scratch *scratch, const struct batch_header *header,
                                struct slice batch, struct slice *out);

/* ---- a pass ---- */
enum clean_stage {
    CLEAN_MAP,
    CLEAN_COPY,
    CLEAN_SWAP,
    CLEAN_DISCARD, /* removes .cleaned */
};
struct clean_item { /* a segment, as it was when the pass began */
    struct segment *segment;
    int64_t base_offset;
    int64_t size_bytes;
    int64_t next_base;
    int64_t modified_ms;
};
struct clean_pass {
    struct log *log;
    struct log_store *store;
    struct os *os;
    struct os_op job;
    struct log_change_op swap;
    struct timer throttle;
    enum clean_stage stage;
    atomic_bool cancelled; /* by the shard */
    bool uncleanable;      /* by the job: what it read cannot be cleaned */
    struct why why;
    int64_t started_ns;
    int64_t slice_started_ns;
    int64_t slice_bytes; /* read and written in this slice */
    size_t slice_bytes_max;
    double bytes_per_second;
    size_t io_bytes;
    int32_t index_interval_bytes;
    char path[PATH_BYTES];

    /* the plan */
    int64_t first_dirty;
    int64_t end_offset; /* first uncleanable; after CLEAN_MAP: behind the last mapped */
    struct clean_item *items;
    size_t item_count;
    size_t item_capacity;
    struct transaction_index_entry *aborted; /* of the whole log, by first offset */
    size_t aborted_count;
    size_t aborted_capacity;

    /* where the job stands */
    struct key_map keys;
    struct clean_transactions transactions;
    bool has_transactions;
    struct clean_scratch scratch;
    bool has_scratch;
    size_t at; /* the item being read */
    struct os_file *source;
    struct batch_reader reader;
    int64_t last_offset;          /* of the last batch read */
    int64_t batch_position_bytes; /* of the batch at hand, for the report */
    int64_t batch_offset;
    int batch_codec;
    bool mapped;
    bool copied;

    /* the group */
    size_t group_from;
    size_t group_to;
    struct clean_rules rules;
    struct clean_producer *producers;
    size_t producer_capacity;
    struct os_file *output;
    struct writer buffer;
    int64_t output_bytes;
    struct segment
        facts; /* base, indexes, timestamps and aborted transactions of the new segment */
    bool changed;
    int swap_step;      /* of the swap: how far it has come */
    int64_t *snapshots; /* producer snapshots that the swap takes */
    size_t snapshot_count;
    size_t snapshot_capacity;
    bool drops_marker; /* of a transaction; older producer snapshots may hold it open */
    bool goes_on;      /* CLEAN_DISCARD of a group that came out as it was */

    /* counts */
    int64_t bytes_read; /* by CLEAN_COPY */
    int64_t bytes_written;
    int64_t bytes_mapped;
};
/* ---- cleaner.c ---- */
/* The store looks for a log to clean after the delay. */
void store_cleaner_look(struct log_store *store, int64_t delay_ms);

/* ---- clean_facts.c ---- */
/* Has the store look again when they are known. */
void clean_facts_load(struct log *log);

/* ---- clean_plan.c ---- */
struct clean_facts {
    int64_t first_dirty;
    int64_t end_offset; /* first uncleanable */
    int64_t clean_bytes;
    int64_t cleanable_bytes;
    double ratio;
    int64_t delay_ms; /* how much max.compaction.lag.ms is exceeded */
    bool is_due;
    bool needs_facts; /* timestamps of segments are not known */
};
void clean_facts_of(struct log *log, struct clean_facts *out);
/* The group of segments that begins at item `from`: behind its last. */
size_t clean_group_end(const struct clean_pass *pass, const struct log_config *config, size_t from);

/* ---- clean_pass.c: blocking ---- */
/* One slice of CLEAN_MAP, CLEAN_COPY or CLEAN_DISCARD. Errors: ERR_DISK_FULL, ERR_CANCELLED, what takes the
 * directory offline; `uncleanable` set: the log's own fault. */
MUST_USE enum err clean_pass_slice(struct clean_pass *pass);
void clean_output_release(struct clean_pass *pass);
void clean_pass_release_files(struct clean_pass *pass);

/* ---- clean_swap.c ---- */
/* On the shard, before it. */
void clean_swap_begin(struct clean_pass *pass);
/* Blocking, alone with the log's sealed segments. */
MUST_USE enum err clean_swap_blocking(struct clean_pass *pass);
MUST_USE enum err clean_discard_blocking(struct clean_pass *pass);
/* On the shard, after the former. */
void clean_swap_take_over(struct clean_pass *pass);

#endif
