/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_rebalance.c: the state machine of classic groups: how a rebalance
 * begins, how long one waits for members, how it completes, and what timers do. groups.md §3.1,
 * §3.3 of the reference.
 *
 *          first join            all joined / timeout         leader's sync stored
 *   Empty ───────────▶ PreparingRebalance ──────────▶ CompletingRebalance ─────────▶ Stable
 *     ▲                    │   ▲    ▲                      │                           │
 *     └─ no member left ───┘   │    └── join, leave, sync ─┘                           │
 *                              └──────────── join, leave, session expiry ──────────────┘
 *
 * The first phase of an Empty group lasts for group.initial.rebalance.delay.ms, longer while
 * members come.
 */
#include "coordinator/group/classic_internal.h"

#include "base/bug.h"
#include "base/fmt.h"

/* Between two looks at a group of which nobody rejoins, however short its timeout. */
#define RETRY_MS_MIN 1000

#define TO(state) (1u << (state))
static const struct {
    const char *name;
    unsigned from; /* states that may go here */
} states[CLASSIC_STATE_COUNT] = {
    [CLASSIC_EMPTY] = {"Empty", TO(CLASSIC_PREPARING_REBALANCE)},
    [CLASSIC_PREPARING_REBALANCE] = {"PreparingRebalance", TO(CLASSIC_STABLE) |
                                                               TO(CLASSIC_COMPLETING_REBALANCE) |
                                                               TO(CLASSIC_EMPTY)},
    [CLASSIC_COMPLETING_REBALANCE] = {"CompletingRebalance", TO(CLASSIC_PREPARING_REBALANCE)},
    [CLASSIC_STABLE] = {"Stable", TO(CLASSIC_COMPLETING_REBALANCE)},
    [CLASSIC_DEAD] = {"Dead", TO(CLASSIC_EMPTY) | TO(CLASSIC_PREPARING_REBALANCE) |
                                  TO(CLASSIC_COMPLETING_REBALANCE) | TO(CLASSIC_STABLE)},
};

const char *classic_state_name(enum classic_state state)
{
    ASSERT((unsigned)state < CLASSIC_STATE_COUNT);
    return states[state].name;
}

void classic_transition(struct group_coordinator *coordinator, struct classic_group *group,
                        enum classic_state to)
{
    ASSERT(states[to].from & TO(group->state));
    LOG_TRACE(coordinator->logger, GROUP_LOG, "group_state", "group=%.*s from=%s to=%s",
              SLICE_ARGS(group->head.id), states[group->state].name, states[to].name);
    group->previous_state = group->state;
    group->state = to;
    group->state_since_wall_ms = coordinator->wall_ms;
    group->head.rested_ms = coordinator->now_ms;
}

/* ---- what people are told ---- */

static void rebalance_begun(struct group_coordinator *coordinator, struct classic_group *group,
                            const char *reason)
{
    /* A phase that is begun anew counts as one rebalance; its first reason stands. */
    if (group->rebalance_since_ms < 0) {
        group->rebalance_since_ms = coordinator->now_ms;
        fmt(group->reason, sizeof group->reason, "%s", reason);
    }
    LOG_DEBUG(coordinator->logger, GROUP_LOG, "group_rebalance_begins",
              "group=%.*s generation=%d members=%zu reason=\"%s\"", SLICE_ARGS(group->head.id),
              group->generation, group->members.count, reason);
}

void classic_rebalance_done(struct group_coordinator *coordinator, struct classic_group *group)
{
    if (group->rebalance_since_ms < 0)
        return;
    group->rebalance_last_ms = coordinator->now_ms - group->rebalance_since_ms;
    group->rebalance_since_ms = -1;
    memcpy(group->last_reason, group->reason, sizeof group->last_reason);
    LOG_INFO(coordinator->logger, GROUP_LOG, "group_rebalanced",
             "group=%.*s generation=%d state=%s members=%zu protocol=%.*s leader=%.*s "
             "duration_ms=%lld waited_for=%.*s reason=\"%s\"",
             SLICE_ARGS(group->head.id), group->generation, states[group->state].name,
             group->members.count, SLICE_ARGS(group->protocol), SLICE_ARGS(group->leader),
             (long long)group->rebalance_last_ms, SLICE_ARGS(group->last_waited), group->reason);
    bytes_release(coordinator->allocator, &group->last_waited);
}

/* The last one that had to be waited for: whoever did not come in time, if anybody. Best effort. */
static void waited_for(struct group_coordinator *coordinator, struct classic_group *group,
                       struct slice member_id)
{
    struct slice copy;

    if (bytes_copy(coordinator->allocator, member_id, &copy) != OK)
        return;
    bytes_release(coordinator->allocator, &group->last_waited);
    group->last_waited = copy;
}

/* ---- beginning ---- */

/* Only of members that are there now: fixed for the phase. */
static int32_t rebalance_timeout_ms(const struct classic_group *group)
{
    int32_t longest = 0;

    HASH_MAP_EACH (node, &group->members)
        longest =
            MAX(longest, HASH_MAP_ITEM(node, struct classic_member, node)->rebalance_timeout_ms);
    return longest;
}

static bool all_joined(const struct classic_group *group)
{
    if (BUG_IS(join_does_not_wait) && group->awaiting_join > 0)
        return true;
    return group->members.count == group->awaiting_join && group->pending.count == 0;
}

static enum err timer_restart(struct group_coordinator *coordinator, struct group_timer *timer,
                              int64_t delay_ms)
{
    group_timer_stop(coordinator, timer);
    return group_timer_set(coordinator, timer, group_after_ms(coordinator, delay_ms));
}

enum err classic_answer_syncs(struct group_call *call, struct classic_group *group, enum err err)
{
    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);
        struct sync_group_response *response;

        if (err != OK)
            classic_assignment_withdraw(call->coordinator, member);
        if (!member->sync)
            continue;
        TRY(classic_sync_response(call, group, err, member->assignment, &response));
        TRY(group_waiter_answer(call, &member->sync, response));
        /* The session may have run out, unheeded, while the request was parked. */
        TRY(classic_session_restart(call->coordinator, member, member->session_timeout_ms));
    }
    return OK;
}

static enum err join_phase_complete(struct group_call *call, struct classic_group *group);

enum err classic_prepare_rebalance(struct group_call *call, struct classic_group *group,
                                   const char *reason)
{
    struct group_coordinator *coordinator = call->coordinator;
    bool is_first = group->state == CLASSIC_EMPTY;

    if (group->state == CLASSIC_COMPLETING_REBALANCE)
        TRY(classic_answer_syncs(call, group, ERR_REBALANCE_IN_PROGRESS));
    group->assignment_write = 0;
    group_timer_stop(coordinator, &group->sync);
    HASH_MAP_EACH (node, &group->members)
        HASH_MAP_ITEM(node, struct classic_member, node)->awaits_sync = false;
    rebalance_begun(coordinator, group, reason);
    classic_transition(coordinator, group, CLASSIC_PREPARING_REBALANCE);
    group->initial_delay = is_first;
    if (is_first) {
        int32_t delay_ms = coordinator->options.group_initial_rebalance_delay_ms;

        group->member_added = false;
        group->delay_ms = delay_ms;
        group->delay_left_ms = MAX(rebalance_timeout_ms(group) - delay_ms, 0);
        return timer_restart(coordinator, &group->join, delay_ms);
    }
    if (all_joined(group))
        return join_phase_complete(call, group);
    return timer_restart(coordinator, &group->join, rebalance_timeout_ms(group));
}

enum err classic_maybe_complete_join(struct group_call *call, struct classic_group *group)
{
    if (group->state != CLASSIC_PREPARING_REBALANCE || group->previous_state == CLASSIC_EMPTY ||
        !all_joined(group))
        return OK;
    return join_phase_complete(call, group);
}

enum err classic_complete_join_if_all(struct group_call *call, struct classic_group *group)
{
    if (group->state != CLASSIC_PREPARING_REBALANCE || !all_joined(group))
        return OK;
    return join_phase_complete(call, group);
}

enum err classic_rebalance(struct group_call *call, struct classic_group *group, const char *reason)
{
    if (states[CLASSIC_PREPARING_REBALANCE].from & TO(group->state))
        return classic_prepare_rebalance(call, group, reason);
    return classic_maybe_complete_join(call, group);
}

/* ---- completing ---- */

/* Dynamic members that did not come are out; static ones stay until their session ends. */
static enum err absent_remove(struct group_call *call, struct classic_group *group)
{
    size_t removed = 0;

    HASH_MAP_EACH_SAFE (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        if (member->join)
            continue;
        waited_for(call->coordinator, group, member->id);
        if (!slice_is_null(member->instance_id))
            continue;
        removed++;
        TRY(classic_member_expel(call, member));
    }
    if (removed > 0)
        LOG_INFO(call->coordinator->logger, GROUP_LOG, "group_members_did_not_rejoin",
                 "group=%.*s removed=%zu left=%zu last=%.*s", SLICE_ARGS(group->head.id), removed,
                 group->members.count, SLICE_ARGS(group->last_waited));
    return OK;
}

/* False: nobody rejoined. */
static enum err leader_elect(struct group_coordinator *coordinator, struct classic_group *group,
                             bool *elected_out)
{
    const struct classic_member *leader = classic_member_find(group, group->leader);

    *elected_out = true;
    if (leader && leader->join)
        return OK;
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        if (member->join)
            return classic_leader_set(coordinator, group, member->id);
    }
    *elected_out = false;
    return OK;
}

static enum err generation_next(struct group_coordinator *coordinator, struct classic_group *group)
{
    struct slice protocol;

    TRY(bytes_copy(coordinator->allocator,
                   group->members.count > 0 ? classic_group_vote(group) : SLICE_NULL, &protocol));
    bytes_release(coordinator->allocator, &group->protocol);
    group->protocol = protocol;
    /* Java's int wraps; a group does not live that long. */
    group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
    classic_topics_forget(coordinator, group);
    classic_transition(coordinator, group,
                       group->members.count > 0 ? CLASSIC_COMPLETING_REBALANCE : CLASSIC_EMPTY);
    return OK;
}

static enum err joins_answer(struct group_call *call, struct classic_group *group)
{
    struct group_coordinator *coordinator = call->coordinator;

    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);
        struct classic_join_answer answer = {
            .member_id = member->id,
            .leader = group->leader,
            .with_members = slice_equal(group->leader, member->id),
        };

        TRY(classic_answer_join(call, member, &answer));
        member->is_new = false;
        member->awaits_sync = true;
        group_timer_stop(coordinator, &member->session); /* of new ones it may be far off */
        TRY(classic_session_restart(coordinator, member, member->session_timeout_ms));
    }
    return timer_restart(coordinator, &group->sync, rebalance_timeout_ms(group));
}

static enum err join_phase_complete(struct group_call *call, struct classic_group *group)
{
    struct group_coordinator *coordinator = call->coordinator;
    bool elected;

    ASSERT(group->state == CLASSIC_PREPARING_REBALANCE);
    group_timer_stop(coordinator, &group->join);
    TRY(absent_remove(call, group));
    TRY(leader_elect(coordinator, group, &elected));
    if (!elected && group->members.count > 0) {
        /* Static members only, all silent: wait until their sessions end. */
        group->initial_delay = false;
        return timer_restart(coordinator, &group->join,
                             MAX(rebalance_timeout_ms(group), RETRY_MS_MIN));
    }
    TRY(generation_next(coordinator, group));
    if (group->state == CLASSIC_EMPTY) {
        classic_rebalance_done(coordinator, group);
        /* Should the write fail: the last generation in the log comes back after a failover, and
         * its members time out. */
        return classic_group_record(call, group);
    }
    return joins_answer(call, group);
}

/* ---- members that go ---- */

enum err classic_session_restart(struct group_coordinator *coordinator,
                                 struct classic_member *member, int64_t timeout_ms)
{
    return group_timer_set(coordinator, &member->session, group_after_ms(coordinator, timeout_ms));
}

enum err classic_member_expel(struct group_call *call, struct classic_member *member)
{
    struct classic_group *group = member->group;
    struct sync_group_response *response;

    TRY(classic_answer_join(
        call, member,
        &(struct classic_join_answer){.err = ERR_UNKNOWN_MEMBER_ID, .member_id = SLICE_EMPTY}));
    if (member->sync) {
        TRY(classic_sync_response(call, group, ERR_UNKNOWN_MEMBER_ID, SLICE_NULL, &response));
        TRY(group_waiter_answer(call, &member->sync, response));
    }
    return classic_member_remove(call->coordinator, member);
}

enum err classic_after_removal(struct group_call *call, struct classic_group *group,
                               const char *reason)
{
    if (group->state == CLASSIC_STABLE || group->state == CLASSIC_COMPLETING_REBALANCE)
        return classic_prepare_rebalance(call, group, reason);
    return classic_complete_join_if_all(call, group);
}

/* ---- timers ---- */

static enum err join_timer_fired(struct group_call *call, struct group_timer *timer)
{
    struct classic_group *group = CONTAINER_OF(timer, struct classic_group, join);
    int32_t left_ms = group->delay_left_ms;

    if (group->state != CLASSIC_PREPARING_REBALANCE) {
        /* A group that came from the other protocol and has to rebalance at once. */
        if (group->rebalance_when_replayed && group->state == CLASSIC_STABLE) {
            group->rebalance_when_replayed = false;
            return classic_prepare_rebalance(call, group, group->reason);
        }
        return OK;
    }
    if (!group->initial_delay || !group->member_added || left_ms == 0)
        return join_phase_complete(call, group);
    group->member_added = false;
    group->delay_left_ms = MAX(left_ms - group->delay_ms, 0);
    group->delay_ms = MIN(call->coordinator->options.group_initial_rebalance_delay_ms, left_ms);
    return timer_restart(call->coordinator, &group->join, group->delay_ms);
}

static enum err sync_timer_fired(struct group_call *call, struct group_timer *timer)
{
    struct classic_group *group = CONTAINER_OF(timer, struct classic_group, sync);
    char reason[CLASSIC_REASON_BYTES];
    size_t removed = 0;

    if (group->state != CLASSIC_COMPLETING_REBALANCE && group->state != CLASSIC_STABLE)
        return OK;
    HASH_MAP_EACH_SAFE (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        if (!member->awaits_sync)
            continue;
        removed++;
        waited_for(call->coordinator, group, member->id);
        TRY(classic_member_expel(call, member));
    }
    if (removed == 0)
        return OK;
    fmt(reason, sizeof reason, "%zu members did not sync in time, %.*s", removed,
        SLICE_ARGS(group->last_waited));
    return classic_prepare_rebalance(call, group, reason);
}

static enum err session_timer_fired(struct group_call *call, struct group_timer *timer)
{
    struct classic_member *member = CONTAINER_OF(timer, struct classic_member, session);
    struct classic_group *group = member->group;
    char reason[CLASSIC_REASON_BYTES];

    /* A new member is let go even while its request is parked: its client asks again if it
     * lives. */
    if (!member->is_new && (member->join || member->sync))
        return OK;
    LOG_INFO(call->coordinator->logger, GROUP_LOG, "group_member_expired",
             "group=%.*s member=%.*s client=%.*s host=%.*s session_timeout_ms=%d",
             SLICE_ARGS(group->head.id), SLICE_ARGS(member->id), SLICE_ARGS(member->client_id),
             SLICE_ARGS(member->client_host), member->session_timeout_ms);
    fmt(reason, sizeof reason, "session of %.*s ended", SLICE_ARGS(member->id));
    TRY(classic_member_expel(call, member));
    return classic_after_removal(call, group, reason);
}

static enum err pending_timer_fired(struct group_call *call, struct group_timer *timer)
{
    struct classic_pending *pending = CONTAINER_OF(timer, struct classic_pending, session);
    struct classic_group *group = pending->group;

    classic_pending_remove(call->coordinator, pending);
    return classic_complete_join_if_all(call, group);
}

void classic_timers_init(struct classic_group *group)
{
    group_timer_init(&group->join, join_timer_fired);
    group_timer_init(&group->sync, sync_timer_fired);
}

void classic_member_timer_init(struct classic_member *member)
{
    group_timer_init(&member->session, session_timer_fired);
}

void classic_pending_timer_init(struct classic_pending *pending)
{
    group_timer_init(&pending->session, pending_timer_fired);
}

/* ---- after a load ---- */

enum err classic_loaded(struct group_call *call, struct classic_group *group)
{
    char reason[CLASSIC_REASON_BYTES];

    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        if (!BUG_IS(sessions_not_resumed))
            TRY(classic_session_restart(call->coordinator, member, member->session_timeout_ms));
    }
    if (group->rebalance_when_replayed) {
        group->rebalance_when_replayed = false;
        return classic_prepare_rebalance(call, group, "loaded before its members were divided");
    }
    if (group->members.count <= (size_t)call->coordinator->options.group_max_size)
        return OK;
    fmt(reason, sizeof reason, "%zu members loaded, group.max.size is %d", group->members.count,
        call->coordinator->options.group_max_size);
    return classic_prepare_rebalance(call, group, reason);
}
