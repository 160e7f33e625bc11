/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_leave.c: members that go, by themselves or by a timer, and the timeouts that apply. One
 * epoch for all that go together; the last member of the consumer protocol that goes may leave a classic group.
 */
#include "base/bug.h"
#include "base/parse.h"
#include "coordinator/group/consumer_internal.h"

/* ---- timeouts of a group: its own settings, within the limits of the node ---- */

static int32_t group_setting(const struct consumer_group *group, const struct metadata_image *image,
                             const char *name, int32_t otherwise)
{
    struct slice text = metadata_image_config(image, METADATA_RESOURCE_GROUP, group->head.id,
                                              slice_from_text(name));
    int32_t value;

    return slice_is_null(text) || parse_i32(text, &value) != OK ? otherwise : value;
}

static int32_t clamp(int32_t value, int32_t low, int32_t high)
{
    return MAX(low, MIN(value, high));
}

int32_t consumer_session_timeout_ms(const struct consumer_group *group,
                                    const struct metadata_image *image)
{
    const struct group_options *options = &group->coordinator->options;

    return clamp(group_setting(group, image, "consumer.session.timeout.ms",
                               options->consumer_session_timeout_ms),
                 options->consumer_session_timeout_min_ms,
                 options->consumer_session_timeout_max_ms);
}

int32_t consumer_heartbeat_interval_ms(const struct consumer_group *group,
                                       const struct metadata_image *image)
{
    const struct group_options *options = &group->coordinator->options;

    return clamp(group_setting(group, image, "consumer.heartbeat.interval.ms",
                               options->consumer_heartbeat_interval_ms),
                 options->consumer_heartbeat_interval_min_ms,
                 options->consumer_heartbeat_interval_max_ms);
}

int32_t consumer_assignment_interval_ms(const struct consumer_group *group,
                                        const struct metadata_image *image)
{
    int32_t value = group_setting(group, image, "consumer.assignment.interval.ms",
                                  group->coordinator->options.consumer_assignment_interval_ms);

    return clamp(value, group->coordinator->options.consumer_assignment_interval_min_ms,
                 group->coordinator->options.consumer_assignment_interval_max_ms);
}

/* ---- going ---- */

/* Expressions whose last subscribers go. */
static enum err regexes_draft(struct consumer_draft *draft, struct consumer_group *group,
                              struct consumer_member *const *members, int32_t count,
                              struct consumer_counts *counts)
{
    HASH_MAP_EACH (at, &group->regexes) {
        const struct consumer_regex *regex = HASH_MAP_ITEM(at, struct consumer_regex, node);
        int32_t leaving = 0;

        for (int32_t i = 0; i < count; i++)
            leaving += slice_equal(members[i]->metadata->regex, regex->pattern);
        if (leaving == 0 || leaving != regex->members)
            continue;
        TRY(consumer_draft_part_gone(draft, 16, regex->pattern));
        if (regex->resolved)
            TRY(consumer_counts_add(counts, regex->topics, regex->topic_count, 0, -1));
    }
    return OK;
}

static enum err fence_draft(struct consumer_draft *draft, struct consumer_group *group,
                            struct consumer_member *const *members, int32_t count,
                            struct consumer_counts *counts)
{
    uint64_t hash;

    for (int32_t i = 0; i < count; i++)
        TRY(consumer_draft_member_gone(draft, members[i]->id));
    for (int32_t i = 0; i < count; i++)
        TRY(consumer_counts_add(counts, members[i]->metadata->topics,
                                members[i]->metadata->topic_count, -1, 0));
    TRY(regexes_draft(draft, group, members, count, counts));
    TRY(consumer_counts_hash(counts, &hash));
    TRY(consumer_draft_epoch(draft, group->epoch + 1, hash));
    /* Nobody is left to wait for: the next to join is assigned at once. */
    if (count == group->member_count)
        TRY(consumer_draft_target_epoch(draft, group->epoch + 1, 0));
    return OK;
}

static enum err fence_run(struct group_call *call, struct consumer_group *group,
                          struct consumer_member *const *members, int32_t count, int32_t classic)
{
    struct consumer_draft draft = {.call = call, .group_id = group->head.id};
    struct consumer_counts counts = {0};
    enum err err;

    if (consumer_may_downgrade_without(group, count, classic)) {
        err = consumer_downgrade(&draft, group, NULL, true,
                                 "the last member of the consumer protocol left");
        if (err != ERR_INCONSISTENT_GROUP_PROTOCOL)
            return err;
        draft.count = 0; /* no classic group can be made of those that stay */
    }
    TRY(consumer_counts_create(call, group, &counts));
    err = fence_draft(&draft, group, members, count, &counts);
    consumer_counts_release(&counts);
    TRY(err);
    return consumer_draft_flush(&draft);
}

enum err consumer_fence(struct group_call *call, struct consumer_group *group,
                        struct consumer_member *const *members, int32_t count, const char *reason)
{
    int32_t classic = 0;
    enum err err;

    if (count == 0)
        return OK;
    for (int32_t i = 0; i < count; i++) {
        ASSERT(!members[i]->leaving);
        members[i]->leaving = true;
        classic += members[i]->metadata->is_classic;
    }
    consumer_reason_set(call->coordinator, "member %.*s %s%s",
                        (int)MIN(members[0]->id.size_bytes, (size_t)40),
                        (const char *)members[0]->id.data, count > 1 ? "and others " : "", reason);
    LOG_INFO(call->coordinator->logger, GROUP_LOG, "consumer_members_leave",
             "group=\"%.*s\" count=%d member=\"%.*s\" reason=\"%s\"", SLICE_ARGS(group->head.id),
             count, SLICE_ARGS(members[0]->id), reason);
    err = fence_run(call, group, members, count, classic);
    for (int32_t i = 0; i < count; i++)
        members[i]->leaving = false; /* they stay until the records are replayed */
    return err;
}

/* ---- timers ---- */

#define RETRY_MS 500

/* Until the records of its leaving are replayed the member stays, and if they are refused this tries again. */
static enum err expire(struct group_call *call, struct consumer_member *member,
                       struct group_timer *timer, const char *reason)
{
    TRY(group_timer_set(call->coordinator, timer, group_after_ms(call->coordinator, RETRY_MS)));
    return consumer_fence(call, member->group, &member, 1, reason);
}

enum err consumer_session_expired(struct group_call *call, struct group_timer *timer)
{
    return expire(call, CONTAINER_OF(timer, struct consumer_member, session), timer,
                  "was silent for its session timeout");
}

enum err consumer_progress_expired(struct group_call *call, struct group_timer *timer)
{
    struct consumer_member *member = CONTAINER_OF(timer, struct consumer_member, progress);

    if (member->metadata->is_classic)
        return expire(call, member, timer,
                      member->progress_is_sync ? "did not sync within its rebalance timeout"
                                               : "did not rejoin within its rebalance timeout");
    if (member->epoch != member->progress_epoch)
        return OK;
    return expire(call, member, timer, "did not give partitions up within its rebalance timeout");
}

enum err consumer_group_loaded(struct group_call *call, struct consumer_group *group)
{
    struct group_coordinator *coordinator = call->coordinator;
    int32_t session_ms = consumer_session_timeout_ms(group, call->moment->image);
    struct consumer_shared *shared = coordinator->consumer;

    /* Nobody knows which topics were made since the patterns were matched. */
    if (call->moment->image)
        shared->topics_created_version = MAX(shared->topics_created_version,
                                             metadata_image_provenance(call->moment->image).offset);
    CONSUMER_MEMBERS_EACH(member, group)
    {
        if (BUG_IS(sessions_not_resumed))
            break;
        TRY(group_timer_set(coordinator, &member->session,
                            group_after_ms(coordinator, session_ms)));
        if (member->metadata->is_classic || member->state != CONSUMER_UNREVOKED)
            continue;
        member->progress_epoch = member->epoch;
        TRY(group_timer_set(coordinator, &member->progress,
                            group_after_ms(coordinator, member->metadata->rebalance_timeout_ms)));
    }
    if (group->unreconciled > 0 || group->target_epoch < group->epoch)
        group->rebalance_since_ms = coordinator->now_ms;
    return OK;
}

/* ---- topics change ---- */

struct image_change {
    struct consumer_shared *shared;
    bool created;
};

static void topic_touched(struct image_change *change, struct slice name)
{
    struct hash_map_node *node = hash_map_find(&change->shared->topics, hash_slice(name), &name);
    struct consumer_shared_topic *topic;

    if (!node)
        return;
    topic = CONTAINER_OF(node, struct consumer_shared_topic, node);
    topic->hash_known = false;
    LIST_EACH (at, &topic->groups) {
        struct consumer_group *group = LIST_ITEM(at, struct consumer_topic, link)->group;

        group->refresh_ms = 0;
        group->refresh_epoch = 0;
    }
}

static void topic_created(void *context, const struct metadata_topic *topic)
{
    struct image_change *change = context;

    change->created = true;
    topic_touched(change, topic->name);
}

static void topic_deleted(void *context, const struct metadata_topic *topic)
{
    topic_touched(context, topic->name);
}

static void partition_changed(void *context, const struct metadata_topic *topic,
                              const struct metadata_partition *before,
                              const struct metadata_partition *after)
{
    UNUSED(before);
    UNUSED(after);
    topic_touched(context, topic->name);
}

enum err consumer_shared_image_changed(struct group_call *call, const struct metadata_image *before)
{
    struct image_change change = {.shared = call->coordinator->consumer};
    const struct metadata_image *after = call->moment->image;
    const struct metadata_diff diff = {.context = &change,
                                       .topic_created = topic_created,
                                       .topic_deleted = topic_deleted,
                                       .partition_changed = partition_changed};

    metadata_image_diff(before, after, &diff);
    if (change.created)
        change.shared->topics_created_version = metadata_image_provenance(after).offset;
    return OK;
}
