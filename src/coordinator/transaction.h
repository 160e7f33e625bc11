/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction.h: the transaction coordinator of one partition of __transaction_state.
 * docs/design/transaction_coordinator.md; transactions.md §3–§6, §9–§11, §13 of the reference;
 * KIP-98, KIP-360, KIP-890, KIP-939 as far as Kafka 4.4 has it.
 *
 * A transaction ends in three stages, each begun when the one before is committed: the Prepare record;
 * the markers of all partitions together; the Complete record. The client is answered after the first.
 *
 * Invariants  1. A producer id and epoch that was fenced changes nothing any more.
 *             2. Markers are given out only for a committed Prepare record, with its epoch, and until
 *                each of its partitions has one or is gone. Complete is written after that, never
 *                before.
 *             3. A request for an id whose transition is not committed yet, or that is ending, is not
 *                let in: it is parked until the transaction is complete (TRANSACTION_PARK_MS_MAX, then
 *                CONCURRENT_TRANSACTIONS as Kafka answers at once). Exception: partitions may be added
 *                while others are being added by the same producer and epoch, and as soon as the
 *                Complete record of its transaction before is in the log: they are committed after it.
 *             4. State after replay of the log = state of the leader that wrote it, soft state and
 *                lastProducerEpoch (which Kafka does not keep either) aside.
 *             5. A call does bounded work; scans over all ids go in steps.
 * Memory      everything through the allocator given at creation; an idle id costs about a hundred
 *             bytes beyond its name.
 *
 * Used by the shell as coordinator.h says, `transaction_coordinator_` in front.
 */
#ifndef COORDINATOR_TRANSACTION_H
#define COORDINATOR_TRANSACTION_H

#include "base/allocator.h"
#include "base/log.h"
#include "coordinator/coordinator.h"

#define TRANSACTION_PARK_MS_MAX 1000
#define TRANSACTION_MARKER_RETRY_MS 50

struct transaction_coordinator;

/* From the node's configuration; the reference's names and defaults (transactions.md §15). */
struct transaction_options {
    int32_t timeout_max_ms;          /* transaction.max.timeout.ms */
    int64_t id_expiration_ms;        /* transactional.id.expiration.ms */
    int32_t abort_scan_interval_ms;  /* transaction.abort.timed.out.… */
    int32_t expire_scan_interval_ms; /* transaction.remove.expired.… */
    bool two_phase_commit_on;        /* transaction.two.phase.commit.enable */
};
void transaction_options_init(struct transaction_options *options); /* Kafka's defaults */

/* coordinator_epoch: of the leadership; it goes into the markers. */
MUST_USE enum err transaction_coordinator_create(struct allocator *allocator,
                                                 const struct transaction_options *options,
                                                 int32_t coordinator_epoch, struct logger *logger,
                                                 struct transaction_coordinator **out);
void transaction_coordinator_release(struct transaction_coordinator **coordinator); /* NULL-safe */
void transaction_coordinator_set_options(struct transaction_coordinator *coordinator,
                                         const struct transaction_options *options);

/* ---- log ---- */
/* One record at `offset`. Unknown key types and value versions are passed over with a warning, as Kafka
 * does; a null key and broken values are ERR_CORRUPT. */
MUST_USE enum err transaction_coordinator_replay(struct transaction_coordinator *coordinator,
                                                 const struct coordinator_record *record,
                                                 int64_t offset, struct why *why);
/* Load complete: transactions that were ending go on (once the log is committed that far). */
MUST_USE enum err transaction_coordinator_loaded(struct transaction_coordinator *coordinator,
                                                 const struct coordinator_moment *moment,
                                                 struct coordinator_effects *effects);
/* Everything below `offset` is committed: what waited for it becomes due (deadline). */
void transaction_coordinator_committed(struct transaction_coordinator *coordinator, int64_t offset);
/* Also of a write that was not committed in time: what it holds stays, and goes on when `committed`
 * covers it. Refused (not replayed): taken back. */
MUST_USE enum err transaction_coordinator_write_ended(struct transaction_coordinator *coordinator,
                                                      uint64_t write, enum err err,
                                                      const struct coordinator_moment *moment,
                                                      struct coordinator_effects *effects);

/* ---- calls ---- */
/* Bodies, by API (the reply's form in brackets; errors of a request are in the reply, versions are
 * not looked at: the handler maps errors that old versions do not know):
 *   InitProducerId        struct init_producer_id_request, transactional id not null
 *                         [struct init_producer_id_response]
 *   AddPartitionsToTxn    struct transaction_add [struct transaction_added]; AddOffsetsToTxn, implicit
 *                         adds and verification of other APIs come as this, too
 *   EndTxn                struct end_txn_request; api_version > 4: protocol 2
 *                         [struct end_txn_response]
 *   DescribeTransactions  struct slice, one id
 *                         [struct describe_transactions_response_transaction_state]
 *   ListTransactions      struct transaction_list [struct list_transactions_response: of this
 *                         partition; unknown_state_filters is the handler's]
 */
struct transaction_add {
    struct slice transactional_id;
    int64_t producer_id;
    int16_t producer_epoch;
    bool verify_only;
    int8_t transaction_version; /* of the client: 0 or 2; with verify_only not looked at */
    const struct coordinator_partition *partitions;
    size_t partition_count;
};
struct transaction_added {
    enum err err; /* for all partitions; OK with verify_only: see partition_errs */
    const enum err
        *partition_errs; /* verify_only: OK or ERR_TRANSACTION_ABORTABLE, as asked; else NULL */
};
enum { TRANSACTION_LIST_STATES = 8 };
struct transaction_list {
    const struct list_transactions_request *request; /* filters by state, producer, duration */
    bool (*matches)(void *context, struct slice transactional_id); /* the whole id; NULL: all do */
    void *context;
    /* made of the request by transaction_list_init, once for all partitions */
    bool states[TRANSACTION_LIST_STATES];
    struct slice *producers; /* the bytes of an id each: any order finds them again */
    uint32_t *producer_order;
    size_t producer_count;
};
/* `out` is good as long as request and arena are. Only ERR_NO_MEMORY. */
MUST_USE enum err transaction_list_init(struct arena *arena,
                                        const struct list_transactions_request *request,
                                        struct transaction_list *out);
MUST_USE enum err transaction_coordinator_handle(struct transaction_coordinator *coordinator,
                                                 const struct coordinator_request *request,
                                                 const struct coordinator_moment *moment,
                                                 struct coordinator_effects *effects);
void transaction_coordinator_forget(struct transaction_coordinator *coordinator, uint64_t token);

/* What became of the marker of one partition (by its index in the markers given out). Those that may
 * succeed later are given out again after TRANSACTION_MARKER_RETRY_MS; a topic that metadata does not
 * have any more is done; a fenced coordinator stops (§10.5). Unknown tickets are passed over. */
MUST_USE enum err transaction_coordinator_marked(struct transaction_coordinator *coordinator,
                                                 uint64_t ticket, size_t partition, enum err err,
                                                 const struct coordinator_moment *moment,
                                                 struct coordinator_effects *effects);

int64_t transaction_coordinator_deadline_ms(const struct transaction_coordinator *coordinator);
/* One piece of work that is due: overdue transactions, expired ids (a step of the scan), parked requests
 * whose time is out, markers to be given out, what was committed meanwhile. */
MUST_USE enum err transaction_coordinator_tick(struct transaction_coordinator *coordinator,
                                               const struct coordinator_moment *moment,
                                               struct coordinator_effects *effects);

/* ---- looking in: for metrics and for people ---- */
struct transaction_view {
    struct slice transactional_id;
    const char *state; /* "Ongoing", … */
    int64_t producer_id;
    int16_t producer_epoch;
    int64_t start_wall_ms; /* -1: none */
    int32_t timeout_ms;
    size_t partition_count;
    size_t marker_count; /* partitions that still wait for their marker */
};
void transaction_coordinator_each(const struct transaction_coordinator *coordinator,
                                  void (*each)(void *context, const struct transaction_view *view),
                                  void *context);

#endif
