/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_target.c: the assignor's input from a group and the update on its way, and
 * the records of what it decided: one per member whose target changed, and the target epoch.
 */
#include "coordinator/group/consumer_internal.h"

struct slice consumer_preferred(const struct consumer_group *group,
                                const struct consumer_metadata *before,
                                const struct consumer_metadata *after)
{
    const struct group_options *options = &group->coordinator->options;
    int32_t most = 0;
    size_t best = 0;

    ASSERT(options->consumer_assignor_count > 0);
    for (size_t i = 0; i < options->consumer_assignor_count; i++) {
        struct slice name = options->consumer_assignors[i];
        int32_t count = consumer_counter_get(&group->assignors, name);

        count -= before && slice_equal(before->assignor, name);
        count += after && slice_equal(after->assignor, name);
        if (count > most) {
            most = count;
            best = i;
        }
    }
    return options->consumer_assignors[best];
}

/* ---- topics of the group ---- */

struct seen_topic {
    struct hash_map_node node; /* by name */
    struct slice name;
    const struct metadata_topic *topic; /* NULL: not there */
    int32_t place;
};

struct target {
    struct consumer_update *update;
    struct arena arena;
    struct hash_map seen;
    struct seen_topic **topics; /* those that are there, by id */
    int32_t topic_count;
    struct target_member {
        struct slice id;
        const struct consumer_metadata *metadata;
        const struct assignment *old; /* NULL: none yet */
    } * members;
    int32_t member_count;
    struct assign_member *inputs;
};

static bool seen_matches(const struct hash_map_node *node, const void *key)
{
    const struct slice *name = key;

    return slice_equal(CONTAINER_OF(node, const struct seen_topic, node)->name, *name);
}

static struct seen_topic *seen_find(const struct target *target, struct slice name)
{
    struct hash_map_node *node = hash_map_find(&target->seen, hash_slice(name), &name);

    return node ? CONTAINER_OF(node, struct seen_topic, node) : NULL;
}

static enum err see(struct target *target, struct slice name)
{
    struct seen_topic *seen = seen_find(target, name);

    if (seen)
        return OK;
    seen = ARENA_NEW(&target->arena, struct seen_topic);
    if (!seen)
        return ERR_NO_MEMORY;
    seen->name = name;
    seen->topic = metadata_image_topic(target->update->call->moment->image, name);
    return hash_map_insert(&target->seen, hash_slice(name), &seen->node);
}

static bool id_before(const struct seen_topic *a, const struct seen_topic *b)
{
    return uuid_compare(a->topic->id, b->topic->id) < 0;
}

/* The topics that are there, sorted by id (heap sort), each with its place. */
static enum err topics_sort(struct target *target)
{
    int32_t count = 0;

    target->topics = ARENA_ARRAY(&target->arena, struct seen_topic *, target->seen.count);
    if (!target->topics)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (at, &target->seen) {
        struct seen_topic *seen = HASH_MAP_ITEM(at, struct seen_topic, node);

        if (seen->topic)
            target->topics[count++] = seen;
    }
    target->topic_count = count;
    for (int32_t start = count / 2, end = count; end > 1;) {
        struct seen_topic *held;
        int32_t root = 0;

        if (start > 0) {
            root = --start;
        } else {
            end--;
            held = target->topics[0];
            target->topics[0] = target->topics[end];
            target->topics[end] = held;
        }
        for (int32_t child; (child = 2 * root + 1) < end; root = child) {
            held = target->topics[root];
            if (child + 1 < end && id_before(target->topics[child], target->topics[child + 1]))
                child++;
            if (!id_before(held, target->topics[child]))
                break;
            target->topics[root] = target->topics[child];
            target->topics[child] = held;
        }
    }
    for (int32_t i = 0; i < count; i++)
        target->topics[i]->place = i;
    return OK;
}

/* ---- members ---- */

static const struct consumer_regex *resolved(const struct target *target,
                                             const struct consumer_metadata *metadata)
{
    const struct consumer_regex *regex =
        consumer_has_regex(metadata) ? consumer_regex_find(target->update->group, metadata->regex)
                                     : NULL;

    return regex && regex->resolved ? regex : NULL;
}

static enum err member_add(struct target *target, struct slice id,
                           const struct consumer_metadata *metadata, const struct assignment *old)
{
    const struct consumer_regex *regex = resolved(target, metadata);

    target->members[target->member_count++] = (struct target_member){id, metadata, old};
    for (int32_t i = 0; i < metadata->topic_count; i++)
        TRY(see(target, metadata->topics[i]));
    for (int32_t i = 0; regex && i < regex->topic_count; i++)
        TRY(see(target, regex->topics[i]));
    return OK;
}

/* The group's members with the update laid over them. */
static enum err members_collect(struct target *target)
{
    struct consumer_update *update = target->update;
    const struct consumer_group *group = update->group;
    const struct consumer_member *self = update->replaces ? update->replaces : update->member;
    bool placed = false;

    target->members =
        ARENA_ARRAY(&target->arena, struct target_member, (size_t)group->member_count + 1);
    if (!target->members)
        return ERR_NO_MEMORY;
    CONSUMER_MEMBERS_EACH(member, group)
    {
        bool is_self = member == self;

        placed = placed || is_self;
        TRY(member_add(target, is_self ? update->member_id : member->id,
                       is_self ? &update->after : member->metadata,
                       member->has_target ? &member->target.is : NULL));
    }
    return placed ? OK : member_add(target, update->member_id, &update->after, NULL);
}

static enum err member_input(struct target *target, int32_t index)
{
    static const struct assignment none = {0};
    const struct target_member *member = &target->members[index];
    const struct consumer_metadata *metadata = member->metadata;
    const struct consumer_regex *regex = resolved(target, metadata);
    struct assign_member *input = &target->inputs[index];
    int32_t regex_count = regex ? regex->topic_count : 0, count = 0, kept = 0;
    int32_t *topics =
        ARENA_ARRAY(&target->arena, int32_t, (size_t)metadata->topic_count + (size_t)regex_count);

    if (!topics)
        return ERR_NO_MEMORY;
    input->subscription_size = metadata->topic_count;
    for (int32_t i = 0; i < metadata->topic_count + regex_count; i++) {
        bool by_name = i < metadata->topic_count;
        struct slice name =
            by_name ? metadata->topics[i] : regex->topics[i - metadata->topic_count];
        const struct seen_topic *seen = seen_find(target, name);

        if (!by_name && !consumer_names_contain(metadata->topics, metadata->topic_count, name))
            input->subscription_size++;
        if (seen->topic)
            topics[count++] = seen->place;
    }
    consumer_sort_i32(topics, count);
    for (int32_t i = 0; i < count; i++)
        if (kept == 0 || topics[kept - 1] != topics[i])
            topics[kept++] = topics[i];
    input->member_id = member->id;
    input->instance_id = metadata->instance_id;
    input->topics = topics;
    input->topic_count = kept;
    input->old = member->old ? *member->old : none;
    return OK;
}

/* ---- the decision ---- */

static enum err targets_draft(struct target *target, const struct assignment *targets)
{
    struct consumer_update *update = target->update;

    update->target = (struct assignment){0};
    for (int32_t i = 0; i < target->member_count; i++) {
        const struct target_member *member = &target->members[i];

        if (!member->old || !assignment_equal(member->old, &targets[i]))
            TRY(consumer_draft_target(&update->draft, member->id, &targets[i]));
        if (slice_equal(member->id, update->member_id)) {
            struct topic_partitions *topics =
                ARENA_ARRAY(update->call->arena, struct topic_partitions, (size_t)targets[i].count);

            if (!topics)
                return ERR_NO_MEMORY;
            for (int32_t j = 0; j < targets[i].count; j++) {
                int32_t count = targets[i].topics[j].count;
                int32_t *partitions = ARENA_ARRAY(update->call->arena, int32_t, (size_t)count);

                if (!partitions)
                    return ERR_NO_MEMORY;
                memcpy(partitions, targets[i].topics[j].partitions,
                       (size_t)count * sizeof *partitions);
                topics[j] = targets[i].topics[j];
                topics[j].partitions = partitions;
            }
            update->target = (struct assignment){topics, targets[i].count};
        }
    }
    return consumer_draft_target_epoch(&update->draft, update->epoch,
                                       update->call->moment->wall_ms);
}

static enum err target_run(struct target *target)
{
    struct consumer_update *update = target->update;
    struct slice assignor = consumer_preferred(update->group, update->before, &update->after);
    struct assign_input input = {.homogeneous = update->homogeneous};
    struct assignment *targets = NULL;
    struct assign_topic *topics;
    enum err err;

    TRY(members_collect(target));
    TRY(topics_sort(target));
    topics = ARENA_ARRAY(&target->arena, struct assign_topic, (size_t)target->topic_count);
    target->inputs =
        ARENA_ARRAY(&target->arena, struct assign_member, (size_t)target->member_count);
    if (!topics || !target->inputs)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < target->topic_count; i++) {
        topics[i].id = target->topics[i]->topic->id;
        topics[i].partition_count = target->topics[i]->topic->partition_count;
    }
    for (int32_t i = 0; i < target->member_count; i++)
        TRY(member_input(target, i));
    input.topics = topics;
    input.topic_count = target->topic_count;
    input.members = target->inputs;
    input.member_count = target->member_count;
    err = slice_equal_text(assignor, "range") ? assign_range(&input, &target->arena, &targets)
                                              : assign_uniform(&input, &target->arena, &targets);
    if (err == ERR_UNKNOWN_SERVER_ERROR)
        return why_set(&update->why, err,
                       "Failed to compute a new target assignment for epoch %d: Partitions were "
                       "left unassigned",
                       update->epoch);
    TRY(err);
    return targets_draft(target, targets);
}

enum err consumer_target_compute(struct consumer_update *update)
{
    struct target target = {.update = update};
    struct allocator *allocator = update->call->coordinator->allocator;
    enum err err;

    arena_init(&target.arena, allocator, SIZE_MAX);
    hash_map_init(&target.seen, allocator, seen_matches);
    err = target_run(&target);
    hash_map_release(&target.seen);
    arena_release(&target.arena);
    return err;
}
