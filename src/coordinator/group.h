/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group.h: the group coordinator: classic groups, offsets and consumer groups (KIP-848)
 * of one partition of __consumer_offsets. docs/design/group_coordinator.md; groups.md §2–5, §8 of
 * the reference.
 *
 * Invariants  1. An owner of a partition in a group epoch is one member (G1).
 *             2. A committed offset never goes away or back but by a commit, a delete, expiry or
 *                topic deletion (G2); a stale member commits nothing (G3).
 *             3. State after replay of the log = state of the leader that wrote it, soft state
 *                aside.
 *             4. A call does bounded work: what walks all members of a large group or all topics is
 *                cut into steps or handed out as a task.
 * Memory      everything through the allocator given at creation; a member costs some tens of bytes
 *             beyond its own strings.
 */
#ifndef COORDINATOR_GROUP_H
#define COORDINATOR_GROUP_H

#include "base/allocator.h"
#include "base/log.h"
#include "coordinator/coordinator.h"

struct group_coordinator;
struct config;

/* From the node's configuration; the reference's names and defaults (groups.md §9). */
struct group_options {
    int32_t group_session_timeout_min_ms, group_session_timeout_max_ms;
    int32_t group_initial_rebalance_delay_ms;
    int32_t group_max_size;
    int32_t offset_metadata_bytes_max;
    int64_t offsets_retention_ms;
    int64_t offsets_retention_check_interval_ms;
    bool classic_on, consumer_on, streams_on; /* group.coordinator.rebalance.protocols */
    /* consumer groups */
    int32_t consumer_session_timeout_ms, consumer_session_timeout_min_ms,
        consumer_session_timeout_max_ms;
    int32_t consumer_heartbeat_interval_ms, consumer_heartbeat_interval_min_ms,
        consumer_heartbeat_interval_max_ms;
    int32_t consumer_max_size;
    /* Names, the first is the default; uniform and range are known. */
    const struct slice *consumer_assignors;
    size_t consumer_assignor_count;
    /* group.consumer.migration.policy */
    enum group_migration {
        GROUP_MIGRATION_DISABLED,
        GROUP_MIGRATION_UPGRADE,
        GROUP_MIGRATION_DOWNGRADE,
        GROUP_MIGRATION_BIDIRECTIONAL,
    } consumer_migration;
    int32_t consumer_regex_refresh_interval_ms;
    int32_t consumer_assignment_interval_ms, consumer_assignment_interval_min_ms,
        consumer_assignment_interval_max_ms;
};
/* Kafka's defaults. */
void group_options_init(struct group_options *options);

MUST_USE enum err group_coordinator_create(struct allocator *allocator,
                                           const struct group_options *options,
                                           struct logger *logger, struct group_coordinator **out);
void group_coordinator_release(struct group_coordinator **coordinator); /* NULL-safe */
/* Copies. */
MUST_USE enum err group_coordinator_set_options(struct group_coordinator *coordinator,
                                                const struct group_options *options);

/* ---- log ---- */
/* One record at `offset`. producer_id ≥ 0: transactional (pending until the marker). Unknown types
 * of keys are passed over with a warning; ERR_CORRUPT / ERR_UNSUPPORTED_VERSION for values that
 * cannot be read: a load fails with it. timestamp: of the record. */
MUST_USE enum err group_coordinator_replay(struct group_coordinator *coordinator,
                                           const struct coordinator_record *record, int64_t offset,
                                           int64_t producer_id, int16_t producer_epoch,
                                           struct why *why);
/* A transaction's end marker. */
MUST_USE enum err group_coordinator_replay_marker(struct group_coordinator *coordinator,
                                                  int64_t producer_id, int16_t producer_epoch,
                                                  bool is_commit, int64_t offset);
/* The load is complete: timers start, oversized groups rebalance, … */
MUST_USE enum err group_coordinator_loaded(struct group_coordinator *coordinator,
                                           const struct coordinator_moment *moment,
                                           struct coordinator_effects *effects);
/* Everything below `offset` is committed. Also before the load, with the high watermark: then no
 * value is kept that nobody can ask for. */
void group_coordinator_committed(struct group_coordinator *coordinator, int64_t offset);
/* The write of these effects ended: OK (committed) or not (refused, timed out; coordinator.h, 3 and
 * 4). */
MUST_USE enum err group_coordinator_write_ended(struct group_coordinator *coordinator,
                                                uint64_t write, enum err err,
                                                const struct coordinator_moment *moment,
                                                struct coordinator_effects *effects);

/* ---- calls ---- */
/* Of a struct coordinator_request: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit,
 * TxnOffsetCommit, OffsetFetch, OffsetDelete, DescribeGroups, DeleteGroups, ListGroups,
 * ConsumerGroupHeartbeat, ConsumerGroupDescribe; of those that name several groups: only those of
 * this partition. OffsetFetch: a struct group_offset_fetch, answered by a struct
 * offset_fetch_response_offset_fetch_response_group. OffsetCommit, TxnOffsetCommit: topics have
 * names, in any version, and are there; that the transaction is open was verified. */
/* One group of an OffsetFetch request of any version. Topics have names; ids where the request
 * (v10) has them. */
struct offset_fetch_request_offset_fetch_request_topics;
struct group_offset_fetch {
    struct slice group_id;
    struct slice member_id; /* null: none given */
    int32_t member_epoch;   /* -1: none given */
    bool require_stable;
    bool all_topics; /* `topics` is not looked at */
    const struct offset_fetch_request_offset_fetch_request_topics *topics;
    int32_t topic_count;
};
/* The reply comes in these effects or in later ones (JoinGroup and SyncGroup may wait). Errors of a
 * request are answers; a failure of this function is ERR_NO_MEMORY only. The body lives as long as
 * effects->arena; what must last is copied. */
MUST_USE enum err group_coordinator_handle(struct group_coordinator *coordinator,
                                           const struct coordinator_request *request,
                                           const struct coordinator_moment *moment,
                                           struct coordinator_effects *effects);
/* The requester hung up: its parked request needs no reply any more (the member stays). */
void group_coordinator_forget(struct group_coordinator *coordinator, uint64_t token);

/* When group_coordinator_tick wants to be called (monotone ms); INT64_MAX: never. */
int64_t group_coordinator_deadline_ms(const struct group_coordinator *coordinator);
/* One timer's work (session, rebalance, join, sync, expiry scan step); call again while the
 * deadline is not after now. */
MUST_USE enum err group_coordinator_tick(struct group_coordinator *coordinator,
                                         const struct coordinator_moment *moment,
                                         struct coordinator_effects *effects);
/* The image changed: groups whose topics changed will refresh; offsets of deleted topics are
 * tombstoned. */
MUST_USE enum err group_coordinator_image_changed(struct group_coordinator *coordinator,
                                                  const struct metadata_image *before,
                                                  const struct coordinator_moment *moment,
                                                  struct coordinator_effects *effects);

/* ---- tasks: run by the shell on any thread, then given back ---- */
void coordinator_task_run(struct coordinator_task *task);
/* Of a task that no coordinator waits for any more (deposed). NULL-safe; by the thread that got
 * it. */
void coordinator_task_release(struct coordinator_task **task);
MUST_USE enum err group_coordinator_task_done(struct group_coordinator *coordinator,
                                              struct coordinator_task **task,
                                              const struct coordinator_moment *moment,
                                              struct coordinator_effects *effects);

/* ---- looking in: for metrics and for people ---- */
struct group_view {
    struct slice group_id;
    const char *type;  /* "classic", "consumer" */
    const char *state; /* "Stable", … */
    int32_t members;
    /* Which member holds a rebalance up, and since when; null: none. */
    struct slice waits_for_member;
    int64_t waits_since_ms;
    struct slice last_rebalance_reason; /* what began the last rebalance, and how long it took */
    int64_t last_rebalance_ms;
};
struct group_offset_view {
    struct slice group_id, topic;
    int32_t partition;
    int64_t offset;
    int64_t commit_ms;
};
/* What a member has by its group's last assignment. */
struct group_assigned_view {
    struct slice group_id, member_id;
    struct slice topic;   /* null: by id, which metadata does not know */
    struct uuid topic_id; /* zero: by name, which metadata does not know */
    int32_t partition;
    int64_t since_ms; /* monotone; since the load at the earliest */
};
/* Members of consumer groups and of classic groups of type "consumer" that are Stable. Until `each` says
 * false. */
void group_coordinator_each_assigned(
    const struct group_coordinator *coordinator, const struct metadata_image *image,
    bool (*each)(void *context, const struct group_assigned_view *assigned), void *context);
void group_coordinator_each(const struct group_coordinator *coordinator,
                            void (*each)(void *context, const struct group_view *group),
                            void *context);
void group_coordinator_each_offset(const struct group_coordinator *coordinator,
                                   void (*each)(void *context,
                                                const struct group_offset_view *offset),
                                   void *context);

#endif
