/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_internal.h: committed offsets.
 *
 *   group id → offset_group → offset_topic → offset_slot (one partition)
 *                                              │ latest: newest value (may be a tombstone)
 *                                              │    └ previous: the one before, kept until `latest`
 *                                              is committed └ pending: values of open transactions,
 *                                              one per producer
 *   topic name → topic_name → offset_topic of every group: what the deletion of a topic looks for
 *
 * Invariants  1. visible_at falls along `previous`; only the last of the chain is below the
 *                committed end.
 *             2. the queue holds the values that are not committed yet, in order of visible_at.
 *             3. a slot lives while it has a value that is no committed tombstone, or a pending
 *                one.
 */
#ifndef COORDINATOR_GROUP_OFFSET_INTERNAL_H
#define COORDINATOR_GROUP_OFFSET_INTERNAL_H

#include "coordinator/group_internal.h"
#include "coordinator/txn_offsets.h"

struct offset_slot;
struct offset_value {
    struct offset_slot *slot;
    struct offset_value *previous;
    struct list_node queue; /* of what is not committed yet */
    int64_t record_offset;  /* where the commit stands in the log */
    int64_t visible_at;     /* the same, or the marker of its transaction */
    int64_t offset;
    int64_t commit_ms;
    int64_t expire_ms; /* -1: by retention */
    struct uuid topic_id;
    int32_t leader_epoch;
    uint32_t metadata_bytes;
    bool is_tombstone;
    uint8_t metadata[];
};

/* A value that waits for its transaction's marker. */
struct offset_pending {
    struct list_node by_producer;
    struct list_node by_slot;
    struct offset_slot *slot;
    int64_t producer_id;
    struct offset_value *value;
};
struct offset_producer {
    struct hash_map_node node;
    int64_t id;
    struct list_node pending; /* in order of coming */
};

struct offset_topic;
struct offset_slot {
    struct offset_topic *topic;
    struct offset_value *latest; /* NULL: only pending ones */
    struct list_node pending;
    int32_t partition;
};

struct topic_name {
    struct hash_map_node node;
    struct slice name;       /* owned */
    struct list_node topics; /* struct offset_topic; cleanup moves them about */
    size_t topic_count;
};
struct offset_topic {
    struct hash_map_node node; /* in group->topics, by name */
    struct list_node same_name;
    struct offset_group *group;
    struct topic_name *name;
    struct offset_slot **slots; /* ascending partitions */
    uint32_t slot_count, slot_capacity;
};
struct offset_group {
    struct hash_map_node node;
    struct slice id; /* owned */
    struct hash_map topics;
    size_t live;    /* slots whose latest value is an offset */
    size_t pending; /* values of open transactions */
};

/* Offsets of a deleted topic that are still to be tombstoned. */
struct offset_cleanup {
    struct list_node node; /* in offsets->cleanups */
    struct slice topic;    /* owned */
    struct uuid topic_id;
    int64_t due_ms; /* no pass before that */
    size_t left;    /* of the pass that is_open: so many topics, from the front of the name's */
    bool is_open;
    bool waits; /* the pass has seen what has to wait */
};

struct group_offsets {
    struct hash_map groups;
    struct hash_map names;
    struct hash_map producers;
    struct list_node uncommitted; /* struct offset_value.queue */
    struct list_node cleanups;    /* in order of due_ms */
    struct group_timer cleanup_timer;
    size_t count; /* live slots */
};

/* Bytes of records that one call writes at most, where its work can be cut. */
#define GROUP_STEP_BYTES ((size_t)256 * KIB)
/* Things that one call looks at, likewise. */
#define GROUP_STEP_ITEMS 4096

/* ---- offset_table.c ---- */

MUST_USE enum err offsets_create(struct group_coordinator *coordinator, struct group_offsets **out);
void offsets_release(struct group_coordinator *coordinator, struct group_offsets **offsets);
struct offset_group *offsets_group(const struct group_offsets *offsets, struct slice group_id);
struct offset_topic *offsets_topic(const struct offset_group *group, struct slice name);
struct offset_slot *offsets_slot(const struct offset_topic *topic, int32_t partition);
/* The value at the committed end, or the newest; NULL: none. */
const struct offset_value *offset_committed(const struct group_coordinator *coordinator,
                                            const struct offset_slot *slot);
const struct offset_value *offset_latest(const struct offset_slot *slot);

struct offset_key {
    struct slice group_id, topic;
    int32_t partition;
};
struct offset_content {
    int64_t offset, commit_ms, expire_ms;
    int32_t leader_epoch;
    struct slice metadata;
    struct uuid topic_id;
};
/* `content` NULL: tombstone. */
MUST_USE enum err offsets_replay(struct group_coordinator *coordinator,
                                 const struct offset_key *key, const struct offset_content *content,
                                 int64_t record_offset, int64_t producer_id);
MUST_USE enum err offsets_replay_marker(struct group_coordinator *coordinator, int64_t producer_id,
                                        bool is_commit, int64_t record_offset);
void offsets_settle(struct group_coordinator *coordinator);

/* ---- between offset_table.c and offset_value.c ---- */

struct offset_slot *offset_slot_find(const struct group_offsets *offsets,
                                     const struct offset_key *key);
/* Makes what is missing. A failure leaves empty parts behind, for offsets_release. */
MUST_USE enum err offset_slot_get(struct group_coordinator *coordinator,
                                  const struct offset_key *key, struct offset_slot **out);
void offset_slot_release_if_idle(struct group_coordinator *coordinator, struct offset_slot *slot);
void offset_chain_release(struct group_coordinator *coordinator, struct offset_value *value);
void offset_pending_release(struct group_coordinator *coordinator, struct offset_pending *pending);
void offset_producers_init(struct group_coordinator *coordinator, struct group_offsets *offsets);
void offset_producer_release_if_idle(struct group_coordinator *coordinator,
                                     struct offset_producer *producer);

/* ---- offset_record.c ---- */

MUST_USE enum err offset_record(struct group_call *call, const struct offset_key *key,
                                const struct offset_content *content);
MUST_USE enum err offset_tombstone(struct group_call *call, const struct offset_slot *slot);
/* Records of these effects have reached the size of a step. */
bool group_step_is_full(const struct group_call *call);

/* ---- offset_commit.c: what both kinds of commits share ---- */

/* May this one commit to this group? *told_out: the answer of the whole request; GROUP_ID_NOT_FOUND
 * in every version. Partitions that are to be written are asked for by limit_out. */
MUST_USE enum err offset_commit_check(struct group_call *call, struct slice group_id,
                                      const struct group_commit_identity *identity,
                                      struct group_commit_limit *limit_out, enum err *told_out);
/* Whether a member may commit to each partition whose metadata fits; leaves *told alone while it may. */
void offset_topics_check(const struct group_call *call, const struct group_commit_limit *limit,
                         const offsets_asked_topic *topics, int32_t count, enum err *told);
struct offset_commit_of {
    struct slice group_id;
    int64_t retention_ms; /* -1: the group's */
    enum err told;        /* of the whole request; OK: what is asked for is written */
};
/* Records for the partitions and what they are told, in the call's arena. */
MUST_USE enum err offset_topics_commit(struct group_call *call, const struct offset_commit_of *of,
                                       const offsets_asked_topic *topics, int32_t count,
                                       offsets_told_topic **out);

/* ---- the handlers ---- */

MUST_USE enum err offset_handle_commit(struct group_call *call,
                                       const struct offset_commit_request *request);
MUST_USE enum err offset_handle_txn_commit(struct group_call *call,
                                           const struct txn_offset_commit_request *request);
MUST_USE enum err offset_handle_fetch(struct group_call *call,
                                      const struct group_offset_fetch *request);
MUST_USE enum err offset_handle_delete(struct group_call *call,
                                       const struct offset_delete_request *request);

/* ---- offset_expiry.c ---- */

void offset_expiry_init(struct group_coordinator *coordinator);
MUST_USE enum err offset_expiry_start(struct group_coordinator *coordinator);
/* ---- offset_cleanup.c ---- */
void offset_cleanup_init(struct group_offsets *offsets);
MUST_USE enum err offset_topics_deleted(struct group_call *call,
                                        const struct metadata_image *before);
void offset_cleanups_release(struct group_coordinator *coordinator, struct group_offsets *offsets);

#endif
