/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_update.c: the way of one member's heartbeat or join through its group: who it is,
 * what changed, whether the group epoch rises, whether a new target is due, what it gets now. Everything is
 * drafted; consumer_update_finish lets it out.
 */
#include "coordinator/group/consumer_internal.h"

#include <stdarg.h>

void consumer_reason_set(struct group_coordinator *coordinator, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fmt_list(coordinator->consumer->reason, CONSUMER_REASON_BYTES, format, arguments);
    va_end(arguments);
}

enum err consumer_update_check_size(struct consumer_update *update, struct slice instance_id)
{
    const struct consumer_group *group = update->group;
    int32_t max = update->call->coordinator->options.consumer_max_size;

    if (consumer_static_find(group, instance_id) || group->member_count < max ||
        (update->member_id.size_bytes > 0 && consumer_member_find(group, update->member_id)))
        return OK;
    return why_set(&update->why, ERR_GROUP_MAX_SIZE_REACHED,
                   "The consumer group has reached its maximum capacity of %d members.", max);
}

/* ---- who it is ---- */

/* Partitions that a client reports are all assigned to the member: its last reply may have been lost. */
static bool owned_is_assigned(const struct consumer_update *update)
{
    if (!update->owned_known)
        return false;
    for (int32_t i = 0; i < update->owned_count; i++) {
        const struct topic_partitions *owned = &update->owned[i];
        const struct topic_partitions *assigned =
            assignment_topic(&update->current.assigned, owned->topic_id);

        for (int32_t j = 0; j < owned->count; j++)
            if (!topic_partitions_have(assigned, owned->partitions[j]))
                return false;
    }
    return true;
}

static enum err check_epoch(struct consumer_update *update, int32_t epoch)
{
    int32_t known = update->current.epoch;

    if (epoch == CONSUMER_EPOCH_JOIN || epoch == known)
        return OK;
    if (epoch > known)
        return why_set(
            &update->why, ERR_FENCED_MEMBER_EPOCH,
            "The consumer group member has a greater member epoch (%d) than the one known "
            "by the group coordinator (%d). The member must abandon all its partitions and "
            "rejoin.",
            epoch, known);
    if (epoch == update->current.previous_epoch && owned_is_assigned(update))
        return OK;
    return why_set(
        &update->why, ERR_FENCED_MEMBER_EPOCH,
        "The consumer group member has a smaller member epoch (%d) than the one known by "
        "the group coordinator (%d). The member must abandon all its partitions and rejoin.",
        epoch, known);
}

static void take_member(struct consumer_update *update, struct consumer_member *member)
{
    update->member = member;
    if (!member)
        return;
    update->before = member->metadata;
    update->current = consumer_member_current(member);
}

/* The new member begins where the old one was, with epoch 0, and all of it in the log. */
static enum err replace_static(struct consumer_update *update, struct consumer_member *old)
{
    static const struct assignment none = {0};

    take_member(update, old);
    update->member = NULL;
    update->replaces = old;
    update->current.epoch = 0;
    update->current.previous_epoch = 0;
    TRY(consumer_draft_member_gone(&update->draft, old->id));
    TRY(consumer_draft_metadata(&update->draft, update->member_id, old->metadata));
    TRY(consumer_draft_target(&update->draft, update->member_id,
                              old->has_target ? &old->target.is : &none));
    return consumer_draft_current(&update->draft, update->member_id, &update->current);
}

/* Its id is its own: under that of another member the two became one, with the target of the first alone. */
static enum err check_takeover(struct consumer_update *update, const struct consumer_member *old)
{
    const struct consumer_member *holder = consumer_member_find(update->group, update->member_id);

    if (!holder || holder == old)
        return OK;
    return why_set(&update->why, ERR_INVALID_REQUEST,
                   "Member %.*s cannot take over instance id %.*s from member %.*s: it is another "
                   "member of the group already.",
                   SLICE_ARGS(update->member_id), SLICE_ARGS(old->metadata->instance_id),
                   SLICE_ARGS(old->id));
}

static enum err static_member(struct consumer_update *update, int32_t epoch,
                              struct slice instance_id, bool create, bool is_classic)
{
    struct consumer_member *known = consumer_static_find(update->group, instance_id);

    if (create && !known) {
        take_member(update, consumer_member_find(update->group, update->member_id));
        return OK;
    }
    if (!known)
        return why_set(&update->why, ERR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
                       SLICE_ARGS(instance_id));
    if (create) {
        if (!is_classic && !known->metadata->is_classic &&
            known->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
            return why_set(&update->why, ERR_UNRELEASED_INSTANCE_ID,
                           "Static member %.*s with instance id %.*s cannot join the group because "
                           "the instance id is owned by %.*s member.",
                           SLICE_ARGS(update->member_id), SLICE_ARGS(instance_id),
                           SLICE_ARGS(known->id));
        TRY(check_takeover(update, known));
        return replace_static(update, known);
    }
    if (!slice_equal(known->id, update->member_id))
        return why_set(&update->why, ERR_FENCED_INSTANCE_ID,
                       "Static member %.*s with instance id %.*s was fenced by member %.*s.",
                       SLICE_ARGS(update->member_id), SLICE_ARGS(instance_id),
                       SLICE_ARGS(known->id));
    take_member(update, known);
    return is_classic ? OK : check_epoch(update, epoch);
}

enum err consumer_update_member(struct consumer_update *update, int32_t epoch,
                                struct slice instance_id, bool create, bool is_classic)
{
    update->before = &consumer_metadata_none;
    update->current = (struct consumer_current){.previous_epoch = -1};
    if (!slice_is_null(instance_id))
        return static_member(update, epoch, instance_id, create, is_classic);
    take_member(update, consumer_member_find(update->group, update->member_id));
    if (!update->member && !create)
        return why_set(&update->why, ERR_UNKNOWN_MEMBER_ID,
                       "Member %.*s is not a member of group %.*s.", SLICE_ARGS(update->member_id),
                       SLICE_ARGS(update->draft.group_id));
    return is_classic ? OK : check_epoch(update, epoch);
}

/* ---- what changed ---- */

static enum err counts_apply(struct consumer_update *update, struct consumer_counts *counts)
{
    const struct consumer_metadata *before = update->before, *after = &update->after;
    const struct consumer_regex *old = consumer_regex_find(update->group, before->regex);

    TRY(consumer_counts_add(counts, before->topics, before->topic_count, -1, 0));
    TRY(consumer_counts_add(counts, after->topics, after->topic_count, 1, 0));
    /* The last subscriber of an expression takes its topics along. */
    if (consumer_has_regex(before) && old && old->resolved && old->members == 1 &&
        !slice_equal(before->regex, after->regex))
        TRY(consumer_counts_add(counts, old->topics, old->topic_count, 0, -1));
    return OK;
}

static bool homogeneous_after(const struct consumer_update *update,
                              const struct consumer_counts *counts)
{
    const struct consumer_group *group = update->group;
    int32_t members = group->member_count + (!update->member && !update->replaces);
    int32_t regexes = 0, first = 0;
    bool new_is_known = false;

    HASH_MAP_EACH (at, &group->regexes) {
        const struct consumer_regex *regex = HASH_MAP_ITEM(at, struct consumer_regex, node);
        bool leaves = consumer_has_regex(update->before) &&
                      slice_equal(regex->pattern, update->before->regex);
        bool comes =
            consumer_has_regex(&update->after) && slice_equal(regex->pattern, update->after.regex);
        int32_t subscribers = regex->members - leaves + comes;

        new_is_known = new_is_known || comes;
        if (subscribers > 0 && regexes++ == 0)
            first = subscribers;
    }
    if (consumer_has_regex(&update->after) && !new_is_known && regexes++ == 0)
        first = 1;
    return consumer_counts_homogeneous(counts, regexes, first, members);
}

static void reason_note(const struct consumer_update *update)
{
    struct group_coordinator *coordinator = update->call->coordinator;
    const char *what = update->replaces                                 ? "came back"
                       : !update->member                                ? "joined"
                       : update->names_changed || update->regex_changed ? "changed its subscription"
                       : update->preference_changed ? "asks for another assignor"
                                                    : NULL;

    if (what)
        consumer_reason_set(coordinator, "member %.*s %s",
                            (int)MIN(update->member_id.size_bytes, (size_t)60),
                            (const char *)update->member_id.data, what);
    else
        consumer_reason_set(coordinator, "topics changed");
}

static enum err metadata_refresh(struct consumer_update *update, struct consumer_counts *counts)
{
    struct consumer_group *group = update->group;
    uint64_t hash;

    TRY(counts_apply(update, counts));
    TRY(consumer_counts_hash(counts, &hash));
    update->homogeneous = homogeneous_after(update, counts);
    update->homogeneous_known = true;
    if (update->bump || hash != group->hash) {
        update->epoch = group->epoch + 1;
        TRY(consumer_draft_epoch(&update->draft, update->epoch, hash));
        reason_note(update);
    }
    group->refresh_ms = group_after_ms(update->call->coordinator, INT32_MAX);
    group->refresh_epoch = update->epoch;
    return group->old_metadata_record ? consumer_draft_gone(&update->draft, 4) : OK;
}

enum err consumer_update_subscription(struct consumer_update *update)
{
    struct consumer_group *group = update->group;
    struct consumer_counts counts = {0};
    enum err err;

    update->epoch = group->epoch;
    if (!consumer_metadata_equal(update->before, &update->after)) {
        TRY(consumer_draft_metadata(&update->draft, update->member_id, &update->after));
        update->names_changed = !consumer_metadata_same_topics(update->before, &update->after);
    }
    TRY(consumer_regex_update(update));
    update->preference_changed =
        !update->after.is_classic &&
        !slice_equal(consumer_preferred(group, NULL, NULL),
                     consumer_preferred(group, update->before, &update->after));
    update->bump = update->names_changed || update->preference_changed ||
                   (update->after.is_classic ? update->regex_changed : update->regex_bumps);
    if (!update->bump && update->call->moment->now_ms < group->refresh_ms &&
        group->epoch >= group->refresh_epoch)
        return OK;
    TRY(consumer_counts_create(update->call, group, &counts));
    err = metadata_refresh(update, &counts);
    consumer_counts_release(&counts);
    return err;
}

/* ---- the target ---- */

/* As the log has it; of a static member that came back, its predecessor's. */
static void target_of_before(struct consumer_update *update)
{
    const struct consumer_member *member = update->replaces ? update->replaces : update->member;

    update->target_epoch = update->group->target_epoch;
    update->target = member && member->has_target ? member->target.is : (struct assignment){0};
}

bool consumer_target_is_fresh(const struct group_call *call, const struct consumer_group *group)
{
    int32_t interval_ms = consumer_assignment_interval_ms(group, call->moment->image);

    /* One of the future: the clock went back, and nobody shall wait until it is there again. */
    return group->target_ms != 0 && interval_ms != 0 && call->moment->wall_ms >= group->target_ms &&
           call->moment->wall_ms < group->target_ms + interval_ms;
}

enum err consumer_update_target(struct consumer_update *update)
{
    const struct consumer_group *group = update->group;

    target_of_before(update);
    if (group->target_epoch >= update->epoch)
        return OK;
    if (consumer_target_is_fresh(update->call, group))
        return OK; /* too soon: a later heartbeat does it */
    if (!update->homogeneous_known) {
        struct consumer_counts counts = {0};

        TRY(consumer_counts_create(update->call, update->group, &counts));
        enum err err = counts_apply(update, &counts);

        update->homogeneous = err == OK && homogeneous_after(update, &counts);
        consumer_counts_release(&counts);
        TRY(err);
    }
    TRY(consumer_target_compute(update));
    update->target_epoch = update->epoch;
    return OK;
}

enum err consumer_update_reconcile(struct consumer_update *update)
{
    bool subscription_changed = update->names_changed || update->regex_changed;
    struct consumer_step step = {
        .group = update->group,
        .metadata = &update->after,
        .image = update->call->moment->image,
        .from = update->current,
        .target_epoch = update->target_epoch,
        .target = &update->target,
        .subscription_changed = subscription_changed,
        .owned = update->owned,
        .owned_count = update->owned_count,
        .owned_known = update->owned_known,
    };

    update->next = update->current;
    if (!subscription_changed && update->current.state == CONSUMER_STABLE &&
        update->current.epoch == update->target_epoch)
        return OK;
    enum err err = consumer_reconcile(&step, update->call->arena, &update->next);

    if (err == ERR_FENCED_MEMBER_EPOCH)
        return why_set(
            &update->why, err,
            "The consumer group member is in a unknown state. The member must abandon all "
            "its partitions and rejoin.");
    TRY(err);
    return consumer_current_equal(&update->current, &update->next)
               ? OK
               : consumer_draft_current(&update->draft, update->member_id, &update->next);
}

enum err consumer_update_finish(struct consumer_update *update)
{
    struct group_coordinator *coordinator = update->call->coordinator;
    const struct metadata_image *image = update->call->moment->image;

    coordinator->consumer->session_timeout_ms = consumer_session_timeout_ms(update->group, image);
    /* A member that changes over owes no JoinGroup or SyncGroup any more. */
    if (update->member && !update->made && update->before->is_classic && !update->after.is_classic)
        group_timer_stop(coordinator, &update->member->progress);
    if (update->member && !update->made && !update->after.is_classic)
        TRY(group_timer_set(
            coordinator, &update->member->session,
            group_after_ms(coordinator, coordinator->consumer->session_timeout_ms)));
    TRY(consumer_draft_flush(&update->draft));
    if (update->task) {
        TRY(consumer_counter_add(coordinator->allocator, &coordinator->consumer->running,
                                 update->draft.group_id, 1));
        TRY(coordinator_effects_task(update->call->effects, update->task));
        update->task = NULL;
    }
    return OK;
}

void consumer_update_release(struct consumer_update *update)
{
    if (update->task)
        coordinator_task_release(&update->task);
    consumer_group_release(update->call->coordinator, &update->made);
}
