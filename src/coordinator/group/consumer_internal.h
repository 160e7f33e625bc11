/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_internal.h: consumer groups (KIP-848). groups.md §5 of the reference.
 *
 * Three epochs move a group:
 *
 *   group epoch     what should hold: rises when subscriptions, topics or members change   (record 3)
 *   target epoch    the group epoch for which an assignor said who shall have what       (records 7, 6)
 *   member epoch    the target epoch a member has reached; it gives partitions up before it
 *                   may rise, and takes new ones only when nobody holds them                 (record 8)
 *
 *   consumer_state.c       groups and members: what replay does to them
 *   consumer_index.c       what follows from them: holders of partitions, counts, topic → groups
 *   consumer_replay.c      bytes of records → consumer_state.c
 *   consumer_draft.c       the records of one call, kept back until nothing can fail any more
 *   consumer_metadata.c    a member's subscription and its other settings
 *   consumer_counts.c      who subscribes to what, if …; metadata hash (metadata_hash.c)
 *   consumer_target.c      assignors' input and output
 *   consumer_reconcile.c   a member's step from its current assignment towards its target
 *   consumer_heartbeat.c   ConsumerGroupHeartbeat
 *   consumer_update.c      what heartbeats and classic joins have in common
 *   consumer_leave.c       members leave, expire, are fenced; timers
 *   consumer_regex.c       regular expressions
 *   consumer_classic.c     JoinGroup, SyncGroup, Heartbeat, LeaveGroup of classic members
 *   consumer_migrate.c     classic → consumer, consumer → classic
 *   consumer_embedded.c    subscriptions and assignments of classic members
 *   consumer_offsets.c     who may commit and fetch
 *   consumer_describe.c    ConsumerGroupDescribe, views
 *
 * Invariants  1. A partition has at most one holder: the member that has it assigned or still has to give it
 *                up. Replay refuses a record that says otherwise (ERR_CORRUPT).
 *             2. `unreconciled` counts the members that are not stable at the target epoch.
 *             3. A handler writes all its records or none: it drafts them, and flushes at the end.
 */
#ifndef COORDINATOR_GROUP_CONSUMER_INTERNAL_H
#define COORDINATOR_GROUP_CONSUMER_INTERNAL_H

#include "base/fmt.h"
#include "coordinator/group/assign.h"
#include "coordinator/group_internal.h"

#define CONSUMER_EPOCH_JOIN 0
#define CONSUMER_EPOCH_LEAVE (-1)
#define CONSUMER_EPOCH_LEAVE_STATIC (-2)
/* Partitions of a topic that a record may name; far above what a topic can have. */
#define CONSUMER_PARTITIONS_MAX (1 << 22)

enum consumer_member_state {
    CONSUMER_STABLE = 0,
    CONSUMER_UNREVOKED = 1,
    CONSUMER_UNRELEASED = 2,
    CONSUMER_UNKNOWN = 127, /* written by a version that knows more */
};

/* ---- members ---- */

/* What record 5 says. As kept by a member: one owned block. */
struct consumer_metadata {
    struct slice instance_id, rack_id; /* nullable */
    struct slice client_id, client_host;
    struct slice regex;         /* null or "": none */
    struct slice assignor;      /* nullable */
    const struct slice *topics; /* ascending (UTF-16), each once */
    int32_t topic_count;
    int32_t rebalance_timeout_ms;
    bool is_classic; /* speaks the classic protocol; then: */
    int32_t classic_session_timeout_ms;
    const struct classic_protocol *protocols;
    int32_t protocol_count;
    size_t block_bytes; /* 0: not an owned block */
};
/* Of a member that was never heard of. */
extern const struct consumer_metadata consumer_metadata_none;
/* A copy in one block. */
MUST_USE enum err consumer_metadata_copy(struct allocator *allocator,
                                         const struct consumer_metadata *from,
                                         struct consumer_metadata **out);
bool consumer_metadata_equal(const struct consumer_metadata *a, const struct consumer_metadata *b);
bool consumer_metadata_same_topics(const struct consumer_metadata *a,
                                   const struct consumer_metadata *b);
/* Sorts and drops repeats; returns the count. */
int32_t consumer_names_sort(struct slice *names, int32_t count);
bool consumer_names_contain(const struct slice *names, int32_t count, struct slice name);
void consumer_sort_i32(int32_t *values, int32_t count);
static inline bool consumer_has_regex(const struct consumer_metadata *metadata)
{
    return metadata->regex.size_bytes > 0;
}

/* What record 8 says. */
struct consumer_current {
    int32_t epoch, previous_epoch;
    int8_t state; /* enum consumer_member_state */
    struct assignment assigned, revoking;
};
bool consumer_current_equal(const struct consumer_current *a, const struct consumer_current *b);

/* An assignment in one owned block. */
struct consumer_owned {
    struct assignment is;
    void *block;
    size_t block_bytes;
};
MUST_USE enum err consumer_owned_copy(struct allocator *allocator, const struct assignment *from,
                                      struct consumer_owned *out);
void consumer_owned_release(struct allocator *allocator, struct consumer_owned *owned);

struct consumer_member {
    struct hash_map_node node; /* in group->members */
    struct consumer_group *group;
    struct slice id; /* owned */
    bool is_member;  /* false: only a target assignment is known of it yet */
    bool has_target;
    bool leaving; /* inside of a call that removes it */
    int8_t state;
    int32_t epoch, previous_epoch;
    const struct consumer_metadata *metadata; /* owned unless consumer_metadata_none */
    struct consumer_owned assigned, revoking, target;
    struct consumer_static *fixed; /* in group->statics; NULL: dynamic */
    struct group_timer session;
    /* Consumer protocol: must have revoked by then (in progress_epoch). Classic: must have joined, or synced. */
    struct group_timer progress;
    int32_t progress_epoch;
    bool progress_is_sync;
};
struct consumer_static {
    struct hash_map_node node;
    struct consumer_member *member;
};
static inline struct consumer_current consumer_member_current(const struct consumer_member *member)
{
    return (struct consumer_current){member->epoch, member->previous_epoch, member->state,
                                     member->assigned.is, member->revoking.is};
}

/* ---- groups ---- */

/* A topic name that some group of the coordinator subscribes to. */
struct consumer_shared_topic {
    struct hash_map_node node;
    struct slice name;       /* owned */
    struct list_node groups; /* struct consumer_topic */
    bool hash_known;
    uint64_t hash; /* of the topic as it stands in the image */
};
struct consumer_topic {
    struct hash_map_node node; /* in group->topics */
    struct list_node link;
    struct consumer_group *group;
    struct consumer_shared_topic *shared;
    int32_t names;   /* members that name it */
    int32_t regexes; /* resolved expressions that match it */
};
struct consumer_regex {
    struct hash_map_node node; /* in group->regexes */
    struct slice pattern;      /* owned */
    int32_t members;
    bool resolved;
    const struct slice *topics; /* owned block; ascending */
    int32_t topic_count;
    size_t block_bytes;
    int64_t version, timestamp_ms;
};
/* Something counted by name: assignors asked for, protocols of classic members. */
struct consumer_counter {
    struct hash_map_node node;
    struct slice name; /* owned */
    int32_t count;
    uint64_t pass; /* the list that counted it last (consumer_counter_add_once) */
};
struct consumer_holders {
    struct hash_map_node node; /* in group->holders */
    struct uuid topic_id;
    struct consumer_member **holders; /* by partition; NULL: free */
    int32_t capacity, held;
};

#define CONSUMER_REASON_BYTES 96
struct consumer_group {
    struct group head;
    struct group_coordinator *coordinator;
    int32_t epoch;
    int32_t target_epoch;     /* -1: tombstoned */
    int64_t target_ms;        /* 0: not known, or do not wait */
    uint64_t hash;            /* of the subscribed topics as of the epoch */
    bool old_metadata_record; /* the log has a record of type 4 */
    struct hash_map members;
    int32_t member_count, target_count, classic_count;
    int32_t unreconciled;
    struct hash_map statics, topics, regexes, assignors, protocols, holders;
    uint64_t protocols_pass;
    int32_t subscribed_regexes, resolved_regexes;
    /* Topics are looked at again when this passed, or when the epoch turns out not to have come true. */
    int64_t refresh_ms;
    int32_t refresh_epoch;
    /* What people are told. */
    int64_t rebalance_since_ms; /* -1: none runs */
    int64_t rebalance_last_ms;  /* -1: none yet */
    char reason[CONSUMER_REASON_BYTES];
};

struct consumer_shared {
    struct hash_map topics; /* struct consumer_shared_topic */
    struct hash_map
        running; /* struct consumer_counter: groups whose expressions are being resolved */
    int64_t topics_created_version;     /* of the newest image in which topics were created */
    char reason[CONSUMER_REASON_BYTES]; /* of the epoch about to be replayed */
    int32_t session_timeout_ms;         /* of members about to be created by replay */
    /* A classic member about to be created by replay that owes a SyncGroup. */
    struct slice joining_id;
};

/* Not in the table. */
MUST_USE enum err consumer_group_create(struct group_coordinator *coordinator, struct slice id,
                                        struct consumer_group **out);
struct consumer_member *consumer_member_find(const struct consumer_group *group, struct slice id);
/* Also one of which only a target is known. */
struct consumer_member *consumer_member_find_any(const struct consumer_group *group,
                                                 struct slice id);
struct consumer_member *consumer_static_find(const struct consumer_group *group,
                                             struct slice instance_id);
struct consumer_regex *consumer_regex_find(const struct consumer_group *group,
                                           struct slice pattern);
struct consumer_topic *consumer_topic_find(const struct consumer_group *group, struct slice name);
int32_t consumer_counter_get(const struct hash_map *counters, struct slice name);
/* Counts that reach 0 go away. */
MUST_USE enum err consumer_counter_add(struct allocator *allocator, struct hash_map *counters,
                                       struct slice name, int32_t delta);
/* The same for one name of a list: a name that the list repeats counts once. `pass` is another for each list. */
MUST_USE enum err consumer_counter_add_once(struct allocator *allocator, struct hash_map *counters,
                                            struct slice name, int32_t delta, uint64_t pass);
/* Who has a partition; NULL: nobody. */
struct consumer_member *consumer_holder(const struct consumer_group *group, struct uuid topic_id,
                                        int32_t partition);
bool consumer_member_is_reconciled(const struct consumer_member *member, int32_t target_epoch);
/* Real members in order of appearance. */
#define CONSUMER_MEMBERS_EACH(member, group)                                  \
    HASH_MAP_EACH (member##_node_, &(group)->members)                         \
        for (struct consumer_member *member =                                 \
                 HASH_MAP_ITEM(member##_node_, struct consumer_member, node); \
             member && member->is_member; member = NULL)

/* -- what consumer_state.c uses of consumer_index.c -- */
void consumer_tables_init(struct consumer_group *group, struct allocator *allocator);
void consumer_shared_tables_init(struct consumer_shared *shared, struct allocator *allocator);
void consumer_counters_release(struct allocator *allocator, struct hash_map *counters);
/* Subscriptions of a topic, up or down; lowering takes no memory. */
MUST_USE enum err consumer_topic_add(struct consumer_group *group, struct slice name, int32_t names,
                                     int32_t regexes);
void consumer_topic_release(struct consumer_group *group, struct consumer_topic *topic);
MUST_USE enum err consumer_regex_ensure(struct consumer_group *group, struct slice pattern,
                                        struct consumer_regex **out);
void consumer_regex_maybe_release(struct consumer_group *group, struct consumer_regex *regex);
void consumer_holders_drop(struct consumer_member *member, const struct assignment *assignment);
/* ERR_CORRUPT: a partition that cannot be, or that another holds in this or a later epoch. */
MUST_USE enum err consumer_holders_take(struct consumer_member *member, int32_t epoch,
                                        const struct assignment *assignment);

/* -- what replay does -- */
MUST_USE enum err consumer_member_ensure(struct consumer_group *group, struct slice id,
                                         struct consumer_member **out);
MUST_USE enum err consumer_member_set_metadata(struct consumer_member *member,
                                               const struct consumer_metadata *metadata);
MUST_USE enum err consumer_member_set_current(struct consumer_member *member,
                                              const struct consumer_current *current);
MUST_USE enum err consumer_member_set_target(struct consumer_member *member,
                                             const struct assignment *target);
void consumer_member_clear_target(struct consumer_member *member);
void consumer_member_remove(struct consumer_member *member); /* no target, epoch -1 */
void consumer_group_set_target_epoch(struct consumer_group *group, int32_t epoch, int64_t ms);
MUST_USE enum err consumer_regex_set(struct consumer_group *group, struct slice pattern,
                                     const struct slice *topics, int32_t count, int64_t version,
                                     int64_t timestamp_ms);
void consumer_regex_clear(struct consumer_group *group, struct slice pattern);

/* ---- drafts ---- */

struct consumer_draft {
    struct group_call *call;
    struct slice group_id;
    struct classic_group *replaces; /* Empty, or being upgraded: tombstoned first */
    bool hands_over;                /* upgraded: its parked requests are answered */
    struct consumer_draft_record {
        int16_t type;
        const void *key, *value; /* value NULL: tombstone */
    } * records;
    size_t count, capacity;
};
MUST_USE enum err consumer_draft_metadata(struct consumer_draft *draft, struct slice member_id,
                                          const struct consumer_metadata *metadata);
MUST_USE enum err consumer_draft_epoch(struct consumer_draft *draft, int32_t epoch, uint64_t hash);
MUST_USE enum err consumer_draft_target(struct consumer_draft *draft, struct slice member_id,
                                        const struct assignment *target);
MUST_USE enum err consumer_draft_target_epoch(struct consumer_draft *draft, int32_t epoch,
                                              int64_t ms);
MUST_USE enum err consumer_draft_current(struct consumer_draft *draft, struct slice member_id,
                                         const struct consumer_current *current);
MUST_USE enum err consumer_draft_regex(struct consumer_draft *draft, struct slice pattern,
                                       const struct slice *topics, int32_t count, int64_t version,
                                       int64_t timestamp_ms);
/* A tombstone of a type whose key is the group; of one whose key has a second part. */
MUST_USE enum err consumer_draft_gone(struct consumer_draft *draft, int16_t type);
MUST_USE enum err consumer_draft_part_gone(struct consumer_draft *draft, int16_t type,
                                           struct slice part);
/* Records 8, 7, 5 of a member. */
MUST_USE enum err consumer_draft_member_gone(struct consumer_draft *draft, struct slice member_id);
/* All of the group; `leaving` stands in the log as `joining` already (both null: nobody). */
MUST_USE enum err consumer_draft_group_gone(struct consumer_draft *draft,
                                            const struct consumer_group *group,
                                            struct slice leaving, struct slice joining);
/* Into the call's effects. */
MUST_USE enum err consumer_draft_flush(struct consumer_draft *draft);

/* ---- hashes and counts ---- */

/* XXH3-64 as Kafka takes it; 0 for a topic that is not there. */
MUST_USE enum err consumer_topic_hash(const struct metadata_image *image, struct slice name,
                                      struct allocator *allocator, uint64_t *out);
#define CONSUMER_HASH_OF_NOTHING 0
/* Of the hashes in the order of names, which are overwritten. */
uint64_t consumer_group_hash(uint64_t *topic_hashes, size_t count);

/* The group's topics as they would be. */
struct consumer_counts {
    struct group_call *call;
    struct consumer_group *group;
    struct hash_map names; /* struct consumer_count in the call's arena */
};
MUST_USE enum err consumer_counts_create(struct group_call *call, struct consumer_group *group,
                                         struct consumer_counts *out);
void consumer_counts_release(struct consumer_counts *counts);
MUST_USE enum err consumer_counts_add(struct consumer_counts *counts, const struct slice *names,
                                      int32_t count, int32_t by_name, int32_t by_regex);
MUST_USE enum err consumer_counts_hash(struct consumer_counts *counts, uint64_t *out);
/* Whether all members subscribe alike. `regexes`: expressions with subscribers; `first_members`: how many
 * subscribe to one of them. */
bool consumer_counts_homogeneous(const struct consumer_counts *counts, int32_t regexes,
                                 int32_t first_members, int32_t member_count);

/* ---- targets and steps ---- */

/* One member's update on its way: as it is in the log, and as it will be. */
struct consumer_update {
    struct group_call *call;
    struct consumer_draft draft;
    struct consumer_group *group;     /* in the table, or `made` */
    struct consumer_group *made;      /* for a new or an upgraded group; released at the end */
    struct consumer_member *member;   /* in the group; NULL: new */
    struct consumer_member *replaces; /* the static member whose place this one takes; NULL: none */
    struct slice member_id;
    const struct consumer_metadata *before; /* never NULL */
    struct consumer_metadata after;
    struct consumer_current current, next;
    bool names_changed, regex_changed, regex_bumps, preference_changed;
    bool bump;
    int32_t epoch; /* group epoch as it will be */
    bool homogeneous, homogeneous_known;
    int32_t target_epoch;
    struct assignment target;
    const struct topic_partitions *owned; /* what the client says it has; any order */
    int32_t owned_count;
    bool owned_known;
    struct coordinator_task *task; /* regular expressions to resolve */
    struct why why;
};
/* Steps in this order; ERR_* is the answer, with its text in update->why. */
MUST_USE enum err consumer_update_member(struct consumer_update *update, int32_t epoch,
                                         struct slice instance_id, bool create, bool is_classic);
MUST_USE enum err consumer_update_subscription(struct consumer_update *update);
MUST_USE enum err consumer_update_target(struct consumer_update *update);
MUST_USE enum err consumer_update_reconcile(struct consumer_update *update);
/* Records, task, session timer; then nothing fails but for memory. */
MUST_USE enum err consumer_update_finish(struct consumer_update *update);
void consumer_update_release(struct consumer_update *update);
MUST_USE enum err consumer_update_check_size(struct consumer_update *update,
                                             struct slice instance_id);

MUST_USE enum err consumer_regex_update(struct consumer_update *update);
MUST_USE enum err consumer_target_compute(struct consumer_update *update);
/* The assignor most members ask for, with this update. */
struct slice consumer_preferred(const struct consumer_group *group,
                                const struct consumer_metadata *before,
                                const struct consumer_metadata *after);

struct consumer_step {
    const struct consumer_group *group;
    const struct consumer_metadata *metadata; /* of now: what is not subscribed is given up */
    const struct metadata_image *image;
    struct consumer_current from;
    int32_t target_epoch;
    const struct assignment *target;
    bool subscription_changed;
    const struct topic_partitions *owned;
    int32_t owned_count;
    bool owned_known;
};
/* What both have; of a partition that is in both, `b` counts. */
MUST_USE enum err consumer_assignment_merge(const struct assignment *a, const struct assignment *b,
                                            struct arena *arena, struct assignment *out);
/* ERR_FENCED_MEMBER_EPOCH: a member in a state nobody knows must come back empty-handed. */
MUST_USE enum err consumer_reconcile(const struct consumer_step *step, struct arena *arena,
                                     struct consumer_current *out);

/* ---- regular expressions: what is found outside of the coordinator ---- */

/* Its arena takes what is matched, and one list of all topics. */
struct coordinator_task {
    struct allocator *allocator;
    struct arena arena; /* patterns, names, the outcome */
    struct slice group_id;
    const struct slice *topics;
    size_t topic_count;
    struct task_pattern {
        struct slice pattern;
        struct slice *matched;
        int32_t matched_count;
    } * patterns;
    int32_t pattern_count;
    int64_t version;
    int64_t started_ms; /* wall clock */
    enum err err;
};

/* ---- leaving, timers, migration ---- */

/* Members leave together: one epoch, or a downgrade. Drafts and flushes. */
MUST_USE enum err consumer_fence(struct group_call *call, struct consumer_group *group,
                                 struct consumer_member *const *members, int32_t count,
                                 const char *reason);
enum err consumer_session_expired(struct group_call *call, struct group_timer *timer);
enum err consumer_progress_expired(struct group_call *call, struct group_timer *timer);
int32_t consumer_session_timeout_ms(const struct consumer_group *group,
                                    const struct metadata_image *image);
int32_t consumer_heartbeat_interval_ms(const struct consumer_group *group,
                                       const struct metadata_image *image);
int32_t consumer_assignment_interval_ms(const struct consumer_group *group,
                                        const struct metadata_image *image);
/* Too fresh to be replaced: the assignment interval is not over. */
bool consumer_target_is_fresh(const struct group_call *call, const struct consumer_group *group);

/* Into update->made; ERR_GROUP_ID_NOT_FOUND with a text when it cannot be. */
MUST_USE enum err consumer_upgrade(struct consumer_update *update, struct classic_group *classic);
bool consumer_may_downgrade_without(const struct consumer_group *group, int32_t leaving,
                                    int32_t leaving_classic);
bool consumer_may_downgrade_replacing(const struct consumer_group *group,
                                      const struct consumer_member *replaced);
/* The draft ends with the tombstones of the group; flushes it and hands the classic group on. Without the members
 * that are `leaving`; `joining`: the update of a classic member that takes the place of a static one; NULL: none.
 * ERR_INCONSISTENT_GROUP_PROTOCOL: members without a protocol in common, which no classic group can have; nothing is
 * flushed. Not with `joining`, who was let in for a protocol that all others have. */
MUST_USE enum err consumer_downgrade(struct consumer_draft *draft, struct consumer_group *group,
                                     const struct consumer_update *joining, bool rebalance,
                                     const char *reason);
/* ---- the embedded protocol: views into `bytes`, arrays in the arena ---- */

/* ERR_INCONSISTENT_GROUP_PROTOCOL: bytes that cannot be read. */
struct consumer_protocol_subscription;
MUST_USE enum err consumer_subscription_decode(struct slice bytes, struct arena *arena,
                                               struct consumer_protocol_subscription *out);
/* The partitions that the subscriber says it has, as it says it. */
MUST_USE enum err
consumer_subscription_owned(const struct consumer_protocol_subscription *subscription,
                            const struct metadata_image *image, struct arena *arena,
                            struct topic_partitions **out, int32_t *count_out);
/* No bytes: nothing. */
MUST_USE enum err consumer_assignment_decode(struct slice bytes, const struct metadata_image *image,
                                             int32_t epoch, struct arena *arena,
                                             struct assignment *out, bool *has_user_data_out);
/* Encoded in the version of that subscription. */
MUST_USE enum err consumer_assignment_encode(const struct assignment *assignment,
                                             const struct metadata_image *image,
                                             struct slice subscription, struct arena *arena,
                                             struct slice *out);
/* Of lists in any order; of a topic that is named more than once the first counts. */
MUST_USE enum err consumer_assignment_make(const struct topic_partitions *list, int32_t count,
                                           int32_t epoch, struct arena *arena,
                                           struct assignment *out, bool *repeats_out);

/* What the next epoch is for, for people. */
void consumer_reason_set(struct group_coordinator *coordinator, const char *format, ...)
    PRINTF_LIKE(2, 3);

#endif
