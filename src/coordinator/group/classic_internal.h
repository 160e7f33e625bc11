/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_internal.h: what the files of classic groups share among themselves.
 */
#ifndef COORDINATOR_GROUP_CLASSIC_INTERNAL_H
#define COORDINATOR_GROUP_CLASSIC_INTERNAL_H

#include "coordinator/group_internal.h"

/* A new member cannot heartbeat before its first JoinGroup is answered: so long it may wait. */
#define CLASSIC_NEW_MEMBER_TIMEOUT_MS 300000

/* ---- classic_protocol.c ---- */

void classic_support_init(struct classic_group *group, struct allocator *allocator);
void classic_support_clear(struct classic_group *group, struct allocator *allocator);
/* `pass` numbers the walk over one member's list: a name listed twice counts once. */
MUST_USE enum err classic_support_add(struct group_coordinator *coordinator,
                                      struct classic_group *group, struct slice name,
                                      uint64_t pass);
void classic_support_remove(struct group_coordinator *coordinator, struct classic_group *group,
                            const struct classic_protocol *protocols, size_t count);

struct classic_protocols {
    struct classic_protocol *items; /* one owned block */
    uint32_t count;
    uint32_t bytes;
};
MUST_USE enum err classic_protocols_copy(struct group_coordinator *coordinator,
                                         const struct classic_protocol *from, size_t count,
                                         struct classic_protocols *out);
void classic_protocols_release(struct group_coordinator *coordinator,
                               struct classic_protocols *protocols);
/* The member gets `protocols`, the caller what it had. */
MUST_USE enum err classic_member_swap_protocols(struct group_coordinator *coordinator,
                                                struct classic_member *member,
                                                struct classic_protocols *protocols);
bool classic_group_supports(const struct classic_group *group, struct slice protocol_type,
                            const struct classic_protocol *protocols, size_t count);
/* The same names and metadata in the same order. */
bool classic_member_matches(const struct classic_member *member,
                            const struct classic_protocol *protocols, size_t count);

/* ---- classic_group.c ---- */

struct classic_pending *classic_pending_find(const struct classic_group *group, struct slice id);
void classic_pending_remove(struct group_coordinator *coordinator, struct classic_pending *pending);
/* Parked requests are dropped: answer them before. Another member becomes leader. */
MUST_USE enum err classic_member_remove(struct group_coordinator *coordinator,
                                        struct classic_member *member);
/* Another id for the same member; it goes to the end of the order. */
MUST_USE enum err classic_member_rename(struct group_coordinator *coordinator,
                                        struct classic_member *member, struct slice id);
MUST_USE enum err classic_leader_set(struct group_coordinator *coordinator,
                                     struct classic_group *group, struct slice member_id);
MUST_USE enum err classic_assignment_set(struct group_coordinator *coordinator,
                                         struct classic_member *member, struct slice assignment);
/* What was given is so no more; what the member may have of it stays known (`held`). */
void classic_assignment_withdraw(struct group_coordinator *coordinator,
                                 struct classic_member *member);
/* UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or OK. */
MUST_USE enum err classic_member_validate(const struct classic_group *group, struct slice member_id,
                                          struct slice instance_id);

/* ---- classic_topics.c ---- */

void classic_topics_forget(struct group_coordinator *coordinator, struct classic_group *group);
/* Is the topic subscribed to, as far as one can tell: unknown subscriptions count as all topics. */
MUST_USE enum err classic_group_subscribes(struct group_coordinator *coordinator,
                                           struct classic_group *group, struct slice topic,
                                           bool *subscribes_out);
/* The protocol type is "consumer". */
bool classic_group_is_consumer(const struct classic_group *group);

/* ---- classic_rebalance.c: the state machine ---- */

void classic_timers_init(struct classic_group *group);
void classic_member_timer_init(struct classic_member *member);
void classic_pending_timer_init(struct classic_pending *pending);
void classic_transition(struct group_coordinator *coordinator, struct classic_group *group,
                        enum classic_state to);
MUST_USE enum err classic_session_restart(struct group_coordinator *coordinator,
                                          struct classic_member *member, int64_t timeout_ms);
/* Whatever state may go to PreparingRebalance goes there; PreparingRebalance itself may
 * complete. */
MUST_USE enum err classic_rebalance(struct group_call *call, struct classic_group *group,
                                    const char *reason);
MUST_USE enum err classic_prepare_rebalance(struct group_call *call, struct classic_group *group,
                                            const char *reason);
/* When everybody is there, and it is not the group's first phase. */
MUST_USE enum err classic_maybe_complete_join(struct group_call *call, struct classic_group *group);
/* Everybody is there: also in the first phase. */
MUST_USE enum err classic_complete_join_if_all(struct group_call *call,
                                               struct classic_group *group);
/* Answers what the member has parked with UNKNOWN_MEMBER_ID and removes it. */
MUST_USE enum err classic_member_expel(struct group_call *call, struct classic_member *member);
/* After a member has gone: rebalance, or complete the phase. */
MUST_USE enum err classic_after_removal(struct group_call *call, struct classic_group *group,
                                        const char *reason);
/* Parked syncs of all members; with an error assignments are cleared too. */
MUST_USE enum err classic_answer_syncs(struct group_call *call, struct classic_group *group,
                                       enum err err);
/* What members waited for is there: the log line, and what views show. */
void classic_rebalance_done(struct group_coordinator *coordinator, struct classic_group *group);

/* ---- classic_join.c ---- */

/* `group`: NULL, classic, or an Empty consumer group. */
MUST_USE enum err classic_handle_join(struct group_call *call, struct group *group,
                                      const struct join_group_request *request);
/* JoinGroup answers. `members` only for who assigns. */
struct classic_join_answer {
    int16_t api_version;
    enum err err;
    struct slice member_id;
    struct slice leader;
    bool with_members;
    bool skip_assignment;
};
MUST_USE enum err classic_join_response(struct group_call *call, const struct classic_group *group,
                                        const struct classic_join_answer *answer,
                                        struct join_group_response **out);
MUST_USE enum err classic_answer_join(struct group_call *call, struct classic_member *member,
                                      const struct classic_join_answer *answer);
MUST_USE enum err classic_join_refuse(struct group_call *call, enum err err,
                                      struct slice member_id);
/* Parks the call's JoinGroup; an older one of the member is answered, so that nothing is left
 * behind. */
MUST_USE enum err classic_park_join(struct group_call *call, struct classic_member *member);
/* Protocols and timeouts of the request. */
MUST_USE enum err classic_member_update(struct group_call *call, struct classic_member *member,
                                        const struct join_group_request *request);

/* ---- classic_static.c ---- */

MUST_USE enum err classic_static_replace(struct group_call *call, struct classic_member *member,
                                         struct slice new_id,
                                         const struct join_group_request *request,
                                         const char *client_reason);

/* ---- the other handlers ---- */

MUST_USE enum err classic_handle_sync(struct group_call *call, struct classic_group *group,
                                      const struct sync_group_request *request);
MUST_USE enum err classic_sync_response(struct group_call *call, const struct classic_group *group,
                                        enum err err, struct slice assignment,
                                        struct sync_group_response **out);
MUST_USE enum err classic_handle_heartbeat(struct group_call *call, struct classic_group *group,
                                           const struct heartbeat_request *request);
MUST_USE enum err classic_handle_leave(struct group_call *call, struct classic_group *group,
                                       const struct leave_group_request_member_identity *members,
                                       struct leave_group_response_member_response *results,
                                       int32_t count);
MUST_USE enum err classic_check_commit(struct group_call *call, struct classic_group *group,
                                       const struct group_commit_identity *identity);
/* Timers after a load; an oversized group rebalances. */
MUST_USE enum err classic_loaded(struct group_call *call, struct classic_group *group);

#endif
