/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_claims.c: the leader of a cooperative group withholds from others what somebody claimed, until he joins without it.
 * Whoever finds a claim denied therefore joins again. Claims are by name: a topic that was made anew meanwhile has taken what he
 * had of the old one, and the claim stands all the same.
 *
 * A static member may die between the JoinGroup that claimed and the assignment that denies. In a Stable group
 * its new process takes over that assignment without a rebalance (KIP-345), has nothing to give up, and so would not join
 * again: what was denied is nobody's until somebody else begins a rebalance. Kafka's coordinator and clients
 * do the same. Here it is the member that begins it, as an operator would.
 */
#include "group.h"

void member_claims_tell(struct member *member)
{
    const struct world *world = member->actor->world;

    memset(member->telling, 0, sizeof member->telling);
    for (int i = 0; i < member->owned_count && member->group->is_cooperative; i++)
        for (int slot = 0; slot < world->slot_count; slot++)
            if (memcmp(&member->owned[i].topic_id, &world->slots[slot].id,
                       sizeof world->slots[slot].id) == 0)
                member->telling[slot] |= UINT64_C(1) << member->owned[i].partition;
    /* Until it is answered, the former one may be the last that came. */
    for (int slot = 0; slot < world->slot_count; slot++)
        member->claimed[slot] |= member->telling[slot];
    member->is_back = member->is_static && member->id[0] == '\0';
}

void member_claims_heard(struct member *member)
{
    if (!member->is_back)
        memcpy(member->claimed, member->telling, sizeof member->claimed);
}

void member_claims_forget(struct member *member)
{
    memset(member->claimed, 0, sizeof member->claimed);
}

bool member_claims_are_denied(const struct member *member, const struct assigned *list, int count)
{
    const struct world *world = member->actor->world;
    uint64_t given[WORLD_SLOTS_MAX] = {0};
    bool are_denied = false;

    for (int i = 0; i < count; i++)
        for (int slot = 0; slot < world->slot_count; slot++)
            if (memcmp(&list[i].topic_id, &world->slots[slot].id, sizeof list[i].topic_id) == 0)
                given[slot] |= UINT64_C(1) << list[i].partition;
    for (int slot = 0; slot < world->slot_count; slot++)
        are_denied |= (member->claimed[slot] & ~given[slot]) != 0;
    return are_denied;
}
