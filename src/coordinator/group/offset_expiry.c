/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_expiry.c: what nobody needs any more (KIP-211): every
 * offsets.retention.check.interval.ms all groups are gone through, some at each tick; offsets whose
 * time is over are tombstoned, and Empty groups that have none left go with them. groups.md §4.4 of
 * the reference.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

#define NEVER INT64_MIN

/* From when on the retention of an offset counts; NEVER: it does not. */
static int64_t base_ms(const struct group *group, const struct offset_value *value)
{
    const struct classic_group *classic;

    if (group->kind != GROUP_CLASSIC)
        return value->commit_ms;
    classic = (const struct classic_group *)(const void *)group;
    if (slice_is_null(classic->protocol_type))
        return value->commit_ms;
    if (classic->state == CLASSIC_EMPTY)
        return classic->state_since_wall_ms >= 0 ? classic->state_since_wall_ms : value->commit_ms;
    if (classic->state == CLASSIC_STABLE && classic_group_is_consumer(classic))
        return value->commit_ms;
    return NEVER;
}

static bool is_expired(const struct group_coordinator *coordinator, const struct group *group,
                       const struct offset_slot *slot)
{
    const struct offset_value *value = offset_latest(slot);
    int64_t base;

    if (!value || !list_is_empty(&slot->pending))
        return false;
    base = base_ms(group, value);
    if (base == NEVER)
        return false;
    if (value->expire_ms >= 0)
        return coordinator->wall_ms >= value->expire_ms;
    return base <= coordinator->wall_ms &&
           coordinator->wall_ms - MAX(base, 0) >= coordinator->options.offsets_retention_ms;
}

static enum err topic_scan(struct group_call *call, struct group *group,
                           const struct offset_topic *topic, size_t *expired)
{
    bool is_subscribed = false;

    if (group->kind == GROUP_CLASSIC)
        TRY(classic_group_subscribes(call->coordinator, group_classic(group), topic->name->name,
                                     &is_subscribed));
    else
        is_subscribed = consumer_group_subscribes(group_consumer(group), topic->name->name);
    if (is_subscribed)
        return OK;
    for (uint32_t i = 0; i < topic->slot_count; i++) {
        if (!is_expired(call->coordinator, group, topic->slots[i]))
            continue;
        TRY(offset_tombstone(call, topic->slots[i]));
        ++*expired;
    }
    return OK;
}

static bool is_empty(struct group *group)
{
    struct classic_group *classic = group_classic(group);

    if (!classic)
        return consumer_group_member_count(group_consumer(group)) == 0;
    /* Whoever has just been given an id is about to join. */
    return classic->state == CLASSIC_EMPTY && classic->pending.count == 0;
}

static enum err group_expire(struct group_call *call, struct group *group)
{
    LOG_INFO(call->coordinator->logger, GROUP_LOG, "group_expired", "group=%.*s",
             SLICE_ARGS(group->id));
    if (group->kind == GROUP_CLASSIC)
        return classic_group_tombstone(call, group->id);
    return consumer_group_tombstones(call, group_consumer(group));
}

/* Topics of the group from where the last step ended; done when none is left. */
static enum err group_scan(struct group_call *call, struct group *group, size_t *looked_at,
                           bool *done_out)
{
    struct group_coordinator *coordinator = call->coordinator;
    const struct offset_group *offsets = offsets_group(coordinator->offsets, group->id);
    size_t place = 0, expired = 0;

    *done_out = true;
    if (offsets) {
        HASH_MAP_EACH (node, &offsets->topics) {
            const struct offset_topic *topic = HASH_MAP_ITEM(node, struct offset_topic, node);

            if (place++ < coordinator->scan_topics)
                continue;
            if (group_step_is_full(call) || *looked_at >= GROUP_STEP_ITEMS) {
                /* Topics that go with this step move the others up: some are left for the next
                 * scan. */
                coordinator->scan_topics = place - 1;
                *done_out = false;
                return OK;
            }
            *looked_at += topic->slot_count;
            TRY(topic_scan(call, group, topic, &expired));
        }
    }
    if ((!offsets || (offsets->live == expired && offsets->pending == 0)) && is_empty(group))
        return group_expire(call, group);
    return OK;
}

static enum err scan_fired(struct group_call *call, struct group_timer *timer)
{
    struct group_coordinator *coordinator = call->coordinator;
    size_t looked_at = 0;

    if (!coordinator->scan) {
        coordinator->scan = group_after(coordinator, NULL);
        coordinator->scan_topics = 0;
    }
    while (coordinator->scan) {
        bool done;

        if (group_step_is_full(call) || looked_at >= GROUP_STEP_ITEMS)
            return group_timer_set(coordinator, timer, coordinator->now_ms);
        looked_at++;
        TRY(group_scan(call, coordinator->scan, &looked_at, &done));
        if (!done)
            return group_timer_set(coordinator, timer, coordinator->now_ms);
        coordinator->scan = group_after(coordinator, coordinator->scan);
        coordinator->scan_topics = 0;
    }
    return offset_expiry_start(coordinator);
}

void offset_expiry_init(struct group_coordinator *coordinator)
{
    group_timer_init(&coordinator->scan_timer, scan_fired);
}

enum err offset_expiry_start(struct group_coordinator *coordinator)
{
    return group_timer_set(
        coordinator, &coordinator->scan_timer,
        group_after_ms(coordinator, coordinator->options.offsets_retention_check_interval_ms));
}
