/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction_internal.h: what the files of the transaction coordinator share.
 * docs/design/transaction_coordinator.md.
 *
 *   transaction/coordinator.c       life, options, dispatch, tick, views
 *   transaction/table.c             ids, versions that are on their way, what is due
 *   transaction/state.c             states, allowed moves, the values that each move gives
 *   transaction/partitions.c        sets of partitions
 *   transaction/record.c, replay.c  values → bytes of records; records → values
 *   transaction/init_producer_id.c, add.c, end.c    the three requests of producers, fencing
 *   transaction/markers.c           the second and third stage
 *   transaction/park.c              requests that wait until an id is free
 *   transaction/scan.c              overdue transactions, expired ids
 *   transaction/listing.c           DescribeTransactions, ListTransactions
 *
 * Rules for every file
 *   1. An id has one committed value and a list of versions: values that are written and not
 *      committed, oldest first. Only the last one may be not replayed yet (a draft), between the
 *      call that made it and the next one.
 *   2. transaction_write makes drafts; replay makes them versions; `committed` makes them values.
 *   3. An id is free when it has no version and is not ending. Requests wait for that (park.c), or
 *      until they may join (add.c); `due` lists the ids for whose first request it is so, and those
 *      whose Prepare record is committed.
 *   4. What is soft (parked requests, markers on their way, the epoch of a fence that was not
 *      written) hangs on the id's active part, which exists while it is needed.
 */
#ifndef COORDINATOR_TRANSACTION_INTERNAL_H
#define COORDINATOR_TRANSACTION_INTERNAL_H

#include "base/assert.h"
#include "base/hash_map.h"
#include "base/heap.h"
#include "coordinator/transaction.h"
#include "protocol/generated/messages.h"

#define TRANSACTION_LOG "coordinator"
#define TRANSACTION_EPOCH_LAST (INT16_MAX - 1) /* that a client may use; from here on: exhausted */
#define TRANSACTION_PARTITIONS_MAX PROTOCOL_ARRAY_COUNT_MAX /* that one record can carry */
#define TRANSACTION_TIMEOUT_NONE INT32_MAX                  /* of two-phase commit (KIP-939) */

/* ---- states: as numbered in the log ---- */

enum transaction_state {
    TRANSACTION_EMPTY,
    TRANSACTION_ONGOING,
    TRANSACTION_PREPARE_COMMIT,
    TRANSACTION_PREPARE_ABORT,
    TRANSACTION_COMPLETE_COMMIT,
    TRANSACTION_COMPLETE_ABORT,
    TRANSACTION_DEAD, /* an id whose tombstone is on its way */
    TRANSACTION_STATE_COUNT,
};
const char *transaction_state_name(enum transaction_state state);
bool transaction_may_move(enum transaction_state from, enum transaction_state to);
static inline bool transaction_is_ending(enum transaction_state state)
{
    return state == TRANSACTION_PREPARE_COMMIT || state == TRANSACTION_PREPARE_ABORT;
}
static inline bool transaction_is_at_rest(enum transaction_state state)
{
    return state == TRANSACTION_EMPTY || state == TRANSACTION_COMPLETE_COMMIT ||
           state == TRANSACTION_COMPLETE_ABORT;
}
static inline bool transaction_epoch_exhausted(int16_t epoch)
{
    return epoch >= TRANSACTION_EPOCH_LAST;
}

/* ---- sets of partitions: shared, never changed ---- */

struct transaction_partitions {
    uint32_t references;
    uint32_t count;
    size_t size_bytes;                    /* of the block; names stand behind the items */
    struct coordinator_partition items[]; /* by topic, then index; each once */
};
/* Both together; NULL: the empty set, for `base` and the outcome. */
MUST_USE enum err transaction_partitions_union(struct allocator *allocator, struct arena *scratch,
                                               const struct transaction_partitions *base,
                                               const struct coordinator_partition *added,
                                               size_t added_count,
                                               struct transaction_partitions **out);
struct transaction_partitions *transaction_partitions_ref(struct transaction_partitions *set);
void transaction_partitions_release(struct allocator *allocator,
                                    struct transaction_partitions **set); /* NULL-safe */
bool transaction_partitions_have(const struct transaction_partitions *set,
                                 const struct coordinator_partition *partition);
static inline size_t transaction_partitions_count(const struct transaction_partitions *set)
{
    return set ? set->count : 0;
}

/* ---- values ---- */

struct transaction_value {
    int64_t producer_id;
    int64_t previous_producer_id; /* -1: not known */
    int64_t next_producer_id;     /* of Prepare records: takes over when complete; -1: none */
    int64_t update_wall_ms;
    int64_t start_wall_ms; /* -1: none */
    struct transaction_partitions *partitions;
    int32_t timeout_ms;
    int16_t epoch;      /* -1: an id that was never written */
    int16_t last_epoch; /* soft; -1: not known */
    int8_t state;
    int8_t client_version; /* transaction version of the client: 0 or 2; 1 as others may write it */
};

struct transaction;
struct transaction_call;

/* The value that a move gives (transactions.md §4). partitions are borrowed from the latest value, or
 * NULL, and counted by transaction_write. */
struct transaction_init {
    int32_t timeout_ms;
    bool expects;
    int16_t expected_epoch;
};
/* Refusals are in *told. */
void transaction_value_initialized(const struct transaction_call *call, const struct transaction *t,
                                   const struct transaction_init *init, enum err *told,
                                   struct transaction_value *out);
void transaction_value_rotated(const struct transaction_call *call, const struct transaction *t,
                               const struct transaction_init *init, int64_t producer_id,
                               struct transaction_value *out);
void transaction_value_added(const struct transaction_call *call, const struct transaction *t,
                             int8_t client_version, struct transaction_value *out);
/* next_producer_id -1: none. Protocol 2 raises the epoch. */
void transaction_value_ended(const struct transaction_call *call, const struct transaction *t,
                             bool is_commit, int8_t client_version, int64_t next_producer_id,
                             struct transaction_value *out);
void transaction_value_completed(const struct transaction_call *call, const struct transaction *t,
                                 struct transaction_value *out);
void transaction_value_dead(const struct transaction_call *call, const struct transaction *t,
                            struct transaction_value *out);
/* The producer id and epoch that are in force when this Prepare value is complete. */
void transaction_value_outcome(const struct transaction_value *prepare, int64_t *producer_id_out,
                               int16_t *epoch_out);

/* ---- ids ---- */

struct transaction_version {
    struct list_node node;  /* in active->versions */
    struct heap_node log;   /* in coordinator->uncommitted, by offset, once replayed */
    struct list_node draft; /* in coordinator->drafts until then */
    struct transaction *transaction;
    uint64_t write;
    int64_t offset; /* -1: a draft */
    struct transaction_value value;
    bool fences; /* an abort that nobody who has the epoch asked for */
};

struct transaction_marking;

struct transaction_active {
    struct transaction *transaction;
    struct list_node due;      /* in coordinator->due */
    struct list_node ongoing;  /* in coordinator->ongoing: the latest value is Ongoing */
    struct list_node versions; /* oldest first */
    struct list_node parked;   /* struct transaction_parked, in order of arrival */
    struct transaction_marking *marking;
    /* Of a fence under protocol 0: in force before its record is written, and stays so when that is
     * refused; then the next fence does not raise it again (hasFailedEpochFence). -1: none. */
    int16_t fence_epoch;
    bool fence_failed;
    uint64_t overdue_pass; /* of the scan that has looked at it last */
    int64_t open_since_ms; /* monotone: when a scan first saw it Ongoing; -1: not yet */
};

struct transaction {
    struct hash_map_node node;         /* in coordinator->transactions */
    struct transaction_value value;    /* committed, or never written (epoch -1) */
    struct transaction_active *active; /* NULL: at rest, nothing soft */
    int64_t last_offset;               /* of its newest record; -1: none */
    uint16_t id_bytes;
    uint8_t id[];
};
static inline struct slice transaction_id(const struct transaction *t)
{
    return slice_of(t->id, t->id_bytes);
}

struct transaction *transaction_find(const struct transaction_coordinator *coordinator,
                                     struct slice id);
/* The id is not in the table. Value: Empty, epoch -1. */
MUST_USE enum err transaction_create(struct transaction_coordinator *coordinator, struct slice id,
                                     struct transaction **out);
/* Out of the table and released; nothing is parked there. */
void transaction_remove(struct transaction_coordinator *coordinator, struct transaction *t);
/* In order of coming; NULL: the first, the end. */
struct transaction *transaction_after(const struct transaction_coordinator *coordinator,
                                      const struct transaction *t);

/* What was written last, committed or not. */
const struct transaction_value *transaction_latest(const struct transaction *t);
/* With the epoch of a fence that was not written. `value` is one of `t`. */
int16_t transaction_epoch(const struct transaction *t, const struct transaction_value *value);
bool transaction_is_written(const struct transaction *t); /* no version is on its way */
bool transaction_is_free(const struct transaction *t);
bool transaction_has_draft(const struct transaction *t);

MUST_USE enum err transaction_activate(struct transaction_coordinator *coordinator,
                                       struct transaction *t);
/* Lets go of the active part when nothing needs it; puts the id on the list of what is due when there is
 * something to do. Called whenever either may have changed. */
void transaction_settle(struct transaction_coordinator *coordinator, struct transaction *t);
/* The latest value has changed: lists by state. */
MUST_USE enum err transaction_index(struct transaction_coordinator *coordinator,
                                    struct transaction *t);

/* One record, and the draft that waits for its replay. DEAD: a tombstone. */
MUST_USE enum err transaction_write(struct transaction_call *call, struct transaction *t,
                                    const struct transaction_value *to, bool fences);
/* Its record has got this offset. */
MUST_USE enum err transaction_draft_replayed(struct transaction_coordinator *coordinator,
                                             struct transaction *t, int64_t offset);
/* At load: the value, not committed yet. */
MUST_USE enum err transaction_version_loaded(struct transaction_coordinator *coordinator,
                                             struct transaction *t);
void transaction_versions_commit(struct transaction_coordinator *coordinator);
/* Drafts of a refused write. */
MUST_USE enum err transaction_drafts_drop(struct transaction_call *call, uint64_t write,
                                          enum err err);

/* ---- one call ---- */

struct transaction_parked;

struct transaction_call {
    struct transaction_coordinator *coordinator;
    const struct coordinator_request *request; /* NULL in ticks and the like */
    const struct coordinator_moment *moment;
    struct coordinator_effects *effects;
    struct arena *arena; /* of the effects */
    /* The request has waited; who parks it again takes it (NULL then). */
    struct transaction_parked *parked;
    bool is_orphan; /* … for an id that is gone: others that waited with it were there earlier */
};
struct transaction_call transaction_call_of(struct transaction_coordinator *coordinator,
                                            const struct coordinator_request *request,
                                            const struct coordinator_moment *moment,
                                            struct coordinator_effects *effects);
MUST_USE enum err transaction_record(struct transaction_call *call, const struct transaction *t,
                                     const struct transaction_value *value);
MUST_USE enum err transaction_reply(struct transaction_call *call, void *response,
                                    bool after_commit);
/* The request's answer with this error, in the form of its API. At once. */
MUST_USE enum err transaction_refuse(struct transaction_call *call, enum err err);
MUST_USE enum err transaction_dispatch(struct transaction_call *call);
/* A new producer id, or what the client is told. ERR_NO_MEMORY is returned. */
MUST_USE enum err transaction_producer_id(struct transaction_call *call, int64_t *out,
                                          enum err *told);

MUST_USE enum err transaction_handle_init(struct transaction_call *call,
                                          const struct init_producer_id_request *request);
MUST_USE enum err transaction_handle_add(struct transaction_call *call,
                                         const struct transaction_add *request);
MUST_USE enum err transaction_handle_end(struct transaction_call *call,
                                         const struct end_txn_request *request);
MUST_USE enum err transaction_handle_describe(struct transaction_call *call, struct slice id);
MUST_USE enum err transaction_handle_list(struct transaction_call *call,
                                          const struct transaction_list *list);

/* Aborts the transaction of a free, Ongoing id with an epoch that nobody has; the version is that of the
 * cluster. *told: no producer id could be had, nothing was written. */
MUST_USE enum err transaction_fence(struct transaction_call *call, struct transaction *t,
                                    enum err *told);

/* ---- parked requests ---- */

struct transaction_parked {
    struct list_node node;           /* in active->parked, or coordinator->orphans */
    struct hash_map_node by_token;   /* in coordinator->parked */
    struct heap_node deadline;       /* in coordinator->park_deadlines */
    struct transaction *transaction; /* NULL: an orphan */
    struct coordinator_request request;
    uint64_t write; /* the fence that it waits for; 0: none */
    size_t size_bytes;
    union {
        struct init_producer_id_request init;
        struct transaction_add add;
        struct end_txn_request end;
    } body;
};
/* Must the call's request wait for this id? */
bool transaction_must_wait(const struct transaction_call *call, const struct transaction *t);
/* Somebody is parked, and the first need not wait any more. The id has an active part. */
bool transaction_may_resume(const struct transaction *t);
/* Partitions may be added although something is on its way: what the log commits before them. */
bool transaction_may_join(const struct transaction *t, const struct transaction_add *request);
/* write: see above. A request that had waited keeps its place and its deadline. */
MUST_USE enum err transaction_park(struct transaction_call *call, struct transaction *t,
                                   uint64_t write);
void transaction_parked_release(struct transaction_coordinator *coordinator,
                                struct transaction_parked **parked);
/* Runs the request that has waited longest, when it may. */
MUST_USE enum err transaction_resume(struct transaction_call *call, struct transaction *t);
MUST_USE enum err transaction_resume_orphan(struct transaction_call *call);
/* The id goes away: what is parked there runs without it. */
void transaction_orphan(struct transaction_coordinator *coordinator, struct transaction *t);
/* The oldest whose time is out. */
MUST_USE enum err transaction_park_time_out(struct transaction_call *call);
/* Requests that wait for this write, which was refused. */
MUST_USE enum err transaction_park_fail(struct transaction_call *call, struct transaction *t,
                                        uint64_t write, enum err err);

/* ---- markers ---- */

/* Stage two of an id whose Prepare record is committed: begins it, or goes on with it. */
MUST_USE enum err transaction_markers_begin(struct transaction_call *call, struct transaction *t);
/* Those that failed are given out again. The first of coordinator->retries is due. */
MUST_USE enum err transaction_markers_retry(struct transaction_call *call);
/* The Complete record was refused. */
void transaction_markers_complete_again(struct transaction_coordinator *coordinator,
                                        struct transaction *t);
void transaction_marking_release(struct transaction_coordinator *coordinator,
                                 struct transaction_marking **marking);
size_t transaction_marking_left(const struct transaction *t);
/* Does the i-th partition of the committed Prepare value still wait for its marker? */
bool transaction_marking_waits(const struct transaction *t, size_t i);
int64_t transaction_markers_deadline_ms(const struct transaction_coordinator *coordinator);

void transaction_tickets_init(struct transaction_coordinator *coordinator);

/* ---- scans ---- */

void transaction_scans_start(struct transaction_coordinator *coordinator);
int64_t transaction_scans_deadline_ms(const struct transaction_coordinator *coordinator);
/* A step; nothing when none is due. */
MUST_USE enum err transaction_scan_overdue(struct transaction_call *call);
MUST_USE enum err transaction_scan_expired(struct transaction_call *call);

/* ---- the coordinator ---- */

struct transaction_coordinator {
    struct allocator *allocator;
    struct logger *logger;
    struct transaction_options options;
    int32_t coordinator_epoch;
    bool loaded;
    int64_t now_ms, wall_ms; /* of the latest call with a moment */
    uint64_t write_last;     /* number of the newest write */
    uint64_t ticket_last;
    int64_t committed_end; /* everything below is committed */
    struct hash_map transactions;
    struct list_node drafts;  /* struct transaction_version */
    struct heap uncommitted;  /* the same, by offset */
    struct list_node due;     /* struct transaction_active */
    struct list_node ongoing; /* the same */
    struct hash_map parked;   /* by token */
    struct heap park_deadlines;
    struct list_node orphans; /* struct transaction_parked */
    struct hash_map tickets;  /* struct transaction_ticket */
    struct list_node retries; /* struct transaction_marking, by time */
    int64_t overdue_at_ms;    /* the next scan */
    bool overdue_runs;
    uint64_t overdue_pass; /* number of the running one, or of the last */
    int64_t expire_at_ms;
    bool expire_runs;
    struct transaction *expire_next; /* NULL: at the end */
};

#endif
