/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_regex.c: subscriptions by regular expression. A new expression is compiled at once,
 * to refuse it while the member waits; which topics it matches is found by a task outside the coordinator, one
 * at a time per group, and comes back as records of type 16.
 *
 * The task owns all it needs: patterns and names of topics, in memory of its own.
 */
#include "coordinator/group/consumer_internal.h"
#include "regex/regex.h"

#define REFRESH_MIN_MS 10000

/* ---- outside of the coordinator ---- */

/* `scratch` has room for every topic; what is kept is as long as what matched. */
static enum err pattern_run(struct coordinator_task *task, struct task_pattern *pattern,
                            struct slice *scratch)
{
    struct regex *regex;
    struct why why;
    enum err err = regex_compile(pattern->pattern, &regex, &why);
    int32_t count = 0;

    if (err == ERR_INVALID_REGULAR_EXPRESSION)
        return OK; /* from a log of another version: it matches nothing */
    TRY(err);
    for (size_t i = 0; i < task->topic_count; i++)
        if (regex_matches(regex, task->topics[i]))
            scratch[count++] = task->topics[i];
    regex_release(&regex);
    pattern->matched = ARENA_ARRAY(&task->arena, struct slice, (size_t)count);
    if (!pattern->matched)
        return ERR_NO_MEMORY;
    if (count > 0)
        memcpy(pattern->matched, scratch, (size_t)count * sizeof *scratch);
    pattern->matched_count = count;
    return OK;
}

void coordinator_task_run(struct coordinator_task *task)
{
    struct slice *scratch = ARENA_ARRAY(&task->arena, struct slice, task->topic_count);

    task->err = scratch ? OK : ERR_NO_MEMORY;
    for (int32_t i = 0; i < task->pattern_count && task->err == OK; i++)
        task->err = pattern_run(task, &task->patterns[i], scratch);
}

void coordinator_task_release(struct coordinator_task **slot)
{
    struct coordinator_task *task = *slot;

    if (!task)
        return;
    *slot = NULL;
    arena_release(&task->arena);
    ALLOCATOR_DELETE(task->allocator, task);
}

/* ---- starting one ---- */

static enum err task_topics(struct coordinator_task *task, const struct metadata_image *image)
{
    struct slice *topics =
        ARENA_ARRAY(&task->arena, struct slice, metadata_image_topic_count(image));
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    if (!topics)
        return ERR_NO_MEMORY;
    for (metadata_walk_start(&walk, image, METADATA_TOPICS); (topic = metadata_walk_next(&walk));) {
        topics[task->topic_count] = arena_copy(&task->arena, topic->name);
        if (slice_is_null(topics[task->topic_count++]))
            return ERR_NO_MEMORY;
    }
    task->topics = topics;
    return OK;
}

static enum err task_pattern_add(struct coordinator_task *task, struct slice pattern)
{
    struct slice copy = arena_copy(&task->arena, pattern);

    task->patterns[task->pattern_count++].pattern = copy;
    return slice_is_null(copy) ? ERR_NO_MEMORY : OK;
}

/* Members that subscribe to an expression, once the update is done. */
static int32_t subscribers_after(const struct consumer_update *update, struct slice pattern)
{
    const struct consumer_regex *regex = consumer_regex_find(update->group, pattern);

    return (regex ? regex->members : 0) -
           (consumer_has_regex(update->before) && slice_equal(update->before->regex, pattern)) +
           (consumer_has_regex(&update->after) && slice_equal(update->after.regex, pattern));
}

static enum err task_fill(struct coordinator_task *task, const struct consumer_update *update)
{
    const struct consumer_group *group = update->group;
    bool has_new = consumer_has_regex(&update->after);

    task->group_id = arena_copy(&task->arena, update->draft.group_id);
    task->patterns = ARENA_ARRAY(&task->arena, struct task_pattern, group->regexes.count + 1);
    if (slice_is_null(task->group_id) || !task->patterns)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (at, &group->regexes) {
        const struct consumer_regex *regex = HASH_MAP_ITEM(at, struct consumer_regex, node);

        has_new = has_new && !slice_equal(regex->pattern, update->after.regex);
        if (subscribers_after(update, regex->pattern) > 0)
            TRY(task_pattern_add(task, regex->pattern));
    }
    if (has_new)
        TRY(task_pattern_add(task, update->after.regex));
    return task_topics(task, update->call->moment->image);
}

static enum err task_create(struct consumer_update *update)
{
    struct allocator *allocator = update->call->coordinator->allocator;
    struct coordinator_task *task = ALLOCATOR_NEW(allocator, struct coordinator_task);
    enum err err;

    if (!task)
        return ERR_NO_MEMORY;
    task->allocator = allocator;
    /* The task runs on another thread: what it allocates there comes from the process heap. */
    arena_init(&task->arena, &heap_allocator, SIZE_MAX);
    task->version = metadata_image_provenance(update->call->moment->image).offset;
    task->started_ms = update->call->moment->wall_ms;
    err = task_fill(task, update);
    if (err != OK)
        coordinator_task_release(&task);
    update->task = task;
    return err;
}

/* ---- a member's heartbeat ---- */

static enum err regex_check(struct consumer_update *update)
{
    struct regex *regex;
    struct why why = {{0}};
    enum err err = regex_compile(update->after.regex, &regex, &why);

    regex_release(&regex);
    if (err != ERR_INVALID_REGULAR_EXPRESSION)
        return err;
    return why_set(&update->why, err,
                   "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
                   (int)MIN(update->after.regex.size_bytes, (size_t)200),
                   (const char *)update->after.regex.data, why.text);
}

/* Which expressions come and go with the update; whether it adds one that nobody resolved. */
static enum err regex_change(struct consumer_update *update, bool *is_new)
{
    struct slice before = update->before->regex, after = update->after.regex;
    const struct consumer_regex *old = consumer_regex_find(update->group, before);
    const struct consumer_regex *now = consumer_regex_find(update->group, after);

    if (slice_equal(before, after))
        return OK;
    update->regex_changed = true;
    if (before.size_bytes > 0 && old && old->members == 1)
        TRY(consumer_draft_part_gone(&update->draft, 16, before));
    if (after.size_bytes == 0) {
        update->regex_bumps = before.size_bytes > 0;
        return OK;
    }
    if (now && now->members > 0) {
        update->regex_bumps = now->resolved;
        return OK;
    }
    TRY(regex_check(update));
    *is_new = true;
    return OK;
}

enum err consumer_regex_update(struct consumer_update *update)
{
    struct group_coordinator *coordinator = update->call->coordinator;
    const struct consumer_group *group = update->group;
    struct slice group_id = update->draft.group_id;
    int64_t now_ms = update->call->moment->wall_ms, last_ms = INT64_MIN, version = 0;
    int32_t subscribed = 0;
    bool refresh = false;

    TRY(regex_change(update, &refresh));
    if (!refresh && group->subscribed_regexes == 0)
        return OK;
    if (consumer_counter_get(&coordinator->consumer->running, group_id) > 0)
        return OK;
    HASH_MAP_EACH (at, &group->regexes) {
        const struct consumer_regex *regex = HASH_MAP_ITEM(at, struct consumer_regex, node);

        subscribed += subscribers_after(update, regex->pattern) > 0;
        if (regex->resolved && last_ms == INT64_MIN) {
            last_ms = regex->timestamp_ms;
            version = regex->version;
        }
    }
    if (consumer_has_regex(&update->after) && !consumer_regex_find(group, update->after.regex))
        subscribed++;
    if (last_ms > now_ms)
        last_ms = now_ms - REFRESH_MIN_MS - 1; /* the clock went back: it is no reason to wait */
    if (last_ms != INT64_MIN && now_ms <= last_ms + REFRESH_MIN_MS)
        return OK;
    refresh = refresh || subscribed != group->resolved_regexes ||
              version < coordinator->consumer->topics_created_version || last_ms == INT64_MIN ||
              now_ms > last_ms + coordinator->options.consumer_regex_refresh_interval_ms;
    return refresh && subscribed > 0 ? task_create(update) : OK;
}

/* ---- the outcome ---- */

static bool same_topics(const struct consumer_regex *regex, const struct task_pattern *pattern)
{
    int32_t count = regex->resolved ? regex->topic_count : 0;

    if (count != pattern->matched_count)
        return false;
    for (int32_t i = 0; i < count; i++)
        if (!slice_equal(regex->topics[i], pattern->matched[i]))
            return false;
    return true;
}

static enum err outcome_draft(struct group_call *call, struct consumer_group *group,
                              struct coordinator_task *task, struct consumer_counts *counts)
{
    struct consumer_draft draft = {.call = call, .group_id = group->head.id};
    bool bump = false;
    uint64_t hash;

    for (int32_t i = 0; i < task->pattern_count; i++) {
        struct task_pattern *pattern = &task->patterns[i];
        struct consumer_regex *regex = consumer_regex_find(group, pattern->pattern);

        if (!regex || regex->members == 0)
            continue; /* nobody subscribes to it any more */
        pattern->matched_count = consumer_names_sort(pattern->matched, pattern->matched_count);
        if (!same_topics(regex, pattern)) {
            bump = true;
            TRY(consumer_counts_add(counts, regex->topics, regex->resolved ? regex->topic_count : 0,
                                    0, -1));
            TRY(consumer_counts_add(counts, pattern->matched, pattern->matched_count, 0, 1));
        }
        TRY(consumer_draft_regex(&draft, pattern->pattern, pattern->matched, pattern->matched_count,
                                 task->version, task->started_ms));
    }
    TRY(consumer_counts_hash(counts, &hash));
    if (bump || hash != group->hash) {
        TRY(consumer_draft_epoch(&draft, group->epoch + 1, hash));
        group->refresh_ms = group_after_ms(call->coordinator, INT32_MAX);
        group->refresh_epoch = group->epoch + 1;
        consumer_reason_set(call->coordinator, "topics match regular expressions");
    }
    return consumer_draft_flush(&draft);
}

enum err consumer_task_done(struct group_call *call, struct coordinator_task **slot)
{
    struct coordinator_task *task = *slot;
    struct group_coordinator *coordinator = call->coordinator;
    struct consumer_group *group = group_consumer(group_find(coordinator, task->group_id));
    struct consumer_counts counts = {0};
    enum err err = OK;

    if (consumer_counter_get(&coordinator->consumer->running, task->group_id) > 0)
        err = consumer_counter_add(coordinator->allocator, &coordinator->consumer->running,
                                   task->group_id, -1);
    if (task->err != OK)
        LOG_WARN(coordinator->logger, GROUP_LOG, "regular_expressions_failed",
                 "group=\"%.*s\" error=%s", SLICE_ARGS(task->group_id), err_name(task->err));
    else if (err == OK && group)
        err = consumer_counts_create(call, group, &counts);
    if (counts.call) {
        err = outcome_draft(call, group, task, &counts);
        consumer_counts_release(&counts);
    }
    coordinator_task_release(slot);
    return err;
}
