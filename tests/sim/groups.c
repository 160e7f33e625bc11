/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/groups.c: which groups a world has, and when they are whole.
 */
#include "group.h"

#include "base/assert.h"

#include <stdlib.h>

static void member_make(struct world *world, struct world_group *group, struct random *random,
                        struct actor *actor, int place)
{
    struct member *member = calloc(1, sizeof *member);

    ASSERT(member != NULL);
    *(struct member **)actor->own = member;
    group->members[place] = member;
    member->actor = actor;
    member->group = group;
    member->place = place;
    member->work = peer_new(world->sim, actor->machine, world->nodes[0].name, 9092);
    member->is_static = random_chance(random, 1, 3);
    member->is_classic = group->has_classic && (!group->has_modern || random_chance(random, 2, 3));
    member->uses_regex = random_chance(random, 1, 3);
    member->generation = member->is_classic ? -1 : 0;
    member->join_op = -1;
    member->out_until_ns = random_between(random, 0, 500) * MS;
    snprintf(member->instance, sizeof member->instance, "%s-i%d", group->name, place);
}

static void script_add(struct world *world, struct random *random)
{
    enum group_script script = (enum group_script)world->options.group_script;
    struct world_group *group = &world->groups->items[0];

    world->groups->count = 1;
    snprintf(group->name, sizeof group->name, "g0");
    group->number = history_name(world->history, group->name);
    group->has_classic = group->ends_classic = script != SCRIPT_MODERN;
    group->has_modern = script == SCRIPT_MODERN || script == SCRIPT_MIGRATION;
    group->is_cooperative = script != SCRIPT_EAGER;
    group->member_count = 3;
    for (int k = 0; k < group->member_count; k++) {
        member_make(world, group, random, world_actor_add(world, &actor_member, k), k);
        group->members[k]->is_classic = script != SCRIPT_MODERN && (k < 2 || !group->has_modern);
        group->members[k]->is_static = k == 1;
        group->members[k]->generation = group->members[k]->is_classic ? -1 : 0;
        group->members[k]->out_until_ns = k < 2 ? 0 : 200 * MS;
    }
}

void groups_add(struct world *world)
{
    struct random random;
    struct world_groups *groups = calloc(1, sizeof *groups);

    ASSERT(groups != NULL);
    sim_random_init(world->sim, &random, "groups");
    world->groups = groups;
    group_loads_init(&groups->loads, world);
    if (world->options.group_script != SCRIPT_NONE) {
        script_add(world, &random);
        world_actor_add(world, &actor_group_admin, 0);
        return;
    }
    groups->count = (int)random_between(&random, 1, GROUPS_MAX);
    for (int i = 0; i < groups->count; i++) {
        struct world_group *group = &groups->items[i];
        uint64_t kind = random_below(&random, 3);

        snprintf(group->name, sizeof group->name, "g%d", i);
        group->number = history_name(world->history, group->name);
        group->has_classic = kind != 0;
        group->has_modern = kind != 1;
        group->is_cooperative = random_chance(&random, 1, 2);
        group->ends_classic =
            group->has_classic && (!group->has_modern || random_chance(&random, 1, 2));
        group->member_count = (int)random_between(&random, 1, i == 0 ? GROUP_MEMBERS_MAX : 2);
        for (int k = 0; k < group->member_count; k++)
            member_make(world, group, &random, world_actor_add(world, &actor_member, i * 10 + k),
                        k);
    }
    world_actor_add(world, &actor_group_admin, 0);
}

const struct owned *group_owner(const struct world_group *group, const struct slot *slot,
                                int32_t partition)
{
    for (int i = 0; i < group->member_count; i++) {
        const struct member *member = group->members[i];

        for (int k = 0; k < member->owned_count; k++)
            if (member->owned[k].partition == partition &&
                memcmp(&member->owned[k].topic_id, &slot->id, sizeof slot->id) == 0)
                return &member->owned[k];
    }
    return NULL;
}

void group_describe(const struct world *world, const struct world_group *group, char *out,
                    size_t capacity_bytes)
{
    size_t length = (size_t)snprintf(out, capacity_bytes, "group %s:", group->name);

    for (int i = 0; i < group->member_count && length < capacity_bytes; i++)
        length += (size_t)snprintf(out + length, capacity_bytes - length, " %s %s state %d;",
                                   group->members[i]->is_classic ? "classic" : "modern",
                                   group->members[i]->id, group->members[i]->state);
    for (int i = 0; i < world->slot_count; i++) {
        for (int32_t p = 0; p < world->slots[i].partitions && length < capacity_bytes; p++) {
            const struct owned *owned = group_owner(group, &world->slots[i], p);

            if (!owned)
                length += (size_t)snprintf(out + length, capacity_bytes - length,
                                           " %s-%d is nobody's;", world->slots[i].name, p);
            else if (world->phase == WORLD_FINAL &&
                     (!owned->is_through || owned->position != owned->committed))
                length +=
                    (size_t)snprintf(out + length, capacity_bytes - length,
                                     " %s-%d is at %lld, committed %lld;", world->slots[i].name, p,
                                     (long long)owned->position, (long long)owned->committed);
        }
    }
}

bool group_is_whole(const struct world *world, const struct world_group *group)
{
    for (int i = 0; i < group->member_count; i++)
        if (group->members[i]->state != MEMBER_IN || group->members[i]->must_rejoin)
            return false;
    for (int i = 0; i < world->slot_count; i++)
        for (int32_t p = 0; p < world->slots[i].partitions; p++)
            if (!group_owner(group, &world->slots[i], p))
                return false;
    return true;
}
