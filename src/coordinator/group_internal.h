/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group_internal.h: what the files of the group coordinator share.
 *
 *   group/shard.c       life, options, dispatch, tick, views (`struct group_coordinator` below)
 *   group/table.c       table of groups, timers, waiters, pending writes
 *   group/replay.c      records → state; types 0, 1, 2 here, 3–8 and 16 handed to consumer_replay.c
 *   group/record.c      state → bytes of records
 *   group/classic_*.c   classic groups: state machine, join, sync, leave, static members
 *   group/offset_*.c    offsets: table, commit, fetch, delete, expiry, transactions
 *   group/admin.c       ListGroups, DescribeGroups, DeleteGroups
 *   group/consumer_*.c, assign_*.c, regex   consumer groups (KIP-848)
 *
 * Rules for every handler
 *   1. Replicated state changes in replay only. A handler builds records with group_record and a
 *      reply with group_reply. Soft state (timers, waiters, who is joining) may change at once.
 *   2. Replay runs on a live coordinator right after the handler returned (the shell admitted the
 *      write) or at load. `coordinator->loaded` tells which; when live, replay may arm timers
 *      (now_ms below).
 *   3. What must happen when the write ended (committed, refused, timed out) hangs on a
 *      group_write.
 *   4. after_commit means: everything that this coordinator has written up to and including these
 *      effects is committed. Answers that tell of state that may be uncommitted are given so, with
 *      records or without.
 *   5. ERR_NO_MEMORY from any function: the shell drops the coordinator and loads it again. State
 *      must stay safe to release, nothing more.
 *   6. Pointers to groups and members do not outlive the call: writes and tasks keep ids and look
 *      up again.
 */
#ifndef COORDINATOR_GROUP_INTERNAL_H
#define COORDINATOR_GROUP_INTERNAL_H

#include "base/assert.h"
#include "base/hash_map.h"
#include "base/heap.h"
#include "coordinator/group.h"
#include "protocol/generated/messages.h"

struct group_call;

/* ---- owned bytes ---- */

/* A copy with a NUL behind it; null stays null. */
MUST_USE enum err bytes_copy(struct allocator *allocator, struct slice from, struct slice *out);
void bytes_release(struct allocator *allocator, struct slice *bytes); /* leaves null */

/* ---- timers: embedded in what they belong to ---- */

struct group_timer {
    struct heap_node node;
    int64_t deadline_ms; /* ≥ node.key: moving a deadline back costs nothing until it fires */
    enum err (*fire)(struct group_call *call, struct group_timer *timer);
};
void group_timer_init(struct group_timer *timer,
                      enum err (*fire)(struct group_call *call, struct group_timer *timer));
/* Arms or moves. Fails only when it is not armed and memory is out. */
MUST_USE enum err group_timer_set(struct group_coordinator *coordinator, struct group_timer *timer,
                                  int64_t deadline_ms);
void group_timer_stop(struct group_coordinator *coordinator, struct group_timer *timer);
static inline bool group_timer_is_set(const struct group_timer *timer)
{
    return timer->node.position != HEAP_NOWHERE;
}
/* now + delay, saturating. */
int64_t group_after_ms(const struct group_coordinator *coordinator, int64_t delay_ms);

/* ---- groups ---- */

enum group_kind { GROUP_CLASSIC, GROUP_CONSUMER };

/* The head of every kind of group: first member of struct classic_group and struct
 * consumer_group. */
struct group {
    struct hash_map_node node; /* in coordinator->groups */
    enum group_kind kind;
    struct slice id;   /* owned */
    int64_t rested_ms; /* soft: since when, as far as is known, members have what they have */
};
void group_table_init(struct group_coordinator *coordinator);
/* NULL when there is none. */
struct group *group_find(const struct group_coordinator *coordinator, struct slice id);
/* Takes the group when it succeeds. The id is not in the table. */
MUST_USE enum err group_insert(struct group_coordinator *coordinator, struct group *group);
/* In order of coming; NULL: the first, the end. */
struct group *group_after(const struct group_coordinator *coordinator, const struct group *group);
/* Out of the table and released, whatever its kind; keeps the expiry scan's place. */
void group_remove(struct group_coordinator *coordinator, struct group *group);
static inline struct classic_group *group_classic(struct group *group)
{
    return group && group->kind == GROUP_CLASSIC ? (struct classic_group *)(void *)group : NULL;
}
static inline struct consumer_group *group_consumer(struct group *group)
{
    return group && group->kind == GROUP_CONSUMER ? (struct consumer_group *)(void *)group : NULL;
}
/* A group that only offsets have made: classic, Empty, without a protocol type. Records of other
 * kinds replace it. */
bool group_is_simple(const struct group *group);

/* ---- waiters: requests parked until something happens ---- */

struct group_waiter {
    struct hash_map_node node; /* in coordinator->waiters while token != 0 */
    uint64_t token;            /* 0: the requester hung up; the request still counts */
    int16_t api_version;
};
MUST_USE enum err group_waiter_create(struct group_call *call, struct group_waiter **out);
/* Takes the waiter; sends the reply unless nobody waits. The response lives in the effects'
 * arena. */
MUST_USE enum err group_waiter_answer(struct group_call *call, struct group_waiter **waiter,
                                      void *response);
void group_waiter_release(struct group_coordinator *coordinator, struct group_waiter **waiter);

/* ---- writes whose end matters ---- */

struct group_write {
    struct list_node node; /* in coordinator->writes, oldest first */
    uint64_t number;
    /* Once: OK (committed), ERR_REQUEST_TIMED_OUT (the records stay), or another error (refused, or
     * the log is lost: the records were not replayed / are gone). `call` has no request. The write
     * is out of the list; `release` follows. */
    enum err (*ended)(struct group_call *call, struct group_write *write, enum err err);
    void (*release)(struct group_coordinator *coordinator, struct group_write *write);
};
/* Attaches to the write of these effects (which have a record already). Takes `write`. */
void group_write_watch(struct group_call *call, struct group_write *write);

/* ---- one call ---- */

struct group_call {
    struct group_coordinator *coordinator;
    const struct coordinator_request
        *request; /* NULL in ticks, ended writes, image changes, tasks */
    const struct coordinator_moment *moment;
    struct coordinator_effects *effects;
    struct arena *arena; /* of the effects */
};
/* One record: keys are int16 type then fields, values int16 version then fields. value NULL:
 * tombstone. */
MUST_USE enum err group_record(struct group_call *call, const struct message_type *key_type,
                               const void *key, const struct message_type *value_type,
                               int16_t value_version, const void *value);
/* To the request of the call. */
MUST_USE enum err group_reply(struct group_call *call, void *response, bool after_commit);

/* ---- classic groups ---- */

enum classic_state {
    CLASSIC_EMPTY,
    CLASSIC_PREPARING_REBALANCE,
    CLASSIC_COMPLETING_REBALANCE,
    CLASSIC_STABLE,
    CLASSIC_DEAD,
    CLASSIC_STATE_COUNT,
};
const char *classic_state_name(enum classic_state state);

struct classic_protocol {
    struct slice name;
    struct slice metadata;
};

struct classic_member {
    struct hash_map_node node; /* in group->members, order of joining */
    struct classic_group *group;
    struct slice id;                     /* owned; changes when a static member is replaced */
    struct slice instance_id;            /* owned; null: dynamic */
    struct slice client_id, client_host; /* owned */
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    struct classic_protocol *protocols; /* one owned block, names and metadata behind the array */
    uint32_t protocol_count;
    uint32_t protocol_bytes;
    struct slice assignment; /* owned; null: empty */
    /* For upgrades: what a generation gave that the group has no more, while the member has not joined since; owned;
     * null: nothing, or the assignment tells. */
    struct slice held;
    struct group_timer session;
    struct group_waiter *join; /* parked JoinGroup */
    struct group_waiter *sync; /* parked SyncGroup */
    bool is_new;               /* long join timer until the phase completes */
    bool awaits_sync;          /* has not synced in this generation */
    bool has_told;             /* what it has: it joined since it was last given anything */
};

/* An id that was given out by MEMBER_ID_REQUIRED and not used yet. */
struct classic_pending {
    struct hash_map_node node; /* in group->pending */
    struct classic_group *group;
    struct slice id; /* owned */
    struct group_timer session;
};

#define CLASSIC_REASON_BYTES 96
struct classic_group {
    struct group head;
    enum classic_state state, previous_state;
    int64_t state_since_wall_ms; /* currentStateTimestamp; -1: not known */
    int32_t generation;
    struct slice protocol_type; /* owned; null: none */
    struct slice protocol;      /* owned; null: none selected */
    struct slice leader;        /* owned member id; null: none */
    struct hash_map members;    /* by id */
    struct hash_map statics;    /* struct classic_static, by instance id */
    struct hash_map pending;    /* by id */
    struct hash_map support;    /* protocol names: how many members have it */
    uint64_t support_pass;
    uint32_t awaiting_join;  /* members with a parked JoinGroup */
    struct group_timer join; /* end of the join phase, or of the initial delay */
    struct group_timer sync; /* members must have synced by then */
    bool initial_delay;      /* the join timer is the initial rebalance delay … */
    bool member_added;       /* … and somebody came since it was armed */
    int32_t delay_ms, delay_left_ms;
    /* A downgrade that must rebalance at once: of a staged group, and of one that was loaded amid it. */
    bool rebalance_when_replayed;
    uint64_t assignment_write; /* the leader's assignment is on its way to the log; 0: no */
    struct slice *topics;      /* what members subscribe to, ascending, one owned block … */
    uint32_t topic_count, topic_bytes;
    enum classic_topics {
        CLASSIC_TOPICS_STALE,
        CLASSIC_TOPICS_KNOWN,
        CLASSIC_TOPICS_UNKNOWN
    } topics_state;
    /* What people are told. */
    int64_t rebalance_since_ms;             /* -1: none runs */
    int64_t rebalance_last_ms;              /* how long the last one took; -1: none yet */
    char reason[CLASSIC_REASON_BYTES];      /* of the running one */
    char last_reason[CLASSIC_REASON_BYTES]; /* of the last finished one */
    struct slice last_waited; /* owned id of a member that had to be waited for last; null: none */
};
struct classic_static {
    struct hash_map_node node;
    struct classic_member *member; /* whose instance_id is the key */
};

/* Not in the table yet: Empty, generation 0. For replay, joins, and downgrades. */
MUST_USE enum err classic_group_create(struct group_coordinator *coordinator, struct slice id,
                                       struct classic_group **out);
void classic_group_release(struct group_coordinator *coordinator, struct classic_group **group);
/* A member with copies of everything; no timer runs. `protocols` are copied. Adds it to the group
 * (the first becomes leader when the group has none). */
struct classic_member_init {
    struct slice id, instance_id, client_id, client_host;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    const struct classic_protocol *protocols;
    size_t protocol_count;
    struct slice assignment;
};
MUST_USE enum err classic_member_add(struct group_coordinator *coordinator,
                                     struct classic_group *group,
                                     const struct classic_member_init *init,
                                     struct classic_member **out);
struct classic_member *classic_member_find(const struct classic_group *group, struct slice id);
struct classic_member *classic_static_find(const struct classic_group *group,
                                           struct slice instance_id);
/* Protocol by vote; null when no name is supported by all. Views into a member. */
struct slice classic_group_vote(const struct classic_group *group);
/* A member's metadata for a protocol; empty when it does not have it. */
struct slice classic_member_metadata(const struct classic_member *member, struct slice protocol);

/* -- what conversions use -- */

/* Upgrade: answers all parked joins and syncs with REBALANCE_IN_PROGRESS. The group goes away by
 * the replay of its tombstone (classic_group_tombstone) in the same effects. */
MUST_USE enum err classic_group_hand_over(struct group_call *call, struct classic_group *group);
/* GroupMetadata of the group as it stands; `assignments` of members as they are. */
MUST_USE enum err classic_group_record(struct group_call *call, const struct classic_group *group);
MUST_USE enum err classic_group_tombstone(struct group_call *call, struct slice group_id);
/* Downgrade: `group` (built with classic_group_create and classic_member_add, state Stable,
 * generation, protocol, leader set) takes the place of the consumer group when its GroupMetadata
 * record, already in these effects behind the consumer group's tombstones, is replayed: with all
 * protocols of its members, session timers armed, and a rebalance at once when
 * rebalance_when_replayed. Refused: dropped. Takes the group. */
void classic_group_stage(struct group_call *call, struct classic_group **group, const char *reason);

/* ---- consumer groups: what group/consumer_*.c provide ---- */

struct consumer_group; /* first member: struct group head */
struct consumer_member;
struct
    consumer_shared; /* per coordinator: topic → groups, hashes, regular expressions under way, … */

MUST_USE enum err consumer_shared_create(struct group_coordinator *coordinator,
                                         struct consumer_shared **out);
void consumer_shared_release(struct group_coordinator *coordinator,
                             struct consumer_shared **shared);
/* Only the memory, timers, waiters and index entries: the group is out of the table already. */
void consumer_group_release(struct group_coordinator *coordinator, struct consumer_group **group);

/* The whole request; replies by itself. Feature group.version, static validation (§5.1), creation,
 * replacing of Empty classic and of simple groups, upgrade of classic groups: all inside. */
MUST_USE enum err
consumer_group_handle_heartbeat(struct group_call *call,
                                const struct consumer_group_heartbeat_request *request);
MUST_USE enum err
consumer_group_handle_describe(struct group_call *call,
                               const struct consumer_group_describe_request *request);

/* Classic requests to a group of this kind that is not Empty (§5.9); reply by themselves. group id,
 * session timeout and the like were checked as for classic groups. An Empty consumer group never
 * gets here from JoinGroup: the caller writes consumer_group_tombstones and makes a classic
 * group. */
MUST_USE enum err consumer_group_handle_join(struct group_call *call, struct consumer_group *group,
                                             const struct join_group_request *request);
MUST_USE enum err consumer_group_handle_sync(struct group_call *call, struct consumer_group *group,
                                             const struct sync_group_request *request);
MUST_USE enum err consumer_group_handle_classic_heartbeat(struct group_call *call,
                                                          struct consumer_group *group,
                                                          const struct heartbeat_request *request);
/* The members of the request, v0–2 too (one identity, the caller made it). Fills the response's
 * members (allocated, ids set) with error codes and writes records; the caller replies after
 * commit. */
MUST_USE enum err
consumer_group_handle_leave(struct group_call *call, struct consumer_group *group,
                            const struct leave_group_request_member_identity *members,
                            struct leave_group_response_member_response *results, int32_t count);

/* Where a commit comes from; groups.md §4.1 (5), transactions.md §8 (5). */
struct group_commit_identity {
    bool is_transactional; /* TxnOffsetCommit, which need not tell who commits */
    int16_t api_version;
    struct slice member_id, instance_id; /* instance null: none */
    int32_t generation;                  /* or member epoch */
};
/* A member that is behind may commit what it has had since its epoch or before. */
struct group_commit_limit {
    const struct consumer_member *member; /* NULL: no limit */
    int32_t epoch;
};
/* ERR_* is the answer of the whole request, here and for each partition that is to be written. */
MUST_USE enum err consumer_group_check_commit(const struct consumer_group *group,
                                              const struct group_commit_identity *identity,
                                              struct group_commit_limit *limit_out);
MUST_USE enum err consumer_group_check_partition(const struct group_commit_limit *limit,
                                                 struct uuid topic_id, int32_t partition);
/* §4.2: member_id null and epoch < 0 is nobody in particular: OK; null with an epoch: ERR_UNKNOWN_SERVER_ERROR. */
MUST_USE enum err consumer_group_check_fetch(const struct group_call *call,
                                             struct consumer_group *group, struct slice member_id,
                                             int32_t member_epoch);
bool consumer_group_subscribes(const struct consumer_group *group, struct slice topic);
size_t consumer_group_member_count(const struct consumer_group *group);
/* "Empty", "Assigning", "Reconciling", "Stable", "Dead". */
const char *consumer_group_state(const struct consumer_group *group);
/* Tombstones of all the group's records, in the order of groups.md §2.1. The group is Empty. */
MUST_USE enum err consumer_group_tombstones(struct group_call *call, struct consumer_group *group);
/* One record of type 3–8 or 16; value null: tombstone. `key` stands behind the type, `value` behind
 * the version. Finds, makes (replacing a simple group) and removes groups by itself through the
 * table above. */
MUST_USE enum err consumer_group_replay(struct group_coordinator *coordinator, int16_t type,
                                        struct cursor key, bool is_tombstone, int16_t value_version,
                                        struct cursor value, int64_t offset, struct arena *scratch,
                                        struct why *why);
/* The load is complete: session and rebalance timers. */
MUST_USE enum err consumer_group_loaded(struct group_call *call, struct consumer_group *group);
/* Marks subscribed groups for refresh. O(changed topics and their groups). */
MUST_USE enum err consumer_shared_image_changed(struct group_call *call,
                                                const struct metadata_image *before);
MUST_USE enum err consumer_task_done(struct group_call *call, struct coordinator_task **task);
void consumer_group_view(const struct group_coordinator *coordinator,
                         const struct consumer_group *group, struct group_view *view);

/* ---- the handlers of all groups ---- */

/* ListGroups, DescribeGroups. */
MUST_USE enum err group_handle_listing(struct group_call *call);
MUST_USE enum err group_handle_delete(struct group_call *call,
                                      const struct delete_groups_request *request);
void group_deletions_release(struct group_coordinator *coordinator);

/* ---- the coordinator ---- */

struct group_offsets; /* group/offset_internal.h */

struct group_coordinator {
    struct allocator *allocator;
    struct logger *logger;
    struct group_options options;
    struct arena options_arena; /* assignor names */
    bool loaded;
    int64_t now_ms, wall_ms; /* of the latest call with a moment: for replay, which has none */
    uint64_t write_last;     /* number of the newest write */
    int64_t end_offset;      /* behind the last replayed record */
    int64_t committed_end;   /* everything below is committed */
    struct hash_map groups;
    struct hash_map waiters;
    struct heap timers;
    struct list_node writes;
    struct group *scan; /* next group of the expiry scan; NULL: none runs */
    size_t scan_topics; /* of its topics these have been looked at */
    struct group_timer scan_timer;
    struct group_offsets *offsets;
    struct consumer_shared *consumer;
    struct classic_group *staged; /* see classic_group_stage */
    uint64_t staged_write;
    struct list_node deletions; /* DeleteGroups under way */
};

#define GROUP_LOG "coordinator"

#endif
