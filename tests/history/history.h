/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/history.h: what clients asked and saw, in order, and the rules that it must obey. Simulated and real
 * runs are judged by the same code: the simulation adds events in memory, history_check reads JSON lines.
 * docs/design/simulation.md, "Histories".
 *
 * Order    Events stand in the order in which they happened to one observer. Operation A came before B
 *          when A's end stands before B's invocation; otherwise both orders are allowed.
 * Values   Every record of a run carries a number that no other record has. A batch holds consecutive ones.
 * Topics   A topic is named by a key that a topic made anew under the same name does not share (its id).
 * Unknown  An operation without an end, or ended as unknown, is open: it may take effect once, at any time.
 * Memory   Lack of it is an assertion: a test tool.
 *
 * Groups   As lines; `op` joins an invocation and its end, the others are told once, as "ok". `generation` is the
 *          classic generation or the member epoch; `instance` is a static member's, left out otherwise.
 *   group_join     invoke, ok|fail|unknown: a member asks to be taken in. {"kind":"group_join","phase":"ok","op":7,
 *                  "group":"g","member":"m-1","instance":"i","generation":3}
 *   group_own      the member was told that it has topic-partition, in this generation. From since_ns (when it sent
 *                  what was answered) the coordinator may not take it for lease_ms, less than its session and
 *                  its time to rebalance; without lease_ms, nobody else may have it in the same generation.
 *   group_beat     an answered heartbeat without complaint: since_ns and lease_ms begin anew for all it has
 *   group_give_up  written before it is told to the coordinator; without topic: all
 *   group_end      the member has gone, died or heard that it is none any more; `error` says which. A pause is told
 *                  by nothing: the lease runs out.
 *   group_commit   invoke (offset), ok|fail|unknown; member left out: an administrator's. Members commit only
 *                  what they were given.
 *   group_offset   invoke; ok: the committed offset that was read, left out: none
 *   group_delete_offset, group_delete   invoke, ok|fail|unknown: an administrator's
 *   group_process  the group's member has dealt with `count` offsets from `offset` on
 *   group_drained  at the end: nothing is left below `offset`, nothing was there below log_start
 *
 * Transactions  `member` is the transactional id, `transaction` a number that no other transaction of the run has.
 *   txn_init     invoke, ok|fail|unknown: InitProducerId of the id. {"kind":"txn_init","phase":"ok","op":1,
 *                "member":"x","producer_id":5,"producer_epoch":0}. From this answer on older epochs are fenced.
 *   txn_begin    {"kind":"txn_begin","phase":"ok","member":"x","transaction":7,"producer_id":5,"producer_epoch":0}
 *   txn_add      invoke, ok|fail|unknown: a partition (topic, partition) or a group was added
 *   produce      with `transaction`; `amount` is what its records add to the sum of all; on a topic made with
 *                is_compacted one record, with a `key`
 *   txn_offsets  invoke, ok|fail|unknown: the transaction is to move the group from offset-count to `offset` of
 *                topic-partition: those records were consumed in it
 *   txn_end      invoke, ok|fail|unknown; is_commit 1 or 0. One invocation for each decision, however often it was sent
 *                again. Commit is asked for only when all was acknowledged. Fail: it was not and will not be done.
 *   txn_fenced   the producer was told so (`error`)
 *   txn_offset   invoke; ok: the committed, stable offset of group, topic, partition that was read
 *   fetch        `isolation` 1: read_committed, whose batches say is_aborted when the reader dropped them because of
 *                the aborted list; is_transactional, is_control with marker 1 (commit) or 0 (abort), is_empty (compacted)
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdio.h>

enum history_kind {
    HISTORY_PRODUCE,
    HISTORY_FETCH,
    HISTORY_LIST_OFFSETS,
    HISTORY_DELETE_RECORDS,
    HISTORY_CREATE_TOPIC,
    HISTORY_DELETE_TOPIC,
    HISTORY_CONFIGURE_TOPIC,
    HISTORY_GROUP_JOIN,
    HISTORY_GROUP_OWN,
    HISTORY_GROUP_BEAT,
    HISTORY_GROUP_GIVE_UP,
    HISTORY_GROUP_END,
    HISTORY_GROUP_COMMIT,
    HISTORY_GROUP_OFFSET,
    HISTORY_GROUP_DELETE_OFFSET,
    HISTORY_GROUP_DELETE,
    HISTORY_GROUP_PROCESS,
    HISTORY_GROUP_DRAINED,
    HISTORY_TXN_INIT,
    HISTORY_TXN_BEGIN,
    HISTORY_TXN_ADD,
    HISTORY_TXN_OFFSETS,
    HISTORY_TXN_END,
    HISTORY_TXN_FENCED,
    HISTORY_TXN_OFFSET,
    HISTORY_MARK,
    HISTORY_KIND_COUNT
};
enum history_phase {
    HISTORY_INVOKE,
    HISTORY_OK,
    HISTORY_FAIL,    /* it has not had and will never have an effect */
    HISTORY_UNKNOWN, /* it may have an effect, now or later */
    HISTORY_PHASE_COUNT
};
/* What happened to the node. Kills, starts and stops change nothing that clients may rely on. */
enum history_mark {
    HISTORY_MARK_START,
    HISTORY_MARK_STOP,
    HISTORY_MARK_KILL,
    HISTORY_MARK_POWER_CUT, /* what was acknowledged with acks 0 or 1 and not seen may be lost */
    HISTORY_MARK_POWER_CUT_VOLATILE, /* the same in flush mode os: a suffix of all may be lost */
    HISTORY_MARK_DAMAGE, /* bytes of a log were destroyed on the only copy: topic, partition, offset from which
                            on anything may be lost, but not be served broken */
    HISTORY_MARK_FORGET, /* producers may be forgotten from now on (clocks jumped beyond their expiration) */
    HISTORY_MARK_DISK_FAULT, /* calls to the disk may fail from now on, until the final mark */
    HISTORY_MARK_SNAPSHOT_ROT, /* of the producers of a partition: what the log has lost, only it knew */
    HISTORY_MARK_SYNCED, /* behind a power_cut_volatile: it took nothing of this partition below the offset */
    HISTORY_MARK_EXPIRE, /* committed offsets may expire from now on (clocks jumped) */
    HISTORY_MARK_FINAL, /* faults are off; what is fetched from now on covers every live partition */
    HISTORY_MARK_COUNT
};

struct history_batch { /* as a reader got it */
    int64_t base_offset, last_offset;
    int64_t first_value; /* at base_offset; -1: not a record of this run */
    int64_t producer_id; /* -1: none */
    int32_t base_sequence;
    int16_t producer_epoch;
    uint32_t crc;
    bool is_valid; /* CRC, framing and records are right */
    int32_t size_bytes;
    int64_t timestamp_ms; /* largest one */
    bool is_transactional, is_control;
    bool is_aborted; /* read_committed: the reader dropped it */
    bool is_empty;   /* compaction left its header alone */
    int8_t marker;   /* of a transaction: 1: commit; 0: abort; else none */
    int64_t amount;  /* sum over its records */
};

/* Fields that a kind does not use stay at -1 (history_event_init). */
struct history_event {
    enum history_kind kind;
    enum history_phase phase;
    enum history_mark mark;
    int64_t op; /* joins an invocation and its end; unique */
    int64_t time_ns;
    int64_t wall_ms; /* of the node */
    int32_t process;
    int32_t topic; /* history_topic */
    int32_t partition;
    /* produce */
    int32_t acks;
    int32_t
        link; /* connection: requests of one connection are served in order; -1: sent on several */
    int64_t producer_id;
    int32_t producer_epoch;
    int32_t base_sequence;
    int64_t first_value;
    int32_t count;
    int32_t size_bytes;
    int64_t
        timestamp_ms; /* of the records; list offsets: what is searched, -1 latest, -2 earliest */
    /* Produce, ok: base offset (-1: told as a duplicate). Fetch: where from. List offsets, ok: the answer.
     * Delete records: up to where; -1: the high watermark. Damage: from where on. */
    int64_t offset;
    int64_t high_watermark, last_stable, log_start; /* fetch; -1: not told */
    int64_t retention_ms, retention_bytes;          /* create and configure; -1: for ever */
    /* groups */
    int32_t group, member, instance; /* history_name */
    int32_t generation;
    int64_t since_ns, lease_ms;
    /* transactions */
    int64_t transaction;
    int32_t is_commit, isolation, key;
    int32_t is_compacted;                /* create topic; 0: no */
    int64_t amount;                      /* 0: none */
    const char *error;                   /* of an end; NULL: none */
    const struct history_batch *batches; /* fetch, ok */
    size_t batch_count;
};
void history_event_init(struct history_event *event, enum history_kind kind,
                        enum history_phase phase);

struct history;
struct history *history_new(void);
void history_free(struct history **history);
/* The number of the topic with this key. */
int32_t history_topic(struct history *history, const char *key);
const char *history_topic_key(const struct history *history, int32_t topic);
/* The number of the group, member or instance that is called so. */
int32_t history_name(struct history *history, const char *name);
const char *history_name_text(const struct history *history, int32_t name); /* -1: "nobody" */
/* Copies the event and its batches. */
void history_add(struct history *history, const struct history_event *event);
size_t history_count(const struct history *history);
const struct history_event *history_at(const struct history *history, size_t index);

/* ---- rules ---- */
struct history_violation {
    const char *rule; /* "D1" … */
    size_t event;     /* where it shows */
    char text[256];
};
struct history_report {
    struct history_violation first[16]; /* the first ones found */
    size_t count;                       /* all */
    /* What was there to judge, so that a history that says nothing is not taken for a good one. */
    size_t produced, acknowledged, seen_batches, partitions;
    size_t group_owned, group_commits, group_offsets, group_processed; /* commits: acknowledged */
    size_t transactions, transactions_committed,
        transactions_aborted; /* begun; as answered or seen */
    bool is_final;            /* it has the mark: losses at the end were looked for */
};
void history_check(const struct history *history, struct history_report *out);

/* ---- JSON lines ---- */
void history_write(const struct history *history, FILE *out);
/* False, with the line and what is wrong, when a line is no event. */
bool history_read(struct history *history, FILE *in, char *why, size_t why_bytes);
extern const char *const history_kind_names[HISTORY_KIND_COUNT];
extern const char *const history_phase_names[HISTORY_PHASE_COUNT];
extern const char *const history_mark_names[HISTORY_MARK_COUNT];

#endif
