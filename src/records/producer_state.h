/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/producer_state.h: what a partition remembers of its producers: sequences, epochs, open
 * transactions (KIP-98, KIP-890), and the rules that an append must pass. docs/design/records.md
 * §4.
 *
 * A check changes nothing that a reader of the state can see; apply cannot fail. One owner, one
 * thread. Facts come in as arguments: no clock, no file.
 */
#ifndef RECORDS_PRODUCER_STATE_H
#define RECORDS_PRODUCER_STATE_H

#include "base/hash_map.h"
#include "base/writer.h"
#include "records/batch.h"

#define PRODUCER_BATCHES_KEPT 5

/* Who appends; decides which rules hold. */
enum append_origin {
    APPEND_ORIGIN_CLIENT,
    APPEND_ORIGIN_COORDINATOR,
    APPEND_ORIGIN_RAFT_LEADER,
    APPEND_ORIGIN_REPLICATION, /* also recovery */
};

struct producer_batch {
    int64_t last_offset;
    int64_t timestamp;
    int32_t last_sequence;
    int32_t offset_delta;
};

struct producer_entry {
    struct hash_map_node node;
    int64_t producer_id;
    int64_t last_timestamp;
    int64_t transaction_first_offset; /* -1: none open */
    struct producer_batch *batches;   /* oldest first */
    int32_t coordinator_epoch;        /* -1: no marker seen */
    int16_t epoch;                    /* -1: none */
    uint8_t batch_count;              /* ≤ PRODUCER_BATCHES_KEPT */
    uint8_t batch_capacity;
    uint32_t update_index; /* private: place in the update under way */
    bool is_pending;       /* private: reserved by an update, not visible */
};
int32_t producer_entry_last_sequence(const struct producer_entry *entry); /* -1: no batch */

/* A transaction by its first offset; last_offset is its marker's, -1 while open. */
struct producer_transaction {
    int64_t first_offset;
    int64_t last_offset;
    int64_t producer_id;
};
struct producer_transactions {
    struct producer_transaction *items; /* ascending first_offset */
    size_t count;
    size_t capacity;
};

struct producer_state {
    struct allocator *allocator;
    size_t pending_count; /* of producers, not visible */
    struct producer_transactions ongoing;
    struct producer_transactions unreplicated; /* completed, marker not below the high watermark */
    int64_t unreplicated_marker_min;           /* smallest marker offset there, INT64_MAX: none */
    int64_t end_offset;                        /* the state covers everything below */
    uint64_t last_guard;                       /* verification guards are unique within one state */
    uint64_t change_count;                     /* bumped by everything that changes the state */
    struct hash_map producers;
    struct hash_map verifications;
};

void producer_state_init(struct producer_state *state, struct allocator *allocator);
void producer_state_release(struct producer_state *state);
/* Forgets producers and transactions; verifications stay. */
void producer_state_clear(struct producer_state *state, int64_t end_offset);

/* ---- appends ---- */

/* The facts of one batch that the rules look at. */
struct producer_append {
    int64_t producer_id;
    int16_t epoch;
    int32_t first_sequence;
    int32_t last_sequence;
    int64_t first_offset; /* as stamped; before stamping: where it would go */
    int64_t last_offset;
    int64_t timestamp; /* max timestamp of the batch; of the marker record for a control batch */
    bool transactional;
    bool control;
    bool has_marker; /* a control batch whose record is still there */
    bool is_abort;
    int32_t coordinator_epoch;
};
/* From one whole batch, CRC checked. ERR_INVALID_RECORD: a control record that cannot be read. */
MUST_USE enum err producer_append_read(struct slice batch, struct producer_append *out);

/* A transaction that a marker ended. */
struct producer_completed {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;        /* the marker */
    int64_t last_stable_offset; /* for the transaction index; set by apply */
    bool aborted;
};

struct producer_update_entry; /* private */
/* One append (one or more batches) on its way through the rules. Lives on the caller's stack. */
struct producer_update {
    struct producer_state *state;
    enum append_origin origin;
    uint64_t guard;              /* verification guard that the request holds; 0: none */
    bool verification_required;  /* a transactional batch outside an open transaction needs it */
    int16_t transaction_version; /* of markers: 0, 1 or 2 */
    /* out */
    bool is_duplicate; /* CLIENT: the batch is there already; nothing is to be appended */
    struct producer_batch duplicate;
    int64_t duplicate_first_offset;
    struct producer_completed *completed; /* in marker order; until discard */
    size_t completed_count;
    /* private */
    size_t completed_capacity;
    struct producer_update_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    struct producer_transaction *started; /* that apply will open; room is reserved */
    size_t started_count;
    size_t started_capacity;
    uint64_t change_count;
};
void producer_update_begin(struct producer_update *update, struct producer_state *state,
                           enum append_origin origin);
/* Checks the next batch of the append. OK: accepted, or is_duplicate (then stop). Batches without
 * producer are accepted as they are. ERR_INVALID_PRODUCER_EPOCH, ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
 * ERR_INVALID_TXN_STATE, ERR_TRANSACTION_COORDINATOR_FENCED, ERR_NO_MEMORY; after an error only
 * discard is legal. `why` may be NULL. */
MUST_USE enum err producer_update_add(struct producer_update *update,
                                      const struct producer_append *append, struct why *why);
/* Makes the checked append part of the state; cannot fail. The state must not have changed since
 * begin. Fills completed[].last_stable_offset. End with discard all the same. */
void producer_update_apply(struct producer_update *update);
/* Gives the memory back. Legal at any time, also twice. */
void producer_update_discard(struct producer_update *update);

/* ---- verification of transactional appends (KIP-890) ---- */

/* Before the append: what must be asked of the coordinator. *guard_out 0: nothing to verify (the
 * transaction is open here with this epoch). Otherwise hold the guard in the append that follows.
 * ERR_INVALID_PRODUCER_EPOCH, ERR_NO_MEMORY. */
MUST_USE enum err producer_verification_begin(struct producer_state *state, int64_t producer_id,
                                              int16_t epoch, int32_t sequence,
                                              bool supports_epoch_bump, int64_t now_ms,
                                              uint64_t *guard_out);
/* 0: none. */
uint64_t producer_verification_guard(const struct producer_state *state, int64_t producer_id);

/* ---- reading ---- */
const struct producer_entry *producer_state_find(const struct producer_state *state,
                                                 int64_t producer_id);
size_t producer_state_count(const struct producer_state *state);
/* All producers in order of appearance: NULL gives the first; NULL after the last. */
const struct producer_entry *producer_state_next(const struct producer_state *state,
                                                 const struct producer_entry *previous);
bool producer_state_has_open_transaction(const struct producer_state *state, int64_t producer_id,
                                         int16_t epoch);
/* Smallest offset that is undecided or decided above the high watermark; -1: none. */
int64_t producer_state_first_unstable_offset(const struct producer_state *state);
/* Smallest first offset of an open transaction; -1: none. */
int64_t producer_state_first_undecided_offset(const struct producer_state *state);
/* min(first unstable, high watermark), the former clipped to log_start_offset. */
int64_t producer_state_last_stable_offset(const struct producer_state *state,
                                          int64_t high_watermark, int64_t log_start_offset);
/* A transaction open without a write for longer than transaction_timeout_max_ms + 5 min. */
bool producer_state_has_late_transaction(const struct producer_state *state, int64_t now_ms,
                                         int64_t transaction_timeout_max_ms);

/* ---- what time and the log do ---- */
void producer_state_set_high_watermark(struct producer_state *state, int64_t high_watermark);
void producer_state_set_log_start(struct producer_state *state, int64_t log_start_offset);
/* After every append, also of batches without producer. */
void producer_state_set_end_offset(struct producer_state *state, int64_t end_offset);
/* Drops producers without open transaction whose last record time is expiration_ms or more ago, and
 * verifications begun that long ago. */
void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms);

/* ---- <offset>.snapshot ---- */
#define PRODUCER_SNAPSHOT_HEADER_BYTES 10
#define PRODUCER_SNAPSHOT_ENTRY_BYTES 46
/* Appends the file's bytes. */
MUST_USE enum err producer_snapshot_write(const struct producer_state *state, struct writer *out);
/* Replaces the state by the file's, expired producers left out; end_offset is the file's name.
 * ERR_CORRUPT (state is empty then), ERR_NO_MEMORY. */
MUST_USE enum err producer_snapshot_read(struct producer_state *state, struct slice file,
                                         int64_t end_offset, int64_t now_ms, int64_t expiration_ms,
                                         struct why *why);

/* ---- entries of <base>.txnindex ---- */
#define TRANSACTION_INDEX_ENTRY_BYTES 34
struct transaction_index_entry {
    int16_t version; /* 0 */
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* the ABORT marker */
    int64_t last_stable_offset;
};
void transaction_index_entry_write(const struct transaction_index_entry *entry,
                                   uint8_t out[TRANSACTION_INDEX_ENTRY_BYTES]);
/* ERR_CORRUPT when the version is not 0. */
MUST_USE enum err transaction_index_entry_read(const uint8_t bytes[TRANSACTION_INDEX_ENTRY_BYTES],
                                               struct transaction_index_entry *out);

#endif
