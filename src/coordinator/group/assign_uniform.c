/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/assign_uniform.c: equal shares of all partitions, keeping what members have. Members
 * of equal subscriptions here; of different ones in assign_uniform_mixed.c.
 *
 * With n partitions and m members each gets n/m, and n%m of them one more. A member keeps old partitions
 * up to its share. The extra ones go to members in order, but one that cannot fill its extra gives it
 * on as long as there are members enough behind it to take all that are left.
 */
#include "coordinator/group/assign.h"

#include "base/assert.h"

struct uniform {
    const struct assign_input *input;
    struct arena *arena;
    struct assign_owners owners;
    /* Partitions without owner, in the order in which they are given away. */
    struct free_partition {
        int32_t topic, partition;
    } * free;
    size_t free_count, free_capacity;
    int32_t quota_min, extra_left;
    int32_t *missing; /* per member, in order of the walk */
};

static enum err free_add(struct uniform *uniform, int32_t topic, int32_t partition)
{
    if (uniform->free_count == uniform->free_capacity)
        return ERR_UNKNOWN_SERVER_ERROR; /* an old target that names a partition twice */
    uniform->free[uniform->free_count++] = (struct free_partition){topic, partition};
    return OK;
}

/* The order in which the old target of a member, or of one topic, is walked. */
static enum err old_order(struct uniform *uniform, const struct assignment *old, int32_t **out)
{
    uint32_t *hashes = ARENA_ARRAY(uniform->arena, uint32_t, (size_t)old->count);

    *out = ARENA_ARRAY(uniform->arena, int32_t, (size_t)old->count);
    if (!hashes || !*out)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < old->count; i++)
        hashes[i] = assign_hash_uuid(old->topics[i].topic_id);
    return assign_order(hashes, old->count, assign_table_grown((size_t)old->count), uniform->arena,
                        *out);
}

static enum err partition_order(struct uniform *uniform, const struct topic_partitions *old,
                                int32_t **out)
{
    uint32_t *hashes = ARENA_ARRAY(uniform->arena, uint32_t, (size_t)old->count);

    *out = ARENA_ARRAY(uniform->arena, int32_t, (size_t)old->count);
    if (!hashes || !*out)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < old->count; i++)
        hashes[i] = (uint32_t)old->partitions[i];
    return assign_order(hashes, old->count, assign_table_sized((size_t)old->count), uniform->arena,
                        *out);
}

/* Keeps up to *quota partitions of a topic; the others become free. */
static enum err topic_keep(struct uniform *uniform, int32_t member,
                           const struct topic_partitions *old, int32_t topic, int32_t *quota)
{
    const struct assign_topic *now = &uniform->input->topics[topic];
    bool all = old->count <= *quota;
    int32_t *order = NULL;

    if (!all)
        TRY(partition_order(uniform, old, &order));
    for (int32_t i = 0; i < old->count; i++) {
        int32_t partition = old->partitions[all ? i : order[i]];

        if (partition < 0 || partition >= now->partition_count)
            continue; /* cannot be: topics do not shrink, but the log could say so */
        if (*quota > 0) {
            (*quota)--;
            *assign_owner(&uniform->owners, topic, partition) = member;
        } else {
            TRY(free_add(uniform, topic, partition));
        }
    }
    return OK;
}

static enum err member_keep(struct uniform *uniform, int32_t member, int32_t members_left,
                            int32_t *missing_out)
{
    const struct assign_member *from = &uniform->input->members[member];
    bool has_extra = uniform->extra_left > 0;
    int32_t quota = uniform->quota_min + (has_extra ? 1 : 0);
    int32_t *order;

    TRY(old_order(uniform, &from->old, &order));
    for (int32_t i = 0; i < from->old.count; i++) {
        const struct topic_partitions *old = &from->old.topics[order[i]];
        int32_t topic = assign_topic_find(uniform->input, old->topic_id);

        if (topic >= 0 && assign_member_subscribes(from, topic))
            TRY(topic_keep(uniform, member, old, topic, &quota));
    }
    if (quota > 0 && has_extra && members_left > uniform->extra_left) {
        quota--;
        has_extra = false;
    }
    if (has_extra)
        uniform->extra_left--;
    *missing_out = quota;
    return OK;
}

/* All partitions that no old target names, topics in the order of Kafka's set. */
static enum err free_find(struct uniform *uniform)
{
    const struct assign_input *input = uniform->input;
    const struct assign_member *first = &input->members[0];
    uint32_t *hashes = ARENA_ARRAY(uniform->arena, uint32_t, (size_t)first->topic_count);
    int32_t *order = ARENA_ARRAY(uniform->arena, int32_t, (size_t)first->topic_count);

    if (!hashes || !order)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < input->member_count; i++) {
        const struct assignment *old = &input->members[i].old;

        for (int32_t j = 0; j < old->count; j++) {
            int32_t topic = assign_topic_find(input, old->topics[j].topic_id);

            if (topic < 0 || !assign_member_subscribes(first, topic))
                continue;
            for (int32_t k = 0; k < old->topics[j].count; k++) {
                int32_t partition = old->topics[j].partitions[k];

                if (partition >= 0 && partition < input->topics[topic].partition_count)
                    *assign_owner(&uniform->owners, topic, partition) = i;
            }
        }
    }
    for (int32_t i = 0; i < first->topic_count; i++)
        hashes[i] = assign_hash_uuid(input->topics[first->topics[i]].id);
    TRY(assign_order(hashes, first->topic_count,
                     assign_table_sized((size_t)first->subscription_size), uniform->arena, order));
    for (int32_t i = 0; i < first->topic_count; i++) {
        int32_t topic = first->topics[order[i]];

        for (int32_t j = 0; j < input->topics[topic].partition_count; j++) {
            if (*assign_owner(&uniform->owners, topic, j) < 0)
                TRY(free_add(uniform, topic, j));
            else
                *assign_owner(&uniform->owners, topic, j) = -1; /* until its owner keeps it */
        }
    }
    return OK;
}

static enum err uniform_run(struct uniform *uniform, const int32_t *walk)
{
    int32_t member_count = uniform->input->member_count;
    size_t next = 0;

    TRY(free_find(uniform));
    for (int32_t i = 0; i < member_count; i++)
        TRY(member_keep(uniform, walk[i], member_count - i, &uniform->missing[i]));
    for (int32_t i = 0; i < member_count; i++) {
        for (int32_t j = 0; j < uniform->missing[i] && next < uniform->free_count; j++, next++)
            *assign_owner(&uniform->owners, uniform->free[next].topic,
                          uniform->free[next].partition) = walk[i];
    }
    return next == uniform->free_count ? OK : ERR_UNKNOWN_SERVER_ERROR;
}

static enum err assign_uniform_equal(const struct assign_input *input, struct arena *arena,
                                     struct assignment **targets_out)
{
    struct uniform uniform = {.input = input, .arena = arena};
    size_t member_count = (size_t)input->member_count;
    uint32_t *hashes = ARENA_ARRAY(arena, uint32_t, member_count);
    int32_t *walk = ARENA_ARRAY(arena, int32_t, member_count);
    size_t total = 0;

    if (!hashes || !walk)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < input->members[0].topic_count; i++)
        total += (size_t)input->topics[input->members[0].topics[i]].partition_count;
    TRY(assign_owners_create(input, arena, &uniform.owners));
    uniform.free_capacity = total;
    uniform.free = ARENA_ARRAY(arena, struct free_partition, total);
    uniform.missing = ARENA_ARRAY(arena, int32_t, member_count);
    if (!uniform.free || !uniform.missing)
        return ERR_NO_MEMORY;
    uniform.quota_min = (int32_t)(total / member_count);
    uniform.extra_left = (int32_t)(total % member_count);
    for (size_t i = 0; i < member_count; i++)
        hashes[i] = assign_hash_text(input->members[i].member_id);
    TRY(assign_order(hashes, input->member_count, assign_table_grown(member_count), arena, walk));
    TRY(uniform_run(&uniform, walk));
    return assign_owners_targets(&uniform.owners, arena, targets_out);
}

enum err assign_uniform(const struct assign_input *input, struct arena *arena,
                        struct assignment **targets_out)
{
    if (input->member_count == 0) {
        *targets_out = NULL;
        return OK;
    }
    return input->homogeneous ? assign_uniform_equal(input, arena, targets_out)
                              : assign_uniform_mixed(input, arena, targets_out);
}
